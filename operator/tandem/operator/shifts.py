"""Shifts live in the store and are shown in every cluster.

object here, not in the store   -> record made (once; a Shift that comes late never starts)
in the store, no object here    -> object made, labelled tandem.dev/mirrored
abort / approved set here       -> told to the store, never taken back by an older object elsewhere
object of an earlier Shift here -> tells a newer one of its name nothing: neither an abort nor an approval
object deleted here             -> record deleted if finished, else aborted: nothing half-moved is forgotten
record forgotten                -> the mirrored objects go; those that people made stay as history, or as long as
                                   their ttlSecondsAfterFinished says
"""

import asyncio
import contextlib
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.api.common import API_VERSION, GROUP, MIRRORED, VERSION
from tandem.api.resources import SHIFT
from tandem.api.shift import FINISHED, ShiftSpec
from tandem.constants import PATIENCE_S
from tandem.domain import keys
from tandem.domain.history_commands import shift_asked, shift_deleted, shift_told
from tandem.domain.reasons import Reason
from tandem.domain.records import HistoryEntry, RanRecord, ShiftRecord
from tandem.domain.snapshot import ShiftEntry
from tandem.engine.picture import Picture
from tandem.engine.ports import Delete, Guard, Put, Store, StoreError
from tandem.engine.scribe import Scribe
from tandem.operator.cluster import ApiError, Cluster, MissingError, TakenError, path_of
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Seen, Table, remember, seconds
from tandem.operator.settings import STORE_SILENT_S
from tandem.operator.statuses.common import Said
from tandem.operator.statuses.shift import (
    ended,
    failed_here,
    left_behind,
    left_over,
    of_an_earlier,
    ran_before,
    waiting_here,
)

log = logging.getLogger(__name__)

FORGOTTEN: Final = "ForgottenByStore"
_RETRY_S: Final = 0.5


@dataclass(frozen=True)
class Create:
    """Tell the store of a new Shift."""

    spec: ShiftSpec


@dataclass(frozen=True)
class Change:
    """Tell the store that somebody aborts or approves."""

    record: ShiftRecord


@dataclass(frozen=True)
class Fail:
    """Do not tell the store: say here that it will not start."""

    reason: str
    message: str


@dataclass(frozen=True)
class Past:
    """Do not tell the store: say here what became of it when it ran."""

    ran: RanRecord


@dataclass(frozen=True)
class Ended:
    """This very Shift ended while nobody looked here, and its record has been tidied away: say here how."""

    ran: RanRecord


@dataclass(frozen=True)
class Drop:
    """Delete the mirrored object here."""


@dataclass(frozen=True)
class Foreign:
    """The store has another Shift of that name."""

    message: str


@dataclass(frozen=True)
class Left:
    """The object is of an earlier Shift of that name, and the present one must not go by it: say so here."""

    record: ShiftRecord


Exchange = Create | Change | Fail | Past | Ended | Drop | Foreign | Left | None


def exchange(seen: Seen, record: ShiftRecord | None, now: float, ran: RanRecord | None = None) -> Exchange:
    """What an object in this cluster means for the store. None: nothing.

    Args:
        now: Seconds since the epoch, by the clock that dates objects: the API server's.
        ran: What is remembered of a Shift of this name whose record has been tidied away.
    """
    spec = seen.spec
    if record is None:
        phase = seen.status.get("phase")
        if seen.status.get("reason") == Reason.ALREADY_RUN:
            return None  # deleted, it would be applied again by whoever applied it after it had run
        if phase in FINISHED:
            # History that people made stays, unless they said for how long.
            return Drop() if seen.mirrored or _outlived(seen, now) else None
        if ran is not None:
            return Drop() if seen.mirrored else Ended(ran) if _is_of_that_run(seen, ran) else Past(ran)
        if seen.mirrored or phase not in (None, "", "Pending"):
            return Fail(FORGOTTEN, "the store has forgotten this Shift, so nobody carries it on")
        if not isinstance(spec, ShiftSpec):
            return Fail(Reason.INVALID_SPEC, seen.problem)
        if now - seen.created_at > PATIENCE_S:
            message = f"the store did not learn of it within {PATIENCE_S:.0f} s; create it again under a new name"
            return Fail(Reason.NOT_ACCEPTED_IN_TIME, message)
        return Create(spec)
    if not isinstance(spec, ShiftSpec):
        return None
    if left_over(seen, record):
        return Drop() if seen.mirrored else Left(record)
    if spec.deed != record.spec.deed:
        message = (
            f"the store has a Shift of this name already, made in {record.created_in}, which moves something else; "
            "create this one under another name"
        )
        return Foreign(message)
    if record.phase in FINISHED:
        return None
    merged = merge(record.spec, spec)
    if merged == record.spec:
        return None
    approved_at = now if merged.approved and not record.spec.approved else record.approved_at
    return Change(record.model_copy(update={"spec": merged, "approved_at": approved_at}))


def _is_of_that_run(seen: Seen, ran: RanRecord) -> bool:
    """Whether an object is the Shift that has run, rather than one applied again after it."""
    return seen.status.get("phase") not in (None, "", "Pending") or seen.created_at < ran.finished_at


def _outlived(seen: Seen, now: float) -> bool:
    """Whether a finished Shift's `ttlSecondsAfterFinished` is over."""
    ttl = seen.spec.ttl_seconds_after_finished if isinstance(seen.spec, ShiftSpec) else None
    ended = seconds(str(seen.status.get("finishedAt", "")))
    return ttl is not None and ended > 0 and ended + ttl <= now


def _ends(gone: Seen, record: ShiftRecord) -> bool:
    """Whether the deletion of this object is that of a finished Shift which the store has."""
    return record.phase in FINISHED and not of_an_earlier(gone, record)


def merge(known: ShiftSpec, seen: ShiftSpec) -> ShiftSpec:
    """Abort and approval are told once and never taken back, whichever cluster they came from."""
    return known.model_copy(
        update={
            "abort": known.abort or seen.abort,
            "aborted_by": known.aborted_by if known.abort else seen.aborted_by,
            "approved": known.approved or seen.approved,
            "approved_by": known.approved_by if known.approved else seen.approved_by,
        }
    )


def manifest(name: str, record: ShiftRecord) -> dict[str, object]:
    """The object that shows a Shift of the store in this cluster."""
    namespace, _, short = name.rpartition("/")
    return {
        "apiVersion": API_VERSION,
        "kind": SHIFT.kind,
        "metadata": {"name": short, "namespace": namespace, "labels": {MIRRORED: record.created_in or "store"}},
        "spec": record.spec.model_dump(mode="json", by_alias=True, exclude_none=True),
    }


class ShiftExchange:
    """Keeps objects and records of Shifts together. One task: `run`."""

    def __init__(
        self, site: str, table: Table, view: Picture, store: Store, cluster: Cluster, notes: LocalNotes
    ) -> None:
        self._site = site
        self._table = table
        self._view = view
        self._store = store
        self._cluster = cluster
        self._notes = notes
        self._wake = view.subscribe(keys.SHIFTS)
        self._scribe = Scribe(site, f"operator-{secrets.token_hex(6)}")
        self._deleted: dict[str, Seen] = {}
        self._dropped: OrderedDict[str, bool] = OrderedDict()
        """UIDs of objects here that we have deleted ourselves, and whether that was answered: their events, which come
        later, tell of no person's wish."""

    def seen(self, seen: Seen) -> None:
        """A Shift is new or has changed."""
        gone = self._deleted.get(seen.name)
        if gone is not None and (seen.mirrored or seen.uid == gone.uid):
            del self._deleted[seen.name]
        self._wake.give()

    def deleted(self, seen: Seen) -> None:
        """A Shift was deleted here, by somebody or by us."""
        if seen.uid in self._dropped:
            self._wake.give()  # the store may have a newer one of that name to show
            return
        self._deleted[seen.name] = seen
        self._wake.give()

    async def run(self) -> None:
        """Exchange until cancelled."""
        while True:
            try:
                again = not await self.round()
            except StoreError as error:
                log.info("Shifts are not exchanged yet: %s", error)
                again = True
            if again:
                await asyncio.sleep(_RETRY_S)
            else:
                await self._wake.wait(timeout=10.0)

    async def round(self) -> bool:
        """One pass over all Shifts. False: something has to be tried again soon. Raises StoreError."""
        if SHIFT.plural not in self._table.listed:
            return False
        if not self._view.synced.is_set() or self._view.silent_s > STORE_SILENT_S:
            self._unreachable()
            return False
        done = True
        snapshot = self._view.snapshot
        for seen in self._table.of(SHIFT.plural):
            if keys.shift(seen.name) in snapshot.unreadable:
                continue  # A newer version's format: others know what to do with it.
            done &= await self._safely(self._one(seen, snapshot.shifts.get(seen.name)))
        for entry in snapshot.shifts.values():
            if self._table.get(SHIFT.plural, entry.name) is None:
                done &= await self._safely(self._absent_here(entry))
        for name in [name for name in self._deleted if name in snapshot.ran]:
            # Somebody wants it gone, its name included: who applies it again after that wants it to run again.
            key = keys.ran(name)
            guard = Guard(key, mod_revision=snapshot.ran[name].mod_revision)
            done &= (await self._store.txn([guard], [Delete(key)])).succeeded
        held = self._view.held  # a name that is freed is known until that is seen
        for name in [name for name in self._deleted if keys.shift(name) not in held and name not in snapshot.ran]:
            del self._deleted[name]
        return done

    async def _safely(self, step: Awaitable[bool]) -> bool:
        """One Shift that this cluster's API refuses must not keep the others waiting."""
        try:
            return await step
        except ApiError as error:
            log.warning("a Shift cannot be shown: %s", error)
            return False

    async def _one(self, seen: Seen, entry: ShiftEntry | None) -> bool:
        now = self._cluster.now()
        ran = self._view.snapshot.ran.get(seen.name)
        gone = self._deleted.get(seen.name)
        if gone is not None and entry is not None and _ends(gone, entry.record):
            await self._forget(entry)  # made anew before that was told: it may run, in a later round
            return False
        if gone is not None and entry is None and ran is not None:
            return False  # its name is freed first
        self._deleted.pop(seen.name, None)
        found = exchange(seen, entry.record if entry else None, now, ran.record if ran else None)
        if isinstance(found, Foreign):
            self._notes.say(seen.key, Said("Accepted", "False", Reason.NAME_TAKEN, found.message))
            return True
        self._notes.unsay(seen.key, "Accepted")
        if isinstance(found, Fail):
            self._notes.show(seen.key, failed_here(seen, found.reason, found.message, now))
            return True
        if isinstance(found, Past):
            self._notes.show(seen.key, ran_before(seen, found.ran, now))
            return True
        if isinstance(found, Ended):
            self._notes.show(seen.key, ended(seen, found.ran, now))
            return True
        if isinstance(found, Left):
            self._notes.show(seen.key, left_behind(seen, found.record, now))
            return True
        self._notes.show(seen.key, None)
        if isinstance(found, Create):
            approved_at = now if found.spec.approved else 0.0
            fresh = ShiftRecord(spec=found.spec, created_at=now, created_in=self._site, approved_at=approved_at)
            return await self._put(seen.name, fresh, 0, [shift_asked(seen.name, found.spec, self._site)])
        if isinstance(found, Change):
            assert entry is not None
            told = shift_told(seen.name, entry.record, found.record, self._site)
            return await self._put(seen.name, found.record, entry.mod_revision, told)
        if isinstance(found, Drop):
            await self._drop(seen)
        return True

    async def _absent_here(self, entry: ShiftEntry) -> bool:
        """The store has it, this cluster does not: it was deleted here, or made elsewhere."""
        name, record = entry.name, entry.record
        gone = self._deleted.get(name)
        if gone is not None and _ends(gone, record):
            return await self._forget(entry)
        if gone is not None and not of_an_earlier(gone, record) and not record.spec.abort:
            aborted = record.model_copy(update={"spec": record.spec.model_copy(update={"abort": True})})
            entries = shift_told(name, record, aborted, self._site, "its object was deleted")
            return await self._put(name, aborted, entry.mod_revision, entries)
        namespace = name.rpartition("/")[0]
        path = f"/apis/{GROUP}/{VERSION}/namespaces/{namespace}/{SHIFT.plural}"
        try:
            await self._cluster.post(path, manifest(name, record))
            log.info("Shift %s, made in %s, is shown here", name, record.created_in)
        except TakenError:
            pass  # It exists; its event is on the way.
        except MissingError:
            log.info("Shift %s is not shown here: there is no namespace %s", name, namespace)
        return True

    async def _forget(self, entry: ShiftEntry) -> bool:
        """A person wants a finished Shift gone: its record, and the history tells that."""
        key = keys.shift(entry.name)
        told = self._told([shift_deleted(entry.name, entry.record, self._site)])
        return (await self._store.txn([Guard(key, mod_revision=entry.mod_revision)], [Delete(key), *told])).succeeded

    async def _put(self, name: str, record: ShiftRecord, revision: int, entries: Sequence[HistoryEntry]) -> bool:
        """Tell the store of a Shift, and the history of what a person did with it: both or neither."""
        key = keys.shift(name)
        guards = [Guard(key, mod_revision=revision)]
        if not revision:
            guards.append(Guard(keys.ran(name), mod_revision=0))  # tidied away since we looked
        done = await self._store.txn(guards, [Put(key, record.encode()), *self._told(entries)])
        if done.succeeded:
            log.info("Shift %s told to the store", name)
        return done.succeeded

    def _told(self, entries: Sequence[HistoryEntry]) -> list[Put]:
        return self._scribe.write(entries, at=self._view.clock.now(), revision=self._view.revision)

    async def _drop(self, seen: Seen) -> None:
        """Once: another try would find nothing, or the object of a newer Shift of that name."""
        if self._dropped.get(seen.uid):
            return
        remember(self._dropped, seen.uid, False)
        with contextlib.suppress(MissingError):  # an answer may have been lost before
            await self._cluster.delete(path_of(SHIFT, seen.name))
            log.info("Shift %s is forgotten by the store and no longer shown", seen.name)
        self._dropped[seen.uid] = True

    def _unreachable(self) -> None:
        """Say of Shifts that wait for the store that they wait, and of those that waited too long that they failed."""
        now = self._cluster.now()
        for seen in self._table.of(SHIFT.plural):
            if seen.mirrored or keys.shift(seen.name) in self._view.held or seen.status.get("phase") in FINISHED:
                continue
            found = exchange(seen, None, now)
            if isinstance(found, Fail):
                self._notes.show(seen.key, failed_here(seen, found.reason, found.message, now))
            else:
                message = (
                    f"the store does not answer ({self._view.trouble}); it starts within {PATIENCE_S:.0f} s or never"
                )
                self._notes.show(seen.key, waiting_here(seen, "StoreUnreachable", message, now))
