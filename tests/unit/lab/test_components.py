"""What the cities' programs are started with: the lines without which something bites."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.addresses import CITIES
from lab.components import PAUSE_IMAGE, CitySetup, argv, files
from lab.interface import COMPONENTS
from lab.paths import city_paths

SETUPS = [
    CitySetup(city=city, paths=city_paths(city.name, Path("/state")), cni_plugins=Path("/usr/lib/cni"))
    for city in CITIES.values()
]


@pytest.fixture(params=SETUPS, ids=list(CITIES))
def setup(request: pytest.FixtureRequest) -> CitySetup:
    found: CitySetup = request.param
    return found


def flags(setup: CitySetup, component: str) -> dict[str, str]:
    _, *rest = argv(setup, component, Path("/bin/program"))
    return dict(word.removeprefix("--").split("=", 1) for word in rest)


def file(setup: CitySetup, name: str) -> str:
    return files(setup)[setup.paths.config / name]


def kubelet(setup: CitySetup) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(file(setup, "kubelet.yaml"))
    return found


def test_no_file_or_folder_of_one_city_is_anothers() -> None:
    """They share the machine's file system: two kubelets on one folder delete each other's things."""
    seen: dict[str, str] = {}
    for setup in SETUPS:
        words = [word for component in COMPONENTS for word in argv(setup, component, Path("program"))]
        words += [word for text in files(setup).values() for word in text.replace('"', " ").split()]
        for word in words:
            path = word.partition("=")[2] or word
            if path.startswith(("/state/", "/run/tandem-lab/", "unix:///run/")):
                assert seen.setdefault(path, setup.city.name) == setup.city.name, path


def test_the_kubelet_runs_on_cgroup_v1_below_the_citys_own_group(setup: CitySetup) -> None:
    config = kubelet(setup)
    assert config["failCgroupV1"] is False
    assert config["cgroupDriver"] == "cgroupfs"
    assert config["cgroupRoot"] == f"/tandem-lab/{setup.city.name}"


def test_a_full_machine_evicts_nobody_and_loses_no_image(setup: CitySetup) -> None:
    config = kubelet(setup)
    assert config["evictionHard"]["nodefs.available"] == config["evictionHard"]["imagefs.available"] == "0%"
    assert config["imageGCHighThresholdPercent"] == 100


def test_without_the_right_to_raise_oom_scores_nothing_dies(setup: CitySetup) -> None:
    cri = tomllib.loads(file(setup, "containerd.toml"))["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["restrict_oom_score_adj"] is True
    assert kubelet(setup)["oomScoreAdj"] == 0
    assert yaml.safe_load(file(setup, "kube-proxy.yaml"))["oomScoreAdj"] == 0


def test_containerd_keeps_pods_namespaces_where_the_lab_finds_them(setup: CitySetup) -> None:
    config = tomllib.loads(file(setup, "containerd.toml"))
    cri = config["plugins"]["io.containerd.grpc.v1.cri"]
    assert cri["netns_mounts_under_state_dir"] is True
    assert cri["sandbox_image"] == PAUSE_IMAGE
    assert config["state"] == f"/run/tandem-lab/{setup.city.name}/containerd"
    assert kubelet(setup)["containerRuntimeEndpoint"] == "unix://" + config["grpc"]["address"]


def test_sockets_have_paths_that_fit(setup: CitySetup) -> None:
    assert len(f"{setup.paths.containerd_socket}.ttrpc") <= 107


def test_pods_get_addresses_of_their_city(setup: CitySetup) -> None:
    network = json.loads(file(setup, "cni/10-tandem.conflist"))
    assert network["plugins"][0]["ipam"]["ranges"] == [[{"subnet": str(setup.city.pods)}]]
    assert yaml.safe_load(file(setup, "kube-proxy.yaml"))["clusterCIDR"] == str(setup.city.pods)


def test_kube_proxy_uses_nftables_and_leaves_the_machines_limits_alone(setup: CitySetup) -> None:
    config = yaml.safe_load(file(setup, "kube-proxy.yaml"))
    assert config["mode"] == "nftables"
    assert config["conntrack"] == {"maxPerCore": 0, "min": 0}


def test_the_clusters_own_store_stays_inside_its_city(setup: CitySetup) -> None:
    found = flags(setup, "etcd")
    assert found["unsafe-no-fsync"] == "true"
    assert all("127.0.0.1" in value for name, value in found.items() if name.endswith("urls"))


def test_the_api_answers_on_the_citys_address_with_its_services(setup: CitySetup) -> None:
    found = flags(setup, "kube-apiserver")
    assert found["advertise-address"] == str(setup.city.address)
    assert found["service-cluster-ip-range"] == str(setup.city.services)
    assert found["kubelet-preferred-address-types"] == "InternalIP"


def test_kubeadm_makes_elliptic_keys_for_that_city(setup: CitySetup) -> None:
    _, cluster = yaml.safe_load_all(file(setup, "kubeadm.yaml"))
    assert cluster["encryptionAlgorithm"] == "ECDSA-P256"
    assert cluster["controlPlaneEndpoint"] == f"{setup.city.address}:6443"
    assert cluster["certificatesDir"] == str(setup.paths.pki)


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_has_a_command_line(setup: CitySetup, component: str) -> None:
    program, *rest = argv(setup, component, Path("/bin/program"))
    assert program == "/bin/program"
    assert all(word.startswith("--") and "=" in word for word in rest)
