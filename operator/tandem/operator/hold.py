"""The big red button: the annotation `tandem.dev/hold-request` on this cluster's own Site becomes the store's hold key.

A request acts once, by its id, in one transaction that also remembers the id: the annotation may stay where it is, a
manifest that carries it may be applied again, and a cluster that was given it first and wakes up when another one has
carried it out does nothing.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from tandem.api.common import HOLD_REQUEST, WHO_LETTERS, WHY_LETTERS
from tandem.constants import PATIENCE_S
from tandem.domain import commands, keys
from tandem.domain.history_commands import held, resumed
from tandem.domain.records import HoldRecord, HoldRequestRecord
from tandem.engine.ports import Clock, Delete, Guard, Put, Store, StoreError
from tandem.engine.scribe import Scribe
from tandem.engine.wakeup import Signal
from tandem.errors import ConfigError

log = logging.getLogger(__name__)

_RETRY_S: Final = 0.5
_ATTEMPTS: Final = 10
"""Transactions that others may overtake before the store counts as not answering."""
_REMEMBERED: Final = 32
"""Requests that a cluster remembers: more than a person makes in the time for which one counts."""


class HoldRequest(BaseModel):
    """What the annotation says."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str = Field(min_length=1, max_length=128)
    action: Literal["hold", "resume"]
    by: str = Field(min_length=1, max_length=WHO_LETTERS)
    reason: str = Field(default="", max_length=WHY_LETTERS)
    at: float = Field(default=0.0, description="When it was asked, seconds since the epoch; 0: it is never too late.")


def parse_request(annotation: str) -> HoldRequest | None:
    """The request in the annotation; None when there is none. Raises: ConfigError naming value and remedy."""
    if not annotation:
        return None
    found = commands.read(HoldRequest, annotation)
    if isinstance(found, HoldRequest):
        return found
    raise ConfigError(
        f"annotation {HOLD_REQUEST} is {annotation[:200]!r}: {found}; "
        'write {"id": "...", "action": "hold" or "resume", "by": "...", "reason": "..."}'
    )


class HoldDesk:
    """Carries requests to the store. One task: `run`.

    Args:
        dated: Seconds since the epoch now, by the clock that dates requests: the API server's.
        complain: Told what is wrong with the request on the Site now; empty when nothing is.
    """

    def __init__(
        self, site: str, store: Store, clock: Clock, dated: Callable[[], float], complain: Callable[[str], None]
    ) -> None:
        self._site = site
        self._store = store
        self._clock = clock
        self._dated = dated
        self._complain = complain
        self._scribe = Scribe(site, f"operator-{secrets.token_hex(6)}")
        self._wanted: HoldRequest | None = None
        self._wake = Signal()

    def seen(self, annotation: str) -> None:
        """The own Site carries this annotation now (empty: none)."""
        try:
            self._wanted = parse_request(annotation)
        except ConfigError as error:
            self._wanted = None
            self._complain(str(error))
            return
        self._complain("")
        self._wake.give()

    async def run(self) -> None:
        """Carry requests until cancelled."""
        while True:
            request, self._wanted = self._wanted, None
            if request is None:
                await self._wake.wait()
                continue
            try:
                await self.carry(request, self._dated())
            except StoreError as error:
                log.warning("%s is not carried out yet: %s", request.action, error)
                self._wanted = self._wanted or request
                await asyncio.sleep(_RETRY_S)
            except ConfigError as error:
                self._complain(str(error))

    async def carry(self, request: HoldRequest, now: float) -> bool:
        """Do what is asked, once. False: it had been done before. `now`: by the clock that dates requests.

        Raises: StoreError when it is not known whether it was done; ConfigError when it comes too late.
        """
        memory = keys.hold_request(self._site)
        for _ in range(_ATTEMPTS):
            found, revision = await self._store.range(keys.HOLD)  # the requests that were consumed as well
            known = {kv.key: kv for kv in found}
            seen, holding = known.get(memory), known.get(keys.HOLD)
            carried = {
                key: HoldRequestRecord.model_validate_json(kv.value)
                for key, kv in known.items()
                if key.startswith(keys.HOLD_REQUESTS)
            }
            if any(request.id in (one.id, *one.earlier) for one in carried.values()):
                return False
            if request.at and now - request.at > PATIENCE_S:
                # A location that comes back after an hour must not hold what was resumed elsewhere long since.
                raise ConfigError(
                    f"annotation {HOLD_REQUEST} asks to {request.action}, but {now - request.at:.0f} s ago, and within "
                    f"{PATIENCE_S:.0f} s it was not carried out; ask again with `kubectl tandem {request.action}`"
                )
            guards = [
                Guard(memory, mod_revision=seen.mod_revision if seen else 0),
                Guard(keys.HOLD, mod_revision=holding.mod_revision if holding else 0),
            ]
            earlier = (carried[memory].id, *carried[memory].earlier)[:_REMEMBERED] if memory in carried else ()
            writes: list[Put | Delete] = [Put(memory, HoldRequestRecord(id=request.id, earlier=earlier).encode())]
            if request.action == "hold":
                writes.append(
                    Put(keys.HOLD, HoldRecord(by=request.by, reason=request.reason, since=self._clock.now()).encode())
                )
                told = [held(request.by, request.reason, self._site)]
            else:
                writes += [Delete(keys.HOLD)] if holding else []
                told = [resumed(request.by, request.reason, self._site)] if holding else []
            writes += self._scribe.write(told, at=self._clock.now(), revision=revision)
            if (await self._store.txn(guards, writes)).succeeded:
                log.info("%s by %s: %s", request.action, request.by, request.reason)
                return True
        raise StoreError("the hold key changes all the time")
