"""The line to the other CTI ends when it is told to, also while it is ending by itself."""

import asyncio
from typing import Any

import aiohttp
import pytest

from callcenter.cti.peer import Arrivals, PeerLink


class ClosedSocket:
    """A WebSocket that the other side has closed while our last report was still on its way out."""

    def __init__(self) -> None:
        self.closed = False
        self.sending = asyncio.Event()

    async def send_str(self, _: str) -> None:
        self.sending.set()
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0.02)  # what has begun to go out takes a moment to be given up

    async def receive(self, timeout: float) -> Any:
        await self.sending.wait()
        return aiohttp.WSMessage(aiohttp.WSMsgType.CLOSED, None, None)

    async def close(self) -> None:
        self.closed = True


async def test_a_line_that_is_cancelled_while_it_ends_does_end() -> None:
    async def news(seen: int, timeout: float) -> int:
        return seen + 1

    link = PeerLink(
        "http://nowhere",
        "secret",
        report=dict,
        arrivals=lambda: Arrivals("b1", 0),
        on_said=lambda _: None,
        news=news,
    )
    socket = ClosedSocket()
    talk = asyncio.create_task(link._talk(socket))  # type: ignore[arg-type]
    await socket.sending.wait()
    await asyncio.sleep(0.01)  # it has seen the end and waits for the report to be given up
    talk.cancel()
    with pytest.raises(asyncio.CancelledError):
        await talk
