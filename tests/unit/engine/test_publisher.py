"""What an engine says in the store: on its lease, the newest value, again after a loss."""

import asyncio

from tandem.constants import LEASE_KEEPALIVE_S, LEASE_TTL_S
from tandem.domain import keys
from tandem.domain.records import HeartbeatRecord, HoldRequestRecord, MovesRecord
from tandem.engine.ports import Delete, KeyValue, Put
from tandem.engine.publisher import Publisher
from tests.support.memory_store import Fate, MemoryEtcd, MemoryStore
from tests.unit.engine.virtual import VirtualClock, run_virtual

KEY = keys.heartbeat("east")


def heartbeat(engine: str) -> HeartbeatRecord:
    return HeartbeatRecord(site="east", engine=engine, started_at=0)


def with_publisher(story) -> None:  # type: ignore[no-untyped-def]
    async def run() -> None:
        etcd = MemoryEtcd(VirtualClock())
        store = etcd.client(lambda: 0.002)
        publisher = Publisher(store, VirtualClock(), lambda: {kv.key: kv for kv in etcd.range(keys.PREFIX)[0]})
        task = asyncio.create_task(publisher.run())
        await story(etcd, store, publisher)
        assert not task.done()
        await end(task)
        await etcd.aclose()

    run_virtual(run())


async def end(publisher: asyncio.Task[None]) -> None:
    """As SIGTERM does."""
    publisher.cancel()
    await asyncio.gather(publisher, return_exceptions=True)


def test_an_engine_that_ends_is_missed_no_sooner_than_one_that_crashed() -> None:
    async def run() -> None:
        etcd = MemoryEtcd(VirtualClock())
        publisher = Publisher(etcd.client(lambda: 0.002), VirtualClock())
        publisher.say(KEY, heartbeat("1"))
        task = asyncio.create_task(publisher.run())
        await asyncio.sleep(10.0)
        await end(task)
        await asyncio.sleep(LEASE_TTL_S - LEASE_KEEPALIVE_S - 0.01)
        assert etcd.get(KEY) is not None
        await asyncio.sleep(LEASE_KEEPALIVE_S + 0.5)
        assert etcd.get(KEY) is None
        await etcd.aclose()

    run_virtual(run())


def test_its_successor_is_heard_at_once_and_outlives_its_lease() -> None:
    async def run() -> None:
        etcd = MemoryEtcd(VirtualClock())
        for number in ("1", "2"):
            publisher = Publisher(etcd.client(lambda: 0.002), VirtualClock())
            publisher.say(KEY, heartbeat(number))
            task = asyncio.create_task(publisher.run())
            await asyncio.sleep(0.1 if number == "1" else 5.0)
            found = etcd.get(KEY)
            assert found is not None
            assert f'"{number}"'.encode() in found.value
            await end(task)
        await etcd.aclose()

    run_virtual(run())


def test_what_is_said_is_there_on_a_lease_and_is_gone_when_unsaid() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        found = etcd.get(KEY)
        assert found is not None
        assert found.lease
        publisher.unsay(KEY)
        await asyncio.sleep(0.1)
        assert etcd.get(KEY) is None

    with_publisher(story)


def test_saying_the_same_again_writes_nothing() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        revision = etcd.revision
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(5.0)
        assert etcd.revision == revision

    with_publisher(story)


def test_after_a_lost_lease_everything_is_said_again() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        store.reachable = False
        await asyncio.sleep(5.0)
        assert etcd.get(KEY) is None
        store.reachable = True
        await asyncio.sleep(2.0)
        assert etcd.get(KEY) is not None

    with_publisher(story)


def test_a_write_that_was_not_answered_is_repeated() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        store.fates = [Fate.LOST, Fate.APPLIED]
        publisher.say(KEY, heartbeat("1"))
        publisher.keep(keys.moves("east", "hotel"), MovesRecord())
        await asyncio.sleep(4.0)
        assert etcd.get(KEY) is not None
        assert etcd.get(keys.moves("east", "hotel")) is not None

    with_publisher(story)


def test_of_values_that_follow_each_other_quickly_the_last_one_stands() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        for number in range(50):
            publisher.say(KEY, heartbeat(str(number)))
            publisher.keep(keys.hold_request("east"), HoldRequestRecord(id=str(number)))
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.1)
        for key in (KEY, keys.hold_request("east")):
            found = etcd.get(key)
            assert found is not None
            assert b'"49"' in found.value

    with_publisher(story)


def test_what_is_kept_stays_when_the_engine_has_gone() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.keep(keys.moves("east", "hotel"), MovesRecord())
        await asyncio.sleep(0.1)
        store.reachable = False
        await asyncio.sleep(10.0)
        assert etcd.get(keys.moves("east", "hotel")) is not None
        store.reachable = True

    with_publisher(story)


def test_what_another_engine_of_the_same_place_takes_with_it_is_said_again() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        ghost = etcd.grant(2.0)  # it stood still, and somebody was started in its place
        etcd.txn([], [Put(KEY, heartbeat("0").encode(), ghost)])
        await asyncio.sleep(3.0)
        found = etcd.get(KEY)
        assert found is not None
        assert found.lease != ghost
        assert b'"1"' in found.value
        revision = etcd.revision
        await asyncio.sleep(5.0)
        assert etcd.revision == revision

    with_publisher(story)


def test_a_key_that_is_gone_is_said_again() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        etcd.txn([], [Delete(KEY)])
        await asyncio.sleep(3.0)
        assert etcd.get(KEY) is not None

    with_publisher(story)


def lease_of(etcd: MemoryEtcd) -> int:
    found = etcd.get(KEY)
    assert found is not None
    return found.lease


def written_late(etcd: MemoryEtcd, record: HeartbeatRecord, lease: int) -> None:
    """A write that nobody answered, and that the store applies after all."""
    etcd.txn([], [Put(KEY, record.encode(), lease)])


def test_a_write_of_its_own_that_is_applied_late_does_not_stand() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        lease = lease_of(etcd)
        publisher.say(KEY, heartbeat("2"))
        await asyncio.sleep(0.1)
        written_late(etcd, heartbeat("1"), lease)
        await asyncio.sleep(0.3)
        found = etcd.get(KEY)
        assert found is not None
        assert b'"2"' in found.value
        revision = etcd.revision
        await asyncio.sleep(5.0)
        assert etcd.revision == revision

    with_publisher(story)


def test_what_was_taken_back_does_not_come_back_by_a_late_write() -> None:
    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        publisher.say(KEY, heartbeat("1"))
        await asyncio.sleep(0.1)
        lease = lease_of(etcd)
        publisher.unsay(KEY)
        await asyncio.sleep(0.1)
        written_late(etcd, heartbeat("1"), lease)
        await asyncio.sleep(2.5)
        assert etcd.get(KEY) is None

    with_publisher(story)


def test_of_what_is_kept_a_late_write_of_its_own_does_not_stand_and_a_successors_does() -> None:
    key = keys.hold_request("east")
    first, newest, successors = (HoldRequestRecord(id=name) for name in ("first", "newest", "successor's"))

    async def story(etcd: MemoryEtcd, store: MemoryStore, publisher: Publisher) -> None:
        await asyncio.sleep(0.1)
        store.fates = [Fate.LOST]
        publisher.keep(key, first)
        await asyncio.sleep(0.001)
        publisher.keep(key, newest)
        await asyncio.sleep(6.0)
        for late, stands in ((first, newest), (successors, successors)):
            etcd.txn([], [Put(key, late.encode())])
            await asyncio.sleep(0.6)
            found = etcd.get(key)
            assert found is not None
            assert found.value == stands.encode()

    with_publisher(story)


def test_what_changes_all_the_time_is_not_taken_for_a_late_write() -> None:
    """The picture may show the value before, whenever it is looked at."""

    async def run() -> None:
        etcd = MemoryEtcd(VirtualClock())
        before: dict[str, KeyValue] = {}
        publisher = Publisher(etcd.client(lambda: 0.002), VirtualClock(), lambda: before)
        task = asyncio.create_task(publisher.run())
        for number in range(10):
            publisher.say(KEY, heartbeat(str(number)))
            await asyncio.sleep(0.6)
            found = etcd.get(KEY)
            assert found is not None
            before = {KEY: found}
            assert etcd.revision == number + 2
        await end(task)
        await etcd.aclose()

    run_virtual(run())
