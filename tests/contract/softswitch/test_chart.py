"""What the Helm chart writes is what softswitch and CTI read, and the addresses are the contracts'."""

import json
import subprocess
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

from callcenter.cti.config import Peer, read_config
from lab import tools
from tests.contract.softswitch.kamailio import SOFTSWITCH

pytestmark = pytest.mark.contract

CHART = SOFTSWITCH.parent / "chart"
VALUES: dict[str, Any] = {
    "city": "east",
    "nodeIP": "198.18.0.11",
    "peerCity": "west",
    "peerNodeIP": "198.18.0.12",
    "secrets": {
        "ticketSecret": "the-ticket-secret",
        "peerSecret": "the-peer-secret",
        "controlToken": "the-control-token",
        "sipSecret": "the-sip-secret",
    },
    "controlNetworks": ["10.11.0.0/16"],
    "carrierNetworks": ["198.18.0.31/32"],
}


def helm(tmp_path: Path, values: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    return subprocess.run(
        [
            *(str(tools.path("helm")), "template", "callcenter", str(CHART), "-n", "callcenter"),
            *("-f", str(file), "--kube-version", "1.35.0"),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Kind/name -> object."""
    done = helm(tmp_path_factory.mktemp("chart"), VALUES)
    assert done.returncode == 0, done.stderr
    return {f"{o['kind']}/{o['metadata']['name']}": o for o in yaml.safe_load_all(done.stdout) if o}


def environment_of(objects: dict[str, dict[str, Any]], deployment: str) -> dict[str, str]:
    """The container's environment, with the Secret's values in place."""
    secret = objects["Secret/callcenter-secrets"]["stringData"]
    (container,) = objects[f"Deployment/{deployment}"]["spec"]["template"]["spec"]["containers"]
    environment = {}
    for variable in container["env"]:
        if "value" in variable:
            environment[variable["name"]] = variable["value"]
        elif "secretKeyRef" in variable["valueFrom"]:
            environment[variable["name"]] = secret[variable["valueFrom"]["secretKeyRef"]["key"]]
        else:
            assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
            environment[variable["name"]] = "10.11.0.7"
    return environment


@pytest.mark.parametrize(("system", "port"), [("hotel", 30560), ("flight", 30561)])
def test_the_softswitch_reads_what_the_chart_writes(
    objects: dict[str, dict[str, Any]], entrypoint: ModuleType, system: str, port: int
) -> None:
    settings = entrypoint.read_settings(environment_of(objects, f"softswitch-{system}"))
    assert (settings.site, settings.system, settings.pod_ip) == ("east", system, "10.11.0.7")
    assert str(settings.advertised) == f"198.18.0.11:{port}"
    assert str(settings.peer) == f"198.18.0.12:{port}"
    assert settings.control_networks == "10.11.0.0/16"
    assert settings.carrier_networks == "198.18.0.31/32"


@pytest.mark.parametrize(("system", "sip", "cti"), [("hotel", 30560, 30580), ("flight", 30561, 30581)])
def test_the_cti_reads_what_the_chart_writes(
    objects: dict[str, dict[str, Any]], directory_path: Path, tmp_path: Path, system: str, sip: int, cti: int
) -> None:
    environment = environment_of(objects, f"cti-{system}")
    # Paths of the container, put where this machine has them.
    (container,) = objects[f"Deployment/cti-{system}"]["spec"]["template"]["spec"]["containers"]
    mounts = {mount["mountPath"]: tmp_path / mount["name"] for mount in container["volumeMounts"]}
    for name in ("TANDEM_STATE_DIR", "TANDEM_MAP_DIR"):
        mounts[environment[name]].mkdir()
        environment[name] = str(mounts[environment[name]])
    assert Path(environment["TANDEM_DIRECTORY"]).parent in {Path(mount) for mount in mounts}
    config = read_config({**environment, "TANDEM_DIRECTORY": str(directory_path)})
    assert (config.site, config.system) == ("east", system)
    assert config.peers == (Peer("west", f"http://198.18.0.12:{cti}"),)
    assert str(config.evapi) == f"softswitch-{system}.callcenter.svc:8448"
    assert str(config.sip_address) == f"198.18.0.11:{sip}"
    assert (config.port, config.control_port) == (8080, 8081)


def test_a_third_city_is_one_more_peer_of_each_cti(tmp_path: Path) -> None:
    done = helm(tmp_path, VALUES | {"morePeers": [{"city": "north", "nodeIP": "198.18.0.14"}]})
    assert done.returncode == 0, done.stderr
    objects = {f"{o['kind']}/{o['metadata']['name']}": o for o in yaml.safe_load_all(done.stdout) if o}
    for system, port in (("hotel", 30580), ("flight", 30581)):
        environment = environment_of(objects, f"cti-{system}")
        assert environment["TANDEM_PEER_SITE"] == "west,north"
        assert environment["TANDEM_PEER_URL"] == f"http://198.18.0.12:{port},http://198.18.0.14:{port}"


@pytest.mark.parametrize("system", ["hotel", "flight"])
def test_services_have_the_contracts_addresses(objects: dict[str, dict[str, Any]], system: str) -> None:
    n = {"hotel": 0, "flight": 1}[system]
    for name, node_port in ((f"softswitch-{system}-sip", 30560 + n), (f"cti-{system}-clients", 30580 + n)):
        spec = objects[f"Service/{name}"]["spec"]
        assert (spec["type"], spec["externalTrafficPolicy"]) == ("NodePort", "Local")
        assert [port["nodePort"] for port in spec["ports"]] == [node_port]
    inside = {f"softswitch-{system}": [8080, 8448], f"cti-{system}": [8081]}
    for name, ports in inside.items():
        spec = objects[f"Service/{name}"]["spec"]
        assert spec.get("type", "ClusterIP") == "ClusterIP"
        assert [port["port"] for port in spec["ports"]] == ports


def test_every_service_and_policy_selects_the_pods_it_means(objects: dict[str, dict[str, Any]]) -> None:
    pods = {
        name.removeprefix("Deployment/"): o["spec"]["template"]["metadata"]["labels"]
        for name, o in objects.items()
        if o["kind"] == "Deployment"
    }
    assert sorted(pods) == ["cti-flight", "cti-hotel", "softswitch-flight", "softswitch-hotel"]
    for name, o in objects.items():
        if o["kind"] in ("Service", "NetworkPolicy"):
            spec = o["spec"]
            selector = spec["selector"] if o["kind"] == "Service" else spec["podSelector"]["matchLabels"]
            (selected,) = [pod for pod, labels in pods.items() if selector.items() <= labels.items()]
            assert o["metadata"]["name"].startswith(selected), name


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"city": ""}, "city is empty", id="no-city"),
        pytest.param({"peerCity": "east"}, 'both "east"', id="its-own-peer"),
        pytest.param({"secrets": {**VALUES["secrets"], "peerSecret": ""}}, "secrets.peerSecret", id="a-secret-missing"),
        pytest.param({"secrets": {**VALUES["secrets"], "peerSecret": "short"}}, "peerSecret", id="a-short-secret"),
        pytest.param({"softswitch": {"replicas": 2}}, "replicas", id="two-softswitches"),
        pytest.param({"sistems": []}, "sistems", id="unknown-value"),
    ],
)
def test_wrong_values_are_refused_by_name(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    done = helm(tmp_path, {**VALUES, **change})
    assert done.returncode != 0
    assert words in done.stderr


def test_secrets_can_be_made_elsewhere(tmp_path: Path) -> None:
    done = helm(tmp_path, {**VALUES, "secrets": {"existing": "mine"}})
    assert done.returncode == 0, done.stderr
    objects = [o for o in yaml.safe_load_all(done.stdout) if o]
    assert not [o for o in objects if o["kind"] == "Secret"]
    assert "callcenter-secrets" not in done.stdout
