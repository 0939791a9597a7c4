"""The local member alone says whether it takes part in what the store decides, and how many have a vote."""

import pytest

from tandem.engine.ports import StoreError
from tests.support.etcd import EtcdCluster

pytestmark = [pytest.mark.contract, pytest.mark.slow]


async def test_each_member_says_who_it_is_and_how_many_there_are(three: EtcdCluster) -> None:
    found = []
    for local in range(3):
        async with three.client(local) as store:
            found.append(await store.membership())
    assert [said.voters for said in found if said is not None] == [3, 3, 3]
    assert len({said.member for said in found if said is not None}) == 3


@pytest.mark.parametrize("what", ["kill", "freeze"])
async def test_nobody_answers_for_a_member_that_is_out_of_it(three: EtcdCluster, what: str) -> None:
    local = (three.leader() + 1) % 3
    async with three.client(local) as store:
        assert await store.membership() is not None
        getattr(three, what)(local)
        with pytest.raises(StoreError):
            await store.membership()
        assert await store.get("/test/membership", timeout=5.0) is None, "the store lives on by the others"


async def test_a_member_without_a_majority_takes_part_in_nothing(three: EtcdCluster) -> None:
    """It lives, and would answer from memory if it were not asked to read linearizably."""
    local = three.leader()
    async with three.client(local) as store:
        for other in {0, 1, 2} - {local}:
            three.kill(other)
        with pytest.raises(StoreError):
            await store.membership()
