"""Objects as the operator's table holds them, made from manifests."""

from typing import Any

from tandem.api.resources import BY_KIND
from tandem.operator.objects import Seen, parse

CREATED = "2026-11-23T20:00:00Z"
CREATED_AT = 1_795_464_000.0


def seen(manifest: dict[str, Any], **metadata: Any) -> Seen:
    """An object as the API shows it; `status` may be given among the metadata."""
    status = metadata.pop("status", {})
    known = {
        "uid": f"uid-{manifest['metadata']['name']}",
        "generation": 3,
        "resourceVersion": "7",
        "creationTimestamp": CREATED,
        **manifest["metadata"],
        **metadata,
    }
    return parse(BY_KIND[manifest["kind"]], {**manifest, "metadata": known, "status": status})


def conditions(status: Any) -> dict[str, tuple[str, str]]:
    """Type -> status and reason."""
    return {one.type: (one.status, one.reason) for one in status.conditions}


def kstatus(status: Any, generation: int = 3) -> str:
    """What tools that wait for objects (Flux, Argo CD) make of a status, by the rules of kstatus."""
    said = {one.type: one.status for one in status.conditions}
    if status.observed_generation != generation or said.get("Reconciling") == "True":
        return "InProgress"
    if said.get("Stalled") == "True":
        return "Failed"
    return "Current" if said.get("Ready") == "True" else "InProgress"


def message(status: Any, kind: str) -> str:
    return str(next(one.message for one in status.conditions if one.type == kind))
