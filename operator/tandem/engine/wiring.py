"""Where the engine is put together: the only module that knows adapters, probes and store by name."""

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from tandem.adapters.alarms.prometheus import PrometheusServer
from tandem.adapters.registry import AdapterRegistry
from tandem.domain import keys
from tandem.domain.records import CoordinatorRecord, HeartbeatRecord
from tandem.domain.snapshot import Instant
from tandem.engine.actuator import Actuator
from tandem.engine.alarms import AlarmWatch
from tandem.engine.clock import RealClock
from tandem.engine.config import Settings
from tandem.engine.coordinator import Coordinator
from tandem.engine.history_keeper import HistoryKeeper
from tandem.engine.leadership import StoreLeadership
from tandem.engine.metrics import exposition, health
from tandem.engine.observer import Observer
from tandem.engine.picture import Picture
from tandem.engine.publisher import Publisher
from tandem.engine.readiness_watch import ReadinessWatch
from tandem.engine.status_server import Answer, StatusServer
from tandem.engine.store_member import StoreMember
from tandem.engine.surroundings import around
from tandem.engine.trunks import TrunkPusher
from tandem.probes.prober import NetworkProber
from tandem.store.client import StoreClient
from tandem.store.election import CoordinatorElection
from tandem.store.preference import Surroundings
from tandem.version import VERSION


@dataclass(frozen=True)
class Engine:
    """The parts of one location's engine, each a task that never ends by itself."""

    clock: RealClock
    parts: Mapping[str, Callable[[], Awaitable[None]]]


@asynccontextmanager
async def engine(settings: Settings) -> AsyncIterator[Engine]:
    """Everything, connected but not running. What it opened is closed at the end."""
    clock = RealClock()
    identity = secrets.token_hex(6)
    tls = {"ca": settings.store.ca or "", "cert": settings.store.cert or "", "key": settings.store.key or ""}
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(StoreClient(settings.store.endpoints, **tls))
        prober = await stack.enter_async_context(NetworkProber(clock))
        adapters = await stack.enter_async_context(
            AdapterRegistry(settings.control_token, settings.carrier_token, settings.credentials)
        )
        prometheus = await stack.enter_async_context(PrometheusServer(settings.credentials))
        picture = Picture(store, clock)
        publisher = Publisher(store, clock, lambda: picture.held if picture.live else None)

        def surroundings() -> Surroundings:
            found = around(picture.snapshot, settings.site, clock.monotonic())
            return Surroundings(
                role="Witness" if found.is_witness else "Active",
                witnesses=found.witnesses,
                witness_alive_s=found.witness_alive_s,
                under_way=found.under_way,
            )

        me = CoordinatorRecord(site=settings.site, engine=identity)
        election = CoordinatorElection(store, clock, me, surroundings)
        coordinator = Coordinator(picture, store, election, clock)
        observer = Observer(settings.site, picture, publisher, prober, clock, prober)
        actuator = Actuator(settings.site, picture, publisher, adapters, clock)
        alarms = AlarmWatch(settings.site, picture, publisher, prometheus, clock)
        trunks = TrunkPusher(picture, store, election, adapters, clock)
        readiness = ReadinessWatch(picture, election, clock)

        def healthz() -> Answer:
            return Answer(health(settings.site, identity, picture.snapshot, picture.live, election.epoch()))

        def metrics() -> Answer:
            text = exposition(
                settings.site,
                picture.snapshot,
                Instant(clock.monotonic(), clock.now()),
                coordinator.figures,
                picture.live,
                election.epoch(),
                observer.void_probes,
                readiness.found,
            )
            return Answer(text, "text/plain; version=0.0.4; charset=utf-8")

        server = StatusServer(settings.port, {"/healthz": healthz, "/metrics": metrics})
        publisher.say(
            keys.heartbeat(settings.site),
            HeartbeatRecord(site=settings.site, engine=identity, started_at=clock.now(), version=VERSION),
        )
        yield Engine(
            clock,
            {
                "status-server": server.run,
                "picture": picture.run,
                "publisher": publisher.run,
                "election": election.run,
                "coordinator": coordinator.run,
                "observer": observer.run,
                "actuator": actuator.run,
                "alarms": alarms.run,
                "trunks": trunks.run,
                "readiness": readiness.run,
                "history": HistoryKeeper(store, election, clock).run,
                "store-member": StoreMember(settings.site, picture, publisher, store, clock).run,
                "store-leadership": StoreLeadership(settings.site, picture, store, clock).run,
            },
        )
