"""A real kube-apiserver with its etcd on loopback, for contract tests: no kubelet, no controllers, no lab.

Users are known by static tokens, so that a test can ask as alice, as nobody in particular, or as the operator's
service account with exactly the rights that the chart gives it.
"""

import json
import os
import shutil
import socket
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from lab import tools

ADMIN: Final = "admin"
OPERATOR: Final = "system:serviceaccount:tandem-system:tandem"
START_S: Final = 40.0
"""Longest wait for the API server to say that it is ready; 3 s is usual."""

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    ADMIN: ("system:masters",),
    "alice": ("system:authenticated",),
    "bob": ("system:authenticated",),
    OPERATOR: ("system:serviceaccounts", "system:serviceaccounts:tandem-system", "system:authenticated"),
}


class KubectlError(Exception):
    """kubectl ended with an error; the message is what it said."""


def free_port() -> int:
    """A TCP port of loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass
class KubeApi:
    """One API server. `start` and `stop` may alternate; the data in `folder` survives."""

    folder: Path
    port: int = field(default_factory=free_port)
    etcd_ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start what does not run; returns when the API server is ready. Raises: TimeoutError with the log's end."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_credentials()
        if "etcd" not in self._processes:
            self._spawn("etcd", self._etcd())
        if "kube-apiserver" not in self._processes:
            self._spawn("kube-apiserver", self._apiserver())
        self._await_ready()

    def stop(self, *names: str) -> None:
        """Kill the named processes, or all: what a power cut does."""
        for name in names or tuple(self._processes):
            process = self._processes.pop(name, None)
            if process is not None:
                process.kill()
                process.wait(timeout=10)

    def kubeconfig(self, user: str = ADMIN) -> Path:
        """Kubeconfig of one user; its context is called `kube`."""
        path = self.folder / f"kubeconfig-{user.replace(':', '-')}"
        cluster = {"server": self.url, "certificate-authority": str(self.folder / "certs" / "apiserver.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "kube",
            "clusters": [{"name": "kube", "cluster": cluster}],
            "users": [{"name": user, "user": {"token": _token(user)}}],
            "contexts": [{"name": "kube", "context": {"cluster": "kube", "user": user}}],
        }
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    def kubectl(self, *arguments: str, user: str = ADMIN, stdin: str | None = None) -> str:
        """Run kubectl and return what it prints. Raises: KubectlError with its message."""
        done = subprocess.run(
            [str(tools.path("kubectl")), f"--kubeconfig={self.kubeconfig(user)}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={"PATH": os.environ.get("PATH", ""), "HOME": str(self.folder)},
        )
        if done.returncode != 0:
            raise KubectlError(done.stderr.strip())
        return done.stdout

    def apply(self, *manifests: Mapping[str, Any], user: str = ADMIN) -> str:
        """`kubectl apply` of the manifests. Raises: KubectlError with the refusal."""
        return self.kubectl("apply", "-f", "-", user=user, stdin=yaml.safe_dump_all(manifests))

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """One object. Raises: KubectlError when it is not there."""
        place = ["-n", namespace] if namespace else []
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, name, *place, "-o", "json"))
        return found

    def install_crds(self, folder: Path) -> None:
        """Apply the CRDs and wait until they are served."""
        self.kubectl("apply", "--server-side", "-f", str(folder))
        self.kubectl("wait", "--for=condition=Established", "--timeout=20s", "-f", str(folder))

    def _write_credentials(self) -> None:
        tokens = self.folder / "tokens.csv"
        if tokens.exists():
            return
        tokens.write_text(
            "".join(f'{_token(user)},{user},{user},"{",".join(groups)}"\n' for user, groups in _GROUPS.items())
        )
        key = self.folder / "sa.key"
        subprocess.run(
            ["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", str(key)],
            check=True,
            capture_output=True,
        )

    def _etcd(self) -> Sequence[str]:
        client, peer = (f"http://127.0.0.1:{port}" for port in self.etcd_ports)
        return (
            f"--data-dir={self.folder / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync=true",
            "--log-level=warn",
        )

    def _apiserver(self) -> Sequence[str]:
        key = self.folder / "sa.key"
        return (
            f"--secure-port={self.port}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--cert-dir={self.folder / 'certs'}",
            f"--etcd-servers=http://127.0.0.1:{self.etcd_ports[0]}",
            f"--token-auth-file={self.folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={key}",
            f"--service-account-signing-key-file={key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            # No controller fills in ServiceAccounts here.
            "--disable-admission-plugins=ServiceAccount",
            "--profiling=false",
        )

    def _spawn(self, name: str, arguments: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(
                [str(tools.path(name)), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )

    def _await_ready(self) -> None:
        deadline = time.monotonic() + START_S
        certificate = self.folder / "certs" / "apiserver.crt"
        request = urllib.request.Request(f"{self.url}/readyz", headers={"Authorization": f"Bearer {_token(ADMIN)}"})
        while time.monotonic() < deadline:
            for name, process in self._processes.items():
                if process.poll() is not None:
                    raise TimeoutError(f"{name} ended: {self._log_end(name)}")
            if certificate.exists():
                try:
                    context = ssl.create_default_context(cafile=str(certificate))
                    with urllib.request.urlopen(request, timeout=2, context=context) as answer:
                        if answer.status == 200:
                            return
                except (OSError, urllib.error.URLError):
                    pass
            time.sleep(0.1)
        raise TimeoutError(f"kube-apiserver is not ready after {START_S:.0f} s: {self._log_end('kube-apiserver')}")

    def _log_end(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]


def _token(user: str) -> str:
    return "token-of-" + user.replace(":", "-")


def remove(folder: Path) -> None:
    """Remove an API server's folder."""
    shutil.rmtree(folder, ignore_errors=True)
