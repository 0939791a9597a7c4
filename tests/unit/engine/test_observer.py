"""The observer: edges, void probes, and an observer that disqualifies itself."""

import asyncio

from tandem.constants import CREDIT_S
from tandem.domain import keys
from tandem.domain.verdicts import State, system_verdict, usability
from tandem.engine.observer import Observer, Target
from tandem.engine.ports import ProbeResult
from tandem.engine.supervisor import supervise
from tests.unit.domain.world import site_spec
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import run_virtual

CTI_OF_EAST = ("east", "hotel", "cti")


async def ready() -> Cities:
    cities = Cities()
    await cities.start()
    return cities


def words(cities: Cities, *about: str) -> dict[str, str]:
    site, system, component = about
    found = cities.snapshot.observations.get((site, system, component), {})
    return {observer: entry.record.state for observer, entry in found.items()}


def test_every_location_speaks_of_every_component_and_never_of_its_own_engine() -> None:
    async def story() -> None:
        cities = await ready()
        everyone = {"east": "Pass", "west": "Pass", "witness": "Pass"}
        assert words(cities, *CTI_OF_EAST) == everyone
        assert words(cities, "west", "hotel", "softswitch") == everyone
        assert words(cities, "east", "", "engine") == {"west": "Pass", "witness": "Pass"}
        assert usability(cities.snapshot, "east", "hotel").usable
        await cities.stop()

    run_virtual(story())


def test_a_site_whose_times_are_0_stops_nobody() -> None:
    """Its own word about itself is enough for every engine: one manifest in one cluster would end them all."""

    async def story() -> None:
        cities = await ready()
        never = {"interval": "0s", "timeout": "0s", "confirmAfter": "0s"}
        cities.publish(keys.SITE, "east", site_spec("east", "hotel", detection=never))
        await asyncio.sleep(3.0)
        for engine in cities.engines.values():
            engine.prober.broken.add("east:30580")
        took = await cities.until(lambda: set(words(cities, *CTI_OF_EAST).values()) == {"Fail"})
        assert took < 1.1, "at the pace of the last good one"
        await cities.stop()

    run_virtual(story())


def test_only_edges_are_published() -> None:
    async def story() -> None:
        cities = await ready()
        key = keys.observation("witness", *CTI_OF_EAST)
        before = cities.etcd.get(key)
        await asyncio.sleep(30.0)
        assert cities.etcd.get(key) == before
        await cities.stop()

    run_virtual(story())


def test_a_component_that_stops_answering_is_accused_within_interval_and_timeout() -> None:
    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.prober.broken.add("east:30580")
        took = await cities.until(lambda: set(words(cities, *CTI_OF_EAST).values()) == {"Fail"})
        assert took < 1.1
        assert system_verdict(cities.snapshot, "east", "hotel").state == State.SUSPECT
        assert not usability(cities.snapshot, "east", "hotel").usable
        for engine in cities.engines.values():
            engine.prober.broken.clear()
        assert await cities.until(lambda: usability(cities.snapshot, "east", "hotel").usable) < 1.1
        await cities.stop()

    run_virtual(story())


def test_a_void_probe_accuses_nobody() -> None:
    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.prober.void.add("east:30580")
        await asyncio.sleep(60.0)
        assert set(words(cities, *CTI_OF_EAST).values()) == {"Pass"}
        assert cities.engines["witness"].observer.void_probes > 10
        await cities.stop()

    run_virtual(story())


def stale(cities: Cities, observer: str) -> bool:
    return cities.snapshot.observations[CTI_OF_EAST][observer].record.stale


def test_a_pass_that_nothing_renews_is_no_veto_for_ever() -> None:
    async def story() -> None:
        cities = await ready()
        prober = cities.engines["witness"].prober
        prober.void.add("east:30580")
        assert CREDIT_S - 1.0 < await cities.until(lambda: stale(cities, "witness"), within=20.0) < CREDIT_S + 1.0
        assert not stale(cities, "west")
        prober.void.clear()
        assert await cities.until(lambda: not stale(cities, "witness")) < 1.1
        await cities.stop()

    run_virtual(story())


def test_what_answers_late_is_not_forgotten() -> None:
    async def story() -> None:
        cities = await ready()
        prober = cities.engines["witness"].prober
        prober.void.add("east:30580")
        prober.slow.add("east:30580")
        await asyncio.sleep(3 * CREDIT_S)
        assert words(cities, *CTI_OF_EAST)["witness"] == "Pass"
        assert not stale(cities, "witness")
        await cities.stop()

    run_virtual(story())


def test_an_accusation_that_nothing_measured_stands_for_is_withdrawn() -> None:
    async def story() -> None:
        cities = await ready()
        prober = cities.engines["witness"].prober
        prober.broken.add("east:30580")
        await cities.until(lambda: words(cities, *CTI_OF_EAST).get("witness") == "Fail")
        prober.void.add("east:30580")
        took = await cities.until(lambda: "witness" not in words(cities, *CTI_OF_EAST))
        assert took < 2.0, "before it could have been confirmed"
        prober.void.clear()
        await cities.until(lambda: firm(cities, "witness"))
        await cities.stop()

    run_virtual(story())


def firm(cities: Cities, observer: str) -> bool:
    entry = cities.snapshot.observations.get(CTI_OF_EAST, {}).get(observer)
    return entry is not None and entry.record.firm


def test_what_answers_late_is_slow_and_not_gone() -> None:
    """A city whose processors are taken: its sessions live, so nobody may accuse it for long."""

    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.prober.slow |= {"east:30580", "east:30560", "east:30590"}
        for _ in range(200):
            await asyncio.sleep(0.05)
            assert not any(firm(cities, observer) for observer in ("east", "west", "witness"))
        assert not usability(cities.snapshot, "east", "hotel").usable
        for engine in cities.engines.values():
            engine.prober.slow.clear()
        await cities.until(lambda: usability(cities.snapshot, "east", "hotel").usable)
        await cities.stop()

    run_virtual(story())


def test_an_observer_that_reaches_no_other_engine_withdraws_what_it_says_of_others() -> None:
    async def story() -> None:
        cities = await ready()
        lonely = cities.engines["west"].prober
        lonely.broken |= {"east", "witness"}
        await asyncio.sleep(3.0)
        assert words(cities, *CTI_OF_EAST) == {"east": "Pass", "witness": "Pass"}
        assert words(cities, "west", "hotel", "cti") == {"east": "Pass", "west": "Pass", "witness": "Pass"}
        lonely.broken = {"east"}  # it reaches the witness again: its word on east counts
        await cities.until(lambda: words(cities, *CTI_OF_EAST).get("west") == "Fail")
        lonely.broken = set()
        await cities.until(lambda: words(cities, *CTI_OF_EAST).get("west") == "Pass")
        await cities.stop()

    run_virtual(story())


def test_the_words_of_an_engine_that_dies_go_with_its_lease() -> None:
    async def story() -> None:
        cities = await ready()
        await cities.engines["witness"].kill()
        took = await cities.until(lambda: "witness" not in words(cities, *CTI_OF_EAST))
        assert took < 4.0
        assert "witness" not in cities.snapshot.heartbeats
        await cities.stop()

    run_virtual(story())


def test_a_changed_site_is_probed_where_it_is_now() -> None:
    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.prober.broken.add("elsewhere")
        spec = site_spec("east", "hotel")
        spec["systems"][0]["softswitch"]["sip"] = "elsewhere:5060"
        cities.publish(keys.SITE, "east", spec)
        await cities.until(lambda: set(words(cities, "east", "hotel", "softswitch").values()) == {"Fail"})
        cities.publish(keys.SITE, "east", site_spec("east", "flight"))
        await cities.until(lambda: words(cities, "east", "hotel", "softswitch") == {})
        await cities.stop()

    run_virtual(story())


def test_an_observer_whose_probe_failed_by_a_bug_probes_again() -> None:
    async def story() -> None:
        cities = await ready()
        used = cities.engines["witness"].observer
        observer = Observer("witness", used._picture, used._publisher, used._prober, used._clock)
        probe = observer._probe
        failed: list[Target] = []

        async def once_a_bug(target: Target) -> ProbeResult:
            if not failed:
                failed.append(target)
                raise RuntimeError("a bug")
            return await probe(target)

        observer._probe = once_a_bug  # type: ignore[method-assign]
        running = asyncio.create_task(supervise({"observer": observer.run}, used._clock))
        await asyncio.sleep(30.0)
        assert failed
        assert observer._tasks
        running.cancel()
        await cities.stop()

    run_virtual(story())
