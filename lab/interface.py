"""What the rest of the repository may ask of a lab, whichever backend runs it.

Locations are the names in `lab.addresses`; a city is a location with a cluster. Every method that names something
unknown raises KeyError, every one that fails for another reason raises an error of `lab.errors`.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

COMPONENTS: Final = (
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "containerd",
    "kubelet",
    "kube-proxy",
)
"""Of each city, in the order in which they start. Pods are named `pod/<namespace>/<deployment>[/<container>]`."""


@dataclass(frozen=True)
class CityStatus:
    """One city as it is now, not as it was ordered."""

    name: str
    components: Mapping[str, str]
    """Component -> `running`, `frozen` or `dead`."""
    api_ready: bool
    """Does the Kubernetes API say that it is ready, asked from the machine over the city's link?"""
    node_ready: bool
    """Does that API call its node Ready? False as well when the API cannot be asked."""
    frozen_pods: tuple[str, ...] = ()
    """`<namespace>/<pod>/<container>` whose first process is stopped."""

    @property
    def healthy(self) -> bool:
        return (
            self.node_ready and not self.frozen_pods and all(state == "running" for state in self.components.values())
        )


@dataclass(frozen=True)
class LabStatus:
    """The whole lab as it is now."""

    running: bool
    """Is there a lab at all (its network and at least one process)?"""
    holder: str
    """Who holds the names, in words; empty when nobody does."""
    cities: tuple[CityStatus, ...] = ()
    links_down: frozenset[str] = frozenset()
    """Locations whose link is pulled."""
    cuts: frozenset[tuple[str, str]] = frozenset()
    """(from, to): directions that are cut."""
    spawned: Mapping[str, int] = field(default_factory=dict)
    """Location -> number of processes spawned there."""

    @property
    def healthy(self) -> bool:
        """All cities whole, nothing cut."""
        return (
            self.running
            and bool(self.cities)
            and all(city.healthy for city in self.cities)
            and not self.links_down
            and not self.cuts
        )


class Faults(Protocol):
    """Things that break, each with its undo. Undoing what was not broken does nothing."""

    async def kill_city(self, city: str) -> None:
        """Power-off: the link goes down, then every process and pod of the city dies at once. Its disk stays."""

    async def restore_city(self, city: str) -> None:
        """Power-on with the same disk; returns when the node is Ready again."""

    async def cut(self, a: str, b: str, *, both: bool = True) -> None:
        """Drop what `a` sends to `b`, and with `both` the other direction too; silently, as a wide-area network does.

        `a` and `b` are locations, or `machine` for the machine itself.
        """

    async def mend(self, a: str, b: str) -> None:
        """Undo `cut` in both directions."""

    async def freeze(self, city: str, component: str) -> None:
        """SIGSTOP to every process of the component or pod: it keeps its sockets and answers nothing."""

    async def thaw(self, city: str, component: str) -> None:
        """Undo `freeze`."""

    async def kill(self, city: str, component: str) -> None:
        """SIGKILL. A component stays dead until `revive`; a pod's containers are restarted by the kubelet."""

    async def revive(self, city: str, component: str) -> None:
        """Undo `kill`: start the component again and wait until it works, or until one of the pod's containers runs."""

    async def undo_all(self) -> None:
        """Undo every fault that is there now, whoever made it."""


class Lab(Protocol):
    """Three cities, two floors, a carrier, and the network between them."""

    @property
    def faults(self) -> Faults: ...

    async def up(self) -> None:
        """Start whatever is not running; returns when every node is Ready. A lab that is whole is left as it is."""

    async def down(self, *, force: bool = False) -> None:
        """Leave no process, mount, namespace, control group or link, whatever state it finds.

        Refuses with NamesHeldError to stop another checkout's living lab, unless `force` is set.
        """

    async def status(self) -> LabStatus:
        """What is there now."""

    def kubeconfig(self, city: str) -> Path:
        """The administrator's kubeconfig; its context has the city's name."""

    def volume(self, city: str, name: str) -> Path:
        """A folder on that city's own disk, for hostPath volumes: cities share the machine's file system.

        Created on first use; survives `kill_city`, and is empty again after `down` and `up`.
        """

    async def load(self, image: str, *cities: str) -> None:
        """Bring a built image (`tandem/operator:dev`) into the named cities, or all; skips those that have it."""

    def spawn(
        self, location: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run a program in that location's network, in a session of its own; output goes to the end of `log`.

        It dies with `down`, and with `kill_city` when the location is a city. `env` replaces the environment.
        """
