"""Bench: how long one plan takes, with 20, 200 and 1,000 groups in one Shift.

    make bench                                  behind the other benches
    python -m tests.bench.plan --runs 3         a quick look

No lab and no processes: the rules themselves, on a store in memory that says what two healthy cities would say, every
agent signed in. Measured are the plan alone; the coordinator's decision that accepts the Shift, plans it and starts its
first wave; the operator's whole answer to `kubectl tandem plan`; and the status that it writes. Nothing is remembered
from one run to the next. Writes `out/bench/plan.json` and `plan.txt`.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from demo import machine
from demo.paths import OUT, shown
from demo.report import plain_table
from tandem.domain import keys, placement
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.capacity import Ledger
from tandem.domain.plan import Plan
from tandem.domain.records import GroupReport, ShiftRecord, SystemReport
from tandem.domain.selection import plan_shift
from tandem.operator.planner import answer_of
from tandem.operator.statuses.common import Scene
from tandem.operator.statuses.shift import shift_status
from tests.support.manifests import shift
from tests.unit.domain.world import World
from tests.unit.operator.objects import seen

BENCH_OUT: Final = OUT / "bench"
SIZES: Final = (20, 200, 1000)
GOAL_GROUPS: Final = 200
GOAL_S: Final = 1.0
"""Seconds in which a plan of GOAL_GROUPS groups is made."""

SYSTEMS: Final = ("hotel", "flight")
AGENTS: Final = 50
"""Agents of each group."""

_SPEC: Final[dict[str, Any]] = {"selector": {"region": "north"}, "to": "west"}
_NAME: Final = "callcenter/to-west"

STEPS: Final = ("plan", "decision", "answer", "status")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured and within the bound, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.plan", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=5, help="runs with each number of groups (default %(default)s)")
    parser.add_argument("--groups", default=",".join(map(str, SIZES)), help="how many (default %(default)s)")
    options = parser.parse_args(argv)
    found = {int(size): [run(int(size)) for _ in range(options.runs)] for size in options.groups.split(",")}
    document = summary(found)
    text = table(document)
    BENCH_OUT.mkdir(parents=True, exist_ok=True)
    (BENCH_OUT / "plan.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / "plan.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\n{shown(BENCH_OUT / 'plan.json')}, plan.txt")
    return 0 if document["kept"] else 1


def a_world(groups: int) -> World:
    """Two cities, both systems, everybody signed in at east."""
    world = World(systems=SYSTEMS, capacity=2 * groups * AGENTS)
    names = [f"callcenter/group-{number:04d}" for number in range(groups)]
    for number, name in enumerate(names):
        world.group({"east": 100}, name=name, agents=AGENTS, system=SYSTEMS[number % len(SYSTEMS)])
    world.settle(rounds=groups)
    for system in SYSTEMS:
        buckets = {str(bucket): 1 for bucket in range(0, 100, 2)}
        report = GroupReport(revision=world.revision, signed_in=AGENTS, talking=10, buckets=buckets)
        its = {name: report for name in names if world.record(name).system == system}
        for city, reports in (("east", its), ("west", {})):
            record = SystemReport(boot="b", confirmed=True, groups=reports, capabilities=CTICapabilities(max_rate=1700))
            world.put(keys.report(city, system), record)
    return world


def run(groups: int) -> dict[str, float]:
    """Seconds of each step, and bytes, once."""
    world = a_world(groups)
    snapshot = world.snapshot
    found: dict[str, float] = {}

    def timed(step: str, what: Callable[[], Any]) -> Any:
        # A plan is made once: no map that was read before helps it.
        placement._parse_map.cache_clear()
        placement._parse_moves.cache_clear()
        began, used = time.perf_counter(), time.process_time()
        result = what()
        found[step], found[f"{step} processor"] = time.perf_counter() - began, time.process_time() - used
        return result

    record = ShiftRecord.model_validate({"spec": _SPEC, "created_at": world.mono, "created_in": "east"})
    plan = timed("plan", lambda: plan_shift(snapshot, Ledger(snapshot), {}, _NAME, record))
    assert isinstance(plan, Plan), plan
    assert len(plan.groups) == groups
    answer = timed("answer", lambda: json.dumps(answer_of(snapshot, "east", [shift(**_SPEC)], world.now)))
    world.put(keys.shift(_NAME), record)
    snapshot = world.snapshot
    decision = timed("decision", world.decide)
    assert any(keys.shift(_NAME) in commit.writes for commit in decision.commits)
    world.settle(rounds=groups)
    scene, entry = Scene(world.snapshot, "east", world.mono), world.snapshot.shifts[_NAME]
    manifest = seen(shift(**_SPEC))
    status = timed(
        "status", lambda: json.dumps(shift_status(scene, manifest, entry).model_dump(mode="json", by_alias=True))
    )
    found |= {"answer_bytes": len(answer), "record_bytes": len(entry.record.encode()), "status_bytes": len(status)}
    return found


def summary(found: Mapping[int, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """Per number of groups: milliseconds of each step (median and worst), and bytes."""
    sizes = {str(size): _of_size(runs) for size, runs in found.items()}
    goal = sizes.get(str(GOAL_GROUPS))
    return {
        "what": "one plan",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "goal": {"groups": GOAL_GROUPS, "seconds": GOAL_S},
        # By processor time: a machine that is shared is no slower rule.
        "kept": goal is None or goal["ms"]["answer"]["processor_worst"] < 1000 * GOAL_S,
        "groups": sizes,
    }


def _of_size(runs: Sequence[Mapping[str, float]]) -> dict[str, Any]:
    def ms(key: str, of: Callable[[list[float]], float]) -> float:
        return round(1000 * of([run[key] for run in runs]), 1)

    return {
        "runs": len(runs),
        "ms": {
            step: {
                "median": ms(step, statistics.median),
                "worst": ms(step, max),
                "processor": ms(f"{step} processor", statistics.median),
                "processor_worst": ms(f"{step} processor", max),
            }
            for step in STEPS
        },
        "bytes": {what: int(runs[0][f"{what}_bytes"]) for what in ("record", "status", "answer")},
    }


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    blocks = []
    for size, found in document["groups"].items():
        rows = [
            (
                f"{int(size):,} groups, {step}",
                *(f"{found['ms'][step][key]:.0f} ms" for key in ("median", "worst", "processor")),
            )
            for step in STEPS
        ]
        rows += [
            (f"{int(size):,} groups, {what}", f"{count / 1000:.0f} kB", "", "")
            for what, count in found["bytes"].items()
        ]
        blocks.append(rows)
    goal = document["goal"]
    words = f"Goal: {goal['groups']:,} groups in under {goal['seconds']:g} s."
    runs = max((found["runs"] for found in document["groups"].values()), default=0)
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    columns = ("", "median", "worst", "processor, median")
    return f"{document['what']}; {runs} runs each\n{machine_words}\n\n{plain_table(columns, *blocks)}\n\n{words}"


if __name__ == "__main__":
    sys.exit(main())
