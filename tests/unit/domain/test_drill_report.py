"""The report of a Drill's run: what it says, what it does not, and that the agents' own timelines say the same."""

import json
import re
from datetime import datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import callcenter.version
from tandem.api.drill import Rehearsal
from tandem.api.shift import ShiftSpec
from tandem.constants import DRILL_EVENTS_KEPT, DRILL_REPORTS_KEPT
from tandem.domain import keys
from tandem.domain.distribution import rank
from tandem.domain.drill_facts import with_event
from tandem.domain.drill_report import calls_of, way
from tandem.domain.records import (
    ArrivalsOfShift,
    ArrivalsRecord,
    CallCounts,
    CoordinatorRecord,
    DrillDue,
    DrillEventRecord,
    DrillFactsRecord,
    DrillLegRecord,
    DrillMarkRecord,
    DrillRunRecord,
    GroupPlan,
    OperatorRecord,
    ShiftRecord,
)
from tandem.domain.report_html import html
from tandem.domain.report_model import DrillReport, DrillReportRecord
from tandem.domain.report_schema import schema_text
from tandem.domain.report_text import text
from tandem.domain.snapshot import Entry, ShiftEntry, Snapshot
from tandem.version import VERSION
from tests.support.drill_timeline import differences
from tests.unit.domain.drill_world import DRILL, HOLD_S, DrillWorld
from tests.unit.domain.report_world import GROUPS, ReportWorld

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def finished() -> ReportWorld:
    world = ReportWorld(200)
    world.whole_run()
    return world


def as_json(report: DrillReport) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(report.model_dump_json(by_alias=True))
    return found


# -- the figures


def test_the_figures_are_those_of_the_agents_own_timelines(finished: ReportWorld) -> None:
    assert differences(as_json(finished.newest), finished.timeline) == []


@pytest.mark.parametrize(
    ("way", "figure", "value"),
    [
        pytest.param("out", "planned", 1, id="planned"),
        pytest.param("out", "arrived", 1, id="arrived"),
        pytest.param("back", "gaps", {"p50": 0.01, "p95": 1.0, "max": 2.0}, id="gaps"),
        pytest.param("back", "timeTo", {"63.5": 0.1, "93.1": 0.1, "100": 0.1}, id="time-to"),
    ],
)
def test_the_independent_check_finds_a_figure_that_is_wrong(
    finished: ReportWorld, way: str, figure: str, value: object
) -> None:
    report = as_json(finished.newest)
    report[way] = {**report[way], figure: value}
    assert differences(report, finished.timeline)


def test_the_independent_check_tells_p95_from_p90(finished: ReportWorld) -> None:
    report = as_json(finished.newest)
    gaps = {**finished.newest.out.gaps.model_dump(), "p95": rank(finished.newest.out.gap_bins, 90)}  # type: ignore[union-attr]
    report["out"] = {**report["out"], "gaps": gaps}
    assert any("out: p95" in sentence for sentence in differences(report, finished.timeline))


def test_the_independent_check_finds_agents_who_are_missing() -> None:
    world = ReportWorld(200)
    report = world.whole_run(stay_away=4)
    assert (report.out.missing, report.out.time_to["100"]) == (4, None)
    assert report.out.time_to["93.1"] is not None
    assert differences(as_json(report), world.timeline) == []
    assert any("4 missing" in one for one in report.not_measured)


def test_ten_thousand_agents_fit_into_the_store_and_into_a_config_map() -> None:
    world = ReportWorld(10_000)
    report = world.whole_run()
    assert report.out.arrived == report.out.planned > 9_000
    assert len(world.store[keys.drill_report(DRILL, report.run)][0]) < 300_000
    assert len(world.store[keys.arrivals("east", "hotel")][0]) < 150_000
    assert len(html(report)) < 500_000


def test_the_slowest_are_named_with_why(finished: ReportWorld) -> None:
    out = finished.newest.out
    assert len(out.slowest) == len(out.latest) == 20
    assert [one.gap for one in out.slowest] == sorted((one.gap for one in out.slowest), reverse=True)
    assert out.latest[0].why == "InACall"
    assert re.search(r"finished a call first: \d+\.\d s in a call, \d\.\d s in wrap-up", out.latest[0].explanation)
    assert sum(out.waited_for.values()) == out.arrived


# -- the independent check


FAILOVER = {
    "kind": "Failover",
    "failover": {"site": "east", "silence": 25},
    "shift": {"selector": {"system": "hotel"}},
}


@pytest.fixture(scope="module")
def failed_over() -> ReportWorld:
    world = ReportWorld(200, **FAILOVER)
    world.whole_run(silent=12)
    return world


@pytest.fixture(scope="module", params=["finished", "failed_over"])
def checked(request: pytest.FixtureRequest) -> ReportWorld:
    found: ReportWorld = request.getfixturevalue(request.param)
    return found


def test_the_diaries_and_the_commits_say_the_same_of_either_kind(checked: ReportWorld) -> None:
    assert differences(as_json(checked.newest), checked.timeline) == []
    assert differences(as_json(checked.newest), checked.timeline, checked.commits) == []


def test_a_commit_that_the_report_names_wrongly_is_found(checked: ReportWorld) -> None:
    """Both sides counted from it: the times alone would agree."""
    report = as_json(checked.newest)
    way: dict[str, Any] = report["back"]
    late = datetime.fromisoformat(way["committedAt"]) + timedelta(seconds=0.03)
    report["back"] = {**way, "committedAt": late.isoformat()}
    found = differences(report, checked.timeline, checked.commits)
    assert any("back: committedAt" in sentence for sentence in found), found


def test_a_starting_map_that_is_another_one_is_found(checked: ReportWorld) -> None:
    report = as_json(checked.newest)
    first, *others = report["maps"]
    report["maps"] = [{**first, "before": {"east": "0-99"}}, *others]
    assert any(f"{GROUPS[0]}: the map before" in one for one in differences(report, checked.timeline, checked.commits))


def test_who_came_after_the_end_that_the_report_names_is_found(checked: ReportWorld) -> None:
    report = as_json(checked.newest)
    out: dict[str, Any] = report["out"]
    early = datetime.fromisoformat(out["committedAt"]) + timedelta(seconds=2)
    report["out"] = {**out, "finishedAt": early.isoformat()}
    found = differences(report, checked.timeline, checked.commits)
    assert any("agents came after finishedAt, and 0 of them" in sentence for sentence in found), found


@pytest.mark.parametrize(("what", "figure"), [("slowest", "gap"), ("latest", "afterCommit")])
def test_a_named_agent_with_a_wrong_figure_is_found(checked: ReportWorld, what: str, figure: str) -> None:
    report = as_json(checked.newest)
    out: dict[str, Any] = report["out"]
    first, *others = out[what]
    report["out"] = {**out, what: [{**first, figure: first[figure] + 0.5}, *others]}
    found = differences(report, checked.timeline)
    assert any(f"{what} has {first['account']}" in sentence for sentence in found), found
    report["out"] = {**out, what: others}
    assert f"out: those named as {what} are not the ones" in differences(report, checked.timeline)


@pytest.mark.parametrize("what", ["answered", "cut"])
def test_calls_that_the_diaries_do_not_know_are_found(checked: ReportWorld, what: str) -> None:
    report = as_json(checked.newest)
    calls: dict[str, Any] = report["calls"]
    assert calls["answered"] == 25
    report["calls"] = {**calls, what: calls[what] + 1}
    assert any(sentence.startswith(f"calls: {calls[what] + 1} {what}") for sentence in _wrong(report, checked))
    there = [{**one, what: one[what] + 1} for one in calls["there"]]
    report["calls"] = {**calls, "there": there}
    assert any(sentence.startswith("calls at west:") for sentence in _wrong(report, checked))


def _wrong(report: dict[str, Any], world: ReportWorld) -> list[str]:
    return differences(report, world.timeline)


def test_a_lost_agent_counts_since_its_last_ping_and_not_since_it_noticed(failed_over: ReportWorld) -> None:
    """A lease later: figures counted from the diary's line would be better than what its agents had."""
    lines = [json.loads(line) for line in failed_over.timeline]
    without = [json.dumps({key: value for key, value in line.items() if key != "gap"}) for line in lines]
    assert any("out: max" in sentence for sentence in differences(as_json(failed_over.newest), without))


@pytest.mark.parametrize(
    ("figure", "value"),
    [
        ("agents", 13),
        ("gaps", {"p50": 0.01, "p95": 0.02, "max": 0.03}),
        ("firstSignIn", 1.0),
        ("timeTo", {"63.5": 1.0, "93.1": 1.0, "100": 1.0}),
    ],
)
def test_the_automatic_paths_own_figures_are_checked(failed_over: ReportWorld, figure: str, value: object) -> None:
    report = as_json(failed_over.newest)
    failover: dict[str, Any] = report["failover"]
    report["failover"] = {**failover, "failedOver": {**failover["failedOver"], figure: value}}
    assert any(sentence.startswith("failover: ") for sentence in differences(report, failed_over.timeline))


# -- the automatic path


def test_those_who_came_by_the_automatic_path_have_figures_of_their_own(failed_over: ReportWorld) -> None:
    report = failed_over.newest
    assert report.failover is not None
    alone = report.failover.failed_over
    assert alone is not None
    assert alone.agents == 12
    assert alone.gaps.p50 > 4 > report.out.gaps.p50  # type: ignore[union-attr]
    assert alone.first_sign_in > report.failover.committed + 0.9  # type: ignore[operator]
    assert alone.time_to["100"] == pytest.approx(alone.last_sign_in, abs=0.01)
    assert report.failover.first_sign_in < alone.first_sign_in  # type: ignore[operator]  # those with a ticket
    assert "by the automatic path alone, without a ticket: 12 agents, out of service p50" in text(report)
    assert "By the automatic path alone, without a ticket: 12 agents" in html(report)


def test_where_no_cti_tells_of_the_automatic_path_that_is_said() -> None:
    world = ReportWorld(100, **FAILOVER)
    report = world.whole_run(silent=5, detail=False)
    assert report.failover is not None
    assert report.failover.failed_over is None
    assert "the automatic path's own times: no CTI told of an agent who came without a ticket" in report.not_measured


# -- more than two sites


def test_a_way_out_to_several_sites_counts_those_who_came_to_each() -> None:
    moves = {"east>west": "0-59", "east>north": "60-99"}
    after = {"west": "0-59", "north": "60-99"}
    plan = GroupPlan(
        group=GROUPS[0], system="hotel", agents=10, to="west", moves=moves, waves=(moves,), before={"east": "0-99"},
        after=after,
    )  # fmt: skip
    spec = ShiftSpec(selector={"system": "hotel"}, evacuate="east", waves=(100,))
    record = ShiftRecord(spec=spec, created_at=0, created_in="east", plan=(plan,), started_at=100, finished_at=110)
    arrivals = {
        (site, "hotel"): Entry(
            ArrivalsRecord(
                shifts={"callcenter/x-out": ArrivalsOfShift(since=100, gaps={10: agents}, times={500 * agents: agents})}
            ),
            1, 1, 0,
        )
        for site, agents in (("west", 6), ("north", 4))
    }  # fmt: skip
    shifts = {"callcenter/x-out": ShiftEntry("callcenter/x-out", record, 1, 0, 0)}
    leg = DrillLegRecord(shift="callcenter/x-out", agents=10, started_at=100, finished_at=110)
    run = DrillRunRecord(
        due=DrillDue(name="x", at=0, until=1), shift=Rehearsal(selector={"system": "hotel"}), out=leg
    )  # fmt: skip
    found = way(Snapshot(shifts=shifts, arrivals=arrivals), run, "Out")
    assert (found.sites, found.arrived, found.returned, found.missing) == (("north", "west"), 10, 0, 0)
    assert found.time_to["100"] == 3.0


# -- what an auditor asks


def test_it_says_who_what_and_when(finished: ReportWorld) -> None:
    report = finished.newest
    assert (report.trigger, report.outcome, report.coordinator) == ("by command of ada", "Succeeded", "witness")
    assert [phase.name for phase in report.phases] == ["Out", "Holding", "Back"]
    assert sum(phase.seconds for phase in report.phases) == pytest.approx(report.seconds, abs=0.01)
    assert report.phases[1].seconds == pytest.approx(HOLD_S, abs=0.2)
    assert report.rehearsed.selector == {"system": "hotel"}
    assert report.groups == GROUPS


def test_every_precondition_is_there_with_its_value(finished: ReportWorld) -> None:
    found = {check.check: check.found for check in finished.newest.checks}
    assert found["east is Healthy"].startswith("Healthy: ")
    assert "east" in found["the clusters agree on the Drill"]
    assert re.search(r"\d+ agents before, \d+ with .*, it carries 1500", found["room for hotel at west"])
    assert "4 of 4: RoomElsewhere" in found["its groups are FailoverReady"]
    assert {"no hold", "within its windows", "no city in quarantine", "no Shift under way"} <= found.keys()


def test_everything_that_happened_is_told_in_order(finished: ReportWorld) -> None:
    events = finished.newest.events
    drill = [event.reason for event in events if event.subject.startswith("Drill ")]
    assert drill == ["DrillStarted", "Holding", "ComingBack", "Completed"]
    shift = [event.reason for event in events if event.subject.startswith("Shift ") and "-out" in event.subject]
    assert shift == ["Planned", "WaveStarted", "Completed"]
    assert [event.at for event in events] == sorted(event.at for event in events)


def test_versions_and_digests_of_every_location_are_those_of_the_start(finished: ReportWorld) -> None:
    report = finished.newest
    assert {(one.site, one.engine_version, one.cti_boot) for one in report.locations} == {
        ("east", "0.1.0", "boot-east"), ("west", "0.1.0", "boot-west"), ("witness", "0.1.0", ""),
    }  # fmt: skip
    assert {(one.operator_version, one.kubernetes_version) for one in report.locations} == {("0.1.0", "v1.33.1")}
    assert {(one.cti_version, one.softswitch_version) for one in report.locations if one.system} == {
        ("callcenter 0.1.0", "kamailio 5.6.3")
    }
    assert all(one.changed == () for one in report.locations)
    assert "callcenter 0.1.0, life boot-east" in html(report)
    objects = {one.object: one for one in report.specs}
    assert {f"agentgroups/{group}" for group in GROUPS} | {
        "sites/east",
        "sites/west",
        f"drills/{DRILL}",
    } <= objects.keys()
    assert objects["sites/east"].agreed
    assert re.fullmatch(r"[0-9a-f]{16}", objects["sites/east"].digest)


def test_what_was_upgraded_on_the_way_is_named() -> None:
    world = ReportWorld(100)
    world.command()
    world.settle()
    world.go(seed=1)
    world.put(keys.operator("east"), OperatorRecord(version="0.2.0", kubernetes="v1.34.0"))
    world.delete(keys.operator("west"))  # it says nothing now; that makes it no other version
    world.advance(HOLD_S + 1)
    world.settle()
    world.go(seed=2)
    found = {one.site: one.changed for one in world.newest.locations}
    assert found == {"east": ("operator 0.2.0", "Kubernetes v1.34.0"), "west": (), "witness": ()}


def test_the_map_is_equal_bucket_by_bucket(finished: ReportWorld) -> None:
    report = finished.newest
    assert report.restored is True
    assert {one.verdict for one in report.maps} == {"Equal"}
    assert report.maps[0].before == report.maps[0].after == {"east": "0-9,20-99", "west": "10-19"}
    assert "All 100 buckets of each of the 4 groups are where they were" in report.restored_text


def test_a_map_that_is_not_as_before_is_said_group_by_group() -> None:
    world = ReportWorld(100)
    world.command()
    world.settle()
    world.go(seed=1)
    world.die("east")
    world.advance(3)
    world.settle()
    report = world.newest
    assert (report.outcome, report.restored) == ("Interrupted", False)
    assert {one.verdict for one in report.maps} == {"Different"}
    assert "4 have buckets that are not where they were" in report.restored_text
    assert report.back.committed_at is None
    assert "<b>none went</b>agents arrived on the way back" in html(report)
    assert (report.calls.cut, report.calls.answered) == (None, None)  # east counts no more, and west is not the whole
    assert "the way back did not take place" in report.not_measured


def test_a_change_of_coordinator_on_the_way_is_told() -> None:
    world = ReportWorld(100)
    world.command()
    world.settle()
    world.put(keys.COORDINATOR, CoordinatorRecord(site="west", engine="e9"))
    world.go(seed=1)
    world.advance(HOLD_S + 1)
    world.settle()
    world.go(seed=2)
    reasons = [event.reason for event in world.newest.events]
    assert "CoordinatorChanged" in reasons


# -- calls


def test_calls_are_counted_from_start_to_end(finished: ReportWorld) -> None:
    calls = finished.newest.calls
    assert (calls.cut, calls.refused) == (0, 0)
    assert calls.answered is not None
    assert calls.answered > 0
    assert set(calls.in_progress) == {"Started", "There", "Leaving", "Over"}
    assert calls.measured


def test_calls_answered_at_the_other_site_during_the_hold_are_told(finished: ReportWorld) -> None:
    (there,) = finished.newest.calls.there
    assert (there.site, there.answered, there.cut) == ("west", 25, 0)
    assert there.seconds == pytest.approx(HOLD_S, abs=1.0)
    assert re.search(
        r"at west, 10 min from the last arrival to the way back: 25 answered, 0 cut", text(finished.newest)
    )
    assert "At the other site, while they were to work there" in html(finished.newest)


def test_calls_in_the_hold_that_nobody_counted_are_unknown_and_not_none() -> None:
    marks = [mark("There", counts=CallCounts(answered=5)), mark("Leaving", boot="b2", counts=CallCounts())]
    found = calls_of(marks, {"east"})
    assert [(one.answered, one.cut) for one in found.there] == [(None, None)]
    assert any(
        sentence.startswith("during the hold, hotel at east: its CTI restarted") for sentence in found.not_measured
    )


def test_without_a_hold_nothing_is_said_of_calls_there() -> None:
    assert calls_of([mark("Started", counts=CallCounts()), mark("Over", counts=CallCounts())], {"east"}).there == ()


def mark(moment: str, boot: str = "b1", counts: CallCounts | None = None, talking: int = 0) -> DrillMarkRecord:
    return DrillMarkRecord.model_validate(
        {
            "moment": moment,
            "at": 0,
            "site": "east",
            "system": "hotel",
            "boot": boot,
            "counts": counts,
            "talking": talking,
        }
    )


@pytest.mark.parametrize(
    ("end", "why"),
    [
        pytest.param(mark("Over", boot="b2", counts=CallCounts()), "its CTI restarted during the run", id="restarted"),
        pytest.param(mark("Over", boot="", counts=None), "said nothing at the start or at the end", id="silent"),
        pytest.param(mark("Over", counts=None), "does not count calls", id="does-not-count"),
    ],
)
def test_calls_that_nobody_counted_are_unknown_and_not_none(end: DrillMarkRecord, why: str) -> None:
    found = calls_of([mark("Started", counts=CallCounts(cut=1)), end])
    assert (found.cut, found.answered) == (None, None)
    assert any(why in sentence for sentence in found.not_measured)


def test_a_call_that_was_cut_is_counted() -> None:
    found = calls_of(
        [
            mark("Started", counts=CallCounts(answered=5, cut=1), talking=3),
            mark("Over", counts=CallCounts(answered=9, cut=3)),
        ]
    )
    assert (found.cut, found.answered, found.in_progress["Started"]) == (2, 4, 3)


# -- what it does without


def test_without_single_agents_it_says_so_and_keeps_the_summary() -> None:
    report = ReportWorld(100).whole_run(detail=False)
    assert report.out.gap_bins == {}
    assert report.out.gaps is not None
    assert report.out.time_to["100"] is None
    assert sum("no CTI told of single agents" in one for one in report.not_measured) == 2
    assert "no distribution" in html(report)
    assert "<b>not measured</b>until all planned agents were there" in html(report)


def test_a_run_that_never_started_has_a_report_too() -> None:
    world = ReportWorld(100)
    world.hold()
    world.command()
    world.settle()
    world.advance(61)
    world.settle()
    report = world.newest
    assert (report.outcome, report.reason, report.started_at, report.restored) == ("Blocked", "Held", None, None)
    assert "Nobody was moved" in html(report)
    assert "nothing was moved, so nothing was measured" in report.not_measured


def test_what_is_written_once_no_restart_can_change() -> None:
    world = ReportWorld(100)
    report = world.whole_run()
    for key in (keys.arrivals("west", "hotel"), keys.arrivals("east", "hotel"), keys.moves("west", "hotel")):
        world.delete(key)
    world.another_coordinator()
    world.advance(60)
    world.settle()
    assert world.newest == report
    assert world.last.reported
    assert world.last.facts is None


def test_a_run_of_an_older_version_that_wrote_nothing_down_gets_no_empty_report() -> None:
    world = DrillWorld().over()
    old = world.last.model_copy(update={"reported": False, "facts": None})
    world.delete(keys.drill_report(DRILL, old.name))
    world.put(keys.drill(DRILL), world.state.model_copy(update={"runs": (old,)}))
    assert world.settle() == []
    assert world.snapshot.drill_reports == {}


# -- history


def test_the_store_keeps_the_last_reports_and_the_trend_shows_the_runs_before() -> None:
    world = ReportWorld(60, succeededRunsHistoryLimit=4)
    for number in range(1, 7):
        report = world.whole_run(number=str(number))
        world.advance(86_400)
    assert len(world.snapshot.drill_reports) == DRILL_REPORTS_KEPT
    assert len(world.state.runs) == 4
    assert len(world.state.forgotten) == 2
    assert [run.name for run in report.trend][:2] == [report.run, world.state.runs[1].name]
    assert all(run.out is not None and run.out_all is not None and run.cut == 0 for run in report.trend)


def test_when_the_drill_is_gone_its_reports_go() -> None:
    world = DrillWorld().over()
    assert len(world.snapshot.drill_reports) == 1
    world.delete(keys.spec("east", keys.DRILL, DRILL))
    world.settle()
    assert world.snapshot.drill_reports == {}


def test_a_run_in_which_calls_were_cut_has_failed() -> None:
    world = ReportWorld(20)
    world.cut_per_way = 1
    report = world.whole_run()
    assert (report.outcome, report.reason, report.calls.cut) == ("Failed", "CallsCut", 16)
    assert report.message.startswith("16 calls of its groups were cut during the run, as their CTIs counted them; out")
    assert (report.restored, world.state.last_success_at, report.trend[0].outcome) == (True, 0.0, "Failed")


def test_calls_that_nobody_counts_fail_no_run() -> None:
    world = ReportWorld(20)
    world.cut_per_way, world.counts = 1, False
    world.work_at_home()
    report = world.whole_run()
    assert (report.outcome, report.calls.cut) == ("Succeeded", None)


def test_a_story_without_end_is_cut_and_that_is_said() -> None:
    facts = DrillFactsRecord()
    for number in range(DRILL_EVENTS_KEPT + 7):
        facts = with_event(facts, DrillEventRecord(at=number, subject="Shift x", reason="Waiting", message=str(number)))
    assert (len(facts.events), facts.events_left_out) == (DRILL_EVENTS_KEPT, 7)


def test_the_same_word_again_is_no_event() -> None:
    event = DrillEventRecord(at=1, subject="Shift x", reason="Held", message="held")
    facts = with_event(with_event(DrillFactsRecord(), event), event.model_copy(update={"at": 2}))
    assert len(facts.events) == 1


# -- forms


class Page(HTMLParser):
    """Checks that every tag is closed, and keeps what would be loaded."""

    VOID = frozenset({"meta", "rect", "line", "circle", "path", "polyline", "br", "link", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []
        self.pictures = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href", "srcset", "data")]
        self.pictures += tag == "svg"
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_page_stands_alone_and_is_well_formed(finished: ReportWorld) -> None:
    text_of_page = html(finished.newest)
    page = Page()
    page.feed(text_of_page)
    assert page.open == []
    assert page.loaded == []
    assert page.pictures == 4  # arrivals, two histograms, phases
    assert "url(" not in text_of_page
    assert "<script" not in text_of_page
    assert "@page { size: A4" in text_of_page


def test_what_people_wrote_cannot_become_part_of_the_page(finished: ReportWorld) -> None:
    evil = finished.newest.model_copy(update={"trigger": "by command of <script>alert(1)</script>", "message": "<b>"})
    assert "<script" not in html(evil)
    assert "&lt;script&gt;" in html(evil)


def test_the_published_figures_stand_beside_with_their_source(finished: ReportWorld) -> None:
    page, lines = html(finished.newest), text(finished.newest)
    for shown in ("3 min", "4 min", "10 min", "2 min", "large travel company", "2016"):
        assert shown in page
        assert shown in lines


def test_the_data_can_be_read_back(finished: ReportWorld) -> None:
    report = finished.newest
    assert DrillReport.model_validate_json(report.model_dump_json(by_alias=True)) == report
    record = DrillReportRecord(drill=DRILL, run=report.run, report=report)
    assert DrillReportRecord.model_validate_json(record.encode()) == record
    assert as_json(report)["schema"] == "tandem.dev/drill-report/v1"


def test_the_documented_schema_is_the_models() -> None:
    assert (REPOSITORY / "docs/drill-report.schema.json").read_text() == schema_text()


def test_the_version_is_the_packages() -> None:
    assert f'version = "{VERSION}"' in (REPOSITORY / "pyproject.toml").read_text()
    theirs = callcenter.version.VERSION
    assert f'version = "{theirs}"' in (REPOSITORY / "examples/callcenter/pyproject.toml").read_text()
