"""A crowd in portions, so that a process of one thread gets to everything else in between.

An event loop first does all that has become possible, and then looks again. When thousands of agents speak in the same
second, each look takes that long, and whoever needs several of them, as every request at the control port does, waits
for the crowd again and again.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

Item = TypeVar("Item")


class Portions(Generic[Item]):
    """Takes so many items in each round of the event loop, and the others in the rounds after it, in their order.

    Args: size: how many in one round. take: called with each; must not raise.
    """

    def __init__(self, size: int, take: Callable[[Item], None]) -> None:
        self._size = size
        self._take = take
        self._left = size
        self._waiting: deque[Item] = deque()
        self._next_due = False

    def put(self, item: Item) -> None:
        """Take `item` when it is its turn: at once, unless there is a crowd."""
        if not self._next_due:
            self._next_due = True
            asyncio.get_running_loop().call_soon(self._next)
        if self._left > 0:
            self._left -= 1
            self._take(item)
        else:
            self._waiting.append(item)

    def _next(self) -> None:
        self._left = self._size
        while self._waiting and self._left > 0:
            self._left -= 1
            self._take(self._waiting.popleft())
        self._next_due = bool(self._waiting)
        if self._next_due:
            asyncio.get_running_loop().call_soon(self._next)
