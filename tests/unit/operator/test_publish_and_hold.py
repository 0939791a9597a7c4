"""Publishing and the big red button, on a store that loses answers, on virtual time."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import HistoryRecord, HoldRecord, SpecRecord
from tandem.engine.ports import Put
from tandem.errors import ConfigError
from tandem.operator.hold import HoldDesk, HoldRequest, parse_request
from tandem.operator.publish import Publisher, differs, record_of
from tests.support.manifests import annotated, group, site
from tests.support.memory_store import Fate, MemoryEtcd
from tests.unit.engine.virtual import VirtualClock, run_virtual
from tests.unit.operator.objects import seen
from tests.unit.operator.on_store import OnStore

SALES = keys.spec("east", keys.AGENT_GROUP, "callcenter/sales")


class Rig(OnStore):
    """A publisher with its table and view, running."""

    def __init__(self) -> None:
        super().__init__()
        self.publisher = Publisher("east", self.table, self.view, self.store)
        self.work_with(self.publisher)

    def show(self, manifest: dict[str, Any], version: int, **metadata: Any) -> None:
        """The API shows this object."""
        found = seen(manifest, resourceVersion=str(version), **metadata)
        if self.table.update(found):
            self.publisher.seen(found.key)

    def listed(self, manifests: Sequence[dict[str, Any]], version: int) -> None:
        """The API lists exactly these; `version` is that of the list."""
        found = [seen(manifest, resourceVersion="1") for manifest in manifests]
        for plural in ("sites", "agentgroups", "trunks"):
            for gone in self.table.vanished(plural, [one.key for one in found], version):
                self.table.remove(gone)
        self.publisher.compare()

    def record(self, key: str = SALES) -> SpecRecord | None:
        held = self.etcd.get(key)
        return SpecRecord.model_validate_json(held.value) if held else None


def test_what_is_seen_is_published_and_the_same_again_is_not() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.show(group(), 1)
            await asyncio.sleep(1)
            record = rig.record()
            assert record is not None
            assert (record.spec["agents"], record.generation) == (100, 3)
            revision = rig.etcd.revision
            rig.show(group(), 2, generation=9, annotations={"example.com/note": "hello"})
            await asyncio.sleep(1)
            assert rig.etcd.revision == revision

    run_virtual(story())


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param(group(agents=50), id="spec"),
        pytest.param(annotated(group(), order_id="2"), id="order-id"),
        pytest.param({**group(), "metadata": {**group()["metadata"], "labels": {"home": "east"}}}, id="labels"),
    ],
)
def test_a_difference_is_published(changed: dict[str, Any]) -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.show(group(), 1)
            await asyncio.sleep(1)
            before = rig.record()
            rig.show(changed, 2)
            await asyncio.sleep(1)
            assert rig.record() not in (None, before)

    run_virtual(story())


@pytest.mark.parametrize("fate", list(Fate))
def test_a_lost_answer_neither_loses_nor_repeats_a_change(fate: Fate) -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.show(group(), 1)
            await asyncio.sleep(1)
            rig.store.fates = [fate]
            rig.show(group(agents=50), 2)
            await asyncio.sleep(5)
            rig.etcd.release()
            await asyncio.sleep(1)
            record = rig.record()
            assert record is not None
            assert record.spec["agents"] == 50

    run_virtual(story())


def test_an_object_that_cannot_be_read_leaves_the_last_good_one() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.show(group(), 1)
            await asyncio.sleep(1)
            good = rig.record()
            rig.show(group(shoeSize=44), 2)
            await asyncio.sleep(1)
            assert rig.record() == good

    run_virtual(story())


def test_deletion_takes_the_own_key_only() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.show(group(), 1)
            await asyncio.sleep(1)
            held = rig.etcd.get(SALES)
            assert held is not None
            other = keys.spec("west", keys.AGENT_GROUP, "callcenter/sales")
            rig.etcd.txn([], [Put(other, held.value)])
            found = seen(group())
            assert rig.table.remove(found)
            rig.publisher.deleted(found.key)
            await asyncio.sleep(1)
            assert (rig.record(), rig.record(other) is not None) == (None, True)

    run_virtual(story())


def test_missing_from_one_list_is_not_deleted_missing_from_two_is() -> None:
    async def story() -> None:
        async with Rig() as rig:
            rig.show(group(), 1)
            rig.show(site("east"), 1)
            await asyncio.sleep(1)
            rig.listed([site("east")], version=5)
            await asyncio.sleep(1)
            assert rig.record() is not None
            rig.listed([site("east")], version=6)
            await asyncio.sleep(1)
            assert rig.record() is None
            assert rig.record(keys.spec("east", keys.SITE, "east")) is not None

    run_virtual(story())


def test_an_outage_of_the_store_only_delays() -> None:
    async def story() -> None:
        async with Rig() as rig:
            await asyncio.sleep(1)
            rig.store.reachable = False
            rig.show(group(), 1)
            await asyncio.sleep(30)
            assert rig.record() is None
            assert rig.view.silent_s > 20
            rig.store.reachable = True
            await asyncio.sleep(5)
            assert rig.record() is not None
            assert rig.view.silent_s == 0

    run_virtual(story())


def test_five_hundred_objects_are_published_in_a_few_transactions() -> None:
    async def story() -> None:
        async with Rig() as rig:
            for number in range(500):
                rig.show(group(f"g{number}"), 1)
            await asyncio.sleep(5)
            assert len(rig.etcd.range(keys.specs_of("east"))[0]) == 500
            assert rig.etcd.revision <= 20

    run_virtual(story())


def test_the_records_digest_says_whether_clusters_read_the_same() -> None:
    here, there = (record_of(seen(group(), generation=generation), 0.0) for generation in (1, 7))
    assert here is not None
    assert there is not None
    assert here.digest == there.digest
    assert differs(here, None)


# -- the big red button


def request(**changes: Any) -> HoldRequest:
    return HoldRequest.model_validate({"id": "1", "action": "hold", "by": "ada", "reason": "storm", **changes})


@pytest.mark.parametrize("fate", [Fate.LOST, Fate.APPLIED])
def test_a_hold_acts_once_even_when_the_answer_is_lost(fate: Fate) -> None:
    async def story() -> None:
        etcd = MemoryEtcd(VirtualClock())
        store = etcd.client()
        said: list[str] = []
        desk = HoldDesk("east", store, etcd.clock, etcd.clock.now, said.append)
        task = asyncio.create_task(desk.run())
        store.fates = [fate]
        desk.seen(request().model_dump_json())
        await asyncio.sleep(5)
        held = etcd.get(keys.HOLD)
        assert held is not None
        assert HoldRecord.model_validate_json(held.value).by == "ada"
        # Resumed elsewhere; the annotation is still on the Site, and seen again.
        other = HoldDesk("west", etcd.client(), etcd.clock, etcd.clock.now, said.append)
        await other.carry(request(id="2", action="resume"), 0.0)
        desk.seen(request().model_dump_json())
        await asyncio.sleep(5)
        assert etcd.get(keys.HOLD) is None
        assert set(said) == {""}
        told = [(kv.create_revision, HistoryRecord.model_validate_json(kv.value)) for kv in etcd.range(keys.HISTORY)[0]]
        entries = [(entry.action, entry.who.name, record.site) for _, record in told for entry in record.entries]
        assert entries == [("Held", "ada", "east"), ("Resumed", "ada", "west")]
        # Each with the transaction that it tells of.
        pressed = [change.revision for change in etcd.changes(keys.HOLD, 1) if change.key == keys.HOLD]
        assert [revision for revision, _ in told] == pressed
        task.cancel()
        await etcd.aclose()

    run_virtual(story())


def test_a_cluster_that_wakes_up_does_not_do_what_another_one_has_done_since() -> None:
    async def story() -> None:
        etcd = MemoryEtcd(VirtualClock())
        east, west = (
            HoldDesk(site, etcd.client(), etcd.clock, etcd.clock.now, lambda _: None) for site in ("east", "west")
        )
        # East was asked first and stood still; the command went on to west, and a person resumed from there.
        assert await west.carry(request(id="1"), 0.0)
        assert await west.carry(request(id="2", action="resume"), 0.0)
        assert not await east.carry(request(id="1"), 0.0)
        assert etcd.get(keys.HOLD) is None
        # The same for a resume, and a newer hold stays.
        assert await west.carry(request(id="3"), 0.0)
        assert not await east.carry(request(id="2", action="resume"), 0.0)
        assert etcd.get(keys.HOLD) is not None

    run_virtual(story())


def test_a_request_that_comes_too_late_is_not_followed_but_one_that_was_carried_out_is_no_complaint() -> None:
    async def story() -> None:
        etcd = MemoryEtcd(VirtualClock())
        desk = HoldDesk("east", etcd.client(), etcd.clock, etcd.clock.now, lambda _: None)
        asked = request(at=1000.0)
        with pytest.raises(ConfigError, match="100 s ago"):
            await desk.carry(asked, 1100.0)
        assert await desk.carry(asked, 1059.0)
        assert not await desk.carry(asked, 5000.0)

    run_virtual(story())


@pytest.mark.parametrize(
    ("annotation", "word"),
    [
        ("yes", "JSON"),
        ("{}", "id"),
        (json.dumps({"id": "1", "action": "stop", "by": "a"}), "action"),
        ("[]", "it:"),
        # The admission policy would have found ada, who asks, and bob would be the one who is written down.
        ('{"id":"1","action":"hold","by":"ada","by":"bob"}', "by stands there twice"),
        ('{"id":"1","action":"hold","by":"ada","\\u0062y":"bob"}', "by stands there twice"),
        ('{"id":"1","action":"hold","by":"bob","x\\"by":"ada"}', "a name has quotes in it"),
        ('{"id":"1","action":"hold","x":{"by":"ada"},"by":"bob"}', "x is no plain value"),
    ],
)
def test_an_annotation_that_cannot_be_read_says_how_to_write_it(annotation: str, word: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_request(annotation)
    assert word in str(refused.value)
    assert 'write {"id"' in str(refused.value)
    assert parse_request("") is None
