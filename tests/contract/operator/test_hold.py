"""The big red button: an annotation on the cluster's own Site, carried to the store once."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import HoldRecord
from tandem.operator.cluster import Cluster
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.support.kube import ADMIN, KubeApi
from tests.support.manifests import site

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


@pytest.fixture
def running(kube: KubeApi, operator: Start) -> OperatorProcess:
    kube.apply(site("east"), site("west"))
    return operator("east")


def ask(kube: KubeApi, where: str, **request: Any) -> None:
    kube.annotate("Site", where, "", hold_request=json.dumps({"by": ADMIN, **request}))


async def held(store: StoreClient) -> HoldRecord | None:
    found = await store.get(keys.HOLD)
    return HoldRecord.model_validate_json(found.value) if found else None


async def test_hold_and_resume_act_once_each(kube: KubeApi, running: OperatorProcess, store: StoreClient) -> None:
    ask(kube, "east", id="1", action="hold", reason="storm")
    hold = await until("held", lambda: held(store))
    assert (hold.by, hold.reason) == (ADMIN, "storm")

    async def shown() -> bool:
        status = (await asyncio.to_thread(kube.get, "Site", "east"))["status"]
        return status["hold"]["active"] is True and status["hold"]["by"] == ADMIN

    await until("the hold is shown", shown)
    # Somebody resumes in another city; the annotation that stays here must not hold again.
    await store.txn([], [])
    ask(kube, "east", id="2", action="resume", reason="")

    async def resumed() -> bool:
        return await held(store) is None

    await until("resumed", resumed)
    before = await store.get(keys.hold_request("east"))
    running.kill()
    running.start()
    kube.patch("Site", "east", "", {"metadata": {"labels": {"touched": "yes"}}})
    await asyncio.sleep(3)
    assert await held(store) is None
    assert await store.get(keys.hold_request("east")) == before


async def test_a_request_on_another_clusters_site_is_not_ours(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    ask(kube, "west", id="1", action="hold", reason="storm")
    ask(kube, "east", id="2", action="resume", reason="")
    await until("ours is carried out", lambda: store.get(keys.hold_request("east")))
    assert await held(store) is None
    assert await store.get(keys.hold_request("west")) is None


@pytest.mark.parametrize(
    ("request_", "words"),
    [
        pytest.param({"id": "1", "action": "stop"}, ("action", "'hold' or 'resume'"), id="unknown-action"),
        pytest.param({"action": "hold"}, ("id", "Field required"), id="no-id"),
        pytest.param(
            {"id": "1", "action": "hold", "at": -3600},
            ("s ago", "ask again with `kubectl tandem hold`"),
            id="an-hour-late",
        ),
    ],
)
async def test_a_request_that_is_not_followed_says_why(
    kube: KubeApi, running: OperatorProcess, store: StoreClient, request_: dict[str, Any], words: tuple[str, ...]
) -> None:
    if request_.get("at", 0) < 0:
        request_ = {**request_, "at": time.time() + request_["at"]}
    ask(kube, "east", **request_)

    async def said() -> str:
        found = await asyncio.to_thread(kube.get, "Site", "east")
        return str(condition(found, "HoldRequestValid")["message"])

    message = await until("the complaint", said)
    for word in words:
        assert word in message
    assert await held(store) is None


async def test_the_time_is_the_api_servers_whatever_our_own_clock_says(
    kube: KubeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands and objects bear its time: an operator whose clock is an hour off would take none of them."""
    right = time.time
    async with await Cluster.connect(kube.kubeconfig()) as cluster:
        monkeypatch.setattr(time, "time", lambda: right() + 3600.0)
        assert cluster.now() > right() + 3000.0, "nothing has been heard yet"
        await cluster.get("/version")
        assert abs(cluster.now() - right()) < 5.0
