"""The coordinator's election on the store in memory and on virtual time."""

import asyncio
import random
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, Self

import pytest

from tandem.domain.keys import COORDINATOR
from tandem.domain.records import CoordinatorRecord
from tandem.engine.ports import Delete, Guard, Put, StoreError
from tandem.store.election import CoordinatorElection
from tandem.store.preference import DEFERENCE_S, STABLE_S, Surroundings
from tests.support.memory_store import Fate, MemoryEtcd, MemoryStore
from tests.unit.engine.virtual import VirtualClock, run_virtual

TTL_S = 2.0


class Candidate:
    """One location's engine, as far as the election goes."""

    def __init__(self, etcd: MemoryEtcd, site: str, around: Surroundings | None = None) -> None:
        self.site = site
        self.store: MemoryStore = etcd.client(lambda: 0.002)
        self.around = around or Surroundings("Active")
        record = CoordinatorRecord(site=site, engine=f"engine-of-{site}")
        self.election = CoordinatorElection(self.store, etcd.clock, record, lambda: self.around)
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.election.run())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    async def leave(self) -> None:
        """Stop in good order."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    @property
    def epoch(self) -> int:
        return self.election.epoch()


def virtually(story: Callable[[MemoryEtcd], Coroutine[Any, Any, None]]) -> None:
    """Run a story with a fresh cluster on virtual time."""

    async def main() -> None:
        etcd = MemoryEtcd(VirtualClock())
        try:
            await story(etcd)
        finally:
            await etcd.aclose()

    run_virtual(main())


async def until(condition: Callable[[], object], within: float) -> float:
    """Seconds until it holds."""
    loop = asyncio.get_running_loop()
    start = loop.time()
    while not condition():
        assert loop.time() - start < within, f"not within {within} s"
        await asyncio.sleep(0.005)
    return loop.time() - start


def test_a_lone_candidate_reigns_by_the_create_revision_of_its_key() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            key = etcd.get(COORDINATOR)
            assert key is not None
            assert east.epoch == key.create_revision
            assert CoordinatorRecord.model_validate_json(key.value).site == "east"
            await asyncio.sleep(60)
            assert east.epoch == key.create_revision

    virtually(story)


def test_of_two_candidates_one_reigns_and_the_other_knows_who() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east, Candidate(etcd, "west") as west:
            await asyncio.sleep(1)
            assert [east.epoch > 0, west.epoch > 0].count(True) == 1
            winner = "east" if east.epoch else "west"
            for candidate in (east, west):
                assert candidate.election.holder is not None
                assert candidate.election.holder.site == winner

    virtually(story)


def test_who_leaves_in_good_order_is_followed_at_once_by_a_greater_epoch() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            before = east.epoch
            async with Candidate(etcd, "west") as west:
                await asyncio.sleep(1)
                await east.leave()
                assert east.epoch == 0
                assert await until(lambda: west.epoch, 1) < 0.1
                assert west.epoch > before

    virtually(story)


def test_a_holder_without_answers_stops_before_anybody_else_begins() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            async with Candidate(etcd, "west") as west:
                await asyncio.sleep(1)
                east.store.reachable = False
                assert await until(lambda: not east.epoch, 5) <= TTL_S
                assert west.epoch == 0
                assert await until(lambda: west.epoch, 5) < 1.5
                east.store.reachable = True
                await asyncio.sleep(5)
                assert (east.epoch, west.epoch > 0) == (0, True)

    virtually(story)


def test_a_reign_that_has_ended_cannot_write() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            stale = east.epoch
            async with Candidate(etcd, "west") as west:
                east.store.reachable = False
                await until(lambda: west.epoch, 6)
                east.store.reachable = True
                write = [Put("/tandem/v1/placement/x/y", b"")]
                assert not (await east.store.txn([Guard(COORDINATOR, create_revision=stale)], write)).succeeded
                assert (await west.store.txn([Guard(COORDINATOR, create_revision=west.epoch)], write)).succeeded

    virtually(story)


@pytest.mark.parametrize("fate", list(Fate))
def test_a_campaign_without_an_answer_is_read_back(fate: Fate) -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            east.store.fates = [fate]
            await until(lambda: east.epoch, 3)
            etcd.release()
            await asyncio.sleep(5)
            key = etcd.get(COORDINATOR)
            assert key is not None
            assert (key.create_revision, key.mod_revision) == (east.epoch, east.epoch)

    virtually(story)


def test_a_key_deleted_by_hand_ends_the_reign_and_begins_another() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            before = east.epoch
            etcd.txn([], [Delete(COORDINATOR)])
            await until(lambda: east.epoch > before, 1)

    virtually(story)


def test_without_a_quorum_nobody_reigns_and_with_it_one_does_again() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east, Candidate(etcd, "west") as west:
            await until(lambda: east.epoch or west.epoch, 1)
            etcd.lose_quorum()
            await until(lambda: not (east.epoch or west.epoch), TTL_S + 0.01)
            await asyncio.sleep(30)
            assert (east.epoch, west.epoch) == (0, 0)
            etcd.regain_quorum()
            await until(lambda: east.epoch or west.epoch, 5)

    virtually(story)


def test_a_revoked_lease_is_replaced() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            before = east.epoch
            key = etcd.get(COORDINATOR)
            assert key is not None
            etcd.revoke(key.lease)
            await until(lambda: east.epoch > before, 3)

    virtually(story)


def test_a_store_too_slow_to_take_back_a_lost_lease_does_not_end_the_election() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        candidate = Candidate(etcd, "east")

        async def too_slow(lease: int, *, timeout: float = 1.0) -> None:
            try:
                async with asyncio.timeout(timeout):
                    await asyncio.Event().wait()
            except TimeoutError:
                raise StoreError("no answer") from None

        candidate.store.revoke = too_slow  # type: ignore[method-assign]
        async with candidate as east:
            await until(lambda: east.epoch, 1)
            before = east.epoch
            key = etcd.get(COORDINATOR)
            assert key is not None
            await etcd.client(lambda: 0.002).revoke(key.lease)
            await until(lambda: east.epoch > before, 5)

    virtually(story)


def test_a_key_on_a_lease_that_we_have_lost_is_no_reign_of_ours() -> None:
    """It dies with that lease, which nobody renews any more."""

    async def story(etcd: MemoryEtcd) -> None:
        east = Candidate(etcd, "east")
        earlier = etcd.grant(5)
        record = CoordinatorRecord(site="east", engine="engine-of-east")
        etcd.txn([], [Put(COORDINATOR, record.encode(), earlier)])
        async with east:
            await asyncio.sleep(4.9)
            assert east.epoch == 0
            await until(lambda: east.epoch, 2)
            key = etcd.get(COORDINATOR)
            assert key is not None
            assert key.lease != earlier

    virtually(story)


WITNESSED = Surroundings("Active", frozenset({"witness"}), witness_alive_s=60.0)


def test_a_city_leaves_a_vacant_office_to_the_witness() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east", WITNESSED) as east:
            await asyncio.sleep(0.2)
            async with Candidate(etcd, "witness", Surroundings("Witness")) as witness:
                await asyncio.sleep(2)
                assert (east.epoch, witness.epoch > 0) == (0, True)

    virtually(story)


def test_a_city_does_not_wait_for_a_witness_that_does_not_stand() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east", WITNESSED) as east:
            assert DEFERENCE_S <= await until(lambda: east.epoch, 2) < DEFERENCE_S + 0.1

    virtually(story)


def test_a_witness_that_dies_while_a_city_defers_to_it_is_not_waited_for() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east", WITNESSED) as east:
            await asyncio.sleep(0.1)
            east.around = Surroundings("Active", frozenset({"witness"}))
            assert await until(lambda: east.epoch, 2) < 0.1

    virtually(story)


def test_nobody_defers_to_the_witness_whose_reign_has_just_ended() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "witness", Surroundings("Witness")) as witness:
            await until(lambda: witness.epoch, 1)
            async with Candidate(etcd, "east", WITNESSED) as east:
                await asyncio.sleep(1)
                witness.store.reachable = False
                await until(lambda: etcd.get(COORDINATOR) is None, 4)
                assert await until(lambda: east.epoch, 2) < 0.1

    virtually(story)


def test_a_city_hands_the_office_back_once_nothing_is_under_way() -> None:
    async def story(etcd: MemoryEtcd) -> None:
        async with Candidate(etcd, "east") as east:
            await until(lambda: east.epoch, 1)
            before = east.epoch
            async with Candidate(etcd, "witness", Surroundings("Witness")) as witness:
                east.around = Surroundings("Active", frozenset({"witness"}), witness_alive_s=60.0, under_way=True)
                await asyncio.sleep(3 * STABLE_S)
                assert east.epoch == before
                east.around = WITNESSED
                await until(lambda: witness.epoch, 3)
                assert (east.epoch, witness.epoch > before) == (0, True)
                await asyncio.sleep(30)
                assert witness.epoch

    virtually(story)


@pytest.mark.parametrize("seed", range(8))
def test_never_do_two_reign_at_once_whatever_fails(seed: int) -> None:
    """Faults for a minute, then a quiet time in which somebody must reign."""

    async def story(etcd: MemoryEtcd) -> None:
        rng = random.Random(seed)
        accepted: list[int] = []
        async with AsyncExitStack() as stack:
            candidates = [
                await stack.enter_async_context(Candidate(etcd, site, WITNESSED)) for site in ("east", "west")
            ]
            candidates.append(await stack.enter_async_context(Candidate(etcd, "witness", Surroundings("Witness"))))

            async def step() -> None:
                await asyncio.sleep(0.02)
                reigning = [candidate for candidate in candidates if candidate.epoch]
                assert len(reigning) <= 1, f"seed {seed}: {[c.site for c in reigning]} reign at once"
                for candidate in reigning:
                    epoch = candidate.epoch
                    if candidate.store.reachable and etcd.has_quorum:
                        result = etcd.txn([Guard(COORDINATOR, create_revision=epoch)], [Put("/x", b"")])
                        if result.succeeded:
                            accepted.append(epoch)

            for _ in range(120):
                victim = rng.choice(candidates)
                match rng.randrange(6):
                    case 0 | 1:
                        victim.store.reachable = not victim.store.reachable
                    case 2:
                        victim.store.fates = [rng.choice(list(Fate)) for _ in range(rng.randrange(3))]
                    case 3:
                        etcd.release()
                    case 4:
                        etcd.lose_quorum()
                    case _:
                        etcd.regain_quorum()
                for _ in range(25):
                    await step()
            etcd.regain_quorum()
            etcd.release()
            for candidate in candidates:
                candidate.store.reachable, candidate.store.fates = True, []
            for _ in range(400):
                await step()
            assert [candidate for candidate in candidates if candidate.epoch], f"seed {seed}: nobody reigns"
        assert accepted == sorted(accepted)
        assert accepted

    virtually(story)
