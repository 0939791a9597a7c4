"""Routes to the carrier: pushed by the coordinator's engine, confirmed in the store, repaired."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from tandem.domain import keys
from tandem.domain.records import TrunkRecord
from tests.unit.domain.test_routes import TRUNK, trunk_spec
from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import Cities
from tests.unit.engine.fakes import FakeCarrier
from tests.unit.engine.virtual import run_virtual

OLDER = "callcenter/older"


async def ready() -> Cities:
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    cities.publish(keys.TRUNK, TRUNK, trunk_spec())
    await cities.until(lambda: "8001001" in cities.carrier.plans)
    return cities


def weights(cities: Cities) -> dict[str, int]:
    return {route.name: route.weight for route in cities.carrier.plans["8001001"].routes}


def record(cities: Cities) -> TrunkRecord:
    return cities.snapshot.routes[TRUNK].record


def test_routes_reach_the_carrier_and_are_confirmed() -> None:
    async def story() -> None:
        cities = await ready()
        assert weights(cities) == {"east": 70, "west": 30, "overflow": 0}
        assert [route.target for route in cities.carrier.plans["8001001"].routes] == [
            "east:30560",
            "west:30560",
            "west:30560",
        ]
        await cities.until(lambda: record(cities).confirmed_revision == record(cities).revision > 0)
        assert record(cities).channels_in_use == 7
        await cities.stop()

    run_virtual(story())


def test_routes_follow_the_agents_to_the_other_city() -> None:
    async def story() -> None:
        cities = await ready()
        cities.sign_in("east", 50)
        await cities.until(lambda: weights(cities) == {"east": 100, "west": 0, "overflow": 0})
        cities.group({"west": 100})
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) == 50)
        assert await cities.until(lambda: weights(cities) == {"east": 0, "west": 100, "overflow": 0}) < 3.0
        await cities.stop()

    run_virtual(story())


def test_a_carrier_that_was_away_gets_the_routes_when_it_is_back() -> None:
    async def story() -> None:
        cities = await ready()
        cities.carrier.down = True
        cities.sign_in("east", 50)
        await cities.until(lambda: record(cities).routes[0]["weight"] == 100)
        await asyncio.sleep(3.0)
        assert record(cities).confirmed_revision < record(cities).revision
        cities.carrier.down = False
        await cities.until(lambda: weights(cities) == {"east": 100, "west": 0, "overflow": 0})
        await cities.until(lambda: record(cities).confirmed_revision == record(cities).revision)
        await cities.stop()

    run_virtual(story())


def test_a_carrier_that_forgot_is_told_again_within_half_a_minute() -> None:
    async def story() -> None:
        cities = await ready()
        cities.carrier.plans.clear()
        await cities.until(lambda: "8001001" in cities.carrier.plans, within=32.0)
        await cities.stop()

    run_virtual(story())


def test_an_idle_trunk_costs_no_writes() -> None:
    async def story() -> None:
        cities = await ready()
        await asyncio.sleep(10.0)
        entry = cities.etcd.get(keys.trunk(TRUNK))
        await asyncio.sleep(60.0)
        assert cities.etcd.get(keys.trunk(TRUNK)) == entry
        await cities.stop()

    run_virtual(story())


def many_numbers(**changes: Any) -> dict[str, Any]:
    return trunk_spec(numbers=[{"number": f"80020{n:02}", "group": "hotel-north-sales"} for n in range(40)], **changes)


def test_a_carrier_that_has_everything_is_only_asked() -> None:
    """Else a Trunk of 500 numbers costs 500 requests each half minute, for nothing."""

    async def story() -> None:
        cities = await ready()
        cities.publish(keys.TRUNK, TRUNK, many_numbers())
        await cities.until(lambda: len(cities.carrier.plans) == 41, within=32.0)
        await asyncio.sleep(2.0)
        pushed = len(cities.carrier.pushes)
        await asyncio.sleep(100.0)
        assert len(cities.carrier.pushes) == pushed
        await cities.stop()

    run_virtual(story())


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda carrier: carrier.plans.pop("8002007"), id="it-forgot-one"),
        pytest.param(lambda carrier: carrier.older("8002007"), id="one-is-older"),
        pytest.param(lambda carrier: carrier.rerouted("8002007"), id="somebody-changed-a-weight"),
        pytest.param(lambda carrier: carrier.limited("8002007"), id="somebody-changed-a-limit"),
    ],
)
def test_only_what_the_carrier_has_otherwise_is_pushed_again(spoil: Callable[[FakeCarrier], Any]) -> None:
    async def story() -> None:
        cities = await ready()
        cities.publish(keys.TRUNK, TRUNK, many_numbers())
        await cities.until(lambda: len(cities.carrier.plans) == 41, within=32.0)
        await asyncio.sleep(2.0)
        before = dict(cities.carrier.plans)
        pushed = len(cities.carrier.pushes)
        spoil(cities.carrier)
        await asyncio.sleep(32.0)
        assert cities.carrier.pushes[pushed:] == ["8002007"]
        assert cities.carrier.plans == before
        await cities.stop()

    run_virtual(story())


def test_a_number_that_another_trunk_has_given_up_goes_by_the_routes_of_its_new_one() -> None:
    """The carrier refuses an older revision than it has of a number, whichever Trunk that was of."""

    async def story() -> None:
        cities = Cities()
        await cities.start()
        cities.group({"east": 100})
        spec = trunk_spec()
        (number,) = spec["numbers"]
        older = {**spec, "numbers": [{**number, "number": "8009999"}]}
        cities.publish(keys.TRUNK, OLDER, older)
        await cities.until(lambda: "8009999" in cities.carrier.plans)
        await asyncio.sleep(5.0)
        cities.publish(keys.TRUNK, TRUNK, spec)
        await cities.until(lambda: "8001001" in cities.carrier.plans)
        cities.publish(keys.TRUNK, TRUNK, {**spec, "numbers": [{**number, "number": "8005555"}]})
        await cities.until(lambda: "8005555" in cities.carrier.plans)
        taken = {**older, "numbers": [number, {**number, "number": "8000001"}, *older["numbers"]]}
        cities.publish(keys.TRUNK, OLDER, {**taken, "capacity": {"channels": 11, "callsPerSecond": 2}})
        await cities.until(lambda: "8000001" in cities.carrier.plans)
        await cities.until(lambda: cities.carrier.plans["8001001"].channels == 11)
        await cities.stop()

    run_virtual(story())


def test_changed_limits_reach_the_carrier_soon() -> None:
    async def story() -> None:
        cities = await ready()
        await asyncio.sleep(2.0)
        cities.publish(keys.TRUNK, TRUNK, trunk_spec(capacity={"channels": 50, "callsPerSecond": 5}))
        await cities.until(lambda: cities.carrier.plans["8001001"].channels == 50, within=3.0)
        await cities.stop()

    run_virtual(story())
