"""The lab on one Linux machine without a container engine: namespaces, links and real Kubernetes processes."""

import asyncio
import shutil
import socket
import subprocess
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from lab import burden, cgroups, cleanup, holder, images, inside, kubeconfigs, network, packages, progress, tools
from lab.addresses import CITIES, LOCATIONS, OUTSIDE
from lab.addresses import city as city_named
from lab.addresses import location as location_named
from lab.city import STAGES, CityRunner, Parts
from lab.components import CNI_PLUGINS, CitySetup, cgroup_of
from lab.errors import NotRunningError
from lab.faults import BareFaults
from lab.interface import LabStatus
from lab.paths import OUT, city_paths, lab_state
from lab.processes import is_alive, launch_argv, living

_FIRST_START_S: Final = 20.0

SPAWNED: Final = "spawned"
"""Group of a location's spawned processes, beside the one of its components."""


class BareLab:
    """Implements `lab.interface.Lab`."""

    def __init__(self) -> None:
        packages.complete_path()
        self._parts: Parts | None = None
        self._faults = BareFaults(self)

    @property
    def faults(self) -> BareFaults:
        return self._faults

    # -- start and stop

    async def up(self) -> None:
        packages.require_root("The lab")
        packages.ensure(packages.CITIES, purpose="The lab")
        with holder.changing():
            await asyncio.to_thread(self.parts)
            if self._can_be_healed():
                await self._heal()
            else:
                await self._start_afresh()
        self._link_out()

    def _can_be_healed(self) -> bool:
        # Without any living process it is a stale lab: its clusters are nobody's any more.
        record = holder.read()
        complete = record is not None and record.complete and holder.is_ours(record)
        return complete and self.runs()

    async def _heal(self) -> None:
        """Bring a lab that runs, or partly runs, to its full state; a whole one is left alone."""
        await self._faults.undo_all()
        with progress.step("Looking whether every city works", key="heal", usual_s=2.0):
            await _all(self.runner(name).start(fresh=False) for name in CITIES)

    async def _start_afresh(self) -> None:
        await asyncio.to_thread(self._remove)
        record = holder.ourselves()
        holder.write(record)
        for place in LOCATIONS:
            cgroups.create(cgroup_of(place))
        network.build()
        names = ", ".join(CITIES)
        total = len(CITIES) * len(STAGES)
        with progress.step(f"Starting {names}", key="up", usual_s=_FIRST_START_S, total=total) as step:
            done = 0

            def reached(city: str, stage: str) -> None:
                nonlocal done
                done += 1
                step.at(done, f"{city}: {stage}")

            await _all(self.runner(name).start(fresh=True, stage=partial(reached, name)) for name in CITIES)
        holder.write(replace(record, complete=True))

    async def down(self, *, force: bool = False) -> None:
        packages.require_root("Stopping the lab")
        with holder.changing(force=force), progress.step("Stopping the lab", key="down", usual_s=3.0):
            await asyncio.to_thread(self._remove)

    def _remove(self) -> None:
        record = holder.read()
        states = {lab_state(), *([Path(record.state)] if record else [])}
        if record:
            # From here on there is no whole lab any more, should this process be killed.
            holder.write(replace(record, complete=False))
        cleanup.remove_everything(sorted(states))
        images.sweep()
        for city in CITIES:
            (OUT / f"kubeconfig-{city}").unlink(missing_ok=True)

    # -- looking

    def runs(self) -> bool:
        return network.exists() and bool(holder.living_processes())

    async def status(self) -> LabStatus:
        alive = await asyncio.to_thread(holder.living_processes)
        record = holder.read()
        if not alive or not network.exists():
            return LabStatus(running=False, holder=holder.describe(record, alive))
        cities = await asyncio.gather(*(self.runner(name).status() for name in CITIES))
        return LabStatus(
            running=True,
            holder=holder.describe(record, alive),
            cities=tuple(cities),
            links_down=frozenset(network.links_down()),
            cuts=frozenset(network.cuts()),
            spawned={name: len(living(cgroups.pids(f"{cgroup_of(name)}/{SPAWNED}"))) for name in LOCATIONS},
            burdened=burden.burdened(),
        )

    def kubeconfig(self, city: str) -> Path:
        return OUT / f"kubeconfig-{city_named(city).name}"

    def volume(self, city: str, name: str) -> Path:
        path = city_paths(city_named(city).name).volumes / name
        path.mkdir(parents=True, exist_ok=True)
        return path

    def processor_seconds(self, city: str) -> float:
        return cgroups.processor_seconds(cgroup_of(city_named(city).name))

    # -- using

    async def load(self, image: str, *cities: str) -> None:
        archive = (await asyncio.to_thread(images.ensure, [image]))[image]
        wanted = [self.runner(city_named(name).name) for name in (cities or CITIES)]
        for runner in wanted:
            if not is_alive(runner.process("containerd")):
                raise NotRunningError(f"containerd of {runner.city.name} is not running")
        where = ", ".join(runner.city.name for runner in wanted)
        with progress.step(f"Loading {image} into {where}", key=f"load-{image}", usual_s=4.0):
            await _all(runner.load(image, archive) for runner in wanted)

    def spawn(
        self, location: str, argv: Sequence[str], *, log: Path, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        place = location_named(location)
        if place.name not in LOCATIONS or place.netns not in network.present_namespaces():
            raise NotRunningError(f"{location} is not there: is the lab running?")
        log.parent.mkdir(parents=True, exist_ok=True)
        weight = cgroups.WEIGHT_OUTSIDE if place.name in OUTSIDE else cgroups.WEIGHT_OF_A_CITY
        groups = cgroups.create(cgroup_of(place.name), leaf=SPAWNED, weight=weight)
        command = launch_argv(argv, netns_path=place.netns_path, groups=groups, log=log.resolve(), pidfile=None)
        with log.open("ab") as errors:
            return subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=errors, stderr=errors, env=env, start_new_session=True
            )

    def connect(self, location: str, address: tuple[str, int], *, timeout: float) -> socket.socket:
        place = location_named(location)
        if place.name not in LOCATIONS or place.netns not in network.present_namespaces():
            raise NotRunningError(f"{location} is not there: is the lab running?")
        return inside.connect(place.netns_path, address, timeout)

    # -- parts, for `faults` as well

    def parts(self) -> Parts:
        """Binaries and images of the cities; built when they are missing (minutes, the first time)."""
        if self._parts is None:
            binaries = tools.ensure()
            self._parts = Parts(binaries=binaries, images=images.system_images(binaries))
        return self._parts

    def runner(self, name: str) -> CityRunner:
        """The city called `name`."""
        plugins = next((folder for folder in CNI_PLUGINS if (folder / "ptp").exists()), CNI_PLUGINS[0])
        setup = CitySetup(city=city_named(name), paths=city_paths(name), cni_plugins=plugins)
        return CityRunner(setup, self.parts)

    def _link_out(self) -> None:
        """Put kubeconfigs, and links to the logs, where people look for them."""
        OUT.mkdir(parents=True, exist_ok=True)
        logs = OUT / "logs"
        shutil.rmtree(logs, ignore_errors=True)
        logs.mkdir()
        for city in CITIES:
            paths = city_paths(city)
            kubeconfigs.write_private(
                self.kubeconfig(city), kubeconfigs.for_people(paths.kubeconfig("admin").read_text(), city)
            )
            (logs / city).symlink_to(paths.logs)
            (logs / f"{city}-pods").symlink_to(paths.pod_logs)


async def _all(jobs: Iterable[Coroutine[Any, Any, object]]) -> None:
    """Run together; the first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            for job in jobs:
                group.create_task(job)
    except* Exception as failures:
        raise failures.exceptions[0] from None
