"""Verdicts: what the independent sources together say of a site's systems.

A source is one location's observer (later also the site's deep probes and the clients). Its word about a component is
a key on its lease: a source that has gone says nothing, and missing evidence is not evidence.

A site is Absent when its heartbeat is gone from the store and two outside locations accuse it. From outside, a city
that is dead and one that is cut off look the same, and nothing depends on telling them apart.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

from tandem.api.common import duration_seconds
from tandem.domain import keys
from tandem.domain.snapshot import Snapshot

SOFTSWITCH: Final = "softswitch"
CTI: Final = "cti"
ENGINE: Final = "engine"
COMPONENTS: Final = (SOFTSWITCH, CTI)


class State(StrEnum):
    """Worst last."""

    HEALTHY = "Healthy"
    MAINTENANCE = "Maintenance"
    UNKNOWN = "Unknown"
    SUSPECT = "Suspect"
    ABSENT = "Absent"


@dataclass(frozen=True, slots=True)
class Word:
    """One source's word about one component."""

    observer: str
    failure_domain: str
    passes: bool
    since: float
    """Seconds since the epoch, by the observer's clock."""
    seen_at: float
    """When this engine learned of it, on its monotonic clock."""
    detail: str = ""
    key: str = ""
    mod_revision: int = 0
    firm: bool = False
    """Against it, and of enough measured failures."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """What the words against a component are worth."""

    independent: int
    """Sources that share neither location nor failure domain."""
    enough: bool
    """Two or more, and not only the site that would receive the agents."""
    unbroken_since: float
    """Monotonic time since when that many accuse without a break; meaningless unless `enough`."""


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
    components: tuple[ComponentVerdict, ...] = ()


def accusation(against: Sequence[Word], receiving: str = "") -> Accusation:
    """Weigh the words against a component.

    Args:
        against: Words that say it does not work.
        receiving: Site that would receive the agents. It may accuse, but never alone.
    """
    domains: dict[str, float] = {}
    for word in sorted(against, key=lambda w: w.seen_at):
        domains.setdefault(word.failure_domain or word.observer, word.seen_at)
    others = {word.observer for word in against} - {receiving}
    enough = len(domains) >= 2 and bool(others)
    second = sorted(domains.values())[1] if enough else 0.0
    return Accusation(len(domains), enough, second)


def words_about(snapshot: Snapshot, site: str, system: str, component: str) -> tuple[Word, ...]:
    found = snapshot.observations.get((site, system, component), {})
    words: list[Word] = []
    for observer, entry in sorted(found.items()):
        spec = snapshot.site(observer)
        domain = entry.record.failure_domain or (spec.failure_domain if spec else "")
        passes = entry.record.state == "Pass"
        words.append(
            Word(
                observer=observer,
                failure_domain=domain,
                passes=passes,
                since=entry.record.since,
                seen_at=entry.seen_at,
                detail=entry.record.detail,
                key=keys.observation(observer, site, system, component),
                mod_revision=entry.mod_revision,
                firm=entry.record.firm,
            )
        )
    return tuple(words)


def component_verdict(snapshot: Snapshot, site: str, system: str, component: str) -> ComponentVerdict:
    words = words_about(snapshot, site, system, component)
    speaking_for = tuple(word for word in words if word.passes)
    against = tuple(word for word in words if not word.passes)
    state: Literal["Pass", "Fail", "Unknown"] = "Unknown"
    if accusation(against).enough or (against and not speaking_for):
        state = "Fail"
    elif speaking_for:
        state = "Pass"
    deciding = against if state == "Fail" else speaking_for
    return ComponentVerdict(
        system, component, state, max((word.since for word in deciding), default=0.0), speaking_for, against
    )


def system_verdict(snapshot: Snapshot, site: str, system: str) -> Verdict:
    """The verdict on one system of one site. Systems are judged apart: hotel may be suspect while flight is fine."""
    spec = snapshot.site(site)
    if spec is None or spec.system(system) is None:
        return Verdict(State.UNKNOWN, "UnknownSystem", f"{site} has no system {system}", 0.0)
    components = tuple(component_verdict(snapshot, site, system, component) for component in COMPONENTS)
    gone = absence(snapshot, site, system, 0.0)
    if gone is not None:
        since = max((word.since for component in components for word in component.sources_against), default=0.0)
        return Verdict(State.ABSENT, "HeartbeatGone", gone.sentence, since, components)
    return _judge(site, system, components, spec.maintenance)


def site_verdict(snapshot: Snapshot, site: str) -> Verdict:
    """The worst verdict of the site's systems; for a site without systems (the witness) that on its engine."""
    spec = snapshot.site(site)
    if spec is None:
        return Verdict(State.UNKNOWN, "UnknownSite", f"no Site named {site} is published", 0.0)
    engine = component_verdict(snapshot, site, "", ENGINE)
    if not spec.systems:
        if engine.state == "Pass":
            return Verdict(State.HEALTHY, "EngineReached", f"the engine of {site} answers", engine.since, (engine,))
        if engine.state == "Fail":
            sentence = f"{_observers(engine.sources_against)} cannot reach the engine of {site}"
            return Verdict(State.SUSPECT, "EngineNotReached", sentence, engine.since, (engine,))
        return Verdict(State.UNKNOWN, "NoEvidence", f"nobody reports on the engine of {site}", 0.0, (engine,))
    verdicts = [system_verdict(snapshot, site, system.name) for system in spec.systems]
    worst = max(verdicts, key=lambda verdict: _SEVERITY[verdict.state])
    components = tuple(component for verdict in verdicts for component in verdict.components)
    return Verdict(worst.state, worst.reason, worst.sentence, worst.since, (engine, *components))


_SEVERITY: Final = {state: rank for rank, state in enumerate(State)}


def _judge(site: str, system: str, components: tuple[ComponentVerdict, ...], maintenance: bool) -> Verdict:
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
        return Verdict(State.SUSPECT, reason, f"{name}: {count} {sources} against it ({details})", since, components)
    for component in components:
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
class Absence:
    """A city that writes nothing any more and that others cannot reach."""

    sentence: str
    in_s: float
    """Seconds until it is confirmed; 0 or less: it is."""
    evidence: tuple[tuple[str, int], ...]
    """Keys of the accusing words with their mod revisions: premises of what is done about it."""


def absence(snapshot: Snapshot, site: str, system: str, mono: float) -> Absence | None:
    """What speaks for a system's city being Absent; None while it writes, or while fewer than two accuse it.

    Args:
        mono: Now, on this engine's monotonic clock: the accusation must have stood unbroken for confirmAfter.
    """
    spec = snapshot.site(site)
    if spec is None or site in snapshot.heartbeats:
        return None
    outside = {
        component: [
            word
            for word in words_about(snapshot, site, "" if component == ENGINE else system, component)
            if word.observer != site
        ]
        for component in (*COMPONENTS, ENGINE)
    }
    everything = [word for words in outside.values() for word in words]
    if any(word.passes for word in everything):
        return None  # a city that answers anybody is not gone; it may be slow
    evidence = tuple((word.key, word.mod_revision) for word in everything)
    confirm_after = duration_seconds(spec.detection.confirm_after)
    found: list[Absence] = []
    for component in COMPONENTS:
        weighed = accusation([word for word in outside[component] if word.firm])
        if weighed.enough:
            accused_by = _observers(outside[component])
            sentence = f"its engine writes nothing, and {accused_by} cannot reach the {component} of {system}"
            found.append(Absence(sentence, weighed.unbroken_since + confirm_after - mono, evidence))
    return min(found, key=lambda absence: absence.in_s, default=None)


def accusers(snapshot: Snapshot, site: str, system: str) -> frozenset[str]:
    """Locations of different failure domains that watch a system's city from outside: who could call it Absent."""
    by_domain = {
        word.failure_domain or word.observer: word.observer
        for component in COMPONENTS
        for word in words_about(snapshot, site, system, component)
        if word.observer != site
    }
    return frozenset(by_domain.values())


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
        if accusation([word for word in words if not word.passes]).enough:
            return Usability(False, f"two independent sources say that the {component} of {system} at {site} fails")
        own = next((word for word in words if word.observer == site), None)
        if own is None:
            return Usability(False, f"{site}'s own engine says nothing of the {component} of {system}")
        if not own.passes:
            return Usability(False, f"{site}'s own probe of the {component} of {system} fails: {own.detail}")
        outside = next((word for word in words if word.observer != site and word.passes), None)
        if outside is None:
            return Usability(False, f"no other location reaches the {component} of {system} at {site}")
        evidence += [(own.key, own.mod_revision), (outside.key, outside.mod_revision)]
    return Usability(True, f"{system} at {site} passes its own probes and another location's", tuple(evidence))


def _observers(words: Iterable[Word]) -> str:
    return " and ".join(word.observer for word in words) or "nobody"
