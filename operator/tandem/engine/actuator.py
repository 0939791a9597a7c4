"""The actuator: each of this city's systems has its links to CTI and softswitch, as its Site declares them."""

import asyncio
import logging

from tandem.api.site import System
from tandem.domain import keys
from tandem.engine.arrivals import Arrivals
from tandem.engine.cti_link import CTILink
from tandem.engine.evidence import ClientsEvidence
from tandem.engine.picture import Picture
from tandem.engine.ports import Adapters, Clock, CTIAdapter, SoftswitchAdapter
from tandem.engine.publisher import Publisher
from tandem.engine.rehearsals import Silencer
from tandem.engine.report import Reporter
from tandem.engine.softswitch_link import SoftswitchLink
from tandem.errors import ConfigError

log = logging.getLogger(__name__)


class Actuator:
    """Acts only on its own city."""

    def __init__(self, site: str, picture: Picture, publisher: Publisher, adapters: Adapters, clock: Clock) -> None:
        self._site = site
        self._picture = picture
        self._publisher = publisher
        self._adapters = adapters
        self._clock = clock
        self._running: dict[str, tuple[System, asyncio.Task[None]]] = {}
        self._faulty: dict[str, System] = {}

    async def run(self) -> None:
        """Follow the Site's declaration. Never returns; ends when a system's task fails, which is a bug."""
        specs = self._picture.subscribe(keys.SPECS)
        try:
            while True:
                await specs.wait(1.0)
                await self._follow_systems()
                for _, task in self._running.values():
                    if task.done():
                        task.result()
        finally:
            self._picture.unsubscribe(specs)
            for name in list(self._running):
                await self._stop(name)

    async def _follow_systems(self) -> None:
        spec = self._picture.snapshot.site(self._site)
        wanted = {system.name: system for system in spec.systems} if spec else {}
        for name in [name for name, (system, _) in self._running.items() if wanted.get(name) != system]:
            await self._stop(name)
        for name, system in wanted.items():
            if name not in self._running and self._faulty.get(name) != system:
                self._start(system)

    def _start(self, system: System) -> None:
        try:
            cti, softswitch = self._adapters.cti(system), self._adapters.softswitch(system)
        except ConfigError as error:
            # Said once; a corrected Site is tried again.
            self._faulty[system.name] = system
            log.error("%s cannot be served at %s: %s", system.name, self._site, error)
            return
        task = asyncio.create_task(self._serve(system.name, cti, softswitch), name=f"system-{system.name}")
        self._running[system.name] = (system, task)

    async def _serve(self, system: str, cti: CTIAdapter, softswitch: SoftswitchAdapter) -> None:
        reporter = Reporter(self._site, system, self._picture, self._publisher, self._clock)
        cti_link = CTILink(self._site, system, cti, self._picture, reporter, self._clock)
        softswitch_link = SoftswitchLink(self._site, system, softswitch, self._picture, reporter, self._clock)
        arrivals = Arrivals(self._site, system, cti, self._picture, self._publisher, self._clock)
        evidence = ClientsEvidence(self._site, system, cti, self._picture, self._publisher, self._clock)
        silencer = Silencer(self._site, system, cti, self._picture, self._publisher, self._clock)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(silencer.run(), name=f"silence-{system}")
            tasks.create_task(reporter.run(), name=f"report-{system}")
            tasks.create_task(cti_link.run(), name=f"cti-{system}")
            tasks.create_task(softswitch_link.run(), name=f"softswitch-{system}")
            tasks.create_task(arrivals.run(), name=f"arrivals-{system}")
            tasks.create_task(evidence.run(), name=f"evidence-{system}")

    async def _stop(self, name: str) -> None:
        _, task = self._running.pop(name)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
