"""Pace: agents moved a second, over all groups, systems and sites of a Shift together.

A CTI releases by what its groups' placements say. One that knows moves keeps `together` over all groups of a move; one
that does not keeps each group's own part. Both add up to the pace of the Shift, whoever carries it out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.constants import PACE_LEAST, PACE_STEP, SLOW_SIGN_IN_S
from tandem.domain.records import ShiftRecord


@dataclass(frozen=True, slots=True)
class Leaving:
    """A group as it leaves its sites in one wave."""

    group: str
    system: str
    sites: Mapping[str, float]
    """Sites that they leave, each with a CTI of its own, and how many leave there, as far as the plan knows."""

    @property
    def agents(self) -> float:
        """How many leave in all: the weight of its part."""
        return sum(self.sites.values())


@dataclass(frozen=True, slots=True)
class GroupPace:
    """Agents a second that each CTI lets go; 0: no limit."""

    own: float = 0.0
    """Of this group."""
    together: float = 0.0
    """Of all groups of the Shift and of this group's system."""


NO_LIMIT: Final = GroupPace()


def pace_now(record: ShiftRecord) -> float:
    """Agents a second over the whole Shift now: as stated, or less while a target is slow; 0: no limit."""
    return record.spec.pace if record.pace is None else record.pace


def planned_agents(record: ShiftRecord) -> int:
    """Agents of the whole Shift, as planned."""
    return sum(plan.agents for plan in record.plan)


def split(pace: float, leaving: Sequence[Leaving]) -> dict[str, GroupPace]:
    """Each group's part of a Shift's pace, by its agents. The parts of all CTIs add up to `pace`.

    A CTI's part is by its agents as well. A group that leaves several sites has one placement for all of their CTIs, so
    their parts are equal where a system has such a group.
    """
    if not pace:
        return {one.group: NO_LIMIT for one in leaving}
    # A group of which nobody is there now has a part all the same: somebody may sign in before its wave has left.
    weights = {one.group: max(one.agents, 1.0) for one in leaving}
    whole = sum(weights.values())
    found: dict[str, GroupPace] = {}
    for system in {one.system: None for one in leaving}:
        groups = [one for one in leaving if one.system == system]
        ctis = {site for one in groups for site in one.sites}
        parts, share = [groups], len(ctis)
        if all(len(one.sites) <= 1 for one in groups):
            parts, share = [[one for one in groups if site in one.sites] for site in sorted(ctis)], 1
        for part in parts:
            weight = sum(weights[one.group] for one in part)
            together = pace * weight / whole / share
            found |= {one.group: GroupPace(together * weights[one.group] / weight, together) for one in part}
    return found


def needed_s(pace: float, leaving: Sequence[Leaving], there: Mapping[tuple[str, str], float]) -> float:
    """Seconds until the last CTI has let all of its agents go, each by its own part of the pace; 0: no limit.

    Where parts of a system's CTIs are equal, whoever has more agents, the fullest of them decides.

    Args:
        there: Agents of this wave at a site's system, as counted; the plan's own number counts where it is higher.
    """
    planned: dict[tuple[str, str], float] = {}
    together: dict[tuple[str, str], float] = {}
    paces = split(pace, leaving)
    for one in leaving:
        for site, agents in one.sites.items():
            place = (site, one.system)
            planned[place] = planned.get(place, 0.0) + agents
            together[place] = paces[one.group].together
    return max(
        (max(planned[place], there.get(place, 0.0)) / part for place, part in together.items() if part), default=0.0
    )


@dataclass(frozen=True, slots=True)
class Reception:
    """How a target takes its agents in now."""

    p95: float
    """Seconds out of service of 95 % of those who came last."""
    bears: float
    """Agents of the whole Shift a second that its CTI bears now, by its own word; 0: it does not say."""


def next_pace(stated: float, now: float, receptions: Sequence[Reception]) -> float:
    """The pace after a look at the targets: down by half, or to what one bears, at once; up in steps; never above.

    Args:
        stated: What the Shift says, above 0.
        now: The pace so far.
        receptions: Of targets where somebody has arrived lately; without any nothing is known, and nothing changes.
    """
    if not receptions:
        return now
    least = stated * PACE_LEAST
    borne = min((one.bears for one in receptions if one.bears), default=stated)
    if any(one.p95 > SLOW_SIGN_IN_S for one in receptions):
        return max(min(now / 2, borne), least)
    return max(min(now + stated * PACE_STEP, borne, stated), least)
