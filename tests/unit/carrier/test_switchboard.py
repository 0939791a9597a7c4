"""The carrier against softswitches and phones on a network and clock of our own."""

from dataclasses import dataclass, field

import pytest

from callcenter.carrier.call_log import CallRecord
from callcenter.carrier.errors import StaleRevisionError
from callcenter.carrier.fate import FINAL, Fate
from callcenter.carrier.load import Caller, Load
from callcenter.carrier.routes import NumberPlan, Route
from callcenter.carrier.switchboard import Switchboard
from callcenter.sip.call import Call, CallEnd, CallState, IncomingCall
from callcenter.sip.message import Request, Response
from callcenter.sip.server_transaction import InviteServerTransaction, make_response
from tests.unit.sip.fakes import Datagram, FakeNetwork

NUMBER = "4008001"


@dataclass
class City:
    """A softswitch that queues a call for `queue` seconds, then answers it like a phone would."""

    net: FakeNetwork
    name: str
    host: str
    queue: float = 0.0
    refuse: int | None = None
    silent: bool = False
    calls: list[IncomingCall] = field(default_factory=list)
    ends: list[CallEnd] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stack = self.net.stack(self.host, 30560)
        self.stack.add_user(NUMBER, self)

    def on_invite(self, transaction: InviteServerTransaction) -> None:
        call = IncomingCall(self.stack, self, transaction, f"agent-{self.name}")
        self.calls.append(call)
        if self.refuse is not None:
            call.reject(self.refuse)
            return
        if self.queue:
            transaction.respond(make_response(call.invite, 182, to_tag=call.local_tag))
        self.net.scheduler.call_later(self.queue, lambda: self._answer(call))

    def _answer(self, call: IncomingCall) -> None:
        if call.state in (CallState.CALLING, CallState.EARLY):
            call.answer(b"v=0\r\n")

    def on_progress(self, call: Call, response: Response) -> None:
        raise AssertionError("a called side sees no provisional responses")

    def on_answered(self, call: Call, message: Response | Request) -> None:
        pass

    def on_ended(self, call: Call, end: CallEnd) -> None:
        self.ends.append(end)


@dataclass
class World:
    net: FakeNetwork = field(default_factory=FakeNetwork)

    def __post_init__(self) -> None:
        self.east = City(self.net, "east", "10.0.0.11")
        self.west = City(self.net, "west", "10.0.0.12")
        self.board = Switchboard(self.net.stack("10.0.0.31"), wall=lambda: 1000.0 + self.net.scheduler.now)
        self.plan()
        self.net.drop = self.lost

    def plan(self, revision: int = 1, channels: int | None = None, rate: float | None = None) -> None:
        routes = (Route("east", ("10.0.0.11", 30560), 1), Route("west", ("10.0.0.12", 30560), 0))
        self.board.set_plan(NumberPlan(NUMBER, revision, routes, channels, rate))

    def lost(self, datagram: Datagram) -> bool:
        return any(
            city.silent and city.host in (datagram.destination[0], datagram.source[0])
            for city in (self.east, self.west)
        )

    def place(self, talk: float = 6.0, patience: float = 60.0, number: str = NUMBER) -> CallRecord:
        return self.board.place(Caller(number, "01055550100", talk, patience))

    def run(self, seconds: float) -> None:
        self.net.scheduler.run_for(seconds)


def test_a_call_is_queued_answered_verified_and_hung_up_after_its_talk() -> None:
    world = World()
    world.east.queue = 3.0
    record = world.place(talk=6.0)
    world.run(1.0)
    assert record.fate is Fate.QUEUED
    assert record.queued_at == pytest.approx(1000.0, abs=0.1)
    world.run(4.0)
    assert (record.fate, record.agent) == (Fate.ACTIVE, "agent-east")
    assert record.answered_at == pytest.approx(1003.0, abs=0.1)
    world.run(5.0)
    assert (record.fate, record.by, record.code) == (Fate.ANSWERED, "carrier", 200)
    assert record.ended_at == pytest.approx(1009.0, abs=0.2)
    in_dialog = [d for d in world.net.sent if d.summary == "OPTIONS" and record.number.encode() in d.data]
    assert len(in_dialog) == 1
    assert in_dialog[0].at == pytest.approx(6.0, abs=0.1)
    assert world.board.calls_under_way == 0


def test_each_attempt_is_a_new_call_to_sip_with_the_callers_own_id_and_age() -> None:
    world = World()
    world.east.silent = True
    record = world.place()
    world.run(2.2)
    assert record.routes_tried == ["east", "west"]
    assert record.fate is Fate.ACTIVE
    assert record.agent == "agent-west"
    second = world.west.calls[0].invite
    first = next(d for d in world.net.sent if d.summary == "INVITE")
    assert second.headers.get("x-tandem-call") == record.id
    assert record.id.encode() in first.data
    assert second.call_id.encode() not in first.data
    assert second.headers.get("x-tandem-age") == "2"
    assert float(second.headers.require("x-tandem-talk")) == pytest.approx(6.0)


def test_a_late_answer_of_a_route_that_was_left_is_hung_up() -> None:
    world = World()
    world.net.drop = lambda d: d.source[0] == world.east.host
    record = world.place(talk=20)
    world.run(2.5)
    assert len(world.east.calls) == 1
    world.net.drop = world.lost
    world.run(5)
    assert [end.kind.name for end in world.east.ends] == ["REMOTE_BYE"]
    assert (record.fate, record.agent) == (Fate.ACTIVE, "agent-west")


@pytest.mark.parametrize("code", [503, 408, 500])
def test_a_failure_of_the_way_takes_the_next_route_at_once(code: int) -> None:
    world = World()
    world.east.refuse = code
    record = world.place()
    world.run(0.2)
    assert (record.routes_tried, record.agent) == (["east", "west"], "agent-west")


def test_a_busy_number_is_refused_without_another_route() -> None:
    world = World()
    world.east.refuse = 486
    record = world.place()
    world.run(0.2)
    assert (record.fate, record.by, record.code) == (Fate.REFUSED, "softswitch-east", 486)
    assert record.routes_tried == ["east"]


def test_a_call_is_refused_when_all_routes_fail() -> None:
    world = World()
    world.east.refuse = world.west.refuse = 503
    record = world.place()
    world.run(0.2)
    assert (record.fate, record.by, record.code) == (Fate.REFUSED, "softswitch-west", 503)


def test_a_waiting_call_leaves_a_target_that_answers_no_options() -> None:
    world = World()
    world.east.queue = 100.0
    record = world.place()
    world.run(5.5)
    assert record.fate is Fate.QUEUED
    world.east.silent = True
    world.run(2.9)
    assert record.routes_tried == ["east"]
    world.run(1.3)
    assert record.routes_tried == ["east", "west"]
    assert record.agent == "agent-west"
    later = world.place()
    world.run(0.2)
    assert later.routes_tried == ["west"]
    world.east.silent = False
    world.run(2)
    assert world.place().routes_tried == ["east"]


def test_a_waiting_call_finds_its_place_again_in_a_softswitch_that_was_restarted_at_once() -> None:
    world = World()
    world.east.queue = 100.0
    record = world.place(patience=200)
    world.run(6)
    assert len(world.east.calls) == 1
    world.east = City(world.net, "east", "10.0.0.11", queue=3.0)
    world.run(8.2)
    assert len(world.east.calls) == 1
    assert record.routes_tried == ["east"]
    assert (record.fate, record.agent) == ("active", "agent-east")


def test_a_waiting_call_that_is_known_is_asked_for_now_and_then_and_stays() -> None:
    world = World()
    world.east.queue = 21.0
    record = world.place()
    world.run(20.9)
    invites = [d for d in world.net.sent if d.summary == "INVITE"]
    assert [round(d.at) for d in invites] == [0, 5, 10, 15, 20]
    assert (len(world.east.calls), record.fate) == (1, Fate.QUEUED)
    world.run(40)
    assert record.routes_tried == ["east"]
    assert record.fate == "answered"
    assert len([d for d in world.net.sent if d.summary == "INVITE"]) == 5


def test_a_talking_call_stays_when_its_target_is_lost_for_a_while() -> None:
    world = World()
    record = world.place(talk=20)
    world.run(1)
    world.east.silent = True
    world.run(5)
    assert record.fate is Fate.ACTIVE
    world.east.silent = False
    world.run(20)
    assert (record.fate, record.routes_tried) == (Fate.ANSWERED, ["east"])


def test_a_caller_who_has_waited_long_enough_gives_up() -> None:
    world = World()
    world.east.queue = 100.0
    record = world.place(patience=5.0)
    world.run(5.2)
    assert (record.fate, record.by, record.code) == (Fate.ABANDONED, "carrier", 487)
    assert [end.kind.name for end in world.east.ends] == ["CANCELLED"]


def test_patience_counts_from_the_first_route() -> None:
    world = World()
    world.east.silent = True
    world.west.queue = 100.0
    record = world.place(patience=5.0)
    world.run(4.9)
    assert record.fate == "queued"
    world.run(0.2)
    assert record.fate == "abandoned"


def test_the_agents_goodbye_is_the_agents() -> None:
    world = World()
    record = world.place(talk=20)
    world.run(1)
    world.east.calls[0].hangup()
    world.run(0.2)
    assert (record.fate, record.by) == (Fate.ANSWERED, "agent")


def test_a_call_that_the_other_end_has_forgotten_is_cut_at_half_its_talk() -> None:
    world = World()
    record = world.place(talk=10)
    world.run(1)
    call = world.east.calls[0]
    world.east.stack.remove_dialog(call.call_id, call.local_tag)
    world.run(4.5)
    assert (record.fate, record.by, record.code) == (Fate.CUT, "softswitch-east", 481)


def test_a_call_whose_city_is_gone_is_cut_when_nobody_answers_the_goodbye() -> None:
    world = World()
    record = world.place(talk=6)
    world.run(4)
    world.east.silent = True
    world.run(40)
    assert (record.fate, record.by, record.code) == (Fate.CUT, "softswitch-east", 408)


def test_limits_refuse_at_the_carrier() -> None:
    world = World()
    world.plan(revision=2, channels=3)
    records = [world.place() for _ in range(5)]
    assert [record.fate for record in records] == [Fate.ACTIVE] * 3 + [Fate.REFUSED] * 2
    assert (records[3].by, records[3].code) == ("carrier", 503)
    world.run(8)
    assert world.place().fate is Fate.ACTIVE
    assert world.board.stats()["numbers"] == {NUMBER: {"channels_in_use": 1}}


def test_a_number_without_routes_is_refused_at_the_carrier() -> None:
    world = World()
    record = world.place(number="999")
    assert (record.fate, record.by, record.code) == (Fate.REFUSED, "carrier", 404)


def test_an_older_plan_is_not_taken() -> None:
    world = World()
    world.plan(revision=5)
    with pytest.raises(StaleRevisionError, match="revision 4 is older than 5"):
        world.plan(revision=4)
    world.plan(revision=5)


def test_load_is_placed_at_its_rate_until_it_is_stopped() -> None:
    world = World()
    world.board.set_load(Load(30.0, talk=(1.0, 2.0), seed=3))
    world.run(20)
    world.board.set_load(Load(0.0))
    stats = world.board.stats()
    assert 530 < stats["placed"] < 670
    assert sum(second["placed"] for second in stats["seconds"]) >= stats["placed"] - 60
    world.run(5)
    assert world.board.stats()["placed"] == stats["placed"]
    assert world.board.stats()["fates"] == {"answered": stats["placed"]}
    assert {record.fate for record in world.board.log.after(0)} <= FINAL


def test_even_load_is_even() -> None:
    world = World()
    world.board.set_load(Load(10.0, arrivals="even"))
    world.run(10.01)
    assert world.board.stats()["placed"] == 100


def test_a_stall_does_not_come_back_as_a_burst() -> None:
    world = World()
    world.board.set_load(Load(10.0, arrivals="even"))
    world.run(1.01)
    world.net.scheduler.now += 60
    world.run(0.01)
    assert world.board.stats()["placed"] <= 22


def one_talks_and_one_waits(world: World, queue: float) -> tuple[CallRecord, CallRecord]:
    talking = world.place(talk=100)
    world.run(1)
    world.east.queue = queue
    waiting = world.place()
    world.run(1)
    return talking, waiting


def test_all_callers_may_hang_up_at_once_and_the_next_one_calls_as_ever() -> None:
    world = World()
    talking, waiting = one_talks_and_one_waits(world, queue=5)
    assert world.board.hang_up() == 2
    later = world.place(talk=3)
    world.run(1)
    assert (talking.fate, talking.by) == (Fate.ANSWERED, "carrier")
    assert (waiting.fate, waiting.by) == (Fate.ABANDONED, "carrier")
    world.run(20)
    assert later.fate is Fate.ANSWERED
    assert world.board.calls_under_way == 0


def test_a_carrier_that_closes_says_goodbye_everywhere() -> None:
    world = World()
    talking, waiting = one_talks_and_one_waits(world, queue=100)
    world.board.close()
    world.run(1)
    assert (talking.fate, talking.by) == (Fate.ANSWERED, "carrier")
    assert waiting.fate is Fate.ABANDONED
    assert [end.kind.name for end in world.east.ends] == ["REMOTE_BYE", "CANCELLED"] or [
        end.kind.name for end in world.east.ends
    ] == ["CANCELLED", "REMOTE_BYE"]
    world.run(100)
    assert world.net.scheduler.pending == 0
