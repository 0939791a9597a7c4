"""A Drill goes out, works there with real calls, brings everybody back to where he was, and says how it went."""

import asyncio
import json
import time
from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from tandem.domain import keys
from tandem.domain.records import PlacementRecord
from tests.e2e.callcenter_fixtures import E2E_OUT, write
from tests.support.drill_timeline import differences, epoch

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NAME = "e2e-drill"
SCHEDULED = "e2e-scheduled-drill"
HOLD_S = 15


def drill(names: list[str]) -> dict[str, Any]:
    return {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Drill",
        "metadata": {"name": NAME, "namespace": "callcenter"},
        "spec": {
            "shift": {"selector": {"names": names}, "to": "west", "waves": [20, 100]},
            "hold": f"{HOLD_S}s",
        },
    }


async def status_of(centre: CallCentre, city: str) -> dict[str, Any]:
    found: dict[str, Any] = (await centre.clusters[city].get("drill", NAME)).get("status", {})
    return found


async def maps(centre: CallCentre, names: list[str]) -> dict[str, dict[str, str]]:
    """The groups' bucket maps, as the store has them: the objects follow a moment later."""
    found = {}
    for name in names:
        placement = await centre.store.get(keys.placement(f"callcenter/{name}"), timeout=3.0)
        assert placement is not None
        found[name] = dict(PlacementRecord.model_validate_json(placement.value).map)
    return found


def commits(centre: CallCentre, name: str) -> list[dict[str, Any]]:
    """Every placement of the store since the start, as the independent check reads them; also kept as a file."""
    found = [
        {"at": one.at, "group": one.group, "cause": one.cause, "map": dict(one.map)} for one in centre.commits.commits
    ]
    lines = "".join(json.dumps(one) + "\n" for one in found)
    (E2E_OUT / f"{name}-commits.jsonl").write_text(lines, encoding="utf-8")
    return found


def answered_there(report: dict[str, Any]) -> int:
    """Calls that agents at the sites of the way out answered between the last arrival and the way back."""
    there = {one["site"]: one["answered"] for one in report["calls"]["there"]}
    assert set(there) == set(report["out"]["sites"]), report["calls"]
    assert None not in there.values(), report["calls"]["notMeasured"]
    return sum(there.values())


async def test_a_drill_started_by_command_succeeds_and_restores_the_starting_map(centre: CallCentre) -> None:
    groups = centre.quickstart.choose("east")
    names = [group.name.partition("/")[2] for group in groups]
    before = await maps(centre, names)
    await centre.load(5)
    await centre.calls_reach(10, groups)
    file = write("drill", drill(names))
    try:
        for city in ("east", "west"):
            await centre.clusters[city].apply(file)

        async def known() -> tuple[bool, str]:
            status = await status_of(centre, "west")
            ready = [
                c["message"] for c in status.get("conditions", ()) if (c["type"], c["status"]) == ("Ready", "True")
            ]
            return bool(ready), str(status)

        await until("both cities agree on the Drill", known, timeout=20)
        await centre.tandem("drill", "run", NAME, "-n", "callcenter")

        async def holding() -> tuple[bool, str]:
            status = await status_of(centre, "west")
            return status.get("phase") == "Holding", f"{status.get('phase')}: {status.get('message')}"

        await until("the agents work at west", holding, timeout=90)

        async def away() -> tuple[bool, str]:
            now = await maps(centre, names)
            return all(set(one) == {"west"} for one in now.values()), str(now)

        await until("every bucket is at west", away, timeout=HOLD_S)

        async def over() -> tuple[bool, str]:
            found = {city: await status_of(centre, city) for city in ("east", "west")}
            told = {city: f"{status.get('phase')}: {status.get('message')}" for city, status in found.items()}
            return all(status.get("runs") for status in found.values()), str(told)

        await until("the run is over", over, timeout=HOLD_S + 120)
        for city in ("east", "west"):
            status = await status_of(centre, city)
            (run,) = status["runs"]  # applied in two clusters, and run once
            assert run["outcome"] == "Succeeded", run
            assert run["out"]["moved"] > 0
            assert run["out"]["switchTimes"]["p95"]
            assert status["lastSuccess"] == run["finishedAt"]

        async def restored() -> tuple[bool, str]:
            now = await maps(centre, names)
            return now == before, str(now)

        await until("every bucket is where it was", restored, timeout=15)
    finally:
        for city in ("east", "west"):
            # Whatever went wrong above: a Drill that is deleted in the middle of a run brings everybody back first.
            allow = ("annotate", "drill", NAME, "-n", "callcenter", "tandem.dev/allow-delete=true", "--overwrite")
            await centre.clusters[city].kubectl(*allow)
            await centre.clusters[city].kubectl("delete", "drill", NAME, "-n", "callcenter", "--wait=false")


async def test_a_drill_started_by_its_schedule_succeeds_and_its_report_says_what_the_agents_say(
    centre: CallCentre,
) -> None:
    """About two minutes, of which up to one is the wait for the minute of its schedule."""
    groups = centre.quickstart.choose("east")
    names = [group.name.partition("/")[2] for group in groups]
    before = await maps(centre, names)
    await centre.load(5)
    await centre.calls_reach(10, groups)
    due = time.gmtime(time.time() + 70)  # the minute after next at the latest: the clusters have to read it first
    manifest = drill(names)
    manifest["metadata"]["name"] = SCHEDULED
    manifest["spec"] |= {"schedule": f"{due.tm_min} {due.tm_hour} * * *", "hold": "5s"}
    try:
        await centre.clusters["east"].apply(write("scheduled-drill", manifest))

        async def over() -> tuple[bool, str]:
            status = (await centre.clusters["east"].get("drill", SCHEDULED)).get("status", {})
            runs = status.get("runs") or []
            told = f"{status.get('phase')}: {status.get('message')}"
            return bool(runs) and bool(runs[0].get("report")), told

        await until("the run is over and reported", over, timeout=70 + 120)
        report = json.loads(await centre.tandem("drill", "report", SCHEDULED, "-n", "callcenter", "-o", "json"))
        page = await centre.tandem("drill", "report", SCHEDULED, "-n", "callcenter", "-o", "html")
        (E2E_OUT / "drill-report.html").write_text(page, encoding="utf-8")
        (E2E_OUT / "drill-report.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
        assert (report["outcome"], report["trigger"]) == ("Succeeded", "by its schedule"), report["message"]
        assert report["restored"] is True, report["restoredText"]
        assert await maps(centre, names) == before
        await asyncio.sleep(0.5)  # lines are in the agents' files 0.2 s later at most
        lines = [line for file in centre.floors.timelines for line in file.read_text().splitlines()]
        assert differences(report, lines, commits(centre, "drill")) == []
        for way in (report["out"], report["back"]):
            assert way["arrived"] > 0
            assert "NotSaid" not in way["waitedFor"], way["waitedFor"]
        assert report["calls"]["cut"] == 0
        assert report["calls"]["answered"] > 0
        assert answered_there(report) > 0  # real calls while they worked at the other site, and not only before
        await centre.carrier.look()
        calls = centre.carrier.calls.values()
        cut = [call for call in calls if call.fate == "cut" and (call.ended_at or 0.0) >= epoch(report["startedAt"])]
        assert len(cut) == report["calls"]["cut"]
    finally:
        await centre.load(0)
        allow = ("annotate", "drill", SCHEDULED, "-n", "callcenter", "tandem.dev/allow-delete=true", "--overwrite")
        await centre.clusters["east"].kubectl(*allow)
        await centre.clusters["east"].kubectl("delete", "drill", SCHEDULED, "-n", "callcenter", "--wait=false")
