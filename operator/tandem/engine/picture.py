"""The picture: one process's copy of the store, kept by one listing and a watch, as typed snapshots.

Every engine keeps it hot, so whoever becomes coordinator decides at once after one linearizable read. The operator
looks at the same kind of picture, so a status never tells another story than the decision did.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import aclosing

from tandem.domain.gather import Gatherer
from tandem.domain.keys import PREFIX
from tandem.domain.snapshot import Snapshot
from tandem.engine.ports import Change, Clock, CompactedError, KeyValue, Store, StoreError
from tandem.engine.wakeup import Signal

log = logging.getLogger(__name__)

_RETRY_S = 0.2


class Picture:
    def __init__(self, store: Store, clock: Clock) -> None:
        self.clock = clock
        """The clock of everything that looks at this picture."""
        self._store = store
        self._gatherer = Gatherer()
        self._held: dict[str, KeyValue] = {}
        self._listed_at = 0
        self._revision = 0
        self._snapshot: Snapshot | None = None
        self._subscribers: list[tuple[tuple[str, ...], Signal]] = []
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self.synced = asyncio.Event()
        """Set once the store has been listed: before that nothing is known, which is not "nothing is there"."""
        self.live = False
        """Whether the watch runs; while it does not, the snapshot may be old."""
        self.trouble = ""
        """Why the store does not answer; empty while it does."""
        self._silent_since: float | None = clock.monotonic()

    @property
    def held(self) -> Mapping[str, KeyValue]:
        """The keys themselves."""
        return self._held

    @property
    def revision(self) -> int:
        """The newest revision that the picture shows."""
        return self._revision

    @property
    def silent_s(self) -> float:
        """Seconds since the store stopped answering; 0 while it answers."""
        return 0.0 if self._silent_since is None else self.clock.monotonic() - self._silent_since

    @property
    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = self._gatherer.snapshot()
        return self._snapshot

    def subscribe(self, *prefixes: str) -> Signal:
        """A signal given whenever a key under one of `prefixes` changes or the store is lost, and once at the start."""
        signal = Signal()
        signal.give()
        self._subscribers.append((prefixes, signal))
        return signal

    def unsubscribe(self, signal: Signal) -> None:
        self._subscribers = [(prefixes, other) for prefixes, other in self._subscribers if other is not signal]

    async def run(self) -> None:
        """List, watch, and start over when the watch breaks. Never returns."""
        while True:
            try:
                # Listed after each loss, too: the store that is found again may be one that was restored or rebuilt.
                await self.refresh()
                self.synced.set()
                await self._watch()
            except CompactedError:
                log.info("the store has compacted what we had not seen yet: listing it again")
                self.synced.clear()
            except StoreError as error:
                if self.live:
                    log.warning("the watch on the store ended: %s; trying again each %.1f s", error, _RETRY_S)
                self._lost(error)
            finally:
                self.live = False
            await self.clock.sleep(_RETRY_S)

    async def refresh(self) -> None:
        """Bring the picture up to now by a linearizable read of everything. Raises StoreError."""
        known = self._revision
        listed, revision = await self._store.range(PREFIX, timeout=2.0)
        self._found()
        if revision < known:  # a linearizable read never goes back in the same store
            log.warning("the store is at revision %d and was at %d: it was restored or rebuilt", revision, known)
            self._forget()
        self._apply_listing(listed, revision)

    async def reach(self, revision: int, timeout: float) -> bool:
        """Wait until the picture shows `revision` or a newer one."""
        if self._revision >= revision:
            return True
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (revision, waiter)
        self._waiters.append(entry)
        try:
            async with asyncio.timeout(timeout):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiters.remove(entry)
        return True

    async def _watch(self) -> None:
        async with aclosing(self._store.watch(PREFIX, self._revision + 1)) as batches:  # type: ignore[type-var]
            async for changes in batches:
                if not self.live:
                    log.info("the watch on the store runs, from revision %d", self._revision + 1)
                    self.live = True
                    self._found()
                self._apply_changes(changes)

    def _apply_changes(self, changes: Sequence[Change]) -> None:
        touched = []
        for change in changes:
            self._revision = max(self._revision, change.revision)
            # A listing that came in between already holds everything up to its revision, deletions included.
            if change.revision > self._listed_at:
                self._take(change.key, change.value, change.revision)
                touched.append(change.key)
        self._tell(touched)

    def _apply_listing(self, found: Sequence[KeyValue], revision: int) -> None:
        if revision < self._revision:
            # The watch was quicker, and is complete: a key that it has seen deleted since must not come back for good.
            return
        listed = {kv.key for kv in found}
        touched = []
        for kv in found:
            known = self._held.get(kv.key)
            if known is None or kv.mod_revision != known.mod_revision:
                self._take(kv.key, kv, kv.mod_revision)
                touched.append(kv.key)
        for key in [key for key in self._held if key not in listed]:
            self._take(key, None, revision)
            touched.append(key)
        self._listed_at = self._revision = revision
        self._tell(touched)

    def _take(self, key: str, value: KeyValue | None, revision: int) -> None:
        at = self.clock.monotonic()
        if value is None:
            self._held.pop(key, None)
            self._gatherer.delete(key, revision, at)
        else:
            self._held[key] = value
            self._gatherer.apply(key, value.value, value.create_revision, value.mod_revision, at)

    def _forget(self) -> None:
        """What another store has said counts no more."""
        touched = list(self._held)
        self._held, self._gatherer, self._snapshot = {}, Gatherer(), None
        self._listed_at = self._revision = 0
        self._tell(touched)

    def _lost(self, error: StoreError) -> None:
        self.trouble = str(error) or type(error).__name__
        if self._silent_since is None:
            self._silent_since = self.clock.monotonic()
            for _, signal in self._subscribers:
                signal.give()

    def _found(self) -> None:
        if self._silent_since is not None:
            self._silent_since, self.trouble = None, ""
            for _, signal in self._subscribers:
                signal.give()

    def _tell(self, touched: Sequence[str]) -> None:
        for revision, waiter in self._waiters:
            if revision <= self._revision and not waiter.done():
                waiter.set_result(None)
        if not touched:
            return
        self._snapshot = None
        for prefixes, signal in self._subscribers:
            if any(key.startswith(prefixes) for key in touched):
                signal.give()
