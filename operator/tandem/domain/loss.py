"""Loss: what speaks for a system being lost at a site, and since when.

    Absent  its engine writes nothing, two outside locations accuse one component, and nobody outside gets any answer;
            where connections to it still come about, its machines run: it may only be starved, and is waited for longer
            (where its softswitch answers and nothing else does, the same, once its clients have lost it as well)
    Down    its engine writes, and says itself that a component does not work; another location finds the same, and
            nobody who tries that component gets through

From outside, a city that is dead and one that is cut off look the same, and nothing depends on telling them apart. Both
need firm accusations that stand without a break for `confirmAfter`, and as long with no voice in the city's favour: one
that vanishes with its observer ends no sooner than one that turns. Down waits for a moment longer, in which what
Kubernetes restarts is back. Where a person has announced work (`spec.maintenance`), nothing is Down.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tandem.api.common import duration_seconds
from tandem.constants import DOWN_EXTRA_S
from tandem.domain.snapshot import Snapshot
from tandem.domain.words import (
    COMPONENTS,
    CTI,
    DEEP,
    ENGINE,
    SIGN_IN,
    Departed,
    Word,
    accusation,
    departed,
    is_accused,
    observers,
    words_about,
)


@dataclass(frozen=True, slots=True)
class Loss:
    """What speaks for it. Only one that is confirmed (`in_s` <= 0) moves anybody."""

    kind: Literal["Absent", "Down"]
    sentence: str
    in_s: float
    """Seconds until it is confirmed; 0 or less: it is."""
    evidence: tuple[tuple[str, int], ...]
    """Keys of the words that this rests on, with their mod revisions: premises of what is done about it."""
    can_release: bool
    """Whether its CTI can be asked to release its agents: it answers its own engine."""


def loss(snapshot: Snapshot, site: str, system: str, mono: float) -> Loss | None:
    """What speaks for a system being lost at a site; None: not enough.

    Args:
        mono: Now, on this engine's monotonic clock.
    """
    if snapshot.site(site) is None or not is_accused(snapshot, site, system):
        return None
    found = _breakdowns if site in snapshot.heartbeats else _absences
    return min(found(snapshot, site, system, mono), key=lambda loss: loss.in_s, default=None)


def spared(snapshot: Snapshot, site: str, system: str) -> str:
    """Why a system is not lost although enough speak against it: who gets through to what, since when.

    Returns: The end of a sentence; empty when there is nothing of the kind.
    """
    spec = snapshot.site(site)
    if spec is None or not is_accused(snapshot, site, system):
        return ""
    if site not in snapshot.heartbeats:
        words = _outside(snapshot, site, system)
        accused = any(_enough(words[component]) for component in COMPONENTS)
        praise = [(component, word) for component, said in words.items() for word in said if word.passes]
    elif not spec.maintenance:
        accused = True
        praise = [
            (component, word)
            for component in (*COMPONENTS, *DEEP)
            if _enough(said := words_about(snapshot, site, system, component), confession=site)
            for word in said
            if word.passes
        ]
    else:
        return ""
    who = "; ".join(_through(component, word, site, system) for component, word in praise)
    return f"not given up: {who}" if accused and who else ""


def _enough(words: Iterable[Word], confession: str = "") -> bool:
    """Whether the firm words are enough; with one by the site `confession`, where that is needed."""
    firm = [word for word in words if word.firm]
    return accusation(firm).enough and (not confession or any(word.observer == confession for word in firm))


def _through(component: str, word: Word, site: str, system: str) -> str:
    verb = "passes" if component in DEEP else "reaches"
    since = datetime.fromtimestamp(word.since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{word.observer} {verb} the {component} of {site if component == ENGINE else system} since {since}"


def _absences(snapshot: Snapshot, site: str, system: str, mono: float) -> list[Loss]:
    spec = snapshot.site(site)
    if spec is None:
        return []
    outside = _outside(snapshot, site, system)
    everything = [word for words in outside.values() for word in words]
    if any(word.passes for word in everything):
        return _without_its_cti(snapshot, site, system, mono, outside)  # else it is not gone; it may be slow
    plain = [word for component in (*COMPONENTS, ENGINE) for word in outside[component]]
    if not all(word.firm or word.stale for word in plain):
        return []  # one lost answer must not end what somebody has just said in its favour
    # Those who try it find out one after the other, at most a probe's time apart: so much younger the last may be.
    apart = duration_seconds(spec.detection.interval) + duration_seconds(spec.detection.timeout)
    # A Pass that has become stale was believed until then, whatever it was worth.
    praised_until = max((word.seen_at - (0.0 if word.stale else apart) for word in plain), default=0.0)
    gone = _gone(snapshot, site, system, (*COMPONENTS, ENGINE))
    praised_until = max([praised_until, *(voice.until for voice in gone)])
    ends = [*(word.connected_until for word in plain), *(voice.connected_until for voice in gone)]
    connected_until = max(ends, default=0.0)
    connecting = sorted({word.observer for word in plain if word.connects})
    confirm_after, hung_after = map(duration_seconds, (spec.detection.confirm_after, spec.detection.hung_after))
    found = []
    for component in COMPONENTS:
        firm = [word for word in outside[component] if word.firm]
        weighed = accusation(firm)
        if weighed.enough:
            sentence = f"its engine writes nothing, and {observers(firm)} cannot reach the {component} of {system}"
            since = max(weighed.unbroken_since, praised_until)
            confirmed_at = since + max(hung_after, confirm_after)
            if connecting:
                sentence += f", while it still takes connections of {' and '.join(connecting)}: starved or hung"
            else:
                confirmed_at = min(confirmed_at, max(since, connected_until) + confirm_after)
            evidence = _evidence(everything, gone)
            found.append(Loss("Absent", sentence, confirmed_at - mono, evidence, can_release=False))
    return found


def _without_its_cti(
    snapshot: Snapshot, site: str, system: str, mono: float, outside: dict[str, list[Word]]
) -> list[Loss]:
    """A city whose softswitch answers, while its engine and its CTI answer nobody, as when their node has died.

    A softswitch vouches for itself: nobody can be signed in there. A starved CTI answers nobody new either, but its old
    connections live, so it takes the word of clients who had one; and the time after which a city counts as hung.
    """
    spec = snapshot.site(site)
    clients = [word for word in words_about(snapshot, site, system, CTI) if word.by_clients and word.firm]
    plain = [*outside[CTI], *outside[ENGINE]]
    words = [*plain, *outside[SIGN_IN]]
    firm = [word for word in outside[CTI] if word.firm]
    weighed = accusation(firm)
    unsettled = any(word.passes for word in words) or not all(word.firm or word.stale for word in plain)
    if spec is None or unsettled or not clients or not weighed.enough:
        return []
    gone = _gone(snapshot, site, system, (CTI, ENGINE))
    since = max(
        weighed.unbroken_since,
        min(word.seen_at for word in clients),
        *(word.seen_at for word in plain),
        *(voice.until for voice in gone),
    )
    wait_s = max(duration_seconds(spec.detection.hung_after), duration_seconds(spec.detection.confirm_after))
    sentence = (
        f"its engine writes nothing, {observers(firm)} cannot reach the CTI of {system}, and "
        f"its clients have lost it ({clients[0].detail}), while its softswitch answers"
    )
    return [Loss("Absent", sentence, since + wait_s - mono, _evidence([*words, *clients], gone), can_release=False)]


def _outside(snapshot: Snapshot, site: str, system: str) -> dict[str, list[Word]]:
    """What other locations say of each part of a silent city; its clients count for nothing here."""
    return {
        component: [
            word
            for word in words_about(snapshot, site, _system_of(component, system), component)
            if word.observer != site and not word.by_clients
        ]
        for component in (*COMPONENTS, *DEEP, ENGINE)
    }


def _gone(snapshot: Snapshot, site: str, system: str, components: Iterable[str]) -> list[Departed]:
    """Observers elsewhere whose word on any of these parts of a silent city is gone."""
    return [
        voice
        for component in components
        for voice in departed(snapshot, site, _system_of(component, system), component)
        if voice.observer != site
    ]


def _breakdowns(snapshot: Snapshot, site: str, system: str, mono: float) -> list[Loss]:
    found: list[Loss] = []
    spec = snapshot.site(site)
    if spec is None or spec.maintenance:
        return found
    for component in (*COMPONENTS, *DEEP):
        words = words_about(snapshot, site, system, component)
        firm = [word for word in words if word.firm]
        # Whoever gets through to a component has a veto on what is said of it, not on what is said of another one.
        if _enough(words, confession=site) and not any(word.passes for word in words):
            sentence = f"{observers(firm)} find that the {component} of {system} does not work ({firm[0].detail})"
            gone = departed(snapshot, site, system, component)
            # Since nobody gets through, whatever was known of others before that.
            since = max([*(word.seen_at for word in words if not word.by_clients), *(voice.until for voice in gone)])
            confirmed_in = since + duration_seconds(spec.detection.confirm_after) + DOWN_EXTRA_S - mono
            found.append(Loss("Down", sentence, confirmed_in, _evidence(words, gone), can_release=component != CTI))
    return found


def _system_of(component: str, system: str) -> str:
    """How a word on a component names its system: an engine is none's."""
    return "" if component == ENGINE else system


def _evidence(words: Iterable[Word], gone: Iterable[Departed]) -> tuple[tuple[str, int], ...]:
    """What must still be so when it is acted on: each word as it is, and nobody back who has fallen silent."""
    return (*((word.key, word.mod_revision) for word in words), *((voice.key, 0) for voice in gone))
