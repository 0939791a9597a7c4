"""Distributions of seconds as counts, small however many agents there are: three significant digits, in milliseconds.

    0.0124 s -> 12 (each millisecond up to a second)   1.2345 s -> 1230   83.71 s -> 83700

A bin's name is its middle, so what is read off a distribution is off by half a percent at most, or by half a
millisecond. There are at most 1,000 bins below a second and 900 for each power of ten above.
"""

import math
from collections import Counter
from collections.abc import Iterable, Mapping

Bins = Mapping[int, int]
"""Milliseconds -> how many."""


def bin_of(seconds: float) -> int:
    """The bin of a time, in milliseconds; what is negative, by clocks that differ, counts as 0."""
    ms = max(0.0, seconds * 1000)
    if ms < 1000:
        return round(ms)
    step = int(10 ** (math.floor(math.log10(ms)) - 2))
    return round(ms / step) * step


def merged(parts: Iterable[Bins]) -> dict[int, int]:
    """Several distributions as one, in the order of the times."""
    total: Counter[int] = Counter()
    for part in parts:
        total.update(part)
    return dict(sorted(total.items()))


def reached(bins: Bins, count: int) -> float | None:
    """Seconds within which `count` were there (1 is the first); None: there were never so many."""
    so_far = 0
    for ms, agents in sorted(bins.items()):
        so_far += agents
        if so_far >= count:
            return ms / 1000
    return None


def share_reached(bins: Bins, percent: float, of: int) -> float | None:
    """Seconds until `percent` of `of` agents were there; None: they never were."""
    # Rounded first: 93.1 % of 1000 are 931 agents, and not 932 because of a binary fraction.
    return reached(bins, max(1, math.ceil(round(of * percent / 100, 9)))) if of else None


def rank(bins: Bins, percent: float) -> float | None:
    """The percentile by nearest rank, in seconds; None without any."""
    return share_reached(bins, percent, sum(bins.values()))
