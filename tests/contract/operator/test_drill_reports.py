"""Reports in the store become ConfigMaps beside the Drill, are printed from there, and go with their run."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import DrillRecord
from tandem.domain.report_model import DrillReport, DrillReportRecord
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, eventually, until
from tests.contract.operator.engine import Engines
from tests.contract.operator.test_cli import Tandem
from tests.contract.operator.test_drills import applied_in_west
from tests.support.kube import OPERATOR, KubeApi, KubectlError
from tests.support.manifests import drill, group, site
from tests.unit.domain.report_world import ReportWorld

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]
NAME = "callcenter/monthly"
WAIT_S = 40.0
"""Seconds for an operator that has just been started on a busy machine."""


@pytest.fixture(scope="module")
def world() -> ReportWorld:
    """A run that is over, as the store has it."""
    world = ReportWorld(100)
    world.whole_run()
    return world


@pytest.fixture
def running(kube: KubeApi, operator: Start) -> OperatorProcess:
    kube.apply(site("east"), group(), drill())
    return operator("east")


async def over(store: StoreClient, world: ReportWorld) -> DrillReport:
    """The engines have filed the run and written its report."""
    report = world.newest
    engines = Engines(store)
    await engines.healthy()
    await engines.put(keys.drill(NAME), world.state)
    await engines.put(keys.drill_report(NAME, report.run), DrillReportRecord(drill=NAME, run=report.run, report=report))
    return report


def config_map(kube: KubeApi, name: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(kube.kubectl("get", "configmap", name, "-n", "callcenter", "-o", "json"))
    except KubectlError:
        return None
    return found


async def test_a_report_is_kept_beside_the_drill_and_printed_from_there(
    kube: KubeApi, running: OperatorProcess, store: StoreClient, world: ReportWorld, tmp_path: Path
) -> None:
    report = await over(store, world)
    name = f"monthly-{report.run}-report"
    found = eventually("the ConfigMap is there", lambda: config_map(kube, name), timeout=WAIT_S)
    assert DrillReport.model_validate_json(found["data"]["report.json"]) == report
    assert found["data"]["report.html"].startswith("<!doctype html>")
    assert found["immutable"] is True
    uid = kube.get("Drill", "monthly", "callcenter")["metadata"]["uid"]
    assert [(owner["kind"], owner["uid"]) for owner in found["metadata"]["ownerReferences"]] == [("Drill", uid)]

    def named() -> bool:
        runs = kube.get("Drill", "monthly", "callcenter").get("status", {}).get("runs", [])
        return bool(runs) and runs[0]["report"] == name

    eventually("the status names it", named, timeout=WAIT_S)
    status = kube.get("Drill", "monthly", "callcenter")["status"]["runs"][0]
    assert set(status["out"]["timeTo"]) == {"63.5", "93.1", "100"}
    assert status["callsCut"] == 0

    tandem = Tandem(kube, tmp_path)
    code, said = await tandem("drill", "report", "monthly", "-n", "callcenter", "--contexts", "kube")
    assert (code, said.splitlines()[0]) == (0, f"Drill {NAME}, run {report.run}: Succeeded (Completed)"), said
    code, said = await tandem("drill", "report", "monthly", "-n", "callcenter", "--contexts", "kube", "-o", "json")
    assert DrillReport.model_validate_json(said) == report
    code, said = await tandem("drill", "report", "monthly", "-n", "callcenter", "--contexts", "kube", "-o", "html")
    assert said == found["data"]["report.html"]
    code, said = await tandem(
        "drill", "report", "monthly", "-n", "callcenter", "--run", "yesterday", "--contexts", "kube"
    )
    assert code == 1
    assert f"has no run yesterday; it has {report.run}" in said


async def test_a_report_goes_with_its_run_out_of_the_history(
    kube: KubeApi, running: OperatorProcess, store: StoreClient, world: ReportWorld
) -> None:
    report = await over(store, world)
    name = f"monthly-{report.run}-report"
    eventually("the ConfigMap is there", lambda: config_map(kube, name), timeout=WAIT_S)
    await Engines(store).put(keys.drill(NAME), DrillRecord(after=1.0, forgotten=(report.run,)))
    engines = Engines(store)
    await engines.delete(keys.drill_report(NAME, report.run))
    eventually("it is gone", lambda: config_map(kube, name) is None, timeout=WAIT_S)


async def test_the_operator_touches_no_other_config_map(kube: KubeApi, running: OperatorProcess) -> None:
    for name in ("directory", "their-report"):
        kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "callcenter"}})
    try:
        with pytest.raises(KubectlError, match="not for the operator of Tandem"):
            kube.kubectl("delete", "configmap", "directory", "-n", "callcenter", user=OPERATOR)
        with pytest.raises(KubectlError, match="not for the operator of Tandem"):
            kube.kubectl("create", "configmap", "mine", "-n", "callcenter", user=OPERATOR)
        for verb in ("create", "delete"):  # its name is that of a report, and it belongs to no Drill
            name = "their-report" if verb == "delete" else "my-report"
            with pytest.raises(KubectlError, match="not for the operator of Tandem"):
                kube.kubectl(verb, "configmap", name, "-n", "callcenter", user=OPERATOR)
        with pytest.raises(KubectlError, match="cannot get resource"):
            kube.kubectl("get", "configmap", "directory", "-n", "callcenter", user=OPERATOR)
    finally:
        kube.kubectl("delete", "configmap", "directory", "their-report", "-n", "callcenter")


async def test_what_is_shown_of_a_drill_follows_it_as_the_same_object_to_which_the_reports_belong(
    kube: KubeApi, operator: Start, store: StoreClient, world: ReportWorld
) -> None:
    kube.apply(site("east"), group())
    operator("east")
    await applied_in_west(store, hold="1h")
    report = await over(store, world)
    name = f"monthly-{report.run}-report"
    kept = await until("the ConfigMap is there", lambda: asyncio.to_thread(config_map, kube, name), timeout=WAIT_S)
    await applied_in_west(store, suspend=True)

    async def follows() -> bool:
        spec = (await asyncio.to_thread(kube.get, "Drill", "monthly", "callcenter"))["spec"]
        return spec.get("suspend") is True and spec.get("hold") != "1h"

    await until("the copy follows", follows)
    uid = kube.get("Drill", "monthly", "callcenter")["metadata"]["uid"]
    assert [owner["uid"] for owner in kept["metadata"]["ownerReferences"]] == [uid]


async def test_the_operator_changes_no_drill_that_people_have_applied(kube: KubeApi) -> None:
    kube.apply(drill())
    patch = '{"spec": {"suspend": true}}'
    try:
        with pytest.raises(KubectlError, match="not for the operator of Tandem"):
            kube.kubectl("patch", "drill", "monthly", "-n", "callcenter", "--type=merge", "-p", patch, user=OPERATOR)
    finally:
        kube.delete("Drill", "monthly", "callcenter")


async def test_where_it_may_not_keep_reports_the_drill_says_so_and_how_to_allow_it(
    kube: KubeApi, running: OperatorProcess, store: StoreClient, world: ReportWorld
) -> None:
    role = json.loads(kube.kubectl("get", "clusterrole", "tandem-drill-reports", "-o", "json"))
    kube.kubectl("delete", "clusterrole", "tandem-drill-reports")
    try:
        await over(store, world)

        async def said() -> str | None:
            found = await asyncio.to_thread(kube.get, "Drill", "monthly", "callcenter")
            kinds = {one["type"] for one in found.get("status", {}).get("conditions", ())}
            return condition(found, "ReportsKept")["message"] if "ReportsKept" in kinds else None

        message = await until("it is said", said, timeout=WAIT_S)
        assert "add callcenter to the chart's drillReports.namespaces" in message
    finally:
        kube.apply(
            {key: role[key] for key in ("apiVersion", "kind", "rules")} | {"metadata": {"name": "tandem-drill-reports"}}
        )
