"""Maintenance that is announced after the plan, and copies of the target's Site that differ: no wave starts onto it."""

from collections.abc import Callable

import pytest

from tandem.constants import PREPARE_PATIENCE_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.reasons import Reason
from tests.unit.domain.test_shifts import ALL_HOTEL, a_world, leave, many_groups, two_waves
from tests.unit.domain.world import GROUP, World, site_spec


def announce(world: World, by: tuple[str, ...] = ("east", "west")) -> None:
    world.publish(keys.SITE, "west", site_spec("west", "hotel", maintenance=True), by=by)


def differ(world: World) -> None:
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=1400), by=("west",))


def agree(world: World) -> None:
    world.publish(keys.SITE, "west", site_spec("west", "hotel"))


def asked_for_approval() -> World:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    return world


def approve(world: World) -> None:
    world.change_shift(approved=True, approved_by="ada")
    world.settle()


def test_a_plan_is_not_approved_onto_a_site_in_maintenance() -> None:
    world = asked_for_approval()
    announce(world)
    approve(world)
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", Reason.MAINTENANCE)
    assert "spec.maintenance" in record.message
    assert world.placement() == {"east": "0-99"}


def test_an_approved_plan_waits_until_the_copies_of_its_target_agree() -> None:
    world = asked_for_approval()
    differ(world)
    approve(world)
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Preparing", Reason.SPEC_NOT_CONSISTENT)
    assert world.placement() == {"east": "0-99"}
    agree(world)
    world.settle()
    assert world.placement() == {"east>west": "0-99"}


@pytest.mark.parametrize(("change", "reason"), [(announce, Reason.MAINTENANCE), (differ, Reason.SPEC_NOT_CONSISTENT)])
def test_a_shift_that_prepares_does_not_begin_meanwhile_and_gives_up_in_the_end(
    change: Callable[[World], None], reason: Reason
) -> None:
    world = a_world()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    world.observe("west", "west", "hotel", "cti", passes=False)
    approve(world)
    assert world.shift_record().reason == Reason.TARGET_NOT_USABLE
    change(world)
    world.healthy("west", "hotel")
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Preparing", reason)
    world.advance(PREPARE_PATIENCE_S + 1)
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Failed", reason)
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize(("change", "reason"), [(announce, Reason.MAINTENANCE), (differ, Reason.SPEC_NOT_CONSISTENT)])
def test_between_waves_the_next_one_waits(change: Callable[[World], None], reason: Reason) -> None:
    world = two_waves()
    change(world)
    leave(world, dict.fromkeys(range(90), 1))
    assert world.placement() == {"east": "0-89", "west": "90-99"}
    assert (world.shift_record().phase, world.shift_record().reason) == ("Moving", reason)
    agree(world)
    world.settle()
    assert world.placement() == {"east>west": "0-89", "west": "90-99"}


def some_of_many_groups() -> tuple[World, list[str]]:
    """A wave of more groups than one transaction starts, whose first transaction is committed; the groups' names."""
    world, names = many_groups()
    (commit,) = world.decide().commits
    assert len(commit.premises) <= TXN_OPERATIONS
    assert world.commit(commit)
    return world, names


@pytest.mark.parametrize(("change", "reason"), [(announce, Reason.MAINTENANCE), (differ, Reason.SPEC_NOT_CONSISTENT)])
def test_groups_of_a_wave_that_have_not_started_wait(change: Callable[[World], None], reason: Reason) -> None:
    world, names = some_of_many_groups()
    change(world)
    world.settle()
    assert world.shift_record().reason == reason
    assert any(world.placement(name) == {"east": "0-99"} for name in names)
    agree(world)
    world.settle()
    assert all(world.placement(name) == {"east>west": "0-99"} for name in names)


@pytest.mark.parametrize("by", [("west",), ("east",)])
def test_maintenance_that_is_announced_between_decision_and_commit_stops_the_wave(by: tuple[str, ...]) -> None:
    world = a_world()
    world.shift(**ALL_HOTEL)
    (commit,) = world.decide().commits
    announce(world, by=by)
    assert not world.commit(commit)


def test_a_copy_that_is_written_anew_with_the_same_words_stops_nothing_for_good() -> None:
    world = two_waves()
    agree(world)  # another revision of each copy
    leave(world, dict.fromkeys(range(90), 1))
    assert world.placement(GROUP) == {"east>west": "0-89", "west": "90-99"}
