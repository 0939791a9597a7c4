"""Rescue: where the buckets of a lost site go, group by group.

Nobody is waited for, but for replicas elsewhere that are not Ready, and that not for long (`patience_s`):

    Absent, or Down with its CTI    b: A    ->  b: B     at once: nobody there can be asked
    Down, and its CTI answers       b: A    ->  b: A>B   its CTI releases everybody
                                    b: A>B  ->  b: B     when it has not taken the order within DOWN_ACK_S, else when
                                                         A is empty

What of that needs no new site, and two cities that are lost at once: `giving_up`.
"""

from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

from tandem.api.agentgroup import AgentGroupSpec, Drain
from tandem.constants import READY_PATIENCE_S
from tandem.domain.capacity import Ledger, agents_in, no_capacity
from tandem.domain.decision import Draft
from tandem.domain.giving_up import GivingUp
from tandem.domain.loss import Loss
from tandem.domain.placement import BucketMap, Slot, proportional
from tandem.domain.quarantine import failing
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.selection import FORCED
from tandem.domain.snapshot import FAILOVER, Instant, Placed, Snapshot


@dataclass(frozen=True)
class Rescue:
    """What a failover does with one group."""

    group: str
    placed: Placed
    after: BucketMap
    moves: Mapping[int, Slot]
    drain: Drain
    left: int = 0
    """Buckets for which there is no room anywhere."""
    nowhere: Refusal | None = None
    """Why there is none, where no other site is usable at all."""
    beyond_ready: frozenset[str] = frozenset()
    """Targets that get more than their Ready replicas bear."""

    @property
    def system(self) -> str:
        return self.placed.record.system

    @property
    def targets(self) -> frozenset[str]:
        return frozenset(slot.end for slot in self.moves.values())


def yielding(snapshot: Snapshot, site: str, lost: Container[str]) -> set[str]:
    """Groups whose Shifts have no claim to any room now: those of the lost city, and those that have not begun.

    Args:
        lost: Systems that are lost at `site`.
    """
    groups = {
        plan.group for shift in snapshot.unfinished_shifts() if not shift.record.wave for plan in shift.record.plan
    }
    for name, placed in snapshot.placements.items():
        if placed.record.system in lost and site in placed.map.touched_shares:
            groups.add(name)
    return groups


def importance(snapshot: Snapshot, name: str) -> tuple[int, str]:
    """Sorts the most important group first: it gets the room there is."""
    spec = snapshot.group_at_worst(name)
    return -(spec.priority if spec else 0), name


def patience_s(snapshot: Snapshot, site: str, system: str, target: str, now: Instant) -> float:
    """Seconds for which those of a lost site still wait for replicas of a target to be Ready; 0 or less: no longer.

    Counted since this engine first saw the system lost, or the target back from an emergency of its own: nobody could
    raise replicas there before.
    """
    entry, back = snapshot.failovers.get(site), snapshot.failovers.get(target)
    since = entry.since.get(system) if entry is not None else None
    if since is None:
        return READY_PATIENCE_S
    if back is not None and back.record.state == "Ended":
        since = max(since, back.seen_at)
    return since + READY_PATIENCE_S - now.mono


def carried(snapshot: Snapshot, ledger: Ledger, site: str, system: str, target: str, now: Instant) -> tuple[int, str]:
    """Agents that a target carries for a lost site, and why that is less than it declares; empty when it is not."""
    if patience_s(snapshot, site, system, target, now) > 0:
        return ledger.present(target, system), ledger.not_ready(target, system)
    return ledger.capacity(target, system), ""


def follows(snapshot: Snapshot, site: str, system: str) -> bool:
    """Whether a site's CTI answers its own engine: one that does not would not learn whom to admit."""
    return snapshot.report(site, system) is not None


def cause_of(site: str, number: int) -> str:
    """What a placement committed by a site's failover names as its cause."""
    return f"{FAILOVER}{site}-{number}"


def rescue(
    draft: Draft, ledger: Ledger, site: str, group: str, why: Loss, now: Instant, *, settled: bool = True
) -> Rescue | Refusal | None:
    """Where this group's buckets go now, or why they stay. None: what can be done is under way.

    Args:
        settled: Whether those may go that are not on their way already: of a Manual group a person decides it.
    """
    placed = draft.snapshot.placements[group]
    spec = draft.snapshot.group_at_worst(group)
    if spec is None:
        return Refusal(Reason.INVALID_SPEC, f"{group}: no location has published what it may be moved to")
    giving_up = GivingUp(draft, site, group, placed, now)
    moves, lost = giving_up.by_release() if why.can_release else giving_up.at_once()
    if not settled:
        lost = [bucket for bucket in lost if placed.map.slots[bucket].to]
    rest: list[int] = []
    nowhere: Refusal | None = None
    beyond_ready: frozenset[str] = frozenset()
    if lost:
        room, unusable = _room(draft, ledger, spec, site, group, now)
        for bucket in lost:
            to = placed.map.slots[bucket].to
            if to and to in room:
                moves[bucket] = Slot(to)  # its agents have entered there by ticket already, and it has its room
        rest = [bucket for bucket in lost if bucket not in moves]
        if rest and not room:
            why_not = "; ".join(unusable) or f"spec.sites names no other site than {site}"
            message = f"{group}: {site} is {why.kind}, and nobody can take over: {why_not}"
            nowhere = Refusal(Reason.TARGET_NOT_USABLE, message)
            if not moves:
                return nowhere  # else nobody is sent there any more, whether its own have a city or not
        for bucket, target in zip(rest, _targets(draft.snapshot, ledger, spec, group, room, len(rest)), strict=False):
            moves[bucket] = Slot(site, target) if why.can_release else Slot(target)
        if any(bucket not in moves for bucket in rest):
            _wake_for_declared(draft, ledger, site, spec.system, room, now)
        if not moves:
            first = next((other for other in room if follows(draft.snapshot, other, spec.system)), next(iter(room)))
            needs = agents_in(len(rest), spec.agents)
            carries, not_ready = carried(draft.snapshot, ledger, site, spec.system, first, now)
            has = carries - ledger.load(first, spec.system)
            return no_capacity(first, spec.system, needs, has, not_ready)
        given = Counter(moves[bucket].end for bucket in rest if bucket in moves)
        beyond_ready = frozenset(
            target
            for target, buckets in given.items()
            if buckets > _room_at(draft.snapshot, ledger, spec, group, target, ready=True)
        )
    if not moves:
        return None
    left = sum(1 for bucket in rest if bucket not in moves)
    drain = FORCED if why.can_release else Drain()
    return Rescue(group, placed, placed.map.change(moves), moves, drain, left, nowhere, beyond_ready)


def _wake_for_declared(
    draft: Draft, ledger: Ledger, site: str, system: str, targets: Iterable[str], now: Instant
) -> None:
    """Somebody is left behind: decide again when what a target declares begins to count."""
    for target in targets:
        left = patience_s(draft.snapshot, site, system, target, now)
        if left > 0 and ledger.not_ready(target, system):
            draft.wake(now.mono + left + 0.001)


def _room(
    draft: Draft, ledger: Ledger, spec: AgentGroupSpec, site: str, name: str, now: Instant
) -> tuple[dict[str, int], list[str]]:
    """Buckets of this group that each usable site can take, in the order of spec.sites; and why others cannot.

    It fills what is Ready: nobody waits for what may come up while it has room for some. The rest follow, at the latest
    when what is declared counts.
    A site whose own failover has not ended is taken only when there is no other. Who comes first of them: `_targets`.
    """
    snapshot = draft.snapshot
    room: dict[str, int] = {}
    unusable = []
    others = [other for other in spec.sites if other != site]
    for other in sorted(others, key=lambda other: failing(snapshot, other)):
        found = draft.usability(other, spec.system)
        if not found.usable:
            unusable.append(found.why)
        elif not room or not failing(snapshot, other):
            ready = patience_s(snapshot, site, spec.system, other, now) > 0
            room[other] = _room_at(snapshot, ledger, spec, name, other, ready=ready)
    return room, unusable


def _room_at(snapshot: Snapshot, ledger: Ledger, spec: AgentGroupSpec, name: str, target: str, *, ready: bool) -> int:
    there = snapshot.placements[name].map.touched_shares.get(target, 0)
    return ledger.room_in_buckets(target, spec.system, name, spec.agents, there, ready=ready)


def _targets(
    snapshot: Snapshot, ledger: Ledger, spec: AgentGroupSpec, group: str, room: Mapping[str, int], wanted: int
) -> Iterator[str]:
    """Sites for at most `wanted` buckets, those first whose CTI follows.

    The others' doors may stay shut for long: they get what the first have no room for with all that they declare.
    """
    following = {site: buckets for site, buckets in room.items() if follows(snapshot, site, spec.system)}
    others = {site: buckets for site, buckets in room.items() if site not in following}
    if following:
        yield from _spread(following, wanted)
    if others:
        declared = sum(_room_at(snapshot, ledger, spec, group, site, ready=False) for site in following)
        yield from _spread(others, max(wanted - max(declared, sum(following.values())), 0))


def _spread(room: Mapping[str, int], wanted: int) -> Iterator[str]:
    """Sites for at most `wanted` buckets, in proportion to their room."""
    total = sum(room.values())
    for target, count in proportional(room, min(wanted, total)).items():
        yield from [target] * count
