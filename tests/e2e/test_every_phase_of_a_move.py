"""Every phase of a Shift, and what can happen in it: it carries on, comes back, or ends, and nobody moves twice.

Calls flow all along. The table of what happened in which phase is written to `out/e2e/phases.txt`.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import pytest

from demo.callcentre import Begun, CallCentre
from demo.errors import ToolError
from demo.report import plain_table
from demo.waiting import until
from tandem.api.shift import FINISHED
from tandem.domain import keys
from tandem.domain.records import ShiftRecord
from tests.e2e.callcenter_fixtures import E2E_OUT, shift
from tests.matrix.scene import CTI, ENGINE, SOFTSWITCH, STORE

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

PACE: Final = 20
"""Agents a second: each of two waves of fifty takes 2.5 s."""
CALLS: Final = 3.0
"""Calls a second, short ones: nearly every wave has somebody who leaves after a call."""
TALK_S: Final = (1.0, 3.0)
LOSE_THE_TARGET: Final = ("softswitch crash at the target", "CTI crash at the target")
"""What may last for longer than a city can go without it."""
CUTS_CALLS: Final = ("softswitch crash at the target", "emergency")
"""What ends calls by itself."""


@dataclass(frozen=True)
class Phase:
    """A moment of a Shift. `of`: its phase and wave. `reached`, `left`: what a person does for it, if anything."""

    of: tuple[str, int]
    spec: dict[str, Any] = field(default_factory=dict)
    reached: Callable[[CallCentre, str], Awaitable[object]] | None = None
    left: Callable[[CallCentre, str], Awaitable[object]] | None = None


async def approve(centre: CallCentre, name: str) -> None:
    """As soon as a city shows the plan, a moment after the store has it."""

    async def shown() -> tuple[bool, str]:
        try:
            status = (await centre.clusters["west"].get("shift", name)).get("status", {})
        except ToolError as error:  # its copy is not there yet
            return False, str(error)
        return bool(status.get("plan")), f"{status.get('phase')}: {status.get('message')}"

    await until(f"west shows the plan of {name}", shown, timeout=20)
    await centre.tandem("approve", name, "-n", "callcenter")


async def approve_under_hold(centre: CallCentre, name: str) -> None:
    await reaches(centre, name, ("AwaitingApproval", 0))
    await centre.tandem("hold", "--reason", "end-to-end test")
    await approve(centre, name)


async def resume(centre: CallCentre, name: str) -> None:
    await centre.tandem("resume")


PHASES: Final = {
    "awaiting approval": Phase(("AwaitingApproval", 0), {"approval": "Manual"}, left=approve),
    "preparing": Phase(("Preparing", 0), {"approval": "Manual"}, reached=approve_under_hold, left=resume),
    "first wave": Phase(("Moving", 1)),
    "second wave": Phase(("Moving", 2)),
    "verifying": Phase(("Verifying", 2)),
    "coming back": Phase(("Aborting", 2), reached=lambda centre, name: abort_in_the_second_wave(centre, name)),
}


async def abort_in_the_second_wave(centre: CallCentre, name: str) -> None:
    await reaches(centre, name, ("Moving", 2))
    await abort(centre, name)


async def abort(centre: CallCentre, name: str) -> None:
    """In the other cluster than the one in which it was made."""
    patch = ("--type=merge", "-p", '{"spec": {"abort": true}}')

    async def taken() -> tuple[bool, str]:
        try:
            return True, await centre.clusters["west"].kubectl("patch", "shift", name, "-n", "callcenter", *patch)
        except ToolError as error:  # its copy is not there yet
            return False, str(error)

    await until(f"west takes the abort of {name}", taken, timeout=20)


async def engine_crash(centre: CallCentre, name: str) -> None:
    await crash(centre, "east", ENGINE)


async def coordinator_change(centre: CallCentre, name: str) -> None:
    site = await centre.clusters["west"].get("site", "west", namespace="default")
    await crash(centre, str(site["status"]["coordinator"]), ENGINE)


async def softswitch_crash(centre: CallCentre, name: str) -> None:
    await crash(centre, "west", SOFTSWITCH)


async def cti_crash(centre: CallCentre, name: str) -> None:
    await crash(centre, "west", CTI)


async def store_member_lost(centre: CallCentre, name: str) -> None:
    await crash(centre, "east", STORE)


async def crash(centre: CallCentre, city: str, part: str) -> None:
    await centre.lab.faults.kill(city, part)
    await centre.lab.faults.revive(city, part)


async def emergency(centre: CallCentre, name: str) -> None:
    """The city that they leave loses its power; whoever held everything lets go, for a hold stops failovers too."""

    async def let_go() -> None:
        await asyncio.sleep(1.0)
        await centre.tandem("resume", "--contexts", "west")

    await asyncio.gather(centre.lose("east"), let_go())


EVENTS: Final[dict[str, Callable[[CallCentre, str], Awaitable[None]]]] = {
    "abort": abort,
    "engine crash": engine_crash,
    "coordinator change": coordinator_change,
    "softswitch crash at the target": softswitch_crash,
    "emergency": emergency,
}

MORE_EVENTS: Final[dict[str, Callable[[CallCentre, str], Awaitable[None]]]] = {
    "CTI crash at the target": cti_crash,
    "store member lost": store_member_lost,
}
"""Struck in the second wave only: the simulation has them in every phase."""

CASES: Final = [
    pytest.param(phase, event, id=f"{phase}-{event}".replace(" ", "-"))
    for phase, event in [*itertools.product(PHASES, EVENTS), *itertools.product(("second wave",), MORE_EVENTS)]
]


@pytest.fixture(scope="module")
def rows() -> Iterator[list[tuple[str, ...]]]:
    """Filled by the tests; written as a table when all are over."""
    found: list[tuple[str, ...]] = []
    yield found
    heads = ("phase", "struck in", "event", "ends as", "after")
    E2E_OUT.mkdir(parents=True, exist_ok=True)
    (E2E_OUT / "phases.txt").write_text(plain_table(heads, found) + "\n", encoding="utf-8")


async def record_of(centre: CallCentre, name: str) -> ShiftRecord | None:
    found = await centre.store.get(keys.shift(f"callcenter/{name}"), timeout=3.0)
    return ShiftRecord.model_validate_json(found.value) if found else None


async def reaches(centre: CallCentre, name: str, wanted: tuple[str, int], *, timeout: float = 30) -> tuple[str, int]:
    """Wait until it is in this phase and wave, and return them. Verifying may be over before anybody looks."""
    seen = ("", 0)

    async def there() -> tuple[bool, str]:
        nonlocal seen
        record = await record_of(centre, name)
        if record is None:
            return False, "not in the store yet"
        seen = (record.phase, record.wave)
        return seen == wanted or record.phase in FINISHED, f"{seen}: {record.message}"

    await until(f"{name} is {wanted}", there, timeout=timeout, every=0.02)
    assert seen == wanted or (wanted[0] == "Verifying" and seen[0] == "Completed"), f"missed {wanted}: it is {seen}"
    return seen


async def ends(centre: CallCentre, name: str, *, timeout: float = 60) -> ShiftRecord:
    found: ShiftRecord | None = None

    async def over() -> tuple[bool, str]:
        nonlocal found
        found = await record_of(centre, name)
        return found is not None and found.phase in FINISHED, f"{found.phase}: {found.message}" if found else "none"

    await until(f"{name} is over", over, timeout=timeout)
    assert found is not None
    return found


@pytest.mark.parametrize(("phase", "event"), CASES)
async def test_what_happens_in_any_phase_ends_well(
    centre: CallCentre, rows: list[tuple[str, ...]], phase: str, event: str
) -> None:
    moment = PHASES[phase]
    everyone = centre.quickstart.choose("east")
    await centre.carrier.load(CALLS, centre.quickstart.numbers_of(everyone), TALK_S)
    await centre.calls_reach(3, everyone)
    cut = await cut_calls(centre)
    begun = await centre.begin(shift(centre, everyone, to="west", waves=[50, 100], pace=PACE, **moment.spec))
    name = begun.order.shift
    if moment.reached:
        await moment.reached(centre, name)
    struck_in = await reaches(centre, name, moment.of)
    struck_at = time.monotonic()

    await (EVENTS | MORE_EVENTS)[event](centre, name)

    if moment.left and event not in ("abort", "emergency"):
        await moment.left(centre, name)
    record = await ends(centre, name)
    took = time.monotonic() - struck_at
    rows.append(
        (phase, " ".join(map(str, struck_in)), event, f"{record.phase} {record.reason}".strip(), f"{took:.1f} s")
    )
    sites = await where_it_ends(centre, begun, record, phase, event)
    await everybody_works(centre, begun, sites, event)
    await asyncio.sleep(1.0)  # long enough for a second move of somebody to show
    await everybody_works(centre, begun, sites, event)
    assert await record_of(centre, name) == record, "what is over stays as it is"
    if event not in CUTS_CALLS:
        assert await cut_calls(centre) == cut, "a planned move cuts no call"


async def cut_calls(centre: CallCentre) -> set[str]:
    await centre.carrier.look()
    return {call.id for call in centre.carrier.calls.values() if call.fate == "cut"}


async def everybody_works(centre: CallCentre, begun: Begun, sites: frozenset[str], event: str) -> None:
    """At one of these sites, and nobody's bucket is on its way.

    A target of which a part has crashed may also be given up a moment after the Shift was over.
    """
    names = {group.name for group in begun.order.groups}

    async def all_there() -> tuple[bool, str]:
        centre.observed.look()
        lost = event in LOSE_THE_TARGET and failed_over(centre, begun)
        there = sum(centre.observed.at(site, begun.accounts) for site in ({"east", "west"} if lost else sites))
        settled = all(centre.commits.newest[name].settled for name in names)
        return there == len(begun.accounts) and settled, f"{there} of {len(begun.accounts)}, settled: {settled}"

    await until(f"everybody works at {' or '.join(sorted(sites))}", all_there, timeout=60)


def failed_over(centre: CallCentre, begun: Begun) -> bool:
    """Whether the target itself has been given up since the Shift was applied."""
    return any(city == "west" and one.started_at > begun.applied_at for city, one in centre.commits.failovers)


async def where_it_ends(
    centre: CallCentre, begun: Begun, record: ShiftRecord, phase: str, event: str
) -> frozenset[str]:
    """The sites at which everybody may be, now that the Shift has ended as it has to."""
    late = phase == "verifying"  # it may be over before what happens has any effect
    if event == "abort":
        assert record.phase == "RolledBack" or (late and record.phase == "Completed"), record.message
        return frozenset({"east" if record.phase == "RolledBack" else "west"})
    if event == "emergency":
        assert record.phase == "Interrupted" or (late and record.phase == "Completed"), record.message
        await centre.restore("east")
        return frozenset({"west"})
    if event in LOSE_THE_TARGET and (record.phase == "Interrupted" or failed_over(centre, begun)):
        # Kubernetes lets what has crashed several times wait, and a busy machine starts it slowly: it stayed away for
        # so long that its system was Down, during the Shift or, in its last phase, right after it.
        assert record.phase == "Completed" or "west is Down" in record.message
        return frozenset({"east", "west"})
    if phase == "coming back":
        assert record.phase == "RolledBack", record.message
        return frozenset({"east"})
    assert record.phase == "Completed", record.message
    move = await centre.measured(begun)
    assert move.measures.moved_twice == ()
    assert move.measures.in_two_places == ()
    return frozenset({"west"})
