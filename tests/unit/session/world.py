"""Two real session servers, or three, and real clients on a made-up network: delays, cuts, resets, pauses, crashes.

The network behaves like TCP, which is the hard case: nothing is lost within a connection, but it can arrive seconds
late, all at once, when the connection was long given up at the other end. The cities' own line is worse: there are two
of them between any two, so words are lost, repeated and overtake each other. Time only exists as an argument, and each
machine has a clock of its own.

A person's name is the account, and `account/2` for a second device of the same agent.
"""

import heapq
import json
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from callcenter.directory import bucket
from callcenter.session.client import ClientSession, Connect, HasSignedIn, Send
from callcenter.session.door import Place, parse_map
from callcenter.session.events import Badge, Close, Member, Out, Reply, Say
from callcenter.session.lease import Timing
from callcenter.session.loan_frames import read, write
from callcenter.session.messages import CarriedState, PhoneLine, decode_client, decode_server, encode
from callcenter.session.placements import Placement
from callcenter.session.server import SessionServer

SITES = ("east", "west")
THREE = (*SITES, "north")
DIRECTIONS = ("up", "down")
GROUP = "callcenter/x"
SECRET = b"a secret of the system"
TIMING = Timing(lease=1.5, ping=0.5)
TICK = 0.05
CAPACITY = 5
WALLS = {"east": 1_000_000.0, "west": 1_003_600.0, "north": 996_400.0}
"""What each city's wall clock says at the beginning: an hour apart, and nothing may depend on it."""
NEWS_EVERY = 0.5
"""Seconds between two words of one city to the other, whatever there is to say."""


class OverlapError(AssertionError):
    """Promise 5 is broken: two cities count a session of one agent at the same moment."""


def account_of(person: str) -> str:
    return person.partition("/")[0]


class Desk:
    """The least of a CTI that the session server needs."""

    def member(self, account: str) -> Member | None:
        return Member(account, GROUP, bucket(account))

    def line(self, mac: str) -> PhoneLine | None:
        return PhoneLine("510001", "198.18.0.11:30560", "callcenter", "secret")

    def sign_in(self, member: Member, mac: str, carried: CarriedState | None, now: float) -> Badge:
        return Badge(100_000, "V1", "510001", "available")

    def carried(self, account: str) -> CarriedState:
        return "available"


@dataclass
class Clock:
    """A node's CLOCK_BOOTTIME: another origin, and off by less than half of what the lease allows for."""

    origin: float
    rate: float

    def at(self, true: float) -> float:
        return self.origin + true * self.rate

    def true(self, local: float) -> float:
        return (local - self.origin) / self.rate


@dataclass
class Connection:
    """One TCP connection. Each end learns of its end by itself, or never."""

    id: int
    account: str
    site: str
    client_end: bool = True
    server_end: bool = True
    held: list[Callable[[], None]] = field(default_factory=list)
    """What waits for the link to be mended."""
    latest: dict[str, float] = field(default_factory=dict)
    """Per direction, when the newest message arrives: later ones never overtake."""


@dataclass
class City:
    clock: Clock
    server: SessionServer
    boots: int = 1
    down: bool = False
    paused_until: float = 0.0
    ticked_at: float = 0.0
    spoke_at: float = 0.0
    disk: frozenset[str] | None = frozenset()
    """Who may be lent, as the disk says; None: it says nothing."""
    writes: bool = False


@dataclass
class Person:
    clock: Clock
    client: ClientSession
    paused_until: float = 0.0
    lines: dict[str, Connection] = field(default_factory=dict)
    attempts: dict[str, int] = field(default_factory=dict)
    tick_order: int = 0
    sign_ins: list[str] = field(default_factory=list)


class World:
    """`run(seconds)` lets time pass; everything else happens in between. Checks promise 5 after every event."""

    def __init__(
        self,
        seed: int,
        accounts: tuple[str, ...] = ("agent0001", "agent0002"),
        sites: tuple[str, ...] = SITES,
        walls: Mapping[str, float] = WALLS,
    ) -> None:
        self.walls = walls
        self.sites = sites
        self.rng = random.Random(seed)
        self.true = 0.0
        self.order = 0
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.connections: dict[int, Connection] = {}
        self.cut: set[tuple[str, str, str]] = set()
        self.slow: dict[tuple[str, str, str], float] = {}
        """(account, site, direction) -> seconds that a message may take."""
        self.revision = 0
        self.stragglers = 0.03
        self.home = "east"
        self.line_cut: set[tuple[str, str]] = set()
        """Cities, and others whom their words do not reach."""
        self.line_slow = 0.02
        self.line_bad = 0.0
        """Share of the words between the cities that are lost, and share that come twice."""
        self.cities = {site: self._city(site) for site in sites}
        self.people: dict[str, Person] = {}
        for n, account in enumerate(accounts):
            clock = self._clock()
            client = ClientSession(account_of(account), f"i{n}", sites, "east", mac="m", jitter=self.rng.random)
            self.people[account] = Person(clock, client)
        for site in sites:
            self.place(site, {"east": "0-99"})
            self._tick_city(site)
        for account, person in self.people.items():
            self._act(account, person.client.start(person.clock.at(0.0), 1_000_000.0))

    # ---- what a test does

    def run(self, seconds: float) -> None:
        """Let time pass."""
        until = self.true + seconds
        while self.events and self.events[0][0] <= until:
            self.true, _, happens = heapq.heappop(self.events)
            happens()
            self.check()
        self.true = until

    def place(self, site: str, map_: dict[str, str], *, revision: int | None = None) -> None:
        """One city gets a map, newer than all before; the cities' maps need not agree."""
        if revision is None:
            self.revision += 1
        city = self.cities[site]
        if city.down:
            return
        placement = Placement(revision or self.revision, parse_map(map_))
        _, outs = city.server.place({GROUP: placement}, confirmed=True, now=city.clock.at(self.true))
        self._spread(site, outs)
        self.check()

    def others(self, site: str) -> list[str]:
        return [each for each in self.sites if each != site]

    def place_both(self, map_: dict[str, str]) -> None:
        self.revision += 1
        for site in self.sites:
            self.place(site, map_, revision=self.revision)

    def open_every_door(self) -> None:
        """Maps that contradict each other: only the lease keeps a client from being in two places."""
        for site in SITES:
            self.place(site, {site: "0-99"})

    def cut_link(self, account: str, site: str, directions: tuple[str, ...] = DIRECTIONS) -> None:
        """Nothing gets through, and nobody is told."""
        self.cut |= {(account, site, direction) for direction in directions}

    def slow_down(self, account: str, site: str, seconds: float) -> None:
        """From now on messages between these two take up to `seconds`."""
        for direction in DIRECTIONS:
            self.slow[account, site, direction] = seconds

    def mend_link(self, account: str, site: str) -> None:
        """What was held arrives now, however old."""
        self.cut -= {(account, site, direction) for direction in DIRECTIONS}
        for connection in self.connections.values():
            if (connection.account, connection.site) == (account, site):
                held, connection.held = connection.held, []
                for happens in held:
                    self._at(self.true + 0.001, happens)

    def reset(self, account: str, site: str, *, client_told: bool, server_told: bool) -> None:
        """The connection ends, for those who are told."""
        connection = self.people[account].lines.get(site)
        if connection is not None:
            if client_told:
                self._at(self.true + self._delay(), lambda: self._client_end_gone(connection))
            if server_told:
                self._at(self.true + self._delay(), lambda: self._server_end_gone(connection))

    def sign_in_again(self, person: str) -> None:
        """The agent sits down at this device, whichever was used before."""
        self._person_event(person, lambda client, now: client.sign_in(now))

    def cut_line(self, *sites: str) -> None:
        """What these cities say does not reach any other one."""
        self.line_cut |= {(site, to) for site in sites for to in self.others(site)}

    def mend_line(self) -> None:
        self.line_cut.clear()

    def pause_person(self, account: str, seconds: float) -> None:
        self.people[account].paused_until = self.true + seconds

    def pause_city(self, site: str, seconds: float) -> None:
        self.cities[site].paused_until = self.true + seconds

    def crash(self, site: str) -> None:
        """The process is gone; clients are told, or not."""
        city = self.cities[site]
        if city.down:
            return
        city.down = True
        for connection in list(self.connections.values()):
            if connection.site == site and connection.server_end:
                connection.server_end = False
                if self.rng.random() < 0.5:
                    self._at(self.true + self._delay(), lambda c=connection: self._client_end_gone(c))  # type: ignore[misc]

    def restart(self, site: str) -> None:
        """A new process with the old one's disk; its engine has not spoken yet."""
        old = self.cities[site]
        if old.down:
            disk = old.disk if self.rng.random() < 0.7 else None
            fresh = self._city(site, boots=old.boots + 1, clock=old.clock, disk=disk)
            for group, placement in old.server.book.all().items():
                fresh.server.adopt(group, placement)
            self.cities[site] = fresh

    def heal(self) -> None:
        """All faults end; every engine says the same."""
        self.slow.clear()
        self.stragglers = self.line_bad = 0.0
        self.mend_line()
        for person in self.people.values():
            person.paused_until = min(person.paused_until, self.true)
        for account, site, _ in list(self.cut):
            self.mend_link(account, site)
        for site in self.sites:
            self.cities[site].paused_until = min(self.cities[site].paused_until, self.true)
            self.restart(site)

    # ---- promises

    def valid_at(self, person: str) -> list[str]:
        """Cities that count a session of this agent now, each by its own clock."""
        account = account_of(person)
        return [
            site
            for site, city in self.cities.items()
            if not city.down and city.server.valid(account, city.clock.at(self.true))
        ]

    def guests(self, site: str) -> int:
        """Guests of a city."""
        return self.cities[site].server.guests.count(GROUP)

    def check(self) -> None:
        for account in self.people:
            if len(at := self.valid_at(account)) > 1:
                raise OverlapError(f"{account} has sessions in {at} at {self.true:.3f} s")

    def settled(self) -> bool:
        """Whether every client is signed in where it thinks it is."""
        return all(self.valid_at(a) == [p.client.signed_in_at] for a, p in self.people.items())

    # ---- machinery

    def _clock(self) -> Clock:
        return Clock(self.rng.uniform(0, 1e6), self.rng.choice([0.9955, 1.0, 1.0045]))

    def _city(
        self, site: str, boots: int = 1, clock: Clock | None = None, disk: frozenset[str] | None = frozenset()
    ) -> City:
        clock = clock or self._clock()
        server = SessionServer(
            site=site,
            boot=f"{site}{boots}",
            secret=SECRET,
            desk=Desk(),
            timing=TIMING,
            now=clock.at(self.true),
            wall=self.walls[site] + self.true,
            peers=self.others(site),
            lent=disk,
            keeps=True,
        )
        server.set_guest_capacity(CAPACITY, clock.at(self.true))
        return City(clock, server, boots, ticked_at=self.true, disk=disk)

    def _delay(self, slow: float = 0.02) -> float:
        if self.rng.random() < self.stragglers:
            return self.rng.uniform(0.1, 2.0)
        return self.rng.uniform(0.001, slow)

    def _at(self, true: float, happens: Callable[[], None]) -> None:
        self.order += 1
        heapq.heappush(self.events, (true, self.order, happens))

    def _transmit(self, connection: Connection, direction: str, arrives: Callable[[], None]) -> None:
        path = (connection.account, connection.site, direction)
        when = max(self.true + self._delay(self.slow.get(path, 0.02)), connection.latest.get(direction, 0.0))
        connection.latest[direction] = when

        def arrive() -> None:
            if path in self.cut:
                connection.held.append(arrive)
            else:
                arrives()

        self._at(when, arrive)

    # clients

    def _person_event(self, account: str, event: Callable[[ClientSession, float], list[Any]]) -> None:
        person = self.people[account]
        if self.true < person.paused_until:
            self._at(person.paused_until, lambda: self._person_event(account, event))
            return
        self._act(account, event(person.client, person.clock.at(self.true)))

    def _act(self, account: str, actions: list[Any]) -> None:
        person = self.people[account]
        for action in actions:
            match action:
                case Send():
                    line = person.lines.get(action.site)
                    if line is not None and line.client_end:
                        text = encode(action.frame)
                        self._transmit(line, "up", lambda c=line, t=text: self._city_frame(c, t))  # type: ignore[misc]
                case Connect():
                    self._connect(account, action.site, action.after)
                case HasSignedIn():
                    person.sign_ins.append(f"{action.site} {action.cause}")
        person.tick_order += 1
        order = person.tick_order
        if person.client.wake_at < float("inf"):
            when = max(self.true, person.clock.true(person.client.wake_at)) + self.rng.uniform(0, 0.03)
            self._at(when, lambda: self._tick_person(account, order))

    def _tick_person(self, account: str, order: int) -> None:
        if order == self.people[account].tick_order:
            self._person_event(account, lambda client, now: client.tick(now))

    def _connect(self, account: str, site: str, after: float) -> None:
        person = self.people[account]
        attempt = person.attempts[site] = person.attempts.get(site, 0) + 1
        old = person.lines.pop(site, None)
        if old is not None:
            old.client_end = False
            self._transmit(old, "up", lambda: self._server_end_gone(old))
        self._at(self.true + after + self._delay(), lambda: self._arrive(account, site, attempt))

    def _arrive(self, account: str, site: str, attempt: int) -> None:
        person = self.people[account]
        if person.attempts[site] != attempt:
            return
        if self._unreachable(account, site) or self.cities[site].down or self.true < self.cities[site].paused_until:

            def gives_up() -> None:
                if attempt == person.attempts[site]:
                    self._person_event(account, lambda client, now: client.disconnected(site, now))

            self._at(self.true + 2.0, gives_up)
            return
        self.order += 1
        connection = Connection(self.order, account, site)
        self.connections[connection.id] = person.lines[site] = connection
        self._person_event(account, lambda client, now: client.connected(site, now))

    def _unreachable(self, account: str, site: str) -> bool:
        return any((account, site, direction) in self.cut for direction in DIRECTIONS)

    def _client_frame(self, connection: Connection, text: str) -> None:
        def event(client: ClientSession, now: float) -> list[Any]:
            if self.people[connection.account].lines.get(connection.site) is not connection:
                return []
            return client.frame(connection.site, decode_server(text), now)

        self._person_event(connection.account, event)

    def _client_end_gone(self, connection: Connection) -> None:
        person = self.people[connection.account]
        if person.lines.get(connection.site) is connection:
            del person.lines[connection.site]
            connection.client_end = False
            self._person_event(connection.account, lambda client, now: client.disconnected(connection.site, now))

    # cities

    def _city_event(self, site: str, server: SessionServer, event: Callable[[float], list[Any]]) -> None:
        city = self.cities[site]
        if city.down or city.server is not server:
            return
        if self.true < city.paused_until:
            self._at(city.paused_until, lambda: self._city_event(site, server, event))
            return
        now = city.clock.at(self.true)
        if now - city.clock.at(city.ticked_at) > TIMING.lease:
            city.ticked_at = self.true
            city.boots += 1
            self._spread(site, server.restart(f"{site}{city.boots}", now))
        self._spread(site, event(now))

    def _tick_city(self, site: str) -> None:
        city = self.cities[site]

        def event(now: float) -> list[Any]:
            city.ticked_at = self.true
            if self.true >= city.spoke_at + NEWS_EVERY:
                city.spoke_at = self.true
                boot = city.server.boot
                for to in self.others(site):
                    self._say(site, to, lambda server, at: server.arrived_at_peer(site, boot, 0, at))
            return city.server.tick(now)

        if self.true >= city.paused_until:
            self._city_event(site, city.server, event)
        self._at(self.true + TICK, lambda: self._tick_city(site))

    def _city_frame(self, connection: Connection, text: str) -> None:
        if connection.server_end:
            server = self.cities[connection.site].server
            self._city_event(connection.site, server, lambda now: server.frame(connection.id, decode_client(text), now))

    def _server_end_gone(self, connection: Connection) -> None:
        if connection.server_end:
            connection.server_end = False
            server = self.cities[connection.site].server
            self._city_event(connection.site, server, lambda now: server.disconnected(connection.id, now))

    # the line between the cities, and the disks

    def _say(self, site: str, to: str, event: Callable[[SessionServer, float], Any]) -> None:
        """One city says something to another; it goes to whichever process runs there when it arrives."""

        def arrive() -> None:
            if (site, to) not in self.line_cut:
                server = self.cities[to].server
                self._city_event(to, server, lambda now: event(server, now) or [])

        if self.rng.random() >= self.line_bad:
            self._at(self.true + self._delay(self.line_slow), arrive)
        if self.rng.random() < self.line_bad:
            self._at(self.true + self._delay(self.line_slow), arrive)

    def _keep(self, site: str) -> None:
        """Write who may be lent to the disk; a crash meanwhile leaves the old or the new there."""
        city = self.cities[site]
        if city.writes or not city.server.guests.must_keep:
            return
        accounts, city.writes = city.server.guests.begin_keeping(), True

        def written() -> None:
            city.writes = False
            if not city.down:
                city.disk = accounts
                self._city_event(site, city.server, city.server.loans_kept)
            elif self.rng.random() < 0.5:
                city.disk = accounts

        self._at(self.true + self.rng.choice([0.001, 0.01, 0.3]), written)

    def _spread(self, site: str, outs: list[Any]) -> None:
        self._keep(site)
        for out in outs:
            match out:
                case Say():
                    text = json.dumps(write(out.frame))
                    self._say(site, out.to, partial(_hears, site, text))
                case Reply():
                    connection = self.connections.get(out.conn)
                    if connection is not None and connection.server_end:
                        text = encode(out.frame)
                        self._transmit(connection, "down", partial(self._client_frame, connection, text))
                case Close():
                    connection = self.connections.get(out.conn)
                    if connection is not None:
                        self._server_end_gone(connection)
                        self._transmit(connection, "down", partial(self._client_end_gone, connection))


def _hears(peer: str, text: str, server: SessionServer, now: float) -> list[Out]:
    return server.peer_said(peer, read(json.loads(text)), now)


MAPS: tuple[dict[str, str], ...] = (
    {"east": "0-99"},
    {"west": "0-99"},
    {"east>west": "0-99"},
    {"west>east": "0-99"},
    {"east": "0-49", "west": "50-99"},
    {"east>west": "0-49", "west>east": "50-99"},
)
"""Two accounts' buckets (27 and another) fall on either side of 50."""


def places() -> set[Place]:
    return {place for map_ in MAPS for place in parse_map(map_)}


def trouble(world: World, rng: random.Random) -> None:
    """One random thing happens, mostly something that hurts."""
    account, site = rng.choice(list(world.people)), rng.choice(SITES)
    match rng.randrange(18):
        case 0:
            world.cut_link(account, site)
        case 1:
            world.cut_link(account, site, (rng.choice(DIRECTIONS),))
        case 2:
            world.mend_link(account, site)
        case 3:
            world.reset(account, site, client_told=rng.random() < 0.7, server_told=rng.random() < 0.5)
        case 4:
            world.pause_person(account, rng.uniform(0.1, 4.0))
        case 5:
            world.pause_city(site, rng.uniform(0.1, 4.0))
        case 6:
            world.place(site, rng.choice(MAPS))
        case 7:
            world.place_both(rng.choice(MAPS))
        case 8 | 9:
            world.open_every_door()
        case 10:
            world.crash(site)
        case 11:
            world.restart(site)
        case 12:
            world.slow_down(account, site, rng.choice([0.005, 0.3, 1.0]))
        case 13:
            two_doors(world, rng, account)
        case 14:
            world.reset(account, site, client_told=True, server_told=False)
            world.run(rng.choice([0.05, 0.3]))
            world.place_both(rng.choice(MAPS))
        case 15:
            world.cut_line(*rng.choice([SITES, ("east",), ("west",)]))
        case 16:
            world.mend_line()
            world.line_slow = rng.choice([0.005, 0.05, 0.6])
        case 17:
            floor_cut(world, rng)


def floor_cut(world: World, rng: random.Random) -> None:
    """Everybody loses one city, which is fine otherwise."""
    world.place_both({"east": "0-99"})
    world.run(rng.choice([0.5, 3.0]))
    for person in world.people:
        world.cut_link(person, "east")
    world.run(rng.uniform(2.0, 5.0))


def two_doors(world: World, rng: random.Random, account: str) -> None:
    """A client stands at one city's door while the other one comes back, and both let it in at about the same time."""
    world.place_both({"east": "0-99"})
    world.slow_down(account, "west", rng.choice([0.02, 1.0]))
    world.cut_link(account, "east")
    world.run(4.0)
    world.mend_link(account, "east")
    world.run(rng.uniform(0.0, 4.0))
    world.open_every_door()


def play(seed: int, steps: int = 25) -> World:
    """A whole run from one seed: the start, trouble, healing. Raises OverlapError."""
    world = World(seed)
    rng = random.Random(seed + 1)
    if rng.random() < 0.5:
        world.open_every_door()
    world.run(rng.uniform(1.0, 3.0))
    for _ in range(steps):
        trouble(world, rng)
        world.run(rng.choice([0.01, 0.1, 0.5, 1.6]))
    world.heal()
    world.place_both({"east": "0-49", "west": "50-99"})
    world.run(15.0)
    return world


# ---- guests: maps that agree, as the engine makes them, and agents with two devices


DEVICES = ("agent0001", "agent0001/2", "agent0002", "agent0002/2")


@dataclass
class Engine:
    """Moves the whole group by the rules: A, A>B, then B when A is empty; or turned back, B>A, and A when B is."""

    world: World
    place: Place = field(default_factory=lambda: Place("east"))

    def step(self) -> None:
        """The next legal step, if there is one now."""
        here = self.place
        if here.to is None:
            self._put(Place(here.site, self._another(here.site)))
        elif self._is_empty(here.site):
            self._put(Place(here.to))

    def _another(self, site: str) -> str:
        others = self.world.others(site)
        return others[0] if len(others) == 1 else self.world.rng.choice(others)

    def turn_back(self) -> None:
        if self.place.to is not None:
            self._put(Place(self.place.to, self.place.site))

    def finish(self) -> None:
        if self.place.to is not None:
            self.step()

    def _is_empty(self, site: str) -> bool:
        """All cities hold the map, and the one that is left counts nobody."""
        return (
            all(self._holds(s) for s in self.world.sites) and not self.world.cities[site].server.count(GROUP).occupied
        )

    def _holds(self, site: str) -> bool:
        city = self.world.cities[site]
        held = city.server.book.get(GROUP)
        return not city.down and held is not None and held.revision == self.world.revision

    def _put(self, place: Place) -> None:
        self.place = place
        self.world.place_both({str(place): "0-99"})

    def repair(self) -> None:
        """A city that has started since gets its map."""
        for site in self.world.sites:
            self.world.place(site, {str(self.place): "0-99"}, revision=self.world.revision)


def mishap(world: World, rng: random.Random, engine: Engine) -> None:
    """One random thing happens around guests."""
    person, site = rng.choice(list(world.people)), rng.choice(world.sites)
    match rng.randrange(21):
        case 0 | 1 | 2:
            account = account_of(person)
            for device in world.people:
                if account_of(device) == account or rng.random() < 0.3:
                    world.cut_link(device, site, rng.choice([DIRECTIONS, DIRECTIONS, ("up",), ("down",)]))
        case 3 | 4:
            world.mend_link(person, site)
        case 5:
            world.cut_line(*rng.choice([world.sites, *((one,) for one in world.sites)]))
        case 6:
            world.mend_line()
            world.line_slow = rng.choice([0.005, 0.05, 0.6])
            world.line_bad = rng.choice([0.0, 0.0, 0.2])
        case 7:
            world.crash(site)
        case 8 | 9:
            for down in world.sites:
                world.restart(down)
        case 10:
            world.pause_city(site, rng.uniform(0.1, 4.0))
        case 11:
            world.pause_person(person, rng.uniform(0.1, 4.0))
        case 12 | 13:
            world.sign_in_again(person)
        case 14:
            engine.step()
        case 15:
            engine.turn_back()
        case 16:
            engine.finish()
        case 17:
            world.run(rng.choice([10.0, 35.0]))
        case 18 | 19 | 20:
            one_device_strays(world, rng, engine)
    engine.repair()


def one_device_strays(world: World, rng: random.Random, engine: Engine) -> None:
    """One device loses home and works as a guest; something happens to home or the line; then another device, which
    does reach home, is used."""
    account = account_of(rng.choice(list(world.people)))
    home = engine.place.site
    world.heal()
    engine.repair()
    world.stragglers = rng.choice([0.0, 0.03])
    world.sign_in_again(account)
    world.run(rng.choice([1.0, 4.0]))
    world.cut_link(account, home)
    host = world.others(home)[0]
    if rng.random() < 0.5:
        world.cut_link(f"{account}/2", host)
    world.run(rng.uniform(2.0, 4.0))
    for _ in range(rng.randrange(3)):
        match rng.randrange(4 if len(world.sites) == 2 else 6):
            case 0:
                world.cut_line(*world.sites)
            case 1:
                world.crash(home)
                world.run(rng.choice([0.01, 1.0]))
                world.restart(home)
            case 2:
                world.mend_link(account, home)
                world.cut_link(account, home)
            case 3:
                world.reset(account, host, client_told=True, server_told=rng.random() < 0.5)
            case 4:
                lose_the_host(world, rng, account)
            case 5:
                world.line_cut |= {(home, host), (host, home)}
                lose_the_host(world, rng, account)
        engine.repair()
        world.run(rng.choice([0.01, 0.3, 1.0, 4.0, 30.0]))
    world.sign_in_again(f"{account}/2")
    world.run(rng.choice([1.0, 4.0]))


def lose_the_host(world: World, rng: random.Random, account: str) -> None:
    """A guest loses the city where it works as well; the third one is left."""
    host = world.people[account].client.signed_in_at
    if host is not None:
        world.cut_link(account, host)
        world.run(rng.uniform(2.0, 8.0))
        if rng.random() < 0.5:
            world.mend_link(account, host)


def play_guests(seed: int, steps: int = 15, sites: tuple[str, ...] = SITES) -> World:
    """A whole run around guests from one seed, then healing. Raises OverlapError: nobody, on whatever device, is in two
    places."""
    world = World(seed, DEVICES, sites)
    rng = random.Random(seed + 1)
    engine = Engine(world)
    world.place_both({"east": "0-99"})
    world.run(4.0)
    for _ in range(steps):
        mishap(world, rng, engine)
        world.run(rng.choice([0.05, 0.3, 1.6, 4.0]))
    world.heal()
    engine.repair()
    while engine.place.to is not None:
        world.run(1.0)
        engine.finish()
    for device in DEVICES:
        world.sign_in_again(device)
        world.run(0.3)
    world.run(100.0)
    world.home = engine.place.site
    return world
