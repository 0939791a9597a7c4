"""The text that becomes namespaces, links and rules."""

from lab import network
from lab.addresses import CITIES, LINKED, LOCATIONS, MACHINE


def test_every_place_has_one_link_into_the_bridge() -> None:
    lines = network.wan_batch().splitlines()
    added = [line for line in lines if " type veth " in line]
    assert len(added) == len(LINKED)
    for place in LOCATIONS.values():
        (line,) = [line for line in added if f"name {place.port} type" in line]
        assert line.endswith(f"address {place.mac} netns {place.netns}")


def test_everybody_knows_everybodys_hardware_address_but_its_own() -> None:
    """A cut link must be silence: who has to ask for an address is told `no route to host` instead."""
    for place in LINKED.values():
        lines = [line for line in network.location_batch(place).splitlines() if line.startswith("neighbour")]
        assert {line.split()[2] for line in lines} == {str(o.address) for o in LINKED.values()} - {str(place.address)}
        assert all("nud permanent" in line for line in lines)


def test_only_cities_have_a_way_to_services() -> None:
    for place in LINKED.values():
        routes = [line for line in network.location_batch(place).splitlines() if line.startswith("route")]
        assert len(routes) == (1 if place.name in CITIES else 0)


def test_nobody_has_a_way_out_of_the_machine() -> None:
    everything = network.wan_batch() + "".join(network.location_batch(place) for place in LINKED.values())
    assert "default" not in everything
    assert "0.0.0.0/0" not in everything


def test_pods_are_masqueraded_only_on_their_way_out() -> None:
    east = CITIES["east"]
    rules = network.city_rules(east)
    assert 'ip saddr 10.11.0.0/16 ip daddr != 10.11.0.0/16 oifname "eth0" masquerade' in rules


def test_the_machines_own_end_is_named_and_not_eth0() -> None:
    batch = network.location_batch(MACHINE, "tandem0")
    assert "eth0" not in batch
    assert f"address add {MACHINE.address}/24 dev tandem0" in batch
