"""A planned move, from the order to the last agent: the real engines on virtual time."""

from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import run_virtual


def test_an_order_moves_every_agent_and_the_buckets_follow() -> None:
    async def story() -> None:
        cities = Cities()
        cities.start()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        cities.sign_in("east", 200)
        cities.group({"west": 100})
        took = await cities.until(lambda: cities.placement() == {"west": "0-99"})
        assert took < 1.0
        assert len(cities.cti("west").sessions(GROUP)) == 200
        assert cities.cti("east").sessions(GROUP) == set()
        await cities.until(lambda: cities.shift_phases() == ["Completed"])
        (shift,) = cities.snapshot.shifts.values()
        assert shift.record.message == "200 agents arrived at west"
        await cities.stop()

    run_virtual(story())
