"""Control groups of the lab: one per location, in every hierarchy of the machine (v1, hybrid or v2).

They are the net that catches every process of a location: its components, its pods and what was spawned into it.
"""

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab.errors import LabError
from lab.processes import kill_all, living

ROOT: Final = "tandem-lab"
BUILDS: Final = "tandem-lab-builds"
"""Builders sit outside `ROOT`: stopping a lab must not stop a build that somebody else runs."""

BURDEN: Final = "tandem-lab-burden"
"""Busy loops that take the machine away from the lab: beside it, or they would take it from one of its locations."""

CONTROL_PLANE: Final = "system"
"""The leaf for a city's own components."""

WEIGHT_OF_LAB: Final = 16 * 1024
"""cpu.shares of all locations together; beside it each process outside any group weighs 1024."""

WEIGHT_OF_A_CITY: Final = 1024
WEIGHT_OUTSIDE: Final = 4 * 1024
"""cpu.shares of a location. Floors and carrier stand for a thousand machines of their own: where the processors do not
suffice for all, an agent's desktop must not be what is late."""

PERIOD_US: Final = 100_000
"""Microseconds in which a limited group may use its quota; then it stands still until the next period."""

MOST_SHARES: Final = 262_144
"""The kernel's own limit of cpu.shares."""

WEIGHT_OF_CONTROL_PLANE: Final = 256
"""cpu.shares of a city's Kubernetes components, beside 2048 of its pods: they would sit on machines of their own."""


@dataclass(frozen=True)
class Hierarchy:
    """A mounted cgroup hierarchy."""

    mount: Path
    version: int
    controllers: frozenset[str]

    def group(self, name: str) -> Path:
        return self.mount / name


def parse_mounts(mountinfo: str) -> list[Hierarchy]:
    """The cgroup hierarchies in the text of /proc/PID/mountinfo, once each."""
    found: dict[Path, Hierarchy] = {}
    for line in mountinfo.splitlines():
        left, _, right = line.partition(" - ")
        fields, (kind, _source, options) = left.split(), right.split(" ", 2)
        mount = Path(fields[4])
        if kind == "cgroup":
            found[mount] = Hierarchy(mount, 1, frozenset(options.split(",")) - {"rw", "ro"})
        elif kind == "cgroup2":
            found[mount] = Hierarchy(mount, 2, frozenset())
    return list(found.values())


def hierarchies() -> list[Hierarchy]:
    """All of this machine's. Raises LabError where there is none."""
    found = parse_mounts(Path("/proc/self/mountinfo").read_text())
    if not found:
        raise LabError("no cgroup hierarchy is mounted; the kubelet needs one (/sys/fs/cgroup)")
    return found


def create(name: str, *, leaf: str = CONTROL_PLANE, weight: int = WEIGHT_OF_A_CITY) -> list[Path]:
    """Create group `name` with a leaf for our own processes in every hierarchy; returns the leaves to join.

    A leaf, because version 2 forbids processes in a group whose children have controllers. `weight`: cpu.shares.
    """
    leaves = []
    for hierarchy in hierarchies():
        path = hierarchy.mount
        for part in [*Path(name).parts, leaf]:
            if hierarchy.version == 2:
                _delegate(path)
            path = path / part
            path.mkdir(exist_ok=True)
            if "cpuset" in hierarchy.controllers:
                _inherit_cpuset(path)
        leaves.append(path)
        if "cpu" in hierarchy.controllers and Path(name).parts[0] == ROOT:
            (hierarchy.group(ROOT) / "cpu.shares").write_text(str(WEIGHT_OF_LAB))
            (hierarchy.group(name) / "cpu.shares").write_text(str(weight))
            if leaf == CONTROL_PLANE:
                (path / "cpu.shares").write_text(str(WEIGHT_OF_CONTROL_PLANE))
        elif hierarchy.version == 2 and Path(name).parts[0] == ROOT:
            _weigh(hierarchy.group(ROOT), WEIGHT_OF_LAB)
            _weigh(hierarchy.group(name), weight)
            if leaf == CONTROL_PLANE:
                _weigh(path, WEIGHT_OF_CONTROL_PLANE)
    return leaves


def _weigh(group: Path, shares: int) -> None:
    """Version 2 counts a hundred where version 1 counts 1024; a group without the controller is left as it is."""
    file = group / "cpu.weight"
    if file.exists():
        file.write_text(str(max(1, shares * 100 // 1024)))


def _inherit_cpuset(path: Path) -> None:
    # An empty set takes no process: "No space left on device".
    for file in ("cpuset.cpus", "cpuset.mems"):
        if not (path / file).read_text().strip():
            (path / file).write_text((path.parent / file).read_text())


def _delegate(path: Path) -> None:
    wanted = (path / "cgroup.controllers").read_text().split()
    present = (path / "cgroup.subtree_control").read_text().split()
    for controller in set(wanted) - set(present) - {"hugetlb", "rdma", "misc"}:
        # Refused where processes sit beside groups (the root of a container): the kubelet then says what it misses.
        with contextlib.suppress(OSError):
            (path / "cgroup.subtree_control").write_text(f"+{controller}")


def _subtree(path: Path) -> Iterator[Path]:
    """`path` and all groups below, children before parents."""
    # What is removed meanwhile, as a container that ends, is left out. Thousands of files are not asked what they are.
    for folder, _, _ in os.walk(path, topdown=False):
        yield Path(folder)


def refuse_foreign(name: str) -> None:
    """Raise LabError for any group but the lab's own: what comes out of here may get killed."""
    parts = Path(name).parts
    if not parts or parts[0] not in (ROOT, BUILDS, BURDEN) or ".." in parts:
        raise LabError(f"control group {name!r} is not the lab's")


def pids(name: str) -> set[int]:
    """Every process in group `name` and below, in any hierarchy. Raises LabError for a group that is not the lab's."""
    refuse_foreign(name)
    found: set[int] = set()
    for hierarchy in hierarchies():
        for group in _subtree(hierarchy.group(name)):
            with contextlib.suppress(FileNotFoundError, OSError):
                found.update(int(line) for line in (group / "cgroup.procs").read_text().split())
    return found


def set_weight(name: str, shares: int) -> None:
    """cpu.shares of a group beside its neighbours. Raises LabError for a group that is not the lab's."""
    refuse_foreign(name)
    for hierarchy in hierarchies():
        group = hierarchy.group(name)
        if "cpu" in hierarchy.controllers:
            (group / "cpu.shares").write_text(str(min(shares, MOST_SHARES)))
        elif hierarchy.version == 2:
            _weigh(group, shares)


def limit(name: str, processors: float | None) -> None:
    """Let a group and all below use at most so much processor time a second; None: as much as there is.

    Raises LabError for a group that is not the lab's, and where the machine cannot limit any.
    """
    refuse_foreign(name)
    quota = None if processors is None else max(1000, round(processors * PERIOD_US))
    for hierarchy in hierarchies():
        group = hierarchy.group(name)
        if "cpu" in hierarchy.controllers and (group / "cpu.cfs_quota_us").exists():
            (group / "cpu.cfs_period_us").write_text(str(PERIOD_US))
            (group / "cpu.cfs_quota_us").write_text(str(-1 if quota is None else quota))
            return
        if hierarchy.version == 2 and (group / "cpu.max").exists():
            (group / "cpu.max").write_text(f"{'max' if quota is None else quota} {PERIOD_US}")
            return
    raise LabError(f"no cgroup hierarchy of this machine can limit the processor time of {name}")


def limit_of(name: str) -> float | None:
    """The limit that is in force, in processors; None: none."""
    for hierarchy in hierarchies():
        group = hierarchy.group(name)
        if "cpu" in hierarchy.controllers and (group / "cpu.cfs_quota_us").exists():
            quota = int((group / "cpu.cfs_quota_us").read_text())
            return None if quota < 0 else quota / int((group / "cpu.cfs_period_us").read_text())
        if hierarchy.version == 2 and (group / "cpu.max").exists():
            most, period = (group / "cpu.max").read_text().split()
            return None if most == "max" else int(most) / int(period)
    return None


def processor_seconds(name: str) -> float:
    """Processor time that a group and all below have used so far. Raises LabError where nobody counts it."""
    for hierarchy in hierarchies():
        group = hierarchy.group(name)
        if "cpuacct" in hierarchy.controllers and (group / "cpuacct.usage").exists():
            return int((group / "cpuacct.usage").read_text()) / 1e9
        if hierarchy.version == 2 and (group / "cpu.stat").exists():
            return int((group / "cpu.stat").read_text().split()[1]) / 1e6
    raise LabError(f"no cgroup hierarchy of this machine counts the processor time of {name}")


def kill(name: str) -> None:
    """SIGKILL to every process in the group and below, in one go where the kernel can do it.

    A process that is being forked is caught too: `cgroup.kill` is atomic, the sweep after it repeats.
    """
    refuse_foreign(name)
    for hierarchy in hierarchies():
        switch = hierarchy.group(name) / "cgroup.kill"
        if switch.exists():
            switch.write_text("1")
    kill_all(pids(name))


def kill_and_wait(name: str, *, timeout: float = 10.0) -> None:
    """`kill` until nobody is left. Raises LabError naming those that would not go."""
    deadline = time.monotonic() + timeout
    while left := living(pids(name)):
        if time.monotonic() > deadline:
            raise LabError(f"processes of {name} do not end: {sorted(left)}")
        kill(name)
        time.sleep(0.01)


def remove(name: str, *, timeout: float = 5.0) -> None:
    """Remove the group and all below from every hierarchy; it must be empty of living processes.

    A group stays busy for a moment after its last process ended, so this tries again for `timeout` seconds.
    """
    refuse_foreign(name)
    deadline = time.monotonic() + timeout
    for hierarchy in hierarchies():
        while hierarchy.group(name).is_dir():
            try:
                for group in _subtree(hierarchy.group(name)):
                    group.rmdir()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise LabError(f"control group {hierarchy.group(name)} cannot be removed: {error}") from None
                time.sleep(0.02)


def children(name: str) -> set[str]:
    """Names of the groups directly below `name`, in any hierarchy."""
    found: set[str] = set()
    for hierarchy in hierarchies():
        if hierarchy.group(name).is_dir():
            found.update(child.name for child in hierarchy.group(name).iterdir() if child.is_dir())
    return found
