"""A sample of the simulation, and that it is what it claims to be: deterministic, and full of moves."""

import logging
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest

from tests.sim.runner import play_some, summary
from tests.sim.scenario import play

SAMPLE = 48


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """What the parts log is no part of this, and takes half of the time."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


def test_every_promise_is_kept_over_a_sample_of_seeds() -> None:
    outcomes = play_some(range(SAMPLE))
    assert [(o.seed, o.said) for o in outcomes if o.broken] == [], "replay one with: make sim SEED=<seed>"
    report = summary(outcomes, 1.0)
    assert report["with_either"] >= len(outcomes) / 2, "too few seeds move anybody"
    assert report["with_a_failover"] >= 5
    assert len(report["faults"]) > 20


@pytest.mark.parametrize("seed", [3, 11])
def test_a_seed_replays_exactly(seed: int) -> None:
    told: list[list[str]] = [[], []]
    digests = {play(seed, said.append).digest for said in told}
    assert told[0] == told[1]
    assert len(told[0]) > 30
    assert len(digests) == 1


def test_a_seed_replays_exactly_in_another_process() -> None:
    with ProcessPoolExecutor(1) as pool:
        (elsewhere,) = pool.submit(play_some, [5]).result()
    assert elsewhere.digest == play(5).digest
