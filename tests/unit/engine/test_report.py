"""Reports: what a commit waits for goes out at once, mere counts seldom."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from tandem.constants import REPORT_COALESCE_S
from tandem.domain import keys
from tandem.domain.placement import BucketMap
from tandem.domain.records import GroupReport, PlacementRecord, SystemReport
from tandem.engine.picture import Picture
from tandem.engine.ports import Put, SoftswitchState
from tandem.engine.publisher import Publisher
from tandem.engine.report import Reporter, is_urgent
from tests.support.memory_store import MemoryEtcd
from tests.unit.engine.virtual import VirtualClock, run_virtual

LEAVING = BucketMap.parse({"east": "0-6,9-99", "east>west": "7-8"})


def group(revision: int = 5, **buckets: int) -> GroupReport:
    return GroupReport(revision=revision, buckets={name.removeprefix("b"): n for name, n in buckets.items()})


@pytest.mark.parametrize(
    ("before", "after", "placement", "site", "urgent"),
    [
        pytest.param(None, group(), LEAVING, "east", True, id="the-first-word-on-a-group"),
        pytest.param(group(4), group(5), None, "east", True, id="a-map-was-acknowledged"),
        pytest.param(group(b7=1), group(), LEAVING, "east", True, id="the-last-leaving-bucket-became-empty"),
        pytest.param(group(b7=1, b8=1), group(b8=1), LEAVING, "east", False, id="a-leaving-bucket-before-the-last"),
        pytest.param(group(b50=1), group(b50=2), LEAVING, "east", False, id="nobody-was-leaving"),
        pytest.param(group(b7=2), group(b7=1), LEAVING, "east", False, id="fewer-in-a-leaving-bucket"),
        pytest.param(group(b50=1), group(), LEAVING, "east", False, id="a-staying-bucket-became-empty"),
        pytest.param(group(b7=1), group(), LEAVING, "west", False, id="empty-at-the-other-city"),
        pytest.param(group(), group(b7=1), LEAVING, "east", False, id="somebody-came"),
    ],
)
def test_what_a_commit_may_wait_for_is_urgent(
    before: GroupReport | None, after: GroupReport, placement: BucketMap | None, site: str, urgent: bool
) -> None:
    assert is_urgent(before, after, placement, site) == urgent


class Bench:
    def __init__(self) -> None:
        self.etcd = MemoryEtcd(VirtualClock())
        store = self.etcd.client(lambda: 0.001)
        clock = VirtualClock()
        self.picture = Picture(store, clock)
        self.publisher = Publisher(store, clock)
        self.reporter = Reporter("east", "hotel", self.picture, self.publisher, clock)

    @property
    def report(self) -> SystemReport | None:
        found = self.etcd.get(keys.report("east", "hotel"))
        return SystemReport.model_validate_json(found.value) if found else None

    def say(self, report: GroupReport, boot: str = "b1") -> None:
        self.reporter.cti(boot, True, {"n/g": report}, everything=False)


def with_bench(story: Callable[[Bench], Awaitable[None]]) -> None:
    async def run() -> None:
        bench = Bench()
        record = PlacementRecord(system="hotel", map=LEAVING.encode(), cause="Shift/s1")
        bench.etcd.txn([], [Put(keys.placement("n/g"), record.encode())])
        tasks = [asyncio.create_task(part.run()) for part in (bench.picture, bench.publisher, bench.reporter)]
        await asyncio.sleep(1.0)
        bench.say(group(b7=5, b50=5))
        await asyncio.sleep(1.0)
        await story(bench)
        for task in tasks:
            assert not task.done()
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await bench.etcd.aclose()

    run_virtual(run())


def test_the_last_emptied_bucket_is_reported_within_its_time() -> None:
    async def story(bench: Bench) -> None:
        bench.say(group(b7=4, b50=5))  # a count has just gone out, and another one waits
        await asyncio.sleep(0.1)
        bench.say(group(b50=5))
        await asyncio.sleep(REPORT_COALESCE_S + 0.005)
        assert bench.report is not None
        assert bench.report.groups["n/g"].buckets == {"50": 5}

    with_bench(story)


def test_counts_go_out_at_most_twice_a_second_and_the_last_one_does() -> None:
    async def story(bench: Bench) -> None:
        revision = bench.etcd.revision
        for number in range(200):
            bench.say(GroupReport(revision=5, talking=number, buckets={"7": 5, "50": 5}))
            await asyncio.sleep(0.01)
        assert bench.etcd.revision - revision <= 5
        await asyncio.sleep(0.6)
        assert bench.report is not None
        assert bench.report.groups["n/g"].talking == 199

    with_bench(story)


def test_nothing_new_is_not_reported() -> None:
    async def story(bench: Bench) -> None:
        revision = bench.etcd.revision
        for _ in range(20):
            bench.say(group(b7=5, b50=5))
            bench.reporter.softswitch(SoftswitchState(0, 0, 0), 0, None)
            await asyncio.sleep(0.3)
        assert bench.etcd.revision == revision

    with_bench(story)


def test_another_rate_of_new_calls_is_reported_and_the_same_one_is_not() -> None:
    async def story(bench: Bench) -> None:
        for rate, writes in ((0.4, 1), (0.4, 0), (0.5, 1)):
            revision = bench.etcd.revision
            bench.reporter.softswitch(SoftswitchState(0, 0, 0), 0, rate)
            await asyncio.sleep(1.0)
            assert bench.etcd.revision - revision == writes
        assert bench.report is not None
        assert bench.report.calls_per_second == 0.5

    with_bench(story)


def test_a_new_boot_is_reported_at_once_and_forgets_the_groups_of_the_last() -> None:
    async def story(bench: Bench) -> None:
        bench.reporter.cti("b2", False, {}, everything=True)
        await asyncio.sleep(REPORT_COALESCE_S + 0.01)
        assert bench.report is not None
        assert (bench.report.boot, bench.report.confirmed, bench.report.groups) == ("b2", False, {})

    with_bench(story)


def test_a_cti_that_is_lost_has_no_report_and_its_softswitch_alone_makes_none() -> None:
    async def story(bench: Bench) -> None:
        bench.reporter.cti_lost()
        bench.reporter.softswitch(SoftswitchState(1, 2, 3), 0, None)
        await asyncio.sleep(2.0)
        assert bench.report is None

    with_bench(story)


def test_large_reports_come_less_often() -> None:
    async def story(bench: Bench) -> None:
        groups = {
            f"n/{number}": GroupReport(revision=1, buckets={str(bucket): 3 for bucket in range(100)})
            for number in range(200)
        }
        bench.reporter.cti("b1", True, groups, everything=True)
        await asyncio.sleep(0.03)
        revision = bench.etcd.revision
        for number in range(100):
            groups["n/0"] = GroupReport(revision=2 + number)
            bench.reporter.cti("b1", True, {"n/0": groups["n/0"]}, everything=False)
            await asyncio.sleep(0.01)
        writes = bench.etcd.revision - revision
        assert bench.report is not None
        size = len(bench.report.encode())
        assert writes * size < 1.5e6

    with_bench(story)
