"""Numbers and shares in the softswitch, back within a moment after it forgot them."""

import asyncio

from tandem.domain import keys
from tests.unit.domain.test_routes import TRUNK, trunk_spec
from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import Cities
from tests.unit.engine.fakes import FakeSoftswitch
from tests.unit.engine.virtual import run_virtual


async def ready() -> tuple[Cities, FakeSoftswitch]:
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    cities.publish(keys.TRUNK, TRUNK, trunk_spec())
    softswitch = cities.adapters["east"].softswitches["hotel"]
    await cities.until(lambda: GROUP in softswitch.placements and "8001001" in softswitch.numbers)
    return cities, softswitch


def test_numbers_come_from_trunks_and_shares_from_placements() -> None:
    async def story() -> None:
        cities, softswitch = await ready()
        assert softswitch.numbers == {"8001001": GROUP}
        assert softswitch.placements == {GROUP: cities.snapshot.placements[GROUP].revision}
        await cities.stop()

    run_virtual(story())


def test_a_softswitch_that_restarted_has_its_tables_back_within_two_seconds() -> None:
    async def story() -> None:
        cities, softswitch = await ready()
        await asyncio.sleep(30.0)
        softswitch.restart()
        assert await cities.until(lambda: GROUP in softswitch.placements and bool(softswitch.numbers)) < 2.0
        await cities.stop()

    run_virtual(story())


def test_a_softswitch_that_was_away_for_long_is_filled_although_its_uptime_is_higher_than_the_last_one_seen() -> None:
    async def story() -> None:
        cities, softswitch = await ready()
        softswitch.restart()
        await asyncio.sleep(2.0)  # seen with an uptime of 1 or 2 s
        softswitch.down = True
        softswitch.restart()
        await asyncio.sleep(20.0)  # up for 20 s when it is reached again
        softswitch.down = False
        assert await cities.until(lambda: GROUP in softswitch.placements) < 2.0
        await cities.stop()

    run_virtual(story())


def test_a_table_that_lost_an_entry_is_repaired_and_an_idle_one_is_left_alone() -> None:
    async def story() -> None:
        cities, softswitch = await ready()
        await asyncio.sleep(15.0)
        pushes = softswitch.pushes
        await asyncio.sleep(60.0)
        assert softswitch.pushes == pushes
        softswitch.placements.clear()
        assert await cities.until(lambda: GROUP in softswitch.placements, within=15.0) < 12.0
        await cities.stop()

    run_virtual(story())


def test_numbers_that_an_older_engine_pushed_late_are_mended() -> None:
    async def story() -> None:
        cities, softswitch = await ready()
        await asyncio.sleep(15.0)
        softswitch.numbers = {"8001001": "callcenter/of-yesterday", "8001002": GROUP}
        assert await cities.until(lambda: softswitch.numbers == {"8001001": GROUP}, within=15.0) < 12.0
        await cities.stop()

    run_virtual(story())


def test_the_report_says_which_revision_the_softswitch_holds() -> None:
    async def story() -> None:
        cities, _ = await ready()
        revision = cities.snapshot.placements[GROUP].revision

        def reported() -> int:
            report = cities.snapshot.report("east", "hotel")
            return report.softswitch_revision if report else -1

        await cities.until(lambda: reported() == revision)
        await cities.stop()

    run_virtual(story())


def test_new_calls_a_second_are_reported_and_a_restart_is_no_flood_of_them() -> None:
    async def story() -> None:
        cities, softswitch = await ready()

        def reported() -> float | None:
            report = cities.snapshot.report("east", "hotel")
            return report.calls_per_second if report else None

        for _ in range(30):
            softswitch.placed = (softswitch.placed or 0) + 4
            await asyncio.sleep(1.0)
        assert reported() == 4.0
        softswitch.restart()
        softswitch.placed = 1000  # as if carriers had come back with everything at once, before anybody looked
        assert await cities.until(lambda: reported() is None) < 3.0
        assert await cities.until(lambda: reported() == 0.0, within=15.0) > 8.0
        softswitch.down = True
        assert await cities.until(lambda: reported() is None) < 3.0, "what it counted before is no rate of now"
        await cities.stop()

    run_virtual(story())
