"""Publishing: what this cluster's API says of Sites, groups, Trunks and Drills becomes its keys in the store.

Only differences are written. A deleted object's key goes at once when the API says "deleted"; an object that is
merely missing from a list has to be missing from two of them, because absence is never proof of deletion.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from itertools import islice

from pydantic import ValidationError

from tandem.api.common import DRILL_REQUEST
from tandem.api.resources import AGENT_GROUP, DRILL, SITE, TRUNK
from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import SpecRecord
from tandem.engine.picture import Picture
from tandem.engine.ports import Delete, Guard, KeyValue, Put, Store, StoreError
from tandem.engine.wakeup import Signal
from tandem.operator.drill_copies import is_copy
from tandem.operator.objects import Key, Seen, Table
from tandem.operator.settings import SPECS_IN_A_TXN

log = logging.getLogger(__name__)

PUBLISHED = (SITE, AGENT_GROUP, TRUNK, DRILL)

_RETRY_S = 0.25


def record_of(seen: Seen, now: float) -> SpecRecord | None:
    """The object as the other locations read it; None when it is not valid, and the last good one stays."""
    if seen.spec is None:
        return None
    spec = seen.spec.model_dump(mode="json", by_alias=True, exclude_none=True)
    drill = seen.resource is DRILL
    return SpecRecord(
        # A Drill's labels select nothing; those of a copy differ from the original's.
        digest=spec_digest(spec, {} if drill else seen.labels),
        generation=seen.generation,
        spec=spec,
        labels=dict(seen.labels),
        order_id=seen.order_id,
        request=seen.annotations.get(DRILL_REQUEST, "") if drill else "",
        mirrored=drill and is_copy(seen),
        read_at=now,
    )


def differs(wanted: SpecRecord, held: KeyValue | None) -> bool:
    """Whether the store has to be told. The generation alone says nothing: clusters count differently."""
    if held is None:
        return True
    try:
        record = SpecRecord.model_validate_json(held.value)
    except ValidationError:
        return True
    return _news(record) != _news(wanted)


def _news(record: SpecRecord) -> tuple[object, ...]:
    """What others have to know of."""
    return record.digest, record.order_id, record.request, record.mirrored


class Publisher:
    """Writes this location's spec keys. One task: `run`."""

    def __init__(self, site: str, table: Table, view: Picture, store: Store) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._store = store
        self._dirty: set[Key] = set()
        self._gone: set[Key] = set()
        self._missed: set[str] = set()
        self._written: dict[str, KeyValue | None] = {}
        """What this process wrote and the picture may not show yet: the next change need not wait for it."""
        self._written_at = 0
        self._wake = Signal()

    def seen(self, key: Key) -> None:
        """An object is new or has changed."""
        self._gone.discard(key)
        self._dirty.add(key)
        self._wake.give()

    def deleted(self, key: Key) -> None:
        """The API said that this object was deleted."""
        self._dirty.discard(key)
        self._gone.add(key)
        self._wake.give()

    def compare(self) -> None:
        """Compare all keys with the table; call it after fresh lists of everything."""
        known = {self._key(seen.key) for resource in PUBLISHED for seen in self._table.of(resource.plural)}
        missing = {key for key in self._own_keys() if key not in known and self._listed(key)}
        for key in missing & self._missed:
            kind, _, name = key.removeprefix(keys.specs_of(self._site)).partition("/")
            self._gone.add((kind, name))
        self._missed = missing
        self._dirty |= {seen.key for resource in PUBLISHED for seen in self._table.of(resource.plural)}
        self._wake.give()

    async def run(self) -> None:
        """Publish until cancelled."""
        await self._view.synced.wait()
        while True:
            try:
                await self.publish()
            except StoreError as error:
                log.info("not published yet: %s", error)
                await asyncio.sleep(_RETRY_S)
                continue
            await self._wake.wait()

    async def publish(self) -> int:
        """One round; returns how many keys were written. Raises StoreError: what is left stays to be done."""
        written = 0
        while batch := list(islice(self._dirty | self._gone, SPECS_IN_A_TXN)):
            written += await self._batch(batch)
        return written

    async def _batch(self, batch: Iterable[Key]) -> int:
        puts: dict[str, SpecRecord] = {}
        deletes: set[str] = set()
        for key in batch:
            name = self._key(key)
            if key in self._gone:
                if self._held(name) is not None:
                    deletes.add(name)
                continue
            seen = self._table.objects.get(key)
            record = record_of(seen, self._view.clock.now()) if seen else None
            if record is not None and differs(record, self._held(name)):
                puts[name] = record
        # Taken off the list before the first pause: an event that comes meanwhile puts it on again.
        gone = {key for key in batch if key in self._gone}
        self._dirty -= set(batch)
        self._gone -= gone
        if not puts and not deletes:
            return 0
        try:
            await self._write(puts, deletes)
        except StoreError:
            self._dirty |= set(batch) - gone
            self._gone |= gone - self._dirty
            raise
        log.info("published %s", ", ".join(name.removeprefix(keys.SPECS) for name in (*puts, *deletes)))
        return len(puts) + len(deletes)

    async def _write(self, puts: Mapping[str, SpecRecord], deletes: set[str]) -> None:
        names = [*puts, *deletes]
        guards = [Guard(name, mod_revision=self._revision(name)) for name in names]
        writes: list[Put | Delete] = [
            *(Put(name, record.encode()) for name, record in puts.items()),
            *(Delete(name) for name in deletes),
        ]
        done = await self._store.txn(guards, writes)
        if not done.succeeded:
            # Somebody else wrote our keys, or an answer got lost: the picture will show it.
            self._written.clear()
            raise StoreError("the store has moved on; trying again with a fresh picture")
        self._written_at = done.revision
        for write in writes:
            value = write.value if isinstance(write, Put) else None
            # The key's own creation is of no interest here: guards compare the last change only.
            self._written[write.key] = KeyValue(write.key, value, 0, done.revision) if value is not None else None

    def _held(self, name: str) -> KeyValue | None:
        """What the store has under this key, as far as this process knows."""
        if self._written and self._view.revision >= self._written_at:
            self._written.clear()  # The picture has caught up.
        return self._written[name] if name in self._written else self._view.held.get(name)

    def _revision(self, name: str) -> int:
        held = self._held(name)
        return held.mod_revision if held else 0

    def _key(self, key: Key) -> str:
        return keys.spec(self._site, *key)

    def _own_keys(self) -> set[str]:
        prefix = keys.specs_of(self._site)
        return {name for name in self._view.held if name.startswith(prefix)}

    def _listed(self, name: str) -> bool:
        return name.removeprefix(keys.specs_of(self._site)).partition("/")[0] in self._table.listed
