"""Deployments: the map for the CTI's next start, the revision, replicas; only what the chart lists, never by force."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from tandem.constants import READY_TTL_S
from tandem.domain import keys
from tandem.domain.records import ReplicasRecord
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.contract.operator.engine import GROUP, Engines
from tests.support.kube import KubeApi
from tests.support.manifests import group, site, system

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


def deployment(name: str, replicas: int | None = None) -> dict[str, Any]:
    labels = {"app": name}
    spec: dict[str, Any] = {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "main", "image": "none"}]}},
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "callcenter"},
        "spec": spec,
    }


async def get(kube: KubeApi, kind: str, name: str) -> dict[str, Any]:
    return await asyncio.to_thread(kube.get, kind, name, "callcenter")


def scaled(mode: str = "Scale", **bounds: int) -> dict[str, Any]:
    """A Site whose CTI may be scaled."""
    scaling = {"mode": mode, "agentsPerReplica": 20, "min": 1, "max": 4, **bounds}
    return site("east", systems=[system(cti={**system()["cti"], "scaling": scaling})])


async def test_the_map_and_the_revision_follow_the_placement(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    kube.apply(site("east"), group(), deployment("cti-hotel"), deployment("softswitch-hotel"))
    operator("east")
    # No engine places a group that it does not know.
    await until("published", lambda: store.get(keys.spec("east", keys.AGENT_GROUP, GROUP)))
    engines = Engines(store)
    await engines.place({"east": "0-59", "east>west": "60-99"})

    async def map_of(size: int) -> dict[str, Any] | None:
        found = await get(kube, "ConfigMap", "tandem-map-hotel")
        document: dict[str, Any] = json.loads(found["data"]["placements.json"])
        return document if len(document["groups"][GROUP]["map"]) == size else None

    document = await until("the map", lambda: map_of(2))
    entry = document["groups"][GROUP]
    assert entry["map"] == {"east": "0-59", "east>west": "60-99"}
    assert entry["drain"] == {"maxTalk": 1800.0, "maxWrapUp": 300.0, "onDeadline": "Stay"}
    assert entry["pace"] is None
    assert document["priorities"] == {GROUP: 100}

    async def revision(name: str) -> int:
        found = await get(kube, "Deployment", name)
        return int(found["metadata"]["annotations"]["tandem.dev/revision"])

    for name in ("cti-hotel", "softswitch-hotel"):
        assert await until("the revision", partial(revision, name)) == entry["revision"]
    before = (await get(kube, "Deployment", "cti-hotel"))["spec"]["template"]
    await engines.place({"west": "0-99"})
    document = await until("the next map", lambda: map_of(1))
    assert document["groups"][GROUP]["revision"] > entry["revision"]
    assert (await get(kube, "Deployment", "cti-hotel"))["spec"]["template"] == before, "no pod is restarted"


async def test_what_the_chart_does_not_list_is_not_patched_and_said(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    other = system("flight", cti={**system("flight")["cti"], "deployment": "callcenter/cti-flight"})
    kube.apply(site("east", systems=[other]), group(system="flight"), deployment("cti-flight"))
    operator("east")
    await Engines(store).place({"east": "0-99"}, system="flight")

    async def said() -> dict[str, Any]:
        return condition(await asyncio.to_thread(kube.get, "Site", "east"), "DeploymentsPatched")

    found = await until("the refusal is said", said)
    assert (found["status"], found["reason"]) == ("False", "NotAllowed")
    assert "add cti-flight to the chart's deployments[].names of namespace callcenter" in found["message"]
    annotations = (await get(kube, "Deployment", "cti-flight"))["metadata"].get("annotations", {})
    assert "tandem.dev/revision" not in annotations


async def test_replicas_are_raised_for_agents_who_arrive(kube: KubeApi, operator: Start, store: StoreClient) -> None:
    kube.apply(scaled(), group())
    # As a release would: without a number, so that nobody owns it.
    kube.apply(deployment("cti-hotel"))
    operator("east")
    engines = Engines(store)
    await engines.place({"east": "0-99"})
    await engines.report("east", signed_in=70)

    async def replicas(count: int) -> dict[str, Any] | None:
        found = await get(kube, "Deployment", "cti-hotel")
        return found if found["spec"]["replicas"] == count else None

    # 100 agents are expected there, 20 a replica, at most 4.
    await until("four replicas", lambda: replicas(4))

    async def remembered() -> bool:
        found = await get(kube, "Deployment", "cti-hotel")
        return bool(found["metadata"]["annotations"]["tandem.dev/replicas-before"] == "1")

    await until("the old number is kept", remembered)

    async def owned() -> bool:
        east = await asyncio.to_thread(kube.get, "Site", "east")
        return bool(condition(east, "ReplicasOwned")["status"] == "True")

    await until("it is said", owned)


async def test_another_owner_of_the_replicas_is_named_and_left_alone(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    kube.apply(scaled(), group())
    kube.create(deployment("cti-hotel", replicas=2), fieldManager="flux")
    operator("east")
    engines = Engines(store)
    await engines.place({"east": "0-99"})

    async def said() -> dict[str, Any] | None:
        found = condition(await asyncio.to_thread(kube.get, "Site", "east"), "ReplicasOwned")
        return found if found["status"] == "False" else None

    found = await until("the owner is named", said)
    assert found["reason"] == "OwnedByAnother"
    assert '"flux"' in found["message"]
    assert (await get(kube, "Deployment", "cti-hotel"))["spec"]["replicas"] == 2


async def test_under_an_autoscaler_only_its_lower_bound_is_raised(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    scaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "cti-hotel", "namespace": "callcenter"},
        "spec": {
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "cti-hotel"},
            "maxReplicas": 6,
        },
    }
    kube.apply(scaled("HPA"), group())
    kube.apply(deployment("cti-hotel"), scaler)
    operator("east")
    await Engines(store).place({"east": "0-99"})

    async def raised() -> bool:
        return bool((await get(kube, "HorizontalPodAutoscaler", "cti-hotel"))["spec"]["minReplicas"] == 4)

    await until("the lower bound", raised)
    assert (await get(kube, "Deployment", "cti-hotel"))["spec"]["replicas"] == 1


async def test_ready_replicas_are_told_to_the_engines_until_the_operator_is_gone(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    kube.apply(scaled(), deployment("cti-hotel"))

    def now_ready(count: int) -> None:
        counts = {"replicas": 2, "readyReplicas": count}
        kube.patch("Deployment", "cti-hotel", "callcenter", {"status": counts}, subresource="status")

    async def told(count: int | None) -> bool:
        held = await store.get(keys.replicas("east", "hotel"))
        found = ReplicasRecord.model_validate_json(held.value).ready if held is not None else None
        return found == (None if count is None else {"cti": count})

    process = operator("east")
    await until("nobody is Ready", lambda: told(0))
    now_ready(1)
    await until("one is Ready", lambda: told(1))
    now_ready(2)
    await until("two are Ready", lambda: told(2))
    process.kill()
    assert await told(2)
    await until("its word is gone with it", lambda: told(None), timeout=3 * READY_TTL_S)
