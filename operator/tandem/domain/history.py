"""The decision log's entries: what the writes of some commits decide, as against the snapshot they were decided on.

    writes of the commits, the snapshot before  ->  entries, one for each decision and none for each group

Made from what is written, not by the rules that write it: a rule cannot forget to tell, and what it tells is what was
committed. Every placement that is written is named (`placed`) by exactly one entry. Not told: what only counts (a
Shift that verifies, weights that follow agents), and that finished Shifts are tidied away. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import chain
from typing import Final

from tandem.api.drill import UNDER_WAY
from tandem.api.shift import FINISHED
from tandem.domain import keys
from tandem.domain.capacity import agents_in
from tandem.domain.decision import Commit
from tandem.domain.history_entry import Kind, asker, entry_of, person, rule
from tandem.domain.placement import BucketMap
from tandem.domain.quarantine import quarantine_s
from tandem.domain.reasons import Reason
from tandem.domain.records import (
    DrillRecord,
    DrillRunRecord,
    FailoverRecord,
    HistoryEntry,
    OrderRecord,
    PlacementRecord,
    ShiftRecord,
    TrunkRecord,
    Who,
)
from tandem.domain.routes import EffectiveRoute
from tandem.domain.snapshot import FAILOVER, ShiftEntry, Snapshot
from tandem.domain.turn import cause_of

WAITS: Final = frozenset(
    {
        Reason.CAPACITY_EXCEEDED,
        Reason.TARGET_NOT_USABLE,
        Reason.UNKNOWN_SITE,
        Reason.UNKNOWN_SYSTEM,
        Reason.HELD,
        Reason.SPEC_NOT_CONSISTENT,
        Reason.SHIFT_CONFLICT,
        Reason.MAINTENANCE,
        Reason.QUARANTINED,
        Reason.NO_REPORT,
        Reason.OUTSIDE_WINDOWS,
        Reason.DRILL_CONFLICT,
        Reason.SITE_NOT_HEALTHY,
        Reason.NOT_FAILOVER_READY,
        Reason.AWAY_FROM_HOME,
        Reason.WAITING_FOR_REPLICAS,
    }
)
"""Reasons for which something waits."""

_SHIFT_PHASES: Final = {
    "AwaitingApproval": "ApprovalAsked",
    "Moving": "WaveStarted",
    "Completed": "Completed",
    "Aborting": "Aborting",
    "RolledBack": "RolledBack",
    "Interrupted": "Interrupted",
    "Failed": "Failed",
}
"""What it is called that a Shift has entered a phase; the others are steps on the way and not told."""

_GOES_ON: Final = {"Moving": "WaveContinued", "Aborting": "AbortContinued"}
"""Groups for which there was no room in the transaction that began it."""

_TAKEN_BACK: Final = frozenset({"Aborting", "AbortContinued", "Aborted", "RolledBack"})

_LAPSES: Final = frozenset({"Lapsed", "LapsedInPart"})

_DRILL_PHASES: Final = {"Checking": "Due", "Out": "Started", "Holding": "Holding", "Back": "ComingBack"}


def decided(snapshot: Snapshot, commits: Iterable[Commit]) -> tuple[HistoryEntry, ...]:
    """Entries for commits that are applied together. `snapshot`: what they were decided on."""
    behind = _Behind(snapshot)
    entries = list(chain.from_iterable(_Commit(snapshot, commit, behind).entries() for commit in commits))
    return tuple(_arrivals_together(entries))


def in_short(commits: Iterable[Commit]) -> tuple[HistoryEntry, ...]:
    """The same from the commits' own words alone, for when `decided` has a defect: that stops no emergency."""
    return tuple(
        entry_of(
            *_subject(commit.subject),
            str(commit.reason),
            commit.reason,
            commit.sentence,
            Who(kind="Rule", name=str(commit.reason)),
            placed=_placed(commit),
        )
        for commit in commits
    )


class _Commit:
    """One commit, and what it is made to say."""

    def __init__(self, snapshot: Snapshot, commit: Commit, behind: "_Behind") -> None:
        self._snapshot = snapshot
        self._commit = commit
        self._shifts_behind = behind

    def entries(self) -> list[HistoryEntry]:
        found = list(chain.from_iterable(self._of(key) for key in self._commit.writes))
        placed = _placed(self._commit)
        return self._naming(placed, found) if placed else found

    def _of(self, key: str) -> Iterator[HistoryEntry]:
        """What one write decides, apart from where it places anybody."""
        record = self._commit.writes[key]
        if isinstance(record, ShiftRecord):
            yield from self._shift(key.removeprefix(keys.SHIFTS), record)
        elif isinstance(record, OrderRecord):
            yield self._order(key.removeprefix(keys.ORDERS), record)
        elif isinstance(record, FailoverRecord):
            yield from self._failover(key.removeprefix(keys.FAILOVERS), record)
        elif isinstance(record, DrillRecord):
            yield from self._drill(key.removeprefix(keys.DRILLS), record)
        elif isinstance(record, TrunkRecord):
            yield from self._trunk(key.removeprefix(keys.TRUNKS), record)
        elif record is None and key.startswith(keys.DRILLS):
            name = key.removeprefix(keys.DRILLS)
            yield entry_of("Drill", name, "Forgotten", Reason.FORGOTTEN, self._commit.sentence, rule("Forget"))

    # -- placements

    def _naming(self, placed: Sequence[str], found: list[HistoryEntry]) -> list[HistoryEntry]:
        """Let the entry about the commit's subject name the groups that it places; there is none: make it."""
        kind, name = _subject(self._commit.subject)
        own = [number for number, entry in enumerate(found) if (entry.kind, entry.name) == (kind, name)]
        entry = found.pop(own[-1]) if own else self._default(kind, name)
        at = own[-1] if own else len(found)
        sites: set[str] = set(entry.sites)
        buckets = agents = 0
        for group in placed:
            changed, between = self._change(group)
            spec = self._snapshot.group_at_worst(group)
            buckets += changed
            agents += agents_in(changed, spec.agents if spec else 0)
            sites |= between
        changes = {
            "placed": tuple(placed),
            "groups": tuple(group for group in entry.groups if group not in set(placed)),
            "sites": tuple(sorted(sites)),
            "agents": agents,
            "buckets": buckets,
        }
        found.insert(at, entry.model_copy(update=changes))
        return found

    def _change(self, group: str) -> tuple[int, frozenset[str]]:
        """Buckets of a group that are written anew, and the sites between which they are."""
        record = self._commit.writes[keys.placement(group)]
        placed = self._snapshot.placements.get(group)
        after = BucketMap.parse(record.map).slots if isinstance(record, PlacementRecord) else ()
        before = placed.map.slots if placed else ()
        if not before or not after:
            slots = [*before, *after]
            return len(slots), frozenset(slot.end for slot in slots)
        changed = [pair for pair in zip(before, after, strict=True) if pair[0] != pair[1]]
        return len(changed), frozenset(chain.from_iterable((old.site, new.end) for old, new in changed))

    def _default(self, kind: Kind, name: str) -> HistoryEntry:
        """An entry for a commit whose only news is where it places somebody."""
        commit = self._commit
        if kind == "Shift" and (shift := self._written_or_known(name)) is not None:
            action = _GOES_ON.get(shift.phase, str(commit.reason))
            return self._about_shift(name, shift, action, commit.reason, commit.sentence)
        if commit.reason is Reason.BUCKETS_ARRIVED:
            shift_name, who = self._behind(name)
            return entry_of(kind, name, "BucketsArrived", commit.reason, commit.sentence, who, shift=shift_name)
        if commit.reason is Reason.FAILED_OVER:
            return entry_of(kind, name, "FailoverContinued", commit.reason, commit.sentence, self._who_fails_over())
        if commit.reason is Reason.FORGOTTEN:
            return entry_of(kind, name, "Forgotten", commit.reason, commit.sentence, rule("Forget"))
        return entry_of(kind, name, str(commit.reason), commit.reason, commit.sentence, rule(str(commit.reason)))

    def _written_or_known(self, name: str) -> ShiftRecord | None:
        written = self._commit.writes.get(keys.shift(name))
        known = self._snapshot.shifts.get(name)
        return written if isinstance(written, ShiftRecord) else known.record if known else None

    def _behind(self, group: str) -> tuple[str, Who]:
        """The Shift by which a group is on its way, if one is, and who stands behind the move."""
        cause = self._snapshot.placements[group].record.cause
        shift = self._shifts_behind.of(group, cause)
        if shift is not None:
            return shift.name, asker(shift.name, shift.record)
        return "", Who(kind="Order") if cause == "Order" else rule(cause)

    # -- Shifts

    def _shift(self, name: str, after: ShiftRecord) -> Iterator[HistoryEntry]:
        known = self._snapshot.shifts.get(name)
        before = known.record if known else None
        old_phase, old_wave = (before.phase, before.wave) if before else ("Pending", 0)
        question = after.cause.startswith(FAILOVER)

        def tell(action: str, why: str = "") -> HistoryEntry:
            return self._about_shift(name, after, action, after.reason, why or after.message)

        if after.spec.abort and before is not None and not before.spec.abort:
            yield tell("AbortAsked", self._commit.sentence)
        if after.plan and not (before and before.plan) and not question:
            word = "Planned" if after.spec.dry_run else "Accepted"
            plan = after.plan_text[0] if after.plan_text else after.message
            yield self._about_shift(name, after, word, Reason.PLANNED, plan)
        if question and before is not None and (over := tuple(part for part in before.plan if part not in after.plan)):
            lapsed = after.model_copy(update={"plan": over})
            yield self._about_shift(name, lapsed, "LapsedInPart", Reason.FAILOVER_ENDED, after.message)
        if (after.phase, after.wave) != (old_phase, old_wave):
            action = _SHIFT_PHASES.get(after.phase, "")
            if after.phase == "Failed" and not after.plan:
                action = "Refused"
            elif after.phase == "RolledBack" and question:
                action = "Declined" if after.reason == Reason.ABORTED_BY_USER else "Lapsed"
            elif after.phase == "RolledBack" and after.reason == Reason.ABORTED_BY_USER:
                action = "Aborted"  # nothing had been moved
            if action:
                yield tell(action)
                return
        if after.phase not in FINISHED and after.reason != (before.reason if before else ""):
            if after.reason in WAITS:
                yield tell("Waiting")
            elif (after.phase, after.wave) == (old_phase, old_wave):
                goes_on = after.reason in (Reason.WAVE_STARTED, Reason.ABORTING)
                yield tell(_GOES_ON.get(after.phase, after.reason) if goes_on else after.reason)

    def _about_shift(self, name: str, record: ShiftRecord, action: str, reason: str, why: str) -> HistoryEntry:
        sites = {site for plan in record.plan for site in (*plan.sources, *plan.targets)}
        return entry_of(
            "Shift",
            name,
            action,
            reason,
            why,
            self._who_decides(name, record, action, reason),
            sites=sorted(sites) or list(record.spec.sites),
            groups=[plan.group for plan in record.plan],
            agents=sum(plan.agents for plan in record.plan),
        )

    def _who_decides(self, name: str, record: ShiftRecord, action: str, reason: str) -> Who:
        """Whoever wants the Shift, unless somebody or something else ends it."""
        if action == "Interrupted":
            return self._who_interrupts(name, record, reason)
        if action in _TAKEN_BACK and not record.cause.startswith(FAILOVER):
            by_drill = record.cause.startswith("Drill/")
            by = person(record.spec.aborted_by or "") if record.spec.abort else rule(reason)
            return asker(name, record) if by_drill else by
        if action == "Declined" and record.spec.aborted_by:
            return person(record.spec.aborted_by)
        if action in _LAPSES:
            return rule("Failover")  # whoever may have approved it did not take it back
        return asker(name, record)

    def _who_interrupts(self, name: str, record: ShiftRecord, reason: str) -> Who:
        if reason == Reason.FAILED_OVER:
            return self._who_fails_over()
        if reason == Reason.SUPERSEDED:
            newer = self._snapshot.groups.get(record.plan[0].group) if record.plan else None
            return Who(kind="Order", name=newer.order_digest if newer else "")
        if record.cause.startswith(FAILOVER):  # a question of which a part had been carried out
            return person(record.spec.aborted_by or "") if record.spec.abort else rule("Failover")
        return asker(name, record)  # a rehearsed loss, which the Drill's own rules end

    # -- orders

    def _order(self, name: str, order: OrderRecord) -> HistoryEntry:
        if order.reason == Reason.INITIAL_PLACEMENT:
            action = "Placed"
        else:
            action = "Adopted" if order.outcome == "Adopted" else f"Order{order.outcome}"
        who = Who(kind="Order", name=order.digest)
        return entry_of("AgentGroup", name, action, order.reason, order.message, who, groups=[name], shift=order.shift)

    # -- failovers

    def _failover(self, site: str, after: FailoverRecord) -> Iterator[HistoryEntry]:
        entry = self._snapshot.failovers.get(site)
        before = entry.record if entry else FailoverRecord()
        why = self._commit.sentence
        if after.message and after.message not in why:
            why = f"{why} ({after.message})"
        if (before.number, before.state) != (after.number, after.state):
            if after.state == "Active":
                yield self._about_failover(site, "FailoverDecided", Reason.FAILED_OVER, why)
                return
            yield self._about_failover(site, "FailoverEnded", Reason.FAILOVER_ENDED, after.ending or why)
            lasts = f"nothing is planned onto {site} for {quarantine_s(after):.0f} s; an emergency may use it"
            yield entry_of("Site", site, "QuarantineBegun", Reason.QUARANTINED, lasts, rule("Quarantine"), sites=[site])
        elif before.systems != after.systems:
            yield self._about_failover(site, "FailoverWidened", Reason.FAILED_OVER, why)

    def _about_failover(self, site: str, action: str, reason: Reason, why: str) -> HistoryEntry:
        return entry_of("Site", site, action, reason, why, self._who_fails_over(), sites=[site])

    def _who_fails_over(self) -> Who:
        """The rule; a person, where all the groups that are placed were asked about."""
        placed = set(_placed(self._commit))
        causes = {record.cause for record in self._commit.writes.values() if isinstance(record, PlacementRecord)}
        for shift in self._snapshot.shifts.values() if placed else ():
            approved = shift.is_question and shift.record.spec.approved and shift.record.cause in causes
            if approved and placed <= {plan.group for plan in shift.record.plan}:
                return person(shift.record.spec.approved_by)
        return rule("Failover")

    # -- Drills

    def _drill(self, name: str, after: DrillRecord) -> Iterator[HistoryEntry]:
        known = self._snapshot.drills.get(name)
        before = known.record if known else None

        def tell(action: str, reason: str, why: str, who: Who, run: DrillRunRecord | None) -> HistoryEntry:
            groups = sorted(run.before) if run else []
            if run is not None and not groups and before is not None and before.run is not None:
                groups = sorted(before.run.before)  # one that is over has forgotten them
            homes = {site for encoded in (run.before.values() if run else ()) for site in encoded}
            sites = sorted(homes | set(run.goals if run else ()))
            agents = run.out.agents if run else 0
            return entry_of("Drill", name, action, reason, why, who, sites=sites, groups=groups, agents=agents)

        if after.schedule != (before.schedule if before else ""):
            text = f"schedule: {after.schedule}" if after.schedule else "no schedule any more"
            yield tell("Scheduled", Reason.WAITING, text, rule("Schedule"), None)
        for request, answer in _commands(before, after):
            yield tell("CommandTaken", after.reason, answer, self._commander(name, request), None)
        old_runs = {run.name for run in before.runs} if before else set()
        for run in reversed(after.runs):
            if run.name not in old_runs:
                who = _who_started(run.due.by, after.schedule)
                yield tell(run.outcome or "Ended", run.reason, f"run {run.name}: {run.message}", who, run)
        phase = before.phase if before else "Waiting"
        due = after.run.due if after.run else after.due
        who = _who_started(due.by if due else "", after.schedule)
        if after.phase != phase and after.phase in _DRILL_PHASES:
            reason, why = after.reason, after.message
            if after.phase == "Checking" and due is not None:
                reason, why = Reason.CHECKING, f"run {due.name}"  # what it waits for is another entry
            yield tell(_DRILL_PHASES[after.phase], reason, why, who, after.run)
        if before is not None and after.reason == Reason.CLOCK_AHEAD and after.after != before.after:
            action = "Rescheduled" if after.after < before.after else "Skipped"
            yield tell(action, after.reason, after.message, rule("Clock"), None)
        if after.reason == (before.reason if before else ""):
            return
        if after.reason in WAITS and after.phase != "Waiting":
            yield tell("Waiting", after.reason, after.message, who, after.run)
        elif after.phase == phase and after.phase in UNDER_WAY:
            early = after.run is not None and after.run.outcome is not None
            yield tell("ComingBackEarly" if early else "WentOn", after.reason, after.message, who, after.run)
        elif after.phase == phase and after.reason == Reason.SUSPENDED:
            yield tell("Skipped", after.reason, after.message, rule("Suspend"), None)

    def _commander(self, name: str, request: str) -> Who:
        published = self._snapshot.drill_specs.get(name)
        commands = published.requests.values() if published else ()
        return person(next((command.by for command in commands if command.id == request), ""))

    # -- Trunks

    def _trunk(self, name: str, after: TrunkRecord) -> Iterator[HistoryEntry]:
        stored = self._snapshot.routes.get(name)
        before = stored.record if stored else TrunkRecord(routes=())
        if _outline(before) == _outline(after):
            return
        action = "RoutesKept" if after.reason else "RoutesChanged"
        sites = sorted({str(route["site"]) for record in (before, after) for route in record.routes})
        why = after.message or self._commit.sentence
        yield entry_of("Trunk", name, action, after.reason or Reason.ROUTES_CHANGED, why, rule("Routes"), sites=sites)


def _outline(record: TrunkRecord) -> tuple[object, ...]:
    """What of a Trunk's routes is a decision: weights that follow agents are not, to or from nothing is."""
    routes = [EffectiveRoute.decode(encoded) for encoded in record.routes]
    shape = [(route.name, route.target, route.callers, route.weight > 0) for route in routes]
    return shape, record.decided_from, record.reason


def _arrivals_together(entries: Sequence[HistoryEntry]) -> Iterator[HistoryEntry]:
    """Groups of one Shift whose buckets arrive in one transaction are one entry."""
    together: dict[str, list[HistoryEntry]] = {}
    for entry in entries:
        if entry.action == "BucketsArrived" and entry.shift:
            together.setdefault(entry.shift, []).append(entry)
    for entry in entries:
        if entry.action != "BucketsArrived" or not entry.shift:
            yield entry
            continue
        of = together.pop(entry.shift, ())
        if not of:
            continue  # told with the first one
        groups = [group for one in of for group in one.placed]
        sites = {site for one in of for site in one.sites}
        buckets = sum(one.buckets for one in of)
        many = f"{buckets} buckets of {len(groups)} groups are empty where they were and now belong to where they went"
        changes = {
            "kind": "Shift",
            "name": entry.shift,
            "shift": "",
            "why": many if len(of) > 1 else entry.why,
            "placed": tuple(groups),
            "sites": tuple(sorted(sites)),
            "agents": sum(one.agents for one in of),
            "buckets": buckets,
        }
        yield entry.model_copy(update=changes)


# -- what a commit is about

_KINDS: Final[Mapping[str, Kind]] = {
    "Site": "Site", "AgentGroup": "AgentGroup", "Trunk": "Trunk", "Shift": "Shift", "Drill": "Drill",
}  # fmt: skip


def _subject(text: str) -> tuple[Kind, str]:
    """Kind and name of what a commit is about."""
    kind, _, name = text.partition(" ")
    return (_KINDS[kind], name) if kind in _KINDS else ("AgentGroup", text)


def _placed(commit: Commit) -> tuple[str, ...]:
    """Groups whose placement is written, or forgotten."""
    return tuple(key.removeprefix(keys.PLACEMENTS) for key in commit.writes if key.startswith(keys.PLACEMENTS))


class _Behind:
    """By which Shift a group was placed last. Looked for once for all the groups that arrive together."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def of(self, group: str, cause: str) -> ShiftEntry | None:
        """Agents may stay beyond its end, so it may be over."""
        return self._under_way.get((group, cause)) or self._over(group, cause)

    @cached_property
    def _under_way(self) -> Mapping[tuple[str, str], ShiftEntry]:
        return {
            (plan.group, cause_of(shift)): shift
            for shift in self._snapshot.unfinished_shifts()
            for plan in shift.record.plan
        }

    def _over(self, group: str, cause: str) -> ShiftEntry | None:
        namespace = group.partition("/")[0]
        found = [
            shift
            for shift in self._snapshot.shifts.values()
            if shift.namespace == namespace
            and cause_of(shift) == cause
            and any(plan.group == group for plan in shift.record.plan)
        ]
        return max(found, key=lambda shift: shift.record.started_at, default=None)


def _commands(before: DrillRecord | None, after: DrillRecord) -> list[tuple[str, str]]:
    """Commands that were taken since, in their order: each with its answer. Several may come at once."""
    told = {before.request, *(one.id for one in before.answered)} if before else set()
    known = [(after.request, after.answer), *((one.id, one.answer) for one in after.answered)]
    return [(request, answer) for request, answer in reversed(known) if request and request not in told]


def _who_started(by: str, schedule: str) -> Who:
    return person(by) if by else Who(kind="Schedule", name=schedule)
