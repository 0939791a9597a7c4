"""What this city's Deployments get: the map for the CTI's next start, the revision to look at, and replicas.

Only what the own Site names is touched, and of that only what the chart's RBAC lists; a refusal becomes a condition of
the Site, with the value to add.
"""

import asyncio
import json
import logging
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any, Final

from tandem.api.common import duration_seconds
from tandem.api.resources import SITE
from tandem.api.site import Scaling, SiteSpec, System
from tandem.domain import keys
from tandem.domain.capacity import Ledger, scaled_parts, wanted_replicas
from tandem.domain.forecast import Forecast
from tandem.domain.records import PlacementRecord
from tandem.domain.snapshot import Snapshot
from tandem.engine.picture import Picture
from tandem.operator.cluster import ApiError, Cluster, MissingError, RefusedError, TakenError
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Key, Table, own_site
from tandem.operator.scaling import BEFORE, Lever, Turn, lever, next_turn
from tandem.operator.settings import FIELD_MANAGER, FIELD_MANAGER_SCALE
from tandem.operator.status_pacing import Quiet
from tandem.operator.statuses.common import Said

log = logging.getLogger(__name__)

REVISION: Final = "tandem.dev/revision"
"""Annotation on the Deployments: newest placement revision of the system."""
_INTERVAL_S: Final = 1.0
_LONG_MOVE_S: Final = 10.0
"""Seconds for which a system's patches wait while agents of it are on their way. They are for a CTI's next start, and
each wakes up the cluster's controllers at the worst moment."""
_SCALE_INTERVAL_S: Final = 5.0
"""Seconds between two looks at a Deployment's replicas while no more of them are needed."""
_AGAIN_S: Final = 60.0
"""Seconds after which a map or an annotation is written again as it was: somebody may have deleted it, or have made the
Deployment anew."""
_REFUSED_S: Final = 30.0
"""Seconds before something that was refused is tried again; replicas sooner, when more of them are needed."""


def map_document(snapshot: Snapshot, system: str) -> dict[str, Any]:
    """All placements of a system and its groups' priorities, in the form of the CTI contract's `PUT /v1/placements`."""
    own = {name: placed for name, placed in sorted(snapshot.placements.items()) if placed.record.system == system}
    return {
        "priorities": {name: spec.priority for name in own if (spec := snapshot.group(name)) is not None},
        "asOf": 0,  # any push is newer than what a CTI finds at its start
        "groups": {
            name: {
                "revision": placed.revision,
                "map": dict(placed.record.map),
                "pace": placed.record.pace or None,
                "together": _together(placed.record),
                "drain": {
                    "maxTalk": duration_seconds(placed.record.drain.max_talk),
                    "maxWrapUp": duration_seconds(placed.record.drain.max_wrap_up),
                    "onDeadline": placed.record.drain.on_deadline,
                },
            }
            for name, placed in own.items()
        },
    }


def _together(record: PlacementRecord) -> dict[str, Any] | None:
    return {"move": record.together, "pace": record.together_pace} if record.together else None


def revision_of(document: Mapping[str, Any]) -> int:
    """The newest revision in a map document; 0 when it is empty."""
    return max((group["revision"] for group in document["groups"].values()), default=0)


def _config_map(system: System) -> tuple[str, str]:
    """Namespace and name of the ConfigMap with a system's map."""
    return system.cti.deployment.partition("/")[0], f"tandem-map-{system.name}"


def _named_by(spec: SiteSpec) -> Iterator[str]:
    """Everything that a Site has looked after, as problems name it."""
    for system in spec.systems:
        yield f"ConfigMap {'/'.join(_config_map(system))}"
        yield f"Deployment {system.cti.deployment}"
        yield f"Deployment {system.softswitch.deployment}"
        for _, deployment, _ in scaled_parts(system):
            yield f"replicas of {deployment}"


class Deployments:
    """Patches this city's ConfigMaps and Deployments. One task: `run`."""

    def __init__(self, site: str, table: Table, view: Picture, cluster: Cluster, notes: LocalNotes) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._cluster = cluster
        self._notes = notes
        self._changed = view.subscribe(keys.SPECS, keys.PLACEMENTS, keys.FAILOVERS, keys.SHIFTS)
        self._done: dict[str, tuple[object, float]] = {}
        self._patched: set[str] = set()
        self._waits_since: dict[str, float] = {}
        self._quiet = Quiet()
        self._not_before: dict[str, float] = {}
        self._most_needed: dict[str, tuple[int, float]] = {}
        self._problems: dict[str, tuple[str, str]] = {}
        self._owners: dict[str, str] = {}

    async def run(self) -> None:
        """Patch until cancelled."""
        await self._view.synced.wait()
        while True:
            await self.round()
            await asyncio.sleep(_INTERVAL_S)
            await self._changed.wait(timeout=_SCALE_INTERVAL_S)

    async def round(self) -> None:
        """One pass over the own Site's systems."""
        snapshot = self._view.snapshot
        spec = own_site(self._table, snapshot, self._site)
        if spec is None:
            return
        # With those who wait for room after an emergency: it fills what is Ready, and nobody else would raise the rest.
        ledger = Forecast(snapshot, Ledger(snapshot, all_ready=True)).after_emergencies
        for system in spec.systems:
            document = map_document(snapshot, system.name)
            if document["groups"] and self._may_patch(snapshot, system.name):
                await self._write_map(system, document)
                for deployment in (system.cti.deployment, system.softswitch.deployment):
                    await self._annotate(deployment, revision_of(document))
            load = ledger.load(self._site, system.name)
            await self._scale(system.cti.deployment, system.cti.scaling, load)
            await self._scale(system.softswitch.deployment, system.softswitch.scaling, load)
        self._forget_what_is_not_named(spec)
        self._say(spec, (SITE.plural, self._site))

    def _may_patch(self, snapshot: Snapshot, system: str) -> bool:
        """Whether map and annotations of a system are due: not while it moves or is rescued, unless that takes long."""
        now = self._view.clock.monotonic()
        busy = self._quiet.wanted(snapshot, now) or any(
            placed.map.in_transit for placed in snapshot.placements.values() if placed.record.system == system
        )
        # Before the first patch nothing is known to be there.
        waits_since = self._waits_since.setdefault(system, now if system in self._patched else -_LONG_MOVE_S)
        if busy and now - waits_since < _LONG_MOVE_S:
            return False
        self._waits_since.pop(system)
        self._patched.add(system)
        return True

    async def _write_map(self, system: System, document: Mapping[str, Any]) -> None:
        namespace, name = _config_map(system)
        body = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {"name": name, "namespace": namespace, "labels": {"app.kubernetes.io/managed-by": "tandem"}},
            "data": {"placements.json": json.dumps(document, sort_keys=True)},
        }
        if self._due(f"ConfigMap {namespace}/{name}", body["data"]):
            path = f"/api/v1/namespaces/{namespace}/configmaps/{name}"
            step = self._cluster.apply(path, body, manager=FIELD_MANAGER, force=True)
            remedy = f"add {system.name} to the chart's deployments[].systems of namespace {namespace}"
            await self._try(f"ConfigMap {namespace}/{name}", body["data"], step, remedy)

    async def _annotate(self, deployment: str, revision: int) -> None:
        what = f"Deployment {deployment}"
        if self._due(what, revision):
            namespace, _, name = deployment.partition("/")
            path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
            patch = {"metadata": {"annotations": {REVISION: str(revision)}}}
            step = self._cluster.merge(path, patch, fieldManager=FIELD_MANAGER)
            remedy = f"add {name} to the chart's deployments[].names of namespace {namespace}"
            await self._try(what, revision, step, remedy)

    def _due(self, what: str, wanted: object) -> bool:
        now = self._view.clock.monotonic()
        done, at = self._done.get(what, (None, -inf))
        return (done != wanted or now >= at + _AGAIN_S) and self._not_before.get(what, 0.0) <= now

    async def _try(self, what: str, wanted: object, step: Any, remedy: str) -> None:
        try:
            await step
        except ApiError as error:
            if isinstance(error, RefusedError):
                self._problems[what] = ("NotAllowed", f"{what} cannot be patched: {error}; {remedy}")
            elif isinstance(error, MissingError):
                self._problems[what] = ("Missing", f"{what}, named by this Site, does not exist; correct the name")
            else:
                self._problems[what] = ("Failed", f"{what} is not patched yet: {error}")
            self._not_before[what] = self._view.clock.monotonic() + (
                error.retry_after_s if error.retry_after_s < 5 else _REFUSED_S
            )
            log.warning("%s", self._problems[what][1])
            return
        self._problems.pop(what, None)
        self._not_before.pop(what, None)
        self._done[what] = wanted, self._view.clock.monotonic()

    async def _scale(self, deployment: str, scaling: Scaling, load: int) -> None:
        found = lever(scaling.mode, deployment)
        what = f"replicas of {deployment}"
        wanted = wanted_replicas(load, scaling)
        # An emergency, which needs more than at the last look, waits for no interval: not even after a refusal.
        is_more = wanted > self._most_needed.get(what, (wanted, 0.0))[0]
        now_s = self._view.clock.monotonic()
        if found is None or (self._not_before.get(what, 0.0) > now_s and not is_more):
            return
        self._not_before[what] = now_s + _SCALE_INTERVAL_S
        calm_s = self._calm(what, wanted)
        try:
            now = await self._cluster.get(found.path)
            kept = (now["metadata"].get("annotations") or {}).get(BEFORE)
            turn = next_turn(found.read(now), int(kept) if kept else None, wanted, calm_s)
            if turn is not None:
                await self._turn(found, turn, kept)
                log.info("%s: %d for %d agents", what, turn.value, load)
        except TakenError as error:
            # Never forced: the other owner would set it back, and the two would fight over pods.
            owners = "; ".join(error.causes) or str(error)
            self._owners[what] = f"{what} belong to another manager ({owners}); remove them there, or set scaling.mode"
            return
        except ApiError as error:
            self._problems[what] = ("Failed", f"{what} cannot be changed: {error}")
            self._not_before[what] = self._view.clock.monotonic() + _REFUSED_S
            return
        self._owners.pop(what, None)
        self._problems.pop(what, None)

    async def _turn(self, found: Lever, turn: Turn, kept: str | None) -> None:
        # Remembered first and forgotten last: a crash in between gives back once too often, never never.
        before = None if turn.before is None else str(turn.before)
        if before is not None and before != kept:
            await self._remember(found.path, before)
        try:
            await self._cluster.apply(found.path, found.body(turn.value), manager=FIELD_MANAGER_SCALE)
        except TakenError:
            if before is not None and before != kept:
                await self._remember(found.path, kept)
            raise
        if before is None and kept is not None:
            await self._remember(found.path, None)

    async def _remember(self, path: str, before: str | None) -> None:
        await self._cluster.merge(path, {"metadata": {"annotations": {BEFORE: before}}}, fieldManager=FIELD_MANAGER)

    def _calm(self, what: str, wanted: int) -> float:
        """Seconds for which no more than `wanted` was needed."""
        now = self._view.clock.monotonic()
        most, since = self._most_needed.get(what, (wanted, now))
        if wanted != most:
            since = now
        self._most_needed[what] = (wanted, since)
        return now - since

    def _forget_what_is_not_named(self, spec: SiteSpec) -> None:
        """A name that was corrected, a mode that was set to None: nobody looks there again, and it troubles nobody."""
        named = set(_named_by(spec))
        self._problems = {what: problem for what, problem in self._problems.items() if what in named}
        self._owners = {what: owner for what, owner in self._owners.items() if what in named}

    def _say(self, spec: SiteSpec, key: Key) -> None:
        if self._problems:
            reason = next(iter(self._problems.values()))[0]
            message = "; ".join(message for _, message in self._problems.values())
            self._notes.say(key, Said("DeploymentsPatched", "False", reason, message))
        elif self._done:
            message = "maps, revisions and replicas of this city's Deployments are as they should be"
            self._notes.say(key, Said("DeploymentsPatched", "True", "Patched", message))
        scaled = [
            part.scaling.mode
            for system in spec.systems
            for part in (system.cti, system.softswitch)
            if part.scaling.mode != "None"
        ]
        if self._owners:
            message = "; ".join(self._owners.values())
            self._notes.say(key, Said("ReplicasOwned", "False", "OwnedByAnother", message))
        elif scaled:
            self._notes.say(key, Said("ReplicasOwned", "True", "Owned", "replicas may be raised when agents arrive"))
        else:
            self._notes.unsay(key, "ReplicasOwned")
