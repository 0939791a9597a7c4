"""Pace: the parts of all groups, systems and sites together are what the Shift states, never more."""

import pytest

from tandem.constants import FINISH_INTERVAL_S
from tandem.domain.pace import GroupPace, Leaving, split
from tests.unit.domain.world import World

EAST = frozenset({"east"})


def test_without_a_pace_nobody_is_held_back() -> None:
    assert split(0, [Leaving("g", "hotel", 10, EAST)]) == {"g": GroupPace(0.0, 0.0)}


@pytest.mark.parametrize(
    "leaving",
    [
        pytest.param([Leaving("a", "hotel", 100, EAST)], id="one-group"),
        pytest.param([Leaving(f"g{n}", "hotel", 5, EAST) for n in range(200)], id="two-hundred-groups"),
        pytest.param([Leaving("a", "hotel", 90, EAST), Leaving("b", "flight", 10, EAST)], id="two-systems"),
        pytest.param([Leaving("a", "hotel", 90, frozenset({"east", "north"}))], id="from-two-sites"),
        pytest.param([Leaving("a", "hotel", 0, EAST), Leaving("b", "hotel", 0, EAST)], id="at-night"),
    ],
)
def test_all_parts_add_up_to_the_pace(leaving: list[Leaving]) -> None:
    found = split(100, leaving)
    by_each_group = sum(found[one.group].own * len(one.sites) for one in leaving)
    ctis = {(one.system, site): found[one.group].together for one in leaving for site in one.sites}
    assert by_each_group == pytest.approx(100)
    assert sum(ctis.values()) == pytest.approx(100)
    assert all(part.own > 0 for part in found.values())


def test_each_group_has_its_part_by_its_agents() -> None:
    found = split(10, [Leaving("small", "hotel", 10, EAST), Leaving("big", "hotel", 90, EAST)])
    assert found == {"small": GroupPace(1.0, 10.0), "big": GroupPace(9.0, 10.0)}


def two_groups(**spec: object) -> World:
    """Two groups at east, with 10 and 90 agents signed in."""
    world = World(systems=("hotel",))
    for name, each in (("callcenter/small", 0), ("callcenter/big", 1)):
        world.group({"east": 100}, name=name, agents=100)
        world.settle()
        world.sessions("east", name, dict.fromkeys(range(10 + 80 * each), 1))
    world.shift(selector={"system": "hotel"}, to="west", pace=20, **spec)
    world.settle()
    return world


def test_a_shift_over_several_groups_has_one_pace() -> None:
    world = two_groups()
    small, big = world.record("callcenter/small"), world.record("callcenter/big")
    assert (small.pace, big.pace) == (2.0, 18.0)
    assert {(one.together, one.together_pace) for one in (small, big)} == {("callcenter/s1", 20.0)}


def test_the_way_back_has_the_same_pace() -> None:
    world = two_groups()
    for name in ("callcenter/small", "callcenter/big"):
        world.sessions("west", name, world.buckets("east", name))
        world.sessions("east", name, {})
    world.advance(FINISH_INTERVAL_S)
    world.settle()
    world.change_shift(abort=True)
    world.settle()
    small, big = world.record("callcenter/small"), world.record("callcenter/big")
    assert small.map == big.map == {"west>east": "0-99"}
    assert (small.pace, big.pace, small.together_pace) == (2.0, 18.0, 20.0)


def test_a_move_without_a_pace_names_no_pace_of_an_earlier_one() -> None:
    world = two_groups()
    for name in ("callcenter/small", "callcenter/big"):
        world.sessions("west", name, world.buckets("east", name))
        world.sessions("east", name, {})
    world.advance(FINISH_INTERVAL_S)
    world.settle()
    world.arrived("west", "callcenter/s1", 100)
    world.settle()
    world.shift("callcenter/s2", selector={"system": "hotel"}, to="east")
    world.settle()
    record = world.record("callcenter/big")
    assert record.map == {"west>east": "0-99"}
    assert (record.pace, record.together, record.together_pace) == (0.0, "", 0.0)
