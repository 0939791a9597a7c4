"""A test call from both its ends: what is sent when, and what it is worth when it stops half-way."""

import pytest

from tandem.probes.call import Challenges, Send, TestCall
from tandem.probes.outcome import NotWorkingError
from tandem.probes.sign_in import Line
from tandem.probes.sip_message import Message, answer, read, write

SERVER, LOCAL = ("198.18.0.11", 30560), ("10.13.0.7", 40000)
LINE = Line("0510001", "callcenter", "secret")
ROUTE = ("Record-Route", "<sip:198.18.0.11:30560;lr>")


def only(sends: list[Send]) -> Message:
    ((data, _),) = sends
    message = read(data)
    assert message is not None
    return message


class Softswitch:
    """Plays the softswitch between both ends of one call."""

    def __init__(self) -> None:
        self.call = TestCall(SERVER, LOCAL, LINE, "tandem-probe.witness", Challenges())
        self.invite = only(self.call.start())

    def says(self, status: str, to: Message | None = None, *, tag: str = "7", contact: str = "") -> list[Send]:
        more = [("Contact", contact)] if contact else []
        return self.take(answer(to or self.invite, status, tag=tag, more=more))

    def rings(self, extension: str = "0510001") -> list[Send]:
        headers = [
            ("Via", "SIP/2.0/UDP s;branch=z9hG4bKs"),
            ROUTE,
            ("From", "<sip:0510001@x>;tag=1"),
            ("To", "<sip:n@x>"),
        ]
        headers += [("Call-ID", self.call.call_id), ("CSeq", self.invite.cseq)]
        return self.take(write(f"INVITE sip:{extension}@10.13.0.7:40000 SIP/2.0", headers))

    def passes_on(self, method: str, cseq: str) -> list[Send]:
        return self.take(write(f"{method} sip:x SIP/2.0", [("Call-ID", self.call.call_id), ("CSeq", cseq)]))

    def answers(self) -> Message:
        """The phone's 200 goes on to the caller; returns the caller's ACK."""
        sends = self.take(
            answer(self.invite, "200 OK", tag="p", more=[ROUTE, ("Contact", "<sip:0510001@10.13.0.7:40000;alias=1>")])
        )
        return only(sends)

    def take(self, data: bytes) -> list[Send]:
        message = read(data)
        assert message is not None
        return self.call.take(message, SERVER)


def test_a_whole_call() -> None:
    softswitch = Softswitch()
    call = softswitch.call
    assert softswitch.invite.start == "INVITE sip:tandem-probe.witness@198.18.0.11:30560 SIP/2.0"
    assert softswitch.says("100 Trying", tag="") == []
    assert softswitch.says("182 Queued") == []
    ok = only(softswitch.rings())
    assert (ok.code, ok.first("contact")) == (200, "<sip:0510001@10.13.0.7:40000>")
    ack = softswitch.answers()
    assert ack.start == "ACK sip:0510001@10.13.0.7:40000;alias=1 SIP/2.0"
    assert (ack.first("route"), ack.cseq, ack.first("to")) == (
        "<sip:198.18.0.11:30560;lr>",
        "1 ACK",
        "<sip:tandem-probe.witness@198.18.0.11:30560>;tag=p",
    )
    bye = only(softswitch.passes_on("ACK", "1 ACK"))
    assert (bye.method, bye.cseq) == ("BYE", "2 BYE")
    assert only(softswitch.passes_on("BYE", "2 BYE")).code == 200
    assert not call.done
    softswitch.says("200 OK", bye)
    assert call.done


def test_a_challenge_is_answered_once() -> None:
    softswitch = Softswitch()
    refusal = answer(
        softswitch.invite, "401 Unauthorized", tag="c", more=[("WWW-Authenticate", 'Digest realm="r", nonce="n"')]
    )
    acknowledged, again = (read(data) for data, _ in softswitch.take(refusal))
    assert acknowledged is not None
    assert again is not None
    assert (acknowledged.method, acknowledged.first("via")) == ("ACK", softswitch.invite.first("via"))
    assert (again.cseq, "response=" in again.first("authorization")) == ("2 INVITE", True)
    softswitch.invite = again
    with pytest.raises(Exception, match="401"):
        softswitch.take(
            answer(again, "401 Unauthorized", tag="c", more=[("WWW-Authenticate", 'Digest realm="r", nonce="m"')])
        )


def test_a_phone_takes_no_call_for_another_extension() -> None:
    """The other city's phone of this test agent is at the same socket."""
    softswitch = Softswitch()
    assert only(softswitch.rings("0610001")).code == 404


def test_an_answer_that_comes_again_is_acknowledged_again() -> None:
    softswitch = Softswitch()
    softswitch.rings()
    softswitch.answers()
    softswitch.passes_on("ACK", "1 ACK")
    assert softswitch.answers().method == "ACK"


def test_what_is_unanswered_is_what_is_sent_again() -> None:
    softswitch = Softswitch()
    call = softswitch.call
    assert [data.split(b" ")[0] for data, _ in call.unanswered] == [b"INVITE"]
    softswitch.says("100 Trying")
    assert list(call.unanswered) == []
    softswitch.rings()
    assert [data.split(b"\r\n")[0] for data, _ in call.unanswered] == [b"SIP/2.0 200 OK"]
    softswitch.answers()
    softswitch.passes_on("ACK", "1 ACK")
    assert [data.split(b" ")[0] for data, _ in call.unanswered] == [b"BYE"]


def test_where_it_stops_is_what_is_said_and_what_is_taken_back() -> None:
    softswitch = Softswitch()
    call = softswitch.call
    assert (call.stage, call.give_up()) == ("no answer to INVITE", [])
    softswitch.says("100 Trying")
    softswitch.says("182 Queued")
    assert call.stage == "queued (182 Queued), but the phone was not rung"
    cancel = only(call.give_up())
    assert (cancel.method, cancel.first("via")) == ("CANCEL", softswitch.invite.first("via"))
    softswitch.rings()
    assert call.stage == "the phone answered, but the caller was not told"
    softswitch.answers()
    assert call.stage == "answered, but the phone got no ACK"
    bye = only(call.give_up())
    assert (bye.method, bye.cseq) == ("BYE", "2 BYE")


@pytest.mark.parametrize("status", ["503 Service Unavailable", "403 Forbidden", "480 Waited Too Long", "600 Busy"])
def test_a_refused_call_is_acknowledged(status: str) -> None:
    softswitch = Softswitch()
    with pytest.raises(Exception, match=status) as refused:
        softswitch.says(status)
    ack = only(refused.value.sends)  # type: ignore[attr-defined]
    assert (ack.method, ack.cseq, ack.first("to")[-6:]) == ("ACK", "1 ACK", ";tag=7")


def test_a_hang_up_that_is_refused_fails() -> None:
    softswitch = Softswitch()
    softswitch.rings()
    softswitch.answers()
    bye = only(softswitch.passes_on("ACK", "1 ACK"))
    with pytest.raises(NotWorkingError, match="BYE: 481"):
        softswitch.says("481 Call Does Not Exist", bye)
