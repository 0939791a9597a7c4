"""Two user agents over a network that we hold in our hands."""

import random
from dataclasses import dataclass, field

import pytest

from callcenter.sip.call import CallEnd, CallState, EndKind, OutgoingCall, make_invite
from callcenter.sip.errors import StateError
from callcenter.sip.message import Address, Request, Response, parse
from callcenter.sip.sdp import describe
from tests.unit.sip.fakes import Callee, Datagram, Events, FakeNetwork

CARRIER, PHONE, PROXY = "10.0.0.1", "10.0.0.2", ("10.0.0.3", 5060)


@dataclass
class World:
    """A carrier, a phone and what their users saw."""

    net: FakeNetwork = field(default_factory=FakeNetwork)
    caller: Events = field(default_factory=Events)

    def __post_init__(self) -> None:
        self.carrier = self.net.stack(CARRIER)
        self.phone = self.net.stack(PHONE)
        self.callee = Callee(self.phone, "510001")

    def place(self, user: str = "510001", destination: Address = (PHONE, 5060)) -> OutgoingCall:
        invite = make_invite(
            self.carrier,
            uri=f"sip:{user}@{PHONE}",
            from_user="0215550100",
            body=describe((CARRIER, 9), session=1),
            headers={"x-tandem-talk": "5"},
        )
        call = OutgoingCall(self.carrier, self.caller, invite, destination, "0215550100")
        self.run(0.1)
        return call

    def talk(self) -> OutgoingCall:
        call = self.place()
        self.callee.call.ring()
        self.callee.call.answer(describe((PHONE, 9), session=2), {"x-tandem-agent": "agent0001"})
        self.run(0.1)
        assert call.state is CallState.TALKING
        return call

    def run(self, seconds: float) -> None:
        self.net.scheduler.run_for(seconds)


def test_a_call_is_placed_answered_and_hung_up_by_the_caller() -> None:
    world = World()
    call = world.place()
    assert world.callee.call.invite.headers.get("x-tandem-talk") == "5"
    world.callee.call.ring()
    world.run(0.1)
    assert call.state is CallState.EARLY
    world.callee.call.answer(b"v=0\r\n", {"x-tandem-agent": "agent0001"})
    world.run(0.1)
    [answered] = world.caller.answered
    assert answered.headers.get("x-tandem-agent") == "agent0001"
    assert answered.body == b"v=0\r\n"
    assert len(world.callee.events.answered) == 1
    call.hangup()
    world.run(0.1)
    assert world.caller.ends == [CallEnd(EndKind.LOCAL_BYE, 200)]
    assert [end.kind for end in world.callee.events.ends] == [EndKind.REMOTE_BYE]
    assert world.net.summaries() == ["INVITE", "180 INVITE", "200 INVITE", "ACK", "BYE", "200 BYE"]
    assert (world.carrier.dialogs, world.phone.dialogs) == (0, 0)
    world.run(60)
    assert (world.carrier.transactions, world.phone.transactions) == (0, 0)
    assert world.net.scheduler.pending == 0


def test_the_called_side_hangs_up_and_says_why() -> None:
    world = World()
    world.talk()
    world.callee.call.hangup(reason="SIP;cause=503")
    world.run(0.1)
    [end] = world.caller.ends
    assert (end.kind, end.reason) == (EndKind.REMOTE_BYE, "SIP;cause=503")
    assert world.callee.events.ends == [CallEnd(EndKind.LOCAL_BYE, 200)]


def test_both_hang_up_at_once_and_neither_calls_it_a_failure() -> None:
    world = World()
    call = world.talk()
    call.hangup()
    world.callee.call.hangup()
    world.run(0.2)
    assert world.caller.ends == [CallEnd(EndKind.LOCAL_BYE, 200)]
    assert world.callee.events.ends == [CallEnd(EndKind.LOCAL_BYE, 200)]


def test_a_busy_phone_refuses() -> None:
    world = World()
    call = world.place()
    world.callee.call.reject(486)
    world.run(0.1)
    assert [(e.kind, e.code) for e in world.caller.ends] == [(EndKind.REFUSED, 486)]
    assert call.state is CallState.ENDED
    assert world.net.summaries() == ["INVITE", "486 INVITE", "ACK"]


@pytest.mark.parametrize(("user", "code"), [pytest.param("999", 404, id="nobody-of-that-name")])
def test_the_stack_refuses_what_nobody_takes(user: str, code: int) -> None:
    world = World()
    world.place(user)
    assert [(e.kind, e.code) for e in world.caller.ends] == [(EndKind.REFUSED, code)]


def test_a_waiting_call_is_cancelled() -> None:
    world = World()
    call = world.place()
    world.callee.call.ring()
    world.run(0.1)
    call.cancel()
    world.run(0.1)
    assert [e.kind for e in world.caller.ends] == [EndKind.CANCELLED]
    assert [e.kind for e in world.callee.events.ends] == [EndKind.CANCELLED]
    assert world.net.summaries() == ["INVITE", "180 INVITE", "CANCEL", "200 CANCEL", "487 INVITE", "ACK"]
    world.run(60)
    assert len(world.caller.ends) == 1


def test_cancel_waits_for_a_provisional_response_and_the_invite_is_quiet_meanwhile() -> None:
    world = World()
    world.net.drop = lambda d: d.destination[0] == PHONE
    call = world.place()
    call.cancel()
    world.run(5)
    assert world.net.summaries() == ["INVITE"]
    world.run(40)
    assert [e.kind for e in world.caller.ends] == [EndKind.CANCELLED]


def test_an_answer_that_crosses_the_cancel_is_acknowledged_and_hung_up() -> None:
    world = World()
    call = world.place()
    world.callee.call.ring()
    world.run(0.1)
    world.callee.call.answer()
    call.cancel()
    world.run(0.2)
    assert [e.kind for e in world.caller.ends] == [EndKind.CANCELLED]
    assert [e.kind for e in world.callee.events.ends] == [EndKind.REMOTE_BYE]
    assert "BYE" in world.net.summaries(world.carrier)


def test_a_cancel_that_never_gets_its_487_ends_the_call_all_the_same() -> None:
    world = World()
    call = world.place()
    world.callee.call.ring()
    world.run(0.1)
    world.net.drop = lambda d: d.destination[0] == PHONE
    call.cancel()
    world.run(33)
    assert [e.kind for e in world.caller.ends] == [EndKind.CANCELLED]


def test_silence_is_a_timeout() -> None:
    world = World()
    world.net.drop = lambda d: True
    world.place()
    world.run(33)
    assert world.caller.ends == [CallEnd(EndKind.TIMEOUT, 408)]
    assert world.carrier.dialogs == 0


def test_a_2xx_is_repeated_until_it_is_acknowledged() -> None:
    world = World()
    lost = iter([True, True, False])
    world.net.drop = lambda d: d.summary == "ACK" and next(lost, False)
    world.talk()
    world.run(5)
    assert world.net.summaries(world.phone).count("200 INVITE") == 3
    assert len(world.caller.answered) == 1
    assert len(world.callee.events.answered) == 1
    assert world.caller.ends == []


def test_a_2xx_that_is_never_acknowledged_ends_the_call() -> None:
    world = World()
    world.net.drop = lambda d: d.summary == "ACK"
    world.talk()
    world.run(33)
    assert [(e.kind, e.code) for e in world.callee.events.ends] == [(EndKind.FAILED, 408)]
    assert [e.kind for e in world.caller.ends] == [EndKind.REMOTE_BYE]
    assert world.caller.ends[0].reason == 'SIP;cause=408;text="call lost"'


def test_an_in_dialog_options_tells_a_living_call_from_a_forgotten_one() -> None:
    world = World()
    call = world.talk()
    results: list[int] = []
    call.probe(results.append)
    world.run(0.1)
    world.phone.remove_dialog(call.call_id, world.callee.call.local_tag)
    call.probe(results.append)
    world.run(0.1)
    assert results == [200, 481]


def test_a_probe_says_408_when_nobody_answers_and_nothing_after_the_end() -> None:
    world = World()
    call = world.talk()
    results: list[int] = []
    world.net.drop = lambda d: d.summary == "OPTIONS"
    call.probe(results.append)
    world.run(33)
    assert results == [408]
    call.probe(results.append)
    call.hangup()
    world.run(60)
    assert results == [408]


def test_a_bye_into_a_forgotten_dialog_is_a_failure() -> None:
    world = World()
    call = world.talk()
    world.phone.remove_dialog(call.call_id, world.callee.call.local_tag)
    call.hangup()
    world.run(0.1)
    assert world.caller.ends == [CallEnd(EndKind.FAILED, 481)]


def test_a_goodbye_that_was_long_under_way_is_accepted_by_whoever_has_given_the_call_up_meanwhile() -> None:
    world = World()
    call = world.talk()
    world.net.drop = lambda _: True
    results: list[int] = []
    call.probe(results.append)
    call.hangup()
    world.run(10)
    world.callee.call.give_up(408)
    world.run(10)
    # From the one that gave up nothing arrives any more: its own goodbye would end the call in good order as well.
    world.net.drop = lambda d: d.summary == "BYE" and d.source[0] == PHONE
    world.run(4)
    assert world.caller.ends == [CallEnd(EndKind.LOCAL_BYE, 200)]
    assert world.callee.events.ends == [CallEnd(EndKind.FAILED, 408)]
    assert "481 OPTIONS" in world.net.summaries(), "that it was given up is not kept a secret"
    world.run(60)
    assert (world.carrier.dialogs, world.phone.dialogs, world.net.scheduler.pending) == (0, 0, 0)


def test_a_bye_that_nobody_answers_is_a_failure() -> None:
    world = World()
    call = world.talk()
    world.net.drop = lambda d: True
    call.hangup()
    world.run(33)
    assert world.caller.ends == [CallEnd(EndKind.FAILED, 408)]


def test_asking_again_repeats_the_latest_provisional_answer() -> None:
    world = World()
    call = world.place()
    with pytest.raises(StateError):
        call.ask_again()
    world.callee.call.ring()
    world.run(0.1)
    call.ask_again()
    world.run(0.1)
    assert world.caller.progress == [180, 180]
    assert len(world.callee.calls) == 1


@pytest.mark.parametrize("action", ["hangup", "probe", "cancel", "answer", "ring", "reject"])
def test_what_does_not_fit_the_state_is_a_bug_of_ours(action: str) -> None:
    world = World()
    if action in ("hangup", "probe"):
        call = world.place()
        with pytest.raises(StateError):
            call.hangup() if action == "hangup" else call.probe(lambda _: None)
        return
    call = world.talk()
    incoming = world.callee.call
    actions = {"cancel": call.cancel, "answer": incoming.answer, "ring": incoming.ring}
    with pytest.raises(StateError):
        actions.get(action, lambda: incoming.reject(486))()


def in_dialog(world: World, call: OutgoingCall, method: str) -> Request:
    assert call.dialog is not None
    return call.dialog.request(method)


@dataclass
class Answers:
    """A client transaction's user that writes down statuses."""

    statuses: list[int] = field(default_factory=list)

    def on_response(self, response: Response) -> None:
        self.statuses.append(response.status)

    def on_timeout(self) -> None:
        self.statuses.append(408)


@pytest.mark.parametrize(("method", "status"), [("UPDATE", 200), ("MESSAGE", 405)])
def test_other_requests_of_the_dialog_are_answered(method: str, status: int) -> None:
    world = World()
    call = world.talk()
    answers = Answers()
    world.carrier.request(in_dialog(world, call, method), (PHONE, 5060), answers)
    world.run(0.1)
    assert answers.statuses == [status]
    assert world.caller.ends == []


def test_a_reinvite_is_accepted_and_its_2xx_repeated() -> None:
    world = World()
    call = world.talk()
    answers = Answers()
    world.carrier.invite(in_dialog(world, call, "INVITE"), (PHONE, 5060), answers)
    world.run(0.6)
    assert answers.statuses == [200, 200]
    assert call.dialog is not None
    world.carrier.send_ack(call.dialog.request("ACK", cseq=2), (PHONE, 5060))
    world.run(5)
    assert answers.statuses == [200, 200]
    assert len(world.callee.events.answered) == 1


def test_an_older_request_of_the_dialog_is_refused() -> None:
    world = World()
    call = world.talk()
    stale = in_dialog(world, call, "OPTIONS")
    stale.headers.set("cseq", "0 OPTIONS")
    answers = Answers()
    world.carrier.request(stale, (PHONE, 5060), answers)
    world.run(0.1)
    assert answers.statuses == [500]


def test_a_request_with_a_strangers_tag_is_refused() -> None:
    world = World()
    call = world.talk()
    request = in_dialog(world, call, "BYE")
    request.headers.set("from", "<sip:mallory@h>;tag=other")
    answers = Answers()
    world.carrier.request(request, (PHONE, 5060), answers)
    world.run(0.1)
    assert answers.statuses == [481]
    assert world.callee.events.ends == []


def test_a_bye_before_the_answer_ends_call_and_invite() -> None:
    world = World()
    call = world.place()
    incoming = world.callee.call
    incoming.ring()
    world.run(0.1)
    assert incoming.dialog is not None
    bye = Request(method="BYE", uri="sip:510001@h")
    bye.headers.set("from", incoming.dialog.remote)
    bye.headers.set("to", incoming.dialog.local)
    bye.headers.set("call-id", call.call_id)
    bye.headers.set("cseq", "2 BYE")
    world.carrier.request(bye, (PHONE, 5060), Answers())
    world.run(0.1)
    assert [e.kind for e in world.callee.events.ends] == [EndKind.REMOTE_BYE]
    assert [(e.kind, e.code) for e in world.caller.ends] == [(EndKind.REFUSED, 487)]


def test_in_dialog_requests_follow_the_route_set_in_both_directions() -> None:
    world = World()

    def proxy(data: bytes, source: Address) -> None:
        """Record-routes what passes, as two hops would, and leaves Via alone: answers go back directly."""
        message = parse(data)
        if isinstance(message, Request) and message.method == "INVITE":
            message.headers.add("record-route", f"<sip:{PROXY[0]};lr;hop=2>, <sip:{PROXY[0]};lr;hop=1>")
            data = message.serialize()
        assert isinstance(message, Request)
        target = CARRIER if message.uri.startswith("sip:0215550100@") else PHONE
        world.net.carry(Datagram(world.net.scheduler.now, source, (target, 5060), data))

    world.net.attach(PROXY, proxy)
    call = world.place(destination=PROXY)
    world.callee.call.answer()
    world.run(0.1)
    assert call.dialog is not None
    assert call.dialog.route_set == (f"<sip:{PROXY[0]};lr;hop=1>", f"<sip:{PROXY[0]};lr;hop=2>")
    incoming = world.callee.call
    assert incoming.dialog is not None
    assert incoming.dialog.route_set == (f"<sip:{PROXY[0]};lr;hop=2>", f"<sip:{PROXY[0]};lr;hop=1>")
    results: list[int] = []
    call.probe(results.append)
    world.run(0.1)
    incoming.hangup()
    world.run(0.1)
    assert results == [200]
    assert [e.kind for e in world.caller.ends] == [EndKind.REMOTE_BYE]
    direct = [d for d in world.net.sent if d.summary in ("BYE", "OPTIONS", "ACK") and d.destination == PROXY]
    assert sorted(d.summary for d in direct) == ["ACK", "BYE", "OPTIONS"]


def test_a_strict_router_gets_itself_in_the_request_uri() -> None:
    world = World()
    call = world.talk()
    assert call.dialog is not None
    call.dialog.route_set = ("<sip:10.0.0.7:5080>", "<sip:10.0.0.8;lr>")
    request = call.dialog.request("BYE")
    assert request.uri == "sip:10.0.0.7:5080"
    assert request.headers.items_of("route") == ["<sip:10.0.0.8;lr>", f"<sip:510001@{PHONE}:5060>"]
    assert call.dialog.next_hop() == ("10.0.0.7", 5080)


def test_a_second_answer_of_a_forked_call_is_hung_up() -> None:
    world = World()
    call = world.talk()
    other = Events()
    second = world.net.stack("10.0.0.4")
    invite = next(d for d in world.net.sent if d.summary == "INVITE")
    callee = Callee(second, "510001", other)
    second.receive(invite.data, (CARRIER, 5060))
    callee.call.answer()
    world.run(0.2)
    assert [e.kind for e in other.ends] == [EndKind.REMOTE_BYE]
    assert call.state is CallState.TALKING


@pytest.mark.parametrize("loss", [0.1, 0.3])
def test_calls_survive_a_lossy_network(loss: float) -> None:
    rng = random.Random(3)
    world = World()
    world.net.drop = lambda d: rng.random() < loss
    for _ in range(20):
        call = world.place()
        for _ in range(100):
            if world.callee.calls and world.callee.call.state is CallState.CALLING:
                world.callee.call.answer()
            world.run(0.3)
        assert call.state is CallState.TALKING
        call.hangup()
        world.run(33)
    assert [e.kind for e in world.caller.ends] == [EndKind.LOCAL_BYE] * 20
    assert [e.kind for e in world.callee.events.ends] == [EndKind.REMOTE_BYE] * 20
    world.run(60)
    assert world.net.scheduler.pending == 0
