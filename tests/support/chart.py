"""The Helm chart as manifests, for tests: rendered by the real helm."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from lab import tools

CHART: Final = Path(__file__).resolve().parents[2] / "charts" / "tandem"
KUBERNETES: Final = tools.KUBERNETES_VERSION.removeprefix("v")
MEMBERS: Final = [
    {"name": "east", "ip": "198.18.0.11"},
    {"name": "west", "ip": "198.18.0.12"},
    {"name": "witness", "ip": "198.18.0.13"},
]


class ChartError(Exception):
    """helm refused the values; the message is what it said."""


def values(**changes: Any) -> dict[str, Any]:
    """Values of a city called east, with some of them changed."""
    found: dict[str, Any] = {
        "site": {"name": "east"},
        "etcd": {"members": MEMBERS},
        "deployments": [
            {
                "namespace": "callcenter",
                "names": ["cti-hotel", "softswitch-hotel"],
                "systems": ["hotel"],
                "autoscalers": ["cti-hotel"],
            },
        ],
    }
    return {**found, **changes}


def render(given: Mapping[str, Any], *options: str) -> list[dict[str, Any]]:
    """Objects of a release called `tandem` in `tandem-system`. Raises: ChartError."""
    done = subprocess.run(
        [
            str(tools.path("helm")),
            *("template", "tandem", str(CHART), "--namespace", "tandem-system"),
            *("--kube-version", KUBERNETES, "-f", "-", *options),
        ],
        input=yaml.safe_dump(dict(given)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise ChartError(done.stderr.strip())
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def lint(given: Mapping[str, Any]) -> str:
    """What `helm lint` says. Raises: ChartError."""
    done = subprocess.run(
        [str(tools.path("helm")), "lint", str(CHART), "--strict", "--kube-version", KUBERNETES, "-f", "-"],
        input=yaml.safe_dump(dict(given)),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if done.returncode != 0:
        raise ChartError(done.stdout + done.stderr)
    return done.stdout


def of_kind(objects: list[dict[str, Any]], *kinds: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] in kinds]
