"""Readiness: would a group's agents have somewhere to go if the site that has most of them were lost now?"""

from dataclasses import dataclass

from tandem.api.agentgroup import AgentGroupSpec
from tandem.domain.capacity import Ledger, agents_in
from tandem.domain.snapshot import Placed, Snapshot
from tandem.domain.verdicts import system_verdict, usability
from tandem.domain.words import accusers


@dataclass(frozen=True, slots=True)
class Readiness:
    """The condition `FailoverReady` of a group."""

    ready: bool
    reason: str
    message: str


def failover_readiness(
    snapshot: Snapshot, name: str, spec: AgentGroupSpec, placed: Placed, ledger: Ledger
) -> Readiness:
    """Whether a failover of group `name` would work right now, and if not, why: the first that applies."""
    shares = placed.map.end_shares
    home = max(shares, key=lambda site: shares[site])
    others = [site for site in spec.sites if site != home]
    if not others:
        return Readiness(False, "NoOtherSite", f"spec.sites names only {home}; add a second site")
    hold = snapshot.hold
    if hold is not None:
        return Readiness(
            False, "Held", f"held by {hold.record.by}: nothing is failed over; `kubectl tandem resume` lifts it"
        )
    if snapshot.coordinator is None:
        return Readiness(False, "NoCoordinator", "no engine is coordinator, so nobody could commit a failover")
    watching = accusers(snapshot, home, spec.system)
    if len(watching) < 2:
        seen_by = " and ".join(sorted(watching)) or "nobody"
        message = f"{home} is watched from outside by {seen_by} only; it takes two locations to call it Absent"
        return Readiness(False, "TooFewObservers", f"{message}: look at the other locations' engines")
    if home not in snapshot.heartbeats:
        verdict = system_verdict(snapshot, home, spec.system)
        if verdict.not_given_up:
            return Readiness(False, "NotGivenUp", verdict.sentence)
    for site in spec.sites:
        report = snapshot.group_report(site, spec.system, name)
        if report is not None and report.revision > placed.revision:
            return Readiness(False, "NewerMapAtCTI", _newer_map(spec.system, site, report.revision, placed.revision))
    agents = agents_in(shares[home], spec.agents)
    reasons = []
    for site in others:
        usable = usability(snapshot, site, spec.system)
        if not usable.usable:
            reasons.append(("OtherSiteNotUsable", usable.why))
            continue
        room = ledger.capacity(site, spec.system) - ledger.load(site, spec.system)
        if room < agents:
            message = f"{spec.system} at {site} has room for {max(room, 0)} of the {people(agents)} now at {home}"
            reasons.append(("CapacityExceeded", f"{message}; raise its capacity, or let some work elsewhere"))
            continue
        decider = "" if spec.failover == "Automatic" else "; spec.failover is Manual, so a person decides"
        message = f"{site} is usable and has room for {room}; {home} has {people(agents)} of this group{decider}"
        return Readiness(True, "RoomElsewhere", message)
    return Readiness(False, reasons[0][0], "; ".join(message for _, message in reasons))


def _newer_map(system: str, site: str, held: int, stored: int) -> str:
    """A map cannot be newer than the store it comes from, unless another store took its place and counts anew."""
    return (
        f"the CTI of {system} at {site} holds revision {held} of this group and the store is at {stored} only: the "
        f"store was replaced under it, and it refuses whatever is older. Restore the store with `etcdutl snapshot "
        f"restore --mark-compacted --bump-revision` and a number that brings its revisions beyond {held}"
    )


def people(count: int) -> str:
    return "1 agent" if count == 1 else f"{count} agents"
