"""Previews: what a Shift or a changed order would do if it were applied now. Nothing is written anywhere.

The rules are those by which the coordinator decides. Several in one question are taken one after the other, as if
each had been applied before the next.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.shift import ShiftPlan, ShiftSpec
from tandem.constants import PATIENCE_S
from tandem.domain.capacity import Ledger
from tandem.domain.digest import order_digest
from tandem.domain.drill_legs import busy_groups, reserve_home
from tandem.domain.orders import WAITS_UNPLACED, earlier_order, first_placement, patience_s, plan_order
from tandem.domain.outlook import groups_in
from tandem.domain.plan import Plan, reserve
from tandem.domain.quarantine import quarantined
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import ShiftRecord
from tandem.domain.selection import plan_shift
from tandem.domain.shifts import is_waited_for
from tandem.domain.snapshot import Instant, Published, Snapshot

NO_PLAN: Final = ShiftPlan()

Outcome = Literal["Planned", "Nothing", "Waits", "Refused"]


@dataclass(frozen=True)
class Asked:
    """One object that somebody might apply."""

    name: str
    """`namespace/name`."""
    spec: ShiftSpec | AgentGroupSpec
    order_id: str = ""
    """AgentGroups: the annotation `tandem.dev/order-id`."""
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Preview:
    """What would become of it."""

    outcome: Outcome
    """Planned: it would move; Nothing: it would change nothing; Waits: for a while, and then it lapses; Refused."""
    reason: str
    message: str
    notes: tuple[str, ...] = ()
    """What else there is to know before it is applied."""
    patience_s: float = 0.0
    """Waits: seconds for which it waits at most."""
    text: tuple[str, ...] = ()
    planned: ShiftPlan = NO_PLAN


def previews(snapshot: Snapshot, asked: Sequence[Asked], now: Instant) -> tuple[Preview, ...]:
    """What would become of each, in their order."""
    groups = dict(snapshot.groups)
    for one in asked:
        if isinstance(one.spec, AgentGroupSpec):
            groups[one.name] = Published(
                name=one.name,
                spec=one.spec,
                consistent=True,
                since=now.mono,
                labels=one.labels,
                order_digest=order_digest(one.spec.placement, one.order_id),
            )
    room = _Room(replace(snapshot, groups=groups), now)
    return tuple(room.preview(one) for one in asked)


class _Room:
    """What is taken so far: by Shifts and Drills under way, and by those that were previewed before."""

    def __init__(self, snapshot: Snapshot, now: Instant) -> None:
        self._snapshot = snapshot
        self._now = now
        self._ledger = Ledger(snapshot)
        reserve_home(self._ledger, snapshot)
        self._busy = busy_groups(snapshot)

    def preview(self, asked: Asked) -> Preview:
        spec = asked.spec
        if isinstance(spec, ShiftSpec):
            return self._shift(asked.name, spec)
        order, placed = self._snapshot.orders.get(asked.name), self._snapshot.placements.get(asked.name)
        group = self._snapshot.groups[asked.name]
        if order is not None and order.record.digest == group.order_digest:
            message = f"{asked.name} had this very order last ({order.record.outcome}); again, it does nothing"
            return Preview("Nothing", Reason.NOTHING_TO_MOVE, message)
        if placed is None:
            return self._first(asked.name, spec, group)
        if earlier_order(self._snapshot, self._busy, asked.name) is not None:
            # It would end, and this order be planned from where it has come to.
            self._busy.pop(asked.name)
            self._ledger.forget_plans({asked.name})
        plan = plan_order(self._snapshot, self._ledger, self._busy, asked.name, group, placed)
        return self._of(plan, asked.name, taking=True, of_order=True)

    def _shift(self, name: str, spec: ShiftSpec) -> Preview:
        record = ShiftRecord(spec=spec, created_at=self._now.wall, created_in="")
        plan = plan_shift(self._snapshot, self._ledger, self._busy, name, record)
        known, has_run = self._snapshot.shifts.get(name), name in self._snapshot.ran
        # One that waits for a person keeps nobody from his room or his groups.
        begins = not spec.dry_run and (spec.approval == "Auto" or spec.approved)
        found = self._of(plan, name, taking=begins and known is None and not has_run)
        if known is None and not has_run:
            return found
        if known is None:
            reason, word = Reason.ALREADY_RUN, f"a Shift {name} has run already"
        else:
            reason, word = Reason.NAME_TAKEN, f"there is a Shift {name} already ({known.record.phase})"
        again = known is None or spec.deed == known.record.spec.deed
        message = f"{word}, so this one would move nobody; create it under another name"
        if found.outcome == "Planned":
            message += ", and it would do what follows"
        return replace(found, outcome="Nothing" if again else "Refused", reason=reason, message=message)

    def _first(self, name: str, spec: AgentGroupSpec, group: Published[AgentGroupSpec]) -> Preview:
        """Of a group that is placed nowhere yet."""
        found = first_placement(self._snapshot, self._ledger, name, group)
        if not isinstance(found, Refusal):
            self._ledger.reserve(name, spec.system, spec.agents, found.map)
            return Preview("Nothing", found.reason, f"{found.sentence}; it had no placement before, so nobody moves")
        if found.reason in WAITS_UNPLACED:
            message = f"{name} has no placement yet, and is placed once this has passed: {found.message}"
            return Preview("Nothing", found.reason, message)
        return Preview("Refused", found.reason, found.message)

    def _of(self, plan: Plan | Refusal, name: str, *, taking: bool, of_order: bool = False) -> Preview:
        if isinstance(plan, Refusal):
            if plan.reason is Reason.NOTHING_TO_MOVE:
                return Preview("Nothing", plan.reason, plan.message)
            if not (plan.temporary if of_order else is_waited_for(plan)):
                return Preview("Refused", plan.reason, plan.message)
            patience = patience_s(self._snapshot, name, plan) if of_order else PATIENCE_S
            return Preview("Waits", plan.reason, plan.message, patience_s=patience)
        if taking:
            reserve(self._ledger, plan, f"Shift {name}")
            self._busy.update({group.group: name for group in plan.groups})
        return Preview(
            "Planned",
            Reason.PLANNED,
            plan.text[0],
            notes=tuple(self._notes(plan)),
            text=plan.text,
            planned=plan.planned.model_copy(update={"groups": groups_in(plan.groups)}),
        )

    def _notes(self, plan: Plan) -> Iterator[str]:
        if self._snapshot.coordinator is None:
            yield "no engine is coordinator now: nothing would start before one is"
        for site in sorted({place.site for place in plan.planned.sites if place.arriving}):
            refusal = quarantined(self._snapshot, site, self._now)
            if refusal is not None:
                yield f"it would wait before its first wave: {refusal.message}"
