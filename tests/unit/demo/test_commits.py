"""When a move began, from the store's changes."""

import asyncio

from demo.commits import Commit, CommitLog, first_leaving, read_change
from tandem.domain import keys
from tandem.domain.records import PlacementRecord
from tandem.engine.ports import Change, KeyValue, Put
from tests.support.memory_store import MemoryEtcd
from tests.unit.engine.virtual import VirtualClock, run_virtual

GROUP = "callcenter/hotel-north-sales"


def change(revision: int, at: float, placement: dict[str, str], group: str = GROUP) -> Change:
    value = PlacementRecord(system="hotel", map=placement, cause="Order", committed_at=at).encode()
    key = f"/tandem/v1/placement/{group}"
    return Change(key, KeyValue(key, value, 1, revision), revision)


def commits(*changes: Change) -> list[Commit]:
    return [commit for commit in map(read_change, changes) if commit is not None]


def test_a_move_begins_with_the_first_bucket_on_its_way_to_the_target() -> None:
    story = commits(
        change(10, 100.0, {"east": "0-99"}),
        change(11, 101.5, {"east": "60-99", "east>west": "0-59"}, "callcenter/other"),
        change(12, 102.0, {"east": "60-99", "east>west": "0-59"}),
        change(13, 103.0, {"east>west": "60-99", "west": "0-59"}),
        change(14, 104.0, {"west": "0-99"}),
    )

    begun = first_leaving(story, frozenset({GROUP}), "west", after=99.0)

    assert begun is not None
    assert (begun.at, begun.revision, begun.settled) == (102.0, 12, False)
    assert [commit.settled for commit in story] == [True, False, False, False, True]


def test_an_older_move_and_one_elsewhere_do_not_count() -> None:
    story = commits(change(12, 102.0, {"east>west": "0-99"}), change(20, 202.0, {"west>east": "0-99"}))

    assert first_leaving(story, frozenset({GROUP}), "west", after=150.0) is None


def test_a_forgotten_placement_is_no_commit() -> None:
    assert read_change(Change(f"/tandem/v1/placement/{GROUP}", None, 30)) is None


def test_a_log_that_met_what_it_cannot_read_says_so_instead_of_standing_still() -> None:
    async def scenario() -> None:
        store = MemoryEtcd(VirtualClock()).client()
        log = CommitLog(store)
        await log.start()
        placement = PlacementRecord(system="hotel", map={"east": "0-99"}, cause="Order", committed_at=5.0)
        await store.txn([], [Put(keys.placement(GROUP), placement.encode())])
        await asyncio.sleep(1)
        assert log.newest[GROUP].at == 5.0
        assert log.broken_by is None

        await store.txn([], [Put(keys.placement(GROUP), b"no placement")])
        await asyncio.sleep(1)
        assert isinstance(log.broken_by, ValueError)

    run_virtual(scenario())
