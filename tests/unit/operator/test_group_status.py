"""An AgentGroup's status: one table of worlds, one word each."""

from collections.abc import Callable
from typing import Any

import pytest

from tandem.api.agentgroup import AgentGroupSpec
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.digest import order_digest
from tandem.domain.forecast import Forecast
from tandem.domain.records import GroupReport, OrderRecord, PlacementRecord
from tandem.operator.statuses.common import Scene
from tandem.operator.statuses.group import group_status, where_text
from tests.support.manifests import annotated
from tests.support.manifests import namespaced as manifest
from tests.unit.domain.world import GROUP, World, group_spec
from tests.unit.operator.objects import conditions, kstatus, message, seen

EAST = {"east": 100}


def group(placement: dict[str, int] | None = None, **spec: Any) -> dict[str, Any]:
    return manifest("AgentGroup", GROUP.rpartition("/")[2], group_spec(placement or EAST, **spec))


def placed(world: World, placement: dict[str, str], cause: str = "Order") -> None:
    world.put(keys.placement(GROUP), PlacementRecord(system="hotel", map=placement, cause=cause))


def ordered(world: World, outcome: str = "Accepted", reason: str = "", message: str = "", **shares: int) -> None:
    """The last order that was consumed: everybody at east unless shares are given."""
    spec = group_spec(shares or EAST)
    digest = order_digest(AgentGroupSpec.model_validate(spec).placement, "")
    record = {"digest": digest, "outcome": outcome, "reason": reason, "message": message}
    world.put(keys.order(GROUP), OrderRecord.model_validate(record))


def settled() -> World:
    """Published, ordered and placed at east, 40 agents signed in there."""
    world = World()
    world.group(EAST)
    ordered(world)
    placed(world, {"east": "0-99"})
    world.sessions("east", GROUP, dict.fromkeys(range(40), 1))
    return world


def status_of(world: World, body: dict[str, Any] | None = None, *, silent_s: float = 0.0, **metadata: Any) -> Any:
    scene = Scene(world.snapshot, "east", 1_700_000_000.0, silent_s, "no leader" if silent_s else "")
    return group_status(scene, seen(body or group(), **metadata), Forecast(world.snapshot, Ledger(world.snapshot)))


def test_a_settled_group_says_where_its_agents_are() -> None:
    status = status_of(settled())
    assert status.where == "east 100"
    assert (status.signed_in, status.moving, status.guests, status.shift) == (40, 0, 0, "")
    assert [(count.site, count.percent, count.signed_in) for count in status.sites] == [
        ("east", 100, 40),
        ("west", 0, 0),
    ]
    assert status.observed_generation == 3
    assert conditions(status) == {
        "Ready": ("True", "Placed"),
        "Overridden": ("False", "AsOrdered"),
        "SpecConsistent": ("True", "Agreed"),
        "FailoverReady": ("True", "RoomElsewhere"),
    }


def unpublished(world: World) -> None:
    for site in ("east", "west"):
        world.delete(keys.spec(site, keys.AGENT_GROUP, GROUP))


def unordered(world: World) -> None:
    world.delete(keys.order(GROUP))


def unplaced(world: World) -> None:
    world.delete(keys.order(GROUP))
    world.delete(keys.placement(GROUP))


def held(world: World) -> None:
    unordered(world)
    world.hold()


def without_coordinator(world: World) -> None:
    unordered(world)
    world.delete(keys.COORDINATOR)


def refused(world: World) -> None:
    ordered(world, "Refused", "CapacityExceeded", "no room")


def inconsistent(world: World) -> None:
    unordered(world)
    world.group({"west": 100}, by=("west",))


def moving(world: World) -> None:
    world.shift(selector={"names": [GROUP.rpartition("/")[2]]}, to="west")
    world.settle()
    assert world.shift_record().phase == "Moving"


def staying(world: World) -> None:
    placed(world, {"east": "1-99", "east>west": "0"}, "Shift/x")
    world.sessions("east", GROUP, {0: 2})


@pytest.mark.parametrize(
    ("change", "ready", "kind"),
    [
        pytest.param(unpublished, ("False", "Publishing"), "Reconciling", id="not-published-yet"),
        pytest.param(unplaced, ("False", "NotPlacedYet"), "Reconciling", id="not-placed-yet"),
        pytest.param(unordered, ("False", "OrderPending"), "Reconciling", id="order-not-taken-yet"),
        pytest.param(held, ("False", "Held"), "Reconciling", id="held"),
        pytest.param(without_coordinator, ("False", "NoCoordinator"), "Reconciling", id="nobody-commits"),
        pytest.param(inconsistent, ("False", "SpecNotConsistent"), "Stalled", id="clusters-differ"),
        pytest.param(refused, ("False", "CapacityExceeded"), "Stalled", id="refused"),
        pytest.param(moving, ("False", "Moving"), "Reconciling", id="moving"),
        pytest.param(staying, ("True", "AgentsStay"), None, id="some-stay"),
    ],
)
def test_ready_names_the_first_thing_in_the_way(
    change: Callable[[World], None], ready: tuple[str, str], kind: str | None
) -> None:
    world = settled()
    change(world)
    status = status_of(world)
    found = conditions(status)
    assert found["Ready"] == ready
    assert message(status, "Ready")
    assert found.keys() & {"Reconciling", "Stalled"} == ({kind} if kind else set())
    assert kstatus(status) == {"Reconciling": "InProgress", "Stalled": "Failed", None: "Current"}[kind]


def test_an_order_id_makes_the_same_placement_a_new_order() -> None:
    world = settled()
    assert conditions(status_of(world))["Ready"] == ("True", "Placed")
    again = annotated(group(), order_id="again")
    assert conditions(status_of(world, again))["Ready"] == ("False", "OrderPending")


def test_an_object_that_cannot_be_read_says_so_and_shows_the_last_good_state() -> None:
    status = status_of(settled(), group(shoeSize=44))
    assert conditions(status)["Ready"] == ("False", "Invalid")
    assert "spec.shoeSize is 44" in message(status, "Ready")
    assert status.signed_in == 40


def test_a_silent_store_makes_everything_unknown_but_keeps_what_was_known() -> None:
    status = status_of(settled(), silent_s=6.0)
    said = ("Ready", "Overridden", "SpecConsistent", "FailoverReady")
    assert conditions(status) == dict.fromkeys(said, ("Unknown", "StoreUnreachable"))
    assert status.signed_in == 40
    # An election is not silence.
    assert conditions(status_of(settled(), silent_s=3.0))["Ready"] == ("True", "Placed")


def test_agents_elsewhere_than_ordered_are_overridden_with_the_cause() -> None:
    world = settled()
    placed(world, {"west": "0-99"}, "Shift/evening")
    status = status_of(world)
    assert conditions(status)["Overridden"] == ("True", "Shift")
    assert "ordered: east 100; actual: west 100, by Shift/evening" in message(status, "Overridden")
    assert conditions(status)["Ready"] == ("True", "Placed")


def test_a_move_counts_agents_who_have_not_left_yet() -> None:
    world = settled()
    moving(world)
    status = status_of(world)
    assert (status.moving, status.shift, status.where) == (40, "s1", "east>west 100")
    assert status.sites[0].leaving == 100


def test_the_last_shift_is_shown_with_its_gaps() -> None:
    world = settled()
    moving(world)
    world.arrived("west", "callcenter/s1", 40)
    done = world.shift_record().model_copy(update={"phase": "Completed", "finished_at": 5.0})
    world.put(keys.shift("callcenter/s1"), done)
    last = status_of(world).last_shift
    assert (last.name, last.agents, last.p50, last.p95, last.max) == ("s1", 40, "0.100s", "0.200s", "0.300s")


def only_here(world: World) -> None:
    world.group(EAST, sites=["east"])


def accused(world: World) -> None:
    for observer in ("east", "witness"):
        world.observe(observer, "west", "hotel", "cti", passes=False)


def full(world: World) -> None:
    world.publish(keys.SITE, "west", {**_site(world, "west")})
    world.group({"west": 100}, "callcenter/other", agents=1450)
    world.put(keys.placement("callcenter/other"), PlacementRecord(system="hotel", map={"west": "0-99"}, cause="Order"))


def watched_by_one(world: World) -> None:
    for component in ("softswitch", "cti"):
        world.delete(keys.observation("witness", "east", "hotel", component))


def silent_and_reached(world: World) -> None:
    world.die("east")
    world.observe("west", "east", "", "engine")


def of_a_replaced_store(world: World) -> None:
    """West holds a map that is newer than everything the store has."""
    report = GroupReport(revision=world.snapshot.placements[GROUP].revision + 7000)
    world.report("west", "hotel", {GROUP: report})


def broken_in_maintenance(world: World) -> None:
    world.publish(keys.SITE, "east", {**_site(world, "east"), "maintenance": True})
    for observer in ("east", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)


def declined(world: World) -> None:
    world.group(EAST, failover="Manual")
    world.die("east")
    world.advance(3.0)
    world.settle()
    world.change_shift(world.only_shift(), abort=True)
    world.settle()


def declined_in_part(world: World) -> None:
    placed(world, {"east": "0-49", "west": "50-99"}, "Shift/evening")
    declined(world)


def watched_from_one_domain(world: World) -> None:
    for component in ("softswitch", "cti"):
        word = world.snapshot.observations[("east", "hotel", component)]["west"].record
        world.put(keys.observation("witness", "east", "hotel", component), word)


def _site(world: World, name: str) -> dict[str, Any]:
    published = world.snapshot.sites[name].spec
    assert published is not None
    return published.model_dump(mode="json", by_alias=True)


@pytest.mark.parametrize(
    ("change", "body", "condition", "words"),
    [
        pytest.param(
            only_here, group(sites=["east"]), ("False", "NoOtherSite"), ("add a second site",), id="no-second-site"
        ),
        pytest.param(
            accused, group(), ("False", "OtherSiteNotUsable"), ("two independent sources", "cti of hotel at west"),
            id="other-site-fails",
        ),
        pytest.param(
            full, group(), ("False", "CapacityExceeded"), ("room for 50 of the 100 agents",), id="other-site-full"
        ),
        pytest.param(unplaced, group(), ("False", "NotPlacedYet"), ("nothing to fail over",), id="not-placed"),
        pytest.param(World.hold, group(), ("False", "Held"), ("held by ada", "resume"), id="held"),
        pytest.param(
            lambda world: world.delete(keys.COORDINATOR), group(), ("False", "NoCoordinator"), ("nobody could commit",),
            id="no-coordinator",
        ),
        pytest.param(
            watched_by_one, group(), ("False", "TooFewObservers"), ("the cti of hotel is watched by west only",),
            id="one-observer",
        ),
        pytest.param(
            watched_from_one_domain, group(), ("False", "TooFewObservers"),
            ("west and witness, which are one failure domain", "it takes two locations"),
            id="observers-of-one-domain",
        ),
        pytest.param(
            silent_and_reached, group(), ("False", "NotGivenUp"), ("not given up: west reaches the engine of east",),
            id="somebody-reaches-it",
        ),
        pytest.param(
            of_a_replaced_store, group(), ("False", "NewerMapAtCTI"),
            ("the CTI of hotel at west holds revision 7", "--bump-revision"),
            id="map-of-a-replaced-store",
        ),
        pytest.param(
            lambda world: world.delete(keys.report("west", "hotel")), group(), ("False", "CTINotFollowing"),
            ("the engine of west gets no answer from the CTI of hotel", "spec.systems[hotel].cti.controlURL"),
            id="cti-that-its-engine-does-not-reach",
        ),
        pytest.param(
            broken_in_maintenance, group(), ("False", "Maintenance"),
            ("two independent sources say that the cti of hotel at east fails", "spec.maintenance", "take it away"),
            id="broken-in-maintenance",
        ),
        pytest.param(
            declined, group(failover="Manual"), ("False", "Declined"), ("its move was declined",), id="declined"
        ),
        pytest.param(
            declined_in_part, group(failover="Manual"), ("False", "TooFewObservers"), ("from outside west",),
            id="declined-and-something-is-wrong-at-the-other-site",
        ),
        pytest.param(
            lambda world: world.group(EAST, failover="Manual"),
            group(failover="Manual"),
            ("True", "RoomElsewhere"),
            ("a person decides",),
            id="manual",
        ),
    ],
)  # fmt: skip
def test_failover_ready_says_what_is_known(
    change: Callable[[World], None], body: dict[str, Any], condition: tuple[str, str], words: tuple[str, ...]
) -> None:
    world = settled()
    change(world)
    status = status_of(world, body)
    assert conditions(status)["FailoverReady"] == condition
    for word in words:
        assert word in message(status, "FailoverReady")


def test_a_condition_keeps_the_time_since_when_it_holds() -> None:
    world = settled()
    first = status_of(world)
    old = first.model_dump(mode="json", by_alias=True)
    for one in old["conditions"]:
        one["lastTransitionTime"] = "2020-01-01T00:00:00Z"
    again = status_of(world, status=old)
    assert {one.last_transition_time for one in again.conditions} == {"2020-01-01T00:00:00Z"}
    refused(world)
    changed = {one.type: one.last_transition_time for one in status_of(world, status=old).conditions}
    assert changed["Ready"] == "2023-11-14T22:13:20Z"
    assert changed["SpecConsistent"] == "2020-01-01T00:00:00Z"


def test_where_is_said_largest_first() -> None:
    world = settled()
    placed(world, {"east": "0-29", "east>west": "30-39", "west": "40-99"})
    assert where_text(world.snapshot.placements[GROUP]) == "west 60, east 30, east>west 10"
