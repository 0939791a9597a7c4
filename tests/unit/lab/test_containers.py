"""Which containers `pod/<namespace>/<deployment>[/<container>]` means."""

import pytest

from lab.containers import Container, PodSelector, parse_bundle, parse_images

ANNOTATIONS = {
    "io.kubernetes.cri.container-type": "container",
    "io.kubernetes.cri.container-name": "engine",
    "io.kubernetes.cri.sandbox-name": "tandem-7d9c5b8f6d-x2x4z",
    "io.kubernetes.cri.sandbox-namespace": "tandem-system",
}
GROUP = "/tandem-lab/east/kubepods/burstable/podabc/def"


def a_container(pod: str, name: str = "engine", namespace: str = "tandem-system") -> Container:
    return Container(id="def", namespace=namespace, pod=pod, name=name, pid=7, group=GROUP.lstrip("/"))


def test_a_bundle_says_whose_container_it_is_and_where_it_was_put() -> None:
    found = parse_bundle("def", {"annotations": ANNOTATIONS, "linux": {"cgroupsPath": GROUP}}, 7)
    assert found == a_container("tandem-7d9c5b8f6d-x2x4z")


def test_a_sandbox_is_nobodys_container() -> None:
    sandbox = {**ANNOTATIONS, "io.kubernetes.cri.container-type": "sandbox"}
    assert parse_bundle("def", {"annotations": sandbox, "linux": {"cgroupsPath": GROUP}}, 7) is None


@pytest.mark.parametrize(
    ("pod", "chosen"),
    [
        pytest.param("tandem-7d9c5b8f6d-x2x4z", True, id="of-a-deployment"),
        pytest.param("tandem-0", True, id="of-a-statefulset"),
        pytest.param("tandem-x2x4z", True, id="of-a-daemonset"),
        pytest.param("tandem", True, id="a-bare-pod"),
        pytest.param("tandem-etcd-7d9c5b8f6d-x2x4z", False, id="of-a-deployment-with-a-longer-name"),
        pytest.param("my-tandem-0", False, id="of-one-that-ends-alike"),
    ],
)
def test_a_pod_belongs_to_its_owner(pod: str, chosen: bool) -> None:
    assert PodSelector.parse("pod/tandem-system/tandem").matches(a_container(pod)) is chosen


def test_a_container_and_a_namespace_narrow_the_choice() -> None:
    selector = PodSelector.parse("pod/tandem-system/tandem/engine")
    assert selector.matches(a_container("tandem-0"))
    assert not selector.matches(a_container("tandem-0", name="operator"))
    assert not selector.matches(a_container("tandem-0", namespace="callcenter"))


@pytest.mark.parametrize("wrong", ["kube-api", "pod/x", "pod/x/", "pod/a/b/c/d", "deployment/a/b"])
def test_anything_else_is_no_component(wrong: str) -> None:
    with pytest.raises(KeyError, match="no component"):
        PodSelector.parse(wrong)


def test_images_are_read_from_ctrs_table() -> None:
    table = (
        "REF                           TYPE                                       DIGEST          SIZE     PLATFORMS\n"
        "docker.io/tandem/etcd:dev     application/vnd.oci.image.manifest.v1+json sha256:aaa      43.0 MiB amd64\n"
        "sha256:0123                   application/vnd.oci.image.manifest.v1+json sha256:aaa      43.0 MiB amd64\n"
    )
    assert parse_images(table)["docker.io/tandem/etcd:dev"] == "sha256:aaa"
    assert parse_images("REF TYPE DIGEST SIZE PLATFORMS LABELS\n") == {}
