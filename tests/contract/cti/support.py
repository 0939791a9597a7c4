"""Real CTI processes and real clients for the CTI contract tests."""

import asyncio
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from callcenter.cti.softswitch import NetstringReader, netstring
from callcenter.directory import Directory, GroupSize, generate, save
from callcenter.session.client import Action, ClientSession, Connect, HasSignedIn, Lost, Released, Send
from callcenter.session.messages import decode_server, encode
from tests.support.ports import free_port

TOKEN = "control-token"
GROUP = "callcenter/hotel-north-sales"
EVERYTHING = "0-99"


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def until(condition: Callable[[], Any], *, within: float, what: str) -> None:
    """Wait for something that other processes do."""
    deadline = now() + within
    while not condition():
        assert now() < deadline, f"not within {within} s: {what}"
        await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True)
class Target:
    """Somebody's control port."""

    url: str
    token: str
    group: str | None
    client_url: str | None = None


@dataclass
class Control:
    """Talks to a control port as the engine would."""

    target: Target
    http: aiohttp.ClientSession

    async def get(self, path: str, *, token: str | None = None) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.target.token if token is None else token}"}
        async with self.http.get(self.target.url + path, headers=headers) as answer:
            return answer.status, await answer.json()

    async def send(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {self.target.token}"}
        async with self.http.request(method, self.target.url + path, headers=headers, json=body) as answer:
            return answer.status, await answer.json()

    async def boot(self) -> str:
        _, status = await self.get("/v1/status")
        return str(status["boot"])

    async def place(self, revision: int, map_: dict[str, str], group: str = GROUP, **more: Any) -> Any:
        body = {
            "boot": await self.boot(),
            "confirmed": True,
            "groups": {group: {"revision": revision, "map": map_, **more}},
        }
        status, answer = await self.send("PUT", "/v1/placements", body)
        assert status == 200, answer
        return answer["groups"][group]

    async def group(self, name: str = GROUP) -> dict[str, Any]:
        _, status = await self.get("/v1/status")
        group: dict[str, Any] = status["groups"][name]
        return group


def control(target: Target) -> "contextlib.AbstractAsyncContextManager[Control]":
    @asynccontextmanager
    async def opened() -> AsyncIterator[Control]:
        async with aiohttp.ClientSession() as http:
            yield Control(target, http)

    return opened()


class Softswitch:
    """The softswitch's end of evapi as the CTI sees it: real netstrings over a real socket, calls made up here."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.port = 0
        self._server: asyncio.Server | None = None
        self._writers: list[asyncio.StreamWriter] = []
        self.boot = "k1"
        self.calls: list[dict[str, Any]] = []

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        writer.write(netstring({"e": "hello", "boot": self.boot, "uptime": 1, "calls": self.calls}))
        netstrings = NetstringReader()
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            while data := await reader.read(65536):
                for text in netstrings.feed(data):
                    self.heard.append(json.loads(text))
        writer.close()

    def say(self, event: dict[str, Any]) -> None:
        self._writers[-1].write(netstring(event))

    def call(self, call_id: str, *, hop: int = 0, age: float = 0, group: str = GROUP) -> None:
        where = {"i": 1, "l": 2, "callid": call_id, "from": "0100", "number": "4000", "group": group}
        self.say({"e": "call", **where, "hop": hop, "age": age})

    def words(self, kind: str) -> list[dict[str, Any]]:
        return [word for word in self.heard if word["a"] == kind]

    async def drop(self) -> None:
        """Cut the line; the CTI will be back."""
        for writer in self._writers:
            writer.close()
        self._writers.clear()

    async def stop(self) -> None:
        await self.drop()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()


@dataclass
class CtiProcess:
    """A CTI in a process of its own."""

    site: str
    env: dict[str, str]
    log: Path
    port: int
    control_port: int
    softswitch: Softswitch = field(default_factory=Softswitch)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def target(self) -> Target:
        return Target(f"http://127.0.0.1:{self.control_port}", TOKEN, GROUP, self.url)

    def launch(self) -> None:
        """Start the process, without waiting for it."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "callcenter.cti.main"], env=os.environ | self.env, stdout=log, stderr=log
            )

    def serves(self) -> bool:
        """Whether it answers. Raises AssertionError with its log when it has died."""
        if self.process is None or self.process.poll() is not None:
            raise AssertionError(self.log.read_text())
        try:
            with urllib.request.urlopen(f"{self.target.url}/healthz", timeout=1) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    async def start(self) -> None:
        self.launch()
        await until(self.serves, within=60, what=f"{self.site} serves")

    def stop(self, with_signal: signal.Signals = signal.SIGTERM) -> None:
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGCONT)
            process.send_signal(with_signal)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{self.site} did not end:\n{self.log.read_text()[-4000:]}") from None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def complaints(self) -> list[str]:
        """Lines of its log that nobody should see in a good run."""
        return re.findall(r"^.*(?:ERROR|CRITICAL|Traceback).*$", self.log.read_text(), re.MULTILINE)


def a_directory(agents: int = 40, observers: Sequence[str] = ()) -> Directory:
    sizes = [GroupSize(GROUP, "hotel", agents), GroupSize("callcenter/flight-south", "flight", 2)]
    return generate(sizes, cities=["east", "west"], realm="callcenter", seed="test", observers=observers)


def a_cti(tmp_path: Path, site: str, ports: dict[str, int], evapi: int, **more_env: str) -> CtiProcess:
    """The CTI of one city, not started yet. `ports`: the client ports of both cities; the directory is there."""
    peer = "west" if site == "east" else "east"
    control_port = free_port()
    env = {
        "TANDEM_SITE": site,
        "TANDEM_SYSTEM": "hotel",
        "TANDEM_PEER_SITE": peer,
        "TANDEM_PEER_URL": f"http://127.0.0.1:{ports[peer]}",
        "TANDEM_DIRECTORY": str(tmp_path / "directory.json.gz"),
        "TANDEM_TICKET_SECRET": "ticket-secret",
        "TANDEM_PEER_SECRET": "peer-secret",
        "TANDEM_CONTROL_TOKEN": TOKEN,
        "TANDEM_EVAPI": f"127.0.0.1:{evapi}",
        "TANDEM_SIP_ADDRESS": f"198.18.0.{11 if site == 'east' else 12}:30560",
        "TANDEM_STATE_DIR": str(tmp_path / f"state-{site}"),
        "TANDEM_HOST": "127.0.0.1",
        "TANDEM_PORT": str(ports[site]),
        "TANDEM_CONTROL_PORT": str(control_port),
        "TANDEM_WRAPUP": "0.2",
        **more_env,
    }
    return CtiProcess(site, env, tmp_path / f"{site}.log", ports[site], control_port)


@asynccontextmanager
async def two_cities(tmp_path: Path, agents: int = 40, **more_env: str) -> AsyncIterator[dict[str, CtiProcess]]:
    """East and west, each with a softswitch's end of evapi; stopped afterwards, whatever happened."""
    save(a_directory(agents), tmp_path / "directory.json.gz")
    ports = {site: free_port() for site in ("east", "west")}
    running: dict[str, CtiProcess] = {}
    try:
        for site in ports:
            softswitch = Softswitch()
            await softswitch.start()
            running[site] = a_cti(tmp_path, site, ports, softswitch.port, **more_env)
            running[site].softswitch = softswitch
            running[site].launch()
        for city in running.values():
            await until(city.serves, within=60, what=f"{city.site} serves")
        yield running
    finally:
        for city in running.values():
            city.stop()
            await city.softswitch.stop()


@dataclass
class Desk:
    """One agent's desktop: `ClientSession` on real WebSockets."""

    account: str
    mac: str
    cities: dict[str, CtiProcess]
    home: str = "east"
    instance: str = ""
    on_action: Callable[[Action], Awaitable[None]] | None = None
    seen: list[tuple[float, Action]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.instance = self.instance or f"{random.getrandbits(64):016x}"
        self.session = ClientSession(
            self.account, self.instance, list(self.cities), self.home, mac=self.mac, jitter=random.random
        )
        self._http: aiohttp.ClientSession | None = None
        self._sockets: dict[str, aiohttp.ClientWebSocketResponse] = {}
        self._lines: dict[str, asyncio.Task[None]] = {}
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> "Desk":
        self._http = aiohttp.ClientSession()
        await self.act(self.session.start(now(), time.time()))
        self._clock = asyncio.create_task(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        tasks = [task for task in (self._clock, *self._lines.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert self._http is not None
        await self._http.close()

    async def act(self, actions: list[Action]) -> None:
        """Carry out what the session wants."""
        for action in actions:
            self.seen.append((now(), action))
            match action:
                case Send() if action.site in self._sockets:
                    with contextlib.suppress(ConnectionError, RuntimeError):
                        await self._sockets[action.site].send_str(encode(action.frame))
                case Connect():
                    old = self._lines.get(action.site)
                    self._lines[action.site] = asyncio.create_task(self._line(action.site, action.after))
                    if old is not None and old is not asyncio.current_task():
                        old.cancel()

    async def _line(self, site: str, after: float) -> None:
        self._sockets.pop(site, None)
        await asyncio.sleep(after)
        assert self._http is not None
        try:
            ws = await asyncio.wait_for(self._http.ws_connect(f"{self.cities[site].url}/agent", compress=0), 2.0)
        except (aiohttp.ClientError, TimeoutError, OSError):
            await self.act(self.session.disconnected(site, now()))
            return
        try:
            self._sockets[site] = ws
            await self.act(self.session.connected(site, now()))
            async for message in ws:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self.act(self.session.frame(site, decode_server(message.data), now()))
                if self._lines.get(site) is not asyncio.current_task():
                    return
        finally:
            await ws.close()
        await self.act(self.session.disconnected(site, now()))

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.01)
            if now() >= self.session.wake_at:
                await self.act(self.session.tick(now()))

    def sign_ins(self) -> list[HasSignedIn]:
        return [action for _, action in self.seen if isinstance(action, HasSignedIn)]

    def story(self) -> list[str]:
        """Where the agent was, in words."""
        words = []
        for _, action in self.seen:
            match action:
                case HasSignedIn():
                    words.append(f"in {action.site} ({action.cause})")
                case Released():
                    words.append(f"released {action.site} -> {action.to}")
                case Lost():
                    words.append(f"lost {action.site}")
        return words


def desks(cities: dict[str, CtiProcess], count: int, home: str = "east") -> list[Desk]:
    return [Desk(agent.account, agent.mac, cities, home) for agent in a_directory().agents[:count]]


@asynccontextmanager
async def signed_in(cities: dict[str, CtiProcess], count: int, home: str = "east") -> AsyncIterator[list[Desk]]:
    """`count` agents at their desks, signed in at `home`."""
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(desk) for desk in desks(cities, count, home)]
        await until(
            lambda: all(desk.session.signed_in_at == home for desk in opened),
            within=8,
            what=f"{count} signed in at {home}",
        )
        yield opened
