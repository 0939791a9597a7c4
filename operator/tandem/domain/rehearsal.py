"""A failover rehearsed: the rules of an emergency, over words that count for the groups of one Drill only.

    Preparing   the site's CTI keeps some idle agents silent; each location says how it would look if it were lost
                `loss` weighs these words as it does all others: own word, another location, confirmed, in time
                `rescue` says where the groups' buckets go, and the same transaction compares the words
    Moving ..   as every Shift: those who are not silent leave when they are idle

What is said of the site in truth is never touched, nor is its verdict: there is no failover of it, no quarantine, and
nobody else moves. Truth comes first: whatever happens to the site, to those that would take its agents or to the
coordinator ends the rehearsal before anything has moved; afterwards it is a Shift on its way like any other.

A bucket goes by way of `A>B`, as from a site that is Down and writes: the other door opens when A says that nobody of
it is left there. A is well, so nobody is hurried: a call is finished first, and its acknowledgement is waited for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

from tandem.api.shift import Phase
from tandem.constants import REHEARSAL_MOST_S
from tandem.domain import keys
from tandem.domain.decision import Premise
from tandem.domain.loss import Loss, loss
from tandem.domain.placement import Slot, encode_moves
from tandem.domain.plan import hold_refusal, unusable_target
from tandem.domain.quarantine import quarantined
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import DrillRunRecord, GroupPlan, RehearsalTimes, RehearsedRecord
from tandem.domain.rescue import rescue
from tandem.domain.snapshot import DrillEntry, Snapshot
from tandem.domain.target_tests import targets_of
from tandem.domain.turn import Turn
from tandem.domain.waves import start_wave
from tandem.domain.words import SIGN_IN

COMPONENT: Final = SIGN_IN
"""What does not work at a site whose loss is rehearsed: its CTI answers its engine, and signs nobody in."""


RECONNECTED_S: Final = 10.0
"""Seconds after which whoever was kept silent has found the way back to a connection."""


@dataclass(frozen=True, slots=True)
class LossRehearsal:
    """What every location does for a run: silence, and words as if the site were lost."""

    drill: str
    """`namespace/name`."""
    run: str
    """The same with the run's name: what words and silence are marked with."""
    site: str
    silence: int
    """Percent of each group's idle agents."""
    groups: Mapping[str, str]
    """Group -> system."""
    targets: tuple[str, ...]
    counted: bool
    """Whether words are counted still: the loss has not been acted on."""

    @property
    def systems(self) -> frozenset[str]:
        return frozenset(self.groups.values())


def rehearsals(snapshot: Snapshot) -> Iterator[LossRehearsal]:
    """Those under way. None while somebody holds everything, or nobody could decide: silence serves nothing then."""
    if snapshot.coordinator is None or snapshot.hold is not None:
        return
    for entry in snapshot.drills.values():
        run = entry.record.run
        if entry.record.phase != "Out" or run is None or run.lost is None or run.outcome is not None:
            continue
        shift = snapshot.shifts.get(run.out.shift)
        if shift is None or shift.record.spec.abort or shift.record.phase not in ("Preparing", "Moving"):
            continue
        if run.epoch != snapshot.coordinator.create_revision and shift.record.phase == "Preparing":
            continue
        groups = {plan.group: plan.system for plan in shift.record.plan}
        counted = shift.record.phase == "Preparing"
        name = run_name(entry, run)
        yield LossRehearsal(entry.name, name, run.lost.site, run.lost.silence, groups, run.goals, counted)


def hushed_groups(snapshot: Snapshot, site: str, mono: float) -> frozenset[str]:
    """Groups whose clients have lost a site because a Drill would have it so: what they say of it counts for nothing.

    For a moment longer than it takes: they connect again.
    """
    found: set[str] = set()
    for entry in snapshot.drills.values():
        run = entry.record.run
        if run is not None and run.lost is not None and run.lost.site == site:
            fresh = entry.record.phase != "Out" and mono - entry.since < RECONNECTED_S
            found |= entry.groups if entry.record.phase == "Out" or fresh else set()
    return frozenset(found)


def run_name(entry: DrillEntry, run: DrillRunRecord) -> str:
    return f"{entry.name}/{run.name}"


def as_if_lost(snapshot: Snapshot, drill: str, run: str, site: str, system: str) -> Snapshot:
    """The snapshot with what is said for a run in place of what is true of the component that it calls lost."""
    said = snapshot.rehearsed.get(drill, {}).get((site, system), {})
    words = {
        observer: heard
        for observer, heard in said.items()
        if isinstance(heard.record, RehearsedRecord) and heard.record.run == run
    }
    about = (site, system, COMPONENT)
    return replace(
        snapshot,
        observations={**snapshot.observations, about: words},
        departed={known: gone for known, gone in snapshot.departed.items() if known != about},
    )


def rehearse(turn: Turn) -> None:
    """One turn of a Shift that rehearses a failover and has moved nobody yet."""
    record, snapshot = turn.record, turn.snapshot
    if record.spec.abort:
        turn.become(Reason.ABORTED_BY_USER, "aborted before anything was moved", phase="RolledBack")
        return
    for plan in record.plan:
        turn.draft.busy.setdefault(plan.group, turn.entry.name)
    entry = next((entry for entry in snapshot.drills.values() if _out_of(entry) == turn.entry.name), None)
    run = entry.record.run if entry is not None else None
    against = _truth(turn, run)
    if against is not None or entry is None or run is None:
        message = against.message if against is not None else "its Drill's run is gone"
        _end(turn, "Interrupted", against.reason if against else Reason.REHEARSAL_ENDED, message)
        return
    losses = _losses(turn, entry, run)
    missing = sorted({plan.system for plan in record.plan} - losses.keys())
    waits = max((found.in_s for found in losses.values()), default=0.0)
    left = REHEARSAL_MOST_S - turn.in_phase_for
    if missing or waits > 0:
        if left <= 0:
            message = f"nobody could confirm within {REHEARSAL_MOST_S:.0f} s that {record.rehearses} is lost"
            _end(turn, "Failed", Reason.LOSS_NOT_CONFIRMED, f"{message}: {_so_far(turn, entry, run)}")
            return
        turn.draft.wake(turn.now.mono + min(left, waits if waits > 0 else left) + 0.001)
        message = f"rehearses that {record.rehearses} is lost: its agents, its words, the second confirmation"
        turn.wait(Refusal(Reason.REHEARSING, message, temporary=True))
        return
    if keys.drill(entry.name) in turn.draft.written:
        turn.draft.wake(turn.now.mono + 0.02)  # it has news in this very decision: the next one knows
        return
    _fail_over(turn, entry, losses)


def _out_of(entry: DrillEntry) -> str:
    return entry.record.run.out.shift if entry.record.run is not None else ""


def _truth(turn: Turn, run: DrillRunRecord | None) -> Refusal | None:
    """What ends the rehearsal, because it is no rehearsal or nobody watches over it."""
    snapshot, lost = turn.snapshot, turn.record.rehearses
    held = hold_refusal(snapshot)
    if held is not None:
        return held
    if run is not None and run.epoch != turn.draft.epoch:
        return Refusal(Reason.REHEARSAL_ENDED, "another coordinator has taken over, and goes on with no rehearsed loss")
    targets = set(targets_of(turn.record))
    for site in sorted({lost, *(site for site, _ in targets)}):
        spec = snapshot.site(site)
        if spec is None or spec.maintenance:
            return Refusal(Reason.MAINTENANCE, f"{site} is in maintenance, or not declared any more")
        quarantine = quarantined(snapshot, site, turn.now)
        if quarantine is not None:
            return quarantine
    if lost not in snapshot.heartbeats:
        return Refusal(Reason.SITE_NOT_HEALTHY, f"the engine of {lost} writes nothing, in truth")
    for system in sorted({plan.system for plan in turn.record.plan}):
        true = loss(snapshot, lost, system, turn.now.mono)
        if true is not None:
            return Refusal(Reason.SITE_NOT_HEALTHY, f"{lost} may be lost in truth: {true.sentence}")
    return unusable_target(snapshot, targets)


def _losses(turn: Turn, entry: DrillEntry, run: DrillRunRecord) -> dict[str, Loss]:
    """System -> what speaks for its loss, by the same rule as in truth."""
    found = {}
    for system in {plan.system for plan in turn.record.plan}:
        seen = as_if_lost(turn.snapshot, entry.name, run_name(entry, run), turn.record.rehearses, system)
        weighed = loss(seen, turn.record.rehearses, system, turn.now.mono)
        if weighed is not None:
            found[system] = weighed
    return found


def _so_far(turn: Turn, entry: DrillEntry, run: DrillRunRecord) -> str:
    """Who has said what."""
    said = turn.snapshot.rehearsed.get(entry.name, {})
    name = run_name(entry, run)
    parts = []
    heard: set[str] = set()
    for (_, system), words in sorted(said.items()):
        of_run = {who: word.record for who, word in words.items() if getattr(word.record, "run", "") == name}
        firm = sorted(who for who, record in of_run.items() if record.firm)
        parts.append(f"of {system} {' and '.join(sorted(of_run)) or 'nobody'} said so, firmly {len(firm)}")
        heard.update({system} if turn.record.rehearses in of_run else ())
    for system in sorted({plan.system for plan in turn.record.plan} - heard):
        mute = f"{turn.record.rehearses} itself did not: its CTI of {system} kept nobody silent"
        parts.append(f"{mute} (nobody was idle in a bucket without calls and reached the other sites, or it refused)")
    return "; ".join(parts)


def _fail_over(turn: Turn, entry: DrillEntry, losses: Mapping[str, Loss]) -> None:
    """Commit what the failover would do, for these groups."""
    site = turn.record.rehearses
    plans: list[GroupPlan] = []
    for plan in turn.record.plan:
        placed = turn.snapshot.placements.get(plan.group)
        if placed is None or placed.map.encode() != plan.before:
            _end(turn, "Failed", Reason.PLAN_OUTDATED, f"{plan.group} has been moved since this was planned")
            return
        found = rescue(turn.draft, turn.ledger, site, plan.group, losses[plan.system], turn.now)
        if found is None or isinstance(found, Refusal):
            reason = found.reason if found is not None else Reason.NOTHING_TO_MOVE
            _end(turn, "Failed", reason, found.message if found is not None else f"{plan.group}: nobody is at {site}")
            return
        if found.left:
            message = f"a failover would leave {found.left} buckets of {plan.group} without a city"
            _end(turn, "Failed", Reason.CAPACITY_EXCEEDED, f"{message}; raise the capacity of {plan.system} elsewhere")
            return
        moves = encode_moves(found.moves)
        ends = {bucket: Slot(slot.end) for bucket, slot in found.moves.items()}
        changes = {"moves": moves, "waves": (moves,), "after": placed.map.change(ends).encode()}
        plans.append(plan.model_copy(update=changes))
    times = _times(turn, entry, losses)
    turn.record = turn.record.model_copy(update={"plan": tuple(plans), "rehearsal": times})
    truth = turn.snapshot.failovers.get(site)
    turn.premises += [
        *(Premise(key, mod_revision=seen) for found in losses.values() for key, seen in found.evidence),
        Premise(keys.drill(entry.name), mod_revision=entry.mod_revision),
        Premise(keys.failover(site), mod_revision=truth.mod_revision if truth else 0),
    ]
    start_wave(turn, 1)
    targets = " and ".join(sorted({target for plan in plans for target in plan.targets}))
    why = "; ".join(sorted({found.sentence for found in losses.values()}))
    message = f"rehearsal: {site} counts as lost for {len(plans)} groups only ({why}); they go to {targets}"
    turn.become(Reason.FAILOVER_REHEARSED, message)


def _times(turn: Turn, entry: DrillEntry, losses: Mapping[str, Loss]) -> RehearsalTimes:
    """When it was seen, by the words that it rests on."""
    evidence = {key for found in losses.values() for key, _ in found.evidence}
    said = turn.snapshot.rehearsed.get(entry.name, {})
    words = [(who, word) for of_site in said.values() for who, word in of_site.items() if word.key in evidence]
    own = [word.record.since for who, word in words if who == turn.record.rehearses]
    counts = [getattr(word.record, "silent", None) for who, word in words if who == turn.record.rehearses]
    known = [count for count in counts if count is not None]
    others = [word.record.since for who, word in words if who != turn.record.rehearses]
    silenced, wall = min(own), turn.now.wall
    confirmed = wall + max(found.in_s for found in losses.values())
    return RehearsalTimes(
        silenced_at=silenced,
        detected_at=max(silenced, min(others)),
        confirmed_at=min(confirmed, wall),
        silent=sum(known) if len(known) == len(counts) else None,
    )


def _end(turn: Turn, phase: Phase, reason: Reason, why: str) -> None:
    turn.become(
        reason, f"the rehearsed failover ended before anything moved: {why}", phase=phase, finished_at=turn.now.wall
    )
