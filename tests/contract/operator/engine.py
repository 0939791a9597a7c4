"""What engines would write into the store, written by hand: the operator sees no difference."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from tandem.api.agentgroup import Share
from tandem.api.shift import ShiftSpec
from tandem.domain import keys
from tandem.domain.digest import order_digest
from tandem.domain.records import (
    CoordinatorRecord,
    GroupPlan,
    GroupReport,
    HeartbeatRecord,
    MovesOfShift,
    MovesRecord,
    ObservationRecord,
    OrderRecord,
    PlacementRecord,
    Record,
    ShiftRecord,
    SystemReport,
)
from tandem.engine.ports import Delete, Put
from tandem.store.client import StoreClient

GROUP = "callcenter/sales"


@dataclass
class Engines:
    """The engines of all locations."""

    store: StoreClient

    async def put(self, key: str, record: Record) -> None:
        await self.store.txn([], [Put(key, record.encode())])

    async def delete(self, key: str) -> None:
        await self.store.txn([], [Delete(key)])

    async def echo(self, source: str, target: str) -> None:
        """`target` publishes whatever `source` does, until cancelled: the same manifests go to every cluster."""
        while True:
            found, _ = await self.store.range(keys.SPECS)
            held = {kv.key: kv.value for kv in found}
            wanted = {
                keys.specs_of(target) + key.removeprefix(keys.specs_of(source)): value
                for key, value in held.items()
                if key.startswith(keys.specs_of(source))
            }
            writes: list[Put | Delete] = [Put(key, value) for key, value in wanted.items() if held.get(key) != value]
            writes += [Delete(key) for key in held if key.startswith(keys.specs_of(target)) and key not in wanted]
            if writes:
                await self.store.txn([], writes)
            await asyncio.sleep(0.1)

    async def coordinate(self, site: str = "witness") -> None:
        await self.put(keys.COORDINATOR, CoordinatorRecord(site=site, engine="x"))

    async def alive(self, *sites: str) -> None:
        for site in sites:
            await self.put(keys.heartbeat(site), HeartbeatRecord(site=site, engine=site, started_at=time.time()))

    async def observe(self, observer: str, site: str, *, passes: bool = True, system: str = "hotel") -> None:
        """One observer's word about both components of a system."""
        for component in ("softswitch", "cti"):
            record = ObservationRecord(
                state="Pass" if passes else "Fail",
                since=time.time(),
                detail="" if passes else "no answer within 500 ms",
                failure_domain=observer,
            )
            await self.put(keys.observation(observer, site, system, component), record)

    async def healthy(self) -> None:
        """Everybody alive, everything fine."""
        await self.coordinate()
        await self.alive("east", "west", "witness")
        for site in ("east", "west"):
            for observer in ("east", "west", "witness"):
                await self.observe(observer, site)

    async def report(self, site: str, *, revision: int = 1, **group: Any) -> None:
        """What a city's CTI says of the group `sales`."""
        groups = {GROUP: GroupReport(revision=revision, **group)}
        await self.put(keys.report(site, "hotel"), SystemReport(boot="b", confirmed=True, groups=groups))

    async def place(self, placement: dict[str, str], cause: str = "Order", system: str = "hotel") -> None:
        await self.put(keys.placement(GROUP), PlacementRecord(system=system, map=placement, cause=cause))

    async def take_order(self, site: str = "east", outcome: str = "Accepted", **words: str) -> None:
        """Consume the order that wants everybody at `site`."""
        digest = order_digest((Share(site=site, percent=100),), "")
        await self.put(keys.order(GROUP), OrderRecord.model_validate({"digest": digest, "outcome": outcome, **words}))

    async def shift(self, name: str, **changes: Any) -> ShiftRecord:
        """A Shift of the group from east to west, made in west, planned."""
        plan = GroupPlan(
            group=GROUP,
            system="hotel",
            agents=100,
            to="west",
            moves={"east>west": "0-99"},
            waves=({"east>west": "0-99"},),
            before={"east": "0-99"},
            after={"west": "0-99"},
        )
        record = ShiftRecord.model_validate(
            {
                "spec": ShiftSpec.model_validate({"selector": {"names": ["sales"]}, "to": "west"}),
                "created_at": time.time(),
                "created_in": "west",
                "phase": "Planned",
                "reason": "Planned",
                "message": "1 group, about 100 agents, from east to west",
                "plan": (plan,),
                "plan_text": ("callcenter/sales: about 100 agents from east to west",),
                **changes,
            }
        )
        await self.put(keys.shift(name), record)
        return record

    async def arrived(self, name: str, agents: int) -> None:
        moves = {name: MovesOfShift(agents=agents, p50=0.004, p95=0.021, max=0.3, last_at=time.time())}
        await self.put(keys.moves("west", "hotel"), MovesRecord(shifts=moves))
