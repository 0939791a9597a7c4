"""`kubectl tandem` against a real cluster with a real operator, and one cluster that does not answer."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from lab import tools
from tandem.domain import keys
from tandem.domain.records import HoldRecord, ShiftRecord
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, eventually, until
from tests.contract.operator.engine import Engines
from tests.support.kube import KubeApi
from tests.support.manifests import group, site
from tests.support.ports import free_port

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


@pytest.fixture
def running(kube: KubeApi, operator: Start) -> OperatorProcess:
    kube.apply(site("east"), site("west"), group())
    started = operator("east")
    eventually("the operator shows its own Site", lambda: kube.get("Site", "east")["status"]["here"])
    return started


class Tandem:
    """The command line with a kubeconfig of two contexts: `kube`, and `gone`, where nobody listens."""

    def __init__(self, kube: KubeApi, folder: Path) -> None:
        config = yaml.safe_load(kube.kubeconfig().read_text())
        config["clusters"].append({"name": "gone", "cluster": {"server": f"https://127.0.0.1:{free_port()}"}})
        config["contexts"].insert(0, {"name": "gone", "context": {"cluster": "gone", "user": "admin"}})
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(yaml.safe_dump(config))

    async def __call__(self, *arguments: str) -> tuple[int, str]:
        """Exit code and output."""
        path = f"{tools.path('kubectl').parent}:{os.environ['PATH']}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tandem.cli.main", *arguments),
            env={"PATH": path, "HOME": str(self.kubeconfig.parent), "KUBECONFIG": str(self.kubeconfig)},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await process.communicate()
        return process.returncode or 0, said.decode()


@pytest.fixture
def tandem(kube: KubeApi, tmp_path: Path) -> Tandem:
    return Tandem(kube, tmp_path)


async def held(store: StoreClient) -> HoldRecord | None:
    found = await store.get(keys.HOLD)
    return HoldRecord.model_validate_json(found.value) if found else None


async def test_hold_and_resume_by_way_of_the_cluster_that_answers(
    running: OperatorProcess, store: StoreClient, tandem: Tandem
) -> None:
    code, said = await tandem("hold", "--reason", "storm")
    assert code == 0, said
    assert "cluster gone" not in said, "who answers is asked first"
    assert "HELD by admin (by way of east)" in said
    hold = await held(store)
    assert hold is not None
    assert (hold.by, hold.reason) == ("admin", "storm")
    code, said = await tandem("status")
    assert code == 0, said
    assert "HELD by admin" in said
    assert "cluster gone: " in said
    code, said = await tandem("resume")
    assert code == 0, said
    assert await held(store) is None


async def test_a_hold_that_nobody_carries_out_says_so(running: OperatorProcess, tandem: Tandem) -> None:
    running.kill()
    code, said = await tandem("hold", "--reason", "storm")
    assert code == 1
    assert "has not confirmed within 6 s" in said
    assert "NOT CONFIRMED" in said


async def test_a_plan_is_approved_by_name_and_by_whom(
    running: OperatorProcess, store: StoreClient, tandem: Tandem, kube: KubeApi
) -> None:
    code, said = await tandem("approve", "nobody", "-n", "callcenter")
    assert code == 1
    assert "not approved: no cluster has this Shift" in said

    arguments = ("--to", "west", "--names", "sales", "-n", "callcenter", "--name", "night")
    assert (await tandem("shift", *arguments, "--approval"))[0] == 0
    code, said = await tandem("approve", "night", "-n", "callcenter")
    assert (code, "Shift callcenter/night has no plan yet" in said) == (1, True), said
    assert not kube.get("Shift", "night", "callcenter")["spec"].get("approved")
    made = await until("the record", lambda: store.get(keys.shift("callcenter/night")))
    spec = ShiftRecord.model_validate_json(made.value).spec
    await Engines(store).shift("callcenter/night", spec=spec, phase="AwaitingApproval")
    eventually("the plan is shown", lambda: kube.get("Shift", "night", "callcenter")["status"].get("plan"))
    code, said = await tandem("approve", "night", "-n", "callcenter")
    assert code == 0, said
    assert "plan: callcenter/sales: about 100 agents from east to west" in said
    assert "Shift callcenter/night approved by admin (by way of kube)" in said

    async def told() -> bool:
        found = await store.get(keys.shift("callcenter/night"))
        return found is not None and ShiftRecord.model_validate_json(found.value).spec.approved_by == "admin"

    await until("the store knows", told)
    assert "was approved by admin already" in (await tandem("approve", "night", "-n", "callcenter"))[1]

    task = asyncio.create_task(tandem("abort", "callcenter/night"))

    async def aborted() -> ShiftRecord | None:
        found = await store.get(keys.shift("callcenter/night"))
        record = ShiftRecord.model_validate_json(found.value) if found is not None else None
        return record if record is not None and record.spec.aborted_by == "admin" else None

    record = await until("the store knows", aborted)
    await Engines(store).put(keys.shift("callcenter/night"), record.model_copy(update={"phase": "RolledBack"}))
    code, said = await task
    assert (code, "Shift callcenter/night aborted by admin (by way of kube)" in said) == (0, True), said
    code, said = await tandem("abort", "nobody", "-n", "callcenter")
    assert (code, "not aborted: no cluster has this Shift" in said) == (1, True)

    assert (await tandem("shift", *arguments[:-1], "day"))[0] == 0
    code, said = await tandem("approve", "day", "-n", "callcenter")
    assert (code, "needs no approval" in said) == (1, True)


async def test_an_abort_that_nobody_carries_out_says_so(
    running: OperatorProcess, tandem: Tandem, store: StoreClient
) -> None:
    arguments = ("--to", "west", "--names", "sales", "-n", "callcenter", "--name", "night")
    assert (await tandem("shift", *arguments))[0] == 0
    await until("the record", lambda: store.get(keys.shift("callcenter/night")))
    running.kill()
    code, said = await tandem("abort", "night", "-n", "callcenter")
    assert code == 1, said
    assert "nothing has come of it within 6 s" in said
    assert "NOT CONFIRMED" in said


async def test_a_shift_is_made_once_and_followed_to_its_end(
    running: OperatorProcess, store: StoreClient, tandem: Tandem, kube: KubeApi
) -> None:
    arguments = ("--to", "west", "--names", "sales", "-n", "callcenter", "--name", "evening", "--wait")
    task = asyncio.create_task(tandem("shift", *arguments))
    held = await until("the record", lambda: store.get(keys.shift("callcenter/evening")))
    record = ShiftRecord.model_validate_json(held.value)
    assert record.spec.requested_by == "admin"
    engines = Engines(store)
    name = "callcenter/evening"
    await engines.shift(name, spec=record.spec, phase="Moving", message="wave 1 of 1", started_at=1.0)
    await asyncio.sleep(1.5)
    await engines.arrived(name, 100)
    await engines.shift(name, spec=record.spec, phase="Completed", message="100 agents arrived", started_at=1.0)
    code, said = await task
    assert code == 0, said
    for line in (
        "Shift callcenter/evening created in cluster kube",
        "plan: callcenter/sales: about 100 agents from east to west",
        "Completed: 100 agents arrived",
        "agents' own gaps: p50 0.004s, p95 0.021s, max 0.300s",
    ):
        assert line in said
    code, said = await tandem("shift", *arguments)
    assert code == 1
    assert "already exists" in said
    assert len(kube.list("Shift")) == 1


async def test_a_refused_shift_says_why(running: OperatorProcess, tandem: Tandem) -> None:
    code, said = await tandem("shift", "--to", "West!", "--names", "sales", "-n", "callcenter")
    assert code == 1
    assert "spec.to" in said
    code, said = await tandem("shift", "--to", "west")
    assert code == 1
    assert "give --system" in said


async def test_apply_says_where_it_did_not_arrive(tandem: Tandem, kube: KubeApi, tmp_path: Path) -> None:
    manifest = tmp_path / "group.yaml"
    manifest.write_text(yaml.safe_dump(group("applied")))
    try:
        code, said = await tandem("apply", "-f", str(manifest))
        assert code == 1
        assert "agentgroup.tandem.dev/applied created" in said
        assert "Not applied in gone." in said
        code, said = await tandem("apply", "--contexts", "kube", "-f", str(manifest))
        assert (code, "applied unchanged" in said) == (0, True), said
        (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump({"resources": [manifest.name]}))
        code, said = await tandem("apply", "--contexts", "kube", "-k", str(tmp_path))
        assert (code, "agentgroup.tandem.dev/applied" in said) == (0, True), said
    finally:
        kube.delete("AgentGroup", "applied", "callcenter")


async def test_an_unknown_context_is_named(tandem: Tandem) -> None:
    code, said = await tandem("status", "--contexts", "north")
    assert code == 1
    assert said == "kubectl tandem: --contexts names 'north', but there are gone, kube\n"
