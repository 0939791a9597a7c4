"""Approvals: groups whose `failover` is Manual wait for a person, with the plan ready.

A lost site's failover prepares Shifts for such groups, one per namespace if it can, in phase AwaitingApproval. It takes
one command to approve one (`kubectl tandem approve`), from any cluster; the move itself is the failover's own, with the
room there is then. A question is answered when none of its groups is left behind at the site, or when it is declined;
the failover remembers who declined, whatever becomes of the question, until the system works again. A failover that
ends closes what is open; a system that works again while another keeps the failover going leaves its questions, so an
approval holds for the loss that was asked about.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Final

from tandem.api.shift import Phase, Selector, ShiftSpec
from tandem.domain import keys
from tandem.domain.capacity import agents_in
from tandem.domain.decision import Draft, Premise
from tandem.domain.loss import Loss
from tandem.domain.placement import Slot, encode_moves
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import FailoverRecord, GroupPlan, Record, ShiftRecord
from tandem.domain.rescue import Rescue
from tandem.domain.snapshot import FAILOVER, Instant, ShiftEntry, Snapshot, site_in
from tandem.domain.verdicts import WELL, system_verdict

GROUPS_A_QUESTION: Final = 100
"""Groups that one question asks about at most: a selector names 200."""

_GROUPS_NAMED: Final = 5


def approval_for(snapshot: Snapshot, group: str, cause: str) -> ShiftEntry | None:
    """The question about a group in this failover. One that was declined or has lapsed is none.

    Nor is one that was carried out, once the group has been placed by anything else: it may have come back to the
    city while another system keeps the failover going, and an approval holds for one loss.
    """
    placed = snapshot.placements.get(group)
    stands = placed is not None and placed.record.cause == cause
    for shift in snapshot.shifts.values():
        over = shift.finished and not (stands and shift.record.phase == "Completed")
        if shift.record.cause == cause and not over and any(plan.group == group for plan in shift.record.plan):
            return shift
    return None


def is_declined(shift: ShiftEntry | None, group: str, declined: Container[str]) -> bool:
    """Whether a person would not have a group moved in this failover.

    Args:
        shift: The question about it, if it has been asked.
        declined: Groups of which this failover remembers that.
    """
    return group in declined or (shift is not None and shift.record.spec.abort)


def unanswered(shift: ShiftEntry, group: str, site: str) -> Refusal | None:
    """Why a group may not be moved yet: nobody has said yes to the question about it. None: somebody has."""
    if shift.record.spec.approved:
        return None
    message = f"{group}: {site} is lost and spec.failover is Manual; {_command(shift.name)} moves it"
    return Refusal(Reason.MANUAL_FAILOVER, message, temporary=True)


def question(
    draft: Draft, rescues: Sequence[Rescue], site: str, cause: str, why: Loss, now: Instant, taken: Container[str]
) -> tuple[str, ShiftRecord]:
    """Name and record of the Shift that asks about some groups of one namespace. `taken`: names it cannot have."""
    namespace = rescues[0].group.rpartition("/")[0]
    first = f"{namespace}/{cause.removeprefix(FAILOVER)}-failover"
    name = next(name for name in (first, *(f"{first}-{number}" for number in range(2, 1000))) if name not in taken)
    plans = tuple(_plan(draft.snapshot, rescue, site) for rescue in rescues)
    agents = sum(plan.agents for plan in plans)
    coordinator = draft.snapshot.coordinator
    message = f"{site} is {why.kind} ({why.sentence}); {_command(name)} moves about {agents} agents"
    record = ShiftRecord(
        spec=ShiftSpec(
            selector=Selector(names=tuple(rescue.group.rpartition("/")[2] for rescue in rescues)),
            to=plans[0].to,
            mode="Forced",
            waves=(100,),
            approval="Manual",
        ),
        cause=cause,
        created_at=now.wall,
        created_in=coordinator.record.site if coordinator else "",
        phase="AwaitingApproval",
        reason=Reason.MANUAL_FAILOVER,
        message=message,
        plan=plans,
        plan_text=(message, *(_line(plan) for plan in plans)),
    )
    return name, record


def close_questions(draft: Draft, now: Instant) -> None:
    """End what is answered, and what nobody has answered while the site was lost."""
    for shift in draft.snapshot.unfinished_shifts():
        if shift.is_question:
            _close(draft, shift, now)


def _close(draft: Draft, shift: ShiftEntry, now: Instant) -> None:
    site = _site_of(shift)
    failover = draft.snapshot.failover_of(shift.record.cause)
    active = failover is not None and failover[1].state == "Active"
    spec = shift.record.spec
    left = _left_behind(draft.snapshot, shift, site)
    waiting = [plan for plan in shift.record.plan if plan.group in left] or shift.record.plan
    moved = f"{len(shift.record.plan) - len(left)} of {len(shift.record.plan)} groups" if spec.approved else ""
    phase: Phase = "Interrupted" if moved and len(left) < len(shift.record.plan) else "RolledBack"
    so_far = f"{moved} had been moved" if phase == "Interrupted" else "nothing was moved"
    premises = [draft.shift(shift)]
    writes: dict[str, Record | None] = {}
    if spec.abort:
        reason, message = Reason.ABORTED_BY_USER, f"declined by {spec.aborted_by or 'a person'}: {so_far}"
        if active:
            # In the same transaction: whoever deletes the question now deletes what nobody needs any more.
            key, entry = keys.failover(site), draft.snapshot.failovers[site]
            if key in draft.written:
                return  # another question about this site was declined in the same moment
            groups = {*entry.record.declined, *left}
            writes[key] = entry.record.model_copy(update={"declined": tuple(sorted(groups))})
            premises.append(Premise(key, mod_revision=entry.mod_revision))
    elif spec.approved and not left:
        phase, reason = "Completed", Reason.FAILED_OVER
        message = f"approved by {spec.approved_by or 'a person'}; its groups have a new city"
    elif not active:
        how = failover[1].ending if failover is not None else ""
        reason, message = Reason.FAILOVER_ENDED, f"{how or f'{site} is back'}: {so_far}"
    elif failover is not None and (back := _back_alone(draft.snapshot, waiting, site, failover[1])):
        why = f"{' and '.join(sorted(back))} at {site} works again"
        if any(plan.system not in back for plan in waiting):
            _narrow(draft, shift, {plan.group for plan in waiting if plan.system in back}, why)
            return
        reason, message = Reason.FAILOVER_ENDED, f"{why}: {so_far}"
    else:
        return
    writes[keys.shift(shift.name)] = ended(shift, phase, reason, message, now)
    draft.commit(f"Shift {shift.name}", reason, message, writes, tuple(premises))


def _back_alone(snapshot: Snapshot, plans: Iterable[GroupPlan], site: str, failover: FailoverRecord) -> set[str]:
    """Systems of these groups that work again while others keep the failover going.

    Any of the city's does, of the failover or not: it ends when all of them are well.
    """
    spec = snapshot.site(site)
    others = {*failover.systems, *(system.name for system in (spec.systems if spec else ()))}

    def works(system: str) -> bool:
        return system_verdict(snapshot, site, system).state in WELL

    back = set(filter(works, {plan.system for plan in plans}))
    return back if back and not all(map(works, others)) else set()


def _narrow(draft: Draft, shift: ShiftEntry, over: Container[str], why: str) -> None:
    """Take the groups out of a question whose system works again: at its next loss a person is asked anew."""
    record = shift.record
    kept = tuple(plan for plan in record.plan if plan.group not in over)
    if record.spec.approved:
        message = f"approved by {record.spec.approved_by or 'a person'}; {why}, and its groups are asked about no more"
    else:
        message = f"{why}; {_command(shift.name)} moves about {sum(plan.agents for plan in kept)} agents of the others"
    changes = {"plan": kept, "plan_text": (message, *map(_line, kept)), "message": message}
    writes: dict[str, Record | None] = {keys.shift(shift.name): record.model_copy(update=changes)}
    draft.commit(f"Shift {shift.name}", Reason.FAILOVER_ENDED, message, writes, (draft.shift(shift),))


def say_who_waits(draft: Draft, cause: str, refused: Mapping[str, Refusal], held: Refusal | None) -> None:
    """Say in each approved question of a failover why its groups are not moved, or not all of them.

    Args:
        refused: Group -> why nobody of it can be moved now, of those still at the lost city.
        held: Why nobody at all is moved.
    """
    for shift in draft.snapshot.unfinished_shifts():
        record = shift.record
        if record.cause != cause or not record.spec.approved or keys.shift(shift.name) in draft.written:
            continue
        why = held or _why_waiting(draft.snapshot, shift, refused)
        if why is None:
            continue  # it is being carried out
        message = f"approved by {record.spec.approved_by or 'a person'}, and waits: {why.message}"
        if (record.reason, record.message) != (why.reason, message):
            said = record.model_copy(update={"reason": why.reason, "message": message})
            draft.commit(
                f"Shift {shift.name}", why.reason, message, {keys.shift(shift.name): said}, (draft.shift(shift),)
            )


def _why_waiting(snapshot: Snapshot, shift: ShiftEntry, refused: Mapping[str, Refusal]) -> Refusal | None:
    """What keeps a question's groups. Without the room that there is: it changes with every sign-in."""
    site = _site_of(shift)
    missing: dict[str, int] = {}
    for plan in shift.record.plan:
        why, spec = refused.get(plan.group), snapshot.group_at_worst(plan.group)
        if why is None:
            continue
        if why.reason != Reason.CAPACITY_EXCEEDED:
            return why
        left = snapshot.placements[plan.group].map.slots.count(Slot(site))
        missing[plan.group] = agents_in(left, spec.agents if spec else 0)
    if not missing:
        return None
    names = list(missing)
    groups = ", ".join(names[:_GROUPS_NAMED])
    if len(names) > _GROUPS_NAMED:
        groups += f" and {len(names) - _GROUPS_NAMED} more"
    systems = " and ".join(sorted({plan.system for plan in shift.record.plan if plan.group in missing}))
    message = (
        f"about {sum(missing.values())} agents of {groups} have no room; they follow when {systems} has more: "
        "raise its capacity elsewhere with the parts behind it, or move others away"
    )
    return Refusal(Reason.CAPACITY_EXCEEDED, message, temporary=True)


def _site_of(question: ShiftEntry) -> str:
    return site_in(question.record.cause)


def _left_behind(snapshot: Snapshot, shift: ShiftEntry, site: str) -> list[str]:
    """Groups of a question that still have buckets at the lost site which are not on their way from there."""
    placements = ((plan.group, snapshot.placements.get(plan.group)) for plan in shift.record.plan)
    return [group for group, placed in placements if placed is not None and Slot(site) in placed.map.slots]


def ended(shift: ShiftEntry, phase: Phase, reason: Reason, message: str, now: Instant) -> ShiftRecord:
    """A Shift's record as an emergency ends it."""
    changes = {"phase": phase, "reason": reason, "message": message, "finished_at": now.wall}
    return shift.record.model_copy(update=changes)


def _plan(snapshot: Snapshot, rescue: Rescue, site: str) -> GroupPlan:
    spec = snapshot.group_at_worst(rescue.group)
    agents = spec.agents if spec else 0
    moves = encode_moves(rescue.moves)
    ends = [slot.end for slot in rescue.moves.values()]
    return GroupPlan(
        group=rescue.group,
        system=rescue.system,
        agents=agents_in(len(ends), agents),
        to=max(sorted(set(ends)), key=ends.count),
        moves=moves,
        waves=(moves,),
        before=rescue.placed.map.encode(),
        after=rescue.after.encode(),
    )


def _line(plan: GroupPlan) -> str:
    after = ", ".join(f"{site} {buckets}" for site, buckets in plan.after.items())
    return f"{plan.group}: about {plan.agents} agents; buckets then: {after}"


def _command(name: str) -> str:
    namespace, _, short = name.rpartition("/")
    return f"`kubectl tandem approve {short} -n {namespace}`"
