"""What agents and carrier wrote down, as typed values (docs/contracts.md sections 9 and 10).

Wall-clock times (`at`) are seconds of CLOCK_REALTIME and are comparable everywhere, because the lab is one machine.
`mono` is the monotonic clock of one agents' process: differences of one agent's own events use it.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """One thing that happened to one agent."""

    at: float
    mono: float
    account: str
    group: str
    event: str
    site: str
    cause: str = ""
    gap: float | None = None
    call: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call as the carrier knows it. `agent` is the extension that answered, or empty."""

    id: str
    number: str
    fate: str
    placed_at: float
    answered_at: float | None = None
    ended_at: float | None = None
    agent: str = ""
    by: str = ""
    code: int = 0
    queued_at: float | None = None


def parse_event(line: str) -> AgentEvent:
    """One line of a timeline. Raises: ValueError (with the line) when it is none."""
    try:
        raw = json.loads(line)
        return AgentEvent(
            at=float(raw["at"]),
            mono=float(raw["mono"]),
            account=str(raw["account"]),
            group=str(raw["group"]),
            event=str(raw["event"]),
            site=str(raw.get("site") or ""),
            cause=str(raw.get("cause") or ""),
            gap=None if raw.get("gap") is None else float(raw["gap"]),
            call=str(raw.get("call") or ""),
        )
    except (KeyError, TypeError, ValueError) as e:
        raise ValueError(f"not a line of a timeline ({e!r}): {line[:200]!r}") from e


def parse_call(raw: Mapping[str, Any]) -> Call:
    """One call from the carrier's answer to `GET /v1/calls`."""
    return Call(
        id=str(raw["id"]),
        number=str(raw["number"]),
        fate=str(raw["fate"]),
        placed_at=float(raw["placed_at"]),
        answered_at=raw.get("answered_at") or None,
        ended_at=raw.get("ended_at") or None,
        agent=str(raw.get("agent") or ""),
        by=str(raw.get("by") or ""),
        code=int(raw.get("code") or 0),
        queued_at=raw.get("queued_at") or None,
    )


class TimelineReader:
    """Reads the lines that were added to one timeline file since the last look.

    The writer may be in the middle of a line: what has no newline yet is left for the next look.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[AgentEvent]:
        if not self._path.exists():
            return []
        with self._path.open("rb") as file:
            file.seek(self._offset)
            raw = file.read()
        whole = raw[: raw.rfind(b"\n") + 1]
        self._offset += len(whole)
        return [parse_event(line) for line in whole.decode().splitlines() if line.strip()]


def of_groups(events: Iterable[AgentEvent], groups: frozenset[str]) -> Iterator[AgentEvent]:
    """The events of the agents of these groups (`namespace/name`)."""
    return (event for event in events if event.group in groups)
