"""An emergency interrupts the Shifts on their way from or to what is lost, although it moves nobody of their groups."""

from typing import Any

import pytest

from tandem.constants import DOWN_EXTRA_S, FINISH_INTERVAL_S, QUARANTINE_MOST_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.reasons import Reason
from tests.unit.domain.test_shifts import ALL_HOTEL, leave
from tests.unit.domain.world import GROUP, World, site_spec

SHIFT = "callcenter/s1"
CONFIRMED_S = 2.01


def between_waves(**group: Any) -> World:
    """A quarter of the group is at west, and nobody is on the way."""
    world = World()
    world.group({"east": 100}, **group)
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(**ALL_HOTEL, waves=[25, 100], gates={"signedIn": 0, "observe": "1h"})
    world.settle()
    leave(world, dict.fromkeys(range(75), 1))
    assert world.placement() == {"east": "0-74", "west": "75-99"}
    assert (world.shift_record().phase, world.shift_record().wave) == ("Moving", 1)
    return world


def lose(world: World, city: str) -> None:
    other = "east" if city == "west" else "west"
    world.die(city, seen_by=(other, "witness"))
    world.advance(CONFIRMED_S)
    world.settle()


@pytest.mark.parametrize("city", ["east", "west"])
def test_a_shift_of_a_group_that_a_person_decides_on_never_resumes(city: str) -> None:
    world = between_waves(failover="Manual")
    lose(world, city)
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Interrupted", Reason.FAILED_OVER)
    assert world.placement() == {"east": "0-74", "west": "75-99"}
    assert world.shift_record(f"callcenter/{city}-1-failover").phase == "AwaitingApproval"
    world.come_back(city)
    world.settle()
    world.advance(QUARANTINE_MOST_S + 3600)
    world.settle()
    assert world.placement() == {"east": "0-74", "west": "75-99"}


def test_a_shift_of_a_group_that_nobody_can_take_over_never_resumes() -> None:
    world = between_waves()
    world.publish(keys.SITE, "east", site_spec("east", "hotel", capacity=75))
    lose(world, "west")
    assert world.shift_record().phase == "Interrupted"
    assert world.placement() == {"east": "0-74", "west": "75-99"}


def test_it_says_what_it_had_done() -> None:
    world = between_waves(failover="Manual")
    lose(world, "west")
    message = world.shift_record().message
    assert message.startswith("interrupted in moving, wave 1: west is Absent, and its agents came first; ")
    assert "about 25 of 100 agents had moved; of 1 groups 0 wholly, 0 on their way" in message


def test_one_whose_group_is_rescued_says_it_too() -> None:
    world = between_waves()
    world.shift("callcenter/s2", **ALL_HOTEL)
    lose(world, "east")
    assert "about 25 of 100 agents had moved" in world.shift_record().message
    assert world.placement() == {"west": "0-99"}


def test_one_on_its_way_counts_its_groups() -> None:
    world = World()
    names = [f"callcenter/g{number}" for number in range(3)]
    for name in names:
        world.group({"east": 100}, name=name, agents=10, failover="Manual")
    world.settle()
    for name in names:
        world.sessions("east", name, dict.fromkeys(range(10), 1))
    world.shift(**ALL_HOTEL)
    world.settle()
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east", names[0], {})
    world.sessions("west", names[0], dict.fromkeys(range(10), 1))
    world.settle()
    lose(world, "west")
    message = world.shift_record().message
    assert "about 10 of 30 agents had moved; of 3 groups 1 wholly, 2 on their way" in message


def test_one_that_had_moved_nobody_says_that() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.shift(**ALL_HOTEL, approval="Manual")
    world.settle()
    lose(world, "east")
    assert "nobody had moved" in world.shift_record().message


def test_one_of_another_system_goes_on() -> None:
    world = World(systems=("hotel", "flight"))
    world.group({"east": 100}, failover="Manual")
    world.group({"west": 100}, name="callcenter/flights", system="flight", failover="Manual")
    world.settle()
    world.shift(**ALL_HOTEL)
    world.settle()
    for observer in ("west", "east", "witness"):
        world.observe(observer, "west", "flight", "cti", passes=False)
    world.advance(CONFIRMED_S + DOWN_EXTRA_S)
    world.settle()
    assert world.snapshot.failovers["west"].record.systems == ("flight",)
    assert world.shift_record().phase == "Moving"


def test_more_shifts_than_one_transaction_holds_all_end() -> None:
    world = World()
    names = [f"g{number:03d}" for number in range(150)]
    for name in names:
        world.group({"east": 100}, name=f"callcenter/{name}", agents=1, failover="Manual")
    world.settle()
    for name in names:
        world.group({"east": 99, "west": 1}, name=f"callcenter/{name}", agents=1, failover="Manual")
    world.settle()
    assert len(world.snapshot.unfinished_shifts()) == 150
    world.die("west", seen_by=("east", "witness"))
    world.advance(CONFIRMED_S)
    commits = world.settle()
    assert all(len(commit.writes) <= TXN_OPERATIONS for commit in commits)
    assert all(shift.is_question for shift in world.snapshot.unfinished_shifts())
