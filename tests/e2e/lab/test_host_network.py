"""What Tandem's store needs of the lab: a pod on the node's own network, and a folder that a power-off leaves alone."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from lab.addresses import CITIES
from lab.interface import Lab
from tests.e2e.lab import whoami

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

CITY = "witness"
URL = f"http://{CITIES[CITY].address}:31979"
"""Not the store's own port: a Tandem that is installed may hold that."""

POST = """
import sys, urllib.request
request = urllib.request.Request(sys.argv[1], sys.argv[2].encode(), {"Content-Type": "application/json"})
print(urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=2).read().decode())
"""


@pytest_asyncio.fixture(loop_scope="session")
async def member(lab: Lab) -> AsyncIterator[Lab]:
    """An etcd with fsync in a hostNetwork pod of one city, its data in a folder of that city."""
    await lab.load("tandem/etcd:dev", CITY)
    command = [
        "/usr/local/bin/etcd",
        "--data-dir=/data/member",
        f"--listen-client-urls={URL}",
        f"--advertise-client-urls={URL}",
        "--listen-peer-urls=http://127.0.0.1:31980",
    ]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "lab-member"},
        "spec": {
            "hostNetwork": True,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "etcd",
                    "image": "tandem/etcd:dev",
                    "command": command,
                    "volumeMounts": [{"name": "data", "mountPath": "/data"}],
                }
            ],
            "volumes": [
                {"name": "data", "hostPath": {"path": str(lab.volume(CITY, "lab-member")), "type": "Directory"}}
            ],
        },
    }
    await whoami.kubectl(lab, CITY, "apply", "-f", "-", stdin=json.dumps(pod))
    await whoami.kubectl(lab, CITY, "wait", "--for=condition=Ready", "pod/lab-member", "--timeout=60s")
    yield lab
    await whoami.kubectl(lab, CITY, "delete", "pod", "lab-member", "--wait")


async def post(lab: Lab, log: Path, path: str, body: dict[str, str]) -> dict[str, Any] | None:
    """One call from another city to the member's JSON gateway; None while it does not answer."""
    said = await whoami.output(lab, log, at="east", command=[sys.executable, "-c", POST, URL + path, json.dumps(body)])
    last = said.strip().splitlines()[-1] if said.strip() else ""
    return json.loads(last) if last.startswith("{") else None


async def until_answered(lab: Lab, log: Path, path: str, body: dict[str, str]) -> dict[str, Any]:
    deadline = time.monotonic() + 60
    while (answer := await post(lab, log, path, body)) is None:
        assert time.monotonic() < deadline, f"no answer; see {log}"
        await asyncio.sleep(0.2)
    return answer


async def test_a_member_of_the_store_keeps_its_data_through_a_power_off(member: Lab, tmp_path: Path) -> None:
    key, value = "a2V5", "dmFsdWU="  # base64 of `key` and `value`
    put = await until_answered(member, tmp_path / "put", "/v3/kv/put", {"key": key, "value": value})
    assert int(put["header"]["revision"]) > 1

    await member.faults.kill_city(CITY)
    assert await post(member, tmp_path / "dead", "/v3/kv/range", {"key": key}) is None
    await member.faults.restore_city(CITY)

    got = await until_answered(member, tmp_path / "range", "/v3/kv/range", {"key": key})
    assert [kv["value"] for kv in got["kvs"]] == [value]
