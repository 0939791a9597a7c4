"""`A>B` becomes `B` only on A's own word: present, of this very map, and naming nobody in the bucket."""

import pytest

from tandem.constants import FINISH_INTERVAL_S
from tandem.domain import keys
from tandem.domain.records import GroupReport, PlacementRecord
from tests.unit.domain.world import GROUP, World


def a_world() -> World:
    """Bucket 7 and 8 on their way from east to west; bucket 8 is empty at east."""
    world = World()
    world.group({"east": 100})
    world.settle()
    record = PlacementRecord(
        system="hotel", map={"east": "0-6,9-99", "east>west": "7-8"}, cause="Shift/s1", pace=3, committed_at=1
    )
    world.put(keys.placement(GROUP), record)
    return world


def report(world: World, site: str, revision: int, buckets: dict[str, int]) -> None:
    world.report(site, "hotel", {GROUP: GroupReport(revision=revision, buckets=buckets)})


@pytest.mark.parametrize(
    ("east", "west", "settled"),
    [
        pytest.param((0, {"7": 1}), (0, {}), "8", id="east-and-west-hold-the-map-and-8-is-empty"),
        pytest.param((0, {}), (0, {"7": 3}), "7-8", id="both-empty"),
        pytest.param((-1, {}), (0, {}), None, id="east-has-not-acknowledged-the-map"),
        pytest.param((0, {"7": 1, "8": 2}), (0, {}), None, id="nobody-has-left"),
        pytest.param(None, (0, {}), None, id="no-report-is-not-an-empty-report"),
        pytest.param((0, {}), None, "7-8", id="the-new-city-need-not-report"),
        pytest.param((0, {}), (-1, {}), None, id="the-new-city-holds-an-older-map"),
        pytest.param((5000, {}), (0, {}), None, id="east-holds-a-map-of-a-store-that-is-no-more"),
        pytest.param((0, {}), (5000, {}), None, id="the-new-city-holds-one"),
    ],
)
def test_a_bucket_arrives_when_its_old_city_says_that_it_is_empty(
    east: tuple[int, dict[str, int]] | None, west: tuple[int, dict[str, int]] | None, settled: str | None
) -> None:
    world = a_world()
    revision = world.snapshot.placements[GROUP].revision
    for site, said in (("east", east), ("west", west)):
        if said is None:
            world.delete(keys.report(site, "hotel"))
        else:
            report(world, site, revision + said[0], said[1])
    commits = world.decide().commits
    if settled is None:
        assert commits == ()
        return
    assert world.commit(commits[0])
    assert world.placement()["west"] == settled


def test_some_buckets_wait_for_the_others_and_the_last_one_for_nobody() -> None:
    world = a_world()
    just_now = world.mono
    world.put(keys.placement(GROUP), world.record().model_copy(update={"committed_at": just_now}))
    report(world, "east", world.snapshot.placements[GROUP].revision, {"7": 1})
    report(world, "west", world.snapshot.placements[GROUP].revision, {})
    decision = world.decide()
    assert decision.commits == ()
    assert decision.wake_at == pytest.approx(world.mono + FINISH_INTERVAL_S)
    world.advance(FINISH_INTERVAL_S)
    assert world.commit(world.decide().commits[0])
    assert world.placement()["east>west"] == "7"
    report(world, "east", world.snapshot.placements[GROUP].revision, {})
    report(world, "west", world.snapshot.placements[GROUP].revision, {})
    assert world.commit(world.decide().commits[0]), "nobody else is on the way"
    assert world.placement()["west"] == "7-8"


def test_a_commit_dated_in_the_future_is_waited_for_no_longer() -> None:
    world = a_world()
    world.put(keys.placement(GROUP), world.record().model_copy(update={"committed_at": world.mono + 3600}))
    report(world, "east", world.snapshot.placements[GROUP].revision, {"7": 1})
    report(world, "west", world.snapshot.placements[GROUP].revision, {})
    assert len(world.decide().commits) == 1


def test_a_group_that_the_city_does_not_name_has_not_acknowledged_anything() -> None:
    world = a_world()
    world.report("east", "hotel", {})
    assert world.decide().commits == ()


def test_finishing_keeps_cause_pace_and_drain_and_goes_on_under_hold() -> None:
    world = a_world()
    world.hold()
    report(world, "east", world.snapshot.placements[GROUP].revision, {})
    report(world, "west", world.snapshot.placements[GROUP].revision, {})
    world.settle()
    record = world.record()
    assert record.map == {"east": "0-6,9-99", "west": "7-8"}
    assert (record.cause, record.pace) == ("Shift/s1", 3)
    assert record.epoch == world.store[keys.COORDINATOR][1]


def test_a_placement_that_changed_meanwhile_is_not_finished() -> None:
    world = a_world()
    report(world, "east", world.snapshot.placements[GROUP].revision, {})
    report(world, "west", world.snapshot.placements[GROUP].revision, {})
    (commit,) = world.decide().commits
    world.put(keys.placement(GROUP), world.record().model_copy(update={"map": {"east": "0-99"}}))
    assert not world.commit(commit)
