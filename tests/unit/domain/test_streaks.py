"""Streaks: what counts, what does not, and when an observer disqualifies itself."""

import pytest

from tandem.constants import CREDIT_S
from tandem.domain.streaks import Row, Rule, Streak, disqualified, follow, word

RULE = Rule(enough=3, patience=1.25)
PASSES = Streak(True, 1.0)
STALE = Streak(True, 1.0, stale=True)
FAILS = Streak(False, 2.0, "no answer")
NEW_FAILURE = Row(Streak(False, 9.0, "silence"), 1, 5.0)


def row(streak: Streak, measured: int = 1, last: float = 4.5) -> Row:
    return Row(streak, measured, last)


@pytest.mark.parametrize(
    ("before", "ok", "void", "after"),
    [
        pytest.param(None, True, False, Row(Streak(True, 9.0), 1, 5.0), id="first-pass"),
        pytest.param(None, False, False, NEW_FAILURE, id="first-failure"),
        pytest.param(row(PASSES), True, False, Row(PASSES, 2, 5.0), id="goes-on"),
        pytest.param(row(PASSES), False, False, NEW_FAILURE, id="an-edge"),
        pytest.param(row(FAILS), True, False, Row(Streak(True, 9.0), 1, 5.0), id="well-again"),
        pytest.param(row(FAILS), False, False, Row(FAILS, 2, 5.0), id="still-failing-keeps-its-first-word"),
        pytest.param(
            row(FAILS, 2), False, False, Row(Streak(False, 2.0, "no answer", firm=True), 3, 5.0), id="enough-is-firm"
        ),
        pytest.param(row(PASSES, last=0.0), False, True, row(PASSES, last=0.0), id="a-void-probe-accuses-nobody"),
        pytest.param(row(FAILS), False, True, row(FAILS), id="one-void-probe-breaks-no-streak"),
        pytest.param(row(FAILS, last=3.7), False, True, None, id="void-probes-keep-no-accusation-alive"),
        pytest.param(row(FAILS, 2, last=3.7), False, False, NEW_FAILURE, id="after-a-gap-it-counts-anew"),
        pytest.param(None, False, True, None, id="a-void-probe-says-nothing"),
        pytest.param(row(PASSES, last=-5.0), False, True, row(PASSES, last=-5.0), id="praise-stands-for-a-while"),
        pytest.param(row(PASSES, last=-5.01), False, True, row(STALE, last=-5.01), id="and-not-for-ever"),
        pytest.param(row(STALE, last=-9.0), False, True, row(STALE, last=-9.0), id="it-never-becomes-an-accusation"),
        pytest.param(row(STALE, last=-9.0), True, False, Row(Streak(True, 9.0), 1, 5.0), id="answered-again"),
        pytest.param(row(STALE, last=-9.0), False, False, NEW_FAILURE, id="a-failure-after-it-counts-from-one"),
    ],
)
def test_what_one_more_probe_makes_of_a_streak(before: Row | None, ok: bool, void: bool, after: Row | None) -> None:
    assert follow(before, RULE, ok, void, now=9.0, mono=5.0, detail="silence") == after


def test_whether_connections_come_about_turns_with_the_second_failure_that_says_so() -> None:
    """A probe may have been connected a moment before its city died; a full backlog drops one now and then."""
    found, at = None, 5.0
    said: list[tuple[bool, bool]] = []
    for connects in (True, False, True, True, False, True, False, False):
        at += 0.5
        found = follow(found, RULE, ok=False, void=False, now=at, mono=at, detail="silence", connects=connects)
        assert found is not None
        said.append((found.streak.connects, found.streak.firm))
    connects_of, firm_of = zip(*said, strict=True)
    assert connects_of == (False, False, False, True, True, True, True, False)
    assert firm_of == (False, False, *6 * (True,))
    assert found is not None
    assert found.streak.since == 5.5, "it is one streak all along"
    answered = follow(found, RULE, ok=True, void=False, now=10.0, mono=10.0, detail="")
    assert answered == Row(Streak(True, 10.0), 1, 10.0)


def test_that_connections_come_about_is_known_with_the_second_failure() -> None:
    """No later than the accusation is firm: nobody acts on it before."""
    one = follow(None, RULE, ok=False, void=False, now=9.0, mono=5.0, detail="silence", connects=True)
    assert one == Row(Streak(False, 9.0, "silence"), 1, 5.0, otherwise=1)
    two = follow(one, RULE, ok=False, void=False, now=9.5, mono=5.5, detail="silence", connects=True)
    assert two == Row(Streak(False, 9.0, "silence", connects=True), 2, 5.5)


def test_a_word_says_whether_connections_come_about() -> None:
    assert word(Streak(False, 2.0, "no answer", connects=True), "floor").connects


@pytest.mark.parametrize(
    ("interval", "timeout", "confirm_after", "rule"),
    [
        pytest.param(0.5, 0.5, 2.0, Rule(3, 1.25), id="the-usual-pace"),
        pytest.param(1.0, 0.5, 2.0, Rule(2, 2.0), id="slower"),
        pytest.param(0.5, 0.5, 0.5, Rule(2, 1.25), id="never-a-single-failure"),
        pytest.param(0.5, 2.0, 10.0, Rule(3, 2.75), id="patient"),
        pytest.param(0.0, 0.0, 0.0, Rule(3, 0.0), id="no-pace-at-all-stops-nobody"),
    ],
)
def test_the_rule_follows_the_pace(interval: float, timeout: float, confirm_after: float, rule: Rule) -> None:
    assert Rule.of(interval, timeout, confirm_after) == rule


def test_a_slower_pace_gives_more_credit() -> None:
    assert Rule.of(0.5, 0.5, 2.0).credit == CREDIT_S
    assert Rule.of(5.0, 0.5, 10.0).credit == 24.0


@pytest.mark.parametrize(
    ("engines", "before", "expected"),
    [
        pytest.param({}, False, False, id="alone-in-the-world"),
        pytest.param({"west": FAILS, "witness": FAILS}, False, True, id="reaches-nobody"),
        pytest.param({"west": FAILS, "witness": PASSES}, True, False, id="reaches-one"),
        pytest.param({"west": FAILS, "witness": None}, False, False, id="does-not-know-yet"),
        pytest.param({"west": FAILS, "witness": None}, True, True, id="what-it-does-not-know-lifts-nothing"),
        pytest.param({"west": FAILS}, False, True, id="two-locations"),
    ],
)
def test_an_observer_that_reaches_no_other_engine_disqualifies_itself(
    engines: dict[str, Streak | None], before: bool, expected: bool
) -> None:
    assert disqualified(engines, before) == expected
