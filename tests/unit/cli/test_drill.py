"""`kubectl tandem drill`: what it writes and what it tells, without a cluster."""

import time
from typing import Any

import pytest

from tandem.api.common import HOLD_REQUEST, WHO_LETTERS
from tandem.cli import drill, hold
from tandem.cli.contexts import annotation_of, asked_by
from tandem.cli.drill import follow, refused, request_of, story
from tandem.cli.main import parser
from tandem.domain.drill_requests import DrillRequest, parse_request
from tandem.operator.cluster import RefusedError

LEG = {"agents": 10, "moved": 9, "seconds": 4, "switchTimes": {"p50": "0.010s", "p95": "0.020s", "max": "0.300s"}}


def test_a_command_is_read_by_the_engines_and_by_the_admission_policy() -> None:
    text = annotation_of(request_of("id", "run", "ada", 1_795_521_600.0))
    found = parse_request(text)
    assert isinstance(found, DrillRequest)
    assert (found.action, found.by, found.at) == ("run", "ada", 1_795_521_600.0)
    assert '"by":"ada"' in text


def test_who_asks_is_written_as_the_admission_policies_look_for_it() -> None:
    """With a hold as well: whoever has such a name could not press the big red button."""
    for by, written in (("ada", "ada"), ("Jörg", "Jörg"), ("CORP\\ann", "CORP\\\\ann")):
        held = hold.request("id", "hold", by, "storm", 1.0)["metadata"]["annotations"][HOLD_REQUEST]
        for text in (held, annotation_of(request_of("id", "run", by, 1.0))):
            assert f'"by":"{written}"' in text


@pytest.mark.parametrize(
    "text",
    [
        "now!",
        "{}",
        '{"id":"1","action":"stop","by":"ada","at":1}',
        '{"id":"1","action":"run","by":"ada","by":"bob","at":1}',
        '{"id":"1","action":"run","x":[{"by":"ada"}],"by":"bob","at":1}',
    ],
)
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
    assert refused("not started: a run is under way already (Out)")
    assert not refused("run 20261124-120000 is due now")


async def test_whoever_asked_first_hears_of_the_own_run_after_somebody_else_has_asked(
    capsys: pytest.CaptureFixture[str],
) -> None:
    status = {
        "phase": "Checking",
        "lastRequest": {"id": "theirs", "answer": "not started: a run is under way already (Checking)"},
        "earlierRequests": [{"id": "mine", "answer": "run 20261124-120000 is due now"}],
    }

    class Api:
        async def get(self, path: str) -> dict[str, Any]:
            return {"status": status}

    assert await follow(Api(), "callcenter/monthly", "mine", "run", 0.0) == 0  # type: ignore[arg-type]
    assert "run 20261124-120000 is due now" in capsys.readouterr().out
    assert await follow(Api(), "callcenter/monthly", "theirs", "run", 0.0) == 1  # type: ignore[arg-type]


async def test_a_run_that_goes_on_is_looked_at_in_its_namespace(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Api:
        async def get(self, path: str) -> dict[str, Any]:
            return {"status": {"phase": "Out", "active": [{"request": "mine"}]}}

    monkeypatch.setattr(drill, "ANSWER_S", 0.1)
    assert await follow(Api(), "callcenter/monthly", "mine", "run", 0.1) == 1  # type: ignore[arg-type]
    assert "`kubectl get drill monthly -n callcenter` shows how it goes on" in capsys.readouterr().out


async def test_the_time_of_a_command_is_the_clusters_not_the_laptops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1_795_521_000.0)  # ten minutes behind

    class Api:
        async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            metadata = {"creationTimestamp": "2026-11-24T12:00:00Z"}
            return {"metadata": metadata, "status": {"userInfo": {"username": "ada"}}}

    assert await asked_by(Api()) == ("ada", 1_795_521_600.0)  # type: ignore[arg-type]


async def test_who_has_a_name_that_no_operator_takes_is_told_at_once() -> None:
    class Api:
        def __init__(self, name: str) -> None:
            self.name = name

        async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
            return {"status": {"userInfo": {"username": self.name}}}

    longest = "a" * WHO_LETTERS
    name, _ = await asked_by(Api(longest))  # type: ignore[arg-type]
    assert isinstance(parse_request(annotation_of(request_of("id", "run", name, 1.0))), DrillRequest)
    with pytest.raises(RefusedError, match=r"you are aaa.*, a name of 254 letters; 253 at most"):
        await asked_by(Api(f"{longest}a"))  # type: ignore[arg-type]


def test_the_command_line() -> None:
    found = parser().parse_args(["drill", "run", "monthly", "-n", "callcenter", "--wait"])
    assert (found.action, found.name, found.namespace, found.wait) == ("run", "monthly", "callcenter", True)
