"""How long is left is guessed from the pace so far, and not at all where there is none."""

import pytest

from demo.waiting import TimeLeft


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        pytest.param([(0, 0), (2, 100)], ", about 18 s left", id="grows"),
        pytest.param([(0, 200), (4, 100)], ", about 4 s left", id="falls-to-nothing"),
        pytest.param([(0, 0)], "", id="just-begun"),
        pytest.param([(0, 50), (5, 50)], "", id="no-pace"),
        pytest.param([(0, 50), (5, 40)], "", id="away-from-it"),
        pytest.param([(0, 0), (2, 0.001)], "", id="longer-than-anybody-waits"),
    ],
)
def test_the_rest_is_guessed_from_the_pace(steps: list[tuple[float, float]], words: str) -> None:
    now = 0.0
    wanted = 0 if steps[0][1] > 100 else 1000
    left = TimeLeft(lambda: now)
    said = ""
    for now, done in steps:  # noqa: B007
        said = left.words(done, wanted)
    assert said == words


def test_who_has_arrived_waits_for_nothing() -> None:
    now = 0.0
    left = TimeLeft(lambda: now)
    left.words(0, 10)
    now = 5.0
    assert left.words(10, 10) == ""
