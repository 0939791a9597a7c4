"""A crowd is taken in portions: in its order, nobody lost, and with the rest of the process in between."""

import asyncio

from callcenter.cti.portions import Portions


class Crowd:
    """Who got through, by round of the event loop."""

    def __init__(self, size: int) -> None:
        self.portions = Portions(size, self._got_through)
        self.through: list[int] = []
        self._rounds: list[int] = []
        self._round = 0

    def _got_through(self, who: int) -> None:
        self.through.append(who)
        self._rounds.append(self._round)

    async def come(self, *comers: int) -> list[int]:
        """Let them come at once; how many got through in each round in which somebody did."""
        due = len(self.through) + len(comers)
        for who in comers:
            self.portions.put(who)
        for _ in range(100):
            if len(self.through) == due:
                break
            self._round += 1
            await asyncio.sleep(0)
        return [self._rounds.count(n) for n in sorted(set(self._rounds))]


async def test_few_wait_for_nothing() -> None:
    crowd = Crowd(3)
    assert await crowd.come(0, 1, 2) == [3]
    await asyncio.sleep(0)
    crowd.portions.put(3)
    assert crowd.through == [0, 1, 2, 3], "and the next time as well"


async def test_a_crowd_goes_through_in_portions_and_in_its_order() -> None:
    crowd = Crowd(3)
    assert await crowd.come(*range(11)) == [3, 3, 3, 2]
    assert crowd.through == list(range(11))


async def test_who_comes_later_does_not_push_past_the_crowd() -> None:
    crowd = Crowd(2)
    for who in range(6):
        crowd.portions.put(who)
    await asyncio.sleep(0)
    await crowd.come(99)
    assert crowd.through == [0, 1, 2, 3, 4, 5, 99]
