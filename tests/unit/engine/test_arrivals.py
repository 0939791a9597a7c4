"""Switch times of those who arrive: each once, complete after restarts."""

import asyncio
from dataclasses import replace

from tandem.constants import ARRIVALS_WAIT_S
from tandem.domain import keys
from tandem.domain.records import MovesRecord
from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import run_virtual


def moves(cities: Cities, site: str) -> MovesRecord:
    entry = cities.snapshot.moves.get((site, "hotel"))
    return entry.record if entry else MovesRecord()


async def at_east() -> Cities:
    """Running cities; thirty agents are signed in at east."""
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    await cities.until(lambda: cities.placement() == {"east": "0-99"})
    cities.sign_in("east", 30)
    await asyncio.sleep(1.0)
    return cities


async def there_and_back() -> Cities:
    cities = await at_east()
    for share in ({"west": 100}, {"east": 100}):
        cities.group(share)
        await cities.until(lambda: len(cities.phases()) > 0 and set(cities.phases()) == {"Completed"})
        await cities.until(lambda share=share: cities.placement() == {next(iter(share)): "0-99"})  # type: ignore[misc]
        await asyncio.sleep(1.0)
    return cities


def test_each_shift_has_its_own_distribution_at_the_city_of_arrival() -> None:
    async def story() -> None:
        cities = await there_and_back()
        assert [found.agents for found in moves(cities, "west").shifts.values()] == [30]
        assert [found.agents for found in moves(cities, "east").shifts.values()] == [30]
        assert moves(cities, "west").shifts.keys() != moves(cities, "east").shifts.keys()
        await cities.stop()

    run_virtual(story())


def test_only_drills_shifts_are_kept_in_detail() -> None:
    async def story() -> None:
        cities = await there_and_back()
        assert cities.snapshot.arrivals == {}
        await cities.stop()

    run_virtual(story())


def test_an_engine_that_restarts_counts_nobody_twice() -> None:
    async def story() -> None:
        cities = await there_and_back()
        before = moves(cities, "west")
        await cities.restart("west")
        await asyncio.sleep(3.0)
        assert moves(cities, "west") == before
        await cities.stop()

    run_virtual(story())


def test_when_engine_and_cti_have_forgotten_the_store_still_knows() -> None:
    async def story() -> None:
        cities = await there_and_back()
        before = moves(cities, "west")
        cities.cti("west").restart()
        await cities.restart("west")
        await asyncio.sleep(3.0)
        cities.sign_in("east", 1, GROUP)
        await cities.cti("west").arrive(GROUP, "hotel-north-sales-0007", "east", asyncio.get_running_loop().time())
        await asyncio.sleep(3.0)
        (name,) = before.shifts
        assert moves(cities, "west").shifts[name].agents == 30
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_restarted_and_counted_further_than_before_between_two_looks_is_heard_from_the_beginning() -> None:
    """Its numbers begin at 1 again, so only its boot tells that number 31 is another agent than the last 31st."""

    async def story() -> None:
        cities = await there_and_back()
        west, (name,) = cities.cti("west"), moves(cities, "west").shifts
        heard = list(west.moves)
        assert len(heard) == 30
        west.restart()
        west.moves += [replace(move, account=f"{move.account}-{n}") for n in (1, 2) for move in heard]
        west.moves += heard[:5]  # known already, and counted once
        await asyncio.sleep(3.0)
        assert moves(cities, "west").shifts[name].agents == 90
        await cities.stop()

    run_virtual(story())


def test_who_loses_the_same_city_later_is_not_counted_in_the_shift_that_left_it() -> None:
    async def story() -> None:
        cities = await there_and_back()
        west, (name,) = cities.cti("west"), moves(cities, "west").shifts
        later = max(move.signed_in_at for move in west.moves) + 60.0
        for without_ticket in (True, False):
            west.moves += [
                replace(
                    move, account=f"{move.account}-{without_ticket}", signed_in_at=later, failed_over=without_ticket
                )
                for move in west.moves[:5]
            ]
        await asyncio.sleep(ARRIVALS_WAIT_S + 3.0)
        assert moves(cities, "west").shifts[name].agents == 35, "those with a ticket had stayed for a call"
        await cities.stop()

    run_virtual(story())


def test_who_comes_back_after_an_abort_is_counted_as_that() -> None:
    async def story() -> None:
        cities = await at_east()
        cities.group({"west": 100}, waves=[50, 100], gates={"observe": "1h"})
        await cities.until(lambda: sum(found.agents for found in moves(cities, "west").shifts.values()) > 0)
        (name,) = cities.snapshot.shifts
        entry = cities.snapshot.shifts[name]
        aborted = entry.record.model_copy(update={"spec": entry.record.spec.model_copy(update={"abort": True})})
        cities.put(keys.shift(name), aborted)
        await cities.until(lambda: cities.snapshot.shifts[name].record.phase == "RolledBack")
        await asyncio.sleep(2.0)
        there, home = moves(cities, "west").shifts[name], moves(cities, "east").shifts[name]
        assert (there.agents, there.back) == (home.agents, 0)
        assert (home.back, home.moved) == (home.agents, 0)
        await cities.stop()

    run_virtual(story())
