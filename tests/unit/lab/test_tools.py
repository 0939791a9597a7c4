"""Binaries are kept under a hash of everything they are built from."""

import re
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from lab import manifests, tools
from lab.addresses import CITIES
from lab.errors import BuildError
from lab.tools import Project
from tests.e2e.lab import whoami
from tests.support import flux


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setattr(tools, "MODULE", tmp_path)
    (tmp_path / "go.mod").write_text("module things\n")
    (tmp_path / "go.sum").write_text("")
    for name in ("thing", "other"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "main.go").write_text("package main\n")
    return Project(name="thing", packages={"thing": "./thing", "theirs": "example.org/theirs"})


def test_the_key_is_the_same_for_the_same_input(project: Project) -> None:
    assert tools.key(project, "go1.26.8") == tools.key(project, "go1.26.8")


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "thing/main.go"])
def test_the_key_changes_with_each_file(project: Project, file: str) -> None:
    before = tools.key(project, "go1.26.8")
    path = tools.MODULE / file
    path.write_text(path.read_text() + "// more\n")
    assert tools.key(project, "go1.26.8") != before


def test_the_key_changes_with_flags_packages_and_go(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    variants = [
        (project, "go1.26.8"),
        (project, "go1.26.9"),
        (replace(project, ldflags="-s"), "go1.26.8"),
        (replace(project, packages={"thing": "./thing", "theirs": "example.org/others"}), "go1.26.8"),
    ]
    keys = [tools.key(variant, version) for variant, version in variants]
    monkeypatch.setattr(tools, "_FLAGS", ())
    keys.append(tools.key(project, "go1.26.8"))
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("file", ["thing/README.md", "other/main.go"])
def test_notes_and_other_programs_build_nothing_anew(project: Project, file: str) -> None:
    before = tools.key(project, "go1.26.8")
    (tools.MODULE / file).write_text("words")
    assert tools.key(project, "go1.26.8") == before


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8\n", (1, 26, 8)),
        ("go1.27", (1, 27)),
        ("go1.26.8 X:nocoverageredesign", (1, 26, 8)),
        ("devel +abc", None),
        ("", None),
    ],
)
def test_versions_of_go_are_compared_as_numbers(text: str, version: tuple[int, ...] | None) -> None:
    assert tools.parse_go_version(text) == version
    assert (1, 9) < tools.GO_LEAST <= (1, 26)


def pins() -> str:
    return (tools.MODULE / "go.mod").read_text()


def test_kubernetes_is_told_its_version() -> None:
    flags = tools.PROJECT_OF["kubelet"].ldflags
    assert f"version.gitVersion={tools.KUBERNETES_VERSION}" in flags
    assert "version.gitMinor=36" in flags
    assert f"k8s.io/kubernetes {tools.KUBERNETES_VERSION}" in pins(), "flag and pin go together"


def test_what_is_not_our_own_is_pinned() -> None:
    for package in (package for project in tools.PROJECTS for package in project.packages.values()):
        if package.startswith("./"):
            assert (tools.MODULE / package / "main.go").is_file()
        else:
            assert f"\t{package}\n" in pins(), "named as a tool, or `go mod tidy` would drop its pin"


def test_coredns_has_the_plugins_of_the_corefiles() -> None:
    main = (tools.MODULE / "coredns" / "main.go").read_text()
    tests_own = whoami.manifests(next(iter(CITIES.values())))
    (config,) = (found for found in yaml.safe_load_all(tests_own) if found["kind"] == "ConfigMap")
    corefiles = manifests.COREFILE + config["data"]["Corefile"]
    assert set(re.findall(r"coredns/plugin/(\w+)", main)) == set(
        re.findall(r"^(?:    | )(\w+)", corefiles, re.MULTILINE)
    )


def test_what_few_tests_need_is_not_built_for_everybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def path(binary: str) -> Path:
        asked.append(binary)
        return tmp_path / binary

    monkeypatch.setattr(tools, "path", path)
    assert "kustomize-controller" in tools.PROJECT_OF
    assert "kustomize-controller" not in tools.ensure()
    assert {"kubectl", "etcd", "pause"} <= set(asked)
    assert set(tools.ensure(["kustomize-controller"])) == {"kustomize-controller"}


def test_flux_s_crds_and_controller_are_of_one_version() -> None:
    assert f"github.com/fluxcd/kustomize-controller {flux.VERSION}" in pins()
    sums = (tools.MODULE / "go.sum").read_text()
    module = f"github.com/fluxcd/kustomize-controller@{flux.VERSION}"
    assert f"{module.replace('@', ' ')} {flux.CHECKSUMS[module]}\n" in sums


@pytest.mark.parametrize(("checksum", "accepted"), [("h1:right", True), ("h1:wrong", False)])
def test_sources_are_taken_only_with_their_checksum(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, checksum: str, accepted: bool
) -> None:
    go = tmp_path / "go"
    go.write_text(f"""#!/bin/sh\necho '{{"Sum": "h1:right", "Dir": "{tmp_path}"}}'\n""")
    go.chmod(0o755)
    monkeypatch.setattr(tools, "go", lambda: tools.Go(go, "go1.26.8"))
    monkeypatch.setattr(tools, "cache", lambda: tmp_path)
    if accepted:
        assert tools.source("example.org/it@v1.2.3", checksum) == tmp_path
    else:
        with pytest.raises(BuildError, match="h1:right and not h1:wrong"):
            tools.source("example.org/it@v1.2.3", checksum)


def test_an_unknown_tool_is_told_which_exist() -> None:
    with pytest.raises(KeyError, match="kubectl"):
        tools.path("docker")


def test_the_first_binary_of_a_project_is_most_of_its_build() -> None:
    project = tools.PROJECTS[0]
    shares = [project.share(built, 7) for built in range(8)]
    assert shares[0] == 0
    assert shares[1] == project.first_share
    assert shares == sorted(shares)
    assert shares[7] == pytest.approx(1.0)
    assert project.share(1, 1) == project.first_share
