"""The ConfigMap of a report: made once, said where it may not be, and gone with its run."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tandem.api.resources import DRILL
from tandem.domain import keys
from tandem.domain.report_model import DrillReport
from tandem.engine.wakeup import Signal
from tandem.operator import drill_reports
from tandem.operator.cluster import MissingError, RefusedError, TakenError
from tandem.operator.drill_reports import DrillReports, body_of
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Table
from tests.support.manifests import drill
from tests.unit.domain.drill_world import DRILL as NAME
from tests.unit.domain.report_world import ReportWorld
from tests.unit.operator.objects import seen


@pytest.fixture(scope="module")
def report() -> DrillReport:
    return ReportWorld(40).whole_run()


def test_it_is_immutable_belongs_to_the_drill_and_has_both_forms(report: DrillReport) -> None:
    body = body_of(seen(drill()), report)
    assert body["metadata"]["name"] == f"monthly-{report.run}-report"
    assert body["immutable"] is True
    (owner,) = body["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"]) == ("Drill", "monthly", seen(drill()).uid)
    assert DrillReport.model_validate_json(body["data"]["report.json"]) == report
    assert body["data"]["report.html"].startswith("<!doctype html>")


def test_where_both_forms_are_too_large_the_page_is_left_out(
    report: DrillReport, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = len(report.model_dump_json(by_alias=True).encode())
    monkeypatch.setattr(drill_reports, "LARGEST", size + 1000)
    assert set(body_of(seen(drill()), report)["data"]) == {"report.json"}


NO_RIGHT = (
    'configmaps is forbidden: User "system:serviceaccount:tandem-system:tandem" cannot create resource "configmaps" '
    'in API group "" in the namespace "callcenter"'
)
BEFORE, AFTER = "1970-01-01T00:00:00Z", "1970-01-01T12:00:00Z"
"""Before and after the runs of a world, whose clock begins in 1970."""


class Api:
    """What the operator may do with ConfigMaps: make and delete."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        """Name -> UID of the Drill that it belongs to."""
        self.posts = 0
        self.refusal = NO_RIGHT
        self.allowed = True
        self.refuses_after_delete = self.refuses_next = False

    @property
    def kept(self) -> set[str]:
        return set(self.owners)

    def collect(self, uid: str) -> None:
        """Kubernetes collects what belonged to a Drill that is gone."""
        self.owners = {name: owner for name, owner in self.owners.items() if owner != uid}

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.posts += 1
        if not self.allowed or self.refuses_next:
            self.refuses_next = False
            raise RefusedError(self.refusal)
        if (name := body["metadata"]["name"]) in self.kept:
            raise TakenError("exists")
        self.owners[name] = body["metadata"]["ownerReferences"][0]["uid"]
        return body

    async def delete(self, path: str) -> None:
        name = path.rpartition("/")[2]
        if name not in self.kept:
            raise MissingError("no such ConfigMap")
        if self.refuses_after_delete:
            self.refuses_next, self.refuses_after_delete = True, False
        del self.owners[name]


class Scene:
    """A cluster that shows the Drill, and the store of a world."""

    def __init__(self, world: ReportWorld) -> None:
        self.world = world
        self.api = Api()
        self.notes = LocalNotes()
        self.table = Table()
        self.seen = seen(drill(), creationTimestamp=BEFORE)
        self.table.update(self.seen)
        self.table.listed.add(DRILL.plural)
        self.restart()

    def made_anew(self) -> None:
        """The Drill's object is deleted here and applied again; another cluster has it all the time."""
        self.table.remove(self.seen)
        self.seen = seen(drill(), uid="another", creationTimestamp=AFTER)
        self.table.update(self.seen)

    def restart(self) -> None:
        clock = SimpleNamespace(monotonic=lambda: self.world.mono)
        view = SimpleNamespace(
            snapshot=self.world.snapshot,
            silent_s=0.0,
            clock=clock,
            subscribe=lambda *_: Signal(),
            synced=asyncio.Event(),
        )
        self.reports = DrillReports(self.table, view, self.api, self.notes)  # type: ignore[arg-type]

    async def round(self) -> None:
        self.reports._view.snapshot = self.world.snapshot  # type: ignore[misc]
        await self.reports.round()


async def test_each_report_is_made_once_also_after_a_restart() -> None:
    world = ReportWorld(40)
    report = world.whole_run()
    scene = Scene(world)
    await scene.round()
    await scene.round()
    assert scene.api.kept == {f"monthly-{report.run}-report"}
    assert scene.api.posts == 1
    scene.restart()
    await scene.round()
    assert scene.api.posts == 2
    assert scene.api.kept == {f"monthly-{report.run}-report"}
    assert scene.notes.of(scene.seen.key) == []


@pytest.mark.parametrize("collected", ["before", "after"])
async def test_a_drill_that_is_made_anew_here_keeps_its_reports_whenever_those_of_the_old_one_are_collected(
    collected: str,
) -> None:
    world = ReportWorld(40)
    report = world.whole_run()
    scene = Scene(world)
    await scene.round()
    old = scene.seen.uid
    scene.made_anew()
    if collected == "before":
        scene.api.collect(old)
    await scene.round()
    scene.api.collect(old)
    assert scene.api.owners == {f"monthly-{report.run}-report": "another"}
    scene.restart()
    await scene.round()
    assert scene.api.owners == {f"monthly-{report.run}-report": "another"}


async def test_a_report_that_could_not_be_made_anew_is_tried_again() -> None:
    world = ReportWorld(40)
    report = world.whole_run()
    scene = Scene(world)
    await scene.round()
    scene.made_anew()
    scene.api.refuses_after_delete = True
    await scene.round()
    assert scene.api.kept == set()
    world.advance(61)
    await scene.round()
    assert scene.api.owners == {f"monthly-{report.run}-report": "another"}


async def test_it_stays_when_the_store_has_dropped_it_and_goes_with_its_run() -> None:
    world = ReportWorld(40, succeededRunsHistoryLimit=1)
    first = world.whole_run()
    scene = Scene(world)
    await scene.round()
    world.delete(keys.drill_report(NAME, first.run))
    await scene.round()
    assert scene.api.kept == {f"monthly-{first.run}-report"}
    world.advance(86_400)
    second = world.whole_run(number="2")
    scene.restart()
    await scene.round()
    assert scene.api.kept == {f"monthly-{second.run}-report"}


async def test_where_it_may_not_the_drill_says_so_and_how_to_allow_it_and_it_is_tried_again() -> None:
    world = ReportWorld(40)
    world.whole_run()
    scene = Scene(world)
    scene.api.allowed = False
    await scene.round()
    (said,) = scene.notes.of(scene.seen.key)
    assert (said.type, said.status, said.reason) == ("ReportsKept", "False", "NotAllowed")
    assert "add callcenter to the chart's drillReports.namespaces" in said.message
    scene.api.allowed = True
    await scene.round()
    assert scene.api.kept == set()
    world.advance(61)
    await scene.round()
    assert len(scene.api.kept) == 1
    assert scene.notes.of(scene.seen.key) == []


@pytest.mark.parametrize(
    "refusal",
    [
        'configmaps "monthly-report" is forbidden: exceeded quota: few, requested: count/configmaps=1',
        'ConfigMap "monthly-report" is invalid: []: Too long: may not be more than 1048576 bytes',
        'configmaps "monthly-report" is forbidden: unable to create new content in namespace callcenter because it is '
        "being terminated",
    ],
    ids=["quota", "size", "namespace"],
)
async def test_what_no_value_of_the_chart_mends_is_said_without_that_remedy(refusal: str) -> None:
    world = ReportWorld(40)
    world.whole_run()
    scene = Scene(world)
    scene.api.allowed, scene.api.refusal = False, refusal
    await scene.round()
    (said,) = scene.notes.of(scene.seen.key)
    assert (said.type, said.status, said.reason) == ("ReportsKept", "False", "Failed")
    assert refusal in said.message
    assert "drillReports" not in said.message
