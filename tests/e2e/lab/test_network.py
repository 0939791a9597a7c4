"""What the cities' networks promise to everything that runs in them."""

import sys
from pathlib import Path

import pytest

from lab.addresses import CITIES, LOCATIONS
from lab.interface import Lab
from tests.e2e.lab import whoami
from tests.e2e.lab.fixtures import probed  # noqa: F401  (a fixture)

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session"), pytest.mark.usefixtures("probed")]


@pytest.mark.parametrize("kind", ["udp", "tcp"])
@pytest.mark.parametrize("city", CITIES)
@pytest.mark.parametrize("place", ["floor-a", "floor-b", "carrier"])
async def test_a_node_port_answers_and_sees_who_asks(
    lab: Lab, tmp_path: Path, place: str, city: str, kind: str
) -> None:
    answer = await whoami.ask(lab, tmp_path / "log", at=place, city=city, kind=kind)
    assert answer == {"address": str(LOCATIONS[place].address)}


@pytest.mark.parametrize(("city", "neighbour"), [("east", "west"), ("west", "witness"), ("witness", "east")])
async def test_pods_reach_other_cities_under_their_nodes_address(
    lab: Lab, tmp_path: Path, city: str, neighbour: str
) -> None:
    assert await whoami.ask(lab, tmp_path / "log", at="floor-a", city=neighbour) == {
        "address": str(LOCATIONS["floor-a"].address)
    }
    answer = await whoami.ask(lab, tmp_path / "log", at="floor-a", city=city, port=whoami.WHO_NEXT_DOOR)
    assert answer == {"address": str(CITIES[city].address)}


@pytest.mark.parametrize("city", CITIES)
async def test_pods_find_services_by_name(lab: Lab, tmp_path: Path, city: str) -> None:
    name = f"whoami.{whoami.NAMESPACE}.svc.cluster.local"
    answer = await whoami.ask(lab, tmp_path / "log", at="floor-b", city=city, port=whoami.DNS, name=name)
    template = "{.spec.clusterIP}"
    address = await whoami.kubectl(
        lab, city, "-n", whoami.NAMESPACE, "get", "service", "whoami", "-o", f"jsonpath={template}"
    )
    assert answer == {"address": address}


@pytest.mark.parametrize("city", CITIES)
async def test_people_run_commands_in_pods_and_read_their_logs(lab: Lab, city: str) -> None:
    """The API server asks the kubelet for both, which lets it only if somebody has given it the right."""
    pod = ("-n", whoami.NAMESPACE, "deployment/whoami")
    assert "CoreDNS" in await whoami.kubectl(lab, city, "exec", *pod, "--", "/coredns", "-version")
    await whoami.kubectl(lab, city, "logs", *pod)


async def test_a_node_reaches_services_by_their_own_address(lab: Lab, tmp_path: Path) -> None:
    """As pods on the host's network do: the store's members."""
    name = f"whoami.{whoami.NAMESPACE}.svc.cluster.local"
    command = [sys.executable, "-c", whoami.ASK, str(CITIES["east"].dns), "53", "udp", name]
    assert '"address": "10.111.' in await whoami.output(lab, tmp_path / "log", at="east", command=command)


@pytest.mark.parametrize("city", CITIES)
async def test_returned_members_find_each_other_quickly(lab: Lab, tmp_path: Path, city: str) -> None:
    """Five retransmissions instead of fifteen: 0.3 s instead of 13-23 s until a healed store has a leader."""
    command = ["cat", "/proc/sys/net/ipv4/tcp_retries2"]
    assert await whoami.output(lab, tmp_path / "log", at=city, command=command) == "5\n"
