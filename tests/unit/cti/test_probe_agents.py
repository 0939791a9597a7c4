"""Tandem's test agents: let in at any door, rung by their own calls alone, and counted nowhere."""

import pytest

from callcenter.cti.distribution import PeerGroup
from callcenter.directory import Directory, GroupSize, generate
from callcenter.session.messages import Offer, SignedIn, Wait
from tests.unit.cti.centre import GROUP, Office

PEOPLE = 4
EAST, WITNESS = PEOPLE, PEOPLE + 1
TEST_GROUP = "tandem-probe/east"


def a_directory() -> Directory:
    return generate(
        [GroupSize(GROUP, "hotel", PEOPLE)],
        cities=["east", "west"],
        realm="callcenter",
        seed="test",
        observers=["east", "witness"],
    )


@pytest.fixture
def office() -> Office:
    return Office(a_directory())


@pytest.mark.parametrize(
    "map_",
    [
        pytest.param({"east": "0-99"}, id="everybody-is-here"),
        pytest.param({"west": "0-99"}, id="everybody-is-there"),
        pytest.param({"east>west": "0-99"}, id="everybody-leaves"),
        pytest.param({"west>east": "0-99"}, id="tickets-only"),
    ],
)
def test_no_door_is_shut_to_a_test_agent(office: Office, map_: dict[str, str]) -> None:
    office.place(map_, groups=(GROUP,))
    office.sign_in(EAST)
    assert office.signed_in(EAST).state == "available"


def test_a_cti_that_knows_no_map_yet_lets_it_in() -> None:
    office = Office(a_directory())
    office.centre.server.book.restart(office.now)
    office.sign_in(EAST)
    assert office.signed_in(EAST).extension == "0510001"


def test_a_cti_that_does_not_know_yet_whom_it_lent_lets_it_in() -> None:
    office = Office(a_directory(), peers=["west"], lent=None)
    office.sign_in(0, EAST)
    assert office.signed_in(EAST).state == "available"
    assert not any(isinstance(frame, SignedIn) for conn, frame in office.frames if conn == 0), "people wait for that"


def test_it_stands_in_line_with_everybody_and_is_let_in_in_its_turn() -> None:
    office = Office(a_directory(), rate=1.0)
    office.sign_in(0, 1, EAST)
    office.later(0.3)
    frames = [frame for conn, frame in office.frames if conn == EAST]
    assert Wait(1, "Paced") in frames
    assert not any(isinstance(frame, Offer) for frame in frames)
    office.later(4.0)
    assert office.signed_in(EAST).state == "available"


def test_it_keeps_its_place_in_the_line() -> None:
    office = Office(a_directory(), rate=1.0)
    office.sign_in(0, EAST, 1, 2, 3)
    office.later(8.0)
    assert [conn for conn, frame in office.frames if isinstance(frame, Offer)] == [0, EAST, 1, 2, 3]


def test_whatever_it_does_is_no_news(office: Office) -> None:
    office.sign_in(0)
    seq, counts, report = office.centre.seq, dict(office.centre.group_seq), office.centre.idle_report(office.now)
    office.sign_in(EAST)
    office.call("t1", group=TEST_GROUP, hop=1)
    office.switch("answered", "t1", ext=office.extension(EAST))
    office.switch("ended", "t1", ext=office.extension(EAST), by="caller")
    office.later(3.0)
    office.leave(EAST)
    assert (office.centre.seq, office.centre.group_seq) == (seq, counts)
    later = office.centre.idle_report(office.now)
    assert {group: seen["available"] for group, seen in later.items()} == {
        group: seen["available"] for group, seen in report.items()
    }
    assert TEST_GROUP not in later


def test_its_call_rings_its_own_phone_and_nobody_elses(office: Office) -> None:
    office.sign_in(0, 1, WITNESS, EAST)
    office.call("t1", group=TEST_GROUP, hop=1)
    assert office.words() == [("ring", "t1", "0510001")]
    office.call("c1")
    assert office.words() == [("ring", "c1", office.extension(0))]
    assert office.shown(WITNESS) == []


def test_customers_wait_rather_than_ring_a_test_phone(office: Office) -> None:
    office.sign_in(EAST, WITNESS)
    office.call("c1")
    assert office.words() == []


def test_its_call_goes_to_no_other_city_whatever_that_one_says(office: Office) -> None:
    office.centre.peer_report({TEST_GROUP: PeerGroup(1, 1)}, office.now)
    office.call("t1", group=TEST_GROUP, hop=1)
    office.later(1.0)
    assert [word for word in office.words() if word[0] == "peer"] == []


def test_it_is_available_again_with_every_sign_in(office: Office) -> None:
    """After-call work of the last test call, or a phone that did not take it, must not make the next one fail."""
    office.sign_in(EAST)
    office.call("t1", group=TEST_GROUP, hop=1)
    office.switch("failed", "t1", ext=office.extension(EAST), code=480)
    office.switch("cancel", "t1")
    assert office.states(EAST) == ["break"]
    office.leave(EAST)
    office.sign_in(EAST)
    assert [frame.state for conn, frame in office.frames if conn == EAST and isinstance(frame, SignedIn)] == [
        "available",
        "available",
    ]


def test_a_call_that_an_engine_died_in_does_not_keep_its_test_agent_busy(office: Office) -> None:
    office.sign_in(EAST)
    office.call("t1", group=TEST_GROUP, hop=1)
    office.switch("answered", "t1", ext=office.extension(EAST))
    office.leave(EAST)
    office.sign_in(EAST)
    assert office.signed_in(EAST).state == "available"
    office.words()
    office.call("t2", group=TEST_GROUP, hop=1)
    assert office.words() == [("ring", "t2", "0510001")]
