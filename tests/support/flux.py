"""Flux: the real kustomize-controller, on a folder of manifests kept in a real Git repository.

The controller is built from its Go module (`lab.tools`). Its source side is not there: source-controller does not build
from the modules that the proxy has, so its part is done here. A commit is packed by `git archive` and served by HTTP,
and the status of a GitRepository says where; kustomize-controller fetches, verifies and applies it as always.

Repository.commit -> Source.publish (archive, GitRepository.status) -> kustomize-controller -> the cluster's API
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final, Self

import yaml

from lab import tools
from lab.commands import run
from lab.errors import CommandError
from tests.support.ports import free_port

VERSION: Final = "v1.9.6"
CHECKSUMS: Final[Mapping[str, str]] = {
    f"github.com/fluxcd/kustomize-controller@{VERSION}": "h1:XB+G3A0mky0j5uVHZWv4oSlS2RvZBoNIUhstIvY0JKE=",
    f"github.com/fluxcd/source-controller@{VERSION}": "h1:nG534/bI6nVpyHra7ONAk6xDB3xPsVT+EOLHZHXPrrc=",
}
"""Where the CRDs come from: the controllers' own sources."""

NAMESPACE: Final = "flux-system"
NAME: Final = "tandem"
MANAGER: Final = "kustomize-controller"
"""The controller's field manager."""

Manifest = Mapping[str, Any]


class Repository:
    """A Git repository in a folder: each file holds manifests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        self._git("init", "--quiet", "--initial-branch=main")

    def commit(self, message: str, **files: Manifest | Sequence[Manifest] | None) -> str:
        """Write (None: remove) `<name>.yaml` for each file and commit. Returns the commit's SHA-1, 40 hex digits."""
        for name, content in files.items():
            path = self.folder / f"{name.replace('_', '-')}.yaml"
            if content is None:
                path.unlink()
            else:
                documents = [content] if isinstance(content, Mapping) else content
                path.write_text(yaml.safe_dump_all(map(dict, documents), sort_keys=False))
        self._git("add", "--all")
        self._git("commit", "--quiet", "--allow-empty", "--message", message)
        return self._git("rev-parse", "HEAD").strip()

    def archive(self, sha: str, target: Path) -> None:
        """The files of a commit as a .tar.gz."""
        self._git("archive", "--format=tar.gz", f"--output={target}", sha)

    def _git(self, *arguments: str) -> str:
        names = {f"GIT_{role}_{what}": "ada" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        # A person's own settings (signatures, hooks) have no say here.
        alone = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
        return run(["git", "-C", str(self.folder), *arguments], env={**os.environ, **names, **alone})


class Source:
    """What source-controller does for a GitRepository, without looking for commits by itself. A context manager."""

    def __init__(self, repository: Repository, folder: Path) -> None:
        self._repository = repository
        self._folder = folder
        folder.mkdir(parents=True)
        self._packing = threading.Lock()
        handler = partial(_Quiet, directory=str(folder))
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, name="artifacts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def artifact(self, sha: str) -> dict[str, Any]:
        """`status.artifact` of a GitRepository at that commit; the archive is there to be fetched."""
        path = self._folder / f"{sha}.tar.gz"
        # Two cities ask for the same commit at once: neither may read what is only half packed.
        with self._packing:
            if not path.exists():
                self._repository.archive(sha, path)
        content = path.read_bytes()
        return {
            "digest": f"sha256:{hashlib.sha256(content).hexdigest()}",
            "lastUpdateTime": _now(),
            "path": path.name,
            "revision": f"main@sha1:{sha}",
            "size": len(content),
            "url": f"http://127.0.0.1:{self._server.server_port}/{path.name}",
        }


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's word
        pass


@dataclass
class Flux:
    """One cluster's Flux. Every method waits for what it asks for; called from a test's thread."""

    kubeconfig: Path
    source: Source
    folder: Path
    """For the log and the archives under way."""
    process: subprocess.Popen[bytes] | None = None
    _asked: int = field(default=0)

    # -- set-up

    def install(self) -> None:
        """Flux's CRDs, its namespace, and a Kustomization of the repository's root that prunes what leaves it."""
        for module, checksum in CHECKSUMS.items():
            crds = tools.source(module, checksum) / "config" / "crd" / "bases"
            self.kubectl("apply", "--server-side", "-f", str(crds))
        kinds = ("gitrepositories.source", "kustomizations.kustomize")
        for kind in kinds:
            self.kubectl("wait", "--for=condition=Established", f"crd/{kind}.toolkit.fluxcd.io", "--timeout=30s")
        metadata = {"name": NAME, "namespace": NAMESPACE}
        self._apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {
                "apiVersion": "source.toolkit.fluxcd.io/v1",
                "kind": "GitRepository",
                "metadata": metadata,
                # Nobody fetches it by this address here: see the head of this module.
                "spec": {"url": "https://git.invalid/callcentre", "interval": "1h", "ref": {"branch": "main"}},
            },
            {
                "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
                "kind": "Kustomization",
                "metadata": metadata,
                "spec": {
                    "sourceRef": {"kind": "GitRepository", "name": NAME},
                    "path": "./",
                    "interval": "1h",  # the tests say when
                    "retryInterval": "1h",
                    "prune": True,
                    "timeout": "30s",
                },
            },
        )

    def uninstall(self) -> None:
        """Remove what `install` made, and nothing that Flux has applied."""
        for kind in ("kustomization", "gitrepository"):
            with contextlib.suppress(CommandError):
                # Its finalizer would prune, and the controller that takes it away has ended.
                patch = '{"metadata": {"finalizers": null}}'
                self.kubectl("patch", f"{kind}/{NAME}", "-n", NAMESPACE, "--type=merge", "-p", patch)
                self.kubectl("delete", f"{kind}/{NAME}", "-n", NAMESPACE, "--ignore-not-found", "--wait=false")

    def start(self) -> None:
        """The controller's process."""
        work = self.folder / "work"
        work.mkdir(parents=True, exist_ok=True)
        flags = [
            f"--metrics-addr=127.0.0.1:{free_port()}",
            f"--health-addr=127.0.0.1:{free_port()}",
            "--enable-leader-election=false",
            "--concurrent=1",
            "--log-level=info",
        ]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.folder),
            "TMPDIR": str(work),
            "KUBECONFIG": str(self.kubeconfig),
            "RUNTIME_NAMESPACE": NAMESPACE,
        }
        with (self.folder / "kustomize-controller.log").open("ab") as log:
            self.process = subprocess.Popen(
                [str(tools.path(MANAGER)), *flags], env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self) -> None:
        """The controller ends, as with its city."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(timeout=10)
            self.process = None
        shutil.rmtree(self.folder / "work", ignore_errors=True)

    # -- what a test asks for

    def publish(self, sha: str, timeout: float = 60.0) -> dict[str, Any]:
        """A commit has been pushed: returns when it is applied. Raises: FluxError with Flux's own words."""
        self.announce(sha)
        return self.reconciled(lambda status: str(status.get("lastAttemptedRevision", "")).endswith(sha), timeout)

    def announce(self, sha: str) -> None:
        """The GitRepository shows a commit; Flux applies it as soon as it likes."""
        status = {
            "artifact": self.source.artifact(sha),
            "observedGeneration": 1,
            "conditions": [
                {
                    "type": "Ready",
                    "status": "True",
                    "reason": "Succeeded",
                    "message": f"stored artifact for main@sha1:{sha}",
                    "lastTransitionTime": _now(),
                    "observedGeneration": 1,
                }
            ],
        }
        self._patch("gitrepository", {"status": status}, "--subresource=status")

    def reconcile(self, timeout: float = 60.0) -> dict[str, Any]:
        """Apply what is there once more, as `flux reconcile` does. Raises: FluxError with Flux's own words."""
        self._asked += 1
        token = f"{_now()}#{self._asked}"
        self._patch("kustomization", {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": token}}})
        return self.reconciled(lambda status: status.get("lastHandledReconcileAt") == token, timeout)

    def reconciled(self, seen: Callable[[Mapping[str, Any]], bool], timeout: float) -> dict[str, Any]:
        """The Kustomization's status once `seen` says that it is about what was asked, and the work is over."""
        deadline = time.monotonic() + timeout
        status: dict[str, Any] = {}
        while time.monotonic() < deadline:
            status = self.get("kustomization").get("status", {})
            conditions = {one["type"]: one for one in status.get("conditions", [])}
            ready = conditions.get("Ready", {})
            if seen(status) and "Reconciling" not in conditions and ready.get("status") == "True":
                return status
            if seen(status) and ready.get("status") == "False":
                raise FluxError(ready["message"])
            time.sleep(0.2)
        raise FluxError(f"not within {timeout:.0f} s: {json.dumps(status)[:2000]}; {self.log[-2000:]}")

    def get(self, kind: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.kubectl("get", kind, NAME, "-n", NAMESPACE, "-o", "json"))
        return found

    @property
    def log(self) -> str:
        path = self.folder / "kustomize-controller.log"
        return path.read_text(errors="replace") if path.exists() else ""

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """Raises: CommandError with what kubectl said."""
        return run([str(tools.path("kubectl")), f"--kubeconfig={self.kubeconfig}", *arguments], stdin=stdin)

    def _apply(self, *objects: Manifest) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", stdin=yaml.safe_dump_all(map(dict, objects)))

    def _patch(self, kind: str, patch: Manifest, *options: str) -> None:
        self.kubectl("patch", kind, NAME, "-n", NAMESPACE, "--type=merge", "-p", json.dumps(patch), *options)


class FluxError(Exception):
    """Flux could not apply a commit; the message is what it says of it."""


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[tuple[Repository, Source]]:
    """An empty repository and the server of its commits."""
    repository = Repository(folder / "repository")
    with Source(repository, folder / "artifacts") as source:
        yield repository, source


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
