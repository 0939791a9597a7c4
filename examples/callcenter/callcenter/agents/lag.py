"""How late this process's event loop is: a process that plays a thousand people must not be the slow one."""

import asyncio
import time
from collections import deque
from typing import Final

INTERVAL: Final = 0.05
"""Seconds between two looks."""

KEPT: Final = 600
"""Looks that are remembered: 30 s."""


class LoopLag:
    """Measures by how much a short sleep is too long. Use as an async context manager."""

    def __init__(self) -> None:
        self._lags: deque[float] = deque(maxlen=KEPT)
        self._worst = 0.0
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "LoopLag":
        self._task = asyncio.create_task(self._measure())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _measure(self) -> None:
        while True:
            before = time.monotonic()  # the loop's own time has a resolution of a millisecond only
            await asyncio.sleep(INTERVAL)
            self.note(time.monotonic() - before - INTERVAL)

    def note(self, lag: float) -> None:
        """Take one measurement, seconds."""
        lag = max(0.0, lag)
        self._lags.append(lag)
        self._worst = max(self._worst, lag)

    def stats(self) -> dict[str, float]:
        """Seconds: median, 99th percentile and maximum of the last 30 s, and the worst since the start."""
        ordered = sorted(self._lags) or [0.0]
        return {
            "p50": round(ordered[len(ordered) // 2], 6),
            "p99": round(ordered[min(len(ordered) - 1, len(ordered) * 99 // 100)], 6),
            "max": round(ordered[-1], 6),
            "worst": round(self._worst, 6),
        }
