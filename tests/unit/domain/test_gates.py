"""Gates between waves: each rule by a table, then a Shift that waits at one, goes on, or goes back."""

from typing import Any

import pytest

from tandem.api.gates import Gates
from tandem.constants import CALLS_TO_JUDGE, FINISH_INTERVAL_S, GATE_SETTLE_S
from tandem.domain import keys
from tandem.domain.gates import Measured, enough_signed_in, first_closed, patience_text, stated
from tandem.domain.reasons import Reason
from tandem.domain.records import GroupReport, MovesOfShift, MovesOfWave, MovesRecord
from tests.unit.domain.world import GROUP, World

FINE: dict[str, Any] = {
    "released": 100, "signed_in": 100, "p95": 0.3, "answered": 50, "unanswered": 1, "quiet_for": 10.0,
}  # fmt: skip
OFF: dict[str, Any] = {"signed_in": 0, "sign_in_time": "0s", "call_success": 0}
WEST = "west"


@pytest.mark.parametrize(
    ("gates", "changes", "closed"),
    [
        pytest.param({}, {}, None, id="all-is-well"),
        pytest.param({}, {"signed_in": 95}, None, id="exactly-the-share"),
        pytest.param({}, {"signed_in": 94}, "SignedIn", id="one-too-few"),
        pytest.param({"signed_in": 0}, {"signed_in": 0}, None, id="share-not-asked"),
        pytest.param({}, {"released": 0, "signed_in": 0}, None, id="nobody-was-released"),
        pytest.param({}, {"p95": 5.0}, None, id="exactly-the-time"),
        pytest.param({}, {"p95": 5.1}, "SignInTime", id="too-slow"),
        pytest.param({"sign_in_time": "0s"}, {"p95": 60.0}, None, id="time-not-asked"),
        pytest.param({}, {"answered": 8, "unanswered": 2}, None, id="exactly-the-calls"),
        pytest.param({}, {"answered": 7, "unanswered": 3}, "CallSuccess", id="calls-not-taken"),
        pytest.param({}, {"answered": 0, "unanswered": CALLS_TO_JUDGE - 1}, None, id="too-few-calls-to-judge"),
        pytest.param({"call_success": 0}, {"answered": 0, "unanswered": 99}, None, id="calls-not-asked"),
        pytest.param({"observe": "10s"}, {}, None, id="observed-long-enough"),
        pytest.param({"observe": "11s"}, {}, "Observe", id="still-observing"),
        pytest.param({"observe": "11s"}, {"p95": 9.0}, "SignInTime", id="what-is-wrong-is-said-first"),
    ],
)
def test_which_gate_is_closed(gates: dict[str, Any], changes: dict[str, Any], closed: str | None) -> None:
    found = first_closed(Gates(**gates), Measured(**{**FINE, **changes}))
    assert (found[0].name if found else None) == closed


@pytest.mark.parametrize(
    ("share", "released", "enough"),
    [(95, 100, 95), (95, 5, 4), (95, 1, 1), (95, 0, 0), (100, 5, 5), (1, 50, 1), (50, 3, 1)],
)
def test_of_a_small_wave_one_may_have_gone_home_but_never_everybody(share: int, released: int, enough: int) -> None:
    assert enough_signed_in(share, released) == enough


def test_a_closed_gate_says_what_was_measured_and_the_threshold() -> None:
    for changes, values in (
        ({"signed_in": 60}, ["60", "100", "95 %"]),
        ({"p95": 7.25}, ["7.2 s", "5s"]),
        ({"answered": 10, "unanswered": 20}, ["10", "30", "80 %"]),
    ):
        found = first_closed(Gates(), Measured(**{**FINE, **changes}))
        assert found is not None
        assert all(value in found[1].message for value in values), found[1].message


def test_only_gates_that_are_asked_are_stated() -> None:
    assert len(list(stated(Gates()))) == 3
    assert list(stated(Gates(**OFF))) == []
    assert "waits for a person" in patience_text(Gates(after_patience="Wait"))
    assert "5m: then it goes back" in patience_text(Gates())


# -- a Shift at its gates


def a_world(gates: dict[str, Any] | None = None, **spec: Any) -> World:
    """A hundred agents at east, and a Shift of two waves whose first ten have all been released."""
    world = World()
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    report(world, "east", released=1000)
    report(world, WEST, calls_answered=500, calls_unanswered=500)
    world.shift(selector={"system": "hotel"}, to=WEST, waves=[10, 100], gates=gates or {}, **spec)
    world.settle()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east", GROUP, dict.fromkeys(range(90), 1))
    report(world, "east", released=1010)
    report(world, WEST, calls_answered=500, calls_unanswered=500)
    return world


def report(world: World, site: str, **counts: int) -> None:
    """What a city's CTI has counted since it started."""
    before = world.snapshot.report(site, "hotel")
    assert before is not None
    group = before.groups.get(GROUP, GroupReport()).model_copy(
        update={"revision": world.snapshot.placements[GROUP].revision, **counts}
    )
    world.report(site, "hotel", {**before.groups, GROUP: group})


def arrivals(world: World, agents: int, p95: float = 0.3, wave: int = 1) -> None:
    moves = MovesOfShift(
        agents=agents, p50=0.1, p95=p95, max=p95, last_at=0, waves={str(wave): MovesOfWave(agents=agents, p95=p95)}
    )
    world.put(keys.moves(WEST, "hotel"), MovesRecord(shifts={"callcenter/s1": moves}))


def test_the_next_wave_begins_when_enough_have_signed_in() -> None:
    world = a_world()
    arrivals(world, 8)
    world.settle()
    world.advance(GATE_SETTLE_S + 0.1)
    world.settle()
    record = world.shift_record()
    assert (record.wave, record.reason, record.gate) == (1, Reason.TOO_FEW_SIGNED_IN, "SignedIn")
    assert record.gate_since == world.mono
    assert "8 of the 10" in record.message
    arrivals(world, 9)
    world.settle()
    record = world.shift_record()
    assert (record.wave, record.gate, record.gate_since) == (2, "", 0.0)
    assert world.placement() == {"east>west": "0-89", "west": "90-99"}


def test_while_the_last_ones_are_counted_a_closed_gate_is_no_news() -> None:
    world = a_world()
    world.settle()
    assert world.shift_record().reason == Reason.WAVE_STARTED
    assert Reason.TOO_FEW_SIGNED_IN in world.reasons()


def test_whoever_went_home_instead_of_leaving_is_not_missed() -> None:
    world = a_world()
    arrivals(world, 4)
    world.settle()
    report(world, "east", released=1004)  # six of the ten signed out by themselves
    world.settle()
    assert world.shift_record().wave == 2


def test_a_cti_that_restarted_counts_from_nothing() -> None:
    world = a_world()
    arrivals(world, 3)
    world.settle()
    report(world, "east", released=5)
    world.settle()
    assert world.shift_record().wave == 1
    arrivals(world, 4)
    world.settle()
    assert world.shift_record().wave == 2


def test_what_a_city_said_while_they_were_leaving_opens_no_gate_when_it_is_said_again() -> None:
    """By an engine that stood still, was replaced, and wakes up: its report is of a time when fewer had left."""
    world = a_world()
    leaving = world.snapshot.placements[GROUP].revision
    arrivals(world, 3)
    world.settle()
    assert world.placement() == {"east": "0-89", "west": "90-99"}
    report(world, "east", released=1003, revision=leaving)
    world.settle()
    assert world.shift_record().wave == 1
    report(world, "east", released=1003)
    world.settle()
    assert world.shift_record().wave == 2


def test_a_wave_that_began_while_the_city_it_leaves_was_silent_is_judged_by_what_was_planned() -> None:
    """Its engine stands still: nobody knows how many its CTI had released before."""
    world = World()
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.shift(selector={"system": "hotel"}, to=WEST, waves=[10, 100])
    world.hold()
    world.settle()
    world.delete(keys.report("east", "hotel"))
    world.delete(keys.HOLD)
    world.settle()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east", GROUP, dict.fromkeys(range(90), 1))
    report(world, "east", released=1010)
    report(world, WEST)
    world.settle()
    world.advance(GATE_SETTLE_S + 0.1)
    world.settle()
    assert world.shift_record().wave == 1
    assert "of the 10 agents" in world.shift_record().message
    arrivals(world, 9)
    world.settle()
    assert world.shift_record().wave == 2


def test_guests_in_the_old_city_have_left_it_though_its_counts_are_not_known() -> None:
    world = a_world()
    arrivals(world, 3)
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))  # who cannot reach west works here as a guest
    world.settle()
    assert world.shift_record().wave == 1


def test_whoever_is_signed_in_there_counts_though_their_arrival_was_forgotten() -> None:
    world = a_world()
    world.sessions(WEST, GROUP, dict.fromkeys(range(90, 100), 1))
    world.settle()
    assert world.shift_record().wave == 2


def test_arrivals_of_an_earlier_wave_open_no_gate() -> None:
    world = a_world()
    arrivals(world, 100, wave=2)
    world.settle()
    assert world.shift_record().wave == 1


@pytest.mark.parametrize(
    ("answered", "unanswered", "wave"),
    [
        pytest.param(508, 502, 2, id="four-of-five"),
        pytest.param(507, 503, 1, id="fewer"),
        pytest.param(500, 500, 2, id="no-calls-since"),
        pytest.param(7, 3, 1, id="the-cti-restarted"),
    ],
)
def test_only_calls_since_the_wave_began_count(answered: int, unanswered: int, wave: int) -> None:
    world = a_world()
    arrivals(world, 10)
    report(world, WEST, calls_answered=answered, calls_unanswered=unanswered)
    world.settle()
    assert world.shift_record().wave == wave


def test_slow_sign_ins_keep_the_next_wave_waiting() -> None:
    world = a_world({"signInTime": "1s"})
    arrivals(world, 10, p95=1.5)
    world.advance(GATE_SETTLE_S)
    world.settle()
    world.advance(GATE_SETTLE_S)
    world.settle()
    assert (world.shift_record().wave, world.shift_record().reason) == (1, Reason.SIGN_INS_TOO_SLOW)


def test_a_wave_is_observed_for_as_long_as_was_asked() -> None:
    world = a_world({"observe": "30s"})
    arrivals(world, 10)
    world.settle()
    record = world.shift_record()
    assert (record.wave, record.reason, record.gate) == (1, Reason.OBSERVING, "")
    world.advance(29.9)
    world.settle()
    assert world.shift_record().wave == 1
    world.advance(0.2)
    world.settle()
    assert world.shift_record().wave == 2


def closed(gates: dict[str, Any] | None = None) -> World:
    """A Shift whose gate SignedIn has just closed."""
    world = a_world(gates)
    world.sessions(WEST, GROUP, dict.fromkeys(range(90, 95), 1))
    world.settle()
    world.advance(GATE_SETTLE_S + 0.1)
    world.settle()
    assert world.shift_record().gate == "SignedIn"
    return world


def test_a_gate_that_stays_closed_brings_everybody_back() -> None:
    world = closed({"patience": "1m"})
    world.advance(60.0)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(0.1)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Aborting", Reason.ABORTING)
    assert world.placement() == {"east": "0-89", "west>east": "90-99"}
    world.advance(FINISH_INTERVAL_S)
    world.sessions(WEST, GROUP, {})
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("RolledBack", Reason.ROLLED_BACK)
    assert "the gate SignedIn stayed closed for 1m" in record.message
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_shortens_no_patience_and_prolongs_none(step: float) -> None:
    world = closed({"patience": "1m"})
    world.wall_ahead = step
    world.advance(59.0)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(1.1)
    world.settle()
    assert world.shift_record().phase == "Aborting"


def test_or_waits_for_a_person() -> None:
    world = closed({"patience": "1m", "afterPatience": "Wait"})
    world.advance(3600.0)
    world.settle()
    assert (world.shift_record().phase, world.shift_record().gate) == ("Moving", "SignedIn")
    world.change_shift(abort=True)
    world.settle()
    assert world.shift_record().phase == "Aborting"


def test_a_hold_is_not_counted_as_a_closed_gate() -> None:
    world = closed({"patience": "1m"})
    world.advance(50.0)
    world.hold()
    world.settle()
    assert (world.shift_record().reason, world.shift_record().gate) == (Reason.HELD, "")
    world.advance(600.0)
    world.delete(keys.HOLD)
    world.settle()
    assert (world.shift_record().phase, world.shift_record().gate) == ("Moving", "SignedIn")


def test_after_the_last_wave_no_gate_is_asked() -> None:
    world = a_world()
    arrivals(world, 10)
    world.settle()
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east", GROUP, {})
    report(world, "east", released=1100)
    report(world, WEST)
    world.settle()
    assert world.shift_record().phase == "Verifying"


def test_the_plan_names_the_gates_with_their_thresholds() -> None:
    world = a_world({"signedIn": 90, "signInTime": "2s", "callSuccess": 0, "observe": "1m", "patience": "3m"})
    text = " ".join(world.shift_record().plan_text)
    for words in ("90 % of those it released are signed in", "for 2s at most", "1m have passed", "closed for 3m"):
        assert words in text
    assert "of the calls offered" not in text
