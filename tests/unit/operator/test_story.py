"""What is told about the difference between two pictures of the store."""

from collections.abc import Callable

import pytest

from tandem.domain import keys
from tandem.domain.records import CoordinatorRecord, OrderRecord, TrunkRecord
from tandem.operator.story import tales
from tests.unit.domain.drill_world import DRILL, DrillWorld
from tests.unit.domain.world import GROUP, World

SHIFT = "callcenter/s1"


def told(world: World, change: Callable[[World], None]) -> list[tuple[str, str, str]]:
    before = world.snapshot
    change(world)
    return [
        (f"{tale.resource.kind} {tale.name}", tale.reason, tale.message)
        for tale in tales(before, world.snapshot, "east")
    ]


def settled() -> World:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    return world


def coordinator(site: str) -> Callable[[World], None]:
    return lambda world: world.put(keys.COORDINATOR, CoordinatorRecord(site=site, engine="e"))


def order(outcome: str, **words: str) -> Callable[[World], None]:
    record = OrderRecord.model_validate({"digest": "new", "outcome": outcome, **words})
    return lambda world: world.put(keys.order(GROUP), record)


def accuse(world: World) -> None:
    world.observe("witness", "west", "hotel", "cti", passes=False, firm=False)


@pytest.mark.parametrize(
    ("change", "subject", "reason", "words"),
    [
        pytest.param(World.hold, "Site east", "Held", "ada holds everything: storm", id="hold"),
        pytest.param(coordinator("west"), "Site east", "CoordinatorChanged", "west is coordinator now; it was witness"),
        pytest.param(accuse, "Site west", "SiteSuspect", "witness on the cti", id="suspect"),
        pytest.param(
            order("Refused", reason="CapacityExceeded", message="no room"),
            f"AgentGroup {GROUP}",
            "OrderRefused",
            "CapacityExceeded: no room",
            id="refused",
        ),
        pytest.param(
            order("Accepted", shift="callcenter/x"), f"AgentGroup {GROUP}", "OrderAccepted", "Shift x", id="accepted"
        ),
        pytest.param(
            lambda world: world.put(keys.trunk("callcenter/hotel"), TrunkRecord(routes=(), message="to nowhere")),
            "Trunk callcenter/hotel",
            "RoutesNotInForce",
            "to nowhere",
            id="trunk",
        ),
    ],
)
def test_one_change_is_one_tale(change: Callable[[World], None], subject: str, reason: str, words: str) -> None:
    ((found_subject, found_reason, message),) = told(settled(), change)
    assert (found_subject, found_reason) == (subject, reason)
    assert words in message


def test_nothing_new_is_not_told() -> None:
    world = settled()
    world.hold()
    assert told(world, lambda _: None) == []
    assert told(world, lambda world: world.report("east", "hotel", {})) == []


def test_a_move_is_told_from_plan_to_end() -> None:
    world = settled()

    def begin(world: World) -> None:
        world.shift(SHIFT, selector={"names": [GROUP.rpartition("/")[2]]}, to="west")
        world.settle()

    found = told(world, begin)
    assert [(subject, reason) for subject, reason, _ in found] == [
        (f"Shift {SHIFT}", "ShiftPlanned"),
        (f"Shift {SHIFT}", "MoveStarted"),
        (f"AgentGroup {GROUP}", "MoveStarted"),
    ]
    assert "100 agents to west" in found[2][2]

    def end(world: World) -> None:
        world.sessions("east", GROUP, {})
        world.sessions("west", GROUP, dict.fromkeys(range(100), 1))
        world.arrived("west", SHIFT, 100)
        world.settle()

    found = told(world, end)
    assert [(subject, reason) for subject, reason, _ in found] == [
        (f"Shift {SHIFT}", "Moved"),
        (f"AgentGroup {GROUP}", "Moved"),
    ]
    assert "p50 0.100s, p95 0.200s, max 0.300s" in found[0][2]


def test_a_shift_that_fails_and_one_that_waits_are_told() -> None:
    world = settled()

    def fail(world: World) -> None:
        world.shift(SHIFT, selector={"names": ["nobody"]}, to="west")
        world.settle()

    ((subject, reason, message),) = told(world, fail)
    assert (subject, reason) == (f"Shift {SHIFT}", "ShiftFailed")
    assert "nobody" in message

    def wait(world: World) -> None:
        world.shift("callcenter/s2", selector={"names": [GROUP.rpartition("/")[2]]}, to="west", approval="Manual")
        world.settle()

    assert [reason for _, reason, _ in told(world, wait)] == ["ShiftPlanned", "AwaitingApproval"]


def test_a_drill_is_told_in_order_with_its_outcome() -> None:
    world = DrillWorld()
    heard: list[tuple[str, str]] = []

    def hear(step: Callable[[DrillWorld], object]) -> None:
        before = world.snapshot
        step(world)
        found = tales(before, world.snapshot, "east")
        heard.extend((tale.reason, tale.type) for tale in found if (tale.resource.kind, tale.name) == ("Drill", DRILL))

    hear(DrillWorld.started)
    hear(lambda world: world.travel("east", "west"))
    hear(lambda world: world.advance(601) or world.settle())
    hear(lambda world: world.travel("west", "east"))
    hear(lambda world: world.hold() or world.command(number="2") or world.settle())
    hear(lambda world: world.advance(61) or world.settle())
    assert heard == [
        ("DrillStarted", "Normal"),
        ("Holding", "Normal"),
        ("ComingBack", "Normal"),
        ("DrillSucceeded", "Normal"),
        ("Waiting", "Warning"),
        ("DrillBlocked", "Warning"),
    ]
