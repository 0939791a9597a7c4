"""What 1,000 agents and a carrier cost, and how fast they move: `python -m tests.contract.agents.measure_floor`.

Two Kamailios, two CTIs, one process of agents and one carrier on loopback; everything on this machine's processors, so
the figures are the whole call centre's, not the simulator's alone. Prints a table; takes about 90 s.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.contract.agents.two_cities import GROUP, OTHER_GROUP, TwoCities, wait_until

GROUPS = (GROUP, OTHER_GROUP)


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def spread(values: list[float]) -> str:
    if not values:
        return "none"
    return f"p50 {percentile(values, 0.5):.3f}  p95 {percentile(values, 0.95):.3f}  max {max(values):.3f} s"


def say(what: str, figure: str) -> None:
    print(f"{what:<58} {figure}", flush=True)


def busy(world: TwoCities, seconds: float) -> dict[str, float]:
    """Percent of one core that each process used for `seconds` seconds."""
    processes = {
        "agents": world.agents,
        "carrier": world.carrier,
        "CTI east": world.east.cti,
        "CTI west": world.west.cti,
    }
    before = {name: process.cpu_seconds() for name, process in processes.items() if process is not None}
    began = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - began
    return {
        name: 100 * (process.cpu_seconds() - before[name]) / passed
        for name, process in processes.items()
        if process is not None
    }


def say_busy(what: str, shares: dict[str, float]) -> None:
    say(what, "  ".join(f"{name} {share:.1f} %" for name, share in shares.items()))


def move(world: TwoCities, revision: int, source: str, target: str, agents: int) -> None:
    before = len(world.events("signed-in"))
    fates_before = {call["id"] for call in world.calls() if call["ended_at"]}
    # The city that is left acknowledges first, then the other one opens its door for tickets, as the engine does it.
    began = time.time()
    for city in (world.cities[source], world.cities[target]):
        city.place(revision, {group: {f"{source}>{target}": "0-99"} for group in GROUPS})
    in_call = world.stats()["talking"]
    wait_until(lambda: world.count("signed_in", target) == agents, within=60, what="the move", look=0.5)
    wait_until(lambda: len(world.events("signed-in")) >= before + agents, within=2, what="the diary")
    arrived = world.events("signed-in")[before:]
    say(f"move {source} > {target}: agents (in a call at the start)", f"{len(arrived)} ({in_call})")
    say("  from the push to signed in", spread([event["at"] - began for event in arrived]))
    say("  each agent's own gap", spread([event["gap"] for event in arrived]))
    ended = [c["fate"] for c in world.calls() if c["ended_at"] and c["id"] not in fates_before]
    say("  calls that ended meanwhile", str({fate: ended.count(fate) for fate in sorted(set(ended))}))
    for city in world.cities.values():
        city.place(revision + 1, {group: {target: "0-99"} for group in GROUPS})


def measure(world: TwoCities, agents: int, rate: float) -> None:
    say("machine", f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, Python {sys.version.split()[0]}")
    world.place(1, {group: {"east": "0-99"} for group in GROUPS})
    world.start_carrier()
    world.put_routes()
    began = time.time()
    world.start_agents()
    wait_until(lambda: world.count("signed_in", "east") == agents, within=60, what="sign-in", look=0.2)
    wait_until(
        lambda: world.count("registered", "east") == world.count("registered", "west") == agents,
        within=60,
        what="registration",
        look=0.2,
    )
    time.sleep(0.5)
    signed_in = world.events("signed-in")
    registered = world.events("registered")
    say(f"{agents} agents signed in, from the start of the process", spread([e["at"] - began for e in signed_in]))
    say("both phones registered, from the start of the process", spread([e["at"] - began for e in registered]))
    time.sleep(3)
    say_busy("idle, ping 0.5 s (percent of one core)", busy(world, 15))
    assert world.agents is not None
    assert world.carrier is not None
    say("agents' memory; event loop's lag", f"{world.agents.memory_mb():.0f} MB; {world.stats()['loop_lag']}")
    move(world, 2, "east", "west", agents)
    time.sleep(2)
    move(world, 4, "west", "east", agents)
    world.put("/v1/load", {"calls_per_second": rate, "talk": [4, 11], "numbers": None, "seed": 1})
    time.sleep(12)
    say_busy(f"{rate:g} calls/s", busy(world, 15))
    say("talking", f"{world.stats()['talking']} of {agents}")
    move(world, 6, "east", "west", agents)
    time.sleep(3)
    world.put("/v1/load", {"calls_per_second": 0})
    wait_for_calls(world)
    calls = world.calls()
    fates: dict[str, int] = {}
    for call in calls:
        fates[call["fate"]] = fates.get(call["fate"], 0) + 1
    say("all calls", str(fates))
    waits = [call["answered_at"] - call["placed_at"] for call in calls if call["answered_at"]]
    say("from placed to answered", spread(waits))
    say("  mean", f"{statistics.fmean(waits):.3f} s")
    say("event loop's lag", str(world.stats()["loop_lag"]))


def wait_for_calls(world: TwoCities) -> None:
    def open_calls() -> list[dict[str, Any]]:
        return [call for call in world.calls() if call["ended_at"] is None]

    none_left: Callable[[], bool] = lambda: not open_calls()  # noqa: E731
    wait_until(none_left, within=70, what="every call ending", look=0.5)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--agents", type=int, default=1000)
    parser.add_argument("--calls-per-second", type=float, default=30.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, TwoCities(Path(folder), options.agents // 2) as world:
        measure(world, options.agents, options.calls_per_second)


if __name__ == "__main__":
    main()
