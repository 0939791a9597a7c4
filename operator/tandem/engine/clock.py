"""The real clock."""

import asyncio
import time


class RealClock:
    """CLOCK_BOOTTIME goes on while the machine sleeps, so a lease that lapsed meanwhile has lapsed."""

    def monotonic(self) -> float:
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
