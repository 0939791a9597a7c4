"""Real Kamailio processes on loopback, started the way the container starts them: through entrypoint.py."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.ports import free_port

SOFTSWITCH = Path(__file__).resolve().parents[3] / "examples" / "callcenter" / "softswitch"
TOKEN = "test-control-token"
START_S = 10.0
GONE_S = 2.0
MODULES = Path("/usr/lib/x86_64-linux-gnu/kamailio/modules"), Path("/usr/lib/aarch64-linux-gnu/kamailio/modules")


def missing() -> str:
    """What this machine lacks to run the softswitch; empty when nothing is missing."""
    lacks = []
    if shutil.which("kamailio", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        lacks.append("the program kamailio (package kamailio)")
    for module in ("evapi", "jansson", "uuid"):
        if not any((directory / f"{module}.so").exists() for directory in MODULES):
            lacks.append(f"Kamailio's module {module} (package kamailio-extra-modules)")
    return "; ".join(lacks)


def loopback_address() -> str:
    """An address of this machine alone that no other test uses; softswitches tell their peer by its address."""
    return f"127.{random.randint(100, 250)}.{random.randint(0, 255)}.{random.randint(1, 254)}"


def _listens(address: tuple[str, int]) -> bool:
    """Whether somebody has this TCP address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError:
            return True
    return False


async def eventually(check: Callable[[], bool], *, within: float, what: str) -> None:
    """Wait until `check` holds, asking ten times a second. Raises: AssertionError with `what` when it never does."""
    for _ in range(round(within * 10)):
        if check():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"not within {within} s: {what}")


@dataclass
class Softswitch:
    """One running softswitch."""

    site: str
    directory: Path
    run_dir: Path
    ip: str = field(default_factory=loopback_address)
    environment: dict[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.sip = (self.ip, free_port(self.ip, socket.SOCK_DGRAM))
        self.http = (self.ip, free_port(self.ip))
        self.evapi = (self.ip, free_port(self.ip))

    @property
    def address(self) -> str:
        return f"{self.sip[0]}:{self.sip[1]}"

    def start(self, *, peer: Softswitch | None = None) -> None:
        """Start it and wait until it answers. Raises: AssertionError with its log when it does not."""
        self.run_dir.mkdir(parents=True, exist_ok=True)
        environment = {
            **os.environ,
            "PATH": os.environ.get("PATH", "") + ":/usr/sbin",
            "TANDEM_SITE": self.site,
            "TANDEM_SYSTEM": "hotel",
            "TANDEM_DIRECTORY": str(self.directory),
            "TANDEM_POD_IP": self.ip,
            "TANDEM_SIP_ADDRESS": self.address,
            "TANDEM_SIP_PORT": str(self.sip[1]),
            "TANDEM_HTTP_PORT": str(self.http[1]),
            "TANDEM_EVAPI_PORT": str(self.evapi[1]),
            "TANDEM_PEER_SIP_ADDRESS": peer.address if peer else "",
            "TANDEM_SIP_SECRET": "test-sip-secret",
            "TANDEM_CONTROL_TOKEN": TOKEN,
            "TANDEM_RUN_DIR": str(self.run_dir),
            **self.environment,
        }
        with self.log_path.open("ab") as log:
            # A session of its own: Kamailio is a dozen processes, and they must end together.
            self.process = subprocess.Popen(
                [sys.executable, str(SOFTSWITCH / "entrypoint.py")],
                env=environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            if self.healthy():
                return
            time.sleep(0.05)
        self.kill()
        raise AssertionError(f"the softswitch did not start:\n{self.log()}")

    def healthy(self) -> bool:
        """Whether it answers on its HTTP port."""
        connection = http.client.HTTPConnection(self.ip, self.http[1], timeout=1)
        try:
            connection.request("GET", "/healthz")
            return connection.getresponse().status == 200
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self) -> None:
        """End it without a word, like `kill -9` of the pod."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            # Its workers hold its ports for a moment longer; whoever starts it again needs them.
            deadline = time.monotonic() + GONE_S
            while time.monotonic() < deadline and any(map(_listens, (self.http, self.evapi))):
                time.sleep(0.01)
            self.process = None

    @property
    def log_path(self) -> Path:
        return self.run_dir / "log"

    def log(self) -> str:
        return self.log_path.read_text(errors="replace")[-8000:]

    def rpc(self, method: str, *params: Any) -> Any:
        """Call a JSON-RPC method the way the engine does. Raises: AssertionError on an error object."""
        body = json.dumps({"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1})
        connection = http.client.HTTPConnection(self.ip, self.http[1], timeout=2)
        try:
            connection.request("POST", "/RPC", body, {"Authorization": f"Bearer {TOKEN}"})
            answer = json.loads(connection.getresponse().read())
        finally:
            connection.close()
        assert "error" not in answer, answer
        return answer["result"]

    def htable(self, table: str, key: str) -> Any:
        return self.rpc("htable.get", table, key)["item"]["value"]
