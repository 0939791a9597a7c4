"""One CTI process: the edges, the clock and the disk around `Centre`."""

import asyncio
import contextlib
import logging
import time
import uuid
from collections.abc import Mapping
from functools import partial
from itertools import groupby
from typing import Any, Final

from aiohttp import web
from multidict import CIMultiDict

from callcenter.cti import loanstore, mapstore
from callcenter.cti.agents import AgentBook
from callcenter.cti.centre import Centre, Effects
from callcenter.cti.clients import ClientEdge
from callcenter.cti.config import MOST_CONNECTIONS, Config
from callcenter.cti.control import ControlPort
from callcenter.cti.errors import WrongBootError
from callcenter.cti.mapkeeper import MapKeeper
from callcenter.cti.peer import FROM, Arrivals, PeerLink, Said
from callcenter.cti.softswitch import SoftswitchLink
from callcenter.cti.texts import Accepted, answer, listen
from callcenter.cti.wire import Impairment
from callcenter.directory import Directory
from callcenter.session.messages import ClientFrame
from callcenter.session.placements import PlaceAnswer, Placement
from callcenter.session.priorities import Priorities
from callcenter.session.server import IDLE_TICK, TICK, SessionServer

DISK_AGAIN: Final = 1.0
"""Seconds before a disk that could not be written is tried again; nobody is lent meanwhile."""

STOP_WITHIN: Final = 2.0
"""Seconds that the parts of this process get to end."""

log = logging.getLogger(__name__)


def boot_id() -> str:
    """A random ID for one life of this process."""
    return uuid.uuid4().hex[:12]


class Cti:
    """The process's state and its edges. `start` opens the ports, `stop` closes them.

    Args: config: checked. directory: loaded; must know the city and the system (`main` checks).
    """

    def __init__(self, config: Config, directory: Directory) -> None:
        self.config = config
        agents = AgentBook(
            directory,
            site=config.site,
            system=config.system,
            registrar=str(config.sip_address),
            wrapup=config.wrapup,
        )
        now, wall = self.now(), time.time()
        kept = loanstore.load(config.state_dir)
        server = SessionServer(
            site=config.site,
            boot=boot_id(),
            secret=config.ticket_secret,
            desk=agents,
            timing=config.timing,
            now=now,
            wall=wall,
            rate=config.signin_rate,
            peers=[peer.site for peer in config.peers],
            lent=kept.lent,
            keeps=True,
            priorities={
                group: priority
                for folder in (config.map_dir, config.state_dir)
                if folder is not None
                for group, priority in mapstore.load_priorities(folder).items()
            },
        )
        on_disk = mapstore.load(config.state_dir)
        for found in (mapstore.load(config.map_dir) if config.map_dir is not None else {}, on_disk):
            for name, placement in found.items():
                server.adopt(name, placement)
        self._maps = MapKeeper(
            lambda maps: mapstore.save(config.state_dir, maps, server.priorities.all),
            lambda: mapstore.forget(config.state_dir),
            on_disk,
        )
        server.set_guest_capacity(kept.guest_capacity, now)
        self.centre = Centre(server, agents, wall - now, ring=config.ring)
        self.clients = ClientEdge(self._client_frame, self._client_gone, most=MOST_CONNECTIONS)
        self.softswitch = SoftswitchLink(
            config.evapi, self._switch_event, self._agents_here, self.centre.calls.list_request, self.news_since
        )
        self.peers = {
            peer.site: PeerLink(
                peer.url,
                config.peer_secret,
                site=config.site,
                peer=peer.site,
                report=self._idle_report,
                arrivals=partial(self._arrivals, peer.site),
                on_said=partial(self._peer_report, peer.site),
                news=self.news_since,
            )
            for peer in config.peers
        }
        self.control = ControlPort(self, token=config.control_token, system=config.system, rate=config.signin_rate)
        self.port = self.control_port = 0
        self._alive_at = now
        self._stopping = False
        self._listeners: set[asyncio.Future[None]] = set()
        self._seen = (0, 0)
        self._loans_unsaved = asyncio.Event()
        self._hurry = asyncio.Event()
        """Agents have begun to move: the next tick is due."""
        self._tasks: list[asyncio.Task[None]] = []
        self._listener: asyncio.Server | None = None
        self._runner: web.AppRunner | None = None

    # ---- life

    async def start(self) -> None:
        """Open both ports and begin; afterwards `port` and `control_port` are known."""
        self._alive_at = self.now()
        self._listener = await listen(self._accept, self.config.host, self.config.port)
        self.port = self._listener.sockets[0].getsockname()[1]
        self.control_port = await self._serve_control()
        edges = (self.clients.run(), self.softswitch.run(), *(peer.run() for peer in self.peers.values()))
        for run in (self._tick(), self._maps.run(), self._keep_loans(), *edges):
            self._tasks.append(asyncio.create_task(run))

    async def _serve_control(self) -> int:
        self._runner = web.AppRunner(self.control.app(), access_log=None, handle_signals=False, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.config.host, self.config.control_port).start()
        bound: int = self._runner.addresses[0][1]
        return bound

    def _accept(self, path: str, headers: CIMultiDict[str]) -> Accepted | None:
        """Who calls at the clients' port; None: there is nothing at this path."""
        match path:
            case "/agent":
                return self.clients.accept()
            case "/peer":
                # The first link judges one that we do not know, or that does not say its name.
                first = self.config.peers[0].site
                return self.peers.get(headers.get(FROM, first), self.peers[first]).accept(headers)
            case "/healthz":
                return answer(*self.health())
        return None

    async def stop(self) -> None:
        """Close everything. Clients sign in elsewhere or again; calls go on."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks, timeout=STOP_WITHIN)
        if self._listener is not None:
            self._listener.close()
        await self.clients.shut()
        if self._runner is not None:
            await self._runner.cleanup()

    async def failure(self) -> None:
        """Return when `stop` was called; raise what a part of this CTI has died of.

        Half a CTI is worse than none: the process should end, and this one restarted, or the other city, takes over.
        """
        done, _ = await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    # ---- the clock

    def now(self) -> float:
        """CLOCK_BOOTTIME, seconds: it goes on while the machine sleeps."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def _awake(self) -> float:
        """The time, after noticing whether this process stood still for longer than a lease.

        Whoever was away that long cannot know what was decided meanwhile, so it counts as just started.
        """
        now = self.now()
        if now - self._alive_at > self.config.timing.lease:
            boot = boot_id()
            log.warning(
                "stood still for %.1f s: doors shut until the engine confirms; boot is now %s",
                now - self._alive_at,
                boot,
            )
            self._alive_at = now
            self._apply(self.centre.restart(boot, now))
        return now

    async def _tick(self) -> None:
        while True:
            if self.centre.server.is_moving:
                await asyncio.sleep(TICK)
            else:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(IDLE_TICK):
                        await self._hurry.wait()
                self._hurry.clear()
            now = self._awake()
            self._alive_at = now
            self._apply(self.centre.tick(now))

    # ---- events from the edges

    def _client_frame(self, conn: int, frame: ClientFrame) -> None:
        self._apply(self.centre.client_frame(conn, frame, self._awake()))

    def _client_gone(self, conn: int) -> None:
        self._apply(self.centre.client_gone(conn, self._awake()))

    def _switch_event(self, event: Mapping[str, Any]) -> None:
        try:
            effects = self.centre.switch_event(event, self._awake())
        except (KeyError, TypeError, ValueError) as e:
            log.warning("the softswitch said what cannot be understood: %r (%r)", event, e)
            return
        self._apply(effects)

    def _arrivals(self, peer: str) -> Arrivals:
        return Arrivals(self.centre.server.boot, self.centre.arrivals[peer])

    def _peer_report(self, peer: str, said: Said) -> None:
        if isinstance(said, Arrivals):
            self.centre.server.arrived_at_peer(peer, said.boot, said.total, self._awake())
        elif not isinstance(said, dict):
            self._apply(self.centre.peer_loans(peer, said, self._awake()))
        elif peer == self.config.peers[0].site:  # the only one to which the softswitch can relay a call
            self._apply(self.centre.peer_report(said, self._awake()))

    def set_guest_capacity(self, capacity: int, as_of: int) -> None:
        """Take in at most so many guests."""
        # Not `_awake`: a boot that began in here would take what was said to the one before.
        self._apply(self.centre.set_guest_capacity(capacity, self.now(), as_of=as_of))

    def set_priorities(self, priorities: Priorities) -> None:
        """Let in by these priorities from now on. They go to the disk with the maps: nothing depends on it."""
        # Not `_awake`, as above.
        self._apply(self.centre.set_priorities(priorities, self.now()))

    def impair(self, wanted: Impairment) -> dict[str, int]:
        """Keep idle agents silent for a drill; how many, by group. Raises WrongBootError: it was meant for another."""
        now = self._awake()
        if self.centre.server.boot != wanted.boot:
            raise WrongBootError(wanted.boot)
        chosen, effects = self.centre.impair(wanted.drill, wanted.shares, wanted.to, wanted.ttl, now)
        self._apply(effects)
        return chosen

    async def place(self, boot: str, placements: dict[str, Placement], *, confirmed: bool) -> dict[str, PlaceAnswer]:
        """Keep placements on disk, then take them and act on them.

        Raises: NotKeptError, and nothing is taken. WrongBootError when this life is not `boot`, or not any more: a word
            that waited while we stood still, or while the disk did, confirms nothing for the next one.
        """
        book = self.centre.server.book
        await self._maps.keep({name: new for name, new in placements.items() if not book.refusal(name, new)})
        now = self._awake()
        if self.centre.server.boot != boot:
            raise WrongBootError(boot)
        answers, effects = self.centre.place(placements, confirmed=confirmed, now=now)
        self._apply(effects)
        return answers

    def _apply(self, effects: Effects) -> None:
        if effects.to_clients:
            self.clients.post(effects.to_clients)
        if self.centre.server.is_moving:
            self._hurry.set()
        if effects.to_switch:
            self.softswitch.send(effects.to_switch)
        for peer, words in groupby(effects.to_peers, key=lambda said: said.to):
            self.peers[peer].say(said.frame for said in words)
        if self.centre.server.guests.must_keep:
            self._loans_unsaved.set()
        seen = (self.centre.seq, self.centre.move_seq)
        if seen != self._seen:
            self._seen = seen
            for listener in self._listeners:
                if not listener.done():
                    listener.set_result(None)
            self._listeners.clear()

    # ---- what the edges ask

    def _agents_here(self) -> dict[str, int]:
        return {group: n for group in self.centre.agents.groups if (n := self.centre.staff(group))}

    def _idle_report(self) -> dict[str, dict[str, float]]:
        return self.centre.idle_report(self.now())

    async def news(self, timeout: float) -> None:
        """Return at the next change of anything, or after `timeout` seconds."""
        listener: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._listeners.add(listener)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(listener, timeout)
        self._listeners.discard(listener)

    async def news_since(self, seq: int, timeout: float) -> int:
        """`centre.seq` as soon as it is not `seq` any more, or after `timeout` seconds."""
        if self.centre.seq == seq and timeout > 0:
            await self.news(timeout)
        return self.centre.seq

    def health(self) -> tuple[int, dict[str, Any]]:
        """Status and body of `/healthz`."""
        server = self.centre.server
        body: dict[str, Any] = {
            "ok": not self._stopping,
            "site": server.site,
            "system": self.config.system,
            "boot": server.boot,
            "uptime": round(self.now() - server.book.boot_at, 3),
            "confirmed": server.book.any_confirmed,
            "softswitch": self.softswitch.connected,
        }
        if self._stopping:
            body["reason"] = "Stopping"
            return 503, body
        return 200, body

    # ---- the disk

    async def _keep_loans(self) -> None:
        """Keep on disk who may be lent, before they are."""
        guests = self.centre.server.guests
        while True:
            await self._loans_unsaved.wait()
            self._loans_unsaved.clear()
            while guests.must_keep:
                kept = loanstore.Kept(guests.begin_keeping(), guests.capacity)
                try:
                    await asyncio.to_thread(loanstore.save, self.config.state_dir, kept)
                except OSError as e:
                    log.error("nobody can be lent: loans cannot be kept in %s: %s", self.config.state_dir, e)
                    guests.not_kept()
                    await asyncio.sleep(DISK_AGAIN)
                else:
                    self._apply(self.centre.loans_kept(self._awake()))
