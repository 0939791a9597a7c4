"""Sites, selection of agents, diary and lag: what stands around the agents."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from callcenter.agents.errors import SelectionError, SitesError
from callcenter.agents.floor import check_sites, select
from callcenter.agents.lag import LoopLag
from callcenter.agents.main import main
from callcenter.agents.sites import load_sites, parse_sites
from callcenter.agents.timeline import Timeline
from callcenter.directory import GroupSize, generate, save

HOTEL = {"cti": "http://198.18.0.11:30580/", "sip": "198.18.0.11:30560"}
DIRECTORY = generate(
    [GroupSize("c/a", "hotel", 5), GroupSize("c/b", "hotel", 4), GroupSize("c/f", "flight", 2)],
    cities=["east", "west"],
    realm="callcenter",
    seed="t",
)


def test_sites_keep_the_files_order_and_know_addresses() -> None:
    sites = parse_sites({"west": {"hotel": HOTEL}, "east": {"hotel": HOTEL}})
    assert list(sites) == ["west", "east"]
    assert sites["east"]["hotel"].cti == "http://198.18.0.11:30580"
    assert sites["east"]["hotel"].sip == ("198.18.0.11", 30560)


@pytest.mark.parametrize(
    ("document", "named"),
    [
        ([], "sites must be an object"),
        ({"east": []}, "sites.east"),
        ({"east": {"hotel": "x"}}, "sites.east.hotel"),
        ({"east": {"hotel": {**HOTEL, "cti": "198.18.0.11"}}}, "sites.east.hotel.cti '198.18.0.11'"),
        ({"east": {"hotel": {**HOTEL, "sip": "198.18.0.11:x"}}}, "sites.east.hotel.sip '198.18.0.11:x'"),
    ],
)
def test_wrong_sites_are_refused_by_place_and_value(document: Any, named: str) -> None:
    with pytest.raises(SitesError, match=named):
        parse_sites(document)


def test_a_file_that_is_no_json_is_refused_by_its_name(tmp_path: Path) -> None:
    path = tmp_path / "sites.json"
    path.write_text("{")
    with pytest.raises(SitesError, match=r"sites\.json"):
        load_sites(path)


@pytest.mark.parametrize(
    ("groups", "shard", "expected"),
    [
        pytest.param(None, (0, 1), range(1, 12), id="all"),
        pytest.param(["c/b"], (0, 1), range(6, 10), id="one-group"),
        pytest.param(["c/a", "c/f"], (0, 1), [1, 2, 3, 4, 5, 10, 11], id="two-groups"),
        pytest.param(None, (0, 2), range(1, 12, 2), id="first-half"),
        pytest.param(None, (1, 2), range(2, 12, 2), id="second-half"),
    ],
)
def test_agents_are_selected(groups: list[str] | None, shard: tuple[int, int], expected: Any) -> None:
    assert [int(agent.account[5:]) for agent in select(DIRECTORY, groups, shard)] == list(expected)


@pytest.mark.parametrize(("groups", "shard", "named"), [(["c/x"], (0, 1), "c/x"), (["c/f"], (7, 9), "hold no agent")])
def test_nobody_to_play_is_an_error(groups: list[str], shard: tuple[int, int], named: str) -> None:
    with pytest.raises(SelectionError, match=named):
        select(DIRECTORY, groups, shard)


def test_a_system_without_a_site_is_an_error() -> None:
    sites = parse_sites({"east": {"hotel": HOTEL, "flight": HOTEL}, "west": {"hotel": HOTEL}})
    check_sites([agent for agent in DIRECTORY.agents if agent.system == "hotel"], sites)
    with pytest.raises(SitesError, match=r"flight.*west"):
        check_sites(DIRECTORY.agents, sites)


async def test_the_diary_is_flushed_at_its_end_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "timeline.jsonl"
    async with Timeline(path) as diary:
        diary.note("agent0001", "c/a", "signed-in", "east", cause="fresh", gap=None)
        diary.note("agent0001", "c/a", "call", "east", call="c1")
        assert path.read_text() == ""
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [{k: v for k, v in line.items() if k not in ("at", "mono")} for line in lines] == [
        {"account": "agent0001", "group": "c/a", "event": "signed-in", "site": "east", "cause": "fresh"},
        {"account": "agent0001", "group": "c/a", "event": "call", "site": "east", "call": "c1"},
    ]
    assert lines[0]["mono"] < lines[1]["mono"]
    assert lines[0]["at"] > 1.7e9


async def test_a_diary_goes_on_where_an_earlier_one_ended(tmp_path: Path) -> None:
    path = tmp_path / "timeline.jsonl"
    for event in ("signed-in", "out"):
        async with Timeline(path) as diary:
            diary.note("agent0001", "c/a", event, "east")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["signed-in", "out"]


async def test_a_diary_that_cannot_be_written_for_a_while_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "timeline.jsonl"
    tried = asyncio.Event()
    loop = asyncio.get_running_loop()
    append = Timeline._append

    def full(self: Timeline, lines: list[str]) -> None:
        loop.call_soon_threadsafe(tried.set)
        raise OSError("no space left on device")

    monkeypatch.setattr("callcenter.agents.timeline.FLUSH_INTERVAL", 0.001)
    monkeypatch.setattr(Timeline, "_append", full)
    async with Timeline(path) as diary:
        diary.note("agent0001", "c/a", "signed-in", "east")
        await tried.wait()
        monkeypatch.setattr(Timeline, "_append", append)
        diary.note("agent0001", "c/a", "out", "east")
    assert [json.loads(line)["event"] for line in path.read_text().splitlines()] == ["signed-in", "out"]


def test_lag_is_summed_up() -> None:
    lag = LoopLag()
    for value in [0.001] * 98 + [0.02, 0.5]:
        lag.note(value)
    assert lag.stats() == {"p50": 0.001, "p99": 0.5, "max": 0.5, "worst": 0.5}
    for _ in range(600):
        lag.note(-0.001)
    assert lag.stats() == {"p50": 0.0, "p99": 0.0, "max": 0.0, "worst": 0.5}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        (["--groups", "c/x"], "c/x"),
        (["--shard", "2/2"], "--shard 2/2"),
        (["--home-order", "east"], "--home-order east"),
    ],
)
def test_a_wrong_command_line_ends_with_a_sentence(tmp_path: Path, options: list[str], named: str) -> None:
    save(DIRECTORY, tmp_path / "d.json")
    both = {"hotel": HOTEL, "flight": HOTEL}
    (tmp_path / "s.json").write_text(json.dumps({"east": both, "west": both}))
    files = ["--directory", str(tmp_path / "d.json"), "--sites", str(tmp_path / "s.json")]
    with pytest.raises(SystemExit, match=named):
        main([*files, "--timeline", str(tmp_path / "t"), "--control", "0", *options])
