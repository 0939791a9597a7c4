"""Failover: a city that has fallen silent loses its buckets to cities that can carry them.

    heartbeat gone, and two outside locations accuse one component, unbroken for confirmAfter  ->  Absent
    Absent  ->  groups by priority, each onto usable sites with room, in one guarded transaction

From outside a dead city and one that is cut off look the same, and nothing here depends on telling them apart: the new
city's door opens, and a client goes there only when it has lost the old one by its own evidence. Every premise that
could be withdrawn (the missing heartbeat, the accusing words, the target's words, the absence of a hold) is part of the
transaction: when one of them changes in the last moment, nobody is moved.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tandem.api.agentgroup import AgentGroupSpec, Drain
from tandem.constants import BUCKETS, QUARANTINE_FORGIVEN_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.capacity import Ledger, agents_in, no_capacity
from tandem.domain.decision import Draft, Premise
from tandem.domain.placement import BucketMap, Slot, proportional
from tandem.domain.plan import hold_refusal
from tandem.domain.quarantine import failing, quarantine_s
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import FailoverRecord, Record, ShiftRecord
from tandem.domain.snapshot import Instant, Placed, ShiftEntry, Snapshot
from tandem.domain.verdicts import Absence, State, absence, system_verdict, usability

_OTHERS: Final = 4  # premises besides those of groups, targets and accusers: coordinator, hold, heartbeat, record
_WORDS: Final = 4  # premises of a usable target: two components, two words each


@dataclass(frozen=True)
class _Rescue:
    """What a failover does with one group."""

    group: str
    placed: Placed
    after: BucketMap
    targets: frozenset[str]
    buckets: int
    left: int = 0
    """Buckets for which there is no room anywhere."""


def handle_failovers(draft: Draft, ledger: Ledger, now: Instant) -> None:
    """Move the groups of every city that is Absent, and end the failovers of those that are back."""
    for site in draft.snapshot.active_sites():
        absent = {}
        for system in _systems(draft.snapshot, site):
            found = absence(draft.snapshot, site, system, now.mono)
            if found is None:
                continue
            if found.in_s > 0:
                draft.wake(now.mono + found.in_s + 0.001)
                continue
            absent[system] = found
        if absent:
            _fail_over(draft, ledger, site, absent, now)
        else:
            _end(draft, site, now)


def _systems(snapshot: Snapshot, site: str) -> Iterator[str]:
    spec = snapshot.site(site)
    return (system.name for system in spec.systems) if spec else iter(())


def _fail_over(draft: Draft, ledger: Ledger, site: str, absent: Mapping[str, Absence], now: Instant) -> None:
    rescues = list(_rescues(draft, ledger, site, absent))
    if not rescues:
        return
    held = hold_refusal(draft.snapshot)
    if held is not None:
        draft.note(f"Site {site}", held.reason, f"{site} is Absent and nobody is moved: {held.message}")
        return
    entry = draft.snapshot.failovers.get(site)
    before = entry.record if entry else FailoverRecord()
    going_on = before.state == "Active"
    record = before if going_on else _next(before, absent, now)
    for number, batch in enumerate(_batches(rescues)):
        writes: dict[str, Record | None] = {}
        premises = [draft.no_hold, Premise(keys.heartbeat(site), mod_revision=0)]
        if number == 0:
            premises.append(Premise(keys.failover(site), mod_revision=entry.mod_revision if entry else 0))
            if not going_on:
                writes[keys.failover(site)] = record
        for rescue in batch:
            _add(draft, rescue, site, record, absent[rescue.placed.record.system], now, writes, premises)
        targets = {(target, rescue.placed.record.system) for rescue in batch for target in rescue.targets}
        premises += draft.still_usable(targets)
        buckets = sum(rescue.buckets for rescue in batch)
        sentence = (
            f"failover {record.number}: {site} is Absent ({record.message}); {buckets} buckets of {len(batch)} groups "
            f"go to {' and '.join(sorted({target for target, _ in targets}))}"
        )
        draft.commit(f"Site {site}", Reason.FAILED_OVER, sentence, writes, tuple(dict.fromkeys(premises)))


def _add(
    draft: Draft,
    rescue: _Rescue,
    site: str,
    record: FailoverRecord,
    why: Absence,
    now: Instant,
    writes: dict[str, Record | None],
    premises: list[Premise],
) -> None:
    """Put one group's part into a transaction: its placement, the end of its Shifts, and what both rest on."""
    changes = {
        "map": rescue.after.encode(),
        "cause": f"Failover/{site}-{record.number}",
        "pace": 0,
        "drain": Drain(),
    }
    writes[keys.placement(rescue.group)] = draft.stamp(rescue.placed.record.model_copy(update=changes))
    premises.append(draft.placement(rescue.placed, rescue.group))
    premises += [Premise(key, mod_revision=revision) for key, revision in why.evidence]
    for shift in draft.snapshot.unfinished_shifts():
        key = keys.shift(shift.name)
        if key not in draft.written and any(plan.group == rescue.group for plan in shift.record.plan):
            writes[key] = _interrupt(shift, site, now)
            premises.append(draft.shift(shift))


def _next(before: FailoverRecord, absent: Mapping[str, Absence], now: Instant) -> FailoverRecord:
    forgiven = before.number == 0 or now.wall - before.ended_at > QUARANTINE_FORGIVEN_S
    return FailoverRecord(
        number=before.number + 1,
        state="Active",
        systems=tuple(sorted(absent)),
        message=next(iter(absent.values())).sentence,
        started_at=now.wall,
        repeated=0 if forgiven else before.repeated + 1,
    )


def _batches(rescues: list[_Rescue]) -> Iterator[list[_Rescue]]:
    """As many groups as fit into one transaction with what else it compares."""
    most = (TXN_OPERATIONS - _OTHERS) // 2 - _WORDS
    for start in range(0, len(rescues), most):
        yield rescues[start : start + most]


def _rescues(draft: Draft, ledger: Ledger, site: str, absent: Mapping[str, Absence]) -> Iterator[_Rescue]:
    """Groups with buckets at the city, the most important first: they get the room there is."""
    snapshot = draft.snapshot
    found = []
    for name, placed in snapshot.placements.items():
        if site in placed.map.sites and placed.record.system in absent and keys.placement(name) not in draft.written:
            published = snapshot.groups.get(name)
            spec = published.spec if published else None
            found.append((-(spec.priority if spec else 0), name, placed, spec))
    for _, name, placed, spec in sorted(found, key=lambda item: item[:2]):
        rescue = _rescue(snapshot, ledger, site, name, placed, spec, absent[placed.record.system])
        if isinstance(rescue, Refusal):
            draft.note(f"AgentGroup {name}", rescue.reason, rescue.message)
            continue
        if rescue.left and spec is not None:
            message = f"{name}: about {agents_in(rescue.left, spec.agents)} agents stay without a city"
            draft.note(
                f"AgentGroup {name}", Reason.NO_CAPACITY, f"{message}; raise the capacity of {spec.system} elsewhere"
            )
        ledger.reserve(name, placed.record.system, spec.agents if spec else 0, rescue.after)
        yield rescue


def _rescue(
    snapshot: Snapshot,
    ledger: Ledger,
    site: str,
    name: str,
    placed: Placed,
    spec: AgentGroupSpec | None,
    why: Absence,
) -> _Rescue | Refusal:
    """Where this group's buckets go, or why they stay."""
    if spec is None:
        return Refusal(Reason.INVALID_SPEC, f"{name}: no location has published what it may be moved to")
    if spec.failover == "Manual":
        message = f"{name}: {site} is Absent ({why.sentence}), and spec.failover is Manual; move it by a Shift"
        return Refusal(Reason.MANUAL_FAILOVER, message)
    slots = placed.map.slots
    moves: dict[int, Slot] = {}
    for bucket, slot in enumerate(slots):
        if slot.to == site:
            moves[bucket] = Slot(slot.site)  # it was on its way there: back to where it came from
    lost = [bucket for bucket, slot in enumerate(slots) if slot.site == site]
    room, unusable = _room(snapshot, ledger, spec, site, name)
    for bucket in lost:
        to = slots[bucket].to
        if to and to in room:
            moves[bucket] = Slot(to)  # its agents have entered there by ticket already, and it has its room
    rest = [bucket for bucket in lost if bucket not in moves]
    if rest:
        if not room:
            why_not = "; ".join(unusable) or f"spec.sites names no other site than {site}"
            return Refusal(Reason.TARGET_NOT_USABLE, f"{name}: {site} is Absent, and nobody can take over: {why_not}")
        for bucket, target in zip(rest, _spread(room, len(rest)), strict=False):
            moves[bucket] = Slot(target)
    if not moves:
        first = next(iter(room))
        needs = agents_in(len(rest), spec.agents)
        return no_capacity(
            first, spec.system, needs, ledger.capacity(first, spec.system) - ledger.load(first, spec.system)
        )
    after = placed.map.change(moves)
    left = sum(1 for bucket in rest if bucket not in moves)
    return _Rescue(name, placed, after, frozenset(slot.site for slot in moves.values()), len(moves), left)


def _room(
    snapshot: Snapshot, ledger: Ledger, spec: AgentGroupSpec, site: str, name: str
) -> tuple[dict[str, int], list[str]]:
    """Buckets of this group that each usable site can take, in the order of spec.sites; and why others cannot.

    A site whose own failover has not ended is taken only when there is no other.
    """
    room: dict[str, int] = {}
    unusable = []
    others = [other for other in spec.sites if other != site]
    for other in sorted(others, key=lambda other: failing(snapshot, other)):
        found = usability(snapshot, other, spec.system)
        if not found.usable:
            unusable.append(found.why)
        elif not room or not failing(snapshot, other):
            left = ledger.capacity(other, spec.system) - ledger.load(other, spec.system, without=name)
            there = snapshot.placements[name].map.touched_shares.get(other, 0)
            room[other] = max(left * BUCKETS // max(spec.agents, 1) - there, 0)
    return room, unusable


def _spread(room: Mapping[str, int], wanted: int) -> Iterator[str]:
    """Sites for at most `wanted` buckets, in proportion to their room."""
    total = sum(room.values())
    for target, count in proportional(room, min(wanted, total)).items():
        yield from [target] * count


def _interrupt(shift: ShiftEntry, site: str, now: Instant) -> ShiftRecord:
    record = shift.record
    done = f"in {record.phase.lower()}, wave {record.wave}" if record.wave else f"in {record.phase.lower()}"
    message = f"interrupted {done}: {site} is Absent, and its agents came first; create a new Shift when it is over"
    return record.model_copy(
        update={"phase": "Interrupted", "reason": Reason.FAILED_OVER, "message": message, "finished_at": now.wall}
    )


# -- afterwards


def _end(draft: Draft, site: str, now: Instant) -> None:
    """The city is back: its failover has ended, and its quarantine begins to count."""
    entry = draft.snapshot.failovers.get(site)
    if entry is None or entry.record.state != "Active":
        return
    verdicts = [system_verdict(draft.snapshot, site, system) for system in _systems(draft.snapshot, site)]
    if any(verdict.state not in (State.HEALTHY, State.MAINTENANCE) for verdict in verdicts):
        return
    record = entry.record.model_copy(update={"state": "Ended", "ended_at": now.wall})
    sentence = (
        f"{site} is back; nothing is planned onto it for {quarantine_s(record):.0f} s, and nobody returns by himself"
    )
    premise = Premise(keys.failover(site), mod_revision=entry.mod_revision)
    draft.commit(f"Site {site}", Reason.FAILOVER_ENDED, sentence, {keys.failover(site): record}, (premise,))
