"""Two cities and a witness with the real engines on virtual time, over a store and call centres in memory."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import CoordinatorRecord, HeartbeatRecord, HoldRecord, Record, ShiftRecord, SpecRecord
from tandem.domain.snapshot import Snapshot
from tandem.engine.actuator import Actuator
from tandem.engine.coordinator import Coordinator
from tandem.engine.observer import Observer
from tandem.engine.picture import Picture
from tandem.engine.ports import Delete, Put
from tandem.engine.publisher import Publisher
from tandem.engine.surroundings import around
from tandem.engine.trunks import TrunkPusher
from tandem.store.election import CoordinatorElection
from tandem.store.preference import Surroundings
from tests.support.memory_store import MemoryEtcd, MemoryStore
from tests.unit.domain.world import GROUP, WITNESS, group_spec, site_spec
from tests.unit.engine.fakes import FakeAdapters, FakeCarrier, FakeCTI, FakeDeepProber, FakeProber
from tests.unit.engine.virtual import VirtualClock

CITIES = ("east", "west")
LATENCY_S = 0.004


class Engine:
    """One location's engine as its wiring builds it, without the processes around it."""

    def __init__(self, site: str, store: MemoryStore, adapters: FakeAdapters, number: int) -> None:
        clock = VirtualClock()
        self.site = site
        self.store = store
        self.prober = FakeProber()
        self.deep = FakeDeepProber()
        self.picture = Picture(store, clock)
        self.publisher = Publisher(store, clock, lambda: self.picture.held if self.picture.live else None)

        def surroundings() -> Surroundings:
            found = around(self.picture.snapshot, site, clock.monotonic())
            return Surroundings(
                "Witness" if found.is_witness else "Active", found.witnesses, found.witness_alive_s, found.under_way
            )

        me = CoordinatorRecord(site=site, engine=f"{site}-{number}")
        self.election = CoordinatorElection(store, clock, me, surroundings)
        self.coordinator = Coordinator(self.picture, store, self.election, clock)
        self.observer = Observer(site, self.picture, self.publisher, self.prober, clock, self.deep)
        self.actuator = Actuator(site, self.picture, self.publisher, adapters, clock)
        self.trunks = TrunkPusher(self.picture, store, self.election, adapters, clock)
        self.publisher.say(keys.heartbeat(site), HeartbeatRecord(site=site, engine=me.engine, started_at=clock.now()))
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        parts = (
            self.picture,
            self.publisher,
            self.election,
            self.coordinator,
            self.observer,
            self.actuator,
            self.trunks,
        )
        self._tasks = [asyncio.create_task(part.run()) for part in parts]

    async def kill(self) -> None:
        """As kill -9: nothing is given back; its keys vanish when their leases end."""
        self.store.reachable = False
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def check(self) -> None:
        """A part that has ended has failed."""
        for task in self._tasks:
            if task.done():
                task.result()


class Cities:
    def __init__(self, systems: Sequence[str] = ("hotel",), **site: Any) -> None:
        self.systems = systems
        self.etcd = MemoryEtcd(VirtualClock())
        self.carrier = FakeCarrier()
        self.adapters = {site: FakeAdapters(site, systems, self.carrier) for site in CITIES}
        for here, peer in (CITIES, CITIES[::-1]):
            for system in systems:
                self.adapters[here].ctis[system].peers[peer] = self.adapters[peer].ctis[system]
        self._made = 0
        self._seen: tuple[int, Snapshot] | None = None
        self.engines = {site: self.engine(site) for site in (*CITIES, "witness")}
        for city in CITIES:
            self.publish(keys.SITE, city, site_spec(city, *systems, **site))
        self.publish(keys.SITE, "witness", WITNESS)

    def engine(self, site: str) -> Engine:
        self._made += 1
        adapters = self.adapters.get(site, FakeAdapters(site, (), self.carrier))
        return Engine(site, self.etcd.client(lambda: LATENCY_S), adapters, self._made)

    def cti(self, site: str, system: str = "hotel") -> FakeCTI:
        return self.adapters[site].ctis[system]

    async def start(self) -> None:
        """All engines, until the witness is coordinator and every system is usable."""
        self.engines["witness"].start()
        await self.until(lambda: self.snapshot.coordinator is not None)
        for city in CITIES:
            self.engines[city].start()
        await self.until(lambda: len(self.snapshot.reports) == len(CITIES) * len(self.systems))
        await asyncio.sleep(1.5)

    async def restart(self, site: str) -> None:
        """kill -9 and a new process with an empty memory."""
        await self.engines[site].kill()
        self.engines[site] = self.engine(site)
        self.engines[site].start()

    async def stop(self) -> None:
        for engine in self.engines.values():
            await engine.kill()
        await self.etcd.aclose()

    # -- what people and agents do

    def put(self, key: str, record: Record) -> None:
        self.etcd.txn([], [Put(key, record.encode())])

    def delete(self, key: str) -> None:
        self.etcd.txn([], [Delete(key)])

    def publish(self, kind: str, name: str, spec: dict[str, Any], order_id: str = "") -> None:
        for site in CITIES:
            self.put(
                keys.spec(site, kind, name), SpecRecord(digest=spec_digest(spec, {}), spec=spec, order_id=order_id)
            )

    def group(self, placement: Mapping[str, int], name: str = GROUP, order_id: str = "", **changes: Any) -> None:
        self.publish(keys.AGENT_GROUP, name, group_spec(placement, **changes), order_id)

    def shift(self, name: str = "callcenter/s1", **spec: Any) -> None:
        now = VirtualClock().now()
        record = ShiftRecord.model_validate({"spec": {"waves": [100], **spec}, "created_at": now, "created_in": "east"})
        self.put(keys.shift(name), record)

    def hold(self) -> None:
        self.put(keys.HOLD, HoldRecord(by="ada", reason="storm", since=0))

    def sign_in(self, site: str, agents: int, group: str = GROUP, system: str = "hotel", talking: int = 0) -> None:
        prefix = group.rpartition("/")[2]
        for number in range(agents):
            self.cti(site, system).sign_in(group, f"{prefix}-{number:04d}", talking=number < talking)

    # -- looking

    @property
    def snapshot(self) -> Snapshot:
        """As the store is, not as any engine sees it."""
        if self._seen is None or self._seen[0] != self.etcd.revision:
            picture = Picture(self.etcd.client(), VirtualClock())
            picture._apply_listing(*self.etcd.range(keys.PREFIX))
            self._seen = (self.etcd.revision, picture.snapshot)
        return self._seen[1]

    def placement(self, group: str = GROUP) -> dict[str, str]:
        placed = self.snapshot.placements.get(group)
        return placed.record.map if placed else {}

    def phases(self) -> list[str]:
        return [shift.record.phase for shift in self.snapshot.shifts.values()]

    def times_moved(self, system: str = "hotel") -> Counter[str]:
        """Account -> how often it was moved."""
        return Counter(move.account for site in CITIES for move in self.cti(site, system).moves)

    async def until(self, holds: Callable[[], bool], within: float = 10.0) -> float:
        """Wait until it holds; how long that took, in virtual seconds."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while not holds():
            for engine in self.engines.values():
                engine.check()
            assert loop.time() - started < within, "it did not come true in time"
            await asyncio.sleep(0.005)
        return loop.time() - started
