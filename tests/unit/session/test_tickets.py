"""Tickets: one client instance, one city, once, and by no clock that two cities share."""

import base64
import dataclasses
import json

import pytest

from callcenter.session.delay import Kept
from callcenter.session.errors import TicketError
from callcenter.session.tickets import MOST_OF_ONE, Ticket, TicketBook, sign, verify
from tests.unit.session.world import World

SECRET = b"shared by the CTIs of one system"
ISSUED = 1_000_000.0
TICKET = Ticket("agent0001", "i1", "callcenter/x", 27, "east", "west", 11, ISSUED, ISSUED + 60, "b1.t1", "available")


def reason_for(**change: object) -> str | None:
    """Why the ticket, checked under changed circumstances, admits nobody."""
    asked = {"account": "agent0001", "instance": "i1", "site": "west"} | change
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
    ],
)
def test_whom_a_ticket_admits(change: dict[str, object], reason: str | None) -> None:
    assert reason_for(**change) == reason


def is_used(book: TicketBook, ticket: Ticket) -> bool:
    try:
        book.check(ticket, account="agent0001", instance="i1", site="west")
    except TicketError as e:
        return e.reason == "TicketUsed"
    return False


def test_a_ticket_admits_once() -> None:
    book = TicketBook()
    assert not is_used(book, TICKET)
    assert not is_used(book, TICKET), "looking at it uses nothing up"
    book.use(TICKET, since=11)
    assert is_used(book, TICKET)


def test_used_tickets_are_remembered_as_long_as_their_order_may_stand() -> None:
    book = TicketBook()
    used = [dataclasses.replace(TICKET, id=f"t{n}", revision=11 + n) for n in range(4)]
    for ticket in used[:3]:
        book.use(ticket, since=11)
    assert all(is_used(book, ticket) for ticket in used[:3])
    book.use(used[3], since=13)  # another order: it turns those of revisions 11 and 12 away by itself
    assert [ticket.id for ticket in used if is_used(book, ticket)] == ["t2", "t3"]


def test_used_tickets_of_an_order_that_stands_for_ever_take_a_bounded_room() -> None:
    book = TicketBook()
    used = [dataclasses.replace(TICKET, id=f"t{n}") for n in range(1000)]
    for ticket in used:
        book.use(ticket, since=11)
    assert [ticket.id for ticket in used if is_used(book, ticket)] == [f"t{n}" for n in range(1000 - MOST_OF_ONE, 1000)]


@pytest.mark.parametrize("west", [3600.0, -3600.0], ids=["west-is-ahead", "west-is-behind"])
@pytest.mark.parametrize("restarts", [False, True], ids=["", "west-restarts-after-the-move"])
def test_wall_clocks_an_hour_apart_keep_nobody_out(west: float, restarts: bool) -> None:
    accounts = tuple(f"agent{n:04}" for n in range(20))
    world = World(1, accounts, walls={"east": ISSUED, "west": ISSUED + west})
    world.stragglers = 0.0
    world.run(5.0)
    for to, order in (("west", "east>west"), ("east", "west>east")):
        world.place_both({order: "0-99"})
        world.run(2.0)
        assert [person.client.signed_in_at for person in world.people.values()] == [to] * 20
        assert all(person.sign_ins[-1] == f"{to} ticket" for person in world.people.values())
        if restarts:
            world.crash(to)
            world.restart(to)
            world.place_both({order: "0-99"})
            world.run(5.0)
            assert [person.client.signed_in_at for person in world.people.values()] == [to] * 20
        world.place_both({to: "0-99"})
