"""The pace of a wave, from the moments at which its agents were released."""

import pytest

from demo.commits import Commit
from tests.bench.paced import wave_starts, waves_of


def releases(start: float, agents: int, pace: float) -> list[float]:
    return [start + number / pace for number in range(agents)]


def test_each_wave_has_its_own_pace() -> None:
    first, second = releases(100.0, 50, 100), releases(103.0, 450, 64)

    waves = waves_of([*second, *first], [99.9, 102.9])

    assert [(wave.number, wave.agents) for wave in waves] == [(1, 50), (2, 450)]
    assert [wave.pace for wave in waves] == pytest.approx([100, 64])
    assert [wave.most for wave in waves] == [50, 64]


def test_who_leaves_after_a_call_does_not_slow_the_wave() -> None:
    talkers = releases(120.0, 150, 2)

    (wave,) = waves_of([*releases(100.0, 350, 100), *talkers], [100.0])

    assert wave.agents == 500
    assert wave.pace == pytest.approx(100)


def test_a_machine_that_stood_still_shows_as_a_pause() -> None:
    (wave,) = waves_of([*releases(100.0, 100, 100), *releases(101.5, 100, 100)], [100.0])

    assert wave.pause == pytest.approx(0.51)


def test_a_wave_too_small_to_have_a_pace_is_left_out() -> None:
    assert waves_of([100.0], [100.0]) == []


def test_a_wave_begins_when_groups_at_rest_are_on_their_way_again() -> None:
    def commit(group: str, at: float, *, leaving: bool) -> Commit:
        return Commit(group, int(at * 10), at, frozenset({"west"} if leaving else ()), frozenset({"east"}), "Shift/s")

    story = [
        commit("sales", 10.0, leaving=True),
        commit("service", 10.0, leaving=True),
        commit("sales", 11.5, leaving=True),  # some of its buckets have arrived
        commit("sales", 12.0, leaving=False),
        commit("service", 14.0, leaving=False),
        commit("sales", 16.0, leaving=True),
        commit("service", 16.1, leaving=True),
    ]

    assert wave_starts(story) == [10.0, 16.0]
