"""How long a kept lease surely lives, and what ends it. On virtual time."""

import asyncio

import pytest

from tandem.engine.ports import LeaseLostError
from tandem.store.lease import KeptLease
from tests.support.memory_store import MemoryEtcd
from tests.unit.engine.virtual import VirtualClock, run_virtual


def test_a_lease_counts_from_the_sending_of_what_renewed_it() -> None:
    async def story() -> None:
        clock = VirtualClock()
        etcd = MemoryEtcd(clock)
        slow = etcd.client(lambda: 0.4)
        sent = clock.monotonic()
        lease = await KeptLease.grant(slow, clock, 2.0)
        assert clock.monotonic() == pytest.approx(sent + 0.4)
        assert lease.valid_until == pytest.approx(sent + 2.0)

        keeping = asyncio.create_task(lease.keep(0.5))
        await asyncio.sleep(0.5 + 0.4 + 0.01)
        # Sent half a second after the grant's answer, answered 0.4 s later.
        assert lease.valid_until == pytest.approx(sent + 0.4 + 0.5 + 2.0)
        assert lease.holds(lease.valid_until - 0.001)
        assert not lease.holds(lease.valid_until)
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await etcd.aclose()

    run_virtual(story())


def test_silence_is_asked_again_and_only_the_store_s_word_ends_it() -> None:
    async def story() -> None:
        clock = VirtualClock()
        etcd = MemoryEtcd(clock)
        store = etcd.client()
        lease = await KeptLease.grant(store, clock, 2.0)
        keeping = asyncio.create_task(lease.keep(0.5))
        await asyncio.sleep(0.6)
        store.reachable = False
        await asyncio.sleep(1.2)
        assert not keeping.done()
        assert lease.holds(clock.monotonic())
        store.reachable = True
        await asyncio.sleep(0.6)
        assert lease.valid_until > clock.monotonic() + 1.4

        store.reachable = False
        await asyncio.sleep(5)
        assert not lease.holds(clock.monotonic())
        assert not keeping.done()
        store.reachable = True
        with pytest.raises(LeaseLostError):
            await asyncio.wait_for(keeping, 1)
        assert lease.valid_until == 0
        await etcd.aclose()

    run_virtual(story())


def test_refusals_that_come_at_once_are_no_busy_loop() -> None:
    async def story() -> None:
        clock = VirtualClock()
        etcd = MemoryEtcd(clock)
        asked = 0

        def count() -> float:
            nonlocal asked
            asked += 1
            return 0.0

        store = etcd.client(count)
        lease = await KeptLease.grant(store, clock, 2.0)
        etcd.lose_quorum()
        keeping = asyncio.create_task(lease.keep(0.5))
        await asyncio.sleep(10)
        assert 50 <= asked <= 110
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)
        await etcd.aclose()

    run_virtual(story())


def test_giving_up_revokes_and_never_fails() -> None:
    async def story() -> None:
        clock = VirtualClock()
        etcd = MemoryEtcd(clock)
        store = etcd.client()
        lease = await KeptLease.grant(store, clock, 2.0)
        await lease.give_up()
        assert not lease.holds(clock.monotonic())
        with pytest.raises(LeaseLostError):
            await store.keepalive(lease.id)
        store.reachable = False
        await lease.give_up()
        await etcd.aclose()

    run_virtual(story())
