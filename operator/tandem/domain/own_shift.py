"""Shifts that Tandem makes itself: to carry out a changed order, to bring agents home."""

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.shift import Selector, ShiftSpec
from tandem.domain.decision import Draft
from tandem.domain.plan import Plan
from tandem.domain.reasons import Reason
from tandem.domain.records import ShiftRecord
from tandem.domain.snapshot import Instant, ShiftEntry


def own_shift(
    draft: Draft,
    group: str,
    spec: AgentGroupSpec,
    plan: Plan,
    name: str,
    now: Instant,
    *,
    cause: str = "",
    order_digest: str = "",
) -> ShiftEntry:
    """A Shift that moves one group to what its spec orders, planned already; it does not exist in the store yet."""
    shares = [share for share in spec.placement if share.percent]
    whole = shares[0].site if len(shares) == 1 else None
    coordinator = draft.snapshot.coordinator
    record = ShiftRecord(
        spec=ShiftSpec(
            selector=Selector(names=(group.rpartition("/")[2],)),
            to=whole,
            placement=() if whole else tuple(shares),
            waves=spec.waves,
            pace=spec.pace,
            drain=spec.drain,
            gates=spec.gates,
        ),
        cause=cause,
        order_digest=order_digest,
        created_at=now.wall,
        created_in=coordinator.record.site if coordinator else "",
        phase="Planned",
        reason=Reason.PLANNED,
        message=plan.text[0],
        plan=plan.groups,
        planned=plan.planned,
        plan_text=plan.text,
    )
    return ShiftEntry(name=name, record=record, mod_revision=0, first_seen=now.mono, since=now.mono)
