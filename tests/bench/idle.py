"""Bench: what the engine costs while nothing happens, with 10, 100 and 1,000 groups.

    make bench                                       behind the other benches
    python -m tests.bench.idle --runs 1 --seconds 30 a quick look

Three engines (two cities and the witness, which coordinates) on a real store, each city with a real softswitch and CTI
of two systems (`bare_cities.py`); no lab. Everything is settled: all groups placed, every map pushed, every probe
passes, the deep ones too, and goes on. Then each engine's processor time is read every ten seconds, its memory at the
end, and what its member of the store was asked meanwhile. A window in which anything was written, or a probe was void,
does not count: on a machine that has no time to spare engines see faults, or do less than they would. Writes
`out/bench/idle.json` and `idle.txt`.
"""

import argparse
import asyncio
import json
import re
import shutil
import signal
import ssl
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from demo import machine
from demo.paths import OUT, shown
from demo.report import plain_table
from demo.story import Storyteller
from tandem.domain import keys
from tandem.domain.gather import Gatherer
from tandem.domain.snapshot import Snapshot
from tandem.engine.ports import StoreError
from tests.bench.bare_cities import CITIES, LOCATIONS, SYSTEMS, WITNESS, BareCities
from tests.contract.agents.two_cities import Process
from tests.contract.softswitch.kamailio import missing

BENCH_OUT: Final = OUT / "bench"
WORK: Final = BENCH_OUT / "idle"
"""Logs of the last run; what is measured lies beside it."""

SIZES: Final = (10, 100, 1000)
WINDOW_S: Final = 10.0
"""Seconds of which one figure of processor time is made: a tick is 10 ms, so 0.1 % of a core."""

GOAL_CPU: Final = 5.0
"""Percent of one core, with 1,000 groups."""
GOAL_MB: Final = 150.0

PATIENCE_S: Final = 240.0
"""Longest wait in a run until everything is in place, and for windows that do not count; with 1,000 groups 25 s are
usual, most of them the witness's, which takes the lead when it has been there for a while."""
_LATE_S: Final = 0.5
"""A window that ended so much later than asked: this machine had no time for us."""
_CALM_S: Final = 5.0
"""Seconds in which nothing was written, before anything is measured."""
_WORDS: Final = len(LOCATIONS) * (4 * len(CITIES) * len(SYSTEMS)) + len(LOCATIONS) * (len(LOCATIONS) - 1)
"""Observations when all is well: four components of each system, by each location, and each other location's engine."""


class BenchError(Exception):
    """It cannot be measured; the message says why."""


@dataclass(frozen=True)
class Sample:
    """One engine in one run."""

    cpu: tuple[float, ...]
    """Percent of one core, window by window."""
    rss_mb: float
    peak_mb: float
    requests: float
    """Questions to the store a second."""
    disturbed: int
    """Windows that were left out, because something was written in them: then it was not idle."""


Run = Mapping[str, Sample]
"""By location."""

Window = Mapping[str, tuple[float, float]]
"""By location: percent of one core, requests to the store a second."""


def main(argv: Sequence[str] | None = None) -> int:
    """Exit status: 0 measured and within the bounds, 1 not."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.idle", description=__doc__.split("\n")[0])
    parser.add_argument("--runs", type=int, default=3, help="runs with each number of groups (default %(default)s)")
    parser.add_argument("--seconds", type=float, default=60.0, help="measured in each run (default %(default)s)")
    parser.add_argument(
        "--patience", type=float, default=PATIENCE_S, help="seconds to wait for calm in each run (default %(default)s)"
    )
    parser.add_argument("--groups", default=",".join(map(str, SIZES)), help="how many (default %(default)s)")
    options = parser.parse_args(argv)
    sizes = [int(size) for size in options.groups.split(",")]
    say = Storyteller(lambda line: print(line, flush=True))
    # Told to end, it ends what it has started, as when it is interrupted.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        found = _run(sizes, options.runs, max(options.seconds, WINDOW_S), options.patience, say)
    except (BenchError, AssertionError, TimeoutError, StoreError) as e:
        print(f"bench: {e}\nbench: logs lie in {shown(WORK)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted; nothing is left running", file=sys.stderr)
        return 130
    document = summary(found, options.seconds)
    text = table(document)
    (BENCH_OUT / "idle.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (BENCH_OUT / "idle.txt").write_text(text + "\n", encoding="utf-8")
    print(f"\n{text}\n\n{shown(BENCH_OUT / 'idle.json')}, idle.txt")
    return 0 if all(size["kept"] for size in document["groups"].values()) else 1


def _run(sizes: Sequence[int], runs: int, seconds: float, patience: float, say: Storyteller) -> dict[int, list[Run]]:
    if lacking := missing():
        raise BenchError(f"this machine lacks {lacking}")
    shutil.rmtree(WORK, ignore_errors=True)
    found: dict[int, list[Run]] = {size: [] for size in sizes}
    for number in range(runs):
        for size in sizes:
            say(f"--- {size:,} groups, {number + 1} of {runs}")
            cities = BareCities(WORK / f"{size}-{number}", size)
            try:
                cities.start()
                found[size].append(asyncio.run(_measure(cities, seconds, patience, say)))
            finally:
                cities.stop()
    return found


async def _measure(cities: BareCities, seconds: float, patience: float, say: Storyteller) -> Run:
    began = time.monotonic()
    deadline = began + seconds + patience
    await _published(cities, deadline)
    await _settled(cities, deadline)
    say(f"settled after {time.monotonic() - began:.0f} s; measuring for {seconds:.0f} s")
    windows: list[Window] = []
    disturbed = 0
    while len(windows) < round(seconds / WINDOW_S):
        found = await _window(cities)
        if found is not None:
            windows.append(found)
            continue
        disturbed += 1
        say("a window was disturbed and does not count: something was written in it, or this machine was too busy")
        await _settled(cities, deadline)
    if trouble := unsettled(await _snapshot(cities), cities.groups):
        raise BenchError(f"what was measured was not idleness: {trouble}")
    return {location: _sample(cities, location, windows, disturbed) for location in LOCATIONS}


def _sample(cities: BareCities, location: str, windows: Sequence[Window], disturbed: int) -> Sample:
    rss, peak = memory_mb(cities.engines[location])
    shares, requests = zip(*(window[location] for window in windows), strict=True)
    return Sample(shares, rss, peak, statistics.fmean(requests), disturbed)


async def _window(cities: BareCities) -> Window | None:
    """One window; None when it was not idleness."""
    try:
        void, (asked, revision) = await _void_probes(cities), await _members(cities)
        before = {location: (time.monotonic(), cities.engines[location].cpu_seconds()) for location in LOCATIONS}
        began = time.monotonic()
        await asyncio.sleep(WINDOW_S)
        passed = time.monotonic() - began
        shares = {
            location: 100 * (cities.engines[location].cpu_seconds() - used) / (time.monotonic() - at)
            for location, (at, used) in before.items()
        }
        (asked_then, revision_then), void_then = await _members(cities), await _void_probes(cities)
    except httpx.HTTPError:
        return None
    if (revision_then, void_then) != (revision, void) or passed > WINDOW_S + _LATE_S:
        return None
    return {location: (shares[location], (asked_then[location] - asked[location]) / passed) for location in LOCATIONS}


# -- settled


async def _published(cities: BareCities, deadline: float) -> None:
    while True:
        try:
            return await cities.publish()
        except StoreError:  # written again whole: it is the same each time
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(1.0)


async def _settled(cities: BareCities, deadline: float) -> None:
    """Wait until everything is in place and nothing is written any more. Raises BenchError with what is missing."""
    seen, since = -1, time.monotonic()
    trouble = ""
    while time.monotonic() < deadline:
        for location, engine in cities.engines.items():
            if engine.popen is None or engine.popen.poll() is not None:
                raise BenchError(f"the engine of {location} has ended:\n{engine.tail()}")
        revision = 0
        try:
            snapshot = await _snapshot(cities)
            revision, trouble = snapshot.revision, unsettled(snapshot, cities.groups)
            if not trouble and LOCATIONS[cities.store.leader()] != WITNESS:
                trouble = "the witness's member does not lead the store yet"
        except (StoreError, TimeoutError) as e:
            trouble = str(e)
        if trouble or revision != seen:
            seen, since = revision, time.monotonic()
        elif time.monotonic() - since >= _CALM_S:
            return
        await asyncio.sleep(1.0)
    raise BenchError(f"not idle in time: {trouble or 'the store is written to again and again'}; is this machine busy?")


async def _snapshot(cities: BareCities) -> Snapshot:
    """The store as an engine would see it that starts now."""
    gatherer = Gatherer()
    async with cities.store.client(LOCATIONS.index(WITNESS)) as store:
        found, _ = await store.range(keys.PREFIX, timeout=10.0)
    for kv in found:
        gatherer.apply(kv.key, kv.value, kv.create_revision, kv.mod_revision, time.monotonic())
    return gatherer.snapshot()


def unsettled(snapshot: Snapshot, groups: int) -> str:
    """What is not in place yet; empty when all is."""
    words = [entry.record.state for words in snapshot.observations.values() for entry in words.values()]
    if len(snapshot.placements) < groups:
        return f"{len(snapshot.placements)} of {groups} groups are placed"
    if snapshot.coordinator is None or snapshot.coordinator.record.site != WITNESS:
        return "the witness does not coordinate yet"
    if (passing := words.count("Pass")) != _WORDS or len(words) != _WORDS:
        return f"{passing} of {_WORDS} words are Pass, {len(words) - passing} are not"
    for site, system in ((site, system) for site in CITIES for system in SYSTEMS):
        report = snapshot.report(site, system)
        own = {name: placed for name, placed in snapshot.placements.items() if placed.record.system == system}
        behind = [name for name in own if report is None or report.groups.get(name) is None]
        behind = behind or [
            name for name, placed in own.items() if report and report.groups[name].revision != placed.revision
        ]
        if behind:
            return f"the CTI of {system} at {site} does not hold {len(behind)} of {len(own)} maps"
        newest = max(placed.revision for placed in own.values())
        if report is not None and report.softswitch_revision != newest:
            return f"the softswitch of {system} at {site} holds revision {report.softswitch_revision}, not {newest}"
    unconfirmed = [
        name for name, entry in snapshot.routes.items() if entry.record.confirmed_revision != entry.record.revision
    ]
    if len(snapshot.routes) < len(SYSTEMS) or unconfirmed:
        return "the carrier has not confirmed every route"
    return ""


# -- what is read


def memory_mb(process: Process) -> tuple[float, float]:
    """Resident memory now, and the most there was."""
    assert process.popen is not None
    text = Path(f"/proc/{process.popen.pid}/status").read_text()
    figures = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", text, re.MULTILINE))
    return int(figures["VmRSS"]) / 1024, int(figures["VmHWM"]) / 1024


async def _members(cities: BareCities) -> tuple[dict[str, float], int]:
    """Requests that each location's member has been sent, by its own count, and the store's newest revision.

    Only that location's engine asks that member, and this look is none that it counts.
    """
    made = cities.member_certificate()
    context = ssl.create_default_context(cafile=str(cities.store.ca))
    context.load_cert_chain(str(made.certificate), str(made.key))
    found, revision = {}, 0
    async with httpx.AsyncClient(verify=context, trust_env=False, timeout=5.0) as client:
        for location, member in zip(LOCATIONS, cities.store.members, strict=True):
            text = (await client.get(f"{member.client_url}/metrics")).text
            counts = re.findall(r"^grpc_server_started_total\{.*\} (\S+)$", text, re.MULTILINE)
            newest = re.search(r"^etcd_debugging_mvcc_current_revision (\S+)$", text, re.MULTILINE)
            if not counts or newest is None:
                raise BenchError(f"etcd {member.name} tells neither requests nor its revision")
            found[location] = sum(map(float, counts))
            revision = max(revision, int(float(newest[1])))
    return found, revision


async def _void_probes(cities: BareCities) -> float:
    """Probes of all engines that count for nothing: an engine that was not given its time makes some, and does less."""
    found = 0.0
    async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
        for location in LOCATIONS:
            text = (await client.get(f"{cities.engine_url(location)}/metrics")).text
            counted = re.search(r"^tandem_void_probes_total (\S+)$", text, re.MULTILINE)
            if counted is None:
                raise BenchError(f"the engine of {location} does not count its void probes")
            found += float(counted[1])
    return found


# -- told


def summary(found: Mapping[int, Sequence[Run]], seconds: float) -> dict[str, Any]:
    """Per number of groups and engine: percent of one core (median and worst window), MB, requests a second."""
    return {
        "what": "engines while nothing happens",
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": machine.describe(),
        "window_s": WINDOW_S,
        "seconds": seconds,
        "goal": {"groups": max(SIZES), "cpu_percent": GOAL_CPU, "mb": GOAL_MB},
        "groups": {str(size): _of_size(size, runs) for size, runs in found.items()},
    }


def _of_size(size: int, runs: Sequence[Run]) -> dict[str, Any]:
    engines = {location: _of_engine([run[location] for run in runs]) for location in LOCATIONS}
    kept = all(e["cpu_percent"]["median"] < GOAL_CPU and e["peak_mb"] < GOAL_MB for e in engines.values())
    return {"runs": len(runs), "kept": kept, "engines": engines}


def _of_engine(samples: Sequence[Sample]) -> dict[str, Any]:
    windows = [share for sample in samples for share in sample.cpu]
    return {
        "cpu_percent": {"median": round(statistics.median(windows), 2), "worst": round(max(windows), 2)},
        "rss_mb": round(max(sample.rss_mb for sample in samples), 1),
        "peak_mb": round(max(sample.peak_mb for sample in samples), 1),
        "store_requests_per_s": round(statistics.median(sample.requests for sample in samples), 2),
        "disturbed_windows": sum(sample.disturbed for sample in samples),
        "runs": [[round(share, 2) for share in sample.cpu] for sample in samples],
    }


def table(document: Mapping[str, Any]) -> str:
    """The summary for a terminal."""
    blocks = []
    for size, found in document["groups"].items():
        rows = [
            (
                f"{int(size):,} groups, {location}",
                f"{engine['cpu_percent']['median']:.2f} %",
                f"{engine['cpu_percent']['worst']:.2f} %",
                f"{engine['rss_mb']:.0f} MB",
                f"{engine['peak_mb']:.0f} MB",
                f"{engine['store_requests_per_s']:.1f}",
            )
            for location, engine in found["engines"].items()
        ]
        blocks.append(rows)
    columns = ("", "median", f"worst {document['window_s']:.0f} s", "memory", "peak", "store requests a second")
    goal = document["goal"]
    words = (
        f"Processor time in percent of one core, over {document['seconds']:.0f} s a run. Goal with {goal['groups']:,} "
        f"groups: under {goal['cpu_percent']:g} % and {goal['mb']:g} MB."
    )
    runs = max((found["runs"] for found in document["groups"].values()), default=0)
    machine_words = ", ".join(f"{name} {value}" for name, value in document["machine"].items())
    return f"{document['what']}; {runs} runs each\n{machine_words}\n\n{plain_table(columns, *blocks)}\n\n{words}"


if __name__ == "__main__":
    sys.exit(main())
