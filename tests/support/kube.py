"""A real kube-apiserver with its etcd on loopback, for contract tests: no kubelet, no controllers, no lab.

Users are known by static tokens, so that a test can ask as alice, as nobody in particular, or as the operator's
service account with exactly the rights that the chart gives it.
"""

import json
import os
import shutil
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from lab import tools
from tests.support.ports import free_port

ADMIN: Final = "admin"
OPERATOR: Final = "system:serviceaccount:tandem-system:tandem"
CORP: Final = "CORP\\ann"
"""A user as a company's directory may name her."""
START_S: Final = 40.0
"""Longest wait for the API server to say that it is ready; 3 s is usual."""

_GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    ADMIN: ("system:masters",),
    "alice": ("system:authenticated",),
    "bob": ("system:authenticated",),
    CORP: ("system:authenticated",),
    OPERATOR: ("system:serviceaccounts", "system:serviceaccounts:tandem-system", "system:authenticated"),
}


_PATHS: Final[Mapping[str, tuple[str, str]]] = {
    "Site": ("/apis/tandem.dev/v1alpha1", "sites"),
    "AgentGroup": ("/apis/tandem.dev/v1alpha1", "agentgroups"),
    "Trunk": ("/apis/tandem.dev/v1alpha1", "trunks"),
    "Shift": ("/apis/tandem.dev/v1alpha1", "shifts"),
    "Drill": ("/apis/tandem.dev/v1alpha1", "drills"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "ConfigMap": ("/api/v1", "configmaps"),
    "Secret": ("/api/v1", "secrets"),
    "Event": ("/api/v1", "events"),
    "Namespace": ("/api/v1", "namespaces"),
    "CustomResourceDefinition": ("/apis/apiextensions.k8s.io/v1", "customresourcedefinitions"),
    "ValidatingAdmissionPolicy": ("/apis/admissionregistration.k8s.io/v1", "validatingadmissionpolicies"),
    "ValidatingAdmissionPolicyBinding": (
        "/apis/admissionregistration.k8s.io/v1",
        "validatingadmissionpolicybindings",
    ),
    "ClusterRole": ("/apis/rbac.authorization.k8s.io/v1", "clusterroles"),
    "ClusterRoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "clusterrolebindings"),
    "Role": ("/apis/rbac.authorization.k8s.io/v1", "roles"),
    "RoleBinding": ("/apis/rbac.authorization.k8s.io/v1", "rolebindings"),
}


class KubectlError(Exception):
    """The API, or kubectl, refused; the message is what it said."""


def path_of(kind: str, name: str = "", namespace: str = "") -> str:
    """Path of an object, or of a list when `name` is empty."""
    api, plural = _PATHS[kind]
    place = f"/namespaces/{namespace}" if namespace and kind != "Namespace" else ""
    return f"{api}{place}/{plural}" + (f"/{name}" if name else "")


@dataclass
class KubeApi:
    """One API server. `start` and `stop` may alternate; the data in `folder` survives."""

    folder: Path
    port: int = field(default_factory=free_port)
    etcd_ports: tuple[int, int] = field(default_factory=lambda: (free_port(), free_port()))
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _client: httpx.Client | None = None

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
        if self._client is not None:
            self._client.close()
            self._client = None
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

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = ADMIN,
        content_type: str = "application/json",
        **query: str,
    ) -> dict[str, Any]:
        """One request to the API: a hundred times quicker than kubectl. Raises: KubectlError with the refusal."""
        headers = {"Authorization": f"Bearer {_token(user)}", "Content-Type": content_type}
        content = None if body is None else json.dumps(body)
        answer = self._http().request(method, path, params=query, content=content, headers=headers)
        found: dict[str, Any] = answer.json()
        if not answer.is_success:
            raise KubectlError(found.get("message", answer.text))
        return found

    def apply(self, *manifests: Mapping[str, Any], user: str = ADMIN) -> None:
        """Server-side apply, refusing unknown fields, as kubectl does. Raises: KubectlError with the refusal."""
        for manifest in manifests:
            metadata = manifest["metadata"]
            path = path_of(manifest["kind"], metadata["name"], metadata.get("namespace", ""))
            content_type = "application/apply-patch+yaml"
            query = {"fieldManager": "kubectl", "force": "true", "fieldValidation": "Strict"}
            self.request("PATCH", path, manifest, user=user, content_type=content_type, **query)

    def create(self, manifest: Mapping[str, Any], *, user: str = ADMIN, **query: str) -> None:
        """As `kubectl create`. Raises: KubectlError with the refusal."""
        path = path_of(manifest["kind"], "", manifest["metadata"].get("namespace", ""))
        self.request("POST", path, manifest, user=user, fieldValidation="Strict", **query)

    def patch(self, kind: str, name: str, namespace: str, body: object, *, subresource: str = "") -> None:
        """JSON merge patch."""
        path = path_of(kind, name, namespace) + (f"/{subresource}" if subresource else "")
        self.request("PATCH", path, body, content_type="application/merge-patch+json")

    def annotate(self, kind: str, name: str, namespace: str, **annotations: str | None) -> None:
        """Set or (None) remove annotations; `allow_delete` stands for `tandem.dev/allow-delete`."""
        named = {f"tandem.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        self.patch(kind, name, namespace, {"metadata": {"annotations": named}})

    def delete(self, kind: str, name: str, namespace: str = "", *, user: str = ADMIN) -> None:
        """Raises: KubectlError with the refusal."""
        self.request("DELETE", path_of(kind, name, namespace), user=user)

    def get(self, kind: str, name: str, namespace: str = "") -> dict[str, Any]:
        """One object. Raises: KubectlError when it is not there."""
        return self.request("GET", path_of(kind, name, namespace))

    def list(self, kind: str, namespace: str = "") -> list[dict[str, Any]]:
        """All objects of a kind, in one namespace or all."""
        items: list[dict[str, Any]] = self.request("GET", path_of(kind, "", namespace))["items"]
        return items

    def _http(self) -> httpx.Client:
        if self._client is None:
            context = ssl.create_default_context(cafile=str(self.folder / "certs" / "apiserver.crt"))
            self._client = httpx.Client(base_url=self.url, verify=context, trust_env=False, timeout=10)
        return self._client

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
