"""The local member takes the lead from another one, once, and nothing is lost by it."""

import pytest

from tandem.engine.ports import Put, StoreError
from tests.support.etcd import EtcdCluster

pytestmark = [pytest.mark.contract, pytest.mark.slow]


async def test_the_local_member_leads_when_it_is_asked_to(three: EtcdCluster) -> None:
    leader = three.leader()
    local = (leader + 1) % 3
    async with three.client(local) as store:
        lease = await store.grant(5.0)
        other = await store.leader()
        assert other
        assert not await store.lead(instead_of=other + 1), "nobody has this ID"
        assert three.leader() == leader
        assert await store.lead(instead_of=other)
        assert three.leader() == local
        assert not await store.leader(), "it leads already"
        await store.txn([], [Put("/test/leadership", b"x", lease)])
        assert await store.keepalive(lease) > 0


async def test_a_local_member_that_is_gone_takes_no_lead(three: EtcdCluster) -> None:
    local = (three.leader() + 1) % 3
    async with three.client(local) as store:
        other = await store.leader()
        three.kill(local)
        with pytest.raises(StoreError):
            await store.leader()
        with pytest.raises(StoreError):
            await store.lead(instead_of=other)
        assert three.leader() != local
