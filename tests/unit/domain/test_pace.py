"""Pace: the parts of all groups, systems and sites together are what the Shift states, never more."""

from typing import Any

import pytest

from tandem.constants import FINISH_INTERVAL_S, PACE_GROUPS_PER_S, PACE_INTERVAL_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.pace import GroupPace, Leaving, Reception, needed_s, next_pace, split
from tandem.domain.records import MovesOfShift, MovesRecord, PlacementRecord
from tests.unit.domain.world import World


def test_without_a_pace_nobody_is_held_back() -> None:
    assert split(0, [Leaving("g", "hotel", {"east": 10})]) == {"g": GroupPace(0.0, 0.0)}


@pytest.mark.parametrize(
    "leaving",
    [
        pytest.param([Leaving("a", "hotel", {"east": 100})], id="one-group"),
        pytest.param([Leaving(f"g{n}", "hotel", {"east": 5}) for n in range(200)], id="two-hundred-groups"),
        pytest.param([Leaving("a", "hotel", {"east": 90}), Leaving("b", "flight", {"east": 10})], id="two-systems"),
        pytest.param([Leaving("a", "hotel", {"east": 60, "north": 30})], id="from-two-sites"),
        pytest.param([Leaving("a", "hotel", {"east": 0}), Leaving("b", "hotel", {"east": 0})], id="at-night"),
    ],
)
def test_all_parts_add_up_to_the_pace(leaving: list[Leaving]) -> None:
    found = split(100, leaving)
    by_each_group = sum(found[one.group].own * len(one.sites) for one in leaving)
    ctis = {(one.system, site): found[one.group].together for one in leaving for site in one.sites}
    assert by_each_group == pytest.approx(100)
    assert sum(ctis.values()) == pytest.approx(100)
    assert all(part.own > 0 for part in found.values())


def test_each_cti_has_its_part_by_its_agents_where_no_group_leaves_two_of_them() -> None:
    east = [Leaving("a", "hotel", {"east": 60}), Leaving("b", "hotel", {"east": 30})]
    found = split(10, [*east, Leaving("c", "hotel", {"north": 10})])
    assert found == {"a": GroupPace(6.0, 9.0), "b": GroupPace(3.0, 9.0), "c": GroupPace(1.0, 1.0)}
    found = split(10, [*east, Leaving("c", "hotel", {"north": 5, "east": 5})])
    assert {part.together for part in found.values()} == {5.0}


def test_each_group_has_its_part_by_its_agents() -> None:
    found = split(10, [Leaving("small", "hotel", {"east": 10}), Leaving("big", "hotel", {"east": 90})])
    assert found == {"small": GroupPace(1.0, 10.0), "big": GroupPace(9.0, 10.0)}


@pytest.mark.parametrize(
    ("pace", "leaving", "there", "seconds"),
    [
        pytest.param(5, [Leaving("a", "hotel", {"east": 1000})], {}, 200, id="from-one-site"),
        pytest.param(5, [Leaving("a", "hotel", {"east": 500, "north": 500})], {}, 200, id="evenly-from-two"),
        pytest.param(5, [Leaving("a", "hotel", {"east": 900, "north": 100})], {}, 360, id="unevenly-from-two"),
        pytest.param(
            5, [Leaving("a", "hotel", {"east": 900}), Leaving("b", "hotel", {"north": 100})], {}, 200, id="by-groups"
        ),
        pytest.param(
            5, [Leaving("a", "hotel", {"east": 90}), Leaving("b", "flight", {"east": 10})], {}, 20, id="two-systems"
        ),
        pytest.param(
            5,
            [Leaving("a", "hotel", {"east": 500, "north": 500})],
            {("east", "hotel"): 900.0, ("north", "hotel"): 100.0, ("west", "hotel"): 5000.0},
            360,
            id="more-than-planned-are-there",
        ),
        pytest.param(0, [Leaving("a", "hotel", {"east": 1000})], {}, 0, id="no-pace"),
        pytest.param(5, [], {}, 0, id="nobody"),
    ],
)
def test_a_wave_needs_as_long_as_the_cti_with_most_of_its_agents(
    pace: float, leaving: list[Leaving], there: dict[tuple[str, str], float], seconds: float
) -> None:
    assert needed_s(pace, leaving, there) == pytest.approx(seconds)


def two_groups(**spec: Any) -> World:
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
    commits = world.settle()
    placed = [record for commit in commits for record in commit.writes.values() if isinstance(record, PlacementRecord)]
    assert {record.together_pace for record in placed} == {20.0}  # from the first commit on
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


# -- a slow target


@pytest.mark.parametrize(
    ("now", "receptions", "then"),
    [
        pytest.param(100, [], 100, id="nobody-has-arrived-lately"),
        pytest.param(40, [], 40, id="no-news-is-no-reason-to-go-faster"),
        pytest.param(100, [Reception(0.3, 400)], 100, id="all-is-well"),
        pytest.param(100, [Reception(1.1, 400)], 50, id="slow-half"),
        pytest.param(100, [Reception(0.3, 400), Reception(1.1, 400)], 50, id="one-of-two-is-slow"),
        pytest.param(100, [Reception(0.3, 70)], 70, id="what-it-bears"),
        pytest.param(100, [Reception(1.1, 30)], 30, id="slow-and-bears-less-than-half"),
        pytest.param(12, [Reception(1.1, 400)], 10, id="never-below-the-least"),
        pytest.param(100, [Reception(0.3, 2)], 10, id="nor-by-what-it-bears"),
        pytest.param(50, [Reception(0.3, 400)], 60, id="up-in-steps"),
        pytest.param(95, [Reception(0.3, 400)], 100, id="never-above-the-stated"),
        pytest.param(50, [Reception(0.3, 0)], 60, id="a-cti-that-does-not-say-what-it-bears"),
        pytest.param(50, [Reception(0.3, 55)], 55, id="up-to-what-it-bears"),
    ],
)
def test_the_pace_follows_the_target_down_at_once_and_up_in_steps(
    now: float, receptions: list[Reception], then: float
) -> None:
    assert next_pace(100, now, receptions) == pytest.approx(then)


def taken_in(world: World, p95: float, agents: int = 5, site: str = "west") -> None:
    """The last ones who arrived were so long out of service."""
    moves = MovesOfShift(agents=agents, p50=p95, p95=p95, max=p95, last_at=0, recent_p95=p95)
    world.put(keys.moves(site, "hotel"), MovesRecord(shifts={"callcenter/s1": moves}))


def test_a_slow_target_slows_every_group_on_its_way_and_it_picks_up_again() -> None:
    world = two_groups()
    world.advance(PACE_INTERVAL_S)
    taken_in(world, 1.5)
    world.settle()
    small, big = world.record("callcenter/small"), world.record("callcenter/big")
    assert (small.pace, big.pace, big.together_pace) == (1.0, 9.0, 10.0)
    assert small.map == big.map == {"east>west": "0-99"}
    assert world.shift_record().pace == 10.0
    taken_in(world, 1.5, agents=6)
    world.settle()
    assert world.shift_record().pace == 10.0  # not again so soon
    for pace in (12.0, 14.0, 16.0, 18.0, None, None):
        world.advance(PACE_INTERVAL_S + 0.1)
        taken_in(world, 0.2, agents=7)
        world.settle()
        assert world.shift_record().pace == pace
        assert world.record("callcenter/big").together_pace == (pace or 20.0)


def test_news_of_a_while_ago_is_none() -> None:
    world = two_groups()
    taken_in(world, 1.5)
    world.advance(PACE_INTERVAL_S + 1)
    world.settle()
    assert world.shift_record().pace is None


def test_under_a_hold_nothing_is_written() -> None:
    world = two_groups()
    world.hold()
    world.advance(PACE_INTERVAL_S)
    taken_in(world, 1.5)
    world.settle()
    assert world.record("callcenter/big").together_pace == 20.0


def test_the_way_back_slows_down_as_well() -> None:
    world = two_groups()
    world.change_shift(abort=True)
    world.settle()
    for name in ("callcenter/small", "callcenter/big"):
        world.sessions("west", name, {5: 1})
    world.advance(PACE_INTERVAL_S)
    taken_in(world, 1.5, site="east")
    world.settle()
    record = world.record("callcenter/big")
    assert "west>east" in record.map
    assert record.together_pace == 10.0


def test_more_groups_than_one_transaction_holds_are_slowed_down_in_several() -> None:
    world = World()
    names = [f"callcenter/g{number:03d}" for number in range(150)]
    for name in names:
        world.group({"east": 100}, name=name, agents=1)
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west", pace=100)
    world.settle()
    world.advance(150 / PACE_GROUPS_PER_S)
    taken_in(world, 1.5)
    commits = world.settle()
    assert {world.record(name).together_pace for name in names} == {50.0}
    assert all(len(commit.writes) <= TXN_OPERATIONS for commit in commits)
    assert sum(world.record(name).pace for name in names) == pytest.approx(50)


@pytest.mark.parametrize("set_by", [-3600.0, 3600.0])
def test_a_wall_clock_that_is_set_neither_hurries_nor_delays_the_next_look(set_by: float) -> None:
    world = two_groups()
    world.advance(PACE_INTERVAL_S)
    world.wall_ahead += set_by
    taken_in(world, 1.5)
    world.settle()
    assert world.shift_record().pace == 10.0
    taken_in(world, 1.5, agents=6)
    world.settle()
    assert world.shift_record().pace == 10.0  # not again so soon
    world.advance(PACE_INTERVAL_S + 0.1)
    taken_in(world, 1.5, agents=7)
    world.settle()
    assert world.shift_record().pace == 5.0
