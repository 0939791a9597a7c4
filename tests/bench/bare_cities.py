"""Two cities and a witness as bare processes on loopback: no Kubernetes, but every other part is the real one.

Three etcd members with mutual TLS, three engines set up as the chart sets them up, and of two systems a Kamailio and a
reference CTI in each city; one carrier. What the operators would publish is written into the store as they write it.
"""

import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final

from callcenter.directory import GroupSize, generate, save
from demo.certificates import Certificate, authority, sign
from tandem.api.resources import AGENT_GROUP, SITE, TRUNK, Resource
from tandem.domain import keys
from tandem.engine.ports import Put
from tandem.operator.objects import parse
from tandem.operator.publish import record_of
from tandem.operator.settings import SPECS_IN_A_TXN
from tests.contract.agents.two_cities import Process, get, wait_until
from tests.contract.softswitch.kamailio import TOKEN, Softswitch, loopback_address
from tests.support.etcd import EtcdCluster
from tests.support.ports import free_port

CITIES: Final = ("east", "west")
WITNESS: Final = "witness"
LOCATIONS: Final = (*CITIES, WITNESS)
"""Also the order of the store's members."""

SYSTEMS: Final = ("hotel", "flight")
NAMESPACE: Final = "callcenter"
AGENTS: Final = 5
"""Agents of each group."""

_START_S: Final = 30.0
_ORDERS: Final = ({"east": 100}, {"west": 100}, {"east": 60, "west": 40})
"""In turn, group by group: shares by site."""


@dataclass(frozen=True)
class Group:
    """One AgentGroup in the making."""

    number: int

    @property
    def name(self) -> str:
        return f"{self.system}-group-{self.number:04d}"

    @property
    def system(self) -> str:
        return SYSTEMS[self.number % len(SYSTEMS)]

    @property
    def called(self) -> str:
        """The number that customers call."""
        return f"8{self.number:06d}"


@dataclass
class Part:
    """One system in one city: its softswitch and its CTI."""

    city: str
    system: str
    directory: Path
    work: Path

    def __post_init__(self) -> None:
        self.softswitch = Softswitch(
            self.city, self.directory, self.work / "softswitch", environment={"TANDEM_SYSTEM": self.system}
        )
        ip = self.softswitch.ip
        self.url, self.control_url = (f"http://{ip}:{free_port(ip)}" for _ in range(2))
        self.cti: Process | None = None

    def start(self, peer: "Part") -> None:
        self.softswitch.start(peer=peer.softswitch)
        environment = {
            "TANDEM_SITE": self.city,
            "TANDEM_SYSTEM": self.system,
            "TANDEM_PEER_SITE": peer.city,
            "TANDEM_PEER_URL": peer.url,
            "TANDEM_DIRECTORY": str(self.directory),
            "TANDEM_TICKET_SECRET": "bench-ticket-secret",
            "TANDEM_PEER_SECRET": "bench-peer-secret",
            "TANDEM_CONTROL_TOKEN": TOKEN,
            "TANDEM_EVAPI": ":".join(map(str, self.softswitch.evapi)),
            "TANDEM_SIP_ADDRESS": self.softswitch.address,
            "TANDEM_STATE_DIR": str(self.work / "state"),
            "TANDEM_HOST": self.softswitch.ip,
            "TANDEM_PORT": _port(self.url),
            "TANDEM_CONTROL_PORT": _port(self.control_url),
        }
        self.cti = Process(["-m", "callcenter.cti.main"], self.work / "cti.log", environment)
        self.cti.start()

    def declared(self) -> dict[str, Any]:
        """As the Site declares it; capacity for everybody, so that nothing is refused."""
        return {
            "name": self.system,
            "deepProbes": "SignInAndCall",
            "softswitch": {
                "deployment": f"{NAMESPACE}/softswitch-{self.system}",
                "sip": self.softswitch.address,
                "controlURL": f"http://{self.softswitch.ip}:{self.softswitch.http[1]}/RPC",
                "capacity": {"agents": 10_000, "callsPerSecond": 200},
            },
            "cti": {
                "deployment": f"{NAMESPACE}/cti-{self.system}",
                "url": self.url,
                "controlURL": self.control_url,
                "capacity": {"agents": 10_000, "signInsPerSecond": 2000},
            },
        }


@dataclass
class BareCities:
    """Everything, for so many groups.

    Args:
        folder: Logs, data and certificates; new for each.
        groups: AgentGroups, half of them of each system.
    """

    folder: Path
    groups: int
    engines: dict[str, Process] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        self.all_groups = [Group(number) for number in range(self.groups)]
        self.store = EtcdCluster(self.folder / "store", size=len(LOCATIONS), tls=True)
        directory = self.folder / "directory.json.gz"
        sizes = [GroupSize(f"{NAMESPACE}/{group.name}", group.system, AGENTS) for group in self.all_groups]
        save(generate(sizes, cities=CITIES, realm="callcenter", seed="bench", observers=LOCATIONS), directory)
        self.parts = {
            (city, system): Part(city, system, directory, self.folder / f"{system}-{city}")
            for city in CITIES
            for system in SYSTEMS
        }
        ip = loopback_address()
        self._carrier_url = f"http://{ip}:{free_port(ip)}"
        sip = f"{ip}:{free_port(ip, socket.SOCK_DGRAM)}"
        self._carrier = Process(
            ["-m", "callcenter.carrier.main", "--http", self._carrier_url.removeprefix("http://"), "--sip", sip],
            self.folder / "carrier.log",
        )
        self._engine_ports = {location: free_port("0.0.0.0") for location in LOCATIONS}

    def start(self) -> None:
        """Start it all, engines last. Raises AssertionError or TimeoutError with a log when a part does not come up."""
        self.store.start()
        self._carrier.start()
        for (city, system), part in self.parts.items():
            part.start(self.parts[CITIES[1 - CITIES.index(city)], system])
        for part in self.parts.values():
            url = f"{part.control_url}/healthz"
            wait_until(partial(_answers, url), within=_START_S, what=f"{url} answers")
        for location in LOCATIONS:
            self.engines[location] = Process(
                ["-m", "tandem.engine.main"], self.folder / f"engine-{location}.log", self._engine_environment(location)
            )
            self.engines[location].start()

    def stop(self) -> None:
        """End whatever runs, all at once; never fails."""
        processes = [*self.engines.values(), *(part.cti for part in self.parts.values()), self._carrier]
        for process in processes:
            if process is not None and process.popen is not None:
                process.popen.terminate()
        for part in self.parts.values():
            part.softswitch.kill()
        for process in processes:
            if process is not None:
                with suppress(AssertionError):  # it did not end in time, and was killed
                    process.stop()
        for member in self.store.members:
            if member.process is not None:
                member.process.kill()
        with suppress(subprocess.TimeoutExpired):  # killed as it is, it will end
            self.store.stop()

    async def publish(self) -> None:
        """What the operators of all locations read from the same manifests. Raises StoreError."""
        async with self.store.client() as store:
            objects = iter(list(self._published()))
            while batch := list(islice(objects, SPECS_IN_A_TXN)):
                await store.txn([], batch)

    def engine_url(self, location: str) -> str:
        return f"http://127.0.0.1:{self._engine_ports[location]}"

    def member_certificate(self) -> Certificate:
        """For a look at the members behind the engines' backs."""
        return sign(authority(self.store.folder), self.store.folder, "client", ["127.0.0.1"])

    def _published(self) -> Iterator[Put]:
        now = time.time()
        for resource, name, spec in [*self._sites(), *self._agent_groups(), *self._trunks()]:
            namespace = {"namespace": NAMESPACE} if resource.namespaced else {}
            seen = parse(resource, {"metadata": {"name": name, "generation": 1, **namespace}, "spec": spec})
            record = record_of(seen, now)
            if record is None:
                raise ValueError(f"{name}: {seen.problem}")
            for location in LOCATIONS:
                yield Put(keys.spec(location, *seen.key), record.encode())

    def _sites(self) -> Iterator[tuple[Resource, str, dict[str, Any]]]:
        for location in LOCATIONS:
            role = "Witness" if location == WITNESS else "Active"
            systems = [part.declared() for (city, _), part in self.parts.items() if city == location]
            spec: dict[str, Any] = {
                "role": role,
                "region": location,
                "failureDomain": f"domain-{location}",
                "engineURL": self.engine_url(location),
                "systems": systems,
            }
            if systems:
                spec["guestCapacity"] = 1000
            yield SITE, location, spec

    def _agent_groups(self) -> Iterator[tuple[Resource, str, dict[str, Any]]]:
        for group in self.all_groups:
            shares = _ORDERS[group.number % len(_ORDERS)]
            spec = {
                "system": group.system,
                "region": f"region-{group.number % 7}",
                "skillGroup": f"skill-{group.number % 11}",
                "agents": AGENTS,
                "sites": list(CITIES),
                "placement": [{"site": site, "percent": percent} for site, percent in shares.items()],
            }
            yield AGENT_GROUP, group.name, spec

    def _trunks(self) -> Iterator[tuple[Resource, str, dict[str, Any]]]:
        """One for each system, with a number for each group."""
        for system in SYSTEMS:
            groups = [group for group in self.all_groups if group.system == system]
            spec = {
                "carrier": {"url": self._carrier_url},
                "system": system,
                "followAgents": True,
                "numbers": [{"number": group.called, "group": group.name} for group in groups],
                "routes": [
                    {"name": "east", "site": "east", "weight": 50},
                    {"name": "west", "site": "west", "weight": 50},
                    {"name": "overflow", "site": "west", "weight": 0},
                ],
                "capacity": {"channels": 1000, "callsPerSecond": 100},
            }
            yield TRUNK, system, spec

    def _engine_environment(self, location: str) -> dict[str, str]:
        """As in `charts/tandem/templates/pod.yaml`."""
        number = LOCATIONS.index(location)
        made = self.member_certificate()
        tokens = self.folder / "control"
        tokens.mkdir(exist_ok=True)
        (tokens / "control").write_text(TOKEN)
        return {
            "TANDEM_SITE": location,
            "TANDEM_STORE_ENDPOINTS": ",".join(self.store.urls(number)),
            "TANDEM_STORE_CA": str(self.store.ca),
            "TANDEM_STORE_CERT": str(made.certificate),
            "TANDEM_STORE_KEY": str(made.key),
            "TANDEM_CREDENTIALS": str(self.folder / "credentials"),
            "TANDEM_CONTROL_TOKENS": str(tokens),
            "TANDEM_ENGINE_PORT": str(self._engine_ports[location]),
            "TANDEM_LOG_LEVEL": "INFO",
        }


def _port(url: str) -> str:
    return url.rpartition(":")[2]


def _answers(url: str) -> bool:
    return get(url) is not None
