"""The election on a real etcd, by candidates that are frozen and killed as processes are."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tandem.domain.keys import COORDINATOR
from tests.support.etcd import EtcdCluster

pytestmark = [pytest.mark.contract, pytest.mark.slow]

REPOSITORY = Path(__file__).resolve().parents[3]


@dataclass
class Candidate:
    """A candidate's process."""

    site: str
    log: Path
    process: subprocess.Popen[bytes] = field(init=False)

    def start(self, endpoints: list[str]) -> None:
        with self.log.open("ab") as log, self.log.with_suffix(".err").open("ab") as errors:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("candidate.py")), self.site, *endpoints],
                stdout=log,
                stderr=errors,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY / "operator")},
            )

    def signal(self, kind: signal.Signals) -> None:
        self.process.send_signal(kind)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(timeout=10)

    def lines(self) -> list[dict[str, Any]]:
        assert self.process.poll() in (None, -signal.SIGKILL), self.log.with_suffix(".err").read_text()
        return [json.loads(line) for line in self.log.read_text().splitlines() if line.endswith("}")]

    def epochs(self) -> list[int]:
        """Its epochs one after the other; 0: it does not reign."""
        return [line["epoch"] for line in self.lines() if "epoch" in line]

    @property
    def reigns(self) -> bool:
        return bool(self.epochs() and self.epochs()[-1])


@pytest.fixture
def candidates(single: EtcdCluster, tmp_path: Path) -> Iterator[tuple[Candidate, Candidate]]:
    """East reigns, west stands by."""
    east, west = Candidate("east", tmp_path / "east"), Candidate("west", tmp_path / "west")
    try:
        east.start(single.urls())
        wait(lambda: east.reigns, 10)
        west.start(single.urls())
        yield east, west
    finally:
        for candidate in (east, west):
            if hasattr(candidate, "process"):
                candidate.stop()


def wait(condition: Callable[[], object], within: float) -> None:
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within} s"
        time.sleep(0.02)


def test_a_frozen_holder_is_followed_and_knows_it_at_its_first_look(candidates: tuple[Candidate, Candidate]) -> None:
    east, west = candidates
    time.sleep(1.0)  # west has seen who reigns
    assert west.epochs() == []
    [reign] = east.epochs()

    east.signal(signal.SIGSTOP)
    wait(lambda: west.reigns, 6)
    next_reign = west.epochs()[-1]
    assert next_reign > reign
    written = len([line for line in east.lines() if "wrote" in line])
    east.signal(signal.SIGCONT)
    wait(lambda: any(line.get("stale") for line in east.lines()), 5)

    # It stopped by its own clock before it wrote anything, and what it wrote with its old epoch was refused.
    after = [line for line in east.lines() if "wrote" in line][written:]
    assert east.epochs() == [reign, 0]
    assert [line["accepted"] for line in after if line["stale"]] == [False]
    assert not [line for line in after if not line["stale"] and line["accepted"]]
    time.sleep(0.5)
    assert west.epochs() == [next_reign]
    assert all(line["accepted"] for line in west.lines() if "wrote" in line)


def test_a_killed_holder_is_followed_within_lease_and_lag(candidates: tuple[Candidate, Candidate]) -> None:
    east, west = candidates
    time.sleep(1.0)
    east.stop()
    # TTL 2 s, of which up to 0.5 s are gone, and up to 0.5 s until etcd looks; the rest is for a busy machine.
    wait(lambda: west.reigns, 5)
    assert west.epochs()[-1] > east.epochs()[-1]


def test_no_two_reigns_overlap_while_etcd_loses_its_leader(three_plain: EtcdCluster, tmp_path: Path) -> None:
    running = [Candidate(site, tmp_path / site) for site in ("east", "west", "witness")]
    try:
        for number, candidate in enumerate(running):
            candidate.start(three_plain.urls(number))
        wait(lambda: any(candidate.reigns for candidate in running), 10)
        for _ in range(2):
            leader = three_plain.leader()
            three_plain.kill(leader)
            time.sleep(4.0)
            three_plain.start(leader)
        wait(lambda: any(candidate.reigns for candidate in running), 10)
        accepted = sorted(
            (line["revision"], line["wrote"])
            for candidate in running
            for line in candidate.lines()
            if line.get("accepted") and not line["stale"]
        )
        assert accepted
        epochs = [epoch for _, epoch in accepted]
        assert epochs == sorted(epochs)
        assert len([candidate for candidate in running if candidate.reigns]) == 1
    finally:
        for candidate in running:
            candidate.stop()


async def test_the_key_says_who_reigns(candidates: tuple[Candidate, Candidate], single: EtcdCluster) -> None:
    east, _ = candidates
    async with single.client() as client:
        found = await client.get(COORDINATOR)
    assert found is not None
    assert json.loads(found.value) == {"site": "east", "engine": "engine-of-east"}
    assert found.create_revision == east.epochs()[-1]
    assert found.lease
