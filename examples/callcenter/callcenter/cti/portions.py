"""A crowd in portions, so that a process of one thread gets to everything else in between.

An event loop first does all that has become possible, and then looks again. When thousands of agents speak in the same
second, each look takes that long, and whoever needs several of them, as every request at the control port does, waits
for the crowd again and again.
"""

import asyncio
from collections import deque


class Portions:
    """Lets so many through in each round of the event loop, and the others in the rounds after it, in their order.

    Args: size: how many in one round.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._left = size
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._next_due = False

    async def turn(self) -> None:
        """Return when it is the caller's turn: at once, unless there is a crowd."""
        if not self._next_due:
            self._next_due = True
            asyncio.get_running_loop().call_soon(self._next)
        if self._left > 0:
            self._left -= 1
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        await turn

    def _next(self) -> None:
        self._left = self._size
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled: it has gone
                turn.set_result(None)
                self._left -= 1
        self._next_due = bool(self._waiting)
        if self._next_due:
            asyncio.get_running_loop().call_soon(self._next)
