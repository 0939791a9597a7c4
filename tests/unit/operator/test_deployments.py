"""Replicas of this city's Deployments in an emergency: raised for those who wait for room as well, and at once."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from tandem.api.resources import SITE
from tandem.domain import keys
from tandem.domain.records import ReplicasRecord
from tandem.engine.ports import Delete, Put
from tandem.operator.cluster import MissingError, TakenError
from tandem.operator.deployments import REVISION, Deployments
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Table
from tandem.operator.status_pacing import EMERGENCY_QUIET_S
from tests.support.manifests import site
from tests.unit.domain.test_replicas import a_world, east_dies, ready, west
from tests.unit.domain.world import World
from tests.unit.engine.virtual import run_virtual
from tests.unit.operator.objects import seen
from tests.unit.operator.on_store import OnStore


class OneCluster:
    """Deployments that take whatever is applied."""

    def __init__(self) -> None:
        self.replicas: dict[str, int] = {}

    async def get(self, path: str) -> dict[str, Any]:
        return {"metadata": {}, "spec": {"replicas": self.replicas.get(path.rpartition("/")[2], 1)}}

    async def apply(self, path: str, body: dict[str, Any], **_: Any) -> None:
        if body["kind"] == "Deployment":
            self.replicas[path.rpartition("/")[2]] = body["spec"]["replicas"]

    async def merge(self, path: str, body: dict[str, Any], **_: Any) -> None:
        """Annotations: nobody asks for them here."""


async def raised(world: World, cluster: OneCluster, **changes: Any) -> int:
    """Replicas of west's softswitch after one look of its operator, with these changes to the Site that is applied."""
    table = Table()
    table.update(seen(site("west", systems=west()["systems"], **changes)))
    view = SimpleNamespace(
        clock=SimpleNamespace(monotonic=lambda: world.mono), snapshot=world.snapshot, subscribe=lambda *_: None
    )
    await Deployments("west", table, view, cluster, LocalNotes()).round()  # type: ignore[arg-type]
    return cluster.replicas.get("softswitch-hotel", 1)


async def test_replicas_come_up_for_those_who_wait_until_nobody_does() -> None:
    world, cluster = a_world(), OneCluster()
    world.put(keys.replicas("west", "hotel"), ReplicasRecord(ready={"softswitch": 1}))
    assert await raised(world, cluster) == 1
    east_dies(world)
    assert world.placement() == {"west": "0-39", "east": "40-99"}
    ready(world, softswitch=await raised(world, cluster))
    assert world.placement() == {"west": "0-99"}
    assert await raised(world, cluster) == 3


async def test_they_come_up_as_well_where_newer_rules_refuse_the_site_that_is_applied() -> None:
    world, cluster = a_world(), OneCluster()
    ready(world, softswitch=1)
    east_dies(world)
    assert await raised(world, cluster, detection={"interval": "50ms"}) == 3


class Running(OnStore):
    """West's operator at its work."""

    def __init__(self) -> None:
        super().__init__()
        self.cluster = OneCluster()
        self.table.update(seen(site("west", systems=west()["systems"])))
        self.work_with(Deployments("west", self.table, self.view, self.cluster, LocalNotes()))  # type: ignore[arg-type]
        self._written: dict[str, bytes] = {}

    def write(self, world: World) -> set[str]:
        """Bring the store to what the world's has; returns the keys that have changed."""
        wanted = {key: value for key, (value, _, _) in world.store.items()}
        changed = {key for key in wanted.keys() | self._written.keys() if wanted.get(key) != self._written.get(key)}
        for key in sorted(changed):
            self.etcd.txn([], [Put(key, wanted[key]) if key in wanted else Delete(key)])
        self._written = wanted
        return changed


@pytest.mark.parametrize("quiet_s", [12.5, 13.5, 14.5, 15.5, 16.5, 17.5])
def test_they_are_raised_at_once_however_long_ago_it_last_looked(quiet_s: float) -> None:
    """West is full, so nobody is placed there at first: the failover alone tells that more are needed."""

    async def story() -> None:
        world = a_world()
        world.group({"west": 100}, "callcenter/hotel-south", agents=40)
        world.settle()
        ready(world, softswitch=1)
        async with Running() as running:
            running.write(world)
            await asyncio.sleep(quiet_s)
            assert running.cluster.replicas == {}
            east_dies(world)
            looked_at = (keys.SPECS, keys.PLACEMENTS, keys.FAILOVERS)
            assert {key for key in running.write(world) if key.startswith(looked_at)} == {keys.failover("east")}
            await asyncio.sleep(1.1)
            assert running.cluster.replicas == {"softswitch-hotel": 4}

    run_virtual(story())


@pytest.mark.parametrize("quiet_s", [12.5, 14.5, 16.5])
def test_a_planned_shift_raises_them_at_once(quiet_s: float) -> None:
    """Its agents are waited for by nobody else: the first wave begins when the replicas are Ready."""

    async def story() -> None:
        world = a_world()
        world.settle()
        ready(world, softswitch=1)
        async with Running() as running:
            running.write(world)
            await asyncio.sleep(quiet_s)
            world.shift(selector={"system": "hotel"}, to="west")
            running.write(world)
            await asyncio.sleep(2.5)
            assert running.cluster.replicas == {}, "it is not planned yet"
            world.settle()
            running.write(world)
            await asyncio.sleep(1.1)
            assert running.cluster.replicas == {"softswitch-hotel": 3}

    run_virtual(story())


class Strict(OneCluster):
    """Has no Deployment of a name that somebody mistyped, and the replicas are somebody else's."""

    async def apply(self, path: str, body: dict[str, Any], **_: Any) -> None:
        if body["kind"] == "Deployment":
            raise TakenError("conflict", causes=("kubectl owns .spec.replicas",))

    async def merge(self, path: str, body: dict[str, Any], **_: Any) -> None:
        if path.rpartition("/")[2] == "softswitch-hotle":
            raise MissingError("not found")


async def test_what_ails_a_deployment_is_said_for_as_long_as_the_site_names_it() -> None:
    world = a_world()
    ready(world, softswitch=1)
    east_dies(world)
    table, notes = Table(), LocalNotes()
    view = SimpleNamespace(
        clock=SimpleNamespace(monotonic=lambda: world.mono), snapshot=world.snapshot, subscribe=lambda *_: None
    )
    deployments = Deployments("west", table, view, Strict(), notes)  # type: ignore[arg-type]

    async def said(version: str, **changes: Any) -> dict[str, tuple[str, str]]:
        [system] = west()["systems"]
        manifest = site("west", systems=[{**system, "softswitch": {**system["softswitch"], **changes}}])
        table.update(seen(manifest, resourceVersion=version))
        await deployments.round()
        return {one.type: (one.status, one.reason) for one in notes.of((SITE.plural, "west"))}

    slip = {"deployment": "callcenter/softswitch-hotle"}
    assert (await said("1", **slip))["DeploymentsPatched"] == ("False", "Missing")
    assert await said("2") == {"DeploymentsPatched": ("True", "Patched"), "ReplicasOwned": ("False", "OwnedByAnother")}
    assert await said("3", scaling={"mode": "None"}) == {"DeploymentsPatched": ("True", "Patched")}


class Counting(OneCluster):
    """Counts the ConfigMaps and annotations of revisions that are written."""

    written = 0

    async def apply(self, path: str, body: dict[str, Any], **_: Any) -> None:
        self.written += body["kind"] == "ConfigMap"

    async def merge(self, path: str, body: dict[str, Any], **_: Any) -> None:
        self.written += REVISION in body["metadata"]["annotations"]


async def test_maps_and_annotations_leave_the_first_seconds_of_an_emergency_to_the_agents() -> None:
    world, cluster, table, now = a_world(), Counting(), Table(), 1000.0
    table.update(seen(site("west", systems=west()["systems"])))
    view = SimpleNamespace(
        clock=SimpleNamespace(monotonic=lambda: now), snapshot=world.snapshot, subscribe=lambda *_: None
    )
    deployments = Deployments("west", table, view, cluster, LocalNotes())  # type: ignore[arg-type]
    await deployments.round()
    assert cluster.written == 3
    east_dies(world)
    for seconds, written in ((3, 3), (3 + EMERGENCY_QUIET_S - 0.1, 3), (3 + EMERGENCY_QUIET_S, 6)):
        view.snapshot, now = world.snapshot, 1000.0 + seconds
        await deployments.round()
        assert cluster.written == written


async def test_a_map_that_somebody_has_deleted_is_there_again_within_a_minute() -> None:
    world, cluster, table, now = a_world(), Counting(), Table(), 1000.0
    table.update(seen(site("west", systems=west()["systems"])))
    view = SimpleNamespace(
        clock=SimpleNamespace(monotonic=lambda: now), snapshot=world.snapshot, subscribe=lambda *_: None
    )
    deployments = Deployments("west", table, view, cluster, LocalNotes())  # type: ignore[arg-type]
    for seconds, written in ((0, 3), (59, 3), (61, 6), (62, 6)):
        now = 1000.0 + seconds
        await deployments.round()
        assert cluster.written == written, "one map, the annotations of a CTI and of a softswitch"
