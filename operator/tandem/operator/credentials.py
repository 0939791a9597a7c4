"""Carriers' tokens: read from the Secrets that Trunks name, handed to the engine as files in memory.

The engine has no access to the Kubernetes API, and a token does not belong into the store.
"""

import asyncio
import base64
import logging
import os
from pathlib import Path
from typing import Final

from tandem.api.resources import TRUNK
from tandem.api.trunk import TrunkSpec
from tandem.engine.wakeup import Signal
from tandem.operator.cluster import ApiError, Cluster
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Seen, Table
from tandem.operator.statuses.common import Said

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 30.0
"""Seconds after which Secrets are read again: tokens are changed now and then."""


class Credentials:
    """Keeps `<folder>/<namespace>/<secret>/<key>` current. One task: `run`."""

    def __init__(self, folder: Path, table: Table, cluster: Cluster, notes: LocalNotes) -> None:
        self._folder = folder
        self._table = table
        self._cluster = cluster
        self._notes = notes
        self._wake = Signal()

    def seen(self) -> None:
        """A Trunk is new or has changed."""
        self._wake.give()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            for seen in self._table.of(TRUNK.plural):
                await self._one(seen)
            await self._wake.wait(timeout=_INTERVAL_S)

    async def _one(self, seen: Seen) -> None:
        wanted = seen.spec.carrier.credentials if isinstance(seen.spec, TrunkSpec) else None
        if wanted is None:
            self._notes.unsay(seen.key, "CredentialsReadable")
            return
        secret = f"Secret {seen.namespace}/{wanted.name}"
        try:
            found = await self._cluster.get(f"/api/v1/namespaces/{seen.namespace}/secrets/{wanted.name}")
            value = base64.b64decode(found["data"][wanted.key])
        except ApiError as error:
            remedy = f"create it, and add it to the chart's credentials[].secrets of namespace {seen.namespace}"
            self._say(seen, f"{secret}, named by spec.carrier.credentials, cannot be read: {error}; {remedy}")
            return
        except KeyError:
            self._say(seen, f"{secret} has no key {wanted.key!r}, named by spec.carrier.credentials; add it")
            return
        target = self._folder / seen.namespace / wanted.name / wanted.key
        try:
            await asyncio.to_thread(write, target, value)
        except OSError as error:
            self._say(seen, f"{secret} cannot be handed to the engine: {error}")
            return
        self._notes.say(seen.key, Said("CredentialsReadable", "True", "Read", f"{secret} is handed to the engine"))

    def _say(self, seen: Seen, message: str) -> None:
        log.warning("%s", message)
        self._notes.say(seen.key, Said("CredentialsReadable", "False", "NotReadable", message))


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
