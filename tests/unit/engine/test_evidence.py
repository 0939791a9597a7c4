"""The clients' evidence: published while enough of them have lost a city, and taken back when not."""

import asyncio

from tandem.domain import keys
from tandem.domain.clients import ClientCount
from tandem.domain.records import ObservationRecord
from tandem.domain.snapshot import Entry
from tandem.domain.verdicts import State, system_verdict, usability
from tests.unit.domain.world import GROUP, site_spec
from tests.unit.engine.cities import Cities
from tests.unit.engine.virtual import run_virtual

LOST = {"east": {GROUP: ClientCount(clients=100, lost=80)}}


def word(cities: Cities) -> Entry[ObservationRecord] | None:
    return cities.snapshot.observations.get(("east", "hotel", "cti"), {}).get("clients@west")


def test_clients_who_lost_a_city_accuse_it_and_move_nobody() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        cti = cities.adapters["west"].ctis["hotel"]
        cti.said_by_clients = LOST
        await cities.until(lambda: (entry := word(cities)) is not None and entry.record.firm)
        entry = word(cities)
        assert entry is not None
        assert entry.record.detail == f"lost by 80 of 100 clients of {GROUP}"
        assert system_verdict(cities.snapshot, "east", "hotel").state is State.DEGRADED
        assert usability(cities.snapshot, "east", "hotel").usable
        cti.said_by_clients = {"east": {GROUP: ClientCount(clients=100, lost=3)}}
        await cities.until(lambda: word(cities) is None)
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_is_followed_by_one_that_collects_evidence_is_asked_for_it() -> None:
    async def story() -> None:
        cities = Cities()
        cti = cities.adapters["west"].ctis["hotel"]
        new = cti.can
        cti.can = new.model_copy(update={"client_evidence": False})
        cti.said_by_clients = LOST
        await cities.start()
        await asyncio.sleep(60.0)
        assert word(cities) is None
        cti.can = new
        assert await cities.until(lambda: word(cities) is not None) < 3.0
        await cities.stop()

    run_virtual(story())


def test_a_cti_that_does_not_answer_accuses_nobody() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        cti = cities.adapters["west"].ctis["hotel"]
        cti.said_by_clients = LOST
        await cities.until(lambda: word(cities) is not None)
        cti.down = True
        await cities.until(lambda: word(cities) is None)
        await cities.stop()

    run_virtual(story())


def test_a_changed_site_leaves_no_word_of_its_clients_behind() -> None:
    async def story() -> None:
        cities = Cities()
        await cities.start()
        cti = cities.adapters["west"].ctis["hotel"]
        cti.said_by_clients = LOST
        await cities.until(lambda: word(cities) is not None)
        cities.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=1600))
        cti.said_by_clients = {}
        await cities.until(lambda: word(cities) is None)
        await cities.stop()

    run_virtual(story())
