"""When placements were committed, and what was said of a city that died, followed in the store itself.

A move begins with the first revision that sends a bucket of a group on its way, `A>B`. The store's own record says
when the coordinator wrote it, to the millisecond; an object's status would say it to the second.
"""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tandem.domain import keys
from tandem.domain.records import FailoverRecord, ObservationRecord, PlacementRecord, SystemReport
from tandem.engine.ports import Change, Store, StoreError


@dataclass(frozen=True)
class Commit:
    """One committed placement of one group. `at` in seconds of CLOCK_REALTIME."""

    group: str
    revision: int
    at: float
    leaving_to: frozenset[str]
    """Sites that buckets are on their way to."""
    sites: frozenset[str]
    """Sites that hold settled buckets."""
    cause: str
    map: Mapping[str, str] = field(default_factory=dict)
    """Ranges of buckets by `site` or `from>to`."""

    @property
    def settled(self) -> bool:
        return not self.leaving_to


def read_change(change: Change) -> Commit | None:
    """The commit in one change of the store; None when a placement was forgotten."""
    if change.value is None:
        return None
    record = PlacementRecord.model_validate_json(change.value.value)
    return Commit(
        group=change.key.removeprefix(keys.PLACEMENTS),
        revision=change.revision,
        at=record.committed_at,
        leaving_to=frozenset(part.partition(">")[2] for part in record.map if ">" in part),
        sites=frozenset(part for part in record.map if ">" not in part),
        cause=record.cause,
        map=record.map,
    )


def first_leaving(commits: Iterable[Commit], groups: frozenset[str], to: str, after: float) -> Commit | None:
    """The commit with which a move of `groups` to `to` began, at or after `after`."""
    begun = [commit for commit in commits if commit.group in groups and to in commit.leaving_to and commit.at >= after]
    return min(begun, key=lambda commit: commit.revision, default=None)


@dataclass(frozen=True)
class Accusation:
    """One location's word that a component of a city fails. `at`: since when, seconds of CLOCK_REALTIME."""

    observer: str
    site: str
    at: float


@dataclass(frozen=True)
class Door:
    """A city's CTI has the map of this revision. `at`: when that was heard, seconds of CLOCK_REALTIME."""

    site: str
    group: str
    revision: int
    at: float


class CommitLog:
    """Every placement committed since `start`, and every accusation, failover and door, in order."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._task: asyncio.Task[None] | None = None
        self.commits: list[Commit] = []
        self.newest: dict[str, Commit] = {}
        self.accusations: list[Accusation] = []
        self.failovers: list[tuple[str, FailoverRecord]] = []
        """City and record, each time one begins or ends."""
        self.doors: list[Door] = []
        self._maps: dict[tuple[str, str], int] = {}

    async def start(self) -> None:
        """Begin to follow; returns when the present state is known."""
        found, revision = await self._store.range(keys.PREFIX, timeout=5.0)
        self._add([Change(kv.key, kv, kv.mod_revision) for kv in found])
        self._task = asyncio.create_task(self._follow(revision + 1), name="commit log")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def broken_by(self) -> BaseException | None:
        """The error that it has ended by: from then on it is out of date. None while it follows."""
        task = self._task
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    def _add(self, changes: Sequence[Change]) -> int:
        newest = 0
        for change in changes:
            newest = max(newest, change.revision)
            if change.value is not None:
                self._read(change, change.value.value)
        return newest

    def _read(self, change: Change, value: bytes) -> None:
        if change.key.startswith(keys.PLACEMENTS):
            commit = read_change(change)
            if commit is not None:
                self.commits.append(commit)
                self.newest[commit.group] = commit
        elif change.key.startswith(keys.OBSERVATIONS):
            observer, site = change.key.removeprefix(keys.OBSERVATIONS).split("/")[:2]
            record = ObservationRecord.model_validate_json(value)
            if record.state == "Fail":
                self.accusations.append(Accusation(observer, site, record.since))
        elif change.key.startswith(keys.FAILOVERS):
            site = change.key.removeprefix(keys.FAILOVERS)
            self.failovers.append((site, FailoverRecord.model_validate_json(value)))
        elif change.key.startswith(keys.REPORTS):
            self._read_report(change.key.removeprefix(keys.REPORTS).split("/")[0], value)

    def _read_report(self, site: str, value: bytes) -> None:
        for group, report in SystemReport.model_validate_json(value).groups.items():
            if self._maps.get((site, group)) != report.revision:
                self._maps[site, group] = report.revision
                self.doors.append(Door(site, group, report.revision, time.time()))

    async def _follow(self, revision: int) -> None:
        while True:
            # A watch ends when its member loses the leader; the next one goes on where it ended.
            with contextlib.suppress(StoreError):
                async for changes in self._store.watch(keys.PREFIX, revision):
                    revision = max(revision, self._add(changes) + 1)
            await asyncio.sleep(0.5)
