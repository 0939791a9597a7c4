"""An agent at a desk: the real client with its two connections, and a phone."""

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING, Any, Final

from callcenter.directory import Agent
from callcenter.session.client import CONNECT_TIMEOUT, ClientSession, Connect, HasSignedIn, Lost, Released, Send
from callcenter.session.messages import ClientFrame, ServerFrame
from tests.sim.network import Line
from tests.sim.scheduler import Event, Process
from tests.sim.switch import Call

if TYPE_CHECKING:
    from tests.sim.cti import SimCti
    from tests.sim.world import World

LATE_S: Final = 0.03
"""A client's timer is served up to this much late."""


class Person:
    def __init__(self, world: "World", agent: Agent, process: Process, home: str, rng: Random) -> None:
        self.world = world
        self.agent = agent
        self.account = agent.account
        self.process = process
        self.home = home
        self.rng = rng
        self.lines: dict[str, Line] = {}
        self.talks: Call | None = None
        self.sign_ins = 0
        self._attempts: dict[str, int] = {}
        self._timer: Event | None = None
        self._instances = 0
        self.client = self._new_client()

    def _new_client(self) -> ClientSession:
        self._instances += 1
        return ClientSession(
            self.account,
            f"{self.account}-{self._instances}",
            self.world.cities,
            self.home,
            mac=self.agent.mac,
            jitter=self.rng.random,
            lease=self.world.timing.lease,
        )

    def start(self) -> None:
        self.process.call(self._happen, self.client, lambda client, now: client.start(now, self.process.now()))

    def restart(self) -> None:
        """The desktop's process dies and another one starts; the cities' ends learn of it as its host says so."""
        self.world.watch.befell(self.account)
        for site, line in list(self.lines.items()):
            self._hang_up(site, line)
        if self._timer is not None:
            self._timer.cancel()
        for site in self.world.cities:
            self._attempts[site] = self._attempts.get(site, 0) + 1
        self.client = self._new_client()
        self.start()

    def phone(self, busy: bool) -> None:
        self.process.call(self._happen, self.client, lambda client, now: client.phone(busy, now))

    @property
    def works_at(self) -> str | None:
        return self.client.signed_in_at

    # -- the client's events and what it wants

    def _happen(self, client: ClientSession, event: Callable[[ClientSession, float], list[Any]]) -> None:
        if client is not self.client:
            return
        for action in event(client, self.process.monotonic()):
            match action:
                case Send():
                    line = self.lines.get(action.site)
                    if line is not None and line.open["a"]:
                        self._send(line, action.site, action.frame)
                case Connect():
                    self._connect(action.site, action.after)
                case HasSignedIn():
                    self.sign_ins += 1
                    self.world.note(f"{self.account} signs in at {action.site} ({action.cause})")
                case Lost() | Released():
                    self.world.note(f"{self.account} {type(action).__name__.lower()} at {action.site}")
        wake_at = client.wake_at
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if wake_at < float("inf"):
            due = max(self.process.true(wake_at), self.world.scheduler.now) + self.rng.random() * LATE_S
            self._timer = self.world.scheduler.at(due, self._tick, process=self.process)

    def _tick(self) -> None:
        self._timer = None
        self._happen(self.client, lambda client, now: client.tick(now))

    # -- connections

    def _connect(self, site: str, after: float) -> None:
        attempt = self._attempts[site] = self._attempts.get(site, 0) + 1
        old = self.lines.pop(site, None)
        if old is not None:
            self._hang_up(site, old)
        self.world.scheduler.after(after / self.process.rate, self._dial, site, attempt)

    def _dial(self, site: str, attempt: int) -> None:
        if self._attempts[site] != attempt:
            return
        network, scheduler = self.world.network, self.world.scheduler
        there, back = network.delay(self.process.place, site), network.delay(site, self.process.place)
        cti = self.world.ctis[site]
        if not network.both(self.process.place, site) or not cti.process.serves:
            refused = network.both(self.process.place, site) and not cti.process.alive
            scheduler.after(there + back if refused else CONNECT_TIMEOUT, self._not_connected, site, attempt)
            return
        scheduler.after(there + back, self._connected, site, attempt, cti)

    def _not_connected(self, site: str, attempt: int) -> None:
        if self._attempts[site] == attempt:
            self.process.call(self._happen, self.client, lambda client, now: client.disconnected(site, now))

    def _connected(self, site: str, attempt: int, cti: "SimCti") -> None:
        if self._attempts[site] != attempt:
            return
        if not cti.process.alive or not self.world.network.both(self.process.place, site):
            self.world.scheduler.after(CONNECT_TIMEOUT, self._not_connected, site, attempt)
            return
        line = Line(self.world.network, self.world.number(), self.process.place, site, self)
        self.lines[site] = cti.lines[line.id] = line
        self.process.call(self._happen, self.client, lambda client, now: client.connected(site, now))

    def _hang_up(self, site: str, line: Line) -> None:
        """Our end is closed; the city hears of it when the network brings it."""
        line.open["a"] = False
        self.lines.pop(site, None)
        line.send("b", lambda: self.world.city_end_gone(site, line))

    def _send(self, line: Line, site: str, frame: ClientFrame) -> None:
        line.send("b", lambda: self._reach(line, site, frame))

    def _reach(self, line: Line, site: str, frame: ClientFrame) -> None:
        cti = self.world.ctis[site]
        if cti.lines.get(line.id) is line and cti.process.alive:
            cti.process.call(self._frame_in_city, cti, line, frame)
        elif line.open["a"]:
            self._reset(line, site)  # its host says that there is no such connection

    @staticmethod
    def _frame_in_city(cti: "SimCti", line: Line, frame: ClientFrame) -> None:
        if cti.lines.get(line.id) is line:
            cti._client_frame(line.id, frame)

    def receive(self, line: Line, frame: ServerFrame) -> None:
        """The city sends a frame."""

        def arrive() -> None:
            if line.open["a"]:
                self.process.call(self._frame, line, frame)

        line.send("a", arrive)

    def _frame(self, line: Line, frame: ServerFrame) -> None:
        if self.lines.get(line.b) is line:
            self._happen(self.client, lambda client, now: client.frame(line.b, frame, now))

    def closed_by_city(self, line: Line, cti: "SimCti") -> None:
        self.world.city_end_gone(line.b, line)
        line.send("a", lambda: self._end_gone(line))

    def _reset(self, line: Line, site: str) -> None:
        self.world.network.carry(site, self.process.place, lambda: self._end_gone(line))

    def _end_gone(self, line: Line) -> None:
        """Our host tells us that the connection is over."""
        if self.lines.get(line.b) is line:
            del self.lines[line.b]
            line.open["a"] = False
            site = line.b
            self.process.call(self._happen, self.client, lambda client, now: client.disconnected(site, now))

    def reset(self, site: str, *, client_told: bool, city_told: bool) -> None:
        """Something on the way ends the connection, for those who are told."""
        self.world.watch.befell(self.account)
        line = self.lines.get(site)
        if line is not None:
            if client_told:
                self._end_gone(line)
            if city_told:
                self.world.city_end_gone(site, line)
