"""The made-up time, network and store do what they are said to do, or the simulation proves nothing."""

import asyncio
from functools import partial
from random import Random

import pytest

from tandem.domain import keys
from tandem.engine.ports import Guard, LeaseLostError, Membership, NoQuorumError, Put, StoreError
from tests.sim.network import Line, Network
from tests.sim.scheduler import Process, Scheduler
from tests.sim.store import Cluster, SimStore

PLACES = ("east", "west", "witness")


class Stage:
    """A network with a store, and one process in east that does what a test wants."""

    def __init__(self) -> None:
        self.scheduler = Scheduler()
        self.network = Network(self.scheduler, Random(1), 0.005)
        self.cluster = Cluster(self.scheduler, self.network, Random(2), PLACES, Random(3))
        self.process = Process(self.scheduler, "p", "east", rate=1.001, origin=500.0)
        self.store = SimStore(self.cluster, self.process)
        self.told: list[object] = []

    def begin(self, coroutine) -> None:  # type: ignore[no-untyped-def]
        self.process.call(lambda: self.process.loop.create_task(self._tell(coroutine)))

    async def _tell(self, coroutine) -> None:  # type: ignore[no-untyped-def]
        try:
            self.told.append(await coroutine)
        except StoreError as error:
            self.told.append(type(error).__name__)


def test_a_process_sees_time_through_its_own_clock() -> None:
    stage = Stage()
    stage.begin(asyncio.sleep(10.0))
    stage.scheduler.run(9.98)
    assert not stage.told
    stage.scheduler.run(9.9905)
    assert stage.told == [None]
    assert stage.process.monotonic() == pytest.approx(500.0 + 9.9905 * 1.001)


def test_who_stands_still_does_everything_afterwards_in_order() -> None:
    stage = Stage()
    stage.process.stall(5.0)
    for number in range(3):
        stage.scheduler.after(float(number), stage.process.call, stage.told.append, number)
    stage.scheduler.run(4.9)
    assert not stage.told
    stage.process.thaw()
    stage.scheduler.run(4.91)
    assert stage.told == [0, 1, 2]


def test_who_is_killed_says_nothing_any_more() -> None:
    stage = Stage()

    async def story() -> None:
        try:
            await asyncio.sleep(1.0)
        finally:
            stage.told.append("last words")

    stage.begin(story())
    stage.scheduler.run(0.5)
    stage.process.kill()
    stage.scheduler.run(3.0)
    assert not stage.told


def test_what_is_sent_over_a_cut_link_arrives_when_it_is_mended() -> None:
    stage = Stage()
    stage.network.cut("east", "west")
    stage.network.carry("east", "west", lambda: stage.told.append("there"))
    stage.network.carry("west", "east", lambda: stage.told.append("back"))
    stage.scheduler.run(3.0)
    assert stage.told == ["back"]
    stage.network.mend("east", "west")
    stage.scheduler.run(3.1)
    assert stage.told == ["back", "there"]


def test_what_is_sent_over_one_connection_arrives_in_order_whatever_the_link_did() -> None:
    stage = Stage()
    line = Line(stage.network, 1, "east", "west")
    stage.network.cut("east", "west")
    for number in range(20):
        line.send("b", partial(stage.told.append, str(number)))
    stage.scheduler.run(3.0)
    stage.network.mend("east", "west")
    for number in range(20, 30):
        line.send("b", partial(stage.told.append, str(number)))
    stage.scheduler.run(6.0)
    assert stage.told == [str(number) for number in range(30)]


def test_a_transaction_that_nobody_answers_is_applied_late_if_its_guards_hold_then() -> None:
    for interferes in (False, True):
        stage = Stage()
        for member in stage.cluster.members.values():
            member.stall(1.5)
        stage.begin(stage.store.txn([Guard("k", mod_revision=0)], [Put("k", b"mine")], timeout=1.0))
        stage.scheduler.run(1.2)
        assert stage.told == ["StoreError"]
        assert stage.cluster.get("k") is None
        if interferes:
            stage.cluster.now_txn([Put("k", b"somebody else's")])
        stage.scheduler.run(4.0)
        found = stage.cluster.get("k")
        assert found is not None
        assert found.value == (b"somebody else's" if interferes else b"mine")


def test_a_transaction_that_was_stopped_on_its_way_out_is_the_first_thing_that_is_sent_afterwards() -> None:
    for interferes in (False, True):
        stage = Stage()
        key = keys.placement("callcenter/sales")
        stage.process.stops = ("commit", 3.0, partial(stage.told.append, "stopped"))
        stage.begin(stage.store.txn([Guard(key, mod_revision=0)], [Put(key, b"mine")]))
        stage.process.loop.call_later(0.5, stage.told.append, "later")
        if interferes:
            stage.scheduler.after(1.0, stage.cluster.now_txn, [Put(key, b"somebody else's")])
        stage.scheduler.run(2.9)
        assert stage.told == ["stopped"]
        stage.scheduler.run(4.0)
        assert stage.told[:2] == ["stopped", "later"]
        found = stage.cluster.get(key)
        assert found is not None
        assert found.value == (b"somebody else's" if interferes else b"mine")


def test_a_proxy_brings_a_transaction_twice_and_its_guards_see_that() -> None:
    for guards in ([], [Guard("k", mod_revision=0)]):
        stage = Stage()
        stage.network.twice = 1.0
        stage.begin(stage.store.txn(guards, [Put("k", b"mine")]))
        stage.scheduler.run(6.0)
        found = stage.cluster.get("k")
        assert found is not None
        assert (found.mod_revision == found.create_revision) == bool(guards)


def test_a_lease_expires_and_its_keys_go_unless_there_is_nobody_to_say_so() -> None:
    stage = Stage()
    lease = stage.cluster.grant(2.0)
    stage.cluster.now_txn([Put("k", b"", lease)])
    stage.cluster.members["west"].kill()
    stage.cluster.members["witness"].kill()
    stage.scheduler.run(6.0)
    assert stage.cluster.get("k") is not None
    for place in ("west", "witness"):
        stage.cluster.members[place] = Process(stage.scheduler, place, place)
    stage.scheduler.run(6.0 + 2.0)  # an election, and then all of its time again
    assert stage.cluster.get("k") is not None
    stage.scheduler.run(12.0)
    assert stage.cluster.get("k") is None
    with pytest.raises(LeaseLostError):
        stage.cluster.renew(lease, stage.scheduler.now)


def test_a_location_without_a_majority_is_told_so_and_the_others_go_on() -> None:
    stage = Stage()
    for other in ("west", "witness"):
        stage.network.cut("east", other)
        stage.network.cut(other, "east")
    stage.scheduler.run(4.0)
    stage.begin(stage.store.txn([], [Put("k", b"")], timeout=1.0))
    stage.scheduler.run(6.0)
    assert stage.told in (["StoreError"], ["NoQuorumError"])
    assert stage.cluster.serves("west")
    assert issubclass(NoQuorumError, StoreError)


def test_nobody_answers_for_a_member_that_is_dead() -> None:
    stage = Stage()
    stage.begin(stage.store.membership())
    stage.scheduler.run(2.0)
    stage.cluster.members["east"].kill()
    stage.begin(stage.store.membership())
    stage.begin(stage.store.get("k"))
    stage.scheduler.run(4.0)
    assert stage.told == [Membership("east", 3), "StoreError", None]


def test_a_watch_tells_every_change_in_order_and_lives() -> None:
    stage = Stage()
    seen: list[int] = []
    batches = 0

    async def story() -> None:
        nonlocal batches
        async for changes in stage.store.watch("k", 1):
            batches += 1
            seen.extend(change.revision for change in changes)

    stage.begin(story())
    for number in range(20):
        stage.scheduler.at(0.5 + number * 0.01, stage.cluster.now_txn, [Put(f"k{number % 3}", b"")])
    stage.scheduler.run(4.0)
    assert seen == list(range(2, 22))
    assert batches > 4  # signs of life between and after
    stage.scheduler.bury()
