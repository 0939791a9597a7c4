"""Whose turn it is: the more important first, and nobody starves."""

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from callcenter.session.turns import EVERY, SPARE, Turns


def order(turns: Turns[str]) -> list[str]:
    """Let everybody in."""
    came = []
    while turns:
        who = turns.next()
        turns.let_in(who)
        came.append(who)
    return came


def waiting(**priorities: int) -> Turns[str]:
    turns: Turns[str] = Turns()
    for who, priority in priorities.items():
        turns.join(who, priority)
    return turns


@pytest.mark.parametrize(
    ("turns", "expected"),
    [
        pytest.param(waiting(a=1, b=1, c=1), "abc", id="first-come-first-served"),
        pytest.param(waiting(a=1, b=3, c=2), "bca", id="higher-comes-first"),
        pytest.param(waiting(a=0, b=1000, c=0, d=1000), "bdac", id="within-a-priority-in-order-of-coming"),
        pytest.param(waiting(a=1, b=9, c=9, d=9, e=9, f=9, g=9), "bcdeafg", id="the-fifth-place-is-for-the-oldest"),
        pytest.param(waiting(), "", id="nobody"),
    ],
)
def test_who_comes_first(turns: Turns[str], expected: str) -> None:
    assert "".join(order(turns)) == expected


def test_who_asks_again_keeps_the_place_and_who_left_has_none() -> None:
    turns = waiting(a=1, b=1, c=1)
    turns.join("a", 1)
    turns.leave("b")
    turns.leave("b")
    turns.leave("nobody")
    turns.join("b", 1)
    assert order(turns) == ["a", "c", "b"]


def test_a_change_of_priority_counts_for_those_who_wait_and_not_from_when() -> None:
    turns = waiting(a=5, b=1, c=5, d=1)
    turns.rank("b", 5)
    turns.rank("a", 1)
    turns.rank("a", 5)
    turns.rank("a", 5)
    assert list(turns) == ["a", "b", "c", "d"]
    assert order(turns) == ["a", "b", "c", "d"]


def test_nobody_waits_is_an_error_and_not_somebody() -> None:
    with pytest.raises(IndexError):
        waiting().next()


@pytest.mark.parametrize("ahead", [0, 1, 7])
def test_under_an_endless_stream_of_more_important_ones_everybody_gets_in(ahead: int) -> None:
    turns: Turns[str] = Turns()
    for n in range(ahead):
        turns.join(f"before-{n}", 0)
    turns.join("last", 0)
    for n in range(EVERY * (ahead + 1)):
        turns.join(f"important-{n}", 1000)
        turns.join(f"and-another-{n}", 1000)
        turns.let_in(turns.next())
    assert "last" not in list(turns)


def test_the_important_lose_one_place_in_so_many_and_no_more() -> None:
    turns: Turns[str] = Turns()
    for n in range(1000):
        turns.join(f"usual-{n}", 100)
    for n in range(400):
        turns.join(f"important-{n}", 200)
    first = order(turns)[:500]
    assert sum(who.startswith("important") for who in first) == 500 * (EVERY - 1) // EVERY


def test_those_who_withdrew_are_forgotten_and_cost_the_next_nothing() -> None:
    """A client that cannot make up its mind behind ten thousand others, and then all of those."""
    turns: Turns[int] = Turns()
    for n in range(10_000):
        turns.join(n, 100)
    for _ in range(100_000):
        turns.join(-1, 50)
        turns.leave(-1)
    assert len(turns._ranking) <= 2 * len(turns) + SPARE
    for n in range(9_999):
        turns.leave(n)
    assert len(turns) == 1
    assert len(turns._ranking) <= 2 + SPARE
    assert turns.next() == 9_999


@dataclass
class Plain:
    """The same in the plainest way, each step over everybody."""

    people: list[tuple[int, int]] = field(default_factory=list)
    """(who, priority) in order of coming."""
    let_in: int = 0

    def next(self) -> int:
        if (self.let_in + 1) % EVERY == 0:
            return self.people[0][0]
        return max(self.people, key=lambda person: person[1])[0]  # the first of the highest


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["join", "join", "join", "leave", "rank", "in", "in"]), st.integers(0, 12), st.integers(0, 3)
    ),
    max_size=200,
)


@settings(deadline=None)
@given(STEPS)
def test_it_is_always_the_turn_of_whom_the_plain_rule_names(steps: list[tuple[str, int, int]]) -> None:
    turns, plain = Turns[int](), Plain()
    for step, who, priority in steps:
        there = any(who == one for one, _ in plain.people)
        match step:
            case "join":
                turns.join(who, priority)
                plain.people += [] if there else [(who, priority)]
            case "leave":
                turns.leave(who)
                plain.people = [person for person in plain.people if person[0] != who]
            case "rank" if there:
                turns.rank(who, priority)
                plain.people = [(one, priority if one == who else old) for one, old in plain.people]
            case "in" if plain.people:
                turns.let_in(turns.next())
                plain.people = [person for person in plain.people if person[0] != plain.next()]
                plain.let_in += 1
        assert list(turns) == [one for one, _ in plain.people]
        assert len(turns) == len(plain.people)
        if plain.people:
            assert turns.next() == plain.next()
