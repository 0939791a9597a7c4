"""Deep probes: who works where as a test agent, how often, and what is published of it."""

import asyncio
from itertools import pairwise
from typing import Any

import pytest

from tandem.domain import keys
from tests.unit.domain.world import site_spec
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import VirtualClock, run_virtual

EVERYONE = {"east": "Pass", "west": "Pass", "witness": "Pass"}
SIGN_IN = ("east", "hotel", "sign-in")
CALL = ("east", "hotel", "call")


def with_deep_probes(city: str, mode: str = "SignInAndCall") -> dict[str, Any]:
    spec = site_spec(city, "hotel")
    spec["systems"][0]["deepProbes"] = mode
    return spec


async def ready(mode: str = "SignInAndCall") -> Cities:
    cities = Cities()
    await cities.start()
    for city in ("east", "west"):
        cities.publish(keys.SITE, city, with_deep_probes(city, mode))
    await asyncio.sleep(4.0)
    return cities


def words(cities: Cities, *about: str) -> dict[str, str]:
    site, system, component = about
    found = cities.snapshot.observations.get((site, system, component), {})
    return {observer: entry.record.state for observer, entry in found.items()}


def everywhere_broken(cities: Cities, city: str, component: str) -> None:
    for engine in cities.engines.values():
        engine.deep.broken.add((city, component))


def test_every_location_probes_every_city_by_a_test_agent_of_its_own() -> None:
    async def story() -> None:
        cities = await ready()
        for city in ("east", "west"):
            assert words(cities, city, "hotel", "sign-in") == EVERYONE
            assert words(cities, city, "hotel", "call") == EVERYONE
        for location, engine in cities.engines.items():
            assert {account for _, _, account in engine.deep.probes} == {f"tandem-probe.hotel.{location}"}
            assert {city for _, city, _ in engine.deep.probes} == {"east", "west"}
        await cities.stop()

    run_virtual(story())


@pytest.mark.parametrize(
    ("mode", "published"),
    [
        pytest.param("None", [{}, {}], id="off"),
        pytest.param("SignIn", [EVERYONE, {}], id="sign-in-only"),
        pytest.param("SignInAndCall", [EVERYONE, EVERYONE], id="both"),
    ],
)
def test_a_site_says_which_of_them_it_wants(mode: str, published: list[dict[str, str]]) -> None:
    async def story() -> None:
        cities = await ready(mode)
        assert [words(cities, *SIGN_IN), words(cities, *CALL)] == published
        assert bool(cities.engines["witness"].deep.probes) == (mode != "None")
        await cities.stop()

    run_virtual(story())


def test_what_is_no_longer_wanted_is_taken_back() -> None:
    async def story() -> None:
        cities = await ready()
        cities.publish(keys.SITE, "east", with_deep_probes("east", "SignIn"))
        await cities.until(lambda: words(cities, *CALL) == {})
        assert words(cities, *SIGN_IN) == EVERYONE
        cities.publish(keys.SITE, "east", site_spec("east", "hotel"))
        await cities.until(lambda: words(cities, *SIGN_IN) == {})
        assert words(cities, "west", "hotel", "sign-in") == EVERYONE
        await cities.stop()

    run_virtual(story())


def test_the_beat_is_two_seconds_and_the_locations_take_turns() -> None:
    async def story() -> None:
        cities = await ready()
        await asyncio.sleep(20.0)
        firsts = []
        for engine in cities.engines.values():
            times = [at for at, city, _ in engine.deep.probes if city == "east"]
            assert all(later - at == pytest.approx(2.0) for at, later in pairwise(times))
            firsts.append(times[0] % 2.0)
        assert min(abs(a - b) for a in firsts for b in firsts if a is not b) > 0.05
        await cities.stop()

    run_virtual(story())


def test_a_slower_interval_slows_them_down_too() -> None:
    async def story() -> None:
        cities = await ready()
        spec = with_deep_probes("east")
        spec["detection"] = {"interval": "3s", "confirmAfter": "4s", "target": "30s"}
        cities.publish(keys.SITE, "east", spec)
        await asyncio.sleep(10.0)
        times = [at for at, city, _ in cities.engines["west"].deep.probes if city == "east"][-3:]
        assert times[1] - times[0] == pytest.approx(3.0)
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_answers_and_signs_nobody_in_is_accused_by_its_sign_in_alone() -> None:
    async def story() -> None:
        cities = await ready()
        everywhere_broken(cities, "east", "sign-in")
        took = await cities.until(lambda: set(words(cities, *SIGN_IN).values()) == {"Fail"})
        assert took < 2.1
        assert words(cities, "east", "hotel", "cti") == EVERYONE
        assert words(cities, *CALL) == EVERYONE
        await cities.stop()

    run_virtual(story())


def test_a_softswitch_that_answers_options_and_refuses_calls_is_accused_by_the_call_alone() -> None:
    async def story() -> None:
        cities = await ready()
        everywhere_broken(cities, "east", "call")
        await cities.until(lambda: set(words(cities, *CALL).values()) == {"Fail"})
        assert words(cities, "east", "hotel", "softswitch") == EVERYONE
        assert words(cities, *SIGN_IN) == EVERYONE
        await cities.stop()

    run_virtual(story())


def test_a_hiccup_is_over_before_anybody_could_believe_it() -> None:
    """`confirmAfter` is as long as the beat: one failure must not stand unbroken for that long."""

    async def story() -> None:
        cities = await ready()
        everywhere_broken(cities, "east", "call")
        await cities.until(lambda: set(words(cities, *CALL).values()) == {"Fail"})
        for engine in cities.engines.values():
            engine.deep.broken.clear()
        assert await cities.until(lambda: words(cities, *CALL) == EVERYONE) < 0.6
        await cities.stop()

    run_virtual(story())


def test_what_answers_no_plain_question_is_not_said_to_work_until_the_beat_comes_round() -> None:
    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.prober.broken |= {"east:30580", "east:30560"}
        everywhere_broken(cities, "east", "sign-in")
        everywhere_broken(cities, "east", "call")
        took = await cities.until(
            lambda: set(words(cities, *SIGN_IN).values()) | set(words(cities, *CALL).values()) == {"Fail"}
        )
        assert took < 1.1  # interval and timeout of the plain probe; the beat alone would take 2 s
        await cities.stop()

    run_virtual(story())


def test_a_plain_probe_that_failed_by_chance_is_set_right_by_the_deep_one_at_once() -> None:
    async def story() -> None:
        cities = await ready()
        west = cities.engines["west"]
        west.prober.broken.add("east:30560")
        await cities.until(lambda: words(cities, "east", "hotel", "softswitch").get("west") == "Fail")
        assert await cities.until(lambda: words(cities, *CALL).get("west") == "Pass") < 0.1
        await cities.stop()

    run_virtual(story())


def test_a_void_deep_probe_says_nothing() -> None:
    async def story() -> None:
        cities = await ready()
        before = cities.engines["witness"].observer.void_probes
        for engine in cities.engines.values():
            engine.deep.void |= {("east", "call"), ("east", "sign-in")}
        await asyncio.sleep(10.0)
        assert words(cities, *CALL) == EVERYONE
        assert words(cities, *SIGN_IN) == EVERYONE
        assert cities.engines["witness"].observer.void_probes >= before + 8
        await cities.stop()

    run_virtual(story())


def test_a_directory_without_test_agents_makes_nobody_an_accuser(caplog: pytest.LogCaptureFixture) -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        for engine in cities.engines.values():
            engine.deep.void |= {("east", "call"), ("east", "sign-in")}
        cities.publish(keys.SITE, "east", with_deep_probes("east"))
        await asyncio.sleep(10.0)
        assert words(cities, *SIGN_IN) == words(cities, *CALL) == {}
        await cities.stop()

    run_virtual(story())
    said = [record.message for record in caplog.records if "cannot be tested" in record.message]
    assert len(said) == 6, "once for each location and component"


def test_an_observer_that_reaches_no_other_engine_withdraws_these_words_too() -> None:
    async def story() -> None:
        cities = await ready()
        cities.engines["west"].prober.broken |= {"east:30590", "witness"}
        await cities.until(lambda: "west" not in words(cities, *CALL))
        assert words(cities, "west", "hotel", "call") == EVERYONE
        await cities.stop()

    run_virtual(story())


def test_the_test_agents_numbers_are_pushed_with_the_others_and_go_when_they_are_not_wanted() -> None:
    async def story() -> None:
        cities = await ready()
        softswitch = cities.adapters["east"].softswitches["hotel"]
        numbers = {f"tandem-probe.{location}": f"tandem-probe/{location}" for location in ("east", "west", "witness")}
        assert softswitch.numbers == numbers
        cities.publish(keys.SITE, "east", with_deep_probes("east", "SignIn"))
        await cities.until(lambda: softswitch.numbers == {})
        await cities.stop()

    run_virtual(story())


def test_failures_that_take_several_answers_each_become_firm() -> None:
    """Sign-in and registration both hang, while plain questions are answered."""

    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.deep.answers = 2
        everywhere_broken(cities, "east", "sign-in")
        await cities.until(lambda: firm(cities, SIGN_IN) == {"east", "west", "witness"}, within=20.0)
        await cities.stop()

    run_virtual(story())


def firm(cities: Cities, about: tuple[str, str, str]) -> set[str]:
    found = cities.snapshot.observations.get(about, {})
    return {observer for observer, entry in found.items() if entry.record.firm}


def test_what_answers_plain_questions_again_is_accused_anew() -> None:
    """A softswitch that was killed is back before it has its tables: nothing before that counts against its calls."""

    async def story() -> None:
        cities = await ready()
        for engine in cities.engines.values():
            engine.prober.broken.add("east:30560")
        everywhere_broken(cities, "east", "call")
        await cities.until(lambda: firm(cities, CALL) == {"east", "west", "witness"})
        for engine in cities.engines.values():
            engine.prober.broken.clear()
        back = VirtualClock().now()
        await cities.until(lambda: set(words(cities, "east", "hotel", "softswitch").values()) == {"Pass"})
        await asyncio.sleep(1.0)
        found = cities.snapshot.observations[CALL]
        assert all(entry.record.state == "Fail" and entry.record.since > back for entry in found.values())
        await cities.stop()

    run_virtual(story())


def test_a_shift_is_preceded_by_a_probe_of_its_target_at_once() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        cities.sign_in("east", 20)
        await asyncio.sleep(1.0)
        before = {location: len(engine.deep.probes) for location, engine in cities.engines.items()}
        cities.shift(selector={"system": "hotel"}, to="west")
        took = await cities.until(lambda: cities.phases() == ["Moving"])
        assert took < 0.3  # not a whole beat
        assert all(len(engine.deep.probes) > before[location] for location, engine in cities.engines.items())
        await cities.until(lambda: cities.phases() == ["Completed"])
        await cities.until(lambda: not cities.snapshot.tests)
        await cities.stop()

    run_virtual(story())


def test_a_shift_whose_target_takes_no_call_waits_and_goes_on_when_it_does() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        cities.sign_in("east", 20)
        await asyncio.sleep(1.0)
        everywhere_broken(cities, "west", "call")
        cities.shift(selector={"system": "hotel"}, to="west")

        def reasons() -> list[str]:
            return [shift.record.reason for shift in cities.snapshot.shifts.values()]

        await cities.until(lambda: reasons() == ["TargetTestFailed"])
        await asyncio.sleep(1.0)
        assert cities.phases() == ["Preparing"]
        assert cities.placement() == {"east": "0-99"}
        for engine in cities.engines.values():
            engine.deep.broken.clear()
        await cities.until(lambda: cities.phases() == ["Completed"], within=15.0)
        await cities.stop()

    run_virtual(story())


def test_a_probe_that_measured_nothing_lets_no_shift_begin() -> None:
    async def story() -> None:
        cities = await ready()
        cities.group({"east": 100})
        await cities.until(lambda: cities.placement() == {"east": "0-99"})
        for engine in cities.engines.values():
            engine.deep.void.add(("west", "call"))
        cities.shift(selector={"system": "hotel"}, to="west")
        await asyncio.sleep(1.0)
        assert cities.phases() == ["Preparing"]
        await cities.stop()

    run_virtual(story())


def test_what_a_shift_asked_for_is_not_said_when_it_is_over_before_the_answer() -> None:
    """Nobody would take it back, and it would count for a later Shift of that name."""

    async def story() -> None:
        cities = await ready()
        cities.group({"east": 100})
        cities.sign_in("east", 20)
        for engine in cities.engines.values():
            delay(engine.deep, 1.5)
        await asyncio.sleep(5.0)
        name = "callcenter/s1"
        cities.shift(name, selector={"system": "hotel"}, to="west")
        await cities.until(lambda: phase(cities, name) == "Preparing")
        await asyncio.sleep(0.3)
        record = cities.snapshot.shifts[name].record
        aborted = record.model_copy(update={"spec": record.spec.model_copy(update={"abort": True})})
        cities.put(keys.shift(name), aborted)
        await asyncio.sleep(60.0)
        assert phase(cities, name) == "RolledBack"
        assert not any(cities.snapshot.tests.values())
        await cities.stop()

    run_virtual(story())


def delay(deep: Any, seconds: float) -> None:
    """What it finds out is known so much later."""
    probe = deep.deep

    async def late(*about: Any) -> Any:
        found = await probe(*about)
        await asyncio.sleep(seconds)
        return found

    deep.deep = late


def phase(cities: Cities, name: str) -> str:
    entry = cities.snapshot.shifts.get(name)
    return entry.record.phase if entry else ""
