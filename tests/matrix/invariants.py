"""What must hold whatever happens, and what in the observations breaks it. Pure; shares no code with Tandem.

Every function returns what is broken, one line each; an empty list is good. Times are seconds of CLOCK_REALTIME but for
a diary's `mono`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from itertools import combinations, pairwise
from math import inf
from typing import Any, Final

from tests.matrix.ctis import Spell
from tests.matrix.watcher import Doors, Loss, Phones, Placement

Diary = Sequence[Mapping[str, Any]]
LEFT: Final = ("released", "lost", "out")

WORKED_ON_S: Final = 3.0
"""Seconds for which a session must go on after its city was given up, for that to have been a mistake: a lease and a
moment. Before that the agent himself may not know yet that it is over."""

MOMENT_S: Final = 1.0
"""Seconds after a fault had been made in which a call may still be answered that it then cuts: by the carrier's note of
the moment, and because what is killed or stopped need not be so everywhere in the same instant."""

TIMED_OUT: Final = 408
"""How a call ends that somebody does not answer in time (after 2 s at a softswitch, 32 s at a phone or the carrier)."""

LEARNS_S: Final = 10.0
"""Seconds in which a city that was cut off, and is heard of again, has the newer maps: its engine reads the store and
pushes at once, in half a second on a quiet machine. The lab shares two processors, and a city may have been starved."""

LOOKS_S: Final = 4.0
"""By so much the look that found a heartbeat gone may come after what followed from that: without a quorum it waits a
second for each of three members, and its pace is a quarter of one."""


def link(a: str, b: str) -> str:
    """Name of the link between two locations."""
    return "-".join(sorted((a, b)))


@dataclass(frozen=True)
class Strike:
    """A fault as it is made.

    Attributes:
        at, done: Seconds of CLOCK_REALTIME when it began, and when it had been made; of one that makes slow for a
            while, when that was over.
        place: A city, a system there like `east/hotel`, or a `link`.
        slow: Nothing is lost by it, but late: it cuts those calls alone on which somebody waits for too long.
    """

    at: float
    done: float
    place: str
    slow: bool = False


# -- the store and the CTIs


def revisions_only_grow(seen: Iterable[Placement]) -> list[str]:
    """A group's map is never replaced by an older one."""
    newest: dict[str, int] = {}
    broken = []
    for placement in seen:
        if placement.revision < newest.get(placement.group, 0):
            broken.append(f"revision of {placement.group} fell from {newest[placement.group]} to {placement.revision}")
        newest[placement.group] = placement.revision
    return broken


def ctis_only_go_forward(doors: Iterable[Doors]) -> list[str]:
    """No CTI admits by an older map than it has held before, restarts included."""
    newest: dict[tuple[str, str], int] = {}
    broken = []
    for picture in doors:
        for site, groups in picture.held.items():
            for group, revision in groups.items():
                if revision < newest.get((site, group), 0):
                    fell = f"fell from {newest[site, group]} to {revision}"
                    broken.append(f"the map of {group} that {site} admits by {fell}")
                newest[site, group] = revision
    return broken


def doors_only_go_forward(doors: Iterable[Spell]) -> list[str]:
    """The same, by what the CTIs say themselves."""
    newest: dict[tuple[str, str], int] = {}
    broken = []
    for spell in sorted(doors, key=lambda spell: spell.since):
        door, revision = (spell.site, spell.subject), spell.token[1]
        if revision < newest.get(door, 0):
            broken.append(f"the CTI at {spell.site} admits to {spell.subject} by {revision}, after {newest[door]}")
        newest[door] = max(revision, newest.get(door, 0))
    return broken


def every_bucket_once(seen: Iterable[Placement]) -> list[str]:
    """Each of the hundred buckets has exactly one slot in every map."""
    broken = []
    for placement in seen:
        buckets = sorted(bucket for ranges in placement.map.values() for bucket in expand(ranges))
        if buckets != list(range(100)):
            broken.append(f"map of {placement.group} at revision {placement.revision}: {dict(placement.map)}")
    return broken


def no_two_fresh_doors(
    doors: Iterable[Spell],
    maps: Mapping[tuple[str, int], Mapping[str, str]],
    losses: Sequence[Loss],
    since: float,
    unconfirmed: Iterable[Spell] = (),
) -> list[str]:
    """No bucket is open to fresh sign-ins in two cities, by the maps that their CTIs say they hold.

    But for a bucket whose former city had been lost: from then on until the newer map has had `LEARNS_S` to reach it
    after its return, and only by a map that its CTI had held confirmed before. Whoever confirms an older map once it is
    back, after a restart for example, has no excuse for a moment. A CTI there that has restarted, and hears nothing of
    its engine for long enough, admits by the map on its disk: that has the same excuse, until it had time to be told.

    Where one of two maps is not known, because the store has compacted it for example, that is said: nothing is proven.

    Args:
        doors: Spells of group, and boot and revision.
        losses: Of cities, as far as their failover was under way.
        unconfirmed: The same of doors that are open although nobody has confirmed their map in that boot.
    """
    by_old_maps = frozenset(unconfirmed)
    spells = [*doors, *by_old_maps]
    first: dict[tuple[str, str, tuple[str, int]], float] = {}
    for spell in spells:
        key = (spell.site, spell.subject, spell.token)
        first[key] = min(first.get(key, spell.since), spell.since)
    broken: dict[str, None] = {}
    for former, newer, begins, ends in _overlapping(spells, since):
        if former.token[1] > newer.token[1]:
            former, newer = newer, former
        if former.token[1] == newer.token[1]:
            continue  # of one map, which names each bucket once (`every_bucket_once`)
        excused = any(
            loss.site == former.site
            and loss.failed_over
            and (former in by_old_maps or first[former.site, former.subject, former.token] <= loss.gone_at)
            and loss.gone_at - LOOKS_S <= begins
            and ends <= loss.back_at + LEARNS_S
            for loss in losses
        )
        if excused:
            continue
        open_at = []
        for spell in (former, newer):
            ranges = maps.get((spell.subject, spell.token[1]))
            if ranges is None:
                said = (
                    f"the map of {spell.subject} that {spell.site} admitted by (revision {spell.token[1]}) is not known"
                )
                broken[f"{said}: that no bucket had two doors is not proven"] = None
            open_at.append(set(expand((ranges or {}).get(spell.site, ""))))
        for bucket in sorted(open_at[0] & open_at[1]):
            broken[
                f"bucket {bucket} of {former.subject} was open at {former.site} (revision {former.token[1]}) "
                f"and at {newer.site} (revision {newer.token[1]}) at once"
            ] = None
    return list(broken)


def _overlapping(spells: Iterable[Spell], since: float) -> Iterator[tuple[Spell, Spell, float, float]]:
    """Pairs of the same subject at two sites that were so at once, from when until when, at any time after `since`."""
    by_subject: dict[str, list[Spell]] = {}
    for spell in spells:
        if spell.since < spell.until > since:
            by_subject.setdefault(spell.subject, []).append(spell)
    for found in by_subject.values():
        for one, other in combinations(found, 2):
            begins, ends = max(one.since, other.since, since), min(one.until, other.until)
            if one.site != other.site and begins < ends:
                yield one, other, begins, ends


def expand(ranges: str) -> Iterator[int]:
    """The buckets of `0-59,75`."""
    for part in ranges.split(",") if ranges else ():
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def bucket_of(account: str) -> int:
    """Where an account belongs (docs/contracts.md, section 3)."""
    return int.from_bytes(hashlib.sha256(account.lower().encode()).digest()[:8], "big") % 100


# -- the agents


def nobody_signs_in_at_a_shut_door(
    shut: Iterable[Spell], diary: Diary, group_of: Mapping[str, str], since: float
) -> list[str]:
    """No CTI that has just started admits anybody by a map that its engine has not confirmed.

    In the first `WORKED_ON_S` an agent may still note a sign-in of before: on a busy machine it may be so late.

    Args:
        shut: Spells of group, and boot and revision, in which it said itself that nobody had.
        group_of: Account -> group.
    """
    broken = []
    arrivals = [line for line in diary if line["event"] == "signed-in" and line["at"] >= since]
    for spell in shut:
        for line in arrivals:
            here = line["site"] == spell.site and group_of.get(line["account"]) == spell.subject
            if here and spell.since + WORKED_ON_S < line["at"] < spell.until:
                map_ = f"map (revision {spell.token[1]}) nobody had confirmed"
                broken.append(f"{line['account']} signed in at {spell.site}, whose {map_}")
    return broken


def nobody_signs_in_where_no_map_has_him(
    seen: Sequence[Placement], diary: Diary, group_of: Mapping[str, str], since: float
) -> list[str]:
    """Whoever is signed in at a site belongs there by a map of this time, on his way or settled, or is a guest.

    Args:
        seen: Maps in the order in which they were seen, the one before `since` included.
        group_of: Account -> group.
    """
    maps: dict[str, list[Mapping[str, str]]] = {}
    for placement in seen:
        known = maps.setdefault(placement.group, [])
        if placement.at < since:
            known.clear()  # another one was there when it all began
        known.append(placement.map)
    broken = []
    lines = sorted(diary, key=lambda line: (line["account"], line["mono"]))
    nothing: Mapping[str, Any] = {}
    for line, following in pairwise([*lines, nothing]):
        if line["event"] != "signed-in" or line["at"] < since:
            continue
        account, site = line["account"], line["site"]
        is_guest = (following.get("account"), following.get("event")) == (account, "guest")
        if not is_guest and not any(_has(map_, bucket_of(account), site) for map_ in maps.get(group_of[account], ())):
            broken.append(
                f"{account} signed in at {site}, where no map has bucket {bucket_of(account)}, and is no guest"
            )
    return broken


def _has(map_: Mapping[str, str], bucket: int, site: str) -> bool:
    """Whether a bucket is at a site, or on its way there or away."""
    return any(site in where.split(">") and bucket in expand(ranges) for where, ranges in map_.items())


def who_is_not_home(homes: Mapping[str, str], sites: Mapping[str, str]) -> list[str]:
    """Accounts that are not signed in where they were before. Both: account -> site."""
    return [
        f"{account} of {home} is {'at ' + sites[account] if account in sites else 'signed in nowhere'} at the end"
        for account, home in sorted(homes.items())
        if sites.get(account) != home
    ]


def sessions_never_overlap(diary: Diary, since: float) -> list[str]:
    """No agent is signed in at two sites at once."""
    here: dict[str, str] = {}
    broken = []
    for line in sorted(diary, key=lambda line: (line["account"], line["mono"])):
        account, site = line["account"], line.get("site") or ""
        if line["event"] == "signed-in":
            if here.get(account, site) != site and line["at"] >= since:
                broken.append(f"{account} was signed in at {here[account]} and at {site}")
            here[account] = site
        elif line["event"] in LEFT and here.get(account) == site:
            del here[account]
    return broken


def nobody_is_counted_twice(sessions: Iterable[Spell], since: float) -> list[str]:
    """No two CTIs count a session of one agent at once, whatever the agent's own diary says.

    Args:
        sessions: Spells of account, and session.
    """
    return [
        f"{one.subject} was counted at {one.site} (session {one.token[0]}) and at {other.site} (session "
        f"{other.token[0]}) at once, for {ends - begins:.1f} s at least"
        for one, other, begins, ends in _overlapping(sessions, since)
    ]


def nobody_notices(diary: Diary, who: AbstractSet[str], since: float, until: float) -> list[str]:
    """None of these agents loses, changes or renews a session."""
    return sorted(
        {
            f"{line['account']} of {line.get('site')} noticed: {line['event']}"
            for line in diary
            if line["account"] in who
            and since <= line["at"] <= until
            and line["event"] in (*LEFT, "signed-in", "guest")
        }
    )


def nobody_changes_often(diary: Diary, since: float, most: int = 1) -> list[str]:
    """No agent goes from city to city more often than the fault asks for: once away, and nobody returns by himself."""
    visited: dict[str, list[str]] = {}
    for line in sorted(diary, key=lambda line: (line["account"], line["mono"])):
        sites = visited.setdefault(line["account"], [])
        if line["event"] == "signed-in":
            if line["at"] < since:
                sites[:] = [line["site"]]
            elif not sites or sites[-1] != line["site"]:
                sites.append(line["site"])
    return [f"{account} went {' > '.join(sites)}" for account, sites in visited.items() if len(sites) - 1 > most]


def nobody_is_given_up_by_mistake(
    seen: Sequence[Placement], diary: Diary, group_of: Mapping[str, str], since: float, until: float
) -> list[str]:
    """A city is not given up under agents who go on working there.

    Args:
        seen: Maps in the order in which they were seen, the one before `since` included.
        group_of: Account -> group.
    """
    own: dict[str, list[Mapping[str, Any]]] = {}
    for line in sorted(diary, key=lambda line: line["mono"]):
        own.setdefault(line["account"], []).append(line)
    broken = []
    before: dict[str, Placement] = {}
    for placement in seen:
        old = before.get(placement.group)
        before[placement.group] = placement
        if old is None or not since <= placement.at <= until:
            continue
        for site, gone in _given_up(old.map, placement.map):
            there = [a for a, group in group_of.items() if group == placement.group and bucket_of(a) in gone]
            working = [a for a in there if _works_on(own.get(a, []), site, placement.at)]
            if working:
                broken.append(
                    f"{site} was given up for {placement.group} (revision {placement.revision}) while "
                    f"{len(working)} of its {len(there)} agents worked on there"
                )
    return broken


def _given_up(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, set[int]]]:
    """Sites, and their buckets that have a fresh door elsewhere without having been on their way there."""
    for site, ranges in old.items():
        if ">" not in site:
            elsewhere = {b for other, there in new.items() if other != site and ">" not in other for b in expand(there)}
            yield site, set(expand(ranges)) & elsewhere


def _works_on(own: Diary, site: str, at: float) -> bool:
    """Whether an agent was signed in at a site at that moment, and in the same session `WORKED_ON_S` later."""
    here = ""
    for line in own:
        if line["at"] > at + WORKED_ON_S:
            break
        if line["event"] == "signed-in":
            here = line["site"] if line["at"] <= at else ""
        elif line["event"] in LEFT and line.get("site") == here:
            here = ""
    return here == site


def important_not_last(diary: Diary, important: frozenset[str], others: frozenset[str], since: float) -> list[str]:
    """Of all who sign in after `since`, the last of the important ones is not later than the last of the others."""
    last = dict.fromkeys((important, others), since)
    for line in diary:
        for group in last:
            if line["event"] == "signed-in" and line["account"] in group:
                last[group] = max(last[group], line["at"])
    late = last[important] - last[others]
    return [f"the last of the important was {late:.2f} s later than the last of the others"] if late > 0 else []


def last_sign_in(diary: Diary, who: AbstractSet[str], since: float) -> float:
    """Seconds until the last sign-in of these agents after `since`; 0 where there was none."""
    arrived = [line["at"] for line in diary if line["event"] == "signed-in" and line["account"] in who]
    return round(max([at - since for at in arrived if at >= since], default=0.0), 2)


# -- the calls


@dataclass(frozen=True)
class Ways:
    """By what it is known through which places a call leads.

    Attributes:
        sites: Route's name -> site.
        systems: Called number -> system.
        floors: System -> the floor on which its agents sit.
    """

    phones: Phones
    sites: Mapping[str, str]
    systems: Mapping[str, str]
    floors: Mapping[str, str]

    def of(self, call: Mapping[str, Any]) -> frozenset[str]:
        """By the last route that it took and the phone that answered: cities, their systems, and links."""
        route = (call.get("routes_tried") or [""])[-1]
        entered, answered = self.sites.get(route, route), self.phones.city_of.get(call.get("agent") or "", "")
        system = self.systems.get(call["number"], "")
        through = {site for site in (entered, answered) if site}
        links = [("carrier", entered), (entered, answered), (answered, self.floors.get(system, ""))]
        return frozenset(
            through | {f"{site}/{system}" for site in through} | {link(a, b) for a, b in links if a and b and a != b}
        )


def no_call_is_cut(
    calls: Iterable[Mapping[str, Any]], since: float, strikes: Iterable[Strike], ways: Ways
) -> list[str]:
    """No answered call is cut, but for those that were in progress where the fault struck.

    Args:
        strikes: What the fault may cut: a call placed when it had been made is none of that.
    """
    found = list(strikes)
    return [
        f"call {call['id']} to {call['number']} was cut by {call.get('by')} ({call.get('code')})"
        for call in calls
        if call["fate"] == "cut"
        and (call.get("ended_at") or 0) >= since
        and not any(may_cut(strike, call, ways) for strike in found)
    ]


def may_cut(strike: Strike, call: Mapping[str, Any], ways: Ways) -> bool:
    """Whether a call that is cut was in progress there in that moment, and ended in the way that follows from it."""
    answered, ended = call.get("answered_at") or inf, call.get("ended_at") or inf
    return (
        answered <= strike.done + MOMENT_S
        and ended >= strike.at
        and (not strike.slow or call.get("code") == TIMED_OUT)
        and strike.place in ways.of(call)
    )


def everybody_answers(
    calls: Iterable[Mapping[str, Any]], phones: Phones, who: AbstractSet[str], since: float, *, not_at: str = ""
) -> list[str]:
    """Each of these agents has answered a real call that was placed from `since` on, by a phone of another site."""
    answered = {
        phones.account_of.get(call.get("agent") or "")
        for call in calls
        if call.get("answered_at")
        and call["placed_at"] >= since
        and not (not_at and phones.city_of.get(call.get("agent") or "") == not_at)
    }
    return [f"{account} is reached by no call" for account in sorted(who - answered)]
