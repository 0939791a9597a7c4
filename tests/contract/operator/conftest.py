"""A real kube-apiserver with the chart's CRDs, policies and rights; a real etcd; the operator as a process."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tandem.engine.ports import KeyValue
from tandem.store.client import StoreClient
from tests.support.chart import of_kind, render, values
from tests.support.etcd import EtcdCluster
from tests.support.kube import OPERATOR, KubeApi, KubectlError, path_of
from tests.support.ports import free_port

T = TypeVar("T")

_ADMISSION = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
_RIGHTS = ("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")


@pytest.fixture(scope="session")
def kube() -> Iterator[KubeApi]:
    """One API server for all tests, with what the chart installs except pods."""
    folder = Path(tempfile.mkdtemp(prefix="tandem-kube-"))
    api = KubeApi(folder)
    try:
        api.start()
        for namespace in ("tandem-system", "callcenter"):
            api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        credentials = [{"namespace": "callcenter", "secrets": ["carrier-token"]}]
        objects = render(values(credentials=credentials))
        api.apply(*of_kind(objects, "CustomResourceDefinition"))
        api.apply(*of_kind(objects, *_ADMISSION, *_RIGHTS))

        def served(kind: str) -> bool:
            return api.list(kind) == []

        for kind in ("Site", "AgentGroup", "Trunk", "Shift", "Drill"):
            eventually(f"{kind} is served", partial(served, kind))
        yield api
    finally:
        api.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def etcd(tmp_path: Path) -> Iterator[EtcdCluster]:
    cluster = EtcdCluster(tmp_path / "etcd")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@dataclass
class OperatorProcess:
    """The operator of one site as users run it, with the rights of its service account."""

    site: str
    kube: KubeApi
    etcd: EtcdCluster
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    liveness_port: int = field(default_factory=free_port)

    @property
    def log(self) -> str:
        path = self.folder / f"operator-{self.site}.log"
        return path.read_text() if path.exists() else ""

    def start(self) -> None:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "KUBECONFIG": str(self.kube.kubeconfig(OPERATOR)),
            "TANDEM_SITE": self.site,
            "TANDEM_STORE_ENDPOINTS": ",".join(self.etcd.urls()),
            "TANDEM_LIVENESS_PORT": str(self.liveness_port),
            "TANDEM_CREDENTIALS": str(self.folder / "credentials"),
            **self.environment,
        }
        with (self.folder / f"operator-{self.site}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tandem.operator.main"], env=environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def _end(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(timeout=20)
            self.process = None


@pytest.fixture
async def store(etcd: EtcdCluster) -> AsyncIterator[StoreClient]:
    """A client of the test's own store."""
    async with etcd.client() as client:
        yield client


@pytest.fixture
def operator(kube: KubeApi, etcd: EtcdCluster, tmp_path: Path) -> Iterator[Callable[[str], OperatorProcess]]:
    """Starts operators; they end with the test, and the objects they left are removed."""
    started: list[OperatorProcess] = []

    def start(site: str = "east", **environment: str) -> OperatorProcess:
        made = OperatorProcess(site, kube, etcd, tmp_path, environment)
        made.start()
        started.append(made)
        return made

    try:
        yield start
    finally:
        for one in started:
            one.stop()
            print(one.log)
        clean(kube)


def clean(kube: KubeApi) -> None:
    """Remove all of Tandem's objects, in use or not, and what the tests made beside them."""
    for kind in ("Drill", "Shift", "AgentGroup", "Trunk", "Site"):
        for found in kube.list(kind):
            name, namespace = found["metadata"]["name"], found["metadata"].get("namespace", "")
            kube.annotate(kind, name, namespace, allow_delete="true")
            kube.delete(kind, name, namespace)
    for kind in ("Deployment", "HorizontalPodAutoscaler", "ConfigMap", "Secret", "Event"):
        kube.request("DELETE", path_of(kind, "", "callcenter"))
    kube.request("DELETE", path_of("Event", "", "default"))


def eventually(what: str, look: Callable[[], T | None], timeout: float = 15.0) -> T:
    """The first result that is neither None nor False. Raises: AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = look()
        except (KubectlError, KeyError, IndexError) as error:
            last, found = error, None
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {timeout:.0f} s: {what} ({last})")


async def until(what: str, look: Callable[[], Awaitable[T | None]], timeout: float = 15.0) -> T:
    """The first result that is neither None nor False. Raises: AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    last: object = None
    while time.monotonic() < deadline:
        try:
            found = await look()
        except (KubectlError, KeyError, IndexError) as error:
            last, found = error, None
        if found:
            return found
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {timeout:.0f} s: {what} ({last})")


async def read(etcd: EtcdCluster, key: str) -> KeyValue | None:
    async with etcd.client() as store:
        return await store.get(key)


async def everything(store: StoreClient) -> dict[str, int]:
    """Key -> mod revision."""
    found, _ = await store.range("/tandem/v1/")
    return {kv.key: kv.mod_revision for kv in found}


def condition(found: dict[str, Any], kind: str) -> dict[str, Any]:
    """One condition of an object. Raises: KeyError when it is not there."""
    conditions = {one["type"]: one for one in found.get("status", {}).get("conditions", [])}
    one: dict[str, Any] = conditions[kind]
    return one
