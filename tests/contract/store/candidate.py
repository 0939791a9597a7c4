"""A candidate for the coordinator's office in a process of its own, so that a test can freeze or kill it.

Writes one JSON line each time its epoch changes, and one for each write that it tries with an epoch: whenever it
reigns, and once more with the old epoch when a reign has ended.

    candidate.py SITE ENDPOINT...
"""

import asyncio
import json
import sys
from typing import Any

from tandem.domain.keys import COORDINATOR
from tandem.domain.records import CoordinatorRecord
from tandem.engine.clock import RealClock
from tandem.engine.ports import Guard, Put, StoreError
from tandem.store.client import StoreClient
from tandem.store.election import CoordinatorElection
from tandem.store.preference import Surroundings


def say(**what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def write(store: StoreClient, site: str, epoch: int, *, stale: bool) -> None:
    try:
        result = await store.txn([Guard(COORDINATOR, create_revision=epoch)], [Put("/test/written", site.encode())])
    except StoreError:
        return
    say(site=site, wrote=epoch, accepted=result.succeeded, revision=result.revision, stale=stale)


async def main(site: str, endpoints: list[str]) -> None:
    async with StoreClient(endpoints) as store, asyncio.TaskGroup() as tasks:
        me = CoordinatorRecord(site=site, engine=f"engine-of-{site}")
        election = CoordinatorElection(store, RealClock(), me, lambda: Surroundings("Active"))
        tasks.create_task(election.run())
        last = 0
        while True:
            epoch = election.epoch()
            if epoch != last:
                say(site=site, epoch=epoch)
                if last:
                    await write(store, site, last, stale=True)
                last = epoch
            if epoch:
                await write(store, site, epoch, stale=False)
            await asyncio.sleep(0.02)


asyncio.run(main(sys.argv[1], sys.argv[2:]))
