"""The scribe: one process's way to write into the decision log, as part of the transaction that it tells of."""

from collections.abc import Sequence

from tandem.domain import keys
from tandem.domain.records import HistoryEntry, HistoryRecord
from tandem.engine.ports import Put


class Scribe:
    """Args: the location, and a name that no other process has, restarts included."""

    def __init__(self, site: str, writer: str) -> None:
        self._site = site
        self._writer = writer
        self._attempts = 0

    def write(self, entries: Sequence[HistoryEntry], *, at: float, revision: int, epoch: int = 0) -> list[Put]:
        """What to add to a transaction's writes; nothing where there is nothing to tell.

        Args:
            at: Seconds since the epoch, for people.
            revision: The store's, as it had been read when this was decided.
            epoch: The coordinator's reign.
        """
        if not entries:
            return []
        # Each attempt has a key of its own: one that was given up as unanswered may be applied after the next one.
        self._attempts += 1
        record = HistoryRecord(at=at, site=self._site, engine=self._writer, epoch=epoch, entries=tuple(entries))
        key = keys.history(revision, f"{self._site}-{self._writer}", self._attempts)
        return [Put(key, record.encode())]
