"""Two cities and a witness with the real engines on virtual time, over a store and call centres in memory."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import CoordinatorRecord, SpecRecord
from tandem.domain.snapshot import Snapshot
from tandem.engine.actuator import Actuator
from tandem.engine.coordinator import Coordinator
from tandem.engine.observer import Observer
from tandem.engine.picture import Picture
from tandem.engine.publisher import Publisher
from tandem.engine.trunks import TrunkPusher
from tests.unit.domain.world import GROUP, WITNESS, group_spec, site_spec
from tests.unit.engine.fakes import FakeAdapters, FakeCarrier, FakeCTI, FakeElection, FakeProber
from tests.unit.engine.memory import MemoryStore
from tests.unit.engine.virtual import VirtualClock

CITIES = ("east", "west")


class Engine:
    """One location's engine as its wiring builds it, without the processes around it."""

    def __init__(self, site: str, store: MemoryStore, adapters: FakeAdapters) -> None:
        clock = VirtualClock()
        self.site = site
        self.election = FakeElection()
        self.prober = FakeProber()
        self.picture = Picture(store, clock)
        self.publisher = Publisher(store, clock)
        self.coordinator = Coordinator(self.picture, store, self.election, clock)
        self.observer = Observer(site, self.picture, self.publisher, self.prober, clock)
        self.actuator = Actuator(site, self.picture, self.publisher, adapters, clock)
        self.trunks = TrunkPusher(self.picture, store, self.election, adapters, clock)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        parts = (self.picture, self.publisher, self.coordinator, self.observer, self.actuator, self.trunks)
        self._tasks = [asyncio.create_task(part.run()) for part in parts]

    async def kill(self) -> None:
        """As kill -9: nothing is given back; its keys vanish when the lease ends."""
        self.publisher._lease = 0
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def check(self) -> None:
        """A part that has ended has failed."""
        for task in self._tasks:
            if task.done():
                task.result()


class Cities:
    def __init__(self, systems: Sequence[str] = ("hotel",)) -> None:
        self.systems = systems
        self.store = MemoryStore()
        self.carrier = FakeCarrier()
        self.adapters = {site: FakeAdapters(site, systems, self.carrier) for site in CITIES}
        for site, peer in (CITIES, CITIES[::-1]):
            for system in systems:
                self.adapters[site].ctis[system].peers[peer] = self.adapters[peer].ctis[system]
        self.engines = {site: self.engine(site) for site in (*CITIES, "witness")}
        for site in CITIES:
            self.publish(keys.SITE, site, site_spec(site, *systems))
        self.publish(keys.SITE, "witness", WITNESS)

    def engine(self, site: str) -> Engine:
        return Engine(site, self.store, self.adapters.get(site, FakeAdapters(site, (), self.carrier)))

    def cti(self, site: str, system: str = "hotel") -> FakeCTI:
        return self.adapters[site].ctis[system]

    def start(self, coordinator: str = "witness") -> None:
        for engine in self.engines.values():
            engine.start()
        self.crown(coordinator)

    async def restart(self, site: str) -> None:
        """kill -9 and a new process with an empty memory."""
        reigned = self.engines[site].election.reign
        await self.engines[site].kill()
        self.engines[site] = self.engine(site)
        self.engines[site].start()
        if reigned:
            self.crown(site)

    def crown(self, site: str) -> None:
        for engine in self.engines.values():
            engine.election.reign = 0
        if keys.COORDINATOR in self.store.data:
            self.store.delete(keys.COORDINATOR)
        self.store.put(keys.COORDINATOR, CoordinatorRecord(site=site, engine=f"{site}-1").encode())
        self.engines[site].election.reign = self.store.data[keys.COORDINATOR].create_revision

    async def stop(self) -> None:
        for engine in self.engines.values():
            await engine.kill()

    # -- what people and agents do

    def publish(self, kind: str, name: str, spec: dict[str, Any], order_id: str = "") -> None:
        record = SpecRecord(digest=spec_digest(spec, {}), spec=spec, order_id=order_id)
        for site in CITIES:
            self.store.put(keys.spec(site, kind, name), record.encode())

    def group(self, placement: Mapping[str, int], name: str = GROUP, order_id: str = "", **changes: Any) -> None:
        self.publish(keys.AGENT_GROUP, name, group_spec(placement, **changes), order_id)

    def sign_in(self, site: str, agents: int, group: str = GROUP, system: str = "hotel") -> None:
        prefix = group.rpartition("/")[2]
        for number in range(agents):
            self.cti(site, system).sign_in(group, f"{prefix}-{number:04d}")

    # -- looking

    @property
    def snapshot(self) -> Snapshot:
        return self.engines["witness"].picture.snapshot

    def placement(self, group: str = GROUP) -> dict[str, str]:
        placed = self.snapshot.placements.get(group)
        return placed.record.map if placed else {}

    def shift_phases(self) -> list[str]:
        return [shift.record.phase for shift in self.snapshot.shifts.values()]

    async def until(self, holds: Callable[[], bool], within: float = 10.0) -> float:
        """Wait until it holds; how long that took, in virtual seconds."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not holds():
            for engine in self.engines.values():
                engine.check()
            assert loop.time() - started < within, "it did not come true in time"
            await asyncio.sleep(0.002)
        return loop.time() - started
