"""Bench: a city of 1,000 agents is lost, again and again; how long until all work in the other one.

    make bench           three deaths of each kind, behind the bench of moves
    make bench RUNS=10   ten of each
    python -m tests.bench.failover --agents 10000 --runs 10
    python -m tests.bench.failover --calls 20   with so many new calls a second, for the first one that is answered

Five kinds. Its power goes off while it holds neither the coordinator nor the leader of the store, or the leader, or
both; or its CTIs stand still while its engine goes on writing (Down); and, as the
baseline, its power goes off without Tandem (`baseline.py`), once for every five of the others. Writes
`out/bench/failover.json`, `failover.txt` and `failover.png` (`failover-10000.json` and so on for another number of
agents). Times count from the fault.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from io import BytesIO
from typing import Any, Final

import lab
from demo import machine
from demo.callcentre import CallCentre, Strike
from demo.cli import clear, fresh
from demo.disaster import GOAL_RESCUE_S, Rescue
from demo.errors import DemoError
from demo.orders import Order
from demo.paths import OUT, shown
from demo.report import PHASES, plain_table, rescue_json, seconds
from demo.story import Storyteller
from lab.errors import LabError
from tests.bench.baseline import TIME_OUT_S, without_tandem
from tests.bench.leadership import Leadership
from tests.bench.move import renamed
from tests.bench.size import centre_of, file_name
from tests.support.failovers import forgive

BENCH_OUT: Final = OUT / "bench"
WORK: Final = BENCH_OUT / "failover"
"""Logs and manifests of a run; what is measured lies beside it."""

CITY: Final = "east"
OTHER: Final = "west"
BASELINE: Final = "baseline"


@dataclass(frozen=True)
class Kind:
    """One way to lose a city. `goal`: seconds from the fault within which the last agent is to work again, if any."""

    words: str
    goal: float | None


KINDS: Final[Mapping[str, Kind]] = {
    "neither": Kind("no power; it held neither coordinator nor leader", GOAL_RESCUE_S),
    "leader": Kind("no power; it held the store's leader", 5.0),
    "both": Kind("no power; it held coordinator and leader", 5.0),
    "down": Kind("its CTIs stand still, its engine writes", 7.0),
    "baseline": Kind(f"no power, no Tandem: clients fail over by themselves after {TIME_OUT_S} s", None),
}


WORST_AFTER_MEDIAN_S: Final = 1.5
"""How much later than the median the worst of several runs may be, seconds."""

FEW: Final = 1000
"""So many agents at most have the goal of their kind."""

GOAL_MANY_S: Final = 10.0
"""For more of them, whatever dies with their city; in every run."""


def goal_of(kind: str, agents: int) -> float | None:
    """Seconds from the fault within which the last of so many agents is to work again; None: whenever that is."""
    goal = KINDS[kind].goal
    return goal if goal is None or agents <= FEW else max(goal, GOAL_MANY_S)


def _goal_words(goal: float | None) -> str:
    return "no goal" if goal is None else f"goal {goal:g} s"


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured and everybody was back in time (`_kept`), 1 not, or something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.failover", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="deaths of each kind (default %(default)s)")
    parser.add_argument("--agents", type=int, default=1000, help="agents of the lost city (default %(default)s)")
    parser.add_argument("--kinds", default=",".join(KINDS), help="which kinds (default %(default)s)")
    parser.add_argument("--calls", type=float, default=0.0, help="new calls a second meanwhile (default: idle agents)")
    options = parser.parse_args(argv)
    say = Storyteller(lambda line: print(line, flush=True))
    kinds = options.kinds.split(",")
    found: dict[str, list[Rescue]] = {kind: [] for kind in kinds}
    failed = False
    try:
        asyncio.run(_run(options.runs, options.agents, kinds, options.calls, say, found))
    except (DemoError, LabError) as e:
        print(f"bench: {e}", file=sys.stderr)
        failed = True
    found = {kind: runs for kind, runs in found.items() if runs}
    if not found:
        return 1
    document = summary(found)
    text = table(document)
    name = file_name("failover", options.agents)
    (BENCH_OUT / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / f"{name}.txt").write_text(text + "\n", encoding="utf-8")
    (BENCH_OUT / f"{name}.png").write_bytes(picture(found))
    print(f"\n{text}\n\n{shown(BENCH_OUT / f'{name}.json')}, {name}.txt, {name}.png")
    return int(failed or not all(kind["kept"] for kind in document["kinds"].values()))


COLOURS: Final = ("#0b6e8f", "#e07a1f", "#5b8c3a", "#8a4f9e", "#7a8790")
"""One per kind."""


async def _run(
    runs: int, agents: int, kinds: Sequence[str], calls: float, say: Storyteller, found: dict[str, list[Rescue]]
) -> None:
    """Every loss is put into `found` when it is over: an hour's figures do not depend on the last of them."""
    clear(WORK)
    cities = lab.current()
    await fresh(cities)
    centre = centre_of(agents, cities, WORK, say)
    try:
        await centre.start()
        leadership = Leadership(centre)
        for number in range(runs):
            for kind in (kind for kind in kinds if kind != BASELINE):
                say(f"--- {kind}, {number + 1} of {runs}: {KINDS[kind].words}")
                if calls:
                    await centre.load(calls)
                await _arrange(leadership, kind)
                strike = _frozen_ctis(centre) if kind == "down" else centre.power_of(CITY)
                found[kind].append(await centre.lose(CITY, strike))
                if calls:  # those of the lost city end by the carrier's time-outs
                    await centre.quiet(timeout=90)
                await centre.restore(CITY, strike)
                await _home(centre, f"{kind}-{number}")
        await leadership.aclose()
        if BASELINE in kinds:
            found[BASELINE] += await _baseline(centre, -(-runs // 5))
    finally:
        await centre.stop()
        await cities.down()


async def _arrange(leadership: Leadership, kind: str) -> None:
    """Coordinator and leader where this kind of death wants them, and everybody at rest for a moment."""
    await asyncio.sleep(5.0)
    await leadership.lead_from(CITY if kind in ("leader", "both") else "witness")
    await leadership.coordinate_from(CITY if kind == "both" else "witness")
    await asyncio.sleep(1.0)


async def _baseline(centre: CallCentre, runs: int) -> list[Rescue]:
    found = []
    for number in range(runs):
        centre.say(f"--- {BASELINE}, {number + 1} of {runs}: {KINDS[BASELINE].words}")
        strike = await without_tandem(centre, CITY, OTHER)
        found.append(await centre.lose(CITY, strike, timeout=3 * TIME_OUT_S))
        await strike.undo()
        await _home(centre, f"{BASELINE}-{number}")
    return found


def _frozen_ctis(centre: CallCentre) -> Strike:
    """They take connections and say nothing, as a process does that hangs."""
    pods = [f"pod/callcenter/cti-{system}" for system in sorted({g.system for g in centre.quickstart.groups})]

    async def each(act: Callable[[str, str], Awaitable[None]]) -> None:
        for pod in pods:
            await act(CITY, pod)

    faults = centre.lab.faults
    return Strike(f"the CTIs of {CITY} stand still", lambda: each(faults.freeze), lambda: each(faults.thaw))


async def _home(centre: CallCentre, name: str) -> None:
    """Everybody home. The bench forgives the city its failover: ten of them would be ten minutes of quarantine."""
    await forgive(centre.store, CITY)
    file = renamed(centre.quickstart.folder / "shifts" / "everyone-home.yaml", name, WORK)
    everyone = centre.quickstart.choose(CITY)
    await centre.move(Order(f"home after {name}", file, ("west",), everyone, CITY, with_calls=False), timeout=180)


def _kept(runs: Sequence[Rescue], goal: float | None) -> bool:
    """Whether everybody came back in every run, in half of them within the goal, and in the others not much later.

    Of so many agents that the goal is `GOAL_MANY_S`, in all of them. Without a goal, whenever it was.
    """
    last = _spread([run.phases.last_sign_in for run in runs])
    median, worst = last["median"], last["worst"]
    if median is None or worst is None or not all(run.complete for run in runs):
        return False
    if goal is None:
        return True
    most = goal if any(run.agents > FEW for run in runs) else median + WORST_AFTER_MEDIAN_S
    return median <= goal and worst <= most


def summary(found: Mapping[str, Sequence[Rescue]]) -> dict[str, Any]:
    """Per kind of death: each phase's median and worst (seconds), and the runs."""
    return {
        "what": "a city is lost; seconds from then on",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "kinds": {kind: _summary_of(kind, runs) for kind, runs in found.items()},
    }


def _summary_of(kind: str, runs: Sequence[Rescue]) -> dict[str, Any]:
    agents = max((run.agents for run in runs), default=0)
    goal = goal_of(kind, agents)
    return {
        "what": KINDS[kind].words,
        "goal": goal,
        "agents": agents,
        "phases": {name: _spread([asdict(run.phases)[name] for run in runs]) for name in PHASES},
        "kept": _kept(runs, goal),
        "incomplete": sum(1 for run in runs if not run.complete),
        "runs": [rescue_json(run) for run in runs],
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None]
    if len(known) < len(values) or not known:
        return {"median": None, "worst": None}
    return {"median": round(statistics.median(known), 3), "worst": round(max(known), 3)}


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    blocks = []
    for kind in document["kinds"].values():
        rows = [
            (name.replace("_", " "), seconds(spread["median"]), seconds(spread["worst"]))
            for name, spread in kind["phases"].items()
            if name != "first_call" or spread["median"] is not None
        ]
        counted = f"{kind['agents']} agents, {len(kind['runs'])} times, {kind['incomplete']} incomplete"
        title = f"{kind['what']}: {counted}; {_goal_words(kind['goal'])}"
        blocks.append(f"{title}\n{plain_table(('', 'median', 'worst'), rows)}")
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    return f"{document['what']}\n{machine_words}\n\n" + "\n\n".join(blocks)


def picture(found: Mapping[str, Sequence[Rescue]]) -> bytes:
    """A PNG: the share of agents that work again, for each death."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(figsize=(9, 5.4), dpi=110, layout="constrained")
    agents = max((run.agents for runs in found.values() for run in runs), default=0)
    for colour, (kind, runs) in zip(COLOURS, found.items(), strict=False):
        goal = goal_of(kind, agents)
        for number, run in enumerate(runs):
            shares = [100 * (rank + 1) / run.agents for rank in range(len(run.arrived))]
            label = f"{KINDS[kind].words} ({len(runs)}), {_goal_words(goal)}" if number == 0 else None
            axes.step([0, *run.arrived], [0, *shares], where="post", color=colour, linewidth=1.4, label=label)
        if runs and goal is not None:
            axes.axvline(goal, color=colour, linestyle=":")
    axes.set_xlim(left=0)
    axes.set_ylim(0, 104)
    axes.set_xlabel("time since the fault (seconds)")
    axes.set_ylabel("agents signed in elsewhere (%)")
    axes.set_title(f"A city of {agents:,} agents is lost", loc="left")
    axes.grid(True, color="#dfe5e9")
    figure.legend(loc="outside lower left", frameon=False)  # outside: the curves go from one corner to the other
    out = BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()


if __name__ == "__main__":
    sys.exit(main())
