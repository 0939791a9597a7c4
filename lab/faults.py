"""Breaking things in the bare lab, and undoing it. What is broken is read from the machine, never from a record."""

import asyncio
import contextlib
import signal
import time
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final

from lab import burden, cgroups, clocks, containers, holder, network, packages, progress, small_disk, swallow
from lab.addresses import CITIES, LINKED, location
from lab.addresses import city as city_named
from lab.city import CityRunner
from lab.components import cgroup_of
from lab.errors import DeadlineError, NotRunningError
from lab.interface import COMPONENTS, Swallowed
from lab.processes import ProcessState, is_alive, living, read_stat, send, signal_all

if TYPE_CHECKING:
    from lab.bare import BareLab

POD_BACK_WITHIN_S: Final = 90.0


class BareFaults:
    """Implements `lab.interface.Faults`."""

    def __init__(self, lab: "BareLab") -> None:
        self._lab = lab

    # -- cities

    async def kill_city(self, city: str) -> None:
        place = city_named(city)
        runner = self._lab.runner(place.name)
        network.set_link(place, up=False)
        await asyncio.to_thread(runner.power_off)

    async def restore_city(self, city: str) -> None:
        place = city_named(city)
        runner = self._lab.runner(place.name)
        with holder.changing():
            if place.netns not in network.present_namespaces():
                raise NotRunningError(f"{city} is not there: is the lab running?")
            if not any(is_alive(runner.process(component)) for component in COMPONENTS):
                with progress.step(f"Restoring {city}", key="restore", usual_s=6.0):
                    await asyncio.to_thread(runner.forget_memory)
                    network.set_link(place, up=True)
                    await runner.start(fresh=False)
            network.set_link(place, up=True)

    # -- links

    async def cut(self, a: str, b: str, *, both: bool = True) -> None:
        network.cut(location(a), location(b))
        if both:
            network.cut(location(b), location(a))

    async def mend(self, a: str, b: str) -> None:
        network.mend(location(a), location(b))
        network.mend(location(b), location(a))

    # -- components and pods

    async def freeze(self, city: str, component: str) -> None:
        await asyncio.to_thread(self._signal, city, component, signal.SIGSTOP)

    async def thaw(self, city: str, component: str) -> None:
        await asyncio.to_thread(self._signal, city, component, signal.SIGCONT)

    async def kill(self, city: str, component: str) -> None:
        await asyncio.to_thread(self._signal, city, component, signal.SIGKILL)

    async def revive(self, city: str, component: str) -> None:
        runner = self._lab.runner(city_named(city).name)
        if component in COMPONENTS:
            await runner.revive(component)
            return
        deadline = time.monotonic() + POD_BACK_WITHIN_S
        while True:
            with contextlib.suppress(NotRunningError):
                containers.select(runner.paths, component)
                return
            if time.monotonic() > deadline:
                raise DeadlineError(f"{component} of {city} did not come back in {POD_BACK_WITHIN_S:.0f} s")
            await asyncio.sleep(0.1)

    # -- services that are reached and do not do their work

    async def swallow(self, city: str, words: Swallowed) -> None:
        swallow.swallow(city_named(city), words)

    async def lose_names(self, city: str) -> None:
        swallow.swallow_names(city_named(city))

    async def unswallow(self, city: str) -> None:
        swallow.release(city_named(city))

    # -- disks

    async def small_disk(self, city: str, volume: str, component: str) -> None:
        path = self._lab.volume(city, volume)
        if not small_disk.is_small(path):
            async with self._out_of_use(city, component):
                await asyncio.to_thread(small_disk.shrink, path)

    async def fill_disk(self, city: str, volume: str, component: str) -> None:
        path = self._lab.volume(city, volume)
        if not small_disk.is_small(path):
            raise NotRunningError(f"volume {volume} of {city} is on no small disk; call `small_disk` first")
        await self.freeze(city, component)
        try:
            await asyncio.to_thread(small_disk.fill, path)
        finally:
            await self.thaw(city, component)

    async def free_disk(self, city: str, volume: str, component: str) -> None:
        path = self._lab.volume(city, volume)
        if small_disk.is_small(path):
            async with self._out_of_use(city, component):
                await asyncio.to_thread(small_disk.restore, path)

    @contextlib.asynccontextmanager
    async def _out_of_use(self, city: str, component: str) -> AsyncIterator[None]:
        """The pod is dead inside, and the kubelet, which would start it again, stands still. Afterwards it runs."""
        await self.freeze(city, "kubelet")
        try:
            with contextlib.suppress(NotRunningError):  # it may have died of its full disk
                await self.kill(city, component)
            yield
        finally:
            await self.thaw(city, "kubelet")
        await self.revive(city, component)

    # -- clocks

    async def step_clock(self, city: str, component: str, seconds: int) -> None:
        await asyncio.to_thread(self._set_clocks, city, component, seconds)

    async def true_clock(self, city: str, component: str) -> None:
        await asyncio.to_thread(self._set_clocks, city, component, 0)

    def _set_clocks(self, city: str, component: str, seconds: int) -> None:
        runner = self._lab.runner(city_named(city).name)
        for container in containers.select(runner.paths, component):
            for pid in containers.processes(container):
                with contextlib.suppress(ProcessLookupError):  # ended meanwhile
                    clocks.step(pid, seconds)

    # -- processor time

    async def starve(self, city: str, processors: float) -> None:
        cgroups.limit(cgroup_of(city_named(city).name), processors)

    async def feed(self, city: str) -> None:
        cgroups.limit(cgroup_of(city_named(city).name), None)

    async def burden(self, share: float) -> None:
        burden.begin(share)

    async def unburden(self) -> None:
        burden.end()

    # -- all of them

    async def undo_all(self) -> None:
        packages.require_root("Undoing faults")
        burden.end()
        stopped: dict[str, set[int]] = {}
        for city in CITIES.values():
            # First what holds up everything else that is to be mended.
            if cgroups.limit_of(cgroup_of(city.name)) is not None:
                cgroups.limit(cgroup_of(city.name), None)
            swallow.release(city)
            pids = cgroups.pids(cgroup_of(city.name))
            stopped[city.name] = {pid for pid in pids if (stat := read_stat(pid)) is not None and stat.state in "Tt"}
            for pid in clocks.all_stepped(pids):
                with contextlib.suppress(ProcessLookupError):
                    clocks.step(pid, 0)
        for source, target in network.cuts():
            network.mend(location(source), location(target))
        for name in CITIES:
            runner = self._lab.runner(name)
            signal_all(stopped[name], signal.SIGCONT)
            states = [runner.state(component) for component in COMPONENTS]
            if all(state is ProcessState.DEAD for state in states):
                await self.restore_city(name)
                continue
            for component, state in zip(COMPONENTS, states, strict=True):
                if state is ProcessState.DEAD:
                    await runner.revive(component)
        for name in network.links_down():
            network.set_link(LINKED[name], up=True)
        for name in CITIES:
            # There is room at once; that the volume is still a small one is no fault.
            for volume in self._lab.runner(name).full_volumes():
                small_disk.empty(volume)

    def _signal(self, city: str, component: str, sig: signal.Signals) -> None:
        runner = self._lab.runner(city_named(city).name)
        if component in COMPONENTS:
            if not send(runner.process(component), sig):
                raise NotRunningError(f"{component} of {city} is not running")
            if sig is signal.SIGKILL:
                _wait_dead(runner, component)
            return
        found = containers.select(runner.paths, component)
        # Twice: a process may be forking just now.
        for _ in range(2):
            for container in found:
                signal_all(containers.processes(container), sig)
        if sig is signal.SIGKILL:
            _wait_gone({container.pid for container in found}, component)


def _wait_gone(pids: set[int], component: str) -> None:
    deadline = time.monotonic() + 5.0
    while living(pids):
        if time.monotonic() > deadline:
            raise DeadlineError(f"{component} does not end")
        time.sleep(0.005)


def _wait_dead(runner: CityRunner, component: str) -> None:
    deadline = time.monotonic() + 5.0
    while runner.state(component) is not ProcessState.DEAD:
        if time.monotonic() > deadline:
            raise DeadlineError(f"{component} does not end")
        time.sleep(0.005)
