"""Reading what the agents and the carrier wrote."""

from pathlib import Path

import pytest

from demo.timeline import TimelineReader, parse_call, parse_event

LINE = (
    '{"at": 5.5, "mono": 1.5, "account": "agent0001", "group": "callcenter/x", "event": "signed-in", "site": "west",'
    ' "cause": "ticket", "gap": 0.02, "call": null}'
)


def test_a_line_becomes_an_event() -> None:
    event = parse_event(LINE)

    assert (event.account, event.site, event.cause, event.gap, event.call) == ("agent0001", "west", "ticket", 0.02, "")


def test_a_line_that_is_none_is_shown() -> None:
    with pytest.raises(ValueError, match="agent0001"):
        parse_event('{"account": "agent0001"}')


def test_a_line_still_being_written_is_left_for_the_next_look(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    reader = TimelineReader(path)
    assert reader.read() == []

    path.write_text(LINE + "\n" + LINE[:40])
    assert len(reader.read()) == 1
    with path.open("a") as file:
        file.write(LINE[40:] + "\n")
    assert len(reader.read()) == 1
    assert reader.read() == []


def test_a_call_without_an_end_is_still_going_on() -> None:
    call = parse_call({"id": 7, "number": "8001001", "fate": "active", "placed_at": 1, "answered_at": 2, "agent": "5"})

    assert (call.id, call.answered_at, call.ended_at, call.agent) == ("7", 2, None, "5")
