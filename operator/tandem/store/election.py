"""The coordinator's election: who may commit.

    no key -> leave it to the witness for a moment -> create the key, if it is still absent, on our own lease -> reign
    reign  -> until the key or the lease is gone, or until the witness is back and nothing is under way

The key's create revision is the reign's epoch, and every commit is guarded by it: a reign that has ended cannot write,
whatever this engine still believes. By its own clock it also stops by itself: at (sending time of its last successful
keepalive) + TTL, when nobody else can have begun yet.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Sequence

from pydantic import ValidationError

from tandem.domain.keys import COORDINATOR
from tandem.domain.records import CoordinatorRecord
from tandem.engine.ports import Change, Clock, Delete, Guard, KeyValue, LeaseLostError, Put, Store, StoreError
from tandem.store.lease import KeptLease
from tandem.store.preference import Surroundings, deference, hands_over

log = logging.getLogger(__name__)

_RETRY_S = 0.2
_LOOK_S = 0.05  # while leaving the office to the witness, look this often whether it still lives


class CoordinatorElection:
    """`engine.ports.Election`. One task runs `run`; everyone asks `epoch`.

    Args:
        store: The store.
        clock: Our clock; deadlines count on its monotonic side.
        me: What the key says while this engine reigns. `engine` is random, made at this process's start.
        around: What this engine sees of the others now.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        me: CoordinatorRecord,
        around: Callable[[], Surroundings],
    ) -> None:
        self._store = store
        self._clock = clock
        self._me = me
        self._around = around
        self._lease: KeptLease | None = None
        self._reign = 0  # create revision of our own key while it is there, as far as we know
        self._since = 0.0
        self._holder: CoordinatorRecord | None = None
        self._last_holder = ""
        self._revision = 0  # the key is known up to this revision of the store

    @property
    def holder(self) -> CoordinatorRecord | None:
        """Who holds the office as far as is known here, for people."""
        return self._holder

    def epoch(self) -> int:
        """Create revision of our key while this engine may commit at this moment, else 0."""
        if self._lease is None or not self._lease.holds(self._clock.monotonic()):
            return 0
        return self._reign

    async def run(self) -> None:
        """Stand for the office for ever. Never returns; gives the office up when cancelled."""
        silent = False
        while True:
            try:
                await self._with_a_lease()
            except* StoreError as errors:
                lost = isinstance(errors.exceptions[0], LeaseLostError)
                if lost or not silent:
                    log.warning("no lease for the coordinator's election: %s", errors.exceptions[0])
                silent = not lost
            await self._clock.sleep(_RETRY_S)

    async def _with_a_lease(self) -> None:
        """Stand on one lease until it is lost. Raises StoreError, alone or in a group."""
        lease = await KeptLease.grant(self._store, self._clock)
        self._lease = lease
        try:
            # A task for each lease: until Python 3.13 a TaskGroup whose child fails leaves its task marked as being
            # cancelled. Later timeouts in that task then end it, or lose httpx a connection.
            await asyncio.create_task(self._on(lease), name="election-lease")
        finally:
            # The office goes with the lease: the others need not wait until it expires.
            self._lose("the lease is gone or given up")
            self._lease = None
            await lease.give_up()

    async def _on(self, lease: KeptLease) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(lease.keep(), name="election-keepalive")
            tasks.create_task(self._stand(lease), name="election-stand")

    async def _stand(self, lease: KeptLease) -> None:
        while True:
            try:
                found, self._revision = await self._store.range(COORDINATOR)
                self._see(next((kv for kv in found if kv.key == COORDINATOR), None), lease)
                if self._holder is not None:
                    await self._until_vacant(lease)
                while await self._campaign(lease):
                    await self._until_vacant(lease)
            except LeaseLostError:
                raise
            except StoreError as error:
                # Perhaps ours, perhaps not: the store is read before anything else is done. Our reign, if there is
                # one, ends by the clock.
                log.debug("election: %s", error)
                await self._clock.sleep(_RETRY_S)

    async def _campaign(self, lease: KeptLease) -> bool:
        """Take the vacant office when our turn comes; False when somebody was quicker.

        Raises: StoreError: unknown, read.
        """
        await self._leave_it_to_the_witness()
        self._last_holder = ""
        put = Put(COORDINATOR, self._me.encode(), lease.id)
        result = await self._store.txn([Guard(COORDINATOR, mod_revision=0)], [put])
        if result.succeeded:
            self._revision = result.revision
            self._holder = self._me
            self._begin(result.revision)
        return result.succeeded

    async def _leave_it_to_the_witness(self) -> None:
        began = self._clock.monotonic()
        while (left := began + deference(self._around(), self._last_holder) - self._clock.monotonic()) > 0:
            await self._clock.sleep(min(left, _LOOK_S))

    async def _until_vacant(self, lease: KeptLease) -> None:
        """Follow the key until it is gone. Raises StoreError when the watch breaks."""
        batches = self._store.watch(COORDINATOR, self._revision + 1)
        try:
            async for batch in batches:
                self._follow(batch, lease)
                if self._holder is None:
                    return
                if self._reign and hands_over(self._around(), self._clock.monotonic() - self._since):
                    await self._hand_over()
        finally:
            if isinstance(batches, AsyncGenerator):
                await batches.aclose()  # its connection ends now, not when the collector comes by

    def _follow(self, batch: Sequence[Change], lease: KeptLease) -> None:
        for change in batch:
            self._revision = max(self._revision, change.revision)
            if change.key == COORDINATOR:
                self._see(change.value, lease)

    async def _hand_over(self) -> None:
        """Give the office up, guarded by our own reign. The deletion comes back through the watch."""
        epoch = self._reign
        self._lose("the witness is back")  # first we stop, then the others may begin
        await self._store.txn([Guard(COORDINATOR, create_revision=epoch)], [Delete(COORDINATOR)])

    def _see(self, kv: KeyValue | None, lease: KeptLease) -> None:
        """Take in what the store says of the key."""
        if kv is None:
            self._last_holder = self._holder.site if self._holder is not None else ""
            self._holder = None
            self._lose("the coordinator's key is gone")
            return
        self._holder = _record(kv)
        # The lease tells an earlier reign's key from this one's: that key dies with its own lease.
        if kv.lease == lease.id:
            self._begin(kv.create_revision)
        else:
            self._lose(f"{self._holder.site} is the coordinator")

    def _begin(self, epoch: int) -> None:
        if self._reign != epoch:
            self._reign = epoch
            self._since = self._clock.monotonic()
            log.info("this engine takes the coordinator's office, epoch %d", epoch)

    def _lose(self, why: str) -> None:
        if self._reign:
            log.info("this engine is not the coordinator any more (epoch %d): %s", self._reign, why)
            self._reign = 0


def _record(kv: KeyValue) -> CoordinatorRecord:
    """Who holds the office. A value of a newer version is still a holder."""
    try:
        return CoordinatorRecord.model_validate_json(kv.value)
    except ValidationError:
        return CoordinatorRecord(site="unknown", engine="")
