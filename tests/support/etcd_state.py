"""What an etcd cluster keeps: keys, revisions, leases, history. Promises only; how one gets there is others' business.

The base of the in-memory stores: `memory_store` (one loop, for unit tests) and the simulation's stretched cluster.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import ceil
from typing import Final

from tandem.engine.ports import (
    Change,
    CompactedError,
    Delete,
    Guard,
    KeyValue,
    LeaseLostError,
    Page,
    Put,
    TxnResult,
)

LEAST_TTL_S: Final = 2
"""The shortest lease that is granted, whatever is asked."""

ELECTION_S: Final = 0.5
"""What a new leader adds to every lease's TTL when it renews them all."""


@dataclass
class Lease:
    ttl: int
    until: float
    keys: set[str] = field(default_factory=set)


class EtcdState:
    """The state machine that the members agree on. `now`: seconds of the clock that leases run on."""

    def __init__(self) -> None:
        self.revision = 1
        self._keys: dict[str, KeyValue] = {}
        self._leases: dict[int, Lease] = {}
        self._next_lease = 7_000_000_000
        self._history: list[Change] = []
        self._compacted = 0

    def range(self, prefix: str) -> tuple[Sequence[KeyValue], int]:
        return [self._keys[key] for key in sorted(self._keys) if key.startswith(prefix)], self.revision

    def page(self, prefix: str, start: str = "", limit: int = 0, keys_only: bool = False) -> Page:
        found = [kv for kv in self.range(prefix)[0] if kv.key >= start]
        part = found[:limit] if limit else found
        return Page([replace(kv, value=b"") for kv in part] if keys_only else part, len(found), self.revision)

    def get(self, key: str) -> KeyValue | None:
        return self._keys.get(key)

    def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete]) -> TxnResult:
        if not all(self._holds(guard) for guard in guards):
            return TxnResult(False, self.revision)
        for write in writes:
            if isinstance(write, Put) and write.lease and write.lease not in self._leases:
                raise LeaseLostError(f"lease {write.lease} not found")
        self._apply(writes)
        return TxnResult(True, self.revision)

    def new_lease(self, ttl: float, now: float) -> int:
        self._next_lease += 1
        seconds = max(ceil(ttl), LEAST_TTL_S)
        self._leases[self._next_lease] = Lease(seconds, now + seconds)
        return self._next_lease

    def renew(self, lease: int, now: float) -> float:
        """The TTL. Raises LeaseLostError."""
        found = self._leases.get(lease)
        if found is None:
            raise LeaseLostError(f"lease {lease} has expired or was revoked")
        found.until = now + found.ttl
        return float(found.ttl)

    def renew_all(self, now: float) -> None:
        """A new leader gives every lease its whole time again."""
        for lease in self._leases.values():
            lease.until = now + lease.ttl + ELECTION_S

    def revoke(self, lease: int) -> None:
        found = self._leases.pop(lease, None)
        if found is not None:
            self._apply([Delete(key) for key in sorted(found.keys)])

    def compact(self, revision: int) -> None:
        """Forget changes before `revision`."""
        self._compacted = max(self._compacted, revision)
        self._history = [change for change in self._history if change.revision >= revision]

    def changes(self, prefix: str, from_revision: int) -> list[Change]:
        """Raises CompactedError."""
        if from_revision < self._compacted:
            raise CompactedError(f"compacted up to revision {self._compacted}")
        found = []
        for change in reversed(self._history):  # a watch asks for the newest few
            if change.revision < from_revision:
                break
            if change.key.startswith(prefix):
                found.append(change)
        found.reverse()
        return found

    def applied(self, changes: Sequence[Change]) -> None:
        """Something was written: called after it has been."""

    def _holds(self, guard: Guard) -> bool:
        found = self._keys.get(guard.key)
        mod, create = (found.mod_revision, found.create_revision) if found else (0, 0)
        return guard.mod_revision in (None, mod) and guard.create_revision in (None, create)

    def _apply(self, writes: Sequence[Put | Delete]) -> None:
        """All writes at one revision. Deleting what is not there changes nothing."""
        real = [write for write in writes if isinstance(write, Put) or write.key in self._keys]
        if not real:
            return
        self.revision += 1
        changes = []
        for write in real:
            before = self._keys.pop(write.key, None)
            if before is not None and before.lease in self._leases:
                self._leases[before.lease].keys.discard(write.key)
            value = None
            if isinstance(write, Put):
                created = before.create_revision if before else self.revision
                value = KeyValue(write.key, write.value, created, self.revision, write.lease)
                self._keys[write.key] = value
                if write.lease:
                    self._leases[write.lease].keys.add(write.key)
            changes.append(Change(write.key, value, self.revision))
        self._history += changes
        self.applied(changes)
