"""The two ways of a run: the Shift out, the Shift back to the exact starting map, and what came of them."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Literal

from tandem.api.common import duration_seconds
from tandem.api.drill import DrillSpec, LostSite, Rehearsal
from tandem.api.gates import Gates
from tandem.api.shift import ShiftSpec
from tandem.constants import REHEARSAL_MOST_S, VERIFY_S
from tandem.domain import keys
from tandem.domain.buckets import format_ranges
from tandem.domain.capacity import Ledger, no_capacity
from tandem.domain.distribution import merged, share_reached
from tandem.domain.drill_names import stem
from tandem.domain.evacuation import evacuated
from tandem.domain.outlook import longest_s
from tandem.domain.pace import Leaving, needed_s
from tandem.domain.placement import BucketMap, Slot, parse_moves
from tandem.domain.plan import Plan, Wish, groups_in_the_way, make_plan
from tandem.domain.published import SHARES, share_text
from tandem.domain.quarantine import quarantined
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import DrillLegRecord, DrillRunRecord, GroupPlan, MovesOfShift, ShiftRecord
from tandem.domain.selection import wishes_of
from tandem.domain.snapshot import Instant, Snapshot
from tandem.domain.switch_times import moves_of
from tandem.domain.wave_measures import entering

DRILL_CAUSE = "Drill/"

NOBODY_ARRIVED: Final = MovesOfShift(agents=0, p50=0.0, p95=0.0, max=0.0, last_at=0.0)


def cause_of(shift: str) -> str:
    """What a placement committed by a Drill's Shift (`namespace/name`) names as its cause."""
    return f"{DRILL_CAUSE}{shift.rpartition('/')[2]}"


def shift_name(snapshot: Snapshot, drill: str, run: str, way: Literal["out", "back"]) -> str:
    """A name (`namespace/name`) that no Shift has, and no other Drill's run could want."""
    namespace, _, short = drill.partition("/")
    name = wanted = f"{namespace}/{stem(short)}-{run}-{way}"
    number = 1
    # Somebody else may have made one of this name; that one is not ours to follow.
    while name in snapshot.shifts or keys.shift(name) in snapshot.unreadable:
        number += 1
        name = f"{wanted}-{number}"
    return name


def way_out(rehearsal: Rehearsal, lost: LostSite | None) -> ShiftSpec:
    """What the Shift out asks for. A failover asks nobody how fast: everybody leaves the lost site at once."""
    goal: dict[str, Any] = {"to": rehearsal.to, "percent": rehearsal.percent, "waves": rehearsal.waves}
    goal |= {"pace": rehearsal.pace, "gates": rehearsal.gates}
    if lost is not None:
        goal = {"evacuate": lost.site, "waves": (100,)}
    return ShiftSpec(selector=rehearsal.selector, drain=rehearsal.drain, **goal)


def way_back(rehearsal: Rehearsal, home: str) -> ShiftSpec:
    """What the Shift back asks for."""
    return ShiftSpec(
        selector=rehearsal.selector,
        to=home,
        percent=rehearsal.percent,
        waves=rehearsal.waves,
        pace=rehearsal.pace,
        drain=rehearsal.drain,
        gates=gates_back(rehearsal),
    )


def shift_record(
    snapshot: Snapshot, spec: ShiftSpec, name: str, now: Instant, plan: Plan | None = None, *, rehearses: str = ""
) -> ShiftRecord:
    """A Shift of a Drill; with a plan it is Planned already. `rehearses`: the site whose loss it rehearses."""
    coordinator = snapshot.coordinator
    record = ShiftRecord(
        spec=spec,
        cause=cause_of(name),
        created_at=now.wall,
        created_in=coordinator.record.site if coordinator else "",
        rehearses=rehearses,
    )
    if plan is None:
        return record
    changes = {
        "phase": "Planned",
        "reason": Reason.PLANNED,
        "message": plan.text[0],
        **plan.of_record,
    }
    return record.model_copy(update=changes)


def gates_back(rehearsal: Rehearsal) -> Gates:
    """Nobody is sent away from home again because the way home goes badly: it stops there, and a person looks.

    No alarm keeps anybody from home: it is one that fires for which they come back.
    """
    return rehearsal.gates.model_copy(update={"after_patience": "Wait", "alarms": None})


def plan_out(
    snapshot: Snapshot, ledger: Ledger, busy: Mapping[str, str], namespace: str, spec: DrillSpec, now: Instant
) -> tuple[Plan, Sequence[Wish]] | Refusal:
    """The plan of the way out and the groups it selects, or what speaks against it."""
    lost = spec.failover
    wishes = wishes_of(snapshot, namespace, shift_record(snapshot, way_out(spec.shift, lost), "", now))
    if lost is not None and not isinstance(wishes, Refusal):
        wishes = evacuated(snapshot, ledger, lost.site, wishes)
    if isinstance(wishes, Refusal):
        return replace(wishes, message=wishes.message.replace("spec.evacuate", "spec.failover.site"))
    plan = make_plan(snapshot, ledger, "", busy, wishes)
    return plan if isinstance(plan, Refusal) else (plan, wishes)


def longest_ways_s(spec: DrillSpec, plan: Plan, wishes: Sequence[Wish]) -> tuple[float, float]:
    """Seconds that the ways out and back take at most, gates that stay closed left out."""
    move_s = duration_seconds(plan.planned.longest)
    if spec.failover is None:
        return move_s, move_s  # the same waves, pace and drain
    # A failover goes at once when it is confirmed; it comes back by waves, at a pace.
    leaving = [Leaving(part.group, part.system, entering(part, parse_moves(part.moves))) for part in plan.groups]
    leaving_s = needed_s(spec.shift.pace, leaving, {})
    going = {part.group for part in plan.groups}
    waits = [longest_s(wish.drain, leaving_s) for wish in wishes if wish.group in going]
    return REHEARSAL_MOST_S + move_s, len(spec.shift.waves) * max(move_s, *waits)


def least_run_s(spec: DrillSpec, wishes: Sequence[Wish]) -> float:
    """Seconds that the windows have to hold whatever is planned: one wave each way, and no time for a pace."""
    way_s = min((longest_s(wish.drain, 0.0) for wish in wishes), default=0.0) + VERIFY_S
    return duration_seconds(spec.hold) + 2 * way_s + (REHEARSAL_MOST_S if spec.failover is not None else 0.0)


def plan_back(
    snapshot: Snapshot,
    ledger: Ledger,
    run: DrillRunRecord,
    busy: Mapping[str, str],
    now: Instant,
    *,
    without_unknown: bool = False,
) -> Plan | Refusal:
    """The plan of the way back: bucket by bucket to where each was, of groups that nobody else has moved since.

    Args:
        without_unknown: Whether groups whose spec this engine does not know stay, rather than keep the others waiting.
    """
    wishes = []
    homes: set[str] = set()
    gone: list[str] = []
    unknown: Refusal | None = None
    for group, before in run.before.items():
        placed, published = snapshot.placements.get(group), snapshot.groups.get(group)
        if placed is None or placed.record.cause != cause_of(run.out.shift):
            continue
        if published is None:
            gone.append(group)
            continue
        spec = published.spec
        if spec is None:
            why = f"{group}: {published.invalid.message}" if published.invalid is not None else published.message
            unknown = Refusal(Reason.SPEC_NOT_CONSISTENT, f"AgentGroup {why}", temporary=True)
            continue
        home = BucketMap.parse(before)
        here = placed.map.end_shares
        homes |= {site for site, share in home.end_shares.items() if share > here.get(site, 0)}
        drain = run.shift.drain or spec.drain
        wishes.append(
            Wish(
                group,
                spec,
                placed,
                home.end_shares,
                run.shift.waves,
                drain,
                run.shift.pace,
                gates_back(run.shift),
                exactly=home,
            )
        )
    # Its copies have differed for as long as this engine knows them: they will agree, and it comes home with the rest.
    if unknown is not None and not (without_unknown and wishes):
        return unknown
    if not wishes:
        why = "none of its groups is where this run has put it"
        if gone:
            why = f"AgentGroup {' and '.join(gone)} is applied nowhere any more, so nobody was brought back; apply it"
        return Refusal(Reason.NOTHING_TO_MOVE, why)
    barred = next((refusal for site in sorted(homes) if (refusal := quarantined(snapshot, site, now))), None)
    refusal = barred or overbooked(snapshot, ledger, run.before, coming_back=True)
    return refusal or make_plan(snapshot, ledger, "", busy, wishes)


def overbooked(
    snapshot: Snapshot, ledger: Ledger, maps: Mapping[str, Mapping[str, str]], *, coming_back: bool = False
) -> Refusal | None:
    """Refuse while a site of the starting maps has more agents, present or reserved, than it can carry, or is gone.

    The room of a run's agents at home is reserved for as long as they are away, so it is not missing unless the site
    can carry less than before, or an emergency has taken it.

    Args:
        coming_back: Whether only sites count that get somebody back: to one that gives some up it is a relief.
    """
    for group, encoded in sorted(maps.items()):
        placed = snapshot.placements.get(group)
        if placed is None:
            continue
        system, now = placed.record.system, placed.map.end_shares
        for site, share in sorted(BucketMap.parse(encoded).end_shares.items()):
            if coming_back and share <= now.get(site, 0):
                continue
            if snapshot.system(site, system) is None:
                return _homeless(snapshot, group, site, system)
            load, most = ledger.load(site, system), ledger.capacity(site, system)
            if load > most:
                refusal = no_capacity(site, system, load - most, 0)
                message = f"the way back to {site}: {refusal.message}"
                return Refusal(refusal.reason, message, temporary=True)
    return None


def home_gone(snapshot: Snapshot, way: Sequence[GroupPlan], *, settled: bool) -> Refusal | None:
    """Why agents cannot get home: its Site has been deleted, or no longer has their system.

    Args:
        way: What the Shift back moves; the home of a group that stays away, or has not left it, holds up nobody.
        settled: Whether that counts, too, where every bucket is home already.
    """
    for plan in sorted(way, key=lambda plan: plan.group):
        placed = snapshot.placements.get(plan.group)
        if placed is None:
            continue
        slots = placed.map.slots
        moves = parse_moves(plan.moves).items()
        for site in sorted({slot.to for bucket, slot in moves if settled or slots[bucket] != Slot(slot.to)}):
            if snapshot.system(site, plan.system) is None:
                return _homeless(snapshot, plan.group, site, plan.system)
    return None


def _homeless(snapshot: Snapshot, group: str, site: str, system: str) -> Refusal:
    """Why nobody can come back to a site that no longer has this system, or whose Site has been deleted."""
    reason, what, remedy = Reason.UNKNOWN_SITE, f"Site {site} is applied nowhere any more", "apply it again"
    if snapshot.site(site) is not None:
        reason, what, remedy = Reason.UNKNOWN_SYSTEM, f"Site {site} has no system {system} any more", "add it again"
    message = f"{what}, and agents of {group} are to come back there: {remedy}, in every city, or let them stay away"
    return Refusal(reason, message, temporary=True)


def busy_groups(snapshot: Snapshot) -> dict[str, str]:
    """Group -> who has it for itself: a Shift on its way, or the Drill by which it is away until it is back."""
    found = groups_in_the_way(snapshot)
    for entry in snapshot.drills.values():
        for group in entry.groups:
            found.setdefault(group, f"Drill {entry.name}")
    return found


def reserve_home(ledger: Ledger, snapshot: Snapshot) -> None:
    """Keep the room of those who are away by a run: nothing planned may take it. An emergency does not ask."""
    for entry in snapshot.drills.values():
        if entry.record.run is None:
            continue
        for group in entry.groups:
            placed = snapshot.placements.get(group)
            if placed is not None:
                home = BucketMap.parse(entry.record.run.before[group])
                ledger.reserve(group, placed.record.system, ledger.agents_of(group), home)
                ledger.owned(group, placed.record.system, placed.map, home, f"Drill {entry.name}")


def figures(snapshot: Snapshot, leg: DrillLegRecord) -> DrillLegRecord:
    """What has come of a leg's Shift so far."""
    shift = snapshot.shifts.get(leg.shift)
    if shift is None:
        return leg
    found = moves_of(snapshot, leg.shift) or NOBODY_ARRIVED
    return leg.model_copy(
        update={
            "agents": sum(plan.agents for plan in shift.record.plan),
            "moved": found.moved,
            "staying": sum(shift.record.staying.values()),
            "p50": found.p50,
            "p95": found.p95,
            "max": found.max,
            "time_to": _time_to(snapshot, leg.shift, sum(plan.agents for plan in shift.record.plan)),
            "started_at": shift.record.started_at,
            "finished_at": shift.record.finished_at,
        }
    )


def _time_to(snapshot: Snapshot, shift: str, planned: int) -> dict[str, float]:
    """Share of the planned agents -> seconds until they were there, of those shares that were reached."""
    parts = [found for entry in snapshot.arrivals.values() if (found := entry.record.shifts.get(shift))]
    bins = merged(part.times for part in parts)
    times = {share_text(share): share_reached(bins, share, planned) for share in SHARES}
    return {share: seconds for share, seconds in times.items() if seconds is not None}


def out_of_place(snapshot: Snapshot, before: Mapping[str, Mapping[str, str]]) -> str:
    """Groups that are not, and are not on their way to, where they were; empty when all are.

    Buckets of agents in a call that goes on count as where they go.
    """
    parts = []
    for group, encoded in sorted(before.items()):
        placed = snapshot.placements.get(group)
        if placed is None:
            continue  # Its AgentGroup has been deleted meanwhile.
        wrong: dict[str, list[int]] = {}
        for bucket, slot in enumerate(BucketMap.parse(encoded).slots):
            now = placed.map.slots[bucket].end
            if now != slot.end:
                wrong.setdefault(now, []).append(bucket)
        if wrong:
            where = ", ".join(f"buckets {format_ranges(buckets)} at {site}" for site, buckets in sorted(wrong.items()))
            parts.append(f"{group} ({where})")
    return "; ".join(parts)
