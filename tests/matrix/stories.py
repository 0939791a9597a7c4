"""Faults that are a story: a person has his say in the middle, or somebody who stood still runs on when all is over."""

import asyncio
import http.client
import json
import time
from collections.abc import Collection
from functools import partial
from typing import Any, Final

from demo.callcentre import CallCentre
from demo.errors import NotInTimeError, ToolError
from demo.install import TANDEM
from demo.waiting import until
from tests.e2e.callcenter_fixtures import manifest_of, write
from tests.matrix.scene import ENGINE, EVERYBODY, Scene

MANUAL: Final = "hotel-north-sales"
"""The group whose failover a person decides."""

AGREED_S: Final = 5.0
"""For every location to have read a manifest, and to agree."""

ASKED_WITHIN_S: Final = 15.0
"""For a lost city's other groups to be elsewhere, and the question to be shown in the other city."""

UNASKED_S: Final = 3.0
"""For which nobody moves of whom a person has been asked."""

THAWED_S: Final = 6.0
"""For which a coordinator that stood still is looked at: three times what it takes to commit a failover."""

STORE_PODS: Final = "statefulset/tandem-etcd"
ROLLED_OUT_S: Final = 120


# -- a person decides


async def a_group_that_waits_for_a_person(scene: Scene) -> None:
    (group,) = scene.groups("east", MANUAL)
    manifest = manifest_of(scene.centre, group)
    manifest["spec"]["failover"] = "Manual"
    file = write("group-that-waits", manifest)
    await asyncio.gather(*(cluster.apply(file) for cluster in scene.centre.clusters.values()))
    await asyncio.sleep(AGREED_S)


async def approved_by_one_command(scene: Scene) -> None:
    """The rest of the city moves by itself; this group waits, a person is asked, and one command moves it."""
    before = scene.placements()
    (manual,) = scene.groups("east", MANUAL)
    await scene.power_off("east")
    others = [group.name for group in scene.groups("east") if group != manual]
    await _are_elsewhere(scene, others, ASKED_WITHIN_S)
    question = await _question(scene)
    await asyncio.sleep(UNASKED_S)
    if manual.name in await scene.placed_anew(before):
        scene.broken.append(f"{manual.name} was placed anew before anybody had approved it")
    if question:
        scene.centre.say(f"$ kubectl tandem approve {question} -n callcenter")
        scene.counts_from = time.time()
        await scene.centre.tandem("approve", question, "-n", "callcenter")


async def _are_elsewhere(scene: Scene, groups: Collection[str], within: float) -> None:
    async def elsewhere() -> tuple[bool, str]:
        await scene.store.look()
        here = [group for group in groups if "east" in scene.store.newest[group].map]
        return not here, f"{len(here)} of {len(groups)} groups are still placed at east"

    try:
        await until("the others elsewhere", elsewhere, timeout=within, every=0.1)
    except NotInTimeError as error:
        scene.broken.append(str(error))


async def _question(scene: Scene) -> str:
    """Name of the Shift that waits for an answer, in the cluster of the city that is there; empty: nobody was asked."""
    found: list[str] = []

    async def asked() -> tuple[bool, str]:
        shifts = (await scene.centre.clusters["west"].get("shift"))["items"]
        found[:] = [shift["metadata"]["name"] for shift in shifts if _waits(shift)]
        return bool(found), f"none of {len(shifts)} Shifts waits for a person"

    try:
        await until("the question", asked, timeout=ASKED_WITHIN_S)
    except NotInTimeError as error:
        scene.broken.append(str(error))
        return ""
    return found[0]


def _waits(shift: dict[str, Any]) -> bool:
    return shift.get("status", {}).get("phase") == "AwaitingApproval" and MANUAL in shift["spec"]["selector"]["names"]


async def it_says_who_approved(scene: Scene) -> None:
    """The question has been answered, and tells by whom."""

    async def answered() -> tuple[bool, str]:
        shifts = (await scene.centre.clusters["west"].get("shift"))["items"]
        asked = [s for s in shifts if s["spec"].get("approved") and MANUAL in s["spec"]["selector"].get("names", [])]
        said = [f"{s['metadata']['name']} {s.get('status', {}).get('phase')} {s['spec']['approvedBy']}" for s in asked]
        return any(" Completed " in line for line in said), ", ".join(said) or "no Shift of it was approved"

    try:
        await until("the question is answered", answered, timeout=ASKED_WITHIN_S)
    except NotInTimeError as error:
        scene.broken.append(str(error))


# -- a coordinator that comes to


async def frozen_coordinator_comes_to(scene: Scene) -> None:
    """It stands still in the city that is lost, another one fails that over, and then it runs on where it stopped."""
    faults = scene.centre.lab.faults
    await scene.leadership.coordinate_from("east")  # it hands the office back after ten seconds, if nothing happens
    await scene.freeze("east", ENGINE)
    scene.counts_from = time.time()
    await scene.cut(*[("east", other) for other in EVERYBODY])
    await _are_elsewhere(scene, [group.name for group in scene.groups("east")], ASKED_WITHIN_S)
    await scene.wait_for_those_of_east()
    after = scene.placements()
    await faults.thaw("east", ENGINE)
    await asyncio.sleep(1.0)  # alone with what it believed
    for other in EVERYBODY:
        await faults.mend("east", other)
    await asyncio.sleep(THAWED_S)
    if moved := await scene.placed_anew(after):
        scene.broken.append(f"{len(moved)} groups were placed anew when the old coordinator ran on: {moved[0]}")
    coordinator = await scene.leadership.coordinator()
    if coordinator == "east":
        scene.broken.append("the city that was lost coordinates again within seconds of its return")
    scene.centre.say(f"{coordinator} coordinates, and nothing has changed")


# -- all pods of Tandem anew


async def rolled_out_anew(scene: Scene) -> None:
    """`kubectl rollout restart` of everything of Tandem, one location after the other: SIGTERM, and new pods."""
    for city in ("east", "west", "witness"):
        cluster = scene.centre.clusters[city]
        for name in ("deployment/tandem", STORE_PODS):
            before = await _pods(scene.centre, city)
            await cluster.kubectl("rollout", "restart", name, "-n", TANDEM)
            await cluster.kubectl(
                *("rollout", "status", name, "-n", TANDEM, f"--timeout={ROLLED_OUT_S}s"), timeout=ROLLED_OUT_S + 10
            )
            if before == await _pods(scene.centre, city):
                scene.broken.append(f"no pod of {name} in {city} was made anew: this proves nothing")
        await scene.store_whole()


async def _pods(centre: CallCentre, city: str) -> set[str]:
    found = await centre.clusters[city].get("pods", namespace=TANDEM)
    return {pod["metadata"]["uid"] for pod in found["items"] if "deletionTimestamp" not in pod["metadata"]}


# -- no names


ASK_NAME: Final = "import socket; socket.getaddrinfo('softswitch-hotel.callcenter.svc', 0)"


async def names_are_found(scene: Scene) -> None:
    """Raises: ToolError, where the question itself does not work: it would prove nothing later."""
    await _ask_name(scene.centre)


async def no_names(scene: Scene) -> None:
    await scene.centre.lab.faults.lose_names("east")
    try:
        await _ask_name(scene.centre)
    except ToolError:
        return
    scene.broken.append("a pod finds names still: this proves nothing")


async def _ask_name(centre: CallCentre) -> None:
    command = ("timeout", "3", "python3", "-c", ASK_NAME)
    await centre.clusters["east"].kubectl("exec", "-n", "callcenter", "deployment/cti-hotel", "--", *command)


# -- no for an answer


async def refuses_calls(scene: Scene) -> None:
    """The softswitch of hotel answers whatever is new with 503, as it does when it is drained."""
    scene.undoings.append(partial(_drain, scene.centre, on=False))
    await _drain(scene.centre, on=True)


async def _drain(centre: CallCentre, *, on: bool) -> None:
    service = await centre.clusters["east"].get("service", "softswitch-hotel")
    address = (str(service["spec"]["clusterIP"]), 8080)
    body = {"jsonrpc": "2.0", "id": 1, "method": "htable.seti", "params": ["control", "drain", int(on)]}
    await asyncio.to_thread(_rpc, centre, address, json.dumps(body))


def _rpc(centre: CallCentre, address: tuple[str, int], body: str) -> None:
    asked = http.client.HTTPConnection(*address)
    asked.sock = centre.lab.connect("east", address, timeout=5.0)
    try:
        token = centre.installation.control_token
        asked.request("POST", "/RPC", body, {"Authorization": f"Bearer {token}", "Content-Type": "application/json"})
        answer = asked.getresponse()
        said = answer.read().decode()
        if answer.status != http.client.OK or "error" in json.loads(said):
            raise ToolError(f"softswitch-hotel: {answer.status} {said[:200]}")
    finally:
        asked.close()
