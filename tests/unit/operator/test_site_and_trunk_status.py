"""Statuses of Sites and Trunks."""

from typing import Any

import pytest

from tandem.api.trunk import TrunkSpec
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.digest import trunk_digest
from tandem.domain.records import GroupReport, HeartbeatRecord, ObservationRecord, TrunkRecord
from tandem.operator.statuses.common import Said, Scene
from tandem.operator.statuses.site import site_status
from tandem.operator.statuses.trunk import trunk_status
from tests.support.manifests import site, trunk
from tests.unit.domain.world import World, site_spec
from tests.unit.operator.objects import conditions, kstatus, message, seen

TRUNK = "callcenter/hotel"
ROUTES = ({"name": "first", "site": "east", "weight": 60}, {"name": "second", "site": "west", "weight": 20})
DECIDED_FROM = trunk_digest(TrunkSpec.model_validate(trunk()["spec"]))


def scene(world: World, silent_s: float = 0.0) -> Scene:
    return Scene(world.snapshot, "east", 1_700_000_000.0, silent_s, "no leader" if silent_s else "", world.mono)


def of_site(world: World, name: str = "east", *local: Said, **changes: Any) -> Any:
    return site_status(scene(world, **changes), seen(site(name)), Ledger(world.snapshot), local)


def after(status: Any, world: World, now: float = 1_700_000_100.0) -> Any:
    """The status of east that follows on `status`."""
    shown = seen(site("east"), status=status.model_dump(mode="json", by_alias=True))
    moment = Scene(world.snapshot, "east", now, mono=world.mono)
    return site_status(moment, shown, Ledger(world.snapshot))


def of_trunk(world: World, silent_s: float = 0.0) -> Any:
    return trunk_status(scene(world, silent_s), seen(trunk()))


def test_what_deep_probes_say_is_listed_beside_the_rest() -> None:
    world = World()
    for location in ("east", "witness"):
        word = ObservationRecord(state="Pass" if location == "east" else "Fail", since=5.0, detail="call: 503")
        world.put(keys.observation(location, "east", "hotel", "call"), word)
    beats = {(beat.system, beat.component): beat for beat in of_site(world).heartbeat}
    assert beats["hotel", "call"].sources_for == ("east",)
    assert beats["hotel", "call"].sources_against == ("witness",)
    assert ("hotel", "sign-in") not in beats


def test_a_silent_city_that_is_not_given_up_says_who_reaches_it() -> None:
    world = World()
    world.die("east")
    world.observe("west", "east", "", "engine")
    status = of_site(world)
    assert "not given up: west reaches the engine of east since" in status.message
    assert status.message == message(status, "Ready")


def test_who_has_measured_nothing_for_long_says_neither_this_nor_that() -> None:
    world = World()
    world.observe("west", "east", "hotel", "cti", stale=True)
    beats = {(beat.system, beat.component): beat for beat in of_site(world).heartbeat}
    assert (beats["hotel", "cti"].sources_for, beats["hotel", "cti"].sources_against) == (("east", "witness"), ())


def test_every_component_is_listed_once() -> None:
    """A list with two entries of one key is refused by the Kubernetes API, and the whole status with it."""
    world = World()
    world.put(keys.observation("east", "east", "hotel", "call"), ObservationRecord(state="Pass", since=5.0))
    listed = [(beat.system, beat.component) for beat in of_site(world).heartbeat]
    assert listed.count(("hotel", "call")) == 1
    assert len(listed) == len(set(listed))


def test_a_healthy_site_says_what_it_carries_and_who_says_so() -> None:
    world = World(systems=("flight", "hotel"))
    world.put(keys.heartbeat("east"), HeartbeatRecord(site="east", engine="e", started_at=1.0))
    world.report(
        "east", "hotel", {"callcenter/sales": GroupReport(signed_in=12), "callcenter/x": GroupReport(signed_in=3)}
    )
    status = of_site(world)
    assert (status.verdict, status.signed_in, status.capacity) == ("Healthy", 15, 3000)
    assert (status.coordinator, status.here) == ("witness", True)
    assert [(use.name, use.signed_in) for use in status.systems] == [("flight", 0), ("hotel", 15)]
    beats = {(beat.system, beat.component): beat.sources_for for beat in status.heartbeat}
    assert beats[("hotel", "cti")] == ("east", "west", "witness")
    assert conditions(status)["Ready"] == ("True", "ProbesPass")
    assert conditions(status)["EngineAlive"] == ("True", "Heartbeat")
    assert of_site(world, "west").here is False


def test_each_system_says_why_even_when_another_one_is_worse() -> None:
    world = World(systems=("flight", "hotel"))
    world.observe("west", "east", "flight", "softswitch", passes=False, since=1_700_000_000.0)
    for observer in ("west", "witness"):
        world.observe(observer, "east", "hotel", "cti", passes=False)
    status = of_site(world)
    flight, hotel = status.systems
    assert (flight.verdict, flight.reason, flight.since) == ("Degraded", "AccusedByOne", "2023-11-14T22:13:20Z")
    assert "west on the softswitch" in flight.message
    assert (hotel.verdict, hotel.reason) == ("Suspect", "AccusedByTwo")
    assert status.message == hotel.message


def test_since_when_a_verdict_is_given_changes_with_the_verdict_only() -> None:
    world = World()
    first = of_site(world)
    assert first.since == first.systems[0].since != ""
    world.observe("witness", "east", "hotel", "cti", since=1_700_000_050.0)  # its engine was restarted
    second = after(first, world)
    assert second.since == first.since
    world.publish(keys.SITE, "east", site_spec("east", "hotel", maintenance=True))
    third = after(second, world)
    assert (third.verdict, third.since) == ("Maintenance", "2023-11-14T22:15:00Z")
    assert third.systems[0].since == third.since
    again = after(third, world, 1_700_000_200.0)
    assert again.since == third.since


def test_a_dead_city_is_suspect_until_it_is_given_up() -> None:
    world = World()
    world.die("east")
    assert (of_site(world).verdict, of_site(world).systems[0].verdict) == ("Suspect", "Suspect")
    world.advance(2.1)
    assert (of_site(world).verdict, of_site(world).systems[0].verdict) == ("Absent", "Absent")


def test_a_suspect_site_names_its_accuser() -> None:
    world = World()
    world.observe("witness", "east", "hotel", "cti", passes=False, firm=False)
    world.delete(keys.heartbeat("east"))
    status = of_site(world)
    assert status.verdict == "Suspect"
    assert conditions(status)["Ready"] == ("False", "AccusedByOne")
    assert "witness on the cti" in message(status, "Ready")
    assert conditions(status)["EngineAlive"] == ("False", "NoHeartbeat")


def test_a_site_nobody_reports_on_is_unknown() -> None:
    world = World()
    for observer in ("east", "west", "witness"):
        for component in ("softswitch", "cti"):
            world.delete(keys.observation(observer, "west", "hotel", component))
    status = of_site(world, "west")
    assert (status.verdict, conditions(status)["Ready"]) == ("Unknown", ("Unknown", "NoEvidence"))


def test_the_hold_and_local_knowledge_are_shown() -> None:
    world = World()
    world.hold()
    said = Said("ReplicasOwned", "False", "OwnedByAnother", "flux")
    status = of_site(world, "east", said)
    assert (status.hold.active, status.hold.by, status.hold.reason) == (True, "ada", "storm")
    assert conditions(status)["ReplicasOwned"] == ("False", "OwnedByAnother")


def test_a_silent_store_makes_a_site_unknown() -> None:
    said = ("Ready", "EngineAlive", "SpecConsistent")
    assert conditions(of_site(World(), silent_s=9.0)) == dict.fromkeys(said, ("Unknown", "StoreUnreachable"))


@pytest.mark.parametrize(
    ("record", "ready", "kinds"),
    [
        pytest.param(None, ("False", "NotDecidedYet"), {"Reconciling"}, id="not-decided"),
        pytest.param(
            TrunkRecord(routes=ROUTES, revision=5, decided_from=DECIDED_FROM),
            ("False", "NotConfirmedYet"),
            {"Reconciling"},
            id="pushed",
        ),
        pytest.param(
            TrunkRecord(routes=ROUTES, revision=5, confirmed_revision=4, decided_from=DECIDED_FROM),
            ("False", "NotConfirmedYet"),
            {"Reconciling"},
            id="older-ones-confirmed",
        ),
        pytest.param(
            TrunkRecord(routes=ROUTES, revision=5, confirmed_revision=5, decided_from=DECIDED_FROM),
            ("True", "RoutesInForce"),
            set(),
            id="in-force",
        ),
        pytest.param(
            TrunkRecord(routes=ROUTES, revision=5, confirmed_revision=5, decided_from="an older spec"),
            ("False", "NotDecidedYet"),
            {"Reconciling"},
            id="in-force-from-an-older-spec",
        ),
        pytest.param(
            TrunkRecord(routes=(), reason="RouteToNowhere", message="the route leads to nowhere"),
            ("False", "RouteToNowhere"),
            {"Stalled"},
            id="wrong",
        ),
    ],
)
def test_a_trunk_is_ready_when_the_carrier_has_its_newest_routes(
    record: TrunkRecord | None, ready: tuple[str, str], kinds: set[str]
) -> None:
    world = World()
    world.publish(keys.TRUNK, TRUNK, trunk()["spec"])
    if record is not None:
        world.put(keys.trunk(TRUNK), record)
    status = of_trunk(world)
    found = conditions(status)
    assert found["Ready"] == ready
    assert found.keys() & {"Reconciling", "Stalled"} == kinds
    assert kstatus(status) == (
        "InProgress" if "Reconciling" in kinds else "Failed" if "Stalled" in kinds else "Current"
    )


def test_a_trunk_that_was_changed_here_is_not_ready_before_the_store_has_the_change() -> None:
    world = World()
    older = trunk()["spec"]
    older["routes"][0]["weight"] += 1
    world.publish(keys.TRUNK, TRUNK, older)
    world.put(keys.trunk(TRUNK), TrunkRecord(routes=ROUTES, revision=5, confirmed_revision=5))
    status = of_trunk(world)
    assert conditions(status)["Ready"] == ("False", "Publishing")
    assert kstatus(status) == "InProgress"


def test_a_trunk_says_where_its_calls_go() -> None:
    world = World()
    world.publish(keys.TRUNK, TRUNK, trunk()["spec"])
    record = TrunkRecord(routes=ROUTES, revision=5, confirmed_revision=5, channels_in_use=9, decided_from=DECIDED_FROM)
    world.put(keys.trunk(TRUNK), record)
    status = of_trunk(world)
    assert (status.where, status.channels_in_use, status.revision) == ("east 75, west 25", 9, 5)
    said = ("Ready", "SpecConsistent")
    assert conditions(of_trunk(world, silent_s=9.0)) == dict.fromkeys(said, ("Unknown", "StoreUnreachable"))


def test_a_trunk_that_was_not_published_says_so() -> None:
    assert conditions(of_trunk(World()))["Ready"] == ("False", "Publishing")
