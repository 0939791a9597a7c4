"""Tokens: read from the Secrets that Trunks and alarms name, handed to the engine as files in memory.

The engine has no access to the Kubernetes API, and a token does not belong into the store. Whoever may write a Drill
or a Shift says where questions are sent, so the Secret itself has to name the server that its token may go to.
"""

import asyncio
import base64
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any, Final

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.alarms import Prometheus
from tandem.api.common import SERVER, Written
from tandem.api.drill import DrillSpec
from tandem.api.resources import AGENT_GROUP, DRILL, SHIFT, TRUNK
from tandem.api.shift import FINISHED, ShiftSpec
from tandem.api.trunk import SecretRef, TrunkSpec
from tandem.domain.alarms import token_path
from tandem.engine.wakeup import Signal
from tandem.operator.cluster import ApiError, Cluster
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Seen, Table
from tandem.operator.statuses.common import Said

log = logging.getLogger(__name__)

NAMING: Final = (TRUNK, AGENT_GROUP, DRILL, SHIFT)
"""Kinds whose objects may name a token."""
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


def wanted_by(seen: Seen) -> tuple[Wanted, ...]:
    """The tokens that an object names. A Shift that is over needs none."""
    spec = seen.spec
    if isinstance(spec, TrunkSpec):
        secret = spec.carrier.credentials
        if secret is None:
            return ()
        path = PurePath(seen.namespace) / secret.name / secret.key
        return (Wanted(secret, "spec.carrier.credentials", path),)
    if isinstance(spec, ShiftSpec) and seen.status.get("phase") in FINISHED:
        return ()
    return tuple(
        Wanted(server.credentials, f"{field}.prometheus.credentials", target, server.url)
        for field, server in _servers(spec)
        if server.credentials is not None and (target := token_path(seen.namespace, server)) is not None
    )


def _servers(spec: Written | None) -> Iterator[tuple[str, Prometheus]]:
    """Field of the alarms, and whom these ask. The Shifts of a group or a Drill have its gates."""
    if isinstance(spec, DrillSpec) and spec.alarms is not None:
        yield "spec.alarms", spec.alarms.prometheus
    if isinstance(spec, DrillSpec) and spec.shift.gates.alarms is not None:
        yield "spec.shift.gates.alarms", spec.shift.gates.alarms.prometheus
    if isinstance(spec, ShiftSpec | AgentGroupSpec) and spec.gates.alarms is not None:
        yield "spec.gates.alarms", spec.gates.alarms.prometheus


class Credentials:
    """Keeps the files current. One task: `run`."""

    def __init__(self, folder: Path, table: Table, cluster: Cluster, notes: LocalNotes) -> None:
        self._folder = folder
        self._table = table
        self._cluster = cluster
        self._notes = notes
        self._wake = Signal()

    def seen(self) -> None:
        """An object that may name a token is new or has changed."""
        self._wake.give()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            for resource in NAMING:
                for seen in self._table.of(resource.plural):
                    await self._one(seen)
            await self._wake.wait(timeout=_INTERVAL_S)

    async def _one(self, seen: Seen) -> None:
        wanted = wanted_by(seen)
        problems = [problem for one in wanted if (problem := await self._hand_over(seen, one))]
        if not wanted:
            self._notes.unsay(seen.key, "CredentialsReadable")
        elif problems:
            message = "; ".join(problems)
            log.warning("%s", message)
            self._notes.say(seen.key, Said("CredentialsReadable", "False", "NotReadable", message))
        else:
            names = sorted({f"Secret {seen.namespace}/{one.secret.name}" for one in wanted})
            message = f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} handed to the engine"
            self._notes.say(seen.key, Said("CredentialsReadable", "True", "Read", message))

    async def _hand_over(self, seen: Seen, wanted: Wanted) -> str:
        """Why the engine does not get it; "" when it does."""
        secret = f"Secret {seen.namespace}/{wanted.secret.name}"
        target = self._folder / wanted.target
        try:
            found = await self._cluster.get(f"/api/v1/namespaces/{seen.namespace}/secrets/{wanted.secret.name}")
            value = base64.b64decode(found["data"][wanted.secret.key])
        except ApiError as error:
            remedy = f"create it, and add it to the chart's credentials[].secrets of namespace {seen.namespace}"
            return f"{secret}, named by {wanted.field}, cannot be read: {error}; {remedy}"
        except KeyError:
            return f"{secret} has no key {wanted.secret.key!r}, named by {wanted.field}; add it"
        if wanted.server and _server_of(found) != wanted.server:
            await asyncio.to_thread(target.unlink, missing_ok=True)
            return (
                f"{secret}, named by {wanted.field}, is not for {wanted.server}: its annotation {SERVER} is "
                f"{_server_of(found) or 'missing'}; whoever owns the token sets it to {wanted.server}"
            )
        try:
            await asyncio.to_thread(write, target, value)
        except OSError as error:
            return f"{secret} cannot be handed to the engine: {error}"
        return ""


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
