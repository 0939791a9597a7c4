"""The address plan is the one that docs/contracts.md fixes."""

import itertools
import re
from ipaddress import IPv4Network

import pytest

from lab.addresses import CITIES, LINKED, LOCATIONS, NODE_PORTS, WAN, city, location
from lab.paths import REPOSITORY


@pytest.mark.parametrize(
    ("name", "address", "pods", "services"),
    [
        ("east", "198.18.0.11", "10.11.0.0/16", "10.111.0.0/16"),
        ("west", "198.18.0.12", "10.12.0.0/16", "10.112.0.0/16"),
        ("witness", "198.18.0.13", "10.13.0.0/16", "10.113.0.0/16"),
    ],
)
def test_cities_have_the_contracts_addresses(name: str, address: str, pods: str, services: str) -> None:
    found = city(name)
    assert (str(found.address), str(found.pods), str(found.services)) == (address, pods, services)
    assert found.netns == f"tandem-{name}"
    assert found.api_url == f"https://{address}:6443"
    assert found.dns in found.services


@pytest.mark.parametrize(
    ("name", "address"),
    [("floor-a", "198.18.0.21"), ("floor-b", "198.18.0.22"), ("carrier", "198.18.0.31"), ("machine", "198.18.0.1")],
)
def test_places_outside_have_the_contracts_addresses(name: str, address: str) -> None:
    assert str(location(name).address) == address


def test_everything_lies_in_the_range_that_is_reserved_for_benchmarks() -> None:
    assert WAN.subnet_of(IPv4Network("198.18.0.0/15"))
    assert all(place.address in WAN for place in LINKED.values())


def test_no_two_networks_overlap() -> None:
    networks = [WAN, *(n for found in CITIES.values() for n in (found.pods, found.services))]
    assert not [pair for pair in itertools.combinations(networks, 2) if pair[0].overlaps(pair[1])]


def test_hardware_addresses_are_local_and_differ() -> None:
    macs = [place.mac for place in LINKED.values()]
    assert len(set(macs)) == len(macs)
    assert all(int(mac[:2], 16) & 0b11 == 0b10 for mac in macs), "unicast, locally administered"


def test_names_fit_into_the_kernels_tables() -> None:
    assert all(len(place.port) <= 15 for place in LINKED.values())


def test_every_node_port_of_the_contract_can_be_given_and_the_stores_cannot() -> None:
    text = (REPOSITORY / "docs" / "contracts.md").read_text()
    table = text.partition("| what | port |")[2].partition("\n\n")[0]
    ports = {int(number) for number in re.findall(r"\b3\d{4}\b", table)}
    stores = {32379, 32380}
    assert stores < ports
    assert all(NODE_PORTS[0] <= port <= NODE_PORTS[1] for port in ports - stores)
    assert not any(NODE_PORTS[0] <= port <= NODE_PORTS[1] for port in stores)


def test_an_unknown_place_is_told_which_exist() -> None:
    with pytest.raises(KeyError, match="floor-a"):
        location("moon")
    with pytest.raises(KeyError, match="east, west, witness"):
        city("floor-a")
    assert "machine" not in LOCATIONS, "nobody may remove the machine's own namespace"
