"""Agent numbers from the city's own range: no other city hands out the same one, and nobody need be asked."""

from collections import deque
from collections.abc import Callable


class PoolExhaustedError(Exception):
    """More agents are signed in than the city has numbers."""


class NumberPool:
    """Numbers `first`..`last`. An account keeps its number until it is needed for somebody else."""

    def __init__(self, first: int, last: int) -> None:
        self._next = first
        self._last = last
        self._of: dict[str, int] = {}
        self._idle: deque[str] = deque()

    def take(self, account: str, in_use: Callable[[str], bool]) -> int:
        """The account's number, the same as before if it still has one.

        Args: in_use: tells whether another account's number must not be taken away now.
        Raises: PoolExhaustedError when every number is in use.
        """
        number = self._of.get(account)
        if number is not None:
            return number
        if self._next <= self._last:
            number, self._next = self._next, self._next + 1
        else:
            number = self._reclaim(in_use)
        self._of[account] = number
        self._idle.append(account)
        return number

    def _reclaim(self, in_use: Callable[[str], bool]) -> int:
        for _ in range(len(self._idle)):
            owner = self._idle.popleft()
            if not in_use(owner):
                return self._of.pop(owner)
            self._idle.append(owner)
        raise PoolExhaustedError(f"all numbers up to {self._last} are in use: widen this city's pool in the directory")
