"""`kubectl tandem history` through a real API server; and what people's commands leave in the log."""

import asyncio
import json
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import HistoryRecord, ShiftRecord
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, eventually, until
from tests.contract.operator.engine import Engines
from tests.contract.operator.test_cli import Tandem, tandem
from tests.contract.operator.test_plan import ASK, running
from tests.support.kube import KubeApi, KubectlError
from tests.support.manifests import shift

pytestmark = [pytest.mark.contract, pytest.mark.slow]

__all__ = ["running", "tandem"]  # fixtures

HISTORY = ASK.replace("v1/plan", "v1/history")


async def log_of(store: StoreClient) -> list[tuple[int, str, str, str]]:
    """Revision, action, who and why."""
    page = await store.page(keys.HISTORY)
    records = [(kv.create_revision, HistoryRecord.model_validate_json(kv.value)) for kv in page.kvs]
    return [
        (revision, entry.action, entry.who.name, entry.why) for revision, record in records for entry in record.entries
    ]


async def test_what_people_do_is_told_at_the_revision_at_which_the_store_learned_of_it(
    running: OperatorProcess, tandem: Tandem, store: StoreClient, kube: KubeApi
) -> None:
    assert (await tandem("hold", "--reason", "storm", "--contexts", "kube"))[0] == 0
    hold = await store.get(keys.HOLD)
    assert hold is not None
    assert (await tandem("resume", "--reason", "it is over", "--contexts", "kube"))[0] == 0
    arguments = ("--to", "west", "--names", "sales", "-n", "callcenter", "--name", "night", "--contexts", "kube")
    assert (await tandem("shift", *arguments, "--approval"))[0] == 0
    made = await until("the store has it", lambda: store.get(keys.shift("callcenter/night")))
    spec = ShiftRecord.model_validate_json(made.value).spec
    await Engines(store).shift("callcenter/night", spec=spec, phase="AwaitingApproval")
    eventually("the plan is shown", lambda: kube.get("Shift", "night", "callcenter")["status"].get("plan"))
    assert (await tandem("approve", "night", "-n", "callcenter", "--contexts", "kube"))[0] == 0

    async def approved() -> list[tuple[int, str, str, str]] | None:
        found = await log_of(store)
        return found if any(action == "Approved" for _, action, _, _ in found) else None

    found = await until("the approval is told", approved)
    told = {action: (revision, who) for revision, action, who, _ in found}
    assert list(told) == ["Held", "Resumed", "Asked", "Approved"]
    assert told["Held"] == (hold.create_revision, "admin")
    assert told["Asked"] == (made.create_revision, "admin")
    assert told["Approved"][1] == "admin"
    why = {action: why for _, action, _, why in found}
    assert (why["Held"], why["Resumed"]) == ("storm (in east)", "it is over (in east)")

    code, said = await tandem("history")
    assert code == 0, said
    lines = said.splitlines()
    assert lines[0].split() == ["WHEN", "REVISION", "WHO", "OBJECT", "ACTION", "GROUPS", "AGENTS", "WHY"]
    assert [word for line in lines[1:] for word in line.split() if word in told] == list(told)
    code, said = await tandem("history", "--shift", "night", "--since", "1h", "-o", "json")
    assert code == 0, said
    answer = json.loads(said)
    assert [entry["action"] for entry in answer["entries"]] == ["Asked", "Approved"]
    assert answer["entries"][0]["writtenBy"]["site"] == "east"
    code, said = await tandem("history", "--limit", "1", "-o", "wide")
    assert "Older ones are left out" in said
    assert "east/operator" in said


async def test_an_abort_and_a_deletion_are_told_with_the_cluster_where_they_came_from(
    running: OperatorProcess, kube: KubeApi, store: StoreClient
) -> None:
    kube.apply(shift("night"))
    await until("the store has it", lambda: store.get(keys.shift("callcenter/night")))
    kube.request(
        "PATCH",
        "/apis/tandem.dev/v1alpha1/namespaces/callcenter/shifts/night",
        {"spec": {"abort": True}},
        content_type="application/merge-patch+json",
    )

    async def told(action: str) -> str | None:
        return next((why for _, found, _, why in await log_of(store) if found == action), None)

    why = await until("the abort is told", lambda: told("AbortAsked"))
    assert why == "spec.abort was set to true in east, in phase Pending"
    await Engines(store).shift("callcenter/night", phase="RolledBack", reason="AbortedByUser", message="aborted")
    eventually("it is shown", lambda: kube.get("Shift", "night", "callcenter")["status"]["phase"] == "RolledBack")
    kube.delete("Shift", "night", "callcenter")
    why = await until("its deletion is told", lambda: told("Deleted"))
    assert why == "its object was deleted in east after its end (RolledBack)"
    assert await store.get(keys.shift("callcenter/night")) is None


async def test_who_may_read_is_for_the_api_server_to_say(running: OperatorProcess, kube: KubeApi) -> None:
    with pytest.raises(KubectlError, match="services/proxy"):
        kube.request("GET", HISTORY, user="alice")
    binding: dict[str, Any] = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "alice-reads", "namespace": "tandem-system"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "tandem-history"},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "alice"}],
    }
    kube.apply(binding)
    try:
        found = eventually("alice may", lambda: kube.request("GET", HISTORY, user="alice"))
        assert found["entries"] == []
        with pytest.raises(KubectlError):
            kube.request("POST", ASK, {"objects": [shift()]}, user="alice")
        with pytest.raises(KubectlError, match="limit is 'x'"):
            kube.request("GET", HISTORY, user="alice", limit="x")
    finally:
        kube.delete("RoleBinding", "alice-reads", "tandem-system")


async def test_an_operator_that_does_not_hear_from_the_store_says_so_and_nobody_makes_anything_up(
    running: OperatorProcess, tandem: Tandem
) -> None:
    running.etcd.stop()
    code, said = await tandem("history")
    assert code == 1, said
    assert "cluster gone: " in said
    assert "cluster kube: " in said
    assert "no cluster's operator could be asked" in said
    await asyncio.to_thread(running.etcd.start)
