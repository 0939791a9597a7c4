"""One call centre for all end-to-end tests: a tenth of the quickstart, brought to rest before each test.

Test modules import `callcentre` (the running one, session-wide) and `centre` (the same, at rest: everybody home, no
call, no hold). Everything shares the session's event loop.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest_asyncio
import yaml

from demo import quickstart
from demo.callcentre import CallCentre
from demo.cli import clear
from demo.install import ACTIVE
from demo.orders import Order
from demo.paths import OUT
from demo.quickstart import Group
from demo.waiting import until
from lab.addresses import CITIES
from lab.interface import Lab
from tandem.api.resources import AGENT_GROUP, SITE, TRUNK
from tandem.domain import keys
from tandem.engine.ports import Delete, StoreError
from tandem.operator.cluster import ApiError, Cluster

E2E_OUT: Final = OUT / "e2e"
SCALE: Final = 0.1
_numbers = itertools.count(1)
_applied: dict[CallCentre, list[Any] | ApiError] = {}
"""The objects as they were after the quickstart was applied last: it takes four seconds."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def callcentre(lab: Lab) -> AsyncIterator[CallCentre]:
    """120 agents in ten groups on the lab's cities."""
    clear(E2E_OUT)
    small = quickstart.scaled(SCALE, E2E_OUT / "manifests")
    running = CallCentre(lab, small, E2E_OUT, say=lambda line: print(line, flush=True))
    try:
        await running.start()
        yield running
    finally:
        await running.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def centre(callcentre: CallCentre) -> AsyncIterator[CallCentre]:
    """The call centre at rest; whatever a test left is put right, or the next test would be blamed for it."""
    await rest(callcentre)
    yield callcentre
    await callcentre.carrier.load(0)


async def rest(running: CallCentre) -> None:
    """Everything mended, nothing held, no call, everybody home."""
    await running.lab.faults.undo_all()
    # A city that was just mended has much to do on a busy machine.
    await asyncio.gather(running.tandem("resume"), running.quiet(hang_up=True, timeout=120))
    for city in ACTIVE:
        await _forgive(running, city)
    running.observed.look()
    away = [group for group in running.quickstart.groups if not running.is_at(group.home, group)]
    for home in sorted({group.home for group in away}):
        groups = tuple(group for group in away if group.home == home)
        await running.move(shift(running, groups, to=home, city=home))
    # Orders that a test changed are as they were; they find their agents at home, so nothing moves.
    if _applied.get(running) != await _objects(running):
        await running.installation.apply_quickstart()
        _applied[running] = await _objects(running)


async def _objects(running: CallCentre) -> list[Any] | ApiError:
    """Of all that the quickstart applies, in every cluster, what changes when somebody changes or applies it.

    An error is like nothing else: then it is applied, which waits.
    """

    async def of(city: str) -> list[Any]:
        async with await Cluster.connect(running.lab.kubeconfig(city), city) as cluster:
            lists = [await cluster.list(kind) for kind in (SITE, AGENT_GROUP, TRUNK)]
        found = [one["metadata"] for objects, _ in lists for one in objects]
        return [(one["uid"], one["generation"], one.get("labels"), _manifest(one)) for one in found]

    try:
        return [await of(city) for city in CITIES]
    except ApiError as error:
        return error


def _manifest(metadata: Mapping[str, Any]) -> str:
    """As it was applied last."""
    return str(metadata.get("annotations", {}).get("kubectl.kubernetes.io/last-applied-configuration"))


async def _forgive(running: CallCentre, city: str) -> None:
    """Wait for the end of its failover, and forget it: each one within an hour doubles the quarantine."""

    async def forgiven() -> tuple[bool, str]:
        states = [record.state for site, record in running.commits.failovers if site == city]
        if states and states[-1] != "Ended":
            return False, f"failover of {city}: {states[-1]}"
        try:
            await running.store.txn([], [Delete(keys.failover(city))], timeout=3.0)
        except StoreError as error:  # the member of a city that has just come back
            return False, str(error)
        return True, ""

    await until(f"the failover of {city} is over and forgiven", forgiven, timeout=120)


def shift(running: CallCentre, groups: tuple[Group, ...], *, to: str, city: str = "east", **spec: Any) -> Order:
    """A Shift of these groups, in one wave unless said otherwise, as a file of its own to apply in one city."""
    names = [group.name.partition("/")[2] for group in groups]
    return shift_as(groups, to, city, selector={"names": names}, to=to, **spec)


def shift_as(groups: tuple[Group, ...], arrive_at: str, city: str = "east", **spec: Any) -> Order:
    """The same, whatever its goal; `arrive_at`: where those of its groups arrive who move."""
    name = f"e2e-{next(_numbers)}"
    manifest = {
        "apiVersion": "tandem.dev/v1alpha1",
        "kind": "Shift",
        "metadata": {"name": name, "namespace": "callcenter"},
        "spec": {"waves": [100], **spec},
    }
    return Order(name, write(f"shifts/{name}", manifest), (city,), groups, arrive_at, with_calls=False)


def write(name: str, *manifests: Mapping[str, Any]) -> Path:
    """Manifests as a file."""
    path = E2E_OUT / f"{name}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump_all(manifests, sort_keys=False), encoding="utf-8")
    return path


def manifest_of(running: CallCentre, group: Group) -> dict[str, Any]:
    """The quickstart's manifest of a group, to be changed."""
    found = quickstart.documents(running.quickstart.folder / "agentgroups.yaml")
    return next(document for document in found if f"callcenter/{document['metadata']['name']}" == group.name)


def order_of(running: CallCentre, group: Group, *, to: str) -> Order:
    """The order that a group be at a site: its manifest with another placement, applied to both cities."""
    manifest = manifest_of(running, group)
    manifest["spec"]["placement"] = [{"site": to, "percent": 100}]
    name = f"order-{next(_numbers)}"
    return Order(name, write(f"orders/{name}", manifest), ("east", "west"), (group,), to, with_calls=False)
