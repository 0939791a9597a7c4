"""Carriers' tokens: from the Secrets that RBAC names, by files in memory, to the engine."""

import asyncio
import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.contract.operator.conftest import OperatorProcess, condition, until
from tests.support.kube import KubeApi
from tests.support.manifests import site, trunk

pytestmark = [pytest.mark.contract, pytest.mark.slow]

Start = Callable[..., OperatorProcess]


def secret(name: str, token: str) -> dict[str, Any]:
    data = {"token": base64.b64encode(token.encode()).decode()}
    metadata = {"name": name, "namespace": "callcenter"}
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
