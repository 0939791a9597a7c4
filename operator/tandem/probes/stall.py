"""Stalls of our own event loop: while it stands still, every probe times out, whoever is probed."""

import asyncio
from collections import deque
from typing import Final

from tandem.engine.ports import Clock

TICK_S: Final = 0.05
"""Seconds between two looks at the clock."""

LATE_S: Final = 0.1
"""Lateness of a look, in seconds, from which on the loop counts as having stalled."""

REMEMBERED_S: Final = 60.0
"""Seconds for which stalls are remembered; no probe lasts nearly as long."""


class Stalls:
    """A record of stalls, from ticks that should have come every `TICK_S`. Times: seconds on one monotonic clock."""

    def __init__(self, now: float) -> None:
        self._last = now
        self._found: deque[tuple[float, float]] = deque()

    def tick(self, now: float) -> None:
        """The loop runs at `now`."""
        if now - self._last > TICK_S + LATE_S:
            self._found.append((self._last, now))
        self._last = now
        while self._found and self._found[0][1] < now - REMEMBERED_S:
            self._found.popleft()

    def overlapped(self, start: float, now: float) -> bool:
        """Whether the loop stalled between `start` and `now`.

        A stall that has ended this moment counts: the probe's timeout may be served before the next tick is.
        """
        if now - self._last > TICK_S + LATE_S:
            return True
        return any(end > start for _, end in self._found)


async def watch(stalls: Stalls, clock: Clock) -> None:
    """Tick for ever."""
    while True:
        stalls.tick(clock.monotonic())
        await asyncio.sleep(TICK_S)
