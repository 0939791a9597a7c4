"""A Drill of kind Failover, from its command to its outcome: the real engines on virtual time."""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tandem.api.common import duration_seconds
from tandem.constants import DOWN_EXTRA_S, REHEARSAL_MOST_S, SILENCE_TTL_S
from tandem.domain import keys
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.clients import ClientCount
from tandem.domain.digest import spec_digest
from tandem.domain.reasons import Reason
from tandem.domain.records import DrillRecord, DrillRunRecord, SpecRecord
from tandem.domain.verdicts import State, site_verdict
from tests.unit.domain.world import GROUP, group_spec
from tests.unit.engine.cities import CITIES, Cities
from tests.unit.engine.virtual import VirtualClock, run_virtual

DRILL = "callcenter/fire-alarm"
HOLD_S = 20.0
OTHERS = "callcenter/hotel-south-sales"
SPEC = {
    "kind": "Failover",
    "failover": {"site": "east", "silence": 20},
    "shift": {"selector": {"names": ["hotel-north-sales"]}},
    "hold": f"{HOLD_S:.0f}s",
}


def command(cities: Cities, action: str = "run", number: str = "1", **spec: object) -> None:
    wanted = {**SPEC, **spec}
    request = json.dumps({"id": number, "action": action, "by": "ada", "at": VirtualClock().now()})
    for site in CITIES:
        record = SpecRecord(digest=spec_digest(wanted, {}), spec=wanted, request=request)
        cities.put(keys.spec(site, keys.DRILL, DRILL), record)


def state(cities: Cities) -> DrillRecord:
    return cities.snapshot.drills[DRILL].record


def phase(cities: Cities) -> str:
    return state(cities).phase if DRILL in cities.snapshot.drills else ""


def last(cities: Cities) -> DrillRunRecord:
    return state(cities).runs[0]


async def ready(agents: int = 100, talking: int = 0) -> Cities:
    """A hundred agents of the group that is drilled work at east, and as many of another one."""
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    spec = group_spec({"east": 100}, skillGroup="service")
    for site in CITIES:
        record = SpecRecord(digest=spec_digest(spec, {}), spec=spec)
        cities.put(keys.spec(site, keys.AGENT_GROUP, OTHERS), record)
    await cities.until(lambda: {GROUP, OTHERS} <= cities.snapshot.placements.keys())
    for number in range(agents):
        cities.cti("east").sign_in(GROUP, f"agent-{number:04d}", talking=number < talking)
        cities.cti("east").sign_in(OTHERS, f"other-{number:04d}")
    await asyncio.sleep(4.0)
    return cities


async def silent(cities: Cities, within: float = 5.0) -> set[str]:
    """Until those who are silenced are out of service."""
    cti = cities.cti("east")
    await cities.until(lambda: bool(cti.silenced), within=within)
    accounts = {account for groups in cti.silenced.values() for found in groups.values() for account in found}
    await cities.until(lambda: accounts.isdisjoint(cti.sessions(GROUP)), within=2.0)
    return accounts


def assert_nobody_moved(cities: Cities) -> None:
    assert cities.placement() == {"east": "0-99"}
    assert len(cities.cti("east").sessions(GROUP)) == 100
    assert_others_noticed_nothing(cities)


def assert_others_noticed_nothing(cities: Cities) -> None:
    assert len(cities.cti("east").sessions(OTHERS)) == 100
    assert cities.snapshot.placements[OTHERS].map.encode() == {"east": "0-99"}
    assert not cities.snapshot.failovers
    assert all(cities.cti(site).signed_in_twice == [] for site in CITIES)


def test_the_loss_is_detected_confirmed_and_acted_on_for_the_chosen_groups_only() -> None:
    async def story() -> None:
        cities = await ready()
        verdicts: set[State] = set()
        maps: list[dict[str, str]] = []
        seen = cities.snapshot.revision

        def look() -> bool:
            nonlocal seen
            verdicts.add(site_verdict(cities.snapshot, "east").state)
            if cities.snapshot.revision != seen and cities.placement() not in maps:
                maps.append(cities.placement())
            return phase(cities) == "Holding"

        command(cities)
        out = await silent(cities)
        assert len(out) == 20
        began = VirtualClock().monotonic()
        await cities.until(look, within=20)
        took = VirtualClock().monotonic() - began
        confirm_after = duration_seconds(cities.snapshot.sites["east"].spec.detection.confirm_after)  # type: ignore[union-attr]
        assert confirm_after + DOWN_EXTRA_S - 1.5 < took < 12
        assert verdicts == {State.HEALTHY}
        assert maps == [{"east": "0-99"}, {"east>west": "0-99"}, {"west": "0-99"}] or maps[-1] == {"west": "0-99"}
        assert len(cities.cti("west").sessions(GROUP)) == 100
        assert out <= cities.cti("west").sessions(GROUP)
        assert_others_noticed_nothing(cities)
        assert not cities.snapshot.rehearsed, "nobody says any more that east is lost"
        run = state(cities).run
        assert run is not None
        assert run.out.moved == 100
        times = cities.snapshot.shifts[run.out.shift].record.rehearsal
        assert times is not None
        assert times.silent == 20
        assert 4.0 < run.out.max < 9.0  # the silent ones, out since their last ping
        assert run.out.p50 < 0.5  # the others
        await cities.until(lambda: phase(cities) == "Waiting", within=HOLD_S + 20)
        assert (last(cities).outcome, last(cities).reason) == ("Succeeded", Reason.COMPLETED), last(cities).message
        failover = cities.snapshot.drill_reports[f"{DRILL}/{last(cities).name}"].record.report.failover
        assert failover is not None
        assert failover.failed_over is not None
        assert failover.failed_over.agents == 20
        assert failover.failed_over.gaps.p50 > 4.0  # of them alone; the others' are milliseconds
        assert failover.doors_open is not None
        assert failover.failed_over.last_sign_in > failover.doors_open - 0.1
        assert_nobody_moved(cities)
        await cities.stop()

    run_virtual(story())


def test_whoever_is_in_a_call_stays_until_it_is_over() -> None:
    async def story() -> None:
        cities = await ready(talking=5)
        command(cities)
        await silent(cities)
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) == 95, within=20)
        assert cities.cti("east").sessions(GROUP) == {f"agent-{number:04d}" for number in range(5)}
        assert phase(cities) == "Out"
        for number in range(5):
            cities.cti("east").hang_up(GROUP, f"agent-{number:04d}")
        await cities.until(lambda: phase(cities) == "Holding", within=10)
        assert len(cities.cti("west").sessions(GROUP)) == 100
        await cities.stop()

    run_virtual(story())


async def hold(cities: Cities) -> None:
    cities.hold()


async def kill_the_coordinator(cities: Cities) -> None:
    await cities.engines["witness"].kill()


async def kill_the_lost_sites_engine(cities: Cities) -> None:
    await cities.engines["east"].kill()


async def restart_its_cti_mutely(cities: Cities) -> None:
    cities.cti("east").refuses_silence = True


async def abort(cities: Cities) -> None:
    command(cities, "abort", "2")


@pytest.mark.parametrize(
    ("happens", "outcome", "reason"),
    [
        pytest.param(hold, "Interrupted", Reason.HELD, id="hold"),
        pytest.param(kill_the_coordinator, "Interrupted", Reason.REHEARSAL_ENDED, id="coordinator-dies"),
        pytest.param(abort, "Interrupted", Reason.ABORTED_BY_USER, id="abort"),
        pytest.param(kill_the_lost_sites_engine, "Interrupted", Reason.SITE_NOT_HEALTHY, id="engine-dies"),
        pytest.param(restart_its_cti_mutely, "Failed", Reason.LOSS_NOT_CONFIRMED, id="cti-takes-no-word"),
    ],
)
def test_truth_ends_it_before_anything_moves_and_everybody_is_answered_again(
    happens: Callable[[Cities], Any], outcome: str, reason: Reason
) -> None:
    async def story() -> None:
        cities = await ready()
        command(cities)
        out = await silent(cities)
        await happens(cities)
        await cities.until(lambda: out <= cities.cti("east").sessions(GROUP), within=SILENCE_TTL_S + 1)
        await cities.until(lambda: phase(cities) == "Waiting", within=REHEARSAL_MOST_S + 10)
        assert (last(cities).outcome, last(cities).reason) == (outcome, reason), last(cities).message
        assert_nobody_moved(cities)
        await asyncio.sleep(10)
        assert not cities.snapshot.rehearsed
        await cities.stop()

    run_virtual(story())


def test_where_nobody_is_idle_nobody_is_silent_and_nothing_is_confirmed() -> None:
    async def story() -> None:
        cities = await ready(talking=100)
        command(cities)
        await cities.until(lambda: bool(cities.cti("east").silenced), within=5)
        await cities.until(lambda: phase(cities) == "Waiting", within=REHEARSAL_MOST_S + 10)
        assert (last(cities).outcome, last(cities).reason) == ("Failed", Reason.LOSS_NOT_CONFIRMED)
        assert "its CTI of hotel kept nobody silent" in last(cities).message
        assert_nobody_moved(cities)
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_cannot_be_silent_blocks_it() -> None:
    async def story() -> None:
        cities = await ready()
        cities.cti("east").can = CTICapabilities()
        cities.cti("east").restart(disk=True)
        for number in range(100):
            cities.cti("east").sign_in(GROUP, f"agent-{number:04d}")
            cities.cti("east").sign_in(OTHERS, f"other-{number:04d}")
        await asyncio.sleep(5.0)
        command(cities)
        await cities.until(lambda: DRILL in cities.snapshot.drills and bool(state(cities).runs), within=10)
        assert (last(cities).outcome, last(cities).reason) == ("Blocked", Reason.UNSUPPORTED_BY_CTI)
        assert cities.cti("east").silenced == {}
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_restarts_before_it_takes_a_word_is_told_by_its_new_name() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        take = cti.impair

        async def restarted(
            boot: str, run: str, shares: Mapping[str, int], to: Sequence[str], ttl: float
        ) -> Mapping[str, int]:
            cti.impair = take  # type: ignore[method-assign]
            cti.restart(disk=True)
            for number in range(100):
                cti.sign_in(GROUP, f"agent-{number:04d}")
                cti.sign_in(OTHERS, f"other-{number:04d}")
            return await take(boot, run, shares, to, ttl)

        cti.impair = restarted  # type: ignore[method-assign]
        command(cities)
        assert len(await silent(cities, within=10.0)) == 20
        await cities.until(lambda: phase(cities) == "Holding", within=20)
        await cities.until(lambda: phase(cities) == "Waiting", within=HOLD_S + 20)
        assert last(cities).outcome == "Succeeded", last(cities).message
        assert_nobody_moved(cities)
        await cities.stop()

    run_virtual(story())


def test_what_silent_clients_say_of_their_city_counts_for_nothing() -> None:
    async def story() -> None:
        cities = await ready()
        command(cities, failover={"site": "east", "silence": 100})
        await silent(cities)
        cities.cti("west").said_by_clients = {"east": {GROUP: ClientCount(100, 100)}}
        await asyncio.sleep(2.0)
        assert phase(cities) == "Out"
        assert site_verdict(cities.snapshot, "east").state is State.HEALTHY
        cities.cti("west").said_by_clients = {"east": {OTHERS: ClientCount(100, 100)}}  # of these it does
        await asyncio.sleep(2.5)
        assert site_verdict(cities.snapshot, "east").state is not State.HEALTHY
        await cities.stop()

    run_virtual(story())
