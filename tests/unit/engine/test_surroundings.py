"""What the election learns from the picture."""

import pytest

from tandem.domain import keys
from tandem.domain.records import HeartbeatRecord
from tandem.engine.surroundings import TROUBLED_S, around
from tests.unit.domain.world import World


def test_a_witness_is_known_by_its_role_and_alive_by_its_heartbeat() -> None:
    world = World()
    world.delete(keys.heartbeat("witness"))
    assert around(world.snapshot, "east", world.mono).witness_alive_s is None
    world.put(keys.heartbeat("west"), HeartbeatRecord(site="west", engine="w", started_at=0))
    assert around(world.snapshot, "east", world.mono).witness_alive_s is None
    world.put(keys.heartbeat("witness"), HeartbeatRecord(site="witness", engine="x", started_at=0))
    found = around(world.snapshot, "east", world.mono + 7)
    assert (found.is_witness, found.witnesses, found.witness_alive_s) == (False, frozenset({"witness"}), 7)
    assert around(world.snapshot, "witness", world.mono).is_witness


@pytest.mark.parametrize(("moving", "under_way"), [(False, False), (True, True)])
def test_a_move_is_no_time_to_change_the_coordinator(moving: bool, under_way: bool) -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    if moving:
        world.shift(selector={"system": "hotel"}, to="west")
        world.settle()
    assert around(world.snapshot, "east", world.mono).under_way == under_way


def test_nor_is_the_moment_in_which_a_city_may_be_lost() -> None:
    world = World()
    world.observe("west", "east", "hotel", "cti", passes=False)
    said_at = world.mono
    assert around(world.snapshot, "west", said_at + TROUBLED_S - 0.1).under_way
    assert not around(world.snapshot, "west", said_at + TROUBLED_S).under_way
