"""Containers of a city: found in containerd's own bundles, so that this works while containerd is frozen or dead."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from lab import cgroups
from lab.commands import run_async
from lab.errors import CommandError, DeadlineError, NotRunningError
from lab.paths import CityPaths
from lab.processes import living, read_stat

_CRI: Final = "io.kubernetes.cri."
_TASKS: Final = Path("io.containerd.runtime.v2.task/k8s.io")


@dataclass(frozen=True)
class Container:
    """A container with a living first process."""

    id: str
    namespace: str
    pod: str
    name: str
    pid: int
    """Of its first process, as the machine sees it."""
    group: str
    """Its control group below every hierarchy's root, as it was ordered.

    Never read it from /proc/PID/cgroup: for a process that has just died that says `/`, the group of everybody else.
    """

    @property
    def frozen(self) -> bool:
        """Is its first process stopped?"""
        stat = read_stat(self.pid)
        return stat is not None and stat.state in "Tt"


@dataclass(frozen=True)
class PodSelector:
    """`pod/<namespace>/<deployment>[/<container>]`, taken apart."""

    namespace: str
    owner: str
    container: str | None

    @classmethod
    def parse(cls, component: str) -> "PodSelector":
        """Raises KeyError for anything else."""
        words = component.split("/")
        if len(words) not in (3, 4) or words[0] != "pod" or not all(words):
            raise KeyError(
                f"{component!r} is no component and not of the form pod/<namespace>/<deployment>[/<container>]"
            )
        return cls(namespace=words[1], owner=words[2], container=words[3] if len(words) == 4 else None)

    def matches(self, container: Container) -> bool:
        """Does the container belong to a pod of that Deployment, StatefulSet or DaemonSet, or to the pod itself?"""
        suffix = r"(-[a-z0-9]{1,10}-[a-z0-9]{5}|-\d+|-[a-z0-9]{5})?"
        return (
            container.namespace == self.namespace
            and re.fullmatch(re.escape(self.owner) + suffix, container.pod) is not None
            and self.container in (None, container.name)
        )


def parse_bundle(container_id: str, config: dict[str, Any], pid: int) -> Container | None:
    """From a bundle's config.json. None for a pod's sandbox, which is no container of anybody's."""
    annotations = config.get("annotations", {})
    if annotations.get(f"{_CRI}container-type") != "container":
        return None
    return Container(
        id=container_id,
        namespace=annotations[f"{_CRI}sandbox-namespace"],
        pod=annotations[f"{_CRI}sandbox-name"],
        name=annotations[f"{_CRI}container-name"],
        pid=pid,
        group=config["linux"]["cgroupsPath"].lstrip("/"),
    )


def running(paths: CityPaths) -> list[Container]:
    """Every container of the city whose first process lives."""
    folder = paths.containerd_state / _TASKS
    found = []
    for bundle in folder.iterdir() if folder.is_dir() else ():
        try:
            pid = int((bundle / "init.pid").read_text())
            config = json.loads((bundle / "config.json").read_text())
        except (FileNotFoundError, NotADirectoryError, ValueError):
            continue  # being created or removed
        stat = read_stat(pid)
        container = parse_bundle(bundle.name, config, pid)
        if container and stat and stat.state not in "ZX":
            found.append(container)
    return found


def select(paths: CityPaths, component: str) -> list[Container]:
    """Running containers that `component` names. Raises NotRunningError when there is none."""
    selector = PodSelector.parse(component)
    found = [container for container in running(paths) if selector.matches(container)]
    if not found:
        raise NotRunningError(f"no running container of {component} in {paths.name}")
    return found


def processes(container: Container) -> set[int]:
    """Every process of the container that lives now."""
    return set(living(cgroups.pids(container.group)))


class Containerd:
    """One city's containerd, by `ctr`."""

    def __init__(self, paths: CityPaths) -> None:
        self._ctr = ["ctr", "--address", str(paths.containerd_socket), "--namespace", "k8s.io"]

    async def answers(self) -> bool:
        """Is it up?"""
        try:
            await run_async([*self._ctr, "version"], timeout=5.0)
        except (CommandError, DeadlineError):
            return False
        return True

    async def images(self) -> dict[str, str]:
        """Image name -> manifest digest."""
        return parse_images(await run_async([*self._ctr, "images", "list"]))

    async def import_archive(self, archive: Path) -> None:
        """Import and unpack an OCI archive under the names written in it."""
        await run_async([*self._ctr, "images", "import", str(archive)], timeout=300.0)

    async def forget_containers(self) -> bool:
        """Forget the containers of an earlier lab, all of which are dead. False when there were none."""
        found = (await run_async([*self._ctr, "containers", "list", "--quiet"])).split()
        if found:
            await run_async([*self._ctr, "containers", "delete", *found])
        return bool(found)


def parse_images(listing: str) -> dict[str, str]:
    """The table of `ctr images list`: name in the first column, digest in the third."""
    rows = [line.split() for line in listing.splitlines()[1:]]
    return {row[0]: row[2] for row in rows if len(row) > 2}
