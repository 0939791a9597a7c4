"""The placements that one CTI holds: which it takes, and which door that gives each bucket.

Revisions only grow, restarts included. A process that has just started (or stalled, which is the same) shuts its doors
until its engine has confirmed a group's placement by a linearizable read of the store; after `UNCONFIRMED_AFTER`
without that it uses what it holds and says so (docs/ARCHITECTURE.md, promise 2).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Final, Literal

from callcenter.directory import BUCKETS
from callcenter.session.door import Door, Place, PlacementMap, door_at

UNCONFIRMED_AFTER: Final = 10.0
"""Seconds after which a CTI whose engine says nothing goes by the map it has on disk."""


@dataclass(frozen=True, slots=True)
class Drain:
    """How long a leaving agent may finish: seconds, None without limit; at the end they stay or are forced out."""

    max_talk: float | None = None
    max_wrapup: float | None = None
    on_deadline: Literal["Stay", "Force"] = "Stay"


@dataclass(frozen=True, slots=True)
class Together:
    """Groups of one move keep one pace: `pace` agents of all of them released a second here."""

    move: str
    pace: float


@dataclass(frozen=True, slots=True)
class Placement:
    """One group's map at one revision. `pace`: agents released a second, None for all at once.

    `together`: what counts instead of `pace` where a move has several groups.
    """

    revision: int
    places: PlacementMap
    pace: float | None = None
    drain: Drain = Drain()
    together: Together | None = None


@dataclass(frozen=True, slots=True)
class PlaceAnswer:
    """What became of a pushed placement. `revision`: the one held now; `reason`: why not, or empty."""

    revision: int
    accepted: bool
    reason: str


@dataclass(slots=True)
class _Held:
    placement: Placement
    confirmed: bool
    since: tuple[tuple[int, float], ...]
    """For each bucket the revision at which it came to its present place and when, as far as this process saw."""
    confirmed_at: float = inf
    """Since when the engine's word has stood behind this group's map, whichever revision that was."""


@dataclass(slots=True)
class PlacementBook:
    """All placements that the CTI of `site` holds. `boot_at`: when this process started, or counts as restarted."""

    site: str
    boot_at: float
    _held: dict[str, _Held] = field(default_factory=dict, init=False)

    def refusal(self, group: str, placement: Placement) -> str:
        """Why a pushed placement would not be taken, or empty."""
        held = self._held.get(group)
        if held is None or placement.revision > held.placement.revision:
            return ""
        if placement.revision < held.placement.revision:
            return "StaleRevision"
        return "" if placement.places == held.placement.places else "SameRevisionOtherMap"

    def take(self, group: str, placement: Placement, *, confirmed: bool, now: float) -> PlaceAnswer:
        """Take a pushed placement if it is newer than the one held; an equal one confirms it."""
        held = self._held.get(group)
        if held is not None and (reason := self.refusal(group, placement)):
            return PlaceAnswer(held.placement.revision, False, reason)
        if held is not None and held.placement.revision == placement.revision:
            if confirmed and not held.confirmed:
                held.confirmed, held.confirmed_at = True, now
            held.placement = placement
            return PlaceAnswer(placement.revision, True, "")
        confirmed_at = inf
        if confirmed:
            confirmed_at = held.confirmed_at if held is not None and held.confirmed else now
        self._held[group] = _Held(placement, confirmed, self._since(held, placement, now), confirmed_at)
        return PlaceAnswer(placement.revision, True, "")

    def adopt(self, group: str, placement: Placement) -> None:
        """Hold what the disk or the operator's ConfigMap says, unconfirmed, unless something newer is held."""
        held = self._held.get(group)
        if held is None or placement.revision > held.placement.revision:
            self._held[group] = _Held(placement, False, self._since(held, placement, self.boot_at))

    def restart(self, now: float) -> None:
        """Forget every confirmation: this process was away for longer than a lease."""
        self.boot_at = now
        for held in self._held.values():
            held.confirmed, held.confirmed_at = False, inf

    @staticmethod
    def _since(before: _Held | None, placement: Placement, now: float) -> tuple[tuple[int, float], ...]:
        fresh = (placement.revision, now)
        if before is None:
            return (fresh,) * BUCKETS
        return tuple(
            since if old == new else fresh
            for since, old, new in zip(before.since, before.placement.places, placement.places, strict=True)
        )

    def get(self, group: str) -> Placement | None:
        """The placement held for `group`."""
        held = self._held.get(group)
        return held.placement if held is not None else None

    def all(self) -> Mapping[str, Placement]:
        """Every placement held, by group."""
        return {group: held.placement for group, held in self._held.items()}

    def confirmed(self, group: str) -> bool:
        """Whether the engine has confirmed this group's placement since this process started."""
        held = self._held.get(group)
        return held is not None and held.confirmed

    @property
    def any_confirmed(self) -> bool:
        """Whether the engine has confirmed anything since this process started."""
        return any(held.confirmed for held in self._held.values())

    def why_shut(self, group: str, now: float) -> str | None:
        """Why nobody at all may come in, or None: NoPlacement, Unconfirmed."""
        held = self._held.get(group)
        if held is None:
            return "NoPlacement"
        if held.confirmed or now >= self.boot_at + UNCONFIRMED_AFTER:
            return None
        return "Unconfirmed"

    def open_since(self, group: str) -> float:
        """Since when, or from when, the doors of this group go by its map (`why_shut` is None); inf: nobody knows."""
        held = self._held.get(group)
        return inf if held is None else min(held.confirmed_at, self.boot_at + UNCONFIRMED_AFTER)

    def place(self, group: str, bucket: int) -> Place | None:
        """Where a bucket belongs, by the map held."""
        held = self._held.get(group)
        return held.placement.places[bucket] if held is not None else None

    def door(self, group: str, bucket: int) -> Door:
        """The door of a bucket, by the map held (whether or not it is confirmed)."""
        place = self.place(group, bucket)
        return door_at(self.site, place) if place is not None else Door.CLOSED

    def since(self, group: str, bucket: int) -> tuple[int, float]:
        """At which revision and when a bucket came to its present place, as far as this process saw."""
        return self._held[group].since[bucket]
