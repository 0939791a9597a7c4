"""A deadline for the caller that does not disturb what it waits for.

httpcore 1.0.9 loses a connection for ever when a cancellation reaches it between connecting and sending, or while it
tidies up after a timeout of its own: measured on uvloop, up to one in ten of the requests to a silent server. A prober
would run out of file descriptors within hours of a city's death. Requests that end by their own timeouts lose none.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

T = TypeVar("T")

_under_way: Final[set[asyncio.Task[Any]]] = set()  # the event loop itself holds its tasks weakly


async def undisturbed(request: Coroutine[Any, Any, T], timeout: float) -> T:
    """The result of `request`, in a task of its own that is never cancelled and has to end by itself.

    Raises: TimeoutError after `timeout` seconds; whatever `request` raises before that. What comes later is nobody's.
    """
    task = asyncio.create_task(request)
    _under_way.add(task)
    task.add_done_callback(_ended)
    async with asyncio.timeout(timeout):
        return await asyncio.shield(task)


def _ended(task: asyncio.Task[Any]) -> None:
    _under_way.discard(task)
    if not task.cancelled():
        task.exception()  # looked at: nobody else may be there to do so
