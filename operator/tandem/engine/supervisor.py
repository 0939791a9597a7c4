"""Supervision: each part of the engine runs as a task that is started again when it fails, and never quietly.

A part that keeps failing ends the process with its error: the kubelet's restart is the stronger medicine, and calls
and sessions do not depend on this process.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Mapping

from tandem.engine.ports import Clock

log = logging.getLogger(__name__)

_BACKOFF_S = (0.1, 0.5, 1.0, 2.0)
_MOST_FAILURES = 5
_WINDOW_S = 60.0


async def supervise(parts: Mapping[str, Callable[[], Awaitable[None]]], clock: Clock) -> None:
    """Run all parts until cancelled. Raises ExceptionGroup when one failed 5 times within a minute."""
    async with asyncio.TaskGroup() as tasks:
        for name, part in parts.items():
            tasks.create_task(_keep_running(name, part, clock), name=name)


async def _keep_running(name: str, part: Callable[[], Awaitable[None]], clock: Clock) -> None:
    failures: deque[float] = deque(maxlen=_MOST_FAILURES)
    while True:
        try:
            await asyncio.ensure_future(part())
        except asyncio.CancelledError:
            if _told_to_stop():
                raise
            # A part that ends as "cancelled" although nobody cancelled it would be missed by nobody.
            log.exception("%s ended as if it had been cancelled", name)
        except Exception:
            log.exception("%s failed", name)
        else:
            log.error("%s ended, which it never should", name)
        now = clock.monotonic()
        failures.append(now)
        recent = sum(1 for at in failures if now - at < _WINDOW_S)
        if recent >= _MOST_FAILURES:
            raise RuntimeError(f"{name} failed {recent} times within {_WINDOW_S:.0f} s: see the log above")
        pause = _BACKOFF_S[min(recent, len(_BACKOFF_S)) - 1]
        log.warning("%s starts again in %.1f s", name, pause)
        await clock.sleep(pause)


def _told_to_stop() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
