"""The operator's answer to `kubectl tandem plan`."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import httpx
import pytest

from tandem.errors import ConfigError, DependencyError
from tandem.operator.liveness import Liveness
from tandem.operator.planner import MOST_OBJECTS, Planner, answer_of, asked_for
from tandem.operator.settings import STORE_SILENT_S
from tests.support.manifests import annotated, group, shift, site
from tests.unit.domain.world import World


def a_world() -> World:
    world = World()
    world.group({"east": 100}, name="callcenter/sales")
    world.settle()
    return world


def view(world: World, silent_s: float = 0.0) -> Any:
    clock = SimpleNamespace(now=lambda: world.mono, monotonic=lambda: world.mono)
    synced = SimpleNamespace(is_set=lambda: True)
    return SimpleNamespace(synced=synced, silent_s=silent_s, trouble="no leader", clock=clock, snapshot=world.snapshot)


def test_manifests_become_plans_in_their_order() -> None:
    world = a_world()
    order = group("sales", placement=[{"site": "west", "percent": 100}])
    answer = answer_of(world.snapshot, "east", [shift(waves=[100]), order], world.now)
    assert (answer["site"], answer["revision"]) == ("east", world.snapshot.revision)
    first, second = answer["plans"]
    assert (first["kind"], first["name"], first["outcome"]) == ("Shift", "callcenter/to-west", "Planned")
    assert first["planned"]["groups"][0]["moves"] == {"east>west": "0-99"}
    assert (second["kind"], second["outcome"], second["reason"]) == ("AgentGroup", "Waits", "ShiftConflict")
    assert (first["patience"], second["patience"]) == ("", "1m")
    json.dumps(answer)


def test_the_order_id_counts() -> None:
    assert asked_for(annotated(group("sales"), order_id="7")).order_id == "7"


@pytest.mark.parametrize(
    ("manifest", "words"),
    [
        (site("east"), ["Site", "Shifts and AgentGroups"]),
        ({**shift(), "apiVersion": "v1"}, ["v1 Shift"]),
        ({**shift(), "metadata": {"name": "x"}}, ["metadata.namespace"]),
        (shift(percent=0), ["Shift callcenter/to-west", "spec.percent is 0"]),
        (shift(waves=[50]), ["spec.waves", "rise and end at 100"]),
    ],
)
def test_a_wrong_manifest_is_named_with_what_is_wrong(manifest: dict[str, Any], words: list[str]) -> None:
    with pytest.raises(ConfigError) as error:
        asked_for(manifest)
    assert all(word in str(error.value) for word in words), str(error.value)


async def test_without_the_store_there_is_no_live_state_to_plan_from() -> None:
    body = json.dumps({"objects": [shift()]}).encode()
    with pytest.raises(DependencyError, match="east does not hear from the store \\(no leader\\)"):
        await Planner("east", view(a_world(), silent_s=STORE_SILENT_S + 1)).answer(body)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"objects": 3}', b'{"objects": [3]}'])
async def test_a_wrong_question_is_refused(body: bytes) -> None:
    with pytest.raises(ConfigError, match="objects"):
        await Planner("east", view(a_world())).answer(body)


async def test_too_many_objects_are_refused() -> None:
    body = json.dumps({"objects": [shift()] * (MOST_OBJECTS + 1)}).encode()
    with pytest.raises(ConfigError, match=f"{MOST_OBJECTS} at most"):
        await Planner("east", view(a_world())).answer(body)


async def test_the_operators_port_answers_with_plans_and_errors_that_the_api_server_passes_on() -> None:
    planner = Planner("east", view(a_world()))
    server = Liveness(0, lambda: (True, {}), planner.answer)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            good = await client.post("/v1/plan", json={"objects": [shift()]})
            wrong = await client.post("/v1/plan", json={"objects": [shift(percent=0)]})
            alive = await client.get("/livez")
    finally:
        await server.stop()
    assert (good.status_code, good.json()["plans"][0]["outcome"]) == (200, "Planned")
    assert wrong.status_code == 400
    assert "spec.percent is 0" in wrong.json()["message"]
    assert alive.json() == {"ok": True}


async def test_questions_are_answered_one_at_a_time() -> None:
    planner = Planner("east", view(a_world()))
    body = json.dumps({"objects": [shift()]}).encode()
    answers = await asyncio.gather(*(planner.answer(body) for _ in range(3)))
    assert [answer["plans"][0]["outcome"] for answer in answers] == ["Planned"] * 3
