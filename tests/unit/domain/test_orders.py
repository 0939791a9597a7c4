"""Orders: the first placement, the changed order, and what consumes one."""

from tests.unit.domain.world import GROUP, World


def test_a_new_group_is_placed_as_ordered_once_every_city_reports() -> None:
    world = World()
    world.group({"east": 60, "west": 40})
    world.settle()
    assert world.placement() == {"east": "0-59", "west": "60-99"}
    assert world.record().cause == "Order"
    assert world.decide().commits == ()


def test_a_changed_order_becomes_a_shift_and_buckets_follow_the_sessions() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, {3: 2, 70: 1})
    world.group({"east": 50, "west": 50})
    world.settle()
    assert world.placement() == {"east": "0-49", "east>west": "50-99"}
    world.sessions("west", GROUP, {})
    world.sessions("east", GROUP, {3: 2, 70: 1})
    world.settle()
    assert world.placement() == {"east": "0-49", "west": "50-69,71-99", "east>west": "70"}
    world.sessions("west", GROUP, {70: 1})
    world.sessions("east", GROUP, {3: 2})
    world.settle()
    assert world.placement() == {"east": "0-49", "west": "50-99"}
    assert world.shift_record(world.only_shift()).phase == "Verifying"
    world.arrived("west", world.only_shift(), 1)
    world.settle()
    assert world.shift_record(world.only_shift()).phase == "Completed"
