"""`kubectl tandem history`: what it asks, what it prints, and whom it believes."""

import asyncio
from typing import Any

import pytest

from tandem.cli.history import first_answer, page, since_of
from tandem.cli.main import history_query, parser
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, MissingError

NOW = 1_764_300_000.0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", 0.0),
        ("90m", NOW - 5400),
        ("1h30m", NOW - 5400),
        ("0.5h", NOW - 1800),
        ("7d", NOW - 7 * 86400),
        ("2w", NOW - 14 * 86400),
        ("2025-11-28T03:00:00Z", 1_764_298_800.0),
        ("2025-11-28T04:00:00+01:00", 1_764_298_800.0),
        ("2025-11-28", 1_764_288_000.0),
    ],
)
def test_since_is_a_time_ago_or_a_moment(text: str, expected: float) -> None:
    assert since_of(text, NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "7", "h", "1h ago", "-1h"])
def test_what_is_no_time_is_named_with_what_is(text: str) -> None:
    with pytest.raises(ConfigError, match="write it like 90m, 7d or 2026"):
        since_of(text, NOW)


def test_the_command_line_becomes_a_question() -> None:
    arguments = parser().parse_args(["history", "--since", "1h", "--site", "east", "--by", "ada", "--limit", "0"])
    asked = history_query(arguments, NOW)
    assert {key: value for key, value in asked.items() if value} == {
        "site": "east",
        "by": "ada",
        "since": f"{NOW - 3600:.3f}",
        "limit": "0",
    }
    assert parser().parse_args(["history"]).limit == 100
    with pytest.raises(ConfigError, match="--limit is -1"):
        history_query(parser().parse_args(["history", "--limit", "-1"]), NOW)


def an_entry(**changes: Any) -> dict[str, Any]:
    return {
        "revision": 4711,
        "at": "2026-11-28T03:23:05.250Z",
        "writtenBy": {"site": "witness", "engine": "e1", "epoch": 12},
        "who": {"kind": "Person", "name": "ada", "shown": "ada"},
        "kind": "Shift",
        "name": "callcenter/night",
        "action": "WaveStarted",
        "reason": "WaveStarted",
        "why": "wave 1 of 3,\nabout 100 agents in all",
        "sites": ["east", "west"],
        "groups": ["callcenter/sales"],
        "placed": ["callcenter/sales"],
        "agents": 100,
        "buckets": 5,
        "shift": "",
        **changes,
    }


def an_answer(*entries: dict[str, Any], left_out: bool = False) -> dict[str, Any]:
    return {"site": "east", "revision": 5000, "leftOut": left_out, "entries": list(entries)}


def test_the_page_is_a_log_with_the_newest_last() -> None:
    hold = an_entry(
        kind="Hold", name="", action="Held", groups=[], agents=0, why="storm (in east)", revision=4800,
        writtenBy={"site": "east", "engine": "operator-x", "epoch": 0},
    )  # fmt: skip
    lines = list(page(an_answer(an_entry(), hold, left_out=True)))
    assert [line.split() for line in lines[:3]] == [
        ["WHEN", "REVISION", "WHO", "OBJECT", "ACTION", "GROUPS", "AGENTS", "WHY"],
        ["2026-11-28", "03:23:05Z", "4711", "ada", "Shift", "callcenter/night", "WaveStarted", "callcenter/sales",
         "100", "wave", "1", "of", "3,", "about", "100", "agents", "in", "all"],
        ["2026-11-28", "03:23:05Z", "4800", "ada", "Hold", "Held", "-", "-", "storm", "(in", "east)"],
    ]  # fmt: skip
    assert lines[3] == "Older ones are left out: --limit shows more, 0 all of them."
    wide = list(page(an_answer(an_entry(groups=["n/a", "n/b"]), hold), wide=True))
    assert "witness/12" in wide[1]
    assert "east/operator" in wide[2]
    assert "  2  " in wide[1]
    assert "east,west" in wide[1]


def test_an_empty_log_says_so() -> None:
    assert list(page(an_answer())) == ["The history has nothing of that kind."]


class Clusters:
    """Clusters that answer after a while, or not at all."""

    def __init__(self, **behaviour: Any) -> None:
        self.names = list(behaviour)
        self._behaviour = behaviour
        self.asked: list[tuple[str, str, dict[str, str]]] = []

    def __getitem__(self, name: str) -> Any:
        clusters = self

        class Cluster:
            async def get(self, path: str, **query: str) -> Any:
                clusters.asked.append((name, path, query))
                seconds, answer = clusters._behaviour[name]
                await asyncio.sleep(seconds)
                if isinstance(answer, Exception):
                    raise answer
                return answer

        return Cluster()


async def test_the_first_answer_will_do_while_a_city_is_dead() -> None:
    clusters = Clusters(
        east=(60, ApiError("never")), west=(0.02, an_answer()), witness=(0, ApiError("its store is silent"))
    )
    async with asyncio.timeout(2):
        answer, troubles = await first_answer(clusters, {"site": "east", "by": ""}, "tandem-system/tandem-operator")  # type: ignore[arg-type]
    assert answer == an_answer()
    assert troubles == {"witness": "its store is silent"}
    path = "/api/v1/namespaces/tandem-system/services/tandem-operator:plan/proxy/v1/history"
    assert sorted(clusters.asked) == [(name, path, {"site": "east"}) for name in ("east", "west", "witness")]


async def test_when_nobody_answers_each_ones_reason_is_known() -> None:
    clusters = Clusters(east=(0, MissingError("not found")), west=(0, ApiError("no route")))
    answer, troubles = await first_answer(clusters, {}, "x/y")  # type: ignore[arg-type]
    assert answer is None
    assert troubles == {"east": "not found: no such Service, or an operator without a history", "west": "no route"}
