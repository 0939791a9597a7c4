"""The operator's own table of the objects in this cluster: filled by kopf's events and by lists.

kopf's indices start up in quadratic time; this is a dictionary.
"""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import ValidationError

from tandem.api.common import MIRRORED, ORDER_ID, Written
from tandem.api.resources import SITE, Resource
from tandem.api.site import SiteSpec
from tandem.domain.snapshot import Snapshot

STAYS_IN_FORCE: Final = " (the last good one stays in force)"
"""End of a sentence on what is wrong with an object; not true of one that nobody has applied yet."""

_TOMBSTONES: Final = 10_000
_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

T = TypeVar("T")

Key = tuple[str, str]
"""Plural of the resource, and `namespace/name` or `name`."""


@dataclass(frozen=True)
class Seen:
    """One object as this cluster's API showed it last."""

    resource: Resource
    name: str
    """`namespace/name`, or `name` where the resource has no namespace."""
    uid: str
    generation: int
    version: int
    """resourceVersion: a newer one is larger."""
    created_at: float
    """Seconds since the epoch, by the API server's clock."""
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    spec: Written | None
    """None when it passes the CRD and not the model; `problem` says why."""
    problem: str
    status: Mapping[str, Any]
    applied: bool = False
    """Whether somebody applies it from a manifest: kubectl, or a GitOps tool that will apply it again."""

    @property
    def key(self) -> Key:
        return self.resource.plural, self.name

    @property
    def namespace(self) -> str:
        return self.name.rpartition("/")[0]

    @property
    def short_name(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def order_id(self) -> str:
        return self.annotations.get(ORDER_ID, "")

    @property
    def mirrored(self) -> bool:
        """Whether the operator made it from the store, and nobody has applied it here since."""
        return MIRRORED in self.labels and not self.applied


def parse(resource: Resource, body: Mapping[str, Any]) -> Seen:
    """An object of the API as the operator needs it."""
    metadata = body.get("metadata", {})
    spec, problem = _model(resource, body.get("spec", {}))
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    return Seen(
        resource=resource,
        name=f"{namespace}/{name}" if resource.namespaced else name,
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        version=int(metadata.get("resourceVersion", "0") or 0),
        created_at=seconds(metadata.get("creationTimestamp", "")),
        labels=dict(metadata.get("labels") or {}),
        annotations=dict(metadata.get("annotations") or {}),
        spec=spec,
        problem=problem,
        status=body.get("status") or {},
        applied=_applied(metadata),
    )


def _applied(metadata: Mapping[str, Any]) -> bool:
    """Whether an apply, by a client or by the server, has left its mark. That of the status is our own."""
    if _LAST_APPLIED in (metadata.get("annotations") or {}):
        return True
    managers = metadata.get("managedFields") or ()
    return any(one.get("operation") == "Apply" and not one.get("subresource") for one in managers)


def _model(resource: Resource, spec: Mapping[str, Any]) -> tuple[Written | None, str]:
    try:
        return resource.spec.model_validate(spec), ""
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field_path = ".".join(str(part) for part in ("spec", *first["loc"]))
        sentence = first["msg"].removeprefix("Value error, ")
        shown = "" if isinstance(first["input"], dict) else f" is {first['input']!r}"
        return None, f"{field_path}{shown}: {sentence}; correct it and apply again{STAYS_IN_FORCE}"


def seconds(timestamp: str) -> float:
    """Seconds since the epoch of an RFC 3339 time; 0 for an empty one."""
    return datetime.fromisoformat(timestamp).timestamp() if timestamp else 0.0


def remember(known: OrderedDict[str, T], uid: str, value: T) -> None:
    """Note this of an object; of too many the oldest are forgotten."""
    known[uid] = value
    while len(known) > _TOMBSTONES:
        known.popitem(last=False)


@dataclass
class Table:
    """Objects by resource and name. One event loop uses it."""

    objects: dict[Key, Seen] = field(default_factory=dict)
    listed: set[str] = field(default_factory=set)
    """Resources whose whole list has been seen since the start."""
    deleted: OrderedDict[str, None] = field(default_factory=OrderedDict)
    """UIDs of deleted objects: a list that was on its way meanwhile must not bring them back."""

    def get(self, plural: str, name: str) -> Seen | None:
        return self.objects.get((plural, name))

    def of(self, plural: str) -> list[Seen]:
        return [seen for (kind, _), seen in self.objects.items() if kind == plural]

    def update(self, seen: Seen) -> bool:
        """Take an object in. False: what is held is newer or the same.

        The same version may look different after the CRD has changed; then the later look counts.
        """
        if seen.uid in self.deleted:
            return False
        held = self.objects.get(seen.key)
        if held is not None and (held == seen or (held.uid == seen.uid and held.version > seen.version)):
            return False
        self.objects[seen.key] = seen
        return True

    def remove(self, seen: Seen) -> bool:
        """Take a deleted object out. False: it was not there, or another of that name has taken its place."""
        remember(self.deleted, seen.uid, None)
        held = self.objects.get(seen.key)
        if held is None or held.uid != seen.uid:
            return False
        del self.objects[seen.key]
        return True

    def vanished(self, plural: str, listed: Iterable[Key], version: int) -> list[Seen]:
        """Objects that a whole list, taken at `version`, does not show, although they are older than it."""
        self.listed.add(plural)
        names = set(listed)
        return [seen for seen in self.of(plural) if seen.key not in names and seen.version <= version]


def own_site(table: Table, snapshot: Snapshot, name: str) -> SiteSpec | None:
    """This cluster's own Site; while the one applied is not valid, the last good one, which stays in force.

    None: it is not applied here, or there has been no good one.
    """
    seen = table.get(SITE.plural, name)
    if seen is None:
        return None
    return seen.spec if isinstance(seen.spec, SiteSpec) else snapshot.site(name)
