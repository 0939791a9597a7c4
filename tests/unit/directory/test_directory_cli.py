"""`callcenter-directory` writes the directory, or says which entry of groups.yaml is wrong."""

from pathlib import Path

import pytest

from callcenter.directory import load
from callcenter.directory_cli import main

GROUPS = """
groups:
  - {group: callcenter/hotel-north-sales, system: hotel, agents: 2}
  - {group: callcenter/flight-north, system: flight, agents: 1}
"""


def run(tmp_path: Path, groups: str, out: str = "directory.json.gz") -> int:
    (tmp_path / "groups.yaml").write_text(groups)
    return main(["--groups", str(tmp_path / "groups.yaml"), "--out", str(tmp_path / out)])


def test_groups_become_a_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, GROUPS) == 0
    directory = load(tmp_path / "directory.json.gz")
    assert [agent.account for agent in directory.agents] == ["agent0001", "agent0002", "agent0003"]
    assert directory.realm == "callcenter"
    assert "3 agents in 2 groups" in capsys.readouterr().out


def test_realm_and_cities_can_be_named(tmp_path: Path) -> None:
    assert run(tmp_path, "realm: example\ncities: [north, south]\n" + GROUPS) == 0
    directory = load(tmp_path / "directory.json.gz")
    assert directory.realm == "example"
    assert list(directory.pools) == ["north", "south"]


def test_observers_get_test_agents_and_are_not_counted_as_people(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "observers: [east, witness]\n" + GROUPS) == 0
    directory = load(tmp_path / "directory.json.gz")
    assert next(agent.account for agent in directory.agents if agent.is_test) == "tandem-probe.hotel.east"
    assert "3 agents in 2 groups, and 4 test agents" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        pytest.param("[]", "list `groups`", id="no-groups"),
        pytest.param("groups: [{group: a/b, system: hotel}]", "entry 1", id="without-a-count"),
        pytest.param("groups: [{group: a/b, system: hotel, agents: many}]", "must be a number", id="count-no-number"),
        pytest.param("colour: red\n" + GROUPS, "colour", id="unknown-field"),
        pytest.param("groups: {", "groups.yaml", id="not-yaml"),
        pytest.param("observers: east\n" + GROUPS, "`observers`", id="observers-no-list"),
        pytest.param("observers: [East.1]\n" + GROUPS, "`observers`", id="observer-no-name"),
        pytest.param("observers: [east, east]\n" + GROUPS, "twice", id="observer-named-twice"),
    ],
)
def test_a_wrong_list_is_refused_with_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], groups: str, words: str
) -> None:
    assert run(tmp_path, groups) == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "directory.json.gz").exists()
