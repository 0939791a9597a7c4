"""A signal that one task waits for and others give; given twice before it is looked at, it is one."""

import asyncio


class Signal:
    def __init__(self) -> None:
        self._event = asyncio.Event()

    def give(self) -> None:
        self._event.set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Wait until given (True; the signal is taken back) or `timeout` seconds have passed (False)."""
        if timeout is not None and timeout <= 0 and not self._event.is_set():
            # A deadline that is due: let others run, then say so.
            await asyncio.sleep(0)
        else:
            try:
                async with asyncio.timeout(timeout):
                    await self._event.wait()
            except TimeoutError:
                return False
        given = self._event.is_set()
        self._event.clear()
        return given
