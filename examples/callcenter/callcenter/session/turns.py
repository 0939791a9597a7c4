"""Whose turn it is at a door that is open but not fast enough: by priority, and nobody starves. Pure.

Who is more important comes first; within one priority, who came first. One place in `EVERY` goes to whoever has waited
longest, whatever their priority: so who had k others before them when they came is let in among the next
`EVERY * (k + 1)`, however many more important ones go on coming. How fast the places are given out is the business of
`callcenter.session.admission`.
"""

import heapq
from collections import OrderedDict
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

T = TypeVar("T")

EVERY: Final = 5
"""One place in so many is for who has waited longest. The important lose a fifth of the rate at most, and nobody waits
longer than five times what they would without priorities. Counting places needs no scale: a step for each second waited
would mean something else for priorities 1 and 2 than for 100 and 1000, and at another rate."""

SPARE: Final = 64
"""Stale entries that are put up with beside as many as there are people before they are swept out."""


class Turns(Generic[T]):
    """Those who wait, each once. Joining, leaving and being next cost O(log n), also when many have left."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[int, tuple[T, int]] = OrderedDict()
        """In order of coming, by number: who, and the priority."""
        self._number: dict[T, int] = {}
        self._ranking: list[tuple[int, int]] = []
        """A heap of (-priority, number). Those that `_waiting` does not know so are stale: they left, or were ranked
        anew."""
        self._came = 0
        self._let_in = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, who: object) -> bool:
        return who in self._number

    def __iter__(self) -> Iterator[T]:
        """In order of coming."""
        return (who for who, _ in self._waiting.values())

    def join(self, who: T, priority: int) -> None:
        """Begin to wait; a higher `priority` comes first. Who waits already keeps the place."""
        if who not in self._number:
            self._came += 1
            self._number[who] = self._came
            self._put(who, priority)

    def rank(self, who: T, priority: int) -> None:
        """Give one who waits another priority; when they came stays as it was."""
        if self._waiting[self._number[who]][1] != priority:
            self._put(who, priority)

    def leave(self, who: T) -> None:
        """Wait no more, if they did."""
        number = self._number.pop(who, None)
        if number is not None:
            del self._waiting[number]
            self._sweep()

    def next(self) -> T:
        """Whose turn it is now. Raises IndexError when nobody waits."""
        if not self._waiting:
            raise IndexError("nobody waits")
        if (self._let_in + 1) % EVERY == 0:
            return next(iter(self))
        while True:
            order, number = self._ranking[0]
            waiting = self._waiting.get(number)
            if waiting is not None and waiting[1] == -order:
                return waiting[0]
            heapq.heappop(self._ranking)

    def let_in(self, who: T) -> None:
        """The one whose turn it is has had it."""
        self._let_in += 1
        self.leave(who)

    def _put(self, who: T, priority: int) -> None:
        number = self._number[who]
        self._waiting[number] = who, priority
        heapq.heappush(self._ranking, (-priority, number))
        self._sweep()

    def _sweep(self) -> None:
        """Drop stale entries when they are the most: that costs as much as came and went since it was done last."""
        if len(self._ranking) > 2 * len(self._waiting) + SPARE:
            self._ranking = [(-priority, number) for number, (_, priority) in self._waiting.items()]
            heapq.heapify(self._ranking)
