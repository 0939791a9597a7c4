"""A Drill and its alarms: what keeps it from starting, what brings it back, and what that leaves behind."""

from typing import Any, Self

import pytest

from tandem.api.drill import AlarmState
from tandem.constants import ALARM_PATIENCE_S, PATIENCE_S
from tandem.domain import keys
from tandem.domain.alarms import watches_of
from tandem.domain.reasons import Reason
from tandem.domain.records import AlarmsRecord, AlarmWord
from tests.unit.domain.drill_world import DRILL, HOLD_S, MIXED, DrillWorld
from tests.unit.domain.world import GROUP

OWNER = f"drills/{DRILL}"
QUERY = "sum(rate(lost[1m])) > 0.1"
LOST = {"name": "lost", "query": QUERY}
ALARMS = {
    "prometheus": {"url": "http://prometheus:9090"},
    "blocking": [{"name": "batch", "query": "batch_running"}],
    "outcome": [LOST],
}


class AlarmedWorld(DrillWorld):
    """The Drill has a blocking and an outcome alarm."""

    def __init__(self, placement: dict[str, str] | None = None, **spec: Any) -> None:
        super().__init__(placement, **{"alarms": ALARMS, **spec})

    def told(self, site: str = "east", at: float | None = None, **states: AlarmState) -> None:
        """Prometheus has told `site` something for whatever it is asked for now; what is not named is quiet."""
        watch = watches_of(self.snapshot)[OWNER]
        entry = self.snapshot.alarms.get(OWNER, {}).get(site)
        old = entry.record.alarms if entry is not None and entry.record.purpose == watch.purpose else {}
        words = {}
        for alarm in watch.alarms:
            state = states.get(alarm.name, "Quiet")
            fired_at = old[alarm.name].fired_at if alarm.name in old else 0.0
            if state == "Firing":
                fired_at = fired_at or at or self.mono
            value = "3" if state in ("Pending", "Firing") else ""
            words[alarm.name] = AlarmWord(
                state=state,
                since=at or self.mono,
                value=value,
                detail="refused" if state == "Unknown" else "",
                fired_at=fired_at,
                fired_value="3" if fired_at else "",
            )
        record = AlarmsRecord(purpose=watch.purpose, digest=watch.digest, alarms=words)
        self.put(keys.alarms(site, OWNER), record)

    def started(self) -> Self:
        self.command()
        self.settle()
        self.told()
        self.settle()
        assert self.state.phase == "Out", self.state.message
        self.told()
        self.settle()
        return self

    def ending(self) -> tuple[str | None, str]:
        """What has been decided of the run under way: its outcome, and why."""
        return self.run.outcome, self.run.reason

    def home_again(self) -> None:
        """Those at west go home, by whichever Shift; the run is over."""
        self.advance(2)
        self.sessions("west", GROUP, {})
        self.sessions("east", GROUP, dict.fromkeys(range(10), 1))
        if self.state.phase == "Back":
            self.arrived("east", self.run.back.shift, 10)
        self.settle()
        assert self.state.phase == "Waiting", self.state.message


# -- before it starts


def test_it_starts_once_every_alarm_was_asked_for_this_run_and_is_quiet() -> None:
    world = AlarmedWorld()
    world.told()  # now and then it is asked while no run is due
    world.command()
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.ALARM_UNKNOWN)
    assert "no location has asked it yet" in world.state.message
    world.told()
    world.settle()
    assert world.state.phase == "Out"


@pytest.mark.parametrize(
    ("states", "reason", "words"),
    [
        pytest.param({"batch": "Firing"}, Reason.ALARM_FIRING, "batch_running is 3", id="a-blocking-one-fires"),
        pytest.param({"lost": "Firing"}, Reason.ALARM_FIRING, f"{QUERY} is 3", id="an-outcome-one-fires"),
        pytest.param({"batch": "Pending"}, Reason.ALARM_PENDING, "alarm batch is true", id="one-is-true"),
        pytest.param({"batch": "Unknown"}, Reason.ALARM_UNKNOWN, "east: refused", id="a-blocking-one-cannot-be-asked"),
        pytest.param({"lost": "Unknown"}, Reason.ALARM_UNKNOWN, "east: refused", id="an-outcome-one-cannot-be-asked"),
    ],
)
def test_an_alarm_that_is_not_quiet_blocks_it_and_is_named(
    states: dict[str, AlarmState], reason: Reason, words: str
) -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told("east", None, **states)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", reason)
    assert words in world.state.message
    world.advance(PATIENCE_S + 0.1)
    world.settle()
    assert world.outcome() == ("Blocked", reason)
    assert words in world.last.message
    assert (world.placement(), world.last.started_at) == ({"east": "0-99"}, 0.0)


def test_it_starts_when_the_alarm_is_quiet_again_in_time() -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told(batch="Firing")
    world.settle()
    world.advance(PATIENCE_S - 1)
    world.told()
    world.settle()
    assert world.state.phase == "Out"


def test_a_location_that_cannot_ask_keeps_nobody_from_it_who_can() -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told("east", batch="Unknown", lost="Unknown")
    world.told("witness")
    world.settle()
    assert world.state.phase == "Out"


def test_an_alarm_that_fires_in_the_very_moment_of_the_start_stops_it() -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told("east")
    (start,) = world.decide().commits
    world.told("west", batch="Firing")
    assert not world.commit(start)
    world.settle()
    assert (world.state.phase, world.state.reason) == ("Checking", Reason.ALARM_FIRING)


# -- during a run


def stage(world: AlarmedWorld, name: str) -> None:
    getattr(world, name)()
    world.told()
    world.settle()


@pytest.mark.parametrize("at", ["started", "holding", "coming_back"])
def test_an_outcome_alarm_that_fires_brings_everybody_back_and_the_run_has_failed(at: str) -> None:
    world = AlarmedWorld(MIXED)
    stage(world, at)
    world.told("witness", at=world.mono, lost="Firing")
    fired_at = world.mono
    world.settle()
    assert (world.run.outcome, world.run.reason) == ("Failed", Reason.ALARM_FIRED)
    assert "west>east" in world.placement()
    world.home_again()
    assert world.placement() == MIXED
    assert world.outcome() == ("Failed", Reason.ALARM_FIRED)
    for words in ("alarm lost", QUERY, "is 3", "as witness sees it"):
        assert words in world.last.message
    found = world.last.alarm
    assert found is not None
    assert (found.name, found.query, found.value, found.at, found.site) == ("lost", QUERY, "3", fired_at, "witness")
    assert (world.last.alarms, world.last.unwatched_since) == (None, 0.0)


def test_a_blocking_alarm_that_fires_during_a_run_changes_nothing() -> None:
    world = AlarmedWorld().holding()
    world.told(batch="Firing")
    world.settle()
    assert (world.state.phase, world.run.outcome) == ("Holding", None)


@pytest.mark.parametrize("state", ["Pending", "Quiet"])
def test_an_outcome_alarm_that_does_not_fire_changes_nothing(state: AlarmState) -> None:
    world = AlarmedWorld().holding()
    world.told(lost=state)
    world.settle()
    assert (world.state.phase, world.run.outcome) == ("Holding", None)


def test_an_alarm_that_fired_and_is_quiet_again_before_another_coordinator_looks_counts() -> None:
    world = AlarmedWorld().holding()
    world.told(lost="Firing")
    world.told()
    world.another_coordinator()
    world.settle()
    assert world.run.reason == Reason.ALARM_FIRED


def test_an_alarm_that_fired_while_the_run_was_only_due_does_not_bring_it_back() -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told(lost="Firing")
    world.settle()
    world.told()
    world.settle()
    assert world.state.phase == "Out"
    world.told()
    world.settle()
    assert world.run.outcome is None


def test_what_was_decided_first_stands() -> None:
    world = AlarmedWorld().holding()
    world.command("abort", number="2")
    world.told(lost="Firing")
    world.settle()
    world.home_again()
    assert world.outcome() == ("Interrupted", Reason.ABORTED_BY_USER)


def test_a_spec_without_alarms_that_comes_during_a_run_blinds_nobody() -> None:
    world = AlarmedWorld().holding()
    world.drill()
    world.settle()
    world.told(lost="Firing")
    world.settle()
    assert world.run.reason == Reason.ALARM_FIRED


# -- during a run, with nobody who can ask


def test_a_run_that_nobody_can_watch_for_a_minute_comes_back() -> None:
    world = AlarmedWorld(MIXED).holding()
    world.told(lost="Unknown")
    world.settle()
    assert (world.run.outcome, world.run.unwatched_since) == (None, world.mono)
    assert world.decide().wake_at == pytest.approx(world.mono + ALARM_PATIENCE_S, abs=0.01)
    world.advance(ALARM_PATIENCE_S - 0.1)
    world.settle()
    assert world.run.outcome is None
    world.successor()
    world.advance(0.2)
    world.settle()
    assert world.ending() == ("Failed", Reason.ALARM_UNKNOWN)
    assert "east: refused" in world.run.message
    world.home_again()
    assert (world.outcome(), world.placement()) == (("Failed", Reason.ALARM_UNKNOWN), MIXED)


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_wall_clock_that_is_set_makes_nobody_blind_sooner_or_later(step: float) -> None:
    world = AlarmedWorld().holding()
    world.told(lost="Unknown")
    world.settle()
    world.wall_ahead = step
    world.advance(ALARM_PATIENCE_S - 0.1)
    world.settle()
    assert world.run.outcome is None
    world.advance(0.2)
    world.settle()
    assert world.ending() == ("Failed", Reason.ALARM_UNKNOWN)


def test_engines_that_are_gone_watch_nothing() -> None:
    world = AlarmedWorld().holding()
    world.delete(keys.alarms("east", OWNER))
    world.settle()
    world.advance(ALARM_PATIENCE_S + 0.1)
    world.settle()
    assert world.run.reason == Reason.ALARM_UNKNOWN


def test_a_prometheus_that_restarts_ends_no_run() -> None:
    world = AlarmedWorld().holding()
    for _ in range(3):
        world.told(lost="Unknown")
        world.settle()
        world.advance(ALARM_PATIENCE_S - 1)
        world.told()
        world.settle()
        assert (world.run.outcome, world.run.unwatched_since) == (None, 0.0)
    world.advance(HOLD_S)
    world.settle()
    assert world.state.phase == "Back"


def test_a_run_that_was_never_watched_from_its_start_comes_back_too() -> None:
    world = AlarmedWorld()
    world.command()
    world.settle()
    world.told()
    world.settle()
    assert world.state.phase == "Out"
    world.advance(ALARM_PATIENCE_S + 0.1)
    world.settle()
    assert world.run.reason == Reason.ALARM_UNKNOWN
