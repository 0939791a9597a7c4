"""Streaks: what a row of probes says, counted at the source and published as edges only.

A void probe (it overlapped a stall of our own loop, or its reference failed) changes nothing: it accuses nobody.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Streak:
    """Unbroken run of equal outcomes. `detail` is that of the first of them: the edge, which does not flicker."""

    passes: bool
    since: float
    """Seconds since the epoch at which the run began."""
    detail: str = ""


def follow(streak: Streak | None, ok: bool, void: bool, now: float, detail: str) -> Streak | None:
    """The streak after one more probe; the very same object when nothing has changed."""
    if void or (streak is not None and streak.passes == ok):
        return streak
    return Streak(ok, now, "" if ok else detail)


def disqualified(engines: Mapping[str, Streak | None]) -> bool:
    """Whether an observer disqualifies itself: it reaches no other location's engine, so the fault may be its own.

    Args:
        engines: Each other location -> the streak of probes of its engine, None while there is none yet.
    """
    return bool(engines) and all(streak is not None and not streak.passes for streak in engines.values())
