"""Mirroring: what the store says becomes the status of the objects in this cluster.

One task computes all statuses after a change, at most twice a second, and writes those that differ: a move of 1,000
agents is a thousand changes and a handful of writes. Where there are more than may be written in a second, Sites,
Shifts and Drills come first, then news of groups and Trunks, then what has not been told for longest.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.api.common import Reported
from tandem.api.resources import AGENT_GROUP, DRILL, RESOURCES, SHIFT, SITE, TRUNK
from tandem.domain.capacity import Ledger
from tandem.domain.forecast import Forecast
from tandem.domain.verdicts import next_confirmation
from tandem.engine.picture import Picture
from tandem.engine.wakeup import Signal
from tandem.operator.cluster import ApiError, Cluster, MissingError
from tandem.operator.objects import Key, Seen, Table, parse
from tandem.operator.settings import (
    CONFIRMED_SLACK_S,
    STATUS_DUTY,
    STATUS_INTERVAL_S,
    STORE_SILENT_S,
    WRITES_AT_ONCE,
)
from tandem.operator.status_pacing import Budget, Quiet, write_interval
from tandem.operator.statuses.common import Said, Scene
from tandem.operator.statuses.drill import drill_status
from tandem.operator.statuses.group import group_status
from tandem.operator.statuses.shift import left_over, shift_status
from tandem.operator.statuses.site import site_status
from tandem.operator.statuses.trunk import trunk_status

log = logging.getLogger(__name__)

_MANY = (AGENT_GROUP, TRUNK)
"""Kinds of which a call centre has hundreds, whose statuses share what may be written in a second."""
_IDLE_S = 10.0
"""Seconds between two rounds when nothing changes: repairs a status that somebody else has changed."""
_AGAIN_S = 5.0
"""Seconds before a status that could not be written is tried again."""


@dataclass
class LocalNotes:
    """What only this operator knows and the statuses have to say."""

    conditions: dict[Key, dict[str, Said]] = field(default_factory=dict)
    statuses: dict[Key, Reported] = field(default_factory=dict)
    """Whole statuses of Shifts that the store does not have."""
    changed: Signal = field(default_factory=Signal)

    def say(self, key: Key, said: Said) -> None:
        """Add or change a condition."""
        if self.conditions.setdefault(key, {}).get(said.type) != said:
            self.conditions[key][said.type] = said
            self.changed.give()

    def unsay(self, key: Key, kind: str) -> None:
        if self.conditions.get(key, {}).pop(kind, None) is not None:
            self.changed.give()

    def show(self, key: Key, status: Reported | None) -> None:
        """Show this instead of what the store would say; None takes it back."""
        if status is None:
            self.statuses.pop(key, None)
        elif not _same_but_time(status, self.statuses.get(key)):
            self.statuses[key] = status
            self.changed.give()

    def of(self, key: Key) -> list[Said]:
        return list(self.conditions.get(key, {}).values())


def _same_but_time(a: Reported, b: Reported | None) -> bool:
    """Whether both say the same for the same reason; when it was said is no news."""
    return b is not None and all(getattr(a, f) == getattr(b, f) for f in ("phase", "reason", "message"))


class StatusMirror:
    """Writes the statuses. One task: `run`."""

    def __init__(self, site: str, table: Table, view: Picture, cluster: Cluster, notes: LocalNotes) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._cluster = cluster
        self._notes = notes
        self._wake = notes.changed
        self._view_changed = view.subscribe("")
        self._answered: dict[Key, tuple[dict[str, Any], int]] = {}
        """Status last written, and the version that came back: guards against writing the same again and again."""
        self._later: dict[Key, float] = {}
        self._written_at: dict[Key, float] = {}
        self._quiet = Quiet()
        self._budget = Budget()
        self._some_wait = False
        """Whether a status differs, but not in anything that is news, and was written too recently."""
        self.writes = 0
        """Statuses written since the start."""

    def seen(self, key: Key) -> None:
        """An object is new or has changed: its status may be due, or somebody else may have changed it."""
        self._wake.give()

    def forget(self, key: Key) -> None:
        self._answered.pop(key, None)
        self._later.pop(key, None)
        self._written_at.pop(key, None)
        self._notes.conditions.pop(key, None)
        self._notes.statuses.pop(key, None)

    async def run(self) -> None:
        """Mirror until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._relay())
            while True:
                started = time.monotonic()
                # The moments at which a silent store becomes worth saying and at which time confirms a loss are no
                # changes of anything, and may come while this round's statuses are written: looked at before they are
                # made.
                silent = 0 < self._view.silent_s <= STORE_SILENT_S
                looked_at = self._view.clock.monotonic()
                confirmed_in = next_confirmation(self._view.snapshot, looked_at)
                due = self._afforded(list(self._due()))
                rest = max(STATUS_INTERVAL_S, STATUS_DUTY * (time.monotonic() - started))
                await self._write(due)
                await asyncio.sleep(rest)
                pause = 1.0 if silent or self._later or self._some_wait else _IDLE_S
                if confirmed_in is not None:
                    left = looked_at + confirmed_in + CONFIRMED_SLACK_S - self._view.clock.monotonic()
                    pause = min(pause, max(left, 0.0))
                await self._wake.wait(timeout=pause)

    async def _relay(self) -> None:
        while True:
            await self._view_changed.wait()
            self._wake.give()

    def _due(self) -> Iterator[tuple[Seen, dict[str, Any]]]:
        """Objects whose status differs from what the cluster has."""
        if not self._view.synced.is_set() and self._view.silent_s < STORE_SILENT_S:
            return  # Just started: let the store speak first.
        snapshot = self._view.snapshot
        now = self._view.clock.monotonic()
        scene = Scene(snapshot, self._site, self._view.clock.now(), self._view.silent_s, self._view.trouble, mono=now)
        ledger = Ledger(snapshot)
        forecast = Forecast(snapshot, ledger, mono=now)
        quiet = self._quiet.wanted(snapshot, now)
        self._some_wait = quiet
        for resource in RESOURCES:
            if quiet and resource not in (SHIFT, SITE):
                continue
            for seen in self._table.of(resource.plural):
                if self._later.get(seen.key, 0.0) > now:
                    continue
                status = self._status(scene, ledger, forecast, seen)
                if status is None:
                    continue
                wanted = status.model_dump(mode="json", by_alias=True, exclude_none=True)
                if wanted != seen.status and (wanted, seen.version) != self._answered.get(seen.key):
                    interval = write_interval(seen.status, wanted)
                    written_at = self._written_at.get(seen.key)
                    recently = written_at is not None and now - written_at < interval
                    if recently or (quiet and interval > 0 and resource is SITE):
                        self._some_wait = True
                        continue
                    yield seen, wanted

    def _afforded(self, due: Sequence[tuple[Seen, dict[str, Any]]]) -> list[tuple[Seen, dict[str, Any]]]:
        """Those that may be written now; the others stay due."""
        first = [one for one in due if one[0].resource not in _MANY]
        many = [one for one in due if one[0].resource in _MANY]
        granted = self._budget.take(len(many), self._view.clock.monotonic())
        if granted < len(many):
            self._some_wait = True
            many.sort(key=self._patience)
        return [*first, *many[:granted]]

    def _patience(self, due: tuple[Seen, dict[str, Any]]) -> tuple[float, float]:
        """Sorts news before progress before counts, and within each what was written longest ago."""
        seen, wanted = due
        return write_interval(seen.status, wanted), self._written_at.get(seen.key, float("-inf"))

    def _status(self, scene: Scene, ledger: Ledger, forecast: Forecast, seen: Seen) -> Reported | None:
        if seen.resource is SITE:
            return site_status(scene, seen, ledger, self._notes.of(seen.key))
        if seen.resource is AGENT_GROUP:
            return group_status(scene, seen, forecast, self._notes.of(seen.key))
        if seen.resource is TRUNK:
            return trunk_status(scene, seen, self._notes.of(seen.key))
        if seen.resource is DRILL:
            return drill_status(scene, seen, self._notes.of(seen.key))
        assert seen.resource is SHIFT
        entry = scene.snapshot.shifts.get(seen.name)
        if entry is None or seen.key in self._notes.statuses:
            return self._notes.statuses.get(seen.key)
        if left_over(seen, entry.record):
            return None  # what it says is how anybody can tell
        return shift_status(scene, seen, entry, self._notes.of(seen.key))

    async def _write(self, due: Sequence[tuple[Seen, dict[str, Any]]]) -> None:
        room = asyncio.Semaphore(WRITES_AT_ONCE)

        async def one(seen: Seen, wanted: dict[str, Any]) -> None:
            async with room:
                try:
                    answer = await self._cluster.apply_status(seen.resource, seen.name, wanted)
                except MissingError:
                    return  # Deleted meanwhile; its event is on the way.
                except ApiError as error:
                    log.warning("status of %s %s not written: %s", seen.resource.kind, seen.name, error)
                    self._later[seen.key] = self._view.clock.monotonic() + _AGAIN_S
                    return
            self._later.pop(seen.key, None)
            self._written_at[seen.key] = self._view.clock.monotonic()
            self.writes += 1
            # The answer goes into the table: a watch that lags behind our own writes then changes nothing.
            found = parse(seen.resource, answer)
            if seen.key in self._table.objects:
                self._table.update(found)
            self._answered[seen.key] = (wanted, found.version)

        if due:
            await asyncio.gather(*(one(seen, wanted) for seen, wanted in due))
