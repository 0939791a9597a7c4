"""Binaries are kept under a hash of everything they are built from."""

from dataclasses import replace
from pathlib import Path

import pytest

from lab import tools
from lab.errors import BuildError
from lab.tools import GoModule
from tests.support import flux


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> GoModule:
    monkeypatch.setattr(tools, "MODULES_FOLDER", tmp_path)
    folder = tmp_path / "thing"
    folder.mkdir()
    (folder / "go.mod").write_text("module thing\n")
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text("package main\n")
    return GoModule(name="thing", packages={"thing": "."})


def test_the_key_is_the_same_for_the_same_input(module: GoModule) -> None:
    assert tools.key(module, "go1.26.8") == tools.key(module, "go1.26.8")


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_the_key_changes_with_each_file(module: GoModule, file: str) -> None:
    before = tools.key(module, "go1.26.8")
    path = module.folder / file
    path.write_text(path.read_text() + "// more\n")
    assert tools.key(module, "go1.26.8") != before


def test_the_key_changes_with_flags_packages_and_go(module: GoModule) -> None:
    variants = [
        (module, "go1.26.8"),
        (module, "go1.26.9"),
        (replace(module, ldflags="-s"), "go1.26.8"),
        (replace(module, packages={"thing": "./cmd"}), "go1.26.8"),
    ]
    keys = [tools.key(variant, version) for variant, version in variants]
    assert len(set(keys)) == len(keys)


def test_notes_beside_the_module_build_nothing_anew(module: GoModule) -> None:
    before = tools.key(module, "go1.26.8")
    (module.folder / "README.md").write_text("words")
    assert tools.key(module, "go1.26.8") == before


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


def test_kubernetes_is_told_its_version() -> None:
    flags = tools.MODULE_OF["kubelet"].ldflags
    assert f"version.gitVersion={tools.KUBERNETES_VERSION}" in flags
    assert "version.gitMinor=35" in flags
    pinned = (tools.MODULE_OF["kubelet"].folder / "go.mod").read_text()
    assert f"k8s.io/kubernetes {tools.KUBERNETES_VERSION}" in pinned, "flag and pin go together"


def test_every_module_is_pinned() -> None:
    for module in tools.MODULES:
        assert (module.folder / "go.mod").is_file()


def test_what_few_tests_need_is_not_built_for_everybody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[str] = []

    def path(binary: str) -> Path:
        asked.append(binary)
        return tmp_path / binary

    monkeypatch.setattr(tools, "path", path)
    assert "kustomize-controller" in tools.MODULE_OF
    assert "kustomize-controller" not in tools.ensure()
    assert {"kubectl", "etcd", "pause"} <= set(asked)
    assert set(tools.ensure(["kustomize-controller"])) == {"kustomize-controller"}


def test_flux_s_crds_and_controller_are_of_one_version() -> None:
    pinned = (tools.MODULE_OF["kustomize-controller"].folder / "go.mod").read_text()
    assert f"github.com/fluxcd/kustomize-controller {flux.VERSION}" in pinned
    sums = (tools.MODULE_OF["kustomize-controller"].folder / "go.sum").read_text()
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


def test_the_first_binary_of_a_module_is_most_of_its_build() -> None:
    module = tools.MODULES[0]
    shares = [module.share(built, 7) for built in range(8)]
    assert shares[0] == 0
    assert shares[1] == module.first_share
    assert shares == sorted(shares)
    assert shares[7] == pytest.approx(1.0)
    assert module.share(1, 1) == module.first_share
