"""New calls a second of a softswitch, from what it has counted since its start."""

from typing import Final

WINDOW_S: Final = 10.0
"""Seconds over which a rate is taken: it is for people and for a plan, and each new value is a write to the store."""


class CallRate:
    """The rate of the last whole window. Pure: the caller brings the time, and begins anew with each life."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self.a_second: float | None = None
        """New calls a second, to one decimal; None: no window is over yet, or the softswitch does not count them."""

    def counted(self, at: float, placed: int | None) -> None:
        """What a look found.

        Args:
            at: Monotonic time of the look, in seconds.
            placed: Calls placed since the softswitch's start; None: it does not say.
        """
        if placed is None:
            self._began = self.a_second = None
        elif self._began is None:
            self._began = at, placed
        elif at - self._began[0] >= WINDOW_S:
            since, before = self._began
            self.a_second = round(max(placed - before, 0) / (at - since), 1)
            self._began = at, placed
