"""How many agents a move may have between the cities at once: those released here who have not arrived there yet.

    released here --> on the way (at most WINDOW) --> signed in there; the other CTI counts them and tells us

Whoever is on the way is out of service. Released faster than the other city lets them in, agents would only wait there
instead of working here, so releases keep the other city's time, whatever that is on this day. With several other cities
each has a window of its own.
"""

from collections import deque
from typing import Final

WINDOW: Final = 40
"""Agents on the way at most."""

PATIENCE: Final = 1.0
"""Seconds after which a released agent counts as on the way no more: the client may have died, or the count is lost."""

SILENCE: Final = 2.5
"""Seconds without a count after which there is no window: the other CTI may be gone, and no move waits for it. It
counts once a second at least, so one count may be late."""


class ReleaseWindow:
    """One CTI's agents on their way to one other city. Times: `now` of `SessionServer`."""

    def __init__(self) -> None:
        self._on_the_way: deque[float] = deque()
        self._known = ("", 0)
        self._heard_at = float("-inf")

    def released(self, now: float) -> None:
        """An agent has left."""
        self._on_the_way.append(now)

    def arrived(self, boot: str, total: int, now: float) -> None:
        """The other CTI says how many have come in with a ticket of ours since it started as `boot`."""
        known_boot, known = self._known
        if boot == known_boot:
            total = max(total, known)  # there are two lines, and one may be slower
        news = total - known if boot == known_boot else 0
        self._known, self._heard_at = (boot, total), now
        for _ in range(min(news, len(self._on_the_way))):
            self._on_the_way.popleft()

    def has_room(self, now: float) -> bool:
        """Whether one more may be released now."""
        while self._on_the_way and self._on_the_way[0] <= now - PATIENCE:
            self._on_the_way.popleft()
        return len(self._on_the_way) < WINDOW or now > self._heard_at + SILENCE
