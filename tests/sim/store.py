"""An etcd stretched over three places: linearizable while a leader has a majority, and nothing more.

A request goes to a member (the local one first), from there to the leader, and is applied when a majority has it. What
gets lost on the way there was never applied; what gets lost on the way back was; what waited for a leader is applied
late, if its guards hold then.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing
from random import Random
from typing import Any, Final

from tandem.domain import keys
from tandem.engine.ports import (
    Change,
    CompactedError,
    Delete,
    Guard,
    KeyValue,
    LeaseLostError,
    Membership,
    NoQuorumError,
    Page,
    Put,
    StoreError,
    TxnResult,
)
from tandem.store.endpoints import Endpoints
from tests.sim.network import Network, NoAnswerError, NotReachedError, Way
from tests.sim.scheduler import Process, Scheduler
from tests.support.etcd_state import EtcdState

LOOK_S: Final = 0.25
"""Seconds between two looks of the members at each other."""

ELECTION_TIMEOUT_S: Final = 1.0
"""Seconds without a leader's majority until another election begins."""

SILENCE_S: Final = 3.0
"""Seconds without a sign of life after which a client gives a watch up."""

PROGRESS_S: Final = 1.0
TRIES: Final = 8
"""How often a member tries again to bring a request to a leader, each 0.3 s, before it drops it."""


LOST_PACKETS: Final = 0.15
"""Share of the whole listings whose answer loses a packet on its way back, and comes that much later."""

ABOUT: Final = {"commit": keys.PLACEMENTS, "word": keys.OBSERVATIONS}
"""What a transaction is about, by keys that it writes."""


class Cluster(EtcdState):
    """Its members, and the way between them. `packets`: which listings come late."""

    def __init__(
        self, scheduler: Scheduler, network: Network, rng: Random, places: Sequence[str], packets: Random
    ) -> None:
        super().__init__()
        self.packets = packets
        self.scheduler = scheduler
        self.network = network
        self.rng = rng
        self.members = {place: Process(scheduler, f"etcd-{place}", place) for place in places}
        self.leader: str | None = places[-1]
        self.leaderless_since: float | None = None
        self.listeners: list[Callable[[Sequence[Change]], None]] = []
        self.streams: list[_Stream] = []
        self.elections = 0
        scheduler.after(LOOK_S, self._look)

    # -- members

    def connected(self, a: str, b: str) -> bool:
        return a == b or self.network.both(a, b)

    def has_majority(self, place: str) -> bool:
        members, now, both = self.members, self.scheduler.now, self.network.both
        if not members[place].serves:
            return False
        reached = 0
        for other, process in members.items():  # asked for all the time, so without `serves`
            if process.alive and now >= process.stalled_until and (place == other or both(place, other)):
                reached += 1
        return reached > len(members) // 2

    def serves(self, place: str) -> bool:
        """Whether this member can have something committed now."""
        leader = self.leader
        return leader is not None and self.connected(place, leader) and self.has_majority(leader)

    @property
    def leaderless_s(self) -> float:
        return 0.0 if self.leaderless_since is None else self.scheduler.now - self.leaderless_since

    def _look(self) -> None:
        now = self.scheduler.now
        if self.leader is not None and self.has_majority(self.leader):
            self.leaderless_since = None
        else:
            if self.leaderless_since is None:
                self.leaderless_since = now
            if now - self.leaderless_since >= ELECTION_TIMEOUT_S:
                self.leader = None
                able = [place for place in self.members if self.has_majority(place)]
                if able and self.rng.random() < 0.6:
                    self.leader = self.rng.choice(able)
                    self.leaderless_since = None
                    self.elections += 1
                    self.renew_all(now)
        self.scheduler.after(LOOK_S, self._look)

    def break_streams(self, all_of_them: bool) -> None:
        """Watches end; their clients have to begin again."""
        for stream in list(self.streams):
            if all_of_them or self.rng.random() < 0.5:
                stream.post(StoreError("the watch was cancelled"))

    # -- applying

    def submit(self, place: str, operation: Callable[[], Any], reply: Callable[[Any], None], tries: int = 0) -> None:
        """A member got a request."""
        member = self.members[place]
        if not member.serves or not self.serves(place):
            if self.leader is None and self.leaderless_s > ELECTION_TIMEOUT_S and not tries and member.serves:
                reply(NoQuorumError(f"etcd-{place}: no leader"))
            elif tries < TRIES and member.alive:
                self.scheduler.after(0.3, self.submit, place, operation, reply, tries + 1)
            return
        leader = self.leader
        assert leader is not None
        followers = [other for other in self.members if other != leader and self.connected(leader, other)]
        way = self.network.delay(place, leader)
        quorum = min((2 * self.network.delay(leader, other) for other in followers), default=0.0)
        self.scheduler.after(way + quorum, self._commit, place, operation, reply, tries)

    def _commit(self, place: str, operation: Callable[[], Any], reply: Callable[[Any], None], tries: int) -> None:
        if not self.serves(place):
            self.submit(place, operation, reply, tries + 1)
            return
        try:
            answer = operation()
        except StoreError as error:
            answer = error
        assert self.leader is not None
        self.scheduler.after(self.network.delay(self.leader, place), reply, answer)

    def now_txn(self, writes: Sequence[Put | Delete]) -> None:
        """What people and operators write: at once."""
        self.txn([], writes)

    def grant(self, ttl: float) -> int:
        lease = self.new_lease(ttl, self.scheduler.now)
        self._watch_lease(lease)
        return lease

    def _watch_lease(self, number: int) -> None:
        lease = self._leases.get(number)
        if lease is None:
            return
        left = lease.until - self.scheduler.now
        if left <= 0 and self.leader is not None and self.has_majority(self.leader):
            self.revoke(number)
            return
        # An expired lease is noticed up to half a second late.
        self.scheduler.after(max(left, 0.0) + 0.05 + 0.4 * self.rng.random(), self._watch_lease, number)

    def applied(self, changes: Sequence[Change]) -> None:
        for listener in self.listeners:
            listener(changes)
        for stream in self.streams:
            stream.news()


class _Stream:
    """One watch at one member."""

    def __init__(self, cluster: Cluster, place: str, client: Process, prefix: str, from_revision: int) -> None:
        self.cluster = cluster
        self.place = place
        self.client = client
        self.prefix = prefix
        self.next_revision = from_revision
        self.inbox: deque[Sequence[Change] | Exception] = deque()
        self.waiter: asyncio.Future[None] | None = None
        self.closed = False
        self._way = Way(cluster.network, place, client.place)
        self._news_due = False
        self.member = cluster.members[place]
        cluster.streams.append(self)
        self.news()
        self._progress()

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self.cluster.streams.remove(self)

    def news(self) -> None:
        """The store has changed; this member hears of it a little later."""
        if not self._news_due:
            self._news_due = True
            leader = self.cluster.leader
            lag = self.cluster.network.delay(leader, self.place) if leader else 0.1
            self.cluster.scheduler.after(lag, self._send)

    def _send(self) -> None:
        self._news_due = False
        if self.closed or self._gone():
            return
        if not self.member.serves or self.cluster.leader is None or not self.cluster.serves(self.place):
            self._news_due = True
            self.cluster.scheduler.after(0.1, self._send)
            return
        try:
            changes = self.cluster.changes(self.prefix, self.next_revision)
        except StoreError as error:
            self.post(error)
            return
        self.next_revision = self.cluster.revision + 1
        if changes:
            self.post(changes)

    def _progress(self) -> None:
        if self.closed or self._gone():
            return
        if self.member.serves:
            if self.cluster.leaderless_s > 2.0 or (
                self.cluster.leader is not None and not self.cluster.connected(self.place, self.cluster.leader)
            ):
                self.post(NoQuorumError(f"etcd-{self.place}: no leader"))
                return
            self.post(())
        self.cluster.scheduler.after(PROGRESS_S, self._progress)

    def _gone(self) -> bool:
        if not self.client.alive or not self.member.alive:
            self.close()
            return True
        return False

    def post(self, batch: Sequence[Change] | Exception) -> None:
        self._way.send(lambda: self._arrive(batch))

    def _arrive(self, batch: Sequence[Change] | Exception) -> None:
        self.inbox.append(batch)
        waiter = self.waiter
        if waiter is not None and not waiter.done():
            self.client.call(_wake, waiter)

    async def next(self) -> Sequence[Change]:
        if not self.inbox:
            self.waiter = self.client.loop.create_future()
            timer = self.client.loop.call_later(SILENCE_S, _wake, self.waiter)
            try:
                await self.waiter
            finally:
                timer.cancel()
                self.waiter = None
            if not self.inbox:
                raise StoreError("the watch fell silent")
        batch = self.inbox.popleft()
        if isinstance(batch, Exception):
            raise batch
        return batch


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


class SimStore:
    """`engine.ports.Store` for one process, asking members as the real client does."""

    def __init__(self, cluster: Cluster, process: Process) -> None:
        self._cluster = cluster
        self._process = process
        others = [place for place in cluster.members if place != process.place]
        self._places = [process.place, *others]
        self._endpoints = Endpoints(len(self._places))

    async def range(self, prefix: str, *, timeout: float = 1.0) -> tuple[Sequence[KeyValue], int]:
        found: tuple[Sequence[KeyValue], int] = await self._ask(lambda: self._cluster.range(prefix), timeout)
        packets = self._cluster.packets
        if prefix == keys.PREFIX and packets.random() < LOST_PACKETS:  # the watch has a connection of its own
            await self._process.sleep(packets.uniform(0.1, 0.5))
        return found

    async def page(
        self, prefix: str, *, start: str = "", limit: int = 0, keys_only: bool = False, timeout: float = 1.0
    ) -> Page:
        found: Page = await self._ask(lambda: self._cluster.page(prefix, start, limit, keys_only), timeout)
        return found

    async def get(self, key: str, *, timeout: float = 1.0) -> KeyValue | None:
        found: KeyValue | None = await self._ask(lambda: self._cluster.get(key), timeout)
        return found

    async def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0) -> TxnResult:
        guards, writes = tuple(guards), tuple(writes)
        assert len(guards) <= 128
        assert len(writes) <= 128
        for kind, prefix in ABOUT.items():
            if any(write.key.startswith(prefix) for write in writes):
                await self._process.about_to(kind)
        result: TxnResult = await self._ask(lambda: self._cluster.txn(guards, writes), timeout, repeatable=False)
        return result

    async def grant(self, ttl: float, *, timeout: float = 1.0) -> int:
        lease: int = await self._ask(lambda: self._cluster.grant(ttl), timeout)
        return lease

    async def keepalive(self, lease: int, *, timeout: float = 0.5) -> float:
        ttl: float = await self._ask(lambda: self._cluster.renew(lease, self._cluster.scheduler.now), timeout)
        return ttl

    async def revoke(self, lease: int, *, timeout: float = 1.0) -> None:
        await self._ask(lambda: self._cluster.revoke(lease), timeout)

    async def membership(self, *, timeout: float = 1.0) -> Membership | None:
        """Of the local member alone, as the real client asks it."""
        place, members = self._places[0], self._cluster.members

        def serve(reply: Callable[[Any], None]) -> None:
            if members[place].alive:
                self._cluster.submit(place, lambda: Membership(place, len(members)), reply)
            else:
                reply(NotReachedError(f"etcd-{place} is not there"))

        try:
            found: Membership = await self._cluster.network.ask(self._process, place, serve, timeout)
        except (NotReachedError, NoAnswerError) as error:
            raise StoreError(str(error)) from error
        return found

    async def watch(self, prefix: str, from_revision: int) -> AsyncIterator[Sequence[Change]]:
        following = from_revision
        while True:  # once more whenever a nearer member is well again, as the real client does
            async with aclosing(self._watch(prefix, following)) as batches:
                async for changes in batches:
                    if changes:
                        following = changes[-1].revision + 1
                    yield changes

    async def _watch(self, prefix: str, from_revision: int) -> AsyncGenerator[Sequence[Change], None]:
        """One stream at one member. Ends without an error when a nearer member is well again."""
        number = self._endpoints.order(self._process.monotonic(), repeatable=True)[0]
        place = self._places[number]

        def answer(reply: Callable[[Any], None]) -> None:
            member = self._cluster.members[place]
            if not member.alive:
                reply(NotReachedError(place))
            elif member.serves:
                reply(NoQuorumError("no leader") if self._cluster.leaderless_s > ELECTION_TIMEOUT_S else None)

        try:
            await self._cluster.network.ask(self._process, place, answer, 1.0)
        except (NotReachedError, NoAnswerError, NoQuorumError) as error:
            self._endpoints.failed(number, self._process.monotonic())
            raise NoQuorumError(str(error)) if isinstance(error, NoQuorumError) else StoreError(str(error)) from error
        self._answered(number)
        stream = _Stream(self._cluster, place, self._process, prefix, from_revision)
        try:
            yield ()
            while True:
                try:
                    batch = await stream.next()
                except CompactedError:
                    raise
                except StoreError:
                    self._endpoints.failed(number, self._process.monotonic())
                    raise
                self._answered(number)
                yield batch
                if self._endpoints.nearer_is_well(number, self._process.monotonic()):
                    return
        finally:
            stream.close()

    def _answered(self, number: int) -> None:
        self._endpoints.answered(number, self._process.monotonic())

    async def _ask(self, operation: Callable[[], Any], timeout: float, *, repeatable: bool = True) -> Any:
        now = self._process.monotonic()
        deadline = now + timeout
        order = self._endpoints.order(now, repeatable=repeatable)
        failure: StoreError = StoreError("no member was asked")
        for position, number in enumerate(order):
            left = deadline - self._process.monotonic()
            if left <= 0:
                break
            share = left / 2 if repeatable and position + 1 < len(order) else left
            place = self._places[number]
            member = self._cluster.members[place]

            def serve(reply: Callable[[Any], None], place: str = place, member: Process = member) -> None:
                if member.alive:
                    self._cluster.submit(place, operation, reply)
                else:
                    reply(NotReachedError(f"etcd-{place} is not there"))

            try:
                answer = await self._cluster.network.ask(self._process, place, serve, share, by_proxy=True)
            except LeaseLostError:
                self._answered(number)
                raise
            except NoAnswerError as error:
                self._endpoints.failed(number, self._process.monotonic())
                failure = StoreError(str(error))
                if not repeatable:
                    raise failure from error
            except NoQuorumError as error:
                self._endpoints.failed(number, self._process.monotonic())
                failure = error
            except NotReachedError as error:
                self._endpoints.failed(number, self._process.monotonic())
                failure = StoreError(str(error))
            else:
                self._answered(number)
                return answer
        raise failure
