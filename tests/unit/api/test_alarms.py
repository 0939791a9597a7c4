"""What people may write about alarms, and what they are told when they may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from tandem.api.alarms import DrillAlarms
from tandem.api.drill import DrillSpec
from tandem.api.gates import Gates

SERVER = {"url": "http://prometheus.monitoring:9090"}
LOST = {"name": "calls-lost", "query": "sum(rate(lost[1m])) > 0.1"}


def alarms(**changes: Any) -> dict[str, Any]:
    return {"prometheus": SERVER, "outcome": [LOST], **changes}


def test_the_server_once_and_the_questions_by_kind() -> None:
    spec = DrillSpec.model_validate(
        {
            "shift": {"selector": {"system": "hotel"}, "to": "west"},
            "alarms": alarms(blocking=[{"name": "night-batch", "query": "batch_running", "for": "30s"}]),
        }
    )
    assert spec.alarms is not None
    assert [(alarm.name, alarm.for_) for alarm in spec.alarms.all] == [("night-batch", "30s"), ("calls-lost", "0s")]
    assert (spec.alarms.prometheus.timeout, spec.alarms.prometheus.credentials) == ("5s", None)
    assert DrillSpec.model_validate(spec.model_dump(mode="json", by_alias=True, exclude_none=True)) == spec


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param(alarms(outcome=[]), "names no alarm; add one to blocking or to outcome", id="none"),
        pytest.param(alarms(blocking=[LOST]), "names alarm calls-lost twice; name it once, in outcome", id="both"),
        pytest.param(alarms(outcome=[{**LOST, "query": " "}]), "should match pattern", id="an-empty-query"),
        pytest.param(
            alarms(outcome=[{**LOST, "for": "2h"}]), "2h is outside 0s to 1h; choose another time", id="too-long"
        ),
        pytest.param(
            alarms(prometheus={**SERVER, "timeout": "1m"}),
            "1m is outside 100ms to 30s; choose another time",
            id="a-patient-timeout",
        ),
        pytest.param(alarms(prometheus={"url": "prometheus:9090"}), "should match pattern", id="no-url"),
        pytest.param(alarms(outcome=[{**LOST, "name": f"a{n}"} for n in range(11)]), "at most 10", id="too-many"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_the_remedy(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DrillAlarms.model_validate(wrong)


def at_gates(**changes: Any) -> dict[str, Any]:
    return {"alarms": {"prometheus": SERVER, "quiet": [LOST], **changes}}


def test_gates_have_alarms_of_their_own() -> None:
    gates = Gates.model_validate(at_gates())
    assert gates.alarms is not None
    assert [alarm.name for alarm in gates.alarms.quiet] == ["calls-lost"]
    assert Gates().alarms is None
    assert Gates.model_validate(gates.model_dump(mode="json", by_alias=True, exclude_none=True)) == gates


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param(at_gates(quiet=[]), "at least 1", id="none"),
        pytest.param(at_gates(quiet=[LOST, LOST]), "quiet names alarm calls-lost twice; give each", id="twice"),
        pytest.param(at_gates(quiet=[{**LOST, "for": "61m"}]), "61m is outside 0s to 1h", id="too-long"),
        pytest.param({**at_gates(), "patience": "25h"}, "25h is outside 0s to 24h; choose another time", id="patience"),
    ],
)
def test_what_is_wrong_with_the_alarms_of_gates_is_named(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        Gates.model_validate(wrong)
