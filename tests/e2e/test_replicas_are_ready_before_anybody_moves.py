"""A target's replicas are raised for those who will come, and nobody leaves before the kubelet calls them Ready.

The call centre's own CTI is one process by design, so a Deployment beside it takes its place in the Site: what
is scaled, scheduled, started slowly and counted is real.
"""

import json
from typing import Any, Final

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from lab.addresses import CITIES
from tests.e2e.callcenter_fixtures import shift
from tests.support.drill_timeline import epoch

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

STAND_IN: Final = "slow-replicas"
SLOW_S: Final = 6
"""A replica is Ready this long after its start."""


def deployment(image: str) -> dict[str, Any]:
    labels = {"app": STAND_IN}
    container = {
        "name": "wait",
        "image": image,
        "imagePullPolicy": "Never",
        "command": ["python", "-c", "import time; time.sleep(3600)"],
        "readinessProbe": {"exec": {"command": ["true"]}, "initialDelaySeconds": SLOW_S, "periodSeconds": 1},
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": STAND_IN, "namespace": "callcenter"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
            },
        },
    }


async def operator_may_scale(centre: CallCentre, *names: str) -> None:
    """In west: these Deployments besides the call centre's own, as the chart's `deployments[].names` would say."""
    west = centre.clusters["west"]
    (rule,) = [
        rule for rule in (await west.get("role", "tandem-deployments"))["rules"] if rule["resources"] == ["deployments"]
    ]
    own = [name for name in rule["resourceNames"] if name != STAND_IN]
    patch = [{"op": "replace", "path": "/rules/0/resourceNames", "value": [*own, *names]}]
    await west.kubectl(
        "patch", "role", "tandem-deployments", "-n", "callcenter", "--type=json", "-p", json.dumps(patch)
    )


async def scale_by(centre: CallCentre, deployment: str, scaling: dict[str, Any] | None) -> None:
    """In every cluster's Site west: hotel's CTI is this Deployment, and is scaled so."""
    path = "/spec/systems/0/cti"
    patch: list[dict[str, Any]] = [
        {"op": "replace", "path": f"{path}/deployment", "value": deployment},
        {"op": "add", "path": f"{path}/scaling", "value": scaling},
    ]
    if scaling is None:
        patch.append({"op": "remove", "path": f"{path}/scaling"})
    for city in CITIES:
        await centre.clusters[city].kubectl("patch", "site", "west", "--type=json", "-p", json.dumps(patch))

    async def agreed() -> tuple[bool, str]:
        found = [await centre.clusters[city].get("site", "west") for city in CITIES]
        told = [(site["metadata"]["generation"], site["status"].get("observedGeneration")) for site in found]
        consistent = [
            one["status"] for site in found for one in site["status"]["conditions"] if one["type"] == "SpecConsistent"
        ]
        return all(wanted == seen for wanted, seen in told) and set(consistent) == {"True"}, f"{told}, {consistent}"

    await until("the engines know the Site as it is now", agreed, timeout=20)


def ready_since(pod: dict[str, Any]) -> float:
    """Seconds since the epoch."""
    conditions = {one["type"]: one for one in pod["status"]["conditions"]}
    assert conditions["Ready"]["status"] == "True", pod["metadata"]["name"]
    return epoch(conditions["Ready"]["lastTransitionTime"])


async def test_replicas_are_raised_and_ready_before_the_first_agent_leaves(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-north-sales")
    west = centre.clusters["west"]
    real = await west.get("deployment", "cti-hotel")
    assert (await west.get("site", "west"))["spec"]["systems"][0]["name"] == "hotel"

    async def ready() -> int:
        found: int = (await west.get("deployment", STAND_IN)).get("status", {}).get("readyReplicas", 0)
        return found

    async def one_ready() -> tuple[bool, str]:
        now = await ready()
        return now == 1, f"{now} Ready"

    order = shift(centre, (group,), to="west")
    said: list[str] = []

    async def waits() -> tuple[bool, str]:
        status = (await centre.clusters["east"].get("shift", order.name)).get("status", {})
        said.append(str(status.get("message")))
        return "1 of 2 Ready" in said[-1], "; ".join(dict.fromkeys(said))

    try:
        await west.apply_objects(deployment(real["spec"]["template"]["spec"]["containers"][0]["image"]))
        await until("one replica is there", one_ready, timeout=60)
        await operator_may_scale(centre, STAND_IN)
        # The agents who are at west already need one replica, these besides need a second.
        at_west = sum(g.agents for g in centre.quickstart.choose("west") if g.system == "hotel")
        scaling = {"mode": "Scale", "agentsPerReplica": at_west + 1, "min": 1, "max": 2}
        await scale_by(centre, f"callcenter/{STAND_IN}", scaling)
        begun = await centre.begin(order)
        await until("it waits for the second replica, and says so", waits, timeout=20)
        assert f"callcenter/{STAND_IN}" in said[-1]
        assert centre.is_at("east", group)
        await centre.finish(begun, timeout=60)
        move = await centre.measured(begun)
        assert await ready() == 2
        pods = json.loads(await west.kubectl("get", "pods", "-n", "callcenter", "-l", f"app={STAND_IN}", "-o", "json"))
        last_ready = max(ready_since(pod) for pod in pods["items"])
        # Kubernetes writes whole seconds.
        assert last_ready <= move.committed_at + 1, (last_ready, move.committed_at)
        assert move.complete
    finally:
        await scale_by(centre, "callcenter/cti-hotel", None)
        await operator_may_scale(centre)
        await west.kubectl("delete", "deployment", STAND_IN, "-n", "callcenter", "--ignore-not-found", "--wait=false")
