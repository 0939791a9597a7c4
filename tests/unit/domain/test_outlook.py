"""What a plan says before anything moves: time, load and capacity, gates, promises, limits, what stops it."""

from typing import Any

import pytest

from tandem.api.shift import AgentLoad, CallRateInPlan, Load, RateInPlan, ShiftPlan
from tandem.domain import keys
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.outlook import GROUPS_IN_TEXT, groups_in
from tandem.domain.placement import parse_moves
from tandem.domain.reasons import Reason
from tandem.domain.records import ShiftRecord
from tests.unit.domain.world import GROUP, World, site_spec

EVERYBODY = dict.fromkeys(range(100), 1)
ALL_HOTEL: dict[str, Any] = {"selector": {"system": "hotel"}, "to": "west"}


def a_world(agents: int = 100, capacity: int = 1500, **changes: Any) -> World:
    """One group at east with an agent in each bucket; both CTIs say what they can do."""
    world = World(capacity=capacity)
    world.group({"east": 100}, agents=agents, **changes)
    world.settle()
    world.sessions("east", GROUP, EVERYBODY)
    for city in world.cities:
        say(world, city, capabilities=CTICapabilities())
    return world


def say(world: World, city: str, **changes: Any) -> None:
    """What a city's report says besides its groups."""
    report = world.snapshot.report(city, "hotel")
    assert report is not None
    world.put(keys.report(city, "hotel"), report.model_copy(update=changes))


def planned(world: World, **spec: Any) -> ShiftRecord:
    world.shift(**{**ALL_HOTEL, "dryRun": True, **spec})
    world.settle()
    return world.shift_record()


def forecast(world: World, **spec: Any) -> ShiftPlan:
    record = planned(world, **spec)
    assert record.phase == "Completed", record.message
    return record.planned


# -- waves and time


def test_waves_say_who_moves_and_how_much_is_done_then() -> None:
    found = forecast(a_world(), waves=[5, 25, 100])
    assert [(wave.agents, wave.percent, wave.groups) for wave in found.waves] == [(5, 5, 1), (20, 25, 1), (75, 100, 1)]
    assert (found.agents, found.pace) == (100, 0)


def test_the_pace_of_the_slowest_group_is_the_time_of_a_wave() -> None:
    found = forecast(a_world(), pace=10)
    assert (found.waves[0].expected, found.expected) == ("11s", "11s")
    assert (found.waves[0].longest, found.longest) == ("35m12s", "35m17s")


def test_without_a_pace_the_target_ctis_own_rate_is_the_time_of_a_wave() -> None:
    world = a_world()
    say(world, "west", capabilities=CTICapabilities(max_rate=20))
    found = forecast(world)
    assert found.expected == "6s"
    assert found.sites[1].sign_ins_per_second == RateInPlan(expected=20, most=20)


def test_a_forced_shift_waits_for_nobody_and_says_so() -> None:
    record = planned(a_world(), mode="Forced")
    assert record.planned.longest == "15s"
    text = "Nobody in a call or its wrap-up is waited for: they leave in the middle of it, and the call goes on."
    assert text in record.plan_text
    assert any("nobody is waited for" in line for line in record.planned.promises)


def test_agents_in_a_call_or_its_wrap_up_are_counted() -> None:
    world = a_world()
    report = world.snapshot.report("east", "hotel")
    assert report is not None
    group = report.groups[GROUP].model_copy(update={"talking": 12, "ringing": 1, "wrapup": 3})
    say(world, "east", groups={GROUP: group})
    record = planned(world)
    assert record.planned.busy == 16
    assert record.plan_text[1].endswith("16 of them are in a call or its wrap-up now.")


def test_at_night_waves_are_told_by_their_buckets() -> None:
    world = a_world()
    world.sessions("east", GROUP, {})
    found = forecast(world, waves=[10, 100])
    assert [(wave.agents, wave.percent) for wave in found.waves] == [(0, 10), (0, 100)]


# -- load and capacity


def test_each_sites_load_is_told_before_and_after_with_what_it_carries() -> None:
    world = a_world(agents=200)
    say(world, "east", calls=30, calls_per_second=4.5)
    say(world, "west", calls_per_second=0.0)
    east, west = forecast(world, percent=40).sites
    assert (east.leaving, east.arriving, west.leaving, west.arriving) == (40, 0, 0, 40)
    assert east.agents == AgentLoad(before=200, after=120, most=1500)
    assert west.agents == AgentLoad(before=0, after=80, most=1500)
    assert (east.calls, west.calls) == (Load(before=30, after=18), Load(before=0, after=12))
    assert east.new_calls_per_second == CallRateInPlan(before="4.5", after="2.7", most=100)
    assert west.new_calls_per_second == CallRateInPlan(before="0.0", after="1.8", most=100)
    assert (east.sign_ins_per_second.expected, west.sign_ins_per_second.expected) == (0, 40)


@pytest.mark.parametrize(
    ("measured", "rates", "lines"),
    [
        pytest.param(
            {"east": 4.5, "west": 0.2},
            [("4.5", "0.0"), ("0.2", "4.7")],
            [
                "4.5 new calls a second of 100 now, about 0.0 afterwards",
                "0.2 new calls a second of 100 now, about 4.7 af",
            ],
            id="at-both",
        ),
        pytest.param(
            {"west": 0.2},
            [("", ""), ("0.2", "")],
            [
                "new calls a second not measured, at most 100",
                "0.2 new calls a second of 100 now, not known how many aft",
            ],
            id="not-where-they-leave",
        ),
        pytest.param(
            {"east": 4.5},
            [("4.5", "0.0"), ("", "")],
            ["4.5 new calls a second of 100 now, about 0.0 afterwards", "new calls a second not measured, at most 100"],
            id="not-where-they-go",
        ),
    ],
)
def test_new_calls_a_second_that_nobody_measures_are_not_made_up(
    measured: dict[str, float], rates: list[tuple[str, str]], lines: list[str]
) -> None:
    world = a_world()
    for city, rate in measured.items():
        say(world, city, calls_per_second=rate)
    record = planned(world)
    told = [(site.new_calls_per_second.before, site.new_calls_per_second.after) for site in record.planned.sites]
    assert told == rates
    for number, line in enumerate(lines):
        assert line in record.plan_text[2 + number]


def test_the_load_of_several_groups_is_told_together() -> None:
    world = a_world()
    world.group({"east": 100}, name="callcenter/service", agents=50)
    world.settle()
    east, west = forecast(world).sites
    assert (east.agents.before, east.agents.after) == (150, 0)
    assert (west.agents.before, west.agents.after) == (0, 150)


def test_a_pace_bounds_the_sign_ins_that_the_target_sees() -> None:
    found = forecast(a_world(), pace=10)
    assert found.sites[1].sign_ins_per_second == RateInPlan(expected=10, most=1000)


def test_replicas_that_tandem_may_change_are_told_before_and_after() -> None:
    world = a_world(agents=200)
    spec = site_spec("west", "hotel")
    spec["systems"][0]["softswitch"]["scaling"] = {"mode": "HPA", "agentsPerReplica": 60, "min": 1, "max": 9}
    world.publish(keys.SITE, "west", spec)
    record = planned(world)
    cti, softswitch = record.planned.sites[1].replicas
    assert (cti.part, cti.scaling, cti.before, cti.after) == ("cti", "None", 0, 0)
    assert (softswitch.part, softswitch.scaling, softswitch.before, softswitch.after) == ("softswitch", "HPA", 1, 4)
    assert any("replicas of the softswitch: 1 needed now, 4 afterwards (HPA)" in line for line in record.plan_text)


# -- what the adapters can and cannot promise


@pytest.mark.parametrize(
    ("city", "capabilities", "limit"),
    [
        ("east", {"selection": "Count"}, "who goes is this CTI's choice"),
        ("east", {"percent_step": 10}, "steps of 10 %"),
        ("west", {"admission": "Push"}, "its door cannot be shut"),
        ("west", {"admission": "None"}, "is in two places"),
        ("west", {"fence": "Adapter"}, "keeps no revision itself"),
        ("west", {"progress": "Counts"}, "no switch times"),
        ("west", {"identity": "PerSite"}, "another identity"),
        ("west", None, "has not said what it can do"),
    ],
)
def test_what_a_cti_cannot_do_is_a_limit_of_the_plan(
    city: str, capabilities: dict[str, Any] | None, limit: str
) -> None:
    world = a_world()
    say(world, city, capabilities=CTICapabilities(**capabilities) if capabilities is not None else None)
    found = forecast(world)
    (said, no_test_agents) = found.limits
    assert "has no test agents" in no_test_agents
    assert said.startswith(f"hotel at {city}: ")
    assert limit in said


def test_a_cti_that_can_do_everything_leaves_no_limit_but_that_nobody_tries_it() -> None:
    found = forecast(a_world())
    assert found.limits == (
        "hotel at west: has no test agents (deepProbes: None): no sign-in and no call is tried beforehand",
    )
    assert any("no call is cut" in promise for promise in found.promises)


@pytest.mark.parametrize(
    ("capabilities", "spec", "words"),
    [
        ({"forced": False}, {"mode": "Forced"}, "use mode Graceful"),
        ({"drain": False}, {}, "use mode Forced"),
        ({"selection": "WholeGroup"}, {"percent": 50}, "set percent to 100 and waves to [100]"),
        ({"selection": "WholeGroup"}, {"waves": [5, 100]}, "set percent to 100 and waves to [100]"),
        ({"percent_step": 10}, {"percent": 25}, "choose percent (or the shares) so that a multiple of 10 leaves"),
    ],
)
def test_what_the_cti_cannot_do_is_refused(capabilities: dict[str, Any], spec: dict[str, Any], words: str) -> None:
    world = a_world()
    say(world, "east", capabilities=CTICapabilities(**capabilities))
    record = planned(world, **spec)
    assert (record.phase, record.reason) == ("Failed", Reason.UNSUPPORTED_BY_CTI)
    assert "the CTI of hotel at east" in record.message
    assert words in record.message


def test_waves_are_rounded_up_to_what_the_cti_can_do() -> None:
    world = a_world()
    say(world, "east", capabilities=CTICapabilities(percent_step=20))
    record = planned(world, waves=[5, 50, 100])
    assert [[len(parse_moves(wave)) for wave in plan.waves] for plan in record.plan] == [[20, 40, 40]]


def test_a_cti_that_moves_groups_as_a_whole_moves_a_group_as_a_whole() -> None:
    world = a_world()
    say(world, "east", capabilities=CTICapabilities(selection="WholeGroup"))
    assert "a group leaves as a whole" in forecast(world).limits[0]


# -- what must hold, what stops it


def test_gates_and_what_would_stop_it_name_the_sites() -> None:
    found = forecast(a_world(), waves=[10, 100])
    assert "before the first wave west must be usable" in found.gates[0]
    assert "before each next wave" in found.gates[1]
    assert any("kubectl tandem hold" in stop for stop in found.stops)
    assert any("emergency of east or west" in stop for stop in found.stops)
    assert not any("approved" in stop for stop in found.stops)


def test_one_wave_has_no_gate_between_waves_and_a_plan_to_approve_says_what_outdates_it() -> None:
    found = forecast(a_world(), approval="Manual")
    assert len(found.gates) == 1
    assert "before it is approved" in found.stops[0]


# -- many groups


def test_two_hundred_groups_fit_well_into_an_object_and_the_text_counts_those_it_does_not_name() -> None:
    world = World(capacity=1_000_000)
    names = [f"callcenter/hotel-region-{number:03d}-sales-and-service" for number in range(200)]
    for name in names:
        world.group({"east": 100}, name=name, agents=1000)
    world.settle()
    # Maps in as many pieces as there can be.
    pieces = {"east": ",".join(map(str, range(0, 100, 2))), "west": ",".join(map(str, range(1, 100, 2)))}
    for name in names:
        world.put(keys.placement(name), world.record(name).model_copy(update={"map": pieces}))
    record = planned(world, waves=[5, 10, 20, 30, 40, 50, 60, 70, 80, 100])
    assert record.phase == "Completed", record.message
    assert len(record.encode()) < 400_000  # etcd takes 1.5 MB
    shown = record.planned.model_copy(update={"groups": groups_in(record.plan)})
    assert len(shown.model_dump_json(by_alias=True)) < 300_000
    assert [group.group for group in shown.groups] == names
    assert shown.groups[0].before == {"east": 50, "west": 50}
    assert shown.groups[0].after == {"west": 100}
    named = [line for line in record.plan_text if line.startswith("callcenter/")]
    assert len(named) == GROUPS_IN_TEXT
    assert record.plan_text[-1].startswith("And 180 groups more")
