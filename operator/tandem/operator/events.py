"""Posts Events: one per object, reason and message, counted by us: many equal ones hide the one that matters."""

import asyncio
import hashlib
import logging
from collections import OrderedDict
from typing import Any

from tandem.api.common import API_VERSION
from tandem.domain.snapshot import Snapshot
from tandem.engine.picture import Picture
from tandem.operator.cluster import ApiError, Cluster, MissingError
from tandem.operator.objects import Seen, Table
from tandem.operator.status_pacing import Quiet
from tandem.operator.statuses.common import rfc3339
from tandem.operator.story import LOOKED_AT, Tale, tales

log = logging.getLogger(__name__)

_KEPT = 1000
"""Events whose count is remembered."""
_QUEUE = 500
"""Events that wait to be posted; beyond that the oldest are dropped: a dead API must not fill the memory."""
_PATIENCE_S = 5.0
"""Seconds that an Event waits for its object to appear in this cluster."""
_PAUSE_S = 0.1
"""Seconds between two posts: a move of many groups is told within seconds, and not in its busiest moment."""
_EARLY_S = 0.2
"""Seconds between two looks at Events that cannot be posted yet."""
_CLUSTER_NAMESPACE = "default"
"""Where Events on objects without namespace belong."""


class Storyteller:
    """Compares each new picture with the one before and posts the difference. One task: `run`."""

    def __init__(self, site: str, table: Table, view: Picture, cluster: Cluster) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._cluster = cluster
        self._changed = view.subscribe(*LOOKED_AT)
        self._told: Snapshot | None = None
        self._posted: OrderedDict[Tale, tuple[str, int]] = OrderedDict()
        self._queue: asyncio.Queue[tuple[Tale, float]] = asyncio.Queue(_QUEUE)
        self._quiet = Quiet()
        self._early: list[tuple[Tale, float]] = []

    async def run(self) -> None:
        """Tell until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._post_all())
            while True:
                await self._changed.wait()
                if self._view.synced.is_set():
                    self.look(self._view.snapshot)

    def look(self, snapshot: Snapshot) -> None:
        """Take the next picture; what has changed since the last one is told."""
        before, self._told = self._told, snapshot
        if before is None or before is snapshot:
            return
        for tale in tales(before, snapshot, self._site):
            self.tell(tale)

    def tell(self, tale: Tale) -> None:
        """Queue one Event."""
        if self._queue.full():
            self._queue.get_nowait()
        self._queue.put_nowait((tale, self._view.clock.monotonic() + _PATIENCE_S))

    async def _post_all(self) -> None:
        while True:
            tales_due = [*self._early, *await self._next()]
            self._early = []
            quiet = self._quiet.wanted(self._view.snapshot, self._view.clock.monotonic())
            for tale, until in tales_due:
                if quiet and tale.type == "Normal":
                    self._early.append((tale, until))
                    continue
                if self._table.get(tale.resource.plural, tale.name) is None:
                    # A Shift made elsewhere is about to be shown here; what never comes is told where it is.
                    if self._view.clock.monotonic() < until:
                        self._early.append((tale, until))
                    continue
                try:
                    await self.post(tale)
                except ApiError as error:
                    log.warning("Event %s on %s %s not posted: %s", tale.reason, tale.resource.kind, tale.name, error)
                await asyncio.sleep(_PAUSE_S)

    async def _next(self) -> list[tuple[Tale, float]]:
        """The next Event to post; none after a while when others wait."""
        try:
            async with asyncio.timeout(_EARLY_S if self._early else None):
                return [await self._queue.get()]
        except TimeoutError:
            return []

    async def post(self, tale: Tale) -> None:
        """Post one Event, or count one that was posted before. Raises ApiError."""
        seen = self._table.get(tale.resource.plural, tale.name)
        if seen is None:
            return
        now = self._view.clock.now()
        path = f"/api/v1/namespaces/{seen.namespace or _CLUSTER_NAMESPACE}/events"
        if known := self._posted.pop(tale, None):
            name, count = known[0], known[1] + 1
            try:
                await self._cluster.merge(f"{path}/{name}", {"count": count, "lastTimestamp": rfc3339(now)})
            except MissingError:
                pass  # Kubernetes forgets Events after an hour: tell it anew.
            else:
                self._remember(tale, name, count)
                return
        event = event_of(tale, seen, now)
        await self._cluster.post(path, event)
        self._remember(tale, event["metadata"]["name"], 1)

    def _remember(self, tale: Tale, name: str, count: int) -> None:
        self._posted[tale] = (name, count)
        while len(self._posted) > _KEPT:
            self._posted.popitem(last=False)


def event_of(tale: Tale, seen: Seen, now: float) -> dict[str, Any]:
    """The Event as an object. The time is part of its name: after a restart the count begins anew."""
    what = f"{tale.resource.kind}/{tale.name}/{tale.reason}/{tale.message}/{now:.6f}"
    digest = hashlib.sha256(what.encode()).hexdigest()[:16]
    namespace = seen.namespace or _CLUSTER_NAMESPACE
    moment = rfc3339(now)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{seen.short_name}.{digest}", "namespace": namespace},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": tale.resource.kind,
            "name": seen.short_name,
            **({"namespace": seen.namespace} if seen.namespace else {}),
            "uid": seen.uid,
        },
        "reason": tale.reason,
        "message": tale.message[:1024],
        "type": tale.type,
        "count": 1,
        "firstTimestamp": moment,
        "lastTimestamp": moment,
        "source": {"component": "tandem"},
        "reportingComponent": "tandem",
        "reportingInstance": "tandem",
    }
