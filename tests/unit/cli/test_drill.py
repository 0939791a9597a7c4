"""`kubectl tandem drill`: what it writes and what it tells, without a cluster."""

from typing import Any

import pytest

from tandem.cli.drill import annotation_of, refused, request_of, story
from tandem.cli.main import parser
from tandem.domain.drill_requests import DrillRequest, parse_request

LEG = {"agents": 10, "moved": 9, "seconds": 4, "switchTimes": {"p50": "0.010s", "p95": "0.020s", "max": "0.300s"}}


def test_a_command_is_read_by_the_engines_and_by_the_admission_policy() -> None:
    text = annotation_of(request_of("run", "ada", 1_795_521_600.0))
    found = parse_request(text)
    assert isinstance(found, DrillRequest)
    assert (found.action, found.by, found.at) == ("run", "ada", 1_795_521_600.0)
    assert '"by":"ada"' in text
    assert request_of("run", "ada", 1.0)["id"] != request_of("run", "ada", 1.0)["id"]


@pytest.mark.parametrize("text", ["now!", "{}", '{"id":"1","action":"stop","by":"ada","at":1}'])
def test_an_annotation_that_is_no_command_is_named_with_the_remedy(text: str) -> None:
    found = parse_request(text)
    assert isinstance(found, str)
    assert "kubectl tandem drill run" in found
    assert parse_request("") is None


@pytest.mark.parametrize(
    ("status", "lines"),
    [
        pytest.param({"phase": "Waiting", "lastRequest": {"id": "old", "answer": "x"}}, [], id="not-yet"),
        pytest.param(
            {"phase": "Checking", "message": "held", "lastRequest": {"id": "r", "answer": "run x is due now"}},
            ["run x is due now", "Checking: held"],
            id="waits",
        ),
        pytest.param(
            {
                "phase": "Waiting",
                "runs": [{"request": "r", "outcome": "Succeeded", "message": "done", "out": LEG, "back": {}}],
            },
            ["out: 9 of 10 agents in 4 s, own gaps p50 0.010s, p95 0.020s, max 0.300s", "Succeeded: done"],
            id="over",
        ),
    ],
)
def test_what_is_told(status: dict[str, Any], lines: list[str]) -> None:
    assert story(status, "r") == lines


def test_a_command_that_was_not_followed_is_told_apart() -> None:
    assert refused({"lastRequest": {"answer": "not started: a run is under way already (Out)"}})
    assert not refused({"lastRequest": {"answer": "run 20261124-120000 is due now"}})


def test_the_command_line() -> None:
    found = parser().parse_args(["drill", "run", "monthly", "-n", "callcenter", "--wait"])
    assert (found.action, found.name, found.namespace, found.wait) == ("run", "monthly", "callcenter", True)
