"""Status of a Drill: the store's record, with the figures of its Shifts."""

from collections.abc import Sequence

from tandem.api.common import DRILL_REQUEST
from tandem.api.drill import (
    AlarmSaid,
    DrillLeg,
    DrillRequestStatus,
    DrillRun,
    DrillSpec,
    DrillStatus,
    FiredAlarm,
)
from tandem.api.shift import SwitchTimes
from tandem.domain.alarms import judgements, watch_of_drill
from tandem.domain.drill_checks import never_fits
from tandem.domain.drill_legs import figures
from tandem.domain.drill_names import config_map_name
from tandem.domain.drill_requests import parse_request
from tandem.domain.records import DrillLegRecord, DrillRecord, DrillRunRecord
from tandem.domain.schedule import next_after
from tandem.domain.snapshot import Instant, PublishedDrill, Snapshot
from tandem.operator.objects import Seen
from tandem.operator.statuses.common import Said, Scene, blindness, gap_text, rfc3339, settle


def drill_status(scene: Scene, seen: Seen, local: Sequence[Said] = ()) -> DrillStatus:
    """The status of one Drill. `local`: what only this cluster's operator knows."""
    snapshot = scene.snapshot
    entry = snapshot.drills.get(seen.name)
    published = snapshot.drill_specs.get(seen.name)
    record = entry.record if entry else None
    said = [*_conditions(scene, seen, published, record), *local]
    conditions = settle(said, seen, seen.generation, scene.now)
    watch = watch_of_drill(seen.name, published, record)
    alarms = tuple(
        AlarmSaid(name=found.alarm.name, state=found.state, message=found.sentence)
        for found in (judgements(snapshot, watch) if watch is not None else ())
    )
    if record is None:
        return DrillStatus(observed_generation=seen.generation, conditions=conditions, alarms=alarms)
    return DrillStatus(
        phase=record.phase,
        next_run=_next(seen, record),
        active=(_run(snapshot, seen.short_name, record.run),) if record.run else (),
        runs=tuple(_run(snapshot, seen.short_name, run) for run in record.runs),
        alarms=alarms,
        last_outcome=record.runs[0].outcome or "" if record.runs else "",
        last_success=rfc3339(record.last_success_at),
        last_request=DrillRequestStatus(id=record.request, answer=record.answer),
        earlier_requests=tuple(DrillRequestStatus(id=one.id, answer=one.answer) for one in record.answered),
        reason=record.reason,
        message=record.message,
        observed_generation=seen.generation,
        conditions=conditions,
    )


def _next(seen: Seen, record: DrillRecord) -> str:
    spec = seen.spec
    if not isinstance(spec, DrillSpec) or spec.schedule is None or spec.suspend:
        return ""
    return rfc3339(next_after(spec.schedule, spec.time_zone, record.after) or 0.0)


def _run(snapshot: Snapshot, short_name: str, run: DrillRunRecord) -> DrillRun:
    over = bool(run.finished_at)
    return DrillRun(
        name=run.name,
        trigger=run.due.by or "Schedule",
        request=run.due.request,
        scheduled_at=rfc3339(run.due.at),
        started_at=rfc3339(run.started_at),
        finished_at=rfc3339(run.finished_at),
        outcome=run.outcome or "" if over else "",
        reason=run.reason,
        message=run.message,
        alarm=_fired(run),
        out=_leg(run.out if over else figures(snapshot, run.out)),
        back=_leg(run.back if over else figures(snapshot, run.back)),
        calls_cut=run.cut,
        report=config_map_name(short_name, run.name) if run.reported else "",
    )


def _fired(run: DrillRunRecord) -> FiredAlarm:
    found = run.alarm
    if found is None:
        return FiredAlarm()
    return FiredAlarm(name=found.name, query=found.query, value=found.value, at=rfc3339(found.at), seen_by=found.site)


def _leg(leg: DrillLegRecord) -> DrillLeg:
    times = SwitchTimes(p50=gap_text(leg.p50), p95=gap_text(leg.p95), max=gap_text(leg.max))
    return DrillLeg(
        shift=leg.shift.rpartition("/")[2],
        agents=leg.agents,
        moved=leg.moved,
        staying=leg.staying,
        seconds=round(leg.finished_at - leg.started_at) if leg.finished_at and leg.started_at else 0,
        switch_times=times if leg.moved else SwitchTimes(),
        time_to={share: gap_text(seconds) for share, seconds in leg.time_to.items()},
    )


def _conditions(scene: Scene, seen: Seen, published: PublishedDrill | None, record: DrillRecord | None) -> list[Said]:
    said = _readiness(scene, seen, published, record)
    wrong = parse_request(seen.annotations.get(DRILL_REQUEST, ""))
    if isinstance(wrong, str):
        said.append(Said("RequestValid", "False", "NotFollowed", wrong))
    return said


def _readiness(scene: Scene, seen: Seen, published: PublishedDrill | None, record: DrillRecord | None) -> list[Said]:
    """Ready: it will run when it is due. The outcome of the last run is not of this."""
    if not isinstance(seen.spec, DrillSpec):
        return _not("Stalled", "Invalid", seen.problem)
    if scene.blind:
        return [blindness(scene)]
    if published is None or record is None:
        return _not("Reconciling", "Publishing", "the locations have not read this Drill yet")
    if not published.consistent:
        return _not("Stalled", "SpecNotConsistent", published.message)
    if record.run is None:
        never = never_fits(scene.snapshot, seen.namespace, seen.spec, Instant(0.0, scene.now))
        if never is not None:
            return _not("Stalled", "WindowsTooShort", never.message)
    return [Said("Ready", "True", record.reason or "Waiting", record.message or "waits for its time")]


def _not(kind: str, reason: str, message: str) -> list[Said]:
    return [Said("Ready", "False", reason, message), Said(kind, "True", reason, message)]
