"""The report of a run that is over: from what was written down on the way and what the store still shows. Pure.

    facts (start, events, marks) + Shifts + arrivals + maps + the runs before  ->  DrillReport

It is made once, by the coordinator in the turn that ends the run, and never again: whatever restarts later changes
nothing of it. What nobody measured is named as such.
"""

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final, Literal

from tandem.domain import published
from tandem.domain.arrivals import together
from tandem.domain.delays import Why, sentence, why_late, why_out
from tandem.domain.distribution import bin_of, rank, share_reached
from tandem.domain.drill_facts import wave_key
from tandem.domain.placement import BucketMap
from tandem.domain.records import (
    ArrivalRecord,
    ArrivalsOfShift,
    DrillFactsRecord,
    DrillLegRecord,
    DrillMarkRecord,
    DrillRunRecord,
    ShiftRecord,
)
from tandem.domain.report_model import (
    Arrival,
    CallsOfGroups,
    CallsThere,
    Check,
    DrillReport,
    Event,
    FailedOver,
    FailoverTimes,
    Location,
    MapOfGroup,
    Phase,
    Published,
    Rehearsed,
    Spec,
    Spread,
    TrendRun,
    Wave,
    Way,
)
from tandem.domain.snapshot import Snapshot

TREND_RUNS: Final = 12
"""Runs of the trend, this one included."""


def make_report(
    drill: str, run: DrillRunRecord, before: Sequence[DrillRunRecord], snapshot: Snapshot, wall: float
) -> DrillReport:
    """The report.

    Args:
        drill: `namespace/name`. run: over, with its facts and its starting maps.
        before: The runs before it, newest first.
        wall: Now, seconds since the epoch.
    """
    facts = run.facts or DrillFactsRecord()
    out, back = way(snapshot, run, "Out"), way(snapshot, run, "Back")
    failover = _failover(snapshot, run, out)
    maps = tuple(_maps(snapshot, run))
    restored, restored_text = _restored(maps)
    calls = calls_of(facts.marks, out.sites)
    return DrillReport(
        drill=drill,
        run=run.name,
        written_at=moment(wall),
        outcome=run.outcome or "",
        reason=run.reason,
        message=run.message,
        trigger=f"by command of {run.due.by}" if run.due.by else "by its schedule",
        scheduled_at=moment(run.due.at),
        started_at=moment(run.started_at) if run.started_at else None,
        finished_at=moment(run.finished_at),
        seconds=_round(run.finished_at - run.started_at) if run.started_at else None,
        coordinator=facts.coordinator,
        rehearsed=Rehearsed(
            selector=run.shift.selector.model_dump(mode="json", by_alias=True, exclude_defaults=True),
            to=" and ".join(run.goals),
            percent=run.shift.percent,
            waves=tuple(run.shift.waves),
            pace=run.shift.pace,
            hold_seconds=run.hold_s,
        ),
        groups=tuple(sorted(run.before)),
        checks=tuple(Check(check=one.check, found=one.found) for one in facts.checks),
        phases=tuple(_phases(run)),
        failover=failover,
        out=out,
        back=back,
        maps=maps,
        restored=restored,
        restored_text=restored_text,
        calls=calls,
        locations=tuple(_locations(facts.marks)),
        specs=tuple(_specs(facts)),
        events=tuple(_events(run, facts)),
        events_left_out=facts.events_left_out,
        trend=tuple(_trend(one) for one in (run.model_copy(update={"cut": calls.cut}), *before)[:TREND_RUNS]),
        published=Published(
            source=published.SOURCE,
            time_to=dict(published.TIME_TO),
            all_later=published.ALL_LATER_S,
            caution=published.CAUTION,
        ),
        not_measured=tuple(_not_measured(run, out, back, failover)),
    )


def moment(at: float) -> str:
    """A time of day, RFC 3339 with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _round(seconds: float) -> float:
    return round(seconds, 3)


# -- one way


def arrivals_of(snapshot: Snapshot, shift: str) -> dict[str, ArrivalsOfShift]:
    """Site -> those whom this Shift (`namespace/name`) brought there, all its systems together."""
    parts: dict[str, list[ArrivalsOfShift]] = {}
    for (site, _), entry in sorted(snapshot.arrivals.items()):
        found = entry.record.shifts.get(shift)
        if found is not None:
            parts.setdefault(site, []).append(found)
    return {site: together(found) for site, found in parts.items()}


def _arrived(snapshot: Snapshot, shift: str, sites: Collection[str]) -> ArrivalsOfShift:
    """Those whom this Shift brought to these sites."""
    return together([part for site, part in arrivals_of(snapshot, shift).items() if site in sites])


def time_to(bins: dict[int, int], planned: int) -> dict[str, float | None]:
    """Share of the planned agents -> seconds from the first commit; None: never."""
    return {published.share_text(share): share_reached(bins, share, planned) for share in published.SHARES}


def way(snapshot: Snapshot, run: DrillRunRecord, name: Literal["Out", "Back"]) -> Way:
    """One way of the run."""
    leg = run.out if name == "Out" else run.back
    entry = snapshot.shifts.get(leg.shift)
    record = entry.record if entry else None
    # Either way leads to as many sites as its maps name, whatever the plan calls its target.
    sites = {site for plan in record.plan for site in plan.targets} if record else set()
    by_site = arrivals_of(snapshot, leg.shift)
    found = _arrived(snapshot, leg.shift, sites)
    returned = sum(part.agents for site, part in by_site.items() if site not in sites)
    arrived = found.agents if by_site else leg.moved
    last = max(found.times, default=None)
    return Way(
        way=name,
        shift=leg.shift,
        phase=record.phase if record else "",
        message=record.message if record else "",
        sites=tuple(sorted(sites)),
        planned=leg.agents,
        arrived=arrived,
        returned=returned,
        staying=leg.staying,
        staying_accounts=record.accounts_staying if record else (),
        missing=max(leg.agents - leg.staying - arrived - returned, 0) if leg.started_at else 0,
        committed_at=moment(leg.started_at) if leg.started_at else None,
        finished_at=moment(leg.finished_at) if leg.finished_at else None,
        seconds=_round(leg.finished_at - leg.started_at) if leg.started_at and leg.finished_at else None,
        gaps=_gaps(found, leg),
        time_to=time_to(found.times, leg.agents),
        last_arrival=None if last is None else last / 1000,
        gap_bins=found.gaps,
        arrival_bins=found.times,
        waited_for=found.whys,
        slowest=tuple(_arrival(one, found.since, late=False) for one in found.slowest),
        latest=tuple(_arrival(one, found.since, late=True) for one in found.latest),
        waves=tuple(_waves(leg.shift, record, run.facts)) if record else (),
        gates=record.planned.gates if record else (),
        promises=record.planned.promises if record else (),
        limits=record.planned.limits if record else (),
    )


def _gaps(found: ArrivalsOfShift, leg: DrillLegRecord) -> Spread | None:
    return _spread_of(found.gaps, found) or _spread(leg)


def _spread_of(bins: dict[int, int], found: ArrivalsOfShift) -> Spread | None:
    """Of all of these arrivals, or of a part of them that has the longest gaps; None: there are none."""
    p50, p95, most = (rank(bins, percent) for percent in (50, 95, 100))
    if p50 is None or p95 is None or most is None:
        return None
    # The longest is known to the millisecond.
    named = [one.gap for one in found.slowest if bin_of(one.gap) in bins]
    return Spread(p50=p50, p95=p95, max=max(named, default=most))


def _arrival(one: ArrivalRecord, since: float, *, late: bool) -> Arrival:
    why = why_late(one.gap, one.delay) if late else why_out(one.gap, one.delay)
    return Arrival(
        account=one.account,
        group=one.group,
        bucket=one.bucket,
        came_from=one.came_from,
        to=one.to,
        gap=one.gap,
        after_commit=_round(max(one.at - since, 0.0)),
        why=why,
        explanation=sentence(why, one.delay, late=late),
    )


def _waves(shift: str, record: ShiftRecord, facts: DrillFactsRecord | None) -> Iterable[Wave]:
    """As planned, and as they went."""
    seen = facts.waves if facts else {}
    numbers = range(1, len(record.planned.waves) + 1)
    starts = {number: at for number in numbers if (at := seen.get(wave_key(shift, number)))}
    for number, planned in enumerate(record.planned.waves, 1):
        start = starts.get(number)
        end = starts.get(number + 1) or record.finished_at
        yield Wave(
            number=number,
            agents=planned.agents,
            started_at=moment(start) if start else None,
            after_commit=_round(start - record.started_at) if start else None,
            took=_round(end - start) if start and end else None,
            expected=planned.expected,
        )


# -- the run


def _phases(run: DrillRunRecord) -> Iterable[Phase]:
    end = run.finished_at
    starts: list[tuple[Literal["Out", "Holding", "Back"], float]] = []
    if run.started_at:
        starts.append(("Out", run.started_at))
    if run.holding_since:
        starts.append(("Holding", run.holding_since))
    if run.back.shift:
        starts.append(("Back", run.left_at or run.back.started_at or end))
    for (name, at), (_, until) in pairwise([*starts, ("", end)]):
        yield Phase(name=name, started_at=moment(at), seconds=_round(until - at))


def _failover(snapshot: Snapshot, run: DrillRunRecord, out: Way) -> FailoverTimes | None:
    if run.lost is None:
        return None
    shift = snapshot.shifts.get(run.out.shift)
    times = shift.record.rehearsal if shift is not None else None
    committed = shift.record.started_at if shift is not None else 0.0

    def after(at: float | None) -> float | None:
        return _round(at - times.silenced_at) if times is not None and at else None

    def own(found: ArrivalsOfShift) -> FailedOver | None:
        gaps, agents = _spread_of(found.failed_over_gaps, found), sum(found.failed_over_gaps.values())
        if gaps is None or times is None:
            return None
        before = committed - times.silenced_at
        return FailedOver(
            agents=agents,
            gaps=gaps,
            first_sign_in=_round(before + min(found.failed_over_times) / 1000),
            last_sign_in=_round(before + max(found.failed_over_times) / 1000),
            time_to={
                share: None if seconds is None else _round(before + seconds)
                for share, seconds in time_to(found.failed_over_times, agents).items()
            },
        )

    arrived = [committed + millis / 1000 for millis in out.arrival_bins]
    return FailoverTimes(
        site=run.lost.site,
        silence=run.lost.silence,
        silent_agents=times.silent if times is not None else None,
        silenced_at=moment(times.silenced_at) if times is not None else None,
        detected=after(times.detected_at if times is not None else None),
        confirmed=after(times.confirmed_at if times is not None else None),
        committed=after(committed),
        doors_open=after(run.doors_at),
        first_sign_in=after(min(arrived, default=None)),
        last_sign_in=after(max(arrived, default=None)),
        failed_over=own(_arrived(snapshot, run.out.shift, out.sites)),
    )


def _events(run: DrillRunRecord, facts: DrillFactsRecord) -> Iterable[Event]:
    for one in sorted(facts.events, key=lambda event: event.at):
        yield Event(
            at=moment(one.at),
            after_start=_round(one.at - run.started_at),
            subject=one.subject,
            reason=one.reason,
            message=one.message,
        )


def _maps(snapshot: Snapshot, run: DrillRunRecord) -> Iterable[MapOfGroup]:
    for group, encoded in sorted(run.before.items()):
        placed = snapshot.placements.get(group)
        if placed is None:
            yield MapOfGroup(group=group, before=encoded, after=None, verdict="Gone")
            continue
        before = BucketMap.parse(encoded)
        pairs = list(zip(before.slots, placed.map.slots, strict=True))
        verdict: Literal["Equal", "OnTheWay", "Different"] = "Different"
        if all(old == new for old, new in pairs):
            verdict = "Equal"
        elif all(old.end == new.end for old, new in pairs):
            verdict = "OnTheWay"
        yield MapOfGroup(group=group, before=before.encode(), after=placed.map.encode(), verdict=verdict)


def _restored(maps: Sequence[MapOfGroup]) -> tuple[bool | None, str]:
    if not maps:
        return None, "Nothing was moved, so there was nothing to restore."
    equal = sum(one.verdict == "Equal" for one in maps)
    if equal == len(maps):
        return True, f"All 100 buckets of each of the {len(maps)} groups are where they were before the run."
    parts = []
    for verdict, words in (
        ("OnTheWay", "have buckets on their way to where they were (agents in a call)"),
        ("Different", "have buckets that are not where they were"),
        ("Gone", "have no placement any more"),
    ):
        names = [one.group for one in maps if one.verdict == verdict]
        if names:
            shown = ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
            parts.append(f"{len(names)} {words}: {shown}")
    return False, f"{equal} of {len(maps)} groups are exactly where they were; {'; '.join(parts)}."


def _specs(facts: DrillFactsRecord) -> Iterable[Spec]:
    for name, copies in sorted(facts.specs.items()):
        sites = sorted({site for where in copies.values() for site in where.split()})
        yield Spec(object=name, digest=", ".join(sorted(copies)), sites=tuple(sites), agreed=len(copies) == 1)


# -- calls, and what runs where

_COUNTS: Final = ("answered", "hung_up", "cut", "unheard", "abandoned", "refused")


def _pairs(marks: Sequence[DrillMarkRecord]) -> dict[tuple[str, str], dict[str, DrillMarkRecord]]:
    found: dict[tuple[str, str], dict[str, DrillMarkRecord]] = {}
    for mark in marks:
        found.setdefault((mark.site, mark.system), {})[mark.moment] = mark
    return found


def _unknown(start: DrillMarkRecord, end: DrillMarkRecord | None, when: str) -> str:
    """Why nothing is known of the calls between two moments at one CTI; empty: they were counted."""
    if end is None or not start.boot or not end.boot:
        return f"its CTI said nothing at the start or at the end of {when}"
    if start.boot != end.boot:
        return f"its CTI restarted during {when} and forgot its counts"
    return "its CTI does not count calls" if start.counts is None or end.counts is None else ""


def calls_there(marks: Sequence[DrillMarkRecord], sites: Collection[str]) -> tuple[list[CallsThere], list[str]]:
    """The calls at the sites that received agents, from the last arrival to the way back; and what is not known."""
    found: dict[str, CallsThere] = {}
    not_measured = []
    for (site, system), moments in sorted(_pairs(marks).items()):
        start, end = moments.get("There"), moments.get("Leaving")
        if not system or site not in sites or start is None or end is None:
            continue
        before = found.setdefault(site, CallsThere(site=site, seconds=_round(end.at - start.at), answered=0, cut=0))
        why = _unknown(start, end, "the hold")
        answered = cut = None
        if why:
            not_measured.append(f"during the hold, {system} at {site}: {why}")
        elif start.counts is not None and end.counts is not None:
            answered, cut = end.counts.answered - start.counts.answered, end.counts.cut - start.counts.cut
        found[site] = before.model_copy(
            update={
                "answered": None if before.answered is None or answered is None else before.answered + answered,
                "cut": None if before.cut is None or cut is None else before.cut + cut,
            }
        )
    return list(found.values()), not_measured


def calls_of(marks: Sequence[DrillMarkRecord], sites: Collection[str] = ()) -> CallsOfGroups:
    """The calls of the run's groups, as far as the CTIs counted them from its start to its end.

    Args:
        sites: Those that received agents: of them it is told too what was answered there meanwhile.
    """
    in_progress: dict[str, int] = {}
    waiting: dict[str, int] = {}
    for mark in marks:
        if mark.boot:
            in_progress[mark.moment] = in_progress.get(mark.moment, 0) + mark.talking
            waiting[mark.moment] = waiting.get(mark.moment, 0) + mark.calls_waiting
    totals = dict.fromkeys(_COUNTS, 0)
    not_measured: list[str] = []
    counted = False
    for (site, system), moments in sorted(_pairs(marks).items()):
        start, end = moments.get("Started"), moments.get("Over")
        if not system or start is None:
            continue
        why = _unknown(start, end, "the run")
        if why:
            not_measured.append(f"{system} at {site}: {why}")
        elif start.counts is not None and end is not None and end.counts is not None:
            counted = True
            for name in _COUNTS:
                totals[name] += getattr(end.counts, name) - getattr(start.counts, name)
    # A part is not the whole: what one city did not count is unknown for all of them together.
    counted = counted and not not_measured
    there, unknown_there = calls_there(marks, sites)
    not_measured += [
        *unknown_there,
        "what a caller heard: a call whose sound was gone and that a party then ended counts as ended by that party",
        "calls that never reached a softswitch: only the carrier knows them",
        "a phone that dropped its call by itself counts as its agent who hung up",
    ]
    measured = [
        "counted by the CTIs from what their softswitches tell, of the run's groups in all their cities, "
        "over the whole run, hold time included"
    ]
    return CallsOfGroups(
        in_progress=in_progress,
        waiting=waiting,
        **(totals if counted else dict.fromkeys(_COUNTS)),
        there=tuple(there),
        measured=tuple(measured if counted else ()),
        not_measured=tuple(not_measured),
    )


def _locations(marks: Sequence[DrillMarkRecord]) -> Iterable[Location]:
    for (site, system), moments in sorted(_pairs(marks).items()):
        start, end = moments.get("Started"), moments.get("Over")
        if start is None:
            continue
        changed = []
        if end is not None:
            if end.version != start.version:
                changed.append(f"engine {end.version or 'gone'}")
            for what, before, after in (
                ("operator", start.operator_version, end.operator_version),
                ("Kubernetes", start.kubernetes_version, end.kubernetes_version),
                ("CTI", start.cti_version, end.cti_version),
                ("softswitch", start.softswitch_version, end.softswitch_version),
            ):
                if after and after != before:  # one that says nothing any more has not become another one
                    changed.append(f"{what} {after}")
            if end.boot != start.boot:
                changed.append(f"CTI restarted as {end.boot}" if end.boot else "CTI said nothing")
            if end.softswitch_uptime < start.softswitch_uptime:
                changed.append("softswitch restarted")
        yield Location(
            site=site,
            system=system,
            engine_version=start.version,
            cti_boot=start.boot,
            softswitch_uptime=start.softswitch_uptime,
            operator_version=start.operator_version,
            kubernetes_version=start.kubernetes_version,
            cti_version=start.cti_version,
            softswitch_version=start.softswitch_version,
            changed=tuple(changed),
        )


# -- trend, and what is missing


def _trend(run: DrillRunRecord) -> TrendRun:
    return TrendRun(
        name=run.name,
        started_at=moment(run.started_at) if run.started_at else None,
        outcome=run.outcome or "",
        agents=run.out.moved,
        seconds=_round(run.finished_at - run.started_at) if run.started_at else None,
        out=_spread(run.out),
        back=_spread(run.back),
        out_all=run.out.time_to.get("100"),
        back_all=run.back.time_to.get("100"),
        cut=run.cut,
    )


def _spread(leg: DrillLegRecord) -> Spread | None:
    return Spread(p50=leg.p50, p95=leg.p95, max=leg.max) if leg.moved else None


def _not_measured(run: DrillRunRecord, out: Way, back: Way, failover: FailoverTimes | None) -> Iterable[str]:
    if not run.started_at:
        yield "nothing was moved, so nothing was measured"
        return
    for one in (out, back):
        name = "way out" if one.way == "Out" else "way back"
        if not one.shift:
            yield f"the {name} did not take place"
        elif one.committed_at is None:
            yield f"the {name}: its Shift moved nobody"
        elif not one.gap_bins:
            yield f"the {name}: no CTI told of single agents, so there is no distribution and nobody is named"
        elif one.waited_for.get(Why.NOT_SAID):
            yield f"the {name}: of {one.waited_for[Why.NOT_SAID]} agents the CTI does not say what they waited for"
        if one.staying:
            yield f"the {name}: agents who finished a call beyond the deadline and came after its end are not counted"
        if one.missing:
            yield f"the {name}: who the {one.missing} missing agents are; a CTI names those who arrive or stay"
    yield "times since the commit compare clocks of clients and coordinator; an agent's own gap is counted on one clock"
    if failover is not None and failover.failed_over is None and out.committed_at is not None:
        yield "the automatic path's own times: no CTI told of an agent who came without a ticket"
    if run.lost is not None:
        yield "the first call at the other site: CTIs count calls, and do not say when each was answered"
    yield "phones: that a phone is registered in both cities is the clients' business, and not part of these times"
