"""A ring of sessions to ping: each once per interval, all of them spread evenly over it."""

from collections.abc import Iterator
from math import floor
from typing import Generic, TypeVar

T = TypeVar("T")

SLOTS = 25
"""Parts that an interval is cut into: 0.5 s in parts of 20 ms."""


class PingRing(Generic[T]):
    """Members stand in slots; a slot is due once per interval. Adding and removing costs O(1)."""

    def __init__(self, interval: float) -> None:
        self._step = interval / SLOTS
        self._slots: list[dict[T, None]] = [{} for _ in range(SLOTS)]
        self._slot_of: dict[T, int] = {}
        self._next = 0
        self._done: int | None = None

    def __len__(self) -> int:
        return len(self._slot_of)

    def add(self, member: T) -> None:
        """Put `member` into the next slot in turn."""
        self._next = (self._next + 1) % SLOTS
        self._slots[self._next][member] = None
        self._slot_of[member] = self._next

    def remove(self, member: T) -> None:
        """Take `member` out, if it is in."""
        slot = self._slot_of.pop(member, None)
        if slot is not None:
            del self._slots[slot][member]

    def due(self, now: float) -> Iterator[T]:
        """Everybody whose slot has come since the last call; nobody twice, however long ago that was."""
        current = floor(now / self._step)
        last = self._done if self._done is not None else current - 1
        self._done = max(current, last)
        for k in range(max(last + 1, current - SLOTS + 1), current + 1):
            yield from list(self._slots[k % SLOTS])
