"""A Shift under way slows down when its target does, and picks up again in steps (`pace.next_pace`).

The pace now is in the Shift's record; placements of groups on their way that say another one are written anew with the
same map. So a change reaches the CTI that lets agents go in the way in which every order does.
"""

from collections.abc import Iterator, Sequence

from tandem.constants import PACE_GROUPS_PER_S, PACE_INTERVAL_S
from tandem.domain.pace import Leaving, Reception, next_pace, pace_now, split
from tandem.domain.reasons import Reason
from tandem.domain.target_tests import Place
from tandem.domain.turn import Turn, cause_of, placement_by


def keep_pace(turn: Turn, leaving: Sequence[Leaving], places: Sequence[Place]) -> bool:
    """Set the pace by how agents are taken in at `places`, and tell it to the groups on their way.

    Args:
        leaving: The wave under way, of the way out or back, of a Shift that states a pace.
    Returns: Whether it has placed groups in this turn, so that nothing else may.
    """
    stated = float(turn.record.spec.pace)
    interval = max(PACE_INTERVAL_S, len(leaving) / PACE_GROUPS_PER_S)
    # By this engine's own clock, whoever coordinates: wall clocks are set.
    since = min(turn.now.mono - turn.entry.pace_since, turn.in_phase_for)
    if since < interval:
        turn.draft.wake(turn.now.mono + interval - since + 0.001)
    else:
        now = pace_now(turn.record)
        found = next_pace(stated, now, list(_receptions(turn, leaving, places)))
        if found != now:
            pace = None if found == stated else found
            turn.record = turn.record.model_copy(update={"pace": pace, "pace_at": turn.now.wall})
    return turn.snapshot.hold is None and _tell(turn, leaving)


def _receptions(turn: Turn, leaving: Sequence[Leaving], places: Sequence[Place]) -> Iterator[Reception]:
    whole = sum(one.agents for one in leaving)
    for site, system in places:
        entry = turn.snapshot.moves.get((site, system))
        moves = entry.record.shifts.get(turn.entry.name) if entry is not None else None
        if entry is None or moves is None or turn.now.mono - entry.seen_at > PACE_INTERVAL_S:
            continue
        report = turn.snapshot.report(site, system)
        own = sum(one.agents for one in leaving if one.system == system)
        bears = report.sign_in_rate * whole / own if report is not None and own else 0.0
        yield Reception(moves.recent_p95, bears)


def _tell(turn: Turn, leaving: Sequence[Leaving]) -> bool:
    paces = split(pace_now(turn.record), leaving)
    turn.begin_to_place()
    told = False
    for group, pace in paces.items():
        placed = turn.snapshot.placements.get(group)
        if placed is None or placed.record.cause != cause_of(turn.entry) or not placed.map.in_transit:
            continue
        if placed.record.together_pace != pace.together:
            told |= turn.place(group, placed, {}, placement_by(turn, group, placed, pace))
    if told:
        turn.reason = Reason.PACE_CHANGED
        turn.premises.append(turn.draft.no_hold)
    return told
