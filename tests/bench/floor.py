"""Bench: a floor of 500 agents loses one city and works on as guests of the other; when the way is back, they go home.

    make bench           three times, behind the bench of failovers
    make bench RUNS=10   ten times
    python -m tests.bench.floor --runs 10

The way between the floor and east is cut, and only that: no agent of the other floor and none at west may notice, and
no placement changes. Times count from the cut, for the way home from the mending; they are the agents' own timelines.
Writes `out/bench/floor.json` and `floor.txt`.
"""

import argparse
import asyncio
import json
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import lab
from demo import machine
from demo.callcentre import CallCentre
from demo.cli import clear, fresh
from demo.errors import DemoError
from demo.measure import noticed
from demo.paths import OUT, shown
from demo.report import plain_table, seconds
from demo.story import Storyteller
from demo.timeline import AgentEvent
from lab.errors import LabError
from tests.bench.size import USUAL, centre_of
from tests.matrix.guests import FLOOR, GUESTS_WITHIN_S, HOME, HOST, SYSTEM, arrivals

BENCH_OUT: Final = OUT / "bench"
WORK: Final = BENCH_OUT / "floor"
"""Logs and manifests of a run; what is measured lies beside it."""

WAITED_S: Final = 60.0
"""How long somebody is waited for before he counts as missing."""

APART_S: Final = 65.0
"""Between two cuts: whoever is a guest again within a minute is kept for twice as long (docs/session-protocol.md)."""


@dataclass(frozen=True)
class CutOff:
    """One floor's loss of a city. Seconds; `guests` from the cut, `home` from the mending, each agent's, in order."""

    agents: int
    guests: tuple[float, ...]
    home: tuple[float, ...]
    noticed: tuple[str, ...]
    """Agents who had lost nothing, and whose session changed."""
    placed_anew: int
    """Commits meanwhile."""

    @property
    def complete(self) -> bool:
        """Whether everybody went on as a guest and came home, and nobody else was touched."""
        return len(self.guests) == len(self.home) == self.agents > 0 and not self.noticed and not self.placed_anew


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured and everybody was a guest in time (`_kept`), 1 not, or something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.floor", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="cuts (default %(default)s)")
    options = parser.parse_args(argv)
    say = Storyteller(lambda line: print(line, flush=True))
    runs: list[CutOff] = []
    failed = False
    try:
        asyncio.run(_run(options.runs, say, runs))
    except (DemoError, LabError) as e:
        print(f"bench: {e}", file=sys.stderr)
        failed = True
    if not runs:
        return 1
    document = summary(runs)
    text = table(document)
    (BENCH_OUT / "floor.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / "floor.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\n{shown(BENCH_OUT / 'floor.json')}, floor.txt")
    return int(failed or not document["kept"])


async def _run(runs: int, say: Storyteller, found: list[CutOff]) -> None:
    clear(WORK)
    cities = lab.current()
    await fresh(cities)
    centre = centre_of(USUAL, cities, WORK, say)
    try:
        await centre.start()
        for number in range(runs):
            await asyncio.sleep(APART_S if number else 5.0)
            say(f"--- {number + 1} of {runs}: the way between {FLOOR} and {HOME} is cut")
            found.append(await _cut_off(centre))
    finally:
        await centre.stop()
        await cities.down()


async def _cut_off(centre: CallCentre) -> CutOff:
    groups = [group for group in centre.quickstart.groups if group.system == SYSTEM and group.home == HOME]
    strays = centre.accounts(groups)
    others = centre.accounts(centre.quickstart.groups) - strays
    faults = centre.lab.faults
    cut_at = time.time()
    await faults.cut(FLOOR, HOME)
    guests = await _arrivals(centre, strays, HOST, since=cut_at)
    mended_at = time.time()
    await faults.mend(FLOOR, HOME)
    home = await _arrivals(centre, strays, HOME, since=mended_at)
    ended_at = time.time()
    centre.observed.look()
    by_account: dict[str, list[AgentEvent]] = {}
    for event in centre.observed.events:
        by_account.setdefault(event.account, []).append(event)
    return CutOff(
        agents=len(strays),
        guests=guests,
        home=home,
        noticed=tuple(sorted(who for who in others if noticed(by_account.get(who, []), cut_at, ended_at))),
        placed_anew=sum(1 for commit in centre.commits.commits if cut_at <= commit.at <= ended_at),
    )


async def _arrivals(centre: CallCentre, who: frozenset[str], site: str, *, since: float) -> tuple[float, ...]:
    """As `arrivals`, and said."""
    took = await arrivals(centre, who, site, since=since, within=WAITED_S)
    centre.say(f"the last of {len(took)} is at {site} after {took[-1]:.2f} s")
    return took


def summary(runs: Sequence[CutOff]) -> dict[str, Any]:
    """The figures of all runs."""
    guests = _spread([run.guests for run in runs])
    return {
        "what": f"a floor of {runs[0].agents} agents loses {HOME}, and nobody else does",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "goal": GUESTS_WITHIN_S,
        "guests": guests,
        "home": _spread([run.home for run in runs]),
        "incomplete": sum(1 for run in runs if not run.complete),
        "kept": all(run.complete for run in runs) and guests["last"]["worst"] <= GUESTS_WITHIN_S,
        "runs": [asdict(run) for run in runs],
    }


def _spread(runs: Sequence[Sequence[float]]) -> dict[str, dict[str, float]]:
    """Of the agent in the middle and of the last one: median and worst of the runs, seconds."""
    found = {"median_agent": [statistics.median(run) for run in runs], "last": [run[-1] for run in runs]}
    return {
        name: {"median": round(statistics.median(times), 3), "worst": round(max(times), 3)}
        for name, times in found.items()
    }


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    rows = [
        (f"{what}, {name.replace('_', ' ')}", seconds(spread["median"]), seconds(spread["worst"]))
        for what, key in (("guest", "guests"), ("home again", "home"))
        for name, spread in document[key].items()
    ]
    counted = f"{len(document['runs'])} times, {document['incomplete']} incomplete; goal {document['goal']:g} s"
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    return f"{document['what']}: {counted}\n{machine_words}\n\n{plain_table(('', 'median', 'worst'), rows)}"


if __name__ == "__main__":
    sys.exit(main())
