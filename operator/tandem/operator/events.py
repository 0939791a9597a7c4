"""Posts Events: one per object, reason and message, counted by us: many equal ones hide the one that matters."""

import asyncio
import contextlib
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from tandem.api.common import API_VERSION
from tandem.api.resources import AGENT_GROUP
from tandem.domain.snapshot import Instant, Snapshot
from tandem.domain.verdicts import next_confirmation
from tandem.engine.picture import Picture
from tandem.engine.wakeup import Signal
from tandem.operator.cluster import ApiError, Cluster, MissingError, RefusedError, TakenError
from tandem.operator.objects import Key, Seen, Table
from tandem.operator.settings import CONFIRMED_SLACK_S
from tandem.operator.status_pacing import Quiet
from tandem.operator.statuses.common import rfc3339
from tandem.operator.story import LOOKED_AT, Tale, tales

log = logging.getLogger(__name__)

_KEPT = 1000
"""Events whose count is remembered."""
_WAITING = 5000
"""Events that wait to be posted, about 3 MB; a dead API must not fill the memory. Beyond that the oldest about groups
are dropped first: what happened to a Site, a Shift or a Drill is the story."""
_PATIENCE_S = 5.0
"""Seconds that an Event waits for its object to appear in this cluster."""
_PAUSE_S = 0.1
"""Seconds between two posts: a move of many groups is told within seconds, and not in its busiest moment."""
_EARLY_S = 0.2
"""Seconds between two looks at Events that cannot be posted yet."""
_AWAY_S = 2.0
"""Seconds before an API that did not take an Event is tried again."""
_CLUSTER_NAMESPACE = "default"
"""Where Events on objects without namespace belong."""


@dataclass(frozen=True)
class _Told:
    """One Event on its way. `at`: seconds since the epoch; `until`: monotonic, for its object to appear."""

    tale: Tale
    at: float
    until: float

    @property
    def key(self) -> Key:
        return self.tale.resource.plural, self.tale.name


class Storyteller:
    """Compares each new picture with the one before and posts the difference. One task: `run`.

    Events about one object are posted in the order in which things happened, and with that time, however long the
    object, the API or the first seconds of a move keep them waiting.
    """

    def __init__(self, site: str, table: Table, view: Picture, cluster: Cluster) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._cluster = cluster
        self._changed = view.subscribe(*LOOKED_AT)
        self._seen: tuple[Snapshot, Instant] | None = None
        self._unwell: set[str] = set()
        self._posted: OrderedDict[Tale, tuple[str, int]] = OrderedDict()
        self._waiting: list[_Told] = []
        self._news = Signal()
        self._quiet = Quiet()
        self._last_name_ns = 0

    async def run(self) -> None:
        """Tell until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._post_all())
            while True:
                await self._changed.wait(self._confirmed_in())
                if self._view.synced.is_set():
                    self.look(self._view.snapshot)

    def _confirmed_in(self) -> float | None:
        """Seconds until a loss is confirmed of which nothing in the store tells."""
        if self._seen is None:
            return None
        due_in = next_confirmation(self._seen[0], self._view.clock.monotonic())
        return due_in if due_in is None else due_in + CONFIRMED_SLACK_S

    def look(self, snapshot: Snapshot) -> None:
        """Take the next picture; what has changed since the last one is told, and what time has confirmed."""
        clock = self._view.clock
        now = Instant(clock.monotonic(), clock.now())
        seen, self._seen = self._seen, (snapshot, now)
        if seen is None:
            return
        before, then = seen
        for tale in tales(before, snapshot, self._site, then, now, unwell=self._unwell):
            self.tell(tale)

    def tell(self, tale: Tale) -> None:
        """Let one Event wait for its turn."""
        if len(self._waiting) >= _WAITING:
            groups = (number for number, told in enumerate(self._waiting) if told.tale.resource is AGENT_GROUP)
            del self._waiting[next(groups, 0)]
        clock = self._view.clock
        self._waiting.append(_Told(tale, clock.now(), clock.monotonic() + _PATIENCE_S))
        self._news.give()

    async def _post_all(self) -> None:
        pause: float | None = None
        while True:
            await self._news.wait(pause)
            try:
                await self.round()
            except ApiError as error:
                log.warning("%d Events wait for the API: %s", len(self._waiting), error)
                pause = _AWAY_S
            else:
                pause = _EARLY_S if self._waiting else None

    async def round(self) -> None:
        """Post what can be posted now. Raises ApiError while the API takes none: they go on waiting."""
        quiet = self._is_quiet()
        # A warning does not wait for quieter times, and neither does what came before it.
        urgent = {told.key for told in self._waiting if told.tale.type == "Warning"}
        early: set[Key] = set()
        for told in list(self._waiting):
            if told.key in early or (quiet and told.key not in urgent):
                continue
            if self._table.get(*told.key) is None and self._view.clock.monotonic() < told.until:
                # A Shift made elsewhere is about to be shown here; what never comes is told where it is.
                early.add(told.key)
                continue
            try:
                posted = await self.post(told.tale, told.at)
            except (RefusedError, MissingError) as error:
                tale = told.tale
                log.warning("Event %s on %s %s not posted: %s", tale.reason, tale.resource.kind, tale.name, error)
                posted = True
            with contextlib.suppress(ValueError):  # it was dropped meanwhile
                self._waiting.remove(told)
            if posted:
                await asyncio.sleep(_PAUSE_S)
                quiet = self._is_quiet()

    def _is_quiet(self) -> bool:
        return self._quiet.wanted(self._view.snapshot, self._view.clock.monotonic())

    async def post(self, tale: Tale, at: float) -> bool:
        """Post one Event, or count one that was posted before. False: its object is not here. Raises ApiError.

        `at`: when it happened, seconds since the epoch.
        """
        seen = self._table.get(tale.resource.plural, tale.name)
        if seen is None:
            return False
        path = f"/api/v1/namespaces/{seen.namespace or _CLUSTER_NAMESPACE}/events"
        if known := self._posted.get(tale):
            name, count = known[0], known[1] + 1
            try:
                await self._cluster.merge(f"{path}/{name}", {"count": count, "lastTimestamp": rfc3339(at)})
            except MissingError:
                pass  # Kubernetes forgets Events after an hour: tell it anew.
            else:
                self._remember(tale, name, count)
                return True
        self._last_name_ns = max(int(at * 1e9), self._last_name_ns + 1)
        event = event_of(tale, seen, at, self._last_name_ns)
        try:
            await self._cluster.post(path, event)
        except TakenError:
            return True  # ours, the answer to which was lost
        self._remember(tale, event["metadata"]["name"], 1)
        return True

    def _remember(self, tale: Tale, name: str, count: int) -> None:
        self._posted.pop(tale, None)
        self._posted[tale] = (name, count)
        while len(self._posted) > _KEPT:
            self._posted.popitem(last=False)


def event_of(tale: Tale, seen: Seen, at: float, name_ns: int) -> dict[str, Any]:
    """The Event as an object.

    Args:
        at: When it happened, seconds since the epoch. Kubernetes keeps whole seconds of it.
        name_ns: The same in nanoseconds, made different from all others: names sort as the story went, and so does
            what happened within one second.
    """
    namespace = seen.namespace or _CLUSTER_NAMESPACE
    moment = rfc3339(at)
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{seen.short_name}.{name_ns:016x}", "namespace": namespace},
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
