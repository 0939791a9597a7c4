"""`kubectl tandem plan` as a user calls it: a real API server's service proxy in front of a real operator."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.domain import keys
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, eventually, everything, until
from tests.contract.operator.engine import GROUP, Engines
from tests.contract.operator.test_cli import Start, Tandem
from tests.support.chart import of_kind, render, values
from tests.support.kube import KubeApi, KubectlError
from tests.support.manifests import group, shift, site

pytestmark = [pytest.mark.contract, pytest.mark.slow]

PLACE = "/api/v1/namespaces/tandem-system"
ASK = f"{PLACE}/services/tandem-operator:plan/proxy/v1/plan"


def own_address() -> str:
    """An address of this machine that is not the loopback one: the API server proxies to no other."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # sends nothing
        found: str = probe.getsockname()[0]
    return found


def publish(kube: KubeApi, port: int) -> None:
    """The chart's Service, and by hand what kubelet and controllers would make of it: a pod, and its endpoint."""
    service = next(
        found for found in of_kind(render(values()), "Service") if found["metadata"]["name"] == "tandem-operator"
    )
    labels = service["spec"]["selector"]
    pod = {"name": "operator", "namespace": "tandem-system", "labels": labels}
    containers = [{"name": "operator", "image": "tandem", "ports": [{"name": "liveness", "containerPort": port}]}]
    address = own_address()
    status = {"status": {"phase": "Running", "podIP": address, "podIPs": [{"ip": address}]}}
    reference = {"kind": "Pod", "name": "operator", "namespace": "tandem-system"}
    endpoints = {
        "metadata": {"name": "tandem-operator", "namespace": "tandem-system"},
        "subsets": [
            {"addresses": [{"ip": address, "targetRef": reference}], "ports": [{"name": "plan", "port": port}]}
        ],
    }
    kube.request("POST", f"{PLACE}/services", service)
    kube.request("POST", f"{PLACE}/pods", {"metadata": pod, "spec": {"containers": containers}})
    kube.request("PATCH", f"{PLACE}/pods/operator/status", status, content_type="application/merge-patch+json")
    kube.request("POST", f"{PLACE}/endpoints", endpoints)


@pytest.fixture
async def running(kube: KubeApi, operator: Start, store: StoreClient) -> AsyncIterator[OperatorProcess]:
    """An operator with live state: two healthy cities, a group of 100 at east, whom both cities publish."""
    kube.apply(site("east"), site("west"), group())
    started = operator("east")
    engines = Engines(store)
    echo = asyncio.create_task(engines.echo("east", "west"))
    await engines.healthy()
    await engines.place({"east": "0-99"})
    await engines.take_order()
    await engines.report("east", signed_in=100, buckets={str(bucket): 1 for bucket in range(100)})
    await engines.report("west")
    await asyncio.to_thread(eventually, "its Site is shown", lambda: kube.get("Site", "east")["status"]["here"])
    publish(kube, started.liveness_port)
    try:
        yield started
    finally:
        echo.cancel()
        for path in ("endpoints/tandem-operator", "pods/operator?gracePeriodSeconds=0", "services/tandem-operator"):
            kube.request("DELETE", f"{PLACE}/{path}")


@pytest.fixture
def tandem(kube: KubeApi, tmp_path: Path) -> Tandem:
    return Tandem(kube, tmp_path)


async def settled(store: StoreClient) -> None:
    async def published() -> bool:
        return keys.spec("west", keys.AGENT_GROUP, GROUP) in await everything(store)

    await until("both cities publish the group", published)


async def test_plans_are_printed_from_live_state_and_nothing_is_created(
    running: OperatorProcess, store: StoreClient, tandem: Tandem, kube: KubeApi, tmp_path: Path
) -> None:
    await settled(store)
    before = await everything(store)
    file = tmp_path / "moves.yaml"
    order = group(placement=[{"site": "west", "percent": 100}])
    file.write_text(yaml.safe_dump_all([site("east"), shift(), order]))
    code, said = await tandem("plan", "-f", str(file))
    assert code == 1, said  # the order comes second, and would wait for the Shift
    assert "cluster gone" not in said  # asked last, so nobody waits for it
    for line in (
        "Site east: moves nobody by itself",
        "Shift callcenter/to-west: would be accepted now",
        "Move about 100 agents of 1 group to west in 3 waves.",
        "Wave 1: about 5 agents of 1 group, 5 % then",
        "hotel at west: about 100 arrive; 0 of 1000 agents planned now, 100 afterwards",
        "AgentGroup callcenter/sales: would wait for this to pass, for 1m at most, and then lapse",
        "ShiftConflict: callcenter/sales is being moved by Shift callcenter/to-west",
        "Nothing was created.",
    ):
        assert line in said, said
    file.write_text(yaml.safe_dump(shift(percent=30)))
    code, said = await tandem("plan", "--contexts", "kube", "-f", str(file), "-o", "json")
    assert code == 0, said
    (plan,) = json.loads(said)["plans"]
    assert plan["planned"]["groups"][0]["moves"] == {"east>west": "70-99"}
    assert kube.list("Shift") == []
    assert await everything(store) == before


async def test_a_wrong_manifest_and_an_operator_that_is_not_there_are_told_apart_from_a_refusal(
    running: OperatorProcess, tandem: Tandem, tmp_path: Path
) -> None:
    file = tmp_path / "move.yaml"
    file.write_text(yaml.safe_dump(shift(percent=0)))
    code, said = await tandem("plan", "-f", str(file))
    assert (code, "spec.percent is 0" in said) == (2, True), said
    file.write_text(yaml.safe_dump(shift(to="north")))
    code, said = await tandem("plan", "-f", str(file))
    assert (code, "UnknownSite" in said) == (1, True), said
    code, said = await tandem("plan", "-f", str(file), "--operator", "tandem-system/nobody")
    assert (code, "nobody" in said) == (2, True), said


async def test_who_may_plan_is_for_the_api_server_to_say(running: OperatorProcess, kube: KubeApi) -> None:
    ask = {"objects": [shift()]}
    with pytest.raises(KubectlError, match="services/proxy"):
        kube.request("POST", ASK, ask, user="alice")
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "alice-plans", "namespace": "tandem-system"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tandem-plan"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    }
    kube.apply(binding)
    try:
        found = eventually("alice may", lambda: kube.request("POST", ASK, ask, user="alice"))
        assert found["plans"][0]["kind"] == "Shift"
        with pytest.raises(KubectlError):
            kube.request("GET", ASK.replace("v1/plan", "livez"), user="alice")
    finally:
        kube.delete("RoleBinding", "alice-plans", "tandem-system")
