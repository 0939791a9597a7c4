"""kopf in its thread: what it hands over, and that it starts where a container's user has no name."""

import asyncio
from typing import Any, cast

import kopf
import pytest

from tandem.api.resources import AGENT_GROUP, RESOURCES
from tandem.operator import intake
from tandem.operator.intake import Intake
from tandem.operator.objects import Seen
from tests.support.manifests import group


async def test_kopf_starts_for_a_user_without_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, Any] = {}

    async def operator(**arguments: Any) -> None:
        given.update(arguments)

    monkeypatch.setattr(kopf, "operator", operator)
    one = Intake(lambda _: None, lambda _: None)
    await one._run()
    # Without an identity kopf asks for the user's name, and ends when there is none.
    assert given["identity"] == "tandem"
    assert given["standalone"]
    assert not one.watching


async def test_events_are_handed_over_to_the_main_loop() -> None:
    found: list[Seen] = []
    gone: list[Seen] = []
    one = Intake(found.append, gone.append)
    one._main = asyncio.get_running_loop()
    body = {**group(), "metadata": {**group()["metadata"], "uid": "1", "resourceVersion": "5"}}
    handler = one._handler(AGENT_GROUP)
    for kind in (None, "ADDED", "MODIFIED", "DELETED"):
        await asyncio.to_thread(asyncio.run, handler(type=kind, body=kopf.Body(cast("kopf.RawBody", body))))
    await asyncio.sleep(0)
    assert [one.name for one in found] == ["callcenter/sales"] * 3
    assert [one.name for one in gone] == ["callcenter/sales"]


def test_only_events_are_handled_so_that_users_objects_stay_clean() -> None:
    registry = Intake(lambda _: None, lambda _: None).registry()
    assert len(list(registry._watching.get_all_handlers())) == len(RESOURCES)
    assert not list(registry._changing.get_all_handlers())
    assert not list(registry._spawning.get_all_handlers())
    settings = intake.settings()
    assert settings.networking.request_timeout == 10
    assert not settings.posting.enabled


def test_an_intake_that_was_never_started_is_stuck() -> None:
    assert Intake(lambda _: None, lambda _: None).stuck
