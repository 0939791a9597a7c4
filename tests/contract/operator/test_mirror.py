"""What the store says becomes the status of the objects in the cluster."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tandem.api.trunk import TrunkSpec
from tandem.domain import keys
from tandem.domain.digest import trunk_digest
from tandem.domain.records import TrunkRecord
from tandem.engine.ports import StoreError
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.contract.operator.engine import Engines
from tests.support.etcd import EtcdCluster
from tests.support.kube import KubeApi
from tests.support.manifests import group, shift, site, trunk

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


@pytest.fixture
async def engines(store: StoreClient) -> Engines:
    return Engines(store)


@pytest.fixture
async def two_cities(kube: KubeApi, operator: Start, engines: Engines) -> AsyncIterator[OperatorProcess]:
    """East's cluster, with what west writes; every engine alive; one group at east with 40 agents."""
    kube.apply(site("east"), site("west"), site("witness"), group())
    running = operator("east")
    echo = asyncio.create_task(quietly(engines.echo("east", "west")))
    await engines.healthy()
    await engines.place({"east": "0-99"})
    await engines.take_order()
    await engines.report("east", signed_in=40, available=30, talking=10, buckets={"0": 40})
    await engines.report("west")
    await until("the group is ready", lambda: ready(kube))
    yield running
    echo.cancel()


async def quietly(work: Awaitable[None]) -> None:
    """A test may take the store away."""
    with contextlib.suppress(StoreError):
        await work


async def sales(kube: KubeApi) -> dict[str, Any]:
    return await asyncio.to_thread(kube.get, "AgentGroup", "sales", "callcenter")


async def ready(kube: KubeApi) -> bool:
    return bool(condition(await sales(kube), "Ready")["status"] == "True")


async def test_a_group_says_where_its_agents_are_and_where_they_could_go(
    kube: KubeApi, two_cities: OperatorProcess
) -> None:
    async def counted() -> dict[str, Any] | None:
        found = await sales(kube)
        consistent = condition(found, "SpecConsistent")["status"] == "True"  # once west's copy has arrived as well
        return found if consistent and found["status"]["signedIn"] == 40 else None

    found = await until("agents are counted", counted)
    status = found["status"]
    assert status["where"] == "east 100"
    assert status["placement"]["map"] == {"east": "0-99"}
    assert status["placement"]["revision"] > 0
    assert status["sites"][0] == {
        "site": "east", "percent": 100, "leaving": 0, "signedIn": 40, "available": 30, "talking": 10
    }  # fmt: skip
    assert status["observedGeneration"] == found["metadata"]["generation"]
    assert condition(found, "FailoverReady")["reason"] == "RoomElsewhere"
    assert condition(found, "Overridden")["status"] == "False"
    assert "Reconciling" not in {one["type"] for one in status["conditions"]}
    line = kube.kubectl("get", "ag", "sales", "-n", "callcenter", "--no-headers").split()
    assert line[:9] == ["sales", "hotel", "north", "sales", "east", "100", "40", "0", "True"]


async def test_a_site_says_its_verdict_and_whose_word_it_is(
    kube: KubeApi, two_cities: OperatorProcess, engines: Engines
) -> None:
    async def verdict(name: str, wanted: str) -> dict[str, Any] | None:
        found = await asyncio.to_thread(kube.get, "Site", name)
        return found if found["status"]["verdict"] == wanted else None

    east = await until("east is healthy", lambda: verdict("east", "Healthy"))
    assert east["status"]["coordinator"] == "witness"
    assert east["status"]["here"] is True
    assert (east["status"]["signedIn"], east["status"]["capacity"]) == (40, 1000)
    words = {beat["component"]: beat for beat in east["status"]["heartbeat"]}
    assert words["cti"]["state"] == "Pass"
    assert words["cti"]["sourcesFor"] == ["east", "west", "witness"]
    assert condition(east, "Ready")["status"] == "True"
    await engines.observe("witness", "west", passes=False)
    west = await until("west is suspect", lambda: verdict("west", "Suspect"))
    assert "no answer within 500 ms" in condition(west, "Ready")["message"]
    assert west["status"]["heartbeat"][1]["sourcesAgainst"] == ["witness"]


async def test_a_refused_order_names_its_reason_and_nothing_hides_it(
    kube: KubeApi, two_cities: OperatorProcess, engines: Engines
) -> None:
    kube.apply(group(placement=[{"site": "west", "percent": 100}]))
    await engines.take_order("west", "Refused", reason="CapacityExceeded", message="hotel at west has room for 7")

    async def refused() -> dict[str, Any] | None:
        found = await sales(kube)
        return found if condition(found, "Ready")["reason"] == "CapacityExceeded" else None

    found = await until("the refusal is shown", refused)
    assert condition(found, "Ready")["message"] == "hotel at west has room for 7"
    assert condition(found, "Stalled")["status"] == "True"
    assert condition(found, "Overridden")["status"] == "True"


async def test_a_move_is_shown_from_plan_to_switch_times(
    kube: KubeApi, two_cities: OperatorProcess, engines: Engines
) -> None:
    kube.apply(shift())
    record = await until("the store knows the Shift", lambda: engines.store.get(keys.shift("callcenter/to-west")))
    assert b'"created_in":"east"' in record.value

    async def moving() -> dict[str, Any]:
        return await asyncio.to_thread(kube.get, "Shift", "to-west", "callcenter")

    async def in_phase(phase: str) -> dict[str, Any] | None:
        found = await moving()
        return found if found.get("status", {}).get("phase") == phase else None

    await engines.shift("callcenter/to-west", phase="Moving", wave=1, started_at=1.0)
    await engines.place({"east>west": "0-99"})
    await engines.report("east", signed_in=40, buckets={"0": 40})
    found = await until("the move is shown", lambda: in_phase("Moving"))
    assert found["status"]["plan"] == ["callcenter/sales: about 100 agents from east to west"]
    assert condition(found, "Reconciling")["status"] == "True"

    async def under_way() -> bool:
        status = (await sales(kube))["status"]
        return (status["shift"], status["moving"], status["where"]) == ("to-west", 40, "east>west 100")

    await until("the group shows it", under_way)
    await engines.arrived("callcenter/to-west", 40)
    await engines.shift("callcenter/to-west", phase="Completed", reason="Completed", started_at=1.0, finished_at=2.0)
    found = await until("the end is shown", lambda: in_phase("Completed"))
    assert found["status"]["switchTimes"] == {"p50": "0.004s", "p95": "0.021s", "max": "0.300s"}
    assert found["status"]["progress"]["text"] == "40/100"
    assert condition(found, "Ready")["status"] == "True"

    async def last() -> bool:
        return bool((await sales(kube))["status"]["lastShift"].get("p95") == "0.021s")

    await until("the group shows the last move", last)


async def test_a_thousand_changes_are_a_handful_of_writes(
    kube: KubeApi, two_cities: OperatorProcess, engines: Engines
) -> None:
    before = int((await sales(kube))["metadata"]["resourceVersion"])
    started = asyncio.get_running_loop().time()
    for signed_in in range(300):
        await engines.report("east", signed_in=signed_in)
    took = asyncio.get_running_loop().time() - started

    async def settled() -> dict[str, Any] | None:
        found = await sales(kube)
        return found if found["status"]["signedIn"] == 299 else None

    found = await until("the last count is shown", settled)
    owned = found["metadata"]["managedFields"]
    assert [one["manager"] for one in owned if one.get("subresource") == "status"] == ["tandem-status"]
    assert not [key for key in found["metadata"].get("annotations", {}) if "kopf" in key]
    assert not found["metadata"].get("finalizers")
    writes = int(found["metadata"]["resourceVersion"]) - before
    # Every write of anything counts the version up: at most two a second for the group and for the site.
    assert writes <= (took + 3) * 2 * 2


async def test_a_silent_store_is_said_and_the_last_known_state_stays(
    kube: KubeApi, etcd: EtcdCluster, two_cities: OperatorProcess
) -> None:
    etcd.kill(0)

    async def blind() -> dict[str, Any] | None:
        found = await sales(kube)
        return found if condition(found, "Ready")["reason"] == "StoreUnreachable" else None

    found = await until("the silence is said", blind, timeout=30)
    assert condition(found, "Ready")["status"] == "Unknown"
    assert found["status"]["signedIn"] == 40
    etcd.start()
    await until("the group is ready again", lambda: ready(kube), timeout=30)


async def test_a_trunk_shows_its_routes_once_the_carrier_has_them(
    kube: KubeApi, two_cities: OperatorProcess, engines: Engines
) -> None:
    kube.apply(trunk())
    routes = ({"name": "first", "site": "east", "weight": 75}, {"name": "second", "site": "west", "weight": 25})

    async def trunk_says(reason: str) -> dict[str, Any] | None:
        found = await asyncio.to_thread(kube.get, "Trunk", "hotel", "callcenter")
        return found if condition(found, "Ready")["reason"] == reason else None

    await until("nothing is decided", lambda: trunk_says("NotDecidedYet"))
    decided_from = trunk_digest(TrunkSpec.model_validate(trunk()["spec"]))
    record = TrunkRecord(routes=routes, revision=7, decided_from=decided_from)
    await engines.put(keys.trunk("callcenter/hotel"), record)
    await until("not confirmed", lambda: trunk_says("NotConfirmedYet"))
    record = record.model_copy(update={"confirmed_revision": 7, "channels_in_use": 3})
    await engines.put(keys.trunk("callcenter/hotel"), record)
    found = await until("in force", lambda: trunk_says("RoutesInForce"))
    assert found["status"]["where"] == "east 75, west 25"
    assert found["status"]["channelsInUse"] == 3
