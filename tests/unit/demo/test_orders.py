"""The moves of the demo, the people in them and where their floors connect to."""

from pathlib import Path

from demo import people
from demo.floors import addresses
from demo.orders import story
from demo.quickstart import documents, load


def test_the_story_moves_a_skill_group_a_region_and_a_system_there_and_home_again() -> None:
    moves = story(load())

    assert [(move.name, move.agents, move.to) for move in moves] == [
        ("everyone, idle, to west", 1000, "west"),
        ("everyone, idle, home", 1000, "east"),
        ("skill group sales to west", 400, "west"),
        ("skill group sales home", 400, "east"),
        ("region south to west", 400, "west"),
        ("region south home", 400, "east"),
        ("system hotel to west", 500, "west"),
        ("system hotel home", 500, "east"),
    ]
    assert {move.name for move in moves if not move.with_calls} == {"everyone, idle, to west", "everyone, idle, home"}


def test_each_move_is_one_file_that_says_the_same() -> None:
    quickstart = load()
    for move in story(quickstart):
        manifests = list(documents(move.file))
        if move.shift:
            (shift,) = manifests
            assert move.shift == shift["metadata"]["name"]
            assert shift["spec"]["to"] == move.to
            chosen = {
                key: value
                for key, value in shift["spec"]["selector"].items()
                if key in {"system", "region", "skillGroup"}
            }
            home = shift["spec"]["selector"]["labels"]["home"]
            assert quickstart.choose(home, **chosen) == move.groups
            assert len(move.cities) == 1
        else:
            placed = {f"callcenter/{m['metadata']['name']}": m["spec"]["placement"] for m in manifests}
            assert all(placed[group.name] == [{"site": move.to, "percent": 100}] for group in move.groups)
            assert move.cities == ("east", "west")


def test_the_command_is_what_a_person_types() -> None:
    sales = next(move for move in story(load()) if move.name == "skill group sales to west")

    assert sales.command == (
        "kubectl --context east apply -f examples/quickstart/orders/sales-to-west.yaml; "
        "kubectl --context west apply -f examples/quickstart/orders/sales-to-west.yaml"
    )


def test_an_extension_of_either_city_leads_to_its_agent(tmp_path: Path) -> None:
    quickstart = load()
    found = people.make(quickstart, tmp_path)

    assert len(found.accounts(quickstart.groups)) == 1200
    assert found.account_of["510001"] == found.account_of["610001"] == found.account_of["agent0001"] == "agent0001"
    assert "agent0001" in found.accounts([quickstart.group("callcenter/hotel-north-sales")])


def test_floors_connect_to_the_addresses_of_the_sites() -> None:
    found = addresses(load())

    assert set(found) == {"east", "west"}
    assert found["west"]["flight"] == {"cti": "http://198.18.0.12:30581", "sip": "198.18.0.12:30561"}
