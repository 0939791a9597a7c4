"""The faults, and what must come of each."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Literal

from demo.callcentre import CallCentre
from tests.bench.leadership import Leadership
from tests.matrix import guests

FAILOVER: Final = "Failover"
"""Everybody of the lost city works in the other one within the bound."""
NOTHING: Final = "Nothing"
"""No placement changes, and nobody notices but those whose own CTI or path was struck: they are back at home."""
GUESTS: Final = "Guests"
"""No placement changes; those who lost their path home work as guests elsewhere within 5 s, and come home after it."""

Expected = Literal["Failover", "Nothing", "Guests"]


@dataclass(frozen=True)
class Case:
    """One fault.

    `struck`: sites whose agents may lose their sessions by the fault itself. `cuts_calls`: the fault may end calls.
    `lasts_s`: how long it is left alone when nothing is to happen. `within_s`: bound for everybody to work again, from
    the fault on (Failover) or from its undoing on.
    """

    name: str
    expected: Expected
    act: Callable[["Scene"], Awaitable[None]]
    struck: frozenset[str] = frozenset()
    cuts_calls: bool = False
    lasts_s: float = 8.0
    within_s: float = 30.0
    arrange: Callable[["Scene"], Awaitable[None]] | None = None
    """What is so before the fault: it takes time, and is no part of it."""


@dataclass(frozen=True)
class Scene:
    """What a fault is made with."""

    centre: CallCentre
    leadership: Leadership

    async def power_off(self, city: str) -> None:
        await self.centre.lab.faults.kill_city(city)

    async def cut(self, *pairs: tuple[str, str], both: bool = True) -> None:
        for a, b in pairs:
            await self.centre.lab.faults.cut(a, b, both=both)

    async def kill(self, city: str, *components: str) -> None:
        for component in components:
            await self.centre.lab.faults.kill(city, component)

    async def freeze(self, city: str, component: str, for_s: float = 0.0) -> None:
        await self.centre.lab.faults.freeze(city, component)
        if for_s:
            await asyncio.sleep(for_s)
            await self.centre.lab.faults.thaw(city, component)


ENGINE: Final = "pod/tandem-system/tandem/engine"
OPERATOR: Final = "pod/tandem-system/tandem/operator"
STORE: Final = "pod/tandem-system/tandem-etcd"
CTI: Final = "pod/callcenter/cti-hotel"
SOFTSWITCH: Final = "pod/callcenter/softswitch-hotel"
EAST: Final = frozenset({"east"})
EVERYBODY: Final = ("west", "witness", "floor-a", "floor-b", "carrier")


async def coordinator_at_east(scene: Scene) -> None:
    await scene.leadership.coordinate_from("east")


async def leader_at_east(scene: Scene) -> None:
    await scene.leadership.lead_from("east")


async def witness_gone(scene: Scene) -> None:
    await scene.power_off("witness")
    await asyncio.sleep(6.0)


async def flapping(scene: Scene) -> None:
    for _ in range(8):
        await scene.cut(("east", "west"))
        await asyncio.sleep(1.0)
        await scene.centre.lab.faults.mend("east", "west")
        await asyncio.sleep(1.0)


async def rolling_restart(scene: Scene) -> None:
    for city in ("east", "west", "witness"):
        await scene.kill(city, ENGINE, OPERATOR)
        await asyncio.sleep(4.0)


async def held(scene: Scene) -> None:
    await scene.centre.tandem("hold", "--reason", "fault matrix")


CASES: Final = (
    Case("city powered off", FAILOVER, lambda s: s.power_off("east"), EAST, cuts_calls=True, within_s=10.0),
    Case("city cut off from everyone", FAILOVER, lambda s: s.cut(*[("east", other) for other in EVERYBODY]), EAST,
         cuts_calls=True, within_s=10.0),
    Case("city powered off, with the coordinator", FAILOVER, lambda s: s.power_off("east"), EAST, True,
         within_s=10.0, arrange=coordinator_at_east),
    Case("city powered off, with the store's leader", FAILOVER, lambda s: s.power_off("east"), EAST, True,
         within_s=10.0, arrange=leader_at_east),
    Case("city powered off while held", NOTHING, lambda s: s.power_off("east"), EAST, True,
         lasts_s=10.0, arrange=held),
    Case("city powered off after the witness", NOTHING, lambda s: s.power_off("east"), EAST, True,
         lasts_s=12.0, within_s=60.0, arrange=witness_gone),
    Case("witness powered off", NOTHING, lambda s: s.power_off("witness")),
    Case("link between the cities cut", NOTHING, lambda s: s.cut(("east", "west"))),
    Case("link between the cities cut one way", NOTHING, lambda s: s.cut(("east", "west"), both=False)),
    Case("city cut off from the witness", NOTHING, lambda s: s.cut(("east", "witness"))),
    Case("witness cut off from both cities", NOTHING, lambda s: s.cut(("witness", "east"), ("witness", "west"))),
    Case("link between the cities flaps", NOTHING, flapping, lasts_s=1.0),
    Case("carrier cut off from a city", NOTHING, lambda s: s.cut(("carrier", "east")), cuts_calls=True),
    Case("engine killed", NOTHING, lambda s: s.kill("east", ENGINE)),
    Case("engine frozen for 10 s", NOTHING, lambda s: s.freeze("east", ENGINE, 10.0), lasts_s=2.0),
    Case("coordinator frozen for 10 s", NOTHING, lambda s: s.freeze("witness", ENGINE, 10.0), lasts_s=2.0),
    Case("operator killed", NOTHING, lambda s: s.kill("east", OPERATOR)),
    Case("operator frozen for 10 s", NOTHING, lambda s: s.freeze("east", OPERATOR, 10.0), lasts_s=2.0),
    Case("all pods of Tandem restarted in turn", NOTHING, rolling_restart, lasts_s=4.0),
    Case("store member killed", NOTHING, lambda s: s.kill("east", STORE)),
    Case("store member frozen for 10 s", NOTHING, lambda s: s.freeze("west", STORE, 10.0), lasts_s=2.0),
    Case("Kubernetes API killed", NOTHING, lambda s: s.kill("east", "kube-apiserver")),
    Case("Kubernetes API frozen", NOTHING, lambda s: s.freeze("east", "kube-apiserver")),
    Case("etcd of Kubernetes killed", NOTHING, lambda s: s.kill("east", "etcd")),
    Case("kubelet killed", NOTHING, lambda s: s.kill("east", "kubelet")),
    Case("containerd killed", NOTHING, lambda s: s.kill("east", "containerd")),
    Case("kube-proxy killed", NOTHING, lambda s: s.kill("east", "kube-proxy")),
    Case("name server killed", NOTHING, lambda s: s.kill("east", "pod/kube-system/coredns")),
    Case("CTI killed", NOTHING, lambda s: s.kill("east", CTI), EAST),
    Case("CTI frozen for 5 s", NOTHING, lambda s: s.freeze("east", CTI, 5.0), EAST, lasts_s=2.0),
    Case("floor cut off one city", GUESTS, lambda s: guests.floor_cut_off(s.centre), EAST, cuts_calls=True,
         lasts_s=2.0),
    Case("softswitch killed", NOTHING, lambda s: s.kill("east", SOFTSWITCH)),
)  # fmt: skip
"""In `make matrix` all of them; `make test` takes the first of each kind."""

IN_TESTS: Final = (
    "city powered off",
    "city cut off from everyone",
    "city powered off, with the coordinator",
    "city powered off while held",
    "city powered off after the witness",
    "witness powered off",
    "link between the cities cut",
    "link between the cities cut one way",
    "witness cut off from both cities",
    "coordinator frozen for 10 s",
    "store member killed",
    "CTI killed",
    "floor cut off one city",
)
