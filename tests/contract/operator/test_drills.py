"""Drills are read from every cluster and shown in every cluster; commands come from any of them."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.api.drill import DrillSpec, Rehearsal
from tandem.api.shift import Selector
from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import DrillDue, DrillLegRecord, DrillRecord, DrillRunRecord, SpecRecord
from tandem.store.client import StoreClient
from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.contract.operator.engine import Engines
from tests.contract.operator.test_cli import Tandem
from tests.support.kube import KubeApi, KubectlError
from tests.support.manifests import drill, group, site

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]
NAME = "callcenter/monthly"
KEY = keys.drill(NAME)
HERE, THERE = keys.spec("east", keys.DRILL, NAME), keys.spec("west", keys.DRILL, NAME)
NOON = 1_795_521_600.0  # 2026-11-24T12:00:00Z


@pytest.fixture
def running(kube: KubeApi, operator: Start) -> OperatorProcess:
    kube.apply(site("east"), group())
    return operator("east")


async def published(store: StoreClient, key: str = HERE) -> SpecRecord | None:
    found = await store.get(key)
    return SpecRecord.model_validate_json(found.value) if found else None


async def shown(kube: KubeApi) -> dict[str, Any] | None:
    try:
        return await asyncio.to_thread(kube.get, "Drill", "monthly", "callcenter")
    except KubectlError:
        return None


async def applied_in_west(store: StoreClient, **spec: Any) -> None:
    """West's operator has read this Drill."""
    wanted = DrillSpec.model_validate(drill(**spec)["spec"]).model_dump(mode="json", by_alias=True, exclude_none=True)
    await Engines(store).put(THERE, SpecRecord(digest=spec_digest(wanted, {}), spec=wanted))


def run(outcome: str | None = "Succeeded", request: str = "", **changes: Any) -> DrillRunRecord:
    """A run of ten minutes at noon."""
    leg = DrillLegRecord(
        shift="callcenter/monthly-20261124-120000-out", agents=100, moved=99, p50=0.01, p95=0.02, max=0.3,
        started_at=NOON, finished_at=NOON + 7,
    )  # fmt: skip
    values = {
        "due": DrillDue(name="20261124-120000", at=NOON, until=NOON + 60, request=request),
        "shift": Rehearsal(selector=Selector(names=("sales",)), to="west"),
        "started_at": NOON,
        "finished_at": NOON + 600 if outcome else 0.0,
        "out": leg,
        "outcome": outcome,
        "reason": "Completed",
        "message": "out and back again",
        **changes,
    }
    return DrillRunRecord.model_validate(values)


async def test_a_drill_applied_here_is_published_with_its_commands(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(drill(schedule="0 3 * * SUN", timeZone="Europe/Berlin"))
    record = await until("it is published", lambda: published(store))
    assert (record.mirrored, record.request, record.spec["timeZone"]) == (False, "", "Europe/Berlin")
    command = '{"id":"1","action":"run","by":"admin","at":1}'
    kube.patch("Drill", "monthly", "callcenter", {"metadata": {"annotations": {"tandem.dev/drill-request": command}}})

    async def commanded() -> bool:
        found = await published(store)
        return found is not None and found.request == command

    await until("the command too", commanded)


async def test_a_schedule_that_only_the_operator_can_read_is_said_in_a_condition(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(drill(schedule="0 25 * * *", timeZone="Europe/Berlin"))

    async def said() -> str | None:
        found = await shown(kube)
        return condition(found, "Ready")["message"] if found else None

    message = await until("it is said", said)
    assert "spec.schedule is '0 25 * * *'" in message
    assert "Bad hour" in message
    assert await published(store) is None


async def test_a_drill_applied_elsewhere_is_shown_here_and_commanded_from_here_and_goes_with_the_original(
    kube: KubeApi, running: OperatorProcess, store: StoreClient, tmp_path: Path
) -> None:
    await Engines(store).healthy()
    await applied_in_west(store)
    await Engines(store).put(KEY, DrillRecord(after=NOON))
    found = await until("it is shown", lambda: shown(kube), timeout=40)
    assert found["metadata"]["labels"] == {"tandem.dev/mirrored": "west"}
    record = await until("the copy is published", lambda: published(store))
    assert record.mirrored

    asked = asyncio.create_task(Tandem(kube, tmp_path)("drill", "run", "monthly", "-n", "callcenter", "--wait"))

    async def commanded() -> str | None:
        found = await published(store)
        return found.request if found and found.mirrored else None

    request = json.loads(await until("the command is published", commanded))
    assert (request["action"], request["by"]) == ("run", "admin")
    state = DrillRecord(after=NOON, request=request["id"], answer="run 20261124-120000 is due now", phase="Out")
    await Engines(store).put(KEY, state.model_copy(update={"run": run(None, request["id"])}))
    await asyncio.sleep(1.5)
    over = state.model_copy(update={"phase": "Waiting", "runs": (run("Succeeded", request["id"]),)})
    await Engines(store).put(KEY, over)
    code, said = await asked
    assert code == 0, said
    assert "run 20261124-120000 is due now" in said
    assert "out: 99 of 100 agents in 7 s, own gaps p50 0.010s, p95 0.020s, max 0.300s" in said
    assert "Succeeded: out and back again" in said

    await applied_in_west(store, hold="1h")

    async def follows() -> bool:
        found = await shown(kube)
        return found is not None and found["spec"]["hold"] == "1h"

    await until("the copy follows", follows)
    await Engines(store).delete(THERE)

    async def gone() -> bool:
        return await shown(kube) is None and await published(store) is None

    await until("the copy goes", gone)


async def test_a_copy_that_somebody_changes_here_is_applied_here(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    await applied_in_west(store)
    await until("it is shown", lambda: shown(kube), timeout=40)
    kube.apply(drill(hold="2h"))

    async def a_voice() -> bool:
        found = await published(store)
        return found is not None and not found.mirrored and found.spec["hold"] == "2h"

    await until("it is published as applied here", a_voice)

    async def differs() -> bool:
        found = await shown(kube)
        return found is not None and condition(found, "Ready")["reason"] in ("Publishing", "SpecNotConsistent")

    await until("that they differ is said", differs)


async def test_the_status_shows_the_runs_and_their_figures(
    kube: KubeApi, running: OperatorProcess, store: StoreClient
) -> None:
    kube.apply(drill(schedule="0 3 * * *", timeZone="Europe/Berlin"))
    failed = run("Failed", due=DrillDue(name="20261123-120000", at=NOON - 86400, until=NOON - 86340, by="ada"))
    record = DrillRecord(after=NOON, runs=(run(), failed), last_success_at=NOON + 600, reason="Completed", message="ok")
    await until("it is published", lambda: published(store))
    await Engines(store).put(KEY, record)

    async def told() -> dict[str, Any] | None:
        found = await shown(kube)
        return found["status"] if found and found.get("status", {}).get("lastOutcome") else None

    status = await until("the status", told)
    assert (status["lastOutcome"], status["lastSuccess"]) == ("Succeeded", "2026-11-24T12:10:00Z")
    assert status["nextRun"] == "2026-11-25T02:00:00Z"
    first, second = status["runs"]
    assert (first["name"], first["trigger"], second["trigger"]) == ("20261124-120000", "Schedule", "ada")
    assert first["out"]["switchTimes"] == {"p50": "0.010s", "p95": "0.020s", "max": "0.300s"}
    assert (first["out"]["seconds"], first["out"]["moved"]) == (7, 99)
    assert status["conditions"][0]["type"] == "Ready"
    started = time.monotonic()
    version = (await shown(kube) or {})["metadata"]["resourceVersion"]
    await asyncio.sleep(2.0)
    assert (await shown(kube) or {})["metadata"]["resourceVersion"] == version, time.monotonic() - started
