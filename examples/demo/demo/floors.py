"""The office floors: one process of agents in each floor's own network, outside of the cities."""

import asyncio
import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from demo.errors import DemoError
from demo.paths import BIN, shown
from demo.people import People
from demo.quickstart import Quickstart, documents
from lab.addresses import LOCATIONS
from lab.interface import Lab

FLOORS: Final = ("floor-a", "floor-b")
CONTROL_PORT: Final = 8090
START_RATE: Final = 200.0
"""The usual one: a morning, not a storm."""
WRAP_UP_S: Final = 2.0
"""After-call work of the demo's agents; the CTI's own setting says the same."""


@dataclass
class Floor:
    """One process of agents."""

    name: str
    groups: Sequence[str]
    timeline: Path
    log: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def control(self) -> str:
        return f"http://{LOCATIONS[self.name].address}:{CONTROL_PORT}"


class Floors:
    """All agents: each system's on a floor of its own, so that both processes carry the same."""

    def __init__(self, lab: Lab, quickstart: Quickstart, people: People, folder: Path) -> None:
        self.start_rate = START_RATE
        """Agents a second who come in on each floor."""
        self._lab = lab
        self._people = people
        self._folder = folder
        self._sites = addresses(quickstart)
        systems = sorted({group.system for group in quickstart.groups})
        self._floors = [
            Floor(
                name=name,
                groups=[group.name for group in quickstart.groups if systems.index(group.system) % len(FLOORS) == n],
                timeline=folder / f"timeline-{name}.jsonl",
                log=folder / f"agents-{name}.log",
            )
            for n, name in enumerate(FLOORS)
        ]
        self._http = httpx.AsyncClient(timeout=5.0, trust_env=False)

    @property
    def timelines(self) -> list[Path]:
        return [floor.timeline for floor in self._floors]

    def start(self) -> None:
        """Let the agents come in."""
        sites = self._folder / "sites.json"
        sites.write_text(json.dumps(self._sites, indent=1), encoding="utf-8")
        for floor in self._floors:
            if not floor.groups:
                continue
            floor.process = self._lab.spawn(
                floor.name,
                [
                    *(str(BIN / "callcenter-agents"), "--directory", str(self._people.file), "--sites", str(sites)),
                    *("--groups", ",".join(floor.groups), "--timeline", str(floor.timeline)),
                    *("--control", str(CONTROL_PORT), "--start-rate", f"{self.start_rate:g}"),
                ],
                log=floor.log,
            )

    async def stop(self) -> None:
        """Send everybody home."""
        for floor in self._floors:
            if floor.process is not None and floor.process.poll() is None:
                floor.process.terminate()
        for floor in self._floors:
            if floor.process is not None:
                try:
                    await asyncio.to_thread(floor.process.wait, 10)
                except subprocess.TimeoutExpired:
                    floor.process.kill()
                floor.process = None
        await self._http.aclose()

    async def stats(self) -> list[dict[str, Any]]:
        """Each floor's own figures. Raises: DemoError when a process has ended by itself."""
        self.alive()
        found = []
        for floor in self._floors:
            if floor.process is not None:
                answer = await self._http.get(f"{floor.control}/v1/stats")
                answer.raise_for_status()
                found.append(answer.json())
        return found

    async def talking(self) -> int:
        """Agents in a call."""
        return sum(int(stats["talking"]) for stats in await self.stats())

    async def press(self, state: str, accounts: Sequence[str]) -> None:
        """Press `break` or `available` on these agents' desktops."""
        for floor in self._floors:
            if floor.process is not None:
                # Each floor answers for its own agents and names the others as unknown.
                body = {"accounts": list(accounts), "state": state}
                (await self._http.post(f"{floor.control}/v1/break", json=body)).raise_for_status()

    async def restart(self, accounts: Sequence[str]) -> None:
        """Start these agents' desktops and phones anew, all in one moment."""
        running = [floor for floor in self._floors if floor.process is not None]
        asked = (self._http.post(f"{floor.control}/v1/restart", json={"accounts": list(accounts)}) for floor in running)
        for answer in await asyncio.gather(*asked):
            answer.raise_for_status()

    def alive(self) -> None:
        """Raises: DemoError naming the floor whose process has ended."""
        for floor in self._floors:
            if floor.process is not None and floor.process.poll() is not None:
                status = floor.process.returncode
                raise DemoError(f"the agents of {floor.name} ended with status {status}: see {shown(floor.log)}")


def addresses(quickstart: Quickstart) -> Mapping[str, Mapping[str, Mapping[str, str]]]:
    """City -> system -> where its CTI and softswitch are, from the Sites themselves."""
    return {
        site["metadata"]["name"]: {
            system["name"]: {"cti": system["cti"]["url"], "sip": system["softswitch"]["sip"]}
            for system in site["spec"]["systems"]
        }
        for site in documents(quickstart.folder / "sites.yaml")
        if site["spec"].get("systems")
    }
