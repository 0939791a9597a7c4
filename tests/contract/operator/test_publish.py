"""What is applied in a cluster reaches the store once, and only what differs."""

import asyncio
import json
import urllib.request
from collections.abc import Callable

import pytest

from tandem.domain import keys
from tandem.domain.records import SpecRecord
from tests.contract.operator.conftest import OperatorProcess, condition, eventually, everything, read, until
from tests.support.etcd import EtcdCluster
from tests.support.kube import KubeApi
from tests.support.manifests import annotated, group, site, trunk

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


async def published(etcd: EtcdCluster, kind: str, name: str, location: str = "east") -> SpecRecord:
    for _ in range(100):
        found = await read(etcd, keys.spec(location, kind, name))
        if found is not None:
            return SpecRecord.model_validate_json(found.value)
        await asyncio.sleep(0.1)
    raise AssertionError(f"{kind} {name} is not in the store")


async def test_specs_are_published_and_a_second_apply_changes_nothing(
    kube: KubeApi, etcd: EtcdCluster, operator: Start
) -> None:
    manifests = [site("east"), site("west"), site("witness"), annotated(group(), order_id="1"), trunk()]
    kube.apply(*manifests)
    operator("east")
    record = await published(etcd, keys.AGENT_GROUP, "callcenter/sales")
    assert record.spec["agents"] == 100
    assert record.order_id == "1"
    await published(etcd, keys.TRUNK, "callcenter/hotel")
    eventually("statuses", lambda: condition(kube.get("AgentGroup", "sales", "callcenter"), "Ready"))
    async with etcd.client() as store:
        before = await everything(store)
        kube.apply(*manifests)
        kube.patch("AgentGroup", "sales", "callcenter", {"metadata": {"annotations": {"example.com/note": "hello"}}})
        await asyncio.sleep(1.5)
        assert await everything(store) == before
    assert set(before) == {
        keys.operator("east"),
        keys.spec("east", keys.SITE, "east"),
        keys.spec("east", keys.SITE, "west"),
        keys.spec("east", keys.SITE, "witness"),
        keys.spec("east", keys.AGENT_GROUP, "callcenter/sales"),
        keys.spec("east", keys.TRUNK, "callcenter/hotel"),
    }


async def test_a_change_is_published_within_a_second_and_a_deletion_takes_only_the_own_key(
    kube: KubeApi, etcd: EtcdCluster, operator: Start
) -> None:
    kube.apply(site("east"), site("west"), group())
    operator("east")
    operator("west")
    first = await published(etcd, keys.AGENT_GROUP, "callcenter/sales")
    await published(etcd, keys.AGENT_GROUP, "callcenter/sales", "west")
    kube.apply(group(placement=[{"site": "west", "percent": 100}]))

    async def changed() -> bool:
        return (await published(etcd, keys.AGENT_GROUP, "callcenter/sales")).digest != first.digest

    async def gone() -> bool:
        return await read(etcd, keys.spec("east", keys.AGENT_GROUP, "callcenter/sales")) is None

    await until("the change is published", changed, timeout=3)
    kube.delete("AgentGroup", "sales", "callcenter")
    await until("the key is gone", gone, timeout=5)


async def test_two_hundred_new_objects_are_published_within_seconds(
    kube: KubeApi, etcd: EtcdCluster, operator: Start
) -> None:
    """By the watch: the lists that would find them too come only every 30 s."""
    kube.apply(site("east"))
    running = operator("east")
    await published(etcd, keys.SITE, "east")
    await until("kopf watches", lambda: asyncio.to_thread(watching, running), timeout=10)
    started = asyncio.get_running_loop().time()
    for number in range(200):
        kube.create(group(f"group-{number}"))
    applied = asyncio.get_running_loop().time() - started

    async def all_there() -> bool:
        async with etcd.client() as store:
            found, _ = await store.range(keys.specs_of("east") + keys.AGENT_GROUP)
            return len(found) == 200

    await until("all are published", all_there, timeout=applied + 8)


def watching(running: OperatorProcess) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.liveness_port}/livez", timeout=5) as answer:
        return bool(json.loads(answer.read())["kopf"] == "watches")
