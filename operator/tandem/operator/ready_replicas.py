"""How many replicas of this city's softswitches and CTIs are Ready, told to the engines.

A Shift waits for them, and an emergency fills what is Ready.

On a lease of the operator's own: what an operator said that is gone counts no more, and what it cannot read for as long
it takes back. Only Deployments that the own Site scales are looked at.
"""

import asyncio
import logging
from typing import Final

from tandem.api.site import System
from tandem.constants import READY_TTL_S
from tandem.domain import keys
from tandem.domain.capacity import scaled_parts
from tandem.domain.forecast import is_anybody_stranded
from tandem.domain.records import ReplicasRecord
from tandem.domain.target_tests import targets_of
from tandem.engine.picture import Picture
from tandem.engine.publisher import Publisher
from tandem.operator.cluster import ApiError, Cluster
from tandem.operator.objects import Table, own_site

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 5.0
_BUSY_INTERVAL_S: Final = 1.0
"""Seconds between two looks while a Shift is about to bring agents here, or agents of a lost city wait for room."""


class ReadyReplicas:
    """Looks and tells. One task: `run`; the publisher is another one."""

    def __init__(self, site: str, table: Table, view: Picture, cluster: Cluster, publisher: Publisher) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._cluster = cluster
        self._publisher = publisher
        self._ready: dict[str, tuple[int, float]] = {}
        """Deployment -> Ready replicas, and when that was read (monotonic)."""
        self._unread: set[str] = set()
        self._told: set[str] = set()

    async def run(self) -> None:
        """Look until cancelled."""
        await self._view.synced.wait()
        changed = self._view.subscribe(keys.SHIFTS, keys.FAILOVERS)
        while True:
            await self.round()
            await self._view.clock.sleep(_BUSY_INTERVAL_S)
            if not self._awaited():
                await changed.wait(timeout=_INTERVAL_S - _BUSY_INTERVAL_S)

    async def round(self) -> None:
        """One look at each of them."""
        spec = own_site(self._table, self._view.snapshot, self._site)
        if spec is None:
            return
        deployments = {deployment for system in spec.systems for _, deployment, _ in scaled_parts(system)}
        await asyncio.gather(*(self._look(deployment) for deployment in sorted(deployments)))
        told = {keys.replicas(self._site, system.name) for system in spec.systems if self._tell(system)}
        for key in self._told - told:
            self._publisher.unsay(key)
        self._told = told

    async def _look(self, deployment: str) -> None:
        namespace, _, name = deployment.partition("/")
        try:
            found = await self._cluster.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        except ApiError as error:
            if deployment not in self._unread:
                log.warning("Ready replicas of %s cannot be read: %s", deployment, error)
            self._unread.add(deployment)
            return
        self._unread.discard(deployment)
        self._ready[deployment] = (int(found.get("status", {}).get("readyReplicas") or 0), self._view.clock.monotonic())

    def _tell(self, system: System) -> bool:
        """Whether anything is known of its replicas."""
        now = self._view.clock.monotonic()
        ready = {
            part: self._ready[deployment][0]
            for part, deployment, _ in scaled_parts(system)
            if deployment in self._ready and now - self._ready[deployment][1] < READY_TTL_S
        }
        if ready:
            self._publisher.say(keys.replicas(self._site, system.name), ReplicasRecord(ready=ready))
        return bool(ready)

    def _awaited(self) -> bool:
        return is_anybody_stranded(self._view.snapshot) or any(
            shift.record.phase == "Preparing" and any(site == self._site for site, _ in targets_of(shift.record))
            for shift in self._view.snapshot.shifts.values()
        )
