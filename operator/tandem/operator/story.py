"""What happened, in words for people: the difference between two pictures of the store, as Events on objects.

Does no I/O; `events.py` posts them. Nothing is told about what was there before the operator started. A Shift or a
Drill may pass several steps between two pictures: each is told, in the order in which it was taken.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from tandem.api.resources import AGENT_GROUP, DRILL, SHIFT, SITE, TRUNK, Resource
from tandem.api.shift import FINISHED
from tandem.domain import keys
from tandem.domain.abort import going_back
from tandem.domain.history import WAITS
from tandem.domain.reasons import GATE_REASONS, Reason
from tandem.domain.records import DrillRunRecord, ShiftRecord
from tandem.domain.snapshot import FAILOVER, DrillEntry, Instant, ShiftEntry, Snapshot, site_in
from tandem.domain.verdicts import State, next_confirmation, site_verdict
from tandem.domain.waves import wave_text
from tandem.operator.statuses.common import gaps_of

LOOKED_AT: Final = (
    keys.COORDINATOR, keys.HOLD, keys.SPECS, keys.ORDERS, keys.PLACEMENTS, keys.SHIFTS, keys.OBSERVATIONS, keys.TRUNKS,
    keys.HEARTBEATS, keys.FAILOVERS, keys.DRILLS, keys.DRILL_REPORTS,
)  # fmt: skip
"""Keys without whose change there is nothing to tell."""


@dataclass(frozen=True)
class Tale:
    """One thing that happened to one object."""

    resource: Resource
    name: str
    reason: str
    message: str
    type: Literal["Normal", "Warning"] = "Normal"


def tales(
    before: Snapshot,
    after: Snapshot,
    site: str,
    then: Instant | None = None,
    now: Instant | None = None,
    *,
    unwell: set[str] | None = None,
) -> Iterator[Tale]:
    """What happened between two pictures, as seen from `site`.

    Args:
        then, now: When each was looked at, on the clock of whoever took them: time alone confirms a loss.
        unwell: Sites of which nothing is known, and the last that was known was not good. Kept up to date here, for
            the next pair of pictures.
    """
    yield from _coordination(before, after, site)
    yield from _verdicts(before, after, then, now, set() if unwell is None else unwell)
    yield from _failovers(before, after)
    yield from _orders(before, after)
    yield from _shifts(before, after)
    yield from _drills(before, after)
    yield from _reports(before, after)
    yield from _trunks(before, after)


def _coordination(before: Snapshot, after: Snapshot, site: str) -> Iterator[Tale]:
    if before.hold is None and after.hold is not None:
        hold = after.hold.record
        message = f"{hold.by} holds everything: {hold.reason or 'no reason given'}. `kubectl tandem resume` lifts it"
        yield Tale(SITE, site, "Held", message, "Warning")
    if before.hold is not None and after.hold is None:
        yield Tale(SITE, site, "Resumed", "the hold is lifted; what waited goes on")
    old = before.coordinator.record.site if before.coordinator else ""
    new = after.coordinator.record.site if after.coordinator else ""
    if new and new != old:
        yield Tale(SITE, site, "CoordinatorChanged", f"{new} is coordinator now" + (f"; it was {old}" if old else ""))


_TOLD: Final = {
    State.HEALTHY: ("SiteHealthy", "Normal"),
    State.MAINTENANCE: ("SiteInMaintenance", "Normal"),
    State.DEGRADED: ("SiteDegraded", "Warning"),
    State.SUSPECT: ("SiteSuspect", "Warning"),
    State.DOWN: ("SiteDown", "Warning"),
    State.ABSENT: ("SiteAbsent", "Warning"),
}


def _verdicts(
    before: Snapshot, after: Snapshot, then: Instant | None, now: Instant | None, unwell: set[str]
) -> Iterator[Tale]:
    # Verdicts come from observations: without a change of those, of a Site or a failover, or a loss that has been
    # confirmed meanwhile, there is nothing to compare.
    same_words = before.observations == after.observations and before.heartbeats.keys() == after.heartbeats.keys()
    same = same_words and before.sites == after.sites and before.failovers == after.failovers
    if same and not _confirmed_meanwhile(after, then, now):
        return
    for name in after.sites:
        old, new = site_verdict(before, name, then), site_verdict(after, name, now)
        if old.state is new.state:
            continue
        if new.state is State.UNKNOWN:
            if old.state is not State.HEALTHY:
                unwell.add(name)  # A city that comes back passes this while its engine has not tried all of it yet.
            continue
        back = name in unwell
        unwell.discard(name)
        if old.state is State.UNKNOWN and new.state is State.HEALTHY and not back:
            continue  # Evidence arrived and all is well: no news.
        reason, kind = _TOLD.get(new.state, (f"Site{new.state}", "Warning"))
        yield Tale(SITE, name, reason, new.sentence, "Warning" if kind == "Warning" else "Normal")


def _confirmed_meanwhile(snapshot: Snapshot, then: Instant | None, now: Instant | None) -> bool:
    if then is None or now is None:
        return False
    due_in = next_confirmation(snapshot, then.mono)
    return due_in is not None and then.mono + due_in <= now.mono


def _failovers(before: Snapshot, after: Snapshot) -> Iterator[Tale]:
    for site, entry in after.failovers.items():
        record, old = entry.record, before.failovers.get(site)
        if old is not None and (old.record.number, old.record.state) == (record.number, record.state):
            continue
        if record.state == "Active":
            yield Tale(SITE, site, "FailedOver", f"failover {record.number}: {record.message}", "Warning")
        elif old is not None:
            how = record.ending or f"{site} is back"
            yield Tale(SITE, site, "FailoverEnded", f"{how}; nobody returns before a Shift says so")
    # Group by group, as they are placed: many take several transactions, and some wait for room or for a person.
    for name, placed in after.placements.items():
        earlier, cause = before.placements.get(name), placed.record.cause
        if earlier is not None and earlier.record.cause != cause and cause.startswith(FAILOVER):
            yield Tale(AGENT_GROUP, name, "FailedOver", f"{site_in(cause)} is lost: its agents go elsewhere", "Warning")


def _orders(before: Snapshot, after: Snapshot) -> Iterator[Tale]:
    for name, entry in after.orders.items():
        order, old = entry.record, before.orders.get(name)
        if old is not None and old.record.digest == order.digest and old.record.outcome == order.outcome:
            continue
        if order.outcome == "Refused":
            yield Tale(AGENT_GROUP, name, "OrderRefused", f"{order.reason}: {order.message}", "Warning")
        elif order.outcome == "Adopted":
            yield Tale(AGENT_GROUP, name, "Adopted", order.message or "placed where its agents are signed in")
        elif order.shift:
            yield Tale(AGENT_GROUP, name, "OrderAccepted", f"Shift {order.shift.rpartition('/')[2]} carries it out")
        elif name not in before.placements and (placed := after.placements.get(name)) is not None:
            yield Tale(AGENT_GROUP, name, "Placed", f"first placement, at revision {placed.revision}")


def _shifts(before: Snapshot, after: Snapshot) -> Iterator[Tale]:
    for name, entry in after.shifts.items():
        old = before.shifts.get(name)
        if old is not None and _step_of(old.record) == _step_of(entry.record):
            continue
        yield from _shift(old, entry, after)


def _step_of(record: ShiftRecord) -> tuple[str, int, bool, str, bool]:
    """What makes an Event when it changes. Other words for the same wait are no news."""
    return record.phase, record.wave, record.spec.approved, _wait_of(record), record.pace is not None


def _wait_of(record: ShiftRecord) -> str:
    """The reason for which it waits, if it does."""
    waits = record.phase not in FINISHED and record.reason in _WAITS
    return record.reason if waits else ""


_WAITS: Final = WAITS | GATE_REASONS | {Reason.OBSERVING}
"""Reasons for which a Shift waits, gates included. Every Shift waits for its target's test: that is no news."""

_NEWS: Final = {
    "AwaitingApproval": "AwaitingApproval",
    "Preparing": "Preparing",
    "Verifying": "Verifying",
    "Aborting": "Aborting",
    "RolledBack": "RolledBack",
    "Interrupted": "ShiftInterrupted",
    "Failed": "ShiftFailed",
}
_BAD: Final = frozenset({"Aborting", "RolledBack", "Interrupted", "Failed"})


def _shift(old: ShiftEntry | None, entry: ShiftEntry, after: Snapshot) -> Iterator[Tale]:
    record, name = entry.record, entry.name
    before = old.record if old else None
    # A Shift may pass several phases in one turn; its plan is news in any case.
    if record.plan_text and not (before and before.plan_text):
        yield Tale(SHIFT, name, "ShiftPlanned", " ".join(record.plan_text)[:1000])
    if record.spec.approved and not (before and before.spec.approved):
        yield Tale(SHIFT, name, "Approved", f"approved by {record.spec.approved_by or 'a person'}")
    yield from _waves(before, entry)
    if before is None or (before.phase, before.wave) != (record.phase, record.wave):
        yield from _phase(before, entry, after)
    wait = _wait_of(record)
    if wait and wait != (_wait_of(before) if before else ""):
        mild = wait == Reason.OBSERVING
        yield Tale(SHIFT, name, "Waiting", f"{wait}: {record.message}", "Normal" if mild else "Warning")
    slow, slowed = record.pace is not None, before is not None and before.pace is not None
    if slow and not slowed:
        message = f"the target is slow: {record.pace:.1f} of {record.spec.pace} agents a second"
        yield Tale(SHIFT, name, "SlowedDown", message, "Warning")
    elif slowed and not slow and record.phase not in FINISHED:
        yield Tale(SHIFT, name, "FullPace", f"{record.spec.pace} agents a second again")


def _phase(before: ShiftRecord | None, entry: ShiftEntry, after: Snapshot) -> Iterator[Tale]:
    record, name = entry.record, entry.name
    if record.phase == "RolledBack" and record.started_at and before is not None and before.phase != "Aborting":
        yield Tale(SHIFT, name, "Aborting", going_back(record), "Warning")
    if record.phase == "Completed":
        yield Tale(SHIFT, name, "Moved" if record.started_at else "Completed", _result(entry, after))
        if record.started_at:
            for plan in record.plan:
                yield Tale(AGENT_GROUP, plan.group, "Moved", f"Shift {entry.short_name}: {record.message}")
    elif record.phase in _NEWS:
        kind: Literal["Normal", "Warning"] = "Warning" if record.phase in _BAD else "Normal"
        # What it waits for is an Event of its own.
        message = "looks whether the target can take the agents now" if _wait_of(record) else record.message
        yield Tale(SHIFT, name, _NEWS[record.phase], message or record.reason, kind)


def _waves(before: ShiftRecord | None, entry: ShiftEntry) -> Iterator[Tale]:
    """Every wave that has started meanwhile."""
    record, name = entry.record, entry.name
    for wave in range((before.wave if before else 0) + 1, record.wave + 1):
        present = record.phase == "Moving" and wave == record.wave
        message = record.message if present else wave_text(record, wave)
        yield Tale(SHIFT, name, "MoveStarted" if wave == 1 else "WaveStarted", message)
        if wave == 1:
            for plan in record.plan:
                message = f"Shift {entry.short_name} moves about {plan.agents} agents to {' and '.join(plan.targets)}"
                yield Tale(AGENT_GROUP, plan.group, "MoveStarted", message)


def _result(entry: ShiftEntry, after: Snapshot) -> str:
    gaps = gaps_of(after, entry.name)
    times = f"; own gaps of {gaps.agents} agents: p50 {gaps.p50}, p95 {gaps.p95}, max {gaps.max}" if gaps else ""
    return f"{entry.record.message}{times}"


_DRILL_NEWS: Final = {"Out": "DrillStarted", "Holding": "Holding", "Back": "ComingBack"}
_DRILL_STEPS: Final = tuple(_DRILL_NEWS)


def _drills(before: Snapshot, after: Snapshot) -> Iterator[Tale]:
    for name, entry in after.drills.items():
        old, record = before.drills.get(name), entry.record
        known = {run.name for run in old.record.runs} if old else set()
        for run in reversed(record.runs):
            if run.name not in known and old is not None:
                yield from _drill_steps(old, name, run, "", "")
                good = run.outcome == "Succeeded"
                reason = f"Drill{run.outcome}"
                yield Tale(DRILL, name, reason, f"run {run.name}: {run.message}", "Normal" if good else "Warning")
        if record.run is not None:
            yield from _drill_steps(old, name, record.run, record.phase, record.message)
        waits = record.phase == "Checking" and (old is None or old.record.phase != "Checking")
        if waits and record.reason != "Checking":
            yield Tale(DRILL, name, "Waiting", f"{record.reason}: {record.message}", "Warning")


def _drill_steps(old: DrillEntry | None, name: str, run: DrillRunRecord, phase: str, message: str) -> Iterator[Tale]:
    """Every step that a run has taken meanwhile. `phase`, `message`: the present one's; empty when it is over."""
    told = old is not None and old.record.run is not None and old.record.run.name == run.name
    before = _DRILL_STEPS.index(old.record.phase) + 1 if told and old and old.record.phase in _DRILL_STEPS else 0
    stayed = bool(run.holding_since) and (run.outcome in (None, "Succeeded") or phase == "Holding")
    taken = {"Out": bool(run.started_at), "Holding": stayed, "Back": bool(run.back.shift)}
    missed = {
        "Out": f"run {run.name} has started",
        "Holding": f"{run.out.moved} agents work at {' and '.join(run.goals)}",
        "Back": f"run {run.name} comes back",
    }
    for step in _DRILL_STEPS[before:]:
        if taken[step]:
            yield Tale(DRILL, name, _DRILL_NEWS[step], message if step == phase else missed[step])


def _reports(before: Snapshot, after: Snapshot) -> Iterator[Tale]:
    for key, entry in after.drill_reports.items():
        if key not in before.drill_reports:
            drill, run = entry.record.drill, entry.record.run
            namespace, _, short = drill.partition("/")
            how = f"`kubectl tandem drill report {short} -n {namespace} --run {run}` prints it"
            yield Tale(DRILL, drill, "ReportWritten", f"the report of run {run} is written; {how}")


def _trunks(before: Snapshot, after: Snapshot) -> Iterator[Tale]:
    for name, entry in after.routes.items():
        old = before.routes.get(name)
        message = entry.record.message
        if message and (old is None or old.record.message != message):
            yield Tale(TRUNK, name, "RoutesNotInForce", message, "Warning")
