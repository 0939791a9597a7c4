"""Judges that measure are as strict as the promise: they are told a few seconds of a story that is made up."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import pytest

from callcenter.session.door import parse_map
from callcenter.session.placements import Placement, PlacementBook
from tandem.domain.placement import BucketMap
from tandem.domain.records import PlacementRecord
from tests.sim.promises import (
    LONG_S,
    LOOK_S,
    BrokenPromiseError,
    Commit,
    NobodyMovedByMistake,
    OneFreshDoor,
    PacedSignIns,
    Promise,
    Truth,
    WithinCapacity,
)
from tests.sim.world import GroupPlan

NOW = 20.0
SALES = "callcenter/sales"
HELP = "callcenter/help"

Times = Iterable[tuple[float, float]]


def judge(kind: type[Promise], **setting: Any) -> Any:
    world = SimpleNamespace(
        engines=dict.fromkeys(("east", "west", "witness")),
        scheduler=SimpleNamespace(now=NOW, stopped_by=None),
        setting=SimpleNamespace(**setting),
        cluster=SimpleNamespace(range=lambda prefix: ([], 0)),
        ctis={},
        stats={},
    )
    watch = SimpleNamespace(world=world, heartbeats=set(), placements={}, truth={}, coordinator="witness")
    return kind(watch)  # type: ignore[arg-type]


def commit(cause: str, before: dict[str, str], after: dict[str, str], group: str = SALES) -> Commit:
    record = PlacementRecord(map=after, system="hotel", cause=cause, epoch=1)
    return Commit(group, BucketMap.parse(before), BucketMap.parse(after), record, 9, None)


def kept(ask: Callable[[], None]) -> bool:
    try:
        ask()
    except BrokenPromiseError:
        return False
    return True


# -- who is lost


def looks(bad: Times, dark: Times = (), *, deeply: bool = False) -> list[Truth]:
    """East as it was in the last seconds: `bad`: from when to when it was gone. `dark`: the others saw nothing."""
    found = []
    for number in range(int(LONG_S / LOOK_S)):
        at = NOW - LONG_S + (number + 1) * LOOK_S
        gone = frozenset({"west", "witness"}) if within(at, bad) else frozenset[str]()
        blind = frozenset({"west", "witness"}) if within(at, dark) else frozenset[str]()
        found.append(Truth(at, mute=True, unseen=gone, lame=gone, broken=bool(gone), deeply=deeply, dark=blind))
    return found


def within(at: float, times: Times) -> bool:
    return any(NOW + since < at <= NOW + until for since, until in times)


@pytest.mark.parametrize(
    ("bad", "dark", "is_lost"),
    [
        ([(-2.0, 0.0)], [], True),
        ([(-1.5, 0.0)], [], False),
        ([(-4.0, -2.6), (-1.4, 0.0)], [], False),  # in sum for long enough
        ([(-4.0, -2.0), (-1.0, 0.0)], [], False),  # the first time too, and it was back
        ([(-3.0, -1.5), (-1.1, 0.0)], [], True),  # nobody can know of so short a time
        ([(-2.0, -0.5)], [], True),  # nor that it has just come back
        ([(-3.0, -1.0)], [], False),
        ([(-3.0, -1.0)], [(-1.2, 0.0)], True),  # unless whoever would find out stands still
        ([(-8.0, -6.0)], [(-6.2, 0.0)], False),  # whose last word does not stand for ever
    ],
)
def test_a_city_is_lost_that_was_gone_without_a_break(bad: Times, dark: Times, is_lost: bool) -> None:
    promise = judge(NobodyMovedByMistake)
    promise.watch.truth["east"] = looks(bad, dark)
    failover = commit("Failover/east-1", {"east": "0-99"}, {"west": "0-99"})
    assert kept(lambda: promise.committed(failover)) is is_lost


@pytest.mark.parametrize(("since", "is_down"), [(-4.0, True), (-3.0, False)])
def test_a_broken_part_of_a_city_that_writes_is_waited_for_longer(since: float, is_down: bool) -> None:
    promise = judge(NobodyMovedByMistake)
    promise.watch.heartbeats.add("east")
    promise.watch.truth["east"] = looks([(since, 0.0)])
    failover = commit("Failover/east-1", {"east": "0-99"}, {"east>west": "0-99"})
    assert kept(lambda: promise.committed(failover)) is is_down


@pytest.mark.parametrize(
    ("until", "deeply", "is_down"),
    [(-0.5, False, True), (-1.0, False, False), (-1.0, True, True), (-2.0, True, False)],
)
def test_that_calls_are_taken_again_is_found_out_later_than_that_somebody_answers_again(
    until: float, deeply: bool, is_down: bool
) -> None:
    promise = judge(NobodyMovedByMistake)
    promise.watch.heartbeats.add("east")
    promise.watch.truth["east"] = looks([(-6.0, until)], deeply=deeply)
    failover = commit("Failover/east-1", {"east": "0-99"}, {"east>west": "0-99"})
    assert kept(lambda: promise.committed(failover)) is is_down


# -- who has room


class Here:
    """West's CTI."""

    def __init__(self, **signed_in: int) -> None:
        self.site = "west"
        self.process = SimpleNamespace(alive=True)
        count = lambda group: SimpleNamespace(signed_in=signed_in.get(group.rpartition("/")[2], 0))  # noqa: E731
        self.centre = SimpleNamespace(server=SimpleNamespace(count=count))


def room(signed_in_for: float, **signed_in: int) -> Any:
    """West carries ten of sales' ten and help's ten agents, and these have been signed in there for so many seconds."""
    groups = (GroupPlan(SALES, 10, {"east": 100}), GroupPlan(HELP, 10, {"east": 100}))
    promise = judge(WithinCapacity, capacity={"west": 10}, groups=groups)
    promise.watch.truth["west"] = looks([])
    for number in reversed(range(20)):
        ago = number * LOOK_S
        promise.world.ctis["west"] = Here(**signed_in) if ago < signed_in_for else Here()
        promise.world.scheduler.now = NOW - ago
        promise.looked()
    return promise


@pytest.mark.parametrize(
    ("signed_in_for", "signed_in", "cause", "fits"),
    [
        (2.0, {"help": 4}, "Shift/s1", True),
        (2.0, {"help": 5}, "Shift/s1", False),  # guests of the other group
        (1.0, {"help": 5}, "Shift/s1", True),  # nobody knows of them yet
        (2.0, {"sales": 10}, "Shift/s1", True),  # they may be the very ones
        (2.0, {"sales": 11}, "Shift/s1", False),
        (2.0, {"sales": 11}, "Failover/east-1", True),  # they are there anyhow
        (2.0, {"help": 5}, "Failover/east-1", False),
    ],
)
def test_whoever_is_signed_in_takes_room(
    signed_in_for: float, signed_in: dict[str, int], cause: str, fits: bool
) -> None:
    promise = room(signed_in_for, **signed_in)
    moved = commit(cause, {"east": "0-99"}, {"east": "60-99", "west": "0-59"})
    promise.watch.placements[SALES] = (9, moved.record, moved.after)
    assert kept(lambda: promise.all_committed([moved])) is fits


# -- whose door is open


class Door:
    """A city's CTI with the book that it has had since it started."""

    def __init__(self, site: str, boot_at: float = 0.0) -> None:
        self.site = site
        self.process = SimpleNamespace(alive=True, monotonic=lambda: NOW)
        self.config = SimpleNamespace(timing=SimpleNamespace(lease=1.5))
        self._alive_at = NOW
        self._restarted(boot_at)

    def _restarted(self, boot_at: float) -> None:
        self._book = PlacementBook(self.site, boot_at)
        self.centre = SimpleNamespace(server=SimpleNamespace(book=self._book))

    def told(self, revision: int, at: str) -> None:
        self._book.take(SALES, Placement(revision, parse_map({at: "0-99"})), confirmed=True, now=NOW)

    def restarted_with(self, revision: int, at: str, boot_at: float = 0.0) -> None:
        self._restarted(boot_at)
        self._book.adopt(SALES, Placement(revision, parse_map({at: "0-99"})))


def lost_city(cause: str = "Failover/east-1") -> tuple[Any, Door, Door]:
    """East's door is open by revision 3; a commit of this cause has taken everybody to west, at revision 9."""
    promise = judge(OneFreshDoor)
    promise.world.stats["doors open by an unconfirmed map"] = 0
    moved = commit(cause, {"east": "0-99"}, {"west": "0-99"})
    promise.watch.placements[SALES] = (9, moved.record, moved.after)
    promise.watch.history = {SALES: [moved]}
    east, west = Door("east"), Door("west")
    promise.world.ctis = {"east": east, "west": west}
    east.told(3, "east")
    promise.placed(east)
    west.told(9, "west")
    return promise, east, west


@pytest.mark.parametrize(("cause", "excused"), [("Failover/east-1", True), ("Shift/s1", False)])
def test_a_lost_city_that_has_not_heard_of_it_may_have_its_door_open(cause: str, excused: bool) -> None:
    promise, _, west = lost_city(cause)
    assert kept(lambda: promise.placed(west)) is excused


def test_a_lost_city_that_has_heard_of_it_has_no_excuse_for_an_older_map() -> None:
    promise, east, west = lost_city()
    east.told(9, "west")
    promise.placed(east)
    assert kept(lambda: promise.placed(west))

    east.restarted_with(3, "east")  # a disk may be old, and nobody has confirmed it for ten seconds
    assert kept(lambda: promise.placed(west))
    east.told(3, "east")
    assert not kept(lambda: promise.placed(east))
    assert not kept(lambda: promise.placed(west))
    east.restarted_with(3, "east", boot_at=NOW - 5.0)  # it is shut
    assert kept(lambda: promise.placed(west))


def test_a_lost_city_that_restarts_before_it_has_heard_of_it_goes_by_its_disk_in_the_end() -> None:
    promise, east, west = lost_city()
    east.restarted_with(3, "east")
    assert kept(lambda: promise.placed(west))
    assert promise.world.stats["doors open by an unconfirmed map"] == 100


# -- how quickly they are let in


@pytest.mark.parametrize(
    ("let_in", "pause", "in_pace"),
    [
        ([0.0], 0.1, True),
        ([0.0, 0.0], 0.05, False),  # after a quiet moment one, not two
        ([0.0, 0.0, 0.0, 0.0], 0.5, True),  # what accrued in half a second that it was late
        ([0.0, 0.0, 0.0, 0.0, 0.0], 0.5, False),
        ([0.0, 0.0, 0.0, 0.0, 0.0], 3.0, False),  # and never more
        ([n / 6 for n in range(12)], 0.1, True),
        ([n / 8 for n in range(12)], 0.1, False),
        ([n / 10 for n in range(9)], 0.1, False),  # a second and a half's worth within one second
    ],
)
def test_no_more_are_let_in_than_the_stated_rate(let_in: list[float], pause: float, in_pace: bool) -> None:
    promise = judge(PacedSignIns, rate=6.0)
    pauses = iter([pause] * let_in.count(0.0))
    cti = SimpleNamespace(site="east", life="east1", pause=lambda now: next(pauses, 0.05))

    def offer() -> None:
        for at in let_in:
            promise.offered(cti, at)

    assert kept(offer) is in_pace
