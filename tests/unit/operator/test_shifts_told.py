"""What people do with a Shift is told in the transaction that brings it to the store, once."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from tandem.api.resources import SHIFT
from tandem.domain import keys
from tandem.domain.records import HistoryRecord, RanRecord, ShiftRecord
from tandem.engine.ports import Clock, Delete, Put
from tandem.operator.cluster import Cluster, Json, MissingError
from tandem.operator.main import Operator
from tandem.operator.mirror import LocalNotes
from tandem.operator.shifts import ShiftExchange
from tests.support.manifests import shift
from tests.support.memory_store import Fate
from tests.unit.engine.virtual import run_virtual
from tests.unit.operator.objects import CREATED_AT, seen
from tests.unit.operator.on_store import OnStore

NAME = "callcenter/to-west"
KEY = keys.shift(NAME)


class NoCluster(Cluster):
    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def now(self) -> float:
        return self._clock.now()

    async def post(self, path: str, body: Mapping[str, Any], **query: str) -> Json:
        raise AssertionError(f"nothing is shown here: {path}")


class Rig(OnStore):
    """The exchange of one cluster, running on a store of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = NoCluster(self.view.clock)
        self.exchange = ShiftExchange("east", self.table, self.view, self.store, self.cluster, LocalNotes())
        self.table.vanished(SHIFT.plural, [], 0)
        self.work_with(self.exchange)

    async def show(self, version: int, **spec: Any) -> None:
        """The API shows the Shift so."""
        found = seen(shift(**spec), resourceVersion=str(version))
        assert self.table.update(found)
        self.exchange.seen(found)
        await asyncio.sleep(5)
        self.etcd.release()
        await asyncio.sleep(5)

    @property
    def log(self) -> list[tuple[int, str, str]]:
        """Revision, action and who."""
        found = ((kv, HistoryRecord.model_validate_json(kv.value)) for kv in self.etcd.range(keys.HISTORY)[0])
        return [(kv.create_revision, one.action, one.who.name) for kv, record in found for one in record.entries]

    @property
    def written(self) -> list[int]:
        """Revisions at which the Shift's key changed."""
        return [change.revision for change in self.etcd.changes(KEY, 1)]


@pytest.mark.parametrize("fate", [None, *Fate])
def test_making_approving_and_aborting_are_each_told_once_and_with_it(fate: Fate | None) -> None:
    async def story() -> None:
        async with Rig() as rig:
            steps: list[dict[str, Any]] = [{"requestedBy": "ada", "approval": "Manual"}]
            steps.append({**steps[0], "approved": True, "approvedBy": "bob"})
            steps.append({**steps[1], "abort": True})
            for number, spec in enumerate(steps):
                rig.store.fates = [fate] if fate else []
                await rig.show(8 + number, **spec)
            assert [(action, who) for _, action, who in rig.log] == [
                ("Asked", "ada"),
                ("Approved", "bob"),
                ("AbortAsked", ""),
            ]
            assert [revision for revision, _, _ in rig.log] == rig.written

    run_virtual(story())


def test_what_another_cluster_was_quicker_to_tell_is_not_told_again() -> None:
    async def story() -> None:
        async with Rig() as rig:
            await rig.show(8, requestedBy="ada")
            record = ShiftRecord.model_validate_json(rig.etcd._keys[KEY].value)
            aborted = record.model_copy(update={"spec": record.spec.model_copy(update={"abort": True})})
            rig.etcd.txn([], [Put(KEY, aborted.encode())])
            await rig.show(9, requestedBy="ada", abort=True)
            assert [action for _, action, _ in rig.log] == ["Asked"]

    run_virtual(story())


@pytest.mark.parametrize(("phase", "action"), [("Moving", "AbortAsked"), ("Completed", "Deleted")])
def test_a_deletion_is_told(phase: str, action: str) -> None:
    async def story() -> None:
        async with Rig() as rig:
            await rig.show(8)
            record = ShiftRecord.model_validate_json(rig.etcd._keys[KEY].value)
            rig.etcd.txn([], [Put(KEY, record.model_copy(update={"phase": phase}).encode())])
            await asyncio.sleep(1)
            found = rig.table.get(SHIFT.plural, NAME)
            assert found is not None
            assert rig.table.remove(found)
            rig.exchange.deleted(found)
            await asyncio.sleep(5)
            assert [told for _, told, _ in rig.log] == ["Asked", action]
            assert rig.log[-1][0] == rig.written[-1]

    run_virtual(story())


OVER = {"phase": "Completed", "finishedAt": "2026-11-23T20:10:00Z"}


def test_our_own_deletion_is_made_once_and_frees_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its event comes later than its answer, and other Shifts are looked at in between."""

    async def story() -> None:
        async with Rig() as rig:
            deleted: list[str] = []
            mine = seen(shift(), labels={"tandem.dev/mirrored": "west"}, status=OVER)

            def event() -> None:
                assert rig.table.remove(mine)
                rig.exchange.deleted(mine)

            async def delete(path: str) -> None:
                deleted.append(path)
                if len(deleted) > 1:
                    raise MissingError("not found")
                asyncio.get_running_loop().call_later(0.1, event)

            monkeypatch.setattr(rig.cluster, "delete", delete)
            rig.etcd.txn([], [Put(keys.ran(NAME), RanRecord(phase="Completed", finished_at=1.0).encode())])
            await asyncio.sleep(1)
            rig.table.update(mine)
            for _ in range(5):
                rig.exchange.seen(mine)
                await asyncio.sleep(0.015)
            await asyncio.sleep(30)
            assert len(deleted) == 1
            assert keys.ran(NAME) in rig.view.held
            # Whoever makes one of that name later, and deletes it, is heard.
            new = seen(shift(), uid="tomorrow", resourceVersion="60")
            rig.table.update(new)
            rig.exchange.seen(new)
            await asyncio.sleep(1)
            assert rig.table.remove(new)
            rig.exchange.deleted(new)
            await asyncio.sleep(1)
            assert keys.ran(NAME) not in rig.view.held

    run_virtual(story())


def test_a_deletion_is_told_also_where_a_list_was_quicker_than_its_event() -> None:
    async def story() -> None:
        async with Rig() as rig:
            await rig.show(8)
            record = ShiftRecord.model_validate_json(rig.etcd._keys[KEY].value)
            rig.etcd.txn([], [Put(KEY, record.model_copy(update={"phase": "Moving"}).encode())])
            await asyncio.sleep(1)
            found = rig.table.get(SHIFT.plural, NAME)
            assert found is not None
            rig.table.remove(found)  # as `Operator._list_all` does
            Operator.on_deleted(SimpleNamespace(table=rig.table, shifts=rig.exchange), found)  # type: ignore[arg-type]
            await asyncio.sleep(5)
            assert [told for _, told, _ in rig.log] == ["Asked", "AbortAsked"]

    run_virtual(story())


@pytest.mark.parametrize("tidied", [False, True])
def test_a_finished_shift_that_is_deleted_and_made_anew_at_once_runs_again(tidied: bool) -> None:
    """`kubectl replace --force`: both events come before the deletion has been told, or while its record is tidied."""

    async def story() -> None:
        async with Rig() as rig:
            await rig.show(8)
            record = ShiftRecord.model_validate_json(rig.etcd._keys[KEY].value)
            rig.etcd.txn([], [Put(KEY, record.model_copy(update={"phase": "Completed"}).encode())])
            if tidied:
                ran = RanRecord(phase="Completed", finished_at=CREATED_AT + 600.0)
                rig.etcd.txn([], [Delete(KEY), Put(keys.ran(NAME), ran.encode())])
            await asyncio.sleep(1)
            found = rig.table.get(SHIFT.plural, NAME)
            assert found is not None
            rig.table.remove(found)
            rig.exchange.deleted(found)
            new = seen(shift(), uid="anew", resourceVersion="90", creationTimestamp="2026-11-23T20:10:01Z")
            rig.cluster.now = lambda: new.created_at + 1.0  # type: ignore[method-assign]
            rig.table.update(new)
            rig.exchange.seen(new)
            await asyncio.sleep(5)
            assert ShiftRecord.model_validate_json(rig.etcd._keys[KEY].value).phase == "Pending"
            assert [told for _, told, _ in rig.log] == ["Asked", *([] if tidied else ["Deleted"]), "Asked"]

    run_virtual(story())


def test_deleting_what_is_left_of_an_earlier_shift_aborts_none_of_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story() -> None:
        async with Rig() as rig:
            shown: list[dict[str, Any]] = []

            async def post(path: str, body: dict[str, Any]) -> None:
                shown.append(body)
                rig.table.update(seen({**shift(), "metadata": body["metadata"]}, uid="made-anew"))

            monkeypatch.setattr(rig.cluster, "post", post)
            over = {"phase": "Completed", "finishedAt": "2026-11-23T20:10:00Z"}
            old = seen(shift(abort=True), status=over)
            assert rig.table.update(old)
            newer = ShiftRecord(spec=seen(shift()).spec, created_at=CREATED_AT + 1200.0, created_in="west")
            rig.etcd.txn([], [Put(KEY, newer.encode())])
            await asyncio.sleep(1)
            assert rig.table.remove(old)
            rig.exchange.deleted(old)
            await asyncio.sleep(1)
            assert rig.log == []
            assert [body["spec"].get("abort") for body in shown] == [False]
            assert ShiftRecord.model_validate_json(rig.etcd._keys[KEY].value) == newer

    run_virtual(story())
