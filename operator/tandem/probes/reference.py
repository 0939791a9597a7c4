"""The reference probe: a connection to ourselves. When that fails, a failed probe says nothing of others.

It finds a process without free file descriptors or ports, which would otherwise accuse every city at once.
"""

import asyncio
from typing import Final

_WORD: Final = b"tandem\n"


class Reference:
    """A listener on loopback and the way to it."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        """Listen on any free port. Raises OSError."""
        self._server = await asyncio.start_server(_answer, "127.0.0.1", 0)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()
            self._server = None

    async def passes(self, timeout: float) -> bool:
        """Whether a connection to ourselves is made, and answered, within `timeout` seconds."""
        if self._server is None:
            return False
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(*self._server.sockets[0].getsockname())
                try:
                    return await reader.readline() == _WORD
                finally:
                    writer.close()
        except (OSError, TimeoutError):
            return False


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(_WORD)
    writer.close()
