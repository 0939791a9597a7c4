"""Evacuation: everybody leaves one site, the most important first, each group to where there is room for it."""

from collections.abc import Sequence
from dataclasses import replace

from tandem.domain.capacity import Ledger, agents_in
from tandem.domain.placement import proportional
from tandem.domain.plan import Wish
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.snapshot import Snapshot
from tandem.domain.verdicts import usability


def evacuated(snapshot: Snapshot, ledger: Ledger, site: str, wishes: Sequence[Wish]) -> Sequence[Wish] | Refusal:
    """The wishes with what they want, in ranks by priority; or for whom there is no room.

    Whoever fits nowhere refuses the whole: half an evacuation is a decision for a person, by selector.

    Args:
        ledger: Loads so far; not changed.
    """
    taken: dict[tuple[str, str], int] = {}
    found: list[Wish] = []
    priorities = sorted({wish.spec.priority for wish in wishes}, reverse=True)
    for wish in sorted(wishes, key=lambda wish: (-wish.spec.priority, wish.group)):
        spec, shares = wish.spec, wish.placed.map.end_shares
        leaving = shares.get(site, 0)
        room, unusable = _room(snapshot, ledger, wish, site, taken)
        if leaving > sum(room.values()):
            return _no_room(wish, site, leaving, room, unusable)
        given = proportional(room, leaving)
        for target, buckets in given.items():
            taken[target, spec.system] = taken.get((target, spec.system), 0) + agents_in(buckets, spec.agents)
        sites = (*(share for share in shares if share != site), *given)
        wanted = {target: shares.get(target, 0) + given.get(target, 0) for target in sites}
        found.append(replace(wish, wanted=wanted, rank=priorities.index(spec.priority)))
    return found


def _room(
    snapshot: Snapshot, ledger: Ledger, wish: Wish, site: str, taken: dict[tuple[str, str], int]
) -> tuple[dict[str, int], list[str]]:
    """Buckets that each other site can take of this group, in the order of spec.sites; and why others take none."""
    spec = wish.spec
    room: dict[str, int] = {}
    unusable: list[str] = []
    for other in spec.sites:
        declared = snapshot.site(other)
        if other == site or declared is None:
            continue
        found = usability(snapshot, other, spec.system)
        if declared.maintenance:
            unusable.append(f"{other} has spec.maintenance: true")
        elif not found.usable:
            unusable.append(found.why)
        else:
            there = wish.placed.map.touched_shares.get(other, 0)
            promised = taken.get((other, spec.system), 0)
            room[other] = ledger.room_in_buckets(other, spec.system, wish.group, spec.agents, there, taken=promised)
    return room, unusable


def _no_room(wish: Wish, site: str, leaving: int, room: dict[str, int], unusable: list[str]) -> Refusal:
    agents = agents_in(leaving, wish.spec.agents)
    if not room:
        why = "; ".join(unusable) or f"its spec.sites names no other site than {site}"
        message = f"{agents} agents of {wish.group} leave {site}, and nobody can take them: {why}"
        return Refusal(Reason.TARGET_NOT_USABLE, message, temporary=bool(unusable))
    free = " and ".join(f"{other} for {agents_in(count, wish.spec.agents)}" for other, count in room.items())
    message = (
        f"{agents} agents of {wish.group} (priority {wish.spec.priority}) leave {site}, and beside the groups before "
        f"it there is room at {free}; raise the capacity of {wish.spec.system} with the parts behind it, or "
        "evacuate fewer by spec.selector"
    )
    return Refusal(Reason.CAPACITY_EXCEEDED, message)
