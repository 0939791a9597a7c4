"""`kubectl tandem apply`: what it hands to kubectl, which is a script here. And `-k` of `apply` and `plan`."""

import os
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tandem.cli import apply, kustomize, plan
from tandem.cli.main import parser
from tandem.errors import ConfigError
from tests.support.manifests import group, shift
from tests.unit.cli.test_plan import FakeCluster, clusters

KUBECTL = """#!/bin/sh
echo "$*" >> "{log}"
case "$1 $2" in
"kustomize broken") echo "no such base" >&2; exit 1 ;;
"kustomize latin1") printf 'name: caf\\351' ;;
"kustomize slow") exec sleep 60 ;;
"kustomize git") sleep 4 & exec sleep 60 ;;
"kustomize "*) echo "# Warning: it is old" >&2; cat "$2/built" ;;
"--context held") sleep 4 & exec sleep 60 ;;
"--context left") sleep 4 & echo "configured in $2" ;;
"--context mixed") echo one; echo two >&2; echo three ;;
*) cat > "{log}.$2"; echo "configured in $2"; test "$2" != full ;;
esac
"""


class FakeKubectl:
    """Where its script writes what it was asked, and what each context was given."""

    def __init__(self, folder: Path) -> None:
        self.log = folder / "log"
        script = folder / "bin" / "kubectl"
        script.parent.mkdir()
        script.write_text(KUBECTL.format(log=self.log))
        script.chmod(0o755)
        self.path = script.parent

    @property
    def asked(self) -> list[str]:
        return self.log.read_text().splitlines()

    def given(self, context: str) -> list[Any]:
        return list(yaml.safe_load_all(self.log.with_name(f"log.{context}").read_text()))


@pytest.fixture
def kubectl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeKubectl:
    found = FakeKubectl(tmp_path)
    monkeypatch.setenv("PATH", f"{found.path}{os.pathsep}{os.environ['PATH']}")
    return found


def kustomization(folder: Path, *manifests: dict[str, Any]) -> str:
    """A folder of which the script makes these."""
    folder.mkdir()
    (folder / "built").write_text(yaml.safe_dump_all(manifests))
    return str(folder)


async def test_files_go_to_every_cluster_as_they_are(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert await apply.run(["east", "full"], ["a.yaml", "folder"], []) == 1
    handed = "--request-timeout 20s apply -f a.yaml -f folder"
    assert sorted(kubectl.asked) == [f"--context east {handed}", f"--context full {handed}"]
    assert kubectl.given("east") == []
    said = capsys.readouterr().out
    assert "cluster east:\n  configured in east\n" in said
    assert "Not applied in full." in said


async def test_a_kustomization_is_built_once_and_every_cluster_gets_the_same(
    kubectl: FakeKubectl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = kustomization(tmp_path / "one", group("a"), group("b"))
    second = kustomization(tmp_path / "two", group("c"))
    assert await apply.run(["east", "west"], [], [first, second]) == 0
    assert kubectl.asked[:2] == [f"kustomize {first}", f"kustomize {second}"]
    handed = "--request-timeout 20s apply -f -"
    assert sorted(kubectl.asked[2:]) == [f"--context east {handed}", f"--context west {handed}"]
    assert kubectl.given("east") == kubectl.given("west") == [group("a"), group("b"), group("c")]
    assert "# Warning: it is old" in capsys.readouterr().err


async def test_one_that_cannot_be_built_goes_nowhere(kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="kubectl kustomize broken: no such base"):
        await apply.run(["east"], [], ["broken"])
    with pytest.raises(ConfigError, match="kubectl kustomize latin1: what it built is no UTF-8"):
        await apply.run(["east"], [], ["latin1"])
    monkeypatch.setattr(kustomize, "BUILD_S", 0.2)
    with pytest.raises(ConfigError, match="kubectl kustomize slow: not built within"):
        await apply.run(["east"], [], ["slow"])
    assert kubectl.asked == ["kustomize broken", "kustomize latin1", "kustomize slow"]


async def test_nobody_waits_for_what_kubectl_has_started(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A credential plugin or git goes on when kubectl has been killed, or is done, and keeps its output open."""
    monkeypatch.setattr(apply, "APPLY_S", 1.0)
    monkeypatch.setattr(kustomize, "BUILD_S", 0.2)
    start = time.monotonic()
    assert await apply.run(["held", "left"], ["a.yaml"], []) == 1
    with pytest.raises(ConfigError, match="kubectl kustomize git: not built within"):
        await apply.run(["east"], [], ["git"])
    assert time.monotonic() - start < 3.5
    said = capsys.readouterr().out
    assert "cluster held:\n  no answer within 1 s\n" in said
    assert "cluster left:\n  configured in left\n" in said
    assert "Not applied in held." in said


async def test_what_a_cluster_says_is_in_its_order(kubectl: FakeKubectl, capsys: pytest.CaptureFixture[str]) -> None:
    assert await apply.run(["mixed"], ["a.yaml"], []) == 0
    assert capsys.readouterr().out == "cluster mixed:\n  one\n  two\n  three\n"


async def test_without_room_for_its_files_there_is_a_word(
    kubectl: FakeKubectl, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with pytest.raises(ConfigError, match=r"no temporary files for kubectl .*/nowhere.*; set TMPDIR"):
        await apply.run(["east"], ["a.yaml"], [])


async def test_without_kubectl_there_is_a_word(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match="kubectl is not on PATH"):
        await apply.run(["east"], ["a.yaml"], [])


async def test_a_plan_of_a_kustomization_is_that_of_its_manifests(
    kubectl: FakeKubectl, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = kustomization(tmp_path / "one", group("a"), shift("b"))
    east = FakeCluster()
    assert await plan.run(clusters(east=east), [], "", folders=[folder]) == plan.CAN
    assert [one["metadata"]["name"] for one in east.objects] == ["a", "b"]
    wrong = kustomization(tmp_path / "two", shift("c", percent=0))
    assert await plan.run(clusters(east=east), [], "", folders=[wrong]) == plan.UNKNOWN
    assert f"kustomization {wrong}: Shift c: spec.percent is 0" in capsys.readouterr().err
    assert await plan.run(clusters(east=east), [], "", folders=["broken"]) == plan.UNKNOWN
    assert "no such base" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["apply", "plan"])
def test_files_or_kustomizations_as_for_kubectl(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = parser().parse_args([command, "-k", "a", "-k", "b"])
    assert (found.filename, found.kustomize) == ([], ["a", "b"])
    for wrong in ([], ["-f", "a", "-k", "b"]):
        with pytest.raises(SystemExit):
            parser().parse_args([command, *wrong])
        assert "-k/--kustomize" in capsys.readouterr().err
