"""What faults are made with, and the faults that are more than one word to the lab."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import httpx

from demo.callcentre import CallCentre
from demo.errors import NotInTimeError
from demo.quickstart import Group, documents
from demo.waiting import until
from lab.interface import Swallowed
from tandem.engine.ports import Delete, Put, StoreError
from tests.bench.leadership import Leadership
from tests.e2e.callcenter_fixtures import shift, write
from tests.matrix.ctis import CtiWatcher
from tests.matrix.invariants import Strike, important_not_last, link
from tests.matrix.watcher import Placement, StoreWatcher, placed_anew, read_diaries

ENGINE: Final = "pod/tandem-system/tandem/engine"
OPERATOR: Final = "pod/tandem-system/tandem/operator"
STORE: Final = "pod/tandem-system/tandem-etcd"
CTI: Final = "pod/callcenter/cti-hotel"
CTI_OF_FLIGHT: Final = "pod/callcenter/cti-flight"
SOFTSWITCH: Final = "pod/callcenter/softswitch-hotel"

EVERYBODY: Final = ("west", "witness", "floor-a", "floor-b", "carrier")

INVITES: Final = Swallowed("udp", 30560, "in", b"INVITE ")
"""New calls to the softswitch of hotel. OPTIONS, REGISTER and what belongs to calls in progress pass."""

OFFERS: Final = Swallowed("tcp", 30580, "out", b'{"t":"offer"', offset=2)
"""What the CTI of hotel answers to whom it would sign in (behind the head of a WebSocket frame). It goes on accepting
connections, greets, and pings the sessions that it has."""

HOUR: Final = 3600
SAID_WITHIN_S: Final = 10.0
"""For a reason to be read in Kubernetes."""
READY_WITHIN_S: Final = 30.0
"""The same before a disaster, after what was arranged for it and the fault before it: nobody's clock runs yet."""

SAID_OF_THE_CITY: Final = {"AccusedByOne": "Ready", "NoHeartbeat": "EngineAlive"}
"""Reason -> which condition of the struck city has it. Every other reason is that of a group's FailoverReady."""

FULL_DISK_WITHIN_S: Final = 40.0
FILLER: Final = "/matrix/filler"
"""A key of nobody's: what is written there takes room."""

STORE_BACK_WITHIN_S: Final = 30.0

STANDS_S: Final = 0.3
RUNS_S: Final = 0.2
"""Seconds for which a process stands still that stutters, and for which it then runs: less than a probe waits."""

CREDIT_OF_CALLS_S: Final = 17.25
"""Seconds for which a deep probe's Pass stands that nothing renews (`streaks.Rule.credit` at the quickstart's pace)."""


@dataclass
class Scene:
    """The running call centre, and what is found wrong while a fault is being made."""

    centre: CallCentre
    leadership: Leadership
    store: StoreWatcher
    ctis: CtiWatcher
    broken: list[str] = field(default_factory=list)
    began_at: float = 0.0
    """When the fault that is being made began, in seconds of CLOCK_REALTIME."""
    counts_from: float = 0.0
    """From when on the bound counts: when the last city lost its power, or was starved, or what held everybody up was
    over."""
    undoings: list[Callable[[], Awaitable[None]]] = field(default_factory=list)
    """What undoes faults that are not the lab's."""
    strikes: list[Strike] = field(default_factory=list)
    """Everything that has been made of it."""

    @contextlib.contextmanager
    def _strike(self, *places: str, slow: bool = False) -> Iterator[None]:
        at = time.time()
        try:
            yield
        finally:
            self.strikes += [Strike(at, time.time(), place, slow) for place in places]

    async def power_off(self, city: str) -> None:
        self.counts_from = time.time()
        with self._strike(city):
            await self.centre.lab.faults.kill_city(city)

    async def undo(self) -> None:
        """Mend everything."""
        await self.centre.lab.faults.undo_all()
        while self.undoings:
            await self.undoings.pop()()

    async def store_whole(self) -> None:
        """Wait until every member of the store answers. Raises: NotInTimeError."""

        async def whole() -> tuple[bool, str]:
            return True, await self.leadership.leader()

        await until("every member of the store answers", whole, timeout=STORE_BACK_WITHIN_S)

    async def wait_for_those_of_east(self, within: float = 15.0) -> None:
        """Wait until everybody of east works at west; what is missing is broken."""
        observed, accounts = self.centre.observed, self.centre.accounts(self.groups("east"))

        async def there() -> tuple[bool, str]:
            observed.look()
            count = observed.at("west", accounts)
            return count == len(accounts), f"{count} of {len(accounts)} signed in at west"

        try:
            await until("everybody of east at west", there, timeout=within, every=0.1)
        except NotInTimeError as error:
            self.broken.append(str(error))

    async def cut(self, *pairs: tuple[str, str], both: bool = True) -> None:
        for a, b in pairs:
            with self._strike(link(a, b)):
                await self.centre.lab.faults.cut(a, b, both=both)

    async def kill(self, city: str, *components: str) -> None:
        for component in components:
            await self.centre.lab.faults.kill(city, component)

    async def freeze(self, city: str, component: str, for_s: float = 0.0) -> None:
        with self._strike(*([f"{city}/hotel"] if component == SOFTSWITCH else []), slow=True):
            await self.centre.lab.faults.freeze(city, component)
        if for_s:
            await asyncio.sleep(for_s)
            await self.centre.lab.faults.thaw(city, component)

    async def stutter(self, city: str, component: str) -> None:
        """Stop a process for a moment twice a second, until cancelled: it goes on with its work, but whatever it waits
        for in vain overlaps such a moment, so that it cannot tell whose fault that is."""
        try:
            while True:
                await self.freeze(city, component, STANDS_S)
                await asyncio.sleep(RUNS_S)
        finally:
            await self.centre.lab.faults.thaw(city, component)

    async def swallow(self, city: str, words: Swallowed) -> None:
        await self.centre.lab.faults.swallow(city, words)

    async def step_clocks(self, city: str, seconds: int, *components: str) -> None:
        for component in components:
            await self.centre.lab.faults.step_clock(city, component, seconds)
        stepped = {status.name: status.stepped_clocks for status in (await self.centre.lab.status()).cities}
        if not stepped[city]:
            self.broken.append(f"no clock in {city} was stepped: this proves nothing")

    async def starve(self, city: str, share: float, for_s: float) -> None:
        """Leave a city this share of the processor time that it uses, for a while."""
        lab = self.centre.lab
        before, began = lab.processor_seconds(city), time.monotonic()
        await asyncio.sleep(3.0)
        needs = (lab.processor_seconds(city) - before) / (time.monotonic() - began)
        self.centre.say(f"{city} uses {needs:.2f} processors and is left {needs * share:.3f}")
        self.counts_from = time.time()
        with self._strike(city, slow=True):
            await lab.faults.starve(city, needs * share)
            await asyncio.sleep(for_s)
            await lab.faults.feed(city)

    async def burden(self, share: float, for_s: float) -> None:
        """Take this share of the machine away from everything in the lab, for a while."""
        with self._strike("east", "west", slow=True):
            await self.centre.lab.faults.burden(share)
            await asyncio.sleep(for_s)
            await self.centre.lab.faults.unburden()

    def groups(self, home: str, *names: str) -> tuple[Group, ...]:
        """Groups whose home is this city; all, or those named."""
        wanted = {f"callcenter/{name}" for name in names}
        return tuple(group for group in self.centre.quickstart.choose(home) if not names or group.name in wanted)

    async def begin_move(self, groups: tuple[Group, ...], to: str, pace: int) -> None:
        """Begin a Shift, and return when the first of its agents have gone."""
        accounts = self.centre.accounts(groups)
        city = "west" if to == "east" else "east"
        await self.centre.begin(shift(self.centre, groups, to=to, city=city, pace=pace))

        async def some_went() -> tuple[bool, str]:
            self.centre.observed.look()
            there = self.centre.observed.at(to, accounts)
            return there > 0, f"{there} of {len(accounts)} at {to}"

        await until(f"the first arriving at {to}", some_went, timeout=20, every=0.1)
        if self.centre.observed.at(to, accounts) == len(accounts):
            self.broken.append("the move was over before the fault: this proves nothing")

    def placements(self) -> dict[str, Placement]:
        """Group -> its map, as last seen."""
        return dict(self.store.newest)

    async def is_said(self, reason: str) -> bool:
        """It can be read in the surviving city: of the struck city, or in FailoverReady of one of its groups."""
        condition = SAID_OF_THE_CITY.get(reason, "FailoverReady")
        thing = ("site", "east") if reason in SAID_OF_THE_CITY else ("agentgroup", "hotel-north-sales")

        async def said() -> tuple[bool, str]:
            shown = await self._condition(*thing, condition)
            return shown.get("reason") == reason, f"{condition} is {shown.get('reason')}: {shown.get('message')}"

        return await self._read(f"{condition} says {reason}", said)

    async def would_work(self, groups: Iterable[Group]) -> bool:
        """Before a disaster: that each of these groups would be saved can be read in the city that will survive it."""
        names = [group.name.rpartition("/")[2] for group in groups]

        async def said() -> tuple[bool, str]:
            found = await asyncio.gather(*(self._condition("agentgroup", name, "FailoverReady") for name in names))
            against = [
                f"{name} is {shown.get('reason')}: {shown.get('message')}"
                for name, shown in zip(names, found, strict=True)
                if shown.get("status") != "True"
            ]
            return not against, "; ".join(against)

        return await self._read("FailoverReady is True before the disaster", said, READY_WITHIN_S)

    async def _condition(self, kind: str, name: str, condition: str) -> dict[str, str]:
        """One condition of an object in the surviving city; empty: it has none."""
        found = await self.centre.clusters["west"].get(kind, name)
        conditions = found.get("status", {}).get("conditions", [])
        return next((shown for shown in conditions if shown["type"] == condition), {})

    async def _read(
        self, what: str, said: Callable[[], Awaitable[tuple[bool, str]]], within: float = SAID_WITHIN_S
    ) -> bool:
        try:
            await until(what, said, timeout=within)
        except NotInTimeError as error:
            self.broken.append(str(error))
            return False
        return True

    async def nothing_moves(self, for_s: float, reason: str) -> None:
        """Look on for a while; whoever is placed anew meanwhile is so without a right. And the reason is said."""
        before = self.placements()
        await asyncio.sleep(for_s)
        await self.is_said(reason)
        moved = await self.placed_anew(before)
        if moved:
            self.broken.append(f"{len(moved)} groups were placed anew in spite of {reason}: {', '.join(moved[:3])}")

    async def placed_anew(self, before: Mapping[str, Placement]) -> list[str]:
        """Groups whose map has changed since then."""
        await self.store.look()
        return placed_anew(before, self.store.newest)


Act = Callable[[Scene], Awaitable[None]]


# -- what is so before the fault


async def coordinator_at_east(scene: Scene) -> None:
    await scene.leadership.coordinate_from("east")


async def leader_at_east(scene: Scene) -> None:
    await scene.leadership.lead_from("east")


async def leader_at_witness(scene: Scene) -> None:
    await scene.leadership.lead_from("witness")


async def witness_gone(scene: Scene) -> None:
    await scene.power_off("witness")
    await asyncio.sleep(6.0)


async def held(scene: Scene) -> None:
    await scene.centre.tandem("hold", "--reason", "fault matrix")


async def store_on_a_small_disk(scene: Scene) -> None:
    await scene.centre.lab.faults.small_disk("east", "store", STORE)
    await scene.store_whole()
    await asyncio.sleep(3.0)


async def room_for_the_important(scene: Scene) -> None:
    """The other city has room for its own agents, for those of the highest priority, and for nobody else."""
    centre = scene.centre
    room: dict[str, int] = {}
    for group in centre.quickstart.groups:
        if group.home == "west" or group.name in _important(centre):
            room[group.system] = room.get(group.system, 0) + group.agents
    sites = list(documents(centre.quickstart.folder / "sites.yaml"))
    for site in sites:
        for system in site["spec"].get("systems", []) if site["metadata"]["name"] == "west" else ():
            system["cti"]["capacity"]["agents"] = room[system["name"]]
    file = write("sites-with-little-room", *sites)
    await asyncio.gather(*(cluster.apply(file) for cluster in centre.clusters.values()))
    await asyncio.sleep(5.0)  # every location has read it, and they agree
    await scene.is_said("CapacityExceeded")  # not only when it is too late


def _important(centre: CallCentre) -> set[str]:
    """Groups of the highest priority."""
    groups = list(documents(centre.quickstart.folder / "agentgroups.yaml"))
    most = max(group["spec"].get("priority", 0) for group in groups)
    return {f"callcenter/{g['metadata']['name']}" for g in groups if g["spec"].get("priority", 0) == most}


# -- faults


async def flapping(scene: Scene) -> None:
    for _ in range(60):
        await scene.cut(("east", "west"))
        await asyncio.sleep(1.0)
        await scene.centre.lab.faults.mend("east", "west")
        await asyncio.sleep(1.0)


async def killed_in_turn(scene: Scene) -> None:
    for city in ("east", "west", "witness"):
        await scene.kill(city, ENGINE, OPERATOR)
        await asyncio.sleep(4.0)


async def disk_full(scene: Scene) -> None:
    faults = scene.centre.lab.faults
    await faults.fill_disk("east", "store", STORE)
    await asyncio.sleep(12.0)

    async def gone() -> tuple[bool, str]:
        try:
            said = f"{await scene.leadership.leader()} leads, and all answer"
        except (httpx.HTTPError, OSError) as error:
            return True, str(error)
        # It goes at its first write that needs more room than it has reserved, and Tandem writes little.
        with contextlib.suppress(StoreError):
            await scene.centre.store.txn([], [Put(FILLER, secrets.token_hex(200_000).encode())], timeout=3.0)
        return False, said

    try:
        await until("the member with the full disk is gone", gone, timeout=FULL_DISK_WITHIN_S)
    except NotInTimeError as error:
        scene.broken.append(f"{error}: this proves nothing")
    await faults.free_disk("east", "store", STORE)
    await scene.store_whole()
    await scene.centre.store.txn([], [Delete(FILLER)], timeout=5.0)


async def nobody_is_signed_in(scene: Scene) -> None:
    """And one agent comes in anew, so that it is seen to be so: nobody else would notice before the failover."""
    hotel = scene.groups("east", "hotel-north-sales")
    newcomer = min(scene.centre.accounts(hotel))
    await scene.swallow("east", OFFERS)
    await scene.centre.floors.restart([newcomer])
    await asyncio.sleep(4.5)  # a desktop that starts anew waits out a lease first
    scene.centre.observed.look()
    if scene.centre.observed.site_of.get(newcomer) == "east":
        scene.broken.append("the CTI signed somebody in: this proves nothing")


async def freeze_members(scene: Scene, cities: Iterable[str], for_s: float) -> None:
    await asyncio.gather(*(scene.freeze(city, STORE, for_s) for city in cities))


async def kill_members(scene: Scene, cities: Iterable[str]) -> None:
    await asyncio.gather(*(scene.kill(city, STORE) for city in cities))


async def clocks_of_a_city(scene: Scene) -> None:
    await scene.step_clocks("east", HOUR, ENGINE, OPERATOR, CTI, CTI_OF_FLIGHT)


async def clocks_of_the_coordinator(scene: Scene) -> None:
    await scene.step_clocks("witness", -HOUR, ENGINE, OPERATOR)


async def sign_in_peak(scene: Scene) -> None:
    """Everybody of the survivor starts anew in the moment in which everybody of the dead city comes."""
    west = scene.centre.accounts(scene.groups("west"))
    await asyncio.gather(scene.power_off("east"), scene.centre.floors.restart(sorted(west)))


async def without_a_second_accuser(scene: Scene) -> None:
    await asyncio.gather(scene.power_off("east"), scene.freeze("witness", ENGINE))
    await scene.nothing_moves(6.0, "TooFewObservers")
    await scene.centre.lab.faults.thaw("witness", ENGINE)
    scene.counts_from = time.time()


async def without_a_quorum(scene: Scene) -> None:
    await asyncio.gather(scene.power_off("east"), scene.freeze("witness", STORE))
    await scene.nothing_moves(6.0, "StoreUnreachable")
    await scene.centre.lab.faults.thaw("witness", STORE)
    scene.counts_from = time.time()


async def off_and(scene: Scene, *more: Awaitable[None]) -> None:
    await asyncio.gather(scene.power_off("east"), *more)


async def while_leaving(scene: Scene) -> None:
    await scene.begin_move(scene.groups("east"), "west", pace=60)
    await scene.power_off("east")


async def while_arriving(scene: Scene) -> None:
    await scene.begin_move(scene.groups("west", "hotel-coast-service"), "east", pace=2)
    await scene.power_off("east")


async def no_calls_and_a_witness_that_measures_nothing(scene: Scene) -> None:
    """Two locations find that nobody can call; the third one's last word is that it could, and is renewed by nothing.

    It holds up the failover as long as it is believed, and not longer.
    """
    before = scene.placements()
    stutter = asyncio.create_task(scene.stutter("witness", ENGINE))
    try:
        await asyncio.sleep(2.0)
        await scene.swallow("east", INVITES)
        await asyncio.sleep(CREDIT_OF_CALLS_S / 2)
        if moved := await scene.placed_anew(before):
            scene.broken.append(f"{len(moved)} groups were placed anew while the witness reached the softswitch")

        async def placed() -> tuple[bool, str]:
            moved = await scene.placed_anew(before)
            return bool(moved), f"{len(moved)} groups placed anew"

        with contextlib.suppress(NotInTimeError):  # the case's own bound says so
            await until("the witness's word counts no more", placed, timeout=1.5 * CREDIT_OF_CALLS_S, every=0.1)
    finally:
        stutter.cancel()
        await asyncio.gather(stutter, return_exceptions=True)


async def engine_and_cti_frozen(scene: Scene) -> None:
    """The city is silent and two locations accuse its CTI, but both reach its softswitch."""
    await scene.freeze("east", ENGINE)
    await scene.freeze("east", CTI)


async def link_cut_and_engine_frozen(scene: Scene) -> None:
    """The city is silent, and the one that would receive its agents accuses it alone."""
    await scene.cut(("east", "west"))
    await scene.freeze("east", ENGINE)


async def link_cut_and_engine_killed(scene: Scene) -> None:
    await scene.cut(("east", "west"))
    await scene.kill("east", ENGINE)


async def _nothing_is_planned_onto_it(scene: Scene) -> None:
    """A Shift onto the city that has just come back would wait, and says so. It is only planned, and moves nobody."""
    order = shift(scene.centre, scene.groups("east", "hotel-north-sales"), to="east", city="west", dryRun=True)
    await scene.centre.begin(order)

    async def waits() -> tuple[bool, str]:
        found = await scene.centre.clusters["west"].get("shift", order.shift)
        status = found.get("status", {})
        message = str(status.get("message"))
        # Its failover has not ended yet, or its quarantine has begun: the plan is made once.
        said = "would wait: east" in message and ("quarantine" in message or "has failed" in message)
        return said, f"{status.get('phase')} {status.get('reason')}: {message}"

    try:
        await until("the Shift would wait for the failover's end or the quarantine", waits, timeout=10, every=0.1)
    except NotInTimeError as error:
        scene.broken.append(str(error))


async def off_and_on_twice(scene: Scene) -> None:
    """Back each time before it has proved itself."""
    for pause in (4.0, 2.0):
        await scene.power_off("east")
        await asyncio.sleep(pause)
        await scene.centre.lab.faults.restore_city("east")
        await asyncio.sleep(1.0)
    await _nothing_is_planned_onto_it(scene)


# -- what is looked at when it is over, or meanwhile


async def the_rest_is_told(scene: Scene) -> None:
    """Whoever has no room elsewhere is told so: a group of no particular importance."""
    await scene.is_said("CapacityExceeded")


async def the_important_came_first(scene: Scene) -> None:
    """Of those who came from the dead city, the ones with the highest priority were not the last."""
    centre = scene.centre
    east = scene.groups("east")
    important = centre.accounts(group for group in east if group.name in _important(centre))
    scene.broken += important_not_last(
        read_diaries(centre.floors.timelines), important, centre.accounts(east) - important, scene.began_at
    )
