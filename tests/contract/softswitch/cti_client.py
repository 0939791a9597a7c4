"""The CTI's end of evapi, as the tests' own: it connects, sends `agents` every second, and says what a test says."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

ANSWER_S = 3.0
"""How long a test waits for an event that should come at once, in seconds."""


class CtiClient:
    """One evapi connection. Events are kept until a test asks for them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.events: list[dict[str, Any]] = []
        self.groups: dict[str, int] = {}
        self._arrived = asyncio.Event()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._beat())]

    @classmethod
    async def connect(cls, address: tuple[str, int]) -> CtiClient:
        client = cls(*await asyncio.open_connection(*address))
        with contextlib.suppress(TimeoutError):
            # A call that is placed before the softswitch has said hello is in its list, and is not told.
            async with asyncio.timeout(1.0):
                while not any(message["e"] == "hello" for message in client.events):
                    client._arrived.clear()
                    await client._arrived.wait()
        return client

    async def _read(self) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int((await self._reader.readuntil(b":"))[:-1])
                payload = await self._reader.readexactly(length + 1)
                assert payload.endswith(b",")
                self.events.append(json.loads(payload[:-1]))
                self._arrived.set()

    async def _beat(self) -> None:
        with contextlib.suppress(ConnectionError):
            while True:
                self.send({"a": "agents", "groups": self.groups})
                await asyncio.sleep(1)

    def send(self, message: dict[str, Any]) -> None:
        payload = json.dumps(message, separators=(",", ":")).encode()
        self._writer.write(b"%d:%s," % (len(payload), payload))

    async def expect(self, event: str, *, within: float = ANSWER_S, **fields: Any) -> dict[str, Any]:
        """Take the first event of that kind with those fields. Raises: AssertionError with what came instead."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                while True:
                    for message in self.events:
                        if message["e"] == event and fields.items() <= message.items():
                            self.events.remove(message)
                            return message
                    self._arrived.clear()
                    await self._arrived.wait()
        raise AssertionError(f"no {event!r} with {fields} within {within} s; there is {self.events}")

    def ring(self, call: dict[str, Any], extension: str) -> None:
        self.send({"a": "ring", "i": call["i"], "l": call["l"], "callid": call["callid"], "ext": extension})

    def peer(self, call: dict[str, Any]) -> None:
        self.send({"a": "peer", "i": call["i"], "l": call["l"], "callid": call["callid"]})

    def reject(self, call: dict[str, Any], code: int) -> None:
        self.send({"a": "reject", "i": call["i"], "l": call["l"], "callid": call["callid"], "code": code})

    async def stall(self) -> None:
        """Stay connected and say nothing more by itself."""
        self._tasks[1].cancel()
        await asyncio.gather(self._tasks[1], return_exceptions=True)

    async def close(self) -> None:
        await self._stop_tasks()
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _stop_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
