"""What `decide` returns: writes with their premises, and why nothing else is done."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tandem.domain import keys
from tandem.domain.loss import Loss
from tandem.domain.reasons import Reason
from tandem.domain.records import PlacementRecord, Record
from tandem.domain.snapshot import Placed, ShiftEntry, Snapshot
from tandem.domain.verdicts import Usability, usability


@dataclass(frozen=True, slots=True)
class Premise:
    """What must still be true of a key when a commit is applied.

    `mod_revision` 0: the key does not exist. Exactly one of the two is given.
    """

    key: str
    mod_revision: int | None = None
    create_revision: int | None = None


@dataclass(frozen=True)
class Commit:
    """Writes that are applied together, or not at all when a premise has been withdrawn."""

    subject: str
    """What it is about, like `Shift callcenter/x`."""
    reason: Reason
    sentence: str
    premises: tuple[Premise, ...]
    writes: Mapping[str, Record | None]
    """Key -> new value, None to delete."""


@dataclass(frozen=True, slots=True)
class Note:
    """Why something that somebody may be waiting for does not happen now."""

    subject: str
    reason: Reason
    sentence: str


@dataclass(frozen=True)
class Decision:
    commits: tuple[Commit, ...] = ()
    notes: tuple[Note, ...] = ()
    wake_at: float | None = None
    """Monotonic time at which to decide again even if nothing changes; None: only on changes."""


@dataclass
class Draft:
    """A decision in the making. Each key is written at most once: what follows sees it in the next snapshot."""

    snapshot: Snapshot
    epoch: int
    wall: float
    commits: list[Commit] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    busy: dict[str, str] = field(default_factory=dict)
    """Group -> the Shift that has it for itself, those that this very decision starts included."""
    lost: Mapping[tuple[str, str], Loss] = field(default_factory=dict)
    """(site, system) -> why it is lost, of those of which that is confirmed."""
    wake_at: float | None = None
    _usable: dict[tuple[str, str], Usability] = field(default_factory=dict)

    @property
    def coordinator(self) -> Premise:
        return Premise(keys.COORDINATOR, create_revision=self.epoch)

    @property
    def no_hold(self) -> Premise:
        return Premise(keys.HOLD, mod_revision=0)

    def note(self, subject: str, reason: Reason, sentence: str) -> None:
        self.notes.append(Note(subject, reason, sentence))

    def wake(self, at: float) -> None:
        self.wake_at = at if self.wake_at is None else min(self.wake_at, at)

    def commit(
        self,
        subject: str,
        reason: Reason,
        sentence: str,
        writes: Mapping[str, Record | None],
        premises: tuple[Premise, ...] = (),
    ) -> None:
        """Add a commit guarded by the coordinator's epoch and `premises`."""
        self.commits.append(Commit(subject, reason, sentence, (self.coordinator, *premises), dict(writes)))
        self.written |= writes.keys()

    def placement(self, placed: Placed | None, group: str) -> Premise:
        """The placement must still be as it was seen."""
        return Premise(keys.placement(group), mod_revision=placed.revision if placed else 0)

    def shift(self, entry: ShiftEntry) -> Premise:
        return Premise(keys.shift(entry.name), mod_revision=entry.mod_revision)

    def usability(self, site: str, system: str) -> Usability:
        """Of this snapshot; found once, as an emergency asks it for every group."""
        if (site, system) not in self._usable:
            self._usable[site, system] = usability(self.snapshot, site, system)
        return self._usable[site, system]

    def still_usable(self, targets: Iterable[tuple[str, str]]) -> list[Premise]:
        """The words that made these (site, system) usable must still stand."""
        return [
            Premise(key, mod_revision=revision)
            for site, system in sorted(targets)
            for key, revision in self.usability(site, system).evidence
        ]

    def stamp(self, record: PlacementRecord) -> PlacementRecord:
        """The record with this reign's epoch and the time for people."""
        return record.model_copy(update={"epoch": self.epoch, "committed_at": self.wall})

    def finish(self) -> Decision:
        return Decision(tuple(self.commits), tuple(self.notes), self.wake_at)
