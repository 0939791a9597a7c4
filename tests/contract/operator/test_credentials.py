"""Tokens of carriers and of Drills' alarms: from the Secrets that RBAC names, by files in memory, to the engine."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tandem.api.alarms import Prometheus
from tandem.domain.alarms import token_path
from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.support.kube import KubeApi
from tests.support.manifests import drill, site, trunk

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


def secret(name: str, token: str, server: str = "") -> dict[str, Any]:
    data = {"token": base64.b64encode(token.encode()).decode()}
    annotations = {"tandem.dev/server": server} if server else {}
    metadata = {"name": name, "namespace": "callcenter", "annotations": annotations}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}


def trunk_with(name: str, **reference: str) -> dict[str, Any]:
    return trunk(carrier={"url": "http://198.18.0.31:8080", "credentials": {"name": name, **reference}})


async def readable(kube: KubeApi, status: str) -> dict[str, Any] | None:
    found = condition(await asyncio.to_thread(kube.get, "Trunk", "hotel", "callcenter"), "CredentialsReadable")
    return found if found["status"] == status else None


async def test_a_token_is_handed_to_the_engine_and_to_nobody_else(
    kube: KubeApi, operator: Start, tmp_path: Path
) -> None:
    kube.apply(site("east"), secret("carrier-token", "s3cret"), trunk_with("carrier-token"))
    operator("east")
    await until("the token is handed over", lambda: readable(kube, "True"))
    file = tmp_path / "credentials" / "callcenter" / "carrier-token" / "token"
    assert file.read_text() == "s3cret"
    assert file.stat().st_mode & 0o007 == 0


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        pytest.param(
            {"name": "another-token"}, ("forbidden", "add it to the chart's credentials[].secrets"), id="not-listed"
        ),
        pytest.param(
            {"name": "carrier-token", "key": "password"}, ("has no key 'password'", "add it"), id="no-such-key"
        ),
    ],
)
async def test_a_token_that_cannot_be_read_is_said_on_the_trunk(
    kube: KubeApi, operator: Start, reference: dict[str, str], words: tuple[str, ...]
) -> None:
    kube.apply(site("east"), secret("carrier-token", "a"), secret("another-token", "b"), trunk_with(**reference))
    operator("east")
    found = await until("the complaint", lambda: readable(kube, "False"))
    for word in words:
        assert word in found["message"]


# -- alarms

SERVER = "https://prometheus.monitoring:9090"


def alarmed(url: str = SERVER) -> dict[str, Any]:
    return drill(
        alarms={
            "prometheus": {"url": url, "credentials": {"name": "carrier-token"}},
            "outcome": [{"name": "lost", "query": "lost > 0"}],
        }
    )


def file_of(folder: Path, url: str = SERVER) -> Path:
    server = Prometheus.model_validate({"url": url, "credentials": {"name": "carrier-token"}})
    path = token_path("callcenter", server)
    assert path is not None
    return folder / "credentials" / path


async def said_of_the_drill(kube: KubeApi, status: str) -> dict[str, Any] | None:
    found = condition(await asyncio.to_thread(kube.get, "Drill", "monthly", "callcenter"), "CredentialsReadable")
    return found if found["status"] == status else None


async def test_the_alarms_token_is_handed_over_for_the_server_that_the_secret_names(
    kube: KubeApi, operator: Start, tmp_path: Path
) -> None:
    kube.apply(site("east"), secret("carrier-token", "s3cret", SERVER), alarmed())
    operator("east")
    await until("the token is handed over", lambda: said_of_the_drill(kube, "True"))
    assert file_of(tmp_path).read_text() == "s3cret"
    assert file_of(tmp_path).stat().st_mode & 0o007 == 0


@pytest.mark.parametrize("names", ["", SERVER], ids=["a-carriers", "another-servers"])
async def test_a_drill_gets_no_token_for_a_server_that_the_secret_does_not_name(
    kube: KubeApi, operator: Start, tmp_path: Path, names: str
) -> None:
    thief = "https://thief.example"
    kube.apply(site("east"), secret("carrier-token", "s3cret", names), alarmed(thief))
    operator("east")
    found = await until("the refusal", lambda: said_of_the_drill(kube, "False"))
    for words in (f"is not for {thief}", f"tandem.dev/server is {names or 'missing'}", "whoever owns the token"):
        assert words in found["message"]
    assert not file_of(tmp_path, thief).exists()
