"""The diary: one JSON line for each thing that happened to an agent (contracts, section 10)."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any, Final, Literal, Protocol

FLUSH_INTERVAL: Final = 0.2
"""Seconds after which a line is in the file at the latest."""

Event = Literal["signed-in", "released", "lost", "out", "registered", "call", "call-ended", "guest"]


class Diary(Protocol):
    """Where agents write down what happens to them."""

    def note(self, account: str, group: str, event: Event, site: str, **details: Any) -> None:
        """Write one line. `details` that are None are left out."""


class Timeline:
    """Collects lines and appends them to a file five times a second. Use as an async context manager."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: list[str] = []
        self._task: asyncio.Task[None] | None = None

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
        self._lines.append(json.dumps(line, separators=(",", ":")))

    async def __aenter__(self) -> "Timeline":
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.touch()
        self._task = asyncio.create_task(self._flush_often())
        return self

    async def __aexit__(self, *exc: object) -> None:
        if self._task is not None:
            self._task.cancel()
        self.flush()

    async def _flush_often(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_INTERVAL)
            self.flush()

    def flush(self) -> None:
        """Append what was collected, in one write, so that a reader sees whole lines."""
        if self._lines:
            lines, self._lines = self._lines, []
            with self._path.open("ab", buffering=0) as file:
                file.write(("\n".join(lines) + "\n").encode())
