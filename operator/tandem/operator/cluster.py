"""This cluster's Kubernetes API, as the operator uses it: plain JSON objects, server-side apply, short timeouts.

The only module of the operator that knows the Kubernetes client library.

ApiError (a DependencyError: waiting may help)
  - MissingError     404
  - TakenError       409: another manager owns a field, or the object exists already; `causes` says what is in the way
  - RefusedError     400, 403, 422: waiting does not help by itself; the message says what was refused
"""

import json
import os
import re
import time
from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

import aiohttp
from kubernetes.aio import client, config
from kubernetes.aio.client.exceptions import ApiException

from tandem.api.common import API_VERSION, GROUP, VERSION
from tandem.api.resources import Resource
from tandem.errors import DependencyError
from tandem.operator.settings import FIELD_MANAGER_STATUS, REQUEST_TIMEOUT_S

Json = dict[str, Any]

_POD_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class ApiError(DependencyError):
    """The Kubernetes API did not do what was asked."""

    def __init__(self, message: str, causes: tuple[str, ...] = (), retry_after_s: float = 1.0) -> None:
        super().__init__(message, retry_after_s)
        self.causes = causes


class MissingError(ApiError):
    """There is no such object."""


class TakenError(ApiError):
    """Somebody else owns the field, or made the object before us."""


class RefusedError(ApiError):
    """The API understood and says no."""

    @property
    def lacks_right(self) -> bool:
        """Whether a role is missing; quotas, admission and a namespace that ends are refusals as well."""
        return re.search(r" cannot [a-z]+ resource ", str(self)) is not None


class Cluster:
    """One cluster's API. Every method raises ApiError, or a subclass that says more."""

    def __init__(self, api: client.ApiClient) -> None:
        self._api = api
        self._ahead: float | None = None
        """Seconds since the epoch by the API server's clock, less our monotonic time."""

    @classmethod
    async def connect(cls, kubeconfig: Path | None = None, context: str | None = None) -> Self:
        """Client of the cluster that the pod runs in; outside of one, or when given, of a kubeconfig."""
        configuration = client.Configuration()
        in_pod = os.path.exists(_POD_TOKEN)  # noqa: ASYNC240 - a file in memory, once
        if kubeconfig is None and context is None and in_pod:
            config.load_incluster_config(client_configuration=configuration)  # type: ignore[no-untyped-call]
        else:
            await config.load_kube_config(  # type: ignore[no-untyped-call]
                config_file=str(kubeconfig) if kubeconfig else None, context=context, client_configuration=configuration
            )
        configuration.retries = None  # ours are decided by the callers, who know what is still wanted
        return cls(client.ApiClient(configuration))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        await self._api.close()  # type: ignore[no-untyped-call]

    def now(self) -> float:
        """Seconds since the epoch by the API server's clock, which dates objects and commands; it never lags by more
        than a second.

        By our own before it has answered once, which may have been set wrong.
        """
        return time.time() if self._ahead is None else _uptime() + self._ahead

    # -- anything

    async def get(self, path: str, **query: str) -> Json:
        return await self._request("GET", path, query=query)

    async def post(self, path: str, body: Mapping[str, Any], **query: str) -> Json:
        return await self._request("POST", path, body=body, content_type="application/json", query=query)

    async def merge(self, path: str, body: Mapping[str, Any], **query: str) -> Json:
        """JSON merge patch."""
        return await self._request("PATCH", path, body=body, content_type="application/merge-patch+json", query=query)

    async def change(self, path: str, steps: Sequence[Mapping[str, Any]], **query: str) -> Json:
        """JSON patch: what it replaces is what is given, and nothing that was there before. All steps or none."""
        return await self._request(
            "PATCH", path, body=list(steps), content_type="application/json-patch+json", query=query
        )

    async def apply(self, path: str, body: Mapping[str, Any], *, manager: str, force: bool = False) -> Json:
        """Server-side apply. Without `force` another owner of a field is a TakenError naming it."""
        query = {"fieldManager": manager, "force": "true" if force else "false"}
        return await self._request("PATCH", path, body=body, content_type="application/apply-patch+yaml", query=query)

    async def delete(self, path: str) -> None:
        await self._request("DELETE", path)

    # -- Tandem's own objects

    async def list(self, resource: Resource) -> tuple[list[Json], int]:
        """All objects of a kind, in every namespace, and the resourceVersion of the list."""
        found = await self.get(f"/apis/{GROUP}/{VERSION}/{resource.plural}")
        return found["items"], int(found["metadata"].get("resourceVersion") or 0)

    async def apply_status(self, resource: Resource, name: str, status: Mapping[str, Any]) -> Json:
        """Make this the object's status. Nobody else writes there, so ownership is taken."""
        body: Json = {"apiVersion": API_VERSION, "kind": resource.kind, "metadata": _metadata(name), "status": status}
        return await self.apply(f"{path_of(resource, name)}/status", body, manager=FIELD_MANAGER_STATUS, force=True)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        content_type: str = "",
        query: Mapping[str, str] | None = None,
    ) -> Json:
        headers = {"Accept": "application/json", "User-Agent": "tandem"}
        if content_type:
            headers["Content-Type"] = content_type
        try:
            request = await self._api.param_serialize(
                method, path, header_params=headers, auth_settings=["BearerToken"]
            )
            url = f"{request[1]}?{urlencode(query)}" if query else request[1]
            answer = await self._api.call_api(
                method, url, request[2], body, _request_timeout=aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S)
            )
            data: bytes = await answer.read()  # type: ignore[no-untyped-call]
        except ApiException as error:
            raise _api_error(error.status or 0, str(error.body or error.reason)) from error
        except TimeoutError as error:
            raise ApiError(f"the Kubernetes API did not answer within {REQUEST_TIMEOUT_S:.0f} s") from error
        except (aiohttp.ClientError, OSError) as error:
            raise ApiError(f"the Kubernetes API cannot be reached: {error}") from error
        date = answer.getheader("Date")  # type: ignore[no-untyped-call]
        self._ahead = _clock_of(date, _uptime(), self._ahead)
        if not 200 <= answer.status < 300:
            raise _api_error(answer.status, data.decode(errors="replace"))
        parsed: Json = json.loads(data)
        return parsed


def path_of(resource: Resource, name: str) -> str:
    """Path of one of Tandem's objects; `name` is `namespace/name` where the resource has one."""
    namespace, _, short = name.rpartition("/")
    place = f"namespaces/{namespace}/" if resource.namespaced else ""
    return f"/apis/{GROUP}/{VERSION}/{place}{resource.plural}/{short}"


def _uptime() -> float:
    """Our monotonic time, which goes on while the machine sleeps."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def _clock_of(date: str | None, mono: float, known: float | None) -> float | None:
    """How far a server's clock is ahead of our monotonic time, after an answer of that date came at `mono`.

    Dates are whole seconds, and answers take their time: each gives a lower bound, of which the highest counts, for it
    comes to the truth with time. One that is far below it is of a clock that was set back.
    """
    try:
        found = parsedate_to_datetime(date).timestamp() - mono if date else None
    except ValueError:
        found = None
    if found is None or (known is not None and found <= known <= found + 1.0 + REQUEST_TIMEOUT_S):
        return known
    return found


def _metadata(name: str) -> Json:
    namespace, _, short = name.rpartition("/")
    return {"name": short, "namespace": namespace} if namespace else {"name": short}


def _api_error(status: int, body: str) -> ApiError:
    try:
        said = json.loads(body)
    except ValueError:
        said = {}
    message = str(said.get("message") or body[:500] or f"HTTP {status}")
    causes = tuple(str(cause.get("message", "")) for cause in (said.get("details") or {}).get("causes") or ())
    if status == 404:
        return MissingError(message, causes, retry_after_s=10.0)
    if status == 409:
        return TakenError(message, causes)
    if status in (400, 403, 422):
        return RefusedError(message, causes, retry_after_s=10.0)
    return ApiError(f"the Kubernetes API answered {status}: {message}", causes)
