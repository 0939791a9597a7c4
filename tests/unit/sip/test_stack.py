"""What a stack does with traffic that belongs to no call."""

import random

import pytest

from callcenter.sip.message import Response, parse
from tests.unit.sip.fakes import Callee, FakeNetwork

ME, PEER = "10.0.0.2", ("10.0.0.1", 5060)


def a_request(method: str, uri: str = f"sip:510001@{ME}", to_tag: str = "", extra: str = "", cseq: int = 1) -> bytes:
    return (
        f"{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{method}{cseq}\r\n"
        f"From: <sip:a@10.0.0.1>;tag=1\r\nTo: <{uri}>{to_tag}\r\nCall-ID: c\r\nCSeq: {cseq} {method}\r\n{extra}\r\n"
    ).encode()


def answers(net: FakeNetwork) -> list[tuple[int, str]]:
    replies = [parse(d.data) for d in net.sent]
    return [(r.status, r.cseq.method) for r in replies if isinstance(r, Response)]


@pytest.mark.parametrize(
    ("wire", "status"),
    [
        pytest.param(a_request("OPTIONS"), 200, id="options-to-a-user"),
        pytest.param(a_request("OPTIONS", f"sip:{ME}"), 200, id="options-to-the-endpoint"),
        pytest.param(a_request("OPTIONS", f"sip:nobody@{ME}"), 404, id="options-to-nobody"),
        pytest.param(a_request("INVITE", f"sip:nobody@{ME}"), 404, id="call-to-nobody"),
        pytest.param(a_request("INVITE"), 400, id="call-without-contact"),
        pytest.param(a_request("INVITE", extra="Contact: nonsense\r\n"), 400, id="call-with-a-bad-contact"),
        pytest.param(a_request("INVITE", "tel:510001"), 400, id="another-scheme"),
        pytest.param(a_request("BYE"), 481, id="bye-outside-a-dialog"),
        pytest.param(a_request("BYE", to_tag=";tag=9"), 481, id="bye-of-an-unknown-dialog"),
        pytest.param(a_request("INVITE", to_tag=";tag=9"), 481, id="reinvite-of-an-unknown-dialog"),
        pytest.param(a_request("CANCEL"), 481, id="cancel-of-nothing"),
        pytest.param(a_request("PUBLISH"), 405, id="unknown-method"),
    ],
)
def test_requests_outside_any_call_are_answered(wire: bytes, status: int) -> None:
    net = FakeNetwork()
    stack = net.stack(ME)
    Callee(stack, "510001")
    stack.receive(wire, PEER)
    assert [code for code, _ in answers(net)] == [status]
    assert stack.dialogs == 0


def test_a_repeated_request_is_answered_again_and_handled_once() -> None:
    net = FakeNetwork()
    stack = net.stack(ME)
    callee = Callee(stack, "510001")
    invite = a_request("INVITE", extra="Contact: <sip:a@10.0.0.1>\r\n")
    for _ in range(3):
        stack.receive(invite, PEER)
    callee.call.ring()
    stack.receive(invite, PEER)
    assert len(callee.calls) == 1
    assert answers(net) == [(180, "INVITE"), (180, "INVITE")]
    assert stack.counters.repeated == 3


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"\x00\x00", b"\r\n"])
def test_keepalives_are_no_errors(data: bytes) -> None:
    net = FakeNetwork()
    stack = net.stack(ME)
    stack.receive(data, PEER)
    assert (stack.counters.malformed, net.sent) == (0, [])


def test_stray_responses_and_acks_are_counted_and_dropped() -> None:
    net = FakeNetwork()
    stack = net.stack(ME)
    stack.receive(a_request("ACK", to_tag=";tag=3"), PEER)
    stack.receive(a_request("OPTIONS").replace(b"OPTIONS sip:510001@10.0.0.2 SIP/2.0", b"SIP/2.0 200 OK"), PEER)
    assert (stack.counters.stray, net.sent) == (2, [])


def test_two_users_of_one_name_are_a_bug_of_ours() -> None:
    stack = FakeNetwork().stack(ME)
    Callee(stack, "510001")
    with pytest.raises(ValueError, match="exists already"):
        Callee(stack, "510001")
    stack.remove_user("510001")
    Callee(stack, "510001")


def test_no_datagram_breaks_a_stack() -> None:
    net = FakeNetwork()
    stack = net.stack(ME)
    callee = Callee(stack, "510001")
    rng = random.Random(11)
    seeds = [
        a_request("INVITE", extra="Contact: <sip:a@10.0.0.1>\r\nRecord-Route: <sip:10.0.0.3;lr>\r\n"),
        a_request("OPTIONS"),
        a_request("BYE", to_tag=";tag=9"),
        a_request("CANCEL"),
        a_request("ACK"),
    ]
    for number in range(4000):
        data = bytearray(seeds[number % len(seeds)].replace(b"z9hG4bK", b"z9hG4bK%d" % number))
        for _ in range(rng.randint(0, 4)):
            position = rng.randrange(len(data))
            data[position : position + rng.randrange(6)] = rng.randbytes(rng.randrange(4))
        stack.receive(bytes(data), PEER)
        if callee.calls and callee.call.state.name == "CALLING":
            callee.call.reject(486)
    assert stack.counters.malformed > 100
    assert len(callee.calls) > 100
    net.scheduler.run_for(100)
    assert (stack.transactions, stack.dialogs, net.scheduler.pending) == (0, 0, 0)
