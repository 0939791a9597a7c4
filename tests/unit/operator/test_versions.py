"""The versions that an operator tells of its location."""

from types import SimpleNamespace
from typing import Any

from tandem.domain import keys
from tandem.domain.records import OperatorRecord
from tandem.operator.cluster import ApiError
from tandem.operator.versions import Versions
from tandem.version import VERSION
from tests.unit.operator.test_ready_replicas import Words


class OneCluster:
    def __init__(self) -> None:
        self.version: str | None = "v1.33.1"

    async def get(self, path: str) -> dict[str, Any]:
        assert path == "/version"
        if self.version is None:
            raise ApiError("no answer")
        return {"major": "1", "gitVersion": self.version}


async def test_its_own_version_and_that_of_kubernetes_are_told_and_an_upgrade_is_seen() -> None:
    cluster, words = OneCluster(), Words()
    looker = Versions("east", SimpleNamespace(), cluster, words)  # type: ignore[arg-type]
    cluster.version = None
    await looker.round()
    assert words.said == {keys.operator("east"): OperatorRecord(version=VERSION)}
    cluster.version = "v1.33.1"
    await looker.round()
    assert words.said == {keys.operator("east"): OperatorRecord(version=VERSION, kubernetes="v1.33.1")}
    cluster.version = None
    await looker.round()
    assert words.said[keys.operator("east")].kubernetes == "v1.33.1"  # what does not answer is no other version
    cluster.version = "v1.34.0"
    await looker.round()
    assert words.said[keys.operator("east")].kubernetes == "v1.34.0"
