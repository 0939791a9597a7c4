"""`make sim`: many seeds, side by side; `make sim SEED=4711`: one of them again, with everything that happens in it.

Strings hash alike in every run (PYTHONHASHSEED=0), or the order in which a set is gone through would differ.
"""

import argparse
import gc
import json
import logging
import os
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from tests.sim.scenario import Outcome, play

CHUNK: Final = 25
PROGRESS_S: Final = 5.0
GOAL_S: Final = 0.3
"""Seconds that a seed should take at most."""


def main() -> int:
    """Returns the exit status: 1 when a promise was broken."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable, [sys.executable, "-m", "tests.sim", *sys.argv[1:]], {**os.environ, "PYTHONHASHSEED": "0"}
        )
    parser = argparse.ArgumentParser(prog="python -m tests.sim", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--seed", type=int, help="play this one alone, and tell what happens")
    parser.add_argument("--log", action="store_true", help="with --seed: what the parts log, too")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=Path("out/sim"), help="where the report goes")
    options = parser.parse_args()
    if options.seed is not None:
        return replay(options.seed, log=options.log)
    if options.seeds < 1:
        parser.error(f"--seeds {options.seeds}: at least 1")
    return many(range(options.first, options.first + options.seeds), options.processes, options.out)


def replay(seed: int, *, log: bool) -> int:
    """One seed, told as it happens."""
    sys.unraisablehook = _never_mind
    if log:
        logging.basicConfig(level=logging.INFO, format="            %(name)s: %(message)s", stream=sys.stdout)
    else:
        logging.disable(logging.CRITICAL)
    outcome = play(seed, print)
    print(f"\nseed {seed} ({outcome.theme}): {outcome.said or 'every promise kept'}; digest {outcome.digest}")
    return 1 if outcome.broken else 0


def play_some(seeds: Sequence[int]) -> list[Outcome]:
    """In a process of its own."""
    sys.unraisablehook = _never_mind
    logging.disable(logging.CRITICAL)
    # What a seed leaves behind is one heap of cycles: looked through once, not a hundred times while it grows.
    gc.collect()
    gc.freeze()
    gc.disable()
    outcomes = []
    for seed in seeds:
        outcomes.append(play(seed))
        gc.collect()
    gc.enable()
    return outcomes


def _never_mind(_: object) -> None:
    """What coroutines of dead processes say when they are let go of: `Scheduler.bury` ends them in any order."""


def many(seeds: range, processes: int, out: Path) -> int:
    """All of `seeds`, with a report at the end."""
    began = time.monotonic()
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    outcomes: list[Outcome] = []
    told_at = began
    # Not concurrent.futures: up to Python 3.12 it can stand still for ever when its processes are replaced.
    with get_context("spawn").Pool(processes, maxtasksperchild=20) as pool:
        for found in pool.imap(play_some, chunks):
            outcomes += found
            for outcome in found:
                if outcome.broken:
                    print(f"seed {outcome.seed}: {outcome.said}  (replay: make sim SEED={outcome.seed})", flush=True)
            if time.monotonic() - told_at >= PROGRESS_S:
                told_at = time.monotonic()
                print(
                    f"{len(outcomes)} of {len(seeds)} seeds in {told_at - began:.0f} s, "
                    f"{sum(1 for outcome in outcomes if outcome.broken)} broken",
                    flush=True,
                )
    report = summary(outcomes, time.monotonic() - began)
    out.mkdir(parents=True, exist_ok=True)
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    text = table(report)
    (out / "table.md").write_text(text)
    print(text)
    return 1 if report["broken"] else 0


def summary(outcomes: Sequence[Outcome], seconds: float) -> dict[str, Any]:
    """What `out/sim/report.json` holds."""
    by_time = sorted(outcomes, key=lambda outcome: outcome.cpu_s)
    cpu = [outcome.cpu_s for outcome in by_time]
    healed = sorted(round(outcome.healed_in_s, 1) for outcome in outcomes if not outcome.broken)

    def total(counters: Iterable[Counter[str]]) -> dict[str, int]:
        found: Counter[str] = Counter()
        for counter in counters:
            found += counter
        return dict(sorted(found.items()))

    return {
        "seeds": len(outcomes),
        "first": outcomes[0].seed,
        "seconds": round(seconds, 1),
        "virtual_hours": round(sum(outcome.virtual_s for outcome in outcomes) / 3600, 2),
        "steps": sum(outcome.steps for outcome in outcomes),
        "seconds_a_seed": {
            "by_the_run": round(seconds / len(outcomes), 3),
            "median": round(cpu[len(cpu) // 2], 3),
            "p99": round(cpu[len(cpu) * 99 // 100], 3),
            "worst": round(cpu[-1], 3),
            "worst_of": by_time[-1].seed,
            "above_goal": sum(1 for taken in cpu if taken > GOAL_S),
        },
        "healed_in_s": {"median": healed[len(healed) // 2], "worst": healed[-1]} if healed else {},
        "with_a_move": sum(1 for outcome in outcomes if outcome.commits["Shift"] or outcome.commits["Order"]),
        "with_a_failover": sum(1 for outcome in outcomes if outcome.commits["Failover"]),
        "with_either": sum(1 for outcome in outcomes if outcome.moved),
        "themes": total(Counter([outcome.theme]) for outcome in outcomes),
        "faults": total(outcome.faults for outcome in outcomes),
        "commits": total(outcome.commits for outcome in outcomes),
        "noted": total(outcome.stats for outcome in outcomes),
        "broken": [
            {"seed": outcome.seed, "promise": outcome.broken, "said": outcome.said, "digest": outcome.digest}
            for outcome in outcomes
            if outcome.broken
        ],
    }


def table(report: dict[str, Any]) -> str:
    """The same for people."""
    lines = [
        "| figure | value |",
        "|---|---|",
        f"| seeds | {report['seeds']} from {report['first']} |",
        f"| seconds, one seed each (goal {GOAL_S}) | {report['seconds']}, {report['seconds_a_seed']['by_the_run']} |",
        f"| seconds of a processor a seed | median {report['seconds_a_seed']['median']}, 99 % within "
        f"{report['seconds_a_seed']['p99']}, worst {report['seconds_a_seed']['worst']} "
        f"(seed {report['seconds_a_seed']['worst_of']}); {report['seconds_a_seed']['above_goal']} above {GOAL_S} |",
        f"| virtual hours, steps | {report['virtual_hours']}, {report['steps']} |",
        f"| seeds with a planned move / a failover / either | {report['with_a_move']} / {report['with_a_failover']} / "
        f"{report['with_either']} ({100 * report['with_either'] / report['seeds']:.0f} %) |",
        f"| faults | {sum(report['faults'].values())}: "
        + ", ".join(f"{name} {count}" for name, count in report["faults"].items())
        + " |",
        f"| commits | {sum(report['commits'].values())}: "
        + ", ".join(f"{name} {count}" for name, count in report["commits"].items())
        + " |",
        f"| all well after healing within | {report['healed_in_s'].get('median')} s, worst "
        f"{report['healed_in_s'].get('worst')} s |",
        f"| broken promises | {len(report['broken'])} |",
    ]
    return "\n".join(lines) + "\n"
