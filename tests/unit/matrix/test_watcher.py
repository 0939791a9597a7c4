"""Each invariant of the fault matrix sees what breaks it, and nothing else."""

from typing import Any

import pytest

from tests.matrix.cases import CASES, IN_TESTS
from tests.matrix.watcher import (
    Placement,
    every_bucket_once,
    no_call_is_cut,
    nobody_notices,
    revisions_only_grow,
    sessions_never_overlap,
)


def line(account: str, at: float, event: str, site: str) -> dict[str, Any]:
    return {"account": account, "at": at, "mono": at, "event": event, "site": site}


def placed(revision: int, **ranges: str) -> Placement:
    return Placement("n/g", revision, ranges or {"east": "0-99"}, 0.0)


def test_a_revision_that_falls_is_seen() -> None:
    assert revisions_only_grow([placed(3), placed(5), Placement("n/h", 4, {}, 0.0)]) == []
    assert revisions_only_grow([placed(5), placed(3)]) == ["revision of n/g fell from 5 to 3"]


@pytest.mark.parametrize(
    ("ranges", "good"),
    [
        ({"east": "0-99"}, True),
        ({"east": "0-49,60", "west": "50-59,61-99"}, True),
        ({"east": "0-50", "west": "50-99"}, False),
        ({"east": "0-49", "west": "51-99"}, False),
    ],
)
def test_a_bucket_with_two_doors_or_none_is_seen(ranges: dict[str, str], good: bool) -> None:
    assert (every_bucket_once([Placement("n/g", 7, ranges, 0.0)]) == []) is good


def test_two_sessions_at_once_are_seen_and_one_after_the_other_are_not() -> None:
    before = [line("a", 1, "signed-in", "east")]
    assert sessions_never_overlap([*before, line("a", 2, "lost", "east"), line("a", 3, "signed-in", "west")], 0) == []
    assert sessions_never_overlap([*before, line("a", 3, "signed-in", "west")], 0) == [
        "a was signed in at east and at west"
    ]
    assert sessions_never_overlap([*before, line("a", 3, "signed-in", "west")], since=10) == []


@pytest.mark.parametrize("event", ["released", "lost", "out", "signed-in", "guest"])
def test_whoever_notices_something_is_seen(event: str) -> None:
    diary = [line("a", 5, event, "west"), line("b", 5, event, "west"), line("a", 50, event, "west")]
    assert nobody_notices(diary, frozenset({"a"}), 1, 10) == [f"a of west noticed: {event}"]
    assert nobody_notices([line("a", 5, "call", "west")], frozenset({"a"}), 1, 10) == []


def test_a_call_that_is_cut_is_seen_unless_the_fault_itself_did_it() -> None:
    calls = [
        {"id": "1", "number": "800", "fate": "cut", "ended_at": 5.0, "by": "softswitch-east"},
        {"id": "2", "number": "800", "fate": "cut", "ended_at": 5.0},
        {"id": "3", "number": "800", "fate": "answered", "ended_at": 5.0},
        {"id": "4", "number": "800", "fate": "cut", "ended_at": 0.5},
    ]
    assert no_call_is_cut(calls, 1.0, frozenset({"2"})) == ["call 1 to 800 was cut by softswitch-east"]


def test_the_matrix_has_thirty_cases_and_make_test_twelve_of_them() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 30
    assert len(IN_TESTS) >= 12
    assert set(IN_TESTS) <= set(names)
