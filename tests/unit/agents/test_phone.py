"""A phone on a network and clock of our own, called by a carrier's user agent."""

import random
from dataclasses import dataclass, field
from functools import partial

import pytest

from callcenter.agents.phone import Manners, Phone, PhoneCounters, Socket
from callcenter.sip.call import CallEnd, CallState, EndKind, OutgoingCall, make_invite
from callcenter.sip.message import Request, parse
from callcenter.sip.registration import RegistrationWindow
from callcenter.sip.server_transaction import make_response
from tests.unit.sip.fakes import Datagram, Events, FakeNetwork

FLOOR, CARRIER = "10.0.0.21", "10.0.0.31"
REGISTRARS = {"east": ("10.0.0.11", 30560), "west": ("10.0.0.12", 30560)}
EXTENSIONS = {"east": "510001", "west": "610001"}


@dataclass
class Told:
    """What the phone told its agent."""

    registered: list[str] = field(default_factory=list)
    calls: list[tuple[str, ...]] = field(default_factory=list)

    def on_phone_registered(self, site: str) -> None:
        self.registered.append(site)

    def on_call(self, site: str, call: str) -> None:
        self.calls.append(("call", site, call))

    def on_call_ended(self, site: str, call: str, cause: str) -> None:
        self.calls.append(("ended", site, call, cause))


@dataclass
class World:
    hangs_up: float = 0.0
    net: FakeNetwork = field(default_factory=FakeNetwork)
    told: Told = field(default_factory=Told)
    caller: Events = field(default_factory=Events)
    counters: PhoneCounters = field(default_factory=PhoneCounters)
    registrations: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stacks = {"east": self.net.stack(FLOOR, 40001), "west": self.net.stack(FLOOR, 40002)}
        self.carrier = self.net.stack(CARRIER)
        self.phone = Phone(
            {site: Socket(stack, RegistrationWindow()) for site, stack in self.stacks.items()},
            self.told,
            manners=Manners(answer_after=(0.4, 0.4), hangs_up=self.hangs_up),
            rng=random.Random(1),
            counters=self.counters,
        )
        for site, address in REGISTRARS.items():
            self.net.attach(address, partial(self._registrar, address))
            self.register(site)
        self.run(0.1)

    def register(self, site: str, extension: str | None = None) -> None:
        self.phone.register(
            site,
            extension=extension or EXTENSIONS[site],
            registrar=REGISTRARS[site],
            realm="callcenter",
            password="secret",
        )

    def _registrar(self, address: tuple[str, int], data: bytes, source: tuple[str, int]) -> None:
        request = parse(data)
        assert isinstance(request, Request)
        self.registrations.append(f"{request.headers.require('contact')} {request.headers.require('expires')}")
        self.net.carry(Datagram(self.net.scheduler.now, address, source, make_response(request, 200).serialize()))

    def place(self, site: str = "east", talk: str | None = "6.0", call: str | None = "c1") -> OutgoingCall:
        stack = self.stacks[site]
        headers = {}
        if talk is not None:
            headers["x-tandem-talk"] = talk
        if call is not None:
            headers["x-tandem-call"] = call
        uri = f"sip:{EXTENSIONS[site]}@{FLOOR}:{stack.local[1]}"
        invite = make_invite(self.carrier, uri=uri, from_user="0101", headers=headers)
        return OutgoingCall(self.carrier, self.caller, invite, stack.local, "0101")

    def run(self, seconds: float) -> None:
        self.net.scheduler.run_for(seconds)


def test_the_phone_registers_in_both_cities_and_says_so_once() -> None:
    world = World()
    assert sorted(world.told.registered) == ["east", "west"]
    assert world.phone.registered_at("east")
    assert world.phone.registered_at("west")
    world.run(600)
    assert sorted(world.told.registered) == ["east", "west"]
    assert len(world.registrations) >= 8


def test_asked_to_register_again_it_does_so_at_once_and_says_so() -> None:
    world = World()
    world.run(1)
    world.register("east")
    world.run(0.1)
    assert world.told.registered.count("east") == 2


def test_another_extension_replaces_the_former_one() -> None:
    world = World()
    world.register("east", extension="519999")
    world.run(0.1)
    assert world.registrations[-2:] == [f"<sip:510001@{FLOOR}:40001> 0", f"<sip:519999@{FLOOR}:40001> 360"]
    call = world.place("east")
    world.run(0.1)
    assert [(end.kind, end.code) for end in world.caller.ends] == [(EndKind.REFUSED, 404)]
    assert call.state is CallState.ENDED


@pytest.mark.parametrize("site", ["east", "west"])
def test_a_call_rings_is_answered_and_ends_with_the_callers_goodbye(site: str) -> None:
    world = World()
    call = world.place(site)
    world.run(0.05)
    assert world.caller.progress == []
    world.run(0.1)
    assert world.caller.progress == [180]
    world.run(0.3)
    assert world.told.calls == []
    world.run(0.2)
    assert world.told.calls == [("call", site, "c1")]
    world.run(5)
    call.hangup()
    world.run(0.1)
    assert world.told.calls[1:] == [("ended", site, "c1", "caller")]
    assert world.counters.ended == {"caller": 1}


def test_a_second_call_finds_the_phone_busy_in_either_city() -> None:
    world = World()
    world.place("east")
    world.run(0.05)
    world.place("west", call="c2")
    world.run(0.05)
    assert [(end.kind, end.code) for end in world.caller.ends] == [(EndKind.REFUSED, 486)]
    assert world.counters.busy == 1
    world.run(1)
    assert world.told.calls == [("call", "east", "c1")]


def test_a_cancelled_call_frees_the_phone_and_is_no_call() -> None:
    world = World()
    call = world.place()
    world.run(0.2)
    call.cancel()
    world.run(1)
    assert world.told.calls == []
    world.place(call="c2")
    world.run(1)
    assert world.told.calls == [("call", "east", "c2")]


def test_some_agents_hang_up_first_and_are_free_at_once() -> None:
    world = World(hangs_up=1.0)
    call = world.place()
    world.run(6.5)
    assert world.told.calls == [("call", "east", "c1"), ("ended", "east", "c1", "agent")]
    assert [(end.kind, end.reason) for end in world.caller.ends] == [(EndKind.REMOTE_BYE, None)]
    assert call.state is CallState.ENDED
    assert world.phone.call is None


def test_the_share_of_agents_who_hang_up_is_kept() -> None:
    world = World(hangs_up=0.2)
    for number in range(200):
        call = world.place(call=str(number))
        world.run(6.9)
        if call.state is CallState.TALKING:
            call.hangup()
        world.run(0.2)
    assert 25 <= world.counters.ended["agent"] <= 55
    assert world.counters.ended["agent"] + world.counters.ended["caller"] == 200


def test_a_call_without_a_goodbye_in_time_was_cut() -> None:
    world = World()
    world.place(talk="6.0")
    world.run(16.3)
    assert len(world.told.calls) == 1
    world.run(0.5)
    assert world.told.calls[1:] == [("ended", "east", "c1", "cut")]
    [end] = world.caller.ends
    assert end.reason == 'SIP;cause=408;text="call lost"'
    assert world.phone.call is None


@pytest.mark.parametrize("talk", [None, "soon", "-1", "nan", "1e9"])
def test_without_a_usable_length_the_phone_talks_until_the_goodbye(talk: str | None) -> None:
    world = World(hangs_up=1.0)
    call = world.place(talk=talk)
    world.run(300)
    assert world.told.calls == [("call", "east", "c1")]
    call.hangup()
    world.run(0.1)
    assert world.told.calls[1:] == [("ended", "east", "c1", "caller")]


def test_a_goodbye_that_speaks_of_an_error_is_a_cut() -> None:
    world = World()
    call = world.place()
    world.run(1)
    call.give_up(481)
    world.run(0.1)
    assert world.told.calls[1:] == [("ended", "east", "c1", "cut")]


def test_a_call_without_an_id_of_the_carrier_goes_by_its_call_id() -> None:
    world = World()
    call = world.place(call=None)
    world.run(1)
    assert world.told.calls == [("call", "east", call.call_id)]


@pytest.mark.parametrize(("after", "end"), [(0.2, CallEnd(EndKind.REFUSED, 480)), (2.0, None)])
def test_a_phone_that_is_switched_off_ends_its_call(after: float, end: CallEnd | None) -> None:
    world = World()
    world.place()
    world.run(after)
    world.phone.close(unregister=True)
    world.run(0.2)
    if end is not None:
        assert world.caller.ends == [end]
    else:
        assert [e.kind for e in world.caller.ends] == [EndKind.REMOTE_BYE]
        assert world.told.calls[1:] == [("ended", "east", "c1", "agent")]
    assert [r[-2:] for r in world.registrations[-2:]] == [" 0", " 0"]
    world.run(120)
    assert world.net.scheduler.pending == 0
