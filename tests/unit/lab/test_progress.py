"""What is shown of things that take long."""

import pytest

from lab.progress import human, left_s


@pytest.mark.parametrize(
    ("elapsed", "usual", "share", "left"),
    [
        pytest.param(10.0, None, 0.0, None, id="nobody-can-tell"),
        pytest.param(10.0, 30.0, 0.0, 20.0, id="as-long-as-last-time"),
        pytest.param(40.0, 30.0, 0.0, None, id="longer-than-last-time"),
        pytest.param(10.0, None, 0.5, 10.0, id="half-done"),
        pytest.param(1.0, 100.0, 0.5, 99.0, id="too-early-to-trust-the-parts"),
        pytest.param(60.0, 100.0, 0.25, 180.0, id="slower-than-last-time"),
        pytest.param(10.0, None, 1.0, None, id="all-parts-done"),
    ],
)
def test_the_rest_is_estimated_from_parts_or_memory(
    elapsed: float, usual: float | None, share: float, left: float | None
) -> None:
    assert left_s(elapsed, usual, share) == left


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "1 s"), (89.0, "89 s"), (90.0, "2 min"), (350.0, "6 min")])
def test_durations_are_said_as_people_do(seconds: float, text: str) -> None:
    assert human(seconds) == text
