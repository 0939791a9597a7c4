"""Agents who arrive at this city's CTI by a move: their own gaps, per Shift, kept in the store."""

import asyncio
from collections import deque

from tandem.constants import ARRIVALS_WAIT_S, SHIFTS_IN_MOVES
from tandem.domain import keys
from tandem.domain.records import MovesOfShift, MovesRecord
from tandem.domain.switch_times import SwitchTimes, shift_of, wave_of
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, Arrival, Clock, CTIAdapter
from tandem.engine.publisher import Publisher
from tandem.engine.wakeup import Signal

_RETRY_S = 0.5
_GATHER_S = 0.5  # each record is written, watched and read in every location; nobody waits for the count
_REMEMBERED = 50_000


class Arrivals:
    def __init__(
        self, site: str, system: str, adapter: CTIAdapter, picture: Picture, publisher: Publisher, clock: Clock
    ) -> None:
        self._site = site
        self._pair = (site, system)
        self._adapter = adapter
        self._picture = picture
        self._publisher = publisher
        self._clock = clock
        self._times: dict[str, SwitchTimes] = {}
        self._seen: set[tuple[str, float]] = set()
        self._order: deque[tuple[str, float]] = deque()
        self._changed = Signal()

    async def run(self) -> None:
        """Ask and publish until cancelled. An engine that restarts asks for all that the CTI still remembers."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._ask(), name=f"arrivals-{self._pair[1]}")
            tasks.create_task(self._publish(), name=f"arrivals-publish-{self._pair[1]}")

    async def _ask(self) -> None:
        await self._picture.synced.wait()
        after = 0
        while True:
            try:
                seq, found = await self._adapter.arrivals(after, ARRIVALS_WAIT_S)
            except AdapterError:
                await self._clock.sleep(_RETRY_S)
                continue
            # A smaller number: the CTI has restarted and counts from the beginning.
            after = seq if seq >= after else 0
            for arrival in found:
                self._take(arrival)
            await self._clock.sleep(_GATHER_S)

    def _take(self, arrival: Arrival) -> None:
        identity = (arrival.account, arrival.signed_in_at)
        if identity in self._seen:
            return
        self._seen.add(identity)
        self._order.append(identity)
        if len(self._order) > _REMEMBERED:
            self._seen.discard(self._order.popleft())
        shifts = self._picture.snapshot.shifts.values()
        shift = shift_of(arrival.group, arrival.came_from, self._site, arrival.signed_in_at, shifts)
        if shift:
            record = self._picture.snapshot.shifts[shift].record
            wave = wave_of(record, arrival.group, arrival.bucket, arrival.came_from, self._site)
            self._times.setdefault(shift, SwitchTimes()).add(arrival.gap, arrival.signed_in_at, wave)
            self._changed.give()

    async def _publish(self) -> None:
        while True:
            await self._changed.wait()
            entry = self._picture.snapshot.moves.get(self._pair)
            known: dict[str, MovesOfShift] = dict(entry.record.shifts) if entry else {}
            for shift, times in self._times.items():
                found = times.summary()
                # After a restart of engine and CTI we may know fewer than are in the store: the larger count stays.
                if shift not in known or known[shift].agents <= found.agents:
                    known[shift] = found
            newest = sorted(known, key=lambda shift: known[shift].last_at)[-SHIFTS_IN_MOVES:]
            self._times = {shift: times for shift, times in self._times.items() if shift in newest}
            record = MovesRecord(shifts={shift: known[shift] for shift in newest})
            self._publisher.keep(keys.moves(*self._pair), record)
            await self._clock.sleep(_GATHER_S)
