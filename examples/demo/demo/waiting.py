"""Waiting for something, never for ever."""

import asyncio
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
    deadline = time.monotonic() + timeout
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
        if time.monotonic() >= deadline:
            raise NotInTimeError(f"{what}: not after {timeout:.0f} s. How it stands: {how or 'no answer'}")
        await asyncio.sleep(every)
