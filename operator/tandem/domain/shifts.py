"""The life of a Shift.

    Pending -> Planned -> (AwaitingApproval) -> Preparing -> Moving (wave k of n) -> Verifying -> Completed
       |                        |                   |            |
       +--> Failed              +--> RolledBack     +--> Failed  +--> Aborting -> RolledBack

Each phase is one small function that looks at the snapshot and says what is next; `advance` goes as far as it can and
commits everything of one turn together: the Shift's record and the placements of the groups whose wave starts. A group
whose wave does not fit into the transaction follows in the next turn: "to start" is read off the map, not remembered,
so a coordinator that dies half-way through is continued by the next one, and nobody is moved twice.
"""

from collections.abc import Callable, Sequence
from typing import Final

from tandem.api.common import duration_seconds
from tandem.constants import GATE_SETTLE_S, PATIENCE_S, PREPARE_PATIENCE_S, VERIFY_S
from tandem.domain import keys
from tandem.domain.abort import aborted, aborting, going_back
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.gates import first_closed
from tandem.domain.pace import planned_agents
from tandem.domain.plan import conflict_refusal, reserve
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import Record
from tandem.domain.rehearsal import rehearse
from tandem.domain.selection import plan_shift, wishes_of
from tandem.domain.slowing import keep_pace
from tandem.domain.snapshot import Instant, ShiftEntry, Snapshot
from tandem.domain.target_tests import targets_of, untested
from tandem.domain.turn import Turn
from tandem.domain.wave_measures import alarmed, leaving_in, measured
from tandem.domain.waves import (
    announced_maintenance,
    commit_wave,
    full_target,
    may_start,
    missing_replicas,
    start_wave,
    staying_now,
    still_staying,
    takes_room,
    to_start,
    wave_text,
)

NAMED_IN_MESSAGE: Final = 10
"""Accounts that a sentence names."""


def advance(
    draft: Draft,
    ledger: Ledger,
    entry: ShiftEntry,
    now: Instant,
    *,
    with_writes: dict[str, Record | None] | None = None,
    with_premises: tuple[Premise, ...] = (),
) -> None:
    """Bring one Shift as far as it can go now. `with_*`: the order that it was made from, committed together."""
    turn = Turn(draft, ledger, entry, entry.record, now, dict(with_writes or {}), list(with_premises))
    before = None
    while turn.record.phase != before:
        before = turn.record.phase
        phase = PHASES.get(turn.record.phase)
        if phase is not None:
            phase(turn)
    if turn.record != entry.record or entry.mod_revision == 0:
        turn.writes[keys.shift(entry.name)] = turn.record
    if turn.writes:
        premises = (draft.shift(entry), *turn.premises)
        draft.commit(turn.subject, turn.reason, turn.record.message, turn.writes, premises)


# -- the phases


def pending(turn: Turn) -> None:
    record = turn.record
    if record.spec.abort:
        turn.become(Reason.ABORTED_BY_USER, f"{aborted(turn.record)} before anything was planned", phase="RolledBack")
        return
    # Our own clock since we first saw it, and the creator's: a Shift that lay in a store without coordinator is late
    # although we have only just seen it. A creator's clock that is wrong can only make it fail, never start.
    age = max(turn.now.mono - turn.entry.first_seen, turn.now.wall - record.created_at)
    if age > PATIENCE_S:
        why = record.message or "no coordinator took it up in time"
        if turn.now.mono - turn.entry.first_seen < PATIENCE_S and not record.message:
            why = f"by the clock of {record.created_in} it is {age:.0f} s old; if it is new, a clock is wrong"
        message = f"not accepted within {PATIENCE_S:.0f} s ({why}); create it again under a new name"
        turn.become(_reason(record.reason) or Reason.NOT_ACCEPTED_IN_TIME, message, phase="Failed")
        return
    if _in_an_emergency(turn):
        return  # The plan rests on what comes of that, which the next decision knows.
    plan = plan_shift(turn.snapshot, turn.ledger, turn.draft.busy, turn.entry.name, record)
    if not isinstance(plan, Refusal):
        if not record.spec.dry_run and (record.spec.approval == "Auto" or record.spec.approved):
            reserve(turn.ledger, plan, turn.subject)
        turn.become(Reason.PLANNED, plan.text[0], phase="Planned", **plan.of_record)
    elif plan.reason == Reason.NOTHING_TO_MOVE:
        turn.become(plan.reason, plan.message, phase="Completed")
    elif is_waited_for(plan):
        turn.draft.wake(turn.now.mono + PATIENCE_S - age)
        turn.wait(plan)
    else:
        turn.become(plan.reason, plan.message, phase="Failed")


def _in_an_emergency(turn: Turn) -> bool:
    """Whether one of its groups is moved by an emergency in this very decision."""
    written = turn.draft.written
    if not any(key.startswith(keys.PLACEMENTS) for key in written):
        return False
    wishes = wishes_of(turn.snapshot, turn.entry.namespace, turn.record)
    return not isinstance(wishes, Refusal) and any(keys.placement(wish.group) in written for wish in wishes)


def is_waited_for(refusal: Refusal) -> bool:
    """Whether a Shift waits for this to pass; for another Shift it does not: that may take hours."""
    return refusal.temporary and refusal.reason != Reason.SHIFT_CONFLICT


def planned(turn: Turn) -> None:
    spec = turn.record.spec
    if spec.dry_run:
        waits_for = may_start(turn) or full_target(turn)
        now = f"; now it would wait: {waits_for.message}" if waits_for else ""
        turn.become(Reason.DRY_RUN, f"planned only, as dryRun asks: nothing was moved{now}", phase="Completed")
    elif spec.abort:
        turn.become(Reason.ABORTED_BY_USER, f"{aborted(turn.record)} before anything was moved", phase="RolledBack")
    elif spec.approval == "Manual" and not spec.approved:
        name, namespace = turn.entry.short_name, turn.entry.namespace
        message = f"waits for a person: `kubectl tandem approve {name} -n {namespace}`"
        turn.become(Reason.AWAITING_APPROVAL, message, phase="AwaitingApproval")
    else:
        turn.become(Reason.PREPARING, "looks whether the target can take the agents now", phase="Preparing")


def awaiting_approval(turn: Turn) -> None:
    spec = turn.record.spec
    if spec.abort:
        turn.become(Reason.ABORTED_BY_USER, f"{aborted(turn.record)} before anything was moved", phase="RolledBack")
    elif spec.approved:
        groups = [plan.group for plan in turn.record.plan]
        refusal = (
            _outdated(turn)
            or conflict_refusal(turn.draft.busy, turn.entry.name, groups)
            or announced_maintenance(turn)  # copies that differ are waited for, as in every Shift that prepares
        )
        if refusal is not None:
            turn.become(refusal.reason, refusal.message, phase="Failed")
        else:
            turn.become(Reason.PREPARING, f"approved by {spec.approved_by or 'a person'}", phase="Preparing")


def preparing(turn: Turn) -> None:
    if turn.record.rehearses:
        rehearse(turn)
        return
    if turn.record.spec.abort:
        turn.become(Reason.ABORTED_BY_USER, f"{aborted(turn.record)} before anything was moved", phase="RolledBack")
        return
    for plan in turn.record.plan:
        turn.draft.busy.setdefault(plan.group, turn.entry.name)
    # Its room was counted when it was planned, which may be long ago: it may have waited for a person.
    refusal = (
        may_start(turn)
        or takes_room(turn)
        or missing_replicas(turn)  # before the test, which is to tell what they bear
        or untested(turn.snapshot, turn.entry.name, targets_of(turn.record))
        or alarmed(turn.snapshot, turn.entry, turn.record)
    )
    if refusal is not None:
        if turn.in_phase_for > PREPARE_PATIENCE_S:
            turn.become(refusal.reason, f"gave up before anything moved: {refusal.message}", phase="Failed")
            return
        turn.draft.wake(turn.now.mono + PREPARE_PATIENCE_S - turn.in_phase_for + 0.001)
        turn.wait(refusal)
        return
    start_wave(turn, 1)


def moving(turn: Turn) -> None:
    record = turn.record
    if record.spec.abort:
        turn.become(Reason.ABORTING, going_back(record), phase="Aborting")
        return
    stored = turn.entry.record
    if (stored.phase, stored.wave) != (record.phase, record.wave):
        return  # This wave was started in this very turn.
    if any(True for _ in to_start(turn, record.wave)):
        refusal = may_start(turn)
        if refusal is not None:
            turn.wait(refusal)
            return
        turn.become(Reason.WAVE_STARTED, wave_text(record, record.wave))
        commit_wave(turn, record.wave)
        return
    if record.spec.pace and keep_pace(turn, list(leaving_in(record.plan, record.wave)), targets_of(record)):
        return
    staying = staying_now(turn)
    if staying is None:
        return  # Agents are on their way; their CTI's next report goes on from here.
    if record.wave < record.waves:
        refusal = may_start(turn)
        if refusal is not None:
            _no_gate(turn)  # nobody can help a gate meanwhile: its patience begins anew
            turn.wait(refusal)
        elif not waits_at_a_gate(turn):
            start_wave(turn, record.wave + 1, staying)
        return
    message = "every bucket has left; counts who has arrived"
    turn.become(Reason.VERIFYING, message, phase="Verifying", **staying.changes)


def waits_at_a_gate(turn: Turn) -> bool:
    """Whether a gate between this wave and the next is closed. One that stays so for too long sends everybody back."""
    record, gates = turn.record, turn.record.spec.gates
    found = measured(turn.snapshot, turn.entry, record, turn.now)
    closed = first_closed(gates, found)
    if closed is None:
        return False
    gate, refusal = closed
    turn.draft.wake(turn.now.mono + 1.0)
    if refusal.reason is Reason.OBSERVING:
        _no_gate(turn)
        turn.wait(refusal)
        return True
    if found.quiet_for < GATE_SETTLE_S:
        turn.draft.wake(turn.now.mono + GATE_SETTLE_S - found.quiet_for + 0.001)
        turn.draft.note(turn.subject, refusal.reason, refusal.message)
        return True
    # For people by the wall clock; every engine counts for itself from when it saw it closed, whoever coordinates.
    since = record.gate_since or turn.now.wall
    closed_for = turn.now.mono - turn.entry.gate_since if record.gate_since else 0.0
    if closed_for > duration_seconds(gates.patience) and gates.after_patience == "Abort":
        why = f"the gate {gate.name} stayed closed for {gates.patience}: {refusal.message}"
        turn.become(Reason.ABORTING, f"{going_back(record)} ({why})", phase="Aborting", aborted_for=why)
        return True
    if (record.gate, record.gate_since) != (gate.name, since):
        turn.become(refusal.reason, refusal.message, gate=gate.name, gate_since=since)
    turn.wait(refusal)
    return True


def _no_gate(turn: Turn) -> None:
    turn.record = turn.record.model_copy(update={"gate": "", "gate_since": 0.0})


def verifying(turn: Turn) -> None:
    record = turn.record
    if record.spec.abort:
        turn.become(Reason.ABORTING, going_back(record), phase="Aborting")
        return
    agents = planned_agents(record)
    still = still_staying(turn)
    staying = sum(still.by_group.values())
    there = arrivals(turn.snapshot, turn.entry.name)
    missing = agents - staying - there
    if missing > 0 and turn.in_phase_for < VERIFY_S:
        turn.draft.wake(turn.now.mono + VERIFY_S - turn.in_phase_for + 0.001)
        return
    targets = " and ".join(sorted({target for plan in record.plan for target in plan.targets}))
    parts = [f"{there} agents arrived at {targets}"]
    reason = Reason.COMPLETED
    if missing > 0:
        reason = Reason.AGENTS_MISSING
        parts.append(f"{missing} of the {agents} planned signed out or were not signed in")
    if staying:
        reason = Reason.AGENTS_STAY
        counted = ", ".join(f"{group} {count}" for group, count in sorted(still.by_group.items()))
        parts.append(f"{staying} stay where they are until their call has ended: {counted}{_names(still.accounts)}")
    turn.become(reason, "; ".join(parts), phase="Completed", **still.changes)


PHASES: Final[dict[str, Callable[[Turn], None]]] = {
    "Pending": pending,
    "Planned": planned,
    "AwaitingApproval": awaiting_approval,
    "Preparing": preparing,
    "Moving": moving,
    "Verifying": verifying,
    "Aborting": aborting,
}


# -- what phases share


def arrivals(snapshot: Snapshot, shift: str) -> int:
    """Agents who arrived by this Shift, as the receiving cities count them."""
    return sum(
        moves.moved for entry in snapshot.moves.values() if (moves := entry.record.shifts.get(shift)) is not None
    )


def _outdated(turn: Turn) -> Refusal | None:
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None or placed.map.encode() != plan.before:
            message = f"{plan.group} has been moved since this was planned; create the Shift again under a new name"
            return Refusal(Reason.PLAN_OUTDATED, message)
    return None


def _names(names: Sequence[str]) -> str:
    """The first of those who stay, by name; the status has them all."""
    if not names:
        return ""
    more = f" and {len(names) - NAMED_IN_MESSAGE} more" if len(names) > NAMED_IN_MESSAGE else ""
    return f" ({', '.join(names[:NAMED_IN_MESSAGE])}{more})"


def _reason(text: str) -> Reason | None:
    return Reason(text) if text in set(Reason) else None
