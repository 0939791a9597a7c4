"""A city's CTI: the real process of the reference call centre, with its sockets, its clock and its disk replaced.

`callcenter.cti.app.Cti` runs as it is (ticks, stalls, boot IDs, control port, peer line); what it imports from the
operating system is handed to it here.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from unittest.mock import patch

from pydantic_core import from_json, to_json

from callcenter.cti import app, loanstore
from callcenter.cti.centre import Centre, Effects
from callcenter.cti.config import Config, HostPort, Peer
from callcenter.cti.wire import Impairment
from callcenter.directory import Directory
from callcenter.session.events import Close, Out, Reply
from callcenter.session.lease import Timing
from callcenter.session.messages import ClientFrame, Pong, SignIn
from callcenter.session.placements import PlaceAnswer, Placement
from tandem.adapters.cti.http import HttpCTI
from tandem.adapters.json_http import Answer, JsonHttp
from tandem.engine.ports import AdapterError
from tests.sim.network import Line, Network, NoAnswerError, NotReachedError
from tests.sim.scheduler import Process, ProcessLoop

if TYPE_CHECKING:
    from tests.sim.world import World

TOKEN: Final = "control"


class _Time:
    """Stands for the module `time`: the clock of whichever process runs."""

    CLOCK_BOOTTIME = 7

    @staticmethod
    def clock_gettime(_: int) -> float:
        return cast("ProcessLoop", asyncio.get_running_loop())._process.monotonic()

    @staticmethod
    def time() -> float:
        return cast("ProcessLoop", asyncio.get_running_loop())._process.now()


class _MapStore:
    """Stands for `callcenter.cti.mapstore`: directories are `Disk`s."""

    @staticmethod
    def load(disk: "Disk") -> Mapping[str, Placement]:
        return dict(disk.placements)

    @staticmethod
    def load_priorities(disk: "Disk") -> Mapping[str, int]:
        return disk.priorities

    @staticmethod
    def save(disk: "Disk", placements: Mapping[str, Placement], priorities: Mapping[str, int]) -> None:
        disk.placements, disk.priorities = dict(placements), dict(priorities)


class _LoanStore:
    """Stands for `callcenter.cti.loanstore`."""

    Kept = loanstore.Kept

    @staticmethod
    def load(disk: "Disk") -> loanstore.Kept:
        return disk.loans

    @staticmethod
    def save(disk: "Disk", kept: loanstore.Kept) -> None:
        disk.loans = kept


@dataclass
class Disk:
    """What survives a CTI's death."""

    placements: dict[str, Placement] = field(default_factory=dict)
    priorities: dict[str, int] = field(default_factory=dict)
    loans: loanstore.Kept = field(default_factory=lambda: loanstore.Kept(frozenset(), 0))
    boots: int = 0


class WatchedCentre(Centre):
    """Tells the promises' checkers what happens before it is carried out."""

    watcher: Callable[[Iterable[Out], float], None] | None = None
    ticks: tuple[float, float] = (-math.inf, -math.inf)
    """When it ticked last, and when before that, by its own clock."""

    def tick(self, now: float) -> Effects:
        self.ticks = (now, self.ticks[0])
        return super().tick(now)

    def _spread(self, outs: Iterable[Out], now: float, effects: Effects) -> None:
        outs = list(outs)
        if outs and self.watcher is not None:
            self.watcher(outs, now)
        super()._spread(outs, now, effects)


def _boot() -> str:
    return cast("ProcessLoop", asyncio.get_running_loop())._process.next_boot()  # type: ignore[attr-defined, no-any-return]


@contextmanager
def operating_system_replaced() -> Iterator[None]:
    """What the CTI's process imports is ours for as long as this lasts, and everybody's own again afterwards."""
    with patch.multiple(app, time=_Time, mapstore=_MapStore, loanstore=_LoanStore, boot_id=_boot, Centre=WatchedCentre):
        yield


class CtiProcess(Process):
    """A process whose boots are counted."""

    disk: Disk

    def next_boot(self) -> str:
        self.disk.boots += 1
        return f"{self.place}{self.disk.boots}"


class SimCti(app.Cti):
    """One CTI process of one city."""

    def __init__(self, world: "World", process: CtiProcess, directory: Directory, timing: Timing, rate: float) -> None:
        self.world = world
        self.process = process
        self.site = process.place
        self.lines: dict[int, Line] = {}
        self.confirmed_by = -1.0
        """True time at which the newest word was sent by which its engine has confirmed maps."""
        self.life = f"{process.place}{process.disk.boots}"
        """Tells its process from those before and after it."""
        self.signs_in = True
        """Else it answers everything but a request to be signed in."""
        config = Config(
            site=self.site,
            system="hotel",
            peers=tuple(Peer(city, "http://peer") for city in self._others()),
            directory=Path("/directory"),
            ticket_secret=b"a secret of the system",
            peer_secret="peer",
            control_token=TOKEN,
            evapi=HostPort("switch", 8448),
            sip_address=HostPort("switch", 5060),
            state_dir=cast("Path", process.disk),
            map_dir=None,
            port=80,
            control_port=81,
            host="",
            timing=timing,
            signin_rate=rate,
            wrapup=1.0,
        )
        super().__init__(config, directory)
        self.clients = _Clients(self)  # type: ignore[assignment]
        self.softswitch = _Switch(self)  # type: ignore[assignment]
        self._listeners = cast("Any", _InOrder())
        centre = cast("WatchedCentre", self.centre)
        centre.watcher = lambda outs, now: world.watch.cti_outs(self, outs, now)

    def _others(self) -> tuple[str, ...]:
        """The other cities; to the first of them calls may be relayed."""
        first = self.world.other(self.site)
        return (first, *(city for city in self.world.cities if city not in (self.site, first)))

    def run(self) -> None:
        """Begin, within the process."""
        loop = self.process.loop
        self._alive_at = self.now()
        self._tasks = [loop.create_task(task) for task in (self._tick(), self._maps.run(), self._keep_loans())]
        self._tasks.append(loop.create_task(self._list_calls()))
        own = self.world.cities.index(self.site)
        self._tasks += [loop.create_task(self._connect_to_peer(city)) for city in self.world.cities[own + 1 :]]
        for task in self._tasks:
            task.add_done_callback(self._ended)
        switch = self.world.switches[self.site]
        self.process.scheduler.after(0.02, switch.say_hello, self, "")
        self.world.watch.cti_started(self)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        """A part of a CTI that ends has failed."""
        if not task.cancelled():
            self.process.scheduler.stopped_by = task.exception() or RuntimeError(f"{task} of {self.site} has ended")

    # -- what tells the checkers

    async def place(self, boot: str, placements: dict[str, Placement], *, confirmed: bool) -> dict[str, PlaceAnswer]:
        answers = await super().place(boot, placements, confirmed=confirmed)
        self.world.watch.cti_placed(self)
        return answers

    def impair(self, wanted: Impairment) -> dict[str, int]:
        silence = self.centre.server._silence
        before = set(silence._of)
        chosen = super().impair(wanted)
        self.world.watch.silenced(self, [account for account in silence._of if account not in before])
        return chosen

    def _client_frame(self, conn: int, frame: ClientFrame) -> None:
        if not self.signs_in and type(frame) is SignIn:
            return
        super()._client_frame(conn, frame)
        if type(frame) is Pong and conn in self.lines:
            self.world.watch.pong(self, self.lines[conn].owner)

    # -- the line between the CTIs

    async def _connect_to_peer(self, place: str) -> None:
        world = self.world
        while True:
            there: list[_Socket] = []

            def accept(reply: Callable[[Any], None], there: list["_Socket"] = there) -> None:
                peer = world.ctis[place]
                if not peer.process.alive:
                    reply(NotReachedError(place))
                elif peer.process.serves:
                    here, other = _socket_pair(world.network, self.process, peer.process)
                    there.append(here)
                    peer.process.call(
                        lambda: peer.process.loop.create_task(peer.peers[self.site]._talk(cast("Any", other)))
                    )
                    reply(None)

            try:
                await world.network.ask(self.process, place, accept, 2.0)
            except (NotReachedError, NoAnswerError):
                await asyncio.sleep(0.5)
                continue
            await self.peers[place]._talk(cast("Any", there[-1]))
            await asyncio.sleep(0.5)

    async def _list_calls(self) -> None:
        """What `SoftswitchLink` does each 5 s: the answer repairs what was lost."""
        while True:
            await asyncio.sleep(5.0)
            question = self.centre.calls.list_request()
            switch = self.world.switches[self.site]
            self.process.scheduler.after(0.002, switch.say_hello, self, question["n"])

    def pause(self, now: float) -> float:
        """Seconds since it last looked who is waiting, at a moment at which it does (its own clock)."""
        last, before = cast("WatchedCentre", self.centre).ticks
        return now - (before if now == last else last)

    def hear(self, event: Mapping[str, Any]) -> None:
        """The softswitch says something."""
        self.process.call(self._switch_event, event)


class _InOrder(dict[Any, None]):
    """A set that is gone through in the order in which it was filled: a run must not depend on memory addresses."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)


class _Clients:
    """Stands for the clients' WebSockets."""

    def __init__(self, cti: SimCti) -> None:
        self._cti = cti

    def post(self, outs: Iterable[Reply | Close]) -> None:
        cti = self._cti
        for out in outs:
            line = cti.lines.get(out.conn)
            if line is None:
                continue
            if isinstance(out, Close):
                line.owner.closed_by_city(line, cti)
            else:
                line.owner.receive(line, out.frame)


class _Switch:
    """Stands for the line to the softswitch of the same city."""

    connected = True

    def __init__(self, cti: SimCti) -> None:
        self._cti = cti

    def send(self, words: Iterable[Mapping[str, Any]]) -> None:
        world, site = self._cti.world, self._cti.site
        for word in words:
            world.watch.word_to_switch(self._cti, word)
            world.scheduler.after(0.001, world.switches[site].word, dict(word))


class _Socket:
    """One end of a WebSocket between two CTIs."""

    def __init__(self, process: Process, line: Line, side: str) -> None:
        self.process = process
        self.line = line
        self.side = side
        self.other: _Socket
        self.inbox: deque[str | None] = deque()
        """What has come; None: the other side is gone."""
        self.heard_at = 0.0
        self.waiter: asyncio.Future[None] | None = None
        self.closed = False

    def send(self, text: str) -> None:
        if not self.closed:
            self.line.send("b" if self.side == "a" else "a", lambda: self.other.arrive(text))

    def arrive(self, message: str | None) -> None:
        if not self.process.alive:
            # Its host says that nobody is there any more.
            if not self.closed:
                self.closed = True
                self.line.send("b" if self.side == "a" else "a", lambda: self.other.arrive(None))
            return
        self.inbox.append(message)
        if self.waiter is not None and not self.waiter.done():
            self.process.call(self._wake, self.waiter)

    @staticmethod
    def _wake(waiter: "asyncio.Future[None]") -> None:
        if not waiter.done():
            waiter.set_result(None)

    async def receive(self, within: float) -> str | None:
        if not self.inbox:
            self.waiter = self.process.loop.create_future()
            timer = self.process.loop.call_later(within, self._wake, self.waiter)
            try:
                await self.waiter
            finally:
                timer.cancel()
                self.waiter = None
            if not self.inbox:
                raise TimeoutError
        return self.inbox.popleft()

    def end(self, code: object) -> None:
        if not self.closed:
            self.closed = True
            self.line.send("b" if self.side == "a" else "a", lambda: self.other.arrive(None))


def _socket_pair(network: Network, a: Process, b: Process) -> tuple[_Socket, _Socket]:
    line = Line(network, 0, a.place, b.place)
    here, there = _Socket(a, line, "a"), _Socket(b, line, "b")
    here.other, there.other = there, here
    return here, there


# -- the engine's way to it: the real adapter over a made-up HTTP


class _Request:
    """As much of a web request as the control port's handlers look at."""

    def __init__(self, query: Mapping[str, str], body: Any) -> None:
        self.query = query
        self._body = body

    async def text(self) -> str:
        return to_json(self._body).decode()


class SimHttp(JsonHttp):
    """`JsonHttp` without HTTP: questions travel over the made-up network to the control port's own handlers."""

    def __init__(self, world: "World", caller: Process, site: str) -> None:
        self._world = world
        self._caller = caller
        self._site = site
        self._who = f"CTI at {site}"
        self._url = ""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        body: Any = None,
        params: Mapping[str, str | int | float] | None = None,
        good: Any = (200,),
    ) -> Answer:
        request = _Request({name: str(value) for name, value in (params or {}).items()}, body)

        def serve(reply: Callable[[Any], None]) -> None:
            cti = self._world.ctis[self._site]
            if not cti.process.alive:
                reply(NotReachedError(self._who))
                return

            async def handle() -> None:
                answer = await _HANDLERS[path](cti.control, request)
                if path == "/v1/placements" and answer.status == 200 and body["confirmed"]:
                    cti.confirmed_by = max(cti.confirmed_by, sent_at)
                reply(answer)

            cti.process.call(lambda: cti.process.loop.create_task(handle()).add_done_callback(_must_not_fail))

        if method == "PUT":
            await self._caller.about_to("push")
        sent_at = self._world.scheduler.now
        try:
            answer = await self._world.network.ask(
                self._caller, self._site, serve, timeout, connect_s=1.0, by_proxy=True
            )
        except (NotReachedError, NoAnswerError) as error:
            raise AdapterError(f"{self._who}: {method} {path}: {error}") from error
        if answer.status not in good:
            raise AdapterError(f"{self._who}: {method} {path} was answered {answer.status}: {answer.text}")
        return Answer(answer.status, from_json(answer.text))


def _must_not_fail(task: "asyncio.Task[None]") -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        cast("ProcessLoop", task.get_loop())._process.scheduler.stopped_by = error


_HANDLERS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "/v1/capabilities": lambda port, request: port.capabilities(request),
    "/v1/status": lambda port, request: port.status(request),
    "/v1/progress": lambda port, request: port.progress(request),
    "/v1/placements": lambda port, request: port.placements(request),
    "/v1/impair": lambda port, request: port.impair(request),
    "/v1/moves": lambda port, request: port.moves(request),
    "/v1/evidence": lambda port, request: port.evidence(request),
}


def cti_adapter(world: "World", caller: Process, site: str) -> HttpCTI:
    return HttpCTI(SimHttp(world, caller, site))
