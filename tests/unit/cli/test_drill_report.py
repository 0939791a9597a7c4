"""Which report is printed, and in which form."""

import json
from pathlib import Path
from typing import Any

import pytest

from tandem.cli.contexts import Clusters
from tandem.cli.drill_report import chosen, run, shown
from tandem.cli.main import parser
from tandem.domain.report_html import html
from tandem.domain.report_model import DrillReport
from tandem.errors import ConfigError
from tandem.operator.cluster import MissingError
from tests.unit.domain.report_world import ReportWorld

RUNS = {
    "runs": [
        {"name": "20261101-020000", "report": ""},
        {"name": "20261004-020000", "report": "monthly-20261004-020000-report"},
        {"name": "20260906-020000", "report": "monthly-20260906-020000-report"},
    ]
}


@pytest.fixture(scope="module")
def report() -> DrillReport:
    return ReportWorld(40).whole_run()


def test_the_newest_run_that_has_a_report_is_meant_unless_one_is_named() -> None:
    assert chosen(RUNS, "callcenter/monthly", "") == "monthly-20261004-020000-report"
    assert chosen(RUNS, "callcenter/monthly", "20260906-020000") == "monthly-20260906-020000-report"


def test_what_is_not_there_is_named_with_what_is() -> None:
    with pytest.raises(ConfigError, match="no run x; it has 20261101-020000, 20261004-020000"):
        chosen(RUNS, "callcenter/monthly", "x")
    with pytest.raises(ConfigError, match="no report yet: it is written when a run is over"):
        chosen(RUNS, "callcenter/monthly", "20261101-020000")
    with pytest.raises(ConfigError, match="no report yet"):
        chosen({}, "callcenter/monthly", "")


def test_the_kept_page_is_printed_as_it_was_kept_and_made_anew_where_it_was_too_large(report: DrillReport) -> None:
    data = {"report.json": report.model_dump_json(by_alias=True)}
    assert shown({**data, "report.html": "as kept"}, "html") == "as kept"
    assert shown(data, "html") == html(report)
    assert json.loads(shown(data, "json"))["run"] == report.run
    assert shown(data, "text").startswith(f"Drill callcenter/monthly, run {report.run}: Succeeded")


def test_a_report_of_another_format_is_left_to_json() -> None:
    with pytest.raises(ConfigError, match="cannot read the report"):
        shown({"report.json": '{"schema": "tandem.dev/drill-report/v9"}'}, "text")
    assert shown({"report.json": "{}"}, "json") == "{}\n"


def test_the_command_line_knows_it() -> None:
    found = parser().parse_args(["drill", "report", "monthly", "--run", "20261101-020000", "-o", "html"])
    assert (found.action, found.run_name, found.output) == ("report", "20261101-020000", "html")


@pytest.mark.parametrize(
    ("name", "namespace", "command"),
    [
        ("monthly", "", "kubectl get drill monthly -o yaml"),
        ("monthly", "callcenter", "kubectl get drill monthly -n callcenter -o yaml"),
        ("callcenter/monthly", "", "kubectl get drill monthly -n callcenter -o yaml"),
    ],
)
async def test_what_to_look_at_has_the_namespace_that_was_asked_for(
    name: str, namespace: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    class Api:
        async def get(self, path: str) -> dict[str, Any]:
            raise MissingError("not found")

    clusters = Clusters(["east"], [Path("nowhere")])
    clusters._clusters, clusters._known = {"east": Api()}, {"east": {}}  # type: ignore[dict-item]
    assert await run(clusters, name, namespace, "", "text") == 1
    assert f"`{command}` shows the runs" in capsys.readouterr().err
