"""Which cluster a command goes to: one whose city is gone keeps nobody waiting."""

import asyncio
from pathlib import Path
from typing import Any, cast

from tandem.api.resources import SHIFT
from tandem.cli.contexts import Clusters, in_first
from tandem.operator.cluster import ApiError, Cluster


class FakeCluster:
    def __init__(self, *, silent: bool = False, refuses: bool = False) -> None:
        self.silent, self.refuses = silent, refuses

    async def get(self, path: str) -> dict[str, Any]:
        if self.silent:
            await asyncio.sleep(60)
        if self.refuses:
            raise ApiError("connection refused")
        return {}


def clusters(**named: FakeCluster) -> Clusters:
    found = Clusters(list(named), [Path("nowhere")])
    found._clusters = cast("dict[str, Cluster]", named)
    found._known = {name: {} for name in named}
    return found


async def steps(found: Clusters) -> list[str]:
    """Where the command was tried, in order; the last of them took it."""
    tried: list[str] = []

    async def step(cluster: Cluster, name: str) -> str:
        tried.append(next(context for context in found.names if found[context] is cluster))
        await cluster.get(name)
        return name

    answer = await in_first(found, SHIFT, "s1", "callcenter", step, nowhere="nowhere")
    assert answer is not None
    assert answer.context == tried[-1]
    return tried


async def test_a_cluster_that_is_silent_is_asked_last() -> None:
    assert await steps(clusters(east=FakeCluster(silent=True), west=FakeCluster())) == ["west"]


async def test_so_is_one_that_refuses_connections() -> None:
    assert await steps(clusters(east=FakeCluster(refuses=True), west=FakeCluster())) == ["west"]


async def test_clusters_that_are_well_are_asked_in_their_order() -> None:
    assert await steps(clusters(west=FakeCluster(), east=FakeCluster())) == ["west"]
