"""Words: what each source says of one component, and what the words against it are worth.

A source is one location's observer. Its word is a key on its lease: a source that has gone says nothing, and missing
evidence is not evidence.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from tandem.domain import keys
from tandem.domain.snapshot import Snapshot

SOFTSWITCH: Final = "softswitch"
CTI: Final = "cti"
ENGINE: Final = "engine"
SIGN_IN: Final = "sign-in"
CALL: Final = "call"
COMPONENTS: Final = (SOFTSWITCH, CTI)
"""What every location probes all the time."""
CLIENTS: Final = "clients@"
"""What the name of the source begins with that speaks for the clients signed in at a location."""

DEEP: Final = (SIGN_IN, CALL)
"""What is probed through and through, at a slower beat, where the Site has test agents for it."""


@dataclass(frozen=True, slots=True)
class Word:
    """One source's word about one component."""

    observer: str
    failure_domain: str
    passes: bool
    """Whether it speaks for it: whoever gets through has a veto."""
    since: float
    """Seconds since the epoch, by the observer's clock."""
    seen_at: float
    """When this engine learned of it, on its monotonic clock."""
    detail: str = ""
    key: str = ""
    mod_revision: int = 0
    firm: bool = False
    """Against it, and of enough measured failures."""
    stale: bool = False
    """A Pass that nothing stands for any more: neither for nor against it."""
    connects: bool = False
    """Against it: nobody answers, yet connections come about."""
    connected_until: float = 0.0
    """Until when they did, where they do no more (monotonic)."""

    @property
    def fails(self) -> bool:
        return not self.passes and not self.stale

    @property
    def by_clients(self) -> bool:
        return self.observer.startswith(CLIENTS)


@dataclass(frozen=True, slots=True)
class Departed:
    """A source whose word is gone: with its observer, or taken back. What it would say now nobody knows."""

    observer: str
    key: str
    until: float
    """Until when it may have vouched for the component, on this engine's monotonic clock."""
    connected_until: float = 0.0
    """Until when connections to it came about (monotonic)."""


@dataclass(frozen=True, slots=True)
class Accusation:
    """What the words against a component are worth."""

    independent: int
    """Sources that share neither location nor failure domain."""
    enough: bool
    """Two or more, and not only the site that would receive the agents."""
    unbroken_since: float
    """Monotonic time since when that many accuse without a break; meaningless unless `enough`."""


def accusation(against: Sequence[Word], receiving: str = "") -> Accusation:
    """Weigh the words against a component.

    Args:
        against: Words that say it does not work.
        receiving: Site that would receive the agents. It may accuse, but never alone; no more may the clients.
    """
    domains: dict[str, float] = {}
    for word in sorted(against, key=lambda w: w.seen_at):
        domains.setdefault(word.failure_domain or word.observer, word.seen_at)
    others = {word.observer for word in against if not word.by_clients} - {receiving}
    enough = len(domains) >= 2 and bool(others)
    second = sorted(domains.values())[1] if enough else 0.0
    return Accusation(len(domains), enough, second)


def is_accused(snapshot: Snapshot, site: str, system: str) -> bool:
    """Whether anybody speaks firmly against any part of a system.

    Nearly always nobody does, and nothing need be weighed: every decision asks this of every city.
    """
    for component in (*COMPONENTS, *DEEP):
        for entry in snapshot.observations.get((site, system, component), {}).values():
            if entry.record.firm:
                return True
    return False


def words_about(snapshot: Snapshot, site: str, system: str, component: str) -> tuple[Word, ...]:
    found = snapshot.observations.get((site, system, component), {})
    words: list[Word] = []
    for observer, entry in sorted(found.items()):
        spec = snapshot.site(observer)
        domain = entry.record.failure_domain or (spec.failure_domain if spec else "")
        words.append(
            Word(
                observer=observer,
                failure_domain=domain,
                passes=entry.record.vouches,
                since=entry.record.since,
                seen_at=entry.seen_at,
                detail=entry.record.detail,
                key=entry.key or keys.observation(observer, site, system, component),
                mod_revision=entry.mod_revision,
                firm=entry.record.firm,
                stale=entry.record.stale,
                connects=entry.record.connects,
                connected_until=entry.connected_until,
            )
        )
    return tuple(words)


def departed(snapshot: Snapshot, site: str, system: str, component: str) -> tuple[Departed, ...]:
    """Observers whose word on a component is gone. Clients are none of them: they never vouch for anything."""
    gone = snapshot.departed.get((site, system, component), {})
    return tuple(
        Departed(
            observer, keys.observation(observer, site, system, component), word.vouched_until, word.connected_until
        )
        for observer, word in sorted(gone.items())
        if not observer.startswith(CLIENTS)
    )


def accused_until(snapshot: Snapshot, site: str, system: str) -> float:
    """Monotonic time at which the last accusation of a system ended that nobody has turned into praise; 0: none has."""
    gone = (snapshot.departed.get((site, system, component), {}) for component in (*COMPONENTS, *DEEP))
    return max((word.accused_until for words in gone for word in words.values()), default=0.0)


def watching(snapshot: Snapshot, site: str, system: str) -> dict[str, dict[str, str]]:
    """Who watches each part of a system's city from outside: component -> location -> its failure domain.

    Two of different domains that watch one component could call the city Absent; two that watch one each could not.
    """
    return {
        component: {
            word.observer: word.failure_domain or word.observer
            for word in words_about(snapshot, site, system, component)
            if word.observer != site and not word.by_clients and not word.stale
        }
        for component in COMPONENTS
    }


def unsaid(snapshot: Snapshot, site: str, system: str) -> tuple[str, ...]:
    """Parts of a system of which the site's own engine says nothing, or nothing any more."""
    said = {
        component
        for component in COMPONENTS
        for word in words_about(snapshot, site, system, component)
        if word.observer == site and not word.stale
    }
    return tuple(component for component in COMPONENTS if component not in said)


def without_words_of(snapshot: Snapshot, site: str) -> Snapshot:
    """The same without what the engine of a site says, of itself and of others: they are on its lease."""
    gone = {site, f"{CLIENTS}{site}"}
    return replace(
        snapshot,
        observations={
            about: {observer: word for observer, word in words.items() if observer not in gone}
            for about, words in snapshot.observations.items()
        },
    )


def observers(words: Iterable[Word]) -> str:
    return " and ".join(word.observer for word in words) or "nobody"
