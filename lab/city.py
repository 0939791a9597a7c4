"""One city: preparing its disk, starting its components in order, and waiting until it works."""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import cgroups, cleanup, clocks, kubeconfigs, manifests, network, small_disk, swallow
from lab.api import KubernetesApi
from lab.archives import full_name, manifest_digest
from lab.commands import run, run_async
from lab.components import CitySetup, argv, cgroup_of, files
from lab.containers import Containerd, PodSelector, running
from lab.errors import CommandError, DeadlineError, LabError
from lab.interface import COMPONENTS, CityStatus
from lab.processes import (
    ProcessId,
    ProcessState,
    is_alive,
    kill_all,
    living,
    read_pidfile,
    send,
    start_daemon,
    state_of,
)

READY_WITHIN_S: Final = 120.0
"""A city takes 10 s; the rest is for a machine that is busy with something else."""
POLL_S: Final = 0.1

GO_SETTINGS: Final = {"GOMAXPROCS": "1", "GOGC": "200"}
"""For the components: a dozen Go programs that each wake up threads on every processor are in each other's way where
all three cities share two."""

STAGES: Final = ("certificates", "etcd and containerd", "Kubernetes API", "node Ready", "DNS")


@dataclass(frozen=True)
class Parts:
    """What cities are made of, the same for all."""

    binaries: Mapping[str, Path]
    images: Mapping[str, Path]
    """Image -> OCI archive, for those every city needs to work at all."""

    def binary(self, component: str) -> Path:
        if component == "containerd":
            found = shutil.which("containerd")
            if found is None:
                raise LabError("containerd is not installed")
            return Path(found)
        return self.binaries[component]


class CityRunner:
    """Starts and stops the processes of one city. What runs is read from pidfiles, so any process may ask."""

    def __init__(self, setup: CitySetup, parts: Callable[[], Parts]) -> None:
        self.setup = setup
        self.city = setup.city
        self.paths = setup.paths
        self._parts = parts
        self.containerd = Containerd(setup.paths)

    # -- starting

    def prepare(self) -> None:
        """A fresh disk: new certificates, an empty cluster. Only containerd's images stay."""
        paths = self.paths
        for folder in (paths.etcd, paths.pki, paths.config, paths.kubelet, paths.pod_logs, paths.ipam, paths.volumes):
            shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(paths.logs, ignore_errors=True)
        for folder in (paths.config, paths.kubelet, paths.pod_logs, paths.volumes, paths.logs, paths.containerd):
            folder.mkdir(parents=True, exist_ok=True)
        for path, text in files(self.setup).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        kubeconfigs.create(self.city, paths, self._parts().binaries["kubeadm"])

    async def start(self, *, fresh: bool, stage: Callable[[str], None] = lambda _: None) -> None:
        """Start every component that is not alive and wait until node and DNS are ready.

        Args:
            fresh: The cluster is new: give it its first objects.
            stage: Told the name of each of `STAGES` when it is reached.
        """
        if fresh:
            await asyncio.to_thread(self.prepare)
        stage("certificates")
        self.start_component("etcd")
        self.start_component("containerd")
        images = asyncio.create_task(self._bring_images(forget=fresh))
        try:
            stage("etcd and containerd")
            self.start_component("kube-apiserver")
            async with KubernetesApi(self.city, self.paths) as api:
                await self._until(api.ready, "the Kubernetes API is ready", "kube-apiserver")
                stage("Kubernetes API")
                for component in ("kube-controller-manager", "kube-scheduler", "kube-proxy"):
                    self.start_component(component)
                if fresh:
                    await self._bootstrap()
                await images
                # On a disk that was used before, the API still tells of the old kubelet.
                since = time.time() if self.state("kubelet") is ProcessState.DEAD else 0.0
                self.start_component("kubelet")
                await self._until(lambda: api.node_ready(since=since), "the node is Ready", "kubelet")
                stage("node Ready")
                # And of the old pods.
                await self._until(self._dns_runs, "CoreDNS runs", "kubelet")
                await self._until(
                    lambda: api.deployment_available("kube-system", "coredns"), "CoreDNS is available", "kubelet"
                )
                stage("DNS")
        finally:
            if not images.done():
                images.cancel()
            await asyncio.gather(images, return_exceptions=True)

    async def _dns_runs(self) -> bool:
        selector = PodSelector("kube-system", "coredns", None)
        return any(selector.matches(container) for container in running(self.paths))

    def start_component(self, component: str) -> ProcessId:
        """Start one component unless it is alive."""
        pidfile = self._pidfile(component)
        current = read_pidfile(pidfile)
        if current is not None and is_alive(current):
            return current
        return start_daemon(
            argv(self.setup, component, self._parts().binary(component)),
            netns_path=self.city.netns_path,
            groups=cgroups.create(cgroup_of(self.city.name)),
            log=self.paths.logs / f"{component}.log",
            pidfile=pidfile,
            env={**os.environ, **GO_SETTINGS},
        )

    async def revive(self, component: str) -> None:
        """Start one component unless it is alive, and wait until it does its work again."""
        began = time.time()
        self.start_component(component)
        if component == "containerd":
            await self._until(self.containerd.answers, "containerd answers", component)
            return
        async with KubernetesApi(self.city, self.paths) as api:
            if component in ("etcd", "kube-apiserver") and self.state("kube-apiserver") is ProcessState.RUNNING:
                await self._until(api.ready, "the Kubernetes API is ready", component)
            elif component == "kubelet" and await api.ready():
                await self._until(lambda: api.node_ready(since=began), "the node is Ready", component)

    async def _bring_images(self, *, forget: bool) -> None:
        await self._until(self.containerd.answers, "containerd answers", "containerd")
        if forget and await self.containerd.forget_containers():
            # It read the dead containers of the last lab when it started; only a restart makes it forget them.
            send(read_pidfile(self._pidfile("containerd")), signal.SIGKILL)
            await self._until_dead("containerd")
            self.start_component("containerd")
            await self._until(self.containerd.answers, "containerd answers", "containerd")
        for image, archive in self._parts().images.items():
            await self.load(image, archive)

    async def load(self, image: str, archive: Path) -> bool:
        """Import an image unless the city has it; False when it had it."""
        name, digest = full_name(image), manifest_digest(archive)
        if (await self.containerd.images()).get(name) == digest:
            return False
        await self.containerd.import_archive(archive)
        found = (await self.containerd.images()).get(name)
        if found != digest:
            raise LabError(f"{archive} was imported into {self.city.name}, but {name} is {found} there, not {digest}")
        return True

    async def _bootstrap(self) -> None:
        objects = manifests.bootstrap(self.city)
        config = str(self.paths.kubeconfig("super-admin"))
        apply = [str(self._parts().binaries["kubectl"]), "--kubeconfig", config, "apply", "--validate=false", "-f", "-"]
        deadline = time.monotonic() + 30.0
        while True:
            try:
                await run_async(apply, stdin=objects)
            except CommandError:
                # Ready does not yet mean that the built-in roles and priority classes are there.
                if time.monotonic() > deadline:
                    raise
                await asyncio.sleep(0.5)
            else:
                return

    async def _until(self, check: Callable[[], Awaitable[bool]], what: str, component: str) -> None:
        deadline = time.monotonic() + READY_WITHIN_S
        while not await check():
            if self.state(component) is ProcessState.DEAD:
                raise LabError(f"{component} of {self.city.name} has ended:\n{self._log_tail(component)}")
            if time.monotonic() > deadline:
                raise DeadlineError(
                    f"{self.city.name}: not yet true after {READY_WITHIN_S:.0f} s that {what}; "
                    f"{component} says:\n{self._log_tail(component)}"
                )
            await asyncio.sleep(POLL_S)

    async def _until_dead(self, component: str) -> None:
        deadline = time.monotonic() + 5.0
        while self.state(component) is not ProcessState.DEAD:
            if time.monotonic() > deadline:
                raise DeadlineError(f"{component} of {self.city.name} does not end")
            await asyncio.sleep(0.01)

    def _log_tail(self, component: str, lines: int = 15) -> str:
        path = self.paths.logs / f"{component}.log"
        if not path.exists():
            return "(no log)"
        return f"{path}:\n" + "\n".join(path.read_text(errors="replace").splitlines()[-lines:])

    # -- looking

    def _pidfile(self, component: str) -> Path:
        return self.paths.pids / component

    def process(self, component: str) -> ProcessId | None:
        """The component's process, dead or alive. Raises KeyError for a component that does not exist."""
        if component not in COMPONENTS:
            raise KeyError(f"no component {component!r}; there are {', '.join(COMPONENTS)}")
        return read_pidfile(self._pidfile(component))

    def state(self, component: str) -> ProcessState:
        """What the component's process is doing."""
        return state_of(self.process(component))

    async def status(self) -> CityStatus:
        """The city as it is now."""
        ready = node = False
        if (self.paths.pki / "admin.key").exists():
            async with KubernetesApi(self.city, self.paths) as api:
                ready, node = await asyncio.gather(api.ready(), api.node_ready())
        return CityStatus(
            name=self.city.name,
            components={component: self.state(component).value for component in COMPONENTS},
            api_ready=ready,
            node_ready=node,
            frozen_pods=tuple(f"{c.namespace}/{c.pod}/{c.name}" for c in running(self.paths) if c.frozen),
            swallows=swallow.swallowing(self.city),
            full_volumes=tuple(sorted(volume.name for volume in self.full_volumes())),
            stepped_clocks=len(clocks.all_stepped(cgroups.pids(cgroup_of(self.city.name)))),
            processors=cgroups.limit_of(cgroup_of(self.city.name)),
        )

    def full_volumes(self) -> list[Path]:
        """Volumes that were filled."""
        volumes = self.paths.volumes
        return [volume for volume in volumes.iterdir() if small_disk.is_full(volume)] if volumes.is_dir() else []

    # -- power

    def power_off(self) -> None:
        """Everything dies at once; the disk stays as it is. The link is the caller's to pull, beforehand."""
        group = cgroup_of(self.city.name)
        cgroups.kill(group)
        deadline = time.monotonic() + 10.0
        while left := living(
            cgroups.pids(group) | network.processes_in(self.city.netns) | cleanup.shims(self.paths.run)
        ):
            if time.monotonic() > deadline:
                raise LabError(f"processes of {self.city.name} do not end: {sorted(left)}")
            kill_all(left)
            time.sleep(0.005)

    def forget_memory(self) -> None:
        """What else a power-off takes along: mounts, pods' namespaces, firewall rules, connections."""
        cleanup.remove_mounts([self.paths.kubelet])
        cleanup.forget_city_run(self.paths.run)
        enter = ["nsenter", f"--net={self.city.netns_path}"]
        run([*enter, "nft", "-f", "-"], stdin="flush ruleset\n" + network.city_rules(self.city))
        run([*enter, "conntrack", "--flush"])
