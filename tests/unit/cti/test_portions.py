"""A crowd is let through in portions: in its order, nobody lost, and with the rest of the process in between."""

import asyncio

from callcenter.cti.portions import Portions


class Crowd:
    """Whoever got through, and in which round of the event loop."""

    def __init__(self, size: int) -> None:
        self.portions = Portions(size)
        self.through: list[int] = []
        self.rounds: list[int] = []
        self._round = 0

    async def come(self, who: int) -> None:
        await self.portions.turn()
        self.through.append(who)
        self.rounds.append(self._round)

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(0)
            self._round += 1


async def seen(crowd: Crowd, comers: int, *, leaves: int | None = None) -> list[int]:
    """How many got through in each round in which somebody did."""
    watching = asyncio.create_task(crowd.watch())
    coming = [asyncio.create_task(crowd.come(n)) for n in range(comers)]
    if leaves is not None:
        await asyncio.sleep(0)
        coming[leaves].cancel()
    await asyncio.wait_for(asyncio.gather(*coming, return_exceptions=True), 5.0)
    watching.cancel()
    return [crowd.rounds.count(n) for n in sorted(set(crowd.rounds))]


async def test_few_wait_for_nothing() -> None:
    crowd = Crowd(3)
    assert await seen(crowd, 3) == [3]
    assert await seen(crowd, 3) == [3, 3], "and the next time as well"


async def test_a_crowd_goes_through_in_portions_and_in_its_order() -> None:
    crowd = Crowd(3)
    assert await seen(crowd, 11) == [3, 3, 3, 2]
    assert crowd.through == list(range(11))


async def test_who_comes_later_does_not_push_past_the_crowd() -> None:
    crowd = Crowd(2)
    first = [asyncio.create_task(crowd.come(n)) for n in range(6)]
    await asyncio.sleep(0)
    late = asyncio.create_task(crowd.come(99))
    await asyncio.wait_for(asyncio.gather(*first, late), 5.0)
    assert crowd.through == [0, 1, 2, 3, 4, 5, 99]


async def test_who_has_left_takes_nobody_s_turn() -> None:
    crowd = Crowd(2)
    assert await seen(crowd, 7, leaves=3) == [2, 2, 2]
    assert crowd.through == [0, 1, 2, 4, 5, 6]
