"""A whole CTI without its sockets, as the tests drive it: agents by account, calls by ID, time by argument."""

from pathlib import Path
from typing import Any

from callcenter.cti.agents import AgentBook
from callcenter.cti.centre import Centre, Effects
from callcenter.directory import Directory, GroupSize, generate, save
from callcenter.session.door import parse_map
from callcenter.session.events import Reply
from callcenter.session.lease import Timing
from callcenter.session.messages import Call, CarriedState, Hello, Offer, Ping, Pong, ServerFrame, SignedIn, SignIn
from callcenter.session.placements import Placement
from callcenter.session.server import TICK, SessionServer

GROUP = "callcenter/x"
OTHER = "callcenter/y"
WRAPUP = 2.0
WALL = 1_000_000.0


def a_directory() -> Directory:
    sizes = [GroupSize(GROUP, "hotel", 20), GroupSize(OTHER, "hotel", 5), GroupSize("callcenter/z", "flight", 1)]
    return generate(sizes, cities=["east", "west"], realm="callcenter", seed="test")


def an_environment(folder: Path) -> dict[str, str]:
    """What a CTI process is started with; the directory is written into `folder`."""
    save(a_directory(), folder / "directory.json")
    return {
        "TANDEM_SITE": "east",
        "TANDEM_SYSTEM": "hotel",
        "TANDEM_PEER_SITE": "west",
        "TANDEM_PEER_URL": "http://198.18.0.12:30580/",
        "TANDEM_DIRECTORY": str(folder / "directory.json"),
        "TANDEM_TICKET_SECRET": "ticket-secret",
        "TANDEM_PEER_SECRET": "peer-secret",
        "TANDEM_CONTROL_TOKEN": "control-token",
        "TANDEM_EVAPI": "softswitch-hotel.callcenter.svc:8448",
        "TANDEM_SIP_ADDRESS": "198.18.0.11:30560",
        "TANDEM_STATE_DIR": str(folder / "state"),
    }


class Office:
    """East's CTI; `agents` sign in by number, answer every ping, and see what their desktops show."""

    def __init__(self, directory: Directory | None = None, **server_settings: Any) -> None:
        self.now = 100.0
        self.directory = directory or a_directory()
        book = AgentBook(self.directory, site="east", system="hotel", registrar="198.18.0.11:30560", wrapup=WRAPUP)
        server = SessionServer(
            site="east",
            boot="b1",
            secret=b"secret!!",
            desk=book,
            timing=Timing(1.5, 0.5),
            now=self.now,
            wall=WALL,
            **server_settings,
        )
        self.centre = Centre(server, book, WALL - self.now)
        self.book = book
        self.conns: dict[int, str] = {}
        self.to_switch: list[dict[str, Any]] = []
        self.frames: list[tuple[int, ServerFrame]] = []
        self.revision = 0
        self.labels = 0
        self.silent: set[int] = set()
        self.place({"east": "0-99"})

    def account(self, n: int) -> str:
        return self.directory.agents[n].account

    def extension(self, n: int) -> str:
        return self.directory.agents[n].extensions["east"]

    def apply(self, effects: Effects) -> None:
        self.to_switch += effects.to_switch
        for out in effects.to_clients:
            if isinstance(out, Reply):
                self.frames.append((out.conn, out.frame))
                if isinstance(out.frame, Ping) and out.conn not in self.silent:
                    pong = Pong(out.frame.session, out.frame.n)
                    self.apply(self.centre.client_frame(out.conn, pong, self.now))

    def place(self, map_: dict[str, str], groups: tuple[str, ...] = (GROUP, OTHER), **more: Any) -> None:
        self.revision += 1
        placement = Placement(self.revision, parse_map(map_), **more)
        _, effects = self.centre.place(dict.fromkeys(groups, placement), confirmed=True, now=self.now)
        self.apply(effects)

    def sign_in(self, *numbers: int, state: CarriedState | None = None) -> None:
        """Agents (by their place in the directory) sign in, one after another."""
        for n in numbers:
            agent = self.directory.agents[n]
            self.apply(self.centre.client_frame(n, Hello(agent.account, f"i{n}", agent.mac, "primary"), self.now))
            self.apply(self.centre.client_frame(n, SignIn(1, None, False, state), self.now))
            self.now += 0.001

    def leave(self, n: int) -> None:
        """The connection is gone."""
        self.apply(self.centre.client_gone(n, self.now))

    def later(self, seconds: float) -> None:
        until = self.now + seconds
        while self.now < until - 1e-9:
            self.now = min(until, self.now + TICK)
            self.apply(self.centre.tick(self.now))

    def switch(self, e: str, call: str = "", **more: Any) -> None:
        """The softswitch says something about a call."""
        event: dict[str, Any] = {"e": e, **({"callid": call} if call else {}), **more}
        if e in ("call", "failed"):
            self.labels += 1
            event |= {"i": self.labels, "l": 7}
        self.apply(self.centre.switch_event(event, self.now))

    def call(self, call: str, *, group: str = GROUP, hop: int = 0, age: float = 0) -> None:
        self.switch("call", call, group=group, hop=hop, age=age, number="4000")

    def words(self) -> list[tuple[str, str, str | None]]:
        """What the softswitch was told, and forget it: (action, call, extension)."""
        words = [(word["a"], word["callid"], word.get("ext")) for word in self.to_switch]
        self.to_switch.clear()
        return words

    def shown(self, n: int) -> list[str]:
        """What the desktop of an agent has shown of calls."""
        return [frame.event for conn, frame in self.frames if conn == n and isinstance(frame, Call)]

    def states(self, *numbers: int) -> list[str]:
        return [self.book.state(self.account(n)) for n in numbers]

    def signed_in(self, n: int) -> SignedIn:
        return [frame for conn, frame in self.frames if conn == n and isinstance(frame, SignedIn)][-1]

    def offers(self) -> list[int]:
        return [conn for conn, frame in self.frames if isinstance(frame, Offer)]
