"""Shifts live in the store; every cluster shows them, and any of them can abort."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import RanRecord, ShiftRecord
from tandem.engine.ports import Delete, Put
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.contract.operator.engine import Engines
from tests.support.kube import KubeApi, KubectlError
from tests.support.manifests import group, shift, site
from tests.unit.domain.world import World

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]
KEY = keys.shift("callcenter/to-west")


@pytest.fixture
def running(kube: KubeApi, operator: Start) -> OperatorProcess:
    kube.apply(site("east"), group())
    return operator("east")


async def record(store: StoreClient) -> ShiftRecord | None:
    found = await store.get(KEY)
    return ShiftRecord.model_validate_json(found.value) if found else None


async def here(kube: KubeApi) -> dict[str, Any] | None:
    try:
        return await asyncio.to_thread(kube.get, "Shift", "to-west", "callcenter")
    except KubectlError:
        return None


async def test_a_shift_made_here_reaches_the_store_once(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(shift(waves=[10, 100], requestedBy="admin"))
    made = await until("the record", lambda: record(store))
    assert (made.created_in, made.phase, made.spec.waves) == ("east", "Pending", (10, 100))
    assert made.spec.requested_by == "admin"
    held = await store.get(KEY)
    kube.apply(shift(waves=[10, 100], requestedBy="admin"))
    await asyncio.sleep(1.5)
    assert await store.get(KEY) == held


async def test_a_shift_made_elsewhere_is_shown_here_and_aborted_from_here(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    await Engines(store).shift("callcenter/to-west", phase="Moving", wave=1)
    found = await until("it is shown", lambda: here(kube))
    assert found["metadata"]["labels"] == {"tandem.dev/mirrored": "west"}
    kube.patch("Shift", "to-west", "callcenter", {"spec": {"abort": True}})

    async def aborted() -> bool:
        made = await record(store)
        return made is not None and made.spec.abort

    await until("the abort is told", aborted)


async def test_an_abort_told_elsewhere_is_not_taken_back_by_the_object_here(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(shift())
    made = await until("the record", lambda: record(store))
    aborted = made.model_copy(update={"spec": made.spec.model_copy(update={"abort": True})})
    await Engines(store).put(KEY, aborted)
    kube.patch("Shift", "to-west", "callcenter", {"metadata": {"labels": {"touched": "yes"}}})
    await asyncio.sleep(1.5)
    assert await record(store) == aborted


async def test_another_shift_of_the_same_name_is_told_apart(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    running.stop()
    await Engines(store).shift("callcenter/to-west", phase="Moving")
    kube.apply(shift(percent=30))
    running.start()

    async def told() -> dict[str, Any] | None:
        found = await here(kube)
        return found if found and condition(found, "Accepted") else None

    found = await until("the clash is said", told)
    assert condition(found, "Accepted")["reason"] == "NameTaken"
    assert "under another name" in condition(found, "Accepted")["message"]


async def test_deleting_a_finished_shift_forgets_it_and_an_unfinished_one_is_aborted(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(shift())
    made = await until("the record", lambda: record(store))
    kube.annotate("Shift", "to-west", "callcenter", allow_delete="true")
    kube.delete("Shift", "to-west", "callcenter")

    async def aborted() -> bool:
        known = await record(store)
        return known is not None and known.spec.abort

    await until("it is aborted, not forgotten", aborted)
    found = await until("it is shown until it has ended", lambda: here(kube))
    assert "tandem.dev/mirrored" in found["metadata"]["labels"]
    done = made.model_copy(update={"phase": "RolledBack", "finished_at": time.time()})
    await Engines(store).put(KEY, done)

    async def over() -> bool:
        found = await here(kube)
        return found is not None and found.get("status", {}).get("phase") == "RolledBack"

    await until("it is over", over)
    kube.delete("Shift", "to-west", "callcenter")

    async def forgotten() -> bool:
        return await record(store) is None and await here(kube) is None

    await until("it is forgotten", forgotten)


async def test_a_mirrored_shift_goes_when_the_store_forgets_it_and_an_own_one_stays(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    engines = Engines(store)
    kube.apply(shift("own"))
    own = await until("the record", lambda: store.get(keys.shift("callcenter/own")))
    done = ShiftRecord.model_validate_json(own.value).model_copy(update={"phase": "Completed"})
    await engines.put(own.key, done)
    await engines.shift("callcenter/to-west", phase="Completed")
    await until("it is shown", lambda: here(kube))

    async def finished() -> bool:
        found = kube.list("Shift", "callcenter")
        return [one.get("status", {}).get("phase") for one in found] == ["Completed", "Completed"]

    await until("both are finished", finished)
    await engines.delete(own.key)
    await engines.delete(KEY)

    async def gone() -> bool:
        return await here(kube) is None

    await until("the mirrored one is gone", gone)
    assert kube.get("Shift", "own", "callcenter")["status"]["phase"] == "Completed"
    assert await store.get(own.key) is None


async def test_a_shift_that_people_made_goes_when_its_time_is_over(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(shift(ttlSecondsAfterFinished=4))
    made = await until("the record", lambda: record(store))
    assert made.spec.ttl_seconds_after_finished == 4
    engines = Engines(store)
    ended = time.time()
    await engines.put(KEY, made.model_copy(update={"phase": "Completed", "finished_at": ended}))

    async def over() -> bool:
        found = await here(kube)
        return found is not None and found.get("status", {}).get("phase") == "Completed"

    await until("it is over", over)
    await engines.delete(KEY)

    async def gone() -> bool:
        return await here(kube) is None

    await until("it is gone", gone, timeout=30.0)  # looked for every ten seconds
    assert time.time() - ended >= 4
    assert await record(store) is None


async def test_a_failovers_question_is_shown_here_and_approved_from_here(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    key = keys.shift("callcenter/east-1-failover")
    await Engines(store).put(key, a_question())

    async def asks() -> dict[str, Any] | None:
        try:
            found = await asyncio.to_thread(kube.get, "Shift", "east-1-failover", "callcenter")
        except KubectlError:
            return None
        return found if found.get("status", {}).get("phase") == "AwaitingApproval" else None

    found = await until("it asks", asks)
    assert "kubectl tandem approve east-1-failover -n callcenter" in found["status"]["message"]
    assert found["status"]["plan"][1].endswith("about 100 agents; buckets then: west 0-99")
    kube.patch("Shift", "east-1-failover", "callcenter", {"spec": {"approved": True, "approvedBy": "admin"}})

    async def approved() -> bool:
        held = await store.get(key)
        return held is not None and ShiftRecord.model_validate_json(held.value).spec.approved

    await until("the approval is told", approved)


def a_question() -> ShiftRecord:
    """As the domain itself writes it, for a group whose failover is Manual."""
    world = World()
    world.group({"east": 100}, failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    return world.shift_record("callcenter/east-1-failover")


async def test_a_name_that_has_run_is_free_again_once_its_object_has_been_deleted(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(shift())
    made = await until("the record", lambda: record(store))
    engines, ran = Engines(store), keys.ran("callcenter/to-west")
    ended = time.time()
    await engines.put(KEY, made.model_copy(update={"phase": "Completed", "finished_at": ended}))
    # The coordinator tidies it away, as one transaction.
    left = RanRecord(phase="Completed", message="100 agents arrived at west", finished_at=ended)
    await store.txn([], [Put(ran, left.encode()), Delete(KEY)])

    async def says_how_it_ended() -> bool:
        found = await here(kube)
        return found is not None and condition(found, "Ready").get("reason") == "Completed"

    await until("it says how it ended", says_how_it_ended)
    kube.apply(shift(), {**shift(), "metadata": {**shift()["metadata"], "labels": {"applied": "again"}}})
    await asyncio.sleep(1.5)
    assert await record(store) is None
    kube.delete("Shift", "to-west", "callcenter")

    async def free() -> bool:
        return await store.get(ran) is None

    await until("its name is free", free)
    assert await record(store) is None
    kube.apply(shift())
    again = await until("it runs again", lambda: record(store))
    assert (again.phase, again.created_at > made.created_at) == ("Pending", True)
