"""How many are let in: never more than the stated rate, and fewer while this process comes late. Pure.

A CTI that is short of a processor pings late and hears answers late, and sessions end by that; those who lost theirs
sign in again, and it falls further behind. Letting people in is the one work that can wait, so it gives way.
"""

from math import inf
from typing import Final

from callcenter.session.pacing import TokenBucket

LATE_LEASES: Final = 0.25
"""Share of a lease by which a tick may come late before fewer are let in; a session has three pings in a lease."""

REGAIN: Final = 0.1
"""Share of the stated rate that is won back in each second of ticks in time."""

LEAST: Final = 0.05
"""Share of the stated rate below which it never falls: nobody waits for ever."""


class Admission:
    """Args: rate: stated, sign-ins a second. lease: seconds. usual: seconds between two ticks when nothing is wrong."""

    def __init__(self, rate: float, lease: float, usual: float) -> None:
        self._most = rate
        self._lease = lease
        self._usual = usual
        self._bucket = TokenBucket(rate)
        self._ticked_at: float | None = None

    @property
    def rate(self) -> float:
        """Sign-ins a second that this process bears now."""
        return self._bucket.rate

    def tick(self, now: float) -> None:
        """Measure how late this tick comes."""
        passed = now - self._ticked_at if self._ticked_at is not None else 0.0
        self._ticked_at = now
        if self._most == inf:
            return
        if passed - self._usual > LATE_LEASES * self._lease:
            self._bucket.rate = max(self._bucket.rate / 2, self._most * LEAST)
        else:
            self._bucket.rate = min(self._bucket.rate + passed * REGAIN * self._most, self._most)

    def take(self, now: float, *, waiting: bool = False) -> bool:
        """Let one in at `now`, or say that it is too early; `waiting`: somebody has waited since the last look."""
        return self._bucket.take(now, waiting=waiting)
