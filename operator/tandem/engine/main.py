"""The engine process: `tandem-engine`. Settings come from the environment, see `config.py`."""

import asyncio
import gc
import logging
import os
import signal
import sys

import uvloop

from tandem.engine.config import Settings, settings_from
from tandem.engine.supervisor import supervise
from tandem.engine.wiring import engine
from tandem.errors import ConfigError

log = logging.getLogger(__name__)


def main() -> None:
    """Run until SIGTERM or SIGINT, and exit: 0 when told to, 2 when a setting is wrong, 1 when a part keeps failing."""
    sys.exit(_main())


def _main() -> int:
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    # One line per request to CTI, softswitch and store would drown what matters.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = settings_from(os.environ)
    except ConfigError as error:
        log.error("%s", error)
        return 2
    logging.getLogger().setLevel(settings.log_level)
    try:
        uvloop.run(_run(settings))
    except Exception:  # an ExceptionGroup too: whatever it is, it must not end quietly
        log.exception("the engine of %s ends", settings.site)
        return 1
    return 0


async def _run(settings: Settings) -> None:
    async with engine(settings) as built:
        log.info("the engine of %s starts", settings.site)
        task = asyncio.create_task(supervise(built.parts, built.clock))
        loop = asyncio.get_running_loop()
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, task.cancel)
        # A collection of everything that was imported would stall the loop for tens of milliseconds, again and again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 50, 1_000)
        try:
            await task
        except asyncio.CancelledError:
            log.info("the engine of %s ends: told to", settings.site)


if __name__ == "__main__":
    main()
