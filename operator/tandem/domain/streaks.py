"""Streaks: what a row of probes says, counted at the source and published as edges only.

A void probe (it overlapped a stall of our own loop, or its reference failed) accuses nobody, and it keeps no accusation
alive either: one that no measured failure has renewed for `patience` seconds is withdrawn, and a later failure begins a
new one. An accusation is *firm* once enough failures in a row were really measured; only firm ones end a city.

Void probes do not keep praise alive for ever either: a Pass that nothing has renewed for `credit` seconds is published
as *stale*. It speaks neither for the component nor against it, until one more probe is answered.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from tandem.constants import CREDIT_S
from tandem.domain.records import ObservationRecord

MOST_FAILURES: Final = 3

_A_TURN: Final = 2
"""Failures in a row that show whether connections still come about: one may have begun before a city died."""


@dataclass(frozen=True, slots=True)
class Streak:
    """Unbroken run of equal outcomes. `detail` is that of the first of them: the edge, which does not flicker."""

    passes: bool
    since: float
    """Seconds since the epoch at which the run began."""
    detail: str = ""
    firm: bool = False
    """A failing one: enough failures were measured."""
    stale: bool = False
    """A passing one: nothing has renewed it for long."""
    connects: bool = False
    """A failing one: nobody answers, yet connections come about."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What counts, and for how long."""

    enough: int
    """Measured failures that make a firm accusation."""
    patience: float
    """Most seconds between two of them."""

    @property
    def credit(self) -> float:
        """Seconds for which a Pass stands that nothing renews."""
        return max(CREDIT_S, 3 * self.patience)

    @classmethod
    def of(cls, interval: float, timeout: float, confirm_after: float) -> "Rule":
        """The rule for this pace (seconds): firm well before `confirm_after`, of at least two failures."""
        beat = max(interval, timeout)
        # A Site's times are bounded. Should one be 0 all the same, an observer that stops is worse than a strict one.
        fit = int(confirm_after / beat) if beat > 0 else MOST_FAILURES
        return cls(max(2, min(MOST_FAILURES, fit)), 1.5 * interval + timeout)


@dataclass(frozen=True, slots=True)
class Row:
    """A streak with what it was counted from; only the streak is published."""

    streak: Streak
    measured: int
    """Probes of this streak that were not void."""
    last: float
    """Monotonic time of the newest of them."""
    otherwise: int = 0
    """Newest failures in a row that say the opposite of `streak.connects`."""


def follow(
    row: Row | None, rule: Rule, ok: bool, void: bool, now: float, mono: float, detail: str, connects: bool = False
) -> Row | None:
    """The row after one more probe. None: nothing is said of the component.

    Args:
        now, mono: When the probe ended: seconds since the epoch, and on the monotonic clock.
        connects: Of a failure: whether the connection came about.
    """
    overdue = row is not None and not row.streak.passes and mono - row.last > rule.patience
    if void:
        if row is not None and row.streak.passes and mono - row.last > rule.credit:
            return replace(row, streak=replace(row.streak, stale=True))
        return None if overdue else row
    if row is None or row.streak.passes != ok or row.streak.stale or overdue:
        return Row(Streak(ok, now, "" if ok else detail), 1, mono, otherwise=int(connects))
    measured = row.measured + 1
    otherwise = row.otherwise + 1 if connects != row.streak.connects else 0
    turned = otherwise >= _A_TURN
    said = (not ok and measured >= rule.enough, row.streak.connects != turned)
    streak = row.streak
    if said != (streak.firm, streak.connects):
        streak = replace(streak, firm=said[0], connects=said[1])
    return Row(streak, measured, mono, 0 if turned else otherwise)


def word(streak: Streak, failure_domain: str) -> ObservationRecord:
    """What is published of a streak."""
    return ObservationRecord(
        state="Pass" if streak.passes else "Fail",
        since=streak.since,
        firm=streak.firm,
        stale=streak.stale,
        connects=streak.connects,
        detail=streak.detail,
        failure_domain=failure_domain,
    )


def disqualified(engines: Mapping[str, Streak | None], before: bool) -> bool:
    """Whether an observer disqualifies itself: it reaches no other location's engine, so the fault may be its own.

    Args:
        engines: Each other location -> the streak of probes of its engine, None while nothing is known of it.
        before: Whether it is disqualified now. It stays so until one of them really answers.
    """
    streaks = engines.values()
    if not streaks or any(streak is not None and streak.passes for streak in streaks):
        return False
    return before or all(streak is not None for streak in streaks)
