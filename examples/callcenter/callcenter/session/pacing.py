"""A token bucket without a clock of its own: at most `rate` a second, and a small burst after a quiet moment."""

from dataclasses import dataclass, field
from math import inf
from typing import Final

BURST_SECONDS: Final = 0.05
"""A quiet bucket lets this many seconds' worth through at once."""

LATE_SECONDS: Final = 0.5
"""While somebody waits, a look that comes late lets through what accrued meanwhile, up to this many seconds' worth: a
process that is short of a processor looks five times a second instead of fifty, and would let in a fifth."""


@dataclass(slots=True)
class TokenBucket:
    """Lets at most `rate` (per second, > 0) through; `inf` lets everything through."""

    rate: float
    _tokens: float = field(default=0.0, init=False)
    _at: float | None = field(default=None, init=False)
    _waited_for: bool = field(default=False, init=False)

    def __post_init__(self) -> None:
        if not self.rate > 0:
            raise ValueError(f"a rate of {self.rate}/s lets nobody through: it must be more than 0")

    def ready(self, now: float, *, waiting: bool = False) -> bool:
        """Whether one may go through at `now`; `waiting`: somebody has waited since the last look."""
        if self.rate == inf:
            return True
        # The one on top keeps what accrues between two looks at a slow bucket, or it would run slower than its rate.
        most = 1.0 + self.rate * (LATE_SECONDS if waiting else BURST_SECONDS)
        if self._at is None:
            self._tokens = most
        elif now > self._at:  # what is left of this same look was made up for already
            self._tokens = min(most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return self._tokens >= 1.0

    def take(self, now: float, *, waiting: bool = False) -> bool:
        """Let one through at `now`, or say that it is too early."""
        self._waited_for = not self.ready(now, waiting=waiting)
        if self._waited_for:
            return False
        self._tokens -= 1.0
        return True

    def comes_back(self) -> None:
        """Somebody who did not get to ask at this look will do so at the next one."""
        self._waited_for = True

    def waited_for(self, now: float) -> bool:
        """Whether somebody was left over at the last look, and that is no longer ago than what is made up for."""
        return self._waited_for and self._at is not None and now - self._at <= LATE_SECONDS
