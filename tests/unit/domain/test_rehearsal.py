"""A rehearsed failover: whose words count for what, what is committed on them, and what ends it."""

from collections.abc import Callable, Mapping
from types import SimpleNamespace
from typing import Any, Self

import pytest

from tandem.api.agentgroup import Drain
from tandem.api.drill import DrillSpec
from tandem.api.shift import ShiftPlan
from tandem.constants import DOWN_EXTRA_S, REHEARSAL_MOST_S, STAY_GRACE_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.drill_legs import longest_ways_s
from tandem.domain.reasons import Reason
from tandem.domain.records import (
    FailoverRecord,
    GroupPlan,
    GroupReport,
    RehearsedRecord,
    SystemReport,
)
from tandem.domain.rehearsal import RECONNECTED_S, as_if_lost, hushed_groups, rehearsals
from tandem.domain.report_html import html
from tandem.domain.report_text import text
from tandem.domain.verdicts import State, site_verdict, system_verdict
from tests.unit.domain.drill_world import DRILL, HOLD_S, DrillWorld
from tests.unit.domain.world import GROUP, site_spec

OTHERS = "callcenter/hotel-south-sales"
CONFIRM_AFTER_S = 2.0 + DOWN_EXTRA_S
SPEC = {
    "kind": "Failover",
    "failover": {"site": "east", "silence": 30},
    "shift": {"selector": {"names": ["hotel-north-sales"]}},
}


class Rehearsed(DrillWorld):
    """Ten agents of the drilled group at east, and another group there that is not drilled."""

    can = CTICapabilities(impair=True)

    def __init__(self, **spec: Any) -> None:
        super().__init__(**{**SPEC, **spec})
        self.group({"east": 100}, OTHERS, skillGroup="service")
        self.settle()
        self.sessions("east", OTHERS, dict.fromkeys(range(10), 1))

    def report(self, site: str, system: str, groups: Mapping[str, GroupReport]) -> None:
        found = SystemReport(boot=f"b-{site}", confirmed=True, groups=dict(groups), capabilities=self.can)
        self.put(keys.report(site, system), found)

    def say(
        self,
        *observers: str,
        firm: bool = True,
        run: str = "",
        passes: bool = False,
        system: str = "hotel",
        silent: int | None = 2,
    ) -> None:
        for observer in observers:
            word = RehearsedRecord(
                state="Pass" if passes else "Fail",
                since=self.mono,
                firm=firm,
                failure_domain=f"domain-{observer}",
                detail="rehearsal",
                run=run or f"{DRILL}/{self.run.name}",
                silent=silent if observer == "east" else None,
            )
            self.put(keys.rehearsed(observer, "east", system, DRILL), word)

    def said(self, *observers: str) -> Self:
        """A run is under way and these say that east is lost, for as long as it takes to believe it."""
        self.started()
        self.say(*(observers or ("east", "west", "witness")))
        self.settle()
        self.advance(CONFIRM_AFTER_S + 0.01)
        return self

    @property
    def out(self) -> Any:
        return self.shift_record((self.state.run or self.last).out.shift)


# -- the way out


def test_confirmed_words_move_the_chosen_groups_and_nobody_else() -> None:
    world = Rehearsed().said()
    (commit,) = [commit for commit in world.settle() if commit.reason is Reason.FAILOVER_REHEARSED]
    assert world.placement() == {"east>west": "0-99"}
    assert world.placement(OTHERS) == {"east": "0-99"}
    assert (world.out.phase, world.out.reason) == ("Moving", Reason.FAILOVER_REHEARSED)
    assert world.record().cause == f"Drill/{world.run.out.shift.partition('/')[2]}"
    assert "rehearsal: east counts as lost for 1 groups only" in commit.sentence
    assert not world.snapshot.failovers
    assert site_verdict(world.snapshot, "east").state is State.HEALTHY


def test_nobody_is_hurried_out_of_a_call() -> None:
    world = Rehearsed().said()
    world.settle()
    assert world.record().drain.on_deadline == "Stay"
    assert world.record().drain.max_talk != "0s"


def test_it_comes_back_to_the_exact_starting_map_and_the_history_tells_it_as_a_rehearsal() -> None:
    world = Rehearsed().said()
    world.settle()
    world.travel("east", "west")
    assert (world.state.phase, world.placement()) == ("Holding", {"west": "0-99"})
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    assert world.outcome() == ("Succeeded", Reason.COMPLETED)
    assert world.placement() == {"east": "0-99"}
    told = [entry for entry in world.log if entry.reason == Reason.FAILOVER_REHEARSED]
    assert told, [entry.reason for entry in world.log]
    assert all("rehearsal" in entry.why for entry in told)
    assert not [entry for entry in world.log if entry.reason == Reason.FAILED_OVER]


def test_the_commit_compares_every_word_that_it_rests_on() -> None:
    world = Rehearsed().said()
    (commit,) = [commit for commit in world.decide().commits if commit.reason is Reason.FAILOVER_REHEARSED]
    compared = {premise.key for premise in commit.premises}
    words = {keys.rehearsed(observer, "east", "hotel", DRILL) for observer in ("east", "west", "witness")}
    assert words | {keys.HOLD, keys.drill(DRILL), keys.failover("east"), keys.placement(GROUP)} <= compared
    assert not any(key.startswith(f"{keys.OBSERVATIONS}witness/east/") for key in compared)
    world.delete(keys.rehearsed("witness", "east", "hotel", DRILL))
    assert world.commit(commit) is False


def test_words_are_waited_for_as_in_truth() -> None:
    world = Rehearsed().started()
    world.settle()
    world.advance(1)
    world.say("east", "west", "witness")
    wake_at = world.decide().wake_at
    assert wake_at == pytest.approx(world.mono + CONFIRM_AFTER_S, abs=0.01)
    world.advance(CONFIRM_AFTER_S - 0.05)
    world.settle()
    assert world.out.phase == "Preparing"
    world.advance(0.1)
    world.settle()
    assert world.out.phase == "Moving"


@pytest.mark.parametrize(
    "speak",
    [
        pytest.param(lambda world: world.say("west", "witness"), id="not-by-its-own-word"),
        pytest.param(lambda world: world.say("east"), id="by-nobody-else"),
        pytest.param(lambda world: world.say("east", "west", "witness", firm=False), id="none-firm"),
        pytest.param(lambda world: world.say("east", "west", "witness", run=f"{DRILL}/earlier"), id="earlier-run"),
        pytest.param(
            lambda world: (world.say("east", "west"), world.say("witness", passes=True)), id="somebody-gets-through"
        ),
    ],
)
def test_nobody_moves_without_the_double_confirmation(speak: Callable[[Rehearsed], Any]) -> None:
    world = Rehearsed().started()
    world.settle()
    speak(world)
    world.advance(REHEARSAL_MOST_S - 0.1)
    world.settle()
    assert (world.out.phase, world.placement()) == ("Preparing", {"east": "0-99"})
    world.advance(0.2)
    world.settle()
    assert world.outcome() == ("Failed", Reason.LOSS_NOT_CONFIRMED)
    assert world.placement() == {"east": "0-99"}
    mute = keys.rehearsed("east", "east", "hotel", DRILL) not in world.store or "/earlier" in str(world.store)
    assert ("its CTI of hotel kept nobody silent" in world.last.message) is mute


def test_the_true_words_are_never_touched() -> None:
    world = Rehearsed().said()
    before = system_verdict(world.snapshot, "east", "hotel")
    seen = as_if_lost(world.snapshot, DRILL, f"{DRILL}/{world.run.name}", "east", "hotel")
    assert system_verdict(seen, "east", "hotel", world.now).state is State.DOWN
    assert system_verdict(world.snapshot, "east", "hotel") == before
    assert system_verdict(seen, "west", "hotel") == system_verdict(world.snapshot, "west", "hotel")


def test_more_groups_than_fit_follow_in_the_next_transaction() -> None:
    count = TXN_OPERATIONS + 5
    world = Rehearsed(shift={"selector": {"region": "south"}})
    names = [f"callcenter/south-{number:03d}" for number in range(count)]
    for name in names:
        world.group({"east": 100}, name, region="south", agents=1)
    world.sessions("east", names[0], {0: 1})
    for _ in range(3):
        world.settle()
    world.said()
    world.settle()
    assert {str(world.placement(name)) for name in names} == {"{'east>west': '0-99'}"}


def test_the_report_has_the_phases_of_the_failover() -> None:
    world = Rehearsed().started()
    world.settle()
    world.say("east")
    world.advance(0.4)
    world.say("witness", "west")
    world.settle()
    world.advance(CONFIRM_AFTER_S + 0.2)
    world.settle()
    world.travel("east", "west")
    world.advance(HOLD_S + 0.1)
    world.settle()
    world.travel("west", "east")
    (entry,) = world.snapshot.drill_reports.values()
    found = entry.record.report.failover
    assert found is not None
    assert (found.site, found.silence) == ("east", 30)
    assert found.detected == 0.4
    assert found.confirmed == pytest.approx(0.4 + CONFIRM_AFTER_S)
    assert found.committed is not None
    assert found.committed == pytest.approx(0.6 + CONFIRM_AFTER_S)
    assert found.doors_open is not None
    assert found.doors_open >= found.committed + 0.5
    shown = text(entry.record.report)
    assert "east counted as lost: detected 0.40 s, confirmed 4.40 s, committed 4.60 s, first sign-in" in shown
    assert found.silent_agents == 2
    chosen = "2 idle agents (30 % of them were asked for) heard nothing of east"
    assert chosen in html(entry.record.report)
    assert chosen in shown
    assert "when each was answered" in shown


def test_how_many_were_silent_is_not_known_where_an_older_engine_does_not_say_so() -> None:
    world = Rehearsed().started()
    world.settle()
    world.say("east", "west", "witness", silent=None)
    world.advance(CONFIRM_AFTER_S + 0.2)
    world.settle()
    assert world.out.rehearsal.silent is None


def test_a_report_of_one_that_came_to_nothing_has_no_times() -> None:
    world = Rehearsed().said()
    world.hold()
    world.settle()
    (entry,) = world.snapshot.drill_reports.values()
    found = entry.record.report.failover
    assert found is not None
    assert (found.silenced_at, found.committed, found.last_sign_in) == (None, None, None)
    assert "counted as lost" not in text(entry.record.report)


# -- what speaks against it


def manual(world: Rehearsed) -> None:
    world.group({"east": 100}, failover="Manual")


def unable(world: Rehearsed) -> None:
    world.can = CTICapabilities()
    world.sessions("east", GROUP, dict.fromkeys(range(10), 1))


def unasked(world: Rehearsed) -> None:
    world.put(keys.report("east", "hotel"), SystemReport(boot="b", confirmed=True))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        pytest.param(manual, Reason.MANUAL_FAILOVER, id="manual"),
        pytest.param(unable, Reason.UNSUPPORTED_BY_CTI, id="unable"),
        pytest.param(unasked, Reason.NO_REPORT, id="unasked"),
        pytest.param(
            lambda world: world.drill(failover={"site": "north"}, **_shift()), Reason.UNKNOWN_SITE, id="where"
        ),
        pytest.param(
            lambda world: world.drill(failover={"site": "west"}, **_shift()), Reason.NOTHING_TO_MOVE, id="none"
        ),
    ],
)
def test_what_speaks_against_it_blocks_it(make: Callable[[Rehearsed], None], reason: Reason) -> None:
    world = Rehearsed()
    make(world)
    world.settle()
    world.command()
    world.settle()
    world.advance(61)
    world.settle()
    assert world.outcome() == ("Blocked", reason), world.last.message
    assert "spec.evacuate" not in world.last.message


@pytest.mark.parametrize(("waves", "starts"), [((100,), True), ((50, 100), False)])
def test_its_windows_hold_the_way_out_at_once_and_the_way_back_by_waves(waves: tuple[int, ...], starts: bool) -> None:
    """It is 00:16:40: out at most 35 min, ten minutes there, back at most 35 min in each wave."""
    windows = {"allowed": [{"until": "02:00"}]}
    world = Rehearsed(windows=windows, shift={**SPEC["shift"], "waves": waves})  # type: ignore[dict-item]
    world.command()
    world.settle()
    assert (world.state.phase == "Out") is starts, world.state.message
    assert starts or world.state.reason == Reason.OUTSIDE_WINDOWS


def test_its_way_back_has_the_time_that_the_fullest_of_its_ctis_needs() -> None:
    """Of 100 agents 90 come back from west and 10 from north, each at half of the pace of 1: 180 s in every wave."""
    moves = {"east>west": "0-89", "east>north": "90-99"}
    part = GroupPlan(
        group=GROUP, system="hotel", agents=100, to="west", moves=moves, waves=(moves,), before={}, after={}
    )
    plan = SimpleNamespace(groups=(part,), planned=ShiftPlan(longest="20s"))
    drain = Drain.model_validate({"maxTalk": "10s", "maxWrapUp": "5s"})
    spec = DrillSpec.model_validate({**SPEC, "shift": {**SPEC["shift"], "pace": 1, "waves": [50, 100]}})  # type: ignore[dict-item]
    _, back_s = longest_ways_s(spec, plan, [SimpleNamespace(group=GROUP, drain=drain)])  # type: ignore[arg-type, list-item]
    assert back_s == 2 * (180 + 15 + STAY_GRACE_S)


def _shift() -> dict[str, Any]:
    return {"kind": "Failover", "shift": SPEC["shift"]}


# -- what ends it


def hold(world: Rehearsed) -> None:
    world.hold()


def maintenance(world: Rehearsed) -> None:
    world.publish(keys.SITE, "west", site_spec("west", "hotel", maintenance=True))


def quarantine(world: Rehearsed) -> None:
    world.put(keys.failover("west"), FailoverRecord(number=1, state="Ended", ended_at=world.mono))


def silence(world: Rehearsed) -> None:
    world.delete(keys.heartbeat("east"))


def truly_broken(world: Rehearsed) -> None:
    for observer in ("east", "west", "witness"):
        world.observe(observer, "east", "hotel", "softswitch", passes=False)


def target_broken(world: Rehearsed) -> None:
    world.observe("west", "west", "hotel", "cti", passes=False)


def another_coordinator(world: Rehearsed) -> None:
    world.delete(keys.COORDINATOR)
    world.put(keys.COORDINATOR, world.record_of_another_coordinator())


def moved_meanwhile(world: Rehearsed) -> None:
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "0-49", "west": "50-99"}}))


@pytest.mark.parametrize(
    ("happens", "outcome", "reason"),
    [
        pytest.param(hold, "Interrupted", Reason.HELD, id="hold"),
        pytest.param(maintenance, "Interrupted", Reason.MAINTENANCE, id="maintenance"),
        pytest.param(quarantine, "Interrupted", Reason.QUARANTINED, id="quarantine"),
        pytest.param(silence, "Interrupted", Reason.SITE_NOT_HEALTHY, id="silence"),
        pytest.param(truly_broken, "Interrupted", Reason.SITE_NOT_HEALTHY, id="truly-broken"),
        pytest.param(target_broken, "Interrupted", Reason.TARGET_NOT_USABLE, id="target-broken"),
        pytest.param(another_coordinator, "Interrupted", Reason.REHEARSAL_ENDED, id="another-coordinator"),
    ],
)
def test_truth_comes_first(happens: Callable[[Rehearsed], None], outcome: str, reason: Reason) -> None:
    world = Rehearsed().said()
    happens(world)
    world.settle()
    assert world.outcome() == (outcome, reason), world.last.message
    assert world.placement() == {"east": "0-99"}
    assert list(rehearsals(world.snapshot)) == []


def test_a_map_that_somebody_else_has_changed_is_left_alone() -> None:
    world = Rehearsed().said()
    moved_meanwhile(world)
    world.settle()
    assert world.last.reason in (Reason.PLAN_OUTDATED, Reason.NOT_RESTORED), world.last.message
    assert world.placement() == {"east": "0-49", "west": "50-99"}


def test_a_true_failover_ends_it_in_its_own_transaction() -> None:
    world = Rehearsed().said("west")  # nothing of the rehearsal is confirmed
    world.die("east")
    world.settle()
    world.advance(20)
    commits = world.settle()
    assert any(commit.reason is Reason.FAILED_OVER for commit in commits)
    assert world.outcome()[0] == "Interrupted"
    assert world.placement() == {"west": "0-99"}
    assert list(rehearsals(world.snapshot)) == []


def test_an_abort_before_anything_has_moved_moves_nobody() -> None:
    world = Rehearsed().started()
    world.settle()
    world.say("east", "west", "witness")
    world.command("abort", number="2")
    world.settle()
    assert world.outcome() == ("Interrupted", Reason.ABORTED_BY_USER)
    assert world.placement() == {"east": "0-99"}


def test_an_abort_on_the_way_brings_everybody_back() -> None:
    world = Rehearsed().said()
    world.settle()
    world.command("abort", number="2")
    world.settle()
    assert world.placement() == {"west>east": "0-99"}


# -- what locations do for it


def test_it_is_seen_from_the_plan_until_the_groups_have_left() -> None:
    world = Rehearsed()
    assert list(rehearsals(world.snapshot)) == []
    world.started()
    (found,) = rehearsals(world.snapshot)
    assert (found.drill, found.run, found.site, found.silence) == (DRILL, f"{DRILL}/{world.run.name}", "east", 30)
    assert (found.groups, found.targets, found.counted) == ({GROUP: "hotel"}, ("west",), True)
    world.say("east", "west", "witness")
    world.settle()
    world.advance(CONFIRM_AFTER_S + 0.01)
    world.settle()
    (found,) = rehearsals(world.snapshot)
    assert found.counted is False
    world.travel("east", "west")
    assert list(rehearsals(world.snapshot)) == []


@pytest.mark.parametrize("gone", [keys.COORDINATOR, "hold", "abort"])
def test_nobody_is_kept_silent_where_it_serves_nothing(gone: str) -> None:
    world = Rehearsed().started()
    if gone == "hold":
        world.hold()
    elif gone == "abort":
        world.change_shift(world.run.out.shift, abort=True)
    else:
        world.delete(gone)
    assert list(rehearsals(world.snapshot)) == []


def test_what_its_groups_clients_say_of_the_site_counts_for_nothing_meanwhile() -> None:
    world = Rehearsed()
    assert hushed_groups(world.snapshot, "east", world.mono) == set()
    world.said()
    assert hushed_groups(world.snapshot, "east", world.mono) == {GROUP}
    assert hushed_groups(world.snapshot, "west", world.mono) == set()
    world.settle()
    world.travel("east", "west")
    assert hushed_groups(world.snapshot, "east", world.mono) == {GROUP}
    assert hushed_groups(world.snapshot, "east", world.mono + RECONNECTED_S) == set()


def test_a_planned_move_is_none() -> None:
    world = DrillWorld().started()
    assert list(rehearsals(world.snapshot)) == []
    assert (world.run.lost, world.run.goals) == (None, ("west",))
