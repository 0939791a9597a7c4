"""Several clusters, one truth."""

from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.gather import Gatherer
from tandem.domain.reasons import Reason
from tests.unit.domain.world import GROUP, World, group_spec, site_spec


def a_world() -> World:
    world = World()
    world.group({"east": 100})
    return world


def test_equal_copies_in_all_active_sites_agree() -> None:
    group = a_world().snapshot.groups[GROUP]
    assert group.consistent
    assert group.spec is not None
    assert group.spec.agents == 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(
            lambda world: world.group({"west": 100}, by=["west"]), "differs between east and west", id="other-spec"
        ),
        pytest.param(
            lambda world: world.group({"east": 100}, by=["west"], labels={"a": "b"}), "differs", id="other-labels"
        ),
        pytest.param(
            lambda world: world.group({"east": 100}, by=["west"], order_id="2"), "differs", id="other-order-id"
        ),
        pytest.param(
            lambda world: world.delete(keys.spec("west", keys.AGENT_GROUP, GROUP)),
            "published by east but not by west",
            id="missing",
        ),
    ],
)
def test_while_copies_differ_the_last_agreed_spec_stands_and_the_difference_is_named(change, message: str) -> None:  # type: ignore[no-untyped-def]
    world = a_world()
    world.snapshot  # noqa: B018 - what has been agreed before
    change(world)
    group = world.snapshot.groups[GROUP]
    assert not group.consistent
    assert message in group.message
    assert group.spec is not None
    assert [(share.site, share.percent) for share in group.spec.placement] == [("east", 100)]


def test_the_witness_has_no_say_in_where_agents_are() -> None:
    world = a_world()
    world.group({"west": 100}, by=["witness"])
    world.publish(keys.SITE, "witness", {"role": "Witness", "failureDomain": "x", "engineURL": "http://w"})
    assert world.snapshot.participants == {"east", "west"}
    assert world.snapshot.groups[GROUP].consistent


def test_an_object_that_nobody_publishes_is_gone() -> None:
    world = a_world()
    for site in world.cities:
        world.delete(keys.spec(site, keys.AGENT_GROUP, GROUP))
    assert GROUP not in world.snapshot.groups


def test_a_site_whose_copies_differ_is_what_it_says_of_itself() -> None:
    world = a_world()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", capacity=7), by=["east"])
    site = world.snapshot.sites["east"]
    assert not site.consistent
    assert site.spec is not None
    assert site.spec.systems[0].cti.capacity.agents == 7


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        (group_spec({"east": 50, "west": 40}), Reason.PERCENTAGES_DO_NOT_SUM, ["placement", "90", "100"]),
        (group_spec({"east": 100}, agents=0), Reason.NO_AGENTS, ["spec.agents", "0", "greater"]),
        (group_spec({"north": 100}), Reason.SITE_NOT_LISTED, ["placement", "north", "east, west"]),
        (group_spec({"east": 100}, sites=["east", "east"]), Reason.SITE_TWICE, ["sites", "east", "once"]),
        (group_spec({"east": 100}, waves=[50, 20]), Reason.WAVES_NOT_RISING, ["waves", "50"]),
        (group_spec({"east": 100}, pace=-1), Reason.INVALID_SPEC, ["spec.pace", "-1"]),
        (group_spec({"east": 100}, drain={"maxTalk": "long"}), Reason.INVALID_SPEC, ["spec.drain.maxTalk", "long"]),
    ],
)
def test_a_spec_that_cannot_be_read_is_refused_with_field_value_and_remedy(
    spec: dict[str, object], reason: Reason, words: list[str]
) -> None:
    world = a_world()
    world.publish(keys.AGENT_GROUP, GROUP, spec)
    refusal = world.snapshot.groups[GROUP].invalid
    assert refusal is not None
    assert refusal.reason == reason
    assert all(word in refusal.message for word in words), refusal.message


def another_engine_reads(world: World) -> None:
    """The engine that goes on was just started: it knows the store, and nothing that was agreed before."""
    world.gatherer = Gatherer()
    for key, (value, created, modified) in world.store.items():
        world.gatherer.apply(key, value, created, modified, world.mono)


def test_what_only_a_newer_version_knows_is_ignored_and_the_rest_is_read() -> None:
    world = World()
    newer = site_spec("east", "hotel", tariff="night")
    newer["systems"][0]["cti"]["colour"] = "red"
    world.publish(keys.SITE, "east", newer)
    world.group({"east": 100}, mood="good")
    another_engine_reads(world)
    site, group = world.snapshot.sites["east"], world.snapshot.groups[GROUP]
    assert (site.consistent, site.invalid, group.consistent, group.invalid) == (True, None, True, None)
    assert site.spec is not None
    assert group.spec is not None
    assert (site.spec.systems[0].cti.capacity.agents, group.spec.agents) == (1500, 100)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"detection": {"interval": "2s", "timeout": "1s", "confirmAfter": "2s"}}, id="confirmed-too-soon"),
        pytest.param({"detection": {"interval": "50ms"}}, id="an-interval-too-short"),
        pytest.param({"detection": {"interval": "0s", "timeout": "0s", "confirmAfter": "0s"}}, id="zero"),
        pytest.param({"detection": {"target": "3s"}}, id="a-target-that-cannot-be-kept"),
        pytest.param({"power": {"watts": 5}}, id="a-field-of-a-newer-version"),
    ],
)
def test_a_city_that_other_rules_admitted_is_rescued(changes: dict[str, Any]) -> None:
    world = World()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", **changes))
    world.group({"east": 100})
    world.settle()
    another_engine_reads(world)
    world.die("east")
    world.advance(3.0)
    world.settle()
    assert world.placement() == {"west": "0-99"}
