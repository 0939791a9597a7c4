"""A part of one cluster's operator, at work on a store of its own and on virtual time."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol, Self

from tandem.engine.picture import Picture
from tandem.operator.objects import Table
from tests.support.memory_store import MemoryEtcd
from tests.unit.engine.virtual import VirtualClock


class Part(Protocol):
    def run(self) -> Coroutine[Any, Any, None]: ...


class OnStore:
    """Its table, and its view of the store. Who derives from it says with `work_with` what runs while it is entered."""

    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.etcd = MemoryEtcd(self.clock)
        self.store = self.etcd.client(lambda: 0.004)
        self.table = Table()
        self.view = Picture(self.store, self.clock)
        self._parts: list[Part] = [self.view]
        self._tasks: list[asyncio.Task[None]] = []

    def work_with(self, part: Part) -> None:
        self._parts.append(part)

    async def __aenter__(self) -> Self:
        self._tasks = [asyncio.create_task(part.run()) for part in self._parts]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.etcd.aclose()
