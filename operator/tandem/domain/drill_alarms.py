"""Outcome alarms of a run under way: one that fires, or that nobody can ask any more, brings everybody back."""

from tandem.constants import ALARM_PATIENCE_S
from tandem.domain.alarms import firing, unknown, watch_of_drill
from tandem.domain.drill_turn import DrillTurn
from tandem.domain.reasons import Reason


def heed_alarms(turn: DrillTurn) -> None:
    """Come back when an outcome alarm has fired during this run, or was not answered anywhere for `ALARM_PATIENCE_S`.

    Agents who are on their way back already go on; the run has failed all the same.
    """
    watch = watch_of_drill(turn.name, turn.published, turn.record)
    if watch is None or turn.run.alarms is None or turn.run.outcome is not None:
        return
    outcome = turn.run.alarms.outcome
    for found in firing(turn.snapshot, watch, outcome):
        turn.come_back_early("Failed", Reason.ALARM_FIRED, f"outcome {found.sentence}")
        turn.change_run(alarm=found.fired)
        return
    blind = unknown(turn.snapshot, watch, outcome)
    if not blind:
        if turn.run.unwatched_since:
            turn.change_run(unwatched_since=0.0)
        return
    if not turn.run.unwatched_since:
        turn.change_run(unwatched_since=turn.now.wall)
    left = ALARM_PATIENCE_S - turn.known_for("unwatched_since")
    if left > 0:
        turn.draft.wake(turn.now.mono + left + 0.001)
        return
    message = f"nobody has been able to watch it for {ALARM_PATIENCE_S:.0f} s: outcome {blind[0].sentence}"
    turn.come_back_early("Failed", Reason.ALARM_UNKNOWN, message)
