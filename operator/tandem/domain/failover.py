"""Failover: a site that is lost loses its buckets to cities that can carry them.

    Absent or Down, confirmed (`loss`)  ->  groups by priority, each onto usable sites with room (`rescue`)
                                        ->  guarded transactions of as many groups as fit
    failover: Manual                    ->  the same, once a person has approved it (`approvals`)

Nothing here depends on telling a dead city from one that is cut off: the new city's door opens, and a client goes there
only when it has lost the old one by its own evidence, or when its own CTI releases it. Every premise that could be
withdrawn (the missing heartbeat, the accusing words, the target's words, the absence of a hold) is part of the
transaction: when one of them changes in the last moment, nobody is moved.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from tandem.constants import QUARANTINE_FORGIVEN_S, READY_PATIENCE_S, TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.approvals import (
    GROUPS_A_QUESTION,
    approval_for,
    close_questions,
    ended,
    is_declined,
    question,
    say_who_waits,
    unanswered,
)
from tandem.domain.buckets import format_ranges
from tandem.domain.capacity import Ledger, agents_in
from tandem.domain.decision import Draft, Premise
from tandem.domain.drills import interrupted
from tandem.domain.loss import Loss, loss, spared
from tandem.domain.pace import planned_agents
from tandem.domain.placement import Slot, parse_moves
from tandem.domain.plan import hold_refusal
from tandem.domain.quarantine import quarantine_s
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import FailoverRecord, Record, ShiftRecord
from tandem.domain.rescue import Rescue, cause_of, importance, rescue, yielding
from tandem.domain.snapshot import Entry, Instant, ShiftEntry, Snapshot
from tandem.domain.verdicts import WELL, State, system_verdict

_MOST_PROOF: Final = TXN_OPERATIONS // 2
"""Premises that say a city is lost, in a transaction that concerns no single group: the rest is for what it writes."""

_BESIDE: Final = 3
"""Premises of these that are no words: no hold, the failover's record, the missing heartbeat."""


def handle_failovers(draft: Draft, ledger: Ledger, now: Instant) -> None:
    """Move the groups of every system that is lost at a site, and end the failovers of sites that are back."""
    close_questions(draft, now)
    lost_systems: dict[str, dict[str, Loss]] = {}
    for site in draft.snapshot.active_sites():
        lost = lost_systems[site] = {}
        for system in _systems(draft.snapshot, site):
            found = loss(draft.snapshot, site, system, now.mono)
            if found is None:
                # The whole verdict, which costs more, in that case only: this is asked in every decision.
                if spared(draft.snapshot, site, system):
                    sentence = system_verdict(draft.snapshot, site, system).sentence
                    draft.note(f"Site {site}", Reason.NOT_GIVEN_UP, sentence)
                continue
            if found.in_s > 0:
                draft.wake(now.mono + found.in_s + 0.001)
                continue
            lost[system] = found
    draft.lost = {(site, system): found for site, lost in lost_systems.items() for system, found in lost.items()}
    # Once for all: after a first city's failover the room that it has given out would be forgotten with the plans.
    groups = {group for site, lost in lost_systems.items() if lost for group in yielding(draft.snapshot, site, lost)}
    ledger.forget_plans(groups)
    try:
        for site, lost in lost_systems.items():
            if keys.failover(site) in draft.written:
                continue  # a person has just declined; the next turn goes on with that
            if lost:
                _Failover(draft, ledger, site, lost, now).run()
                _forget_declined(draft, site, lost)
            else:
                _end(draft, site, now)
    finally:
        if groups:
            ledger.reserve_plans()  # what is planned beside an emergency shares no room


def _systems(snapshot: Snapshot, site: str) -> Iterator[str]:
    spec = snapshot.site(site)
    return (system.name for system in spec.systems) if spec else iter(())


@dataclass
class _Batch:
    """One transaction in the making."""

    writes: dict[str, Record | None] = field(default_factory=dict)
    premises: dict[Premise, None] = field(default_factory=dict)
    systems: list[str] = field(default_factory=list)
    """Those that its premises prove lost, where it concerns no single group."""
    rescues: list[Rescue] = field(default_factory=list)

    def has_room(self, writes: Mapping[str, Record | None], premises: list[Premise]) -> bool:
        """Whether these fit as well, beside the premise of the coordinator's reign, which the draft adds."""
        return (
            len(self.writes.keys() | writes.keys()) <= TXN_OPERATIONS
            and len(self.premises.keys() | set(premises)) < TXN_OPERATIONS
        )

    def add(self, rescue: Rescue, writes: Mapping[str, Record | None], premises: list[Premise]) -> None:
        self.rescues.append(rescue)
        self.writes.update(writes)
        self.premises.update(dict.fromkeys(premises))


class _Failover:
    """One turn of one site's failover."""

    def __init__(self, draft: Draft, ledger: Ledger, site: str, lost: Mapping[str, Loss], now: Instant) -> None:
        self._draft = draft
        self._ledger = ledger
        self._site = site
        self._lost = lost
        self._now = now
        self._entry: Entry[FailoverRecord] | None = draft.snapshot.failovers.get(site)
        before = self._entry.record if self._entry else FailoverRecord()
        self._record = _widened(before, lost) if before.state == "Active" else _next(before, lost, now)
        self._new = self._record != before
        self._known = before.systems if before.number == self._record.number else ()
        self._cause = cause_of(site, self._record.number)
        self._refused: dict[str, Refusal] = {}  # group -> why nobody of it can be moved now
        self._ends: dict[str, ShiftRecord] = {}  # Shift -> how it ends here; each of its groups asks
        self._kind = next(iter(lost.values())).kind  # a site writes or does not: it is the same for all its systems

    def run(self) -> None:
        """Commit what can be moved now; ask a person about the rest."""
        rescues: list[Rescue] = []
        questions: list[Rescue] = []
        for found, ask in self._rescues():
            (questions if ask else rescues).append(found)
        held = hold_refusal(self._draft.snapshot)
        if not rescues and not questions:
            if self._new and held is None:
                # It counts as lost all the same: its copies of the objects hold up nothing, its quarantine will begin.
                sentence = f"failover {self._record.number}: {self._site} is {self._kind}; nobody of it can be moved"
                self._interrupt_others([])
                batch = self._proven_batch(self._lost)
                self._draft.commit(
                    f"Site {self._site}", Reason.FAILED_OVER, sentence, batch.writes, tuple(batch.premises)
                )
        elif held is not None:
            message = f"{self._site} is {self._kind} and nobody is moved: {held.message}"
            self._draft.note(f"Site {self._site}", held.reason, message)
            for found in rescues:
                self._finish(found)
        elif rescues:
            self._interrupt_others(rescues)
            for batch in self._batches(rescues):
                self._commit(batch)
        else:
            self._interrupt_others([])
            self._ask(questions)
        say_who_waits(self._draft, self._cause, self._refused, held)

    def _rescues(self) -> Iterator[tuple[Rescue, bool]]:
        """What to do with each group, the most important first: they get the room there is. True: a person decides."""
        snapshot = self._draft.snapshot
        for name in sorted(self._groups(), key=lambda name: importance(snapshot, name)):
            if not self._is_manual(name):
                yield from ((found, False) for found in self._rescue(name))
                continue
            asked = approval_for(snapshot, name, self._cause)
            declined = is_declined(asked, name, self._record.declined)
            why_not = unanswered(asked, name, self._site) if asked is not None else None
            # A question that is written in this very decision counts as it is from the next one on.
            stands = asked is not None and keys.shift(asked.name) not in self._draft.written
            may_leave = stands and why_not is None and not declined
            under_way = list(self._rescue(name, settled=may_leave))
            yield from ((found, False) for found in under_way)
            if declined:
                continue  # The question has said so when it ended, and nobody waits for anybody.
            if why_not is not None:
                self._draft.note(f"AgentGroup {name}", why_not.reason, why_not.message)
            elif asked is None and not under_way:
                yield from ((found, True) for found in self._rescue(name, reserve=False))

    def _rescue(self, name: str, *, settled: bool = True, reserve: bool = True) -> Iterator[Rescue]:
        """What can be done for one group now, if anything; what cannot is noted."""
        why = self._lost[self._draft.snapshot.placements[name].record.system]
        found = rescue(self._draft, self._ledger, self._site, name, why, self._now, settled=settled)
        if found is None:
            return
        refusal = found if isinstance(found, Refusal) else found.nowhere
        if refusal is not None:
            self._refused[name] = refusal
            self._draft.note(f"AgentGroup {name}", refusal.reason, refusal.message)
        if isinstance(found, Rescue):
            if refusal is None:
                self._note_left(found)
            if reserve:
                self._ledger.reserve(name, found.system, self._ledger.agents_of(name), found.after)
            yield found

    def _groups(self) -> Iterator[str]:
        for name, placed in self._draft.snapshot.placements.items():
            here = self._site in placed.map.sites and placed.record.system in self._lost
            if here and keys.placement(name) not in self._draft.written:
                yield name

    def _is_manual(self, name: str) -> bool:
        spec = self._draft.snapshot.group_at_worst(name)
        return spec is not None and spec.failover == "Manual"

    def _note_left(self, found: Rescue) -> None:
        if found.left:
            agents = agents_in(found.left, self._ledger.agents_of(found.group))
            message = f"{found.group}: about {agents} agents stay without a city"
            remedy = f"raise the capacity of {found.system} elsewhere"
            self._draft.note(f"AgentGroup {found.group}", Reason.CAPACITY_EXCEEDED, f"{message}; {remedy}")

    # -- transactions

    def _batches(self, rescues: list[Rescue]) -> Iterator[_Batch]:
        """As many groups as fit into one transaction, with everything that it rests on."""
        batch = self._empty_batch(first=True)
        for found in rescues:
            writes, premises = self._part(found)
            if batch.rescues and not batch.has_room(writes, premises):
                yield batch
                batch = self._empty_batch(first=False)
                writes, premises = self._part(found)  # the one before has ended its Shift, if they share one
            batch.add(found, writes, premises)
        yield batch

    def _empty_batch(self, *, first: bool) -> _Batch:
        """What every transaction of this failover holds. The first one writes the record, if there is news in it."""
        premises = [self._draft.no_hold]
        if first or not self._new:  # else the first has just changed it
            revision = self._entry.mod_revision if self._entry else 0
            premises.append(Premise(keys.failover(self._site), mod_revision=revision))
        premises += self._silence
        writes: dict[str, Record | None] = {keys.failover(self._site): self._record} if first and self._new else {}
        return _Batch(writes, dict.fromkeys(premises))

    @property
    def _silence(self) -> list[Premise]:
        """That a city which is Absent has not come back."""
        return [Premise(keys.heartbeat(self._site), mod_revision=0)] if self._kind == "Absent" else []

    def _proven_batch(self, systems: Iterable[str], *, first: bool = True) -> _Batch:
        """The same for what concerns no single group: with the words that the loss of these systems rests on.

        As many systems as its words have room for: a city with many has more of them than a transaction holds. The
        record names these, and the others with a later turn.
        """
        batch = self._empty_batch(first=first)
        for number, system in enumerate(sorted(systems, key=lambda system: system in self._known)):
            joined = batch.premises | dict.fromkeys(_words(self._lost[system]))
            if number and len(joined) > _MOST_PROOF:
                break
            batch.premises = joined
            batch.systems.append(system)
        if batch.writes:
            named = tuple(sorted({*self._known, *batch.systems}))
            batch.writes = {keys.failover(self._site): self._record.model_copy(update={"systems": named})}
        return batch

    def _finish(self, found: Rescue) -> None:
        """A hold stops what is new, not what this emergency has on its way: that arrives where it is heading.

        Not what a planned move has: the city may not have heard of it, and have its doors open by the map before. Only
        a failover gives such doors to another city all the same, and under hold there is no new one.
        """
        if found.placed.record.cause != self._cause:
            return
        arrivals = ((bucket, Slot(slot.to)) for bucket, slot in found.placed.map.in_transit.items())
        done = {bucket: slot for bucket, slot in arrivals if found.moves.get(bucket) == slot}
        if not done:
            return
        targets = {slot.site for slot in done.values()}
        record = found.placed.record.model_copy(update={"map": found.placed.map.change(done).encode()})
        premises = [self._draft.placement(found.placed, found.group), *_words(self._lost[found.system])]
        premises += self._draft.still_usable({(target, found.system) for target in targets})
        premises += self._silence
        self._draft.commit(
            f"AgentGroup {found.group}",
            Reason.BUCKETS_ARRIVED,
            f"{found.group}: buckets {format_ranges(done)} were on their way from {self._site}, which is {self._kind}; "
            f"they belong to {' and '.join(sorted(targets))} now",
            {keys.placement(found.group): self._draft.stamp(record)},
            tuple(premises),
        )

    def _part(self, found: Rescue) -> tuple[dict[str, Record | None], list[Premise]]:
        """One group's part: its placement, the end of its Shifts, and what both rest on."""
        # The pace of the last planned move is none of an emergency's.
        unpaced = {"pace": 0.0, "together": "", "together_pace": 0.0}
        changes = {"map": found.after.encode(), "cause": self._cause, "drain": found.drain, **unpaced}
        record = self._draft.stamp(found.placed.record.model_copy(update=changes))
        writes: dict[str, Record | None] = {keys.placement(found.group): record}
        premises = [self._draft.placement(found.placed, found.group)]
        premises += _words(self._lost[found.system])
        premises += self._draft.still_usable({(target, found.system) for target in found.targets})
        for shift in self._draft.snapshot.unfinished_shifts():
            key = keys.shift(shift.name)
            if key in self._draft.written or not any(plan.group == found.group for plan in shift.record.plan):
                continue
            if not shift.is_question:
                writes[key] = self._interrupted(shift)
                premises.append(self._draft.shift(shift))
            elif shift.record.cause == self._cause and shift.record.spec.approved:
                premises.append(self._draft.shift(shift))  # what a person has said still stands
        for drill in self._draft.snapshot.drills.values():
            key = keys.drill(drill.name)
            if found.group in drill.groups and key not in self._draft.written:
                snapshot = self._draft.snapshot
                writes[key] = interrupted(drill, snapshot, self._site, self._kind, self._now)
                premises.append(Premise(key, mod_revision=drill.mod_revision))
        return writes, premises

    def _interrupted(self, shift: ShiftEntry) -> ShiftRecord:
        """What becomes of a planned Shift that this failover ends."""
        if shift.name not in self._ends:
            self._ends[shift.name] = self._end_of(shift)
        return self._ends[shift.name]

    def _end_of(self, shift: ShiftEntry) -> ShiftRecord:
        record = shift.record
        done = f"in {record.phase.lower()}, wave {record.wave}" if record.wave else f"in {record.phase.lower()}"
        message = (
            f"interrupted {done}: {self._site} is {self._kind}, and its agents came first; "
            f"{_so_far(self._draft.snapshot, record)}; create a new Shift when it is over"
        )
        return ended(shift, "Interrupted", Reason.FAILED_OVER, message, self._now)

    def _interrupt_others(self, rescues: Sequence[Rescue]) -> None:
        """End the Shifts on their way from or to what is lost now of which nobody is rescued in this decision.

        Their groups wait for a person, or for room: when the city is back the next wave would start by itself. Before
        the failover's own record, which says that this was done; a Shift that begins later is a person's answer to it.
        """
        proven = self._proven_batch(self._lost)
        fresh = {(self._site, system) for system in proven.systems if system not in self._known}
        rescued = {found.group for found in rescues}
        others = [
            shift
            for shift in self._draft.snapshot.unfinished_shifts()
            if shift.record.wave
            and not shift.is_question
            and keys.shift(shift.name) not in self._draft.written
            and not any(plan.group in rescued for plan in shift.record.plan)
            and any((site, plan.system) in fresh for plan in shift.record.plan for site in plan.sources + plan.targets)
        ]
        premises = tuple(proven.premises)
        at_once = max(TXN_OPERATIONS - 1 - len(premises), 1)  # beside the premise of the coordinator's reign
        for start in range(0, len(others), at_once):
            part = others[start : start + at_once]
            names = ", ".join(shift.name for shift in part)
            self._draft.commit(
                f"Site {self._site}",
                Reason.FAILED_OVER,
                f"{self._site} is {self._kind}: {names} end where they are",
                {keys.shift(shift.name): self._interrupted(shift) for shift in part},
                (*premises, *(self._draft.shift(shift) for shift in part)),
            )

    def _commit(self, batch: _Batch) -> None:
        sentence = (
            f"failover {self._record.number}: {self._site} is {self._kind} ({self._record.message}); "
            f"{_whereto(batch.rescues, self._draft.lost)}"
        )
        beyond = sorted({target for found in batch.rescues for target in found.beyond_ready})
        if beyond:
            sentence += (
                f"; too few replicas at {' and '.join(beyond)} have become Ready within {READY_PATIENCE_S:.0f} s, so "
                "what is declared there counts now"
            )
        self._draft.commit(f"Site {self._site}", Reason.FAILED_OVER, sentence, batch.writes, tuple(batch.premises))

    def _ask(self, questions: list[Rescue]) -> None:
        """Prepare the plan for groups that a person decides on: one Shift per namespace, or more (`_parts`)."""
        taken = set(self._draft.snapshot.shifts)
        first = True
        for part in self._parts(questions):
            why = self._lost[part[0].system]
            name, record = question(self._draft, part, self._site, self._cause, why, self._now, taken)
            taken.add(name)
            batch = self._proven_batch(dict.fromkeys(found.system for found in part), first=first)
            first = False
            self._draft.commit(
                f"Site {self._site}",
                Reason.MANUAL_FAILOVER,
                f"{self._site} is {self._kind}: the move of {len(part)} groups waits for a person's approval",
                {**batch.writes, keys.shift(name): record},
                (*batch.premises, Premise(keys.shift(name), mod_revision=0)),
            )

    def _parts(self, questions: list[Rescue]) -> Iterator[list[Rescue]]:
        """Groups of one namespace, as many as one question may have and as its transaction has room to prove lost."""
        for _, of in groupby(sorted(questions, key=_namespace), key=_namespace):
            part: list[Rescue] = []
            words: set[Premise] = set()
            for found in of:
                joined = words | set(_words(self._lost[found.system]))
                if part and (len(part) >= GROUPS_A_QUESTION or len(joined) > _MOST_PROOF - _BESIDE):
                    yield part
                    part, joined = [], set(_words(self._lost[found.system]))
                part.append(found)
                words = joined
            yield part


def _namespace(found: Rescue) -> str:
    return found.group.rpartition("/")[0]


def _whereto(rescues: Sequence[Rescue], lost: Container[tuple[str, str]]) -> str:
    """Where the buckets go. Those on their way to another lost city have not arrived: its failover takes them on.

    Args:
        lost: Every (site, system) that is lost now.
    """
    stay: Counter[str] = Counter()
    go_on: Counter[str] = Counter()
    for found in rescues:
        for slot in found.moves.values():
            (go_on if (slot.end, found.system) in lost else stay)[slot.end] += 1
    of = f"buckets of {len(rescues)} groups"
    parts = [f"{stay.total()} {of} go to {' and '.join(sorted(stay))}"] if stay else []
    if go_on:
        which = f"{go_on.total()} more" if stay else f"{go_on.total()} {of}"
        as_well = "which is lost as well" if len(go_on) == 1 else "which are lost as well"
        parts.append(f"{which} are on their way to {' and '.join(sorted(go_on))}, {as_well}, and go on from there")
    return "; ".join(parts)


def _words(found: Loss) -> list[Premise]:
    return [Premise(key, mod_revision=revision) for key, revision in found.evidence]


def _widened(record: FailoverRecord, lost: Mapping[str, Loss]) -> FailoverRecord:
    """A failover that goes on, with the systems that have failed since."""
    return record.model_copy(update={"systems": tuple(sorted({*record.systems, *lost}))})


def _next(before: FailoverRecord, lost: Mapping[str, Loss], now: Instant) -> FailoverRecord:
    forgiven = before.number == 0 or now.wall - before.ended_at > QUARANTINE_FORGIVEN_S
    return FailoverRecord(
        number=before.number + 1,
        state="Active",
        systems=tuple(sorted(lost)),
        message=next(iter(lost.values())).sentence,
        started_at=now.wall,
        repeated=0 if forgiven else before.repeated + 1,
    )


def _so_far(snapshot: Snapshot, record: ShiftRecord) -> str:
    """What a Shift has done, read off the maps."""
    if not record.wave:
        return "nobody had moved"
    agents, wholly, on_their_way = 0.0, 0, 0
    for plan in record.plan:
        placed = snapshot.placements.get(plan.group)
        moves = parse_moves(plan.moves)
        slots = [placed.map.slots[bucket] if placed else None for bucket in moves]
        there = sum(slot == Slot(move.to) for slot, move in zip(slots, moves.values(), strict=True))
        agents += plan.agents * there / max(len(moves), 1)
        wholly += there == len(moves)
        on_their_way += any(slot is not None and slot.to for slot in slots)
    return (
        f"about {agents:.0f} of {planned_agents(record)} agents had moved; "
        f"of {len(record.plan)} groups {wholly} wholly, {on_their_way} on their way"
    )


# -- afterwards


def _forget_declined(draft: Draft, site: str, lost: Mapping[str, Loss]) -> None:
    """One system of a city is back while another keeps its failover going: a person is asked anew if it fails again."""
    snapshot, entry = draft.snapshot, draft.snapshot.failovers.get(site)
    if entry is None or entry.record.state != "Active" or keys.failover(site) in draft.written:
        return
    placed = snapshot.placements
    systems = {placed[name].record.system for name in entry.record.declined if name in placed} - lost.keys()
    back = {system for system in systems if system_verdict(snapshot, site, system).state in WELL}
    if not back:
        return
    kept = [name for name in entry.record.declined if name not in placed or placed[name].record.system not in back]
    sentence = f"{' and '.join(sorted(back))} at {site} works again: what was declined there is asked anew if it fails"
    record = entry.record.model_copy(update={"declined": tuple(kept)})
    premise = Premise(keys.failover(site), mod_revision=entry.mod_revision)
    draft.commit(f"Site {site}", Reason.FAILOVER_ENDED, sentence, {keys.failover(site): record}, (premise,))


def _end(draft: Draft, site: str, now: Instant) -> None:
    """The city is back: its failover has ended, and its quarantine begins to count."""
    entry = draft.snapshot.failovers.get(site)
    if entry is None or entry.record.state != "Active" or site not in draft.snapshot.heartbeats:
        return
    verdicts = [system_verdict(draft.snapshot, site, system) for system in _systems(draft.snapshot, site)]
    if any(verdict.state not in WELL for verdict in verdicts):
        return
    fails = any(component.state == "Fail" for verdict in verdicts for component in verdict.components)
    announced = any(verdict.state is State.MAINTENANCE for verdict in verdicts)
    ending = f"maintenance was announced for {site}" if announced and fails else f"{site} is back"
    record = entry.record.model_copy(update={"state": "Ended", "ended_at": now.wall, "ending": ending})
    sentence = f"{ending}; nothing is planned onto it for {quarantine_s(record):.0f} s, and nobody returns by himself"
    premise = Premise(keys.failover(site), mod_revision=entry.mod_revision)
    draft.commit(f"Site {site}", Reason.FAILOVER_ENDED, sentence, {keys.failover(site): record}, (premise,))
