"""Alarms at the engine: who is asked when, what is published, and a whole Drill whose alarm fires."""

import asyncio
from typing import Any

import pytest

from tandem.api.alarms import Prometheus
from tandem.constants import ALARM_IDLE_INTERVAL_S, ALARM_INTERVAL_S, ALARM_PATIENCE_S, LEASE_TTL_S
from tandem.domain import keys
from tandem.domain.alarms import AlarmAnswer
from tandem.domain.records import AlarmsRecord
from tandem.engine.alarms import AlarmWatch
from tandem.engine.ports import AdapterError
from tests.unit.engine.cities import Cities
from tests.unit.engine.test_drill import DRILL, HOLD_S, assert_all_as_before, command, drill, phase, ready, state
from tests.unit.engine.virtual import VirtualClock, run_virtual

OWNER = f"drills/{DRILL}"
QUERY = "lost > 0"
ALARMS = {"prometheus": {"url": "http://p:9090"}, "outcome": [{"name": "lost", "query": QUERY}]}
PENDING = {**ALARMS, "outcome": [{"name": "lost", "query": QUERY, "for": "5s"}]}


class FakePrometheus:
    """Answers as told; keeps when it was asked."""

    def __init__(self) -> None:
        self.answer: AlarmAnswer | None = AlarmAnswer(False)
        self.hangs: set[str] = set()
        """Queries that are not answered until the server's timeout."""
        self.asked: list[tuple[float, str]] = []

    async def ask(self, server: Prometheus, namespace: str, query: str) -> AlarmAnswer:
        assert namespace == "callcenter"
        self.asked.append((asyncio.get_running_loop().time(), query))
        if query in self.hangs:
            await asyncio.sleep(5.0)
            raise AdapterError("no answer within 5 s")
        await asyncio.sleep(0.01)
        if self.answer is None:
            raise AdapterError("refused")
        return self.answer

    def fires(self, value: str = "3") -> None:
        self.answer = AlarmAnswer(True, value)

    def quiet(self) -> None:
        self.answer = AlarmAnswer(False)

    def times_asked(self) -> int:
        return len(self.asked)


class Watched:
    """Two cities and a witness whose engines ask; each has a server that can be told apart."""

    def __init__(self, cities: Cities) -> None:
        self.cities = cities
        self.servers = {site: FakePrometheus() for site in cities.engines}
        self.tasks = {site: self._watch(site) for site in cities.engines}

    def _watch(self, site: str) -> "asyncio.Task[None]":
        engine = self.cities.engines[site]
        watch = AlarmWatch(site, engine.picture, engine.publisher, self.servers[site], VirtualClock())
        return asyncio.create_task(watch.run())

    def word(self, site: str = "east", alarm: str = "lost") -> str:
        entry = self.cities.snapshot.alarms.get(OWNER, {}).get(site)
        said = entry.record.alarms.get(alarm) if entry else None
        return said.state if said else ""

    def record(self, site: str = "east") -> AlarmsRecord:
        return self.cities.snapshot.alarms[OWNER][site].record

    async def end(self, site: str) -> None:
        self.tasks[site].cancel()
        await asyncio.gather(self.tasks[site], return_exceptions=True)

    async def restart(self, site: str) -> None:
        """kill -9 of the engine, and a new one with an empty memory."""
        await self.end(site)
        await self.cities.restart(site)
        self.tasks[site] = self._watch(site)

    async def stop(self) -> None:
        for site in self.tasks:
            await self.end(site)
        await self.cities.stop()


async def watched(**spec: Any) -> Watched:
    found = Watched(await ready(**{"alarms": ALARMS, **spec}))
    await found.cities.until(lambda: all(found.word(site) for site in found.servers))
    return found


def test_it_asks_now_and_then_while_nobody_waits_and_often_while_a_run_is_due() -> None:
    async def story() -> None:
        found = await watched()
        assert (found.record().purpose, found.word()) == ("", "Quiet")
        server = found.servers["east"]
        before = server.times_asked()
        await asyncio.sleep(3 * ALARM_IDLE_INTERVAL_S)
        assert server.times_asked() - before in (3, 4)
        found.servers["west"].fires()
        command(found.cities, alarms=ALARMS)
        await found.cities.until(lambda: found.record().purpose.startswith("before "))
        asked_at = asyncio.get_running_loop().time()
        before = server.times_asked()
        await asyncio.sleep(10 * ALARM_INTERVAL_S)
        assert server.times_asked() - before in (9, 10, 11)
        assert phase(found.cities) == "Checking"
        assert asyncio.get_running_loop().time() > asked_at
        await found.stop()

    run_virtual(story())


def test_only_what_changes_is_written() -> None:
    async def story() -> None:
        found = await watched()
        found.servers["east"].fires("1")
        await found.cities.until(lambda: found.word() == "Firing", within=ALARM_IDLE_INTERVAL_S + 1)
        revision = found.cities.snapshot.alarms[OWNER]["east"].mod_revision
        found.servers["east"].fires("2")
        await asyncio.sleep(3 * ALARM_IDLE_INTERVAL_S)
        assert found.cities.snapshot.alarms[OWNER]["east"].mod_revision == revision
        assert found.record().alarms["lost"].value == "1"
        found.servers["east"].quiet()
        await found.cities.until(lambda: found.word() == "Quiet", within=ALARM_IDLE_INTERVAL_S + 1)
        await found.stop()

    run_virtual(story())


def test_a_question_that_hangs_delays_no_other_one_and_is_unknown() -> None:
    async def story() -> None:
        two = {**ALARMS, "blocking": [{"name": "slow", "query": "slow"}]}
        found = Watched(await ready(alarms=two))
        for server in found.servers.values():
            server.hangs.add("slow")
        await found.cities.until(lambda: found.word() == "Quiet", within=1.5)
        assert found.word(alarm="slow") == ""
        await found.cities.until(lambda: found.word(alarm="slow") == "Unknown", within=6)
        assert found.record().alarms["slow"].detail == "no answer within 5 s"
        await found.stop()

    run_virtual(story())


def test_a_pending_alarm_is_asked_until_it_fires_though_nobody_waits() -> None:
    async def story() -> None:
        found = await watched(alarms=PENDING)
        found.servers["east"].fires()
        await found.cities.until(lambda: found.word() == "Pending", within=ALARM_IDLE_INTERVAL_S + 1)
        took = await found.cities.until(lambda: found.word() == "Firing", within=7)
        assert took == pytest.approx(5.0, abs=ALARM_INTERVAL_S + 0.1)
        await found.stop()

    run_virtual(story())


def test_what_is_asked_no_more_is_taken_back() -> None:
    async def story() -> None:
        found = await watched()
        for site in ("east", "west"):
            found.cities.delete(keys.spec(site, keys.DRILL, DRILL))
        await found.cities.until(lambda: OWNER not in found.cities.snapshot.alarms)
        before = found.servers["east"].times_asked()
        await asyncio.sleep(2 * ALARM_IDLE_INTERVAL_S)
        assert found.servers["east"].times_asked() == before
        await found.stop()

    run_virtual(story())


def test_other_questions_are_asked_at_once() -> None:
    async def story() -> None:
        found = await watched()
        other = {**ALARMS, "outcome": [{"name": "slow", "query": "slow > 1"}]}
        drill(found.cities, alarms=other)
        await found.cities.until(lambda: found.word(alarm="slow") == "Quiet", within=2)
        assert set(found.record().alarms) == {"slow"}
        await found.stop()

    run_virtual(story())


def test_the_words_of_an_engine_that_is_killed_go_with_its_lease() -> None:
    async def story() -> None:
        found = await watched()
        await found.end("east")
        await found.cities.engines["east"].kill()
        await found.cities.until(lambda: found.word() == "", within=LEASE_TTL_S + 2)
        assert found.word("west") == "Quiet"
        await found.stop()

    run_virtual(story())


# -- a whole run


async def holding(found: Watched) -> None:
    command(found.cities, alarms=ALARMS)
    await found.cities.until(lambda: phase(found.cities) == "Holding", within=20)
    await found.cities.until(lambda: not state(found.cities).run.unwatched_since)  # type: ignore[union-attr]


async def over(found: Watched, within: float = 40.0) -> Any:
    await found.cities.until(lambda: phase(found.cities) == "Waiting", within=within)
    await asyncio.sleep(0.5)
    (run,) = state(found.cities).runs
    return run


def test_a_run_whose_alarm_stays_quiet_succeeds() -> None:
    async def story() -> None:
        found = await watched()
        await holding(found)
        run = await over(found, HOLD_S + 40)
        assert run.outcome == "Succeeded", run.message
        assert_all_as_before(found.cities)
        await found.stop()

    run_virtual(story())


@pytest.mark.parametrize("site", ["east", "west", "witness"])
def test_whichever_location_sees_it_fire_the_run_comes_back(site: str) -> None:
    async def story() -> None:
        found = await watched()
        await holding(found)
        found.servers[site].fires()
        took = await found.cities.until(lambda: phase(found.cities) == "Back", within=5)
        assert took < 2 * ALARM_INTERVAL_S
        run = await over(found)
        assert (run.outcome, run.reason, run.alarm.site) == ("Failed", "AlarmFired", site)
        assert_all_as_before(found.cities)
        await found.stop()

    run_virtual(story())


def test_an_alarm_that_fires_while_nobody_is_coordinator_is_heeded_by_the_next_one() -> None:
    async def story() -> None:
        found = await watched()
        await holding(found)
        found.servers["west"].fires()
        await found.end("witness")
        await found.cities.engines["witness"].kill()
        await asyncio.sleep(1.2)  # it has been seen, and nobody reigns yet
        found.servers["west"].quiet()
        run = await over(found)
        assert (run.outcome, run.reason) == ("Failed", "AlarmFired")
        await found.stop()

    run_virtual(story())


@pytest.mark.parametrize("site", ["east", "witness"])
def test_an_engine_that_is_restarted_in_the_middle_ends_no_run(site: str) -> None:
    async def story() -> None:
        found = await watched(hold="60s")
        command(found.cities, alarms=ALARMS, hold="60s")
        await found.cities.until(lambda: phase(found.cities) == "Holding", within=20)
        await found.restart(site)
        run = await over(found, 120)
        assert run.outcome == "Succeeded", run.message
        await found.stop()

    run_virtual(story())


def test_a_prometheus_that_nobody_reaches_for_a_minute_brings_the_run_back() -> None:
    async def story() -> None:
        found = await watched(hold="10m")
        command(found.cities, alarms=ALARMS, hold="10m")
        await found.cities.until(lambda: phase(found.cities) == "Holding", within=20)
        await asyncio.sleep(5)
        for server in found.servers.values():
            server.answer = None
        took = await found.cities.until(lambda: phase(found.cities) == "Back", within=ALARM_PATIENCE_S + 5)
        assert took == pytest.approx(ALARM_PATIENCE_S, abs=2 * ALARM_INTERVAL_S)
        run = await over(found)
        assert (run.outcome, run.reason) == ("Failed", "AlarmUnknown")
        assert_all_as_before(found.cities)
        await found.stop()

    run_virtual(story())


def test_a_run_that_is_due_waits_for_an_alarm_to_be_quiet() -> None:
    async def story() -> None:
        found = await watched()
        for server in found.servers.values():
            server.fires()
        command(found.cities, alarms=ALARMS)
        await found.cities.until(lambda: state(found.cities).reason == "AlarmFiring", within=5)
        await asyncio.sleep(20)
        assert phase(found.cities) == "Checking"
        for server in found.servers.values():
            server.quiet()
        await found.cities.until(lambda: phase(found.cities) == "Out", within=3)
        run = await over(found, HOLD_S + 60)
        assert run.outcome == "Succeeded", run.message
        await found.stop()

    run_virtual(story())


def test_a_shifts_alarm_holds_its_next_wave_and_its_coming_to_rest_lets_it_go_on() -> None:
    async def story() -> None:
        found = Watched(await ready())
        cities, shift = found.cities, "callcenter/s1"
        for server in found.servers.values():
            server.fires()
        quiet = {"prometheus": ALARMS["prometheus"], "quiet": ALARMS["outcome"]}
        began = asyncio.get_running_loop().time()
        cities.shift(selector={"system": "hotel"}, to="west", waves=[10, 100], gates={"alarms": quiet})
        await cities.until(lambda: bool(found.servers["east"].asked))
        assert asyncio.get_running_loop().time() - began < 0.2  # at once, not at the next look
        await cities.until(lambda: cities.snapshot.shifts[shift].record.reason == "AlarmFiring")
        assert cities.snapshot.shifts[shift].record.phase == "Preparing"
        for server in found.servers.values():
            server.quiet()
        await cities.until(lambda: cities.snapshot.shifts[shift].record.wave == 1)
        for server in found.servers.values():
            server.fires("7")
        await cities.until(lambda: cities.snapshot.shifts[shift].record.gate == "Alarms", within=20.0)
        await asyncio.sleep(30.0)
        record = cities.snapshot.shifts[shift].record
        assert (record.wave, record.reason) == (1, "AlarmFiring")
        assert f"alarm lost fires: {QUERY} is 7, since" in record.message
        found.servers["east"].quiet()
        await asyncio.sleep(5.0)
        assert cities.snapshot.shifts[shift].record.wave == 1  # the other locations see it fire
        for server in found.servers.values():
            server.quiet()
        await cities.until(lambda: cities.snapshot.shifts[shift].record.phase == "Completed", within=30.0)
        await cities.until(lambda: not cities.snapshot.alarms.get(f"shifts/{shift}"))
        await found.stop()

    run_virtual(story())
