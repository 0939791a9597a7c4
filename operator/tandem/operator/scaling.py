"""Replicas: raised for agents who will arrive, given back when they have left. Never against another owner.

    mode Scale  spec.replicas of the Deployment
    mode HPA    spec.minReplicas of the HorizontalPodAutoscaler that has the Deployment's name
    mode KEDA   spec.minReplicaCount of the ScaledObject that has the Deployment's name

Server-side apply of that one field on the object itself. On the /scale subresource the API server reports a conflict
with "before-first-apply" even where nobody owns the field (Kubernetes 1.35), which hides the real owners.
The value found before the first raise is kept in an annotation, so that a restart does not forget it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

BEFORE: Final = "tandem.dev/replicas-before"
"""Annotation: the value to give back."""
CALM_S: Final = 60.0
"""Seconds for which fewer replicas must suffice before any is taken away: the last agents have left by then."""


@dataclass(frozen=True)
class Lever:
    """Where the replicas, or their lower bound, are written."""

    api_version: str
    kind: str
    path: str
    field: str
    default: int
    """What Kubernetes, or KEDA, takes when the field is not set."""

    def body(self, value: int) -> dict[str, Any]:
        """What to apply: this one field, so that only it is owned."""
        namespace, name = self.path.split("/")[-3], self.path.split("/")[-1]
        return {
            "apiVersion": self.api_version,
            "kind": self.kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {self.field: value},
        }

    def read(self, found: Mapping[str, Any]) -> int:
        """The value in the object."""
        value = found.get("spec", {}).get(self.field)
        return self.default if value is None else int(value)


def lever(mode: str, deployment: str) -> Lever | None:
    """The lever for a Deployment (`namespace/name`); None for mode None."""
    namespace, _, name = deployment.partition("/")
    if mode == "Scale":
        path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}"
        return Lever("apps/v1", "Deployment", path, "replicas", 1)
    if mode == "HPA":
        path = f"/apis/autoscaling/v2/namespaces/{namespace}/horizontalpodautoscalers/{name}"
        return Lever("autoscaling/v2", "HorizontalPodAutoscaler", path, "minReplicas", 1)
    if mode == "KEDA":
        path = f"/apis/keda.sh/v1alpha1/namespaces/{namespace}/scaledobjects/{name}"
        return Lever("keda.sh/v1alpha1", "ScaledObject", path, "minReplicaCount", 0)
    return None


@dataclass(frozen=True)
class Turn:
    """What to write: the value, and what to remember (None: forget, nothing is borrowed any more)."""

    value: int
    before: int | None


def next_turn(current: int, before: int | None, wanted: int, calm_s: float) -> Turn | None:
    """The next step; None: leave everything.

    Args:
        current: The value now.
        before: The value to give back; None when nothing was raised.
        wanted: What the agents need.
        calm_s: Seconds for which no more than `wanted` was needed.
    """
    if wanted > current:
        return Turn(wanted, current if before is None else before)
    if before is None or calm_s < CALM_S:
        return None
    if wanted <= before:
        return Turn(before, None)
    if wanted < current:
        return Turn(wanted, before)
    return None
