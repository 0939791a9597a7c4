"""Entry point of a CTI process (`callcenter-cti`)."""

import asyncio
import gc
import logging
import os
import resource
import signal
import sys

import uvloop

from callcenter.cti.app import Cti
from callcenter.cti.config import Config, read_config
from callcenter.cti.errors import ConfigError
from callcenter.directory import Directory, DirectoryError, load

log = logging.getLogger("callcenter.cti")
logging.getLogger("picows").setLevel(logging.WARNING)  # it has two lines to say of each connection


def read_directory(config: Config) -> Directory:
    """Load the directory and check that it knows this city and system. Raises ConfigError."""
    try:
        directory = load(config.directory)
    except (DirectoryError, OSError) as e:
        raise ConfigError(
            f"TANDEM_DIRECTORY is {str(config.directory)!r} ({e}): mount the directory made by callcenter-directory"
        ) from e
    if config.site not in directory.pools:
        known = ", ".join(sorted(directory.pools))
        raise ConfigError(
            f"TANDEM_SITE is {config.site!r}, but the directory has numbers for {known} only: use one of these names"
        )
    systems = {agent.system for agent in directory.agents}
    if config.system not in systems:
        known = ", ".join(sorted(systems))
        raise ConfigError(
            f"TANDEM_SYSTEM is {config.system!r}, but the directory has agents of {known} only: use one of these"
        )
    return directory


async def serve(config: Config, directory: Directory) -> None:
    """Run until SIGTERM or SIGINT."""
    cti = Cti(config, directory)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await cti.start()
    # What is here now stays for good; the rest is short-lived. Together this keeps collections rare and short.
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 50, 1_000)
    log.info(
        "CTI %s/%s boot %s: clients on port %d, control on port %d",
        config.site,
        config.system,
        cti.centre.server.boot,
        cti.port,
        cti.control_port,
    )
    failure = asyncio.create_task(cti.failure())
    stopped = asyncio.create_task(stop.wait())
    await asyncio.wait((failure, stopped), return_when=asyncio.FIRST_COMPLETED)
    log.info("stopping")
    await cti.stop()
    stopped.cancel()
    await failure


def main() -> None:
    """Configure from the environment and run; a wrong configuration ends with status 2 and a sentence."""
    logging.basicConfig(level=os.environ.get("TANDEM_LOG", "INFO"), format="%(asctime)s %(levelname)s %(message)s")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))  # newer container runtimes begin with 1,024
    try:
        config = read_config(os.environ)
        directory = read_directory(config)
    except ConfigError as e:
        sys.stderr.write(f"callcenter-cti: {e}\n")
        sys.exit(2)
    uvloop.run(serve(config, directory))


if __name__ == "__main__":
    main()
