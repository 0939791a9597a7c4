"""Leaving nothing behind. What a lab left is found by names and folders, not by records: a crash changes nothing."""

import contextlib
import os
import shutil
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from lab import burden, cgroups, network
from lab.addresses import CITIES, MACHINE_LINK
from lab.commands import run
from lab.components import cni_network
from lab.errors import LabError
from lab.holder import living_processes
from lab.paths import RUN
from lab.processes import kill_all, living

_CNI_RESULTS: Final = Path("/var/lib/cni/results")
_LOG_LINKS: Final = Path("/var/log/containers")
_NETNS: Final = Path("/run/netns")
_SANDBOXES: Final = "*/containerd/io.containerd.grpc.v1.cri/sandboxes/*"
_KUBELET_SHARED: Final = Path("/var/lib/kubelet/device-plugins")
"""The kubelet's only folder that cannot be set."""


def remove_everything(states: Iterable[Path]) -> None:
    """Remove every trace of a lab except what lies in the cache on purpose.

    Args:
        states: State folders below which a lab may have mounts.
    Raises: LabError naming what could not be removed.
    """
    folders = [RUN, *states]
    burden.end()
    end_processes()
    remove_mounts(folders)
    for city in CITIES:
        _remove_shim_sockets(RUN / city)
    _remove_cni_results()
    network.remove()
    cgroups.remove(cgroups.ROOT)
    _remove_files(folders)
    left = leftovers(folders)
    if left:
        raise LabError("the lab could not be removed completely:\n  " + "\n  ".join(left))


def leftovers(folders: Iterable[Path]) -> list[str]:
    """What is still there of a lab, in words; empty when nothing is."""
    found = [f"process {pid}" for pid in set(living_processes()) | set(living(shims()))]
    found += [f"mount {path}" for path in mounts_below(folders)]
    found += [f"network namespace {name}" for name in sorted(network.present_namespaces())]
    if Path(f"/sys/class/net/{MACHINE_LINK}").exists():
        found.append(f"link {MACHINE_LINK}")
    found += [
        f"control group {hierarchy.group(name)}"
        for hierarchy in cgroups.hierarchies()
        for name in (cgroups.ROOT, cgroups.BURDEN)
        if hierarchy.group(name).exists()
    ]
    found += [f"folder {RUN}"] if RUN.exists() else []
    return found


def end_processes(*, timeout: float = 15.0) -> None:
    """End every process of the lab, pods included."""
    deadline = time.monotonic() + timeout
    while True:
        cgroups.kill(cgroups.ROOT)
        left = [*living_processes(), *living(shims())]
        if not left:
            return
        if time.monotonic() > deadline:
            raise LabError(f"processes of the lab do not end: {sorted(set(left))}")
        kill_all(left)
        time.sleep(0.02)


def shims(folder: Path = RUN) -> set[int]:
    """containerd's shims whose socket lies below `folder`: parents of pods, should a control group have missed them."""
    found = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if b"containerd-shim" in words[0] and any(word.startswith(bytes(folder) + b"/") for word in words):
                found.add(int(entry.name))
    return found


def parse_mount_points(mountinfo: str) -> list[Path]:
    """Mount points in the order in which they were mounted; the kernel writes a blank as \\040."""
    return [Path(line.split()[4].encode().decode("unicode_escape")) for line in mountinfo.splitlines()]


def mounts_below(folders: Iterable[Path]) -> list[Path]:
    """Mount points at or below `folders`, latest first."""
    wanted = [folder.resolve() for folder in folders]
    points = parse_mount_points(Path("/proc/self/mountinfo").read_text())
    return [point for point in reversed(points) if any(point == f or f in point.parents for f in wanted)]


def remove_mounts(folders: Iterable[Path]) -> None:
    """Unmount everything at or below `folders`, whoever still looks at it."""
    folders = list(folders)
    for _ in range(5):  # mounts may lie on top of each other
        points = mounts_below(folders)
        if not points:
            return
        run(["umount", "--lazy", "--", *map(str, points)])


def _remove_shim_sockets(city: Path) -> None:
    # containerd puts its shims' sockets into /run/containerd/s under a hash; the bundle remembers which.
    # Only this city's: without its socket a living pod is lost to its containerd.
    for file in city.glob("containerd/io.containerd.runtime.v2.task/k8s.io/*/address"):
        socket = Path(file.read_text().strip().removeprefix("unix://"))
        if socket.parent == Path("/run/containerd/s"):
            socket.unlink(missing_ok=True)
    for empty in (Path("/run/containerd/s"), Path("/run/containerd")):
        with contextlib.suppress(OSError):
            empty.rmdir()


def forget_city_run(run_folder: Path) -> None:
    """Remove what a city had in memory: mounts, pods' namespaces, sockets, pidfiles. Its processes are dead."""
    remove_mounts([run_folder])
    _remove_shim_sockets(run_folder)
    shutil.rmtree(run_folder, ignore_errors=True)


def _remove_files(folders: Iterable[Path]) -> None:
    wanted = [str(folder) for folder in folders]
    for link in _LOG_LINKS.iterdir() if _LOG_LINKS.is_dir() else ():
        if link.is_symlink() and any(os.readlink(link).startswith(f"{folder}/") for folder in wanted):
            link.unlink(missing_ok=True)
    shutil.rmtree(RUN, ignore_errors=True)
    if not _others_run("kubelet"):
        for name in ("kubelet.sock", "kubelet_internal_checkpoint"):
            (_KUBELET_SHARED / name).unlink(missing_ok=True)
        for folder in (_KUBELET_SHARED, _KUBELET_SHARED.parent):
            with contextlib.suppress(OSError):
                folder.rmdir()
    # `ip netns add` mounts this folder onto itself; the last one out unmounts it.
    if _NETNS.is_dir() and not any(_NETNS.iterdir()):
        remove_mounts([_NETNS])
        with contextlib.suppress(OSError):
            _NETNS.rmdir()


def _remove_cni_results() -> None:
    # Named after network and pod; the loopback's network has the same name everywhere, so the pods must tell.
    sandboxes = {path.name for path in RUN.glob(_SANDBOXES)}
    ours = tuple(f"{cni_network(city)}-" for city in CITIES)
    for result in _CNI_RESULTS.iterdir() if _CNI_RESULTS.is_dir() else ():
        if result.name.startswith(ours) or any(sandbox in result.name for sandbox in sandboxes):
            result.unlink(missing_ok=True)


def _others_run(program: str) -> bool:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                if (entry / "comm").read_text().strip() == program and living([int(entry.name)]):
                    return True
    return False
