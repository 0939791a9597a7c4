"""A Drill, from its command or its time to its outcome: the real engines on virtual time."""

import asyncio
import json

import pytest

from tandem.domain import keys
from tandem.domain.buckets import bucket_of
from tandem.domain.digest import spec_digest
from tandem.domain.records import DrillRecord, SpecRecord
from tandem.domain.report_model import DrillReport
from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import CITIES, Cities
from tests.unit.engine.virtual import VirtualClock, run_virtual

DRILL = "callcenter/monthly"
HOLD_S = 20.0
MIXED = {"east": "0-9,20-79", "west": "10-19,80-99"}


def drill(cities: Cities, request: str = "", **spec: object) -> None:
    """The same manifest in both cities."""
    wanted = {"shift": {"selector": {"system": "hotel"}, "to": "west"}, "hold": f"{HOLD_S:.0f}s", **spec}
    for site in CITIES:
        record = SpecRecord(digest=spec_digest(wanted, {}), spec=wanted, request=request)
        cities.put(keys.spec(site, keys.DRILL, DRILL), record)


def command(cities: Cities, action: str = "run", number: str = "1", **spec: object) -> None:
    """The command in both cities, as a careless script would give it; it acts once."""
    request = {"id": number, "action": action, "by": "ada", "at": VirtualClock().now()}
    drill(cities, json.dumps(request), **spec)


def state(cities: Cities) -> DrillRecord:
    return cities.snapshot.drills[DRILL].record


def phase(cities: Cities) -> str:
    return state(cities).phase if DRILL in cities.snapshot.drills else ""


async def ready(agents: int = 100, **spec: object) -> Cities:
    """Engines run, a group has a map of no percentages, and its agents are where their buckets are."""
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    await cities.until(lambda: cities.placement() == {"east": "0-99"})
    placed = cities.snapshot.placements[GROUP].record
    cities.put(keys.placement(GROUP), placed.model_copy(update={"map": MIXED}))
    slots = cities.snapshot.placements[GROUP].map.slots
    for number in range(agents):
        account = f"agent-{number:04d}"
        cities.cti(slots[bucket_of(account)].site).sign_in(GROUP, account)
    drill(cities, "", **spec)
    await asyncio.sleep(3.0)
    return cities


def assert_all_as_before(cities: Cities, moves: int = 2) -> None:
    """Everybody is back in his own bucket's city, moved out and back once each, and never twice in one moment."""
    assert cities.placement() == MIXED
    slots = cities.snapshot.placements[GROUP].map.slots
    for site in CITIES:
        assert all(slots[bucket_of(account)].site == site for account in cities.cti(site).sessions(GROUP))
        assert cities.cti(site).signed_in_twice == []
    assert sum(len(cities.cti(site).sessions(GROUP)) for site in CITIES) == 100
    assert set(cities.times_moved().values()) <= {moves}


def report(cities: Cities) -> DrillReport:
    """Of the last run; as many arrived by it as its legs say, whatever was killed meanwhile."""
    (run, *_) = state(cities).runs
    found = cities.snapshot.drill_reports[f"{DRILL}/{run.name}"].record.report
    assert (found.out.arrived, found.back.arrived) == (run.out.moved, run.back.moved)
    assert sum(found.out.gap_bins.values()) == found.out.arrived
    assert sum(found.out.arrival_bins.values()) == found.out.arrived
    return found


def test_a_command_runs_it_once_and_everybody_is_back_where_he_was() -> None:
    async def story() -> None:
        cities = await ready()
        command(cities)
        await cities.until(lambda: phase(cities) == "Holding", within=15)
        assert cities.placement() == {"west": "0-99"}
        assert len(cities.cti("west").sessions(GROUP)) == 100
        took = await cities.until(lambda: phase(cities) == "Back", within=HOLD_S + 5)
        assert took == pytest.approx(HOLD_S, abs=0.5)
        await cities.until(lambda: phase(cities) == "Waiting", within=15)
        (run,) = state(cities).runs
        assert run.outcome == "Succeeded", run.message
        assert (run.out.moved, run.back.moved) == (run.out.agents, run.back.agents)
        assert 0 < run.out.p50 <= run.out.p95 <= run.out.max < 0.1
        found = report(cities)
        assert found.restored is True, found.restored_text
        assert found.out.gaps is not None
        assert found.out.gaps.max == pytest.approx(run.out.max, abs=0.0006)
        assert found.out.time_to["100"] == run.out.time_to["100"]
        assert found.out.waited_for == {"NotSaid": run.out.moved}  # this CTI does not say
        assert_all_as_before(cities)
        await asyncio.sleep(60)
        assert len(state(cities).runs) == 1
        await cities.stop()

    run_virtual(story())


def test_its_schedule_starts_it_on_the_minute() -> None:
    async def story() -> None:
        cities = await ready(schedule="* * * * *", hold="0s", startingDeadline="30s")
        clock = VirtualClock()
        await cities.until(lambda: phase(cities) == "Out", within=61)
        assert clock.now() % 60 < 0.2
        await cities.until(lambda: phase(cities) == "Waiting", within=20)
        assert state(cities).runs[0].outcome == "Succeeded", state(cities).runs[0].message
        await cities.until(lambda: phase(cities) == "Out", within=61)
        await cities.until(lambda: phase(cities) == "Waiting", within=20)
        times = [run.due.at for run in state(cities).runs]
        assert (times[0] - times[1], len(times)) == (60.0, 2)
        assert_all_as_before(cities, moves=4)
        await cities.stop()

    run_virtual(story())


@pytest.mark.parametrize("victim", ["witness", "east", "west"])
@pytest.mark.parametrize("stage", ["Out", "Holding", "Back"])
def test_an_engine_that_is_killed_in_any_phase_changes_nothing(stage: str, victim: str) -> None:
    """The witness's is the coordinator: another one goes on. A city's is back after four seconds."""

    async def story() -> None:
        cities = await ready(shift={"selector": {"system": "hotel"}, "to": "west", "waves": [30, 100]})
        command(cities, shift={"selector": {"system": "hotel"}, "to": "west", "waves": [30, 100]})
        await cities.until(lambda: phase(cities) == stage, within=HOLD_S + 20)
        if stage != "Holding":  # the new map is there, and some are on their way
            there = "west" if stage == "Out" else "east"
            before = len(cities.cti(there).sessions(GROUP))
            await cities.until(lambda: len(cities.cti(there).sessions(GROUP)) > before + 3)
        await cities.engines[victim].kill()
        await asyncio.sleep(4.0)
        cities.engines[victim] = cities.engine(victim)
        cities.engines[victim].start()
        await cities.until(lambda: phase(cities) == "Waiting", within=HOLD_S + 60)
        (run,) = state(cities).runs
        assert run.outcome == "Succeeded", run.message
        assert report(cities).restored is True
        assert len(cities.snapshot.shifts) == 2
        assert_all_as_before(cities)
        await cities.stop()

    run_virtual(story())


@pytest.mark.parametrize("stage", ["Out", "Holding", "Back"])
def test_an_abort_in_any_phase_brings_everybody_back(stage: str) -> None:
    async def story() -> None:
        cities = await ready()
        command(cities)
        await cities.until(lambda: phase(cities) == stage, within=HOLD_S + 20)
        command(cities, "abort", "2")
        await cities.until(lambda: phase(cities) == "Waiting", within=30)
        (run,) = state(cities).runs
        assert (run.outcome, run.reason) == ("Interrupted", "AbortedByUser")
        await asyncio.sleep(0.05)
        assert cities.placement() == MIXED
        assert sum(len(cities.cti(site).sessions(GROUP)) for site in CITIES) == 100
        await cities.stop()

    run_virtual(story())


def test_a_quorum_that_is_lost_while_they_are_away_delays_the_way_back_only() -> None:
    async def story() -> None:
        cities = await ready()
        command(cities)
        await cities.until(lambda: phase(cities) == "Holding", within=15)
        cities.etcd.lose_quorum()
        await asyncio.sleep(HOLD_S + 10)
        assert len(cities.cti("west").sessions(GROUP)) == 100
        cities.etcd.regain_quorum()
        await cities.until(lambda: phase(cities) == "Waiting", within=60)
        assert state(cities).runs[0].outcome == "Succeeded", state(cities).runs[0].message
        assert_all_as_before(cities)
        await cities.stop()

    run_virtual(story())


def test_what_restarts_after_the_end_changes_nothing_of_the_report() -> None:
    async def story() -> None:
        cities = await ready()
        command(cities)
        await cities.until(lambda: phase(cities) == "Holding", within=15)
        await cities.until(lambda: phase(cities) == "Waiting", within=HOLD_S + 30)
        before = report(cities)
        for site in CITIES:
            cities.cti(site).restart()
            await cities.restart(site)
        await asyncio.sleep(30)
        assert report(cities) == before
        await cities.stop()

    run_virtual(story())
