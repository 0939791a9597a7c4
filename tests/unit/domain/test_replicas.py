"""Ready replicas at the target: waited for where somebody counts them, and not for ever where nobody does."""

from typing import Any

import pytest

from tandem.api.shift import ShiftSpec
from tandem.api.site import Scaling
from tandem.constants import PREPARE_PATIENCE_S, READY_PATIENCE_S, READY_UNKNOWN_S
from tandem.domain import keys
from tandem.domain.capacity import Ledger, wanted_replicas
from tandem.domain.forecast import Forecast
from tandem.domain.gather import Gatherer
from tandem.domain.preview import Asked, previews
from tandem.domain.reasons import Reason
from tandem.domain.records import ReplicasRecord, TargetTestRecord
from tandem.domain.target_tests import asked_by_place
from tests.unit.domain.world import GROUP, World, site_spec

NAME = "callcenter/s1"
SCALE: dict[str, Any] = {"mode": "Scale", "agentsPerReplica": 40, "min": 1, "max": 10}


def west(scaling: dict[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """West, whose softswitch is scaled like this."""
    spec = site_spec("west", "hotel")
    spec["systems"][0]["softswitch"]["scaling"] = SCALE if scaling is None else scaling
    spec["systems"][0] |= changes
    return spec


def a_world(site: dict[str, Any] | None = None) -> World:
    """A hundred agents at east; west has a softswitch that carries forty with each replica."""
    world = World()
    world.publish(keys.SITE, "west", site or west())
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    return world


def begin(world: World, name: str = NAME, **spec: Any) -> None:
    world.shift(name, **{"selector": {"system": "hotel"}, "to": "west", **spec})
    world.settle()


def ready(world: World, site: str = "west", **parts: int) -> None:
    world.put(keys.replicas(site, "hotel"), ReplicasRecord(ready=parts))
    world.settle()


def test_the_first_wave_waits_until_enough_are_ready_for_who_arrives() -> None:
    world = a_world()
    ready(world, softswitch=1)
    begin(world)
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Preparing", Reason.WAITING_FOR_REPLICAS)
    assert "hotel at west: waits for replicas of the softswitch" in record.message
    assert "1 of 3 Ready" in record.message
    ready(world, softswitch=2)
    assert "2 of 3 Ready" in world.shift_record().message
    assert world.placement() == {"east": "0-99"}
    ready(world, softswitch=3)
    assert world.shift_record().phase == "Moving"


def test_those_who_are_there_already_need_theirs_too() -> None:
    world = a_world()
    ready(world, softswitch=2)
    begin(world, percent=50)
    assert world.shift_record().phase == "Moving"  # fifty agents, two replicas
    world = a_world()
    world.group({"west": 100}, "callcenter/hotel-south")
    world.settle()
    ready(world, softswitch=3)
    begin(world, selector={"names": ["hotel-north-sales"]}, percent=50)
    assert "3 of 4 Ready" in world.shift_record().message


def test_more_than_its_bounds_allow_is_not_waited_for() -> None:
    world = a_world(west({**SCALE, "max": 2}))
    ready(world, softswitch=2)
    begin(world)
    assert world.shift_record().phase == "Moving"


def test_what_nobody_scales_is_not_waited_for() -> None:
    world = a_world(west({"mode": "None"}))
    begin(world)
    assert world.shift_record().phase == "Moving"


def test_the_cti_is_waited_for_as_well() -> None:
    spec = west({"mode": "None"})
    spec["systems"][0]["cti"]["scaling"] = SCALE
    world = a_world(spec)
    ready(world, cti=2, softswitch=9)
    begin(world)
    assert "replicas of the cti (callcenter/cti-hotel): 2 of 3 Ready" in world.shift_record().message


def test_after_a_while_it_fails_with_nobody_moved() -> None:
    world = a_world()
    ready(world, softswitch=2)
    begin(world)
    world.advance(PREPARE_PATIENCE_S - 1)
    world.settle()
    assert world.shift_record().phase == "Preparing"
    world.advance(2)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", Reason.WAITING_FOR_REPLICAS)
    assert "gave up before anything moved" in record.message
    assert "2 of 3 Ready" in record.message
    assert world.placement() == {"east": "0-99"}


def test_where_nobody_counts_them_it_goes_on_after_a_moment_and_has_said_so() -> None:
    world = a_world()
    begin(world)
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Preparing", Reason.WAITING_FOR_REPLICAS)
    assert "nobody there says how many replicas of the softswitch" in record.message
    woken = world.decide().wake_at
    assert woken is not None
    assert woken - world.mono == pytest.approx(READY_UNKNOWN_S, abs=0.1)
    world.advance(READY_UNKNOWN_S - 0.1)
    world.settle()
    assert world.shift_record().phase == "Preparing"
    world.advance(0.2)
    world.settle()
    assert world.shift_record().phase == "Moving"
    (told,) = [entry for entry in world.log if "nobody there says" in entry.why]
    assert (told.action, told.reason) == ("Waiting", Reason.WAITING_FOR_REPLICAS)


def test_a_word_that_is_taken_back_holds_nobody_up_any_longer() -> None:
    world = a_world()
    ready(world, softswitch=1)
    begin(world)
    world.advance(READY_UNKNOWN_S + 1)
    world.settle()
    assert world.shift_record().phase == "Preparing"
    world.delete(keys.replicas("west", "hotel"))  # its operator, or its Kubernetes API, is gone
    world.settle()
    assert world.shift_record().phase == "Moving"


def test_the_target_is_tested_when_the_replicas_are_there() -> None:
    world = a_world(west(deepProbes="SignInAndCall"))
    for observer in ("east", "west", "witness"):
        world.observe(observer, "west", "hotel", "signIn")
        world.observe(observer, "west", "hotel", "call")
    ready(world, softswitch=1)
    begin(world)
    assert world.shift_record().reason == Reason.WAITING_FOR_REPLICAS
    assert asked_by_place(world.snapshot) == {}
    ready(world, softswitch=3)
    assert world.shift_record().reason == Reason.TESTING_TARGET
    assert asked_by_place(world.snapshot) == {("west", "hotel"): (NAME,)}
    for observer in ("west", "witness"):
        world.put(keys.test(observer, "west", "hotel"), TargetTestRecord(asked=(NAME,), ok=True))
    world.settle()
    assert world.shift_record().phase == "Moving"


def test_a_shift_does_not_wait_for_the_replicas_of_one_made_after_it() -> None:
    world = a_world()
    world.group({"east": 100}, "callcenter/hotel-south")
    world.settle()
    ready(world, softswitch=2)
    world.shift("callcenter/s2", selector={"names": ["hotel-south"]}, to="west")
    world.settle()
    world.advance(1.0)
    world.shift("callcenter/s3", selector={"names": ["hotel-north-sales"]}, to="west")
    world.settle()
    assert "2 of 3 Ready" in world.shift_record("callcenter/s2").message
    ready(world, softswitch=3)
    world.settle()
    assert world.shift_record("callcenter/s2").phase == "Moving"
    assert "3 of 5 Ready" in world.shift_record("callcenter/s3").message


# -- emergencies fill what is Ready, and the rest follow: as replicas come up, or after a while without


def east_dies(world: World) -> World:
    world.die("east")
    world.advance(60.0)
    world.settle()
    return world


def wanted(world: World) -> int:
    """Replicas that west's operator raises the softswitch to."""
    ledger = Forecast(world.snapshot, Ledger(world.snapshot, all_ready=True)).after_emergencies
    return wanted_replicas(ledger.load("west", "hotel"), Scaling.model_validate(SCALE))


def test_an_emergency_fills_what_is_ready_and_the_rest_follow_as_replicas_come_up() -> None:
    world = a_world()
    ready(world, softswitch=1)
    assert wanted(world) == 1
    east_dies(world)
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    (note,) = [note for note in world.decide().notes if note.reason == Reason.CAPACITY_EXCEEDED]
    assert "its Ready replicas carry 40 of the 1500 agents" in note.sentence
    assert wanted(world) == 3, "for those who wait as well, or no more would ever come up"
    ready(world, softswitch=2)
    assert world.placement() == {"west": "0-79", "east": "80-99"}
    assert wanted(world) == 3
    ready(world, softswitch=3)
    assert world.placement() == {"west": "0-99"}
    assert wanted(world) == 3
    assert world.snapshot.failovers["east"].record.number == 1


def test_what_is_ready_is_for_the_most_important() -> None:
    world = a_world()
    world.group({"east": 100}, "callcenter/hotel-south", agents=40, priority=500)
    world.settle()
    ready(world, softswitch=1)
    east_dies(world)
    assert world.placement("callcenter/hotel-south") == {"west": "0-99"}
    assert world.placement() == {"east": "0-99"}
    assert wanted(world) == 4
    ready(world, softswitch=4)
    assert world.placement() == {"west": "0-99"}


def test_where_nobody_counts_them_an_emergency_has_what_the_site_declares() -> None:
    world = east_dies(a_world())
    assert world.placement() == {"west": "0-99"}
    world = a_world()
    ready(world, softswitch=1)
    world.delete(keys.replicas("west", "hotel"))  # its operator, or its Kubernetes API, is gone
    assert east_dies(world).placement() == {"west": "0-99"}
    world = a_world()
    ready(world, cti=1)  # which is not scaled
    assert east_dies(world).placement() == {"west": "0-99"}


def test_those_who_wait_for_replicas_wait_no_longer_when_nobody_counts_them_any_more() -> None:
    world = a_world()
    ready(world, softswitch=1)
    east_dies(world)
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    world.delete(keys.replicas("west", "hotel"))
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_where_no_more_may_be_raised_the_rest_is_not_left_behind() -> None:
    world = a_world(west({**SCALE, "max": 2}))
    ready(world, softswitch=1)
    east_dies(world)
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    ready(world, softswitch=2)
    assert world.placement() == {"west": "0-99"}


def stuck(scaling: dict[str, Any] | None = None) -> World:
    """East is lost, one replica is Ready at west, and no more come up; the world is where the first forty are in."""
    world = a_world(west(scaling))
    ready(world, softswitch=1)
    world.die("east")
    world.advance(10.0)
    world.settle()
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    return world


def test_replicas_that_do_not_come_leave_nobody_at_a_dead_city() -> None:
    world = stuck()
    woken = world.decide().wake_at
    assert woken is not None
    assert woken - world.mono == pytest.approx(READY_PATIENCE_S, abs=0.1)
    world.advance(READY_PATIENCE_S - 0.1)
    world.settle()
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    world.advance(0.2)
    (commit,) = world.settle()
    assert world.placement() == {"west": "0-99"}
    assert "60 buckets of 1 groups go to west" in commit.sentence
    assert (
        "too few replicas at west have become Ready within 60 s, so what is declared there counts now"
        in commit.sentence
    )
    assert world.snapshot.failovers["east"].record.number == 1


def test_who_finds_ready_replicas_after_that_is_not_told_that_he_did_not() -> None:
    world = stuck()
    world.advance(READY_PATIENCE_S - 1)
    world.hold()
    world.settle()
    world.advance(2)
    world.settle()
    ready(world, softswitch=3)
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    world.delete(keys.HOLD)
    (commit,) = world.settle()
    assert world.placement() == {"west": "0-99"}
    assert "become Ready" not in commit.sentence


def test_what_is_committed_meanwhile_prolongs_no_waiting() -> None:
    world = stuck()
    world.advance(READY_PATIENCE_S / 2)
    ready(world, softswitch=2)
    assert world.placement() == {"west": "0-79", "east": "80-99"}
    record = world.snapshot.failovers["east"].record
    world.put(keys.failover("east"), record.model_copy(update={"declined": ("sales/x",)}))
    world.advance(READY_PATIENCE_S / 2 + 0.1)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_declared_capacity_is_still_the_most_and_is_what_is_told_then() -> None:
    world = World()
    spec = site_spec("west", "hotel", capacity=70)
    spec["systems"][0]["softswitch"]["scaling"] = SCALE
    world.publish(keys.SITE, "west", spec)
    world.group({"east": 100})
    world.settle()
    ready(world, softswitch=1)
    east_dies(world)
    world.advance(READY_PATIENCE_S + 0.1)
    world.settle()
    assert world.placement() == {"west": "0-69", "east": "70-99"}
    (note,) = [note for note in world.decide().notes if note.reason == Reason.CAPACITY_EXCEEDED]
    assert "Ready" not in note.sentence
    prospect = Forecast(world.snapshot, Ledger(world.snapshot), mono=world.mono).of("east", "hotel", GROUP)
    assert prospect is not None
    assert (prospect.left, "Ready" in prospect.why) == (30, False)


def test_another_coordinator_that_has_watched_counts_on_and_one_that_starts_counts_anew() -> None:
    world = stuck()
    world.advance(READY_PATIENCE_S - 1)
    world.delete(keys.COORDINATOR)
    world.put(keys.COORDINATOR, world.record_of_another_coordinator())
    world.advance(1.1)
    world.settle()
    assert world.placement() == {"west": "0-99"}
    world = stuck()
    world.advance(READY_PATIENCE_S - 1)
    world.gatherer = Gatherer()
    for key, (value, created, modified) in sorted(world.store.items(), key=lambda item: item[1][2]):
        world.gatherer.apply(key, value, created, modified, world.mono)
    world.advance(READY_PATIENCE_S - 0.1)
    world.settle()
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    world.advance(0.2)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_system_that_is_lost_later_waits_for_its_own_time() -> None:
    world = World(systems=("flight", "hotel"))
    spec = site_spec("west", "flight", "hotel")
    spec["systems"][1]["softswitch"]["scaling"] = SCALE
    world.publish(keys.SITE, "west", spec)
    world.group({"east": 100})
    world.group({"east": 100}, "callcenter/flight-north-sales", system="flight")
    world.settle()
    ready(world, softswitch=1)
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "flight", "cti", passes=False)
    world.advance(10.0)
    world.settle()
    assert world.systems_lost("east") == ("flight",)
    world.advance(READY_PATIENCE_S + 1)
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    world.advance(10.0)
    world.settle()
    assert world.systems_lost("east") == ("flight", "hotel")
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    world.advance(READY_PATIENCE_S + 0.1)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_a_target_that_was_lost_itself_has_that_time_from_its_return() -> None:
    world = a_world()
    ready(world, softswitch=1)
    world.die("west", seen_by=("east", "witness"))
    world.advance(10.0)
    world.settle()
    world.die("east", seen_by=("witness",))
    for component in ("softswitch", "cti"):
        world.observe("north", "east", "hotel", component, passes=False)
    world.advance(10.0)
    world.settle()
    assert world.placement() == {"east": "0-99"}
    assert world.snapshot.failovers["east"].record.state == "Active"
    world.advance(READY_PATIENCE_S + 1)
    world.come_back("west")
    for component in ("softswitch", "cti"):
        world.observe("west", "east", "hotel", component, passes=False)
    world.settle()
    world.advance(10.0)
    world.settle()
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    world.advance(READY_PATIENCE_S)
    world.settle()
    assert world.placement() == {"west": "0-99"}


def test_none_ready_by_its_kubelets_word_is_one_as_long_as_the_probes_pass() -> None:
    world = a_world()
    ready(world, softswitch=0)
    assert east_dies(world).placement() == {"west": "0-39", "east": "40-99"}


def test_for_a_manual_group_replicas_come_up_before_a_person_decides() -> None:
    world = a_world()
    world.group({"east": 100}, failover="Manual")
    world.settle()
    ready(world, softswitch=1)
    east_dies(world)
    assert world.placement() == {"east": "0-99"}
    assert wanted(world) == 3
    name = world.only_shift()
    world.change_shift(name, abort=True)
    world.settle()
    assert wanted(world) == 1, "nobody of it will come"


def test_a_planned_move_is_planned_with_replicas_that_will_be_raised() -> None:
    world = a_world()
    ready(world, softswitch=1)
    begin(world, evacuate="east", to=None)
    assert world.shift_record().phase == "Preparing"
    assert wanted(world) == 3


def test_the_plan_says_how_many_must_be_ready() -> None:
    world = a_world()
    spec = ShiftSpec.model_validate({"selector": {"system": "hotel"}, "to": "west"})
    (found,) = previews(world.snapshot, [Asked(NAME, spec)], world.now)
    (gate,) = [gate for gate in found.planned.gates if "replicas" in gate]
    assert gate.startswith("before the first wave replicas must be Ready: 3 of the softswitch of hotel at west;")
    world = a_world(west({"mode": "None"}))
    (found,) = previews(world.snapshot, [Asked(NAME, spec)], world.now)
    assert not [gate for gate in found.planned.gates if "replicas" in gate]
