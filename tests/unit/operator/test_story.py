"""What is told about the difference between two pictures of the store."""

from collections.abc import Callable

import pytest

from tandem.api.resources import AGENT_GROUP
from tandem.constants import FINISH_INTERVAL_S, GATE_SETTLE_S, PACE_INTERVAL_S
from tandem.domain import keys
from tandem.domain.records import CoordinatorRecord, MovesOfShift, MovesRecord, OrderRecord, TrunkRecord
from tandem.operator.story import LOOKED_AT, tales
from tests.unit.domain.drill_world import DRILL, DrillWorld
from tests.unit.domain.world import GROUP, World

SHIFT = "callcenter/s1"


def told(world: World, change: Callable[[World], object]) -> list[tuple[str, str, str]]:
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

    def after(seconds: float) -> Callable[[DrillWorld], None]:
        def step(world: DrillWorld) -> None:
            world.advance(seconds)
            world.settle()

        return step

    def asked_under_a_hold(world: DrillWorld) -> None:
        world.hold()
        world.command(number="2")
        world.settle()

    hear(DrillWorld.started)
    hear(lambda world: world.travel("east", "west"))
    hear(after(601))
    hear(lambda world: world.travel("west", "east"))
    hear(asked_under_a_hold)
    hear(after(61))
    assert heard == [
        ("DrillStarted", "Normal"),
        ("Holding", "Normal"),
        ("ComingBack", "Normal"),
        ("DrillSucceeded", "Normal"),
        ("ReportWritten", "Normal"),
        ("Waiting", "Warning"),
        ("DrillBlocked", "Warning"),
        ("ReportWritten", "Normal"),
    ]


def test_steps_that_follow_quickly_on_each_other_are_all_told_in_order() -> None:
    world = settled()

    def all_of_it(world: World) -> None:
        """Three waves and the end, between two looks."""
        world.shift(SHIFT, selector={"names": [GROUP.rpartition("/")[2]]}, to="west", waves=[5, 25, 100])
        world.settle()
        for _ in range(3):
            moving = set(world.map().in_transit)
            left = [b for b, slot in enumerate(world.map().slots) if slot.site == "east" and b not in moving]
            world.advance(FINISH_INTERVAL_S)
            world.sessions("east", GROUP, dict.fromkeys(left, 1))
            world.sessions("west", GROUP, {b: 1 for b in range(100) if b not in left})
            world.settle()
        world.arrived("west", SHIFT, 100)
        world.settle()

    found = told(world, all_of_it)
    assert [reason for subject, reason, _ in found if subject == f"Shift {SHIFT}"] == [
        "ShiftPlanned",
        "MoveStarted",
        "WaveStarted",
        "WaveStarted",
        "Moved",
    ]
    assert [message for _, reason, message in found if reason == "WaveStarted"] == [
        "wave 2 of 3, about 100 agents in all",
        "wave 3 of 3, about 100 agents in all",
    ]
    assert [reason for subject, reason, _ in found if subject == f"AgentGroup {GROUP}"] == ["MoveStarted", "Moved"]


def test_an_abort_that_is_over_before_anybody_looked_is_told_with_its_beginning() -> None:
    world = settled()
    world.shift(SHIFT, selector={"names": [GROUP.rpartition("/")[2]]}, to="west")
    world.settle()

    def aborted(world: World) -> None:
        world.change_shift(SHIFT, abort=True)
        world.settle()
        world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
        world.sessions("west", GROUP, {})
        world.settle()

    assert [reason for _, reason, _ in told(world, aborted)] == ["Aborting", "RolledBack"]


def test_an_abort_names_who_made_it() -> None:
    world = settled()
    world.shift(selector={"system": "hotel"}, to="west")
    world.settle()

    def abort(world: World) -> None:
        world.change_shift(abort=True, aborted_by="bob")
        world.settle()

    found = told(world, abort)
    assert ("Shift callcenter/s1", "Aborting", "aborted by bob: what this Shift moved goes back") in found


def test_who_declined_a_question_is_told() -> None:
    world = World()
    world.group({"east": 100}, failover="Manual")
    world.settle()
    world.die("east")
    world.advance(2.1)
    world.settle()

    def decline(world: World) -> None:
        world.change_shift(world.only_shift(), abort=True, aborted_by="bob")
        world.settle()

    assert [(reason, message) for _, reason, message in told(world, decline)] == [
        ("RolledBack", "declined by bob: nothing was moved")
    ]


def test_an_approval_is_told() -> None:
    world = settled()
    world.shift(SHIFT, selector={"names": [GROUP.rpartition("/")[2]]}, to="west", approval="Manual")
    world.settle()

    found = told(world, lambda world: world.change_shift(SHIFT, approved=True, approved_by="ada"))
    assert [(reason, message) for _, reason, message in found] == [("Approved", "approved by ada")]
    assert [reason for _, reason, _ in told(world, World.settle)] == ["MoveStarted", "MoveStarted"]


def test_a_drills_report_is_told_once_it_is_written() -> None:
    world = DrillWorld().coming_back()
    before = world.snapshot
    world.travel("west", "east")
    after = world.snapshot
    ((key, entry),) = after.drill_reports.items()
    found = [tale for tale in tales(before, after, "east") if tale.reason == "ReportWritten"]
    assert [(tale.resource.kind, tale.name, tale.type) for tale in found] == [("Drill", DRILL, "Normal")]
    assert f"run {entry.record.run} is written" in found[0].message
    assert f"drill report {DRILL.rpartition('/')[2]} -n callcenter --run {entry.record.run}`" in found[0].message
    assert [tale.reason for tale in tales(before, after, "east")][-2:] == ["DrillSucceeded", "ReportWritten"]
    world.advance(1.0)
    assert list(tales(after, world.snapshot, "east")) == []
    assert (keys.DRILL_REPORTS + key).startswith(LOOKED_AT)


def test_a_drill_that_nobody_looked_at_is_told_from_beginning_to_end() -> None:
    world = DrillWorld()

    def all_of_it(world: World) -> None:
        assert isinstance(world, DrillWorld)
        world.over()

    found = [(reason, message) for subject, reason, message in told(world, all_of_it) if subject == f"Drill {DRILL}"]
    assert [reason for reason, _ in found] == [
        "DrillStarted",
        "Holding",
        "ComingBack",
        "DrillSucceeded",
        "ReportWritten",
    ]
    assert found[1][1] == "10 agents work at west"


def test_a_drill_that_comes_back_early_has_not_held() -> None:
    world = DrillWorld().started()

    def its_shift_goes(world: World) -> None:
        assert isinstance(world, DrillWorld)
        world.delete(keys.shift(world.run.out.shift))
        world.sessions("east", GROUP, {})
        world.sessions("west", GROUP, dict.fromkeys(range(10), 1))
        world.settle()
        assert (world.state.phase, world.run.outcome) == ("Back", "Failed")

    reasons = [reason for subject, reason, _ in told(world, its_shift_goes) if subject == f"Drill {DRILL}"]
    assert reasons == ["ComingBack"]


def test_each_reason_for_which_a_shift_waits_is_told_once() -> None:
    world = settled()
    heard: list[tuple[str, str]] = []

    def hear(step: Callable[[World], object]) -> None:
        before = world.snapshot
        step(world)
        world.settle()
        heard.extend(
            (tale.reason, tale.message) for tale in tales(before, world.snapshot, "east") if tale.name == SHIFT
        )

    def away(world: World) -> None:
        world.advance(FINISH_INTERVAL_S)
        world.sessions("east", GROUP, dict.fromkeys(range(50), 1))
        world.sessions("west", GROUP, dict.fromkeys(range(50, 60), 1))

    hear(lambda world: world.shift(SHIFT, selector={"system": "hotel"}, to="west", waves=[50, 100]))
    hear(away)
    hear(lambda world: world.advance(GATE_SETTLE_S))
    hear(lambda world: world.sessions("west", GROUP, dict.fromkeys(range(50, 61), 1)))  # the same gate, other numbers
    hear(World.hold)
    hear(lambda world: world.delete(keys.HOLD))
    reasons = [(reason, message.partition(":")[0] if reason == "Waiting" else "") for reason, message in heard]
    assert reasons == [
        ("ShiftPlanned", ""),
        ("MoveStarted", ""),
        ("Waiting", "TooFewSignedIn"),
        ("Waiting", "Held"),
        ("Waiting", "TooFewSignedIn"),
    ]


def test_preparing_verifying_and_a_slow_target_are_told() -> None:
    world = settled()
    world.observe("west", "west", "hotel", "cti", passes=False)

    def step(change: Callable[[World], object]) -> list[tuple[str, str]]:
        def change_and_settle(world: World) -> None:
            change(world)
            world.settle()

        found = told(world, change_and_settle)
        return [(reason, message) for subject, reason, message in found if subject == f"Shift {SHIFT}"]

    def approve(world: World) -> None:
        world.healthy("west", "hotel")
        world.shift(SHIFT, selector={"system": "hotel"}, to="west", pace=20, approval="Manual")
        world.settle()
        world.observe("west", "west", "hotel", "cti", passes=False)
        world.change_shift(SHIFT, approved=True, approved_by="ada")

    def slow(world: World) -> None:
        world.advance(PACE_INTERVAL_S)
        moves = MovesOfShift(agents=5, p50=1.5, p95=1.5, max=1.5, last_at=0, recent_p95=1.5)
        world.put(keys.moves("west", "hotel"), MovesRecord(shifts={SHIFT: moves}))

    found = step(approve)
    assert [reason for reason, _ in found] == ["ShiftPlanned", "Approved", "Preparing", "Waiting"]
    assert found[-1][1].startswith("TargetNotUsable: ")
    assert [reason for reason, _ in step(lambda world: world.healthy("west", "hotel"))] == ["MoveStarted"]
    assert step(slow) == [("SlowedDown", "the target is slow: 10.0 of 20 agents a second")]

    def away(world: World) -> None:
        world.advance(FINISH_INTERVAL_S)
        world.sessions("east", GROUP, {})
        world.sessions("west", GROUP, dict.fromkeys(range(100), 1))

    assert [reason for reason, _ in step(away)] == ["Verifying"]


def test_a_dead_city_is_told_as_suspect_and_when_time_has_confirmed_it_as_absent() -> None:
    world = settled()
    alive, then = world.snapshot, world.now
    world.die("east")
    dead, died = world.snapshot, world.now
    assert [tale.reason for tale in tales(alive, dead, "east", then, died)] == ["SiteSuspect"]
    world.advance(1.9)
    assert list(tales(dead, dead, "east", died, world.now)) == []
    early = world.now
    world.advance(0.2)
    assert [tale.reason for tale in tales(dead, dead, "east", early, world.now)] == ["SiteAbsent"]
    late = world.now
    world.advance(60)
    assert list(tales(dead, dead, "east", late, world.now)) == []


@pytest.mark.parametrize(
    ("known", "heard"),
    [
        pytest.param(accuse, ["SiteSuspect", "SiteHealthy"], id="accused"),
        pytest.param(lambda world: world.die("west", ("east", "witness")), ["SiteSuspect", "SiteHealthy"], id="silent"),
        pytest.param(lambda _: None, [], id="well"),
    ],
)
def test_a_city_that_is_back_is_told_even_when_nothing_was_known_of_it_meanwhile(
    known: Callable[[World], object], heard: list[str]
) -> None:
    """Its engine says of one part after the other that it works, and until the last one it is Unknown."""
    world = settled()
    unwell: set[str] = set()
    found: list[str] = []

    def unknown(world: World) -> None:
        world.healthy("west", "hotel")
        world.delete(keys.observation("west", "west", "hotel", "cti"))

    for step in (known, unknown, lambda world: world.healthy("west", "hotel"), unknown, World.settle):
        before, then = world.snapshot, world.now
        step(world)
        world.advance(0.1)
        found += [tale.reason for tale in tales(before, world.snapshot, "east", then, world.now, unwell=unwell)]
    assert [reason for reason in found if reason.startswith("Site")] == heard


def test_each_group_is_told_as_failed_over_when_it_is_placed_elsewhere() -> None:
    """Whatever the failover's record said before: some wait for a person, many take several transactions."""
    asked, others = "callcenter/asked", [f"callcenter/group-{number:03}" for number in range(99)]
    world = World(capacity=20_000)
    for name in (asked, *others):
        world.group({"east": 100}, name, agents=10, failover="Manual" if name == asked else "Automatic")
    world.settle()
    world.die("east")
    world.advance(3.0)

    def failed_over() -> list[str]:
        found: list[str] = []
        while commits := world.decide().commits:
            for commit in commits:
                before = world.snapshot
                world.commit(commit)
                new = tales(before, world.snapshot, "west")
                found += [tale.name for tale in new if (tale.resource, tale.reason) == (AGENT_GROUP, "FailedOver")]
        return sorted(found)

    assert failed_over() == others
    world.change_shift(world.only_shift(), approved=True, approved_by="ada")
    assert failed_over() == [asked]
