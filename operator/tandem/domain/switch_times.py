"""Switch times: which Shift an arriving agent belongs to, and the distribution of the agents' own gaps."""

from bisect import insort
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

from tandem.domain.buckets import parse_ranges
from tandem.domain.records import MovesOfShift, MovesOfWave, ShiftRecord
from tandem.domain.snapshot import ShiftEntry, Snapshot

_CLOCK_SLACK_S = 2.0

RECENT: Final = 100
"""Agents whose gaps say how it goes now."""


def shift_of(
    arrival_group: str,
    came_from: str,
    here: str,
    signed_in_at: float,
    shifts: Iterable[ShiftEntry],
    *,
    failed_over: bool = False,
) -> str:
    """Name of the Shift that brought an agent of this group from `came_from` to `here`, or "".

    The newest Shift that moves the group this way, or that was aborted and brings it back, and that had started when
    the agent signed in (seconds since the epoch; only a report depends on it).

    Args:
        failed_over: Whether the agent came without a ticket. Then a Shift that was over by that time has not brought
            it: its city was lost later. With a ticket it may be one who stayed for a call.
    """
    there, back = f"{came_from}>{here}", f"{here}>{came_from}"
    found: tuple[float, str] = (0.0, "")
    for shift in shifts:
        started = shift.record.started_at
        if not started or started - _CLOCK_SLACK_S > signed_in_at or started < found[0]:
            continue
        if failed_over and shift.record.finished_at and signed_in_at >= _over_at(shift.record):
            continue
        aborted = shift.record.phase in ("Aborting", "RolledBack")
        for plan in shift.record.plan:
            if plan.group == arrival_group and (there in plan.moves or (aborted and back in plan.moves)):
                found = (started, shift.name)
    return found[1]


def _over_at(record: ShiftRecord) -> float:
    """From when on nobody comes by this Shift without a ticket: at once where an emergency has ended it."""
    return record.finished_at + (0.0 if record.phase == "Interrupted" else _CLOCK_SLACK_S)


def wave_of(record: ShiftRecord, group: str, bucket: int, came_from: str, here: str) -> int:
    """Number of the wave, from 1, by which a bucket of a group goes this way; 0: by none."""
    way = f"{came_from}>{here}"
    for plan in record.plan:
        if plan.group == group:
            waves = (parse_ranges(wave.get(way, "")) for wave in plan.waves)
            return next((number for number, buckets in enumerate(waves, 1) if bucket in buckets), 0)
    return 0


def goes_back(record: ShiftRecord, group: str, came_from: str, here: str) -> bool:
    """Whether an agent of a Shift's group who came this way has come back by its abort."""
    way = f"{came_from}>{here}"
    return not any(plan.group == group and way in plan.moves for plan in record.plan)


def moves_of(snapshot: Snapshot, shift: str) -> MovesOfShift | None:
    """What all cities and systems together say of one Shift (`namespace/name`); None before anybody arrived.

    Each reports its own distribution; the percentiles are those of the slowest of them, which is an upper bound for all
    agents together.
    """
    found = [moves for entry in snapshot.moves.values() if (moves := entry.record.shifts.get(shift)) and moves.agents]
    if not found:
        return None
    return MovesOfShift(
        agents=sum(moves.agents for moves in found),
        back=sum(moves.back for moves in found),
        p50=max(moves.p50 for moves in found),
        p95=max(moves.p95 for moves in found),
        max=max(moves.max for moves in found),
        last_at=max(moves.last_at for moves in found),
    )


class SwitchTimes:
    """The gaps of one Shift's agents at one city, in seconds."""

    def __init__(self) -> None:
        self._gaps: list[float] = []
        self._waves: dict[int, list[float]] = {}
        self._recent: deque[float] = deque(maxlen=RECENT)
        self._last_at = 0.0
        self._back = 0

    def __len__(self) -> int:
        return len(self._gaps)

    def add(self, gap: float, at: float, wave: int = 0, *, back: bool = False) -> None:
        """One agent's. `wave`: the wave that the agent went with; 0: none, like the way back (`back`)."""
        insort(self._gaps, gap)
        self._back += back
        if wave:
            insort(self._waves.setdefault(wave, []), gap)
        self._recent.append(gap)
        self._last_at = max(self._last_at, at)

    def summary(self) -> MovesOfShift:
        """Percentiles by nearest rank. Raises ValueError when there is no gap yet."""
        if not self._gaps:
            raise ValueError("no agent has arrived")
        return MovesOfShift(
            agents=len(self._gaps),
            back=self._back,
            p50=_rank(self._gaps, 50),
            p95=_rank(self._gaps, 95),
            max=self._gaps[-1],
            last_at=self._last_at,
            waves={
                str(wave): MovesOfWave(agents=len(gaps), p95=_rank(gaps, 95))
                for wave, gaps in sorted(self._waves.items())
            },
            recent_p95=_rank(sorted(self._recent), 95),
        )


def _rank(gaps: Sequence[float], percent: int) -> float:
    return gaps[max(-(-len(gaps) * percent // 100) - 1, 0)]
