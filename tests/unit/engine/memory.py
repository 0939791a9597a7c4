"""A store in memory that keeps etcd's promises: revisions, guarded transactions, leases, watches that lose nothing."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

from tandem.engine.ports import (
    Change,
    Delete,
    Guard,
    KeyValue,
    LeaseLostError,
    NoQuorumError,
    Put,
    StoreError,
    TxnResult,
)


@dataclass
class _Lease:
    ttl: float
    ends: float
    keys: set[str] = field(default_factory=set)


class MemoryStore:
    """Faults: `down` (no quorum), `lose_answers` (the next n transactions are applied but time out)."""

    def __init__(self, latency: float = 0.004) -> None:
        self.latency = latency
        self.revision = 0
        self.down = False
        self.lose_answers = 0
        self.data: dict[str, KeyValue] = {}
        self.log: list[Change] = []
        self.transactions: list[tuple[Sequence[Guard], Sequence[Put | Delete]]] = []
        self._leases: dict[int, _Lease] = {}
        self._watchers: list[asyncio.Queue[Sequence[Change]]] = []

    # -- the port

    async def range(self, prefix: str, *, timeout: float = 1.0) -> tuple[Sequence[KeyValue], int]:
        await self._travel()
        return [kv for key, kv in sorted(self.data.items()) if key.startswith(prefix)], self.revision

    async def get(self, key: str, *, timeout: float = 1.0) -> KeyValue | None:
        await self._travel()
        return self.data.get(key)

    async def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0) -> TxnResult:
        await self._travel()
        assert len(guards) <= 120
        assert len(writes) <= 120
        assert len({write.key for write in writes}) == len(writes), "a key may be written once in a transaction"
        self.transactions.append((guards, writes))
        if not all(self._holds(guard) for guard in guards):
            return TxnResult(False, self.revision)
        if any(isinstance(write, Put) and write.lease and write.lease not in self._leases for write in writes):
            raise LeaseLostError("requested lease not found")
        self._write(writes)
        revision = self.revision
        if self.lose_answers:
            self.lose_answers -= 1
            raise StoreError("timed out: applied or not, nobody can say")
        return TxnResult(True, revision)

    async def grant(self, ttl: float, *, timeout: float = 1.0) -> int:
        await self._travel()
        lease = max(self._leases, default=0) + 1
        self._leases[lease] = _Lease(ttl, self._now() + ttl)
        self._schedule(lease)
        return lease

    async def keepalive(self, lease: int, *, timeout: float = 0.5) -> float:
        await self._travel()
        if lease not in self._leases:
            raise LeaseLostError(f"lease {lease} is gone")
        self._leases[lease].ends = self._now() + self._leases[lease].ttl
        return self._leases[lease].ttl

    async def revoke(self, lease: int, *, timeout: float = 1.0) -> None:
        await self._travel()
        self.expire(lease)

    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[Sequence[Change]]:
        queue: asyncio.Queue[Sequence[Change]] = asyncio.Queue()
        missed = [change for change in self.log if change.revision >= from_revision]
        self._watchers.append(queue)
        try:
            yield [change for change in missed if change.key.startswith(prefix)]
            while True:
                try:
                    async with asyncio.timeout(1.0):
                        changes = await queue.get()
                except TimeoutError:
                    changes = []
                await self._travel()
                yield [change for change in changes if change.key.startswith(prefix)]
        finally:
            self._watchers.remove(queue)

    # -- for tests

    def put(self, key: str, value: bytes) -> None:
        """As another location's engine or operator would."""
        self._write([Put(key, value)])

    def delete(self, key: str) -> None:
        self._write([Delete(key)])

    def expire(self, lease: int) -> None:
        gone = self._leases.pop(lease, None)
        if gone is not None and gone.keys:
            self._write([Delete(key) for key in sorted(gone.keys) if key in self.data])

    def lease_of(self, key: str) -> int:
        return self.data[key].lease

    # -- inside

    async def _travel(self) -> None:
        await asyncio.sleep(self.latency)
        if self.down:
            raise NoQuorumError("etcdserver: no leader")

    def _holds(self, guard: Guard) -> bool:
        found = self.data.get(guard.key)
        if guard.mod_revision is not None and guard.mod_revision != (found.mod_revision if found else 0):
            return False
        return guard.create_revision is None or guard.create_revision == (found.create_revision if found else 0)

    def _write(self, writes: Sequence[Put | Delete]) -> None:
        self.revision += 1
        changes: list[Change] = []
        for write in writes:
            old = self.data.get(write.key)
            if old is not None and old.lease in self._leases:
                self._leases[old.lease].keys.discard(write.key)
            if isinstance(write, Delete):
                if self.data.pop(write.key, None) is not None:
                    changes.append(Change(write.key, None, self.revision))
                continue
            created = old.create_revision if old else self.revision
            new = KeyValue(write.key, write.value, created, self.revision, write.lease)
            self.data[write.key] = new
            if write.lease:
                self._leases[write.lease].keys.add(write.key)
            changes.append(Change(write.key, new, self.revision))
        self.log.extend(changes)
        for queue in self._watchers:
            queue.put_nowait(changes)

    def _schedule(self, lease: int) -> None:
        found = self._leases.get(lease)
        if found is None:
            return
        if self._now() >= found.ends:
            self.expire(lease)
            return
        asyncio.get_running_loop().call_at(found.ends, self._schedule, lease)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
