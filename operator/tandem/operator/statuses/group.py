"""Status of an AgentGroup: where its agents are, what became of its order, whether a failover has somewhere to go."""

from collections.abc import Iterable, Iterator

from tandem.api.agentgroup import AgentGroupSpec, AgentGroupStatus, LastShift, PlacementStatus, SiteCount
from tandem.domain.buckets import parse_ranges
from tandem.domain.digest import order_digest
from tandem.domain.forecast import Forecast, people
from tandem.domain.placement import Slot
from tandem.domain.readiness import failover_readiness
from tandem.domain.snapshot import Placed, Published, ShiftEntry, Snapshot
from tandem.operator.objects import Seen
from tandem.operator.statuses.common import Said, Scene, blindness, consistency, gaps_of, settle

UNDER_WAY = frozenset({"Publishing", "NotPlacedYet", "OrderPending", "Moving", "Held", "NoCoordinator"})
"""Reasons of Ready=False that end by themselves, or by lifting a hold."""


def group_status(scene: Scene, seen: Seen, forecast: Forecast, local: Iterable[Said] = ()) -> AgentGroupStatus:
    """The status of one AgentGroup.

    Args:
        forecast: What failovers would do, made once for all groups of a round.
        local: Conditions that only this cluster's operator knows.
    """
    snapshot, name = scene.snapshot, seen.name
    spec = seen.spec if isinstance(seen.spec, AgentGroupSpec) else None
    published = snapshot.groups.get(name)
    known = spec or (published.spec if published else None)
    placed = snapshot.placements.get(name)
    system = placed.record.system if placed else known.system if known else ""
    counts = tuple(_counts(snapshot, name, system, placed, known))
    shift = _shift_under_way(snapshot, name)
    reports = [report for count in counts if (report := snapshot.group_report(count.site, system, name)) is not None]
    said = [*_readiness(scene, seen, published, placed, shift)]
    if spec is not None and placed is not None:
        said.append(_overridden(scene, spec, placed, shift))
    said.append(consistency(scene, published))
    said.append(_failover(scene, seen.name, known, placed, forecast))
    return AgentGroupStatus(
        placement=_placement(snapshot, name, placed),
        sites=counts,
        where=where_text(placed) if placed else "",
        signed_in=sum(count.signed_in for count in counts),
        moving=_moving(snapshot, name, placed),
        guests=sum(report.guests for report in reports),
        shift=shift.short_name if shift else "",
        last_shift=_last_shift(snapshot, name),
        observed_generation=seen.generation,
        conditions=settle([*said, *local], seen, seen.generation, scene.now),
    )


def shares_of(placed: Placed) -> dict[Slot, int]:
    """Buckets, which are percent, by slot. From the encoded map: a round looks at every group there is."""
    return {Slot.parse(text): len(parse_ranges(ranges)) for text, ranges in placed.record.map.items()}


def where_text(placed: Placed) -> str:
    """Like `west 60, east 30, east>west 10`: percent of the buckets, the largest first."""
    shown = sorted((-count, str(slot)) for slot, count in shares_of(placed).items())
    return ", ".join(f"{place} {-count}" for count, place in shown)


def _placement(snapshot: Snapshot, name: str, placed: Placed | None) -> PlacementStatus:
    order = snapshot.orders.get(name)
    digest = order.record.digest if order else ""
    if placed is None:
        return PlacementStatus(last_order_digest=digest)
    return PlacementStatus(
        revision=placed.revision, cause=placed.record.cause, last_order_digest=digest, map=placed.record.map
    )


def _counts(
    snapshot: Snapshot, name: str, system: str, placed: Placed | None, spec: AgentGroupSpec | None
) -> Iterator[SiteCount]:
    sites = list(spec.sites) if spec else []
    sites += sorted((placed.map.sites if placed else frozenset()) - set(sites))
    shares = shares_of(placed) if placed else {}
    for site in sites:
        report = snapshot.group_report(site, system, name)
        yield SiteCount(
            site=site,
            percent=shares.get(Slot(site), 0),
            leaving=sum(count for slot, count in shares.items() if slot.site == site and slot.to),
            signed_in=report.signed_in if report else 0,
            available=report.available if report else 0,
            talking=report.talking if report else 0,
        )


def _moving(snapshot: Snapshot, name: str, placed: Placed | None) -> int:
    """Agents who are still signed in where their bucket is leaving from."""
    if placed is None:
        return 0
    total = 0
    for bucket, slot in placed.map.in_transit.items():
        report = snapshot.group_report(slot.site, placed.record.system, name)
        total += report.buckets.get(str(bucket), 0) if report else 0
    return total


def _shift_under_way(snapshot: Snapshot, name: str) -> ShiftEntry | None:
    mine = [
        shift
        for shift in snapshot.unfinished_shifts()
        if not shift.is_question and any(plan.group == name for plan in shift.record.plan)
    ]
    return mine[0] if mine else None


def _last_shift(snapshot: Snapshot, name: str) -> LastShift:
    done = [
        shift
        for shift in snapshot.shifts.values()
        if shift.finished and shift.record.started_at and any(plan.group == name for plan in shift.record.plan)
    ]
    if not done:
        return LastShift()
    last = max(done, key=lambda shift: shift.record.finished_at)
    gaps = gaps_of(snapshot, last.name)
    if gaps is None:
        return LastShift(name=last.short_name)
    return LastShift(name=last.short_name, agents=gaps.agents, p50=gaps.p50, p95=gaps.p95, max=gaps.max)


def _readiness(
    scene: Scene,
    seen: Seen,
    published: Published[AgentGroupSpec] | None,
    placed: Placed | None,
    shift: ShiftEntry | None,
) -> Iterator[Said]:
    """Ready, and for kstatus Reconciling (under way) or Stalled (somebody has to do something)."""
    ready = _ready(scene, seen, published, placed, shift)
    yield ready
    if ready.status == "False":
        kind = "Reconciling" if ready.reason in UNDER_WAY else "Stalled"
        yield Said(kind, "True", ready.reason, ready.message)


def _ready(
    scene: Scene,
    seen: Seen,
    published: Published[AgentGroupSpec] | None,
    placed: Placed | None,
    shift: ShiftEntry | None,
) -> Said:
    """The first that applies."""

    def no(reason: str, message: str) -> Said:
        return Said("Ready", "False", reason, message)

    snapshot = scene.snapshot
    order = snapshot.orders.get(seen.name)
    if not isinstance(seen.spec, AgentGroupSpec):
        return no("Invalid", seen.problem)
    if scene.blind:
        return blindness(scene)
    if published is None:
        return no("Publishing", f"{scene.site} has not published this object to the store yet")
    if published.invalid is not None:
        return no(str(published.invalid.reason), published.invalid.message)
    pending = order is None or order.record.digest != order_digest(seen.spec.placement, seen.order_id)
    if order is not None and not pending and order.record.outcome == "Refused":
        return no(order.record.reason or "OrderRefused", order.record.message)
    if not published.consistent and (pending or placed is None):
        return no("SpecNotConsistent", published.message)
    if placed is None or pending:
        return _waiting(snapshot, placed)
    if shift is not None and shift.record.phase not in ("Pending", "Planned", "AwaitingApproval"):
        return no("Moving", f"Shift {shift.short_name}: {shift.record.message or shift.record.phase}")
    staying = _moving(snapshot, seen.name, placed)
    if staying:
        return Said("Ready", "True", "AgentsStay", f"{people(staying)} stay where they are until their call has ended")
    return Said("Ready", "True", "Placed", f"placed at revision {placed.revision}: {where_text(placed)}")


def _waiting(snapshot: Snapshot, placed: Placed | None) -> Said:
    """The order has not been taken yet: who or what is it waiting for?"""
    if snapshot.hold is not None:
        hold = snapshot.hold.record
        reason, message = "Held", f"held by {hold.by}: {hold.reason}; `kubectl tandem resume` lifts it"
    elif snapshot.coordinator is None:
        reason, message = "NoCoordinator", "no engine is coordinator, so nobody can commit a placement now"
    elif placed is None:
        reason = "NotPlacedYet"
        message = f"the coordinator ({snapshot.coordinator.record.site}) has not placed it yet"
    else:
        reason = "OrderPending"
        message = f"the coordinator ({snapshot.coordinator.record.site}) has not taken the order yet"
    return Said("Ready", "False", reason, message)


def _overridden(scene: Scene, spec: AgentGroupSpec, placed: Placed, shift: ShiftEntry | None) -> Said:
    """Whether the agents are elsewhere than ordered, which is right when something newer than the order said so."""
    if scene.blind:
        return blindness(scene, "Overridden")
    wanted = {share.site: share.percent for share in spec.placement if share.percent}
    if dict(placed.map.end_shares) == wanted:
        return Said("Overridden", "False", "AsOrdered", "the agents are where spec.placement orders them")
    if shift is not None and shift.record.cause == "Order":
        return Said("Overridden", "False", "OrderUnderWay", f"Shift {shift.short_name} carries the order out")
    ordered = ", ".join(f"{site} {percent}" for site, percent in wanted.items())
    return Said(
        "Overridden",
        "True",
        placed.record.cause.partition("/")[0] or "Unknown",
        f"ordered: {ordered}; actual: {where_text(placed)}, by {placed.record.cause}. The order acts again when "
        "spec.placement or the annotation tandem.dev/order-id changes",
    )


def _failover(scene: Scene, name: str, spec: AgentGroupSpec | None, placed: Placed | None, forecast: Forecast) -> Said:
    """Would the agents have somewhere to go if a site that has some of them were lost now?"""

    def no(reason: str, message: str) -> Said:
        return Said("FailoverReady", "False", reason, message)

    if scene.blind:
        return blindness(scene, "FailoverReady")
    if spec is None or placed is None:
        return no("NotPlacedYet", "the group has no placement, so there is nothing to fail over")
    found = failover_readiness(scene.snapshot, name, spec, placed, forecast)
    return Said("FailoverReady", "True" if found.ready else "False", found.reason, found.message)
