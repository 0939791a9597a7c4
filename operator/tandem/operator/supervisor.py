"""Runs the operator's tasks. One that ends by a bug is logged and started again; the others go on."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

log = logging.getLogger(__name__)

_PAUSE_S = 2.0


class Supervisor:
    """Named tasks that run for ever."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.failures: dict[str, int] = {}

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        self._tasks[name] = asyncio.create_task(self._keep(name, run), name=name)

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    @property
    def dead(self) -> list[str]:
        """Tasks that ended although they never should."""
        return [name for name, task in self._tasks.items() if task.done()]

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await run()
                log.error("task %s ended", name)
            except Exception:
                # A bug in one task must not end the others: statuses may stand still while publishing goes on.
                log.exception("task %s ended with an error", name)
            self.failures[name] = self.failures.get(name, 0) + 1
            await asyncio.sleep(_PAUSE_S)
