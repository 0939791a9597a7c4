"""Maps to the CTI: after restarts, confirmed by a linearizable read, named by boot, newer ones only."""

import asyncio
from typing import Any

from tandem.domain import keys
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.digest import spec_digest
from tandem.domain.records import PlacementRecord, SpecRecord
from tandem.engine.ports import AdapterError, DoorWords
from tests.unit.domain.world import GROUP, group_spec, site_spec
from tests.unit.engine.cities import Cities
from tests.unit.engine.fakes import FakeCTI
from tests.unit.engine.virtual import run_virtual


async def ready() -> Cities:
    cities = Cities()
    await cities.start()
    cities.group({"east": 100})
    await cities.until(lambda: all(cities.cti(site).groups.get(GROUP) for site in ("east", "west")))
    return cities


def held(cities: Cities, site: str) -> int:
    group = cities.cti(site).groups.get(GROUP)
    return group.revision if group else 0


def test_both_cities_get_every_map_of_their_systems() -> None:
    async def story() -> None:
        cities = await ready()
        revision = cities.snapshot.placements[GROUP].revision
        await cities.until(lambda: held(cities, "east") == held(cities, "west") == revision)
        report = cities.snapshot.report("west", "hotel")
        await cities.until(lambda: cities.snapshot.group_report("west", "hotel", GROUP).revision == revision)  # type: ignore[union-attr]
        assert report is not None
        assert report.confirmed
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_restarted_gets_its_maps_again_under_its_new_boot() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        before = len(cti.pushes)
        cti.restart()
        took = await cities.until(lambda: held(cities, "east") > 0, within=12.0)
        assert took < 11.0
        assert {boot for _, boot, _ in cti.pushes[before:]} == {"east-2"}
        await cities.stop()

    run_virtual(story())


def test_a_cti_whose_connection_broke_with_its_restart_is_open_again_within_a_second() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        cti.down = True
        cti.restart()
        await asyncio.sleep(1.0)
        cti.down = False
        assert await cities.until(lambda: cti.confirmed and held(cities, "east") > 0) < 1.0
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_has_its_maps_on_its_disk_is_confirmed_all_the_same() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        cti.down = True
        cti.restart(disk=True)
        await asyncio.sleep(0.5)
        cti.down = False
        await cities.until(lambda: cti.groups[GROUP].confirmed)
        await cities.stop()

    run_virtual(story())


def test_a_new_boot_gets_what_the_store_has_now_not_what_the_engine_remembers() -> None:
    async def story() -> None:
        cities = await ready()
        engine, cti = cities.engines["east"], cities.cti("east")
        cti.down = True
        # The engine's watch is deaf from now on: what it remembers grows old.
        engine.picture._apply_changes = lambda changes: None  # type: ignore[method-assign]
        record = PlacementRecord(system="hotel", map={"west": "0-99"}, cause="Failover/1")
        cities.put(keys.placement(GROUP), record)
        cti.restart()
        await asyncio.sleep(1.0)
        cti.down = False
        await cities.until(lambda: cti.confirmed)
        newest = cities.snapshot.placements[GROUP].revision
        assert next(revisions[GROUP] for _, boot, revisions in cti.pushes if boot == "east-2") == newest
        await cities.stop()

    run_virtual(story())


def test_without_the_store_a_new_boot_is_confirmed_nothing() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        cities.etcd.lose_quorum()
        cti.down = True
        cti.restart()
        await asyncio.sleep(0.5)
        cti.down = False
        await asyncio.sleep(5.0)
        assert not cti.confirmed
        cities.etcd.regain_quorum()
        await cities.until(lambda: cti.confirmed and held(cities, "east") > 0)
        await cities.stop()

    run_virtual(story())


def test_an_older_map_is_never_pushed_over_a_newer_one() -> None:
    async def story() -> None:
        cities = await ready()
        for number in range(20):
            sites = ("west", "east")[number % 2]
            cities.put(keys.placement(GROUP), PlacementRecord(system="hotel", map={sites: "0-99"}, cause="x"))
            await asyncio.sleep(0.003)
        newest = cities.snapshot.placements[GROUP].revision
        await cities.until(lambda: held(cities, "east") == newest)
        revisions = [pushed[GROUP] for _, _, pushed in cities.cti("east").pushes if GROUP in pushed]
        assert revisions == sorted(set(revisions))
        await cities.stop()

    run_virtual(story())


def test_an_idle_cti_is_pushed_nothing() -> None:
    async def story() -> None:
        cities = await ready()
        await asyncio.sleep(2.0)
        pushes = len(cities.cti("east").pushes)
        await asyncio.sleep(60.0)
        assert len(cities.cti("east").pushes) == pushes
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_does_not_answer_takes_its_citys_report_with_it() -> None:
    async def story() -> None:
        cities = await ready()
        assert cities.snapshot.report("east", "hotel") is not None
        cities.cti("east").down = True
        took = await cities.until(lambda: cities.snapshot.report("east", "hotel") is None, within=20.0)
        assert took < 15.0
        cities.cti("east").down = False
        await cities.until(lambda: cities.snapshot.report("east", "hotel") is not None)
        await cities.stop()

    run_virtual(story())


def test_a_map_that_the_cti_does_not_take_is_not_pushed_again_and_again() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        cti.groups[GROUP].revision = 10_000  # its disk remembers another store
        before = len(cti.pushes)
        cities.put(keys.placement(GROUP), PlacementRecord(system="hotel", map={"west": "0-99"}, cause="x"))
        await asyncio.sleep(30.0)
        assert len([revisions for _, _, revisions in cti.pushes[before:] if GROUP in revisions]) == 1
        cti.groups[GROUP].revision = 0
        cities.put(keys.placement(GROUP), PlacementRecord(system="hotel", map={"east": "0-99"}, cause="x"))
        await cities.until(lambda: held(cities, "east") == cities.snapshot.placements[GROUP].revision)
        await cities.stop()

    run_virtual(story())


def test_a_cti_is_told_how_many_guests_it_may_take() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        await cities.until(lambda: cti.guest_capacity == 0)
        cities.publish(keys.SITE, "east", site_spec("east", "hotel", guestCapacity=40))
        await cities.until(lambda: cti.guest_capacity == 40)
        published = cities.etcd.get(keys.spec("east", keys.SITE, "east"))
        assert published is not None
        assert published.mod_revision <= cti.guests_as_of <= cities.etcd.revision, "an older word cannot undo it"
        cti.guest_capacity = -1
        cities.publish(keys.SITE, "west", site_spec("west", "hotel", guestCapacity=7))
        await cities.until(lambda: cities.cti("west").guest_capacity == 7)
        assert cti.guest_capacity == -1, "told once"
        cti.restart()
        await cities.until(lambda: cti.guest_capacity == 40, within=12.0)
        await cities.stop()

    run_virtual(story())


def test_a_cti_is_told_how_important_each_group_is_and_a_change_alone_is_pushed() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        await cities.until(lambda: bool(cti.told_priorities))
        assert {group for _, said in cti.told_priorities for group in said.priorities} == {GROUP}
        assert cti.told_priorities[-1][1].priorities == {GROUP: 100}
        pushes, revision = len(cti.pushes), held(cities, "east")
        cities.group({"east": 100}, priority=300)
        took = await cities.until(lambda: cti.told_priorities[-1][1].priorities == {GROUP: 300})
        assert took < 0.5
        assert held(cities, "east") == revision, "no map changes by that"
        assert cities.cti("west").told_priorities[-1][1].priorities == {GROUP: 300}
        read = [said.as_of for _, said in cti.told_priorities]
        assert read == sorted(set(read))
        assert read[-1] > revision, "as of a revision that has seen the change"
        await asyncio.sleep(30.0)
        assert len(cti.pushes) == pushes + 1, "told once"
        cti.restart()
        await cities.until(lambda: cti.told_priorities[-1][0] == cti.boot, within=12.0)
        assert cti.told_priorities[-1][1].priorities == {GROUP: 300}
        await cities.stop()

    run_virtual(story())


def knows(cti: FakeCTI) -> tuple[int, int]:
    """The group's priority and the capacity for guests."""
    return cti.told_priorities[-1][1].priorities[GROUP], cti.guest_capacity


def test_what_a_cti_was_told_without_an_answer_is_told_again_as_it_is_wanted_by_then() -> None:
    """It may have heard it: once the objects are as they were before, nothing would seem to have changed."""

    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        took = cti.push
        lost = True

        async def push(boot: str, placements: Any, *, doors: DoorWords | None = None) -> Any:
            result = await took(boot, placements, doors=doors)
            if lost:
                raise AdapterError("no answer")
            return result

        cti.push = push  # type: ignore[method-assign]
        cities.group({"east": 100}, priority=900)
        cities.publish(keys.SITE, "east", site_spec("east", "hotel", guestCapacity=5))
        await cities.until(lambda: knows(cti) == (900, 5))
        cities.group({"east": 100})
        cities.publish(keys.SITE, "east", site_spec("east", "hotel"))
        lost = False
        await cities.until(lambda: knows(cti) == (100, 0))
        await cities.stop()

    run_virtual(story())


def test_while_the_cities_differ_about_a_group_its_priority_is_what_was_agreed_last() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        await cities.until(lambda: bool(cti.told_priorities))
        spec = group_spec({"east": 100}, priority=300)
        cities.put(keys.spec("east", keys.AGENT_GROUP, GROUP), SpecRecord(digest=spec_digest(spec, {}), spec=spec))
        await asyncio.sleep(5.0)
        assert all(said.priorities == {GROUP: 100} for _, said in cti.told_priorities)
        # An engine that starts now knows of no agreement: it says nothing, and the CTI goes by what it was told.
        told = len(cti.told_priorities)
        pushes = len(cti.pushes)
        await cities.restart("east")
        await cities.until(lambda: len(cti.pushes) > pushes)
        assert len(cti.told_priorities) == told


def test_what_a_cti_can_do_is_reported_and_asked_again_of_each_boot() -> None:
    async def story() -> None:
        cities = await ready()

        def said(site: str) -> CTICapabilities | None:
            report = cities.snapshot.report(site, "hotel")
            return report.capabilities if report else None

        await cities.until(lambda: said("east") == said("west") == CTICapabilities(impair=True))
        cities.cti("east").can = CTICapabilities(progress="Counts", max_rate=20)
        cities.cti("east").restart()
        await cities.until(lambda: said("east") == CTICapabilities(progress="Counts", max_rate=20), within=12.0)
        assert said("west") == CTICapabilities(impair=True)
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_hangs_when_asked_what_it_can_holds_up_no_report() -> None:
    async def story() -> None:
        cities = await ready()
        cti = cities.cti("east")
        cti.mute_about_itself = True
        cti.restart()
        await cities.until(lambda: cti.confirmed, within=12.0)
        await asyncio.sleep(3.0)
        for number in range(5):
            cti.sign_in(GROUP, f"new{number}")
            took = await cities.until(lambda number=number: signed_in(cities) > number)  # type: ignore[misc]
            assert took < 1.0
        await cities.stop()

    def signed_in(cities: Cities) -> int:
        report = cities.snapshot.group_report("east", "hotel", GROUP)
        return report.signed_in if report else 0

    run_virtual(story())
