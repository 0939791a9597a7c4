"""The life of a Drill: a Shift out, a while of work there, a Shift back to the exact starting map.

    Waiting -> Checking -> Out -> Holding -> Back -> Waiting      outcome Succeeded, Failed or Interrupted
                  |         |                 ^
                  |         +--> aborted -----+--> Waiting        outcome Interrupted, everybody back, or who is not
                  +--> Waiting                                    outcome Blocked or CapacityCheckFailed, nobody moved

    due        its schedule, or a command; once, because the record says up to when due times have been dealt with
    Checking   waits for what speaks against it (`drill_checks`) until its starting deadline, and never starts later
    Out, Back  a Shift each, carried by `shifts`: waves, pace, gates, hold and abort are those of every Shift
    Holding    its groups are busy for everybody else and their room at home is kept

All of it is in one key, so a coordinator that dies is continued by the next one, and nothing is done twice. A spec that
changes under way changes nothing of the run, except `suspend`, which brings it back. An emergency of its groups ends it
in the emergency's own transaction (`failover`); what it has moved stays where the emergency leaves it.
"""

import traceback
from collections.abc import Callable
from typing import Final

from tandem.api.common import duration_seconds
from tandem.api.drill import UNDER_WAY, DrillSpec, Outcome
from tandem.constants import (
    CLOCK_AHEAD_S,
    DRILL_LOOK_OPEN_S,
    DRILL_LOOK_S,
    DRILL_MISSING_PERCENT,
    PATIENCE_S,
    PREPARE_PATIENCE_S,
)
from tandem.domain import keys
from tandem.domain.alarms import alarms_evidence, utc, watch_of_drill
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.drill_alarms import heed_alarms
from tandem.domain.drill_checks import Question, Start, may_start, world_refusal
from tandem.domain.drill_facts import first_facts
from tandem.domain.drill_legs import (
    figures,
    home_gone,
    out_of_place,
    plan_back,
    shift_name,
    shift_record,
    way_back,
    way_out,
)
from tandem.domain.drill_requests import ANSWERS_KEPT, DrillRequest
from tandem.domain.drill_turn import DrillTurn, ended
from tandem.domain.placement import BucketMap
from tandem.domain.plan import reserve
from tandem.domain.quarantine import failing
from tandem.domain.reasons import GATE_REASONS, Reason, Refusal
from tandem.domain.records import DrillAnswerRecord, DrillDue, DrillLegRecord, DrillRecord, DrillRunRecord
from tandem.domain.schedule import latest_due, next_after
from tandem.domain.snapshot import DrillEntry, Instant, ShiftEntry, Snapshot


def handle_drills(draft: Draft, ledger: Ledger, now: Instant) -> None:
    """Bring every Drill as far as it can go now. At most one starts in one decision: the next sees it under way."""
    names = sorted({*draft.snapshot.drill_specs, *draft.snapshot.drills})
    # Those under way first: they have their groups and their room.
    for name in sorted(names, key=lambda name: not _under_way(draft.snapshot, name)):
        key = keys.drill(name)
        if key in draft.written or key in draft.snapshot.unreadable:
            continue
        _step(draft, ledger, name, now)


def _under_way(snapshot: Snapshot, name: str) -> bool:
    entry = snapshot.drills.get(name)
    return entry is not None and entry.under_way


def _step(draft: Draft, ledger: Ledger, name: str, now: Instant) -> None:
    published = draft.snapshot.drill_specs.get(name)
    entry = draft.snapshot.drills.get(name)
    record = entry.record if entry else DrillRecord(after=now.wall)
    turn = DrillTurn(draft, ledger, name, published, entry, record, now)
    turn.premises.append(Premise(keys.drill(name), mod_revision=entry.mod_revision if entry else 0))
    if published is None and record.phase not in UNDER_WAY:
        _forget(turn)
        return
    _heed_schedule(turn)
    _heed_clock(turn)
    _heed_requests(turn)
    before = None
    while turn.record.phase != before:
        before = turn.record.phase
        PHASES[before](turn)
    _write_down(turn)
    if turn.record != (entry.record if entry else None):
        turn.writes[keys.drill(name)] = turn.record
    if turn.writes:
        draft.commit(turn.subject, turn.reason, turn.record.message, turn.writes, tuple(turn.premises))


def _write_down(turn: DrillTurn) -> None:
    """What the run's report needs, and the report. A defect of ours in it keeps nobody from coming back."""
    try:
        turn.note_news()
        turn.report()
    except Exception:
        sentence = f"no report can be made, a defect of Tandem, please report it:\n{traceback.format_exc()}"
        turn.draft.note(turn.subject, Reason.DEFECT, sentence)


def _forget(turn: DrillTurn) -> None:
    """Its objects are deleted everywhere and nobody is away: the record goes, and with it the Shifts of its runs."""
    for run in turn.record.runs:
        turn.forget_shifts(run)
    for name, report in turn.snapshot.drill_reports.items():
        if report.record.drill == turn.name:
            turn.writes[keys.DRILL_REPORTS + name] = None
    turn.writes[keys.drill(turn.name)] = None
    sentence = f"Drill {turn.name} is applied nowhere any more: its record is forgotten"
    turn.draft.commit(turn.subject, Reason.FORGOTTEN, sentence, turn.writes, tuple(turn.premises))


def _heed_schedule(turn: DrillTurn) -> None:
    """A schedule that is new, or has changed, counts from now on: nothing is made up for."""
    spec = turn.spec
    if spec is None or turn.published is None or not turn.published.consistent:
        return
    schedule = f"{spec.schedule} {spec.time_zone}" if spec.schedule else ""
    if schedule != turn.record.schedule or turn.entry is None:
        changes: dict[str, object] = {"schedule": schedule, "after": turn.now.wall}
        if turn.record.phase == "Waiting":
            turn.become(Reason.WAITING, _outlook(spec), **changes)
        else:
            turn.record = turn.record.model_copy(update=changes)


def _heed_clock(turn: DrillTurn) -> None:
    """What a coordinator has written down whose clock was far ahead counts as now, or the Drill would wait until then.

    The times in between come again. None has two runs: those that were made are known by their names.
    """
    spec, record, now = turn.spec, turn.record, turn.now.wall
    due, latest = record.due, now + CLOCK_AHEAD_S
    early = due is not None and due.at > latest
    if spec is None or (record.after <= latest and not early):
        return
    changes: dict[str, object] = {"after": min(record.after, now)}
    message = f"a coordinator's clock was ahead and said {utc(due.at if due and early else record.after)}"
    message = f"{message}; now it is {utc(now)}, and it {_outlook(spec)}"
    if due is not None and early and not due.by:
        turn.become(Reason.CLOCK_AHEAD, message, phase="Waiting", due=None, **changes)
    elif record.phase == "Waiting":
        turn.become(Reason.CLOCK_AHEAD, message, **changes)
    else:
        if due is not None and early:
            changes["due"] = due.model_copy(update={"at": now, "until": now + PATIENCE_S})
        turn.record = record.model_copy(update=changes)


def _outlook(spec: DrillSpec) -> str:
    if spec.schedule is None:
        return "has no schedule: `kubectl tandem drill run` starts it"
    return f"waits for its time: {spec.schedule} ({spec.time_zone})"


# -- commands


def _heed_requests(turn: DrillTurn) -> None:
    """Commands that are new; each is taken once, followed or not, whatever clusters it has been given in."""
    for site, request in sorted(turn.published.requests.items()) if turn.published else ():
        record = turn.record
        if record.handled.get(site) == request.id:
            continue
        handled = {**record.handled, site: request.id}
        if request.id in (record.request, *(one.id for one in record.answered), *record.handled.values()):
            turn.record = record.model_copy(update={"handled": handled})
            continue
        answer = _answer(turn, request)
        record = turn.record
        answered = record.answered
        if record.request:
            answered = (DrillAnswerRecord(id=record.request, answer=record.answer), *answered)[: ANSWERS_KEPT - 1]
        turn.record = record.model_copy(
            update={"handled": handled, "request": request.id, "answer": answer, "answered": answered}
        )


def _answer(turn: DrillTurn, request: DrillRequest) -> str:
    """Follow a command, or say why not."""
    phase = turn.record.phase
    late = turn.now.wall - request.at
    if late > PATIENCE_S:
        return (
            f"{request.action} by {request.by} came {late:.0f} s late and was not followed; after {PATIENCE_S:.0f} s "
            f"nobody waits for it any more. It was given at {utc(request.at)} by the clock of the cluster it was given "
            f"in, and the coordinator's clock says {utc(turn.now.wall)}; if it was given just now, one of them is "
            "wrong; else ask again"
        )
    if request.action == "abort":
        if phase in UNDER_WAY:
            turn.come_back_early("Interrupted", Reason.ABORTED_BY_USER, f"aborted by {request.by}")
            return "aborted: the agents come back"
        if phase == "Checking" and turn.record.due is not None and turn.spec is not None:
            turn.never_started(turn.record.due, "Interrupted", Reason.ABORTED_BY_USER, f"aborted by {request.by}")
            return "aborted before it started"
        return "nothing is under way, so there is nothing to abort"
    if phase != "Waiting":
        return f"not started: a run is under way already ({phase})"
    if turn.spec is None:
        return f"not started: {turn.published.message if turn.published else 'it is applied nowhere'}"
    due = turn.due(turn.now.wall, turn.now.wall + PATIENCE_S, by=request.by, request=request.id)
    turn.become(Reason.CHECKING, f"started by {request.by}: looks what speaks against it", phase="Checking", due=due)
    return f"run {due.name} is due now"


# -- the phases


def waiting(turn: DrillTurn) -> None:
    spec = turn.spec
    if spec is None or spec.schedule is None:
        return
    due = latest_due(spec.schedule, spec.time_zone, turn.record.after, turn.now.wall)
    if due is None:
        following = next_after(spec.schedule, spec.time_zone, turn.record.after)
        if following is not None:
            turn.draft.wake(turn.now.mono + following - turn.now.wall + 0.001)
        return
    if turn.has_run_at(due):
        message = f"its run of {utc(due)} was made when a coordinator's clock was ahead; {_outlook(spec)}"
        turn.become(Reason.CLOCK_AHEAD, message, after=due)
        return
    if spec.suspend:
        turn.become(Reason.SUSPENDED, "spec.suspend is true: its time passes without a run", after=due)
        return
    found = turn.due(due, due + duration_seconds(spec.starting_deadline))
    message = "it is time: looks what speaks against it"
    turn.become(Reason.CHECKING, message, phase="Checking", due=found, after=due)


def checking(turn: DrillTurn) -> None:
    due, spec = turn.record.due, turn.spec
    assert due is not None
    if spec is None or turn.published is None:
        # Its spec cannot be read here and now; a new manifest, or another engine, goes on.
        turn.wait(Refusal(Reason.SPEC_NOT_CONSISTENT, turn.published.message if turn.published else "", temporary=True))
        return
    if turn.now.wall > due.until:
        _too_late(turn, due)
        return
    if any(key.startswith(keys.SHIFTS) for commit in turn.draft.commits for key in commit.writes):
        turn.draft.wake(turn.now.mono + 0.05)  # something else starts or ends in this very decision: look again
        return
    left = max(due.until - turn.now.wall + 0.001, 0.05)
    question = Question(turn.snapshot, turn.ledger, turn.draft.busy, turn.published, spec, turn.record, turn.now)
    against = world_refusal(question)
    if against is None and due.planned and (rest := _until_next_look(turn, due)) > 0:
        turn.draft.wake(turn.now.mono + min(rest, left))
        return
    found = against or may_start(question)
    if isinstance(found, Start):
        _start(turn, due, question, found)
    elif found.temporary:
        turn.draft.wake(turn.now.mono + min(1.0, left))
        if due.planned != (against is None):
            due = due.model_copy(update={"planned": against is None})
            turn.record = turn.record.model_copy(update={"due": due})
        turn.wait(found)
    else:
        turn.never_started(due, _outcome_of(found.reason), found.reason, found.message)


def _until_next_look(turn: DrillTurn, due: DrillDue) -> float:
    """Seconds until a plan that was refused is made again; 0 or less: now.

    It costs more than all the rest, and each report of a CTI that comes in is a decision. Kept in step with the clock,
    because nothing is written for it.
    """
    past = (turn.now.wall - due.at) % DRILL_LOOK_S
    return 0.0 if past <= DRILL_LOOK_OPEN_S else DRILL_LOOK_S - past + 0.001


def _too_late(turn: DrillTurn, due: DrillDue) -> None:
    """Whatever spoke against it last is why; where nobody has looked in time, that is."""
    reason = _known(turn.record.reason)
    if reason is Reason.CHECKING:
        reason, why = Reason.DEADLINE_MISSED, "nobody looked"
    else:
        why = turn.record.message
    turn.never_started(due, _outcome_of(reason), reason, f"not within its starting deadline: {why}")


def _outcome_of(reason: Reason) -> Outcome:
    return "CapacityCheckFailed" if reason is Reason.CAPACITY_EXCEEDED else "Blocked"


def _start(turn: DrillTurn, due: DrillDue, question: Question, found: Start) -> None:
    shift = shift_name(turn.snapshot, turn.name, due.name, "out")
    spec, published = question.spec, question.published
    run = DrillRunRecord(
        due=due,
        shift=spec.shift,
        lost=spec.failover,
        targets=tuple(sorted({target for plan in found.plan.groups for target in plan.targets})),
        epoch=turn.draft.epoch,
        hold_s=duration_seconds(spec.hold),
        before=found.before,
        alarms=spec.alarms,
        unwatched_since=turn.now.wall if spec.alarms is not None and spec.alarms.outcome else 0.0,
        started_at=turn.now.wall,
        out=DrillLegRecord(shift=shift, agents=sum(plan.agents for plan in found.plan.groups)),
        facts=first_facts(question, found),
    )
    reserve(turn.ledger, found.plan, turn.subject)
    for group in found.before:
        turn.draft.busy.setdefault(group, turn.subject)
    # Planned only: it is carried from there like every Shift, and this transaction stays small.
    turn.writes[keys.shift(shift)] = shift_record(
        turn.snapshot,
        way_out(spec.shift, spec.failover),
        shift,
        turn.now,
        found.plan,
        rehearses=spec.failover.site if spec.failover else "",
    )
    turn.premises += [Premise(keys.shift(shift), mod_revision=0), turn.draft.no_hold]
    turn.premises += [Premise(key, mod_revision=revision) for key, revision in published.evidence]
    turn.premises += [_same_failover(turn.snapshot, site) for site in turn.snapshot.active_sites()]
    watch = watch_of_drill(turn.name, turn.published, turn.record)
    if watch is not None:
        turn.premises += [Premise(key, mod_revision=seen) for key, seen in alarms_evidence(turn.snapshot, watch)]
    message = f"run {due.name}: {found.plan.text[0]}"
    turn.become(Reason.DRILL_STARTED, message, phase="Out", run=run, due=None)


def _same_failover(snapshot: Snapshot, site: str) -> Premise:
    entry = snapshot.failovers.get(site)
    return Premise(keys.failover(site), mod_revision=entry.mod_revision if entry else 0)


def out(turn: DrillTurn) -> None:
    shift = turn.snapshot.shifts.get(turn.run.out.shift)
    if shift is None:
        if turn.entry is not None and turn.entry.record.phase == "Out":
            turn.come_back_early("Failed", Reason.SHIFT_GONE, f"Shift {turn.run.out.shift} is gone from the store")
            _hold(turn)
        return  # else it was made in this very turn
    _heed_withdrawal(turn)
    heed_alarms(turn)
    if not shift.finished:
        _follow(turn, shift)
        if turn.known_for("waiting_since") > PREPARE_PATIENCE_S:
            # Nobody watches at night: half of them there and half of them here is no place to stay.
            message = f"Shift {shift.short_name} could not go on for {PREPARE_PATIENCE_S:.0f} s: {shift.record.message}"
            turn.come_back_early("Failed", _known(shift.record.reason), message)
        if turn.run.outcome is not None:
            _abort(turn, shift)
        return
    turn.change_run(out=figures(turn.snapshot, turn.run.out))
    record = shift.record
    if record.phase == "Completed":
        _hold(turn)
    else:
        _give_up(turn, shift)


def _hold(turn: DrillTurn) -> None:
    placed = (turn.snapshot.placements.get(group) for group in turn.run.before)
    doors_at = max((one.record.committed_at for one in placed if one is not None), default=0.0)
    turn.change_run(holding_since=turn.now.wall, doors_at=doors_at)
    if turn.run.outcome is None:
        message = f"{turn.run.out.moved} agents work at {' and '.join(turn.run.goals)} for {turn.run.hold_s:.0f} s"
        turn.become(Reason.HOLDING, message, phase="Holding")
    else:
        turn.become(turn.run.reason, turn.record.message, phase="Holding")


def holding(turn: DrillTurn) -> None:
    run = turn.run
    lost = next((site for site in sorted(_sites(run)) if _fails_its_groups(turn.snapshot, site, run)), None)
    if lost is not None:
        message = f"{lost} has failed, and an emergency comes before a rehearsal; nobody is moved by it any more"
        turn.finish("Interrupted", Reason.FAILED_OVER, message)
        return
    _heed_withdrawal(turn)
    heed_alarms(turn)
    if turn.run.outcome is None:
        # Every engine counts for itself from when it saw it begin, whoever coordinates: wall clocks are set.
        seen_for = turn.now.mono - turn.entry.since if turn.entry and turn.entry.record.phase == "Holding" else 0.0
        left = run.hold_s - seen_for
        if left > 0:
            turn.draft.wake(turn.now.mono + left + 0.001)
            return
    _come_back(turn)


def _come_back(turn: DrillTurn) -> None:
    run = turn.run
    busy = {group: owner for group, owner in turn.draft.busy.items() if owner != turn.subject}
    out_of_patience = turn.known_for("waiting_since") > PREPARE_PATIENCE_S
    found = plan_back(turn.snapshot, turn.ledger, run, busy, turn.now, without_unknown=out_of_patience)
    if isinstance(found, Refusal):
        if found.reason is Reason.NOTHING_TO_MOVE:
            if out_of_place(turn.snapshot, run.before):
                turn.finish("Failed", Reason.NOT_RESTORED, found.message)
            else:
                _judge(turn, found.message)
            return
        _kept(turn, found.reason)
        if not _may_wait(turn, found) and out_of_patience:
            outcome: Outcome = "CapacityCheckFailed" if found.reason is Reason.CAPACITY_EXCEEDED else "Failed"
            turn.finish(
                outcome, found.reason, f"gave up to come back after {PREPARE_PATIENCE_S:.0f} s: {found.message}"
            )
            return
        turn.draft.wake(turn.now.mono + 1.0)
        turn.wait(Refusal(found.reason, f"cannot come back yet: {found.message}", temporary=True))
        return
    shift = shift_name(turn.snapshot, turn.name, run.name, "back")
    reserve(turn.ledger, found, turn.subject)
    spec = way_back(run.shift, found.groups[0].to)
    turn.writes[keys.shift(shift)] = shift_record(turn.snapshot, spec, shift, turn.now, found)
    turn.premises += [Premise(keys.shift(shift), mod_revision=0), turn.draft.no_hold]
    leg = DrillLegRecord(shift=shift, agents=sum(plan.agents for plan in found.groups))
    turn.change_run(back=leg, waiting_since=0.0, left_at=turn.now.wall)
    turn.become(Reason.COMING_BACK, f"run {run.name} comes back: {found.text[0]}", phase="Back")


def back(turn: DrillTurn) -> None:
    run = turn.run
    shift = turn.snapshot.shifts.get(run.back.shift)
    if shift is None:
        if turn.entry is not None and turn.entry.record.phase == "Back":
            turn.finish("Failed", Reason.SHIFT_GONE, f"Shift {run.back.shift} is gone from the store")
        return  # else it was made in this very turn
    record = shift.record
    heed_alarms(turn)
    gone = home_gone(turn.snapshot, record.plan, settled=shift.finished)
    if not shift.finished:
        turned_round = record.spec.abort or record.phase == "Aborting"
        if gone is None or turned_round or record.phase == "Verifying":
            _follow(turn, shift)
        else:
            _wait_for_home(turn, shift, gone)
        return
    turn.change_run(back=figures(turn.snapshot, run.back))
    if record.phase == "Completed":
        _judge(turn, record.message, gone)
    elif record.phase == "Failed" and gone is not None:
        turn.finish("Failed", gone.reason, f"{gone.message}; Shift {shift.short_name}: {record.message}")
    else:
        _give_up(turn, shift)


def _wait_for_home(turn: DrillTurn, shift: ShiftEntry, gone: Refusal) -> None:
    """Their home is applied nowhere any more while they are on their way there. It goes on when it is, in time."""
    # As it was before this turn: somebody who aborts the run meanwhile begins no patience anew.
    if turn.entry is None or turn.entry.record.reason != gone.reason:
        turn.change_run(waiting_since=0.0)  # whatever it waited for until now was something else
    _kept(turn, gone.reason)
    # An emergency that ends their Shift in this very decision comes first: the next turn goes by that.
    if turn.known_for("waiting_since") <= PREPARE_PATIENCE_S or keys.shift(shift.name) in turn.draft.written:
        turn.draft.wake(turn.now.mono + 1.0)
        turn.wait(Refusal(gone.reason, f"Shift {shift.short_name} cannot go on: {gone.message}", temporary=True))
        return
    # Nobody turns those round who are on their way: the site that is gone says of nobody that he has left it.
    message = f"gave up to come back after {PREPARE_PATIENCE_S:.0f} s: {gone.message}"
    changes = {"phase": "Interrupted", "reason": gone.reason, "message": message, "finished_at": turn.now.wall}
    turn.writes[keys.shift(shift.name)] = shift.record.model_copy(update=changes)
    turn.premises.append(turn.draft.shift(shift))
    turn.finish("Failed", gone.reason, message)


def _judge(turn: DrillTurn, last_words: str, gone: Refusal | None = None) -> None:
    """Both ways are done: was it a success? `gone`: why whoever is not home cannot get there any more."""
    short = _shortfall(turn.run)
    if short is None:
        turn.finish("Succeeded", Reason.COMPLETED, f"out and back again: {last_words}")
    elif gone is not None:
        turn.finish("Failed", gone.reason, f"{gone.message}; {short.message}; {last_words}")
    else:
        turn.finish("Failed", short.reason, f"{short.message}; {last_words}")


def _shortfall(run: DrillRunRecord) -> Refusal | None:
    """What keeps a run with both ways done from being a success."""
    for name, leg in (("out", run.out), ("back", run.back)):
        missing = leg.agents - leg.staying - leg.moved
        if missing * 100 > leg.agents * DRILL_MISSING_PERCENT:
            message = f"{missing} of {leg.agents} agents of Shift {leg.shift.rpartition('/')[2]} did not arrive"
            return Refusal(Reason.AGENTS_MISSING, message)
        if not leg.moved:
            why = "nobody was signed in" if leg.shift else "it did not take place"
            why = f"{leg.staying} of {leg.agents} agents stayed in their calls" if leg.agents else why
            return Refusal(Reason.NOBODY_REHEARSED, f"nobody was rehearsed on the way {name}: {why}")
    return None


PHASES: Final[dict[str, Callable[[DrillTurn], None]]] = {
    "Waiting": waiting,
    "Checking": checking,
    "Out": out,
    "Holding": holding,
    "Back": back,
}


# -- what phases share

_WAITS: Final = GATE_REASONS | {
    Reason.HELD,
    Reason.SPEC_NOT_CONSISTENT,
    Reason.MAINTENANCE,
    Reason.QUARANTINED,
    Reason.TARGET_NOT_USABLE,
    Reason.UNKNOWN_SITE,
    Reason.UNKNOWN_SYSTEM,
    Reason.WAITING_FOR_REPLICAS,
}
"""Reasons of a Shift that waits for the world, or for a person, and those of a Drill whose home is gone."""


def _heed_withdrawal(turn: DrillTurn) -> None:
    """A person does not want it any more."""
    if turn.published is None:
        turn.come_back_early("Interrupted", Reason.DRILL_DELETED, "the Drill was deleted")
    elif turn.spec is not None and turn.spec.suspend:
        turn.come_back_early("Interrupted", Reason.SUSPENDED, "spec.suspend was set to true")


def _give_up(turn: DrillTurn, shift: ShiftEntry) -> None:
    """A Shift has ended and not as it should: it failed before it moved anybody, was aborted, or was interrupted."""
    record = shift.record
    outcome: Outcome = "Failed" if record.phase == "Failed" or record.aborted_for else "Interrupted"
    turn.finish(outcome, record.reason, f"Shift {shift.short_name}: {record.message}")


def _follow(turn: DrillTurn, shift: ShiftEntry) -> None:
    """Say of the Drill what its Shift waits for."""
    reason = _known(shift.record.reason)
    if reason in _WAITS:
        _kept(turn, reason)
        turn.draft.wake(turn.now.mono + 1.0)
        turn.wait(Refusal(reason, f"Shift {shift.short_name} waits: {shift.record.message}", temporary=True))
    elif turn.record.reason in _WAITS:
        turn.change_run(waiting_since=0.0)
        goes_back = turn.record.phase == "Back" or turn.run.outcome is not None
        turn.become(
            Reason.COMING_BACK if goes_back else Reason.DRILL_STARTED,
            f"Shift {shift.short_name} goes on: {shift.record.message}",
        )


def _kept(turn: DrillTurn, reason: Reason) -> None:
    """Note since when the world keeps it from going on. A hold is a person's to lift, however long it takes."""
    since = 0.0 if reason is Reason.HELD else turn.run.waiting_since or turn.now.wall
    if since != turn.run.waiting_since:
        turn.change_run(waiting_since=since)


def _abort(turn: DrillTurn, shift: ShiftEntry) -> None:
    """Tell the Shift to go back, as a person would."""
    key = keys.shift(shift.name)
    if shift.record.spec.abort or key in turn.draft.written:
        return
    spec = shift.record.spec.model_copy(update={"abort": True})
    turn.writes[key] = shift.record.model_copy(update={"spec": spec})
    turn.premises.append(turn.draft.shift(shift))


def _sites(run: DrillRunRecord) -> set[str]:
    homes = {site for encoded in run.before.values() for site in BucketMap.parse(encoded).end_shares}
    return homes | set(run.goals)


def _may_wait(turn: DrillTurn, refusal: Refusal) -> bool:
    """A quarantine ends within minutes, and until then its agents work where they are. People may want them earlier."""
    over = not any(failing(turn.snapshot, site) for site in _sites(turn.run))
    return refusal.reason is Reason.QUARANTINED and over and turn.run.outcome is None


def _fails_its_groups(snapshot: Snapshot, site: str, run: DrillRunRecord) -> bool:
    """Whether an emergency of this site is one of a system that the run has groups of."""
    if not failing(snapshot, site):
        return False
    placed = (snapshot.placements.get(group) for group in run.before)
    systems = {one.record.system for one in placed if one is not None}
    return not systems.isdisjoint(snapshot.failovers[site].record.systems)


def _known(text: str) -> Reason:
    return Reason(text) if text in set(Reason) else Reason.WAITING


# -- an emergency


def interrupted(entry: DrillEntry, snapshot: Snapshot, site: str, kind: str, now: Instant) -> DrillRecord:
    """What becomes of a Drill whose group a failover of `site` moves; written in the failover's own transaction."""
    record, run = entry.record, entry.record.run
    assert run is not None
    message = (
        f"interrupted in {record.phase}: {site} is {kind}, and its agents came first; "
        "whoever is not home comes home by a Shift"
    )
    over = ended(run, snapshot, "Interrupted", Reason.FAILED_OVER, message, now)
    changes = {
        "phase": "Waiting",
        "run": None,
        "due": None,
        "runs": (over, *record.runs),
        "reason": Reason.FAILED_OVER,
        "message": f"run {run.name} Interrupted: {message}",
    }
    return record.model_copy(update=changes)
