"""Entries of the decision log for what people tell the store by way of an operator, in the operator's transaction."""

from tandem.api.shift import ShiftSpec
from tandem.domain.history_entry import entry_of, person
from tandem.domain.reasons import Reason
from tandem.domain.records import HistoryEntry, ShiftRecord, Who
from tandem.domain.snapshot import FAILOVER


def shift_asked(name: str, spec: ShiftSpec, site: str) -> HistoryEntry:
    """Somebody has made a Shift in the cluster of `site`."""
    why = f"created in {site}: {_wanted(spec)}"
    return entry_of("Shift", name, "Asked", "", why, person(spec.requested_by), sites=list(spec.sites))


def shift_told(name: str, before: ShiftRecord, after: ShiftRecord, site: str, how: str = "") -> list[HistoryEntry]:
    """Somebody approves, declines or aborts a Shift in the cluster of `site`. `how`: in other words than `spec`."""
    found = []
    sites = sorted({site for plan in after.plan for site in (*plan.sources, *plan.targets)})
    groups = [plan.group for plan in after.plan]

    def tell(action: str, reason: str, why: str, who: Who) -> None:
        agents = sum(plan.agents for plan in after.plan)
        found.append(entry_of("Shift", name, action, reason, why, who, sites=sites, groups=groups, agents=agents))

    if after.spec.approved and not before.spec.approved:
        tell("Approved", "", f"approved in {site}: {before.message}", person(after.spec.approved_by))
    if after.spec.abort and not before.spec.abort:
        action = "AbortAsked" if not before.cause.startswith(FAILOVER) else "DeclineAsked"
        why = f"{how or 'spec.abort was set to true'} in {site}, in phase {before.phase}"
        tell(action, Reason.ABORTED_BY_USER, why, person(after.spec.aborted_by or ""))
    return found


def shift_deleted(name: str, record: ShiftRecord, site: str) -> HistoryEntry:
    """Somebody has deleted a finished Shift in the cluster of `site`: the store forgets it."""
    why = f"its object was deleted in {site} after its end ({record.phase})"
    return entry_of("Shift", name, "Deleted", "", why, person(""), groups=[plan.group for plan in record.plan])


def held(by: str, reason: str, site: str) -> HistoryEntry:
    """Somebody holds everything, by way of the cluster of `site`."""
    return entry_of("Hold", "", "Held", Reason.HELD, f"{reason or 'no reason given'} (in {site})", person(by))


def resumed(by: str, reason: str, site: str) -> HistoryEntry:
    """Somebody has lifted the hold, by way of the cluster of `site`."""
    return entry_of("Hold", "", "Resumed", "", f"{reason or 'no reason given'} (in {site})", person(by))


def _wanted(spec: ShiftSpec) -> str:
    given = spec.selector
    selector = given.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True) if given else {}
    chosen = ", ".join(f"{key} {value}" for key, value in selector.items()) or "all groups there"
    where = f"{spec.percent} % of {chosen} to {spec.to}" if spec.to else f"{chosen}: {spec.goal}"
    return where + (", dryRun" if spec.dry_run else "")
