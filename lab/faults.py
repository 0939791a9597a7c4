"""Breaking things in the bare lab, and undoing it. What is broken is read from the machine, never from a record."""

import asyncio
import contextlib
import signal
import time
from typing import TYPE_CHECKING, Final

from lab import cgroups, containers, holder, network, packages, progress
from lab.addresses import CITIES, LINKED, location
from lab.addresses import city as city_named
from lab.city import CityRunner
from lab.components import cgroup_of
from lab.errors import DeadlineError, NotRunningError
from lab.interface import COMPONENTS
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

    async def undo_all(self) -> None:
        packages.require_root("Undoing faults")
        for source, target in network.cuts():
            network.mend(location(source), location(target))
        for name in CITIES:
            runner = self._lab.runner(name)
            signal_all(self._stopped(name), signal.SIGCONT)
            states = [runner.state(component) for component in COMPONENTS]
            if all(state is ProcessState.DEAD for state in states):
                await self.restore_city(name)
                continue
            for component, state in zip(COMPONENTS, states, strict=True):
                if state is ProcessState.DEAD:
                    await runner.revive(component)
        for name in network.links_down():
            network.set_link(LINKED[name], up=True)

    def _stopped(self, city: str) -> set[int]:
        pids = cgroups.pids(cgroup_of(city))
        return {pid for pid in pids if (stat := read_stat(pid)) is not None and stat.state in "Tt"}

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
