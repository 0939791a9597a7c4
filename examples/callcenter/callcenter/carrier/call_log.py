"""The record of every call, readable in the order in which calls changed."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Final

from .fate import FINAL, Fate, Outcome

KEPT: Final = 200_000
"""Ended calls that are remembered; older ones are forgotten first."""


@dataclass(slots=True)
class CallRecord:
    """One call. `*_at` are seconds of CLOCK_REALTIME."""

    id: str
    number: str
    caller: str
    placed_at: float
    talk: float
    queued_at: float | None = None
    answered_at: float | None = None
    ended_at: float | None = None
    fate: Fate = Fate.ACTIVE
    by: str | None = None
    routes_tried: list[str] = field(default_factory=list)
    agent: str | None = None
    code: int = 0
    seq: int = 0

    def document(self) -> dict[str, Any]:
        """The call as the API shows it (contracts, section 9)."""
        return {
            "id": self.id,
            "number": self.number,
            "caller": self.caller,
            "placed_at": self.placed_at,
            "queued_at": self.queued_at,
            "answered_at": self.answered_at,
            "ended_at": self.ended_at,
            "fate": str(self.fate),
            "by": self.by,
            "routes_tried": list(self.routes_tried),
            "agent": self.agent,
            "code": self.code,
        }


class CallLog:
    """Calls in the order of their latest change."""

    def __init__(self) -> None:
        self.seq = 0
        self.fates: Counter[str] = Counter()
        self._records: dict[str, CallRecord] = {}
        self._ended = 0

    def changed(self, record: CallRecord) -> None:
        """Note that `record` is new or has changed."""
        self.seq += 1
        record.seq = self.seq
        self._records.pop(record.id, None)
        self._records[record.id] = record

    def ended(self, record: CallRecord, outcome: Outcome, at: float) -> None:
        """Give `record` its final fate."""
        record.fate, record.by, record.code, record.ended_at = outcome.fate, outcome.by, outcome.code, at
        self.fates[outcome.fate] += 1
        self.changed(record)
        self._ended += 1
        if self._ended > KEPT:
            self._forget_oldest()

    def after(self, seq: int) -> list[CallRecord]:
        """Calls that changed after `seq`, in the order of their changes."""
        found: list[CallRecord] = []
        for record in reversed(self._records.values()):
            if record.seq <= seq:
                break
            found.append(record)
        found.reverse()
        return found

    def clear(self) -> None:
        """Forget every call that has ended, and the counts; calls under way stay."""
        self._records = {key: record for key, record in self._records.items() if record.fate not in FINAL}
        self._ended = 0
        self.fates.clear()

    def _forget_oldest(self) -> None:
        for key, record in self._records.items():
            if record.fate in FINAL:
                del self._records[key]
                self._ended -= 1
                return
