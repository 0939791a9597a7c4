"""Placement maps, and the door that each bucket has at a site."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcenter.session.door import Door, Place, door_at, format_map, parse_map
from callcenter.session.errors import MapError

CONTRACT_EXAMPLE = {"east": "0-59", "east>west": "60-69,75", "west": "70-74,76-99"}


@pytest.mark.parametrize(
    ("place", "door"),
    [
        pytest.param("east", Door.OPEN, id="placed-here"),
        pytest.param("east>west", Door.LEAVING, id="on-its-way-out"),
        pytest.param("west>east", Door.TICKET_ONLY, id="on-its-way-in"),
        pytest.param("west", Door.CLOSED, id="placed-elsewhere"),
        pytest.param("west>north", Door.CLOSED, id="moving-between-others"),
    ],
)
def test_the_door_of_a_bucket_seen_from_east(place: str, door: Door) -> None:
    assert door_at("east", Place.parse(place)) is door


@pytest.mark.parametrize("place", ["east", "west", "east>west", "west>east", "north>west"])
def test_at_most_one_city_has_a_fresh_door(place: str) -> None:
    doors = [door_at(site, Place.parse(place)) for site in ("east", "west", "north")]
    assert doors.count(Door.OPEN) <= 1


def test_the_contracts_example() -> None:
    places = parse_map(CONTRACT_EXAMPLE)
    assert [str(places[bucket]) for bucket in (0, 59, 60, 69, 70, 75, 76, 99)] == [
        "east", "east", "east>west", "east>west", "west", "east>west", "west", "west",
    ]  # fmt: skip
    assert format_map(places) == CONTRACT_EXAMPLE


@given(st.lists(st.sampled_from(["east", "west", "east>west", "west>east"]), min_size=100, max_size=100))
def test_reading_undoes_writing(names: list[str]) -> None:
    places = tuple(Place.parse(name) for name in names)
    assert parse_map(format_map(places)) == places


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param({}, "no place for 0-99", id="empty"),
        pytest.param({"east": "0-59,61-99"}, "no place for 60", id="one-missing"),
        pytest.param({"east": "0-99", "west": "7"}, "bucket 7 is in both 'east' and 'west'", id="twice"),
        pytest.param({"east": "0-50,50-99"}, "bucket 50 is in both 'east' and 'east'", id="twice-in-one"),
        pytest.param({"east": "0-100"}, "'0-100' is no range", id="bucket-100"),
        pytest.param({"east": "59-0"}, "runs backwards", id="backwards"),
        pytest.param({"east": "a-b"}, "'a-b' is no range", id="letters"),
        pytest.param({"East": "0-99"}, "'East' is no place", id="capital"),
        pytest.param({"a>b>c": "0-99"}, "'a>b>c' is no place", id="two-arrows"),
        pytest.param({"east>": "0-99"}, "'east>' is no place", id="no-target"),
        pytest.param({"east>east": "0-99"}, "leads from a site to itself", id="to-itself"),
    ],
)
def test_a_wrong_map_says_what_to_write(text: Mapping[str, str], says: str) -> None:
    with pytest.raises(MapError) as caught:
        parse_map(text)
    assert says in str(caught.value)


def test_an_empty_place_holds_no_buckets() -> None:
    assert format_map(parse_map({"east": "0-99", "west": ""})) == {"east": "0-99"}
