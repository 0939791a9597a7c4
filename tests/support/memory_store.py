"""An in-memory store that keeps etcd's promises and no more. It passes the same contract tests as the real client.

`MemoryEtcd` is the cluster, `MemoryStore` one location's way to it; both run on any Clock. What may go wrong with the
real one can be made to happen here: a lost quorum, a cut way, answers that get lost, writes that are applied late.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from enum import Enum
from typing import Final

from tandem.engine.ports import (
    Change,
    Clock,
    Delete,
    Guard,
    KeyValue,
    LeaseLostError,
    NoQuorumError,
    Page,
    Put,
    StoreError,
    TxnResult,
)
from tandem.store.wire import transaction
from tests.support.etcd_state import EtcdState

PROGRESS_S: Final = 1.0
"""Seconds between two signs of life of a watch."""

NO_LEADER_NOTICED_S: Final = 2.0
"""Seconds until a watch notices that its member has lost the leader."""


class Fate(Enum):
    """What becomes of one transaction whose answer never arrives. The caller cannot tell them apart."""

    LOST = "never applied"
    APPLIED = "applied at once"
    LATE = "applied when `MemoryEtcd.release` is called, if its guards hold then"


class MemoryEtcd(EtcdState):
    """The cluster.

    Args:
        clock: Leases and signs of life run on it.
        expiry_lag: Seconds by which an expired lease is noticed late, at most 0.5 with etcd.
    """

    def __init__(self, clock: Clock, expiry_lag: float = 0.25) -> None:
        super().__init__()
        self.clock = clock
        self.has_quorum = True
        self._expiry_lag = expiry_lag
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
        self.renew_all(self.clock.monotonic())

    def release(self) -> None:
        """Apply what was held up on its way (`Fate.LATE`)."""
        late, self._late = self._late, []
        for apply in late:
            try:
                apply()
            except LeaseLostError:
                continue  # nobody waits for the answer

    # -- what clients ask

    def grant(self, ttl: float) -> int:
        lease = self.new_lease(ttl, self.clock.monotonic())
        task = asyncio.create_task(self._expire(lease), name=f"lease-{lease}")
        self._expiries.add(task)
        task.add_done_callback(self._expiries.discard)
        return lease

    def keepalive(self, lease: int) -> float:
        return self.renew(lease, self.clock.monotonic())

    def later(self, apply: Callable[[], object]) -> None:
        self._late.append(apply)

    async def news(self, seconds: float) -> None:
        """Return at the next change, or after `seconds`."""
        timer = asyncio.ensure_future(self.clock.sleep(seconds))
        change = asyncio.ensure_future(self._news.wait())
        try:
            await asyncio.wait((timer, change), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            change.cancel()

    def applied(self, changes: Sequence[Change]) -> None:
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

    async def page(
        self, prefix: str, *, start: str = "", limit: int = 0, keys_only: bool = False, timeout: float = 1.0
    ) -> Page:
        await self._round_trip(timeout)
        return self._etcd.page(prefix, start, limit, keys_only)

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
