"""Where the lab keeps things. Nothing of it lies inside the checkout except links and kubeconfigs in `out/lab`."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).resolve().parent.parent
OUT: Final = REPOSITORY / "out" / "lab"

RUN: Final = Path("/run/tandem-lab")
"""Sockets, pidfiles, pods' namespaces: what a power-off of the machine takes along. One per machine, like the names.

Short on purpose: the path of a Unix socket holds 107 characters.
"""


def cache() -> Path:
    """The user's cache folder for Tandem; survives `down` and is safe to delete while no lab runs."""
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "tandem"


@dataclass(frozen=True)
class CityPaths:
    """One city's folders."""

    name: str
    state: Path
    """What a power-off of the city leaves: its disk."""
    run: Path
    """What a power-off of the city takes along."""

    @property
    def etcd(self) -> Path:
        return self.state / "etcd"

    @property
    def pki(self) -> Path:
        return self.state / "pki"

    @property
    def config(self) -> Path:
        return self.state / "config"

    @property
    def kubelet(self) -> Path:
        return self.state / "kubelet"

    @property
    def pod_logs(self) -> Path:
        return self.state / "pod-logs"

    @property
    def containerd(self) -> Path:
        """Images and snapshots; kept from one lab to the next, so that the second start imports nothing."""
        return self.state / "containerd"

    @property
    def ipam(self) -> Path:
        return self.state / "ipam"

    @property
    def volumes(self) -> Path:
        return self.state / "volumes"

    @property
    def logs(self) -> Path:
        return self.state / "logs"

    @property
    def pids(self) -> Path:
        return self.run / "pids"

    @property
    def containerd_state(self) -> Path:
        return self.run / "containerd"

    @property
    def containerd_socket(self) -> Path:
        return self.run / "containerd.sock"

    @property
    def runc(self) -> Path:
        return self.run / "runc"

    def kubeconfig(self, user: str) -> Path:
        """kubeadm's kubeconfig of one component: `admin`, `super-admin`, `kubelet`, `scheduler` ..."""
        return self.config / f"{user}.conf"


def city_paths(name: str, state: Path | None = None) -> CityPaths:
    """Folders of the city `name`; `state` is the lab's state folder, the cache's by default."""
    return CityPaths(name=name, state=(state or lab_state()) / name, run=RUN / name)


def lab_state() -> Path:
    """Disks of the cities."""
    return cache() / "lab"
