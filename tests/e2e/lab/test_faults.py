"""Every fault breaks what it says, nothing else, and its undo mends it."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lab.addresses import CITIES
from lab.errors import NotRunningError
from lab.interface import COMPONENTS, CityStatus, Lab, Swallowed
from tests.e2e.lab import whoami
from tests.e2e.lab.fixtures import probed  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("probed")]

Ask = Callable[..., Awaitable[dict[str, Any]]]
SILENCE = {"error": "TimeoutError"}


@pytest.fixture
def ask(lab: Lab, tmp_path: Path) -> Ask:
    """Ask a city's whoami from somewhere."""

    async def asking(at: str, city: str, **more: Any) -> dict[str, Any]:
        return await whoami.ask(lab, tmp_path / f"{at}-{city}.log", at=at, city=city, **more)

    return asking


async def answers(ask: Ask, at: str, city: str) -> bool:
    return "address" in await ask(at, city)


async def eventually(check: Callable[[], Awaitable[bool]], *, within_s: float) -> float:
    """Seconds until `check` held; fails after `within_s`."""
    began = time.monotonic()
    while not await check():
        assert time.monotonic() - began < within_s, f"not within {within_s} s"
        await asyncio.sleep(0.1)
    return time.monotonic() - began


async def city_status(lab: Lab, city: str) -> CityStatus:
    return next(status for status in (await lab.status()).cities if status.name == city)


async def test_a_killed_city_is_silent_says_so_and_comes_back_with_its_data(lab: Lab, ask: Ask) -> None:
    await whoami.kubectl(lab, "east", "-n", whoami.NAMESPACE, "create", "configmap", "kept", "--from-literal=a=b")
    volume = lab.volume("east", "kept")
    (volume / "file").write_text("on the city's disk")

    began = time.monotonic()
    await lab.faults.kill_city("east")
    assert time.monotonic() - began < 2.0

    status = await lab.status()
    east = next(city for city in status.cities if city.name == "east")
    assert set(east.components.values()) == {"dead"}
    assert not east.api_ready
    assert not east.node_ready
    assert status.links_down == {"east"}
    assert not status.healthy
    assert await ask("floor-a", "east") == SILENCE, "a dead city is silence, not a refusal"
    assert await answers(ask, "floor-a", "west")
    assert await answers(ask, "floor-a", "witness")

    await lab.faults.restore_city("east")
    assert (await lab.status()).healthy
    await eventually(lambda: answers(ask, "floor-a", "east"), within_s=60)
    kept = await whoami.kubectl(
        lab, "east", "-n", whoami.NAMESPACE, "get", "configmap", "kept", "-o", "jsonpath={.data.a}"
    )
    assert kept == "b"
    assert (volume / "file").read_text() == "on the city's disk"


async def test_what_was_spawned_in_a_city_dies_with_it(lab: Lab, tmp_path: Path) -> None:
    inside = lab.spawn("west", ["sleep", "300"], log=tmp_path / "inside.log")
    outside = lab.spawn("floor-a", ["sleep", "300"], log=tmp_path / "outside.log")
    assert (await lab.status()).spawned["west"] == 1
    await lab.faults.kill_city("west")
    assert inside.wait(2) == -9
    assert outside.poll() is None
    outside.kill()
    outside.wait(2)


async def test_a_link_cut_in_one_direction_still_carries_the_other(lab: Lab, ask: Ask) -> None:
    await lab.faults.cut("floor-a", "east", both=False)
    assert (await lab.status()).cuts == {("floor-a", "east")}
    assert await ask("floor-a", "east") == SILENCE
    assert await answers(ask, "floor-b", "east"), "other links are whole"
    # East's packets still reach the floor: one without a listener there is refused by the floor, not lost.
    await lab.faults.mend("floor-a", "east")
    await lab.faults.cut("east", "floor-a", both=False)
    assert await ask("floor-a", "east") == SILENCE, "the answer is lost now"
    await lab.faults.mend("floor-a", "east")
    assert await answers(ask, "floor-a", "east")


async def test_a_cut_between_cities_leaves_both_to_everybody_else(lab: Lab, ask: Ask) -> None:
    await lab.faults.cut("east", "west")
    assert (await lab.status()).cuts == {("east", "west"), ("west", "east")}
    assert await ask("east", "west") == SILENCE
    assert await ask("west", "east") == SILENCE
    assert await ask("floor-a", "east", port=whoami.WHO_NEXT_DOOR) != {"address": str(CITIES["east"].address)}
    assert await answers(ask, "east", "witness")
    assert await answers(ask, "floor-a", "east")
    assert await answers(ask, "floor-a", "west")
    await lab.faults.mend("west", "east")
    assert await answers(ask, "east", "west")
    assert (await lab.status()).healthy


@pytest.mark.parametrize("component", COMPONENTS)
async def test_a_killed_component_stays_dead_until_it_is_revived(lab: Lab, ask: Ask, component: str) -> None:
    await lab.faults.kill("witness", component)
    states = (await city_status(lab, "witness")).components
    assert states[component] == "dead"
    assert {state for name, state in states.items() if name != component} == {"running"}
    assert await answers(ask, "floor-a", "witness"), "a control plane is not the city: its pods go on"
    with pytest.raises(NotRunningError):
        await lab.faults.kill("witness", component)
    await lab.faults.revive("witness", component)

    async def whole() -> bool:
        return (await city_status(lab, "witness")).healthy

    await eventually(whole, within_s=60)


async def test_a_frozen_component_answers_nothing_until_it_is_thawed(lab: Lab) -> None:
    await lab.faults.freeze("west", "kube-apiserver")
    west = await city_status(lab, "west")
    assert west.components["kube-apiserver"] == "frozen"
    assert not west.api_ready
    await lab.faults.thaw("west", "kube-apiserver")

    async def ready() -> bool:
        return (await city_status(lab, "west")).api_ready

    await eventually(ready, within_s=30)


async def test_a_frozen_pod_keeps_its_socket_and_says_nothing(lab: Lab, ask: Ask) -> None:
    await lab.faults.freeze("east", whoami.POD)
    assert await ask("floor-a", "east") == SILENCE
    assert await answers(ask, "floor-a", "west")
    east = await city_status(lab, "east")
    assert len(east.frozen_pods) == 1
    assert east.frozen_pods[0].startswith(f"{whoami.NAMESPACE}/whoami-")
    assert not east.healthy
    await lab.faults.thaw("east", whoami.POD)
    assert await answers(ask, "floor-a", "east")


@pytest.mark.parametrize("selector", [whoami.POD, f"{whoami.POD}/whoami"])
async def test_a_killed_pod_is_restarted_by_its_kubelet(lab: Lab, ask: Ask, selector: str) -> None:
    path = "jsonpath={.items[0].status.containerStatuses[0].restartCount}"
    count = ["-n", whoami.NAMESPACE, "get", "pods", "-l", "app=whoami", "-o", path]
    before = int(await whoami.kubectl(lab, "east", *count))
    await lab.faults.kill("east", selector)
    await lab.faults.revive("east", selector)
    await eventually(lambda: answers(ask, "floor-a", "east"), within_s=30)

    async def counted() -> bool:
        return int(await whoami.kubectl(lab, "east", *count)) == before + 1

    await eventually(counted, within_s=30)
    assert (await lab.status()).healthy


async def test_what_is_swallowed_is_lost_and_everything_else_of_the_service_arrives(lab: Lab, ask: Ask) -> None:
    """Questions by UDP begin with their number, 7; answers by TCP with their length, and then the number."""
    await lab.faults.swallow("east", Swallowed("udp", whoami.WHO, "in", b"\0\7"))
    assert await ask("floor-a", "east") == SILENCE
    assert "address" in await ask("floor-a", "east", kind="tcp")
    assert not (await lab.status()).healthy
    await lab.faults.swallow("east", Swallowed("tcp", whoami.WHO, "out", b"\0\7", offset=2))
    assert await ask("floor-a", "east", kind="tcp") == SILENCE
    assert await answers(ask, "floor-a", "west")
    await lab.faults.unswallow("east")
    assert await answers(ask, "floor-a", "east")
    assert "address" in await ask("floor-a", "east", kind="tcp")
    assert (await lab.status()).healthy


async def test_a_starved_city_gets_what_it_is_left_and_no_other_city_does_without(lab: Lab, tmp_path: Path) -> None:
    busy = lab.spawn("east", ["timeout", "30", "sh", "-c", "while :; do :; done"], log=tmp_path / "busy.log")
    await lab.faults.starve("east", 0.2)
    before, began = lab.processor_seconds("east"), time.monotonic()
    await asyncio.sleep(3)
    assert (lab.processor_seconds("east") - before) / (time.monotonic() - began) < 0.3
    assert (await city_status(lab, "east")).processors == 0.2
    assert (await city_status(lab, "west")).healthy
    await lab.faults.feed("east")
    assert (await city_status(lab, "east")).processors is None
    os.killpg(busy.pid, signal.SIGKILL)
    busy.wait(2)


async def test_a_stepped_clock_and_a_burden_are_seen_and_undone(lab: Lab, ask: Ask) -> None:
    await lab.faults.step_clock("east", whoami.POD, 3600)
    await lab.faults.burden(0.3)
    status = await lab.status()
    assert (await city_status(lab, "east")).stepped_clocks > 0
    assert status.burdened
    assert not status.healthy
    assert await answers(ask, "floor-a", "east")
    await lab.faults.undo_all()
    assert (await lab.status()).healthy


async def test_undo_all_mends_several_faults_at_once(lab: Lab, ask: Ask) -> None:
    await lab.faults.kill_city("witness")
    await lab.faults.cut("carrier", "west")
    await lab.faults.freeze("east", "kube-scheduler")
    await lab.faults.kill("west", "kube-proxy")
    await lab.faults.freeze("east", whoami.POD)
    assert not (await lab.status()).healthy
    await lab.faults.undo_all()
    status = await lab.status()
    assert status.healthy, status
    assert await answers(ask, "carrier", "west")
    assert await answers(ask, "floor-a", "east")


async def test_faults_of_what_does_not_exist_name_what_does(lab: Lab) -> None:
    with pytest.raises(KeyError, match="east, west, witness"):
        await lab.faults.kill_city("north")
    with pytest.raises(KeyError, match="pod/<namespace>/<deployment>"):
        await lab.faults.kill("east", "kube-api")
    with pytest.raises(NotRunningError, match="no running container"):
        await lab.faults.freeze("east", "pod/default/nothing")
