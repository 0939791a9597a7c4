"""Readiness: would a group's agents have somewhere to go if a site that has some of them were lost now?"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from tandem.api.agentgroup import AgentGroupSpec
from tandem.domain.capacity import Ledger, agents_in
from tandem.domain.forecast import Forecast, people
from tandem.domain.quarantine import failing
from tandem.domain.quorum import lost_with
from tandem.domain.reasons import Reason
from tandem.domain.rescue import follows
from tandem.domain.snapshot import Placed, Snapshot
from tandem.domain.verdicts import system_verdict, usability
from tandem.domain.words import is_accused

_ONLY_ALL: Final = "only the loss of all of {} would be failed over"


@dataclass(frozen=True, slots=True)
class Readiness:
    """The condition `FailoverReady` of a group."""

    ready: bool
    reason: str
    message: str


def readiness_of_all(snapshot: Snapshot, mono: float) -> dict[str, Readiness]:
    """Of every group that has a placement: 0.2 s of a processor for a thousand of them. `mono`: as in `Instant`."""
    forecast = Forecast(snapshot, Ledger(snapshot), mono=mono)
    return {
        name: failover_readiness(snapshot, name, spec, placed, forecast)
        for name, placed in snapshot.placements.items()
        if (spec := snapshot.group_at_worst(name)) is not None
    }


def failover_readiness(
    snapshot: Snapshot, name: str, spec: AgentGroupSpec, placed: Placed, forecast: Forecast
) -> Readiness:
    """Whether a failover of group `name` would work right now, and if not, why: the first that applies.

    Each site is asked about where the group has agents, one that is lost already first. What was declined comes last.

    Args:
        forecast: Of the same snapshot, shared by all groups that are asked about.
    """
    homes = sorted(placed.map.touched_shares, key=lambda site: _urgency(snapshot, placed, site))
    for home in homes:
        if not set(spec.sites) - {home}:
            return Readiness(False, "NoOtherSite", f"spec.sites names only {home}; add a second site")
    hold = snapshot.hold
    if hold is not None:
        return Readiness(
            False, "Held", f"held by {hold.record.by}: nothing is failed over; `kubectl tandem resume` lifts it"
        )
    if snapshot.coordinator is None:
        return Readiness(False, "NoCoordinator", "no engine is coordinator, so nobody could commit a failover")
    declined: Readiness | None = None
    for home in homes:
        against = (
            _unwatched(forecast, home, spec.system)
            or _not_given_up(snapshot, home, spec.system)
            or _without_a_store(snapshot, home)
            or _newer_map(snapshot, name, spec, placed)
            or _in_maintenance(snapshot, home, spec.system)
            or _without_room(forecast, home, name, spec, placed)
            or _out_of_reach(forecast, snapshot, home, name, placed)
            or _unconfessed(forecast, snapshot, home, spec.system)
        )
        if against is not None and against.reason == Reason.DECLINED:
            declined = declined or against  # A person wants it so; at another site something may be wrong.
        elif against is not None:
            return against
    if declined is not None:
        return declined
    decider = "" if spec.failover == "Automatic" else "; spec.failover is Manual, so a person decides"
    ways = "; ".join(_ways(forecast, homes, name, spec, placed))
    return Readiness(True, "RoomElsewhere", f"there is room elsewhere: {ways}{decider}")


def _urgency(snapshot: Snapshot, placed: Placed, site: str) -> tuple[bool, int, str]:
    """Sorts first where somebody waits already, then where most are."""
    lost = site not in snapshot.heartbeats or failing(snapshot, site)
    return not lost, -placed.map.end_shares.get(site, 0), site


def _unwatched(forecast: Forecast, home: str, system: str) -> Readiness | None:
    watching = forecast.watching(home, system)
    if any(len(set(domains.values())) >= 2 for domains in watching.values()):
        return None
    watched = ", and ".join(
        f"the {component} of {system} is watched by {_watchers(domains)}" for component, domains in watching.items()
    )
    message = f"from outside {home}, {watched}; it takes two locations that watch the same to call it Absent"
    return Readiness(False, "TooFewObservers", f"{message}: look at the other locations' engines")


def _watchers(domains: Mapping[str, str]) -> str:
    """Locations of fewer than two failure domains."""
    if len(domains) > 1:
        return f"{' and '.join(sorted(domains))}, which are one failure domain"
    return f"{next(iter(domains))} only" if domains else "nobody"


def _not_given_up(snapshot: Snapshot, home: str, system: str) -> Readiness | None:
    """Of what fails already: who speaks for it, or that its engine is missed where only a part of the city fails."""
    writes = home in snapshot.heartbeats
    if writes and not is_accused(snapshot, home, system):
        return None
    verdict = system_verdict(snapshot, home, system)
    if verdict.not_given_up:
        return Readiness(False, "NotGivenUp", verdict.sentence)
    if writes or verdict.reason == "HeartbeatGone":
        return None  # Of the second: it is lost, or about to be, and that is what a failover is for.
    message = f"the engine of {home} writes nothing, and it takes its own word to call a system that still answers Down"
    return Readiness(False, "NoHeartbeat", f"{message}: {_ONLY_ALL.format(home)}; look at its engine")


def _without_a_store(snapshot: Snapshot, home: str) -> Readiness | None:
    why = lost_with(snapshot, home)
    return Readiness(False, "StoreWouldLoseQuorum", why) if why else None


def _newer_map(snapshot: Snapshot, name: str, spec: AgentGroupSpec, placed: Placed) -> Readiness | None:
    """A map cannot be newer than the store it comes from, unless another store took its place and counts anew."""
    for site in spec.sites:
        report = snapshot.group_report(site, spec.system, name)
        if report is not None and report.revision > placed.revision:
            message = (
                f"the CTI of {spec.system} at {site} holds revision {report.revision} of this group and the store is "
                f"at {placed.revision} only: the store was replaced under it, and it refuses whatever is older. "
                "Restore the store with `etcdutl snapshot restore --mark-compacted --bump-revision` and a number that "
                f"brings its revisions beyond {report.revision}"
            )
            return Readiness(False, "NewerMapAtCTI", message)
    return None


def _in_maintenance(snapshot: Snapshot, home: str, system: str) -> Readiness | None:
    """Nothing is Down where a person has announced work: said before something breaks there, and then by name."""
    site = snapshot.site(home)
    if site is None or not site.maintenance or home not in snapshot.heartbeats:
        return None
    found = usability(snapshot, home, system)
    broken = "" if found.usable else f"{found.why}, and "
    message = f"{broken}the spec.maintenance of Site {home} keeps what breaks there from being given up"
    remedy = "take it away, or move the agents by a Shift"
    return Readiness(False, "Maintenance", f"{message}: {_ONLY_ALL.format(home)}; {remedy}")


def _without_room(forecast: Forecast, home: str, name: str, spec: AgentGroupSpec, placed: Placed) -> Readiness | None:
    """As an emergency would have it: what the more important leave."""
    found = forecast.of(home, placed.record.system, name)
    if found is None or not found.left:
        return None
    if found.reason is Reason.TARGET_NOT_USABLE:
        return Readiness(False, "OtherSiteNotUsable", found.why)
    if found.reason is not Reason.CAPACITY_EXCEEDED:
        return Readiness(False, str(found.reason), found.why)
    left = people(agents_in(found.left, spec.agents))
    message = f"{found.why}: {left} would find no room, as more important groups come first; raise its capacity, or"
    return Readiness(False, str(found.reason), f"{message} let some work elsewhere")


def _out_of_reach(forecast: Forecast, snapshot: Snapshot, home: str, name: str, placed: Placed) -> Readiness | None:
    """A city whose CTI answers everybody but its own engine would open no door: it would not learn of a failover."""
    system = placed.record.system
    found = forecast.of(home, system, name)
    for target in sorted(found.targets) if found is not None else ():
        if not follows(snapshot, target, system):
            message = (
                f"the engine of {target} gets no answer from the CTI of {system} there, which would not learn whom"
            )
            remedy = f"look at its Site's spec.systems[{system}].cti.controlURL, at the control token and at that CTI"
            return Readiness(False, "CTINotFollowing", f"{message} whom to admit: {remedy}")
    return None


def _unconfessed(forecast: Forecast, snapshot: Snapshot, home: str, system: str) -> Readiness | None:
    """Down takes the city's own word as well: of what its engine says nothing of, nobody would hear that it broke."""
    unsaid = forecast.unsaid(home, system)
    if not unsaid or home not in snapshot.heartbeats:
        return None
    message = f"{home}'s own engine says nothing of the {' and the '.join(unsaid)} of {system}"
    why = f"it takes its word to call that Down: {_ONLY_ALL.format(home)}"
    return Readiness(False, "NoOwnWord", f"{message}, and {why}; look at its engine's log")


def _ways(forecast: Forecast, homes: Iterable[str], name: str, spec: AgentGroupSpec, placed: Placed) -> Iterator[str]:
    """Where whose agents would go."""
    for home in homes:
        found = forecast.of(home, placed.record.system, name)
        for target, buckets in found.targets.items() if found is not None else ():
            yield f"{people(agents_in(buckets, spec.agents))} at {home} would go to {target}"
