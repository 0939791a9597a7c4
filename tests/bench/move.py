"""Bench: the planned move of 1,000 agents between two cities, several times, with median and spread.

Idle agents first, unpaced, so that nothing but Tandem and the call centre is measured; then once there and home again
with calls in progress, which the agents finish first.

    make bench           three rounds there and home again
    make bench RUNS=10   ten of them
    python -m tests.bench.move --agents 5000

Writes `out/bench/move.json` and `out/bench/move.txt`. A figure is the median of the runs with idle agents, with the
least and the most beside it.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

import lab
from demo import machine, quickstart
from demo.callcentre import CallCentre
from demo.cli import clear, fresh
from demo.errors import DemoError
from demo.orders import Order
from demo.paths import OUT, shown
from demo.report import Move, move_json, plain_table, seconds
from demo.story import Storyteller, tell
from lab.errors import LabError
from tests.bench.size import centre_of, file_name

BENCH_OUT: Final = OUT / "bench"
WORK: Final = BENCH_OUT / "move"
"""Logs and manifests of a run; what is measured lies beside it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured, 1 something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.move", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="rounds there and home again (default %(default)s)")
    parser.add_argument("--agents", type=int, default=1000, help="agents who move (default %(default)s)")
    options = parser.parse_args(argv)
    say = Storyteller(lambda line: print(line, flush=True))
    try:
        moves = asyncio.run(_run(options.runs, options.agents, say))
    except (DemoError, LabError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    document = summary(moves)
    text = table(document)
    name = file_name("move", options.agents)
    (BENCH_OUT / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\n{shown(BENCH_OUT / f'{name}.json')}, {name}.txt")
    return 0


async def _run(runs: int, agents: int, say: Storyteller) -> list[Move]:
    clear(WORK)
    cities = lab.current()
    await fresh(cities)
    centre = centre_of(agents, cities, WORK, say)
    try:
        await centre.start()
        return await tell(centre, _orders(centre, runs), say)
    finally:
        await centre.stop()
        await cities.down()


def _orders(centre: CallCentre, runs: int) -> list[Order]:
    """Everyone to west and home again: `runs` times idle, once with calls. Each Shift has its own name."""
    everyone = centre.quickstart.choose("east")
    orders = []
    for number in range(1, runs + 2):
        with_calls = number > runs
        for word, to, city in (("to-west", "west", "east"), ("home", "east", "west")):
            file = renamed(centre.quickstart.folder / "shifts" / f"everyone-{word}.yaml", number)
            kind = "with calls" if with_calls else "idle"
            name = f"everyone, {kind}, {word.replace('-', ' ')}, run {number}"
            orders.append(Order(name, file, (city,), everyone, to, with_calls=with_calls))
    return orders


def renamed(file: Path, suffix: object, into: Path = WORK) -> Path:
    """A copy of a Shift's manifest under a name with a suffix."""
    manifest = next(quickstart.documents(file))
    manifest["metadata"]["name"] += f"-{suffix}"
    copy = into / "shifts" / f"{manifest['metadata']['name']}.yaml"
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_text(yaml.safe_dump(manifest, sort_keys=False), encoding="utf-8")
    return copy


FIGURES: Final[Mapping[str, str]] = {
    "own gap, p50": "switch_seconds.p50",
    "own gap, p95": "switch_seconds.p95",
    "own gap, max": "switch_seconds.max",
    "63.5 % signed in": "time_to.63.5",
    "93.1 % signed in": "time_to.93.1",
    "100 % signed in": "time_to.100",
    "apply to commit": "apply_to_commit_seconds",
}


def summary(moves: Sequence[Move]) -> dict[str, Any]:
    """The runs, and the median and spread of each figure (seconds) over those with idle agents."""
    runs = [move_json(move) for move in moves if not move.with_calls]
    return {
        "what": "planned move of idle agents, unpaced, one Shift",
        "agents": max((move.agents for move in moves), default=0),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "figures": {name: _spread([_pick(run, path) for run in runs]) for name, path in FIGURES.items()},
        "incomplete": [move.name for move in moves if not move.complete],
        "runs": runs,
        "with_calls": [move_json(move) for move in moves if move.with_calls],
    }


def _pick(run: Mapping[str, Any], path: str) -> float | None:
    head, _, tail = path.partition(".")
    value: float | None = run[head][tail] if tail else run[head]
    return value


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        # A run in which somebody never arrived has no time; a median that hides it would flatter.
        return {"median": None, "least": min(known, default=None), "most": None}
    return {"median": statistics.median(known), "least": min(known), "most": max(known)}


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    rows = [
        (name, seconds(figure["median"]), seconds(figure["least"]), seconds(figure["most"]))
        for name, figure in document["figures"].items()
    ]
    title = f"{document['what']}: {document['agents']} agents, {len(document['runs'])} moves"
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    calls = "".join(
        f"\n{run['name']}: {run['agents_moved']} agents, {run['calls_cut']} of {run['calls_in_progress']} calls cut, "
        f"all there after {seconds(run['time_to']['100'])}, own gap p95 {seconds(run['switch_seconds']['p95'])}"
        for run in document["with_calls"]
    )
    incomplete = "".join(f"\nincomplete: {name}" for name in document["incomplete"])
    return f"{title}\n{machine_words}\n\n{plain_table(('', 'median', 'least', 'most'), rows)}\n{calls}{incomplete}"


if __name__ == "__main__":
    sys.exit(main())
