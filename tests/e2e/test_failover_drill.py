"""A Drill of kind Failover: east counts as lost for its groups only, and the automatic path runs, under real calls."""

import asyncio
import json
from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tests.e2e.callcenter_fixtures import E2E_OUT, write
from tests.e2e.test_drill import answered_there, commits, maps
from tests.support.drill_timeline import by_agent, differences, epoch

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NAME = "e2e-failover-drill"
HOLD_S = 15


def drill(names: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Drill",
        "metadata": {"name": NAME, "namespace": "callcenter"},
        "spec": {
            "kind": "Failover",
            "failover": {"site": "east", "silence": 30},
            "shift": {"selector": {"names": names}},
            "hold": f"{HOLD_S}s",
        },
    }


async def test_a_rehearsed_failover_moves_its_groups_cuts_no_call_and_nobody_else_notices(centre: CallCentre) -> None:
    """About a minute."""
    groups = centre.quickstart.choose("east")
    drilled = groups[: max(1, len(groups) // 2)]
    names = [group.name.partition("/")[2] for group in drilled]
    before = await maps(centre, names)
    await centre.load(5)
    await centre.calls_reach(10, groups)
    verdicts: set[str] = set()
    try:
        await centre.clusters["west"].apply(write("failover-drill", drill(names)))

        async def known() -> tuple[bool, str]:
            status = (await centre.clusters["west"].get("drill", NAME)).get("status", {})
            said = [c for c in status.get("conditions", ()) if (c["type"], c["status"]) == ("Ready", "True")]
            return bool(said), str(status)

        await until("the Drill is known", known, timeout=20)
        await centre.tandem("drill", "run", NAME, "-n", "callcenter")

        async def over() -> tuple[bool, str]:
            site = await centre.clusters["west"].get("site", "east", namespace="default")
            verdicts.add(site["status"]["verdict"])
            status = (await centre.clusters["west"].get("drill", NAME)).get("status", {})
            runs = status.get("runs") or []
            return bool(runs) and bool(runs[0].get("report")), f"{status.get('phase')}: {status.get('message')}"

        await until("the run is over and reported", over, timeout=HOLD_S + 180)
        report = json.loads(await centre.tandem("drill", "report", NAME, "-n", "callcenter", "-o", "json"))
        (E2E_OUT / "failover-drill-report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        assert report["outcome"] == "Succeeded", report["message"]
        assert report["restored"] is True, report["restoredText"]
        assert await maps(centre, names) == before
        assert report["calls"]["cut"] == 0
        assert report["out"]["arrived"] > 0
        assert any(event["reason"] == "FailoverRehearsed" for event in report["events"]), report["events"]
        assert verdicts == {"Healthy"}
        began = epoch(report["startedAt"])
        committed, back = epoch(report["out"]["committedAt"]), epoch(report["back"]["committedAt"])
        chosen = {group.name for group in drilled}
        silenced = 0
        await asyncio.sleep(0.5)  # lines are in the agents' files 0.2 s later at most
        lines = [line for file in centre.floors.timelines for line in file.read_text().splitlines()]
        assert differences(report, lines, commits(centre, "failover-drill")) == []
        assert answered_there(report) > 0
        for account, own in by_agent(lines, {group.name for group in centre.quickstart.groups}).items():
            run = [entry for entry in own if began <= entry["at"] <= back]
            lost = [entry for entry in run if entry["event"] in ("lost", "out")]
            if own[0]["group"] not in chosen:
                assert not [e for e in run if e["event"] in ("lost", "out", "released")], (account, run)
                continue
            if lost:
                silenced += 1
                arrived = next(e for e in run if e["event"] == "signed-in" and e["mono"] > lost[0]["mono"])
                assert (arrived["site"], arrived["cause"]) == ("west", "failover"), (account, run)
                assert committed <= arrived["at"] <= committed + 3.0, (account, run)  # by the door that it opened
                assert arrived["gap"] < 12.0, (account, run)
        assert silenced > 0
        assert report["failover"]["failedOver"]["agents"] == silenced
        await centre.carrier.look()
        calls = centre.carrier.calls.values()
        assert not [call for call in calls if call.fate == "cut" and (call.ended_at or 0.0) >= began]
    finally:
        await centre.load(0)
        allow = ("annotate", "drill", NAME, "-n", "callcenter", "tandem.dev/allow-delete=true", "--overwrite")
        await centre.clusters["west"].kubectl(*allow)
        await centre.clusters["west"].kubectl("delete", "drill", NAME, "-n", "callcenter", "--wait=false")
