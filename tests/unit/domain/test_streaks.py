"""Streaks, and when an observer disqualifies itself."""

import pytest

from tandem.domain.streaks import Streak, disqualified, follow

PASSES = Streak(True, 1.0)
FAILS = Streak(False, 2.0, "no answer")


@pytest.mark.parametrize(
    ("before", "ok", "void", "after"),
    [
        pytest.param(None, True, False, Streak(True, 9.0), id="first-pass"),
        pytest.param(None, False, False, Streak(False, 9.0, "silence"), id="first-failure"),
        pytest.param(PASSES, True, False, PASSES, id="goes-on"),
        pytest.param(PASSES, False, False, Streak(False, 9.0, "silence"), id="an-edge"),
        pytest.param(FAILS, True, False, Streak(True, 9.0), id="well-again"),
        pytest.param(FAILS, False, False, FAILS, id="still-failing-keeps-its-first-word"),
        pytest.param(PASSES, False, True, PASSES, id="a-void-probe-accuses-nobody"),
        pytest.param(FAILS, False, True, FAILS, id="a-void-probe-breaks-no-streak"),
        pytest.param(None, False, True, None, id="a-void-probe-says-nothing"),
    ],
)
def test_only_an_edge_changes_a_streak(before: Streak | None, ok: bool, void: bool, after: Streak | None) -> None:
    assert follow(before, ok, void, now=9.0, detail="silence") == after


@pytest.mark.parametrize(
    ("engines", "expected"),
    [
        pytest.param({}, False, id="alone-in-the-world"),
        pytest.param({"west": FAILS, "witness": FAILS}, True, id="reaches-nobody"),
        pytest.param({"west": FAILS, "witness": PASSES}, False, id="reaches-one"),
        pytest.param({"west": FAILS, "witness": None}, False, id="does-not-know-yet"),
        pytest.param({"west": FAILS}, True, id="two-locations"),
    ],
)
def test_an_observer_that_reaches_no_other_engine_disqualifies_itself(
    engines: dict[str, Streak | None], expected: bool
) -> None:
    assert disqualified(engines) == expected
