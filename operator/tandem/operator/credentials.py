"""Tokens: read from the Secrets that Trunks and Drills name, handed to the engine as files in memory.

The engine has no access to the Kubernetes API, and a token does not belong into the store. Whoever may write a Drill
says where questions are sent, so the Secret itself has to name the server that its token may go to.
"""

import asyncio
import base64
import logging
import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from tandem.api.common import SERVER
from tandem.api.drill import DrillSpec
from tandem.api.resources import DRILL, TRUNK
from tandem.api.trunk import SecretRef, TrunkSpec
from tandem.domain.alarms import token_path
from tandem.engine.wakeup import Signal
from tandem.operator.cluster import ApiError, Cluster
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Seen, Table
from tandem.operator.statuses.common import Said

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 30.0
"""Seconds after which Secrets are read again: tokens are changed now and then."""


@dataclass(frozen=True)
class Wanted:
    """A token that an object names."""

    secret: SecretRef
    field: str
    target: PurePath
    """Where the engine looks for it, below the folder of credentials."""
    server: str = ""
    """What the Secret's annotation tandem.dev/server has to be; "": it needs none."""


def wanted_by(seen: Seen) -> Wanted | None:
    """The token that a Trunk or a Drill names, if any."""
    spec = seen.spec
    if isinstance(spec, TrunkSpec) and (secret := spec.carrier.credentials) is not None:
        return Wanted(secret, "spec.carrier.credentials", PurePath(seen.namespace) / secret.name / secret.key)
    if isinstance(spec, DrillSpec) and spec.alarms is not None:
        server = spec.alarms.prometheus
        target = token_path(seen.namespace, server)
        if server.credentials is not None and target is not None:
            return Wanted(server.credentials, "spec.alarms.prometheus.credentials", target, server.url)
    return None


class Credentials:
    """Keeps the files current. One task: `run`."""

    def __init__(self, folder: Path, table: Table, cluster: Cluster, notes: LocalNotes) -> None:
        self._folder = folder
        self._table = table
        self._cluster = cluster
        self._notes = notes
        self._wake = Signal()

    def seen(self) -> None:
        """A Trunk or a Drill is new or has changed."""
        self._wake.give()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            for resource in (TRUNK, DRILL):
                for seen in self._table.of(resource.plural):
                    await self._one(seen)
            await self._wake.wait(timeout=_INTERVAL_S)

    async def _one(self, seen: Seen) -> None:
        wanted = wanted_by(seen)
        if wanted is None:
            self._notes.unsay(seen.key, "CredentialsReadable")
            return
        secret = f"Secret {seen.namespace}/{wanted.secret.name}"
        target = self._folder / wanted.target
        try:
            found = await self._cluster.get(f"/api/v1/namespaces/{seen.namespace}/secrets/{wanted.secret.name}")
            value = base64.b64decode(found["data"][wanted.secret.key])
        except ApiError as error:
            remedy = f"create it, and add it to the chart's credentials[].secrets of namespace {seen.namespace}"
            self._say(seen, f"{secret}, named by {wanted.field}, cannot be read: {error}; {remedy}")
            return
        except KeyError:
            self._say(seen, f"{secret} has no key {wanted.secret.key!r}, named by {wanted.field}; add it")
            return
        if wanted.server and _server_of(found) != wanted.server:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            self._say(
                seen,
                f"{secret}, named by {wanted.field}, is not for {wanted.server}: its annotation {SERVER} is "
                f"{_server_of(found) or 'missing'}; whoever owns the token sets it to {wanted.server}",
            )
            return
        try:
            await asyncio.to_thread(write, target, value)
        except OSError as error:
            self._say(seen, f"{secret} cannot be handed to the engine: {error}")
            return
        self._notes.say(seen.key, Said("CredentialsReadable", "True", "Read", f"{secret} is handed to the engine"))

    def _say(self, seen: Seen, message: str) -> None:
        log.warning("%s", message)
        self._notes.say(seen.key, Said("CredentialsReadable", "False", "NotReadable", message))


def _server_of(secret: dict[str, Any]) -> str:
    return str((secret.get("metadata", {}).get("annotations") or {}).get(SERVER, ""))


def write(target: Path, value: bytes) -> None:
    """Write a file for this user and group only, whole or not at all; untouched when it is the same already."""
    if target.exists() and target.read_bytes() == value:
        return
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    fresh = target.with_name(f".{target.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
    with os.fdopen(descriptor, "wb") as file:
        file.write(value)
    fresh.replace(target)
