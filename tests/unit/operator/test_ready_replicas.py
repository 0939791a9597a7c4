"""Ready replicas as the operator tells them: of what is scaled, and only while it can read them."""

from types import SimpleNamespace
from typing import Any

import pytest

from tandem.constants import READY_TTL_S
from tandem.domain import keys
from tandem.domain.records import Record
from tandem.domain.snapshot import Snapshot
from tandem.operator.cluster import ApiError
from tandem.operator.objects import Table
from tandem.operator.ready_replicas import ReadyReplicas
from tests.support.manifests import site, system
from tests.unit.domain.world import World, site_spec
from tests.unit.operator.objects import seen

SCALE = {"mode": "Scale", "agentsPerReplica": 20, "min": 1, "max": 4}
SCALED = {**system()["softswitch"], "scaling": SCALE}
KEY = keys.replicas("east", "hotel")


class OneCluster:
    """Deployments with this many Ready replicas, as long as it answers."""

    def __init__(self) -> None:
        self.ready: dict[str, int | None] = {"cti-hotel": 1, "softswitch-hotel": 2}
        self.answers = True
        self.asked: list[str] = []

    async def get(self, path: str) -> dict[str, Any]:
        self.asked.append(path)
        if not self.answers:
            raise ApiError("no answer")
        ready = self.ready[path.rpartition("/")[2]]
        return {"status": {} if ready is None else {"readyReplicas": ready}}


class Words:
    """What is told now."""

    def __init__(self) -> None:
        self.said: dict[str, Any] = {}

    def say(self, key: str, record: Record) -> None:
        self.said[key] = record

    def unsay(self, key: str) -> None:
        self.said.pop(key, None)


class OverError(Exception):
    """Somebody has looked for long enough."""


class Stage:
    """One operator that looks when it is told to."""

    def __init__(self, **scaled: Any) -> None:
        self.cluster, self.words, self.table, self.now = OneCluster(), Words(), Table(), 100.0
        self.over_at = 0.0
        self.site(**scaled)
        clock = SimpleNamespace(monotonic=lambda: self.now, sleep=self.pause)
        self.view = SimpleNamespace(
            clock=clock, snapshot=Snapshot(revision=1), synced=self, subscribe=lambda *prefixes: self
        )
        self.looker = ReadyReplicas("east", self.table, self.view, self.cluster, self.words)  # type: ignore[arg-type]

    async def wait(self, timeout: float = 0.0) -> None:
        """Of the view's signals: nothing happens."""
        self.now += timeout

    async def pause(self, seconds: float) -> None:
        self.now += seconds
        if self.now >= self.over_at:
            raise OverError

    def site(self, version: str = "7", **scaled: Any) -> None:
        parts: dict[str, Any] = {name: {**system()[name], "scaling": scaling} for name, scaling in scaled.items()}
        self.table.update(seen(site("east", systems=[system(**parts)]), resourceVersion=version))

    async def look(self, after: float = 1.0) -> dict[str, int] | None:
        self.now += after
        await self.looker.round()
        record = self.words.said.get(KEY)
        return record.ready if record is not None else None


async def test_what_is_scaled_is_counted_and_nothing_else() -> None:
    stage = Stage(softswitch=SCALE)
    assert await stage.look() == {"softswitch": 2}
    assert stage.cluster.asked == ["/apis/apps/v1/namespaces/callcenter/deployments/softswitch-hotel"]
    stage = Stage(softswitch=SCALE, cti={**SCALE, "mode": "HPA"})
    assert await stage.look() == {"softswitch": 2, "cti": 1}
    assert await Stage().look() is None


async def test_no_word_in_a_status_is_none_ready() -> None:
    stage = Stage(softswitch=SCALE)
    stage.cluster.ready["softswitch-hotel"] = None
    assert await stage.look() == {"softswitch": 0}


async def test_what_cannot_be_read_stands_for_a_while_and_is_taken_back_then() -> None:
    stage = Stage(softswitch=SCALE)
    await stage.look()
    stage.cluster.answers = False
    assert await stage.look(READY_TTL_S - 1) == {"softswitch": 2}
    assert await stage.look(1.0) is None
    stage.cluster.answers = True
    assert await stage.look() == {"softswitch": 2}


async def looks_in(stage: Stage, seconds: float) -> int:
    """How often it looks in this time."""
    stage.cluster.asked.clear()
    stage.over_at = stage.now + seconds
    with pytest.raises(OverError):
        await stage.looker.run()
    return len(stage.cluster.asked)


async def test_it_looks_more_often_while_agents_of_a_lost_city_wait_for_room() -> None:
    stage = Stage(softswitch=SCALE)
    assert await looks_in(stage, 60.0) <= 13
    world = World()
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=70))
    world.group({"east": 100})
    world.settle()
    world.die("east")
    world.advance(60.0)
    world.settle()
    assert world.placement() == {"west": "0-69", "east": "70-99"}
    stage.view.snapshot = world.snapshot
    assert await looks_in(stage, 60.0) >= 59
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=100))
    world.settle()
    stage.view.snapshot = world.snapshot
    assert await looks_in(stage, 60.0) <= 13, "nobody waits, though the city is not back"


async def test_a_site_that_does_not_scale_any_more_has_nothing_to_tell() -> None:
    stage = Stage(softswitch=SCALE)
    await stage.look()
    stage.site(version="8")
    assert await stage.look() is None


async def test_a_site_that_newer_rules_refuse_is_counted_as_it_is_stored() -> None:
    """An upgrade with narrower bounds must not leave a city without a word on its replicas."""
    stage = Stage(softswitch=SCALE)
    world = World()
    world.publish(keys.SITE, "east", site("east", systems=[system(softswitch=SCALED)])["spec"])
    stage.view.snapshot = world.snapshot
    refused = site("east", systems=[system(softswitch=SCALED)], detection={"interval": "50ms"})
    stage.table.update(seen(refused, resourceVersion="8"))
    assert stage.table.objects["sites", "east"].spec is None
    assert await stage.look() == {"softswitch": 2}
    stage.table.remove(stage.table.objects["sites", "east"])
    stage.words.said.clear()
    assert await stage.look() is None
