"""The decision log in the store: one transaction with what it tells of, nothing twice, within its bounds."""

import asyncio
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tandem.constants import HISTORY_AGE_S, HISTORY_KEPT, HISTORY_LEAST, HISTORY_LOOK_S, HISTORY_STEP
from tandem.domain import keys
from tandem.domain.history_search import spent
from tandem.domain.records import CoordinatorRecord, HistoryEntry, HistoryRecord, Who
from tandem.engine import coordinator as coordinator_module
from tandem.engine import history_keeper
from tandem.engine.history_keeper import HistoryKeeper
from tandem.engine.ports import Put, TxnResult
from tandem.engine.scribe import Scribe
from tests.support.memory_store import Fate, MemoryEtcd
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import VirtualClock, run_virtual

ENTRY = HistoryEntry(kind="Hold", action="Held", who=Who(kind="Person", name="ada"))


def log_of(etcd: MemoryEtcd) -> list[tuple[int, HistoryRecord]]:
    """Revision and record, in the order of their keys."""
    found, _ = etcd.range(keys.HISTORY)
    return [(kv.create_revision, HistoryRecord.model_validate_json(kv.value)) for kv in found]


def placements(etcd: MemoryEtcd) -> Counter[tuple[int, str]]:
    """Every placement that was ever written, with its revision."""
    return Counter(
        (change.revision, change.key.removeprefix(keys.PLACEMENTS)) for change in etcd.changes(keys.PLACEMENTS, 1)
    )


def named(etcd: MemoryEtcd) -> Counter[tuple[int, str]]:
    """Every placement that an entry names, with the entry's revision."""
    return Counter(
        (revision, group) for revision, record in log_of(etcd) for entry in record.entries for group in entry.placed
    )


async def a_move(cities: Cities) -> None:
    """A first placement, and a Shift with its agents arriving."""
    cities.group({"east": 100})
    await cities.until(lambda: cities.placement() == {"east": "0-99"})
    cities.sign_in("east", 40)
    await asyncio.sleep(2)
    cities.shift(selector={"system": "hotel"}, to="west", waves=[50, 100])
    await cities.until(lambda: cities.phases() == ["Completed"], within=60)


def test_every_decision_is_in_one_transaction_with_its_entry() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        await a_move(cities)
        assert sum(placements(cities.etcd).values()) >= 4
        assert named(cities.etcd) == placements(cities.etcd)
        log = log_of(cities.etcd)
        assert [revision for revision, _ in log] == sorted(revision for revision, _ in log)
        epoch = cities.engines["witness"].election.epoch()
        assert {(record.site, record.engine, record.epoch) for _, record in log} == {("witness", "witness-3", epoch)}
        actions = [entry.action for _, record in log for entry in record.entries]
        assert actions[:3] == ["Placed", "Accepted", "WaveStarted"]
        assert actions[-1] == "Completed"
        # It is in nobody's memory.
        for engine in cities.engines.values():
            assert not any(key.startswith(keys.HISTORY) for key in engine.picture.held)
        await cities.stop()

    run_virtual(story())


@pytest.mark.parametrize("fate", list(Fate))
def test_a_decision_whose_answer_is_lost_is_told_exactly_once(fate: Fate) -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        store = cities.engines["witness"].store
        real = store.txn

        async def once(guards: Any, writes: Any, **more: Any) -> TxnResult:
            if any(write.key.startswith(keys.PLACEMENTS) for write in writes):
                store.txn = real  # type: ignore[method-assign]
                store.fates = [fate]
            return await real(guards, writes, **more)

        store.txn = once  # type: ignore[method-assign]
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"}, within=30)
        cities.etcd.release()
        await asyncio.sleep(5)
        assert sum(placements(cities.etcd).values()) == 1
        assert named(cities.etcd) == placements(cities.etcd)
        await cities.stop()

    run_virtual(story())


def test_a_refused_transaction_leaves_no_entry() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        store = cities.engines["witness"].store
        real = store.txn

        async def held_at_the_last_moment(guards: Any, writes: Any, **more: Any) -> TxnResult:
            if any(write.key.startswith(keys.PLACEMENTS) for write in writes):
                assert any(write.key.startswith(keys.HISTORY) for write in writes)
                cities.hold()
                store.txn = real  # type: ignore[method-assign]
            return await real(guards, writes, **more)

        store.txn = held_at_the_last_moment  # type: ignore[method-assign]
        cities.group({"east": 100})
        await cities.until(lambda: cities.engines["witness"].coordinator.figures.refused > 0)
        await asyncio.sleep(5)
        assert cities.placement() == {}
        assert log_of(cities.etcd) == []
        cities.delete(keys.HOLD)
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        assert named(cities.etcd) == placements(cities.etcd)
        await cities.stop()

    run_virtual(story())


def test_another_coordinator_goes_on_with_the_log() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        await cities.engines["witness"].kill()
        await cities.until(
            lambda: cities.snapshot.coordinator is not None and cities.snapshot.coordinator.record.site != "witness", 20
        )
        cities.shift(selector={"system": "hotel"}, to="west")
        await cities.until(lambda: cities.phases() == ["Completed"], within=60)
        log = log_of(cities.etcd)
        assert [revision for revision, _ in log] == sorted(revision for revision, _ in log)
        epochs = [record.epoch for _, record in log]
        assert epochs == sorted(epochs)
        assert len(set(epochs)) == 2
        assert named(cities.etcd) == placements(cities.etcd)
        await cities.stop()

    run_virtual(story())


def test_a_defect_of_the_log_stops_no_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    def defect(*_: object) -> Sequence[HistoryEntry]:
        raise RuntimeError("a defect")

    monkeypatch.setattr(coordinator_module, "decided", defect)

    async def story() -> None:
        cities = Cities()
        await cities.start()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        assert named(cities.etcd) == placements(cities.etcd)
        ((_, record),) = log_of(cities.etcd)
        assert "placed as ordered" in record.entries[0].why
        await cities.stop()

    run_virtual(story())


def test_each_attempt_has_a_key_of_its_own() -> None:
    scribe = Scribe("east", "e1")
    (first,) = scribe.write([ENTRY], at=1.0, revision=7)
    (second,) = scribe.write([ENTRY], at=1.0, revision=7)
    assert first.key != second.key
    assert scribe.write([], at=1.0, revision=7) == []


# -- within its bounds


@pytest.mark.parametrize(
    ("count", "ages", "expected"),
    [
        pytest.param(3, [0.0] * 3, 0, id="young-and-few"),
        pytest.param(HISTORY_KEPT, [0.0] * 8, 0, id="as-many-as-are-kept"),
        pytest.param(HISTORY_KEPT + 3, [0.0] * 8, 3, id="too-many"),
        pytest.param(HISTORY_KEPT + 30, [0.0] * 8, 8, id="far-too-many-go-step-by-step"),
        pytest.param(5000, [HISTORY_AGE_S + 1] * 2 + [HISTORY_AGE_S - 1] * 6, 2, id="too-old"),
        pytest.param(HISTORY_LEAST + 1, [HISTORY_AGE_S + 1] * 8, 1, id="the-newest-stay-however-old-they-seem"),
        pytest.param(HISTORY_LEAST, [HISTORY_AGE_S + 1] * 8, 0, id="a-clock-years-ahead-empties-nothing"),
        pytest.param(5000, [None, HISTORY_AGE_S + 1], 0, id="what-cannot-be-read-has-no-age"),
        pytest.param(HISTORY_KEPT + 1, [None] * 8, 1, id="but-is-counted"),
    ],
)
def test_how_many_of_the_oldest_may_go(count: int, ages: list[float | None], expected: int) -> None:
    now = 2e9
    assert spent(count, [None if age is None else now - age for age in ages], now) == expected


class Reign:
    """An election that is decided."""

    def __init__(self, epoch: int) -> None:
        self._epoch = epoch

    def epoch(self) -> int:
        return self._epoch


def filled(etcd: MemoryEtcd, count: int, at: Callable[[int], float]) -> None:
    scribe = Scribe("witness", "e")
    writes = [put for number in range(count) for put in scribe.write([ENTRY], at=at(number), revision=number)]
    etcd.txn([], writes)


def test_a_few_of_the_oldest_go_at_once_until_as_many_are_left_as_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.domain.history_search.HISTORY_KEPT", 30)

    async def story() -> None:
        etcd = MemoryEtcd(VirtualClock())
        filled(etcd, 50, lambda _: VirtualClock().now())
        epoch = etcd.txn([], [Put(keys.COORDINATOR, CoordinatorRecord(site="e", engine="e").encode())]).revision
        before = [kv.key for kv in etcd.range(keys.HISTORY)[0]]
        task = asyncio.create_task(HistoryKeeper(etcd.client(), Reign(epoch), etcd.clock).run())
        await asyncio.sleep(0.5)
        assert [kv.key for kv in etcd.range(keys.HISTORY)[0]] == before[HISTORY_STEP:]
        await asyncio.sleep(10)
        assert [kv.key for kv in etcd.range(keys.HISTORY)[0]] == before[20:]
        revision = etcd.revision
        await asyncio.sleep(5 * HISTORY_LOOK_S)
        assert etcd.revision == revision
        task.cancel()
        await etcd.aclose()

    run_virtual(story())


@pytest.mark.parametrize(
    ("epoch", "somebody_reigns"),
    [
        pytest.param(0, True, id="another-reigns"),
        pytest.param(0, False, id="nobody-reigns"),
        pytest.param(9_999, True, id="a-reign-that-has-ended"),
    ],
)
def test_only_the_coordinator_tidies(epoch: int, somebody_reigns: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tandem.domain.history_search.HISTORY_KEPT", 30)

    async def story() -> None:
        etcd = MemoryEtcd(VirtualClock())
        filled(etcd, 50, lambda _: VirtualClock().now())
        if somebody_reigns:
            etcd.txn([], [Put(keys.COORDINATOR, CoordinatorRecord(site="e", engine="e").encode())])
        assert await HistoryKeeper(etcd.client(), Reign(epoch), etcd.clock).step() == 0
        assert len(etcd.range(keys.HISTORY)[0]) == 50
        await etcd.aclose()

    run_virtual(story())


def test_what_is_too_old_goes_and_the_store_that_does_not_answer_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tandem.domain.history_search.HISTORY_LEAST", 5)
    monkeypatch.setattr(history_keeper, "HISTORY_LOOK_S", 10.0)

    async def story() -> None:
        etcd = MemoryEtcd(VirtualClock())
        now = VirtualClock().now()
        filled(etcd, 20, lambda number: now - (HISTORY_AGE_S + 100 if number < 3 else 0))
        epoch = etcd.txn([], [Put(keys.COORDINATOR, CoordinatorRecord(site="e", engine="e").encode())]).revision
        store = etcd.client()
        store.reachable = False
        task = asyncio.create_task(HistoryKeeper(store, Reign(epoch), etcd.clock).run())
        await asyncio.sleep(20)
        assert len(etcd.range(keys.HISTORY)[0]) == 20
        store.reachable = True
        await asyncio.sleep(20)
        assert len(etcd.range(keys.HISTORY)[0]) == 17
        task.cancel()
        await etcd.aclose()

    run_virtual(story())


def test_a_placement_of_a_hundred_groups_fits_with_its_entry() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        names = [f"callcenter/g{number:03d}" for number in range(230)]
        for name in names:
            cities.group({"east": 100}, name=name, agents=1)
        await cities.until(lambda: len(cities.snapshot.placements) == len(names), within=30)
        assert named(cities.etcd) == placements(cities.etcd)
        assert cities.engines["witness"].coordinator.figures.unknown == 0
        await cities.stop()

    run_virtual(story())
