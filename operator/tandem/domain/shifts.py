"""The life of a Shift.

    Pending -> Planned -> (AwaitingApproval) -> Preparing -> Moving (wave k of n) -> Verifying -> Completed
       |                        |                   |            |
       +--> Failed              +--> RolledBack     +--> Failed  +--> Aborting -> RolledBack

Each phase is one small function that looks at the snapshot and says what is next; `advance` goes as far as it can and
commits everything of one turn together: the Shift's record and the placements of the groups whose wave starts. A group
whose wave does not fit into the transaction follows in the next turn: "to start" is read off the map, not remembered,
so a coordinator that dies half-way through is continued by the next one, and nobody is moved twice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from tandem.api.common import duration_seconds
from tandem.constants import FORCE_GRACE_S, PATIENCE_S, PREPARE_PATIENCE_S, TXN_OPERATIONS, VERIFY_S
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.placement import Moves, Slot, parse_moves
from tandem.domain.plan import conflict_refusal, hold_refusal, make_plan, reserve, unusable_target
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import GroupPlan, PlacementRecord, Record, ShiftRecord
from tandem.domain.selection import drain_of, wishes_of
from tandem.domain.snapshot import Instant, Placed, ShiftEntry, Snapshot

_OTHERS: Final = 6  # operations of a turn besides its groups': the Shift, its order, the coordinator, the hold
_WORDS: Final = 4  # premises for a target that must be usable: two components, two words each
_ABORTING: Final = "aborted: what this Shift moved goes back"


@dataclass
class Turn:
    """One Shift's turn in a decision."""

    draft: Draft
    ledger: Ledger
    entry: ShiftEntry
    record: ShiftRecord
    now: Instant
    writes: dict[str, Record | None] = field(default_factory=dict)
    premises: list[Premise] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    reason: Reason = Reason.PLANNED
    room: int = 0
    """Groups that still fit into this turn's transaction."""

    @property
    def snapshot(self) -> Snapshot:
        return self.draft.snapshot

    @property
    def subject(self) -> str:
        return f"Shift {self.entry.name}"

    @property
    def in_phase_for(self) -> float:
        """Seconds in the present phase and wave, as far as this engine has seen; 0 when entered in this turn."""
        stored = self.entry.record
        unchanged = (stored.phase, stored.wave) == (self.record.phase, self.record.wave)
        return self.now.mono - self.entry.since if unchanged else 0.0

    def become(self, reason: Reason, message: str, **changes: object) -> None:
        self.reason = reason
        self.said.append(message)
        finished = changes.get("phase") in ("Completed", "RolledBack", "Failed")
        if finished:
            changes["finished_at"] = self.now.wall
        self.record = self.record.model_copy(update={"reason": reason, "message": message, **changes})

    def wait(self, refusal: Refusal) -> None:
        """Stay, and say why: in the decision's notes, and in the record for everyone to see."""
        self.draft.note(self.subject, refusal.reason, refusal.message)
        if (self.record.reason, self.record.message) != (refusal.reason, refusal.message):
            self.become(refusal.reason, refusal.message)

    def place(self, group: str, placed: Placed, moves: Moves, drain_from: PlacementRecord) -> bool:
        """Commit these slots of a group in this turn. False: no room left, or written by another rule already."""
        key = keys.placement(group)
        if self.room <= 0 or key in self.draft.written:
            return False
        self.room -= 1
        self.writes[key] = self.draft.stamp(drain_from.model_copy(update={"map": placed.map.change(moves).encode()}))
        self.premises.append(self.draft.placement(placed, group))
        return True


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
        draft.commit(turn.subject, turn.reason, "; ".join(turn.said) or turn.record.message, turn.writes, premises)


# -- the phases


def pending(turn: Turn) -> None:
    record = turn.record
    if record.spec.abort:
        turn.become(Reason.ABORTED_BY_USER, "aborted before anything was planned", phase="RolledBack")
        return
    # Our own clock since we first saw it, and the creator's: a Shift that lay in a store without coordinator is late
    # although we have only just seen it. A creator's clock that is wrong can only make it fail, never start.
    age = max(turn.now.mono - turn.entry.first_seen, turn.now.wall - record.created_at)
    if age > PATIENCE_S:
        why = record.message or "no coordinator took it up in time"
        message = f"not accepted within {PATIENCE_S:.0f} s ({why}); create it again under a new name"
        turn.become(_reason(record.reason) or Reason.NOT_ACCEPTED_IN_TIME, message, phase="Failed")
        return
    wishes = wishes_of(turn.snapshot, turn.entry.namespace, record)
    if not isinstance(wishes, Refusal):
        plan = make_plan(turn.snapshot, turn.ledger, turn.entry.name, turn.draft.busy, wishes)
        if not isinstance(plan, Refusal):
            reserve(turn.ledger, plan)
            turn.become(Reason.PLANNED, plan.text[0], phase="Planned", plan=plan.groups, plan_text=plan.text)
            return
        wishes = plan
    if wishes.reason == Reason.NOTHING_TO_MOVE:
        turn.become(wishes.reason, wishes.message, phase="Completed")
    elif wishes.temporary and wishes.reason != Reason.SHIFT_CONFLICT:
        turn.draft.wake(turn.now.mono + PATIENCE_S - age)
        turn.wait(wishes)
    else:
        turn.become(wishes.reason, wishes.message, phase="Failed")


def planned(turn: Turn) -> None:
    spec = turn.record.spec
    if spec.dry_run:
        turn.become(Reason.DRY_RUN, "planned only, as dryRun asks: nothing was moved", phase="Completed")
    elif spec.abort:
        turn.become(Reason.ABORTED_BY_USER, "aborted before anything was moved", phase="RolledBack")
    elif spec.approval == "Manual" and not spec.approved:
        turn.become(Reason.AWAITING_APPROVAL, "waits for a person to set spec.approved: true", phase="AwaitingApproval")
    else:
        turn.become(Reason.PREPARING, "looks whether the target can take the agents now", phase="Preparing")


def awaiting_approval(turn: Turn) -> None:
    spec = turn.record.spec
    if spec.abort:
        turn.become(Reason.ABORTED_BY_USER, "aborted before anything was moved", phase="RolledBack")
    elif spec.approved:
        groups = [plan.group for plan in turn.record.plan]
        refusal = _outdated(turn) or conflict_refusal(turn.draft.busy, turn.entry.name, groups)
        if refusal is not None:
            turn.become(refusal.reason, refusal.message, phase="Failed")
        else:
            turn.become(Reason.PREPARING, f"approved by {spec.approved_by or 'a person'}", phase="Preparing")


def preparing(turn: Turn) -> None:
    if turn.record.spec.abort:
        turn.become(Reason.ABORTED_BY_USER, "aborted before anything was moved", phase="RolledBack")
        return
    for plan in turn.record.plan:
        turn.draft.busy.setdefault(plan.group, turn.entry.name)
    refusal = _may_start(turn)
    if refusal is not None:
        if turn.in_phase_for > PREPARE_PATIENCE_S:
            turn.become(refusal.reason, f"gave up before anything moved: {refusal.message}", phase="Failed")
            return
        turn.draft.wake(turn.now.mono + PREPARE_PATIENCE_S - turn.in_phase_for + 0.001)
        turn.wait(refusal)
        return
    _start_wave(turn, 1)


def moving(turn: Turn) -> None:
    record = turn.record
    if record.spec.abort:
        turn.become(Reason.ABORTING, _ABORTING, phase="Aborting")
        return
    stored = turn.entry.record
    if (stored.phase, stored.wave) != (record.phase, record.wave):
        return  # This wave was started in this very turn.
    if any(True for _ in _to_start(turn, record.wave)):
        refusal = _may_start(turn)
        if refusal is not None:
            turn.wait(refusal)
            return
        turn.become(Reason.WAVE_STARTED, _wave_text(record, record.wave))
        _commit_wave(turn, record.wave)
        return
    staying = _staying(turn)
    if staying is None:
        return  # Agents are on their way; their CTI's next report goes on from here.
    if record.wave < _waves(record):
        refusal = _may_start(turn)
        if refusal is not None:
            turn.wait(refusal)
            return
        _start_wave(turn, record.wave + 1, staying)
        return
    turn.become(Reason.VERIFYING, "every bucket has left; counts who has arrived", phase="Verifying", staying=staying)


def verifying(turn: Turn) -> None:
    record = turn.record
    if record.spec.abort:
        turn.become(Reason.ABORTING, _ABORTING, phase="Aborting")
        return
    planned_agents = sum(plan.agents for plan in record.plan)
    staying = sum(record.staying.values())
    there = arrivals(turn.snapshot, turn.entry.name)
    missing = planned_agents - staying - there
    if missing > 0 and turn.in_phase_for < VERIFY_S:
        turn.draft.wake(turn.now.mono + VERIFY_S - turn.in_phase_for + 0.001)
        return
    targets = " and ".join(sorted({plan.to for plan in record.plan}))
    parts = [f"{there} agents arrived at {targets}"]
    reason = Reason.COMPLETED
    if missing > 0:
        reason = Reason.AGENTS_MISSING
        parts.append(f"{missing} of the {planned_agents} planned signed out or were not signed in")
    if staying:
        reason = Reason.AGENTS_STAY
        named = ", ".join(f"{group} {count}" for group, count in sorted(record.staying.items()) if count)
        parts.append(f"{staying} stay where they are until their call has ended: {named}")
    turn.become(reason, "; ".join(parts), phase="Completed")


def aborting(turn: Turn) -> None:
    """The mirror image: buckets still as this Shift left them go back to where they were, onto usable sites."""
    homes = {(direction.split(">")[0], plan.system) for plan in turn.record.plan for direction in plan.moves}
    usable = {home for home in homes if unusable_target(turn.snapshot, {home}) is None}
    turn.room = _room(usable)
    patient = turn.in_phase_for < PATIENCE_S
    waiting = False
    staying: list[str] = []
    given_up: list[str] = []
    for plan, placed in _own_groups(turn):
        back, returning = _way_back(plan, placed)
        now = {bucket: slot for bucket, slot in back.items() if (slot.to, plan.system) in usable}
        if now:
            held = hold_refusal(turn.snapshot)
            if held is not None:
                turn.wait(held)
                return
            turn.place(plan.group, placed, now, _placement(turn, plan.group, placed))
            waiting = True
        elif returning:
            late = turn.in_phase_for - _deadline(placed.record, plan.agents)
            if late < 0:
                turn.draft.wake(turn.now.mono - late + 0.001)
                waiting = True
            else:
                staying.append(plan.group)
        if len(now) < len(back):
            given_up.append(plan.group)
    if turn.writes:
        if turn.record.reason != Reason.ABORTING:
            turn.become(Reason.ABORTING, _ABORTING)
        turn.premises.append(turn.draft.no_hold)
        turn.premises.extend(turn.draft.still_usable(usable))
    if given_up and patient:
        # A hiccup of the old site must not decide where its agents end up.
        turn.draft.wake(turn.now.mono + PATIENCE_S - turn.in_phase_for + 0.001)
        return
    if waiting:
        return
    parts = ["what this Shift moved is back where it was"]
    if given_up:
        parts.append(f"{', '.join(given_up)} stay where they are: the site they came from is not usable")
    if staying:
        parts.append(f"agents of {', '.join(staying)} in a call follow when it has ended")
    turn.become(Reason.ROLLED_BACK, "; ".join(parts), phase="RolledBack")


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
        moves.agents for entry in snapshot.moves.values() if (moves := entry.record.shifts.get(shift)) is not None
    )


def cause_of(entry: ShiftEntry) -> str:
    """What a placement committed for this Shift names as its cause."""
    return entry.record.cause or f"Shift/{entry.short_name}"


def _waves(record: ShiftRecord) -> int:
    return max((len(plan.waves) for plan in record.plan), default=0)


def _wave(plan: GroupPlan, wave: int) -> Moves:
    return parse_moves(plan.waves[wave - 1]) if wave <= len(plan.waves) else {}


def _to_start(turn: Turn, wave: int) -> Iterator[tuple[GroupPlan, Placed, dict[int, Slot]]]:
    """Groups with buckets of this wave that are still (settled, or headed) where the plan found them."""
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None:
            continue
        slots = placed.map.slots
        start = {bucket: slot for bucket, slot in _wave(plan, wave).items() if slots[bucket].end == slot.site}
        if start:
            yield plan, placed, start


def _start_wave(turn: Turn, wave: int, staying: dict[str, int] | None = None) -> None:
    turn.become(
        Reason.WAVE_STARTED,
        _wave_text(turn.record, wave),
        phase="Moving",
        wave=wave,
        wave_started_at=turn.now.wall,
        started_at=turn.record.started_at or turn.now.wall,
        staying=staying or {},
    )
    _commit_wave(turn, wave)


def _wave_text(record: ShiftRecord, wave: int) -> str:
    agents = sum(plan.agents for plan in record.plan)
    return f"wave {wave} of {_waves(record)}, about {agents} agents in all"


def _commit_wave(turn: Turn, wave: int) -> None:
    targets = _targets(turn)
    turn.room = _room(targets)
    for plan, placed, moves in _to_start(turn, wave):
        turn.place(plan.group, placed, moves, _placement(turn, plan.group, placed))
    turn.reason = Reason.WAVE_STARTED
    turn.premises.append(turn.draft.no_hold)
    turn.premises.extend(turn.draft.still_usable(targets))


def _placement(turn: Turn, group: str, placed: Placed) -> PlacementRecord:
    published = turn.snapshot.groups.get(group)
    spec = turn.record.spec
    drain = drain_of(spec, published.spec if published else None)
    return placed.record.model_copy(update={"cause": cause_of(turn.entry), "pace": spec.pace, "drain": drain})


def _room(targets: set[tuple[str, str]]) -> int:
    """Groups that fit into one transaction together with what else must be written and compared."""
    return TXN_OPERATIONS - _OTHERS - _WORDS * len(targets)


def _targets(turn: Turn) -> set[tuple[str, str]]:
    return {(direction.split(">")[1], plan.system) for plan in turn.record.plan for direction in plan.moves}


def _may_start(turn: Turn) -> Refusal | None:
    """What forbids a wave to start now, whatever was true when it was planned."""
    return hold_refusal(turn.snapshot) or unusable_target(turn.snapshot, _targets(turn))


def _staying(turn: Turn) -> dict[str, int] | None:
    """Agents beyond the deadline per group once every bucket of this wave has left or is late; None: not yet."""
    staying: dict[str, int] = dict(turn.record.staying)
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None:
            continue
        slots = placed.map.slots
        leaving = {bucket: slot for bucket, slot in _wave(plan, turn.record.wave).items() if slots[bucket] == slot}
        if not leaving:
            continue
        deadline = _deadline(placed.record, plan.agents)
        if turn.in_phase_for < deadline:
            turn.draft.wake(turn.entry.since + deadline + 0.001)
            return None
        count = 0
        for bucket, slot in leaving.items():
            report = turn.snapshot.group_report(slot.site, plan.system, plan.group)
            count += report.buckets.get(str(bucket), 0) if report else 0
        staying[plan.group] = staying.get(plan.group, 0) + count
    return staying


def _deadline(placed: PlacementRecord, agents: int) -> float:
    """Seconds that a wave may take: the longest call and wrap-up, and the time its pace needs."""
    drain = placed.drain
    wait = duration_seconds(drain.max_talk) + duration_seconds(drain.max_wrap_up)
    wait += agents / placed.pace if placed.pace else 0.0
    return wait + (FORCE_GRACE_S if drain.on_deadline == "Force" else 0.0)


def _own_groups(turn: Turn) -> Iterator[tuple[GroupPlan, Placed]]:
    """Groups whose placement is still this Shift's doing: nobody else has changed it since."""
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is not None and placed.record.cause == cause_of(turn.entry):
            yield plan, placed


def _way_back(plan: GroupPlan, placed: Placed) -> tuple[dict[int, Slot], bool]:
    """Buckets to turn back now, and whether some are on their way back already."""
    back: dict[int, Slot] = {}
    returning = False
    for bucket, slot in parse_moves(plan.moves).items():
        now = placed.map.slots[bucket]
        home = Slot(slot.to, slot.site)
        if now == home:
            returning = True
        elif now.end == slot.to:
            back[bucket] = home
    return back, returning


def _outdated(turn: Turn) -> Refusal | None:
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None or placed.map.encode() != plan.before:
            message = f"{plan.group} has been moved since this was planned; create the Shift again under a new name"
            return Refusal(Reason.PLAN_OUTDATED, message)
    return None


def _reason(text: str) -> Reason | None:
    return Reason(text) if text in set(Reason) else None
