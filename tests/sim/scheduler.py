"""True time, and processes that see it through clocks of their own.

Everything that happens is an event at a moment of true time; the order of events follows from the seed alone. A
`Process` has its own clock (origin, rate, wall clock), can stand still for a while, and can die without a word. Its
coroutines run on a `ProcessLoop`, an asyncio event loop that keeps the process's time.
"""

import asyncio
import sys
from asyncio import events
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from heapq import heappop, heappush
from typing import Any, Final

WALL_EPOCH: Final = 1_700_000_000.0
"""CLOCK_REALTIME at true time 0, seconds."""


class Event:
    """Something that is going to happen, unless it is cancelled."""

    __slots__ = ("args", "callback", "is_cancelled", "process")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], process: "Process | None") -> None:
        self.callback = callback
        self.args = args
        self.process = process
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled


class Scheduler:
    """True time and what is going to happen."""

    def __init__(self) -> None:
        self.now = 0.0
        self.steps = 0
        self.tasks_made = 0
        self._order = 0
        self._later: list[tuple[float, int, Event]] = []
        self._ready: deque[Event] = deque()
        """What happens now, in this order, before time goes on."""
        self.processes: list[Process] = []
        self.stopped_by: BaseException | None = None
        """Ends the run: also what was raised within a task, where it would only end the task."""

    def at(self, when: float, callback: Callable[..., object], *args: Any, process: "Process | None" = None) -> Event:
        """Let something happen at a moment of true time, in a process if one is named."""
        event = Event(callback, args, process)
        self._order = order = self._order + 1
        heappush(self._later, (when, order, event))
        return event

    def after(self, seconds: float, callback: Callable[..., object], *args: Any) -> Event:
        event = Event(callback, args, None)
        self._order = order = self._order + 1
        heappush(self._later, (self.now + seconds, order, event))
        return event

    def run(self, until: float) -> None:
        """Let time pass. Whatever an event raises ends the run: it is a broken promise or a bug."""
        ready, later = self._ready, self._later
        set_running_loop = events._set_running_loop
        running: ProcessLoop | None = None
        try:
            while True:
                if ready:
                    event = ready.popleft()
                    if event.is_cancelled:
                        continue
                elif later and later[0][0] <= until:
                    when, _, event = heappop(later)
                    if event.is_cancelled:
                        continue
                    if when > self.now:
                        self.now = when
                else:
                    break
                process = event.process
                loop: ProcessLoop | None = None
                if process is not None:
                    if not process.alive:
                        continue
                    if self.now < process.stalled_until:
                        process.parked.append(event)
                        continue
                    loop = process.loop
                if loop is not running:
                    set_running_loop(loop)
                    running = loop
                self.steps += 1
                event.callback(*event.args)
                if self.stopped_by is not None:
                    raise self.stopped_by
        finally:
            set_running_loop(None)
        self.now = max(self.now, until)

    def bury(self) -> None:
        """Let go of everything quietly: coroutines of dead processes never get to their `finally`."""
        self._ready.clear()
        self._later.clear()
        quiet, sys.unraisablehook = sys.unraisablehook, lambda _: None
        try:
            for process in self.processes:
                process.alive = False
                for task in process.loop.tasks:
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    coroutine = task.get_coro()
                    with suppress(BaseException):  # it is dead and may say what it likes
                        coroutine.close()
                process.loop.tasks.clear()
            self.processes.clear()
        finally:
            sys.unraisablehook = quiet


class Process:
    """One operating system process.

    Args:
        rate: Its clock's seconds per true second. origin: CLOCK_BOOTTIME at true time 0. wall: by how many seconds its
            CLOCK_REALTIME is off.
    """

    def __init__(
        self, scheduler: Scheduler, name: str, place: str, *, rate: float = 1.0, origin: float = 0.0, wall: float = 0.0
    ) -> None:
        self.scheduler = scheduler
        self.name = name
        self.place = place
        self.rate = rate
        self.origin = origin
        self.wall = wall
        self.alive = True
        self.stalled_until = 0.0
        self.parked: list[Event] = []
        """What has come while it stood still."""
        self.stood_still: list[tuple[float, float]] = []
        """From when to when on its own clock, until somebody has taken note of it."""
        self._still_since = 0.0
        self.stops: tuple[str, float, Callable[[], object]] | None = None
        """What it will be about to send when it is stopped, for how many seconds, and what happens then."""
        self.disk_s = 0.01
        """Seconds that a write to its disk takes."""
        self.loop = ProcessLoop(self)  # type: ignore[abstract]  # what tasks never ask for is not there
        scheduler.processes.append(self)

    @property
    def serves(self) -> bool:
        """Whether it would answer now."""
        return self.alive and self.scheduler.now >= self.stalled_until

    def monotonic(self) -> float:
        return self.origin + self.scheduler.now * self.rate

    def now(self) -> float:
        """CLOCK_REALTIME."""
        return WALL_EPOCH + self.wall + self.scheduler.now * self.rate

    def true(self, mine: float) -> float:
        """The moment of true time at which this process's clock shows `mine`."""
        return (mine - self.origin) / self.rate

    async def sleep(self, seconds: float) -> None:
        """`asyncio.sleep` within this process: the commonest thing that happens at all, so without its detours."""
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future: asyncio.Future[None] = asyncio.Future(loop=self.loop)
        timer = self.loop.call_later(seconds, _slept, future)
        try:
            await future
        finally:
            timer.cancel()

    @contextmanager
    def now_running(self) -> Iterator[None]:
        """As if the process did what is done here."""
        before = events._get_running_loop()
        events._set_running_loop(self.loop)
        try:
            yield
        finally:
            events._set_running_loop(before)

    def stall(self, seconds: float) -> None:
        """Stand still; what comes meanwhile is dealt with afterwards, in order."""
        if self.serves:
            self._still_since = self.monotonic()
        self.stalled_until = max(self.stalled_until, self.scheduler.now + seconds)
        self.scheduler.at(self.stalled_until, self._wake)

    async def about_to(self, what: str) -> None:
        """Between a decision to send something and its sending: here the operating system may stop a process.

        What was decided goes out as the very first thing when it runs again, however old it is by then.
        """
        if self.stops is not None and self.stops[0] == what:
            _, seconds, then = self.stops
            self.stops = None
            self.stall(seconds)
            then()
            await asyncio.sleep(0)

    def thaw(self) -> None:
        """Go on now."""
        self.stalled_until = min(self.stalled_until, self.scheduler.now)
        self._wake()

    def _wake(self) -> None:
        if self.scheduler.now >= self.stalled_until:
            if self._still_since:
                self.stood_still.append((self._still_since, self.monotonic()))
                self._still_since = 0.0
            self.scheduler._ready.extend(self.parked)
            self.parked.clear()

    def kill(self) -> None:
        """As kill -9: nothing is given back, nothing is said."""
        self.alive = False

    def call(self, callback: Callable[..., object], *args: Any) -> None:
        """Let the process do something now, or once it runs again."""
        self.scheduler._ready.append(Event(callback, args, self))


def _slept(future: "asyncio.Future[None]") -> None:
    if not future.cancelled():
        future.set_result(None)


class _NumberedTask(asyncio.Task[Any]):
    """A task whose place in a set follows from when it was made, not from where it lies in memory."""

    number = 0

    def __hash__(self) -> int:
        return self.number


class ProcessLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures and timers need."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ready = process.scheduler._ready
        self.tasks: set[asyncio.Task[Any]] = set()
        self.failures: list[dict[str, Any]] = []

    def time(self) -> float:
        return self._process.monotonic()

    def call_soon(self, callback: Callable[..., object], *args: Any, context: Any = None) -> Event:  # type: ignore[override]
        event = Event(callback, args, self._process)
        self._ready.append(event)
        return event

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Event:  # type: ignore[override]
        process = self._process
        return self.call_at(process.origin + process.scheduler.now * process.rate + delay, callback, *args)

    def call_at(self, when: float, callback: Callable[..., object], *args: Any, context: Any = None) -> Event:  # type: ignore[override]
        process = self._process
        scheduler = process.scheduler
        event = Event(callback, args, process)
        due = (when - process.origin) / process.rate
        scheduler._order = order = scheduler._order + 1
        heappush(scheduler._later, (due if due > scheduler.now else scheduler.now, order, event))
        return event

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Any = None) -> asyncio.Task[Any]:
        scheduler = self._process.scheduler
        scheduler.tasks_made += 1
        _NumberedTask.number = scheduler.tasks_made  # asked for while it is being made
        task = _NumberedTask(coro, loop=self, name=name)
        task.number = scheduler.tasks_made
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    def run_in_executor(self, executor: Any, func: Callable[..., Any], *args: Any) -> asyncio.Future[Any]:  # type: ignore[override]
        """What a process does in a thread: write its maps to the disk, which takes a while."""
        future = self.create_future()

        def work() -> None:
            result = func(*args)
            if not future.done():
                future.set_result(result)

        self.call_later(self._process.disk_s, work)
        return future

    get_debug = bool
    """Each future asks: `bool()` says no, and is quicker than a function of ours."""

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        # Of a dead process's tasks, mostly; those whose end matters have callbacks of their own.
        self.failures.append(context)

    def default_exception_handler(self, context: dict[str, Any]) -> None:
        self.call_exception_handler(context)
