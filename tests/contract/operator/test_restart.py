"""The operator may die at any time, and so may the Kubernetes API: nothing is lost, nothing is done twice."""

import asyncio
import json
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest

from tandem.domain import keys
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, everything, until
from tests.support.kube import KubeApi, KubectlError, path_of
from tests.support.manifests import group, site

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


def liveness(running: OperatorProcess) -> dict[str, Any]:
    with urllib.request.urlopen(f"http://127.0.0.1:{running.liveness_port}/livez", timeout=5) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return {"code": answer.status, **found}


async def test_what_changed_while_the_operator_was_dead_is_published_after_its_restart(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    kube.apply(site("east"), group("sales"), group("service"))
    running = operator("east")
    sales, service = (keys.spec("east", keys.AGENT_GROUP, f"callcenter/{name}") for name in ("sales", "service"))
    first = await until("published", lambda: store.get(sales))
    await until("published", lambda: store.get(service))
    running.kill()
    before = await everything(store)
    kube.apply(group("sales", agents=50))
    running.start()

    async def renewed() -> bool:
        found = await store.get(sales)
        return found is not None and found.mod_revision > first.mod_revision

    await until("the change is published", renewed)
    await asyncio.sleep(1)
    after = await everything(store)
    # Its versions are on its own lease, so they are written anew.
    assert {key for key in after if after[key] != before.get(key)} == {sales, keys.operator("east")}


async def test_a_dead_kubernetes_api_neither_ends_the_operator_nor_deletes_anything(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    kube.apply(site("east"), group())
    running = operator("east")
    await until("published", lambda: store.get(keys.spec("east", keys.AGENT_GROUP, "callcenter/sales")))
    before = await everything(store)
    try:
        kube.stop("kube-apiserver")
        await asyncio.sleep(4)
        assert running.process is not None
        assert running.process.poll() is None
        assert (await asyncio.to_thread(liveness, running))["code"] == 200
        assert await everything(store) == before
    finally:
        await asyncio.to_thread(kube.start)
    kube.apply(group(agents=77))

    async def published() -> bool:
        found = await store.get(keys.spec("east", keys.AGENT_GROUP, "callcenter/sales"))
        return found is not None and b'"agents":77' in found.value

    await until("publishing goes on", published, timeout=60)


async def test_an_object_that_the_model_refuses_is_said_and_the_last_good_one_stays(
    kube: KubeApi, operator: Start, store: StoreClient
) -> None:
    """A CRD of another version lets pass what this operator cannot read."""
    kube.apply(site("east"), group())
    running = operator("east")
    key = keys.spec("east", keys.AGENT_GROUP, "callcenter/sales")
    good = await until("published", lambda: store.get(key))
    running.kill()
    crd_path = path_of("CustomResourceDefinition", "agentgroups.tandem.dev")
    crd = kube.get("CustomResourceDefinition", "agentgroups.tandem.dev")
    loose = json.loads(json.dumps(crd))
    schema = loose["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    schema["x-kubernetes-preserve-unknown-fields"] = True
    try:
        kube.request("PUT", crd_path, loose)

        async def accepted() -> bool:
            kube.patch("AgentGroup", "sales", "callcenter", {"spec": {"shoeSize": 44}})
            return "shoeSize" in kube.get("AgentGroup", "sales", "callcenter")["spec"]

        await until("the loose CRD is served", accepted)
        running.start()

        async def said() -> dict[str, Any] | None:
            found = condition(await asyncio.to_thread(kube.get, "AgentGroup", "sales", "callcenter"), "Ready")
            return found if found["reason"] == "Invalid" else None

        found = await until("the complaint", said)
        assert "spec.shoeSize is 44" in found["message"]
        assert "correct it" in found["message"]
        assert await store.get(key) == good
    finally:
        current = kube.get("CustomResourceDefinition", "agentgroups.tandem.dev")
        crd["metadata"]["resourceVersion"] = current["metadata"]["resourceVersion"]
        kube.request("PUT", crd_path, crd)

    async def strict() -> bool:
        try:
            kube.apply(group(shoeSize=44))
        except KubectlError:
            return True
        return False

    await until("the strict CRD is served again", strict)
