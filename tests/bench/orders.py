"""Shifts that a bench makes itself."""

from pathlib import Path
from typing import Any

import yaml

from demo.callcentre import CallCentre
from demo.orders import Order


def everyone(centre: CallCentre, work: Path, name: str, *, to: str, city: str, with_calls: bool, **spec: Any) -> Order:
    """Everybody whose home is east goes to a site, by a manifest of its own that is applied in one city.

    Args:
        work: Folder of the bench's run.
        spec: Of the Shift, without selector and `to`.
    """
    groups = centre.quickstart.choose("east")
    manifest = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Shift",
        "metadata": {"name": name, "namespace": "callcenter"},
        "spec": {"selector": {"labels": {"home": "east"}}, "to": to, **spec},
    }
    file = work / "shifts" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    return Order(f"{len(groups)} groups to {to}: {name}", file, (city,), groups, to, with_calls=with_calls)
