"""Plans: what a Shift or an order would do to each group, bucket by bucket and wave by wave, and why it may not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.api.agentgroup import AgentGroupSpec, Drain
from tandem.constants import BUCKETS
from tandem.domain.capacity import Ledger, no_capacity
from tandem.domain.placement import (
    BucketMap,
    Moves,
    Slot,
    StillMovingError,
    encode_moves,
    fewest_moves,
    restoring_moves,
    split_waves,
)
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import GroupPlan
from tandem.domain.snapshot import Placed, Snapshot
from tandem.domain.verdicts import usability

IN_THE_WAY: Final = frozenset({"Preparing", "Moving", "Verifying", "Aborting"})
"""Phases in which a Shift has its groups for itself. One that awaits approval has not: its plan may become outdated."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of one group."""

    group: str
    spec: AgentGroupSpec
    placed: Placed
    wanted: Mapping[str, int]
    """Buckets per site, summing to 100."""
    waves: Sequence[int]
    drain: Drain
    exactly: BucketMap | None = None
    """The map to restore bucket by bucket, where shares are not enough."""


@dataclass(frozen=True)
class Plan:
    groups: tuple[GroupPlan, ...]
    text: tuple[str, ...]


@dataclass(frozen=True)
class _Group:
    wish: Wish
    moves: Moves
    after: BucketMap
    agents: Mapping[int, float]
    """Agents per moving bucket: those signed in; where the city does not report, those expected."""


@dataclass(frozen=True)
class _Request:
    snapshot: Snapshot
    ledger: Ledger
    shift: str
    busy: Mapping[str, str]
    groups: tuple[_Group, ...]


def make_plan(
    snapshot: Snapshot, ledger: Ledger, shift: str, busy: Mapping[str, str], wishes: Sequence[Wish]
) -> Plan | Refusal:
    """The plan for all wishes together, or the first refusal. NothingToMove is a refusal too.

    Args:
        ledger: Loads so far; not changed (see `reserve`).
        shift: `namespace/name` of the Shift that asks; it does not conflict with itself.
        busy: Group -> the Shift that has it for itself, those that start in the same decision included.
    """
    groups = []
    for wish in wishes:
        try:
            moves = (
                restoring_moves(wish.placed.map, wish.exactly)
                if wish.exactly
                else fewest_moves(wish.placed.map, wish.wanted)
            )
        except StillMovingError as error:
            message = f"buckets {error} of {wish.group} are still on their way to another site; wait until they arrived"
            return Refusal(Reason.STILL_MOVING, message, temporary=True)
        if moves:
            after = wish.placed.map.change({bucket: Slot(move.to) for bucket, move in moves.items()})
            groups.append(_Group(wish, moves, after, _agents_per_bucket(snapshot, wish, moves)))
    if not groups:
        names = ", ".join(wish.group for wish in wishes)
        return Refusal(Reason.NOTHING_TO_MOVE, f"{names}: every bucket is where it is wanted, or on its way there")
    request = _Request(snapshot, ledger, shift, busy, tuple(groups))
    for check in PLAN_CHAIN:
        refusal = check(request)
        if refusal is not None:
            return refusal
    return Plan(tuple(_group_plan(group) for group in groups), _text(request))


def reserve(ledger: Ledger, plan: Plan) -> None:
    """Count an accepted plan, for those that follow in the same decision."""
    for group in plan.groups:
        ledger.reserve(group.group, group.system, ledger.agents_of(group.group), BucketMap.parse(group.after))


# -- what speaks against a move; the first refusal is reported


def held(request: _Request) -> Refusal | None:
    return hold_refusal(request.snapshot)


def conflict(request: _Request) -> Refusal | None:
    return conflict_refusal(request.busy, request.shift, [group.wish.group for group in request.groups])


def maintenance(request: _Request) -> Refusal | None:
    for site in _destinations(request.groups):
        spec = request.snapshot.site(site)
        if spec is not None and spec.maintenance:
            message = f"Site {site} has spec.maintenance: true; set it to false, or choose another site"
            return Refusal(Reason.MAINTENANCE, message)
    return None


def inconsistent_target(request: _Request) -> Refusal | None:
    for site in _destinations(request.groups):
        published = request.snapshot.sites.get(site)
        if published is not None and not published.consistent:
            return Refusal(Reason.SPEC_NOT_CONSISTENT, f"Site {published.message}", temporary=True)
    return None


def not_usable(request: _Request) -> Refusal | None:
    pairs = {(move.to, group.wish.spec.system) for group in request.groups for move in group.moves.values()}
    return unusable_target(request.snapshot, pairs)


def capacity(request: _Request) -> Refusal | None:
    needed: dict[tuple[str, str], int] = {}
    room: dict[tuple[str, str], int] = {}
    for group in request.groups:
        spec = group.wish.spec
        for need in request.ledger.needs(group.wish.group, spec.system, spec.agents, group.after):
            where = (need.site, need.system)
            needed[where] = needed.get(where, 0) + need.needs
            room[where] = need.has
    for (site, system), needs in sorted(needed.items()):
        if needs > room[(site, system)]:
            return no_capacity(site, system, needs, room[(site, system)])
    return None


PLAN_CHAIN: Final[tuple[Callable[[_Request], Refusal | None], ...]] = (
    held,  # the red button comes before everything
    conflict,
    inconsistent_target,  # what follows reads the target's Site: the locations must agree on it
    maintenance,
    capacity,  # before usability: what waiting cannot cure is said first
    not_usable,
)


def hold_refusal(snapshot: Snapshot) -> Refusal | None:
    if snapshot.hold is None:
        return None
    hold = snapshot.hold.record
    message = f"{hold.by} holds everything: {hold.reason or 'no reason given'}; `kubectl tandem resume` lifts it"
    return Refusal(Reason.HELD, message, temporary=True)


def groups_in_the_way(snapshot: Snapshot) -> dict[str, str]:
    """Group -> the Shift that has it for itself."""
    return {
        plan.group: shift.name
        for shift in snapshot.unfinished_shifts()
        if shift.record.phase in IN_THE_WAY
        for plan in shift.record.plan
    }


def conflict_refusal(busy: Mapping[str, str], shift: str, groups: Sequence[str]) -> Refusal | None:
    """Refuse while another Shift than `shift` has one of the groups."""
    for group in groups:
        other = busy.get(group, shift)
        if other != shift:
            what = other if other.startswith("Drill ") else f"Shift {other}"
            message = f"{group} is being moved by {what}; wait until it has finished, or abort it"
            return Refusal(Reason.SHIFT_CONFLICT, message, temporary=True)
    return None


def unusable_target(snapshot: Snapshot, targets: set[tuple[str, str]]) -> Refusal | None:
    """Refuse while a (site, system) of `targets` is not usable."""
    for site, system in sorted(targets):
        found = usability(snapshot, site, system)
        if not found.usable:
            message = f"{site} cannot receive agents of {system}: {found.why}"
            return Refusal(Reason.TARGET_NOT_USABLE, message, temporary=True)
    return None


# -- inside


def _destinations(groups: Sequence[_Group]) -> list[str]:
    return sorted({move.to for group in groups for move in group.moves.values()})


def _agents_per_bucket(snapshot: Snapshot, wish: Wish, moves: Moves) -> dict[int, float]:
    """Agents signed in per moving bucket; where the city does not report, those expected."""
    reports = {
        site: snapshot.group_report(site, wish.spec.system, wish.group) for site in {m.site for m in moves.values()}
    }
    found: dict[int, float] = {}
    for bucket, move in moves.items():
        report = reports[move.site]
        found[bucket] = float(report.buckets.get(str(bucket), 0)) if report else wish.spec.agents / BUCKETS
    return found


def _waves(group: _Group) -> tuple[dict[str, str], ...]:
    agents = group.agents
    if not any(agents.values()):
        # Nobody is there now (night): waves as for the expected ones, not everything at once.
        agents = dict.fromkeys(group.moves, group.wish.spec.agents / BUCKETS)
    return tuple(encode_moves(wave) for wave in split_waves(group.moves, group.wish.waves, agents))


def _group_plan(group: _Group) -> GroupPlan:
    gains: dict[str, int] = {}
    for move in group.moves.values():
        gains[move.to] = gains.get(move.to, 0) + 1
    return GroupPlan(
        group=group.wish.group,
        system=group.wish.spec.system,
        agents=round(sum(group.agents.values())),
        to=max(gains, key=lambda site: gains[site]),
        moves=encode_moves(group.moves),
        waves=_waves(group),
        before=group.wish.placed.map.encode(),
        after=group.after.encode(),
    )


def _text(request: _Request) -> tuple[str, ...]:
    """The plan as lines for the person who approves it."""
    groups = request.groups
    plans = [_group_plan(group) for group in groups]
    waves = max(len(plan.waves) for plan in plans)
    agents = sum(plan.agents for plan in plans)
    targets = ", ".join(_destinations(groups))
    one = len(plans) == 1
    lines = [
        f"Move about {agents} agents of {'1 group' if one else f'{len(plans)} groups'} to {targets} "
        f"in {waves} {'wave' if waves == 1 else 'waves'}."
    ]
    for group, plan in zip(groups, plans, strict=True):
        before, after = _shares(group.wish.placed.map), _shares(group.after)
        changes = ", ".join(f"{text} {ranges}" for text, ranges in plan.moves.items())
        lines.append(f"{plan.group}: {before} -> {after} (about {plan.agents} agents; buckets {changes}).")
    for site, system in sorted({(move.to, g.wish.spec.system) for g in groups for move in g.moves.values()}):
        load, most = request.ledger.load(site, system), request.ledger.capacity(site, system)
        more = sum(
            need.needs
            for g in groups
            if g.wish.spec.system == system
            for need in request.ledger.needs(g.wish.group, system, g.wish.spec.agents, g.after)
            if need.site == site
        )
        lines.append(f"{system} at {site}: {load} of {most} agents planned now, {load + more} afterwards.")
    for drain in sorted({group.wish.drain for group in groups}, key=str):
        forced = drain.on_deadline == "Force"
        beyond = "leave in the middle of it, and it goes on" if forced else "stay until their call has ended"
        lines.append(
            f"Agents in a call move after it (at most {drain.max_talk}) and its wrap-up (at most "
            f"{drain.max_wrap_up}); those beyond {beyond}."
        )
    return tuple(lines)


def _shares(placement: BucketMap) -> str:
    return ", ".join(f"{site} {percent} %" for site, percent in sorted(placement.end_shares.items()))
