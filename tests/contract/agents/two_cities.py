"""Two real cities on loopback: a Kamailio and a CTI each, and the agents and the carrier as processes of their own."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from callcenter.directory import Directory, GroupSize, generate, save
from tests.contract.softswitch.kamailio import TOKEN, Softswitch, loopback_address, missing
from tests.support.ports import free_port

SYSTEM = "hotel"
GROUP = "callcenter/hotel-north-sales"
OTHER_GROUP = "callcenter/hotel-south-service"
NUMBER, OTHER_NUMBER = "4008001", "4008002"
CITIES = ("east", "west")


def wait_until(holds: Callable[[], bool], *, within: float, what: str, look: float = 0.05) -> float:
    """Wait for `holds`. Returns: the seconds that took. Raises: AssertionError after `within` seconds."""
    began = time.monotonic()
    while not holds():
        if time.monotonic() - began > within:
            raise AssertionError(f"{what} did not happen within {within} s")
        time.sleep(look)
    return time.monotonic() - began


@dataclass
class Process:
    """A process of ours with its log."""

    argv: list[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    popen: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.popen = subprocess.Popen(
                [sys.executable, *self.argv], env={**os.environ, **self.environment}, stdout=log, stderr=log
            )

    def stop(self, signum: int = signal.SIGTERM, within: float = 10.0) -> int:
        """End it and return its exit status; killed when it takes longer."""
        if self.popen is None:
            return 0
        popen, self.popen = self.popen, None
        popen.send_signal(signum)
        try:
            return popen.wait(within)
        except subprocess.TimeoutExpired:
            popen.kill()
            popen.wait()
            raise AssertionError(f"{self.argv[1]} did not end within {within} s:\n{self.tail()}") from None

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-4000:] if self.log.exists() else ""

    def cpu_seconds(self) -> float:
        assert self.popen is not None
        fields = Path(f"/proc/{self.popen.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_mb(self) -> float:
        assert self.popen is not None
        return int(Path(f"/proc/{self.popen.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def get(url: str) -> Any:
    """GET JSON; None while nobody listens."""
    try:
        return httpx.get(url, timeout=5, trust_env=False).json()
    except httpx.TransportError:
        return None


@dataclass
class City:
    """One city's softswitch and CTI."""

    name: str
    softswitch: Softswitch
    work: Path

    def __post_init__(self) -> None:
        self.port = free_port(self.softswitch.ip)
        self.control_port = free_port(self.softswitch.ip)
        self.control = f"http://{self.softswitch.ip}:{self.control_port}"
        self.url = f"http://{self.softswitch.ip}:{self.port}"
        self.revision = 0
        self.cti: Process | None = None

    def start_cti(self, peer: "City", directory: Path) -> None:
        environment = {
            "TANDEM_SITE": self.name,
            "TANDEM_SYSTEM": SYSTEM,
            "TANDEM_PEER_SITE": peer.name,
            "TANDEM_PEER_URL": peer.url,
            "TANDEM_DIRECTORY": str(directory),
            "TANDEM_TICKET_SECRET": "test-ticket-secret",
            "TANDEM_PEER_SECRET": "test-peer-secret",
            "TANDEM_CONTROL_TOKEN": TOKEN,
            "TANDEM_EVAPI": f"{self.softswitch.evapi[0]}:{self.softswitch.evapi[1]}",
            "TANDEM_SIP_ADDRESS": self.softswitch.address,
            "TANDEM_STATE_DIR": str(self.work / "state"),
            "TANDEM_HOST": self.softswitch.ip,
            "TANDEM_PORT": str(self.port),
            "TANDEM_CONTROL_PORT": str(self.control_port),
            "TANDEM_WRAPUP": "0.5",
        }
        self.cti = Process(["-m", "callcenter.cti.main"], self.work / "cti.log", environment)
        self.cti.start()
        try:
            wait_until(lambda: get(f"{self.url}/healthz") is not None, within=60, what=f"CTI {self.name} listening")
        except AssertionError as error:
            raise AssertionError(f"{error}:\n{self.cti.tail()}") from error

    def api(self, method: str, path: str, body: Any = None) -> Any:
        response = httpx.request(
            method,
            f"{self.control}{path}",
            json=body,
            headers={"Authorization": f"Bearer {TOKEN}"},
            timeout=5,
            trust_env=False,
        )
        assert response.status_code == 200, response.text
        return response.json()

    def place(self, revision: int, maps: dict[str, dict[str, str]], *, on_deadline: str = "Stay") -> None:
        """Push placement maps (group -> map) to the CTI, as the engine does."""
        drain = {"maxTalk": 60, "maxWrapUp": 10, "onDeadline": on_deadline}
        groups = {
            group: {"revision": revision, "map": placed, "pace": None, "drain": drain} for group, placed in maps.items()
        }
        boot = self.api("GET", "/v1/status")["boot"]
        answer = self.api("PUT", "/v1/placements", {"boot": boot, "confirmed": True, "groups": groups})
        assert all(group["accepted"] for group in answer["groups"].values()), answer

    def push_tables(self) -> None:
        """What the engine writes into the softswitch."""
        for number, group in ((NUMBER, GROUP), (OTHER_NUMBER, OTHER_GROUP)):
            self.softswitch.rpc("htable.sets", "numbers", number, group)
            self.softswitch.rpc("htable.sets", "placement", group, "1;50")

    def stop(self) -> None:
        if self.cti is not None:
            self.cti.stop(signal.SIGKILL)
        self.softswitch.kill()


@dataclass
class TwoCities:
    """Everything of one test. Use as a context manager."""

    work: Path
    agents_per_group: int = 20

    def __post_init__(self) -> None:
        lacking = missing()
        assert not lacking, f"this machine lacks {lacking}"
        sizes = [GroupSize(group, SYSTEM, self.agents_per_group) for group in (GROUP, OTHER_GROUP)]
        self.directory: Directory = generate(sizes, cities=CITIES, realm="callcenter", seed="test")
        self.directory_path = self.work / "directory.json.gz"
        save(self.directory, self.directory_path)
        self.cities = {
            name: City(name, Softswitch(name, self.directory_path, self.work / name / "kamailio"), self.work / name)
            for name in CITIES
        }
        self.east, self.west = self.cities["east"], self.cities["west"]
        self.sites_path = self.work / "sites.json"
        self.timeline_path = self.work / "timeline.jsonl"
        self.carrier_ip = loopback_address()
        self.carrier_http = f"http://{self.carrier_ip}:{free_port(self.carrier_ip)}"
        self.control_port = free_port()
        self.agents: Process | None = None
        self.carrier: Process | None = None

    def __enter__(self) -> "TwoCities":
        try:
            # Calls from the carrier's address only; both softswitches have addresses of their own.
            for city in self.cities.values():
                city.softswitch.environment["TANDEM_CARRIER_NETWORKS"] = f"{self.carrier_ip}/32"
            self.east.softswitch.start(peer=self.west.softswitch)
            self.west.softswitch.start(peer=self.east.softswitch)
            self.east.push_tables()
            self.west.push_tables()
            self.east.start_cti(self.west, self.directory_path)
            self.west.start_cti(self.east, self.directory_path)
            self.sites_path.write_text(
                json.dumps(
                    {c.name: {SYSTEM: {"cti": c.url, "sip": c.softswitch.address}} for c in self.cities.values()}
                )
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        for process in (self.agents, self.carrier):
            if process is not None and process.popen is not None:
                process.stop(signal.SIGKILL)
        for city in self.cities.values():
            city.stop()

    def place(self, revision: int, maps: dict[str, dict[str, str]]) -> None:
        """Push the same maps to both cities' CTIs."""
        for city in self.cities.values():
            city.place(revision, maps)

    def start_agents(self, *options: str) -> None:
        self.agents = Process(
            [
                *("-m", "callcenter.agents.main"),
                *("--directory", str(self.directory_path)),
                *("--sites", str(self.sites_path)),
                *("--timeline", str(self.timeline_path)),
                *("--control", str(self.control_port)),
                *("--control-address", "127.0.0.1"),
                *options,
            ],
            self.work / "agents.log",
        )
        self.agents.start()

    def start_carrier(self) -> None:
        sip_port = free_port(self.carrier_ip, socket.SOCK_DGRAM)
        self.carrier = Process(
            [
                *("-m", "callcenter.carrier.main"),
                *("--http", self.carrier_http.removeprefix("http://")),
                *("--sip", f"{self.carrier_ip}:{sip_port}"),
            ],
            self.work / "carrier.log",
        )
        self.carrier.start()
        wait_until(lambda: get(f"{self.carrier_http}/healthz") is not None, within=60, what="carrier listening")

    def put(self, path: str, body: Any) -> None:
        response = httpx.put(f"{self.carrier_http}{path}", json=body, timeout=5, trust_env=False)
        assert response.status_code == 200, response.text

    def put_routes(self, *, revision: int = 1, east: int = 1, west: int = 1) -> None:
        """Two routes for each number, with these weights."""
        routes = [
            {"name": "east", "target": self.east.softswitch.address, "weight": east},
            {"name": "west", "target": self.west.softswitch.address, "weight": west},
        ]
        for number in (NUMBER, OTHER_NUMBER):
            self.put(f"/v1/routes/{number}", {"revision": revision, "routes": routes})

    def calls(self) -> list[dict[str, Any]]:
        return list(get(f"{self.carrier_http}/v1/calls?after=0")["calls"])

    def stats(self) -> dict[str, Any]:
        """The agents' own figures; empty while their process starts."""
        return get(f"http://127.0.0.1:{self.control_port}/v1/stats") or {}

    def count(self, what: str, city: str) -> int:
        """How many agents are `signed_in`, `registered` or `talking` in a city."""
        stats = self.stats()
        return sum(stats["sites"][city][what].values()) if stats else 0

    def events(self, *kinds: str) -> list[dict[str, Any]]:
        """The diary so far, as far as lines are whole."""
        if not self.timeline_path.exists():
            return []
        text = self.timeline_path.read_text()
        lines = [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
        return [line for line in lines if not kinds or line["event"] in kinds]
