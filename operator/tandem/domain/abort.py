"""Abort: the mirror image of a move. Buckets still as the Shift left them go back, onto usable sites only.

    wave 0       of a group that was on its way the wave under way turns round at once, and whatever else is on its way:
                 nobody more may leave by it
    wave 1 .. n  what had arrived, by the waves in which it went, each when the one before is back

The pace is the Shift's own, over all groups together. Which wave of the way back is under way is in the record, so a
coordinator that dies is continued by the next one; what is still to go back is read off the map.
"""

from collections.abc import Iterator, Mapping

from tandem.constants import PATIENCE_S
from tandem.domain.outlook import longest_s
from tandem.domain.pace import Leaving, needed_s, pace_now, split
from tandem.domain.placement import Slot, parse_moves
from tandem.domain.plan import hold_refusal, unusable_target
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupPlan, ShiftRecord
from tandem.domain.slowing import keep_pace
from tandem.domain.snapshot import Placed
from tandem.domain.turn import Turn, cause_of, placement_by
from tandem.domain.wave_measures import entering, moved_to, wave_moves

Slots = Mapping[int, Slot]


def aborted(record: ShiftRecord) -> str:
    """The word for it, with the person where one is named."""
    return f"aborted by {record.spec.aborted_by}" if record.spec.aborted_by else "aborted"


def going_back(record: ShiftRecord) -> str:
    """What becomes of it, as a sentence."""
    return f"{aborted(record)}: what this Shift moved goes back"


def aborting(turn: Turn) -> None:
    """The mirror image: buckets still as this Shift left them go back to where they were, onto usable sites."""
    homes = {(home, plan.system) for plan in turn.record.plan for home in plan.sources}
    usable = {home for home in homes if unusable_target(turn.snapshot, {home}) is None}
    while not _step(turn, usable):
        turn.become(Reason.ABORTING, _text(turn, turn.record.back_wave + 1), back_wave=turn.record.back_wave + 1)


def _step(turn: Turn, usable: set[tuple[str, str]]) -> bool:
    """Go on with the present wave of the way back. False: it is over and there is another one."""
    wave = turn.record.back_wave
    go = [
        (plan, placed, back)
        for plan, placed in _own_groups(turn)
        if (back := _to_return(plan, placed, wave, turn.record.wave))
    ]
    now = [
        (plan, placed, there)
        for plan, placed, back in go
        if (there := {bucket: slot for bucket, slot in back.items() if (slot.to, plan.system) in usable})
    ]
    if now:
        held = hold_refusal(turn.snapshot)
        if held is not None:
            turn.wait(held)
            return True
        _commit(turn, now)
    blocked = sum(len(back) for _, _, back in go) > sum(len(there) for _, _, there in now)
    if blocked and not turn.record.home_given_up:
        if turn.in_phase_for < PATIENCE_S:
            # A hiccup of the old site must not decide where its agents end up.
            turn.draft.wake(turn.now.mono + PATIENCE_S - turn.in_phase_for + 0.001)
            return True
        turn.record = turn.record.model_copy(update={"home_given_up": True})
    if now:
        return True
    if _on_their_way(turn, wave):
        if turn.record.spec.pace:
            keep_pace(turn, list(_leaving(turn.record)), sorted(usable))
        return True
    if wave < _last_wave(turn):
        return False
    _finish(turn)
    return True


def _commit(turn: Turn, now: list[tuple[GroupPlan, Placed, dict[int, Slot]]]) -> None:
    turn.begin_to_place()
    paces = split(pace_now(turn.record), list(_leaving(turn.record)))
    for plan, placed, there in now:
        turn.place_onto_usable(plan.group, placed, there, placement_by(turn, plan.group, placed, paces[plan.group]))
    if turn.record.reason != Reason.ABORTING:
        turn.become(Reason.ABORTING, _text(turn, turn.record.back_wave))
    turn.premises.append(turn.draft.no_hold)


def _leaving(record: ShiftRecord) -> Iterator[Leaving]:
    """Agents whom this wave of the way back may have; of the first one nobody knows beforehand, so all of them."""
    wave = record.back_wave
    for plan in record.plan:
        part = wave_moves(plan, wave) if wave else parse_moves(plan.moves)
        if part:
            yield Leaving(plan.group, plan.system, entering(plan, part))


def _on_their_way(turn: Turn, wave: int) -> bool:
    """Whether agents are still going back who have not been waited for long enough."""
    record = turn.record
    leaving_s = needed_s(pace_now(record), list(_leaving(record)), moved_to(record.plan))
    for plan, placed in _own_groups(turn):
        if not any(True for _ in _returning(plan, placed, wave)):
            continue
        late = turn.in_phase_for - longest_s(placed.record.drain, leaving_s)
        if late < 0:
            turn.draft.wake(turn.now.mono - late + 0.001)
            return True
    return False


def _finish(turn: Turn) -> None:
    staying, given_up = [], []
    for plan, placed in _own_groups(turn):
        slots = placed.map.slots
        moves = parse_moves(plan.moves)
        if any(slots[bucket] == Slot(slot.to, slot.site) for bucket, slot in moves.items()):
            staying.append(plan.group)
        if any(slots[bucket].end == slot.to for bucket, slot in moves.items()):
            given_up.append(plan.group)
    parts = ["what this Shift moved is back where it was"]
    if given_up:
        parts.append(f"{', '.join(given_up)} stay where they are: the site they came from is not usable")
    if staying:
        parts.append(f"agents of {', '.join(staying)} in a call follow when it has ended")
    if turn.record.aborted_for:
        parts.append(f"it went back by itself: {turn.record.aborted_for}")
    turn.become(Reason.ROLLED_BACK, "; ".join(parts), phase="RolledBack", staying={}, accounts_staying=())


def _text(turn: Turn, wave: int) -> str:
    why = f" ({turn.record.aborted_for})" if turn.record.aborted_for else ""
    text = going_back(turn.record)
    return f"{text}, wave {wave} of {_last_wave(turn)}{why}" if wave else f"{text}{why}"


def _last_wave(turn: Turn) -> int:
    return max(turn.record.wave, 1)


def _own_groups(turn: Turn) -> Iterator[tuple[GroupPlan, Placed]]:
    """Groups whose placement is still this Shift's doing: nobody else has changed it since."""
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is not None and placed.record.cause == cause_of(turn.entry):
            yield plan, placed


def _to_return(plan: GroupPlan, placed: Placed, wave: int, under_way: int) -> dict[int, Slot]:
    """Buckets that this wave of the way back turns round, as they still are. `under_way`: the last wave that began."""
    slots = placed.map.slots
    if wave:
        due = {bucket: slot for bucket, slot in wave_moves(plan, wave).items() if slots[bucket] == Slot(slot.to)}
    else:
        due = {bucket: slot for bucket, slot in parse_moves(plan.moves).items() if slots[bucket] == slot}
        latest = wave_moves(plan, under_way)
        if due.keys() & latest.keys():
            due |= {bucket: slot for bucket, slot in latest.items() if slots[bucket] == Slot(slot.to)}
    return {bucket: Slot(slot.to, slot.site) for bucket, slot in due.items()}


def _returning(plan: GroupPlan, placed: Placed, wave: int) -> Iterator[int]:
    """Buckets of this wave of the way back that are on their way."""
    slots = placed.map.slots
    moves = wave_moves(plan, wave) if wave else parse_moves(plan.moves)
    return (bucket for bucket, slot in moves.items() if slots[bucket] == Slot(slot.to, slot.site))
