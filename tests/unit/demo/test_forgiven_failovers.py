"""`tests.support.failovers`: what end-to-end tests, matrix and benches forget of a city between two of them."""

import asyncio

import pytest

from demo.errors import NotInTimeError
from tandem.domain import keys
from tandem.domain.records import FailoverRecord, ObservationRecord
from tandem.engine.ports import Delete, Guard, KeyValue, Put, TxnResult
from tests.support.failovers import forgive, nothing_fails
from tests.support.memory_store import MemoryEtcd, MemoryStore
from tests.unit.engine.virtual import VirtualClock, run_virtual

EAST = keys.failover("east")
WORD = keys.observation("west", "east", "hotel", "softswitch")


def put(key: str, record: FailoverRecord | ObservationRecord) -> Put:
    return Put(key, record.encode())


ACTIVE = put(EAST, FailoverRecord(number=2, state="Active"))
ENDED = put(EAST, FailoverRecord(number=1, state="Ended"))


class BeginsAtOnce:
    """A store in which the city's next failover begins between our look and our deletion."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store

    async def get(self, key: str, *, timeout: float) -> KeyValue | None:
        found = await self.store.get(key, timeout=timeout)
        if found is not None and FailoverRecord.model_validate_json(found.value).number == 1:
            await self.store.txn([], [ACTIVE])
        return found

    async def txn(self, guards: list[Guard], writes: list[Put | Delete], *, timeout: float) -> TxnResult:
        return await self.store.txn(guards, writes, timeout=timeout)


def test_a_failover_that_has_ended_is_forgotten() -> None:
    async def scenario() -> None:
        store = MemoryEtcd(VirtualClock()).client()
        await store.txn([], [ENDED])
        await forgive(store, "east")
        assert await store.get(EAST) is None
        await forgive(store, "east")  # and there is nothing left to forget

    run_virtual(scenario())


def test_a_failover_that_begins_in_that_moment_is_not_forgotten_before_its_end() -> None:
    async def scenario() -> None:
        store = MemoryEtcd(VirtualClock()).client()
        await store.txn([], [ENDED])
        forgetting = asyncio.create_task(forgive(BeginsAtOnce(store), "east"))  # type: ignore[arg-type]
        await asyncio.sleep(5)
        found = await store.get(EAST)
        assert found is not None
        assert not forgetting.done()
        assert FailoverRecord.model_validate_json(found.value).state == "Active"

        await store.txn([], [put(EAST, FailoverRecord(number=2, state="Ended"))])
        await forgetting
        assert await store.get(EAST) is None

    run_virtual(scenario())


def test_a_failover_without_end_says_what_it_is_about() -> None:
    async def scenario() -> None:
        store = MemoryEtcd(VirtualClock()).client()
        await store.txn([], [put(EAST, FailoverRecord(state="Active", message="west misses east"))])
        with pytest.raises(NotInTimeError, match="Active: west misses east"):
            await forgive(store, "east", timeout=3)

    run_virtual(scenario())


def test_rest_is_when_nobody_accuses_anything_any_more() -> None:
    async def scenario() -> None:
        store = MemoryEtcd(VirtualClock()).client()
        await nothing_fails(store, timeout=1)
        await store.txn([], [put(WORD, ObservationRecord(state="Fail", since=1.0, detail="no answer"))])
        with pytest.raises(NotInTimeError, match="west/east/hotel/softswitch: no answer"):
            await nothing_fails(store, timeout=1)
        await store.txn([], [put(WORD, ObservationRecord(state="Pass", since=2.0))])
        await nothing_fails(store, timeout=1)

    run_virtual(scenario())
