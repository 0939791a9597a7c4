"""`callcenter-carrier`: the carrier as a process."""

import argparse
import asyncio
import gc
import logging
import random
import signal
import time
from collections.abc import Sequence
from typing import Final

import uvloop
from aiohttp import web

from callcenter.sip.message import Address
from callcenter.sip.transport import open_endpoint

from .api import make_app
from .routes import parse_address
from .switchboard import Switchboard

GOODBYE: Final = 2.0
"""Seconds given at the end for the BYEs to be answered."""

GOODBYE_LOOK: Final = 0.02
"""Seconds between two looks whether they were."""

log = logging.getLogger(__name__)


async def run(http: Address, sip: Address, *, advertised: str | None, seed: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises: OSError when an address cannot be bound."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    # Tags and Call-IDs come from the system's randomness: two carriers with one seed must not share them.
    endpoint = await open_endpoint(sip, advertised=advertised, rng=random.SystemRandom(), user_agent="tandem-carrier")
    board = Switchboard(endpoint.stack, wall=time.time, seed=seed)
    runner = web.AppRunner(make_app(board), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, *http).start()
        log.info("carrier ready: SIP %s:%d, HTTP %s:%d", *endpoint.stack.local, *http)
        gc.freeze()
        gc.set_threshold(50_000, 50, 1_000)
        await stop.wait()
        board.close()
        for _ in range(int(GOODBYE / GOODBYE_LOOK)):
            if not board.calls_under_way:
                break
            await asyncio.sleep(GOODBYE_LOOK)
    finally:
        await runner.cleanup()
        endpoint.close()


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point of the command."""
    parser = argparse.ArgumentParser(prog="carrier", description="Routing platform that places real SIP calls.")
    parser.add_argument("--http", default="0.0.0.0:8080", help="address of the HTTP API (default %(default)s)")
    parser.add_argument("--sip", default="0.0.0.0:5060", help="address of the SIP socket (default %(default)s)")
    parser.add_argument("--advertise", help="IPv4 address for Via and Contact; needed when --sip is 0.0.0.0")
    parser.add_argument("--seed", type=int, default=0, help="seed of what is drawn before a load names its own")
    parser.add_argument("--log-level", default="info", choices=["debug", "info", "warning", "error"])
    options = parser.parse_args(argv)
    logging.basicConfig(level=options.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s")
    sip = parse_address(options.sip)
    if sip[0] == "0.0.0.0" and options.advertise is None:
        parser.error("--sip 0.0.0.0 needs --advertise: callees could not answer to that address")
    uvloop.run(run(parse_address(options.http), sip, advertised=options.advertise, seed=options.seed))


if __name__ == "__main__":
    main()
