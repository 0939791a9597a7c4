"""The picture of the store: complete, in order, and right again after every kind of break."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.domain import keys
from tandem.domain.records import HoldRecord, OrderRecord, Record
from tandem.engine.picture import Picture
from tandem.engine.ports import Change, Delete, KeyValue, Put
from tests.support.etcd_state import EtcdState
from tests.support.memory_store import MemoryEtcd, MemoryStore
from tests.unit.engine.virtual import VirtualClock, run_virtual

HOLD = HoldRecord(by="ada", reason="storm", since=0)


def order(digest: str) -> OrderRecord:
    return OrderRecord(digest=digest, outcome="Accepted")


class Bench:
    """A store, and one picture of it that runs."""

    def __init__(self) -> None:
        self.etcd = MemoryEtcd(VirtualClock())
        self.store: MemoryStore = self.etcd.client(lambda: 0.002)
        self.picture = Picture(self.store, VirtualClock())

    def put(self, key: str, record: Record) -> None:
        self.etcd.txn([], [Put(key, record.encode())])

    def delete(self, key: str) -> None:
        self.etcd.txn([], [Delete(key)])

    def live(self) -> bool:
        """No property: mypy takes what one said to stay so."""
        return self.picture.live

    @property
    def digest(self) -> str:
        entry = self.picture.snapshot.orders.get("n/g")
        return entry.record.digest if entry else ""


def with_bench(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench = Bench()
        task = asyncio.create_task(bench.picture.run())
        await bench.picture.synced.wait()
        await story(bench)
        assert not task.done()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await bench.etcd.aclose()

    run_virtual(run())


def test_it_shows_what_was_there_before_and_what_comes() -> None:
    async def story(bench: Bench) -> None:
        bench.put(keys.order("n/g"), order("a"))
        await asyncio.sleep(0.02)
        assert bench.digest == "a"
        bench.delete(keys.order("n/g"))
        await asyncio.sleep(0.02)
        assert bench.digest == ""

    with_bench(story)


def test_a_compacted_watch_lists_again_and_forgets_what_was_deleted_meanwhile() -> None:
    async def story(bench: Bench) -> None:
        bench.put(keys.HOLD, HOLD)
        bench.put(keys.order("n/g"), order("a"))
        await asyncio.sleep(0.02)
        bench.store.reachable = False
        await asyncio.sleep(5.0)
        assert not bench.live()
        bench.delete(keys.HOLD)
        bench.put(keys.order("n/g"), order("b"))
        bench.etcd.compact(bench.etcd.revision + 1)
        bench.store.reachable = True
        await asyncio.sleep(5.0)
        assert bench.live()
        assert bench.digest == "b"
        assert bench.picture.snapshot.hold is None

    with_bench(story)


def test_a_lost_quorum_is_noticed_and_nothing_is_lost() -> None:
    async def story(bench: Bench) -> None:
        bench.etcd.lose_quorum()
        await asyncio.sleep(3.0)
        assert not bench.live()
        bench.etcd.regain_quorum()
        bench.put(keys.order("n/g"), order("b"))
        await asyncio.sleep(1.0)
        assert bench.live()
        assert bench.digest == "b"

    with_bench(story)


def test_a_store_that_was_rebuilt_is_read_anew() -> None:
    """Its revisions are older than those that the picture has seen; what the old one said is over."""

    async def story(bench: Bench) -> None:
        for digest in "abcdef":
            bench.put(keys.order("n/g"), order(digest))
        bench.put(keys.HOLD, HOLD)
        await asyncio.sleep(0.02)
        bench.store.reachable = False
        await asyncio.sleep(5.0)
        rebuilt = MemoryEtcd(VirtualClock())
        rebuilt.txn([], [Put(keys.order("n/g"), order("z").encode())])
        bench.store._etcd = rebuilt
        bench.store.reachable = True
        await asyncio.sleep(5.0)
        assert bench.live()
        assert (bench.digest, bench.picture.snapshot.hold) == ("z", None)
        assert bench.picture.revision == rebuilt.revision
        rebuilt.txn([], [Put(keys.HOLD, HOLD.encode())])
        await asyncio.sleep(0.02)
        assert bench.picture.snapshot.hold is not None
        await rebuilt.aclose()

    with_bench(story)


def test_subscribers_hear_when_the_store_is_lost_and_when_it_is_found_again() -> None:
    async def story(bench: Bench) -> None:
        signal = bench.picture.subscribe(keys.PREFIX)
        assert await signal.wait(0.1)
        bench.etcd.lose_quorum()
        assert await signal.wait(5.0)
        assert bench.picture.silent_s > 0 or bench.picture.trouble
        bench.etcd.regain_quorum()
        assert await signal.wait(5.0)
        assert bench.picture.silent_s == 0

    with_bench(story)


def test_older_news_does_not_undo_a_newer_listing() -> None:
    async def story(bench: Bench) -> None:
        key = keys.order("n/g")
        bench.put(key, order("old"))
        old = bench.etcd.get(key)
        assert old is not None
        bench.put(key, order("new"))
        await bench.picture.refresh()
        bench.picture._apply_changes([Change(key, old, old.mod_revision)])
        assert bench.digest == "new"
        bench.delete(key)
        await bench.picture.refresh()
        bench.picture._apply_changes([Change(key, old, old.mod_revision)])
        assert bench.digest == ""

    with_bench(story)


def test_an_older_listing_does_not_undo_newer_news() -> None:
    async def story(bench: Bench) -> None:
        key = keys.order("n/g")
        found, revision = bench.etcd.range(keys.PREFIX)
        bench.put(key, order("new"))
        await asyncio.sleep(0.02)
        assert bench.digest == "new"
        bench.picture._apply_listing(found, revision)
        assert bench.digest == "new"
        older = KeyValue(key, order("old").encode(), 1, revision)
        bench.picture._apply_listing([older], revision)
        assert bench.digest == "new"

    with_bench(story)


def test_a_listing_that_arrives_late_brings_back_nothing_that_was_deleted_meanwhile() -> None:
    """No event tells of that deletion again: a lost city's heartbeat that came back would keep it from being lost."""

    async def story(bench: Bench) -> None:
        bench.put(keys.HOLD, HOLD)
        answer = bench.store.range

        async def late(prefix: str, *, timeout: float = 1.0) -> tuple[Sequence[KeyValue], int]:
            found = await answer(prefix, timeout=timeout)
            await asyncio.sleep(0.2)  # one lost packet on its way back; the watch has a connection of its own
            return found

        bench.store.range = late  # type: ignore[method-assign]
        async with asyncio.TaskGroup() as group:
            group.create_task(bench.picture.refresh())
            await asyncio.sleep(0.1)
            bench.delete(keys.HOLD)
        assert bench.live()
        assert bench.picture.snapshot.hold is None

    with_bench(story)


NEWS = st.sampled_from([f"{what} {name}" for what in ("put", "delete") for name in "abc"])
ARRIVALS = st.sampled_from(["ask", "answer", "late answer", "watch"])


@settings(max_examples=200, deadline=None)
@given(st.lists(NEWS | ARRIVALS, max_size=40))
def test_in_whatever_order_news_arrives_it_shows_the_store_as_it_was_at_its_revision(steps: list[str]) -> None:
    async def story() -> None:
        etcd = EtcdState()
        picture = Picture(MemoryEtcd(VirtualClock()).client(), VirtualClock())
        then: dict[int, Sequence[KeyValue]] = {}
        answers: list[tuple[Sequence[KeyValue], int]] = []
        told = etcd.revision
        for step in [*steps, *["answer"] * len(steps), "watch"]:
            match step.split():
                case ["put", name]:
                    etcd.txn([], [Put(keys.order(f"n/{name}"), order(name).encode())])
                case ["delete", name]:
                    etcd.txn([], [Delete(keys.order(f"n/{name}"))])
                case ["ask"]:
                    answers.append(etcd.range(keys.PREFIX))
                case ["answer"] if answers:
                    picture._apply_listing(*answers.pop(0))
                case ["late", "answer"] if answers:
                    picture._apply_listing(*answers.pop())
                case ["watch"]:
                    picture._apply_changes(etcd.changes(keys.PREFIX, told + 1))
                    told = etcd.revision
            then[etcd.revision] = etcd.range(keys.PREFIX)[0]
            assert sorted(picture.held.values(), key=lambda kv: kv.key) == list(then.get(picture.revision, ()))
            assert picture.snapshot.orders.keys() == {kv.key.removeprefix(keys.ORDERS) for kv in picture.held.values()}

    run_virtual(story())


def test_subscribers_hear_of_their_own_keys_only() -> None:
    async def story(bench: Bench) -> None:
        orders = bench.picture.subscribe(keys.ORDERS)
        assert await orders.wait(0.1)  # once at the start
        bench.put(keys.HOLD, HOLD)
        assert not await orders.wait(0.1)
        bench.put(keys.order("n/g"), order("a"))
        assert await orders.wait(0.1)
        bench.picture.unsubscribe(orders)
        bench.put(keys.order("n/g"), order("b"))
        assert not await orders.wait(0.1)

    with_bench(story)


def test_one_can_wait_for_a_revision() -> None:
    async def story(bench: Bench) -> None:
        bench.put(keys.HOLD, HOLD)
        assert await bench.picture.reach(bench.etcd.revision, 1.0)
        assert bench.picture.snapshot.hold is not None
        assert not await bench.picture.reach(bench.etcd.revision + 1, 0.5)

    with_bench(story)
