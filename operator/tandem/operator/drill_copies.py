"""A Drill is shown in every cluster, and commands may be given in any of them.

applied elsewhere and not here  -> a copy is made here after a moment (the same manifest may be on its way), labelled
                                   tandem.dev/mirrored
spec changed where it is applied -> the copy is changed; it stays the same object, for reports belong to it. Where the
                                   operator may not change it, the copy says so: a person may delete it, not the
                                   operator, for its reports would go
deleted wherever it was applied -> the copy goes, once nobody is away by it any more
spec of a copy changed here     -> it is a copy no more: somebody applies this Drill here as well

What people applied is never touched.
"""

import logging
from collections.abc import Awaitable
from typing import Any, Final

from tandem.api.common import API_VERSION, COPY_OF, GROUP, MIRRORED, VERSION
from tandem.api.drill import UNDER_WAY, DrillSpec
from tandem.api.resources import DRILL
from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.snapshot import PublishedDrill
from tandem.engine.picture import Picture
from tandem.operator.cluster import ApiError, Cluster, MissingError, RefusedError, TakenError, path_of
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Seen, Table
from tandem.operator.settings import STORE_SILENT_S
from tandem.operator.statuses.common import Said

log = logging.getLogger(__name__)

CONDITION: Final = "CopyFollows"
COPY_AFTER_S: Final = 5.0
"""Seconds that a Drill must have been published before it is copied: manifests go to one cluster after the other."""
_AGAIN_S: Final = 60.0
"""Seconds after which a copy that was refused is tried again: there may never be such a namespace."""
_LOOK_S: Final = 2.0
"""Seconds between two looks: the end of COPY_AFTER_S is not a change of anything."""


def digest_of(spec: DrillSpec) -> str:
    """What identifies a Drill's spec in every cluster (16 hex digits)."""
    return spec_digest(spec.model_dump(mode="json", by_alias=True, exclude_none=True), {})


def is_copy(seen: Seen) -> bool:
    """Whether the operator made this object, and nobody has changed its spec since."""
    return seen.mirrored and isinstance(seen.spec, DrillSpec) and seen.annotations.get(COPY_OF) == digest_of(seen.spec)


def copy_of(published: PublishedDrill, spec: DrillSpec) -> dict[str, Any]:
    """The object that shows a Drill in a cluster where nobody has applied it."""
    namespace, _, short = published.name.rpartition("/")
    return {
        "apiVersion": API_VERSION,
        "kind": DRILL.kind,
        "metadata": {
            "name": short,
            "namespace": namespace,
            "labels": {MIRRORED: published.voices[0]},
            "annotations": {COPY_OF: digest_of(spec)},
        },
        "spec": spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


def changes_of(seen: Seen, published: PublishedDrill, spec: DrillSpec) -> list[dict[str, Any]]:
    """The patch that makes a copy, as it was seen, one of this spec. One that has changed since is refused: 409.

    The whole spec is replaced, for a field that is no longer given must go; a command given to the copy stays.
    """
    wanted = copy_of(published, spec)
    metadata = wanted["metadata"]
    return [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": str(seen.version)},
        {"op": "replace", "path": "/spec", "value": wanted["spec"]},
        {"op": "add", "path": _pointer("annotations", COPY_OF), "value": metadata["annotations"][COPY_OF]},
        {"op": "add", "path": _pointer("labels", MIRRORED), "value": metadata["labels"][MIRRORED]},
    ]


def _pointer(field: str, key: str) -> str:
    """Where a label or an annotation is, as JSON patches say it (RFC 6901)."""
    return f"/metadata/{field}/{key.replace('~', '~0').replace('/', '~1')}"


class DrillCopies:
    """Keeps the copies in this cluster. One task: `run`."""

    def __init__(self, site: str, table: Table, view: Picture, cluster: Cluster, notes: LocalNotes) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._cluster = cluster
        self._notes = notes
        self._wake = view.subscribe(keys.SPECS, keys.DRILLS)
        self._later: dict[str, float] = {}

    def seen(self) -> None:
        """A Drill is new, has changed, or was deleted."""
        self._wake.give()

    async def run(self) -> None:
        """Copy until cancelled."""
        while True:
            await self.round()
            await self._wake.wait(timeout=_LOOK_S)

    async def round(self) -> None:
        """One pass over all Drills."""
        known = DRILL.plural in self._table.listed and self._view.synced.is_set()
        if not known or self._view.silent_s > STORE_SILENT_S:
            return
        for published in self._view.snapshot.drill_specs.values():
            await self._safely(published.name, self._show(published))
        for seen in self._table.of(DRILL.plural):
            if is_copy(seen) and seen.name not in self._view.snapshot.drill_specs and not self._under_way(seen.name):
                await self._safely(seen.name, self._cluster.delete(path_of(DRILL, seen.name)))

    async def _show(self, published: PublishedDrill) -> None:
        spec = published.spec
        seen = self._table.get(DRILL.plural, published.name)
        now = self._view.clock.monotonic()
        if spec is None or self._site in published.voices:
            if seen is not None:
                self._notes.unsay(seen.key, CONDITION)
            return  # Applied here; or just deleted here, and the store is about to learn of it.
        if now < self._later.get(published.name, 0.0):
            return
        if seen is not None:
            if is_copy(seen) and seen.annotations.get(COPY_OF) != digest_of(spec):
                await self._follow(seen, published, spec)
            self._notes.unsay(seen.key, CONDITION)
        elif now - published.since >= COPY_AFTER_S:
            namespace = published.name.partition("/")[0]
            path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{DRILL.plural}"
            await self._cluster.post(path, copy_of(published, spec))
            log.info("Drill %s, applied in %s, is shown here", published.name, published.voices[0])

    async def _follow(self, seen: Seen, published: PublishedDrill, spec: DrillSpec) -> None:
        """Make the copy one of this spec. Raises ApiError; one that was refused is said on the copy."""
        where = published.voices[0]
        try:
            await self._cluster.change(path_of(DRILL, published.name), changes_of(seen, published, spec))
        except RefusedError as error:
            remedy = ""
            if error.lacks_right:
                remedy = (
                    "; the chart grants it with policies.install. Or delete this copy: it is made anew within a minute "
                    "as the Drill is now, and the reports kept here go with it"
                )
            message = f"this copy shows an earlier spec than {where} has, by which the Drill runs: {error}{remedy}"
            self._notes.say(
                seen.key, Said(CONDITION, "False", "NotAllowed" if error.lacks_right else "Failed", message)
            )
            raise
        log.info("the copy of Drill %s follows its spec in %s", published.name, where)

    def _under_way(self, name: str) -> bool:
        entry = self._view.snapshot.drills.get(name)
        return entry is not None and entry.record.phase in UNDER_WAY

    async def _safely(self, name: str, step: Awaitable[object]) -> None:
        """One Drill that this cluster's API refuses must not keep the others waiting."""
        try:
            await step
            return
        except TakenError as error:
            log.info("Drill %s is not copied here now: %s", name, error)
            return  # Its event is on the way: the next look knows more.
        except MissingError as error:
            log.info("Drill %s is not copied here now: %s", name, error)  # a namespace is on its way
        except ApiError as error:
            log.warning("the copy of Drill %s cannot be kept: %s", name, error)
        self._later[name] = self._view.clock.monotonic() + _AGAIN_S
