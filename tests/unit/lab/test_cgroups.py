"""Control groups: found on any mixture of versions, and never anybody else's."""

import os
from pathlib import Path

import pytest

from lab import burden, cgroups
from lab.errors import LabError

HYBRID = """\
24 1 0:22 / / rw,relatime shared:1 - ext4 /dev/vda rw
30 24 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu
32 30 0:28 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
PURE = "30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"


def test_all_hierarchies_of_a_hybrid_machine_are_found() -> None:
    found = {str(h.mount): (h.version, sorted(h.controllers)) for h in cgroups.parse_mounts(HYBRID)}
    assert found == {
        "/sys/fs/cgroup/cpu": (1, ["cpu"]),
        "/sys/fs/cgroup/cpuset": (1, ["cpuset"]),
        "/sys/fs/cgroup/unified": (2, []),
    }


def test_a_machine_with_version_2_alone_has_one() -> None:
    assert [(str(h.mount), h.version) for h in cgroups.parse_mounts(PURE)] == [("/sys/fs/cgroup", 2)]


@pytest.mark.parametrize(
    "name", ["", "/", ".", "user.slice", "tandem-lab/../user.slice", "/tandem-lab", "tandem-laboratory"]
)
@pytest.mark.parametrize("use", [cgroups.pids, cgroups.kill, cgroups.kill_and_wait, cgroups.remove])
def test_no_group_but_the_labs_is_ever_touched(use: object, name: str) -> None:
    """A dead process's group reads as `/`: following that once killed a whole machine."""
    with pytest.raises(LabError, match="not the lab's"):
        use(name)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["tandem-lab/no-such-city", "tandem-lab-builds/1-2-3"])
def test_a_group_that_does_not_exist_holds_nobody(name: str) -> None:
    assert cgroups.pids(name) == set()


def test_version_2_has_the_same_weights_in_its_own_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for group in (".", "tandem-lab", "tandem-lab/east", f"tandem-lab/east/{cgroups.CONTROL_PLANE}"):
        (tmp_path / group).mkdir(exist_ok=True)
        (tmp_path / group / "cgroup.controllers").write_text("cpu memory")
        (tmp_path / group / "cgroup.subtree_control").write_text("cpu memory")
        if group != ".":
            (tmp_path / group / "cpu.weight").write_text("100")
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [cgroups.Hierarchy(tmp_path, 2, frozenset())])

    cgroups.create("tandem-lab/east", leaf=cgroups.CONTROL_PLANE)

    weights = [(tmp_path / group / "cpu.weight").read_text() for group in ("tandem-lab", "tandem-lab/east")]
    assert weights == ["1600", "100"]
    assert (tmp_path / "tandem-lab/east" / cgroups.CONTROL_PLANE / "cpu.weight").read_text() == "25"


@pytest.mark.parametrize(
    ("version", "controllers", "files", "limited"),
    [
        (1, {"cpu"}, {"cpu.cfs_quota_us": "-1", "cpu.cfs_period_us": "50000"}, ["25000", "100000"]),
        (2, set(), {"cpu.max": "max 100000"}, ["25000 100000"]),
    ],
    ids=["version-1", "version-2"],
)
def test_a_city_is_limited_to_a_part_of_a_processor_and_freed_again(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    version: int,
    controllers: set[str],
    files: dict[str, str],
    limited: list[str],
) -> None:
    east = tmp_path / "tandem-lab" / "east"
    east.mkdir(parents=True)
    for file, text in files.items():
        (east / file).write_text(text)
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [cgroups.Hierarchy(tmp_path, version, frozenset(controllers))])

    assert cgroups.limit_of("tandem-lab/east") is None
    cgroups.limit("tandem-lab/east", 0.25)
    assert cgroups.limit_of("tandem-lab/east") == 0.25
    assert [(east / file).read_text() for file in files] == limited
    cgroups.limit("tandem-lab/east", None)
    assert cgroups.limit_of("tandem-lab/east") is None


def test_a_machine_that_can_limit_nothing_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [cgroups.Hierarchy(tmp_path, 2, frozenset())])
    with pytest.raises(LabError, match="limit"):
        cgroups.limit("tandem-lab/east", 0.1)
    with pytest.raises(LabError, match="counts"):
        cgroups.processor_seconds("tandem-lab/east")


@pytest.mark.parametrize(("version", "file", "text"), [(1, "cpuacct.usage", "2500000000"), (2, "cpu.stat", None)])
def test_processor_time_is_in_seconds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, file: str, text: str | None
) -> None:
    east = tmp_path / "tandem-lab" / "east"
    east.mkdir(parents=True)
    (east / file).write_text(text or "usage_usec 2500000\nuser_usec 1\n")
    found = cgroups.Hierarchy(tmp_path, version, frozenset({"cpuacct"} if version == 1 else ()))
    monkeypatch.setattr(cgroups, "hierarchies", lambda: [found])
    assert cgroups.processor_seconds("tandem-lab/east") == 2.5


def test_a_burden_weighs_what_leaves_the_lab_its_share() -> None:
    assert burden.weight(0.5) == cgroups.WEIGHT_OF_LAB
    assert burden.weight(0.75) == 3 * cgroups.WEIGHT_OF_LAB
    for share in (0.0, 1.0):
        with pytest.raises(ValueError, match="share"):
            burden.begin(share)


def test_a_group_that_is_removed_while_it_is_read_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pod" / "container").mkdir(parents=True)
    listed = os.scandir

    def gone(path: str) -> object:
        if Path(path).name == "container":
            raise FileNotFoundError(path)
        return listed(path)

    monkeypatch.setattr(os, "scandir", gone)
    assert list(cgroups._subtree(tmp_path)) == [tmp_path / "pod", tmp_path]
    assert list(cgroups._subtree(tmp_path / "nothing")) == []
