"""Agents who arrive at this city's CTI by a move: their own gaps, per Shift, kept in the store.

Of Drills' Shifts, whose reports need it, the distributions and the slowest agents as well; both are written in one
transaction, so that whoever sees a count sees what stands behind it.
"""

import asyncio
from collections import deque

from tandem.constants import ARRIVALS_WAIT_S, DRILL_SHIFTS_IN_ARRIVALS, SHIFTS_IN_MOVES
from tandem.domain import keys
from tandem.domain.arrivals import ArrivalTally
from tandem.domain.drill_legs import DRILL_CAUSE
from tandem.domain.records import ArrivalRecord, ArrivalsOfShift, ArrivalsRecord, MovesOfShift, MovesRecord
from tandem.domain.switch_times import SwitchTimes, goes_back, shift_of, wave_of
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
        self._tallies: dict[str, ArrivalTally] = {}
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
        boot, after = "", 0
        while True:
            try:
                found = await self._adapter.arrivals(after, ARRIVALS_WAIT_S)
            except AdapterError:
                await self._clock.sleep(_RETRY_S)
                continue
            reborn, boot = after > 0 and found.boot != boot, found.boot
            if reborn:
                # It has restarted and counts from the beginning; its first ones may be behind our number already.
                after = 0
                continue
            # A smaller number says the same of one that does not name its boot.
            after = found.seq if found.seq >= after else 0
            for arrival in found.agents:
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
        shift = shift_of(
            arrival.group,
            arrival.came_from,
            self._site,
            arrival.signed_in_at,
            shifts,
            failed_over=arrival.failed_over,
        )
        if shift:
            record = self._picture.snapshot.shifts[shift].record
            wave = wave_of(record, arrival.group, arrival.bucket, arrival.came_from, self._site)
            back = goes_back(record, arrival.group, arrival.came_from, self._site)
            self._times.setdefault(shift, SwitchTimes()).add(arrival.gap, arrival.signed_in_at, wave, back=back)
            if record.cause.startswith(DRILL_CAUSE):
                self._tallies.setdefault(shift, ArrivalTally(record.started_at)).add(self._named(arrival))
            self._changed.give()

    def _named(self, arrival: Arrival) -> ArrivalRecord:
        return ArrivalRecord(
            account=arrival.account,
            group=arrival.group,
            bucket=arrival.bucket,
            came_from=arrival.came_from,
            to=self._site,
            gap=round(arrival.gap, 4),
            at=round(arrival.signed_in_at, 3),
            delay=arrival.delay,
            failed_over=arrival.failed_over,
        )

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
            if self._tallies:
                self._publisher.keep(keys.arrivals(*self._pair), self._in_detail())
            self._publisher.keep(keys.moves(*self._pair), record)
            await self._clock.sleep(_GATHER_S)

    def _in_detail(self) -> ArrivalsRecord:
        """The last Drills' Shifts; of one that we know less of than the store, after a restart, what is there."""
        entry = self._picture.snapshot.arrivals.get(self._pair)
        known: dict[str, ArrivalsOfShift] = dict(entry.record.shifts) if entry else {}
        for shift, tally in self._tallies.items():
            found = tally.record()
            if shift not in known or known[shift].agents <= found.agents:
                known[shift] = found
        newest = sorted(known, key=lambda shift: known[shift].since)[-DRILL_SHIFTS_IN_ARRIVALS:]
        self._tallies = {shift: tally for shift, tally in self._tallies.items() if shift in newest}
        return ArrivalsRecord(shifts={shift: known[shift] for shift in newest})
