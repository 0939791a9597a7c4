"""What this engine says in the store: its heartbeat, its observations, its city's reports.

Keys on the engine's lease vanish with it, so that silence is seen; they are written again when a lease was lost. The
newest value of a key wins; values in between that were never written are nobody's loss.

The lease is not given back when the engine ends: a restart that somebody planned must not make the location silent any
sooner than a crash does. Its successor need not wait for that: a key belongs to the lease that it was last written on.

Another process of the same location may write the same keys: one that stood still and was replaced wakes up. What it
wrote goes with its lease. And a write that nobody answered may be applied late, after what was said since: a weaker
accusation after the firm one, a word that was taken back. So each key is looked after: one that is not on our lease, or
is not as we say it, is written again. Another value on our lease that is newer than what we wrote last is such a late
write for certain; else it may be that our own has not come round yet, and has to be seen twice.

What is kept without lease may as well be a successor's. There a late write is known by its value: one that we have
sent, that nobody acknowledged, and that is not the newest.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from tandem.constants import LEASE_KEEPALIVE_S, LEASE_TTL_S, TXN_OPERATIONS
from tandem.domain.records import Record
from tandem.engine.ports import Clock, Delete, KeyValue, LeaseLostError, Put, Store, StoreError
from tandem.engine.wakeup import Signal

log = logging.getLogger(__name__)

_RETRY_S = 0.2
_GLANCE_S = 0.25  # between two looks for late writes: until one is mended, others decide by what was long ago
_LOOKS_EVERY = 4  # glances; a look is at all that the store shows of us, and what is wrong twice is written again

Held = Callable[[], Mapping[str, KeyValue] | None]
"""What the store shows now, by key; None while that is not known."""


class Publisher:
    """Args:
    held: What the picture shows; without it nothing is looked after.
    ttl, every: Seconds to live of the lease, and between its renewals.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        held: Held = lambda: None,
        *,
        ttl: float = LEASE_TTL_S,
        every: float = LEASE_KEEPALIVE_S,
    ) -> None:
        self._store = store
        self._ttl = ttl
        self._every = every
        self._clock = clock
        self._held = held
        self._leased: dict[str, bytes] = {}
        self._kept: dict[str, bytes] = {}  # without lease
        self._doubtful: dict[str, set[int]] = {}  # key -> hashes of kept values that may be applied late
        self._dirty: set[str] = set()
        self._written: dict[str, int] = {}  # key -> revision of our last write of it
        self._signal = Signal()
        self._lease = 0

    def say(self, key: str, record: Record) -> None:
        """Publish on the lease, as soon as possible. Saying the same again costs nothing."""
        value = record.encode()
        if self._leased.get(key) != value:
            self._leased[key] = value
            self._dirty.add(key)
            self._signal.give()

    def unsay(self, key: str) -> None:
        """Take a key back: from now on this engine says nothing of it."""
        if self._leased.pop(key, None) is not None:
            self._dirty.add(key)
            self._signal.give()

    def keep(self, key: str, record: Record) -> None:
        """Publish without lease: it stays when the engine is gone."""
        self._kept[key] = record.encode()
        self._dirty.add(key)
        self._signal.give()

    async def run(self) -> None:
        """Hold a lease and write what is said. Never returns; what it said stands until the lease runs out."""
        while True:
            await self._hold_a_lease()
            try:
                # A task for each lease: until Python 3.13 a TaskGroup whose child fails leaves its own task marked as
                # being cancelled, and any later timeout in that task then ends it without a word.
                await asyncio.create_task(self._on_one_lease(), name="publisher-lease")
            except* LeaseLostError as errors:
                log.warning("the engine's lease is lost, what it says is written again: %s", errors.exceptions[0])

    async def _on_one_lease(self) -> None:
        """Keep the lease and write on it. Ends with a group that holds a LeaseLostError."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_alive(), name="publisher-keepalive")
            tasks.create_task(self._write(), name="publisher-write")
            tasks.create_task(self._look_after(), name="publisher-look")

    async def _hold_a_lease(self) -> None:
        """Get a lease, however long that takes; then everything has to be written on it."""
        failing = False
        while True:
            try:
                self._lease = await self._store.grant(self._ttl)
            except StoreError as error:
                if not failing:
                    log.warning("no lease is to be had from the store, trying again each %.1f s: %s", _RETRY_S, error)
                failing = True
                await self._clock.sleep(_RETRY_S)
                continue
            self._dirty |= self._leased.keys()
            self._signal.give()
            return

    async def _keep_alive(self) -> None:
        """Renew; ends with LeaseLostError. Other failures are tried again: the store says when the lease is gone."""
        while True:
            await self._clock.sleep(self._every)
            try:
                await self._store.keepalive(self._lease)
            except LeaseLostError:
                raise
            except StoreError as error:
                log.debug("keepalive failed: %s", error)

    async def _look_after(self) -> None:
        """Write again what the store shows otherwise than we say it, or goes with somebody else's lease."""
        wrong: dict[str, int] = {}
        glances = 0
        while True:
            await self._clock.sleep(_GLANCE_S)
            held = self._held()
            if held is None:
                continue
            again = self._late(held) | self._kept_late(held)
            glances += 1
            if glances % _LOOKS_EVERY == 0:
                now = self._wrong(held)
                # Once may only mean that our own write has not come round yet.
                again |= {key for key, what in now.items() if wrong.get(key) == what}
                wrong = {key: what for key, what in now.items() if key not in again}
            if again:
                log.warning("the store has not what this engine says of %s: written again", ", ".join(sorted(again)))
                self._dirty |= again
                self._signal.give()

    def _late(self, held: Mapping[str, KeyValue]) -> set[str]:
        """Keys with another value on our lease that was applied after our last write of them was acknowledged."""
        return {
            key
            for key, value in self._leased.items()
            if key not in self._dirty
            and (kv := held.get(key)) is not None
            and kv.lease == self._lease
            and kv.value != value
            and kv.mod_revision > self._written.get(key, kv.mod_revision)
        }

    def _kept_late(self, held: Mapping[str, KeyValue]) -> set[str]:
        """Kept keys with a value of ours that nobody acknowledged, applied after the newest, which somebody did."""
        return {
            key
            for key, doubtful in self._doubtful.items()
            if key not in self._dirty
            and (kv := held.get(key)) is not None
            and kv.mod_revision > self._written.get(key, kv.mod_revision)
            and kv.value != self._kept[key]
            and hash(kv.value) in doubtful
        }

    def _wrong(self, held: Mapping[str, KeyValue]) -> dict[str, int]:
        """Key -> revision of a write of ours that should not stand any more; 0: it is not ours, or not there."""
        found = {key: kv for key in self._leased if (kv := held.get(key)) is not None and kv.lease == self._lease}
        wrong = dict.fromkeys(self._leased.keys() - found.keys(), 0)
        wrong |= {key: kv.mod_revision for key, kv in found.items() if kv.value != self._leased[key]}
        unsaid = (kv for key, kv in held.items() if kv.lease == self._lease and key not in self._leased)
        wrong |= {kv.key: kv.mod_revision for kv in unsaid}
        return {key: what for key, what in wrong.items() if key not in self._dirty}

    async def _write(self) -> None:
        while True:
            await self._signal.wait()
            while self._dirty:
                await self._write_some()

    async def _write_some(self) -> None:
        said = {key: self._value(key) for key in sorted(self._dirty)[:TXN_OPERATIONS]}
        writes: list[Put | Delete] = []
        for key, value in said.items():
            lease = 0 if key in self._kept else self._lease
            writes.append(Delete(key) if value is None else Put(key, value, lease))
        try:
            written = await self._store.txn([], writes)
        except LeaseLostError:
            raise
        except StoreError as error:
            # Perhaps applied, perhaps not; these keys are only ours, so writing them again is right either way.
            log.debug("publishing failed: %s", error)
            for key in said.keys() & self._kept.keys():
                self._doubtful.setdefault(key, set()).add(hash(said[key]))
            await self._clock.sleep(_RETRY_S)
            return
        self._written.update(dict.fromkeys(said, written.revision))
        self._dirty -= {key for key, value in said.items() if self._value(key) == value}

    def _value(self, key: str) -> bytes | None:
        """What is to stand there; None: nothing."""
        return self._leased.get(key, self._kept.get(key))
