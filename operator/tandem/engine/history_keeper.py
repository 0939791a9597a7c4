"""Keeps the decision log within its bounds: the coordinator's engine forgets the oldest entries, a few at a time."""

import logging

from pydantic import ValidationError

from tandem.constants import HISTORY_LOOK_S, HISTORY_STEP
from tandem.domain import keys
from tandem.domain.history_search import spent
from tandem.domain.records import HistoryRecord
from tandem.engine.ports import Clock, Delete, Election, Guard, KeyValue, Store, StoreError

log = logging.getLogger(__name__)

_NEXT_S = 1.0


class HistoryKeeper:
    def __init__(self, store: Store, election: Election, clock: Clock) -> None:
        self._store = store
        self._election = election
        self._clock = clock

    async def run(self) -> None:
        """Forget while this engine is the coordinator. Never returns."""
        while True:
            try:
                forgotten = await self.step()
            except StoreError as error:
                log.debug("the decision log is not tidied now: %s", error)
                forgotten = 0
            await self._clock.sleep(_NEXT_S if forgotten == HISTORY_STEP else HISTORY_LOOK_S)

    async def step(self) -> int:
        """Forget at most HISTORY_STEP transactions; returns how many. Raises StoreError."""
        epoch = self._election.epoch()
        if not epoch:
            return 0
        page = await self._store.page(keys.HISTORY, limit=HISTORY_STEP)
        old = spent(page.count, [_written_at(kv) for kv in page.kvs], self._clock.now())
        if not old:
            return 0
        guards = [Guard(keys.COORDINATOR, create_revision=epoch)]
        result = await self._store.txn(guards, [Delete(kv.key) for kv in page.kvs[:old]])
        return old if result.succeeded else 0


def _written_at(kv: KeyValue) -> float | None:
    """When it was written; None for a newer version's format."""
    try:
        return HistoryRecord.model_validate_json(kv.value).at
    except ValidationError:
        return None
