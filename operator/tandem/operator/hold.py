"""The big red button: the annotation `tandem.dev/hold-request` on this cluster's own Site becomes the store's hold key.

A request acts once, by its id, in one transaction that also remembers the id: the annotation may stay where it is, and
a manifest that carries it may be applied again.
"""

import asyncio
import logging
import time
from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tandem.api.common import HOLD_REQUEST
from tandem.domain import keys
from tandem.domain.records import HoldRecord, HoldRequestRecord
from tandem.engine.ports import Delete, Guard, Put, Store, StoreError
from tandem.engine.wakeup import Signal

log = logging.getLogger(__name__)


class HoldRequest(BaseModel):
    """What the annotation says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1, max_length=128)
    action: Literal["hold", "resume"]
    by: str = Field(min_length=1, max_length=253)
    reason: str = Field(default="", max_length=1024)


@dataclass(frozen=True)
class BadRequest:
    """An annotation that cannot be followed, and why."""

    message: str


def parse_request(annotation: str) -> HoldRequest | BadRequest | None:
    """The request in the annotation; None when there is none."""
    if not annotation:
        return None
    try:
        return HoldRequest.model_validate_json(annotation)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "it"
        return BadRequest(
            f"annotation {HOLD_REQUEST} is {annotation[:200]!r}: {where}: {first['msg']}; "
            'write {"id": "...", "action": "hold" or "resume", "by": "...", "reason": "..."}'
        )


class HoldDesk:
    """Carries requests to the store. One task: `run`."""

    def __init__(self, site: str, store: Store) -> None:
        self._site = site
        self._store = store
        self._wanted: HoldRequest | None = None
        self._done = ""
        self._wake = Signal()

    def seen(self, annotation: str) -> BadRequest | None:
        """The own Site carries this annotation now (empty: none). Returns what is wrong with it."""
        request = parse_request(annotation)
        if isinstance(request, BadRequest):
            return request
        if request is not None and request.id != self._done:
            self._wanted = request
            self._wake.give()
        return None

    async def run(self) -> None:
        """Carry requests until cancelled."""
        while True:
            request = self._wanted
            if request is not None:
                try:
                    await self.carry(request)
                except StoreError as error:
                    log.warning("%s is not carried out yet: %s", request.action, error)
                    await asyncio.sleep(0.5)
                    continue
                self._done = request.id
                if self._wanted == request:
                    self._wanted = None
                continue
            await self._wake.wait()

    async def carry(self, request: HoldRequest) -> bool:
        """Do what is asked, once. False: it had been done before. Raises StoreError when that is not known."""
        memory = keys.hold_request(self._site)
        for _ in range(10):
            seen = await self._store.get(memory)
            if seen is not None and HoldRequestRecord.model_validate_json(seen.value).id == request.id:
                return False
            held = await self._store.get(keys.HOLD)
            guards = [
                Guard(memory, mod_revision=seen.mod_revision if seen else 0),
                Guard(keys.HOLD, mod_revision=held.mod_revision if held else 0),
            ]
            writes: list[Put | Delete] = [Put(memory, HoldRequestRecord(id=request.id).encode())]
            if request.action == "hold":
                record = HoldRecord(by=request.by, reason=request.reason, since=time.time())
                writes.append(Put(keys.HOLD, record.encode()))
            elif held is not None:
                writes.append(Delete(keys.HOLD))
            if (await self._store.txn(guards, writes)).succeeded:
                log.info("%s by %s: %s", request.action, request.by, request.reason)
                return True
        raise StoreError("the hold key changes all the time")
