"""Supervision: started again, and loud when it goes on failing."""

import asyncio

import pytest

from tandem.engine.supervisor import supervise
from tests.unit.engine.virtual import VirtualClock, run_virtual


def test_a_part_that_fails_is_started_again_and_the_others_go_on() -> None:
    async def story() -> None:
        starts = {"good": 0, "bad": 0}

        async def good() -> None:
            starts["good"] += 1
            await asyncio.Event().wait()

        async def bad() -> None:
            starts["bad"] += 1
            await asyncio.sleep(100.0)
            raise ValueError("a bug")

        task = asyncio.create_task(supervise({"good": good, "bad": bad}, VirtualClock()))
        await asyncio.sleep(350.0)
        assert starts == {"good": 1, "bad": 4}
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    run_virtual(story())


@pytest.mark.parametrize("how", ["raises", "ends"])
def test_a_part_that_fails_again_and_again_ends_the_process(how: str) -> None:
    async def story() -> None:
        async def bad() -> None:
            if how == "raises":
                raise ValueError("a bug")

        with pytest.raises(ExceptionGroup) as caught:
            await supervise({"bad": bad}, VirtualClock())
        assert "bad failed 5 times" in str(caught.value.exceptions[0])

    run_virtual(story())


def test_a_part_that_ends_as_cancelled_although_nobody_cancelled_it_is_started_again() -> None:
    async def story() -> None:
        starts = 0

        async def part() -> None:
            nonlocal starts
            starts += 1
            if starts < 3:
                raise asyncio.CancelledError
            await asyncio.Event().wait()

        task = asyncio.create_task(supervise({"part": part}, VirtualClock()))
        await asyncio.sleep(10.0)
        assert starts == 3
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    run_virtual(story())
