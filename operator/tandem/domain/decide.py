"""`decide`: everything the coordinator would do now, from one snapshot. Pure: no I/O, no clock, no randomness."""

import traceback
from collections.abc import Callable
from functools import partial

from tandem.constants import END_SHOWN_S, FORGET_AFTER_S, ORDER_SHIFTS_KEPT, PATIENCE_S, RAN_KEPT, SHIFTS_KEPT
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Decision, Draft, Premise
from tandem.domain.drill_legs import busy_groups, reserve_home
from tandem.domain.drills import handle_drills
from tandem.domain.failover import handle_failovers
from tandem.domain.finish import finish_buckets
from tandem.domain.homecoming import handle_homecomings
from tandem.domain.orders import handle_orders
from tandem.domain.reasons import Reason
from tandem.domain.records import RanRecord, Record
from tandem.domain.routes import handle_routes
from tandem.domain.shifts import advance
from tandem.domain.snapshot import Instant, ShiftEntry, Snapshot


def decide(snapshot: Snapshot, now: Instant) -> Decision:
    """What to commit now and why, and why nothing else.

    Every commit is guarded by the coordinator's key as the snapshot shows it: without one nothing is decided.
    """
    if snapshot.coordinator is None:
        return Decision()
    draft = Draft(snapshot, snapshot.coordinator.create_revision, now.wall)
    draft.busy = busy_groups(snapshot)
    ledger = Ledger(snapshot)
    # An emergency comes first: it has whatever room there is.
    _apart(draft, "failovers", lambda: handle_failovers(draft, ledger, now))
    reserve_home(ledger, snapshot)
    # What is on its way is next, whatever else is held or refused.
    _apart(draft, "buckets on their way", lambda: finish_buckets(draft, now))
    # Before the Shifts: it makes two of them, and aborts them.
    _apart(draft, "Drills", lambda: handle_drills(draft, ledger, now))
    unfinished = [
        shift
        for shift in snapshot.unfinished_shifts()
        if keys.shift(shift.name) not in draft.written and not shift.is_question
    ]
    # Those under way first: they have their room.
    for shift in sorted(unfinished, key=lambda shift: shift.record.phase in ("Pending", "AwaitingApproval")):
        _apart(draft, f"Shift {shift.name}", partial(advance, draft, ledger, shift, now))
    _apart(draft, "orders", lambda: handle_orders(draft, ledger, now))
    _apart(draft, "the way home", lambda: handle_homecomings(draft, ledger, now))
    _apart(draft, "Trunks", lambda: handle_routes(draft, now))
    _forget(draft, now)
    _tidy(draft)
    _expire(draft, now)
    _forget_names(draft)
    return draft.finish()


def _apart(draft: Draft, subject: str, step: Callable[[], None]) -> None:
    """Do one thing of many. A defect of ours in it is said and stops nothing else, an emergency least of all."""
    try:
        step()
    except Exception:
        draft.note(subject, Reason.DEFECT, f"a defect of Tandem, please report it:\n{traceback.format_exc()}")


def _forget(draft: Draft, now: Instant) -> None:
    """Forget placements of groups that no location publishes any more and where nobody is signed in."""
    snapshot = draft.snapshot
    for group, since in snapshot.absent_since.items():
        if now.mono - since < FORGET_AFTER_S:
            draft.wake(since + FORGET_AFTER_S + 0.001)
            continue
        placed = snapshot.placements[group]
        system = placed.record.system
        sites = [site for site in snapshot.active_sites() if snapshot.system(site, system) is not None]
        reports = [snapshot.group_report(site, system, group) for site in sites]
        busy = group in draft.busy or keys.placement(group) in draft.written
        if busy or not sites or any(report is None or report.signed_in for report in reports):
            continue
        draft.commit(
            f"AgentGroup {group}",
            Reason.FORGOTTEN,
            f"{group} is published nowhere any more and nobody is signed in: its placement is forgotten",
            {keys.placement(group): None, keys.order(group): None},
            (draft.placement(placed, group), draft.no_hold),
        )


def _tidy(draft: Draft) -> None:
    """Delete the oldest finished Shifts: of each group those made from its orders, of each namespace all others."""
    by_owner: dict[str, list[ShiftEntry]] = {}
    for shift in draft.snapshot.shifts.values():
        if not shift.finished:
            continue
        ordered = shift.record.cause == "Order" and shift.record.plan
        owner = shift.record.plan[0].group if ordered else f"namespace {shift.namespace}"
        by_owner.setdefault(owner, []).append(shift)
    for owner, shifts in by_owner.items():
        kept = SHIFTS_KEPT if owner.startswith("namespace ") else ORDER_SHIFTS_KEPT
        shifts.sort(key=lambda shift: (shift.record.finished_at, shift.name))
        for old in shifts[:-kept]:
            _delete(draft, old, f"{old.name} is older than the last {kept} of {owner}")


def _expire(draft: Draft, now: Instant) -> None:
    """Delete finished Shifts whose `ttlSecondsAfterFinished` is over.

    Never while a cluster's operator might still take the object for a new one that the store has not heard of: it does
    that for PATIENCE_S. Nor before every cluster has seen how it ended. By the clocks for people, as they say when that
    was.
    """
    for shift in draft.snapshot.shifts.values():
        record, ttl = shift.record, shift.record.spec.ttl_seconds_after_finished
        if ttl is None or not shift.finished or keys.shift(shift.name) in draft.written:
            continue
        left = max(record.finished_at + max(ttl, END_SHOWN_S), record.created_at + 2 * PATIENCE_S) - now.wall
        if left > 0:
            draft.wake(now.mono + left + 0.001)
        else:
            _delete(draft, shift, f"{shift.name} has been over for {ttl} s, its ttlSecondsAfterFinished")


def _delete(draft: Draft, old: ShiftEntry, sentence: str) -> None:
    """Delete a finished Shift's record. One that people made leaves its name behind: its manifest may be applied again
    any day, by a GitOps tool, and moves nobody then."""
    record = old.record
    writes: dict[str, Record | None] = {keys.shift(old.name): None}
    if not record.cause:
        ran = RanRecord(phase=record.phase, message=record.message, finished_at=record.finished_at)
        writes[keys.ran(old.name)] = ran
    premise = Premise(keys.shift(old.name), mod_revision=old.mod_revision)
    draft.commit(f"Shift {old.name}", Reason.FORGOTTEN, sentence, writes, (premise,))


def _forget_names(draft: Draft) -> None:
    """Of each namespace the names of the last RAN_KEPT Shifts that were tidied away are remembered."""
    by_namespace: dict[str, list[tuple[float, str]]] = {}
    for name, entry in draft.snapshot.ran.items():
        by_namespace.setdefault(name.partition("/")[0], []).append((entry.record.finished_at, name))
    for namespace, names in by_namespace.items():
        for _, name in sorted(names)[:-RAN_KEPT]:
            key = keys.ran(name)
            if key not in draft.written:
                premise = Premise(key, mod_revision=draft.snapshot.ran[name].mod_revision)
                sentence = f"{name} is older than the last {RAN_KEPT} names of {namespace}"
                draft.commit(f"Shift {name}", Reason.FORGOTTEN, sentence, {key: None}, (premise,))
