"""Installing everything by Helm, as a user does: Tandem in three locations, softswitches and CTIs in both cities.

namespaces, secrets, directory -> charts/tandem (east, west, witness) -> examples/callcenter/chart (east, west)
    -> ready -> the quickstart's Sites, AgentGroups and Trunks in every cluster
"""

import asyncio
import base64
import json
import secrets
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from demo.certificates import Certificate, authority, sign
from demo.errors import DemoError, ToolError
from demo.kube import APPLY_S, Cluster
from demo.paths import BIN, CALLCENTER_CHART, TANDEM_CHART
from demo.people import People
from demo.quickstart import Quickstart
from demo.waiting import until
from lab import progress, tools
from lab.addresses import CITIES, LOCATIONS, location
from lab.interface import Lab
from tandem.store.client import StoreClient

ACTIVE: Final = ("east", "west")
TANDEM: Final = "tandem-system"
CALLCENTER: Final = "callcenter"
IMAGES: Final = {
    "tandem/etcd:dev": tuple(CITIES),
    "tandem/operator:dev": tuple(CITIES),
    "tandem/softswitch:dev": ACTIVE,
    "tandem/callcenter:dev": ACTIVE,
}
STORE_PORT: Final = 32379
CARRIER_HTTP: Final = 8080
CARRIER_SIP: Final = 5060
APPLY_GROUP_S: Final = 0.5
"""Longest that one group of hundreds takes to be applied, in three clusters at once on two cores."""


class Installation:
    """What is installed on a lab."""

    def __init__(
        self, lab: Lab, quickstart: Quickstart, people: People, folder: Path, cti: Mapping[str, float] | None = None
    ) -> None:
        """
        Args:
            cti: The chart's values for the CTIs (`lease`, `ping`, ...) where its own do not suit.
        """
        self._lab = lab
        self._cti = dict(cti or {})
        self._quickstart = quickstart
        self._people = people
        self._folder = folder
        self._pki = folder / "pki"
        self._tokens = {name: secrets.token_hex(24) for name in ("control", "peer", "ticket", "sip")}
        self._certificates: dict[str, Certificate] = {}
        self._carrier: subprocess.Popen[bytes] | None = None
        self._systems = sorted({group.system for group in quickstart.groups})
        kubectl, helm = str(tools.path("kubectl")), str(tools.path("helm"))
        self.clusters: Mapping[str, Cluster] = {
            city: Cluster(city, lab.kubeconfig(city), kubectl, helm) for city in CITIES
        }

    @property
    def carrier_url(self) -> str:
        return f"http://{LOCATIONS['carrier'].address}:{CARRIER_HTTP}"

    @property
    def control_token(self) -> str:
        """What CTIs and softswitches ask for on their control ports."""
        return self._tokens["control"]

    # -- by Helm

    async def install(self) -> None:
        """Install everything and wait until every pod is ready."""
        await self._load_images()
        await asyncio.to_thread(self._make_certificates)
        with progress.step("Installing Tandem and the call centre by Helm", key="demo-helm", usual_s=10.0):
            await asyncio.gather(*(self._install_in(city) for city in CITIES))
        with progress.step("Waiting until every pod is ready", key="demo-ready", usual_s=30.0):
            await asyncio.gather(*(self._ready(city) for city in CITIES))

    async def _load_images(self) -> None:
        for image, cities in IMAGES.items():
            await self._lab.load(image, *cities)

    async def _install_in(self, city: str) -> None:
        cluster = self.clusters[city]
        await cluster.apply_objects(*(_namespace(name) for name in (TANDEM, CALLCENTER)))
        made = self._certificates[city]
        await cluster.apply_objects(
            _secret(
                TANDEM,
                "tandem-store-tls",
                {
                    "ca.crt": (self._pki / "ca.crt").read_text(),
                    "tls.crt": made.certificate.read_text(),
                    "tls.key": made.key.read_text(),
                },
            ),
            _secret(TANDEM, "tandem-control", {"control": self._tokens["control"]}),
        )
        values = self._values_file(f"tandem-{city}", self._tandem_values(city))
        await cluster.helm("upgrade", "--install", "tandem", str(TANDEM_CHART), "-n", TANDEM, "-f", str(values))
        if city in ACTIVE:
            await self._install_callcenter(city)

    async def _install_callcenter(self, city: str) -> None:
        cluster = self.clusters[city]
        packed = base64.b64encode(self._people.packed.read_bytes()).decode()
        await cluster.apply_objects(_config_map(CALLCENTER, "directory", {"directory.json.gz": packed}))
        values = self._values_file(f"callcenter-{city}", self._callcenter_values(city))
        await cluster.helm(
            *("upgrade", "--install", "callcenter", str(CALLCENTER_CHART), "-n", CALLCENTER, "-f", str(values))
        )

    def _tandem_values(self, city: str) -> dict[str, Any]:
        systems = self._systems if city in ACTIVE else []
        names = [f"{part}-{system}" for system in systems for part in ("cti", "softswitch")]
        return {
            "site": {"name": city},
            "etcd": {
                "members": [{"name": name, "ip": str(place.address)} for name, place in CITIES.items()],
                "env": {"GOMAXPROCS": "1"},
                # Cities of the lab share one file system, and etcd must not find another city's data.
                "data": {"type": "hostPath", "hostPath": str(self._lab.volume(city, "store"))},
            },
            "controlTokens": {"secret": "tandem-control"},
            "deployments": [{"namespace": CALLCENTER, "names": names, "systems": systems}] if systems else [],
        }

    def _callcenter_values(self, city: str) -> dict[str, Any]:
        (peer,) = (other for other in ACTIVE if other != city)
        here, there = CITIES[city], CITIES[peer]
        return {
            "city": city,
            "nodeIP": str(here.address),
            "peerCity": peer,
            "peerNodeIP": str(there.address),
            "secrets": {
                "ticketSecret": self._tokens["ticket"],
                "peerSecret": self._tokens["peer"],
                "controlToken": self._tokens["control"],
                "sipSecret": self._tokens["sip"],
            },
            "controlNetworks": [str(here.pods)],
            "carrierNetworks": [f"{LOCATIONS['carrier'].address}/32"],
            "cti": self._cti,
        }

    def _values_file(self, name: str, values: Mapping[str, Any]) -> Path:
        """Values in a file: kept beside the logs, so that a person can repeat the command."""
        path = self._folder / f"values-{name}.json"
        path.write_text(json.dumps(values, indent=1), encoding="utf-8")
        path.chmod(0o600)
        return path

    async def _ready(self, city: str) -> None:
        """Every Deployment and StatefulSet rolled out. Raises: ToolError with what one that is not wrote last."""
        cluster = self.clusters[city]
        wanted = [(TANDEM, "statefulset/tandem-etcd"), (TANDEM, "deployment/tandem")]
        if city in ACTIVE:
            wanted += [(CALLCENTER, f"deployment/{part}-{s}") for s in self._systems for part in ("softswitch", "cti")]
        for namespace, name in wanted:
            try:
                await cluster.kubectl("rollout", "status", name, "-n", namespace, "--timeout=120s", timeout=130)
            except ToolError as e:
                raise ToolError(f"{city}: {e}\n{await _last_words(cluster, namespace, name)}") from e

    # -- manifests

    async def apply_quickstart(self) -> None:
        """Sites, AgentGroups and Trunks in every cluster; the same files everywhere."""
        folder = self._quickstart.folder
        files = [folder / name for name in ("sites.yaml", "agentgroups.yaml", "trunks.yaml")]
        timeout = max(APPLY_S, APPLY_GROUP_S * len(self._quickstart.groups))

        async def apply(city: str) -> None:
            async def applied() -> tuple[bool, str]:
                return True, await self.clusters[city].apply(*files, timeout=timeout)

            # A ValidatingAdmissionPolicy or CRD just installed may need a second until the API knows it.
            await until(f"the quickstart applied in {city}", applied, timeout=20, every=1.0)

        await asyncio.gather(*(apply(city) for city in CITIES))

    # -- the store

    def store(self) -> StoreClient:
        """A client of the store, for those who look over Tandem's shoulder; a city's death must not make it blind."""
        ca, cert, key = self.credentials("demo")
        places = sorted(CITIES, key=lambda city: city in ACTIVE)  # the witness first
        members = [f"https://{CITIES[city].address}:{STORE_PORT}" for city in places]
        return StoreClient(members, ca=ca, cert=cert, key=key)

    def credentials(self, name: str) -> tuple[Path, Path, Path]:
        """Authority, certificate and key of a client of the store."""
        made = self._certificates[name]
        return self._pki / "ca.crt", made.certificate, made.key

    def _make_certificates(self) -> None:
        """New ones for every run: the last run's may have expired."""
        shutil.rmtree(self._pki, ignore_errors=True)
        signer = authority(self._pki)
        for name in (*CITIES, "demo"):
            addresses = [str(CITIES[name].address)] if name in CITIES else []
            self._certificates[name] = sign(signer, self._pki, name, ["127.0.0.1", "localhost", *addresses])

    # -- the carrier

    def start_carrier(self) -> None:
        """The carrier's process, in the carrier's own network."""
        place = location("carrier")
        self._carrier = self._lab.spawn(
            "carrier",
            [
                *(str(BIN / "callcenter-carrier"), "--http", f"{place.address}:{CARRIER_HTTP}"),
                *("--sip", f"{place.address}:{CARRIER_SIP}"),
            ],
            log=self._folder / "carrier.log",
        )

    def stop_carrier(self) -> None:
        if self._carrier is not None and self._carrier.poll() is None:
            self._carrier.terminate()
            try:
                self._carrier.wait(5)
            except subprocess.TimeoutExpired:
                self._carrier.kill()
        self._carrier = None

    def carrier_alive(self) -> None:
        """Raises: DemoError when the carrier has ended by itself."""
        if self._carrier is not None and self._carrier.poll() is not None:
            raise DemoError(f"the carrier ended with status {self._carrier.returncode}: see {self._folder}/carrier.log")


async def _last_words(cluster: Cluster, namespace: str, workload: str) -> str:
    """What a workload's container wrote last, or why there is none that could have."""
    try:
        written = await cluster.kubectl("logs", workload, "-n", namespace, "--tail=10")
    except ToolError as e:
        return str(e)
    return f"{workload} wrote last:\n{written}"


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def _secret(namespace: str, name: str, data: Mapping[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": dict(data)}


def _config_map(namespace: str, name: str, data: Mapping[str, str]) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "binaryData": dict(data)}
