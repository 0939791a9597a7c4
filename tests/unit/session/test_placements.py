"""Which placements a CTI takes: revisions only grow, and whoever has just started trusts nothing it remembers."""

import pytest

from callcenter.session.door import Door, parse_map
from callcenter.session.placements import UNCONFIRMED_AFTER, PlaceAnswer, Placement, PlacementBook

GROUP = "callcenter/x"
EAST, WEST, LEAVING = {"east": "0-99"}, {"west": "0-99"}, {"east>west": "0-99"}


def a(revision: int, map_: dict[str, str] = EAST) -> Placement:
    return Placement(revision, parse_map(map_))


@pytest.fixture
def book() -> PlacementBook:
    return PlacementBook("east", boot_at=100.0)


@pytest.mark.parametrize(
    ("pushed", "answer", "door"),
    [
        pytest.param(a(11, WEST), PlaceAnswer(11, True, ""), Door.CLOSED, id="newer"),
        pytest.param(a(10, EAST), PlaceAnswer(10, True, ""), Door.OPEN, id="the-same"),
        pytest.param(
            a(10, WEST), PlaceAnswer(10, False, "SameRevisionOtherMap"), Door.OPEN, id="same-revision-other-map"
        ),
        pytest.param(a(9, WEST), PlaceAnswer(10, False, "StaleRevision"), Door.OPEN, id="older"),
        pytest.param(a(9, EAST), PlaceAnswer(10, False, "StaleRevision"), Door.OPEN, id="older-though-equal"),
    ],
)
def test_revisions_only_grow(book: PlacementBook, pushed: Placement, answer: PlaceAnswer, door: Door) -> None:
    book.take(GROUP, a(10), confirmed=True, now=101.0)
    assert book.take(GROUP, pushed, confirmed=True, now=102.0) == answer
    assert book.door(GROUP, 0) is door


@pytest.mark.parametrize("confirmed", [True, False])
def test_what_was_on_disk_fences_older_pushes_after_a_restart(book: PlacementBook, confirmed: bool) -> None:
    book.adopt(GROUP, a(10))
    assert book.take(GROUP, a(9, WEST), confirmed=confirmed, now=101.0) == PlaceAnswer(10, False, "StaleRevision")
    assert book.why_shut(GROUP, 101.0) == "Unconfirmed"


def test_the_newer_of_disk_and_configmap_is_adopted(book: PlacementBook) -> None:
    book.adopt(GROUP, a(10))
    book.adopt(GROUP, a(12, WEST))
    book.adopt(GROUP, a(11))
    assert book.get(GROUP) == a(12, WEST)


def test_doors_stay_shut_until_confirmed_and_open_unconfirmed_after_a_while(book: PlacementBook) -> None:
    assert book.why_shut(GROUP, 100.0) == "NoPlacement"
    book.adopt(GROUP, a(10))
    assert book.why_shut(GROUP, 100.0 + UNCONFIRMED_AFTER - 0.01) == "Unconfirmed"
    assert book.why_shut(GROUP, 100.0 + UNCONFIRMED_AFTER) is None
    assert not book.confirmed(GROUP)
    assert not book.any_confirmed


def test_an_equal_push_confirms_what_was_on_disk(book: PlacementBook) -> None:
    book.adopt(GROUP, a(10))
    book.take(GROUP, a(10), confirmed=True, now=101.0)
    assert book.why_shut(GROUP, 101.0) is None
    assert book.confirmed(GROUP)


def test_an_unconfirmed_push_is_held_but_opens_nothing(book: PlacementBook) -> None:
    assert book.take(GROUP, a(10), confirmed=False, now=101.0).accepted
    assert book.why_shut(GROUP, 101.0) == "Unconfirmed"


def test_confirming_one_group_opens_no_other(book: PlacementBook) -> None:
    book.adopt(GROUP, a(10))
    book.take("callcenter/y", a(12), confirmed=True, now=101.0)
    assert book.any_confirmed
    assert book.why_shut(GROUP, 101.0) == "Unconfirmed"


def test_who_stood_still_has_to_be_confirmed_again(book: PlacementBook) -> None:
    book.take(GROUP, a(10), confirmed=True, now=101.0)
    book.restart(200.0)
    assert book.why_shut(GROUP, 200.0) == "Unconfirmed"
    assert book.why_shut(GROUP, 200.0 + UNCONFIRMED_AFTER) is None


def test_a_bucket_remembers_since_which_revision_it_is_where_it_is(book: PlacementBook) -> None:
    book.take(GROUP, a(10), confirmed=True, now=101.0)
    book.take(GROUP, a(11, {"east>west": "0-49", "east": "50-99"}), confirmed=True, now=102.0)
    book.take(GROUP, a(12, LEAVING), confirmed=True, now=103.0)
    assert book.since(GROUP, 0) == (11, 102.0)
    assert book.since(GROUP, 50) == (12, 103.0)
    book.take(GROUP, a(13), confirmed=True, now=104.0)
    book.take(GROUP, a(14, LEAVING), confirmed=True, now=105.0)
    assert book.since(GROUP, 0) == (14, 105.0)
