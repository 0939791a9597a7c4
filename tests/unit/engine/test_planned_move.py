"""A planned move, from the order to the last agent: the real engines on virtual time."""

import asyncio
from collections.abc import Sequence

from tandem.domain import keys
from tandem.engine.ports import Delete, Guard, Put, TxnResult
from tests.support.memory_store import Fate
from tests.unit.domain.world import GROUP
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import run_virtual

WEST = {"west": "0-99"}


async def ready(agents: int = 200, talking: int = 0) -> Cities:
    """Engines run, one group is placed at east, and its agents are signed in there."""
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    await cities.until(lambda: cities.placement() == {"east": "0-99"})
    cities.sign_in("east", agents, talking=talking)
    await asyncio.sleep(1.0)
    return cities


def assert_everybody_moved_once(cities: Cities, agents: int = 200) -> None:
    assert len(cities.cti("west").sessions(GROUP)) == agents
    assert cities.cti("east").sessions(GROUP) == set()
    assert set(cities.times_moved().values()) == {1}
    assert cities.cti("west").signed_in_twice == []


def test_an_order_moves_every_agent_and_the_buckets_follow() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"west": 100})
        first = await cities.until(lambda: cities.placement() == {"east>west": "0-99"})
        assert first < 0.06  # watch, coalesce, decide, commit
        rest = await cities.until(lambda: cities.placement() == WEST)
        assert rest < 0.5
        assert_everybody_moved_once(cities)
        await cities.until(lambda: cities.phases() == ["Completed"])
        (shift,) = cities.snapshot.shifts.values()
        assert shift.record.message == "200 agents arrived at west"
        moves = cities.snapshot.moves[("west", "hotel")].record.shifts[shift.name]
        assert moves.agents == 200
        assert 0 < moves.p50 <= moves.p95 <= moves.max < 0.1
        await cities.stop()

    run_virtual(story())


def test_a_thousand_agents_in_eight_groups_are_on_their_way_within_a_fifth_of_a_second() -> None:
    async def story() -> None:
        cities = Cities(systems=("hotel", "flight"))
        await cities.start()
        names = {f"callcenter/g{number}": ("hotel", "flight")[number % 2] for number in range(8)}
        for name, system in names.items():
            cities.group({"east": 100}, name=name, agents=125, system=system)
        await cities.until(lambda: all(cities.placement(name) == {"east": "0-99"} for name in names))
        for name, system in names.items():
            cities.sign_in("east", 125, name, system)
        await asyncio.sleep(1.0)
        for name, system in names.items():
            cities.group({"west": 100}, name=name, agents=125, system=system)
        on_their_way = await cities.until(
            lambda: all("east" not in cities.placement(name) for name in names), within=1.0
        )
        assert on_their_way < 0.2
        await cities.until(lambda: all(cities.placement(name) == WEST for name in names), within=2.0)
        for system in cities.systems:
            assert set(cities.times_moved(system).values()) == {1}
        await cities.until(lambda: set(cities.phases()) == {"Completed"})
        await cities.stop()

    run_virtual(story())


def test_agents_in_a_call_move_after_it() -> None:
    async def story() -> None:
        cities = await ready(agents=50, talking=5)
        cities.group({"west": 100})
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) == 45)
        await asyncio.sleep(5.0)
        staying = cities.cti("east").sessions(GROUP)
        assert len(staying) == 5
        assert "east>west" in cities.placement()
        for account in sorted(staying):
            cities.cti("east").hang_up(GROUP, account)
        await cities.until(lambda: cities.placement() == WEST)
        assert_everybody_moved_once(cities, agents=50)
        await cities.stop()

    run_virtual(story())


def test_the_same_manifest_twice_does_nothing() -> None:
    async def story() -> None:
        cities = await ready(agents=20)
        cities.group({"west": 100})
        await cities.until(lambda: cities.phases() == ["Completed"])
        revision = cities.snapshot.placements[GROUP].revision
        cities.group({"west": 100})
        await asyncio.sleep(5.0)
        assert cities.snapshot.placements[GROUP].revision == revision
        assert cities.phases() == ["Completed"]
        await cities.stop()

    run_virtual(story())


def test_a_hold_in_the_middle_lets_buckets_finish_and_pauses_the_shift() -> None:
    async def story() -> None:
        cities = await ready()
        cities.shift(selector={"system": "hotel"}, to="west", waves=[20, 100])
        await cities.until(lambda: "east>west" in cities.placement())
        cities.hold()
        await cities.until(lambda: cities.placement() == {"east": "0-79", "west": "80-99"})
        await asyncio.sleep(5.0)
        assert cities.placement() == {"east": "0-79", "west": "80-99"}
        (shift,) = cities.snapshot.shifts.values()
        assert shift.record.reason == "Held"
        cities.delete(keys.HOLD)
        await cities.until(lambda: cities.placement() == WEST)
        assert_everybody_moved_once(cities)
        await cities.stop()

    run_virtual(story())


def test_an_abort_in_the_middle_brings_everybody_back() -> None:
    async def story() -> None:
        cities = await ready()
        cities.shift(selector={"system": "hotel"}, to="west")
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) > 50)
        (shift,) = cities.snapshot.shifts.values()
        spec = shift.record.spec.model_copy(update={"abort": True})
        # As an operator does: only if nobody has written since it read.
        cities.put(keys.shift(shift.name), shift.record.model_copy(update={"spec": spec}))
        await cities.until(lambda: cities.phases() == ["RolledBack"])
        assert cities.placement() == {"east": "0-99"}
        await asyncio.sleep(0.05)  # the last ones are on their way
        assert len(cities.cti("east").sessions(GROUP)) == 200
        assert cities.cti("west").sessions(GROUP) == set()
        assert cities.cti("east").signed_in_twice + cities.cti("west").signed_in_twice == []
        await cities.stop()

    run_virtual(story())


def test_the_coordinator_is_killed_in_the_middle_and_another_one_finishes() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"west": 100})
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) > 20)
        assert cities.snapshot.coordinator is not None
        assert cities.snapshot.coordinator.record.site == "witness"
        await cities.engines["witness"].kill()
        await cities.until(lambda: cities.placement() == WEST)
        assert_everybody_moved_once(cities)
        await cities.until(lambda: cities.phases() == ["Completed"])
        await cities.stop()

    run_virtual(story())


def test_the_engine_of_the_old_city_is_killed_in_the_middle_and_finishes_after_its_restart() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"west": 100})
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) > 20)
        await cities.engines["east"].kill()
        await asyncio.sleep(4.0)  # its report has gone with its lease
        assert cities.placement() != WEST
        cities.engines["east"] = cities.engine("east")
        cities.engines["east"].start()
        await cities.until(lambda: cities.placement() == WEST)
        assert_everybody_moved_once(cities)
        await cities.until(lambda: cities.phases() == ["Completed"])
        await cities.stop()

    run_virtual(story())


def test_the_engine_of_the_new_city_is_killed_and_its_switch_times_are_complete_after_all() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"west": 100})
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) > 20)
        await cities.restart("west")
        await cities.until(lambda: cities.phases() == ["Completed"])
        assert_everybody_moved_once(cities)
        (moves,) = cities.snapshot.moves[("west", "hotel")].record.shifts.values()
        assert moves.agents == 200
        await cities.stop()

    run_virtual(story())


def test_a_move_that_loses_the_store_goes_on_between_the_cities_and_is_recorded_later() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"west": 100})
        await cities.until(lambda: len(cities.cti("west").sessions(GROUP)) > 20)
        cities.etcd.lose_quorum()
        await asyncio.sleep(5.0)
        assert len(cities.cti("west").sessions(GROUP)) == 200
        cities.etcd.regain_quorum()
        await cities.until(lambda: cities.placement() == WEST)
        assert_everybody_moved_once(cities)
        await cities.stop()

    run_virtual(story())


def test_after_an_unknown_outcome_nothing_is_decided_on_what_was_known_before() -> None:
    async def story() -> None:
        cities = await ready()
        witness = cities.engines["witness"]
        real = witness.store.txn
        attempts: list[bool] = []

        async def txn(guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0) -> TxnResult:
            if any(write.key.startswith(keys.PLACEMENTS) for write in writes) and not attempts:
                # Applied, but the answer gets lost, and the watch is deaf: only a read can tell.
                witness.picture._apply_changes = lambda changes: None  # type: ignore[method-assign]
                witness.store.fates = [Fate.APPLIED]
                attempts.append(True)
            return await real(guards, writes, timeout=timeout)

        witness.store.txn = txn  # type: ignore[method-assign]
        cities.group({"west": 100})
        await cities.until(lambda: witness.coordinator.figures.unknown == 1)
        await asyncio.sleep(3.0)
        assert witness.coordinator.figures.refused == 0
        await cities.stop()

    run_virtual(story())


def test_a_commit_whose_outcome_is_unknown_is_read_back_before_anything_else() -> None:
    async def story(fate: Fate) -> None:
        cities = await ready()
        coordinator = cities.engines["witness"]
        coordinator.store.fates = [fate]
        cities.group({"west": 100})
        await cities.until(lambda: cities.placement() == WEST)
        assert coordinator.coordinator.figures.unknown == 1
        cities.etcd.release()
        await asyncio.sleep(2.0)
        assert cities.placement() == WEST
        assert len(cities.phases()) == 1
        assert_everybody_moved_once(cities)
        await cities.stop()

    for fate in Fate:
        run_virtual(story(fate))
