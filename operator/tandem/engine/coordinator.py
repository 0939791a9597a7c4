"""The coordinator's loop: whenever the snapshot changes, decide and commit; after an unknown outcome, read back.

It runs in every engine and acts only while this engine reigns. A commit names its reign: the create revision of the
coordinator's key is one of its premises, so a decision of a reign that has ended cannot be applied.
"""

import logging
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tandem.constants import DECIDE_COALESCE_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.decide import decide
from tandem.domain.decision import Commit, Note
from tandem.domain.history import decided, in_short
from tandem.domain.reasons import Reason
from tandem.domain.records import HistoryEntry
from tandem.domain.snapshot import Instant, Snapshot
from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, Delete, Election, Guard, Put, Store, StoreError
from tandem.engine.scribe import Scribe

log = logging.getLogger(__name__)

_IDLE_S = 5.0  # decide at least this often while reigning: the cheapest cure for a signal that was missed
_CATCH_UP_S = 1.0
_CONFLICT_S = 0.02  # pause after a refused commit, longer when it goes on
_MOST_CONFLICT_S = 0.5


@dataclass
class Figures:
    """For the metrics and the console."""

    decisions: int = 0
    commits: int = 0
    refused: int = 0
    unknown: int = 0
    badly_told: int = 0
    """Transactions of which the history has the decisions' own words only, by a defect."""
    defects: int = 0
    """Commits that could not even be sent, by a defect."""
    decide_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=512))
    commit_seconds: deque[float] = field(default_factory=lambda: deque(maxlen=512))
    notes: tuple[Note, ...] = ()


class Coordinator:
    def __init__(self, picture: Picture, store: Store, election: Election, clock: Clock) -> None:
        self._picture = picture
        self._store = store
        self._election = election
        self._clock = clock
        self._read_for = 0  # the reign for which the store was read linearizably
        self._conflicts = 0
        self._scribe: Scribe | None = None
        """Ours, from our first reign on: our name is in the coordinator's key."""
        self.figures = Figures()

    async def run(self) -> None:
        """Decide and commit for as long as this engine reigns. Never returns."""
        signal = self._picture.subscribe("")
        wake_at: float | None = None
        try:
            while True:
                left = _IDLE_S if wake_at is None else min(wake_at - self._clock.monotonic(), _IDLE_S)
                if await signal.wait(max(left, 0.0)):
                    # Let a burst of changes become one decision.
                    await self._clock.sleep(DECIDE_COALESCE_S)
                wake_at = await self._turn()
        finally:
            self._picture.unsubscribe(signal)

    async def _turn(self) -> float | None:
        """Decide once and commit. Returns when to decide again without a change."""
        epoch = self._election.epoch()
        if not epoch or not self._picture.synced.is_set():
            self._read_for = 0
            self.figures.notes = ()
            return None
        try:
            if self._read_for != epoch:
                await self._picture.refresh()
                self._read_for = epoch
                log.info("this engine is the coordinator, epoch %d", epoch)
            snapshot = self._picture.snapshot
            if snapshot.coordinator is None or snapshot.coordinator.create_revision != epoch:
                return self._clock.monotonic() + DECIDE_COALESCE_S  # our own key has not come round yet
            started = self._clock.monotonic()
            decision = decide(snapshot, Instant(started, self._clock.now()))
            self.figures.decisions += 1
            self.figures.decide_seconds.append(self._clock.monotonic() - started)
            self._say(decision.notes)
            refused, alone = False, bool(self._conflicts)
            for batch in self._batches(decision.commits):
                if self._election.epoch() != epoch:
                    return None
                if not await self._commit(batch, snapshot):
                    refused = True
                    # Without the record of a failover its other transactions would leave a city without a quarantine.
                    if not alone or _writes_a_failover(batch):
                        break
            if refused:
                self._conflicts += 1
                pause = min(_CONFLICT_S * self._conflicts, _MOST_CONFLICT_S)
                return self._clock.monotonic() + pause  # then decide on what the world is
            self._conflicts = 0
        except StoreError as error:
            self.figures.unknown += 1
            log.warning("the store did not answer, a commit may or may not have been applied: %s", error)
            # Never assume: nothing is decided again before the store has been read linearizably.
            self._read_for = 0
            return self._clock.monotonic() + max(error.retry_after_s * 0.2, 0.05)
        return decision.wake_at

    def _batches(self, commits: Sequence[Commit]) -> Iterable[Sequence[Commit]]:
        """Commits of one decision put together into as few transactions as fit.

        They are independent of each other, but together they cost one round trip. When one of them is refused the
        others are as well; then, once, each goes alone.
        """
        if self._conflicts:
            return [[commit] for commit in commits]
        return pack(commits)

    async def _commit(self, batch: Sequence[Commit], snapshot: Snapshot) -> bool:
        guards, writes = transaction(batch)
        # In the same transaction: no decision without its entry, no entry without its decision.
        writes += self._told(batch, snapshot)
        started = self._clock.monotonic()
        try:
            result = await self._store.txn(guards, writes)
        except ValueError:
            # Too large, say. The others are carried out, and this one is decided again with the next turn.
            log.exception("a defect of Tandem, please report it: not committed: %s", _sentences(batch))
            self.figures.defects += 1
            return not _writes_a_failover(batch)
        self.figures.commit_seconds.append(self._clock.monotonic() - started)
        if not result.succeeded:
            self.figures.refused += 1
            log.info("not committed, the world had moved: %s", _sentences(batch))
            await self._picture.refresh()
            return False
        self.figures.commits += len(batch)
        for commit in batch:
            log.info("revision %d: %s: %s: %s", result.revision, commit.subject, commit.reason, commit.sentence)
        # What we have just written must be in the picture before anything is decided again.
        if not await self._picture.reach(result.revision, _CATCH_UP_S):
            await self._picture.refresh()
        return True

    def _told(self, batch: Sequence[Commit], snapshot: Snapshot) -> list[Put]:
        """What the history says of these commits, which were decided on `snapshot`."""
        assert snapshot.coordinator is not None
        entries: Sequence[HistoryEntry]
        try:
            entries = decided(snapshot, batch)
        except Exception:
            log.exception("a defect of Tandem, please report it: the history has only the decisions' own words")
            self.figures.badly_told += 1
            entries = in_short(batch)
        me = snapshot.coordinator.record
        if self._scribe is None:
            self._scribe = Scribe(me.site, me.engine)
        epoch = snapshot.coordinator.create_revision
        return self._scribe.write(entries, at=self._clock.now(), revision=self._picture.revision, epoch=epoch)

    def _say(self, notes: tuple[Note, ...]) -> None:
        for note in notes:
            if note not in self.figures.notes:
                level = logging.ERROR if note.reason is Reason.DEFECT else logging.INFO
                log.log(level, "nothing done for %s: %s: %s", note.subject, note.reason, note.sentence)
        self.figures.notes = notes


def _writes_a_failover(batch: Iterable[Commit]) -> bool:
    return any(key.startswith(keys.FAILOVERS) for commit in batch for key in commit.writes)


def _sentences(batch: Iterable[Commit]) -> str:
    return "; ".join(commit.sentence for commit in batch)


def transaction(batch: Iterable[Commit]) -> tuple[list[Guard], list[Put | Delete]]:
    """The guards, each once, and the writes of some commits."""
    guards: dict[Guard, None] = {}
    writes: list[Put | Delete] = []
    for commit in batch:
        for premise in commit.premises:
            guards[Guard(premise.key, premise.mod_revision, premise.create_revision)] = None
        for key, record in commit.writes.items():
            writes.append(Delete(key) if record is None else Put(key, record.encode()))
    return list(guards), writes


def pack(commits: Sequence[Commit]) -> list[list[Commit]]:
    """Neighbouring commits together, as long as writes and premises each fit into one transaction."""
    batches: list[list[Commit]] = []
    writes = TXN_OPERATIONS
    premises: set[object] = set()
    for commit in commits:
        joined = premises | set(commit.premises)
        if not batches or writes + len(commit.writes) > TXN_OPERATIONS or len(joined) > TXN_OPERATIONS:
            batches.append([])
            writes = 0
            joined = set(commit.premises)
        batches[-1].append(commit)
        writes += len(commit.writes)
        premises = joined
    return batches
