"""What the election asks of this engine's picture: who lives, and whether this is a time to change who leads."""

from dataclasses import dataclass
from typing import Final

from tandem.domain.plan import IN_THE_WAY
from tandem.domain.snapshot import Snapshot

TROUBLED_S: Final = 15.0
"""Seconds for which an accusation is news: by then a city that is lost has failed over, and one that only has something
broken for good keeps nobody waiting."""


def witnesses(snapshot: Snapshot) -> frozenset[str]:
    """Names of the locations that only observe and vote."""
    return frozenset(
        name for name, site in snapshot.sites.items() if site.spec is not None and site.spec.role == "Witness"
    )


@dataclass(frozen=True, slots=True)
class Around:
    """This engine's view at one moment."""

    is_witness: bool
    witnesses: frozenset[str]
    witness_alive_s: float | None
    """Seconds for which a witness's heartbeat has been seen without a break; None when there is none."""
    under_way: bool
    """Whether something is being moved, or somebody has just been accused: a city may be about to fail over."""


def around(snapshot: Snapshot, me: str, now: float) -> Around:
    """`now`: monotonic, as in the snapshot's `seen_at`."""
    found = witnesses(snapshot)
    alive = [now - entry.seen_at for name, entry in snapshot.heartbeats.items() if name in found]
    moving = any(placed.map.in_transit for placed in snapshot.placements.values())
    moving = moving or any(shift.record.phase in IN_THE_WAY for shift in snapshot.unfinished_shifts())
    return Around(me in found, found, max(alive, default=None), moving or _troubled(snapshot, now))


def _troubled(snapshot: Snapshot, now: float) -> bool:
    return any(
        heard.record.state == "Fail" and now - heard.seen_at < TROUBLED_S
        for words in snapshot.observations.values()
        for heard in words.values()
    )
