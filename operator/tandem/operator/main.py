"""The operator process: wires everything and runs until it is told to stop.

TANDEM_SITE, TANDEM_STORE_ENDPOINTS, TANDEM_STORE_CA / _CERT / _KEY, TANDEM_LIVENESS_PORT, TANDEM_CREDENTIALS
"""

import asyncio
import logging
import os
import signal
import sys
import time
from typing import Any, Final

import uvloop

from tandem.api.common import HOLD_REQUEST
from tandem.api.resources import DRILL, RESOURCES, SHIFT, SITE
from tandem.constants import READY_KEEPALIVE_S, READY_TTL_S
from tandem.engine.clock import RealClock
from tandem.engine.picture import Picture
from tandem.engine.ports import Store
from tandem.engine.publisher import Publisher as LeasedWords
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, Cluster
from tandem.operator.credentials import NAMING, Credentials
from tandem.operator.deployments import Deployments
from tandem.operator.drill_copies import DrillCopies
from tandem.operator.drill_reports import DrillReports
from tandem.operator.events import Storyteller
from tandem.operator.history import HistoryReader
from tandem.operator.hold import HoldDesk
from tandem.operator.intake import Intake
from tandem.operator.liveness import Liveness
from tandem.operator.mirror import LocalNotes, StatusMirror
from tandem.operator.objects import Seen, Table, parse
from tandem.operator.planner import Planner
from tandem.operator.publish import PUBLISHED, Publisher
from tandem.operator.ready_replicas import ReadyReplicas
from tandem.operator.settings import RECONCILE_S, UNWATCHED_S, Settings
from tandem.operator.shifts import ShiftExchange
from tandem.operator.statuses.common import Said
from tandem.operator.supervisor import Supervisor
from tandem.operator.versions import Versions
from tandem.store.client import StoreClient

log = logging.getLogger(__name__)

_HOLD_CONDITION: Final = "HoldRequestValid"


class Operator:
    """Everything that runs in the main loop, and kopf beside it."""

    def __init__(self, settings: Settings, cluster: Cluster, store: Store) -> None:
        self.settings = settings
        self.cluster = cluster
        self.table = Table()
        self.notes = LocalNotes()
        clock = RealClock()
        self.view = Picture(store, clock)
        self.publisher = Publisher(settings.site, self.table, self.view, store)
        self.hold = HoldDesk(settings.site, store, clock, cluster.now, self._hold_complaint)
        self.mirror = StatusMirror(settings.site, self.table, self.view, cluster, self.notes)
        self.shifts = ShiftExchange(settings.site, self.table, self.view, store, cluster, self.notes)
        self.drills = DrillCopies(settings.site, self.table, self.view, cluster, self.notes)
        self.reports = DrillReports(self.table, self.view, cluster, self.notes)
        self.deployments = Deployments(settings.site, self.table, self.view, cluster, self.notes)
        self.words = LeasedWords(
            store,
            clock,
            lambda: self.view.held if self.view.live else None,
            ttl=READY_TTL_S,
            every=READY_KEEPALIVE_S,
        )
        self.replicas = ReadyReplicas(settings.site, self.table, self.view, cluster, self.words)
        self.versions = Versions(settings.site, self.view, cluster, self.words)
        self.storyteller = Storyteller(settings.site, self.table, self.view, cluster)
        folder = settings.credentials
        self.credentials = Credentials(folder, self.table, cluster, self.notes) if folder else None
        self.intake = Intake(self.on_seen, self.on_deleted)
        self.supervisor = Supervisor()
        self._compared_at = -RECONCILE_S
        planner = Planner(settings.site, self.view)
        history = HistoryReader(settings.site, store)
        self.liveness = Liveness(settings.liveness_port, self.report, planner.answer, history.answer)

    async def start(self) -> None:
        await self.liveness.start()
        tasks = {
            "view": self.view.run,
            "publish": self.publisher.run,
            "hold": self.hold.run,
            "mirror": self.mirror.run,
            "shifts": self.shifts.run,
            "drills": self.drills.run,
            "drill-reports": self.reports.run,
            "deployments": self.deployments.run,
            "words": self.words.run,
            "replicas": self.replicas.run,
            "versions": self.versions.run,
            "events": self.storyteller.run,
            "lists": self._lists,
        }
        if self.credentials is not None:
            tasks["credentials"] = self.credentials.run
        for name, run in tasks.items():
            self.supervisor.start(name, run)
        self.intake.start()

    async def stop(self) -> None:
        await self.supervisor.stop()
        await self.intake.stop()
        await self.liveness.stop()

    def on_seen(self, seen: Seen) -> None:
        """kopf or a list showed this object."""
        if not self.table.update(seen):
            return
        if seen.resource in PUBLISHED:
            self.publisher.seen(seen.key)
        if seen.resource is SHIFT:
            self.shifts.seen(seen)
        if seen.resource is DRILL:
            self.drills.seen()
            self.reports.seen()
        if seen.resource in NAMING and self.credentials is not None:
            self.credentials.seen()
        if seen.key == (SITE.plural, self.settings.site):
            self.hold.seen(seen.annotations.get(HOLD_REQUEST, ""))
        self.mirror.seen(seen.key)

    def on_deleted(self, seen: Seen) -> None:
        """kopf saw this object's deletion."""
        unknown = self.table.get(seen.resource.plural, seen.name) is None
        if not self.table.remove(seen):
            if unknown and seen.resource is SHIFT:
                self.shifts.deleted(seen)  # a list was quicker, and a list tells nobody's wish
            return
        self.mirror.forget(seen.key)
        if seen.resource in PUBLISHED:
            self.publisher.deleted(seen.key)
        if seen.resource is SHIFT:
            self.shifts.deleted(seen)
        if seen.resource is DRILL:
            self.drills.seen()
            self.reports.seen()

    def _hold_complaint(self, message: str) -> None:
        key = (SITE.plural, self.settings.site)
        if message:
            self.notes.say(key, Said(_HOLD_CONDITION, "False", "NotFollowed", message))
        else:
            self.notes.unsay(key, _HOLD_CONDITION)

    async def _lists(self) -> None:
        """List everything now and then: repairs what a watch has missed, and finds what vanished meanwhile."""
        while True:
            try:
                await self._list_all()
            except ApiError as error:
                log.warning("objects cannot be listed: %s", error)
                await asyncio.sleep(min(error.retry_after_s, RECONCILE_S))
                continue
            await asyncio.sleep(RECONCILE_S if self.intake.watching else UNWATCHED_S)

    async def _list_all(self) -> None:
        for resource in RESOURCES:
            items, version = await self.cluster.list(resource)
            found = [parse(resource, body) for body in items]
            for seen in found:
                self.on_seen(seen)
            for seen in self.table.vanished(resource.plural, (one.key for one in found), version):
                # Deleted while no watch was open. What was published goes after a second look, see Publisher.
                self.table.remove(seen)
                self.mirror.forget(seen.key)
        now = time.monotonic()
        if now - self._compared_at >= RECONCILE_S:
            self._compared_at = now
            self.publisher.compare()

    def report(self) -> tuple[bool, dict[str, Any]]:
        """For the liveness probe: only what a restart would cure."""
        dead = self.supervisor.dead
        said = {
            "site": self.settings.site,
            "store": "answers" if not self.view.silent_s else f"silent for {self.view.silent_s:.0f} s",
            "objects": len(self.table.objects),
            "statuses_written": self.mirror.writes,
            "kopf": "watches" if self.intake.watching else "does not watch: objects are listed instead",
            "kopf_restarts": self.intake.restarts,
            "task_failures": dict(self.supervisor.failures),
            "dead": dead,
        }
        return not dead and not self.intake.stuck, said


async def run(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with (
        StoreClient(settings.endpoints, ca=settings.ca, cert=settings.cert, key=settings.key) as store,
        await Cluster.connect() as cluster,
    ):
        operator = Operator(settings, cluster, store)
        await operator.start()
        log.info("operator of %s runs", settings.site)
        try:
            await stop.wait()
        finally:
            log.info("operator of %s stops", settings.site)
            await operator.stop()


def main() -> None:
    """Entry point `tandem-operator`."""
    try:
        settings = Settings.from_environment(os.environ)
    except ConfigError as error:
        sys.exit(f"tandem-operator: {error}")
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr
    )
    logging.getLogger("kopf").setLevel(logging.WARNING)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    uvloop.run(run(settings))


if __name__ == "__main__":
    main()
