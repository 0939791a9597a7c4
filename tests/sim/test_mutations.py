"""A simulation that finds nothing proves nothing: broken on purpose, the code is found out.

One at least for each promise, of the quick ones of `mutations.py`; `make sim-mutations` looks for all of them.
"""

import logging
from collections.abc import Iterator

import pytest

from tests.sim.mutations import MUTATIONS, find
from tests.sim.promises import PROMISES

QUICK = (
    "words that speak for a city are not heard",
    "agents are released in a call",
    "buckets never finish",
    "a failover moves survivors",
    "agents return by themselves",
    "wanted is not actual: moved",
    "arrivals are not told",
    "a Drill that comes back early leaves its agents there",
    "busy agents are kept silent",
    "agents who are kept silent are rung",
    "a Drill is due again and again",
    "schedules know no time zone",
    "a CTI opens with the map of its disk",
    "buckets finish without a report",
    "what Shifts may bring takes no room",
    "nobody is asked",
    "Shifts go on in an emergency",
    "everybody is let in at once",
    "a rule has a defect",
    "two Shifts may have one group",
    "doors are open to everybody",
    "a planned move has no way, and no end",
    "a failed city has no quarantine",
    "an abort in the last moment is not seen",
)
LATER = (
    "a client asks elsewhere at once",
    "a newer map ends sessions",
    "commits do not name their reign",
    "gates are always open",
    "guests have no end",
    "hold is ignored",
    "no city is ever given up",
    "old listings bring back what was deleted",
)
"""These take more than some seconds each: not in the fast loop."""
SEEDS = 400


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    yield
    logging.disable(logging.NOTSET)


def test_each_promise_is_broken_here() -> None:
    broken = {promise for mutation in MUTATIONS if mutation.name in QUICK + LATER for promise in mutation.breaks}
    slow = {"CallsOnlyToValidSessions"}  # three quarters of a minute: only `make sim-mutations` looks for it
    assert broken | slow == {promise for mutation in MUTATIONS for promise in mutation.breaks}


def test_each_promise_is_the_only_one_that_some_mutation_breaks() -> None:
    """Else it could stand beside another one in the list, and never find anything."""
    alone = {mutation.breaks for mutation in MUTATIONS if len(mutation.breaks) == 1}
    assert {(promise.name,) for promise in PROMISES} <= alone


# A story that is broken off in the middle leaves its watches to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("name", [*QUICK, *(pytest.param(name, marks=pytest.mark.slow) for name in LATER)])
def test_a_broken_rule_is_found(name: str) -> None:
    (number,) = (number for number, mutation in enumerate(MUTATIONS) if mutation.name == name)
    mutation, outcome, played, others = find(number, range(SEEDS))
    assert outcome is not None, f"{mutation.name}: not found in {played} seeds, {others or 'nothing else either'}"
