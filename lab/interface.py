"""What the rest of the repository may ask of a lab, whichever backend runs it.

Locations are the names in `lab.addresses`; a city is a location with a cluster. Every method that names something
unknown raises KeyError, every one that fails for another reason raises an error of `lab.errors`.
"""

import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, Protocol

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
    swallows: bool = False
    """Does its firewall swallow messages?"""
    full_volumes: tuple[str, ...] = ()
    """Volumes that were filled."""
    stepped_clocks: int = 0
    """Processes with a wall clock of their own."""
    processors: float | None = None
    """Processor seconds a second that the city may use at most; None: as many as there are."""

    @property
    def healthy(self) -> bool:
        return (
            self.node_ready
            and not self.frozen_pods
            and not self.swallows
            and not self.full_volumes
            and not self.stepped_clocks
            and self.processors is None
            and all(state == "running" for state in self.components.values())
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
    burdened: bool = False
    """Do busy loops beside the lab take the machine away from it?"""

    @property
    def healthy(self) -> bool:
        """All cities whole, nothing cut."""
        return (
            self.running
            and bool(self.cities)
            and all(city.healthy for city in self.cities)
            and not self.links_down
            and not self.cuts
            and not self.burdened
        )


MOST_BYTES: Final = 16
"""Of a message's beginning: the kernel compares at most 128 bits in one go."""


@dataclass(frozen=True)
class Swallowed:
    """Messages that are lost.

    Attributes:
        protocol: `udp` or `tcp`. A segment of TCP that is lost comes again, and is lost again: its connection stands
            still.
        port: NodePort of the service.
        way: `in`: on the way to the service; `out`: its answers.
        begins: How the message begins, at most `MOST_BYTES`.
        offset: Bytes before that, like the two of a WebSocket frame's head.
    """

    protocol: Literal["udp", "tcp"]
    port: int
    way: Literal["in", "out"]
    begins: bytes
    offset: int = 0

    def __post_init__(self) -> None:
        if not 0 < len(self.begins) <= MOST_BYTES:
            raise ValueError(f"{self.begins!r} is not of 1 to {MOST_BYTES} bytes")


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

    async def swallow(self, city: str, words: Swallowed) -> None:
        """Lose the messages of a service that begin in a certain way: it is reached, and does not do its work."""

    async def lose_names(self, city: str) -> None:
        """Lose every question of the city's pods to a name server. Connections that are open stay so."""

    async def unswallow(self, city: str) -> None:
        """Undo every `swallow` in this city, and `lose_names`."""

    async def small_disk(self, city: str, volume: str, component: str) -> None:
        """Put a volume, whose only user is the pod, on a disk small enough to be filled: what `fill_disk` needs.

        Restarts the pod. It is no fault, and costs the memory of the disk until `free_disk`.
        """

    async def fill_disk(self, city: str, volume: str, component: str) -> None:
        """Leave no byte free on a volume that is on a small disk: whoever writes to it gets ENOSPC."""

    async def free_disk(self, city: str, volume: str, component: str) -> None:
        """Undo `fill_disk` and `small_disk`: the volume is on the city's own disk again. Restarts the pod."""

    async def step_clock(self, city: str, component: str, seconds: int) -> None:
        """Step CLOCK_REALTIME of the pod's processes, and of no other, while they run.

        One that restarts is right again.
        """

    async def true_clock(self, city: str, component: str) -> None:
        """Undo `step_clock`."""

    async def starve(self, city: str, processors: float) -> None:
        """Let the city use at most this much processor time a second, in processors."""

    async def feed(self, city: str) -> None:
        """Undo `starve`."""

    async def burden(self, share: float) -> None:
        """Take this share (over 0, under 1) of the whole machine away from the lab, by busy loops beside it."""

    async def unburden(self) -> None:
        """Undo `burden`. The loops end by themselves after two minutes."""

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

    def runs(self) -> bool:
        """Whether there is a lab: without asking the cities' API servers, some of which may not answer."""

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

    def processor_seconds(self, city: str) -> float:
        """Processor time that a city's processes have used since it was started."""

    def spawn(
        self, location: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Run a program in that location's network, in a session of its own; output goes to the end of `log`.

        It dies with `down`, and with `kill_city` when the location is a city. `env` replaces the environment.
        """

    def connect(self, location: str, address: tuple[str, int], *, timeout: float) -> socket.socket:
        """An open TCP connection out of that location's network to an IP address and port, a ClusterIP for example.

        Blocks for `timeout` seconds at most, as each read and write on it does. Raises OSError as well. It outlives
        `kill_city` like any connection to somebody who has died: nothing comes of it any more.
        """
