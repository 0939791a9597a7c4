"""Real etcd clusters on loopback, started as the chart starts them, and what can happen to their members."""

import signal
import ssl
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from demo.certificates import Certificate, authority, sign
from lab import tools
from tandem.store.client import StoreClient
from tests.support.ports import free_port

START_S: Final = 15.0
"""Longest wait for a cluster to have a leader; 1 s is usual."""


@dataclass
class Member:
    """One member: where it listens, and its process while it has one."""

    name: str
    client_url: str
    peer_url: str
    process: subprocess.Popen[bytes] | None = None
    frozen: bool = False


@dataclass
class EtcdCluster:
    """One cluster. A member is known by its number, from 0.

    Args:
        folder: Data, logs and certificates; survives `kill` and `start`.
        size: Members.
        tls: Mutual TLS between members and towards clients, as in a real installation.
    """

    folder: Path
    size: int = 1
    tls: bool = False
    members: list[Member] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        scheme = "https" if self.tls else "http"
        for number in range(self.size):
            client, peer = (f"{scheme}://127.0.0.1:{free_port()}" for _ in range(2))
            self.members.append(Member(f"m{number}", client, peer))

    def start(self, *numbers: int) -> None:
        """Start the members that do not run, or the given ones; returns when each answers and knows a leader.

        Raises: TimeoutError with the end of the log.
        """
        wanted = numbers or range(self.size)
        for number in wanted:
            if self.members[number].process is None:
                self._spawn(self.members[number])
        for number in wanted:
            self.await_leader(number)

    def stop(self) -> None:
        """Kill every member."""
        for number, member in enumerate(self.members):
            if member.process is not None:
                self.kill(number)

    def kill(self, number: int) -> None:
        """What a power cut does to a member: its disk remains."""
        member = self.members[number]
        assert member.process is not None
        member.process.kill()
        member.process.wait(timeout=10)
        member.process, member.frozen = None, False

    def freeze(self, number: int) -> None:
        """Stop a member's process without ending it: its connections stay open and silent."""
        self._signal(number, signal.SIGSTOP)
        self.members[number].frozen = True

    def thaw(self, number: int) -> None:
        self._signal(number, signal.SIGCONT)
        self.members[number].frozen = False

    def heal(self) -> None:
        """Thaw and start whatever is not running; returns when all know a leader."""
        for number, member in enumerate(self.members):
            if member.frozen:
                self.thaw(number)
        self.start()

    @property
    def ca(self) -> Path:
        """The authority that signed this cluster's certificates."""
        return authority(self.folder).certificate

    def urls(self, first: int = 0) -> list[str]:
        """All client URLs, beginning with the member that is local to the asker."""
        urls = [member.client_url for member in self.members]
        return urls[first:] + urls[:first]

    def client(self, first: int = 0, *, only: bool = False) -> StoreClient:
        """A client whose local member is `first`, and which knows no other member when `only`."""
        urls = self.urls(first)[:1] if only else self.urls(first)
        if not self.tls:
            return StoreClient(urls)
        made = self._certificate("client")
        return StoreClient(urls, ca=self.ca, cert=made.certificate, key=made.key)

    def leader(self) -> int:
        """Number of the member that leads. Raises: TimeoutError when there is none for a while."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            for number, member in enumerate(self.members):
                if member.process is not None and not member.frozen:
                    status = self._status(number)
                    if status and status.get("leader") == status.get("header", {}).get("member_id"):
                        return number
            time.sleep(0.05)
        raise TimeoutError("the cluster has no leader")

    def await_leader(self, number: int) -> None:
        """Wait until this member answers linearizable reads. Raises: TimeoutError with the end of its log."""
        member = self.members[number]
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if member.process is None or member.process.poll() is not None:
                break
            if self._healthy(number):
                return
            time.sleep(0.05)
        log = (self.folder / f"{member.name}.log").read_text(errors="replace")[-2000:]
        raise TimeoutError(f"etcd {member.name} is not ready: {log}")

    def compact(self, revision: int) -> None:
        """Forget what was before `revision`."""
        self._ask(0, "POST", "/v3/kv/compaction", {"revision": revision}).raise_for_status()

    def _status(self, number: int) -> dict[str, Any]:
        try:
            answer = self._ask(number, "POST", "/v3/maintenance/status", {})
        except httpx.HTTPError:
            return {}
        return dict(answer.json()) if answer.is_success else {}

    def _healthy(self, number: int) -> bool:
        try:
            return self._ask(number, "GET", "/health").is_success
        except httpx.HTTPError:
            return False

    def _ask(self, number: int, method: str, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        context: ssl.SSLContext | bool = False
        if self.tls:
            made = self._certificate("client")
            context = ssl.create_default_context(cafile=str(self.ca))
            context.load_cert_chain(str(made.certificate), str(made.key))
        with httpx.Client(base_url=self.members[number].client_url, verify=context, trust_env=False) as client:
            return client.request(method, path, json=body, timeout=1.0)

    def _signal(self, number: int, kind: signal.Signals) -> None:
        process = self.members[number].process
        assert process is not None
        process.send_signal(kind)

    def _spawn(self, member: Member) -> None:
        initial = ",".join(f"{each.name}={each.peer_url}" for each in self.members)
        arguments = [
            f"--name={member.name}",
            f"--data-dir={self.folder / member.name}",
            f"--listen-client-urls={member.client_url}",
            f"--advertise-client-urls={member.client_url}",
            f"--listen-peer-urls={member.peer_url}",
            f"--initial-advertise-peer-urls={member.peer_url}",
            f"--initial-cluster={initial}",
            "--initial-cluster-token=tandem-test",
            "--heartbeat-interval=100",
            "--election-timeout=500",
            "--watch-progress-notify-interval=1s",
            "--unsafe-no-fsync=true",
            "--log-level=warn",
            *self._tls_arguments(),
        ]
        with (self.folder / f"{member.name}.log").open("ab") as log:
            member.process = subprocess.Popen(
                [str(tools.path("etcd")), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        member.frozen = False

    def _tls_arguments(self) -> list[str]:
        if not self.tls:
            return []
        made = self._certificate("member")
        arguments = ["--client-cert-auth", "--peer-client-cert-auth"]
        for prefix in ("", "peer-"):
            arguments += [
                f"--{prefix}trusted-ca-file={self.ca}",
                f"--{prefix}cert-file={made.certificate}",
                f"--{prefix}key-file={made.key}",
            ]
        return arguments

    def _certificate(self, name: str) -> Certificate:
        return sign(authority(self.folder), self.folder, name, ["127.0.0.1", "localhost"])
