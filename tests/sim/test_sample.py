"""A sample of the simulation, and that it is what it claims to be: deterministic, and full of moves."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sim.scenario import play

SAMPLE = 60


@pytest.fixture
def quiet() -> Iterator[None]:
    """What the parts log is no part of this, and takes half of the time."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_every_promise_is_kept_over_a_sample_of_seeds(tmp_path: Path) -> None:
    # In a process of its own, as `make sim` does it: a seed that fails here can be played there.
    command = [sys.executable, "-m", "tests.sim", "--seeds", str(SAMPLE), "--processes", "1", "--out", str(tmp_path)]
    done = subprocess.run(command, env={**os.environ, "PYTHONHASHSEED": "0"}, capture_output=True, text=True)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["seeds"] == SAMPLE
    assert report["with_either"] >= SAMPLE / 2, "too few seeds move anybody"
    assert report["with_a_failover"] >= 4
    assert len(report["faults"]) > 15


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("seed", [3, 14, 27])
def test_a_seed_replays_exactly(seed: int) -> None:
    told: list[list[str]] = [[], []]
    digests = {play(seed, said.append).digest for said in told}
    assert told[0] == told[1]
    assert len(told[0]) > 25
    assert len(digests) == 1


def test_a_seed_replays_exactly_in_another_process() -> None:
    command = [sys.executable, "-m", "tests.sim", "--seed", "5"]
    env = {**os.environ, "PYTHONHASHSEED": "0"}
    first, second = (subprocess.run(command, env=env, capture_output=True, text=True).stdout for _ in range(2))
    assert first == second
    assert "digest" in first
