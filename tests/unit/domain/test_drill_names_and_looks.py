"""Names of a Drill's Shifts and reports, whatever else is named like them; how often a refused plan is made."""

from typing import Any

import pytest

from tandem.api.common import GROUP as API_GROUP
from tandem.constants import DRILL_LOOK_OPEN_S, DRILL_LOOK_S
from tandem.domain import drill_checks, drills, keys
from tandem.domain.drill_legs import shift_name
from tandem.domain.drill_names import config_map_name
from tandem.domain.reasons import Reason
from tests.unit.domain.drill_world import HOLD_S, DrillWorld
from tests.unit.domain.world import GROUP, site_spec

RUN = "20261128-030000-17"
LONG = "callcenter/" + "a" * 199 + "-" + "b" * 52


@pytest.mark.parametrize("drill", ["callcenter/monthly", LONG, "callcenter/" + "a" * 188 + "." + "b" * 60])
def test_a_shifts_name_is_one_that_kubernetes_takes(drill: str) -> None:
    namespace, _, short = shift_name(DrillWorld().snapshot, drill, RUN, "back").partition("/")
    assert namespace == "callcenter"
    assert len(short) <= 253
    assert all(part and part[0].isalnum() and part[-1].isalnum() for part in short.split("."))
    assert API_GROUP not in short


@pytest.mark.parametrize("drill", ["monthly", LONG.partition("/")[2], "a" * 199 + "." + "b" * 53])
def test_a_reports_name_is_one_that_kubernetes_takes(drill: str) -> None:
    name = config_map_name(drill, RUN)
    assert len(name) <= 253
    assert all(part and part[0].isalnum() and part[-1].isalnum() for part in name.split("."))
    assert name.endswith("-report")


def test_a_short_drills_shifts_and_reports_have_its_name() -> None:
    assert shift_name(DrillWorld().snapshot, "callcenter/monthly", RUN, "out") == f"callcenter/monthly-{RUN}-out"
    assert config_map_name("monthly", RUN) == f"monthly-{RUN}-report"


def test_drills_that_share_their_first_letters_have_shifts_of_their_own() -> None:
    snapshot = DrillWorld().snapshot
    names = {shift_name(snapshot, drill, RUN, way) for drill in (LONG, LONG[:-1] + "c") for way in ("out", "back")}
    assert len(names) == 4


def test_drills_that_share_their_first_letters_have_reports_of_their_own() -> None:
    short = LONG.partition("/")[2]
    assert config_map_name(short, RUN) != config_map_name(short[:-1] + "c", RUN)


def taken(world: DrillWorld, way: str) -> str:
    """Somebody has made a Shift of the name that the run's next one would have."""
    name = f"callcenter/monthly-{world.state.due.name if world.state.due else world.run.name}-{way}"
    world.shift(name, selector={"system": "hotel"}, to="east")  # it moves nobody, and has ended
    return name


def test_a_way_back_whose_name_is_taken_has_another_one() -> None:
    world = DrillWorld().holding()
    name = taken(world, "back")
    world.advance(HOLD_S + 0.1)
    world.settle()
    assert (world.state.phase, world.run.back.shift) == ("Back", f"{name}-2")
    world.travel("west", "east")
    assert world.outcome()[0] == "Succeeded"


def test_a_way_out_whose_name_is_taken_has_another_one() -> None:
    world = DrillWorld()
    world.hold()
    world.command()
    world.settle()
    name = taken(world, "out")
    world.delete(keys.HOLD)
    world.settle()
    assert (world.state.phase, world.run.out.shift) == ("Out", f"{name}-2")


# -- plans


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """When a plan was made."""
    found: list[float] = []
    real = drill_checks.may_start

    def counted(question: Any) -> Any:
        found.append(question.now.mono)
        return real(question)

    monkeypatch.setattr(drills, "may_start", counted)
    return found


def unready(world: DrillWorld) -> None:
    """East is well, and only one location would notice if it were not: the plan's groups are not FailoverReady."""
    for component in ("softswitch", "cti"):
        world.delete(keys.observation("witness", "east", "hotel", component))


def ready(world: DrillWorld) -> None:
    for component in ("softswitch", "cti"):
        world.observe("witness", "east", "hotel", component)


def test_a_plan_that_is_refused_is_made_again_now_and_then_however_much_happens(plans: list[float]) -> None:
    world = DrillWorld()
    unready(world)
    world.command()
    world.settle()
    assert world.state.reason == Reason.NOT_FAILOVER_READY
    plans.clear()
    started = world.mono
    for step in range(100):  # ten seconds of reports
        world.advance(0.1)
        world.sessions("east", GROUP, dict.fromkeys(range(5 + step % 5), 1))
        assert world.settle() == []
    looks = {round((at - started) / DRILL_LOOK_S) for at in plans}
    assert looks == set(range(6))
    assert all((at - started) % DRILL_LOOK_S <= DRILL_LOOK_OPEN_S for at in plans)


def test_it_is_made_in_time_and_wakes_for_that(plans: list[float]) -> None:
    world = DrillWorld()
    unready(world)
    world.command()
    world.settle()
    world.advance(0.7)
    ready(world)
    world.settle()
    assert world.phase() == "Checking"
    wake = world.decide().wake_at
    assert wake is not None
    world.advance(wake - world.mono)
    world.settle()
    assert world.phase() == "Out"
    assert wake - plans[0] <= DRILL_LOOK_S + 0.01


def test_what_the_world_has_against_it_is_looked_at_at_once(plans: list[float]) -> None:
    world = DrillWorld()
    world.hold()
    world.command()
    world.settle()
    for _ in range(10):
        world.advance(0.13)
        world.settle()
    assert plans == []
    world.delete(keys.HOLD)
    world.settle()
    assert world.state.phase == "Out"


def test_a_world_that_speaks_against_it_in_between_makes_the_plan_wait_no_longer(plans: list[float]) -> None:
    world = DrillWorld()
    spec = site_spec("west", "hotel")
    unready(world)
    world.command()
    world.settle()
    world.publish(keys.SITE, "west", {**spec, "maintenance": True})
    world.advance(0.5)
    world.settle()
    assert world.state.reason == Reason.MAINTENANCE
    ready(world)
    world.publish(keys.SITE, "west", spec)
    world.settle()
    assert world.state.phase == "Out"
