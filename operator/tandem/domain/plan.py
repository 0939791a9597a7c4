"""Plans: what a Shift or an order would do to each group, bucket by bucket and wave by wave, and why it may not."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import lcm
from typing import Final

from tandem.api.agentgroup import AgentGroupSpec, Drain
from tandem.api.gates import Gates
from tandem.api.shift import ShiftPlan
from tandem.constants import BUCKETS
from tandem.domain.capabilities import unsupported
from tandem.domain.capacity import Ledger, no_capacity
from tandem.domain.outlook import Going, outlook, plan_text
from tandem.domain.placement import (
    BucketMap,
    Moves,
    Part,
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
    """The same for all wishes of one plan."""
    drain: Drain
    pace: int = 0
    """Agents a second over all wishes of one plan; 0: no limit."""
    gates: Gates = field(default_factory=Gates)
    """The same for all wishes of one plan."""
    forced: bool = False
    """Whether nobody is waited for."""
    exactly: BucketMap | None = None
    """The map to restore bucket by bucket, where shares are not enough."""
    rank: int = 0
    """Groups of a lower rank go in earlier waves."""


@dataclass(frozen=True)
class Plan:
    groups: tuple[GroupPlan, ...]
    planned: ShiftPlan
    text: tuple[str, ...]

    @property
    def of_record(self) -> dict[str, object]:
        """Fields of the Shift's record."""
        return {"plan": self.groups, "planned": self.planned, "plan_text": self.text}


@dataclass(frozen=True)
class _Group:
    wish: Wish
    moves: Moves
    after: BucketMap
    agents: Mapping[int, float]
    """Agents per moving bucket: those signed in; where the city does not report, those expected."""
    step: int
    """Percent by which the CTIs that it leaves can change a share."""


@dataclass(frozen=True)
class _Request:
    snapshot: Snapshot
    ledger: Ledger
    shift: str
    busy: Mapping[str, str]
    groups: tuple[_Group, ...]


def make_plan(
    snapshot: Snapshot,
    ledger: Ledger,
    shift: str,
    busy: Mapping[str, str],
    wishes: Sequence[Wish],
    *,
    manual: bool = False,
) -> Plan | Refusal:
    """The plan for all wishes together, or the first refusal. NothingToMove is a refusal too.

    Args:
        ledger: Loads so far; not changed (see `reserve`).
        shift: `namespace/name` of the Shift that asks; it does not conflict with itself.
        busy: Group -> the Shift that has it for itself, those that start in the same decision included.
        manual: Whether a person has to approve it.
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
            cause = wish.placed.record.cause
            by = "an earlier order" if cause == "Order" else cause.replace("/", " ", 1)
            message = f"buckets {error} of {wish.group} are still on their way to another site by {by}"
            message += "; wait until they arrived"
            return Refusal(Reason.STILL_MOVING, message, temporary=True)
        if moves:
            after = wish.placed.map.change({bucket: Slot(move.to) for bucket, move in moves.items()})
            agents = _agents_per_bucket(snapshot, wish, moves)
            groups.append(_Group(wish, moves, after, agents, _step(snapshot, wish, moves)))
    if not groups:
        names = ", ".join(wish.group for wish in wishes)
        return Refusal(Reason.NOTHING_TO_MOVE, f"{names}: every bucket is where it is wanted, or on its way there")
    request = _Request(snapshot, ledger, shift, busy, tuple(groups))
    for check in PLAN_CHAIN:
        refusal = check(request)
        if refusal is not None:
            return refusal
    plans = _group_plans(groups)
    goings = [_going(group, plan) for group, plan in zip(groups, plans, strict=True)]
    planned = outlook(snapshot, ledger, goings, manual=manual)
    return Plan(plans, planned, plan_text(planned, goings))


def reserve(ledger: Ledger, plan: Plan, owner: str) -> None:
    """Count an accepted plan, for those that follow in the same decision. `owner`: like `Shift callcenter/x`."""
    for group in plan.groups:
        ledger.book(group, owner)


# -- what speaks against a move; the first refusal is reported


def held(request: _Request) -> Refusal | None:
    return hold_refusal(request.snapshot)


def conflict(request: _Request) -> Refusal | None:
    return conflict_refusal(request.busy, request.shift, [group.wish.group for group in request.groups])


def maintenance(request: _Request) -> Refusal | None:
    return maintenance_refusal(request.snapshot, _destinations(request.groups))


def inconsistent_target(request: _Request) -> Refusal | None:
    return inconsistent_refusal(request.snapshot, _destinations(request.groups))


def unsupported_by_cti(request: _Request) -> Refusal | None:
    for group in request.groups:
        system = group.wish.spec.system
        for site in sorted({move.site for move in group.moves.values()}):
            report = request.snapshot.report(site, system)
            if report is None or report.capabilities is None:
                continue  # nobody knows: the plan says so
            whole = site not in group.after.touched_shares and len(group.wish.waves) == 1
            leaving = sum(move.site == site for move in group.moves.values())
            refusal = unsupported(
                report.capabilities, f"{system} at {site}", forced=group.wish.forced, whole=whole, leaving=leaving
            )
            if refusal is not None:
                return refusal
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
            owners = request.ledger.owners(site, system)
            return no_capacity(site, system, needs, room[(site, system)], owners=owners)
    return None


PLAN_CHAIN: Final[tuple[Callable[[_Request], Refusal | None], ...]] = (
    held,  # the red button comes before everything
    conflict,
    inconsistent_target,  # what follows reads the target's Site: the locations must agree on it
    maintenance,
    unsupported_by_cti,
    capacity,  # before usability: what waiting cannot cure is said first
    not_usable,
)


def hold_refusal(snapshot: Snapshot) -> Refusal | None:
    if snapshot.hold is None:
        return None
    hold = snapshot.hold.record
    message = f"{hold.by} holds everything: {hold.reason or 'no reason given'}; `kubectl tandem resume` lifts it"
    return Refusal(Reason.HELD, message, temporary=True)


def maintenance_refusal(snapshot: Snapshot, sites: Sequence[str]) -> Refusal | None:
    """Refuse while a person has announced work at one of these sites."""
    for site in sites:
        spec = snapshot.site(site)
        if spec is not None and spec.maintenance:
            message = f"Site {site} has spec.maintenance: true; set it to false, or choose another site"
            return Refusal(Reason.MAINTENANCE, message)
    return None


def inconsistent_refusal(snapshot: Snapshot, sites: Sequence[str]) -> Refusal | None:
    """Refuse while the locations' copies of one of these Sites differ."""
    for site in sites:
        published = snapshot.sites.get(site)
        if published is not None and not published.consistent:
            return Refusal(Reason.SPEC_NOT_CONSISTENT, f"Site {published.message}", temporary=True)
    return None


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


def _step(snapshot: Snapshot, wish: Wish, moves: Moves) -> int:
    reports = (snapshot.report(site, wish.spec.system) for site in {move.site for move in moves.values()})
    return lcm(*(found.capabilities.percent_step for found in reports if found and found.capabilities))


def _group_plans(groups: Sequence[_Group]) -> tuple[GroupPlan, ...]:
    parts = [
        Part(group.moves, _present_or_expected(group), group.wish.spec.system, group.wish.rank, group.step)
        for group in groups
    ]
    waves = split_waves(parts, groups[0].wish.waves)
    return tuple(_group_plan(group, waves_of) for group, waves_of in zip(groups, waves, strict=True))


def _present_or_expected(group: _Group) -> Mapping[int, float]:
    if any(group.agents.values()):
        return group.agents
    # Nobody is there now (night): waves as for the expected ones, not everything at once.
    return dict.fromkeys(group.moves, group.wish.spec.agents / BUCKETS)


def _group_plan(group: _Group, waves: Sequence[Moves]) -> GroupPlan:
    gains: dict[str, int] = {}
    for move in group.moves.values():
        gains[move.to] = gains.get(move.to, 0) + 1
    return GroupPlan(
        group=group.wish.group,
        system=group.wish.spec.system,
        agents=round(sum(group.agents.values())),
        to=max(gains, key=lambda site: gains[site]),
        moves=encode_moves(group.moves),
        waves=tuple(encode_moves(wave) for wave in waves),
        before=group.wish.placed.map.encode(),
        after=group.after.encode(),
    )


def _going(group: _Group, plan: GroupPlan) -> Going:
    wish = group.wish
    return Going(plan, wish.spec.agents, group.agents, wish.drain, wish.pace, wish.gates, wish.forced)
