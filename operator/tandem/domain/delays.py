"""Why an agent was slow, from what the CTIs say of one move.

    bucket begins to leave        out of service     in service
      |-- call, wrap-up, turn ---------|---- gap ---------|

Two questions: what the way as a whole waited for, and what the agent's own gap, the part without service, was spent on.
"""

from enum import StrEnum
from typing import Final

from tandem.domain.records import DelayRecord


class Why(StrEnum):
    """Stable words, in reports and their pictures."""

    CALL = "InACall"
    WRAPUP = "InWrapUp"
    TURN = "Turn"
    DOOR = "AtTheDoor"
    NO_STANDBY = "NoStandby"
    ON_THE_WAY = "OnTheWay"
    NOT_SAID = "NotSaid"


MEANING: Final = {
    Why.CALL: "finished a call first",
    Why.WRAPUP: "finished the after-call work first",
    Why.TURN: "waited for its turn, as wave, pace and the new city's rate allow",
    Why.DOOR: "waited at the new city's door",
    Why.NO_STANDBY: "had no open connection to the new city, and connected first",
    Why.ON_THE_WAY: "waited for nobody: network, client and sign-in",
    Why.NOT_SAID: "the CTI does not say",
}

_SOON_S: Final = 0.1
"""Seconds below which nothing worth a name has kept an agent."""


def why_out(gap: float, delay: DelayRecord | None) -> Why:
    """What most of an agent's own gap was spent on."""
    if delay is None:
        return Why.NOT_SAID
    if not delay.standby:
        return Why.NO_STANDBY
    return Why.DOOR if delay.door_seconds * 2 >= gap and delay.door_seconds > 0 else Why.ON_THE_WAY


def why_late(gap: float, delay: DelayRecord | None) -> Why:
    """What most of an agent's way was spent on, counted from the moment at which the bucket began to leave."""
    kept = delay.kept if delay is not None else None
    if kept is None:
        return why_out(gap, delay)
    parts = {Why.CALL: kept.call, Why.WRAPUP: kept.wrapup, Why.TURN: kept.turn}
    most = max(parts, key=lambda why: parts[why])
    return most if parts[most] > max(gap, _SOON_S) else why_out(gap, delay)


def sentence(why: Why, delay: DelayRecord | None, *, late: bool) -> str:
    """The reason with its figures; what went before the agent's own gap only where the whole way is meant (`late`)."""
    if delay is None:
        return MEANING[Why.NOT_SAID]
    parts = []
    if late and delay.kept is not None:
        kept = delay.kept
        spent = (("in a call", kept.call), ("in wrap-up", kept.wrapup), ("waiting for its turn", kept.turn))
        parts += [f"{seconds:.1f} s {words}" for words, seconds in spent if seconds >= _SOON_S]
    if delay.door_seconds >= _SOON_S:
        reason = f" ({delay.door_reason})" if delay.door_reason else ""
        parts.append(f"{delay.door_seconds:.1f} s at the door{reason}")
    if not delay.standby and why is not Why.NO_STANDBY:
        parts.append("no open connection to the new city")
    return MEANING[why] + (f": {', '.join(parts)}" if parts else "")
