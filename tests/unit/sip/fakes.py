"""A clock and a network of our own for SIP stacks: nothing sleeps, every run is the same."""

import heapq
import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from callcenter.sip.call import Call, CallEnd, IncomingCall
from callcenter.sip.message import Address, Request, Response, parse
from callcenter.sip.server_transaction import InviteServerTransaction
from callcenter.sip.stack import SipStack


@dataclass
class FakeTimer:
    callback: Callable[[], object] | None

    def cancel(self) -> None:
        self.callback = None


@dataclass
class FakeScheduler:
    """A scheduler whose time only passes in `run_for`."""

    now: float = 0.0
    _queue: list[tuple[float, int, FakeTimer]] = field(default_factory=list)
    _order: Iterator[int] = field(default_factory=itertools.count)

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[[], object]) -> FakeTimer:
        timer = FakeTimer(callback)
        heapq.heappush(self._queue, (self.now + max(0.0, delay), next(self._order), timer))
        return timer

    def run_for(self, seconds: float) -> None:
        end = self.now + seconds
        while self._queue and self._queue[0][0] <= end:
            due, _, timer = heapq.heappop(self._queue)
            self.now = max(self.now, due)  # a test may have moved the clock: the loop was stalled
            callback, timer.callback = timer.callback, None
            if callback is not None:
                callback()
        self.now = end

    @property
    def pending(self) -> int:
        return sum(1 for _, _, timer in self._queue if timer.callback is not None)


@dataclass
class Datagram:
    at: float
    source: Address
    destination: Address
    data: bytes

    @property
    def summary(self) -> str:
        """`INVITE`, or `200 INVITE` for a response."""
        message = parse(self.data)
        if isinstance(message, Request):
            return message.method
        assert isinstance(message, Response)
        return f"{message.status} {message.cseq.method}"


@dataclass
class FakeNetwork:
    """Carries datagrams between stacks after `delay` seconds, unless `drop` says no."""

    scheduler: FakeScheduler = field(default_factory=FakeScheduler)
    delay: float = 0.01
    drop: Callable[[Datagram], bool] = lambda _: False
    sent: list[Datagram] = field(default_factory=list)
    _receivers: dict[Address, Callable[[bytes, Address], None]] = field(default_factory=dict)
    _seed: Iterator[int] = field(default_factory=itertools.count)

    def stack(self, host: str, port: int = 5060) -> SipStack:
        address = (host, port)
        stack = SipStack(
            local=address,
            send=lambda data, destination: self.carry(Datagram(self.scheduler.now, address, destination, data)),
            scheduler=self.scheduler,
            rng=random.Random(next(self._seed)),
        )
        self.attach(address, stack.receive)
        return stack

    def attach(self, address: Address, receive: Callable[[bytes, Address], None]) -> None:
        self._receivers[address] = receive

    def carry(self, datagram: Datagram) -> None:
        self.sent.append(datagram)
        if self.drop(datagram):
            return

        def deliver() -> None:
            receive = self._receivers.get(datagram.destination)
            if receive is not None:
                receive(datagram.data, datagram.source)

        self.scheduler.call_later(self.delay, deliver)

    def summaries(self, source: SipStack | None = None) -> list[str]:
        return [d.summary for d in self.sent if source is None or d.source == source.local]


@dataclass
class Events:
    """A listener that writes down what a call told it."""

    progress: list[int] = field(default_factory=list)
    answered: list[Response | Request] = field(default_factory=list)
    ends: list[CallEnd] = field(default_factory=list)

    def on_progress(self, call: Call, response: Response) -> None:
        self.progress.append(response.status)

    def on_answered(self, call: Call, message: Response | Request) -> None:
        self.answered.append(message)

    def on_ended(self, call: Call, end: CallEnd) -> None:
        self.ends.append(end)


@dataclass
class Callee:
    """A user that keeps the calls it gets; tests decide what to do with them."""

    stack: SipStack
    user: str
    events: Events = field(default_factory=Events)
    calls: list[IncomingCall] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.stack.add_user(self.user, self)

    def on_invite(self, transaction: InviteServerTransaction) -> None:
        self.calls.append(IncomingCall(self.stack, self.events, transaction, self.user))

    @property
    def call(self) -> IncomingCall:
        return self.calls[-1]
