"""Events that a person understands, each told once and counted by us."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import HoldRecord
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, until
from tests.contract.operator.engine import Engines
from tests.support.kube import KubeApi
from tests.support.manifests import group, site

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


async def events(kube: KubeApi, kind: str, name: str) -> dict[str, dict[str, Any]]:
    """Reason -> Event on one object."""
    found = [one for one in await asyncio.to_thread(kube.list, "Event") if one["involvedObject"]["kind"] == kind]
    return {one["reason"]: one for one in found if one["involvedObject"]["name"] == name}


async def test_a_move_is_told_on_the_shift_and_on_its_groups(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    kube.apply(site("east"), group())
    engines = Engines(store)
    await engines.coordinate("east")
    operator("east")
    await until("published", lambda: store.get(keys.spec("east", keys.AGENT_GROUP, "callcenter/sales")))
    await engines.shift("callcenter/to-west")
    await until("the plan is told", lambda: has(kube, "Shift", "to-west", "ShiftPlanned"))
    await engines.shift("callcenter/to-west", phase="Moving", wave=1, message="wave 1 of 1", started_at=1.0)
    await until("the start is told", lambda: has(kube, "AgentGroup", "sales", "MoveStarted"))
    await engines.arrived("callcenter/to-west", 100)
    await engines.shift(
        "callcenter/to-west", phase="Completed", message="100 agents arrived at west", started_at=1.0, finished_at=2.0
    )
    moved = await until("the end is told", lambda: has(kube, "Shift", "to-west", "Moved"))
    assert moved["message"] == (
        "100 agents arrived at west; own gaps of 100 agents: p50 0.004s, p95 0.021s, max 0.300s"
    )
    assert moved["type"] == "Normal"
    await until("the end is told on the group", lambda: has(kube, "AgentGroup", "sales", "Moved"))


async def test_equal_events_are_counted_not_repeated(kube: KubeApi, operator: Start, store: StoreClient) -> None:
    kube.apply(site("east"), group())
    engines = Engines(store)
    operator("east")
    await until("published", lambda: store.get(keys.spec("east", keys.SITE, "east")))
    await asyncio.sleep(1)  # the storyteller has taken its first picture
    for _ in range(3):
        await engines.put(keys.HOLD, HoldRecord(by="alice", reason="storm", since=1.0))
        await asyncio.sleep(0.3)
        await engines.delete(keys.HOLD)
        await asyncio.sleep(0.3)

    async def counted() -> dict[str, Any] | None:
        found = (await events(kube, "Site", "east")).get("Held")
        return found if found and found["count"] == 3 else None

    held = await until("three holds", counted)
    assert held["type"] == "Warning"
    assert held["message"].startswith("alice holds everything: storm")
    assert len([one for one in kube.list("Event") if one["reason"] == "Held"]) == 1


async def test_a_refused_order_is_told_on_its_group(kube: KubeApi, operator: Start, store: StoreClient) -> None:
    kube.apply(site("east"), group())
    engines = Engines(store)
    operator("east")
    await until("published", lambda: store.get(keys.spec("east", keys.AGENT_GROUP, "callcenter/sales")))
    await asyncio.sleep(1)
    await engines.take_order("west", "Refused", reason="CapacityExceeded", message="hotel at west has room for 7")
    refused = await until("it is told", lambda: has(kube, "AgentGroup", "sales", "OrderRefused"))
    assert refused["message"] == "CapacityExceeded: hotel at west has room for 7"
    assert refused["type"] == "Warning"


async def has(kube: KubeApi, kind: str, name: str, reason: str) -> dict[str, Any] | None:
    return (await events(kube, kind, name)).get(reason)
