"""Control groups: found on any mixture of versions, and never anybody else's."""

from pathlib import Path

import pytest

from lab import cgroups
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
