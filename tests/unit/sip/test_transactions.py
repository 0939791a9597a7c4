"""The timers of RFC 3261 section 17, on a clock of our own."""

from dataclasses import dataclass, field

import pytest

from callcenter.sip.client_transaction import (
    ClientState,
    InviteClientTransaction,
    NonInviteClientTransaction,
    make_cancel,
)
from callcenter.sip.errors import StateError
from callcenter.sip.message import Address, Headers, Request, Response, parse
from callcenter.sip.server_transaction import (
    InviteServerTransaction,
    NonInviteServerTransaction,
    ServerState,
    make_response,
)
from tests.unit.sip.fakes import FakeScheduler

PEER = ("10.0.0.1", 5060)


def a_request(method: str) -> Request:
    headers = Headers()
    headers.set("via", "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bK1;rport")
    headers.set("route", "<sip:10.0.0.1;lr>")
    headers.set("from", "<sip:a@h>;tag=1")
    headers.set("to", "<sip:b@h>")
    headers.set("call-id", "c")
    headers.set("cseq", f"1 {method}")
    return Request(headers, b"", method, "sip:b@10.0.0.1")


@dataclass
class Bench:
    """A transaction's surroundings: clock, wire and user."""

    clock: FakeScheduler = field(default_factory=FakeScheduler)
    wire: list[tuple[float, str]] = field(default_factory=list)
    last: bytes = b""
    told: list[str] = field(default_factory=list)
    terminated_at: float | None = None

    def send(self, data: bytes, destination: Address) -> None:
        assert destination == PEER
        self.last = data
        self.wire.append((self.clock.now, data.split(b" ", 1)[0].decode()))

    def on_response(self, response: Response) -> None:
        self.told.append(str(response.status))

    def on_timeout(self) -> None:
        self.told.append(f"timeout at {self.clock.now:g}")

    def on_terminated(self) -> None:
        self.terminated_at = self.clock.now

    def invite(self) -> InviteClientTransaction:
        transaction = InviteClientTransaction(
            a_request("INVITE"), PEER, self, send=self.send, scheduler=self.clock, on_terminated=self.on_terminated
        )
        transaction.start()
        return transaction

    def options(self, timeout: float = 32.0) -> NonInviteClientTransaction:
        transaction = NonInviteClientTransaction(
            a_request("OPTIONS"),
            PEER,
            self,
            send=self.send,
            scheduler=self.clock,
            on_terminated=self.on_terminated,
            timeout=timeout,
        )
        transaction.start()
        return transaction

    def sent_at(self) -> list[float]:
        return [at for at, _ in self.wire]


def answer(method: str, status: int) -> Response:
    return make_response(a_request(method), status, to_tag="2")


def test_an_unanswered_invite_is_repeated_with_doubled_intervals_until_timer_b() -> None:
    bench = Bench()
    bench.invite()
    bench.clock.run_for(100)
    assert bench.sent_at() == [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
    assert bench.told == ["timeout at 32"]
    assert bench.terminated_at == 32
    assert bench.clock.pending == 0


def test_an_unanswered_options_is_repeated_up_to_every_four_seconds_until_timer_f() -> None:
    bench = Bench()
    bench.options()
    bench.clock.run_for(100)
    assert bench.sent_at() == [0, 0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
    assert bench.told == ["timeout at 32"]


def test_an_options_with_a_shorter_time_ends_then() -> None:
    bench = Bench()
    bench.options(timeout=1.0)
    bench.clock.run_for(100)
    assert bench.sent_at() == [0, 0.5]
    assert bench.told == ["timeout at 1"]


def test_a_provisional_response_ends_the_repetition_of_an_invite_for_good() -> None:
    bench = Bench()
    transaction = bench.invite()
    bench.clock.run_for(0.6)
    transaction.receive(answer("INVITE", 182))
    bench.clock.run_for(1000)
    assert bench.sent_at() == [0, 0.5]
    assert bench.told == ["182"]
    assert transaction.state is ClientState.PROCEEDING


def test_a_provisional_response_slows_the_repetition_of_an_options() -> None:
    bench = Bench()
    transaction = bench.options()
    transaction.receive(answer("OPTIONS", 100))
    bench.clock.run_for(10)
    assert bench.sent_at() == [0, 0.5, 4.5, 8.5]


def test_a_failure_is_acknowledged_each_time_it_comes_and_told_once() -> None:
    bench = Bench()
    transaction = bench.invite()
    transaction.receive(answer("INVITE", 486))
    transaction.receive(answer("INVITE", 486))
    assert [kind for _, kind in bench.wire] == ["INVITE", "ACK", "ACK"]
    ack = parse(bench.last)
    assert isinstance(ack, Request)
    assert ack.branch == "z9hG4bK1"
    assert ack.to_tag == "2"
    assert ack.headers.get("route") == "<sip:10.0.0.1;lr>"
    assert bench.told == ["486"]
    bench.clock.run_for(31.9)
    assert bench.terminated_at is None
    bench.clock.run_for(0.2)
    assert bench.terminated_at == 32


def test_every_2xx_is_told_while_timer_m_runs() -> None:
    bench = Bench()
    transaction = bench.invite()
    for status in (200, 200, 486, 180):
        transaction.receive(answer("INVITE", status))
    assert bench.told == ["200", "200"]
    assert [kind for _, kind in bench.wire] == ["INVITE"]
    bench.clock.run_for(33)
    assert bench.terminated_at == 32
    transaction.receive(answer("INVITE", 200))
    assert bench.told == ["200", "200"]


def test_an_invite_told_to_be_quiet_still_hears_a_late_answer() -> None:
    bench = Bench()
    transaction = bench.invite()
    bench.clock.run_for(2)
    transaction.stop_retransmitting()
    bench.clock.run_for(20)
    transaction.receive(answer("INVITE", 180))
    assert bench.sent_at() == [0, 0.5, 1.5]
    assert bench.told == ["180"]


def test_the_final_response_to_options_is_told_once_and_absorbed_until_timer_k() -> None:
    bench = Bench()
    transaction = bench.options()
    transaction.receive(answer("OPTIONS", 200))
    transaction.receive(answer("OPTIONS", 200))
    bench.clock.run_for(4.9)
    assert bench.terminated_at is None
    bench.clock.run_for(0.2)
    assert bench.told == ["200"]
    assert bench.terminated_at == 5


def test_cancel_has_the_branch_and_number_of_its_invite() -> None:
    cancel = make_cancel(a_request("INVITE"))
    assert (cancel.branch, cancel.cseq.number, cancel.cseq.method) == ("z9hG4bK1", 1, "CANCEL")
    assert cancel.headers.get("route") == "<sip:10.0.0.1;lr>"


def server(bench: Bench, method: str) -> InviteServerTransaction | NonInviteServerTransaction:
    kind = InviteServerTransaction if method == "INVITE" else NonInviteServerTransaction
    return kind(a_request(method), PEER, send=bench.send, scheduler=bench.clock, on_terminated=bench.on_terminated)


def test_a_failure_to_an_invite_is_repeated_until_its_ack() -> None:
    bench = Bench()
    transaction = server(bench, "INVITE")
    assert isinstance(transaction, InviteServerTransaction)
    transaction.respond(answer("INVITE", 486))
    bench.clock.run_for(8)
    assert bench.sent_at() == [0, 0.5, 1.5, 3.5, 7.5]
    transaction.acknowledged()
    bench.clock.run_for(4.9)
    assert bench.sent_at() == [0, 0.5, 1.5, 3.5, 7.5]
    assert transaction.state is ServerState.CONFIRMED
    bench.clock.run_for(0.2)
    assert bench.terminated_at == 13


def test_a_failure_that_is_never_acknowledged_ends_with_timer_h() -> None:
    bench = Bench()
    server(bench, "INVITE").respond(answer("INVITE", 486))
    bench.clock.run_for(100)
    assert bench.sent_at()[-1] == 31.5
    assert bench.terminated_at == 32


def test_a_repeated_request_gets_the_latest_answer_again() -> None:
    bench = Bench()
    transaction = server(bench, "INVITE")
    transaction.retransmitted()
    assert bench.wire == []
    transaction.respond(answer("INVITE", 180))
    transaction.retransmitted()
    assert [kind for _, kind in bench.wire] == ["SIP/2.0", "SIP/2.0"]


def test_a_2xx_to_an_invite_is_repeated_by_its_dialog_only() -> None:
    bench = Bench()
    transaction = server(bench, "INVITE")
    transaction.respond(answer("INVITE", 200))
    transaction.retransmitted()
    bench.clock.run_for(31)
    assert len(bench.wire) == 1
    assert bench.terminated_at is None
    bench.clock.run_for(2)
    assert bench.terminated_at == 32


def test_the_answer_to_options_is_kept_for_timer_j() -> None:
    bench = Bench()
    transaction = server(bench, "OPTIONS")
    transaction.respond(answer("OPTIONS", 200))
    bench.clock.run_for(31)
    transaction.retransmitted()
    assert len(bench.wire) == 2
    bench.clock.run_for(2)
    assert bench.terminated_at == 32


@pytest.mark.parametrize("method", ["INVITE", "OPTIONS"])
def test_a_second_final_answer_is_a_bug_of_ours(method: str) -> None:
    transaction = server(Bench(), method)
    transaction.respond(answer(method, 486))
    with pytest.raises(StateError):
        transaction.respond(answer(method, 200))
