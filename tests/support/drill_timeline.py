"""What a Drill did to its agents, computed from the agents' own timelines: an independent check of its report.

It shares no code with Tandem, the report, the demo or the call centre; it reads the report's JSON for what it is to
check (the starting map, when each way was committed and over) and the agents' files for everything else.

    python tests/support/drill_timeline.py report.json timeline-a.jsonl timeline-b.jsonl

An agent's own gap: from the first time out of a session elsewhere to the first session at the way's site, on the
agent's own monotonic clock. Time to a share: from the commit until that share of all who were to go, and were signed in
at the commit, was there. Percentiles by nearest rank.
"""

import hashlib
import json
import math
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

GAP_SLACK_S = 0.003
"""The client counts when a frame arrives, its diary when the line is written: two looks at the clock."""
TIME_SLACK_S = 0.025
"""Times since the commit are by the wall clock, which the client reads once, at its start, and the diary each time."""
DIGITS = 0.006
"""A report keeps three digits of each time."""
RELEASED = ("released", "lost", "out")


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


def homes(maps: list[dict[str, Any]]) -> dict[tuple[str, int], str]:
    """(group, bucket) -> the site where it was before the run."""
    found = {}
    for one in maps:
        for site, ranges in one["before"].items():
            for part in ranges.split(","):
                first, _, last = part.partition("-")
                for number in range(int(first), int(last or first) + 1):
                    found[one["group"], number] = site
    return found


def at_work_elsewhere(own: list[dict[str, Any]], site: str, moment: float) -> bool:
    """Whether this agent was signed in, and not at this site, at a moment."""
    here = ""
    for entry in own:
        if entry["at"] > moment:
            break
        if entry["event"] == "signed-in":
            here = entry["site"]
        elif entry["event"] in RELEASED and entry["site"] == here:
            here = ""
    return bool(here) and here != site


def switch(own: list[dict[str, Any]], site: str, start: float, end: float) -> tuple[float, float] | None:
    """(own gap, seconds from `start` to the arrival) of one agent; None: it did not arrive."""
    left = None
    for entry in own:
        if not start <= entry["at"] <= end:
            continue
        if entry["event"] in RELEASED and entry["site"] != site:
            left = entry["mono"]
        elif entry["event"] == "signed-in" and entry["site"] == site and left is not None:
            return entry["mono"] - left, entry["at"] - start
    return None


def ranked(values: list[float], share: float, of: int) -> float | None:
    needed = max(1, math.ceil(round(of * share / 100, 6)))
    return sorted(values)[needed - 1] if 0 < needed <= len(values) else None


def figures(report: dict[str, Any], name: str, agents: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """The figures of one way: `out`, all to one site, or `back`, each to where the starting map has the bucket."""
    start, end = epoch(report[name]["committedAt"]), epoch(report[name]["finishedAt"])
    home = homes(report["maps"])

    def goal(account: str, own: list[dict[str, Any]]) -> str:
        return str(report["rehearsed"]["to"]) if name == "out" else home[own[0]["group"], bucket(account)]

    goals = {account: goal(account, own) for account, own in agents.items()}
    planned = [account for account, own in agents.items() if at_work_elsewhere(own, goals[account], start)]
    found = [one for account in planned if (one := switch(agents[account], goals[account], start, end)) is not None]
    gaps, times = [gap for gap, _ in found], [time for _, time in found]
    return {
        "planned": len(planned),
        "arrived": len(found),
        "p50": ranked(gaps, 50, len(gaps)),
        "p95": ranked(gaps, 95, len(gaps)),
        "max": max(gaps, default=None),
        "63.5": ranked(times, 63.5, len(planned)),
        "93.1": ranked(times, 93.1, len(planned)),
        "100": ranked(times, 100, len(planned)),
    }


def said(way: dict[str, Any]) -> dict[str, Any]:
    """The same figures as the report has them."""
    gaps = way["gaps"] or {"p50": None, "p95": None, "max": None}
    return {"planned": way["planned"], "arrived": way["arrived"], **gaps, **way["timeTo"]}


def differences(report: dict[str, Any], lines: Iterable[str]) -> list[str]:
    """Each figure of the report that is not what the timelines say, as a sentence; empty: all are equal."""
    agents = by_agent(lines, set(report["groups"]))
    wrong = [] if agents else ["the timelines have no agent of the report's groups"]
    for name in ("out", "back"):
        way = report[name]
        if way["committedAt"] is None or way["finishedAt"] is None:
            wrong.append(f"{name}: the report has no way to compare")
            continue
        mine = figures(report, name, agents)
        theirs = said(way)
        for figure, value in mine.items():
            other = theirs[figure]
            if value is None or other is None or isinstance(value, int):
                equal = value == other
            else:
                slack = GAP_SLACK_S if figure in ("p50", "p95", "max") else TIME_SLACK_S
                equal = abs(value - other) <= slack + DIGITS * value
            if not equal:
                wrong.append(f"{name}: {figure} is {other} in the report and {value} by the timelines")
    return wrong


def main(arguments: list[str]) -> int:
    report = json.loads(Path(arguments[0]).read_text())
    lines = [line for file in arguments[1:] for line in Path(file).read_text().splitlines()]
    wrong = differences(report, lines)
    agents = by_agent(lines, set(report["groups"]))
    for name in ("out", "back"):
        way = report[name]
        if way["committedAt"] and way["finishedAt"]:
            print(name, figures(report, name, agents))
    print("\n".join(wrong) or "the report's figures are those of the agents' own timelines")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
