"""Runs one case on a running call centre, and says what came of it."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from demo.callcentre import CallCentre
from demo.errors import NotInTimeError
from demo.waiting import until
from tandem.domain import keys
from tandem.engine.ports import Delete
from tests.matrix import watcher
from tests.matrix.cases import FAILOVER, GUESTS, Case, Scene
from tests.matrix.watcher import StoreWatcher

CALLS_PER_SECOND: Final = 5.0
SETTLE_S: Final = 1.0
LOST: Final = "east"


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
        return self.observed == self.expected and not self.invariants_broken

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "ok": self.ok}


async def run(case: Case, scene: Scene, store: StoreWatcher, say: Callable[[str], None]) -> Result:
    """Make the fault, look, undo it, look again. The call centre is at rest before; it may not be afterwards."""
    centre = scene.centre
    everybody = centre.accounts(centre.quickstart.groups)
    say(f"--- {case.name}: expected {case.expected}")
    if case.arrange is not None:
        await case.arrange(scene)
    await centre.load(CALLS_PER_SECOND)
    await centre.calls_reach(5, centre.quickstart.groups)
    centre.observed.look()
    at_home = dict(centre.observed.site_of)
    spared = {call.id for call in centre.carrier.calls.values() if call.ended_at is None} if case.cuts_calls else set()
    before = {group: placement.revision for group, placement in store.newest.items()}
    began_at = time.time()

    await case.act(scene)
    back: float | None
    if case.expected == FAILOVER:
        back = await _all_back(centre, everybody, case.within_s, since=began_at, elsewhere=True)
    else:
        await asyncio.sleep(case.lasts_s)
    if case.cuts_calls:
        await centre.carrier.look()
        spared |= {call.id for call in centre.carrier.calls.values() if call.ended_at is None}
    undone_at = time.time()
    await centre.lab.faults.undo_all()
    await centre.tandem("resume")
    if case.expected != FAILOVER:
        back = await _all_back(centre, everybody, case.within_s, since=undone_at)
    answered = await _every_number_answers(centre)
    await centre.load(0)
    await asyncio.sleep(SETTLE_S)

    ended_at = time.time()
    await centre.carrier.look()
    diary = watcher.read_diaries(centre.floors.timelines)
    struck = frozenset(account for account, site in at_home.items() if site in case.struck)
    broken = [
        *watcher.revisions_only_grow(store.seen),
        *watcher.every_bucket_once(store.seen),
        *watcher.sessions_never_overlap(diary, began_at),
        *watcher.nobody_notices(diary, everybody - struck, began_at, ended_at),
        *watcher.no_call_is_cut([asdict(c) for c in centre.carrier.calls.values()], began_at, frozenset(spared)),
        *answered,
    ]
    return Result(case.name, case.expected, _observed(before, store, back, case), back, broken)


def _observed(before: Mapping[str, int], store: StoreWatcher, back: float | None, case: Case) -> str:
    """In the same words as what was expected, where it is the same."""
    moved = sorted(group for group, revision in before.items() if store.newest[group].revision != revision)
    if back is None:
        return f"not everybody is back within {case.within_s:g} s" + (
            f"; {len(moved)} groups placed anew" if moved else ""
        )
    elsewhere = all(set(store.newest[group].map) == {"west"} for group in before)
    if moved and elsewhere:
        return FAILOVER
    if moved:
        return f"{len(moved)} groups placed anew: {', '.join(moved[:3])}"
    return GUESTS if case.expected == GUESTS else "Nothing"  # the case itself has looked whether they were guests


async def _all_back(
    centre: CallCentre, everybody: frozenset[str], within_s: float, *, since: float, elsewhere: bool = False
) -> float | None:
    """Seconds until all are signed in (not at the lost city, with `elsewhere`); None: not within the bound."""

    async def back() -> tuple[bool, str]:
        centre.observed.look()
        there = [centre.observed.site_of.get(account) for account in everybody]
        count = sum(1 for site in there if site and not (elsewhere and site == LOST))
        return count == len(everybody), f"{count} of {len(everybody)} signed in"

    try:
        await until("everybody works", back, timeout=max(within_s - (time.time() - since), 0.1), every=0.1)
    except NotInTimeError:
        return None
    return round(time.time() - since, 2)


async def _every_number_answers(centre: CallCentre) -> list[str]:
    """A real call to each number, placed from now on, is answered: every group can be reached."""
    began_at = time.time()

    async def answered() -> tuple[bool, str]:
        await centre.carrier.look()
        reached = {c.number for c in centre.carrier.calls.values() if c.answered_at and c.placed_at >= began_at}
        missing = sorted(set(centre.quickstart.numbers) - reached)
        return not missing, f"nobody answers {', '.join(missing)}"

    try:
        await until("every number is answered", answered, timeout=30)
    except NotInTimeError as error:
        return [str(error)]
    return []


async def forgive(centre: CallCentre) -> None:
    """Forget the failovers of earlier cases: their quarantine would hold up the next way home."""
    await centre.store.txn([], [Delete(keys.failover(LOST))], timeout=5.0)
