"""What `engine.ports.Store` promises, kept by the real client on a real etcd and by the store in memory alike."""

import asyncio
import itertools
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass

import pytest

from tandem.engine.clock import RealClock
from tandem.engine.ports import Change, CompactedError, Delete, Guard, LeaseLostError, Put, Store
from tests.support.etcd import EtcdCluster
from tests.support.memory_store import MemoryEtcd

pytestmark = [pytest.mark.contract, pytest.mark.slow]


@dataclass
class Rig:
    """A store, a prefix that no other test uses, and what only the cluster's keeper can do."""

    store: Store
    prefix: str
    compact: Callable[[int], Awaitable[None]]

    def key(self, name: str) -> str:
        return self.prefix + name

    async def put(self, name: str, value: bytes = b"x", lease: int = 0) -> int:
        """Put unconditionally; the revision."""
        result = await self.store.txn([], [Put(self.key(name), value, lease)])
        assert result.succeeded
        return result.revision

    async def names(self) -> list[str]:
        found, _ = await self.store.range(self.prefix)
        return [kv.key.removeprefix(self.prefix) for kv in found]

    async def changes(self, from_revision: int, count: int) -> list[Change]:
        """The first `count` changes that a watch tells of."""
        found: list[Change] = []
        async with asyncio.timeout(5), aclosing(watch(self, from_revision)) as batches:
            async for batch in batches:
                found += batch
                if len(found) >= count:
                    break
        return found


async def watch(rig: Rig, from_revision: int) -> AsyncGenerator[Sequence[Change], None]:
    async for batch in rig.store.watch(rig.prefix, from_revision):
        yield batch


@pytest.fixture(params=["etcd", "memory"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    prefix = f"/test/{uuid.uuid4().hex}/"
    if request.param == "memory":
        etcd = MemoryEtcd(RealClock())

        async def forget(revision: int) -> None:
            etcd.compact(revision)

        yield Rig(etcd.client(), prefix, forget)
        await etcd.aclose()
        return
    cluster: EtcdCluster = request.getfixturevalue("single")
    async with cluster.client() as client:

        async def compact(revision: int) -> None:
            await asyncio.to_thread(cluster.compact, revision)

        yield Rig(client, prefix, compact)


# -- transactions


async def test_a_key_is_created_only_once(rig: Rig) -> None:
    guard = Guard(rig.key("a"), mod_revision=0)
    first = await rig.store.txn([guard], [Put(rig.key("a"), b"first")])
    second = await rig.store.txn([guard], [Put(rig.key("a"), b"second")])
    assert (first.succeeded, second.succeeded) == (True, False)
    found = await rig.store.get(rig.key("a"))
    assert found is not None
    assert (found.value, found.create_revision, found.mod_revision) == (b"first", first.revision, first.revision)


async def test_a_refused_transaction_says_so_and_writes_nothing(rig: Rig) -> None:
    revision = await rig.put("a")
    result = await rig.store.txn([Guard(rig.key("a"), mod_revision=revision - 1)], [Put(rig.key("b"), b"")])
    assert not result.succeeded
    assert await rig.names() == ["a"]


async def test_a_mod_revision_guards_against_every_change(rig: Rig) -> None:
    known = await rig.put("a", b"1")
    await rig.put("a", b"1")  # the same value, a new revision
    assert not (await rig.store.txn([Guard(rig.key("a"), mod_revision=known)], [Put(rig.key("a"), b"2")])).succeeded
    await rig.store.txn([], [Delete(rig.key("a"))])
    assert not (await rig.store.txn([Guard(rig.key("a"), mod_revision=known)], [Put(rig.key("a"), b"2")])).succeeded
    assert (await rig.store.txn([Guard(rig.key("a"), mod_revision=0)], [Put(rig.key("a"), b"2")])).succeeded


async def test_a_create_revision_stays_through_rewrites_and_ends_with_the_key(rig: Rig) -> None:
    reign = await rig.put("a", b"1")
    await rig.put("a", b"2")
    guard = Guard(rig.key("a"), create_revision=reign)
    assert (await rig.store.txn([guard], [Put(rig.key("b"), b"")])).succeeded
    await rig.store.txn([], [Delete(rig.key("a"))])
    assert not (await rig.store.txn([guard], [Put(rig.key("b"), b"")])).succeeded
    assert await rig.put("a", b"1") > reign
    assert not (await rig.store.txn([guard], [Put(rig.key("b"), b"")])).succeeded


async def test_one_failing_guard_of_many_stops_all_writes(rig: Rig) -> None:
    good = await rig.put("a")
    guards = [Guard(rig.key("a"), mod_revision=good), Guard(rig.key("absent"), mod_revision=good)]
    writes: list[Put | Delete] = [Put(rig.key("b"), b""), Delete(rig.key("a")), Put(rig.key("c"), b"")]
    assert not (await rig.store.txn(guards, writes)).succeeded
    assert await rig.names() == ["a"]


async def test_both_revisions_of_one_guard_count(rig: Rig) -> None:
    created = await rig.put("a")
    changed = await rig.put("a")
    right = Guard(rig.key("a"), mod_revision=changed, create_revision=created)
    wrong = Guard(rig.key("a"), mod_revision=changed, create_revision=changed)
    assert not (await rig.store.txn([wrong], [Put(rig.key("b"), b"")])).succeeded
    assert (await rig.store.txn([right], [Put(rig.key("b"), b"")])).succeeded


async def test_all_writes_of_a_transaction_have_one_revision(rig: Rig) -> None:
    keys = [rig.key(f"{number:03}") for number in range(120)]
    result = await rig.store.txn([Guard(key, mod_revision=0) for key in keys], [Put(key, b"") for key in keys])
    found, revision = await rig.store.range(rig.prefix)
    assert [kv.key for kv in found] == keys
    assert {kv.mod_revision for kv in found} == {result.revision}
    assert revision >= result.revision


async def test_concurrent_writers_with_one_guard_have_one_winner(rig: Rig) -> None:
    known = await rig.put("a")
    guard = Guard(rig.key("a"), mod_revision=known)
    results = await asyncio.gather(
        *(rig.store.txn([guard], [Put(rig.key("a"), str(number).encode())]) for number in range(20))
    )
    assert [result.succeeded for result in results].count(True) == 1


@pytest.mark.parametrize(
    ("guards", "writes"),
    [
        pytest.param([Guard("/test/a")], [Put("/test/b", b"")], id="a-guard-that-guards-nothing"),
        pytest.param([], [Put("/test/a", b"1"), Delete("/test/a")], id="a-key-written-twice"),
        pytest.param([], [Put(f"/test/{n}", b"") for n in range(121)], id="too-many-writes"),
        pytest.param([Guard(f"/test/{n}", 0) for n in range(121)], [Put("/test/a", b"")], id="too-many-guards"),
    ],
)
async def test_a_wrong_transaction_is_refused_before_it_is_sent(
    rig: Rig, guards: list[Guard], writes: list[Put | Delete]
) -> None:
    with pytest.raises(ValueError, match=r"/test/|transaction takes"):
        await rig.store.txn(guards, writes)


# -- reading


async def test_values_and_keys_come_back_as_they_went(rig: Rig) -> None:
    values = {"empty": b"", "bytes": bytes(range(256)) * 40, "ünïcode/ключ": "säkert".encode(), "zero": b"\0"}
    for name, value in values.items():
        await rig.put(name, value)
    found, _ = await rig.store.range(rig.prefix)
    assert {kv.key.removeprefix(rig.prefix): kv.value for kv in found} == values


async def test_a_range_holds_its_prefix_and_nothing_else(rig: Rig) -> None:
    for name in ("a", "a/b", "a/b/c", "a0", "ab"):
        await rig.put(name)
    found, _ = await rig.store.range(rig.key("a/"))
    assert [kv.key for kv in found] == [rig.key("a/b"), rig.key("a/b/c")]


async def test_what_is_absent_is_none_and_an_empty_list(rig: Rig) -> None:
    assert await rig.store.get(rig.key("a")) is None
    found, revision = await rig.store.range(rig.prefix)
    assert (list(found), revision > 0) == ([], True)


# -- leases


async def test_keys_vanish_with_a_lease_that_nobody_renews_and_not_before(rig: Rig) -> None:
    clock = RealClock()
    granted = clock.monotonic()
    lease = await rig.store.grant(2)
    await rig.put("leased", lease=lease)
    await rig.put("kept")
    renewed = clock.monotonic()
    ttl = await rig.store.keepalive(lease)
    assert ttl >= 2
    start, found = await rig.put("kept"), await rig.store.get(rig.key("leased"))
    assert found is not None
    assert found.lease == lease
    [gone] = await rig.changes(start + 1, 1)
    assert (gone.key, gone.value) == (rig.key("leased"), None)
    assert clock.monotonic() - renewed >= ttl
    assert clock.monotonic() - granted < ttl + 1.5
    with pytest.raises(LeaseLostError):
        await rig.store.keepalive(lease)


async def test_a_lost_lease_refuses_the_whole_transaction(rig: Rig) -> None:
    lease = await rig.store.grant(2)
    await rig.store.revoke(lease)
    with pytest.raises(LeaseLostError):
        await rig.store.txn([], [Put(rig.key("a"), b""), Put(rig.key("b"), b"", lease)])
    assert await rig.names() == []


async def test_revoking_deletes_at_once_and_twice_is_once(rig: Rig) -> None:
    lease = await rig.store.grant(30)
    await rig.put("a", lease=lease)
    await rig.put("b", lease=lease)
    await rig.put("b")  # taken off the lease
    await rig.store.revoke(lease)
    assert await rig.names() == ["b"]
    await rig.store.revoke(lease)
    with pytest.raises(LeaseLostError):
        await rig.store.keepalive(lease)


# -- watching


async def test_a_watch_tells_everything_since_a_revision_in_order(rig: Rig) -> None:
    start = await rig.put("a", b"1")
    await rig.put("b", b"2")
    await rig.store.txn([], [Delete(rig.key("a"))])
    last = (await rig.store.txn([], [Put(rig.key("c"), b"3"), Put(rig.key("a"), b"4")])).revision
    seen = await rig.changes(start, 5)
    told = [(change.key.removeprefix(rig.prefix), change.value and change.value.value) for change in seen]
    assert told[:3] == [("a", b"1"), ("b", b"2"), ("a", None)]
    assert sorted(told[3:], key=str) == [("a", b"4"), ("c", b"3")]
    assert [change.revision for change in seen] == sorted(change.revision for change in seen)
    assert {change.revision for change in seen[3:]} == {last}
    assert all(change.value is None or change.value.mod_revision == change.revision for change in seen)


async def test_a_watch_that_is_taken_up_again_loses_and_repeats_nothing(rig: Rig) -> None:
    start = await rig.put("0")
    for number in range(1, 6):
        await rig.put(str(number))
    first = await rig.changes(start, 2)
    for number in range(6, 9):
        await rig.put(str(number))
    rest = await rig.changes(first[-1].revision + 1, 9 - len(first))
    assert [change.key.removeprefix(rig.prefix) for change in first + rest] == [str(number) for number in range(9)]


async def test_changes_come_while_the_watch_waits(rig: Rig) -> None:
    start = await rig.put("before")
    told = asyncio.create_task(rig.changes(start + 1, 1))
    await asyncio.sleep(0.3)
    assert not told.done()
    await rig.put("after", b"news")
    async with asyncio.timeout(1):
        [change] = await told
    assert change.value is not None
    assert (change.key, change.value.value) == (rig.key("after"), b"news")


async def test_other_prefixes_are_none_of_a_watch_s_business(rig: Rig) -> None:
    start = await rig.put("a")
    await rig.store.txn([], [Put(rig.prefix.rstrip("/") + "0", b"")])
    await rig.put("b")
    seen = await rig.changes(start, 2)
    assert [change.key for change in seen] == [rig.key("a"), rig.key("b")]


async def test_a_quiet_watch_gives_signs_of_life(rig: Rig) -> None:
    clock = RealClock()
    start = await rig.put("a")
    times = [clock.monotonic()]
    async with asyncio.timeout(8), aclosing(watch(rig, start + 1)) as batches:
        async for batch in batches:
            assert not batch
            times.append(clock.monotonic())
            if len(times) == 5:
                break
    assert max(later - earlier for earlier, later in itertools.pairwise(times)) < 2.2


async def test_a_watch_from_before_a_compaction_says_so(rig: Rig) -> None:
    start = await rig.put("a")
    for _ in range(3):
        last = await rig.put("a")
    await rig.compact(last)
    with pytest.raises(CompactedError):
        await rig.changes(start, 99)
    assert [change.revision for change in await rig.changes(last, 1)] == [last]


async def test_a_compaction_does_not_end_a_watch_that_is_up_to_date(rig: Rig) -> None:
    start = await rig.put("a")
    told = asyncio.create_task(rig.changes(start + 1, 2))
    await asyncio.sleep(0.1)
    last = await rig.put("b")
    await rig.compact(last)
    await asyncio.sleep(0.1)
    await rig.put("c")
    assert [change.key for change in await told] == [rig.key("b"), rig.key("c")]


# -- pages


async def test_a_page_begins_where_it_is_asked_to_and_says_how_many_there_are(rig: Rig) -> None:
    for name in ("a", "b", "c", "d"):
        await rig.put(name, name.encode())
    await rig.store.txn([], [Put(rig.prefix[:-1] + "~", b"beyond the prefix")])
    revision = (await rig.store.range(rig.prefix))[1]
    whole = await rig.store.page(rig.prefix)
    assert ([kv.key for kv in whole.kvs], whole.count) == ([rig.key(name) for name in "abcd"], 4)
    assert whole.revision == revision
    first = await rig.store.page(rig.prefix, limit=2)
    assert ([kv.value for kv in first.kvs], first.count) == ([b"a", b"b"], 4)
    later = await rig.store.page(rig.prefix, start=rig.key("c"), limit=1)
    assert ([kv.key for kv in later.kvs], later.count) == ([rig.key("c")], 2)
    assert (await rig.store.page(rig.prefix, start=rig.key("x"))).kvs == []


async def test_a_page_of_keys_only_has_their_revisions_and_no_values(rig: Rig) -> None:
    revision = await rig.put("a", b"large")
    (found,) = (await rig.store.page(rig.prefix, keys_only=True)).kvs
    assert (found.key, found.value, found.create_revision) == (rig.key("a"), b"", revision)


async def test_what_a_transaction_writes_beside_the_prefix_is_not_seen_by_its_watch(rig: Rig) -> None:
    beside = f"/beside{rig.prefix}a"
    result = await rig.store.txn([], [Put(rig.key("a"), b"1"), Put(beside, b"2")])
    (change,) = await rig.changes(result.revision, 1)
    assert (change.key, change.revision) == (rig.key("a"), result.revision)
    assert (await rig.store.page(beside)).kvs[0].create_revision == result.revision
