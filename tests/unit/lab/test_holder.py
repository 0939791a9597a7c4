"""Whoever finds the names taken is told by whom; a stale record holds nothing."""

import json
import os
from dataclasses import asdict, replace

import pytest

from lab import holder
from lab.errors import NamesHeldError
from lab.holder import Holder
from lab.processes import own_id

ME = own_id()
MINE = holder.ourselves()
FOREIGN = replace(MINE, checkout="/somewhere/else", pid=2**22 + 1, started=1, since=0.0, command="python -m lab up")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """What the machine shows: a record and the living processes."""
    state: dict[str, object] = {"record": None, "alive": []}
    monkeypatch.setattr(holder, "read", lambda: state["record"])
    monkeypatch.setattr(holder, "living_processes", lambda: state["alive"])
    return state


def test_a_record_survives_writing_and_reading() -> None:
    assert holder.parse(json.dumps(asdict(MINE))) == MINE


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1, "unknown": 2}'])
def test_a_broken_record_is_none(text: str) -> None:
    assert holder.parse(text) is None


def test_our_own_record_is_ours_and_its_starter_lives() -> None:
    assert holder.is_ours(MINE)
    assert MINE.starter_alive
    assert not replace(MINE, started=ME.started - 1).starter_alive, "a reused pid is somebody else"
    assert not holder.is_ours(FOREIGN)
    assert not holder.is_ours(replace(MINE, state="/another/cache"))


def test_somebody_elses_living_lab_is_named_with_pid_time_and_command(found: dict[str, object]) -> None:
    found.update(record=FOREIGN, alive=[os.getpid()])
    with pytest.raises(NamesHeldError) as error:
        holder.refuse_foreign()
    for part in (FOREIGN.checkout, str(FOREIGN.pid), "19", "python -m lab up", f"pid {os.getpid()}", "--force"):
        assert part in str(error.value)


def test_somebody_who_is_starting_one_just_now_holds_the_names_too(found: dict[str, object]) -> None:
    found.update(record=replace(FOREIGN, pid=ME.pid, started=ME.started), alive=[])
    with pytest.raises(NamesHeldError):
        holder.refuse_foreign()


@pytest.mark.parametrize(
    ("record", "alive"),
    [
        pytest.param(None, [], id="nobody"),
        pytest.param(FOREIGN, [], id="stale"),
        pytest.param(MINE, [os.getpid()], id="ours"),
    ],
)
def test_names_that_nobody_else_holds_are_free(
    found: dict[str, object], record: Holder | None, alive: list[int]
) -> None:
    found.update(record=record, alive=alive)
    holder.refuse_foreign()


def test_force_takes_them(found: dict[str, object]) -> None:
    found.update(record=FOREIGN, alive=[os.getpid()])
    holder.refuse_foreign(force=True)


def test_a_stale_record_is_not_described_as_a_holder() -> None:
    assert holder.describe(FOREIGN, []) == ""
    assert "without a record" in holder.describe(None, [os.getpid()])
