"""The diary: one JSON line for each thing that happened to an agent (contracts, section 10)."""

import asyncio
import contextlib
import logging
import os
import time
from pathlib import Path
from typing import Any, Final, Literal, Protocol

from callcenter.compact import to_json

log = logging.getLogger(__name__)

FLUSH_INTERVAL: Final = 0.2
"""Seconds after which a line is in the file at the latest."""

Event = Literal["signed-in", "released", "lost", "out", "registered", "call", "call-ended", "guest"]


class Diary(Protocol):
    """Where agents write down what happens to them."""

    def note(self, account: str, group: str, event: Event, site: str, **details: Any) -> None:
        """Write one line. `details` that are None are left out."""


class Timeline:
    """Collects lines and appends them to a file five times a second. Use as an async context manager.

    Writing happens in a thread: on a busy disk a write can block for seconds, and a thousand sessions would be lost.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._task: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()

    def note(self, account: str, group: str, event: Event, site: str, **details: Any) -> None:
        """Write one line (Diary). `at` is CLOCK_REALTIME, `mono` CLOCK_MONOTONIC, both in seconds."""
        line: dict[str, Any] = {
            "at": round(time.time(), 6),
            "mono": round(time.monotonic(), 6),
            "account": account,
            "group": group,
            "event": event,
            "site": site,
        }
        line.update((key, value) for key, value in details.items() if value is not None)
        self._lines.append(to_json(line))

    async def __aenter__(self) -> "Timeline":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        self._task = asyncio.create_task(self._flush_often())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._ending.set()
        if self._task is not None:
            # Not cancelled: a write under way in its thread would then be overtaken by the last one.
            await self._task
        self._append(self._take())

    async def _flush_often(self) -> None:
        while not self._ending.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), FLUSH_INTERVAL)
            if self._lines:
                lines = self._take()
                try:
                    await asyncio.to_thread(self._append, lines)
                except OSError as error:
                    # A full disk may have room again later; until then the lines wait here.
                    log.error("%s cannot be written: %s", self._path, error)
                    self._lines[:0] = lines

    def _take(self) -> list[str]:
        lines, self._lines = self._lines, []
        return lines

    def _append(self, lines: list[str]) -> None:
        """Append all of these lines or none. Raises: OSError."""
        if not lines:
            return
        with self._path.open("ab", buffering=0) as file:
            before = os.fstat(file.fileno()).st_size
            rest = memoryview(("\n".join(lines) + "\n").encode())
            try:
                while rest:
                    rest = rest[file.write(rest) :]
            except OSError:
                file.truncate(before)
                raise
