"""What a cluster holds from its first minute."""

import base64

import pytest
import yaml

from lab.addresses import CITIES, City
from lab.api import condition
from lab.cleanup import parse_mount_points
from lab.kubeconfigs import for_people
from lab.manifests import COREFILE, bootstrap


@pytest.fixture(params=list(CITIES.values()), ids=list(CITIES))
def city(request: pytest.FixtureRequest) -> City:
    found: City = request.param
    return found


def test_dns_answers_where_the_kubelet_sends_pods(city: City) -> None:
    objects = {(o["kind"], o["metadata"]["name"]): o for o in yaml.safe_load_all(bootstrap(city))}
    assert objects["Service", "kube-dns"]["spec"]["clusterIP"] == str(city.dns)
    service, deployment = objects["Service", "kube-dns"], objects["Deployment", "coredns"]
    assert service["spec"]["selector"] == deployment["spec"]["template"]["metadata"]["labels"]
    assert objects["ConfigMap", "coredns"]["data"]["Corefile"] == COREFILE


def test_dns_asks_nobody_outside() -> None:
    assert "forward" not in COREFILE


def test_the_administrators_kubeconfig_is_named_after_the_city() -> None:
    admin = {
        "clusters": [{"name": "kubernetes", "cluster": {"server": "https://198.18.0.11:6443"}}],
        "users": [{"name": "kubernetes-admin", "user": {"client-key-data": base64.b64encode(b"k").decode()}}],
        "contexts": [],
    }
    found = yaml.safe_load(for_people(yaml.safe_dump(admin), "east"))
    assert found["current-context"] == "east"
    assert found["contexts"] == [{"name": "east", "context": {"cluster": "east", "user": "east-admin"}}]
    assert found["clusters"][0]["cluster"]["server"] == "https://198.18.0.11:6443"
    assert found["users"][0]["name"] == "east-admin"


@pytest.mark.parametrize(
    ("status", "since", "true"),
    [
        pytest.param("True", 0.0, True, id="ready"),
        pytest.param("False", 0.0, False, id="not-ready"),
        pytest.param("True", 1_000_000_000.9, True, id="said-in-the-second-that-began"),
        pytest.param("True", 1_000_000_001.0, False, id="said-before"),
    ],
)
def test_a_node_is_ready_only_if_it_said_so_lately(status: str, since: float, true: bool) -> None:
    node = {
        "status": {
            "conditions": [{"type": "Ready", "status": status, "lastHeartbeatTime": "2001-09-09T01:46:40Z"}],
        }
    }
    assert condition(node, "Ready", since=since) is true
    assert condition({}, "Ready") is False


def test_mount_points_with_blanks_are_found() -> None:
    text = "31 30 0:27 / /a\\040b rw - tmpfs tmpfs rw\n32 30 0:28 / /c rw - tmpfs tmpfs rw\n"
    assert [str(path) for path in parse_mount_points(text)] == ["/a b", "/c"]
