"""A location's engine: the real parts as the product's wiring puts them together, on one simulated process."""

import asyncio
import functools
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from pydantic import BaseModel

from tandem.adapters.cti.http import HttpCTI
from tandem.api.site import System
from tandem.api.trunk import Carrier
from tandem.constants import LATE_ANSWER_S
from tandem.domain import keys
from tandem.domain.probe_agents import ProbeAgent
from tandem.domain.records import CoordinatorRecord, HeartbeatRecord, PlacementRecord, Record
from tandem.engine.actuator import Actuator
from tandem.engine.coordinator import Coordinator
from tandem.engine.observer import Observer
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, CarrierAdapter, DeepResult, Late, ProbeResult, SoftswitchState
from tandem.engine.publisher import Publisher
from tandem.engine.store_member import StoreMember
from tandem.engine.supervisor import supervise
from tandem.engine.surroundings import around
from tandem.probes import stall
from tandem.probes.prober import NetworkProber
from tandem.store.election import CoordinatorElection
from tandem.store.preference import Surroundings
from tests.sim.cti import cti_adapter
from tests.sim.network import NoAnswerError, NotReachedError
from tests.sim.scheduler import Process
from tests.sim.store import SimStore

if TYPE_CHECKING:
    from tests.sim.world import World

SIP, CTI, ENGINE = "30560", "30580", "30590"
"""Ports by which a probe's address says what is asked."""

ANSWER_S: Final = 0.001


class Engine:
    """One engine process, from its start to its death."""

    def __init__(self, world: "World", process: Process, number: int) -> None:
        self.world = world
        self.process = process
        self.site = site = process.place
        store = SimStore(world.cluster, process)
        self.picture = picture = Picture(store, process)
        publisher = Publisher(store, process, lambda: picture.held if picture.live else None)

        def surroundings() -> Surroundings:
            found = around(picture.snapshot, site, process.monotonic())
            role = "Witness" if found.is_witness else "Active"
            return Surroundings(role, found.witnesses, found.witness_alive_s, found.under_way)  # type: ignore[arg-type]

        me = CoordinatorRecord(site=site, engine=f"{site}-{number}")
        self.election = CoordinatorElection(store, process, me, surroundings)
        self.coordinator = Coordinator(picture, store, self.election, process)
        self.prober = SimProber(world, process)
        self.observer = Observer(site, picture, publisher, self.prober, process, self.prober)
        actuator = Actuator(site, picture, publisher, SimAdapters(world, process), process)
        self.parts: dict[str, Callable[[], Awaitable[None]]] = {
            "picture": picture.run,
            "publisher": publisher.run,
            "election": self.election.run,
            "coordinator": self.coordinator.run,
            "observer": self.observer.run,
            "actuator": actuator.run,
            "store-member": StoreMember(site, picture, publisher, store, process).run,
        }
        publisher.say(keys.heartbeat(site), HeartbeatRecord(site=site, engine=me.engine, started_at=process.now()))

    def run(self) -> None:
        """Begin, within the process."""
        loop = self.process.loop
        parts = {name: functools.partial(self._part, part) for name, part in self.parts.items()}
        main = loop.create_task(supervise(parts, self.process))
        main.add_done_callback(self._ended)

    async def _part(self, part: Callable[[], Awaitable[None]]) -> None:
        """A part that fails is started again by its supervisor, and is a bug all the same."""
        try:
            await part()
        except Exception as error:
            self.process.scheduler.stopped_by = error
            raise

    def _ended(self, task: "asyncio.Task[None]") -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.process.scheduler.stopped_by = error


@contextmanager
def records_read_once() -> Iterator[None]:
    """What several engines and judges read from the same bytes is one value: nobody can change a record."""
    known: dict[tuple[type[Record], bytes], Record] = {}
    read = BaseModel.model_validate_json.__func__  # type: ignore[attr-defined]

    def read_once(model: type[Record], value: bytes) -> Record:
        found = known.get((model, value))
        if found is None:
            found = known[model, value] = read(model, value)
        return found

    with patch.object(Record, "model_validate_json", classmethod(read_once)):
        yield


class SimProber(NetworkProber):
    """The real prober's judgement of what a failure is worth, over the made-up network."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process
        self._clock = process
        self._stalls = _Stalls(process)
        self._reference = _Reference()  # type: ignore[assignment]

    async def sip_options(self, address: str, timeout: float, late: Late = lambda: None) -> ProbeResult:
        site, _, _ = address.partition(":")
        return await self._probe(address, self._world.switches[site].process, timeout, late, datagram=True)

    async def http_health(self, url: str, timeout: float, late: Late = lambda: None) -> ProbeResult:
        host, _, rest = url.removeprefix("http://").partition(":")
        port = rest.partition("/")[0]
        process = self._world.ctis[host].process if port == CTI else self._world.engines[host].process
        result = await self._probe(url, process, timeout, late, datagram=False)
        if result.ok:
            return result
        here, there = self._process.place, process.place
        network = self._world.network
        passes = network.both(here, there) and not network.filtered[here, there]
        return replace(result, connects=process.alive and self._world.powered(there) and passes)

    async def deep(self, cti: str, sip: str | None, agent: ProbeAgent, timeout: float) -> DeepResult:
        """The test agent's own protocol is made up: would it be signed in, would a call be taken."""
        site = cti.removeprefix("http://").partition(":")[0]
        there, switch = self._world.ctis[site], self._world.switches[site]
        what = f"sign-in at {cti}"
        sign_in = await self._probe(what, there.process, timeout, datagram=False, works=lambda: there.signs_in)
        if sip is None:
            return DeepResult(sign_in)
        what = f"call at {sip}"
        start = self._process.monotonic()
        if sign_in.ok:
            call = await self._probe(what, switch.process, timeout, datagram=True, works=lambda: switch.takes_calls)
        else:
            # The phone can register, or cannot; nobody would answer a call.
            call = await self._probe(what, switch.process, timeout, datagram=True)
            call = self._void(start, f"{what}: the test agent is not signed in") if call.ok else call
        return DeepResult(sign_in, call)

    async def _probe(
        self,
        what: str,
        target: Process,
        timeout: float,
        late: Late = lambda: None,
        *,
        datagram: bool,
        works: Callable[[], bool] = lambda: True,
    ) -> ProbeResult:
        start = self._process.monotonic()
        world, here, there = self._world, self._process.place, target.place
        network = world.network
        way = network.delay(here, there) + network.delay(there, here) + ANSWER_S
        filtered = bool(network.filtered) and network.filtered[here, there] > 0
        lost = filtered or (datagram and way > 0.2) or not network.both(here, there)
        if lost or way * self._process.rate >= timeout:
            if not lost and way < LATE_ANSWER_S:
                self._process.loop.call_later(way, self._late, target, late)
            await self._process.sleep(timeout)
            return await self._failure(start, f"{what}: no answer within {timeout:g} s", timeout)
        await self._process.sleep(way * self._process.rate)
        silent = target.alive and not (target.serves and works())
        if silent or not network.both(here, there) or not world.powered(there):
            await self._process.sleep(timeout - way)
            return await self._failure(start, f"{what}: no answer within {timeout:g} s", timeout)
        if not target.alive:
            return await self._failure(start, f"{what}: refused", timeout)
        return self._pass(start)

    def _late(self, target: Process, late: Late) -> None:
        """The answer comes after the timeout, if it comes at all."""
        there = target.place
        if target.serves and self._world.powered(there) and self._world.network.both(self._process.place, there):
            late()


class _Stalls(stall.Stalls):
    """The real record of stalls, without its ticks, which would be the commonest event of all.

    Ticks that come in time leave nothing behind. What the last one before a stall and the first one after it would
    have found is told when somebody asks.
    """

    def __init__(self, process: Process) -> None:
        super().__init__(process.monotonic())
        self._process = process

    def overlapped(self, start: float, now: float) -> bool:
        for began, ended in self._process.stood_still:
            self._last = began
            self.tick(ended)
        self._process.stood_still.clear()
        self._last = now
        return super().overlapped(start, now)


class _Reference:
    async def passes(self, timeout: float) -> bool:
        return True


class SimAdapters:
    """`engine.ports.Adapters` of one engine's own city."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process

    def cti(self, system: System) -> HttpCTI:
        return cti_adapter(self._world, self._process, self._process.place)

    def softswitch(self, system: System) -> "SimSoftswitch":
        return SimSoftswitch(self._world, self._process)

    def carrier(self, carrier: Carrier, namespace: str) -> CarrierAdapter:
        raise NotImplementedError("no Trunk is declared here")


class SimSoftswitch:
    """`engine.ports.SoftswitchAdapter`: a softswitch that remembers revisions as long as it lives."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process

    async def _ask(self, what: Callable[[Any], Any]) -> Any:
        switch = self._world.switches[self._process.place]
        try:
            await self._process.sleep(0.002)
            if not switch.process.serves:
                await self._process.sleep(0.5)
                raise NoAnswerError("no answer")
        except (NoAnswerError, NotReachedError) as error:
            raise AdapterError(f"the softswitch of {self._process.place}: {error}") from error
        return what(switch)

    async def state(self) -> SoftswitchState:
        found: SoftswitchState = await self._ask(
            lambda switch: SoftswitchState(
                int(switch.process.monotonic() - switch.started), 0, len(switch.calls), placed=switch.placed
            )
        )
        return found

    async def push(
        self, site: str, numbers: Mapping[str, str], placements: Mapping[str, tuple[int, PlacementRecord]]
    ) -> None:
        await self._ask(
            lambda switch: switch.held.update({name: revision for name, (revision, _) in placements.items()})
        )

    async def held(self) -> dict[str, int]:
        found: dict[str, int] = await self._ask(lambda switch: dict(switch.held))
        return found

    async def drain(self, on: bool) -> None:
        await self._ask(lambda switch: None)
