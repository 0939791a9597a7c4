"""The status of a Drill: what is said of its alarms, and the one that brought a run back."""

from typing import Any

from tandem.api.drill import DrillStatus
from tandem.operator.statuses.common import Said, Scene
from tandem.operator.statuses.drill import drill_status
from tests.support.manifests import drill
from tests.unit.domain.drill_world import DrillWorld
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


def test_a_token_that_cannot_be_read_is_a_condition() -> None:
    said = Said("CredentialsReadable", "False", "NotReadable", "no such Secret")
    assert conditions(status_of(AlarmedWorld(), said))["CredentialsReadable"] == ("False", "NotReadable")
