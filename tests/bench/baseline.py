"""The baseline: the same agents without Tandem. Both cities let everybody in, and clients fail over by themselves.

This is what a desktop with a primary and a backup server does: it notices a dead server when its heartbeat has timed
out, and signs in at the other one. Here the heartbeat's time-out is the lease that the CTIs hand out, and west's doors
are opened before east dies; the engines stand still from then on.
"""

import asyncio
from typing import Final

from demo.callcentre import CallCentre, Strike
from tandem.domain import keys
from tandem.domain.records import PlacementRecord
from tandem.engine.ports import Put
from tests.bench.leadership import ENGINE

TIME_OUT_S: Final = 30
"""Seconds after which a desktop gives up a server that says nothing: a usual setting."""

_PUSHED_S: Final = 3.0


async def without_tandem(centre: CallCentre, city: str, other: str) -> Strike:
    """Make it so, and return the death of `city`, whose undoing lets the engines go on."""
    # A CTI that takes five seconds to restart would be failed over.
    await centre.tandem("hold", "--reason", "the CTIs get another lease")
    for cluster in (centre.clusters[city], centre.clusters[other]):
        for system in sorted({group.system for group in centre.quickstart.groups}):
            deployment = f"deployment/cti-{system}"
            lease = (f"TANDEM_LEASE={TIME_OUT_S}", f"TANDEM_PING={TIME_OUT_S / 3:g}")
            await cluster.kubectl("set", "env", deployment, *lease, "-n", "callcenter")
            await cluster.kubectl("rollout", "status", deployment, "-n", "callcenter", "--timeout=60s")
    await centre.everybody_home(timeout=120)
    await centre.tandem("resume")
    faults = centre.lab.faults
    engines = [location for location in centre.clusters if location != other]
    for location in engines:
        await faults.freeze(location, ENGINE)
    await _open_doors(centre, city, other)
    await asyncio.sleep(_PUSHED_S)
    await faults.freeze(other, ENGINE)

    async def back() -> None:
        await faults.restore_city(city)
        for location in centre.clusters:
            if location != city:
                await faults.thaw(location, ENGINE)

    return Strike(f"the power of {city} goes off without Tandem", lambda: faults.kill_city(city), back)


async def _open_doors(centre: CallCentre, city: str, other: str) -> None:
    """The other city's engine pushes these maps; the frozen one of the city that will die does not."""
    puts = []
    for group in centre.quickstart.choose(city):
        key = keys.placement(group.name)
        found = await centre.store.get(key, timeout=3.0)
        assert found is not None
        record = PlacementRecord.model_validate_json(found.value)
        puts.append(Put(key, record.model_copy(update={"map": {other: "0-99"}, "cause": "Baseline"}).encode()))
    await centre.store.txn([], puts, timeout=3.0)
