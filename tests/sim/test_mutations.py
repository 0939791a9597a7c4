"""A simulation that finds nothing proves nothing: broken on purpose, the code is found out.

The quick ones of `mutations.py`; `make sim-mutations` looks for all of them.
"""

import logging
from collections.abc import Iterator

import pytest

from tests.sim.mutations import MUTATIONS, find

QUICK = (
    "words that speak for a city are not heard",
    "agents are released in a call",
    "buckets never finish",
    "a failover moves survivors",
    "agents return by themselves",
    "gates are always open",
    "wanted is not actual: moved",
    "arrivals are not told",
    "a Drill that comes back early leaves its agents there",
    "busy agents are kept silent",
    "agents who are kept silent are rung",
    "a Drill is due again and again",
    "schedules know no time zone",
)
SEEDS = 400


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", QUICK)
def test_a_broken_rule_is_found(name: str) -> None:
    (number,) = (number for number, mutation in enumerate(MUTATIONS) if mutation.name == name)
    mutation, outcome, played, others = find(number, range(SEEDS))
    assert outcome is not None, f"{mutation.name}: not found in {played} seeds, {others or 'nothing else either'}"
