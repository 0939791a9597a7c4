"""New calls a second: whole windows, and nothing made up."""

from tandem.domain.call_rate import CallRate


def rates(*looks: tuple[float, int | None]) -> list[float | None]:
    rate = CallRate()
    found = []
    for at, placed in looks:
        rate.counted(at, placed)
        found.append(rate.a_second)
    return found


def test_a_rate_is_known_after_ten_seconds_and_stands_for_the_next_ten() -> None:
    looks = [(float(second), 100 + 4 * second) for second in range(20)]
    assert rates(*looks) == [None] * 10 + [4.0] * 10


def test_each_window_counts_alone_to_one_decimal() -> None:
    assert rates((0.0, 0), (10.0, 33), (20.0, 33), (32.0, 34)) == [None, 3.3, 0.0, 0.1]


def test_a_window_in_which_nobody_could_look_is_as_long_as_it_was() -> None:
    assert rates((0.0, 0), (40.0, 100))[-1] == 2.5


def test_a_softswitch_that_does_not_count_calls_has_no_rate() -> None:
    assert rates((0.0, 0), (10.0, 20), (11.0, None), (12.0, 30), (22.0, 30)) == [None, 2.0, None, None, 0.0]
