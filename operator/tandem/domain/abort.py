"""Abort: the mirror image of a move. Buckets still as the Shift left them go back, onto usable sites only."""

from collections.abc import Iterator
from typing import Final

from tandem.constants import PATIENCE_S
from tandem.domain.placement import Slot, parse_moves
from tandem.domain.plan import hold_refusal, unusable_target
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupPlan
from tandem.domain.snapshot import Placed
from tandem.domain.turn import Turn, cause_of, deadline_s, placement_by, room_beside

ABORTING: Final = "aborted: what this Shift moved goes back"


def aborting(turn: Turn) -> None:
    """The mirror image: buckets still as this Shift left them go back to where they were, onto usable sites."""
    homes = {(direction.split(">")[0], plan.system) for plan in turn.record.plan for direction in plan.moves}
    usable = {home for home in homes if unusable_target(turn.snapshot, {home}) is None}
    turn.room = room_beside(usable)
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
            turn.place(plan.group, placed, now, placement_by(turn, plan.group, placed))
            waiting = True
        elif returning:
            late = turn.in_phase_for - deadline_s(placed.record, plan.agents)
            if late < 0:
                turn.draft.wake(turn.now.mono - late + 0.001)
                waiting = True
            else:
                staying.append(plan.group)
        if len(now) < len(back):
            given_up.append(plan.group)
    if turn.writes:
        if turn.record.reason != Reason.ABORTING:
            turn.become(Reason.ABORTING, ABORTING)
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
