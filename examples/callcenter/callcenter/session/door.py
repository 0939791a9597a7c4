"""Who may sign in at a CTI: placement maps, and the door that each bucket has.

A placement map says for each of the 100 buckets of a group where it belongs: `{"east": "0-59", "east>west": "60-69",
"west": "70-99"}`. Seen from site A, a bucket `A` is open, `A>B` leaving, `X>A` open to tickets only, the rest closed.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callcenter.directory import BUCKETS
from callcenter.session.errors import MapError

_SITE: Final = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_RANGE: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where one bucket belongs: at `site`, or on its way from `site` to `to`."""

    site: str
    to: str | None = None

    @classmethod
    def parse(cls, text: str) -> "Place":
        """Read `east` or `east>west`. Raises MapError."""
        names = text.split(">")
        if len(names) > 2 or not all(_SITE.fullmatch(name) for name in names):
            raise MapError(f"{text!r} is no place: write a site's name, or from>to (lower-case letters, digits, '-')")
        if len(names) == 2 and names[0] == names[1]:
            raise MapError(f"{text!r} leads from a site to itself")
        return cls(*names)

    @property
    def owner(self) -> str:
        """Where to send a client that has no ticket: a leaving bucket's old site gives it one."""
        return self.site

    def __str__(self) -> str:
        return self.site if self.to is None else f"{self.site}>{self.to}"


PlacementMap = tuple[Place, ...]
"""One place for each bucket, index 0..99."""


def parse_map(text: Mapping[str, str]) -> PlacementMap:
    """Read a placement map as it travels: place -> ranges of buckets. Raises MapError naming place and bucket."""
    places: list[Place | None] = [None] * BUCKETS
    for name, ranges in text.items():
        place = Place.parse(name)
        for bucket in _parse_ranges(name, ranges):
            if (other := places[bucket]) is not None:
                raise MapError(f"bucket {bucket} is in both {str(other)!r} and {name!r}: name it once")
            places[bucket] = place
    missing = [bucket for bucket, place in enumerate(places) if place is None]
    if missing:
        raise MapError(f"no place for {_format_ranges(missing)}: a map names each of the buckets 0-99")
    return tuple(place for place in places if place is not None)


def _parse_ranges(name: str, ranges: str) -> Iterable[int]:
    for part in ranges.split(",") if ranges else ():
        match = _RANGE.fullmatch(part.strip())
        if match is None:
            raise MapError(f"{name}: {part!r} is no range of buckets: write for example 0-59 or 75")
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first:
            raise MapError(f"{name}: the range {part!r} runs backwards")
        yield from range(first, last + 1)


def format_map(places: Sequence[Place]) -> dict[str, str]:
    """Write a placement map: the inverse of `parse_map`, places in the order of their first bucket."""
    found: dict[str, list[str]] = {}
    start = 0
    for bucket in range(1, len(places) + 1):
        if bucket == len(places) or places[bucket] != places[start]:
            last = bucket - 1
            found.setdefault(str(places[start]), []).append(str(start) if start == last else f"{start}-{last}")
            start = bucket
    return {name: ",".join(ranges) for name, ranges in found.items()}


def _format_ranges(buckets: Sequence[int]) -> str:
    parts: list[str] = []
    start = previous = buckets[0]
    for bucket in (*buckets[1:], None):
        if bucket is not None and bucket == previous + 1:
            previous = bucket
            continue
        parts.append(str(start) if start == previous else f"{start}-{previous}")
        if bucket is not None:
            start = previous = bucket
    return ",".join(parts)


class Door(StrEnum):
    """What one bucket's door lets through at one site."""

    OPEN = "open"
    """Fresh sign-ins."""
    LEAVING = "leaving"
    """Nobody: fresh sign-ins get a release with a ticket, sessions are released."""
    TICKET_ONLY = "ticket-only"
    """Agents whom the other city has released."""
    CLOSED = "closed"
    """Nobody; sessions that live on are left alone."""


def door_at(site: str, place: Place) -> Door:
    """The door of a bucket at `site`."""
    if place.to is None:
        return Door.OPEN if place.site == site else Door.CLOSED
    if place.site == site:
        return Door.LEAVING
    return Door.TICKET_ONLY if place.to == site else Door.CLOSED
