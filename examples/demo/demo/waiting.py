"""Waiting for something, never for ever."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable

from demo.errors import NotInTimeError


async def until(
    what: str,
    check: Callable[[], Awaitable[tuple[bool, str]]],
    *,
    timeout: float,
    every: float = 0.25,
    told: Callable[[str], None] | None = None,
) -> None:
    """Ask `check` until it says yes.

    Args:
        what: What is waited for, for the error.
        check: Answers (done, how it stands in words). An exception counts as no, and as how it stands.
        timeout: Seconds.
        every: Seconds between two questions.
        told: Is given how it stands whenever that changed.
    Raises: NotInTimeError with the last words.
    """
    now = asyncio.get_running_loop().time
    deadline = now() + timeout
    before = ""
    while True:
        try:
            done, how = await check()
        except Exception as e:  # what is waited for may not be able to answer yet
            done, how = False, f"{type(e).__name__}: {e}"
        if told is not None and how and how != before:
            told(how)
        before = how
        if done:
            return
        if now() >= deadline:
            raise NotInTimeError(f"{what}: not after {timeout:.0f} s. How it stands: {how or 'no answer'}")
        await asyncio.sleep(every)


class TimeLeft:
    """How long something takes that goes on at the pace it has had so far."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._began: tuple[float, float] | None = None

    def words(self, done: float, wanted: float) -> str:
        """`, about 3 s left`, or nothing while there is no pace to speak of. `done` may also fall towards `wanted`."""
        now = self._clock()
        if self._began is None:
            self._began = (now, done)
        began_at, before = self._began
        if now - began_at < 1 or done in (before, wanted):
            return ""
        left = (wanted - done) * (now - began_at) / (done - before)
        return f", about {math.ceil(left)} s left" if 0 < left < 600 else ""
