"""The lab's address plan: who sits where. Pure data; docs/contracts.md section 1 shows the same table.

All of it lies in 198.18.0.0/15, which is reserved for benchmarks, so nothing can be meant for the outside.
"""

from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network
from typing import Final

WAN_NETNS: Final = "tandem-wan"
WAN_BRIDGE: Final = "wan"
MACHINE_LINK: Final = "tandem0"
"""The machine's own end of its link to the bridge, in the root namespace."""

WAN: Final = IPv4Network("198.18.0.0/24")
NODE_PORTS: Final = (30000, 31999)
"""Narrower than the default: Tandem's store listens on 32379 and 32380 of the node itself."""

CLUSTER_DOMAIN: Final = "cluster.local"


@dataclass(frozen=True)
class Location:
    """A place with its own network and one link to the wide-area bridge."""

    name: str
    address: IPv4Address

    @property
    def netns(self) -> str:
        """Name of its network namespace, as `ip netns` lists it."""
        return f"tandem-{self.name}"

    @property
    def netns_path(self) -> str:
        """File to hand to `nsenter --net=`."""
        return f"/run/netns/{self.netns}"

    @property
    def port(self) -> str:
        """Name of its port at the bridge, inside the bridge's namespace."""
        return self.name

    @property
    def mac(self) -> str:
        """Fixed, so that neighbours are known beforehand and a cut link is silent instead of unreachable."""
        return "02:54:" + ":".join(f"{octet:02x}" for octet in self.address.packed)


@dataclass(frozen=True)
class City(Location):
    """A location with a Kubernetes cluster of one node, which has the city's name."""

    pods: IPv4Network
    services: IPv4Network

    @property
    def api_url(self) -> str:
        """Where the Kubernetes API answers, also for the machine itself."""
        return f"https://{self.address}:6443"

    @property
    def dns(self) -> IPv4Address:
        """ClusterIP of CoreDNS."""
        return self.services[10]


def _city(name: str, number: int) -> City:
    return City(
        name=name,
        address=WAN[number],
        pods=IPv4Network(f"10.{number}.0.0/16"),
        services=IPv4Network(f"10.{100 + number}.0.0/16"),
    )


MACHINE: Final = Location("machine", WAN[1])
"""The root namespace: kubectl, helm and the tests sit here. It is never created or removed, only linked."""

CITIES: Final = {city.name: city for city in (_city("east", 11), _city("west", 12), _city("witness", 13))}
OUTSIDE: Final = {
    place.name: place
    for place in (Location("floor-a", WAN[21]), Location("floor-b", WAN[22]), Location("carrier", WAN[31]))
}
LOCATIONS: Final[dict[str, Location]] = {**CITIES, **OUTSIDE}
LINKED: Final[dict[str, Location]] = {**LOCATIONS, MACHINE.name: MACHINE}


def location(name: str) -> Location:
    """The location called `name`, the machine included. KeyError names those that exist."""
    try:
        return LINKED[name]
    except KeyError:
        raise KeyError(f"no location {name!r}; there are {', '.join(LINKED)}") from None


def city(name: str) -> City:
    """The city called `name`. KeyError names those that exist."""
    try:
        return CITIES[name]
    except KeyError:
        raise KeyError(f"no city {name!r}; there are {', '.join(CITIES)}") from None
