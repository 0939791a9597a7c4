"""`callcenter-agents`: a thousand agents and more as a process."""

import argparse
import asyncio
import gc
import logging
import resource
import signal
from collections.abc import Sequence
from pathlib import Path

import uvloop
from aiohttp import web

from callcenter.directory import Agent as Person
from callcenter.directory import DirectoryError, load

from .control import make_app
from .errors import AgentsError
from .floor import Floor, FloorPlan, check_sites, select
from .lag import LoopLag
from .phone import Manners
from .sites import Sites, load_sites
from .timeline import Timeline

log = logging.getLogger(__name__)
logging.getLogger("picows").setLevel(logging.WARNING)  # it has two lines to say of each connection


async def run(
    people: Sequence[Person],
    sites: Sites,
    plan: FloorPlan,
    *,
    timeline: Path,
    control: tuple[str, int],
    unregister: bool,
) -> None:
    """Play these agents until SIGTERM, SIGINT or `POST /v1/stop`. Raises: OSError when a socket cannot be bound."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    async with Timeline(timeline) as diary, LoopLag() as lag:
        floor = Floor(people, sites, plan, diary, lag)
        await floor.open()
        runner = web.AppRunner(make_app(floor, stop), access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, *control).start()
            log.info("%d agents come in, control on %s:%d", len(people), *control)
            floor.start()
            # Everything long-lived exists now; the collector's pauses would be this process's worst lag.
            gc.collect()
            gc.freeze()
            gc.set_threshold(50_000, 50, 1_000)
            await stop.wait()
            log.info("agents go home")
            await floor.close(unregister=unregister)
        finally:
            await runner.cleanup()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    options = _parser().parse_args(argv)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    # Two sockets an agent: take what the system allows. The hard limit itself cannot be raised.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    try:
        groups = None if options.groups == "all" else options.groups.split(",")
        people = select(load(options.directory), groups, _shard(options.shard))
        sites = load_sites(options.sites)
        check_sites(people, sites)
        home_order = tuple(options.home_order.split(",")) if options.home_order else tuple(sites)
        if set(home_order) != set(sites):
            raise AgentsError(f"--home-order {options.home_order} must name each of {', '.join(sites)} once")
    except (AgentsError, DirectoryError, OSError) as error:
        raise SystemExit(f"agents: {error}") from error
    plan = FloorPlan(
        home_order=home_order,
        start_rate=options.start_rate,
        sockets=options.sockets,
        manners=Manners(hangs_up=options.hangs_up, grace=options.grace),
        seed=options.seed,
    )
    uvloop.run(
        run(
            people,
            sites,
            plan,
            timeline=options.timeline,
            control=(options.control_address, options.control),
            unregister=options.unregister,
        )
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="agents", description="Plays agents: desktop clients and software phones.")
    parser.add_argument("--directory", type=Path, required=True, help="directory.json or directory.json.gz")
    parser.add_argument("--sites", type=Path, required=True, help="where each city's CTI and softswitch are (JSON)")
    parser.add_argument("--groups", default="all", help="namespace/name,... or all (default)")
    parser.add_argument("--shard", default="0/1", help="K/N: every N-th of these agents, from the K-th (default 0/1)")
    parser.add_argument("--home-order", help="cities in the order in which a client tries them (default: the file's)")
    parser.add_argument("--timeline", type=Path, required=True, help="JSON lines are appended to this file")
    parser.add_argument("--control", type=int, required=True, help="port of the control API")
    parser.add_argument("--control-address", default="0.0.0.0", help="address of the control API (default %(default)s)")
    parser.add_argument("--start-rate", type=float, default=200.0, help="agents per second at the start (default 200)")
    parser.add_argument("--sockets", type=int, default=2, help="UDP sockets per city (default %(default)s)")
    parser.add_argument("--hangs-up", type=float, default=0.2, help="share of calls that the agent ends (default 0.2)")
    parser.add_argument("--grace", type=float, default=10.0, help="seconds after a talk until it counts as cut")
    parser.add_argument("--unregister", action="store_true", help="unregister the phones at the end")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    return parser


def _shard(text: str) -> tuple[int, int]:
    first, slash, of = text.partition("/")
    if not (slash and first.isdigit() and of.isdigit() and int(first) < int(of)):
        raise AgentsError(f"--shard {text} must be K/N with K below N, like 0/2")
    return (int(first), int(of))


if __name__ == "__main__":
    main()
