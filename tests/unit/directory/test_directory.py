"""The directory is the same data in both cities: same input, same agents; one answer to "who is this?"."""

import gzip
import json
from dataclasses import replace
from pathlib import Path

import pytest

from callcenter.directory import (
    MOST_AGENTS,
    Directory,
    DirectoryError,
    GroupSize,
    bucket,
    generate,
    ha1,
    ha1_rows,
    load,
    parse,
    save,
)
from tandem.domain.probe_agents import probe_agent

SIZES = [GroupSize("callcenter/hotel-north-sales", "hotel", 3), GroupSize("callcenter/flight-south", "flight", 2)]


def a_directory(sizes: list[GroupSize] = SIZES, seed: str = "test") -> Directory:
    return generate(sizes, cities=["east", "west"], realm="callcenter", seed=seed)


def test_the_first_agent_is_the_one_that_the_contract_shows() -> None:
    first = a_directory().agents[0]
    assert (first.account, first.group, first.system) == ("agent0001", "callcenter/hotel-north-sales", "hotel")
    assert (first.virtual_id, first.mac) == ("V000001", "02:00:00:00:00:01")
    assert first.extensions == {"east": "510001", "west": "610001"}


def test_each_city_owns_a_pool_of_numbers_that_no_other_city_hands_out() -> None:
    assert a_directory().pools == {"east": (100000, 199999), "west": (200000, 299999)}


def test_the_bucket_of_an_account_is_the_contracts_and_ignores_case() -> None:
    assert bucket("agent0001") == bucket("AGENT0001") == 27


def test_ten_thousand_accounts_spread_over_all_buckets() -> None:
    counts = [0] * 100
    for n in range(10_000):
        counts[bucket(f"agent{n:05d}")] += 1
    assert min(counts) > 60
    assert max(counts) < 145


def test_the_same_groups_give_the_same_agents_and_another_seed_other_passwords() -> None:
    assert a_directory() == a_directory()
    ours, theirs = a_directory().agents[0], a_directory(seed="other").agents[0]
    assert ours.password != theirs.password
    assert ours == replace(theirs, password=ours.password)


def test_nothing_is_handed_out_twice_among_ten_thousand() -> None:
    directory = a_directory([GroupSize("callcenter/many", "hotel", 10_000)])
    assert len({a.mac for a in directory.agents}) == 10_000
    assert len({a.virtual_id for a in directory.agents}) == 10_000
    assert len({extension for a in directory.agents for extension in a.extensions.values()}) == 20_000
    assert directory.agents[-1].account == "agent10000"


@pytest.mark.parametrize(
    ("sizes", "cities", "words"),
    [
        pytest.param([*SIZES, SIZES[0]], ["east"], "listed twice", id="group-listed-twice"),
        pytest.param([GroupSize("a/b", "hotel", 0)], ["east"], "at least 1", id="group-without-agents"),
        pytest.param([GroupSize("a/b", "hotel", MOST_AGENTS + 1)], ["east"], "extensions for", id="too-many"),
        pytest.param(SIZES, ["east", "east"], "cities", id="city-named-twice"),
        pytest.param(SIZES, [], "cities", id="no-city"),
    ],
)
def test_generating_refuses_what_cannot_be_served(sizes: list[GroupSize], cities: list[str], words: str) -> None:
    with pytest.raises(DirectoryError, match=words):
        generate(sizes, cities=cities, realm="callcenter", seed="test")


def test_the_last_agent_that_fits_has_an_extension_of_the_own_city() -> None:
    directory = a_directory([GroupSize("a/b", "hotel", MOST_AGENTS)])
    assert int(directory.agents[-1].extensions["east"]) < 600_000


def test_ha1_is_the_digest_of_rfc_2617() -> None:
    # The example of RFC 2617 section 3.5.
    assert ha1("Mufasa", "testrealm@host.com", "Circle Of Life") == "939e7578ed9e3c518a452acee763bce9"


def test_a_softswitch_knows_the_phones_of_its_own_city_and_system_only() -> None:
    directory = a_directory()
    rows = ha1_rows(directory, city="west", system="flight")
    assert [extension for extension, _ in rows] == ["610004", "610005"]
    agent = directory.agents[3]
    assert rows[0][1] == ha1("610004", "callcenter", agent.password)


@pytest.mark.parametrize(("city", "system"), [("north", "hotel"), ("east", "train")])
def test_a_softswitch_for_an_unknown_city_or_system_is_refused(city: str, system: str) -> None:
    with pytest.raises(DirectoryError, match="has no"):
        ha1_rows(a_directory(), city=city, system=system)


@pytest.mark.parametrize("name", ["directory.json", "directory.json.gz"])
def test_what_was_saved_is_loaded_again(tmp_path: Path, name: str) -> None:
    save(a_directory(), tmp_path / name)
    assert load(tmp_path / name) == a_directory()


def test_saving_twice_gives_equal_bytes_so_a_configmap_does_not_change(tmp_path: Path) -> None:
    save(a_directory(), tmp_path / "a.gz")
    save(a_directory(), tmp_path / "b.gz")
    assert (tmp_path / "a.gz").read_bytes() == (tmp_path / "b.gz").read_bytes()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"not gzip", id="not-gzipped"),
        pytest.param(gzip.compress(b"{"), id="not-json"),
        pytest.param(gzip.compress(b"{}"), id="nothing-in-it"),
        pytest.param(gzip.compress(json.dumps({"realm": "r", "pools": {}, "agents": [{}]}).encode()), id="empty-agent"),
    ],
)
def test_a_broken_file_is_named_as_such(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "directory.json.gz").write_bytes(content)
    with pytest.raises(DirectoryError):
        load(tmp_path / "directory.json.gz")


@pytest.mark.parametrize("field", ["account", "mac"])
def test_two_agents_with_one_account_or_mac_are_refused(field: str) -> None:
    document = a_directory().to_json()
    document["agents"][1][field] = document["agents"][0][field].upper()
    with pytest.raises(DirectoryError, match="belongs to both"):
        parse(document)


def test_agents_are_found_by_account_and_mac_in_any_case() -> None:
    directory = a_directory()
    assert directory.by_account["agent0002"] is directory.by_mac["02:00:00:00:00:02"]


# -- Tandem's test agents


def with_observers(*observers: str) -> Directory:
    return generate(SIZES, cities=["east", "west"], realm="callcenter", seed="test", observers=observers)


def test_each_location_gets_a_test_agent_in_each_system_and_nobody_else_changes() -> None:
    directory = with_observers("east", "west", "witness")
    people, testers = directory.agents[:5], directory.agents[5:]
    assert people == a_directory().agents
    assert [(agent.system, agent.group) for agent in testers] == [
        (system, f"tandem-probe/{location}")
        for system in ("hotel", "flight")
        for location in ("east", "west", "witness")
    ]
    assert {agent.is_test for agent in people} == {False}
    assert {agent.is_test for agent in testers} == {True}


def test_a_test_agent_is_the_one_that_the_contract_shows() -> None:
    agent = with_observers("east").agents[5]
    assert (agent.account, agent.mac) == ("tandem-probe.hotel.east", "06:62:9e:4d:75:61")
    assert agent.extensions == {"east": "0510001", "west": "0610001"}


def test_the_engine_knows_the_test_agents_by_the_same_rule() -> None:
    for agent in with_observers("east", "witness").agents[5:]:
        location = agent.group.partition("/")[2]
        known = probe_agent(agent.system, location)
        assert (known.account, known.mac, known.group) == (agent.account, agent.mac, agent.group)
        assert known.number == f"tandem-probe.{location}"


def test_a_softswitch_knows_the_test_phones_of_its_system() -> None:
    rows = ha1_rows(with_observers("east", "west"), city="west", system="flight")
    assert [extension for extension, _ in rows] == ["610004", "610005", "0610003", "0610004"]


def test_people_cannot_be_in_the_test_agents_namespace() -> None:
    with pytest.raises(DirectoryError, match="test agents"):
        a_directory([GroupSize("tandem-probe/east", "hotel", 1)])
