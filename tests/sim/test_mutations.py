"""A simulation that finds nothing proves nothing: broken on purpose, the code is found out.

One at least for each promise, of the quick ones of `mutations.py`; `make sim-mutations` looks for all of them.
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
    "commits do not name their reign",
    "a CTI opens with the map of its disk",
    "a client asks elsewhere at once",
    "buckets finish without a report",
    "what Shifts may bring takes no room",
    "hold is ignored",
    "nobody is asked",
    "a newer map ends sessions",
    "no city is ever given up",
    "Shifts go on in an emergency",
    "guests have no end",
    "everybody is let in at once",
    "a rule has a defect",
    "two Shifts may have one group",
)
SEEDS = 400


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)


def test_each_promise_is_broken_here() -> None:
    broken = {promise for mutation in MUTATIONS if mutation.name in QUICK for promise in mutation.breaks}
    slow = {"CallsOnlyToValidSessions"}  # three quarters of a minute: only `make sim-mutations` looks for it
    assert broken | slow == {promise for mutation in MUTATIONS for promise in mutation.breaks}


# A story that is broken off in the middle leaves its watches to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", QUICK)
def test_a_broken_rule_is_found(name: str) -> None:
    (number,) = (number for number, mutation in enumerate(MUTATIONS) if mutation.name == name)
    mutation, outcome, played, others = find(number, range(SEEDS))
    assert outcome is not None, f"{mutation.name}: not found in {played} seeds, {others or 'nothing else either'}"
