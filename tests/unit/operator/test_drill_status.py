"""The status of a Drill: what is said of its alarms, and the one that brought a run back."""

from typing import Any

import pytest

from tandem.api.drill import DrillStatus
from tandem.operator.statuses.common import Said, Scene
from tandem.operator.statuses.drill import drill_status
from tests.support.manifests import drill
from tests.unit.domain.drill_world import ALL, DrillWorld
from tests.unit.domain.test_drill_alarms import ALARMS, QUERY, AlarmedWorld
from tests.unit.operator.objects import conditions, seen


def status_of(world: DrillWorld, *local: Said, **spec: Any) -> DrillStatus:
    shown = seen(drill(**spec))
    return drill_status(Scene(world.snapshot, "east", world.mono), shown, local)


def test_every_alarm_is_shown_with_its_state_and_why() -> None:
    world = AlarmedWorld()
    world.settle()
    world.told(batch="Unknown", lost="Pending")
    batch, lost = status_of(world, alarms=ALARMS).alarms
    assert (batch.name, batch.state, lost.name, lost.state) == ("batch", "Unknown", "lost", "Pending")
    assert "east: refused" in batch.message
    assert QUERY in lost.message


def test_a_drill_without_alarms_shows_none() -> None:
    assert status_of(DrillWorld()).alarms == ()


def test_what_blocks_it_is_in_reason_and_message() -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told(batch="Firing")
    world.settle()
    status = status_of(world, alarms=ALARMS)
    assert (status.phase, status.reason) == ("Checking", "AlarmFiring")
    assert "batch_running is 3" in status.message


def test_the_alarm_that_brought_a_run_back_is_shown_with_query_value_time_and_place() -> None:
    world = AlarmedWorld().holding()
    world.told("witness", lost="Firing")
    world.settle()
    (active,) = status_of(world, alarms=ALARMS).active
    assert active.alarm.name == "lost"
    world.home_again()
    status = status_of(world, alarms=ALARMS)
    (run,) = status.runs
    assert (status.last_outcome, run.reason) == ("Failed", "AlarmFired")
    assert (run.alarm.query, run.alarm.value, run.alarm.seen_by) == (QUERY, "3", "witness")
    assert run.alarm.at.startswith("1970-01-01T00:")
    assert DrillStatus.model_validate(status.model_dump(mode="json", by_alias=True)) == status


@pytest.mark.parametrize(
    ("windows", "more", "needs"),
    [
        pytest.param({}, {}, "", id="no-windows"),
        pytest.param({"allowed": [{"from": "02:00", "until": "03:00"}]}, {}, "1h20m14s", id="an-hour"),
        pytest.param({"allowed": [{"from": "02:00", "until": "03:21"}]}, {}, "", id="just-long-enough"),
        pytest.param({"allowed": [{"from": "23:00"}, {"from": "00:00", "until": "01:00"}]}, {}, "", id="two-that-meet"),
        pytest.param(
            {"allowed": [{"from": "23:00", "days": ["Mon"]}, {"until": "01:00", "days": ["Wed"]}]},
            {},
            "1h20m14s",
            id="two-of-other-days",
        ),
        pytest.param(
            {"allowed": [{"from": "01:00", "until": "04:00"}], "blocked": [{"from": "02:00", "until": "03:00"}]},
            {},
            "1h20m14s",
            id="cut-in-two",
        ),
        pytest.param(
            {"allowed": [{"until": "04:00"}], "blocked": [{"lastDate": "2026-12-31"}]}, {}, "", id="blocked-by-dates"
        ),
        pytest.param({"allowed": [{"from": "23:30", "until": "00:30"}]}, {}, "1h20m14s", id="over-midnight"),
        pytest.param({"blocked": [{}]}, {}, "1h20m14s", id="everything-blocked"),
        pytest.param({"allowed": [{"until": "02:00"}]}, {"hold": "2h"}, "3h10m14s", id="hold-alone"),
        pytest.param(
            {"allowed": [{"from": "02:00", "until": "03:00"}]},
            {"shift": {**ALL["shift"], "drain": {"maxTalk": "10m", "maxWrapUp": "5m"}}},
            "",
            id="shorter-calls",
        ),
    ],
)
def test_a_drill_that_its_windows_can_never_hold_says_so_before_it_is_due(
    windows: dict[str, Any], more: dict[str, Any], needs: str
) -> None:
    wanted: dict[str, Any] = {**ALL, "windows": windows, **more}
    world = DrillWorld(**wanted)
    shown = seen({**drill(), "spec": wanted})
    found = {one.type: one for one in drill_status(Scene(world.snapshot, "east", world.mono), shown).conditions}
    assert found["Ready"].status == ("False" if needs else "True"), found["Ready"].message
    if needs:
        assert (found["Stalled"].status, found["Stalled"].reason) == ("True", "WindowsTooShort")
        assert f"at least {needs}" in found["Ready"].message
        assert "widen the windows" in found["Ready"].message


def test_a_token_that_cannot_be_read_is_a_condition() -> None:
    said = Said("CredentialsReadable", "False", "NotReadable", "no such Secret")
    assert conditions(status_of(AlarmedWorld(), said))["CredentialsReadable"] == ("False", "NotReadable")
