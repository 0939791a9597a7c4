"""Tickets: one client instance, one city, once, and not for ever."""

import base64
import dataclasses
import json

import pytest

from callcenter.session.delay import Kept
from callcenter.session.errors import TicketError
from callcenter.session.tickets import CLOCK_SKEW, Ticket, TicketBook, sign, verify

SECRET = b"shared by the CTIs of one system"
ISSUED = 1_000_000.0
TICKET = Ticket("agent0001", "i1", "callcenter/x", 27, "east", "west", 11, ISSUED, ISSUED + 60, "b1.t1", "available")


def reason_for(**change: object) -> str | None:
    """Why the ticket, checked under changed circumstances, admits nobody."""
    asked = {"account": "agent0001", "instance": "i1", "site": "west", "wall": ISSUED + 1} | change
    try:
        TicketBook().check(TICKET, **asked)  # type: ignore[arg-type]
    except TicketError as e:
        return e.reason
    return None


def test_a_ticket_survives_the_way_through_the_client() -> None:
    text = sign(TICKET, SECRET)
    assert verify(text, SECRET) == TICKET
    assert text.count(".") == 1
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_the_ticket_says_what_the_contract_says() -> None:
    payload = sign(TICKET, SECRET).split(".")[0]
    body = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    said = {("from" if k == "from_" else k): v for k, v in dataclasses.asdict(TICKET).items()}
    assert body == {name: value for name, value in said.items() if name != "kept"}


def test_a_ticket_carries_what_the_release_waited_for() -> None:
    ticket = dataclasses.replace(TICKET, kept=Kept(call=3.5, wrapup=2.0, turn=0.25))
    assert verify(sign(ticket, SECRET), SECRET) == ticket
    assert verify(sign(TICKET, SECRET), SECRET).kept is None


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("abc", id="no-signature"),
        pytest.param(sign(TICKET, b"another secret"), id="another-secret"),
        pytest.param("x" + sign(TICKET, SECRET)[1:], id="first-letter-changed"),
        pytest.param(sign(TICKET, SECRET)[:-4], id="signature-cut"),
        pytest.param("ä.ö", id="not-ascii"),
    ],
)
def test_what_this_system_did_not_sign_is_forged(text: str) -> None:
    with pytest.raises(TicketError) as caught:
        verify(text, SECRET)
    assert caught.value.reason == "TicketForged"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        pytest.param({}, None, id="as-it-was-meant"),
        pytest.param({"account": "agent0002"}, "TicketForAnother", id="another-account"),
        pytest.param({"instance": "i2"}, "TicketForAnother", id="another-instance"),
        pytest.param({"site": "east"}, "TicketForAnother", id="another-city"),
        pytest.param({"wall": ISSUED + 60}, None, id="at-its-last-moment"),
        pytest.param({"wall": ISSUED + 60 + CLOCK_SKEW}, None, id="within-the-clocks-difference"),
        pytest.param({"wall": ISSUED + 60.1 + CLOCK_SKEW}, "TicketExpired", id="expired"),
        pytest.param({"wall": ISSUED - 1000}, None, id="a-clock-that-is-behind"),
    ],
)
def test_whom_a_ticket_admits(change: dict[str, object], reason: str | None) -> None:
    assert reason_for(**change) == reason


def test_a_ticket_admits_once() -> None:
    book = TicketBook()
    who = {"account": "agent0001", "instance": "i1", "site": "west"}
    book.check(TICKET, **who, wall=ISSUED + 1)
    book.check(TICKET, **who, wall=ISSUED + 1)  # looking at it uses nothing up
    book.use(TICKET, ISSUED + 1)
    with pytest.raises(TicketError) as caught:
        book.check(TICKET, **who, wall=ISSUED + 2)
    assert caught.value.reason == "TicketUsed"


def test_used_tickets_are_remembered_exactly_as_long_as_they_could_be_used() -> None:
    book = TicketBook()
    for n in range(1000):
        at = ISSUED + n
        book.use(dataclasses.replace(TICKET, id=f"t{n}", issued_at=at, expires_at=at + 60), at)
    assert len(book._used) <= 70
    last = dataclasses.replace(TICKET, id="t999", expires_at=ISSUED + 999 + 60)
    with pytest.raises(TicketError):
        book.check(last, account="agent0001", instance="i1", site="west", wall=ISSUED + 999 + 60)
