"""Waves: which buckets of a Shift start together, and when the next ones may."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tandem.constants import MOST_ACCOUNTS_NAMED, READY_UNKNOWN_S
from tandem.domain import keys
from tandem.domain.alarms import alarms_evidence, watch_of_shift
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Premise
from tandem.domain.outlook import longest_s
from tandem.domain.pace import needed_s, pace_now, planned_agents, split
from tandem.domain.placement import Slot
from tandem.domain.plan import hold_refusal, inconsistent_refusal, maintenance_refusal, unusable_target
from tandem.domain.quarantine import quarantined
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import GroupPlan, ShiftRecord
from tandem.domain.replicas import replicas_missing
from tandem.domain.snapshot import Placed
from tandem.domain.target_tests import targets_of
from tandem.domain.turn import Turn, placement_by
from tandem.domain.wave_measures import base_of, in_buckets, leaving_in, reports_left, there_at_start, wave_moves

_MOST_COPIES: Final = 24
"""Premises for copies of the targets' Sites in one transaction."""


def to_start(turn: Turn, wave: int) -> Iterator[tuple[GroupPlan, Placed, dict[int, Slot]]]:
    """Groups with buckets of this wave that are still (settled, or headed) where the plan found them."""
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None:
            continue
        slots = placed.map.slots
        start = {bucket: slot for bucket, slot in wave_moves(plan, wave).items() if slots[bucket].end == slot.site}
        if start:
            yield plan, placed, start


@dataclass(frozen=True, slots=True)
class Staying:
    """Agents of the waves so far who have not left, beyond the deadline."""

    by_group: Mapping[str, int]
    accounts: tuple[str, ...] = ()
    """Who they are, as far as their CTIs name them."""

    @property
    def changes(self) -> dict[str, object]:
        """Fields of the Shift's record."""
        return {"staying": dict(self.by_group), "accounts_staying": self.accounts}


NOBODY_STAYS: Final = Staying({})


def start_wave(turn: Turn, wave: int, staying: Staying = NOBODY_STAYS) -> None:
    """Enter this wave and start its groups, as far as they fit into the transaction."""
    watch = watch_of_shift(turn.entry.name, turn.record)
    # An alarm that fires in this very moment stops it.
    quiet = [Premise(key, mod_revision=seen) for key, seen in alarms_evidence(turn.snapshot, watch)] if watch else []
    turn.become(
        Reason.WAVE_STARTED,
        wave_text(turn.record, wave),
        phase="Moving",
        wave=wave,
        wave_started_at=turn.now.wall,
        started_at=turn.record.started_at or turn.now.wall,
        base=base_of(turn.snapshot, turn.record, wave),
        gate="",
        gate_since=0.0,
        **staying.changes,
    )
    turn.premises += quiet
    commit_wave(turn, wave)


def wave_text(record: ShiftRecord, wave: int) -> str:
    agents = planned_agents(record)
    return f"wave {wave} of {record.waves}, about {agents} agents in all"


def commit_wave(turn: Turn, wave: int) -> None:
    """Start groups of this wave that have not started yet, while nothing is held and the targets are usable.

    As many as fit into the transaction beside the premises that the turn has already.
    """
    turn.premises += _sites_as_read(turn)
    turn.begin_to_place()
    paces = split(pace_now(turn.record), list(leaving_in(turn.record.plan, wave)))
    for plan, placed, moves in to_start(turn, wave):
        turn.place_onto_usable(plan.group, placed, moves, placement_by(turn, plan.group, placed, paces[plan.group]))
    turn.reason = Reason.WAVE_STARTED
    turn.premises.append(turn.draft.no_hold)


def _sites_as_read(turn: Turn) -> list[Premise]:
    """The targets' Sites must still be as they were read: somebody may announce maintenance in this very moment.

    Each target's own copy first; the others', whose change is seen as a difference, as far as there is room for them.
    """
    published = (turn.snapshot.sites.get(site) for site in _target_sites(turn))
    copies = [(number, *copy) for site in published if site for number, copy in enumerate(site.evidence)]
    return [Premise(key, mod_revision=seen) for _, key, seen in sorted(copies)[:_MOST_COPIES]]


def _target_sites(turn: Turn) -> list[str]:
    return sorted({site for site, _ in _targets(turn)})


def _targets(turn: Turn) -> set[tuple[str, str]]:
    return set(targets_of(turn.record))


def may_start(turn: Turn) -> Refusal | None:
    """What forbids a wave to start now, whatever was true when it was planned."""
    snapshot, sites = turn.snapshot, _target_sites(turn)
    quarantine = next(filter(None, (quarantined(snapshot, site, turn.now) for site in sites)), None)
    if quarantine is not None:
        turn.draft.wake(turn.now.mono + 1.0)
    return (
        hold_refusal(snapshot)
        or inconsistent_refusal(snapshot, sites)
        or maintenance_refusal(snapshot, sites)
        or quarantine
        or unusable_target(snapshot, _targets(turn))
    )


def announced_maintenance(turn: Turn) -> Refusal | None:
    """What a plan that a person approves now would have been refused for: all agree that a target is in maintenance."""
    sites = _target_sites(turn)
    return None if inconsistent_refusal(turn.snapshot, sites) else maintenance_refusal(turn.snapshot, sites)


def full_target(turn: Turn) -> Refusal | None:
    """What forbids a Shift to begin: a target that would have more agents than it carries, this Shift's included.

    Of Shifts that have not begun only those made (or approved) before it count, or two would wait for each other.
    """
    ledger = _without_later_shifts(turn)
    for site, system in sorted(_targets(turn)):
        has = ledger.capacity(site, system)
        if ledger.load(site, system) > has:
            message = (
                f"{system} at {site} carries {has} agents and would have more by now; raise its capacity with the "
                "parts behind it, or abort this and move fewer"
            )
            return Refusal(Reason.CAPACITY_EXCEEDED, message, temporary=True)
    return None


def takes_room(turn: Turn) -> Refusal | None:
    """The same of one that is about to begin: the room that it finds is its own from here on, in this very turn."""
    refusal = full_target(turn)
    if refusal is None:
        _book(turn, turn.ledger)
    return refusal


def missing_replicas(turn: Turn) -> Refusal | None:
    """What forbids a Shift to begin: replicas for its agents that are not Ready, later Shifts' left out."""
    waited = turn.in_phase_for
    if waited < READY_UNKNOWN_S:
        turn.draft.wake(turn.now.mono + READY_UNKNOWN_S - waited + 0.001)
    return replicas_missing(turn.snapshot, _without_later_shifts(turn), _targets(turn), waited)


def _without_later_shifts(turn: Turn) -> Ledger:
    """Loads with this Shift's own plan, and without those of Shifts made later that have not begun."""
    written = turn.draft.written
    ledger = turn.ledger.copy()
    # One that an emergency moves in this very turn has its room by that.
    ledger.forget_plans({group for group in _groups_of_later_shifts(turn) if keys.placement(group) not in written})
    _book(turn, ledger)
    return ledger


def _book(turn: Turn, ledger: Ledger) -> None:
    """Its own room: until it has found it, or where it is planned in this very turn, nobody has counted it."""
    for plan in turn.record.plan:
        ledger.book(plan, turn.subject)


def _groups_of_later_shifts(turn: Turn) -> set[str]:
    own = {plan.group for plan in turn.record.plan}
    place = _asked_at(turn.record), turn.entry.name
    return {
        plan.group
        for shift in turn.snapshot.unfinished_shifts()
        if not shift.record.wave
        and shift.record.phase != "AwaitingApproval"  # which has none; a Drill may have its groups
        and (_asked_at(shift.record), shift.name) > place
        for plan in shift.record.plan
        if plan.group not in own
    }


def _asked_at(record: ShiftRecord) -> float:
    """Since when it asks for its room: one that waits for a person asks for none."""
    return record.approved_at or record.created_at


def staying_now(turn: Turn) -> Staying | None:
    """Agents beyond the deadline once every bucket of this wave has left or is late; None: not yet."""
    # By the plan, which spreads a group's agents over its buckets, or as many as were there when the wave began.
    leaving_s = needed_s(
        pace_now(turn.record), list(leaving_in(turn.record.plan, turn.record.wave)), there_at_start(turn.record)
    )
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None:
            continue
        slots = placed.map.slots
        leaving = {bucket: slot for bucket, slot in wave_moves(plan, turn.record.wave).items() if slots[bucket] == slot}
        if not leaving:
            continue
        deadline = longest_s(placed.record.drain, leaving_s)
        if turn.in_phase_for < deadline:
            turn.draft.wake(turn.entry.since + deadline + 0.001)
            return None
    return still_staying(turn)


def still_staying(turn: Turn) -> Staying:
    """Agents of the waves so far who have not left, counted anew: a call beyond the deadline ends as well."""
    by_group: dict[str, int] = {}
    accounts: set[str] = set()
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None:
            continue
        begun = [wave_moves(plan, wave) for wave in range(1, turn.record.wave + 1)]
        slots = placed.map.slots
        leaving = {bucket: slot for moves in begun for bucket, slot in moves.items() if slots[bucket] == slot}
        reports = reports_left(turn.snapshot, plan, leaving)
        count = sum(in_buckets(report, leaving, site) for site, report in reports.items())
        if None in reports.values():  # as many as were last known; they are in their calls all the same
            count = max(count, turn.record.staying.get(plan.group, 0))
            accounts.update(turn.record.accounts_staying)
        if count:
            by_group[plan.group] = count
            accounts.update(*(report.staying for report in reports.values() if report is not None))
    return Staying(by_group, tuple(sorted(accounts)[:MOST_ACCOUNTS_NAMED]))
