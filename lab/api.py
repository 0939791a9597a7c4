"""The few questions the lab itself asks of a Kubernetes API."""

import ssl
from datetime import datetime
from typing import Any, Final

import httpx

from lab.addresses import City
from lab.paths import CityPaths

TIMEOUT_S: Final = 2.0
"""One machine: an API that takes longer is not ready."""


class KubernetesApi:
    """Read-only view of one city's API, as its administrator. Every answer is a plain yes or no."""

    def __init__(self, city: City, paths: CityPaths) -> None:
        context = ssl.create_default_context(cafile=str(paths.pki / "ca.crt"))
        context.load_cert_chain(paths.pki / "admin.crt", paths.pki / "admin.key")
        # A proxy in the environment is not meant for the lab's addresses.
        self._client = httpx.AsyncClient(base_url=city.api_url, verify=context, timeout=TIMEOUT_S, trust_env=False)
        self._node = city.name

    async def __aenter__(self) -> "KubernetesApi":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def ready(self) -> bool:
        """Does /readyz say ok?"""
        try:
            return (await self._client.get("/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    async def node_ready(self, *, since: float = 0.0) -> bool:
        """Is the city's node Ready, as its kubelet said at `since` (CLOCK_REALTIME) or later?"""
        found = await self._get(f"/api/v1/nodes/{self._node}")
        return found is not None and condition(found, "Ready", since=since)

    async def deployment_available(self, namespace: str, name: str) -> bool:
        """Are all wanted replicas available?"""
        found = await self._get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")
        if found is None:
            return False
        wanted = found["spec"].get("replicas", 1)
        return bool(found.get("status", {}).get("availableReplicas", 0) >= wanted)

    async def _get(self, path: str) -> dict[str, Any] | None:
        try:
            answer = await self._client.get(path)
        except httpx.HTTPError:
            return None
        return dict(answer.json()) if answer.status_code == 200 else None


def condition(found: dict[str, Any], kind: str, *, since: float = 0.0) -> bool:
    """Is the condition `kind` of this object True, and was that said at `since` (CLOCK_REALTIME) or later?"""
    for item in found.get("status", {}).get("conditions", []):
        if item["type"] == kind and item["status"] == "True":
            # Whole seconds on the wire: one that has begun counts.
            return _seconds(item.get("lastHeartbeatTime")) >= int(since)
    return False


def _seconds(text: str | None) -> float:
    return datetime.fromisoformat(text).timestamp() if text else 0.0
