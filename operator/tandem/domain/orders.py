"""Orders: `spec.placement` acts when its digest is new, once. Wanted and actual may differ for good reasons later.

A group without placement gets its first one: where its agents are signed in (an empty store adopts and never replays
an order), else as ordered. A changed order becomes a Shift with the group's own pace, waves and drain. A refusal
consumes the order; what waiting can cure is waited for, at most a minute, so that nothing starts late.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tandem.api.agentgroup import AgentGroupSpec
from tandem.constants import AGREE_S, PATIENCE_S
from tandem.domain import keys
from tandem.domain.approvals import ended
from tandem.domain.capacity import Ledger, Need, no_capacity
from tandem.domain.decision import Draft, Premise
from tandem.domain.outlook import longest_s
from tandem.domain.own_shift import own_shift
from tandem.domain.placement import BucketMap, Slot
from tandem.domain.plan import Plan, Wish, hold_refusal, make_plan, reserve
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import OrderRecord, PlacementRecord
from tandem.domain.shifts import advance
from tandem.domain.snapshot import Instant, Placed, Published, ShiftEntry, Snapshot


def handle_orders(draft: Draft, ledger: Ledger, now: Instant) -> None:
    """By name, so that who gets the last room does not depend on chance."""
    for name, group in sorted(draft.snapshot.groups.items(), key=lambda item: item[0]):
        order = draft.snapshot.orders.get(name)
        placed = draft.snapshot.placements.get(name)
        if order is not None and order.record.digest == group.order_digest and group.consistent:
            continue
        if keys.placement(name) in draft.snapshot.unreadable or keys.order(name) in draft.snapshot.unreadable:
            continue  # A newer version's format: nothing we could guard against.
        if not group.consistent or not group.order_digest:
            if now.mono - group.since < AGREE_S:
                draft.wake(group.since + AGREE_S + 0.001)
            else:
                draft.note(_subject(name), Reason.SPEC_NOT_CONSISTENT, group.message)
        elif placed is not None and order is None:
            # A placement without its order's record: some earlier order made it. Replaying is what must not happen.
            _consume(draft, name, group, "Adopted", Refusal(Reason.ADOPTED, "the present placement stands"))
        elif placed is None:
            _first_placement(draft, ledger, name, group, now)
        elif keys.placement(name) not in draft.written:  # else it waits for what comes of that
            _changed_order(draft, ledger, name, group, placed, now)


# -- what only the other objects can tell about a declaration (the rest is the model's to refuse)


@dataclass(frozen=True)
class _Order:
    snapshot: Snapshot
    spec: AgentGroupSpec


def unknown_site(order: _Order) -> Refusal | None:
    for field, names in (("sites", order.spec.sites), ("placement", [share.site for share in order.spec.placement])):
        for name in names:
            if order.snapshot.site(name) is None:
                known = ", ".join(order.snapshot.active_sites()) or "none"
                message = f"spec.{field} names {name!r}: there is no such Site (Active ones: {known}); correct the name"
                return Refusal(Reason.UNKNOWN_SITE, message)
    return None


def not_active(order: _Order) -> Refusal | None:
    for name in order.spec.sites:
        site = order.snapshot.site(name)
        if site is not None and site.role != "Active":
            message = f"spec.sites names {name!r}: a Witness carries no agents; name Active sites only"
            return Refusal(Reason.NOT_ACTIVE, message)
    return None


def unknown_system(order: _Order) -> Refusal | None:
    for name in order.spec.sites:
        site = order.snapshot.site(name)
        if site is not None and site.system(order.spec.system) is None:
            known = ", ".join(system.name for system in site.systems) or "none"
            message = (
                f"spec.system is {order.spec.system!r}: Site {name} has no such system (it has: {known}); "
                "correct the name, or add the system to that Site"
            )
            return Refusal(Reason.UNKNOWN_SYSTEM, message)
    return None


ORDER_CHAIN: Final[tuple[Callable[[_Order], Refusal | None], ...]] = (
    unknown_site,  # what follows looks the sites up
    not_active,
    unknown_system,
)


def declaration_refusal(snapshot: Snapshot, group: Published[AgentGroupSpec]) -> Refusal | None:
    """What is wrong with the order as it is written."""
    if group.invalid is not None:
        return group.invalid
    if group.spec is None:
        return Refusal(Reason.SPEC_NOT_CONSISTENT, group.message, temporary=True)
    order = _Order(snapshot, group.spec)
    return next((refusal for check in ORDER_CHAIN if (refusal := check(order)) is not None), None)


# -- the first placement


WAITS_UNPLACED: Final = frozenset({Reason.HELD, Reason.NO_REPORT})
"""What a first placement waits for however long it takes: it does not lapse, for its agents have no other."""


@dataclass(frozen=True)
class First:
    """Where a group without placement begins."""

    map: BucketMap
    reason: Reason
    """InitialPlacement, or Adopted: its agents are signed in already."""
    sentence: str


def first_placement(snapshot: Snapshot, ledger: Ledger, name: str, group: Published[AgentGroupSpec]) -> First | Refusal:
    """Where a group without placement begins, or why it does not. `ledger`: loads so far; not changed."""
    refusal, spec = declaration_refusal(snapshot, group), group.spec
    if refusal is not None or spec is None:
        return refusal or Refusal(Reason.SPEC_NOT_CONSISTENT, group.message, temporary=True)
    held = hold_refusal(snapshot)
    if held is not None:
        return held
    silent = sorted(site for site in spec.sites if snapshot.report(site, spec.system) is None)
    if silent:
        # No report is not an empty report: agents may well be signed in there, and a map would shut their door.
        message = (
            f"{name} has no placement yet: waits for {' and '.join(silent)} to report who is signed in to {spec.system}"
        )
        return Refusal(Reason.NO_REPORT, message, temporary=True)
    wanted = BucketMap.of_shares([(share.site, share.percent) for share in spec.placement])
    sessions = _sessions(snapshot, name, spec)
    if sessions:
        adopted = _adopted(wanted, sessions)
        sentence = f"{name}: agents are signed in already, so they stay where they are ({_shares(adopted)})"
        return First(adopted, Reason.ADOPTED, sentence)
    for need in ledger.needs(name, spec.system, spec.agents, wanted):
        if not need.fits:
            return _no_room(ledger, need)
    return First(wanted, Reason.INITIAL_PLACEMENT, f"{name}: placed as ordered ({_shares(wanted)})")


def _shares(placement: BucketMap) -> str:
    return ", ".join(f"{site} {percent} %" for site, percent in sorted(placement.end_shares.items()))


def _first_placement(draft: Draft, ledger: Ledger, name: str, group: Published[AgentGroupSpec], now: Instant) -> None:
    found, spec = first_placement(draft.snapshot, ledger, name, group), group.spec
    if isinstance(found, Refusal) or spec is None:
        if isinstance(found, Refusal) and found.reason in WAITS_UNPLACED:
            draft.note(_subject(name), found.reason, found.message)
        elif isinstance(found, Refusal):
            _refuse(draft, name, group, found, now)
        return
    ledger.reserve(name, spec.system, spec.agents, found.map)
    adopted = found.reason is Reason.ADOPTED
    record = PlacementRecord(
        system=spec.system,
        map=found.map.encode(),
        cause="Adopted" if adopted else "Order",
        pace=spec.pace,
        drain=spec.drain,
    )
    outcome = OrderRecord(
        digest=group.order_digest,
        outcome="Adopted" if adopted else "Accepted",
        reason=found.reason,
        message=found.sentence,
    )
    draft.commit(
        _subject(name),
        found.reason,
        found.sentence,
        {keys.placement(name): draft.stamp(record), keys.order(name): outcome},
        (draft.placement(None, name), _order_premise(draft, name), draft.no_hold),
    )


def _sessions(snapshot: Snapshot, name: str, spec: AgentGroupSpec) -> dict[int, dict[str, int]]:
    """Bucket -> site -> sessions, where there are any."""
    found: dict[int, dict[str, int]] = {}
    for site in spec.sites:
        report = snapshot.group_report(site, spec.system, name)
        for bucket, count in (report.buckets if report else {}).items():
            if count:
                found.setdefault(int(bucket), {})[site] = count
    return found


def _adopted(wanted: BucketMap, sessions: Mapping[int, Mapping[str, int]]) -> BucketMap:
    """Buckets with agents where most of them are; the others as near to the order as that leaves room for."""
    fixed = {bucket: Slot(max(sorted(counts), key=lambda site: counts[site])) for bucket, counts in sessions.items()}
    held = Counter(slot.site for slot in fixed.values())
    room = {site: max(count - held[site], 0) for site, count in wanted.end_shares.items()}
    slots: list[Slot] = []
    for bucket, slot in enumerate(wanted.slots):
        if bucket in fixed:
            slots.append(fixed[bucket])
            continue
        site = slot.site if room[slot.site] else max(room, key=lambda name: room[name])
        room[site] -= 1
        slots.append(Slot(site))
    return BucketMap(tuple(slots))


# -- a changed order


def plan_order(
    snapshot: Snapshot,
    ledger: Ledger,
    busy: Mapping[str, str],
    name: str,
    group: Published[AgentGroupSpec],
    placed: Placed,
) -> Plan | Refusal:
    """The plan of a group's changed order, or why there is none. `busy`, `ledger`: as for `make_plan`."""
    refusal = declaration_refusal(snapshot, group)
    spec = group.spec
    if refusal is not None or spec is None:
        return refusal or Refusal(Reason.SPEC_NOT_CONSISTENT, group.message, temporary=True)
    if spec.system != placed.record.system:
        message = (
            f"spec.system is {spec.system!r}, but the group is placed in {placed.record.system!r}; "
            "a group's system cannot change: make a new group"
        )
        return Refusal(Reason.INVALID_SPEC, message)
    wanted = {share.site: share.percent for share in spec.placement if share.percent}
    wish = Wish(name, spec, placed, wanted, spec.waves, spec.drain, spec.pace, spec.gates)
    return make_plan(snapshot, ledger, shift_of_order(snapshot, name, placed), busy, [wish])


def shift_of_order(snapshot: Snapshot, name: str, placed: Placed) -> str:
    """Name of the Shift that carries out an order of a group placed so.

    A number is added where an earlier order had a Shift and it moved nobody, so that the placement is still the same.
    """
    namespace, _, short = name.partition("/")
    first = f"{namespace}/{short[:200]}-{placed.revision}"
    others = (f"{first}-{number}" for number in itertools.count(2))
    return next(shift for shift in itertools.chain((first,), others) if shift not in snapshot.shifts)


def _changed_order(
    draft: Draft, ledger: Ledger, name: str, group: Published[AgentGroupSpec], placed: Placed, now: Instant
) -> None:
    if _make_way(draft, name, group, now):
        return  # planned in the next decision, from where the earlier order has come to
    plan = plan_order(draft.snapshot, ledger, draft.busy, name, group, placed)
    if isinstance(plan, Refusal) and plan.reason == Reason.NOTHING_TO_MOVE:
        _consume(draft, name, group, "Accepted", plan)
        return
    if isinstance(plan, Refusal) or group.spec is None:
        if isinstance(plan, Refusal):
            _refuse(draft, name, group, plan, now)
        return
    spec, shift_name = group.spec, shift_of_order(draft.snapshot, name, placed)
    reserve(ledger, plan, f"Shift {shift_name}")
    draft.busy[name] = shift_name
    entry = own_shift(draft, name, spec, plan, shift_name, now, cause="Order", order_digest=group.order_digest)
    outcome = OrderRecord(
        digest=group.order_digest,
        outcome="Accepted",
        reason=Reason.ORDER_ACCEPTED,
        message=plan.text[0],
        shift=shift_name,
    )
    advance(
        draft,
        ledger,
        entry,
        now,
        with_writes={keys.order(name): outcome},
        with_premises=(_order_premise(draft, name), draft.no_hold),
    )


def earlier_order(snapshot: Snapshot, busy: Mapping[str, str], name: str) -> ShiftEntry | None:
    """The Shift of the group's earlier order that a newer one ends. `busy`: group -> the Shift that has it."""
    entry = snapshot.shifts.get(busy.get(name, ""))
    if entry is None or entry.record.cause != "Order" or entry.record.phase == "Aborting":
        return None
    return entry


def _make_way(draft: Draft, name: str, group: Published[AgentGroupSpec], now: Instant) -> bool:
    """End the Shift of the group's earlier order: the newer one counts, and no order waits for one that nobody wants.

    Whoever is on his way goes on, as when a Shift completes while somebody still talks; the new plan finds him there.
    """
    entry = earlier_order(draft.snapshot, draft.busy, name)
    if entry is None:
        return False
    if keys.shift(entry.name) in draft.written or declaration_refusal(draft.snapshot, group) is not None:
        return False
    if hold_refusal(draft.snapshot) is not None:
        return False
    message = f"a newer order of {name} takes its place, and plans again from where this one has come to"
    draft.commit(
        _subject(name),
        Reason.SUPERSEDED,
        f"Shift {entry.name}: {message}",
        {keys.shift(entry.name): ended(entry, "Interrupted", Reason.SUPERSEDED, message, now)},
        (draft.shift(entry), _order_premise(draft, name), draft.no_hold),
    )
    return True


# -- consuming


def _no_room(ledger: Ledger, need: Need) -> Refusal:
    return no_capacity(need.site, need.system, need.needs, need.has, owners=ledger.owners(need.site, need.system))


def _refuse(draft: Draft, name: str, group: Published[AgentGroupSpec], refusal: Refusal, now: Instant) -> None:
    """Consume the order as refused; what waiting can cure is waited for, up to the patience."""
    since = _waits_since(draft.snapshot, name, group)
    waited, patience = now.mono - since, patience_s(draft.snapshot, name, refusal)
    if refusal.temporary and waited < patience:
        draft.wake(since + patience + 0.001)
        draft.note(_subject(name), refusal.reason, refusal.message)
        return
    if refusal.temporary:
        message = f"{refusal.message}. The order waited {waited:.0f} s and has lapsed"
        refusal = Refusal(refusal.reason, message)
    again = "set the annotation tandem.dev/order-id to a new value to try the same order again"
    _consume(draft, name, group, "Refused", Refusal(refusal.reason, f"{refusal.message}; {again}"))


def _waits_since(snapshot: Snapshot, name: str, group: Published[AgentGroupSpec]) -> float:
    """Since when it has waited for what it waits for now: not while agents of the order before it were arriving."""
    placed = snapshot.placements.get(name)
    return max(group.since, placed.seen_at) if placed is not None and placed.record.cause == "Order" else group.since


def patience_s(snapshot: Snapshot, name: str, refusal: Refusal) -> float:
    """Seconds for which an order waits: for its own agents as long as their calls may last, which an earlier order
    has sent to where nobody wants them any more; for everything else a minute."""
    placed, spec = snapshot.placements.get(name), snapshot.group(name)
    if refusal.reason is not Reason.STILL_MOVING or placed is None or spec is None:
        return PATIENCE_S
    record = placed.record
    return PATIENCE_S + longest_s(record.drain, spec.agents / record.pace if record.pace else 0.0)


def _consume(draft: Draft, name: str, group: Published[AgentGroupSpec], outcome: str, why: Refusal) -> None:
    record = OrderRecord.model_validate(
        {"digest": group.order_digest, "outcome": outcome, "reason": why.reason, "message": why.message}
    )
    sentence = f"order of {name} {outcome.lower()}: {why.message}"
    draft.commit(_subject(name), why.reason, sentence, {keys.order(name): record}, (_order_premise(draft, name),))


def _order_premise(draft: Draft, name: str) -> Premise:
    order = draft.snapshot.orders.get(name)
    return Premise(keys.order(name), mod_revision=order.mod_revision if order else 0)


def _subject(name: str) -> str:
    return f"AgentGroup {name}"
