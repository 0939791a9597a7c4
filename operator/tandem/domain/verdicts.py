"""Verdicts: what the independent sources together say of a site's systems.

Healthy      everybody who tries it gets through
Maintenance  a person says so
Unknown      too little is said of it
Degraded     usable, but somebody has a firm accusation against it
Suspect      accused, and not enough to act on it yet, or not for long enough
Down         broken, but its engine still writes, so it can cooperate (`loss`, confirmed)
Absent       silent, and nobody gets through to it (`loss`, confirmed)
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, Literal

from tandem.domain.loss import Loss, loss, spared
from tandem.domain.snapshot import Instant, Snapshot
from tandem.domain.words import COMPONENTS, DEEP, ENGINE, Word, accusation, observers, words_about


class State(StrEnum):
    """Worst last."""

    HEALTHY = "Healthy"
    MAINTENANCE = "Maintenance"
    UNKNOWN = "Unknown"
    DEGRADED = "Degraded"
    SUSPECT = "Suspect"
    DOWN = "Down"
    ABSENT = "Absent"


WELL: Final = (State.HEALTHY, State.DEGRADED, State.MAINTENANCE)
"""What ends an emergency."""


@dataclass(frozen=True, slots=True)
class ComponentVerdict:
    system: str
    component: str
    state: Literal["Pass", "Fail", "Unknown"]
    since: float
    sources_for: tuple[Word, ...]
    sources_against: tuple[Word, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the sources say of one system of a site, or of the whole site."""

    state: State
    reason: str
    sentence: str
    since: float
    """Since when, as far as the sources tell, in seconds since the epoch; 0: they do not."""
    components: tuple[ComponentVerdict, ...] = ()
    not_given_up: bool = False
    """Whether enough speak against a system that is not lost all the same; the sentence says who gets through."""


def component_verdict(snapshot: Snapshot, site: str, system: str, component: str) -> ComponentVerdict:
    words = words_about(snapshot, site, system, component)
    speaking_for = tuple(word for word in words if word.passes)
    against = tuple(word for word in words if word.fails)
    state: Literal["Pass", "Fail", "Unknown"] = "Unknown"
    if accusation(against).enough or (against and not speaking_for):
        state = "Fail"
    elif speaking_for:
        state = "Pass"
    deciding = against if state == "Fail" else speaking_for
    return ComponentVerdict(
        system, component, state, max((word.since for word in deciding), default=0.0), speaking_for, against
    )


def system_verdict(snapshot: Snapshot, site: str, system: str, now: Instant | None = None) -> Verdict:
    """The verdict on one system of one site. Systems are judged apart: hotel may be suspect while flight is fine.

    Args:
        now: On the clock of whoever took the snapshot. None: what only time confirms, and no failover says, is Suspect.
    """
    spec = snapshot.site(site)
    if spec is None or spec.system(system) is None:
        return Verdict(State.UNKNOWN, "UnknownSystem", f"{site} has no system {system}", 0.0)
    components = tuple(component_verdict(snapshot, site, system, component) for component in COMPONENTS)
    components += tuple(
        component
        for component in (component_verdict(snapshot, site, system, component) for component in DEEP)
        if component.state != "Unknown"
    )
    lost = loss(snapshot, site, system, now.mono if now is not None else 0.0)
    if lost is not None:
        state, reason = (State.ABSENT, "HeartbeatGone") if lost.kind == "Absent" else (State.DOWN, "OwnWordToo")
        confirmed_at = _confirmed_at(snapshot, site, system, lost, now)
        if confirmed_at is not None:
            return Verdict(state, reason, lost.sentence, confirmed_at, components)
        since = max((word.since for component in components for word in component.sources_against), default=0.0)
        sentence = f"{lost.sentence}; it counts as {lost.kind} once that has stood unbroken for long enough"
        return Verdict(State.SUSPECT, reason, sentence, since, components)
    verdict = _judge(site, system, components, spec.maintenance, usability(snapshot, site, system).usable)
    why_not = spared(snapshot, site, system)
    return replace(verdict, sentence=f"{verdict.sentence}; {why_not}", not_given_up=True) if why_not else verdict


def _confirmed_at(snapshot: Snapshot, site: str, system: str, lost: Loss, now: Instant | None) -> float | None:
    """Since when a loss is confirmed, in seconds since the epoch; None: it is not yet."""
    entry = snapshot.failovers.get(site)
    if entry is not None and entry.record.state == "Active" and system in entry.record.systems:
        return entry.record.started_at  # by the coordinator: whoever has only just begun to look need not wait again
    return now.wall + lost.in_s if now is not None and lost.in_s <= 0 else None


def next_confirmation(snapshot: Snapshot, mono: float) -> float | None:
    """Seconds until the next loss is confirmed, unless something changes: verdicts change by time alone then.

    Args:
        mono: Now, on the monotonic clock of whoever took the snapshot.
    """
    losses = (
        loss(snapshot, name, system.name, mono)
        for name, published in snapshot.sites.items()
        for system in (published.spec.systems if published.spec else ())
    )
    return min((lost.in_s for lost in losses if lost is not None and lost.in_s > 0), default=None)


def site_verdict(snapshot: Snapshot, site: str, now: Instant | None = None) -> Verdict:
    """The worst verdict of the site's systems; for a site without systems (the witness) that on its engine.

    Args:
        now: As of `system_verdict`.
    """
    spec = snapshot.site(site)
    if spec is None:
        return Verdict(State.UNKNOWN, "UnknownSite", f"no Site named {site} is published", 0.0)
    engine = component_verdict(snapshot, site, "", ENGINE)
    if not spec.systems:
        if engine.state == "Pass":
            return Verdict(State.HEALTHY, "EngineReached", f"the engine of {site} answers", engine.since, (engine,))
        if engine.state == "Fail":
            sentence = f"{observers(engine.sources_against)} cannot reach the engine of {site}"
            return Verdict(State.SUSPECT, "EngineNotReached", sentence, engine.since, (engine,))
        return Verdict(State.UNKNOWN, "NoEvidence", f"nobody reports on the engine of {site}", 0.0, (engine,))
    verdicts = [system_verdict(snapshot, site, system.name, now) for system in spec.systems]
    worst = max(verdicts, key=lambda verdict: _SEVERITY[verdict.state])
    components = tuple(component for verdict in verdicts for component in verdict.components)
    return Verdict(worst.state, worst.reason, worst.sentence, worst.since, (engine, *components))


_SEVERITY: Final = {state: rank for rank, state in enumerate(State)}


def _judge(
    site: str, system: str, components: tuple[ComponentVerdict, ...], maintenance: bool, usable: bool
) -> Verdict:
    """The first rule that applies gives the verdict."""
    name = f"{system} at {site}"
    against = [(c, word) for c in components for word in c.sources_against]
    if maintenance:
        sentence = f"{site} is in maintenance by its Site's spec.maintenance: no planned move onto it"
        return Verdict(State.MAINTENANCE, "Maintenance", sentence, 0.0, components)
    if against:
        worst = max(components, key=lambda c: accusation(c.sources_against).independent)
        count = accusation(worst.sources_against).independent
        reason = "AccusedByTwo" if accusation(worst.sources_against).enough else "AccusedByOne"
        details = "; ".join(f"{word.observer} on the {c.component}: {word.detail or 'fails'}" for c, word in against)
        sources = "independent source" if count == 1 else "independent sources"
        since = min(word.since for _, word in against)
        state = State.DEGRADED if usable and any(word.firm for _, word in against) else State.SUSPECT
        return Verdict(state, reason, f"{name}: {count} {sources} against it ({details})", since, components)
    for component in components[: len(COMPONENTS)]:
        own = [word for word in component.sources_for if word.observer == site]
        outside = [word for word in component.sources_for if word.observer != site]
        if not own and not outside:
            sentence = f"{name}: nobody reports on its {component.component}"
            return Verdict(State.UNKNOWN, "NoEvidence", sentence, 0.0, components)
        if not own:
            sentence = f"{name}: its own engine says nothing of the {component.component}"
            return Verdict(State.UNKNOWN, "NoOwnWord", sentence, 0.0, components)
        if not outside:
            sentence = f"{name}: no other location says anything of the {component.component}"
            return Verdict(State.UNKNOWN, "NoOutsideWord", sentence, 0.0, components)
    since = max(component.since for component in components)
    return Verdict(State.HEALTHY, "ProbesPass", f"{name}: its own probes and outside ones pass", since, components)


@dataclass(frozen=True, slots=True)
class Usability:
    """Whether a site's system may receive agents by a planned move."""

    usable: bool
    why: str
    evidence: tuple[tuple[str, int], ...] = ()
    """Keys of the words that this rests on, with their mod revisions: premises of a commit that relies on it."""


def usability(snapshot: Snapshot, site: str, system: str) -> Usability:
    """Usable: its own probes and one other location's pass, for softswitch and CTI, and no two sources are against."""
    evidence: list[tuple[str, int]] = []
    for component in COMPONENTS:
        words = words_about(snapshot, site, system, component)
        if accusation([word for word in words if word.fails]).enough:
            return Usability(False, f"two independent sources say that the {component} of {system} at {site} fails")
        own = next((word for word in words if word.observer == site and not word.stale), None)
        if own is None:
            return Usability(False, f"{site}'s own engine says nothing of the {component} of {system}")
        if not own.passes:
            return Usability(False, f"{site}'s own probe of the {component} of {system} fails: {own.detail}")
        outside = next((word for word in words if word.observer != site and word.passes), None)
        if outside is None:
            return Usability(False, f"no other location reaches the {component} of {system} at {site}")
        evidence += [(own.key, own.mod_revision), (outside.key, outside.mod_revision)]
    for component in DEEP:
        words = words_about(snapshot, site, system, component)
        firm = [word for word in words if word.firm]
        if accusation(firm).enough or any(word.observer == site for word in firm):
            return Usability(False, f"{observers(firm)} find that the {component} of {system} at {site} fails")
        evidence += [(word.key, word.mod_revision) for word in words if word.observer == site]
    return Usability(True, f"{system} at {site} passes its own probes and another location's", tuple(evidence))
