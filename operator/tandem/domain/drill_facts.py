"""What is written down while a run goes on, so that its report does not depend on what is still there at its end.

At the start: who coordinates, what each location has read and runs, what was checked and found. On the way: each thing
that happens to the Drill and its two Shifts. At each turn of the way: what the CTIs say of its groups.
"""

from collections.abc import Iterable, Mapping

from tandem.api.common import duration_text
from tandem.constants import DRILL_EVENTS_KEPT
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.drill_checks import Question, Start
from tandem.domain.placement import BucketMap
from tandem.domain.readiness import failover_readiness
from tandem.domain.records import (
    CallCounts,
    CheckRecord,
    DrillEventRecord,
    DrillFactsRecord,
    DrillMarkRecord,
    DrillRunRecord,
    ShiftRecord,
)
from tandem.domain.snapshot import Snapshot
from tandem.domain.verdicts import site_verdict

_MOMENTS = {"Holding": "There", "Back": "Leaving"}


def first_facts(question: Question, start: Start) -> DrillFactsRecord:
    """At the start of a run."""
    snapshot = question.snapshot
    return DrillFactsRecord(
        coordinator=coordinator_of(snapshot),
        specs=_specs(snapshot, question.published.name, start.before),
        checks=tuple(_checks(question, start)),
    )


def coordinator_of(snapshot: Snapshot) -> str:
    return snapshot.coordinator.record.site if snapshot.coordinator else ""


def _specs(snapshot: Snapshot, drill: str, groups: Iterable[str]) -> dict[str, dict[str, str]]:
    """The objects that the run rests on: the Drill, its groups, all Sites, all Trunks."""
    wanted = {(keys.DRILL, drill), *((keys.AGENT_GROUP, group) for group in groups)}
    found: dict[str, dict[str, str]] = {}
    for (kind, name), copies in sorted(snapshot.digests.items()):
        if (kind, name) not in wanted and kind not in (keys.SITE, keys.TRUNK):
            continue
        by_digest: dict[str, list[str]] = {}
        for site, digest in sorted(copies.items()):
            by_digest.setdefault(digest, []).append(site)
        found[f"{kind}/{name}"] = {digest: " ".join(sites) for digest, sites in by_digest.items()}
    return found


def _checks(question: Question, start: Start) -> Iterable[CheckRecord]:
    """Every precondition with the values that it passed with; in the order in which they are checked."""
    snapshot, spec, published = question.snapshot, question.spec, question.published
    yield CheckRecord(check="not suspended", found="spec.suspend is false")
    yield CheckRecord(check="the clusters agree on the Drill", found=f"applied in {' and '.join(published.voices)}")
    yield CheckRecord(check="no hold", found="there was none")
    windows = spec.windows
    inside = f"within {len(windows.allowed)} allowed and outside {len(windows.blocked)} blocked windows, hold included"
    inside += f", and at most {duration_text(start.out_s)} for the way out and {duration_text(start.back_s)} back"
    given = windows.allowed or windows.blocked
    yield CheckRecord(check="within its windows", found=inside if given else "no windows are given")
    for site in sorted(snapshot.sites):
        verdict = site_verdict(snapshot, site)
        yield CheckRecord(check=f"{site} is Healthy", found=f"{verdict.state}: {verdict.sentence}")
    yield CheckRecord(check="no city in quarantine", found=f"none of {', '.join(snapshot.active_sites())}")
    yield CheckRecord(check="no Shift under way", found=f"none of {len(snapshot.shifts)} known to the store")
    yield from _ready(question, start)
    yield CheckRecord(check="no other Drill between the same sites", found="none")
    yield CheckRecord(check="its groups at rest", found=f"no bucket of {len(start.before)} groups on its way")
    for place in start.plan.planned.sites:
        load = place.agents
        found = f"{load.before} agents before, {load.after} with those who come or go, it carries {load.most}"
        yield CheckRecord(check=f"room for {place.system} at {place.site}", found=found)


def _ready(question: Question, start: Start) -> Iterable[CheckRecord]:
    """FailoverReady of its groups; those with the same words together."""
    snapshot = question.snapshot
    forecast = question.forecast(Ledger(snapshot))
    said: dict[str, list[str]] = {}
    examples: dict[str, str] = {}
    for group in sorted(start.before):
        spec, placed = snapshot.group(group), snapshot.placements.get(group)
        if spec is not None and placed is not None:
            found = failover_readiness(snapshot, group, spec, placed, forecast)
            said.setdefault(found.reason, []).append(group)
            examples.setdefault(found.reason, found.message)
    for reason, groups in said.items():
        yield CheckRecord(
            check="its groups are FailoverReady",
            found=f"{len(groups)} of {len(start.before)}: {reason}, like {groups[0]}: {examples[reason]}",
        )


# -- on the way


def with_event(facts: DrillFactsRecord, event: DrillEventRecord) -> DrillFactsRecord:
    """One more event, if there is still room for it and it is news of its subject."""
    last = next((one for one in reversed(facts.events) if one.subject == event.subject), None)
    if last is not None and (last.reason, last.message) == (event.reason, event.message):
        return facts
    if len(facts.events) >= DRILL_EVENTS_KEPT:
        return facts.model_copy(update={"events_left_out": facts.events_left_out + 1})
    return facts.model_copy(update={"events": (*facts.events, event)})


def with_news(facts: DrillFactsRecord, run: DrillRunRecord, snapshot: Snapshot, wall: float) -> DrillFactsRecord:
    """What the store shows of the run's Shifts, and of who decides, and was not written down yet."""
    coordinator = coordinator_of(snapshot)
    if coordinator and facts.coordinator != coordinator:
        message = f"{coordinator} decides now; it was {facts.coordinator or 'nobody'}"
        facts = with_event(
            facts, DrillEventRecord(at=wall, subject="Coordinator", reason="CoordinatorChanged", message=message)
        )
        facts = facts.model_copy(update={"coordinator": coordinator})
    for leg in (run.out, run.back):
        shift = snapshot.shifts.get(leg.shift)
        if shift is not None:
            event = DrillEventRecord(
                at=_moment_of(shift.record) or wall,
                subject=f"Shift {shift.short_name}",
                reason=shift.record.reason or shift.record.phase,
                message=shift.record.message or shift.record.phase,
            )
            facts = with_event(facts, event)
            wave = wave_key(leg.shift, shift.record.wave)
            if shift.record.wave and wave not in facts.waves:
                facts = facts.model_copy(update={"waves": {**facts.waves, wave: shift.record.wave_started_at}})
    return facts


def wave_key(shift: str, number: int) -> str:
    """Under which the start of a Shift's wave is written down."""
    return f"{shift}#{number}"


def _moment_of(record: ShiftRecord) -> float:
    """When a Shift came to say what it says, where the record has it."""
    if record.finished_at:
        return record.finished_at
    return record.wave_started_at if record.phase == "Moving" and record.reason == "WaveStarted" else 0.0


def with_marks(
    facts: DrillFactsRecord, run: DrillRunRecord, snapshot: Snapshot, phase: str, wall: float
) -> DrillFactsRecord:
    """What the CTIs say at this turn of the way; once for each."""
    moment = _MOMENTS.get(phase, "Over" if phase == "Waiting" else "Started")
    if any(mark.moment == moment for mark in facts.marks):
        return facts
    marks = tuple(_marks(run, snapshot, moment, wall))
    return facts.model_copy(update={"marks": (*facts.marks, *marks)})


def _marks(run: DrillRunRecord, snapshot: Snapshot, moment: str, wall: float) -> Iterable[DrillMarkRecord]:
    systems = groups_by_system(snapshot, run.before)
    for site in sorted(snapshot.sites):
        heartbeat = snapshot.heartbeats.get(site)
        version = (heartbeat.record.version or "unknown") if heartbeat else ""
        there = [system for system in sorted(systems) if snapshot.system(site, system) is not None]
        operator = snapshot.operators.get(site)
        base = DrillMarkRecord.model_validate(
            {
                "moment": moment,
                "at": wall,
                "site": site,
                "system": "",
                "version": version,
                "operator_version": operator.record.version if operator else "",
                "kubernetes_version": operator.record.kubernetes if operator else "",
            }
        )
        if not there:
            yield base
        for system in there:
            report = snapshot.report(site, system)
            if report is None:
                yield base.model_copy(update={"system": system})
                continue
            groups = [report.groups[group] for group in systems[system] if group in report.groups]
            counts = [group.calls for group in groups]
            yield base.model_copy(
                update={
                    "system": system,
                    "boot": report.boot,
                    "softswitch_uptime": report.softswitch_uptime,
                    "cti_version": report.capabilities.version if report.capabilities else "",
                    "softswitch_version": report.softswitch_version,
                    "signed_in": sum(group.signed_in for group in groups),
                    "talking": sum(group.talking for group in groups),
                    "calls_waiting": sum(group.calls_waiting for group in groups),
                    "counts": _sum([one for one in counts if one is not None]) if all(counts) else None,
                }
            )


def _sum(counts: list[CallCounts]) -> CallCounts:
    names = CallCounts.model_fields
    return CallCounts(**{name: sum(getattr(one, name) for one in counts) for name in names})


def groups_by_system(snapshot: Snapshot, before: Mapping[str, object]) -> dict[str, list[str]]:
    """System -> the run's groups of it."""
    found: dict[str, list[str]] = {}
    for group in sorted(before):
        placed = snapshot.placements.get(group)
        if placed is not None:
            found.setdefault(placed.record.system, []).append(group)
    return found


def sites_of(run: DrillRunRecord) -> tuple[str, ...]:
    """Sites between which the run moves agents."""
    homes = {site for encoded in run.before.values() for site in BucketMap.parse(encoded).end_shares}
    return tuple(sorted(homes | set(run.goals)))
