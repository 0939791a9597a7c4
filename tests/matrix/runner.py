"""Runs one case on a running call centre, and says what came of it."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from demo.callcentre import CallCentre
from demo.errors import NotInTimeError
from demo.floors import FLOORS
from demo.observed import Observed
from demo.quickstart import Group, documents
from demo.timeline import AgentEvent
from demo.waiting import until
from lab.addresses import CITIES
from tests.matrix import invariants
from tests.matrix.cases import EITHER, FAILOVER, GIVEN_UP, GUESTS, NOTHING, OUTCOMES, Case
from tests.matrix.scene import Scene
from tests.matrix.watcher import CallWatcher, Phones, Placement, placed_anew, read_diaries

CALLS_PER_SECOND: Final = 5.0
SETTLE_S: Final = 1.0
LOST: Final = "east"

ROLL_CALL_PER_S: Final = 30.0
ROLL_CALL_TALK_S: Final = (1.0, 2.0)
ROLL_CALL_WITHIN_S: Final = 40.0
"""At the end every agent must answer a real call: many short ones, and whoever has been idle longest gets the next."""

TRUNKS_FOLLOW_WITHIN_S: Final = 15.0
"""From the moment at which everybody works again: the loss has been confirmed by then, and routes follow it within a
second and a push. The rest is for an engine that was killed as well and is just starting."""

ALL_MENDED_WITHIN_S: Final = 60.0
"""From the undoing of a fault that moved some, for those whom it did not move."""

READ_WITHIN_S: Final = 15.0
"""Before a fault, and when it is undone and everybody works again."""

HOME_WITHIN_S: Final = 90.0
"""Where no map has changed, and everybody works again: until guests are home."""

LEARNS_WITHIN_S: Final = 20.0
"""For a city that was given up and is back: until its CTIs hold the newer maps."""


@dataclass(frozen=True)
class Result:
    """What came of one case. `seconds`: until the last agent worked again, from the fault or from its undoing on."""

    name: str
    expected: str
    observed: str
    seconds: float | None
    invariants_broken: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return self.observed in OUTCOMES.get(self.expected, {self.expected}) and not self.invariants_broken

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


async def run(case: Case, scene: Scene, calls: CallWatcher, say: Callable[[str], None]) -> Result:
    """Make the fault, look, undo it, look again. The call centre is at rest before; it may not be afterwards."""
    centre, store = scene.centre, scene.store
    phones = Phones.read(centre.people.file)
    everybody = centre.accounts(centre.quickstart.groups)
    say(f"--- {case.name}: expected {case.expected}")
    scene.broken.clear()
    if case.arrange is not None:
        await case.arrange(scene)
    await centre.load(CALLS_PER_SECOND)
    await centre.calls_reach(5, centre.quickstart.groups)
    await _everything_is_read(scene)
    centre.observed.look()
    struck = struck_by(case, centre)
    homes = dict(centre.observed.site_of)
    concerned = [group for group in centre.quickstart.groups if concerns(case, group)]
    if case.expected == FAILOVER:
        await scene.would_work(group for group in concerned if struck & centre.accounts([group]))

    before = scene.placements()
    scene.strikes.clear()
    began_at = scene.began_at = scene.counts_from = time.time()

    await case.act(scene)
    back: float | None = None
    said = ""
    moving = centre.accounts(concerned)
    if case.expected == FAILOVER:
        who = moving | (everybody - struck)
        back = await _all_back(scene, who, case.within_s, since=scene.counts_from, lost=moving)
    elif case.expected == GIVEN_UP:
        back = await _given_up(scene, before, case.within_s, since=began_at)
        await asyncio.sleep(case.lasts_s)
    else:
        await asyncio.sleep(case.lasts_s)
        said = case.reason if case.reason and await scene.is_said(case.reason) else ""
    unreached: list[str] = []
    if case.expected == FAILOVER and back is not None:
        unreached = await _reached_meanwhile(case, scene, calls, phones, moving, everybody - struck - moving)
        if case.meanwhile is not None:
            await case.meanwhile(scene)
        await centre.load(CALLS_PER_SECOND)  # so that calls are in progress when everything is mended
    undone_at = time.time()
    await scene.undo()
    await centre.tandem("resume")
    if case.expected == GIVEN_UP:
        scene.broken += await _learned(scene)
    elif case.expected != FAILOVER:
        back = await _all_back(scene, everybody, case.within_s, since=undone_at)
        if back is not None and not placed_anew(before, store.newest):
            scene.broken += await _all_home(scene, homes)
    elif await _all_back(scene, everybody, ALL_MENDED_WITHIN_S, since=undone_at) is None:
        scene.broken.append(f"not everybody works {ALL_MENDED_WITHIN_S:g} s after everything was mended")
    unreached += await _roll_call(centre, calls, phones, everybody)
    await asyncio.sleep(SETTLE_S)

    ended_at = time.time()
    await _everything_is_read(scene)
    await store.learn((door.subject, door.token[1]) for door in (*scene.ctis.doors, *scene.ctis.unconfirmed))
    await calls.look()
    diary = read_diaries(centre.floors.timelines)
    seen = store.seen
    group_of = {account: group for group, own in centre.people.accounts_of.items() for account in own}
    strikes = [strike for strike in scene.strikes if case.may_have_cut(strike)]
    observed = _observed(before, scene, back, case)
    if case.expected == EITHER and observed == FAILOVER:
        back = invariants.last_sign_in(diary, moving, scene.counts_from)
        observed = _in_time(back, case)
    broken = [
        *invariants.revisions_only_grow(seen.placements),
        *invariants.ctis_only_go_forward(seen.doors),
        *invariants.every_bucket_once(seen.placements),
        *invariants.doors_only_go_forward(scene.ctis.doors),
        *invariants.no_two_fresh_doors(scene.ctis.doors, seen.maps, seen.losses, began_at, scene.ctis.unconfirmed),
        *invariants.nobody_signs_in_at_a_shut_door(scene.ctis.shut, diary, group_of, began_at),
        *invariants.nobody_signs_in_where_no_map_has_him(seen.placements, diary, group_of, began_at),
        *invariants.sessions_never_overlap(diary, began_at),
        *invariants.nobody_is_counted_twice(scene.ctis.sessions, began_at),
        *invariants.nobody_notices(diary, everybody - struck, began_at, ended_at),
        *invariants.nobody_changes_often(diary, began_at, case.changes),
        *invariants.no_call_is_cut(calls.calls.values(), began_at, strikes, ways_of(centre, phones)),
        *unreached,
    ]
    if case.expected != GIVEN_UP:
        broken += invariants.nobody_is_given_up_by_mistake(seen.placements, diary, group_of, began_at, ended_at)
    if case.afterwards is not None:
        await case.afterwards(scene)
    return Result(case.name, case.must_be, f"{observed}: {said}" if said else observed, back, [*broken, *scene.broken])


def struck_by(case: Case, centre: CallCentre) -> frozenset[str]:
    """The accounts whose sessions the fault itself may end: by where they are now, their system, or their group."""
    found: set[str] = set()
    for group in centre.quickstart.groups:
        for account in centre.accounts([group]):
            site = centre.observed.site_of.get(account, "")
            if case.struck & {site, f"{site}/{group.system}", group.name}:
                found.add(account)
    return frozenset(found)


def routes_of(centre: CallCentre) -> list[Mapping[str, str]]:
    """The routes of every trunk, as the manifests name them."""
    trunks = documents(centre.quickstart.folder / "trunks.yaml")
    return [route for trunk in trunks for route in trunk["spec"]["routes"]]


def ways_of(centre: CallCentre, phones: Phones) -> invariants.Ways:
    """How the ways of this call centre's calls are known."""
    system_of = {group.name: group.system for group in centre.quickstart.groups}
    return invariants.Ways(
        phones,
        {route["name"]: route["site"] for route in routes_of(centre)},
        {number: system_of[group] for number, group in centre.quickstart.numbers.items()},
        {system: FLOORS[n % len(FLOORS)] for n, system in enumerate(sorted(set(system_of.values())))},
    )


def concerns(case: Case, group: Group) -> bool:
    """Whether a Failover must bring this group to the other city."""
    return not case.concerns or bool(case.concerns & {group.system, group.name})


def _observed(before: Mapping[str, Placement], scene: Scene, back: float | None, case: Case) -> str:
    """In the same words as what was expected, where it is the same."""
    newest = scene.store.newest
    moved = placed_anew(before, newest)
    if back is None:
        return f"not everybody is back within {case.within_s:g} s" + (
            f"; {len(moved)} groups placed anew" if moved else ""
        )
    if not moved:
        return GUESTS if case.expected == GUESTS else NOTHING  # the case itself has looked whether they were guests
    # Whose agents a move was bringing there when it struck had nobody there before: the case names these groups.
    at_stake = {group for group, old in before.items() if old.names(LOST)} | case.struck
    if others := [group for group in moved if group not in at_stake]:
        return f"{FAILOVER} of others, who had nobody at {LOST}: {', '.join(others[:3])}"
    concerned = {group.name for group in scene.centre.quickstart.groups if concerns(case, group)}
    if set(moved) <= concerned and all(set(newest[group].map) == {"west"} for group in concerned):
        return GIVEN_UP if case.expected == GIVEN_UP else FAILOVER
    return f"{len(moved)} groups placed anew: {', '.join(moved[:3])}"


def _in_time(took: float, case: Case) -> str:
    """Of a failover that need not have come: it has its bound all the same."""
    if took <= case.failover_within_s:
        return FAILOVER
    return f"{FAILOVER}, but the last sign-in after {took:.2f} s, not within {case.failover_within_s:g} s"


async def _all_back(
    scene: Scene, everybody: frozenset[str], within_s: float, *, since: float, lost: AbstractSet[str] = frozenset()
) -> float | None:
    """Seconds until all are signed in, and none of `lost` at the lost city; None: not within the bound."""
    observed = scene.centre.observed

    async def back() -> tuple[bool, str]:
        observed.look()
        count = _there(observed, everybody, lost)
        return count == len(everybody), f"{count} of {len(everybody)} signed in"

    try:
        await until("everybody works", back, timeout=max(within_s - (time.time() - since), 0.1), every=0.1)
    except NotInTimeError:
        return None
    # By the agents' own words: who made a fault, or mended it, was busy for a while, and guests have gone home since.
    took = _all_there_at(observed.events, everybody, lost, since) - since
    return round(took, 2) if took <= within_s else None


def _there(observed: Observed, who: AbstractSet[str], lost: AbstractSet[str]) -> int:
    """How many of them are signed in, and not as `lost` at the lost city."""
    sites = [(account, observed.site_of.get(account)) for account in who]
    return sum(1 for account, site in sites if site and not (site == LOST and account in lost))


def _all_there_at(events: Iterable[AgentEvent], who: AbstractSet[str], lost: AbstractSet[str], since: float) -> float:
    """The first moment from `since` on at which they are all there; that of the last event where they are not."""
    observed, at = Observed([]), since
    for event in sorted(events, key=lambda event: event.at):
        if event.at > since and _there(observed, who, lost) == len(who):
            break
        observed.take(event)
        at = max(event.at, since)
    return at


async def _given_up(scene: Scene, before: Collection[str], within_s: float, *, since: float) -> float | None:
    """Seconds until every bucket of the city has its door elsewhere; None: not within the bound."""

    async def elsewhere() -> tuple[bool, str]:
        there = [group for group in before if LOST in scene.store.newest[group].map]
        return not there, f"{len(there)} groups have their doors at {LOST}"

    try:
        await until("doors elsewhere", elsewhere, timeout=max(within_s - (time.time() - since), 0.1), every=0.1)
    except NotInTimeError:
        return None
    return round(time.time() - since, 2)


async def _learned(scene: Scene) -> list[str]:
    """A city that was given up holds the newer maps soon after it is back."""

    async def learned() -> tuple[bool, str]:
        held = scene.store.seen.doors[-1].held.get(LOST, {})
        old = [g for g, placement in scene.store.newest.items() if held.get(g) != placement.revision]
        return not old, f"{LOST} holds an older map of {', '.join(sorted(old)[:3])}"

    try:
        await until("the newer maps", learned, timeout=LEARNS_WITHIN_S)
    except NotInTimeError as error:
        return [str(error)]
    return []


async def _all_home(scene: Scene, homes: Mapping[str, str]) -> list[str]:
    """Where no bucket has moved, everybody is again where he was: who was a guest has gone home."""
    observed = scene.centre.observed

    def missing() -> list[str]:
        return invariants.who_is_not_home(homes, observed.site_of)

    async def home() -> tuple[bool, str]:
        observed.look()
        return not missing(), f"{len(missing())} of {len(homes)} are not where they were"

    try:
        await until("everybody is home", home, timeout=HOME_WITHIN_S)
    except NotInTimeError:
        return missing()
    return []


async def _everything_is_read(scene: Scene) -> None:
    """Raises NotInTimeError: what was not read, of the store or of a CTI, would prove nothing."""

    async def read() -> tuple[bool, str]:
        unread = [*scene.ctis.unread, *([] if await scene.store.look() else ["the store"])]
        return not unread, f"{' and '.join(unread)} cannot be read"

    await until("the store and every CTI are read", read, timeout=READ_WITHIN_S)


async def _reached_meanwhile(
    case: Case, scene: Scene, calls: CallWatcher, phones: Phones, moved: frozenset[str], others: frozenset[str]
) -> list[str]:
    """While the fault is still there: calls reach everybody whom it moved by a phone elsewhere, and everybody else.

    And where the whole city is lost, the carrier is told of it: no call is sent there first, to wait for nobody.
    """
    centre = scene.centre
    broken = []
    if LOST in case.struck and await _is_dead(centre, LOST):
        broken += await _trunks_follow(centre)
    groups = tuple(group for group in centre.quickstart.groups if centre.accounts([group]) & (moved | others))
    broken += await _roll_call(centre, calls, phones, moved | others, groups=groups, moved=moved)
    return [f"while the fault was there, {line}" for line in broken]


async def _is_dead(centre: CallCentre, city: str) -> bool:
    """Whether a city has no power or is cut off now: some faults end by themselves."""
    status = await centre.lab.status()
    return city in status.links_down or any(city in pair for pair in status.cuts)


async def _trunks_follow(centre: CallCentre) -> list[str]:
    """The carrier holds no route to the lost city that any call would try first."""
    lost = str(CITIES[LOST].address)
    there: list[str] = []

    async def follow() -> tuple[bool, str]:
        there[:] = numbers_led_to(lost, await centre.carrier.routes())
        return not there, f"calls to {', '.join(there[:3])} are still sent to {LOST}"

    try:
        await until("no call is sent to the lost city", follow, timeout=TRUNKS_FOLLOW_WITHIN_S, every=0.2)
    except NotInTimeError as error:
        return [str(error)]
    return []


def numbers_led_to(host: str, routes: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Numbers of the carrier with a route to this address that calls are given to."""
    return sorted(
        number
        for number, plan in routes.items()
        if any(route["target"].partition(":")[0] == host and route["weight"] > 0 for route in plan["routes"])
    )


async def _roll_call(
    centre: CallCentre,
    calls: CallWatcher,
    phones: Phones,
    who: frozenset[str],
    *,
    groups: tuple[Group, ...] | None = None,
    moved: frozenset[str] = frozenset(),
) -> list[str]:
    """Every agent answers a real call that is placed from now on, and those who have moved not at the lost city.

    Args:
        groups: Whose numbers are called; all, unless somebody is not expected to answer.
    """
    began_at = time.time()
    numbers = None if groups is None else centre.quickstart.numbers_of(groups)
    await centre.carrier.load(ROLL_CALL_PER_S, numbers, ROLL_CALL_TALK_S)

    def missing() -> list[str]:
        found = calls.calls.values()
        return [
            *invariants.everybody_answers(found, phones, who - moved, began_at),
            *invariants.everybody_answers(found, phones, moved, began_at, not_at=LOST),
        ]

    async def answered() -> tuple[bool, str]:
        await calls.look()
        left = missing()
        return not left, f"{len(left)} agents have answered no call yet"

    try:
        await until("every agent answers", answered, timeout=ROLL_CALL_WITHIN_S, every=0.5)
    except NotInTimeError:
        return missing()
    finally:
        await centre.load(0)
    return []
