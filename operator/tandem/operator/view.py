"""The store as this operator sees it: a hot picture, kept by one listing and a watch.

The picture is what the engine's rules use as well (`domain.gather`), so a status never tells another story than the
decision did.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence

from tandem.domain import keys
from tandem.domain.gather import Gatherer
from tandem.domain.snapshot import Snapshot
from tandem.engine.ports import Change, Clock, KeyValue, Store, StoreError
from tandem.engine.wakeup import Signal

log = logging.getLogger(__name__)

_RETRY_S = 0.5


class StoreView:
    """Follows the store, for as many readers as there are."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self.clock = clock
        """The clock of everything that looks at this view."""
        self._store = store
        self._gatherer = Gatherer()
        self._raw: dict[str, KeyValue] = {}
        self._snapshot: Snapshot | None = None
        self._silent_since: float | None = self.clock.monotonic()
        self.complete = asyncio.Event()
        """Set once the store has been listed: before that, nothing is known, which is not "nothing is there"."""
        self._subscribers: list[Signal] = []
        self.trouble = ""
        """Why the store does not answer; empty while it does."""

    @property
    def raw(self) -> Mapping[str, KeyValue]:
        return self._raw

    @property
    def revision(self) -> int:
        """The newest revision that the picture shows."""
        return self._gatherer.revision

    @property
    def silent_s(self) -> float:
        """Seconds since the store stopped answering; 0 while it answers."""
        return 0.0 if self._silent_since is None else self.clock.monotonic() - self._silent_since

    def snapshot(self) -> Snapshot:
        if self._snapshot is None:
            self._snapshot = self._gatherer.snapshot()
        return self._snapshot

    def subscribe(self) -> Signal:
        """A signal given after every batch that changed something, and when the store is lost or found."""
        signal = Signal()
        self._subscribers.append(signal)
        return signal

    async def run(self) -> None:
        """Follow the store until cancelled."""
        while True:
            try:
                await self._follow()
            except StoreError as error:
                if self._silent_since is None:
                    self._silent_since = self.clock.monotonic()
                    log.warning("the store does not answer: %s", error)
                self.trouble = str(error) or type(error).__name__
                self._tell()
            await asyncio.sleep(_RETRY_S)

    async def _follow(self) -> None:
        found, revision = await self._store.range(keys.PREFIX)
        self._listed(found, revision)
        if self._silent_since is not None:
            log.info("the store answers, revision %d, %d keys", revision, len(found))
        self._silent_since, self.trouble = None, ""
        self.complete.set()
        self._tell()
        async for changes in self._store.watch(keys.PREFIX, revision + 1):
            if changes:
                self._apply(changes)

    def _listed(self, found: Sequence[KeyValue], revision: int) -> None:
        at = self.clock.monotonic()
        present = {kv.key for kv in found}
        for key in (self._gatherer.keys() | self._raw.keys()) - present:
            self._gatherer.delete(key, revision, at)
            self._raw.pop(key, None)
        for kv in found:
            held = self._raw.get(kv.key)
            if held is None or held.mod_revision != kv.mod_revision:
                self._take(kv, at)
        self._snapshot = None

    def _apply(self, changes: Sequence[Change]) -> None:
        at = self.clock.monotonic()
        for change in changes:
            if change.value is None:
                self._gatherer.delete(change.key, change.revision, at)
                self._raw.pop(change.key, None)
            else:
                self._take(change.value, at)
        self._snapshot = None
        self._tell()

    def _tell(self) -> None:
        for signal in self._subscribers:
            signal.give()

    def _take(self, kv: KeyValue, at: float) -> None:
        self._gatherer.apply(kv.key, kv.value, kv.create_revision, kv.mod_revision, at)
        self._raw[kv.key] = kv
