"""Releases keep the other city's time: a bounded number of agents is between the cities, whatever goes wrong."""

from callcenter.session.window import PATIENCE, SILENCE, WINDOW, ReleaseWindow


def full(now: float = 100.0) -> ReleaseWindow:
    """A window whose every place is taken at `now`, with a count just heard."""
    window = ReleaseWindow()
    window.arrived("b1", 7, now)
    for _ in range(WINDOW):
        assert window.has_room(now)
        window.released(now)
    assert not window.has_room(now)
    return window


def test_each_arrival_makes_room_for_one_more() -> None:
    window = full()
    window.arrived("b1", 7 + 3, 100.1)
    for _ in range(3):
        assert window.has_room(100.1)
        window.released(100.1)
    assert not window.has_room(100.1)


def test_a_count_told_twice_counts_once() -> None:
    window = full()
    window.arrived("b1", 8, 100.1)
    window.released(100.1)
    window.arrived("b1", 8, 100.2)
    assert not window.has_room(100.2)


def test_a_count_that_comes_late_on_the_other_line_is_not_counted_again() -> None:
    window = full()
    for total in (7 + 2, 7 + 1, 7 + 3):
        window.arrived("b1", total, 100.1)
    for _ in range(3):
        assert window.has_room(100.1)
        window.released(100.1)
    assert not window.has_room(100.1)


def test_arrivals_of_others_make_no_more_room_than_there_is() -> None:
    window = full()
    window.arrived("b1", 7 + 10 * WINDOW, 100.1)
    for _ in range(WINDOW):
        window.released(100.1)
    assert not window.has_room(100.1)


def test_the_count_of_a_cti_that_restarted_begins_anew() -> None:
    window = full()
    window.arrived("b2", 500, 100.1)
    assert not window.has_room(100.1), "how many of these are ours nobody knows"
    window.arrived("b2", 501, 100.2)
    assert window.has_room(100.2)


def test_an_agent_who_never_arrives_does_not_hold_up_the_others_for_long() -> None:
    window = full()
    window.arrived("b1", 7, 100.0 + PATIENCE - 0.1)
    assert not window.has_room(100.0 + PATIENCE - 0.1)
    assert window.has_room(100.0 + PATIENCE)


def test_a_peer_that_does_not_count_holds_up_nobody() -> None:
    window = ReleaseWindow()
    window.arrived("b1", 7, 100.0)
    for _ in range(WINDOW):
        window.released(100.0 + SILENCE - 0.1)
    assert not window.has_room(100.0 + SILENCE)
    assert window.has_room(100.0 + SILENCE + 0.1)
    never_heard = ReleaseWindow()
    for _ in range(2 * WINDOW):
        assert never_heard.has_room(1.0)
        never_heard.released(1.0)
