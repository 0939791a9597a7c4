"""Homecoming: nobody returns by himself, unless his group asks for it and its city has been well for long enough.

A group with `return.mode: Automatic` that a failover has moved goes back to what its spec orders, once, by a Shift with
its own pace, waves and drain: `stableFor` after the failover ended, if nobody has had anything against the city since.
"""

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.common import duration_seconds
from tandem.domain import keys
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.own_shift import own_shift
from tandem.domain.plan import Wish, hold_refusal, make_plan, reserve
from tandem.domain.quarantine import quarantined
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.shifts import advance
from tandem.domain.snapshot import Instant, Placed, Snapshot
from tandem.domain.verdicts import State, system_verdict
from tandem.domain.words import accused_until


def handle_homecomings(draft: Draft, ledger: Ledger, now: Instant) -> None:
    """Start the way home of every group that asks for it and whose city is stable."""
    for name, placed in draft.snapshot.placements.items():
        published = draft.snapshot.groups.get(name)
        spec = published.spec if published else None
        lost = _lost_city(draft.snapshot, placed)
        if published is None or spec is None or not published.consistent or published.invalid is not None:
            continue
        if spec.return_.mode != "Automatic" or not lost or name in draft.busy:
            continue
        shift = f"{name[:200]}-home-{placed.revision}"
        if shift in draft.snapshot.shifts or keys.placement(name) in draft.written:
            continue
        stable_in = _stable_since(draft.snapshot, lost, spec.system) + duration_seconds(spec.return_.stable_for)
        if stable_in > now.mono:
            draft.wake(stable_in + 0.001)
            continue
        refusal = _start(draft, ledger, name, spec, placed, lost, shift, now)
        if refusal is not None:
            draft.note(f"AgentGroup {name}", refusal.reason, f"{name} does not return yet: {refusal.message}")


def _lost_city(snapshot: Snapshot, placed: Placed) -> str:
    """The city whose failover, ended by now, has put this group where it is; empty when none has."""
    failover = snapshot.failover_of(placed.record.cause)
    return failover[0] if failover is not None and failover[1].state == "Ended" else ""


def _stable_since(snapshot: Snapshot, site: str, system: str) -> float:
    """Monotonic time since when nobody has had anything against a city's system; infinite while somebody has."""
    verdict = system_verdict(snapshot, site, system)
    if verdict.state is not State.HEALTHY:
        return float("inf")
    words = [word.seen_at for component in verdict.components for word in component.sources_for]
    return max(snapshot.failovers[site].seen_at, accused_until(snapshot, site, system), *words)


def _start(
    draft: Draft,
    ledger: Ledger,
    name: str,
    spec: AgentGroupSpec,
    placed: Placed,
    lost: str,
    shift: str,
    now: Instant,
) -> Refusal | None:
    wanted = {share.site: share.percent for share in spec.placement if share.percent}
    waits = (quarantined(draft.snapshot, site, now) for site in sorted(wanted))
    refusal = hold_refusal(draft.snapshot) or next(filter(None, waits), None)
    if refusal is not None:
        return refusal
    wish = Wish(name, spec, placed, wanted, spec.waves, spec.drain, spec.pace, spec.gates)
    plan = make_plan(draft.snapshot, ledger, shift, draft.busy, [wish])
    if isinstance(plan, Refusal):
        return None if plan.reason is Reason.NOTHING_TO_MOVE else plan
    reserve(ledger, plan, f"Shift {shift}")
    draft.busy[name] = shift
    entry = own_shift(draft, name, spec, plan, shift, now)
    failover = Premise(keys.failover(lost), mod_revision=draft.snapshot.failovers[lost].mod_revision)
    advance(draft, ledger, entry, now, with_premises=(draft.placement(placed, name), draft.no_hold, failover))
    return None
