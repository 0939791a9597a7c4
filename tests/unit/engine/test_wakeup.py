"""A signal is never lost, wakes its one waiter at once, and says whether it was given or time was up."""

import asyncio
from collections.abc import Awaitable, Callable

from tandem.engine.wakeup import Signal
from tests.unit.engine.virtual import run_virtual

Story = Callable[[Signal], Awaitable[None]]


def played(story: Story) -> None:
    async def run() -> None:
        await story(Signal())

    run_virtual(run())


def now() -> float:
    return asyncio.get_running_loop().time()


def test_given_before_or_while_it_is_waited_for_it_wakes_at_once_and_is_taken_back() -> None:
    async def story(signal: Signal) -> None:
        began = now()
        signal.give()
        signal.give()
        assert await signal.wait(5.0)
        assert now() == began
        asyncio.get_running_loop().call_later(1.0, signal.give)
        assert await signal.wait(5.0)
        assert now() - began == 1.0
        assert not await signal.wait(5.0)
        assert now() - began == 6.0

    played(story)


def test_a_deadline_that_is_due_lets_others_run_and_hears_what_they_give() -> None:
    async def story(signal: Signal) -> None:
        assert not await signal.wait(0.0)
        asyncio.get_running_loop().call_soon(signal.give)
        assert await signal.wait(-1.0)
        assert not await signal.wait(0.0)

    played(story)


def test_what_is_given_when_time_is_up_is_not_lost() -> None:
    async def story(signal: Signal) -> None:
        loop = asyncio.get_running_loop()
        waiting = asyncio.create_task(signal.wait(1.0))
        await asyncio.sleep(0)
        loop.call_later(1.0, signal.give)  # in the same moment, and behind the timer
        assert not await waiting
        assert await signal.wait(0.0)

    played(story)


def test_a_task_that_is_cancelled_takes_no_signal_away_from_its_successor() -> None:
    async def story(signal: Signal) -> None:
        first = asyncio.create_task(signal.wait())
        second = asyncio.create_task(signal.wait())
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.sleep(1.0)
        signal.give()
        assert await second
        assert first.cancelled()

    played(story)


def test_without_a_deadline_it_waits_for_ever() -> None:
    async def story(signal: Signal) -> None:
        asyncio.get_running_loop().call_later(1e6, signal.give)
        assert await signal.wait()

    played(story)
