"""Status of a Site: verdict, heartbeat, what it carries, who coordinates, whether all is held."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tandem.api.site import ComponentHeartbeat, HoldStatus, SiteSpec, SiteStatus, SystemUse
from tandem.domain.capacity import Ledger
from tandem.domain.snapshot import Published
from tandem.domain.verdicts import WELL, ComponentVerdict, State, Verdict, site_verdict, system_verdict
from tandem.operator.objects import Seen
from tandem.operator.statuses.common import Said, Scene, blindness, consistency, rfc3339, settle


def site_status(scene: Scene, seen: Seen, ledger: Ledger, local: Iterable[Said] = ()) -> SiteStatus:
    """The status of one Site.

    Args:
        local: Conditions that only this cluster's operator knows, such as ReplicasOwned.
    """
    snapshot, name = scene.snapshot, seen.short_name
    published = snapshot.sites.get(name)
    spec = published.spec if published else None
    verdict = site_verdict(snapshot, name, scene.instant)
    before = {use.get("name"): use for use in seen.status.get("systems") or ()}
    systems = tuple(
        _use(scene, name, system.name, ledger, before.get(system.name, {})) for system in (spec.systems if spec else ())
    )
    hold = snapshot.hold.record if snapshot.hold else None
    said = [
        *_readiness(scene, seen, verdict, published),
        _engine(scene, name),
        consistency(scene, published),
        *local,
    ]
    return SiteStatus(
        verdict=verdict.state.value,
        reason=verdict.reason,
        message=verdict.sentence,
        since=_since(verdict, seen.status, scene.now),
        heartbeat=tuple(_heartbeat(component) for component in verdict.components),
        systems=systems,
        here=name == scene.site,
        signed_in=sum(system.signed_in for system in systems),
        capacity=sum(system.capacity for system in systems),
        coordinator=snapshot.coordinator.record.site if snapshot.coordinator else "",
        hold=HoldStatus(active=True, by=hold.by, reason=hold.reason, since=rfc3339(hold.since))
        if hold
        else HoldStatus(),
        observed_generation=seen.generation,
        conditions=settle(said, seen, seen.generation, scene.now),
    )


def _use(scene: Scene, site: str, system: str, ledger: Ledger, before: Mapping[str, Any]) -> SystemUse:
    report = scene.snapshot.report(site, system)
    verdict = system_verdict(scene.snapshot, site, system, scene.instant)
    return SystemUse(
        name=system,
        verdict=verdict.state.value,
        reason=verdict.reason,
        message=verdict.sentence,
        since=_since(verdict, before, scene.now),
        signed_in=sum(group.signed_in for group in report.groups.values()) if report else 0,
        capacity=ledger.capacity(site, system),
    )


def _since(verdict: Verdict, before: Mapping[str, Any], now: float) -> str:
    """Since when the verdict is this one: as in the status before while it is. New words for the same are no news."""
    if before.get("verdict") == verdict.state.value and before.get("since"):
        return str(before["since"])
    return rfc3339(verdict.since or now)


def _heartbeat(component: ComponentVerdict) -> ComponentHeartbeat:
    return ComponentHeartbeat(
        system=component.system,
        component=component.component,
        state=component.state,
        since=rfc3339(component.since),
        sources_for=tuple(word.observer for word in component.sources_for),
        sources_against=tuple(word.observer for word in component.sources_against),
    )


def _readiness(scene: Scene, seen: Seen, verdict: Verdict, published: Published[SiteSpec] | None) -> Iterator[Said]:
    if seen.spec is None:
        yield Said("Ready", "False", "Invalid", seen.problem)
        yield Said("Stalled", "True", "Invalid", seen.problem)
    elif scene.blind:
        yield blindness(scene)
    elif published is None or published.spec is None:
        message = f"{scene.site} has not published this object to the store yet"
        yield Said("Ready", "False", "Publishing", message)
        yield Said("Reconciling", "True", "Publishing", message)
    elif verdict.state in WELL:
        yield Said("Ready", "True", verdict.reason, verdict.sentence)
    elif verdict.state is State.UNKNOWN:
        yield Said("Ready", "Unknown", verdict.reason, verdict.sentence)
    else:
        yield Said("Ready", "False", verdict.reason, verdict.sentence)


def _engine(scene: Scene, name: str) -> Said:
    if scene.blind:
        return blindness(scene, "EngineAlive")
    heartbeat = scene.snapshot.heartbeats.get(name)
    if heartbeat is None:
        return Said("EngineAlive", "False", "NoHeartbeat", f"the engine of {name} does not write to the store")
    since = rfc3339(heartbeat.record.started_at)
    return Said("EngineAlive", "True", "Heartbeat", f"the engine of {name} writes to the store; it started at {since}")
