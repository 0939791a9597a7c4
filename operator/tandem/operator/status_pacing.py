"""How soon a changed status has to be written: news at once, how far a move is every 3 s, mere counts every 5 s.
And how many in a second, whatever there is to say: 200 groups that move are 200 statuses that change all the time.

Each write costs the API server, its etcd and every watcher some milliseconds, in each of the clusters. While a thousand
agents move, that is time which their sign-ins need.
"""

from typing import Any, Final

from tandem.domain.snapshot import FAILOVER, Snapshot

COUNTS_INTERVAL_S: Final = 5.0
"""Least seconds between two writes of one status in which nothing but counts has changed: with calls flowing they
change all the time, and writing each change took 40 % of a processor from three API servers."""

PROGRESS_INTERVAL_S: Final = 3.0
"""Least seconds between two writes of one status that say only how far something is."""

QUIET_S: Final = 3.0
"""Seconds from the start of a move in which nothing is written about groups and Trunks, and of Sites only news (a hold,
a verdict): by then a thousand idle agents are there, and what is written after it is the result."""

EMERGENCY_QUIET_S: Final = 5.0
"""The same from the moment at which a city's heartbeat is gone: it takes a second or two until it counts as lost, and
then its agents need the processors. And from a failover's first placement of each system, as its city may go on
writing."""

WRITES_PER_S: Final = 24.0
"""Most statuses of groups and Trunks a second, in the long run (Events, ConfigMaps and Deployments come on top); what a
Shift or a Site has to say is few and waits for none of them."""

WRITES_SAVED: Final = 30.0
"""Most that may be written at once after a quiet time: a centre of usual size is told in one go."""

_COUNTS: Final = frozenset({"signedIn", "available", "talking", "guests", "channelsInUse"})
"""Fields that change with every call and every agent."""

_PROGRESS: Final = _COUNTS | {
    "moved", "moving", "percent", "leaving", "revision", "map", "where", "progress", "switchTimes", "lastShift",
    "message",
}  # fmt: skip
"""Fields that change with every bucket of a move. A message without a new reason or phase is of these."""


def write_interval(before: Any, after: Any) -> float:
    """Least seconds that must have passed since a status was last written as `before` until `after` is.

    0 for news: a reason, a phase, a verdict, a plan, a condition's status.
    """
    if _without(_PROGRESS, before) != _without(_PROGRESS, after):
        return 0.0
    if _without(_COUNTS, before) != _without(_COUNTS, after):
        return PROGRESS_INTERVAL_S
    return COUNTS_INTERVAL_S


def _without(fields: frozenset[str], status: Any) -> Any:
    if isinstance(status, dict):
        return {key: _without(fields, value) for key, value in status.items() if key not in fields}
    if isinstance(status, list):
        return [_without(fields, value) for value in status]
    return status


class Quiet:
    """Keeps the first seconds of a move or an emergency free of what can be told later. Times: seconds, monotonic."""

    def __init__(self) -> None:
        self._moving_since: float | None = None
        self._lost_at = float("-inf")
        self._alive: frozenset[str] = frozenset()
        self._failovers: frozenset[tuple[str, str]] | None = None
        """Failovers by which groups were placed last, with the system: one city may lose another one later."""

    def wanted(self, snapshot: Snapshot, now: float) -> bool:
        """Whether agents began to move less than QUIET_S ago, or an emergency began less than EMERGENCY_QUIET_S ago."""
        alive = frozenset(site for site in snapshot.active_sites() if site in snapshot.heartbeats)
        if self._alive - alive:
            self._lost_at = now
        self._alive = alive
        records = (placed.record for placed in snapshot.placements.values())
        failovers = frozenset((one.cause, one.system) for one in records if one.cause.startswith(FAILOVER))
        if self._failovers is not None and failovers - self._failovers:
            self._lost_at = now
        self._failovers = failovers
        if not any(placed.map.in_transit for placed in snapshot.placements.values()):
            self._moving_since = None
        elif self._moving_since is None:
            self._moving_since = now
        moving = self._moving_since is not None and now - self._moving_since < QUIET_S
        return moving or now - self._lost_at < EMERGENCY_QUIET_S


class Budget:
    """Keeps the writes of statuses below WRITES_PER_S. Times: seconds, monotonic."""

    def __init__(self) -> None:
        self._left = WRITES_SAVED
        self._at: float | None = None

    def take(self, wanted: int, now: float) -> int:
        """How many of `wanted` may be written now; they count as written."""
        if self._at is not None:
            self._left = min(WRITES_SAVED, self._left + (now - self._at) * WRITES_PER_S)
        self._at = now
        granted = min(wanted, int(self._left))
        self._left -= granted
        return granted
