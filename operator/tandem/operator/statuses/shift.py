"""Status of a Shift: the store's record, with the agents' own switch times."""

from collections.abc import Iterable
from functools import lru_cache

from tandem.api.shift import FINISHED, ShiftPlan, ShiftProgress, ShiftSpec, ShiftStatus, SwitchTimes
from tandem.constants import SHIFTS_KEPT
from tandem.domain.outlook import groups_in
from tandem.domain.pace import pace_now
from tandem.domain.reasons import Reason
from tandem.domain.records import RanRecord, ShiftRecord
from tandem.domain.snapshot import ShiftEntry
from tandem.operator.objects import Seen, seconds
from tandem.operator.statuses.common import Said, Scene, blindness, gaps_of, rfc3339, settle


def shift_status(scene: Scene, seen: Seen, entry: ShiftEntry, local: Iterable[Said] = ()) -> ShiftStatus:
    """The status of a Shift that the store knows.

    Args:
        local: Conditions that only this cluster's operator knows.
    """
    record = entry.record
    gaps = gaps_of(scene.snapshot, entry.name)
    agents = sum(plan.agents for plan in record.plan)
    moved = gaps.moved if gaps else 0
    return ShiftStatus(
        phase=record.phase,
        to=record.spec.goal,
        plan=record.plan_text,
        planned=_planned(_One(record)),
        groups=tuple(plan.group for plan in record.plan),
        progress=ShiftProgress(
            agents=agents,
            moved=moved,
            back=gaps.back if gaps else 0,
            staying=sum(record.staying.values()),
            wave=record.wave,
            waves=record.waves,
            back_wave=record.back_wave,
            pace=_pace(record),
            text=f"{moved}/{agents}" if agents else "",
        ),
        accounts_staying=record.accounts_staying,
        switch_times=SwitchTimes(p50=gaps.p50, p95=gaps.p95, max=gaps.max) if gaps else SwitchTimes(),
        gate_closed=record.gate,
        gate_closed_since=rfc3339(record.gate_since),
        approved_at=rfc3339(record.approved_at),
        approved_by=record.spec.approved_by if record.spec.approved else "",
        aborted_by=record.spec.aborted_by or "",
        started_at=rfc3339(record.started_at),
        finished_at=rfc3339(record.finished_at),
        reason=record.reason,
        message=record.message,
        observed_generation=seen.generation,
        conditions=settle([*_conditions(scene, entry), *local], seen, seen.generation, scene.now),
    )


def _pace(record: ShiftRecord) -> str:
    stated, now = record.spec.pace, pace_now(record)
    if not stated:
        return ""
    return f"{stated}/s" if now == stated else f"{now:.1f}/s of {stated}/s"


class _One:
    """A record by its identity: the same object says the same, however large it is."""

    def __init__(self, record: ShiftRecord) -> None:
        self.record = record

    def __hash__(self) -> int:
        return id(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _One) and other.record is self.record


# Every status is looked at again after each change of the store, and the plans of finished Shifts stay as they are.
@lru_cache(maxsize=SHIFTS_KEPT)
def _planned(one: _One) -> ShiftPlan:
    return one.record.planned.model_copy(update={"groups": groups_in(one.record.plan)})


def _conditions(scene: Scene, entry: ShiftEntry) -> list[Said]:
    record = entry.record
    reason, message = record.reason or record.phase, record.message or record.phase
    if record.phase == "Completed":
        return [Said("Ready", "True", reason, message)]
    if entry.finished:
        return [Said("Ready", "False", reason, message), Said("Stalled", "True", reason, message)]
    if scene.blind:
        return [blindness(scene)]
    return [Said("Ready", "False", reason, message), Said("Reconciling", "True", reason, message)]


def of_an_earlier(seen: Seen, record: ShiftRecord) -> bool:
    """Whether an object is of an earlier Shift of this name: it was over before the present one was made.

    Its status tells, for as long as nobody writes the present one's over it.
    """
    over_at = _over_at(seen)
    if record.phase in FINISHED or seen.status.get("phase") not in FINISHED:
        return False
    # One that only this cluster gave up on may have come to the store by way of another one since.
    return 0.0 < over_at < record.created_at and seen.status.get("reason") != Reason.NOT_ACCEPTED_IN_TIME


def left_over(seen: Seen, record: ShiftRecord) -> bool:
    """Whether an object of an earlier Shift says what the present one must not hear: an abort, an approval, another
    move."""
    spec, known = seen.spec, record.spec
    if not isinstance(spec, ShiftSpec) or not of_an_earlier(seen, record):
        return False
    return spec.deed != known.deed or (spec.abort and not known.abort) or (spec.approved and not known.approved)


def left_behind(seen: Seen, record: ShiftRecord, now: float) -> ShiftStatus:
    """The status of such an object. `now`: seconds since the epoch."""
    message = (
        f"this object is of an earlier Shift of this name, which is over. The store has a newer one, made in "
        f"{record.created_in}, which does not go by what was said to this one; delete this object, and the newer one "
        "is shown here"
    )
    was = RanRecord(phase=seen.status["phase"], message=message, finished_at=_over_at(seen))
    return _what_it_was(seen, was, Reason.NAME_TAKEN, message, now)


def _over_at(seen: Seen) -> float:
    """Seconds since the epoch; 0: its status does not say."""
    return seconds(str(seen.status.get("finishedAt", "")))


def failed_here(seen: Seen, reason: str, message: str, now: float) -> ShiftStatus:
    """A Shift that the store does not have and that must not start any more. `now`: seconds since the epoch."""
    said = [Said("Ready", "False", reason, message), Said("Stalled", "True", reason, message)]
    return ShiftStatus(
        phase="Failed",
        to=_goal(seen),
        reason=reason,
        message=message,
        finished_at=rfc3339(now),
        observed_generation=seen.generation,
        conditions=settle(said, seen, seen.generation, now),
    )


def ran_before(seen: Seen, ran: RanRecord, now: float) -> ShiftStatus:
    """A Shift that has run under this name and whose record is gone: it is what it was, and moves nobody again."""
    when = rfc3339(ran.finished_at)
    message = (
        f"a Shift of this name has run and was over at {when} ({ran.phase}: {ran.message}); it does not move anybody "
        "again. Create it under another name, or delete it first"
    )
    return _what_it_was(seen, ran, Reason.ALREADY_RUN, message, now)


def ended(seen: Seen, ran: RanRecord, now: float) -> ShiftStatus:
    """A Shift whose end this cluster learns of when its record is gone."""
    return _what_it_was(seen, ran, ran.phase, ran.message, now)


def _what_it_was(seen: Seen, ran: RanRecord, reason: str, message: str, now: float) -> ShiftStatus:
    said = [Said("Ready", "True", reason, message)]
    if ran.phase != "Completed":
        said = [Said("Ready", "False", reason, message), Said("Stalled", "True", reason, message)]
    return ShiftStatus(
        phase=ran.phase,
        to=_goal(seen),
        reason=reason,
        message=message,
        finished_at=rfc3339(ran.finished_at),
        observed_generation=seen.generation,
        conditions=settle(said, seen, seen.generation, now),
    )


def waiting_here(seen: Seen, reason: str, message: str, now: float) -> ShiftStatus:
    """A Shift that has not reached the store yet. `now`: seconds since the epoch."""
    said = [Said("Ready", "False", reason, message), Said("Reconciling", "True", reason, message)]
    return ShiftStatus(
        phase="Pending",
        to=_goal(seen),
        reason=reason,
        message=message,
        conditions=settle(said, seen, seen.generation, now),
    )


def _goal(seen: Seen) -> str:
    return seen.spec.goal if isinstance(seen.spec, ShiftSpec) else ""
