"""The way home after an emergency: asked for, to a stable city, once, and paced."""

from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.reasons import Reason
from tests.unit.domain.world import GROUP, World

STABLE_S = 600.0
AUTOMATIC = {"mode": "Automatic", "stableFor": "10m"}


def after_the_storm(**changes: Any) -> World:
    """East has died and come back; its hundred agents work at west."""
    world = World()
    world.group({"east": 100}, **{"return": AUTOMATIC, "pace": 20, **changes})
    world.settle()
    world.die("east")
    world.advance(2.01)
    world.settle()
    world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
    world.come_back("east")
    world.settle()
    assert world.placement() == {"west": "0-99"}
    return world


def test_a_stable_city_gets_its_agents_back_by_one_paced_shift() -> None:
    world = after_the_storm(waves=[10, 100])
    world.advance(STABLE_S - 0.1)
    assert world.settle() == []
    assert world.decide().wake_at == pytest.approx(world.mono + 0.1, abs=0.01)
    world.advance(0.2)
    world.settle()
    assert world.placement() == {"west": "0-89", "west>east": "90-99"}
    shift = world.shift_record(world.only_shift())
    assert (shift.phase, shift.spec.pace, shift.spec.to) == ("Moving", 20, "east")
    assert world.record().cause.startswith("Shift/")


def test_nobody_returns_by_himself_unless_his_group_asks_for_it() -> None:
    world = after_the_storm(**{"return": {"mode": "Manual"}})
    world.advance(24 * 3600)
    assert world.settle() == []


def test_a_word_against_the_city_begins_the_wait_anew() -> None:
    world = after_the_storm()
    world.advance(STABLE_S - 10)
    world.observe("witness", "east", "hotel", "cti", passes=False, firm=False)
    world.advance(60)
    assert world.settle() == []
    world.observe("witness", "east", "hotel", "cti")
    world.advance(STABLE_S - 0.1)
    assert world.settle() == []
    world.advance(0.2)
    world.settle()
    assert world.map().in_transit


@pytest.mark.parametrize("accuser", ["witness", "clients@west"])
def test_so_does_one_that_vanishes_with_its_observer(accuser: str) -> None:
    world = after_the_storm()
    world.advance(STABLE_S - 10)
    world.observe(accuser, "east", "hotel", "cti", passes=False, firm=False)
    world.advance(60)
    assert world.settle() == []
    world.delete(keys.observation(accuser, "east", "hotel", "cti"))
    world.advance(STABLE_S - 0.1)
    assert world.settle() == []
    world.advance(0.2)
    world.settle()
    assert world.map().in_transit


def test_a_hold_a_person_or_a_lack_of_room_is_in_its_way() -> None:
    world = after_the_storm()
    world.hold()
    world.advance(STABLE_S + 1)
    assert world.settle() == []
    assert Reason.HELD in world.reasons()
    world.delete(keys.HOLD)
    world.shift(selector={"system": "hotel"}, to="east", percent=10)
    world.settle()
    assert dict(world.map().end_shares) == {"west": 90, "east": 10}, "a person's Shift came first"
    world.sessions("east", GROUP, {})
    world.sessions("west", GROUP, dict.fromkeys(range(90), 1))
    world.advance(3600)
    world.settle()
    assert dict(world.map().end_shares) == {"west": 90, "east": 10}, "and is not corrected"


def test_one_that_was_aborted_is_not_begun_again() -> None:
    world = after_the_storm()
    world.advance(STABLE_S + 0.1)
    world.settle()
    name = world.only_shift()
    world.change_shift(name, abort=True)
    world.settle()
    world.sessions("east", GROUP, {})
    world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
    world.settle()
    assert world.shift_record(name).phase == "RolledBack"
    world.advance(3600)
    world.settle()
    assert list(world.snapshot.shifts) == [name]


def test_what_failed_in_between_stops_it() -> None:
    world = after_the_storm()
    world.advance(STABLE_S + 0.1)
    [commit] = world.decide().commits
    record = world.snapshot.failovers["east"].record
    world.put(keys.failover("east"), record.model_copy(update={"state": "Active"}))
    assert not world.commit(commit)
