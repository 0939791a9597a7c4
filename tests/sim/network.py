"""The network between locations and floors: late, lossy, cut, one way or both.

TCP's promises hold within a connection: nothing is lost and nothing overtakes, but it may come seconds late, when the
other end has long given up. Between connections, and for datagrams, nothing is promised.
"""

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Callable
from random import Random
from typing import Any, Final

from tests.sim.scheduler import Process, Scheduler

NEAR_S: Final = 0.0004
"""Longest way within one city, seconds."""


class NotReachedError(Exception):
    """Nobody listened, or no connection could be made: nothing was sent."""


class NoAnswerError(Exception):
    """It was sent, and there was no answer in time."""


class Network:
    """Directed links between places. `far_s`: longest usual way between two places, seconds."""

    def __init__(self, scheduler: Scheduler, rng: Random, far_s: float) -> None:
        self.scheduler = scheduler
        self.rng = rng
        self.far_s = far_s
        self.late = 0.0
        """Share of messages that lose a packet, which TCP sends again 0.2 to 3 s later; datagrams are gone."""
        self.twice = 0.0
        """Share of requests that something on the way, a proxy perhaps, brings a second time, seconds later."""
        self.slow: Counter[tuple[str, str]] = Counter()
        """Links whose way takes up to 0.6 s more."""
        self.filtered: Counter[tuple[str, str]] = Counter()
        """Ways on which nothing answers a probe, though everything else passes: somebody's new firewall."""
        self._cuts: Counter[tuple[str, str]] = Counter()
        self._held: dict[tuple[str, str], list[Callable[[], object]]] = defaultdict(list)
        self.changed: list[Callable[[], object]] = []
        """Called whenever a link is cut or mended."""

    # -- faults; cuts count, so that each fault undoes its own

    def cut(self, source: str, target: str) -> None:
        self._cuts[source, target] += 1
        self._tell()

    def mend(self, source: str, target: str) -> None:
        link = (source, target)
        self._cuts[link] -= 1
        if not self._cuts[link]:
            del self._cuts[link]
            held = self._held.pop(link, [])
            for number, arrives in enumerate(held):
                self.scheduler.after(self.delay(source, target) + number * 1e-5, arrives)
        self._tell()

    def _tell(self) -> None:
        for listener in self.changed:
            listener()

    def passes(self, source: str, target: str) -> bool:
        return not self._cuts or (source, target) not in self._cuts

    def both(self, a: str, b: str) -> bool:
        return not self._cuts or ((a, b) not in self._cuts and (b, a) not in self._cuts)

    @property
    def well(self) -> bool:
        """Whether nothing at all is wrong with any link."""
        return not (self._cuts or self.slow or self.filtered or self.late)

    # -- carrying

    def delay(self, source: str, target: str) -> float:
        """Seconds of one way."""
        rng = self.rng
        seconds = rng.random() * NEAR_S if source == target else (0.2 + 0.8 * rng.random()) * self.far_s
        if self.slow and self.slow[source, target]:
            seconds += 0.6 * rng.random()
        if self.late and rng.random() < self.late:
            seconds += 0.2 + 2.8 * rng.random()
        return seconds

    def carry(self, source: str, target: str, arrives: Callable[[], object], not_before: float = 0.0) -> float:
        """Bring one message; on a cut link it waits. Returns when it is due."""
        due = max(self.scheduler.now + self.delay(source, target), not_before)

        def arrive() -> None:
            if self.passes(source, target):
                arrives()
            else:
                self._held[source, target].append(arrive)

        self.scheduler.at(due, arrive)
        return due

    # -- one question, one answer

    async def ask(
        self,
        caller: Process,
        target: str,
        serve: Callable[[Callable[[Any], None]], None],
        timeout: float,
        *,
        connect_s: float = 0.25,
        by_proxy: bool = False,
    ) -> Any:
        """Ask something in `target` and wait.

        Args:
            serve: Called when the question arrives, with what takes the answer (a value, or an exception to raise).
            by_proxy: Whether something on the way may bring it twice.
        Raises: NotReachedError, NoAnswerError.
        """
        source = caller.place
        answer = caller.loop.create_future()
        connected = self.both(source, target) or self.rng.random() < 0.7
        if not connected:
            await asyncio.sleep(min(connect_s, timeout))
            raise NotReachedError(f"{target} cannot be reached from {source}")
        stubborn = self.rng.random() < 0.5

        def take(value: Any) -> None:
            if answer.done():
                return
            if isinstance(value, Exception):
                answer.set_exception(value)
            else:
                answer.set_result(value)

        def reply(value: Any) -> None:
            if source == target or self.both(source, target):
                self.scheduler.at(self.scheduler.now + self.delay(target, source), take, value, process=caller)
            # Else the answer is lost: whoever asked learns nothing, whatever has happened.

        def arrive() -> None:
            if not answer.done() or stubborn:  # what was given up may have left, and arrives after all
                serve(reply)

        self.carry(source, target, arrive)
        if by_proxy and self.twice and self.rng.random() < self.twice:
            again = self.scheduler.now + self.rng.uniform(0.01, 5.0)
            self.carry(source, target, lambda: serve(_nobody), again)
        timer = caller.loop.call_later(timeout, take, NoAnswerError(f"{target} did not answer within {timeout:g} s"))
        try:
            return await answer
        finally:
            timer.cancel()


def _nobody(answer: Any) -> None:
    """Takes an answer that nobody waits for."""


class Way:
    """One direction of a TCP connection: what is sent arrives in order, also what a link held that was cut."""

    __slots__ = ("_due", "_network", "_sent", "_source", "_target")

    def __init__(self, network: Network, source: str, target: str) -> None:
        self._network = network
        self._source, self._target = source, target
        self._sent: deque[Callable[[], object]] = deque()
        self._due = 0.0

    def send(self, arrives: Callable[[], object]) -> None:
        self._sent.append(arrives)
        self._due = self._network.carry(self._source, self._target, self._next, self._due + 1e-9)

    def _next(self) -> None:
        self._sent.popleft()()


class Line:
    """One TCP connection. Each end learns of its end by itself, or never."""

    __slots__ = ("_to", "a", "b", "id", "network", "on_message", "open", "owner")

    def __init__(self, network: Network, number: int, a: str, b: str, owner: Any = None) -> None:
        self.network = network
        self.id = number
        self.a, self.b = a, b
        self.owner = owner
        self.open = {"a": True, "b": True}
        self._to = {"a": Way(network, b, a), "b": Way(network, a, b)}

    def send(self, to: str, arrives: Callable[[], object]) -> None:
        """To end `a` or `b`, after everything sent there before."""
        self._to[to].send(arrives)
