"""A signal that one task waits for and others give; given twice before it is looked at, it is one."""

import asyncio


class Signal:
    def __init__(self) -> None:
        self._given = False
        self._waiter: asyncio.Future[bool] | None = None

    def give(self) -> None:
        self._given = True
        _answer(self._waiter, True)

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until given (True; the signal is taken back) or `timeout` seconds have passed (False)."""
        if not self._given:
            if timeout is not None and timeout <= 0:
                await asyncio.sleep(0)  # a deadline that is due: let others run, then say so
            elif not await self._next(timeout):
                return False
        given, self._given = self._given, False
        return given

    async def _next(self, timeout: float | None) -> bool:
        # Every loop of the engine waits here: a timer alone costs a third of what `asyncio.timeout` does.
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = loop.create_future()
        self._waiter = waiter
        timer = None if timeout is None else loop.call_later(timeout, _answer, waiter, False)
        try:
            return await waiter
        finally:
            if self._waiter is waiter:  # and not of a task that has taken the place of this one
                self._waiter = None
            if timer is not None:
                timer.cancel()


def _answer(waiter: asyncio.Future[bool] | None, given: bool) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(given)
