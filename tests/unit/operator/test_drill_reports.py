"""The ConfigMap of a report."""

import pytest

from tandem.domain.report_model import DrillReport
from tandem.operator import drill_reports
from tandem.operator.drill_reports import body_of
from tests.support.manifests import drill
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
