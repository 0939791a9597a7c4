"""The report: what was measured, as a table for the terminal and as `report.json`.

The keys of the JSON are an interface: other tools read them. Times are seconds.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from demo.disaster import GOAL_RESCUE_S, Rescue
from demo.measure import SHARES, Measures

PUBLISHED: Final[Mapping[float, float]] = {63.5: 180.0, 93.1: 240.0, 100.0: 600.0}
"""A large travel company, 2016: share of 1,000+ agents (percent) -> seconds until they worked in the other city."""

PUBLISHED_LATER: Final = 120.0
"""The same company later: seconds until all of them did."""

GOAL_ALL_IDLE_S: Final = 3.0
"""Seconds from the commit within which the last of 1,000 idle agents is to be signed in at the other city."""

GOAL_GAP_P95_S: Final = 0.5
"""Seconds of an agent's own gap that 95 of 100 are to stay below."""

NAMED: Final = 20
"""Accounts that the JSON lists by name at most."""


@dataclass(frozen=True)
class Move:
    """One move of the demo: what was done, and what it did."""

    name: str
    command: str
    with_calls: bool
    agents: int
    applied_at: float
    committed_at: float
    measures: Measures

    @property
    def missed(self) -> tuple[str, ...]:
        """The goals of speed that this move missed, in words. A busy machine may miss them; a promise never."""
        words = []
        gaps, everybody = self.measures.switch_seconds, self.measures.time_to[100.0]
        if gaps is not None and gaps.p95 >= GOAL_GAP_P95_S:
            words.append(f"own gap p95 {seconds(gaps.p95)}, the goal is less than {seconds(GOAL_GAP_P95_S)}")
        if not self.with_calls and everybody is not None and everybody > GOAL_ALL_IDLE_S:
            words.append(f"all there {seconds(everybody)} after the commit, the goal is {seconds(GOAL_ALL_IDLE_S)}")
        return tuple(words)

    @property
    def complete(self) -> bool:
        """Whether everybody arrived, once, in one place, no call was cut and nobody else noticed."""
        figures = self.measures
        return not (
            figures.missing
            or figures.moved_twice
            or figures.in_two_places
            or figures.control_noticed
            or figures.calls_cut
        )


@dataclass(frozen=True)
class StoryLine:
    """One thing that happened, `at` seconds of CLOCK_REALTIME."""

    at: float
    text: str


@dataclass(frozen=True)
class Report:
    """Everything that a run of the demo says."""

    started_at: float
    took_seconds: float
    machine: Mapping[str, str]
    agents_by_home: Mapping[str, int]
    moves: Sequence[Move]
    story: Sequence[StoryLine] = field(default=())
    rescue: Rescue | None = None
    """What became of the agents of the city that lost its power."""

    @property
    def agents(self) -> int:
        return sum(self.agents_by_home.values())


def to_json(report: Report) -> dict[str, Any]:
    """The content of `report.json`."""
    return {
        "agents": report.agents,
        "agents_by_home": dict(report.agents_by_home),
        "started_at": _utc(report.started_at),
        "took_seconds": round(report.took_seconds, 1),
        "machine": dict(report.machine),
        "goals": {"switch_seconds_p95": GOAL_GAP_P95_S, "time_to_all_idle": GOAL_ALL_IDLE_S},
        "published": {
            "time_to": {_share(share): seconds for share, seconds in PUBLISHED.items()},
            "time_to_all_later": PUBLISHED_LATER,
        },
        "moves": [move_json(move) for move in report.moves],
        "failover": None if report.rescue is None else rescue_json(report.rescue),
    }


def rescue_json(found: Rescue) -> dict[str, Any]:
    """The entry `failover`: seconds from the power-off."""
    phases = {name: _rounded(value) for name, value in asdict(found.phases).items()}
    return {
        "agents": found.agents,
        **phases,
        "time_to": {_share(share): _rounded(found.time_to[share]) for share in SHARES},
        "missing": _named(found.missing),
        "in_two_places": _named(found.in_two_places),
        "control_agents": found.control_agents,
        "control_noticed": _named(found.control_noticed),
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def move_json(move: Move) -> dict[str, Any]:
    """One entry of `moves`."""
    figures = move.measures
    gaps = figures.switch_seconds
    return {
        "name": move.name,
        "command": move.command,
        "with_calls": move.with_calls,
        "agents": move.agents,
        "agents_moved": len(figures.switches),
        "switch_seconds": {
            "p50": None if gaps is None else round(gaps.p50, 4),
            "p95": None if gaps is None else round(gaps.p95, 4),
            "max": None if gaps is None else round(gaps.max, 4),
        },
        "time_to": {_share(share): _rounded(figures.time_to[share]) for share in SHARES},
        "apply_to_commit_seconds": round(move.committed_at - move.applied_at, 3),
        "calls_in_progress": figures.calls_in_progress,
        "calls_cut": figures.calls_cut,
        "missing": _named(figures.missing),
        "moved_twice": _named(figures.moved_twice),
        "in_two_places": _named(figures.in_two_places),
        "lapsed": _named(figures.lapsed),
        "control_agents": figures.control_agents,
        "control_noticed": _named(figures.control_noticed),
        "goals_missed": list(move.missed),
        "applied_at": _utc(move.applied_at),
        "committed_at": _utc(move.committed_at),
    }


COLUMNS: Final = (
    "move", "agents", "p50", "p95", "max", "63.5 %", "93.1 %", "100 %", "calls", "cut", "control",
)  # fmt: skip


def row(move: Move) -> tuple[str, ...]:
    """One line of the table, cell by cell as in COLUMNS."""
    figures = move.measures
    gaps = figures.switch_seconds
    own = ("-", "-", "-") if gaps is None else (seconds(gaps.p50), seconds(gaps.p95), seconds(gaps.max))
    moved = str(move.agents) if not figures.missing else f"{len(figures.switches)} of {move.agents}"
    noticed = len(figures.control_noticed)
    return (
        move.name,
        moved,
        *own,
        *(seconds(figures.time_to[share]) for share in SHARES),
        str(figures.calls_in_progress) if move.with_calls else "idle",
        str(figures.calls_cut),
        f"{noticed} of {figures.control_agents}" if noticed else "none",
    )


def reference_rows() -> list[tuple[str, ...]]:
    """Tandem's own goals and the published figures in the table's columns."""
    times = tuple(seconds(PUBLISHED[share]) for share in SHARES)
    goals = (seconds(GOAL_GAP_P95_S), "-", "-", "-", seconds(GOAL_ALL_IDLE_S))
    return [
        ("goal, idle agents", "1000", "-", *goals, "idle", "0", "none"),
        ("published, 2016", "1000+", "-", "-", "-", *times, "-", "-", "-"),
        ("published, later", "1000+", "-", "-", "-", "-", "-", seconds(PUBLISHED_LATER), "-", "-", "-"),
    ]


def table(report: Report) -> str:
    """The table that the demo ends with, for a terminal."""
    return plain_table(COLUMNS, [row(move) for move in report.moves], reference_rows())


LEGEND: Final = (
    "p50, p95, max: an agent's own gap, from out here until signed in there (first ping answered, phone registered).",
    "63.5 / 93.1 / 100 %: from the commit until that share of the agents is signed in at the other city; agents in a",
    "call finish it and their wrap-up first. calls, cut: calls in progress at the commit on agents who move, and how",
    "many of theirs were cut. control: agents at the other city who noticed anything.",
)


PHASES: Final = {
    "detected": "a first location says that something there fails",
    "confirmed": "two locations say so, unbroken, and the city writes nothing",
    "committed": "its groups are placed elsewhere",
    "door_open": "the store hears that a first CTI elsewhere lets them in, a moment after it does",
    "first_sign_in": "the first agent works again",
    "last_sign_in": "the last one does",
    "first_call": "one of them has answered a call",
}


def rescue_rows(found: Rescue) -> list[tuple[str, str, str]]:
    """Phase, time from the power-off, meaning."""
    times = asdict(found.phases)
    rows = [(name.replace("_", " "), seconds(times[name]), meaning) for name, meaning in PHASES.items()]
    rows += [(f"{_share(share)} % signed in", seconds(found.time_to[share]), "") for share in SHARES]
    rows.append(("goal", seconds(GOAL_RESCUE_S), "the last of 1,000 agents signed in"))
    return rows


def rescue_table(found: Rescue) -> str:
    """The disaster, for a terminal."""
    title = f"{found.agents} agents of a city that lost its power, from that moment on"
    lines = [f"  {name:18} {time:>8}  {meaning}".rstrip() for name, time, meaning in rescue_rows(found)]
    return "\n".join([title, *lines, *found.broken])


def plain_table(columns: Sequence[str], *blocks: Sequence[Sequence[str]]) -> str:
    """Aligned text: the first column to the left, the others to the right, a rule before each block of rows."""
    rows = [cells for block in blocks for cells in block]
    widths = [max(len(cells[n]) for cells in [columns, *rows]) for n in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        first = cells[0].ljust(widths[0])
        others = (cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True))
        return "  ".join([first, *others]).rstrip()

    rule = "-" * (sum(widths) + 2 * (len(widths) - 1))
    lines = [line(columns)]
    for block in blocks:
        lines += [rule, *(line(cells) for cells in block)]
    return "\n".join(lines)


def seconds(value: float | None) -> str:
    """A time as people read it: 12 ms, 1.53 s, 3 min."""
    if value is None:
        return "never"
    if value >= 120:
        return f"{value / 60:.0f} min" if value % 60 == 0 else f"{value / 60:.1f} min"
    if value >= 10:
        return f"{value:.1f} s"
    if value >= 1:
        return f"{value:.2f} s"
    return f"{value * 1000:.0f} ms" if value >= 0.01 else f"{value * 1000:.1f} ms"


def _named(accounts: Sequence[str]) -> dict[str, Any]:
    """How many, and the first of them by name."""
    return {"count": len(accounts), "accounts": list(accounts[:NAMED])}


def _share(share: float) -> str:
    return f"{share:g}"


def _utc(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"
