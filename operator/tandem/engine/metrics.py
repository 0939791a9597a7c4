"""What the engine tells of itself: health for the other engines, figures for Prometheus."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, get_args

from tandem.api.drill import AlarmState, DrillPhase, Outcome
from tandem.domain.alarms import judgements, watches_of
from tandem.domain.buckets import parse_ranges
from tandem.domain.readiness import Readiness
from tandem.domain.snapshot import Instant, Snapshot
from tandem.domain.verdicts import State, site_verdict, system_verdict, usability
from tandem.engine.coordinator import Figures

Sample = tuple[dict[str, str], float]
_QUANTILES = (0.5, 0.95, 1.0)


def health(site: str, engine: str, snapshot: Snapshot, store_live: bool, epoch: int) -> str:
    """The body of /healthz. An engine that can answer at all is alive; what ails it is in the fields."""
    coordinator = snapshot.coordinator.record.site if snapshot.coordinator else ""
    return json.dumps(
        {
            "ok": True,
            "site": site,
            "engine": engine,
            "store_live": store_live,
            "revision": snapshot.revision,
            "coordinator": coordinator,
            "reigns": bool(epoch),
        }
    )


def exposition(
    site: str,
    snapshot: Snapshot,
    now: Instant,
    figures: Figures,
    store_live: bool,
    epoch: int,
    void_probes: int,
    readiness: Mapping[str, Readiness],
) -> str:
    """The body of /metrics, Prometheus text format 0.0.4. `readiness`: by group, where this engine asks."""
    lines: list[str] = []

    def metric(name: str, kind: str, text: str, samples: Iterable[Sample]) -> None:
        lines.append(f"# HELP tandem_{name} {text}")
        lines.append(f"# TYPE tandem_{name} {kind}")
        lines.extend(f"tandem_{name}{_labels(labels)} {_number(value)}" for labels, value in samples)

    metric("store_live", "gauge", "1 while the watch on the store runs.", [({}, store_live)])
    metric("store_revision", "gauge", "Newest revision of the store seen.", [({}, snapshot.revision)])
    metric("coordinator", "gauge", "1 at the location that may commit.", _coordinator(snapshot))
    metric("coordinator_epoch", "gauge", "This engine's reign; 0 when it does not reign.", [({"site": site}, epoch)])
    text = "1 where a location's member of the store takes part, 0 where not; missing where nobody says."
    metric("store_member", "gauge", text, _store_members(snapshot))
    metric("hold", "gauge", "1 while everything is held.", [({}, snapshot.hold is not None)])
    metric("verdict", "gauge", "1 for the state that the sources give a site's system.", _verdicts(snapshot, now))
    metric("usable", "gauge", "1 when a site's system may receive agents.", _usable(snapshot))
    metric("agents_signed_in", "gauge", "Agents signed in.", _signed_in(snapshot))
    metric("agents", "gauge", "Agents by what they do.", _agents(snapshot))
    metric("calls_waiting", "gauge", "Calls in the groups' queues.", _calls_waiting(snapshot))
    metric("registered_phones", "gauge", "Phones registered at a site's softswitch.", _registered(snapshot))
    metric("calls", "gauge", "Calls at a site's softswitch.", _calls(snapshot))
    text = "New calls a second at a site's softswitch, over ten seconds; missing where nobody measures them."
    metric("new_calls_per_second", "gauge", text, _new_calls(snapshot))
    text = "1 where a failover of the group would work now, 0 where not; told by the engine that reigns."
    metric("failover_ready", "gauge", text, _failover_ready(readiness))
    metric("buckets", "gauge", "Buckets per group and slot, A>B for those on their way.", _buckets(snapshot))
    metric("shifts", "gauge", "Shifts by phase.", _shifts(snapshot))
    metric("moved_agents", "gauge", "Agents who arrived by a Shift.", _moved(snapshot))
    metric("switch_seconds", "gauge", "The agents' own gaps by Shift.", _switch_seconds(snapshot))
    metric("drill_phase", "gauge", "1 for the phase of each Drill.", _drill_phases(snapshot))
    text = "When a run of this Drill last succeeded, seconds since the epoch; 0: never."
    metric("drill_last_success_timestamp_seconds", "gauge", text, _drill_successes(snapshot))
    metric("drill_last_outcome", "gauge", "1 for the outcome of the last run.", _drill_outcomes(snapshot))
    metric("drill_last_duration_seconds", "gauge", "How long the last run took, hold included.", _drill_times(snapshot))
    metric("alarm", "gauge", "1 for what the locations together say of an alarm.", _alarms(snapshot))
    metric("decisions_total", "counter", "Decisions made by this engine.", [({}, figures.decisions)])
    metric("commits_total", "counter", "Commits applied.", [({}, figures.commits)])
    metric("commits_refused_total", "counter", "Transactions refused: a premise was gone.", [({}, figures.refused)])
    metric("commits_unknown_total", "counter", "Transactions whose outcome was unknown.", [({}, figures.unknown)])
    metric("decide_seconds", "gauge", "Time to decide, of the last 512.", _quantiles(figures.decide_seconds))
    metric("commit_seconds", "gauge", "Time to commit, of the last 512.", _quantiles(figures.commit_seconds))
    metric("waiting", "gauge", "1 for what does not happen now, by reason.", _waiting(figures))
    metric("void_probes_total", "counter", "Probes that count for nothing.", [({}, void_probes)])
    return "\n".join(lines) + "\n"


def _number(value: float) -> str:
    """Six digits are enough, except of moments and revisions."""
    return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.0f}"


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _coordinator(snapshot: Snapshot) -> list[Sample]:
    holder = snapshot.coordinator.record.site if snapshot.coordinator else ""
    return [({"site": name}, name == holder) for name in sorted(snapshot.sites)]


def _store_members(snapshot: Snapshot) -> Iterable[Sample]:
    for site, entry in sorted(snapshot.store_members.items()):
        yield {"site": site}, entry.record.works


def _systems(snapshot: Snapshot) -> Iterable[tuple[str, str]]:
    for name, published in sorted(snapshot.sites.items()):
        for system in published.spec.systems if published.spec else ():
            yield name, system.name


def _verdicts(snapshot: Snapshot, now: Instant) -> Iterable[Sample]:
    for site, system in _systems(snapshot):
        found = system_verdict(snapshot, site, system, now)
        for state in State:
            yield {"site": site, "system": system, "state": state}, found.state == state
    for site in sorted(snapshot.sites):
        spec = snapshot.site(site)
        if spec is not None and not spec.systems:
            found = site_verdict(snapshot, site, now)
            for state in State:
                yield {"site": site, "system": "", "state": state}, found.state == state


def _usable(snapshot: Snapshot) -> Iterable[Sample]:
    for site, system in _systems(snapshot):
        yield {"site": site, "system": system}, usability(snapshot, site, system).usable


def _signed_in(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.reports.items()):
        for group, report in sorted(entry.record.groups.items()):
            yield {"site": site, "system": system, "group": group}, report.signed_in


_STATES: Final = ("available", "ringing", "talking", "wrapup", "on_break", "waiting", "guests", "standby")


def _agents(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.reports.items()):
        for group, report in sorted(entry.record.groups.items()):
            for state in _STATES:
                yield {"site": site, "system": system, "group": group, "state": state}, getattr(report, state)


def _calls_waiting(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.reports.items()):
        for group, report in sorted(entry.record.groups.items()):
            yield {"site": site, "system": system, "group": group}, report.calls_waiting


def _registered(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.reports.items()):
        yield {"site": site, "system": system}, entry.record.registered


def _calls(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.reports.items()):
        yield {"site": site, "system": system}, entry.record.calls


def _new_calls(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.reports.items()):
        if entry.record.calls_per_second is not None:
            yield {"site": site, "system": system}, entry.record.calls_per_second


def _failover_ready(readiness: Mapping[str, Readiness]) -> Iterable[Sample]:
    for group, found in sorted(readiness.items()):
        yield {"group": group, "reason": found.reason}, found.ready


def _buckets(snapshot: Snapshot) -> Iterable[Sample]:
    for group, placed in sorted(snapshot.placements.items()):
        for slot, ranges in sorted(placed.record.map.items()):
            yield {"group": group, "slot": slot}, len(parse_ranges(ranges))


def _shifts(snapshot: Snapshot) -> Iterable[Sample]:
    phases = Counter(shift.record.phase for shift in snapshot.shifts.values())
    return [({"phase": phase}, count) for phase, count in sorted(phases.items())]


def _moved(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.moves.items()):
        for shift, moves in sorted(entry.record.shifts.items()):
            yield {"site": site, "system": system, "shift": shift}, moves.agents


def _switch_seconds(snapshot: Snapshot) -> Iterable[Sample]:
    for (site, system), entry in sorted(snapshot.moves.items()):
        for shift, moves in sorted(entry.record.shifts.items()):
            for quantile, value in (("0.5", moves.p50), ("0.95", moves.p95), ("1", moves.max)):
                yield {"site": site, "system": system, "shift": shift, "quantile": quantile}, value


def _drill_phases(snapshot: Snapshot) -> Iterable[Sample]:
    for name, entry in sorted(snapshot.drills.items()):
        for phase in get_args(DrillPhase):
            yield {"drill": name, "phase": phase}, entry.record.phase == phase


def _drill_successes(snapshot: Snapshot) -> Iterable[Sample]:
    for name, entry in sorted(snapshot.drills.items()):
        yield {"drill": name}, entry.record.last_success_at


def _drill_outcomes(snapshot: Snapshot) -> Iterable[Sample]:
    for name, entry in sorted(snapshot.drills.items()):
        for outcome in get_args(Outcome):
            yield {"drill": name, "outcome": outcome}, [run.outcome for run in entry.record.runs[:1]] == [outcome]


def _drill_times(snapshot: Snapshot) -> Iterable[Sample]:
    for name, entry in sorted(snapshot.drills.items()):
        for run in entry.record.runs[:1]:
            yield {"drill": name}, run.finished_at - run.started_at if run.started_at else 0.0


def _alarms(snapshot: Snapshot) -> Iterable[Sample]:
    for owner, watch in sorted(watches_of(snapshot).items()):
        kind, _, name = owner.partition("/")
        for found in judgements(snapshot, watch):
            for state in get_args(AlarmState):
                labels = {kind.removesuffix("s"): name, "alarm": found.alarm.name, "state": state}
                yield labels, found.state == state


def _quantiles(values: Iterable[float]) -> Sequence[Sample]:
    ordered = sorted(values)
    if not ordered:
        return []
    return [
        ({"quantile": f"{quantile:g}"}, ordered[max(-(-len(ordered) * int(quantile * 100) // 100) - 1, 0)])
        for quantile in _QUANTILES
    ]


def _waiting(figures: Figures) -> Iterable[Sample]:
    return [({"reason": reason}, count) for reason, count in sorted(Counter(n.reason for n in figures.notes).items())]
