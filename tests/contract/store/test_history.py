"""The decision log on a real etcd: the coordinator's own transactions, its tidying, and reading it from its end."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from tandem.constants import HISTORY_STEP
from tandem.domain import keys
from tandem.domain.records import CoordinatorRecord, HistoryEntry, HistoryRecord, HoldRecord, Who
from tandem.engine.clock import RealClock
from tandem.engine.coordinator import Coordinator
from tandem.engine.history_keeper import HistoryKeeper
from tandem.engine.picture import Picture
from tandem.engine.ports import Delete, Guard, Put, StoreError, TxnResult
from tandem.engine.scribe import Scribe
from tandem.operator.history import HistoryReader
from tandem.store.client import StoreClient
from tandem.store.election import CoordinatorElection
from tandem.store.preference import Surroundings
from tests.support.etcd import EtcdCluster
from tests.unit.domain.world import GROUP, World

pytestmark = [pytest.mark.contract, pytest.mark.slow]

ENTRY = HistoryEntry(kind="Hold", action="Held", why="storm " * 80, who=Who(kind="Person", name="ada"))


async def come_true(look: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.05)


class Rig:
    """The witness's coordinator on a real store, in which two healthy cities have said what they say."""

    def __init__(self, store: StoreClient) -> None:
        clock = RealClock()
        self.store = store
        self.picture = Picture(store, clock)
        me = CoordinatorRecord(site="witness", engine=f"e{time.time_ns()}")
        self.election = CoordinatorElection(store, clock, me, lambda: Surroundings("Witness"))
        self.coordinator = Coordinator(self.picture, store, self.election, clock)
        self.keeper = HistoryKeeper(store, self.election, clock)
        self.world = World()

    async def publish(self) -> None:
        """What the world says that the store does not, apart from who is coordinator."""
        found, _ = await self.store.range(keys.PREFIX, timeout=10.0)
        held = {kv.key: kv.value for kv in found}
        wanted = {key: value for key, (value, _, _) in self.world.store.items() if key != keys.COORDINATOR}
        writes = [Put(key, value) for key, value in wanted.items() if held.get(key) != value]
        for start in range(0, len(writes), 100):
            await self.store.txn([], writes[start : start + 100], timeout=10.0)

    async def until_placed(self, groups: int) -> None:
        await come_true(lambda: len(self.picture.snapshot.placements) >= groups)

    async def told(self) -> Counter[tuple[int, str]]:
        """Placements that entries name, with the entries' revision."""
        page = await self.store.page(keys.HISTORY, timeout=10.0)
        return Counter(
            (kv.create_revision, group)
            for kv in page.kvs
            for entry in HistoryRecord.model_validate_json(kv.value).entries
            for group in entry.placed
        )

    async def placed(self) -> Counter[tuple[int, str]]:
        """Placements with their revision: here each is written once."""
        found, _ = await self.store.range(keys.PLACEMENTS, timeout=10.0)
        return Counter((kv.mod_revision, kv.key.removeprefix(keys.PLACEMENTS)) for kv in found)


@pytest.fixture
async def rig(three_plain: EtcdCluster) -> AsyncIterator[Rig]:
    async with three_plain.client() as store:
        rig = Rig(store)
        tasks = [asyncio.create_task(run()) for run in (rig.picture.run, rig.election.run, rig.coordinator.run)]
        try:
            yield rig
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_the_coordinator_commits_it_tells_at_the_same_revision_and_nothing_else(rig: Rig) -> None:
    for number in range(120):
        rig.world.group({"east": 100}, name=f"callcenter/g{number:03d}", agents=1)
    await rig.publish()
    await rig.until_placed(120)
    placed = await rig.placed()
    assert len(placed) == 120
    assert await rig.told() == placed
    assert not any(key.startswith(keys.HISTORY) for key in rig.picture.held)


async def test_a_transaction_that_etcd_refuses_leaves_no_entry(rig: Rig) -> None:
    real = rig.store.txn

    async def held_at_the_last_moment(
        guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0
    ) -> TxnResult:
        if any(write.key.startswith(keys.PLACEMENTS) for write in writes):
            assert any(write.key.startswith(keys.HISTORY) for write in writes)
            await real([], [Put(keys.HOLD, HoldRecord(by="ada", reason="storm", since=0).encode())])
        return await real(guards, writes, timeout=timeout)

    rig.store.txn = held_at_the_last_moment  # type: ignore[method-assign]
    rig.world.group({"east": 100})
    await rig.publish()
    await come_true(lambda: rig.coordinator.figures.refused > 0)
    await asyncio.sleep(1)
    assert (await rig.placed(), await rig.told()) == (Counter(), Counter())
    rig.store.txn = real  # type: ignore[method-assign]
    await rig.store.txn([], [Delete(keys.HOLD)])
    await rig.until_placed(1)
    assert await rig.told() == await rig.placed()
    assert {group for _, group in await rig.told()} == {GROUP}


async def test_a_full_log_is_tidied_step_by_step_and_read_from_its_end(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, more = 500, 20
    monkeypatch.setattr("tandem.domain.history_search.HISTORY_KEPT", kept)
    scribe = Scribe("witness", "long-ago")
    for start in range(0, kept + more, 40):
        writes = [put for number in range(40) for put in scribe.write([ENTRY], at=time.time(), revision=start + number)]
        await rig.store.txn([], writes, timeout=10.0)
    await come_true(lambda: rig.election.epoch() > 0)
    steps: list[int] = []
    while not steps or steps[-1] == HISTORY_STEP:
        steps.append(await rig.keeper.step())
    assert steps == [8, 8, 4]
    page = await rig.store.page(keys.HISTORY, limit=1)
    assert (page.count, page.kvs[0].key) == (kept, keys.history(more, "witness-long-ago", more + 1))
    reader = HistoryReader("east", rig.store)
    newest = await reader.answer({"limit": "5"})
    assert (len(newest["entries"]), newest["leftOut"]) == (5, True)
    assert len((await reader.answer({}))["entries"]) == kept
    assert (await reader.answer({"by": "nobody"}))["entries"] == []


async def test_the_log_is_read_while_a_city_is_dead(three_plain: EtcdCluster) -> None:
    async with three_plain.client() as store:
        await store.txn([], Scribe("east", "e").write([ENTRY], at=time.time(), revision=1))
        three_plain.kill(0)  # the local member of who asks
        answer = None
        deadline = time.monotonic() + 20
        while answer is None and time.monotonic() < deadline:
            try:
                answer = await HistoryReader("west", store).answer({})
            except StoreError:
                await asyncio.sleep(0.2)  # an election may be under way
        assert answer is not None
        assert [entry["action"] for entry in answer["entries"]] == ["Held"]
