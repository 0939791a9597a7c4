"""`make demo` at a tenth of its size: the story, the report and the exit status, on the running call centre."""

import json
import time

import pytest

from demo import machine, orders
from demo.callcentre import CallCentre
from demo.cli import look_around, verdict, write, write_drill
from demo.report import Report, table
from demo.story import Storyteller, disaster, drill, tell, way_home
from tests.e2e.callcenter_fixtures import E2E_OUT

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_the_story_ends_well_and_its_report_says_so(centre: CallCentre) -> None:
    say = Storyteller()
    planned = orders.story(centre.quickstart)

    moves = await tell(centre, planned, say)
    rehearsal = await drill(centre, say)
    assert rehearsal.complete, rehearsal.message
    rescue = await disaster(centre, say)
    home = await way_home(centre, say)

    assert [move.agents for move in moves] == [order.agents for order in planned]
    moves.append(home)
    assert verdict(moves, rescue) == 0
    homes = centre.quickstart.agents_by_home
    report = Report(say.started_at, time.time() - say.started_at, machine.describe(), homes, moves, say.lines, rescue)
    write(report, E2E_OUT)
    write_drill(rehearsal, E2E_OUT)
    assert rehearsal.data["restored"] is True
    assert "<h1>Drill callcenter/everyone-short</h1>" in (E2E_OUT / "report.html").read_text()
    document = json.loads((E2E_OUT / "report.json").read_text())
    assert document["agents"] == sum(homes.values())
    assert document["failover"]["agents"] == homes["east"]
    assert None not in document["failover"]["time_to"].values()
    for move in document["moves"]:
        assert set(move["switch_seconds"]) == {"p50", "p95", "max"}
        assert None not in move["time_to"].values()
        assert move["calls_cut"] == 0
        assert (move["calls_in_progress"] > 0) == move["with_calls"]
    assert (E2E_OUT / "switch-times.png").read_bytes().startswith(b"\x89PNG")
    assert "<h2>Every move</h2>" in (E2E_OUT / "demo.html").read_text()
    for order in planned:
        assert order.name in table(report)
    assert "kubectl --context east get sites" in look_around(centre)
