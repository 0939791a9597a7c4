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


def message(status: Any, kind: str) -> str:
    return str(next(one.message for one in status.conditions if one.type == kind))
