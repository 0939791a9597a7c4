"""Forecast: what a failover of each site would do with each group, by the rules of an emergency, without doing it.

    groups at the site, most important first  --> rescue --> room that is given out is given out once
    Manual groups                             --> after all others: a person needs longer
    what its engine says of the other sites   --> left out: it would be gone with the site

One forecast serves all groups of a snapshot: a site's system is gone through once, when the first of them asks. Pure.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tandem.domain.capacity import Ledger, agents_in
from tandem.domain.decision import Draft
from tandem.domain.loss import Loss
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import FailoverRecord
from tandem.domain.rescue import carried, follows, importance, rescue, yielding
from tandem.domain.snapshot import Instant, Snapshot
from tandem.domain.verdicts import usability
from tandem.domain.words import unsaid, watching, without_words_of


@dataclass(frozen=True, slots=True)
class Prospect:
    """What would become of a group's buckets at a site, if that were lost."""

    targets: Mapping[str, int]
    """Buckets by the site that would get them."""
    left: int = 0
    """Buckets for which there would be no site."""
    reason: Reason | None = None
    """Why some are left."""
    why: str = ""
    """The same for a person: what each other site has to say."""


class Forecast:
    """Of one snapshot. Whoever shares it sees room given out once.

    Args:
        ledger: Loads to begin with; they are not changed, and must not change while this is used.
        mono: Monotonic now, by which emergencies under way wait for Ready replicas; without it they go on waiting.
    """

    def __init__(self, snapshot: Snapshot, ledger: Ledger, *, mono: float = 0.0) -> None:
        self._snapshot = snapshot
        self._now = Instant(mono, 0.0)
        self._ledger = ledger
        self._found: dict[tuple[str, str], Mapping[str, Prospect]] = {}
        self._watching: dict[tuple[str, str], Mapping[str, Mapping[str, str]]] = {}
        self._unsaid: dict[tuple[str, str], tuple[str, ...]] = {}
        self._without: dict[str, Snapshot] = {}

    def of(self, site: str, system: str, group: str) -> Prospect | None:
        """What would become of a group if `system` were lost at `site`, or is to become of it where it is lost.

        Returns: None where it has nobody.
        """
        settled = self.after_emergencies
        if (site, system) not in self._found:
            ledger = settled.copy()
            ledger.forget_plans(yielding(self._snapshot, site, {system}))
            self._found[site, system] = self._gone_through(self._silenced(site), ledger, site, system)
        return self._found[site, system].get(group)

    @cached_property
    def after_emergencies(self) -> Ledger:
        """Loads once the failovers that have not ended have done what they can."""
        ledger = self._ledger.copy()
        lost = dict(_emergencies(self._snapshot))
        if lost:
            yields = (yielding(self._snapshot, site, record.systems) for site, record in lost.items())
            ledger.forget_plans(set().union(*yields))
            for site, record in lost.items():
                for system in record.systems:
                    self._found[site, system] = self._gone_through(
                        self._snapshot, ledger, site, system, record.declined
                    )
            ledger.reserve_plans()
        return ledger

    def watching(self, site: str, system: str) -> Mapping[str, Mapping[str, str]]:
        """Who watches each part of a system's city from outside: component -> location -> its failure domain."""
        if (site, system) not in self._watching:
            self._watching[site, system] = watching(self._snapshot, site, system)
        return self._watching[site, system]

    def unsaid(self, site: str, system: str) -> tuple[str, ...]:
        """Parts of a system of which the site's own engine says nothing."""
        if (site, system) not in self._unsaid:
            self._unsaid[site, system] = unsaid(self._snapshot, site, system)
        return self._unsaid[site, system]

    def _silenced(self, site: str) -> Snapshot:
        """What would be left to go by if all of a site were lost: its own words would go with it."""
        if site not in self._without:
            self._without[site] = without_words_of(self._snapshot, site)
        return self._without[site]

    def _gone_through(
        self, snapshot: Snapshot, ledger: Ledger, site: str, system: str, declined: tuple[str, ...] = ()
    ) -> Mapping[str, Prospect]:
        """Each group's prospect. Adds to the ledger what the groups get."""
        found = {}
        draft = Draft(snapshot, 0, 0.0)
        lost = Loss("Absent", "", 0.0, (), can_release=False)
        under_way = ((other, name) for other, record in _emergencies(snapshot) for name in record.systems)
        gone = [place for place in under_way if not draft.usability(*place).usable]
        draft.lost = dict.fromkeys([(site, system), *gone], lost)
        names = [
            name
            for name, placed in snapshot.placements.items()
            if placed.record.system == system and site in placed.map.touched_shares
        ]
        for name in sorted(names, key=lambda name: (_is_manual(snapshot, name), *importance(snapshot, name))):
            rescued = rescue(draft, ledger, site, name, lost, self._now)
            if rescued is None:
                continue
            if name in declined and _is_manual(snapshot, name):
                # Whether there is room or not: nobody waits for it.
                buckets = snapshot.placements[name].map.touched_shares[site]
                why = f"{site} is lost, and its move was declined; move it by a Shift of your own"
                found[name] = Prospect({}, buckets, Reason.DECLINED, why)
                continue
            if isinstance(rescued, Refusal):
                buckets = snapshot.placements[name].map.touched_shares[site]
                found[name] = Prospect({}, buckets, rescued.reason, self._elsewhere(draft, ledger, site, name))
                continue
            targets = Counter([slot.end for slot in rescued.moves.values()])
            if rescued.left:
                why = self._elsewhere(draft, ledger, site, name)
                reason = rescued.nowhere.reason if rescued.nowhere is not None else Reason.CAPACITY_EXCEEDED
                found[name] = Prospect(targets, rescued.left, reason, why)
            else:
                found[name] = Prospect(targets)
            ledger.reserve(name, system, ledger.agents_of(name), rescued.after)
        return found

    def _elsewhere(self, draft: Draft, ledger: Ledger, site: str, name: str) -> str:
        """What each other site of a group has to say, before this group gets anything."""
        spec = self._snapshot.group_at_worst(name)
        if spec is None:
            return f"no location has published what {name} may be moved to"
        at_home = self._snapshot.placements[name].map.touched_shares[site]
        agents = people(agents_in(at_home, spec.agents))
        said = []
        for other in spec.sites:
            usable = draft.usability(other, spec.system)
            if other == site:
                continue
            if not usable.usable:
                now = usability(self._snapshot, other, spec.system)
                said.append(f"without {site}, {usable.why}" if now.usable else now.why)
                continue
            carries, not_ready = carried(self._snapshot, ledger, site, spec.system, other, self._now)
            room = max(carries - ledger.load(other, spec.system), 0)
            said.append(
                f"{spec.system} at {other} has room for {room} of the {agents} now at {site}"
                + (f" ({not_ready})" if not_ready else "")
                + ("" if follows(self._snapshot, other, spec.system) else ", but its CTI does not answer its engine")
            )
        return "; ".join(said)


def is_anybody_stranded(snapshot: Snapshot) -> bool:
    """Whether a city whose failover has not ended still has buckets: their agents may be waiting for room."""
    lost = dict(_emergencies(snapshot))
    return any(
        site in placed.map.touched_shares and placed.record.system in record.systems
        for site, record in lost.items()
        for placed in snapshot.placements.values()
    )


def _emergencies(snapshot: Snapshot) -> Iterator[tuple[str, FailoverRecord]]:
    """Failovers that have not ended, in the order in which they are gone on with."""
    for site, entry in sorted(snapshot.failovers.items()):
        if entry.record.state == "Active":
            yield site, entry.record


def _is_manual(snapshot: Snapshot, name: str) -> bool:
    spec = snapshot.group_at_worst(name)
    return spec is not None and spec.failover == "Manual"


def people(count: int) -> str:
    return "1 agent" if count == 1 else f"{count} agents"
