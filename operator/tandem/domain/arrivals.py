"""The agents who arrived at one city by one Shift, counted one by one into something that does not grow with them."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from tandem.domain.delays import why_late
from tandem.domain.distribution import bin_of, merged
from tandem.domain.records import ArrivalRecord, ArrivalsOfShift

NAMED: Final = 20
"""Agents who are named: those with the longest gaps, and those who came last."""


@dataclass
class ArrivalTally:
    """Those of one Shift. `since`: its first commit, seconds since the epoch."""

    since: float
    _gaps: Counter[int] = field(default_factory=Counter)
    _times: Counter[int] = field(default_factory=Counter)
    _failed_over_gaps: Counter[int] = field(default_factory=Counter)
    _failed_over_times: Counter[int] = field(default_factory=Counter)
    _whys: Counter[str] = field(default_factory=Counter)
    _slowest: list[ArrivalRecord] = field(default_factory=list)
    _latest: list[ArrivalRecord] = field(default_factory=list)

    def add(self, arrival: ArrivalRecord) -> None:
        """One more."""
        gap, time = bin_of(arrival.gap), bin_of(arrival.at - self.since)
        self._gaps[gap] += 1
        self._times[time] += 1
        if arrival.failed_over:
            self._failed_over_gaps[gap] += 1
            self._failed_over_times[time] += 1
        self._whys[why_late(arrival.gap, arrival.delay)] += 1
        self._slowest = slowest([*self._slowest, arrival])
        self._latest = latest([*self._latest, arrival])

    def record(self) -> ArrivalsOfShift:
        """What there is so far."""
        return ArrivalsOfShift(
            since=self.since,
            gaps=dict(sorted(self._gaps.items())),
            times=dict(sorted(self._times.items())),
            whys=dict(sorted(self._whys.items())),
            slowest=tuple(self._slowest),
            latest=tuple(self._latest),
            failed_over_gaps=dict(sorted(self._failed_over_gaps.items())),
            failed_over_times=dict(sorted(self._failed_over_times.items())),
        )


def slowest(arrivals: list[ArrivalRecord]) -> list[ArrivalRecord]:
    """The agents with the longest gaps, longest first."""
    return sorted(arrivals, key=lambda one: (-one.gap, one.account))[:NAMED]


def latest(arrivals: list[ArrivalRecord]) -> list[ArrivalRecord]:
    """The agents who came last, last first."""
    return sorted(arrivals, key=lambda one: (-one.at, one.account))[:NAMED]


def together(parts: list[ArrivalsOfShift]) -> ArrivalsOfShift:
    """What several CTIs say of one Shift; all count from the same commit."""
    whys: Counter[str] = Counter()
    for part in parts:
        whys.update(part.whys)
    return ArrivalsOfShift(
        since=min((part.since for part in parts), default=0.0),
        gaps=merged(part.gaps for part in parts),
        times=merged(part.times for part in parts),
        whys=dict(sorted(whys.items())),
        slowest=tuple(slowest([one for part in parts for one in part.slowest])),
        latest=tuple(latest([one for part in parts for one in part.latest])),
        failed_over_gaps=merged(part.failed_over_gaps for part in parts),
        failed_over_times=merged(part.failed_over_times for part in parts),
    )
