"""A real Prometheus (Debian's package), scraping what it is told to."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.support.ports import free_port

START_S: Final = 30.0
"""Longest wait until it serves; 1 s is usual."""
SCRAPE_S: Final = 0.25


def program() -> str:
    """Where it is. Raises AssertionError that says how to get it."""
    found = shutil.which("prometheus", path=os.environ.get("PATH", "") + ":/usr/sbin")
    assert found is not None, "this machine lacks prometheus: `python -m lab tools` installs Debian's package"
    return found


def write_config(folder: Path, jobs: Mapping[str, Sequence[str]], scrape_s: float = SCRAPE_S) -> Path:
    """Its configuration: jobs with their targets, `host:port` each, which serve /metrics."""
    interval = f"{round(scrape_s * 1000)}ms"
    document = {
        "global": {"scrape_interval": interval, "scrape_timeout": interval},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": list(targets)}]} for name, targets in jobs.items()
        ],
    }
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return path


def arguments(folder: Path, config: Path, address: str) -> list[str]:
    """Its command line, with data of its own."""
    return [
        program(),
        f"--config.file={config}",
        f"--storage.tsdb.path={folder / 'data'}",
        "--storage.tsdb.retention.time=1h",
        f"--web.listen-address={address}",
        "--log.level=warn",
    ]


@dataclass
class PrometheusProcess:
    """One server on loopback."""

    folder: Path
    jobs: Mapping[str, Sequence[str]]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Raises: TimeoutError with the end of the log."""
        config = write_config(self.folder, self.jobs)
        log = self.folder / "prometheus.log"
        with log.open("ab") as file:
            self.process = subprocess.Popen(
                arguments(self.folder, config, f"127.0.0.1:{self.port}"), stdout=file, stderr=file
            )
        deadline = time.monotonic() + START_S
        while not self._ready():
            if time.monotonic() > deadline or self.process.poll() is not None:
                raise TimeoutError(f"Prometheus does not serve:\n{log.read_text()[-3000:]}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/-/ready", trust_env=False, timeout=1.0).status_code == 200
        except httpx.HTTPError:
            return False

    def names(self) -> set[str]:
        """Of all metrics that it has."""
        return set(self._get("label/__name__/values"))

    def query(self, query: str) -> list[dict[str, Any]]:
        """The vector that a query gives now."""
        found: list[dict[str, Any]] = self._get("query", query=query)["result"]
        return found

    def _get(self, path: str, **parameters: str) -> Any:
        answer = httpx.get(f"{self.url}/api/v1/{path}", params=parameters, trust_env=False, timeout=10.0)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def freeze(self) -> None:
        """SIGSTOP: connections are taken, and nothing is answered."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        if self.process is not None:
            self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None:
            self.thaw()
            self.process.kill()
            self.process.wait(timeout=10)
            self.process = None
