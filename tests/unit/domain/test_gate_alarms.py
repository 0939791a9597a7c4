"""Alarms at the gates: no wave begins while one fires, is about to, or cannot be asked; none keeps people from home."""

from typing import Any

import pytest

from tandem.api.shift import ShiftSpec
from tandem.constants import FINISH_INTERVAL_S, GATE_SETTLE_S, PREPARE_PATIENCE_S
from tandem.domain import keys
from tandem.domain.alarms import watches_of
from tandem.domain.preview import Asked, previews
from tandem.domain.reasons import Reason
from tandem.domain.records import AlarmsRecord, AlarmWord
from tests.unit.domain.drill_world import HOLD_S, DrillWorld
from tests.unit.domain.world import GROUP, World

NAME = "callcenter/s1"
OWNER = f"shifts/{NAME}"
QUERY = "sum(rate(lost[1m])) > 0.1"
URL = "http://prometheus.monitoring:9090"
ALARMS = {"prometheus": {"url": URL}, "quiet": [{"name": "calls-lost", "query": QUERY}]}
OTHER_GATES: dict[str, Any] = {"signed_in": 0, "sign_in_time": "0s", "call_success": 0}
QUIET: dict[str, Any] = {"state": "Quiet"}
FIRING: dict[str, Any] = {"state": "Firing", "value": '{system="hotel"} 3'}
PENDING: dict[str, Any] = {"state": "Pending", "value": "3"}
UNKNOWN: dict[str, Any] = {"state": "Unknown", "detail": "no answer within 5 s"}


def a_world(**gates: Any) -> World:
    """A hundred agents at east, and a Shift of two waves that prepares."""
    world = World()
    world.group({"east": 100})
    world.settle()
    world.sessions("east", GROUP, dict.fromkeys(range(100), 1))
    gates = {**OTHER_GATES, "alarms": ALARMS, **gates}
    world.shift(selector={"system": "hotel"}, to="west", waves=[10, 100], gates=gates)
    world.settle()
    return world


def say(world: World, word: dict[str, Any], *sites: str, purpose: str = "") -> None:
    """What these locations (all: none is named) say for the wave that is next."""
    watch = watches_of(world.snapshot)[OWNER]
    record = AlarmsRecord(
        purpose=purpose or watch.purpose,
        digest=watch.digest,
        alarms={"calls-lost": AlarmWord.model_validate({"since": world.mono, **word})},
    )
    for site in sites or ("east", "west", "witness"):
        world.put(keys.alarms(site, OWNER), record)


def a_first_wave_that_has_left(**gates: Any) -> World:
    """Ten have gone over and the wave is settled; the alarms are asked anew."""
    world = a_world(**gates)
    say(world, QUIET)
    world.settle()
    assert world.placement() == {"east": "0-89", "east>west": "90-99"}
    world.advance(FINISH_INTERVAL_S)
    world.sessions("east", GROUP, dict.fromkeys(range(90), 1))
    world.sessions("west", GROUP, dict.fromkeys(range(90, 100), 1))
    world.settle()
    world.advance(GATE_SETTLE_S + 0.1)
    return world


def test_the_next_wave_begins_once_a_location_calls_the_alarm_quiet() -> None:
    world = a_first_wave_that_has_left()
    world.settle()
    assert (world.shift_record().wave, world.shift_record().gate) == (1, "Alarms")
    say(world, QUIET, "west")
    world.settle()
    assert (world.shift_record().wave, world.shift_record().gate) == (2, "")


@pytest.mark.parametrize(
    ("word", "sites", "reason", "words"),
    [
        pytest.param(
            FIRING, ["east"], Reason.ALARM_FIRING, ["calls-lost fires", QUERY, "hotel", "as east"], id="fires"
        ),
        pytest.param(PENDING, ["east"], Reason.ALARM_PENDING, ["calls-lost is true", QUERY, "3"], id="is-about-to"),
        pytest.param(
            UNKNOWN, [], Reason.ALARM_UNKNOWN, ["cannot be asked", "no answer within 5 s"], id="nobody-can-ask"
        ),
    ],
)
def test_an_alarm_that_is_not_quiet_holds_the_next_wave_and_says_so(
    word: dict[str, Any], sites: list[str], reason: Reason, words: list[str]
) -> None:
    world = a_first_wave_that_has_left()
    if sites:
        say(world, QUIET, "west", "witness")
    say(world, word, *sites)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.wave, record.gate, record.reason) == ("Moving", 1, "Alarms", reason)
    assert all(part in record.message for part in words), record.message


def test_what_was_quiet_before_the_wave_began_says_nothing_of_what_it_does() -> None:
    world = a_world()
    assert watches_of(world.snapshot)[OWNER].purpose == "before wave 1"
    say(world, QUIET)
    world.settle()
    assert watches_of(world.snapshot)[OWNER].purpose == "before wave 2"
    world = a_first_wave_that_has_left()
    say(world, QUIET, purpose="before wave 1")
    world.settle()
    assert (world.shift_record().wave, world.shift_record().reason) == (1, Reason.ALARM_UNKNOWN)


def test_an_alarm_that_keeps_firing_sends_everybody_back_and_the_history_names_it() -> None:
    world = a_first_wave_that_has_left(patience="1m")
    say(world, FIRING)
    world.settle()
    world.advance(59.0)
    world.settle()
    assert world.shift_record().phase == "Moving"
    world.advance(1.1)
    world.settle()
    record = world.shift_record()
    assert record.phase in ("Aborting", "RolledBack")
    assert "the gate Alarms stayed closed for 1m: alarm calls-lost fires" in record.aborted_for
    told = [(entry.action, entry.who.kind) for entry in world.log if "alarm calls-lost fires" in entry.why]
    assert told[:2] == [("AlarmFiring", "Person"), ("Aborting", "Rule")]


def test_or_it_waits_for_a_person() -> None:
    world = a_first_wave_that_has_left(patience="1m", after_patience="Wait")
    say(world, FIRING)
    world.settle()
    world.advance(3600.0)
    world.settle()
    assert (world.shift_record().phase, world.shift_record().gate) == ("Moving", "Alarms")
    say(world, QUIET)
    world.settle()
    assert world.shift_record().wave == 2


def test_nothing_starts_while_it_fires_and_after_a_while_it_fails_with_nobody_moved() -> None:
    world = a_world()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Preparing", Reason.ALARM_UNKNOWN)
    say(world, FIRING)
    world.settle()
    assert (world.shift_record().phase, world.shift_record().reason) == ("Preparing", Reason.ALARM_FIRING)
    world.advance(PREPARE_PATIENCE_S + 1)
    world.settle()
    record = world.shift_record()
    assert (record.phase, record.reason) == ("Failed", Reason.ALARM_FIRING)
    assert "gave up before anything moved: alarm calls-lost fires" in record.message
    assert world.placement() == {"east": "0-99"}


@pytest.mark.parametrize("wave", [1, 2])
def test_one_that_fires_in_the_very_moment_of_the_decision_stops_the_wave(wave: int) -> None:
    world = a_world() if wave == 1 else a_first_wave_that_has_left()
    if wave == 2:
        world.settle()
    say(world, QUIET)
    (commit,) = [commit for commit in world.decide().commits if commit.reason is Reason.WAVE_STARTED]
    before = world.placement()
    say(world, FIRING, "witness")
    assert not world.commit(commit)
    assert world.placement() == before


def test_nobody_is_asked_after_the_last_wave_nor_on_the_way_back() -> None:
    world = a_first_wave_that_has_left()
    say(world, QUIET)
    world.settle()
    assert world.shift_record().wave == 2
    assert watches_of(world.snapshot) == {}
    world = a_first_wave_that_has_left()
    say(world, FIRING)
    world.change_shift(abort=True)
    world.settle()
    assert world.shift_record().phase == "Aborting"
    assert watches_of(world.snapshot) == {}


def test_one_that_awaits_approval_asks_now_and_then() -> None:
    world = World()
    world.group({"east": 100})
    world.settle()
    world.shift(selector={"system": "hotel"}, to="west", approval="Manual", gates={"alarms": ALARMS})
    world.settle()
    assert world.shift_record().phase == "AwaitingApproval"
    watch = watches_of(world.snapshot)[OWNER]
    assert (watch.purpose, watch.namespace, watch.latches) == ("", "callcenter", False)


def test_the_plan_says_which_alarms_and_who_is_asked() -> None:
    world = a_world()
    spec = ShiftSpec.model_validate({"selector": {"system": "hotel"}, "to": "west", "gates": {"alarms": ALARMS}})
    world.delete(keys.shift(NAME))
    (found,) = previews(world.snapshot, [Asked("callcenter/s2", spec)], world.now)
    sentence = (
        f"before the first wave and before each next: alarm calls-lost is quiet as the locations see it that ask {URL}"
    )
    assert sentence in found.planned.gates
    assert f"Gate: {sentence}." in found.text
    assert len([gate for gate in found.planned.gates if "calls-lost" in gate]) == 1


# -- in a Drill


def a_drill() -> DrillWorld:
    """A run whose way out prepares: its gates have an alarm."""
    world = DrillWorld(shift={"selector": {"system": "hotel"}, "to": "west", "gates": {"alarms": ALARMS}})
    return world.started()


def says(world: DrillWorld, word: dict[str, Any]) -> None:
    """What all locations say of the alarm of the Shift under way."""
    owner = f"shifts/{world.run.out.shift}"
    watch = watches_of(world.snapshot)[owner]
    words = {"calls-lost": AlarmWord.model_validate({"since": world.mono, **word})}
    for site in ("east", "west", "witness"):
        record = AlarmsRecord(purpose=watch.purpose, digest=watch.digest, alarms=words)
        world.put(keys.alarms(site, owner), record)
    world.settle()


def test_a_drills_way_home_asks_no_alarm() -> None:
    world = a_drill()
    says(world, QUIET)
    world.travel("east", "west")
    assert world.state.phase == "Holding", world.state.message
    world.advance(HOLD_S + 0.1)
    world.settle()
    back = world.snapshot.shifts[world.run.back.shift].record
    assert back.spec.gates.alarms is None
    assert back.phase == "Moving"
    assert watches_of(world.snapshot) == {}


def test_a_drill_whose_way_out_an_alarm_holds_says_so_and_ends() -> None:
    world = a_drill()
    says(world, FIRING)
    assert world.state.reason == Reason.ALARM_FIRING
    assert "waits: alarm calls-lost fires" in world.state.message
    world.advance(PREPARE_PATIENCE_S + 1)
    world.settle()
    assert world.state.phase == "Waiting"
    assert world.outcome() == ("Failed", Reason.ALARM_FIRING)
    assert world.placement() == {"east": "0-99"}
