"""What speaks against a run that is due: an ordered chain, the first refusal is reported."""

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from tandem.api.common import duration_seconds, duration_text
from tandem.api.drill import DrillSpec
from tandem.domain.alarms import alarms_refusal, watch_of_drill
from tandem.domain.capacity import Ledger
from tandem.domain.drill_legs import least_run_s, longest_ways_s, overbooked, plan_out, shift_record, way_out
from tandem.domain.forecast import Forecast
from tandem.domain.placement import BucketMap
from tandem.domain.plan import Plan, hold_refusal
from tandem.domain.quarantine import quarantined
from tandem.domain.readiness import failover_readiness
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import DrillRecord
from tandem.domain.selection import wishes_of
from tandem.domain.snapshot import DrillEntry, Instant, PublishedDrill, Snapshot
from tandem.domain.verdicts import State, site_verdict
from tandem.domain.windows import longest_opening_s, windows_refusal


@dataclass(frozen=True)
class Question:
    """May this Drill start a run now?"""

    snapshot: Snapshot
    ledger: Ledger
    busy: dict[str, str]
    published: PublishedDrill
    spec: DrillSpec
    record: DrillRecord
    """With the run that is due."""
    now: Instant

    @property
    def namespace(self) -> str:
        return self.published.name.partition("/")[0]

    def forecast(self, ledger: Ledger) -> Forecast:
        """What a failover would do. A Shift raises the replicas that it needs and waits until they are Ready; only a
        rehearsed failover must do with those that are Ready already."""
        return Forecast(self.snapshot, ledger.copy(all_ready=self.spec.failover is None), mono=self.now.mono)


@dataclass(frozen=True)
class Start:
    """It may: with this plan, from these maps."""

    plan: Plan
    before: dict[str, dict[str, str]]
    out_s: float
    """Seconds that the way out takes at most."""
    back_s: float
    """The same of the way back."""


def never_fits(snapshot: Snapshot, namespace: str, spec: DrillSpec, now: Instant) -> Refusal | None:
    """Windows that can hold no run of this Drill, whenever it is due and however few agents there are."""
    opening_s = longest_opening_s(spec.windows)
    if opening_s == inf:
        return None
    wishes = wishes_of(snapshot, namespace, shift_record(snapshot, way_out(spec.shift, spec.failover), "", now))
    if isinstance(wishes, Refusal):
        return None  # It says so when it is due.
    least_s = least_run_s(spec, wishes)
    if least_s < opening_s:
        return None
    message = (
        f"spec.windows leaves at most {duration_text(opening_s)} in one piece, and a run has to fit into it with at "
        f"least {duration_text(least_s)}: {spec.hold} there, and on both ways maxTalk and maxWrapUp of who may be in a "
        "call; widen the windows, shorten spec.hold, or state a shorter spec.shift.drain"
    )
    return Refusal(Reason.OUTSIDE_WINDOWS, message)


def world_refusal(question: Question) -> Refusal | None:
    """What the world has against a run, whatever its plan: found without making one."""
    return next(filter(None, (check(question) for check in WORLD_CHAIN)), None)


def may_start(question: Question) -> Start | Refusal:
    """The plan of the way out, when nothing speaks against it; the world has been asked (`world_refusal`)."""
    found = plan_out(question.snapshot, question.ledger, question.busy, question.namespace, question.spec, question.now)
    if isinstance(found, Refusal):
        return found
    plan, wishes = found
    out_s, back_s = longest_ways_s(question.spec, plan, wishes)
    start = Start(plan, {part.group: part.before for part in plan.groups}, out_s, back_s)
    forecast = question.forecast(question.ledger)
    for wish in wishes:
        readiness = failover_readiness(question.snapshot, wish.group, wish.spec, wish.placed, forecast)
        if wish.group in start.before and not readiness.ready:
            message = f"{wish.group} is not FailoverReady ({readiness.reason}): {readiness.message}"
            return Refusal(Reason.NOT_FAILOVER_READY, message, temporary=True)
    for answer in PLAN_CHAIN:
        refusal = answer(question, start)
        if refusal is not None:
            return refusal
    return start


# -- what the world has against it


def suspended(question: Question) -> Refusal | None:
    if not question.spec.suspend:
        return None
    return Refusal(Reason.SUSPENDED, "spec.suspend is true; set it to false to let it run")


def inconsistent(question: Question) -> Refusal | None:
    if question.published.consistent:
        return None
    return Refusal(Reason.SPEC_NOT_CONSISTENT, f"Drill {question.published.message}", temporary=True)


def held(question: Question) -> Refusal | None:
    return hold_refusal(question.snapshot)


def outside_windows(question: Question) -> Refusal | None:
    spec = question.spec
    lasts_s = duration_seconds(spec.hold)
    return windows_refusal(spec.windows, spec.time_zone, question.now.wall, lasts_s, "hold time included")


def not_healthy(question: Question) -> Refusal | None:
    for site in sorted(question.snapshot.sites):
        verdict = site_verdict(question.snapshot, site, question.now)
        if verdict.state is State.MAINTENANCE:
            return Refusal(Reason.MAINTENANCE, f"{verdict.sentence}; a Drill waits for its end", temporary=True)
        if verdict.state is not State.HEALTHY:
            message = f"{site} is {verdict.state}: {verdict.sentence}"
            return Refusal(Reason.SITE_NOT_HEALTHY, message, temporary=True)
    return None


def quarantine(question: Question) -> Refusal | None:
    refusals = (quarantined(question.snapshot, site, question.now) for site in question.snapshot.active_sites())
    return next(filter(None, refusals), None)


def shift_under_way(question: Question) -> Refusal | None:
    drills = {
        leg.shift
        for entry in question.snapshot.drills.values()
        if entry.record.run is not None
        for leg in (entry.record.run.out, entry.record.run.back)
    }
    for shift in question.snapshot.unfinished_shifts():
        # One that awaits approval has its groups not for itself; another Drill's is that Drill's business.
        if shift.record.phase != "AwaitingApproval" and shift.name not in drills:
            message = f"Shift {shift.name} is under way ({shift.record.phase}); wait until it has finished, or abort it"
            return Refusal(Reason.SHIFT_CONFLICT, message, temporary=True)
    return None


def alarmed(question: Question) -> Refusal | None:
    watch = watch_of_drill(question.published.name, question.published, question.record)
    return alarms_refusal(question.snapshot, watch) if watch is not None else None


WORLD_CHAIN: Final[tuple[Callable[[Question], Refusal | None], ...]] = (
    suspended,  # a person's word on this Drill comes first
    inconsistent,  # what follows reads the spec
    held,
    outside_windows,
    quarantine,  # before the verdicts: it says more
    not_healthy,
    shift_under_way,
    alarmed,  # last: it is asked for this very run, and takes a moment to be answered
)


# -- what speaks against this plan


def nobody_there(question: Question, start: Start) -> Refusal | None:
    """A run that moves nobody rehearses nothing, and must not count as a success."""
    if any(plan.agents for plan in start.plan.groups):
        return None
    where = " and ".join(sorted({site for plan in start.plan.groups for site in plan.sources}))
    message = f"no agent of its {len(start.plan.groups)} groups is signed in at {where}, so nobody would be rehearsed"
    return Refusal(Reason.NOBODY_REHEARSED, f"{message}; choose a time at which they work", temporary=True)


def another_drill(question: Question, start: Start) -> Refusal | None:
    """One Drill at a time for each pair of locations, and for each group."""
    wanted = pairs_of(start.plan)
    for other in sorted(question.snapshot.drills.values(), key=lambda entry: entry.name):
        if not other.under_way or other.name == question.published.name:
            continue
        shared = wanted & _pairs_under_way(question.snapshot, other)
        if shared:
            pair = " and ".join(sorted(next(iter(sorted(shared, key=sorted)))))
            message = f"Drill {other.name} is under way between {pair}; one at a time for each pair of locations"
            return Refusal(Reason.DRILL_CONFLICT, message, temporary=True)
    return None


def pairs_of(plan: Plan) -> set[frozenset[str]]:
    """Pairs of locations between which a plan moves agents."""
    return {frozenset(direction.split(">")) for group in plan.groups for direction in group.moves}


def _pairs_under_way(snapshot: Snapshot, other: DrillEntry) -> set[frozenset[str]]:
    run = other.record.run
    if run is None:
        return set()
    homes = {site for encoded in run.before.values() for site in BucketMap.parse(encoded).end_shares}
    return {frozenset((home, goal)) for home in homes for goal in run.goals if home != goal}


def still_moving(question: Question, start: Start) -> Refusal | None:
    """The map to restore must be one of rest."""
    for group in start.before:
        if question.snapshot.placements[group].map.in_transit:
            message = f"buckets of {group} are still on their way to another site; wait until they arrived"
            return Refusal(Reason.STILL_MOVING, message, temporary=True)
    return None


def away(question: Question, start: Start) -> Refusal | None:
    """Whoever waits for the way home after an emergency is not sent on a rehearsal: he would not be brought home."""
    for group in start.before:
        cause = question.snapshot.placements[group].record.cause
        spec = question.snapshot.group(group)
        if question.snapshot.failover_of(cause) is not None and spec is not None and spec.return_.mode == "Automatic":
            message = f"{group} is away by {cause} and returns by itself; a Drill waits until it is home"
            return Refusal(Reason.AWAY_FROM_HOME, message, temporary=True)
    return None


def ways_outside_windows(question: Question, start: Start) -> Refusal | None:
    """The same as `outside_windows` for the whole run: calls that go on, pace and waves may make its ways long."""
    spec = question.spec
    lasts_s = start.out_s + duration_seconds(spec.hold) + start.back_s
    out, back = duration_text(start.out_s), duration_text(start.back_s)
    what = f"at most {out} out, {spec.hold} there, {back} back: waves, pace, maxTalk and maxWrapUp make it so long"
    return windows_refusal(spec.windows, spec.time_zone, question.now.wall, lasts_s, what)


def no_way_back(question: Question, start: Start) -> Refusal | None:
    return overbooked(question.snapshot, question.ledger, start.before)


def asks_a_person(question: Question, start: Start) -> Refusal | None:
    """The automatic path is rehearsed, and of such a group a failover does nothing by itself."""
    if question.spec.failover is None:
        return None
    for group in start.before:
        spec = question.snapshot.group(group)
        if spec is not None and spec.failover == "Manual":
            message = f"{group} has spec.failover Manual, so there is no automatic failover of it; leave it out"
            return Refusal(Reason.MANUAL_FAILOVER, f"{message} of spec.shift.selector")
    return None


def cannot_be_silent(question: Question, start: Start) -> Refusal | None:
    """Agents of the site that counts as lost are kept silent by its CTIs."""
    if question.spec.failover is None:
        return None
    site = question.spec.failover.site
    for system in sorted({plan.system for plan in start.plan.groups}):
        report = question.snapshot.report(site, system)
        if report is None or report.capabilities is None:
            message = f"the CTI of {system} at {site} does not say what it can do"
            return Refusal(Reason.NO_REPORT, message, temporary=True)
        if not report.capabilities.impair:
            message = f"the CTI of {system} at {site} cannot keep idle agents silent (capability impair)"
            return Refusal(Reason.UNSUPPORTED_BY_CTI, f"{message}; rehearse with kind Shift")
    return None


PLAN_CHAIN: Final[tuple[Callable[[Question, Start], Refusal | None], ...]] = (
    asks_a_person,  # first what waiting cannot cure
    cannot_be_silent,
    another_drill,
    still_moving,
    away,
    no_way_back,
    ways_outside_windows,
    nobody_there,  # last: it may change with the next agent who signs in
)
