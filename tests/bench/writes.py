"""Bench: what a Shift over 200 groups writes, into Tandem's store and into each city's Kubernetes API.

    make bench                             behind the other benches
    python -m tests.bench.writes --runs 3

The quickstart's groups of east, each cut into 25: 200 groups, 1,000 agents. They move to west and home again in three
waves at 100 agents a second. Counted are the changed keys and the transactions of Tandem's store, by a watch, and what
each API server says, every two seconds, that it was asked to write of Tandem's objects, Events, ConfigMaps and
Deployments; from the apply until ten seconds after the Shift's end. Bound: 50 a
second in the busiest window of five seconds. Writes `out/bench/writes.json` and `writes.txt`.
"""

import argparse
import asyncio
import contextlib
import json
import re
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import lab
from demo import machine
from demo.callcentre import CallCentre
from demo.cli import clear, fresh
from demo.errors import DemoError, ToolError
from demo.orders import Order
from demo.paths import OUT, shown
from demo.report import Move, move_json, plain_table, seconds
from demo.story import Storyteller
from lab.errors import LabError
from tandem.domain import keys
from tandem.engine.ports import StoreError
from tests.bench.orders import everyone
from tests.bench.size import cut

BENCH_OUT: Final = OUT / "bench"
WORK: Final = BENCH_OUT / "writes"
"""Logs and manifests of a run; what is measured lies beside it."""

PARTS: Final = 25
"""Groups that each of east's eight groups becomes."""
PACE: Final = 100
WAVES: Final = (5, 50, 100)
WINDOW_S: Final = 5
BOUND: Final = 50.0
"""Writes a second, in any window."""

STORE_KEYS: Final = "store: keys"
STORE_TXNS: Final = "store: transactions"
ASK_S: Final = 2.0
AFTER_S: Final = 2 * WINDOW_S
"""Seconds for which is counted on when a Shift is over: statuses and Events follow it."""
_WRITES: Final = frozenset({"APPLY", "PATCH", "PUT", "POST", "DELETE"})
_OURS: Final = frozenset({"events", "configmaps", "deployments"})
"""What the operator writes besides its own objects. Others write Events too; while a Shift runs they are few."""
_REQUESTS: Final = re.compile(r"^apiserver_request_total\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL: Final = re.compile(r'(\w+)="([^"]*)"')


@dataclass
class Counts:
    """By what is written to: second since the apply -> writes."""

    started: float = field(default_factory=time.monotonic)
    found: dict[str, dict[int, float]] = field(default_factory=dict)

    def add(self, what: str, count: float, seconds: float = 1.0) -> None:
        """So many in the last so many seconds."""
        now = int(time.monotonic() - self.started)
        for at in range(max(1, round(seconds))):
            found = self.found.setdefault(what, {})
            found[max(now - at, 0)] = found.get(max(now - at, 0), 0.0) + count / max(1, round(seconds))

    def busiest(self, what: str) -> float:
        """Writes a second in the busiest window."""
        found = self.found.get(what, {})
        return max((sum(found.get(at + k, 0.0) for k in range(WINDOW_S)) / WINDOW_S for at in found), default=0.0)

    def total(self, what: str) -> int:
        return round(sum(self.found.get(what, {}).values()))


@dataclass(frozen=True)
class Written:
    """One Shift, and what it wrote."""

    move: Move
    counts: Counts


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured and the bound kept, 1 not, or something failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.writes", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=1, help="rounds there and home again (default %(default)s)")
    options = parser.parse_args(argv)
    say = Storyteller(lambda line: print(line, flush=True))
    try:
        found = asyncio.run(_run(options.runs, say))
    except (DemoError, LabError) as e:
        print(f"bench: {e}", file=sys.stderr)
        return 1
    document = summary(found)
    text = table(document)
    (BENCH_OUT / "writes.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / "writes.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\n{shown(BENCH_OUT / 'writes.json')}, writes.txt")
    busiest = [
        counted["busiest_per_s"]
        for run in document["runs"]
        for what, counted in run["writes"].items()
        if what != STORE_KEYS
    ]
    return int(max(busiest) >= BOUND)


async def _run(runs: int, say: Storyteller) -> list[Written]:
    clear(WORK)
    cities = lab.current()
    await fresh(cities)
    centre = CallCentre(cities, cut("east", PARTS, WORK / "manifests"), WORK, say=say)
    try:
        await centre.start()
        found = []
        for number in range(1, runs + 1):
            for to, city in (("west", "east"), ("east", "west")):
                await asyncio.sleep(5.0)  # what the last one still had to write
                order = everyone(
                    centre,
                    WORK,
                    f"writes-{number}-to-{to}",
                    to=to,
                    city=city,
                    with_calls=False,
                    waves=list(WAVES),
                    pace=PACE,
                )
                found.append(await _move(centre, order))
        return found
    finally:
        await centre.stop()
        await cities.down()


async def _move(centre: CallCentre, order: Order) -> Written:
    counts = Counts()
    watching = [
        asyncio.create_task(_watch(centre, counts)),
        *(asyncio.create_task(_api(centre, city, counts)) for city in centre.clusters),
    ]
    try:
        move = await centre.move(order, timeout=180)
        await asyncio.sleep(AFTER_S)
    finally:
        for task in watching:
            task.cancel()
        for ended in await asyncio.gather(*watching, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended
    return Written(move, counts)


async def _watch(centre: CallCentre, counts: Counts) -> None:
    """Every change of the store, by a watch of our own."""
    _, revision = await centre.store.range(keys.PREFIX, timeout=5.0)
    while True:
        with contextlib.suppress(StoreError):
            async for changes in centre.store.watch(keys.PREFIX, revision + 1):
                counts.add(STORE_KEYS, len(changes))
                counts.add(STORE_TXNS, len({change.revision for change in changes}))
                revision = max([revision, *(change.revision for change in changes)])
        await asyncio.sleep(0.2)


def written(metrics: str) -> float:
    """Writes that an API server has been asked for so far, of what Tandem writes, from its own metrics."""
    total = 0.0
    for found in _REQUESTS.finditer(metrics):
        labels = dict(_LABEL.findall(found["labels"]))
        ours = labels.get("group") == "tandem.dev" or labels.get("resource") in _OURS
        if ours and labels.get("verb") in _WRITES:
            total += float(found["count"])
    return total


async def _api(centre: CallCentre, city: str, counts: Counts) -> None:
    """What the API server has been asked to write, by its own count."""
    before: float | None = None
    asked_at = time.monotonic()
    while True:
        with contextlib.suppress(ToolError):
            text = await centre.clusters[city].kubectl("get", "--raw", "/metrics")
            now = written(text)
            if before is not None:
                counts.add(f"API of {city}", now - before, time.monotonic() - asked_at)
            before, asked_at = now, time.monotonic()
        await asyncio.sleep(ASK_S)  # to ask costs some processor time, which the move needs


def summary(found: Sequence[Written]) -> dict[str, Any]:
    """Per Shift and what is written to: the busiest window, the whole, and every second."""
    return {
        "what": "writes of one Shift",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "window_s": WINDOW_S,
        "bound": BOUND,
        "runs": [
            {
                **move_json(one.move),
                "writes": {
                    what: {
                        "busiest_per_s": round(one.counts.busiest(what), 1),
                        "total": one.counts.total(what),
                        "seconds": {at: round(count, 1) for at, count in sorted(counted.items())},
                    }
                    for what, counted in sorted(one.counts.found.items())
                },
            }
            for one in found
        ],
    }


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    rows = [
        (
            run["name"],
            seconds(run["time_to"]["100"]),
            what,
            f"{written['busiest_per_s']:.1f}",
            str(written["total"]),
            # Keys that change together are one write: one proposal, one entry of the log, one fsync a member.
            "" if what == STORE_KEYS else "kept" if written["busiest_per_s"] < document["bound"] else "missed",
        )
        for run in document["runs"]
        for what, written in run["writes"].items()
    ]
    heads = ("Shift", "all there", "written to", f"a second, busiest {document['window_s']} s", "in all", "bound")
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    title = f"{document['what']}; bound {document['bound']:g} a second"
    return f"{title}\n{machine_words}\n\n{plain_table(heads, rows)}"


if __name__ == "__main__":
    sys.exit(main())
