"""What a Drill did to its agents, computed from the agents' own timelines: an independent check of its report.

It shares no code with Tandem, the report, the demo or the call centre; it reads the report's JSON for what it is to
check, and the agents' files for everything else.

    python tests/support/drill_timeline.py report.json timeline-a.jsonl timeline-b.jsonl [--commits commits.jsonl]

Without the commits it believes the report the starting map, where each way led, and when it was committed; with them
(one line for each placement that the store has had, in order: `{"at", "group", "cause", "map"}`) it knows these by
itself, also of a Drill that moves a part of its groups, and compares them too.

An agent's own gap: from the last time out of a session elsewhere to the session at the way's site, on the agent's own
monotonic clock. A client that found its city lost has been out for longer than its diary's line says, since its last
ping that was answered: it writes that down when it is signed in again (`gap`). Time to a share: from the commit until
that share of all who were to go, and were signed in at the commit (a lost city's: at the start of the run), was there.
Percentiles by nearest rank. Calls: those that phones answered, at any site, and at the goal's during the hold.
"""

import argparse
import hashlib
import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

GAP_SLACK_S = 0.003
"""The client counts when a frame arrives, its diary when the line is written: two looks at the clock."""
TIME_SLACK_S = 0.025
"""Times since the commit are by the wall clock, which the client reads once, at its start, and the diary each time."""
COMMIT_SLACK_S = 0.002
"""A report writes milliseconds."""
CALLS_SLACK_S = 2.0
"""CTIs' counts reach the store by a long poll and a report that goes out twice a second, later on a busy machine."""
DIGITS = 0.006
"""A report keeps three digits of each time."""
RELEASED = ("released", "lost", "out")

Lines = Sequence[Mapping[str, Any]]
Agents = Mapping[str, list[dict[str, Any]]]


def epoch(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def by_agent(lines: Iterable[str], groups: set[str]) -> dict[str, list[dict[str, Any]]]:
    """Account -> its lines, in their order."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        if line.strip():
            entry = json.loads(line)
            if entry["group"] in groups:
                found.setdefault(entry["account"], []).append(entry)
    for own in found.values():
        own.sort(key=lambda entry: entry["mono"])
    return found


def bucket(account: str) -> int:
    """As docs/contracts.md section 3 says."""
    return int.from_bytes(hashlib.sha256(account.lower().encode()).digest()[:8], "big") % 100


def places(placement: Mapping[str, str]) -> dict[int, str]:
    """Bucket -> where it is, of one group's map."""
    found = {}
    for site, ranges in placement.items():
        for part in ranges.split(","):
            first, _, last = part.partition("-")
            for number in range(int(first), int(last or first) + 1):
                found[number] = site
    return found


def at_work_elsewhere(own: Lines, sites: Iterable[str], moment: float) -> bool:
    """Whether this agent was signed in, and not at one of these sites, at a moment."""
    here = ""
    for entry in own:
        if entry["at"] > moment:
            break
        if entry["event"] == "signed-in":
            here = entry["site"]
        elif entry["event"] in RELEASED and entry["site"] == here:
            here = ""
    return bool(here) and here not in sites


@dataclass(frozen=True)
class Switch:
    """One agent's way. `gap`: own seconds out of service; `at`: of the sign-in, by the wall clock."""

    account: str
    gap: float
    at: float
    cause: str


def switch(own: Lines, sites: Iterable[str], start: float, end: float) -> Switch | None:
    """How one agent came to one of these sites between two moments; None: it did not. The last leaving counts."""
    left = None
    for entry in own:
        if not start <= entry["at"] <= end:
            continue
        if entry["event"] in RELEASED and entry["site"] not in sites:
            left = entry
        elif entry["event"] == "signed-in" and entry["site"] in sites and left is not None:
            gap = entry["mono"] - left["mono"]
            if left["event"] == "lost":
                gap = max(gap, float(entry.get("gap") or 0.0))  # since a ping that was answered before
            return Switch(entry["account"], gap, entry["at"], entry.get("cause", ""))
    return None


def ranked(values: Sequence[float], share: float, of: int) -> float | None:
    needed = max(1, math.ceil(round(of * share / 100, 6)))
    return sorted(values)[needed - 1] if 0 < needed <= len(values) else None


@dataclass(frozen=True)
class Journey:
    """One way of a run: who was to go, and how they came. `late`: those who came after the report's end of it."""

    committed: float
    planned: tuple[str, ...]
    found: tuple[Switch, ...]
    late: int

    @property
    def gaps(self) -> list[float]:
        return [one.gap for one in self.found]

    @property
    def times(self) -> dict[str, float]:
        """Account -> seconds from the commit to the arrival."""
        return {one.account: one.at - self.committed for one in self.found}


def own_commits(report: Mapping[str, Any], name: str, commits: Lines) -> list[Mapping[str, Any]]:
    """The placements that a way's Shift has committed."""
    cause = f"Drill/{report[name]['shift'].rpartition('/')[2]}"
    return [one for one in commits if one["cause"] == cause]


def goals(report: Mapping[str, Any], name: str, agents: Agents, commits: Lines) -> dict[str, set[str]]:
    """Account -> where this way leads it; those whose bucket does not go are not in it."""
    leads: dict[tuple[str, int], set[str]] = {}
    if commits:
        for one in own_commits(report, name, commits):
            for number, place in places(one["map"]).items():
                if ">" in place:
                    leads.setdefault((one["group"], number), {place.partition(">")[2]})
    elif name == "out":
        everywhere = set(report["out"]["sites"])
        leads = {(group, number): everywhere for group in report["groups"] for number in range(100)}
    else:
        before = {one["group"]: places(one["before"]) for one in report["maps"]}
        leads = {(group, number): {site} for group, found in before.items() for number, site in found.items()}
    keyed = {account: (own[0]["group"], bucket(account)) for account, own in agents.items()}
    return {account: leads[key] for account, key in keyed.items() if key in leads}


def journey(report: Mapping[str, Any], name: str, agents: Agents, commits: Lines = ()) -> Journey:
    """One way, `out` or `back`, as the agents tell it."""
    mine = own_commits(report, name, commits)
    committed = min((one["at"] for one in mine), default=epoch(report[name]["committedAt"]))
    end = epoch(report[name]["finishedAt"])
    # Whoever finds the lost city silent leaves it before anything is committed.
    since = epoch(report["startedAt"]) if name == "out" and report.get("failover") else committed
    after = min((one["at"] for one in own_commits(report, "back", commits)), default=end) if name == "out" else math.inf
    where = goals(report, name, agents, commits)
    planned = [account for account, sites in where.items() if at_work_elsewhere(agents[account], sites, since)]
    all_found = [switch(agents[account], where[account], since, max(after, end)) for account in planned]
    found = [one for one in all_found if one is not None]
    in_time = tuple(one for one in found if one.at <= end)
    return Journey(committed, tuple(planned), in_time, len(found) - len(in_time))


def figures(report: Mapping[str, Any], name: str, agents: Agents, commits: Lines = ()) -> dict[str, Any]:
    """The figures of one way."""
    return figures_of(journey(report, name, agents, commits))


def figures_of(found: Journey) -> dict[str, Any]:
    times, of = list(found.times.values()), len(found.planned)
    return {"planned": of, "arrived": len(found.found), **spread(found.gaps), **shares(times, of)}


def spread(gaps: Sequence[float]) -> dict[str, float | None]:
    return {"p50": ranked(gaps, 50, len(gaps)), "p95": ranked(gaps, 95, len(gaps)), "max": max(gaps, default=None)}


def shares(times: Sequence[float], of: int) -> dict[str, float | None]:
    return {str(share): ranked(times, float(share), of) for share in ("63.5", "93.1", "100")}


def said(way: Mapping[str, Any]) -> dict[str, Any]:
    """The same figures as the report has them."""
    return {"planned": way["planned"], "arrived": way["arrived"], **_gaps(way["gaps"]), **way["timeTo"]}


def _gaps(found: Mapping[str, Any] | None) -> Mapping[str, Any]:
    return found or {"p50": None, "p95": None, "max": None}


def _same(mine: float | None, theirs: float | None, slack: float) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return abs(mine - theirs) <= slack + DIGITS * mine


def _compared(about: str, mine: Mapping[str, Any], theirs: Mapping[str, Any]) -> Iterable[str]:
    for figure, value in mine.items():
        other = theirs[figure]
        slack = GAP_SLACK_S if figure in ("p50", "p95", "max") else TIME_SLACK_S
        equal = value == other if isinstance(value, int) else _same(value, other, slack)
        if not equal:
            yield f"{about}: {figure} is {other} in the report and {value} by the timelines"


# -- one question each


def of_the_way(name: str, way: Mapping[str, Any], found: Journey) -> Iterable[str]:
    """Figures of a way, and the agents who are named."""
    yield from _compared(name, figures_of(found), said(way))
    if abs(found.committed - epoch(way["committedAt"])) > COMMIT_SLACK_S:
        yield f"{name}: committedAt is {epoch(way['committedAt']):.3f} in the report and {found.committed:.3f} in truth"
    if found.late > way["staying"]:
        yield f"{name}: {found.late} agents came after finishedAt, and {way['staying']} of them are said to stay"
    lists = (
        ("slowest", "gap", {one.account: one.gap for one in found.found}, GAP_SLACK_S),
        ("latest", "afterCommit", found.times, TIME_SLACK_S),
    )
    for what, figure, mine, slack in lists:
        named = way[what]
        for one in named:
            if not _same(mine.get(one["account"]), one[figure], slack):
                own = mine.get(one["account"])
                yield f"{name}: {what} has {one['account']} with {one[figure]}, by the timelines it is {own}"
        most = sorted(mine.values(), reverse=True)[: len(named)]
        if not all(_same(own, one[figure], slack) for own, one in zip(most, named, strict=False)):
            yield f"{name}: those named as {what} are not the ones"
        if way["arrivalBins"] and len(named) < min(len(found.found), 10):
            yield f"{name}: {len(named)} are named as {what}, of {len(found.found)}"


def of_the_automatic_path(report: Mapping[str, Any], found: Journey) -> Iterable[str]:
    """Of a rehearsed failover: those who came without a ticket."""
    theirs = report["failover"].get("failedOver")
    alone = [one for one in found.found if one.cause == "failover"]
    if theirs is None or not alone:
        if theirs is not None or alone:
            yield f"failover: {len(alone)} agents came without a ticket, and the report has {theirs}"
        return
    times = [one.at - epoch(report["failover"]["silencedAt"]) for one in alone]
    mine = {"agents": len(alone), **spread([one.gap for one in alone]), **shares(times, len(alone))}
    mine |= {"firstSignIn": min(times), "lastSignIn": max(times)}
    yield from _compared("failover", mine, {**theirs, **theirs["gaps"], **theirs["timeTo"]})


def of_calls(report: Mapping[str, Any], agents: Agents) -> Iterable[str]:
    """Calls that phones answered, and those that were cut, within what the way of a count takes."""
    entries = [entry for own in agents.values() for entry in own]
    began = {phase["name"]: epoch(phase["startedAt"]) for phase in report["phases"]}
    run, calls = (epoch(report["startedAt"]), epoch(report["finishedAt"])), report["calls"]
    yield from _counted("calls", calls, entries, *run)
    for one in calls.get("there", ()):
        there = [entry for entry in entries if entry["site"] == one["site"]]
        yield from _counted(f"calls at {one['site']}", one, there, began["Holding"], began["Back"])


def _counted(about: str, theirs: Mapping[str, Any], entries: Lines, start: float, end: float) -> Iterable[str]:
    answered = [entry["at"] for entry in entries if entry["event"] == "call"]
    cut = [entry["at"] for entry in entries if entry["event"] == "call-ended" and entry.get("cause") == "cut"]
    for what, moments in (("answered", answered), ("cut", cut)):
        if theirs[what] is None:
            continue  # nobody measured it, and the report says so
        least = sum(start + CALLS_SLACK_S <= at <= end - CALLS_SLACK_S for at in moments)
        most = sum(start - CALLS_SLACK_S <= at <= end + CALLS_SLACK_S for at in moments)
        if not least <= theirs[what] <= most:
            yield f"{about}: {theirs[what]} {what} in the report and {least} to {most} by the timelines"


def of_maps(report: Mapping[str, Any], commits: Lines) -> Iterable[str]:
    """The maps before the run and after it, as the store has had them."""
    mine = [one for name in ("out", "back") for one in own_commits(report, name, commits)]
    if not mine:
        yield "the commits have none of this run"
        return
    began, over = commits.index(mine[0]), epoch(report["writtenAt"]) + COMMIT_SLACK_S
    for one in report["maps"]:
        before = [commit["map"] for commit in commits[:began] if commit["group"] == one["group"]]
        after = [commit["map"] for commit in commits if commit["group"] == one["group"] and commit["at"] <= over]
        for when, found in (("before", before), ("after", after)):
            if not found or places(found[-1]) != places(one[when] or {}):
                yield f"{one['group']}: the map {when} is {one[when]} in the report and {found[-1:]} in the store"


def differences(report: dict[str, Any], lines: Iterable[str], commits: Lines = ()) -> list[str]:
    """Each figure of the report that is not what the timelines say, as a sentence; empty: all are equal."""
    agents = by_agent(lines, set(report["groups"]))
    wrong = [] if agents else ["the timelines have no agent of the report's groups"]
    if commits:
        wrong += of_maps(report, commits)
    for name in ("out", "back"):
        way = report[name]
        if way["committedAt"] is None or way["finishedAt"] is None:
            wrong.append(f"{name}: the report has no way to compare")
            continue
        found = journey(report, name, agents, commits)
        wrong += of_the_way(name, way, found)
        if name == "out" and report.get("failover"):
            wrong += of_the_automatic_path(report, found)
    return wrong + list(of_calls(report, agents))


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Compare a Drill's report with the agents' own timelines.")
    parser.add_argument("report", type=Path)
    parser.add_argument("timelines", type=Path, nargs="+")
    parser.add_argument("--commits", type=Path, help="placements as the store has had them, one JSON line each")
    options = parser.parse_args(arguments)
    report = json.loads(options.report.read_text())
    lines = [line for file in options.timelines for line in file.read_text().splitlines()]
    commits = [json.loads(line) for line in options.commits.read_text().splitlines()] if options.commits else []
    wrong = differences(report, lines, commits)
    agents = by_agent(lines, set(report["groups"]))
    for name in ("out", "back"):
        way = report[name]
        if way["committedAt"] and way["finishedAt"]:
            print(name, figures(report, name, agents, commits))
    print("\n".join(wrong) or "the report's figures are those of the agents' own timelines")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
