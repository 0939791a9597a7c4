"""The matrix's list of faults."""

import pytest

from tests.matrix.cases import CASES, EITHER, FAILOVER, GIVEN_UP, IN_TESTS, NOTHING, OUTCOMES
from tests.matrix.runner import Result


def test_the_matrix_has_forty_five_cases_and_make_test_twelve_of_them() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 45
    assert len(IN_TESTS) >= 12
    assert set(IN_TESTS) <= set(names)


def test_every_expectation_says_what_may_be_observed() -> None:
    assert {case.expected for case in CASES} <= OUTCOMES.keys()


@pytest.mark.parametrize(
    ("expected", "observed", "broken", "ok"),
    [
        (FAILOVER, FAILOVER, [], True),
        (FAILOVER, FAILOVER, ["call 1 was cut"], False),
        (FAILOVER, NOTHING, [], False),
        (NOTHING, FAILOVER, [], False),
        (GIVEN_UP, FAILOVER, [], False),
        (EITHER, NOTHING, [], True),
        (EITHER, FAILOVER, [], True),
        (EITHER, "3 groups placed anew: n/g", [], False),
        ("Nothing: Held", "Nothing: Held", [], True),
        ("Nothing: Held", NOTHING, [], False),
        (NOTHING, "stopped: the lab is not running", [], False),
    ],
)
def test_a_case_is_good_when_it_came_out_as_it_must_and_nothing_was_broken(
    expected: str, observed: str, broken: list[str], ok: bool
) -> None:
    result = Result("x", expected, observed, 1.0, broken)
    assert result.ok is ok
    assert result.to_json()["ok"] is ok
