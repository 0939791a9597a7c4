"""One Shift's turn in a decision: what it becomes, what it places, and why it waits."""

from dataclasses import dataclass, field
from typing import Final

from tandem.constants import TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.pace import GroupPace
from tandem.domain.placement import Moves
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import PlacementRecord, Record, ShiftRecord
from tandem.domain.selection import drain_of
from tandem.domain.snapshot import Instant, Placed, ShiftEntry, Snapshot

_OTHERS: Final = 6  # operations of a turn besides its groups': the Shift, its order, the coordinator, the hold
_WORDS: Final = 6  # premises for a target that must be usable: two words on two components, its own deep probes' ones


@dataclass
class Turn:
    """One Shift's turn in a decision."""

    draft: Draft
    ledger: Ledger
    entry: ShiftEntry
    record: ShiftRecord
    now: Instant
    writes: dict[str, Record | None] = field(default_factory=dict)
    premises: list[Premise] = field(default_factory=list)
    reason: Reason = Reason.PLANNED
    room: int = 0
    """Groups that still fit into this turn's transaction."""
    onto: set[tuple[str, str]] = field(default_factory=set)
    """Sites and systems that this turn moves agents onto: that they are usable is among its premises."""

    @property
    def snapshot(self) -> Snapshot:
        return self.draft.snapshot

    @property
    def subject(self) -> str:
        return f"Shift {self.entry.name}"

    @property
    def in_phase_for(self) -> float:
        """Seconds in the present phase and wave, as far as this engine has seen; 0 when entered in this turn."""
        return self.now.mono - self.entry.since if self.entry.record.step == self.record.step else 0.0

    def become(self, reason: Reason, message: str, **changes: object) -> None:
        self.reason = reason
        finished = changes.get("phase") in ("Completed", "RolledBack", "Failed")
        if finished:
            changes["finished_at"] = self.now.wall
        self.record = self.record.model_copy(update={"reason": reason, "message": message, **changes})

    def wait(self, refusal: Refusal) -> None:
        """Stay, and say why: in the decision's notes, and in the record for everyone to see."""
        self.draft.note(self.subject, refusal.reason, refusal.message)
        if (self.record.reason, self.record.message) != (refusal.reason, refusal.message):
            self.become(refusal.reason, refusal.message)

    def place(self, group: str, placed: Placed, moves: Moves, drain_from: PlacementRecord) -> bool:
        """Commit these slots of a group in this turn. False: no room left, or written by another rule already."""
        key = keys.placement(group)
        if self.room <= 0 or key in self.draft.written:
            return False
        self.room -= 1
        self.writes[key] = self.draft.stamp(drain_from.model_copy(update={"map": placed.map.change(moves).encode()}))
        self.premises.append(self.draft.placement(placed, group))
        return True

    def begin_to_place(self) -> None:
        """Say how many groups fit into the transaction, beside what else is written and compared, and the premises so
        far."""
        self.room = TXN_OPERATIONS - _OTHERS - len(self.premises)

    def place_onto_usable(self, group: str, placed: Placed, moves: Moves, drain_from: PlacementRecord) -> bool:
        """The same, as long as where these slots end stays usable.

        The words for that have to fit as well: a Shift of many systems and sites has more than one transaction holds.
        """
        news = {(slot.end, placed.record.system) for slot in moves.values()} - self.onto
        words = _WORDS * len(news)
        if self.room <= words or not self.place(group, placed, moves, drain_from):
            return False
        self.room -= words
        self.onto |= news
        self.premises += self.draft.still_usable(news)
        return True


def cause_of(entry: ShiftEntry) -> str:
    """What a placement committed for this Shift names as its cause."""
    return entry.record.cause or f"Shift/{entry.short_name}"


def placement_by(turn: Turn, group: str, placed: Placed, pace: GroupPace) -> PlacementRecord:
    """A group's record as this Shift commits it: its cause, its part of the pace, its way of leaving a call."""
    published = turn.snapshot.groups.get(group)
    changes = {
        "cause": cause_of(turn.entry),
        "pace": pace.own,
        "together": turn.entry.name if pace.together else "",
        "together_pace": pace.together,
        "drain": drain_of(turn.record.spec, published.spec if published else None),
    }
    return placed.record.model_copy(update=changes)
