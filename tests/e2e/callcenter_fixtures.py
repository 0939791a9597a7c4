"""One call centre for all end-to-end tests: a tenth of the quickstart, brought to rest before each test.

Test modules import `callcentre` (the running one, session-wide) and `centre` (the same, at rest: everybody home, no
call, no hold). Everything shares the session's event loop.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Final

import pytest
import pytest_asyncio
import yaml

from demo import quickstart
from demo.callcentre import WRAPPED_UP_S, CallCentre
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
from tandem.operator.cluster import ApiError, Cluster
from tests.support.failovers import forgive, nothing_fails

E2E_OUT: Final = OUT / "e2e"
SCALE: Final = 0.1
MOST_RESTLESS: Final = 3
"""After so many tests in a row whose set-up failed, no further one is tried."""
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


@pytest.fixture(scope="session")
def restless() -> list[str]:
    """Tests before which the call centre did not come to rest, since it last did."""
    return []


@pytest_asyncio.fixture(loop_scope="session")
async def centre(
    request: pytest.FixtureRequest, callcentre: CallCentre, restless: list[str]
) -> AsyncIterator[CallCentre]:
    """The call centre at rest; whatever a test left is put right, or the next test would be blamed for it."""
    try:
        await rest(callcentre)
    except Exception as error:
        error.add_note(await how_it_stands(callcentre))
        restless.append(request.node.name)
        if len(restless) == MOST_RESTLESS:
            # What cannot be put right would cost each further test two minutes, and say no more.
            request.session.shouldstop = f"the call centre did not come to rest before {', '.join(restless)}"
        raise
    restless.clear()
    yield callcentre
    await callcentre.carrier.load(0)


async def rest(running: CallCentre) -> None:
    """Nothing held, no call, everybody home. Faults have been undone."""
    await until("nothing is held", lambda: _resumed(running), timeout=60)
    # A city that was just mended has much to do on a busy machine.
    await running.calls_end(hang_up=True, timeout=120)
    silent_since = time.monotonic()
    await nothing_fails(running.store)
    for city in ACTIVE:
        await forgive(running.store, city)
    running.observed.look()
    away = [group for group in running.quickstart.groups if not running.is_at(group.home, group)]
    for home in sorted({group.home for group in away}):
        groups = tuple(group for group in away if group.home == home)
        await running.move(shift(running, groups, to=home, city=home))
    # Orders that a test changed are as they were; they find their agents at home, so nothing moves.
    if _applied.get(running) != await _objects(running):
        await running.installation.apply_quickstart()
        _applied[running] = await _objects(running)
    await asyncio.sleep(max(silent_since + WRAPPED_UP_S - time.monotonic(), 0.0))


async def _resumed(running: CallCentre) -> tuple[bool, str]:
    held = await running.store.get(keys.HOLD, timeout=3.0)
    return held is None, "" if held is None else await running.tandem("resume")


async def how_it_stands(running: CallCentre) -> str:
    """What each city and the store say, for an error that nobody can ask them about any more."""

    async def of(city: str) -> str:
        kinds = ("pods,sites,agentgroups,trunks,shifts,drills", "-A", "-o", "wide")
        return f"-- {city}\n{await running.clusters[city].kubectl('get', *kinds)}"

    async def held() -> str:
        found, _ = await running.store.range(keys.PREFIX, timeout=5.0)
        told = [one for one in found if not one.key.startswith((keys.SPECS, keys.PLACEMENTS))]
        return "\n".join(["-- store", *(f"{one.key} {one.value.decode()[:1000]}" for one in told)])

    async def phones() -> str:
        floors = "\n".join(str(stats) for stats in await running.floors.stats())
        going_on = [str(call) for call in running.carrier.calls.values() if call.ended_at is None]
        return "\n".join(["-- floors", floors, "-- calls", *going_on])

    asked = (*(of(city) for city in CITIES), held(), phones())
    return "\n".join(str(said) for said in await asyncio.gather(*asked, return_exceptions=True))


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
