"""An agent between a client session, wires that we hold in our hands, and a phone."""

import json
import random
from dataclasses import dataclass, field
from typing import Any

import pytest

from callcenter.agents.agent import Agent, Clocks, Tally
from callcenter.agents.phone import Manners, Phone, PhoneCounters, Socket
from callcenter.directory import Agent as Person
from callcenter.session.client import ClientSession
from callcenter.session.messages import (
    Ended,
    Offer,
    PhoneLine,
    Ping,
    Refused,
    Register,
    Release,
    ServerFrame,
    SignedIn,
    Welcome,
    encode,
)
from callcenter.sip.registration import RegistrationWindow
from tests.unit.sip.fakes import FakeNetwork

PERSON = Person(
    "agent0001",
    "callcenter/hotel-north-sales",
    "hotel",
    "V000001",
    "02:00:00:00:00:01",
    {"east": "510001", "west": "610001"},
    "secret",
)
REGISTRARS = {"east": "10.0.0.11:30560", "west": "10.0.0.12:30560"}


@dataclass
class FakeWire:
    """Remembers what was sent."""

    connects: list[float] = field(default_factory=list)
    sent: list[dict[str, Any]] = field(default_factory=list)
    packets: int = 0
    closed: bool = False

    def connect(self, after: float) -> None:
        self.connects.append(after)

    def send(self, *texts: str) -> None:
        self.packets += bool(texts)
        self.sent += map(json.loads, texts)

    def close(self) -> None:
        self.closed = True

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.sent if frame["t"] == kind]


@dataclass
class FakeDiary:
    lines: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)

    def note(self, account: str, group: str, event: str, site: str, **details: Any) -> None:
        assert (account, group) == (PERSON.account, PERSON.group)
        self.lines.append((event, site, {k: v for k, v in details.items() if v is not None}))


@dataclass
class World:
    net: FakeNetwork = field(default_factory=FakeNetwork)
    diary: FakeDiary = field(default_factory=FakeDiary)
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        clock = self.net.scheduler
        session = ClientSession(
            "agent0001", "i1", ["east", "west"], home="east", mac=PERSON.mac, jitter=lambda: 0.5, lease=1.5
        )
        clocks = Clocks(clock.time, lambda: 1e9 + clock.now, clock)
        self.agent = Agent(PERSON, session, clocks=clocks, diary=self.diary, tally=self.tally)
        self.stacks = {"east": self.net.stack("10.0.0.21", 40001), "west": self.net.stack("10.0.0.21", 40002)}
        self.agent.phone = Phone(
            {site: Socket(stack, RegistrationWindow()) for site, stack in self.stacks.items()},
            self.agent,
            manners=Manners(),
            rng=random.Random(1),
            counters=PhoneCounters(),
        )
        self.wires = {"east": FakeWire(), "west": FakeWire()}
        self.agent.wires = dict(self.wires)

    def signed_in_at(self) -> str | None:
        """Asked anew: mypy takes what a property said to stay so."""
        return self.agent.signed_in_at

    def frame(self, site: str, frame: ServerFrame) -> None:
        self.agent.on_text(site, encode(frame))

    def run(self, seconds: float) -> None:
        self.net.scheduler.run_for(seconds)

    def welcome(self, site: str) -> None:
        self.agent.on_open(site)
        line = PhoneLine(PERSON.extensions[site], REGISTRARS[site], "callcenter", "secret")
        self.frame(site, Welcome(site, "b1", 1.5, 0.5, "east", line))

    def sign_in(self, site: str, session: str = "s1") -> None:
        [*_, signin] = self.wires[site].all("signin")
        self.frame(site, Offer(signin["seq"], session, 1.5, 0.5))
        self.frame(site, Ping(session, 1))
        self.frame(site, SignedIn(session, 100001, "V000001", PERSON.extensions[site], "available"))

    def started(self) -> "World":
        self.agent.start()
        self.welcome("east")
        self.welcome("west")
        self.run(1.6)
        self.sign_in("east")
        return self


def test_an_agent_connects_everywhere_and_signs_in_at_home_when_its_time_has_come() -> None:
    world = World()
    world.agent.start()
    assert [wire.connects for wire in world.wires.values()] == [[0.0], [0.0]]
    world.welcome("east")
    world.welcome("west")
    assert world.wires["east"].all("hello")[0]["role"] == "primary"
    assert world.wires["west"].all("hello")[0]["role"] == "standby"
    assert world.wires["east"].all("signin") == []
    world.run(1.6)
    assert len(world.wires["east"].all("signin")) == 1
    world.sign_in("east")
    assert world.signed_in_at() == "east"
    assert world.diary.lines == [("signed-in", "east", {"cause": "fresh"})]


def test_the_phone_registers_at_both_softswitches_with_what_the_welcome_says() -> None:
    world = World().started()
    register = [d for d in world.net.sent if b"REGISTER" in d.data]
    assert {d.destination: d.source for d in register} == {
        ("10.0.0.11", 30560): ("10.0.0.21", 40001),
        ("10.0.0.12", 30560): ("10.0.0.21", 40002),
    }


def test_pings_are_answered_on_their_own_connection() -> None:
    world = World().started()
    world.wires["east"].sent.clear()
    world.frame("east", Ping("s1", 2))
    assert world.wires["east"].sent == [{"t": "pong", "session": "s1", "n": 2}]


def test_a_lost_connection_is_told_to_the_other_city_and_opened_again() -> None:
    world = World().started()
    world.wires["west"].sent.clear()
    world.agent.on_closed("east")
    assert [frame["t"] for frame in world.wires["west"].sent] == ["other"]
    assert world.wires["east"].connects[-1] > 0


def test_a_planned_move_is_written_down_with_its_gap() -> None:
    world = World().started()
    world.frame("east", Release(None, "s1", "west", "ticket", "available"))
    [signin] = world.wires["west"].all("signin")
    assert signin["ticket"] == "ticket"
    world.run(0.25)
    world.sign_in("west", "s2")
    assert world.diary.lines[1:] == [
        ("released", "east", {"to": "west"}),
        ("signed-in", "west", {"cause": "ticket", "gap": pytest.approx(0.25, abs=0.01)}),
    ]
    world.frame("west", Ping("s2", 2))
    assert world.wires["west"].all("moved")[0]["from"] == "east"


def test_a_lost_city_is_noticed_by_the_clock_alone() -> None:
    world = World().started()
    world.run(1.4)
    assert world.signed_in_at() == "east"
    packets = world.wires["west"].packets
    world.run(0.2)
    assert world.diary.lines[1:2] == [("lost", "east", {"cause": "Silent"})]
    assert world.signed_in_at() is None
    assert [frame["t"] for frame in world.wires["west"].sent[-2:]] == ["other", "signin"]
    assert world.wires["west"].packets == packets + 1, "both in one"


def test_a_city_that_says_no_is_counted() -> None:
    world = World()
    world.agent.start()
    world.welcome("east")
    world.run(1.6)
    [signin] = world.wires["east"].all("signin")
    world.frame("east", Refused(signin["seq"], "Full", "no room"))
    assert world.tally.events["not-admitted:Full"] == 1
    assert world.diary.lines == []


def test_register_frames_register_the_phone_again() -> None:
    world = World().started()
    before = len([d for d in world.net.sent if b"REGISTER" in d.data])
    world.frame("west", Register())
    sent = [d for d in world.net.sent if b"REGISTER" in d.data][before:]
    assert [d.destination for d in sent] == [("10.0.0.12", 30560)]


def test_calls_are_written_down_and_the_session_knows_of_them() -> None:
    world = World().started()
    world.agent.on_call("east", "c1")
    world.frame("east", Ended("s1", "Lapsed"))
    assert world.agent.talking
    world.run(3)
    [*_, signin] = world.wires["east"].all("signin")
    assert signin["state"] == "talking"
    world.agent.on_call_ended("east", "c1", "caller")
    assert world.diary.lines[1:4] == [
        ("call", "east", {"call": "c1"}),
        ("lost", "east", {"cause": "Lapsed"}),
        ("call-ended", "east", {"call": "c1", "cause": "caller"}),
    ]
    assert not world.agent.talking


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"t":"warp"}', '{"t":"ping","session":1,"n":1}'])
def test_bad_frames_are_counted_and_change_nothing(text: str) -> None:
    world = World().started()
    world.agent.on_text("east", text)
    assert world.tally.bad_frames == 1
    assert world.signed_in_at() == "east"


def test_an_unusable_registrar_is_counted_and_the_agent_works_on() -> None:
    world = World()
    world.agent.start()
    world.agent.on_open("east")
    line = PhoneLine("510001", "east:port", "callcenter", "secret")
    world.frame("east", Welcome("east", "b1", 1.5, 0.5, "east", line))
    world.run(1.6)
    world.sign_in("east")
    assert world.tally.bad_frames == 1
    assert world.signed_in_at() == "east"


def test_an_agent_goes_home() -> None:
    world = World().started()
    world.agent.go_home()
    assert world.wires["east"].all("signout") == [{"t": "signout", "session": "s1"}]
    assert world.diary.lines[-1] == ("out", "east", {"cause": "SignedOut"})
    world.agent.close(unregister=False)
    assert all(wire.closed for wire in world.wires.values())
    sent = len(world.wires["east"].sent) + len(world.wires["west"].sent)
    world.run(100)
    assert len(world.wires["east"].sent) + len(world.wires["west"].sent) == sent


def test_a_break_is_a_button_press_at_the_city_where_the_agent_works() -> None:
    world = World().started()
    world.agent.press("break")
    assert world.wires["east"].all("agent") == [{"t": "agent", "session": "s1", "state": "break", "then": None}]


def test_a_guest_is_written_down_as_one() -> None:
    world = World().started()
    world.agent.on_closed("east")
    world.run(2.0)
    [*_, signin] = world.wires["west"].all("signin")
    world.frame("west", Offer(signin["seq"], "w1", 1.5, 0.5))
    world.frame("west", Ping("w1", 1))
    world.frame("west", SignedIn("w1", 600001, "V000001", PERSON.extensions["west"], "available", guest=True))
    *_, (event, site, details), last = world.diary.lines
    assert (event, site, details["cause"]) == ("signed-in", "west", "failover")
    assert last == ("guest", "west", {})
