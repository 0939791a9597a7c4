"""Capacity: never more agents than a target can carry, counting signed in, committed and reserved.

A site's load by one group is the larger of the agents signed in there and the group's expected agents times the
buckets it has there, or may have: a bucket on its way counts at both ends, and a Shift under way reserves both its
`before` (so that an abort always has room) and its `after`.
"""

from collections import defaultdict
from collections.abc import Iterator, Set
from copy import copy
from dataclasses import dataclass
from typing import Literal

from tandem.api.site import Scaling, System
from tandem.constants import BUCKETS, READY_PATIENCE_S
from tandem.domain.placement import BucketMap
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import GroupPlan
from tandem.domain.snapshot import Snapshot

Part = Literal["cti", "softswitch"]


def agents_in(buckets: int, agents: int) -> int:
    """Agents that this many buckets of a group of `agents` hold, rounded up."""
    return -(-buckets * agents // BUCKETS)


def wanted_replicas(agents: int, scaling: Scaling) -> int:
    """Replicas that carry this many agents, within the declared bounds."""
    return min(max(-(-agents // scaling.agents_per_replica), scaling.min), scaling.max)


def scaled_parts(system: System) -> Iterator[tuple[Part, str, Scaling]]:
    """The parts whose replicas are raised for arriving agents: name, Deployment, how."""
    parts: tuple[tuple[Part, str, Scaling], ...] = (
        ("cti", system.cti.deployment, system.cti.scaling),
        ("softswitch", system.softswitch.deployment, system.softswitch.scaling),
    )
    return (part for part in parts if part[2].mode != "None")


@dataclass(frozen=True, slots=True)
class Need:
    """What a plan adds to one site's system."""

    site: str
    system: str
    needs: int
    has: int

    @property
    def fits(self) -> bool:
        return self.needs <= self.has


class Ledger:
    """Load per site, system and group. `reserve` adds to it: plans of one decision cannot share the same room.

    Args:
        all_ready: Whether to take replicas that are not Ready for such that are: for who raises them.
    """

    def __init__(self, snapshot: Snapshot, *, all_ready: bool = False) -> None:
        self._snapshot = snapshot
        self._all_ready = all_ready
        self._load: dict[tuple[str, str], dict[str, int]] = defaultdict(dict)
        self._total: dict[tuple[str, str], int] = defaultdict(int)
        """Sum of each of these: in an emergency every group asks for it."""
        self._owners: dict[tuple[str, str], dict[str, str]] = defaultdict(dict)
        """By group: who has reserved room there for agents that are not there yet."""
        for (site, system), entry in snapshot.reports.items():
            for group, report in entry.record.groups.items():
                if report.signed_in:
                    self._raise(site, system, group, report.signed_in)
        for name, placed in snapshot.placements.items():
            self.reserve(name, placed.record.system, self.agents_of(name), placed.map)
        self.reserve_plans()

    def copy(self, *, all_ready: bool = False) -> "Ledger":
        """One that can be added to by itself.

        Args:
            all_ready: Whether it takes replicas that are not Ready for such that are, even if this one does not.
        """
        other = copy(self)
        other._all_ready = self._all_ready or all_ready
        other._load = defaultdict(dict, {place: dict(loads) for place, loads in self._load.items()})
        other._total = defaultdict(int, self._total)
        other._owners = defaultdict(dict, {place: dict(owners) for place, owners in self._owners.items()})
        return other

    def reserve_plans(self) -> None:
        """Count what unfinished Shifts have asked for."""
        for shift in self._snapshot.unfinished_shifts():
            if shift.record.phase == "AwaitingApproval":
                continue  # while a person thinks it over, others may need the room
            if shift.record.phase == "Preparing" and shift.record.reason == Reason.CAPACITY_EXCEEDED:
                continue  # it has none, and waits for it (`waves.full_target`)
            for plan in shift.record.plan:
                self.book(plan, f"Shift {shift.name}")

    def forget_plans(self, groups: Set[str]) -> None:
        """Count these groups by where they are, for an emergency: whatever Shifts have asked for them comes later."""
        for (site, system), loads in self._load.items():
            for group in groups & loads.keys():
                report = self._snapshot.group_report(site, system, group)
                signed_in = report.signed_in if report else 0
                self._total[(site, system)] += signed_in - loads[group]
                loads[group] = signed_in
                self._owners[(site, system)].pop(group, None)
        for group in groups:
            placed = self._snapshot.placements.get(group)
            if placed is not None:
                self.reserve(group, placed.record.system, self.agents_of(group), placed.map)

    def agents_of(self, group: str) -> int:
        """Agents expected of a group at once."""
        spec = self._snapshot.group_at_worst(group)
        return spec.agents if spec else 0

    def load(self, site: str, system: str, *, without: str = "") -> int:
        """Agents that a site's system has or may get, those of the group `without` left out."""
        return self._total[(site, system)] - (self.load_of(site, system, without) if without else 0)

    def load_of(self, site: str, system: str, group: str) -> int:
        """Agents of one group that a site's system has or may get."""
        return self._load[(site, system)].get(group, 0)

    def will_be(self, site: str, system: str, group: str, agents: int, buckets: int) -> int:
        """Load of a group of `agents` at a site where it has this many buckets."""
        # Uneven or not, all of the group together are no more than it has.
        most = max(agents, self.load_of(site, system, group))
        return min(agents_in(buckets, agents) + self.surplus(site, system, group), most)

    def capacity(self, site: str, system: str) -> int:
        """Agents that a site's system carries: the smaller of what its CTI and its softswitch can bear."""
        found = self._snapshot.system(site, system)
        if found is None:
            return 0
        return min(found.cti.capacity.agents, found.softswitch.capacity.agents)

    def present(self, site: str, system: str) -> int:
        """Agents that a site's system carries now: of what it declares, what the Ready replicas bear.

        Where nobody says how many are Ready, it is what it declares. So it is where all that may be raised are Ready:
        nothing more will come up, and nobody shall wait for it. One replica there always is, whatever Kubernetes says:
        a system where none works is not usable, which its probes know better.
        """
        most = self.capacity(site, system)
        found, said = self._snapshot.system(site, system), self._snapshot.replicas.get((site, system))
        if found is None or said is None or self._all_ready:
            return most
        for part, _, scaling in scaled_parts(found):
            ready = max(said.record.ready.get(part, scaling.max), 1)
            if ready < scaling.max:
                most = min(most, ready * scaling.agents_per_replica)
        return most

    def not_ready(self, site: str, system: str) -> str:
        """Why a system carries less than it declares now; empty when it does not."""
        present, declared = self.present(site, system), self.capacity(site, system)
        if present == declared:
            return ""
        return (
            f"its Ready replicas carry {present} of the {declared} agents that it declares, and more follow as "
            f"replicas come up; an emergency waits {READY_PATIENCE_S:.0f} s for these, then what is declared counts; "
            "scaling.min says how many stand Ready at all times"
        )

    def room_in_buckets(
        self, site: str, system: str, group: str, agents: int, held: int, *, taken: int = 0, ready: bool = False
    ) -> int:
        """Buckets of a group of `agents` that a site can take beside the `held` ones that it has or is to get.

        Args:
            taken: Agents of other groups who are promised this room, and not counted yet.
            ready: Whether only what is Ready counts (`present`): in an emergency.
        """
        carries = self.present(site, system) if ready else self.capacity(site, system)
        left = carries - self.load(site, system, without=group) - taken
        return max(left * BUCKETS // max(agents, 1) - held, 0)

    def surplus(self, site: str, system: str, group: str) -> int:
        """Agents of a group signed in at a site beyond what its buckets there hold on average.

        Buckets are never quite even. Whoever comes in addition comes on top of these.
        """
        report = self._snapshot.group_report(site, system, group)
        placed = self._snapshot.placements.get(group)
        if report is None or placed is None:
            return 0
        expected = agents_in(placed.map.touched_shares.get(site, 0), self.agents_of(group))
        return max(report.signed_in - expected, 0)

    def needs(self, group: str, system: str, agents: int, wanted: BucketMap) -> tuple[Need, ...]:
        """What `wanted` would add, per site; a site that gains buckets and has too many agents already needs room too.

        Its guests may be the very agents who are to stay: they add nobody, and it cannot carry them for that.
        """
        needs = []
        placed = self._snapshot.placements.get(group)
        for site, buckets in wanted.touched_shares.items():
            load = self.load_of(site, system, group)
            more = max(self.will_be(site, system, group, agents, buckets) - load, 0)
            has = self.capacity(site, system) - self.load(site, system)
            gains = placed is None or buckets > placed.map.touched_shares.get(site, 0)
            if more or (gains and has < 0):
                needs.append(Need(site, system, more, has))
        return tuple(needs)

    def reserve(self, group: str, system: str, agents: int, wanted: BucketMap) -> None:
        """Count a group of `agents` where `wanted` has it."""
        for site, buckets in wanted.touched_shares.items():
            self._raise(site, system, group, agents_in(buckets, agents))

    def book(self, plan: GroupPlan, owner: str) -> None:
        """Count a group where a plan takes it, and where it may have to return to.

        Args:
            owner: The Shift or Drill that does so, like `Shift callcenter/x`; for messages.
        """
        before, after = BucketMap.parse(plan.before), BucketMap.parse(plan.after)
        for wanted in (before, after):
            self.reserve(plan.group, plan.system, self.agents_of(plan.group), wanted)
        self.owned(plan.group, plan.system, before, after, owner)

    def owned(self, group: str, system: str, before: BucketMap, after: BucketMap, owner: str) -> None:
        """Note who brings a group to where it has more of its buckets afterwards."""
        had = before.touched_shares
        for site, buckets in after.touched_shares.items():
            if buckets > had.get(site, 0):
                self._owners[(site, system)][group] = owner

    def owners(self, site: str, system: str) -> str:
        """The Shifts and Drills that have room there for agents to come, as a list for people; empty: none has."""
        return ", ".join(sorted(set(self._owners[(site, system)].values())))

    def _raise(self, site: str, system: str, group: str, load: int) -> None:
        loads = self._load[(site, system)]
        more = load - loads.get(group, 0)
        if more > 0:
            loads[group] = load
            self._total[(site, system)] += more


def no_capacity(site: str, system: str, needs: int, has: int, not_ready: str = "", owners: str = "") -> Refusal:
    """Why a site's system gets no more.

    Args:
        owners: Who has reserved room there (`Ledger.owners`).
        not_ready: Why it carries less than it declares for the moment (`Ledger.not_ready`); empty when it does not.
    """
    there = "are there or on their way" if owners else "are there already"
    beyond = f", for {-has} more than it carries {there}" if has < 0 else ""
    beyond += f": {not_ready}" if not_ready else ""
    beyond += f", beside what {owners} will bring there" if owners else ""
    message = (
        f"{system} at {site} would need room for {needs} more agents and has room for {max(has, 0)}{beyond}; "
        f"raise its spec.systems[{system}].cti.capacity and .softswitch.capacity with the parts behind them, "
        "or move fewer agents"
    )
    return Refusal(Reason.CAPACITY_EXCEEDED, message)
