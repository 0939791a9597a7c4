"""Bench: the paced move of 1,000 agents who have 200 calls in progress, there and home again.

    make bench           one round, behind the bench of moves
    make bench RUNS=10   ten of them
    python -m tests.bench.paced --agents 1000 --calls 200 --pace 100

A Shift in three waves (5 %, 50 %, all) at a stated pace. No call may be cut, none may leave the queue without an
answer, whoever moves is out of service for less than half a second (p95), and each wave keeps the pace within 5 %: what
is measured is the agents' own timelines and the carrier's calls. The pace of a wave is that of its releases from the
tenth to the sixtieth per cent of its agents; the last ones leave when their calls end. Writes `out/bench/paced.json`
and `out/bench/paced.txt`.
"""

import argparse
import asyncio
import itertools
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import lab
from demo import machine
from demo.callcentre import CallCentre
from demo.cli import clear, fresh
from demo.commits import Commit
from demo.errors import DemoError
from demo.orders import Order
from demo.paths import OUT, shown
from demo.report import Move, move_json, plain_table, seconds
from demo.story import ABUNDANCE, Storyteller
from demo.timeline import Call
from lab.errors import LabError
from tests.bench.orders import everyone
from tests.bench.size import centre_of, file_name

BENCH_OUT: Final = OUT / "bench"
WORK: Final = BENCH_OUT / "paced"
"""Logs and manifests of a run; what is measured lies beside it."""

TALK_S: Final = (10.0, 30.0)
"""Shortest and longest call, seconds."""

WAVES: Final = (5, 50, 100)
WITHIN: Final = 0.05
"""How far a wave may be from the stated pace."""
LARGE: Final = 100
"""Agents of a wave whose pace is judged: a canary of 44 is gone in less than half a second, but for those in a call."""
GAP_S: Final = 0.5
"""Own gap, p95."""
STEADY: Final = (0.1, 0.6)
"""The part of a wave whose releases tell its pace: beyond it wait those who are in a call."""


@dataclass(frozen=True)
class Wave:
    """One wave as its agents saw it. `pace`: agents a second; `most`: in any one second; `pause`: the longest time
    without a release in the part that tells the pace, seconds: a machine that stood still, or a tail of calls."""

    number: int
    agents: int
    pace: float
    most: int
    pause: float


@dataclass(frozen=True)
class PacedMove:
    """A move under load, and what the agents and the callers saw of it."""

    move: Move
    calls: int
    """Answered or waiting, at any moment of the move."""
    lost_in_queue: int
    waves: tuple[Wave, ...]

    def missed(self, pace: float) -> list[str]:
        """The bounds that it did not keep, as sentences."""
        figures = self.move.measures
        gap = figures.switch_seconds
        missed = [] if self.move.complete else ["incomplete"]
        if figures.calls_cut:
            missed.append(f"{figures.calls_cut} calls cut")
        if self.lost_in_queue:
            missed.append(f"{self.lost_in_queue} callers lost in the queue")
        if gap is None or gap.p95 >= GAP_S:
            missed.append(f"own gap p95 is {gap.p95 if gap else None} s, bound {GAP_S} s")
        missed += [
            f"wave {wave.number} went at {wave.pace:.1f}/s, stated {pace:g}/s; longest pause {seconds(wave.pause)}"
            for wave in self.waves
            if wave.agents >= LARGE and abs(wave.pace - pace) > WITHIN * pace
        ]
        return missed


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured and every bound kept, 1 a bound missed or something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.paced", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1, help="rounds there and home again (default %(default)s)")
    parser.add_argument("--agents", type=int, default=1000, help="agents who move (default %(default)s)")
    parser.add_argument("--calls", type=int, default=200, help="calls in progress on them (default %(default)s)")
    parser.add_argument("--pace", type=float, default=100, help="agents a second (default %(default)s)")
    options = parser.parse_args(argv)
    say = Storyteller(lambda line: print(line, flush=True))
    try:
        moves, calls = asyncio.run(_run(options, say))
    except (DemoError, LabError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    document = summary(moves, calls, options.pace)
    text = table(document)
    name = file_name("paced", options.agents)
    (BENCH_OUT / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\n{shown(BENCH_OUT / f'{name}.json')}, {name}.txt")
    return 1 if document["lost_in_queue"] or any(run["missed"] for run in document["runs"]) else 0


async def _run(options: argparse.Namespace, say: Storyteller) -> tuple[list[PacedMove], list[Call]]:
    """The moves, and every call since before the first one."""
    clear(WORK)
    cities = lab.current()
    await fresh(cities)
    centre = centre_of(options.agents, cities, WORK, say)
    try:
        await centre.start()
        groups = centre.quickstart.choose("east")
        rate = ABUNDANCE * options.calls / (sum(TALK_S) / 2)
        say(f"calls flow: {rate:.0f} a second to {len(groups)} groups, {TALK_S[0]:g} to {TALK_S[1]:g} s each")
        await centre.carrier.load(rate, centre.quickstart.numbers_of(groups), TALK_S)
        pace = int(options.pace) if options.pace == int(options.pace) else options.pace
        moves = []
        for number in range(1, options.runs + 1):
            for to, city in (("west", "east"), ("east", "west")):
                await centre.calls_reach(options.calls, groups)
                order = everyone(
                    centre,
                    WORK,
                    f"paced-{number}-to-{to}",
                    to=to,
                    city=city,
                    with_calls=True,
                    waves=list(WAVES),
                    pace=pace,
                )
                moves.append(await _move(centre, order))
        # Callers wait for a minute: who was lost shows when everybody has been answered or has gone.
        await centre.quiet(timeout=120)
        await centre.carrier.look()
        return moves, list(centre.carrier.calls.values())
    finally:
        await centre.stop()
        await cities.down()


async def _move(centre: CallCentre, order: Order) -> PacedMove:
    move = await centre.move(order, timeout=180)
    until = time.time()
    since, accounts = move.applied_at, centre.accounts(order.groups)
    released = [
        event.at
        for event in centre.observed.events
        if event.event == "released" and event.account in accounts and since <= event.at <= until
    ]
    calls = [call for call in centre.carrier.calls.values() if _during(call, since, until)]
    return PacedMove(
        move=move,
        calls=len(calls),
        lost_in_queue=_lost(calls),
        waves=tuple(waves_of(released, wave_starts(commit for commit in centre.commits.commits if commit.at >= since))),
    )


def _lost(calls: Iterable[Call]) -> int:
    return sum(1 for call in calls if call.fate in ("refused", "abandoned"))


def _during(call: Call, since: float, until: float) -> bool:
    return call.placed_at <= until and (call.ended_at is None or call.ended_at >= since)


def wave_starts(commits: Iterable[Commit]) -> list[float]:
    """When each wave began: a group whose buckets were all at rest has some on their way again."""
    leaving: set[str] = set()
    starts: list[float] = []
    for commit in commits:
        if commit.settled:
            leaving.discard(commit.group)
        elif commit.group not in leaving:
            leaving.add(commit.group)
            # A wave's groups begin in one transaction, or in a few at once.
            if not starts or commit.at - starts[-1] > 1.0:
                starts.append(commit.at)
    return starts


def waves_of(released: Iterable[float], starts: Sequence[float]) -> list[Wave]:
    """The waves of a move from the moments of its releases and those at which the waves began."""
    moments = sorted(released)
    found = []
    for number, (since, end) in enumerate(itertools.pairwise([*starts, float("inf")]), 1):
        own = [moment for moment in moments if since <= moment < end]
        first, last = (int(len(own) * share) for share in STEADY)
        if last > first:
            pace = (last - first) / (own[last] - own[first])
            most = max(sum(1 for other in own if moment <= other < moment + 1) for moment in own)
            steady = own[first : last + 1]
            pause = max(after - before for before, after in itertools.pairwise(steady))
            found.append(Wave(number, len(own), pace, most, pause))
    return found


def summary(moves: Sequence[PacedMove], calls: Sequence[Call], pace: float) -> dict[str, Any]:
    """The moves, each with its waves and the bounds it missed; and the lost of all calls, those between moves too."""
    paces = [wave.pace for found in moves for wave in found.waves]
    return {
        "what": "planned move under calls, in three waves",
        "agents": max((found.move.agents for found in moves), default=0),
        "pace": pace,
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "pace_of_waves": {"median": statistics.median(paces), "least": min(paces), "most": max(paces)},
        "calls": len(calls),
        "lost_in_queue": _lost(calls),
        "runs": [
            {
                **move_json(found.move),
                "calls": found.calls,
                "lost_in_queue": found.lost_in_queue,
                "waves": [asdict(wave) for wave in found.waves],
                "missed": found.missed(pace),
            }
            for found in moves
        ],
    }


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    heads = ("move", "calls", "in progress", "cut", "lost in queue", "own gap p95", "waves: agents at pace/s")
    rows = [
        (
            run["name"],
            str(run["calls"]),
            str(run["calls_in_progress"]),
            str(run["calls_cut"]),
            str(run["lost_in_queue"]),
            seconds(run["switch_seconds"]["p95"] if run["switch_seconds"] else None),
            ", ".join(f"{wave['agents']} at {wave['pace']:.1f}" for wave in run["waves"]),
        )
        for run in document["runs"]
    ]
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    missed = "".join(f"\n{run['name']}: {'; '.join(run['missed'])}" for run in document["runs"] if run["missed"])
    title = f"{document['what']}: {document['agents']} agents at {document['pace']:g}/s"
    callers = (
        f"{document['lost_in_queue']} of {document['calls']} callers lost in the queue, from the first to the last"
    )
    return f"{title}\n{machine_words}\n{callers}\n\n{plain_table(heads, rows)}{missed}"


if __name__ == "__main__":
    sys.exit(main())
