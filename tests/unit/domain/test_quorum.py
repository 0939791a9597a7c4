"""FailoverReady knows whether the store would outlive the city: a failover is a commit."""

import pytest

from tandem.domain import keys
from tandem.domain.quorum import lost_with
from tandem.domain.records import HeartbeatRecord, StoreMemberRecord
from tests.unit.domain.test_failover import after_confirmation
from tests.unit.domain.test_forecast import said
from tests.unit.domain.world import GROUP, WITNESS, World, site_spec


def says(world: World, site: str, works: bool = True, *, member: str = "", voters: int = 3) -> None:
    detail = "" if works else "cannot be reached"
    word = StoreMemberRecord(works=works, member=member or f"id-{site}", voters=voters, detail=detail)
    world.put(keys.store_member(site), word)


def members(*sites: str, voters: int = 3) -> World:
    """A group of a hundred at east; the members of these locations take part."""
    world = World()
    world.group({"east": 100})
    world.settle()
    for site in sites:
        says(world, site, voters=voters)
    return world


def add(world: World, site: str) -> None:
    """One more city, whose engine lives."""
    world.publish(keys.SITE, site, site_spec(site, "hotel"))
    world.put(keys.heartbeat(site), HeartbeatRecord(site=site, engine=site, started_at=0))


def test_with_every_member_at_work_any_one_city_may_be_lost() -> None:
    found = said(members("east", "west", "witness"))[GROUP]
    assert (found.ready, found.reason) == (True, "RoomElsewhere")


def test_a_dead_member_whose_engine_lives_is_named_and_what_to_do() -> None:
    world = members("east", "west")
    says(world, "witness", works=False)
    found = said(world)[GROUP]
    assert (found.ready, found.reason) == (False, "StoreWouldLoseQuorum")
    assert "without east, 1 of the store's 3 members would be known to work, and it takes 2" in found.message
    assert "the one at witness does not take part (cannot be reached): look at the etcd there" in found.message
    says(world, "witness")
    assert said(world)[GROUP].ready


def test_the_member_that_is_dead_at_home_is_not_missed() -> None:
    """Whoever works at east is as safe as before; whoever works at west has only the witness left."""
    world = members("west", "witness")
    says(world, "east", works=False)
    assert said(world)[GROUP].ready
    world.group({"west": 100}, name="callcenter/other")
    world.settle()
    found = said(world)["callcenter/other"]
    assert found.reason == "StoreWouldLoseQuorum"
    assert "the one at east" in found.message


@pytest.mark.parametrize("sites", [(), ("east",), ("east", "west"), ("west",)])
def test_against_an_engine_that_says_nothing_of_its_member_nothing_is_claimed(sites: tuple[str, ...]) -> None:
    """Older ones do not, while they are upgraded one after the other."""
    assert said(members(*sites))[GROUP].ready


def test_for_a_location_that_has_fallen_silent_nobody_speaks() -> None:
    world = members("east", "west", "witness", voters=4)
    add(world, "north")
    says(world, "north", voters=4)
    assert lost_with(world.snapshot, "east") == "", "of four, three are left"
    world.die("north")
    assert "2 of the store's 4 members would be known to work, and it takes 3" in lost_with(world.snapshot, "east")
    assert "nobody speaks for the one at north: its engine writes nothing" in lost_with(world.snapshot, "east")


def test_a_site_that_has_no_engine_yet_is_no_member() -> None:
    world = members("east", "west", "witness")
    world.publish(keys.SITE, "north", site_spec("north", "hotel"))
    world.publish(keys.SITE, "moon", {**WITNESS, "failureDomain": "moon"})
    assert said(world)[GROUP].ready


def test_a_member_that_was_replaced_and_never_removed_still_has_its_vote() -> None:
    world = members("east", "west", "witness", voters=4)
    assert "without east, 2 of the store's 4 members" in lost_with(world.snapshot, "east")
    assert "`etcdctl member list`" in lost_with(world.snapshot, "east")


def test_two_engines_with_the_same_member_speak_of_one() -> None:
    world = members("east", "west", voters=2)
    says(world, "witness", member="id-east", voters=2)
    for home in ("east", "west"):
        assert f"without {home}, 1 of the store's 2 members" in lost_with(world.snapshot, home)
        assert "add a member at one more location" in lost_with(world.snapshot, home)


def test_what_a_member_that_is_out_of_it_says_of_their_number_is_old() -> None:
    world = members("east", "west", "witness", voters=3)
    add(world, "north")
    says(world, "north", works=False, voters=9)
    assert lost_with(world.snapshot, "east") == ""


def test_of_a_city_that_is_lost_already_the_rest_is_enough() -> None:
    """The store's state does not hide why some of its agents were left behind."""
    world = members("east", "west", "witness")
    world.publish(keys.SITE, "west", site_spec("west", "hotel", capacity=70))
    world.die("east")
    after_confirmation(world).settle()
    assert said(world)[GROUP].reason == "CapacityExceeded"


def test_a_city_that_writes_no_more_takes_its_word_with_it() -> None:
    world = members("east", "west", "witness")
    world.die("east")
    assert world.snapshot.store_members.keys() == {"west", "witness"}
    known = world.gatherer.keys()
    assert keys.store_member("west") in known
    assert keys.store_member("east") not in known
