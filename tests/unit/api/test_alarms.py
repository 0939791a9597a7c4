"""What people may write about alarms, and what they are told when they may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from tandem.api.alarms import DrillAlarms
from tandem.api.drill import DrillSpec

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
        pytest.param(alarms(outcome=[{**LOST, "for": "2h"}]), "for is 2h, but may be from 0s to 1h", id="too-long"),
        pytest.param(
            alarms(prometheus={**SERVER, "timeout": "1m"}),
            "timeout is 1m, but may be from 100ms to 30s",
            id="a-patient-timeout",
        ),
        pytest.param(alarms(prometheus={"url": "prometheus:9090"}), "should match pattern", id="no-url"),
        pytest.param(alarms(outcome=[{**LOST, "name": f"a{n}"} for n in range(11)]), "at most 10", id="too-many"),
    ],
)
def test_what_is_wrong_is_named_with_its_value_and_the_remedy(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DrillAlarms.model_validate(wrong)
