"""Phones and a registrar over a network that we hold in our hands."""

import re
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from callcenter.sip.digest import Challenge, digest_response
from callcenter.sip.message import Address, Request, parse
from callcenter.sip.registration import Registration, RegistrationWindow
from callcenter.sip.server_transaction import make_response
from tests.unit.sip.fakes import Datagram, FakeNetwork

PHONE, REGISTRAR = "10.0.0.2", ("10.0.0.11", 30560)


@dataclass
class Registrar:
    """Digest by its own arithmetic, one nonce per `nonce_life` seconds."""

    net: FakeNetwork
    password: str = "secret"
    nonce_life: float = 1000.0
    granted: int | None = None
    refuse_with: tuple[int, str] | None = None
    contacts: dict[str, str] = field(default_factory=dict)
    seen: list[tuple[float, Request]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.net.attach(REGISTRAR, self.receive)

    def receive(self, data: bytes, source: Address) -> None:
        request = parse(data)
        assert isinstance(request, Request)
        self.seen.append((self.net.scheduler.now, request))
        response = make_response(request, 200, to_tag="r")
        user = request.headers.require("to").partition(":")[2].partition("@")[0]
        if self.refuse_with is not None:
            response.status = self.refuse_with[0]
            response.headers.set("retry-after", self.refuse_with[1])
        elif not self._authorized(request, user):
            response.status = 401
            response.headers.set("www-authenticate", f'Digest realm="callcenter", nonce="{self._nonce}", qop="auth"')
        else:
            expires = int(request.headers.require("expires"))
            if expires:
                self.contacts[user] = request.headers.require("contact")
                kept = self.granted or expires
                response.headers.set("contact", f"<sip:{user}@1.2.3.4>;expires=7, {self.contacts[user]};expires={kept}")
            else:
                self.contacts.pop(user, None)
        self.net.carry(Datagram(self.net.scheduler.now, REGISTRAR, source, response.serialize()))

    @property
    def _nonce(self) -> str:
        return f"n{int(self.net.scheduler.now / self.nonce_life)}"

    def _authorized(self, request: Request, user: str) -> bool:
        fields = dict(re.findall(r'(\w+)="?([^",]+)"?', request.headers.get("authorization") or ""))
        if fields.get("nonce") != self._nonce:
            return False
        expected = digest_response(
            Challenge("callcenter", fields["nonce"], qop_auth=True),
            username=user,
            password=self.password,
            method="REGISTER",
            uri=request.uri,
            cnonce=fields["cnonce"],
            nonce_count=int(fields["nc"], 16),
        )
        return bool(fields["response"] == expected)

    def statuses(self) -> list[str]:
        return [d.summary for d in self.net.sent if d.source == REGISTRAR]


@dataclass
class Log:
    """What registrations told."""

    registered: list[tuple[str, bool]] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)

    def on_registered(self, registration: Registration, *, fresh: bool) -> None:
        self.registered.append((registration.user, fresh))

    def on_registration_failed(self, registration: Registration, code: int) -> None:
        self.failed.append(code)


@dataclass
class World:
    net: FakeNetwork = field(default_factory=FakeNetwork)
    log: Log = field(default_factory=Log)
    window: RegistrationWindow = field(default_factory=lambda: RegistrationWindow(100))

    def __post_init__(self) -> None:
        self.registrar = Registrar(self.net)
        self.stack = self.net.stack(PHONE, 40000)

    def registration(self, user: str = "510001", password: str = "secret") -> Registration:
        return Registration(
            self.stack,
            user=user,
            password=password,
            registrar=REGISTRAR,
            realm="callcenter",
            window=self.window,
            listener=self.log,
        )

    def run(self, seconds: float) -> None:
        self.net.scheduler.run_for(seconds)


def test_a_phone_registers_with_digest_and_refreshes_without_a_second_round() -> None:
    world = World()
    world.registration().register()
    world.run(0.1)
    assert world.registrar.contacts == {"510001": f"<sip:510001@{PHONE}:40000>"}
    assert world.registrar.statuses() == ["401 REGISTER", "200 REGISTER"]
    world.run(900)
    assert world.registrar.statuses().count("401 REGISTER") == 1
    times = [at for at, _ in world.registrar.seen[1:]]
    gaps = [b - a for a, b in pairwise(times)]
    assert len(gaps) >= 5
    assert all(134 < gap < 181 for gap in gaps)
    assert world.log.registered[0] == ("510001", True)
    assert all(not fresh for _, fresh in world.log.registered[1:])


def test_one_call_id_and_growing_numbers_throughout() -> None:
    world = World()
    world.registration().register()
    world.run(400)
    assert len({request.call_id for _, request in world.registrar.seen}) == 1
    numbers = [request.cseq.number for _, request in world.registrar.seen]
    assert numbers == sorted(set(numbers))


def test_a_nonce_that_has_expired_costs_one_more_round() -> None:
    world = World()
    world.registrar.nonce_life = 10.0
    world.registration().register()
    world.run(190)
    assert world.registrar.statuses() == ["401 REGISTER", "200 REGISTER"] * 2
    assert world.log.failed == []


def test_a_wrong_password_is_tried_once_an_attempt_and_then_backed_off() -> None:
    world = World()
    world.registration(password="wrong").register()
    world.run(100)
    assert set(world.registrar.statuses()) == {"401 REGISTER"}
    assert world.registrar.contacts == {}
    assert 4 <= len(world.log.failed) <= 12
    assert set(world.log.failed) == {401}


def test_the_registrars_shorter_expiry_is_kept() -> None:
    world = World()
    world.registrar.granted = 20
    world.registration().register()
    world.run(60)
    assert 6 <= len(world.log.registered) <= 9


@pytest.mark.parametrize(
    ("refusal", "earliest", "latest"),
    [
        pytest.param((503, "5"), 5.0, 8.6, id="retry-after-is-a-floor"),
        pytest.param((503, ""), 0.5, 1.1, id="without-one-the-first-retry-comes-soon"),
        pytest.param((503, "soon"), 0.5, 1.1, id="nonsense-counts-as-none"),
    ],
)
def test_a_refused_phone_comes_again_later(refusal: tuple[int, str], earliest: float, latest: float) -> None:
    world = World()
    world.registrar.refuse_with = refusal
    world.registration().register()
    world.run(0.2)
    world.registrar.refuse_with = None
    world.run(20)
    first, second = [at for at, _ in world.registrar.seen][:2]
    assert earliest < second - first < latest
    assert world.log.registered == [("510001", True)]


def test_a_thousand_phones_are_registered_through_the_window_without_repetitions() -> None:
    world = World()
    most = 0

    def watch(datagram: Datagram) -> bool:
        nonlocal most
        most = max(most, world.window.in_flight)
        return False

    world.net.drop = watch
    for number in range(1000):
        world.registration(str(510000 + number)).register()
    assert world.window.waiting == 900
    world.run(2)
    assert len(world.registrar.contacts) == 1000
    assert most == 100
    assert len(world.net.sent) == 4000
    assert (world.window.in_flight, world.window.waiting) == (0, 0)


def test_a_silent_registrar_gives_its_places_to_others_and_is_tried_again() -> None:
    world = World()
    world.window = RegistrationWindow(1)
    world.net.drop = lambda d: d.destination == REGISTRAR and b"510001" in d.data
    world.registration("510001").register()
    world.registration("510002").register()
    world.run(8.5)
    assert world.log.failed == [408]
    assert world.log.registered == [("510002", True)]
    world.net.drop = lambda d: False
    world.run(10)
    assert ("510001", True) in world.log.registered


def test_register_again_replaces_what_is_in_flight() -> None:
    world = World()
    world.net.drop = lambda d: d.destination == REGISTRAR
    registration = world.registration()
    registration.register()
    world.run(1)
    world.net.drop = lambda d: False
    registration.register()
    world.run(0.1)
    assert world.log.registered == [("510001", True)]
    world.run(20)
    assert world.window.in_flight == 0
    assert len(world.registrar.seen) == 2


def test_register_again_is_told_as_fresh() -> None:
    world = World()
    registration = world.registration()
    registration.register()
    world.run(1)
    registration.register()
    registration.register()
    world.run(1)
    assert world.log.registered == [("510001", True), ("510001", True)]


@pytest.mark.parametrize("unregister", [True, False])
def test_a_stopped_phone_is_silent(unregister: bool) -> None:
    world = World()
    registration = world.registration()
    registration.register()
    world.run(1)
    registration.stop(unregister=unregister)
    world.run(200)
    assert ("510001" in world.registrar.contacts) is not unregister
    assert len(world.registrar.seen) == (3 if unregister else 2)
    assert world.window.in_flight == 0
    world.run(10)
    assert world.net.scheduler.pending == 0


def test_a_phone_stopped_while_it_waits_leaves_its_place() -> None:
    world = World()
    world.window = RegistrationWindow(1)
    first, second = world.registration("510001"), world.registration("510002")
    first.register()
    second.register()
    second.stop(unregister=True)
    world.run(1)
    assert list(world.registrar.contacts) == ["510001"]
    assert (world.window.in_flight, world.window.waiting) == (0, 0)
