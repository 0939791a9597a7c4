"""Members that die, freeze or lose their quorum: a real cluster of three with mutual TLS."""

import asyncio
import uuid
from collections.abc import AsyncIterator

import pytest

from tandem.engine.clock import RealClock
from tandem.engine.ports import Change, Guard, LeaseLostError, NoQuorumError, Put, Store, StoreError
from tandem.store.client import StoreClient
from tandem.store.endpoints import HOME_S, REST_S
from tests.support.etcd import EtcdCluster

pytestmark = [pytest.mark.contract, pytest.mark.slow]

ELECTED_S = 5.0
"""Longest time until a new leader serves; 0.6 s is usual, more on a machine that is busy."""


@pytest.fixture
def key() -> str:
    return f"/test/{uuid.uuid4().hex}"


class Elapsed:
    def __init__(self) -> None:
        self._clock = RealClock()
        self._start = self._clock.monotonic()

    def __call__(self) -> float:
        return self._clock.monotonic() - self._start


async def write_until_it_works(store: Store, key: str, within: float) -> float:
    """Seconds until a write succeeded. Outcomes that are unknown are tried again: the key is only ours."""
    elapsed = Elapsed()
    while True:
        try:
            await store.txn([], [Put(key, b"x")])
        except StoreError:
            assert elapsed() < within, f"no write within {within} s"
            await asyncio.sleep(0.05)
        else:
            return elapsed()


def follower(cluster: EtcdCluster) -> int:
    leader = cluster.leader()
    return next(number for number in range(cluster.size) if number != leader)


async def test_without_a_certificate_nobody_gets_in(three: EtcdCluster, key: str) -> None:
    async with StoreClient(three.urls(), ca=three.ca) as stranger:
        with pytest.raises(StoreError):
            await stranger.get(key)
    async with three.client() as known:
        assert await known.get(key) is None


async def test_a_member_with_another_authority_s_certificate_is_not_believed(three: EtcdCluster, key: str) -> None:
    other = EtcdCluster(three.folder / "other", tls=True)
    async with StoreClient(three.urls(), ca=other.ca) as client:
        with pytest.raises(StoreError, match="CERTIFICATE_VERIFY_FAILED"):
            await client.get(key)


async def test_when_the_local_member_dies_the_next_one_answers_at_once(three: EtcdCluster, key: str) -> None:
    local = follower(three)
    async with three.client(local) as client:
        await client.txn([], [Put(key, b"before")])
        lease = await client.grant(10)
        three.kill(local)
        elapsed = Elapsed()
        assert (await client.txn([Guard(key, mod_revision=0)], [Put(key, b"")])).succeeded is False
        assert (await client.get(key)) is not None
        assert await client.keepalive(lease) == 10
        assert elapsed() < 0.5
        # And it is used again when it is back.
        three.start(local)
        assert await client.get(key) is not None


async def test_a_silent_local_member_costs_one_request(three: EtcdCluster, key: str) -> None:
    local = follower(three)
    async with three.client(local) as client:
        await client.txn([], [Put(key, b"x")])
        three.freeze(local)
        elapsed = Elapsed()
        # A read is asked elsewhere within its own time; a write that comes next does not try the silent one again.
        found = await client.get(key, timeout=1.0)
        assert found is not None
        assert elapsed() < 1.0
        elapsed = Elapsed()
        assert (await client.txn([Guard(key, mod_revision=found.mod_revision)], [Put(key, b"y")])).succeeded
        assert elapsed() < 0.5


async def test_a_write_without_an_answer_is_unknown_and_not_repeated(three: EtcdCluster, key: str) -> None:
    local = follower(three)
    async with three.client(local) as client:
        await client.txn([], [Put(key, b"0")])
        three.freeze(local)
        elapsed = Elapsed()
        with pytest.raises(StoreError):
            await client.txn([Guard(key + "/new", mod_revision=0)], [Put(key + "/new", b"")], timeout=0.6)
        assert 0.55 < elapsed() < 1.0
        # Nobody else was asked: elsewhere it would have succeeded.
        assert await client.get(key + "/new") is None


async def test_callers_that_give_up_do_not_wear_the_client_out(three: EtcdCluster, key: str) -> None:
    """Cancelled at any moment, also while a silent member's time is running out: every connection comes back."""
    async with three.client(0, only=True) as client:
        lease = await client.grant(60)
        await client.txn([], [Put(key, b"x")])
        three.freeze(0)
        for number in range(30):
            callers = [
                asyncio.create_task(client.keepalive(lease, timeout=0.05)),
                asyncio.create_task(client.get(key, timeout=0.05)),
                asyncio.create_task(client.txn([], [Put(key, b"y")], timeout=0.05)),
            ]
            await asyncio.sleep(0.035 + number * 0.001)
            for caller in callers:
                caller.cancel()
            await asyncio.gather(*callers, return_exceptions=True)
        three.thaw(0)
        await asyncio.to_thread(three.await_leader, 0)
        await write_until_it_works(client, key, ELECTED_S)
        for _ in range(3):
            assert await client.keepalive(lease, timeout=1.0) == 60
        await asyncio.gather(*(client.get(key) for _ in range(10)))


async def test_a_burst_waits_its_turn_and_does_not_hold_up_a_keepalive(three: EtcdCluster, key: str) -> None:
    async with three.client(0) as client:
        lease = await client.grant(10)
        writes = [Put(f"{key}/{number}", b"x" * 1000) for number in range(100)]
        burst = [asyncio.create_task(client.txn([], writes, timeout=20.0)) for _ in range(60)]
        await asyncio.sleep(0)
        assert await client.keepalive(lease) == 10
        assert not all(task.done() for task in burst)
        assert all(result.succeeded for result in await asyncio.gather(*burst))


async def test_writes_go_on_after_the_leader_died(three: EtcdCluster, key: str) -> None:
    leader = three.leader()
    async with three.client(leader) as client:
        await client.txn([], [Put(key, b"x")])
        three.kill(leader)
        assert await write_until_it_works(client, key, ELECTED_S) < ELECTED_S


async def test_leases_and_watches_survive_the_leader_s_death(three: EtcdCluster, key: str) -> None:
    leader = three.leader()
    async with three.client(leader) as writer, three.client((leader + 1) % 3) as other:
        lease = await other.grant(2)
        start = (await other.txn([], [Put(key, b"1", lease)])).revision
        told = asyncio.create_task(_changes(other, key, start, 2))
        await asyncio.sleep(0.3)
        three.kill(leader)
        alive = asyncio.create_task(_keep(other, lease, 3.0))
        await write_until_it_works(writer, key, ELECTED_S)
        await alive
        changes = await told
    assert [change.value is not None for change in changes[:2]] == [True, True]
    revisions = [change.revision for change in changes]
    assert revisions == sorted(revisions)


async def test_a_watch_comes_home_when_the_local_member_is_back(three: EtcdCluster, key: str) -> None:
    """Nothing lost, nothing twice; and the death of the member where it had found refuge is none of its business."""
    leader = three.leader()
    local, refuge, third = (leader + 1) % 3, (leader + 2) % 3, leader
    async with three.client(local) as watcher, three.client(third) as writer:
        three.kill(local)
        start = (await writer.txn([], [Put(key, b"0")])).revision
        await watcher.get(key)  # finds out that the local one is dead
        told: list[bytes] = []
        ended = asyncio.Event()

        async def follow() -> None:
            async for changes in watcher.watch(key, start):
                told.extend(change.value.value for change in changes if change.value)
                if told[-1:] == [b"last"]:
                    ended.set()

        watching = asyncio.create_task(follow())
        await asyncio.sleep(0.5)
        three.heal()
        elapsed = Elapsed()
        number = 0
        while elapsed() < REST_S + HOME_S + 3.0:
            number += 1
            await writer.txn([], [Put(key, str(number).encode())])
            await watcher.get(key)  # as an engine does that renews its lease: so it is noticed that a member is back
            await asyncio.sleep(0.2)
        three.freeze(refuge)
        await writer.txn([], [Put(key, b"last")])
        await asyncio.wait_for(ended.wait(), 1.0)
        watching.cancel()
    assert told == [*(str(n).encode() for n in range(number + 1)), b"last"]


async def test_a_lost_quorum_is_noticed_and_its_end_as_well(three: EtcdCluster, key: str) -> None:
    local = 0
    async with three.client(local, only=True) as client:
        start = (await client.txn([], [Put(key, b"1")])).revision
        watching = asyncio.create_task(_watch_until_it_ends(client, key, start + 1))
        await asyncio.sleep(0.5)
        for other in (1, 2):
            three.kill(other)
        elapsed = Elapsed()
        with pytest.raises(NoQuorumError):
            await asyncio.wait_for(watching, 8)
        noticed = elapsed()
        assert noticed < 4.0
        # From now on a member without leader says so at once.
        elapsed = Elapsed()
        with pytest.raises(NoQuorumError):
            await client.txn([], [Put(key, b"never")])
        with pytest.raises(NoQuorumError):
            await client.get(key)
        with pytest.raises(NoQuorumError):
            await _changes(client, key, start, 1)
        assert elapsed() < 0.5
        three.heal()
        assert await write_until_it_works(client, key, ELECTED_S) < ELECTED_S
        changes = await _changes(client, key, start, 2)
    assert b"never" not in [change.value.value for change in changes if change.value]


async def test_no_request_outlasts_its_time_while_the_quorum_is_being_lost(three: EtcdCluster, key: str) -> None:
    leader = three.leader()
    async with three.client(leader, only=True) as client:
        await client.txn([], [Put(key, b"0")])
        for other in range(3):
            if other != leader:
                three.freeze(other)
        # The leader does not know it yet: it takes the write and waits for a majority.
        elapsed = Elapsed()
        with pytest.raises(StoreError):
            await client.txn([], [Put(key, b"1")], timeout=0.4)
        assert elapsed() < 0.8
        three.heal()
        await write_until_it_works(client, key + "/other", ELECTED_S)
        # Applied after all or not at all: only reading tells.
        found = await client.get(key)
        assert found is not None
        assert found.value in (b"0", b"1")


async def test_a_lease_dies_with_its_holder_s_silence_although_members_change(three: EtcdCluster, key: str) -> None:
    async with three.client(0) as holder, three.client(1) as other:
        lease = await holder.grant(2)
        await holder.txn([], [Put(key, b"", lease)])
        three.kill(three.leader())
        # The new leader renews it once, then it runs out.
        elapsed = Elapsed()
        while elapsed() < 10:
            try:
                if await other.get(key) is None:
                    break
            except StoreError:
                pass
            await asyncio.sleep(0.1)
        assert 2.0 <= elapsed() < 7.0
        with pytest.raises(LeaseLostError):
            await other.keepalive(lease)


async def _keep(store: Store, lease: int, seconds: float) -> None:
    elapsed = Elapsed()
    while elapsed() < seconds:
        await asyncio.sleep(0.3)
        try:
            await store.keepalive(lease)
        except LeaseLostError:
            raise
        except StoreError:
            continue


async def _batches(store: Store, key: str, start: int) -> AsyncIterator[Change]:
    async for batch in store.watch(key, start):
        for change in batch:
            yield change


async def _changes(store: Store, key: str, start: int, count: int) -> list[Change]:
    """The first `count` changes, taking the watch up again where it broke off."""
    found: list[Change] = []
    elapsed = Elapsed()
    while len(found) < count:
        try:
            async for change in _batches(store, key, start):
                found.append(change)
                start = change.revision + 1
                if len(found) >= count:
                    break
        except NoQuorumError:
            if not found and elapsed() < 0.1:
                raise
        except StoreError:
            assert elapsed() < 10
            await asyncio.sleep(0.1)
    return found


async def _watch_until_it_ends(store: Store, key: str, start: int) -> None:
    async for _ in store.watch(key, start):
        pass
