"""An in-memory store that keeps etcd's promises and no more. It passes the same contract tests as the real client.

`MemoryEtcd` is the cluster, `MemoryStore` one location's way to it; both run on any Clock. What may go wrong with the
real one can be made to happen here: a lost quorum, a cut way, answers that get lost, writes that are applied late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from enum import Enum
from math import ceil
from typing import Final

from tandem.engine.ports import (
    Change,
    Clock,
    CompactedError,
    Delete,
    Guard,
    KeyValue,
    LeaseLostError,
    NoQuorumError,
    Put,
    StoreError,
    TxnResult,
)
from tandem.store.wire import transaction

LEAST_TTL_S: Final = 2
"""The shortest lease that is granted, whatever is asked."""

ELECTION_S: Final = 0.5
"""What a new leader adds to every lease's TTL when it renews them all."""

PROGRESS_S: Final = 1.0
"""Seconds between two signs of life of a watch."""

NO_LEADER_NOTICED_S: Final = 2.0
"""Seconds until a watch notices that its member has lost the leader."""


class Fate(Enum):
    """What becomes of one transaction whose answer never arrives. The caller cannot tell them apart."""

    LOST = "never applied"
    APPLIED = "applied at once"
    LATE = "applied when `MemoryEtcd.release` is called, if its guards hold then"


@dataclass
class _Lease:
    ttl: int
    until: float
    keys: set[str] = field(default_factory=set)


class MemoryEtcd:
    """The cluster.

    Args:
        clock: Leases and signs of life run on it.
        expiry_lag: Seconds by which an expired lease is noticed late, at most 0.5 with etcd.
    """

    def __init__(self, clock: Clock, expiry_lag: float = 0.25) -> None:
        self.clock = clock
        self.has_quorum = True
        self.revision = 1
        self._expiry_lag = expiry_lag
        self._keys: dict[str, KeyValue] = {}
        self._leases: dict[int, _Lease] = {}
        self._next_lease = 7_000_000_000
        self._history: list[Change] = []
        self._compacted = 0
        self._news = asyncio.Event()
        self._late: list[Callable[[], object]] = []
        self._expiries: set[asyncio.Task[None]] = set()

    def client(self, latency: Callable[[], float] = lambda: 0.0) -> "MemoryStore":
        """A location's way to this cluster. `latency`: seconds of the next round trip."""
        return MemoryStore(self, latency)

    async def aclose(self) -> None:
        """End the leases' timers."""
        for task in self._expiries:
            task.cancel()
        await asyncio.gather(*self._expiries, return_exceptions=True)

    # -- what can happen to a cluster

    def lose_quorum(self) -> None:
        """No member has a leader any more. Nothing is written and no lease expires until there is one again."""
        self.has_quorum = False

    def regain_quorum(self) -> None:
        """A new leader renews every lease."""
        self.has_quorum = True
        for lease in self._leases.values():
            lease.until = self.clock.monotonic() + lease.ttl + ELECTION_S

    def compact(self, revision: int) -> None:
        """Forget changes before `revision`."""
        self._compacted = max(self._compacted, revision)
        self._history = [change for change in self._history if change.revision >= revision]

    def release(self) -> None:
        """Apply what was held up on its way (`Fate.LATE`)."""
        late, self._late = self._late, []
        for apply in late:
            try:
                apply()
            except LeaseLostError:
                continue  # nobody waits for the answer

    # -- what clients ask

    def range(self, prefix: str) -> tuple[Sequence[KeyValue], int]:
        return [self._keys[key] for key in sorted(self._keys) if key.startswith(prefix)], self.revision

    def get(self, key: str) -> KeyValue | None:
        return self._keys.get(key)

    def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete]) -> TxnResult:
        if not all(self._holds(guard) for guard in guards):
            return TxnResult(False, self.revision)
        for write in writes:
            if isinstance(write, Put) and write.lease and write.lease not in self._leases:
                raise LeaseLostError(f"lease {write.lease} not found")
        self._apply(writes)
        return TxnResult(True, self.revision)

    def grant(self, ttl: float) -> int:
        self._next_lease += 1
        seconds = max(ceil(ttl), LEAST_TTL_S)
        self._leases[self._next_lease] = _Lease(seconds, self.clock.monotonic() + seconds)
        task = asyncio.create_task(self._expire(self._next_lease), name=f"lease-{self._next_lease}")
        self._expiries.add(task)
        task.add_done_callback(self._expiries.discard)
        return self._next_lease

    def keepalive(self, lease: int) -> float:
        found = self._leases.get(lease)
        if found is None:
            raise LeaseLostError(f"lease {lease} has expired or was revoked")
        found.until = self.clock.monotonic() + found.ttl
        return float(found.ttl)

    def revoke(self, lease: int) -> None:
        found = self._leases.pop(lease, None)
        if found is not None:
            self._apply([Delete(key) for key in sorted(found.keys)])

    def later(self, apply: Callable[[], object]) -> None:
        self._late.append(apply)

    def changes(self, prefix: str, from_revision: int) -> list[Change]:
        """Raises CompactedError."""
        if from_revision < self._compacted:
            raise CompactedError(f"compacted up to revision {self._compacted}")
        return [c for c in self._history if c.revision >= from_revision and c.key.startswith(prefix)]

    async def news(self, seconds: float) -> None:
        """Return at the next change, or after `seconds`."""
        timer = asyncio.ensure_future(self.clock.sleep(seconds))
        change = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((timer, change), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            change.cancel()

    def _holds(self, guard: Guard) -> bool:
        found = self._keys.get(guard.key)
        mod, create = (found.mod_revision, found.create_revision) if found else (0, 0)
        return guard.mod_revision in (None, mod) and guard.create_revision in (None, create)

    def _apply(self, writes: Sequence[Put | Delete]) -> None:
        """All writes at one revision. Deleting what is not there changes nothing."""
        real = [write for write in writes if isinstance(write, Put) or write.key in self._keys]
        if not real:
            return
        self.revision += 1
        for write in real:
            before = self._keys.pop(write.key, None)
            if before is not None and before.lease in self._leases:
                self._leases[before.lease].keys.discard(write.key)
            value = None
            if isinstance(write, Put):
                created = before.create_revision if before else self.revision
                value = KeyValue(write.key, write.value, created, self.revision, write.lease)
                self._keys[write.key] = value
                if write.lease:
                    self._leases[write.lease].keys.add(write.key)
            self._history.append(Change(write.key, value, self.revision))
        self._news.set()
        self._news = asyncio.Event()

    async def _expire(self, number: int) -> None:
        while (lease := self._leases.get(number)) is not None:
            left = lease.until + self._expiry_lag - self.clock.monotonic()
            if left <= 0 and self.has_quorum:
                self.revoke(number)
                return
            await self.clock.sleep(max(left, 0.05))


class MemoryStore:
    """`engine.ports.Store`: one location's way to the cluster."""

    def __init__(self, etcd: MemoryEtcd, latency: Callable[[], float]) -> None:
        self._etcd = etcd
        self._latency = latency
        self.reachable = True
        """While False, requests get no answer, and watches fall silent and break."""
        self.fates: list[Fate] = []
        """What becomes of the next transactions, one each; when there are no more, they are answered."""

    async def range(self, prefix: str, *, timeout: float = 1.0) -> tuple[Sequence[KeyValue], int]:
        await self._round_trip(timeout)
        return self._etcd.range(prefix)

    async def get(self, key: str, *, timeout: float = 1.0) -> KeyValue | None:
        await self._round_trip(timeout)
        return self._etcd.get(key)

    async def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0) -> TxnResult:
        transaction(guards, writes)  # refuses what the real client refuses
        guards, writes = tuple(guards), tuple(writes)
        await self._round_trip(timeout)
        if self.fates:
            fate = self.fates.pop(0)
            if fate is Fate.APPLIED:
                self._etcd.txn(guards, writes)
            elif fate is Fate.LATE:
                self._etcd.later(lambda: self._etcd.txn(guards, writes))
            await self._etcd.clock.sleep(timeout)
            raise StoreError("the transaction was not answered")
        return self._etcd.txn(guards, writes)

    async def grant(self, ttl: float, *, timeout: float = 1.0) -> int:
        await self._round_trip(timeout)
        return self._etcd.grant(ttl)

    async def keepalive(self, lease: int, *, timeout: float = 0.5) -> float:
        await self._round_trip(timeout)
        return self._etcd.keepalive(lease)

    async def revoke(self, lease: int, *, timeout: float = 1.0) -> None:
        await self._round_trip(timeout)
        self._etcd.revoke(lease)

    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[Sequence[Change]]:
        if from_revision < 1:
            raise ValueError(f"a watch begins at revision 1 or later, not at {from_revision}")
        await self._round_trip(1.0)
        clock = self._etcd.clock
        well_at = clock.monotonic()
        yield ()
        while True:
            if self.reachable and self._etcd.has_quorum:
                well_at = clock.monotonic()
                found = self._etcd.changes(prefix, from_revision)
                # Seen up to here, other keys' changes included: a compaction does not end a watch that is up to date.
                from_revision = max(from_revision, self._etcd.revision + 1)
                yield found
                if not self._etcd.changes(prefix, from_revision):
                    await self._etcd.news(PROGRESS_S)
                continue
            if clock.monotonic() - well_at >= NO_LEADER_NOTICED_S:
                raise StoreError("the watch fell silent") if not self.reachable else NoQuorumError("no leader")
            if self.reachable:
                yield ()  # a member without a leader still sends signs of life
            await clock.sleep(0.1)

    async def _round_trip(self, timeout: float) -> None:
        latency = self._latency()
        if not self.reachable or latency > timeout:
            await self._etcd.clock.sleep(timeout)
            raise StoreError(f"not answered within {timeout:g} s")
        await self._etcd.clock.sleep(latency)
        if not self._etcd.has_quorum:
            raise NoQuorumError("no leader")
