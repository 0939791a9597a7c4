"""The CTI's line to its softswitch: what is said on a new line is heard, however the last one ended."""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from callcenter.cti.config import HostPort
from callcenter.cti.softswitch import MOST_AT_ONCE, WINDOW, NetstringReader, SoftswitchLink

MANY = [{"a": "ring", "callid": "c" * 100, "n": n} for n in range(3 * MOST_AT_ONCE // 100)]
"""More than one window holds."""


class Switch:
    """Takes lines, one after the other, and reads what is said on the latest."""

    def __init__(self) -> None:
        self.heard = NetstringReader()
        self.words: list[bytes] = []
        self.lines: asyncio.Queue[asyncio.StreamWriter] = asyncio.Queue()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.heard, self.words = NetstringReader(), []
        self.lines.put_nowait(writer)
        with suppress(OSError):
            while data := await reader.read(65536):
                self.words += self.heard.feed(data)
        writer.close()


async def until(seen: Callable[[], bool]) -> None:
    while not seen():  # noqa: ASYNC110 -- what is waited for happens in a socket
        await asyncio.sleep(WINDOW / 5)


async def never(seen: int, timeout: float) -> int:
    await asyncio.sleep(timeout + 60)
    return seen + 1


async def test_a_line_that_ends_with_words_left_to_say_silences_no_later_one() -> None:
    switch = Switch()
    server = await asyncio.start_server(switch.take, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()
    asked: list[Mapping[str, Any]] = []
    link = SoftswitchLink(HostPort(host, port), asked.append, dict, dict, never)
    running = asyncio.create_task(link.run())
    try:
        async with asyncio.timeout(10):
            for _ in range(2):
                line = await switch.lines.get()
                await until(lambda: link.connected)
                link.send(MANY)
                line.transport.abort()  # the softswitch is killed: its second window is never sent
                await until(lambda: not link.connected)
            await switch.lines.get()
            await until(lambda: link.connected)
            link.send([{"a": "agents", "groups": {}}])
            await until(lambda: switch.words == [b'{"a":"agents","groups":{}}'])
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
        server.close()
        await server.wait_closed()
