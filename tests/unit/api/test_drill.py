"""What a Drill's manifest may say; what is wrong is named with its value and the remedy."""

from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from tandem.api.drill import DrillSpec
from tests.support.manifests import drill

EXAMPLES = Path(__file__).parents[3] / "examples/quickstart/drills"
EXAMPLE = EXAMPLES / "everyone-monthly.yaml"


@pytest.mark.parametrize("example", sorted(EXAMPLES.iterdir()), ids=lambda path: path.stem)
def test_every_example_is_a_drill(example: Path) -> None:
    manifest = yaml.safe_load(example.read_text())
    assert manifest["metadata"]["name"] == example.stem
    DrillSpec.model_validate(manifest["spec"])


def test_the_example_is_one() -> None:
    spec = DrillSpec.model_validate(yaml.safe_load(EXAMPLE.read_text())["spec"])
    assert (spec.time_zone, spec.shift.to, spec.windows.blocked[0].reason) == (
        "Europe/Berlin",
        "west",
        "holiday traffic",
    )


@pytest.mark.parametrize(
    ("wrong", "field", "words"),
    [
        pytest.param(
            {"schedule": "0 25 * * *"}, "schedule", ("'0 25 * * *'", "Bad hour", "like '0 3 * * SUN'"), id="hour"
        ),
        pytest.param({"schedule": "0 3 30 2 *"}, "schedule", ("Bad day-of-month",), id="a-day-that-never-comes"),
        pytest.param(
            {"schedule": "0 0 */31 * MON#5"},
            "schedule",
            ("'0 0 */31 * MON#5'", "never comes", "like '0 3 * * SUN#1'"),
            id="a-day-and-a-weekday-that-never-meet",
        ),
        pytest.param({"timeZone": "Europe/Atlantis"}, "timeZone", ("'Europe/Atlantis'", "Europe/Berlin"), id="zone"),
        pytest.param({"hold": "13h"}, "hold", ("13h", "outside 0s to 12h"), id="hold"),
        pytest.param({"startingDeadline": "1s"}, "startingDeadline", ("1s", "choose another time"), id="deadline"),
        pytest.param(
            {"windows": {"blocked": [{"firstDate": "2026-02-30"}]}},
            "firstDate",
            ("2026-02-30", "2026-12-24"),
            id="date",
        ),
        pytest.param(
            {"windows": {"allowed": [{"firstDate": "2027-01-01", "lastDate": "2026-01-01"}]}},
            "allowed",
            ("2027-01-01", "swap them"),
            id="dates-in-order",
        ),
        pytest.param({"windows": {"allowed": [{"from": "24:00"}]}}, "allowed", ("24:00", "00:00"), id="from-24"),
        pytest.param({"mode": "Forced"}, "mode", ("Extra inputs are not permitted",), id="a-drill-cuts-no-call"),
    ],
)
def test_what_is_wrong_is_named(wrong: dict[str, Any], field: str, words: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refusal:
        DrillSpec.model_validate(drill(**wrong)["spec"])
    first = refusal.value.errors(include_url=False)[0]
    assert field in first["loc"]
    for word in words:
        assert word in f"{first['input']} {first['msg']}"


LOST = {"kind": "Failover", "failover": {"site": "east"}}
TO_NOWHERE = {"selector": {"system": "hotel"}}


def test_a_failover_names_the_site_that_counts_as_lost_and_none_to_go_to() -> None:
    spec = DrillSpec.model_validate(drill()["spec"] | LOST | {"shift": TO_NOWHERE})
    assert spec.failover is not None
    assert (spec.kind, spec.failover.site, spec.failover.silence, spec.shift.to) == ("Failover", "east", 25, None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        pytest.param({"kind": "Failover"}, ("failover", "kind is Failover", "give both"), id="no-site"),
        pytest.param({"failover": {"site": "east"}}, ("failover", "kind is Shift"), id="a-shift-loses-no-site"),
        pytest.param({"shift": TO_NOWHERE}, ("shift.to is None", "kind is Shift"), id="a-shift-goes-somewhere"),
        pytest.param(LOST, ("shift.to is 'west'", "left out"), id="a-failover-chooses"),
        pytest.param({**LOST, "shift": {**TO_NOWHERE, "percent": 50}}, ("shift.percent is 50",), id="half-a-failover"),
        pytest.param(
            {**LOST, "shift": {"selector": {"site": "west"}}}, ("selector.site is west", "(east)"), id="another-site"
        ),
        pytest.param(
            {**LOST, "failover": {"site": "east", "silence": 0}}, ("greater than or equal to 1",), id="nobody"
        ),
    ],
)
def test_what_makes_no_sense_for_its_kind_is_refused(wrong: dict[str, Any], words: tuple[str, ...]) -> None:
    with pytest.raises(ValidationError) as refusal:
        DrillSpec.model_validate(drill()["spec"] | wrong)
    for word in words:
        assert word in str(refusal.value)
