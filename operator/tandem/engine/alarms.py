"""Alarms: asks the Prometheus that each Drill and each Shift with alarms names, and publishes what changes.

Every location asks for itself; one that cannot says so. One task per question, so that a slow answer delays no other
one. It asks often while a run is due or under way or a Shift may begin a wave, and now and then while none is.
"""

import asyncio
import logging
from typing import Final

from tandem.api.alarms import Alarm
from tandem.api.common import duration_seconds
from tandem.constants import ALARM_IDLE_INTERVAL_S, ALARM_INTERVAL_S
from tandem.domain import keys
from tandem.domain.alarms import AlarmAnswer, AlarmRow, Watch, follow, renewed, watches_of
from tandem.domain.records import AlarmsRecord
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, AlarmServer, Clock
from tandem.engine.publisher import Publisher

log = logging.getLogger(__name__)

_LOOK_S: Final = 1.0


class AlarmWatch:
    """Keeps this location's word about every alarm."""

    def __init__(self, me: str, picture: Picture, publisher: Publisher, server: AlarmServer, clock: Clock) -> None:
        self._me = me
        self._picture = picture
        self._publisher = publisher
        self._server = server
        self._clock = clock
        self._watched: dict[str, _Watched] = {}

    async def run(self) -> None:
        """Ask and publish. Never returns; ends when one of its tasks fails, which is a bug."""
        signal = self._picture.subscribe(keys.SPECS, keys.DRILLS, keys.SHIFTS)
        try:
            while True:
                await signal.wait(_LOOK_S)
                if self._picture.synced.is_set():
                    await self._follow(watches_of(self._picture.snapshot))
                for watched in self._watched.values():
                    watched.check()
        finally:
            self._picture.unsubscribe(signal)
            await self._follow({})  # nobody looks any more: what was said is taken back

    async def _follow(self, watches: dict[str, Watch]) -> None:
        for owner in [owner for owner in self._watched if owner not in watches]:
            await self._watched.pop(owner).end()
            self._publisher.unsay(keys.alarms(self._me, owner))
        for owner, watch in watches.items():
            watched = self._watched.get(owner)
            if watched is not None and watched.watch == watch:
                continue
            rows = watched.kept_for(watch) if watched is not None else {}
            if watched is not None:
                await watched.end()
            self._watched[owner] = _Watched(self._me, watch, rows, self._publisher, self._server, self._clock)


class _Watched:
    """The alarms of one object, each asked by a task of its own from now on."""

    def __init__(
        self,
        me: str,
        watch: Watch,
        rows: dict[str, AlarmRow],
        publisher: Publisher,
        server: AlarmServer,
        clock: Clock,
    ) -> None:
        self.watch = watch
        self._key = keys.alarms(me, watch.owner)
        self._rows = rows
        self._answered: set[str] = set()
        """Alarms about which this watch's purpose has been told something."""
        self._publisher = publisher
        self._server = server
        self._clock = clock
        self._interval = ALARM_INTERVAL_S if watch.purpose else ALARM_IDLE_INTERVAL_S
        self._tasks = [
            asyncio.create_task(self._ask_for_ever(alarm), name=f"alarm-{watch.owner}-{alarm.name}")
            for alarm in watch.alarms
        ]

    def kept_for(self, watch: Watch) -> dict[str, AlarmRow]:
        """What is remembered of questions that another watch asks too."""
        if watch.prometheus != self.watch.prometheus:
            return {}
        same = {alarm.name for alarm in watch.alarms if alarm in self.watch.alarms}
        return {name: renewed(row) for name, row in self._rows.items() if name in same}

    def check(self) -> None:
        """A task that has ended has failed."""
        for task in self._tasks:
            if task.done():
                task.result()

    async def end(self) -> None:
        """Ask no more. What was said stands until something else is said under its key: it names its purpose."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _ask_for_ever(self, alarm: Alarm) -> None:
        for_s = duration_seconds(alarm.for_)
        while True:
            asked_at = self._clock.monotonic()
            answer = await self._ask(alarm)
            now, mono = self._clock.now(), self._clock.monotonic()
            before = self._rows.get(alarm.name)
            row = self._rows[alarm.name] = follow(before, answer, for_s, now, mono)
            if before is None or alarm.name not in self._answered or row.word != before.word:
                self._answered.add(alarm.name)
                self._say(alarm, row)
            pause = self._interval
            if row.true_since is not None and row.word.state == "Pending":
                pause = min(pause, max(row.true_since + for_s - mono, ALARM_INTERVAL_S))
            await self._clock.sleep(max(asked_at + pause - mono, ALARM_INTERVAL_S / 2))

    async def _ask(self, alarm: Alarm) -> AlarmAnswer | str:
        try:
            return await self._server.ask(self.watch.prometheus, self.watch.namespace, alarm.query)
        except AdapterError as error:
            return str(error)

    def _say(self, alarm: Alarm, row: AlarmRow) -> None:
        word = row.word
        log.info("alarm %s of %s: %s %s%s", alarm.name, self.watch.owner, word.state, word.value, word.detail)
        said = {name: self._rows[name].word for name in sorted(self._answered)}
        record = AlarmsRecord(purpose=self.watch.purpose, digest=self.watch.digest, alarms=said)
        self._publisher.say(self._key, record)
