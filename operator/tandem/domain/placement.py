"""Placements: which site each bucket belongs to, and the fewest moves from one placement to the next.

A slot is `A` (the bucket belongs to A), or `A>B` (it leaves A for B: A's door is shut, B admits with a ticket only).
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import accumulate, pairwise
from types import MappingProxyType
from typing import TypeVar

from tandem.constants import BUCKETS, MIN_WAVE_AGENTS
from tandem.domain.buckets import format_ranges, parse_ranges

K = TypeVar("K")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where one bucket is (`site`) and, while it is on its way, where it goes (`to`)."""

    site: str
    to: str = ""

    @property
    def end(self) -> str:
        """The site that has the bucket once all is done."""
        return self.to or self.site

    def __str__(self) -> str:
        return f"{self.site}>{self.to}" if self.to else self.site

    @classmethod
    def parse(cls, text: str) -> "Slot":
        site, _, to = text.partition(">")
        return cls(site, to)


Moves = Mapping[int, Slot]
"""Buckets to move, each with its slot while on the way."""


@dataclass(frozen=True)
class BucketMap:
    """A slot for each of the 100 buckets."""

    slots: tuple[Slot, ...]

    @classmethod
    def parse(cls, encoded: Mapping[str, str]) -> "BucketMap":
        """From `{"east": "0-59", "east>west": "60-99"}`. Raises ValueError unless each bucket is named once."""
        return _parse_map(tuple(encoded.items()))

    @classmethod
    def of_shares(cls, shares: Sequence[tuple[str, int]]) -> "BucketMap":
        """From percentages in their order, like `[("east", 60), ("west", 40)]`; they sum to 100."""
        return cls(tuple(Slot(site) for site, percent in shares for _ in range(percent)))

    def encode(self) -> dict[str, str]:
        buckets: dict[Slot, list[int]] = {}
        for bucket, slot in enumerate(self.slots):
            buckets.setdefault(slot, []).append(bucket)
        return {str(slot): format_ranges(found) for slot, found in sorted(buckets.items(), key=lambda kv: kv[1])}

    def change(self, moves: Moves) -> "BucketMap":
        return BucketMap(tuple(moves.get(bucket, slot) for bucket, slot in enumerate(self.slots)))

    @cached_property
    def in_transit(self) -> Mapping[int, Slot]:
        return {bucket: slot for bucket, slot in enumerate(self.slots) if slot.to}

    @cached_property
    def end_shares(self) -> Mapping[str, int]:
        """Buckets by the site that has them once all is done."""
        return Counter(slot.end for slot in self.slots)

    @cached_property
    def touched_shares(self) -> Mapping[str, int]:
        """Buckets by each site that may hold agents of them: those on their way count at both ends."""
        counts: Counter[str] = Counter()
        for slot in self.slots:
            counts[slot.site] += 1
            if slot.to:
                counts[slot.to] += 1
        return counts

    @property
    def sites(self) -> frozenset[str]:
        return frozenset(self.touched_shares)


# Maps are read again and again from records that do not change: plans keep theirs as text.
@lru_cache(maxsize=4096)
def _parse_map(encoded: tuple[tuple[str, str], ...]) -> BucketMap:
    slots: list[Slot | None] = [None] * BUCKETS
    for text, ranges in encoded:
        slot = Slot.parse(text)
        for bucket in parse_ranges(ranges):
            if slots[bucket] is not None:
                raise ValueError(f"bucket {bucket} is both {slots[bucket]} and {text}")
            slots[bucket] = slot
    missing = [bucket for bucket, slot in enumerate(slots) if slot is None]
    if missing:
        raise ValueError(f"buckets {format_ranges(missing)} belong to no site")
    return BucketMap(tuple(slot for slot in slots if slot is not None))


def encode_moves(moves: Moves) -> dict[str, str]:
    """Moves as `{"east>west": "60-99"}`."""
    buckets: dict[str, list[int]] = {}
    for bucket, slot in moves.items():
        buckets.setdefault(str(slot), []).append(bucket)
    return {text: format_ranges(found) for text, found in sorted(buckets.items())}


def parse_moves(encoded: Mapping[str, str]) -> Moves:
    """The inverse of `encode_moves`."""
    return _parse_moves(tuple(encoded.items()))


@lru_cache(maxsize=4096)
def _parse_moves(encoded: tuple[tuple[str, str], ...]) -> Moves:
    return MappingProxyType({bucket: Slot.parse(text) for text, ranges in encoded for bucket in parse_ranges(ranges)})


class StillMovingError(Exception):
    """A bucket would have to change its destination to a third site while it is on its way."""


def fewest_moves(current: BucketMap, wanted: Mapping[str, int]) -> dict[int, Slot]:
    """Moves that lead from `current` to the `wanted` buckets per site (summing to 100).

    As few buckets as possible, and only from sites that have more than wanted to sites that have less. A bucket that
    is already on its way counts as its destination's, and is turned back to where it came from only when the settled
    ones do not suffice.

    Raises: StillMovingError when a bucket on its way would be needed at a third site.
    """
    have = current.end_shares
    surplus = {site: count - wanted.get(site, 0) for site, count in have.items() if count > wanted.get(site, 0)}
    deficit = {site: count - have.get(site, 0) for site, count in wanted.items() if count > have.get(site, 0)}
    moves: dict[int, Slot] = {}
    # From the top, so that a site keeps the low numbers and maps stay short; settled buckets before those on their way.
    for bucket in sorted(range(BUCKETS), key=lambda b: (bool(current.slots[b].to), -b)):
        slot = current.slots[bucket]
        if not surplus.get(slot.end):
            continue
        if slot.to:
            if not deficit.get(slot.site):
                continue
            target = slot.site
        else:
            target = next(site for site, count in deficit.items() if count)
        surplus[slot.end] -= 1
        deficit[target] -= 1
        moves[bucket] = Slot(slot.end, target)
    if any(deficit.values()):
        raise StillMovingError(format_ranges(current.in_transit))
    return moves


def restoring_moves(current: BucketMap, home: BucketMap) -> dict[int, Slot]:
    """Moves that bring every bucket back to where `home`, a map at rest, has it.

    A bucket that is on its way is turned back, or waited for when it is on its way home.

    Raises: StillMovingError when one on its way belongs to a third site.
    """
    moves: dict[int, Slot] = {}
    for bucket, (slot, wanted) in enumerate(zip(current.slots, home.slots, strict=True)):
        if slot.end == wanted.end:
            continue
        if slot.to and slot.site != wanted.end:
            raise StillMovingError(format_ranges(current.in_transit))
        moves[bucket] = Slot(slot.end, wanted.end)
    return moves


def gather_at(current: BucketMap, to: str, percent: int, only_from: str = "") -> dict[str, int]:
    """Wanted buckets per site so that `to` has `percent` (or what it has, if more), the others giving in proportion.

    `only_from` names the one site that gives; it gives what it has.
    """
    have = dict(current.end_shares)
    givers = {site: n for site, n in have.items() if site != to and (not only_from or site == only_from)}
    missing = min(max(percent - have.get(to, 0), 0), sum(givers.values()))
    given = proportional(givers, missing)
    wanted = {site: count - given.get(site, 0) for site, count in have.items() if site != to}
    wanted[to] = have.get(to, 0) + missing
    return wanted


def proportional(weights: Mapping[K, int], total: int) -> dict[K, int]:
    """`total` split in proportion to `weights` in whole numbers (largest remainder; ties by the order given)."""
    whole = sum(weights.values())
    if whole == 0 or total == 0:
        return dict.fromkeys(weights, 0)
    shares = {key: total * weight // whole for key, weight in weights.items()}
    remainders = sorted(weights, key=lambda key: -(total * weights[key] % whole))
    for key in remainders[: total - sum(shares.values())]:
        shares[key] += 1
    return shares


@dataclass(frozen=True, slots=True)
class Part:
    """One group's part of a move that is made in waves."""

    moves: Moves
    agents: Mapping[int, float]
    """Agents per bucket, as far as known."""
    system: str = ""
    """Waves are widened for each system by itself: each has its own softswitch and CTI to be tried."""
    rank: int = 0
    """Parts of a lower rank are done before those of a higher one begin."""
    step: int = 1
    """Buckets, each one per cent of the group, by which its CTIs can change a share: waves are rounded up to them."""

    def in_order(self) -> list[int]:
        """Its buckets as they leave, highest first; a step's worth of one site at a time: each loses whole steps."""
        highest_first = sorted(self.moves, reverse=True)
        if self.step == 1:
            return highest_first
        sites: dict[str, list[int]] = {}
        for bucket in highest_first:
            sites.setdefault(self.moves[bucket].site, []).append(bucket)
        steps = [own[first : first + self.step] for own in sites.values() for first in range(0, len(own), self.step)]
        # What is less than a step comes last: no wave before it is shifted by it.
        steps.sort(key=lambda own: (len(own) == self.step, own), reverse=True)
        return [bucket for own in steps for bucket in own]


def split_waves(parts: Sequence[Part], percents: Sequence[int]) -> tuple[tuple[dict[int, Slot], ...], ...]:
    """The moves of each wave, part by part.

    Args:
        percents: Share of the move done after each wave, rising to 100.
    Returns: For each part at least one wave when it has a move, empty ones where only others move. Each wave but the
        last is widened, over all parts of a system together, to hold at least MIN_WAVE_AGENTS of it; a last one that
        would hold fewer joins the one before.
    """
    ordered = [part.in_order() for part in parts]
    # Agents in the first n buckets of each part: a wave is widened often, and counted by subtraction.
    counted = [
        (0.0, *accumulate(part.agents.get(b, 0.0) for b in order)) for part, order in zip(parts, ordered, strict=True)
    ]
    systems: dict[str, list[int]] = {}
    for number, part in enumerate(parts):
        systems.setdefault(part.system, []).append(number)
    cuts = [[0] * len(parts)]
    ranks = [part.rank for part in parts]
    for percent in percents:
        before = cuts[-1]
        due = _due(ranks, [len(order) for order in ordered], percent)
        ends = [max(end, done) for end, done in zip(due, before, strict=True)]
        for members in systems.values():
            _widen(ends, before, members, counted, ranks)
        if ends != before:
            cuts.append(ends)
    for members in systems.values():
        _join_small_end(cuts, members, counted)
    cuts = [
        [
            min(-(-end // part.step) * part.step, len(order))
            for end, part, order in zip(cut, parts, ordered, strict=True)
        ]
        for cut in cuts
    ]
    # One system's small end may have been all that there was in a wave: a wave in which nobody moves is none.
    cuts = [cut for cut, before in zip(cuts, [None, *cuts], strict=False) if cut != before]
    waves = [
        [{b: part.moves[b] for b in order[first:last]} for first, last in pairwise(cut[number] for cut in cuts)]
        for number, (part, order) in enumerate(zip(parts, ordered, strict=True))
    ]
    return tuple(_without_empty_end(found) for found in waves)


def _due(ranks: Sequence[int], sizes: Sequence[int], percent: int) -> list[int]:
    """How many buckets of each part are done when `percent` of all are: rank by rank, within one in proportion."""
    left = sum(sizes) * percent  # in hundredths of a bucket
    ends = [0] * len(sizes)
    for rank in sorted(set(ranks)):
        members = [number for number, own in enumerate(ranks) if own == rank]
        whole = sum(sizes[number] for number in members)
        done = min(left, whole * 100)
        for number in members:
            ends[number] = -(-sizes[number] * done // (whole * 100)) if whole else 0
        left -= done
    return ends


def _held(
    members: Sequence[int], counted: Sequence[Sequence[float]], first: Sequence[int], last: Sequence[int]
) -> float:
    """Agents of these parts between two cuts."""
    return sum(counted[number][last[number]] - counted[number][first[number]] for number in members)


def _widen(
    ends: list[int],
    before: Sequence[int],
    members: Sequence[int],
    counted: Sequence[Sequence[float]],
    ranks: Sequence[int],
) -> None:
    """Move a wave's end, one bucket of each part whose turn it is at a time, until it holds enough agents, or all."""
    if all(ends[number] == before[number] for number in members):
        return
    while _held(members, counted, before, ends) < MIN_WAVE_AGENTS:
        left = [number for number in members if ends[number] < len(counted[number]) - 1]
        if not left:
            return
        turn = min(ranks[number] for number in left)
        for number in left:
            ends[number] += ranks[number] == turn


def _join_small_end(cuts: list[list[int]], members: Sequence[int], counted: Sequence[Sequence[float]]) -> None:
    """Let a system's last wave join the one before when it holds too few agents."""
    filled = [wave for wave, (first, last) in enumerate(pairwise(cuts)) if any(last[n] > first[n] for n in members)]
    if len(filled) < 2 or _held(members, counted, cuts[filled[-1]], cuts[filled[-1] + 1]) >= MIN_WAVE_AGENTS:
        return
    for cut in cuts[filled[-2] + 1 : filled[-1] + 1]:
        for number in members:
            cut[number] = len(counted[number]) - 1


def _without_empty_end(waves: list[dict[int, Slot]]) -> tuple[dict[int, Slot], ...]:
    while waves and not waves[-1]:
        waves.pop()
    return tuple(waves)
