"""An observer that shares no code with Tandem: it reads the store's bytes, the agents' diaries and the carrier's list.

What it knows of the store is the name of a few keys and that their values are JSON; what it knows of the protocol is
what an agent's desktop shows. A mistake that operator and tests have in common would not be seen by either.

It looks all along, four times a second; `invariants.py` says what must hold in what it saw.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Any, Final

import httpx

PREFIX: Final = "/tandem/v1/"
PLACEMENTS: Final = PREFIX + "placement/"
REPORTS: Final = PREFIX + "report/"
HEARTBEATS: Final = PREFIX + "heartbeat/"
FAILOVERS: Final = PREFIX + "failover/"
LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True)
class Placement:
    """A group's map as the store's bytes say. `at`: seconds of CLOCK_REALTIME at which it was read."""

    group: str
    revision: int
    map: Mapping[str, str]
    at: float

    def names(self, site: str) -> bool:
        """Whether any bucket is there, or on its way there or away."""
        return any(site in place.split(">") for place in self.map)


@dataclass(frozen=True)
class Doors:
    """What the engines say that their CTIs hold, as one read of the store shows it."""

    at: float
    held: Mapping[str, Mapping[str, int]]
    """Site -> group -> revision of the map that its CTI holds and has confirmed; who says nothing is left out."""


@dataclass
class Loss:
    """A site wrote nothing any more. `gone_at`, `back_at`: the looks that saw its heartbeat gone, and there again."""

    site: str
    gone_at: float
    back_at: float = inf
    failed_over: bool = False
    """Its failover was under way while it was gone, or when it was back: nobody could tell it of the newer maps."""


@dataclass
class Seen:
    """Everything that was seen of the store so far."""

    placements: list[Placement] = field(default_factory=list)
    """Each revision of each group's map, in the order in which they were seen."""
    newest: dict[str, Placement] = field(default_factory=dict)
    maps: dict[tuple[str, int], Mapping[str, str]] = field(default_factory=dict)
    """(group, revision) -> map, of every revision that the store or a CTI has named."""
    doors: list[Doors] = field(default_factory=list)
    sites: set[str] = field(default_factory=set)
    """Whoever has reported anything."""
    losses: list[Loss] = field(default_factory=list)
    """One that is broken but writes is none of these: it loses its doors in an orderly way, and nothing excuses it."""


class StoreWatcher:
    """Reads placements, reports, heartbeats and failovers in one go, from whichever member answers."""

    def __init__(self, members: Sequence[str], ca: Path, cert: Path, key: Path) -> None:
        tls = ssl.create_default_context(cafile=str(ca))
        tls.load_cert_chain(cert, key)
        self._members = list(members)
        self._http = httpx.AsyncClient(verify=tls, timeout=1.0, trust_env=False)
        self._task: asyncio.Task[None] | None = None
        self.seen = Seen()

    @property
    def newest(self) -> Mapping[str, Placement]:
        """Group -> its newest map."""
        return self.seen.newest

    async def start(self) -> None:
        await self.look()
        self._task = asyncio.create_task(self._follow(), name="matrix store watcher")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._http.aclose()

    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            with contextlib.suppress(httpx.HTTPError, OSError, KeyError, ValueError):
                await self.look()

    async def look(self) -> bool:
        """Read now. Returns: whether any member answered; else nothing was learned."""
        ranges = [
            {"request_range": {"key": _b64(prefix), "range_end": _b64(prefix[:-1] + chr(ord("/") + 1))}}
            for prefix in (PLACEMENTS, REPORTS, HEARTBEATS, FAILOVERS)
        ]
        answer = await self._ask("kv/txn", {"success": ranges})
        if answer is None:
            return False
        found = [part["response_range"].get("kvs", []) for part in answer["responses"]]
        take(self.seen, *found, at=time.time())
        for group, revision in unknown_maps(self.seen):
            await self._learn(group, revision)
        return True

    async def learn(self, revisions: Iterable[tuple[str, int]]) -> None:
        """Learn the maps of these groups and revisions, as far as they were not seen."""
        for group, revision in sorted(set(revisions)):
            if revision and (group, revision) not in self.seen.maps:
                await self._learn(group, revision)

    async def _learn(self, group: str, revision: int) -> None:
        """A map that was replaced before we saw it."""
        answer = await self._ask("kv/range", {"key": _b64(PLACEMENTS + group), "revision": str(revision)})
        for kv in (answer or {}).get("kvs", []):
            self.seen.maps[group, revision] = _value(kv)["map"]

    async def _ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        for member in list(self._members):
            try:
                answer = await self._http.post(f"{member}/v3/{path}", content=json.dumps(body))
                answer.raise_for_status()
            except (httpx.HTTPError, OSError):
                self._members.append(self._members.pop(0))  # ask another one first from now on
                continue
            document: dict[str, Any] = answer.json()
            return document
        return None


Rows = Iterable[Mapping[str, Any]]


def take(seen: Seen, placements: Rows, reports: Rows, heartbeats: Rows, failovers: Rows, *, at: float) -> None:
    """Add what one read of the store showed: rows of the four ranges, as etcd's gateway writes them."""
    for kv in placements:
        placement = Placement(_name(kv, PLACEMENTS), int(kv["mod_revision"]), _value(kv)["map"], at)
        known = seen.newest.get(placement.group)
        if known is None or known.revision != placement.revision:
            seen.placements.append(placement)
        seen.newest[placement.group] = placement
        seen.maps[placement.group, placement.revision] = placement.map
    failing = {_name(kv, FAILOVERS) for kv in failovers if _value(kv).get("state") == "Active"}
    alive = {_name(kv, HEARTBEATS) for kv in heartbeats}
    held: dict[str, dict[str, int]] = {}
    for kv in reports:
        report = _value(kv)
        if report.get("confirmed"):
            revisions = {group: int(said.get("revision", 0)) for group, said in report["groups"].items()}
            held.setdefault(_name(kv, REPORTS).partition("/")[0], {}).update(revisions)
    seen.sites |= held.keys()
    _note_losses(seen, alive, failing, at)
    if not seen.doors or seen.doors[-1].held != held:
        seen.doors.append(Doors(at, held))


def _note_losses(seen: Seen, alive: Set[str], failing: Set[str], at: float) -> None:
    """Who fell silent, who is back, and whose failover that is."""
    newest = {loss.site: loss for loss in seen.losses}
    for site in (seen.sites | failing) - alive:
        if site not in newest or newest[site].back_at < inf:
            newest[site] = Loss(site, at)
            seen.losses.append(newest[site])
    for site, loss in newest.items():
        if site in alive:
            loss.back_at = min(loss.back_at, at)
        # A commit may lie between the last look without a heartbeat and the first one with it.
        if site in failing and at <= loss.back_at + LOOK_EVERY_S:
            loss.failed_over = True


def placed_anew(before: Mapping[str, Placement], now: Mapping[str, Placement]) -> list[str]:
    """Groups that have another map than before."""
    return sorted(group for group, old in before.items() if now[group].revision != old.revision)


def unknown_maps(seen: Seen) -> set[tuple[str, int]]:
    """Revisions that a CTI holds and whose map was not seen."""
    if not seen.doors:
        return set()
    held = seen.doors[-1].held.values()
    return {(g, r) for groups in held for g, r in groups.items() if r and (g, r) not in seen.maps}


def _name(kv: Mapping[str, Any], prefix: str) -> str:
    return base64.b64decode(kv["key"]).decode().removeprefix(prefix)


def _value(kv: Mapping[str, Any]) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(base64.b64decode(kv["value"]))
    return document


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


class CallWatcher:
    """The carrier's own list of calls, whole: who answered, over which route, and how it ended."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=10.0, trust_env=False)
        self._seq = 0
        self.calls: dict[str, Mapping[str, Any]] = {}

    async def look(self) -> None:
        """Learn what became of the calls since the last look."""
        answer = (await self._http.get("/v1/calls", params={"after": self._seq})).raise_for_status().json()
        self.calls.update({call["id"]: call for call in answer["calls"]})
        self._seq = answer["seq"]

    async def aclose(self) -> None:
        await self._http.aclose()


@dataclass(frozen=True)
class Phones:
    """Whose extensions are whose, from the directory that phones and softswitches are made from."""

    account_of: Mapping[str, str]
    city_of: Mapping[str, str]

    @classmethod
    def read(cls, directory: Path) -> "Phones":
        agents = json.loads(directory.read_text(encoding="utf-8"))["agents"]
        pairs = [(agent["account"], city, ext) for agent in agents for city, ext in agent["extensions"].items()]
        return cls({ext: account for account, _, ext in pairs}, {ext: city for _, city, ext in pairs})


def read_diaries(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The agents' own diaries, as they lie on the disk."""
    lines: list[dict[str, Any]] = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        lines += [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return lines
