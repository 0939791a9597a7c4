"""An observer that shares no code with Tandem: it reads the store's bytes, the agents' diaries and the carrier's list.

What it knows of the store is the name of a few keys and that their values are JSON; what it knows of the protocol is
what an agent's desktop shows. A mistake that operator and tests have in common would not be seen by either.
"""

import asyncio
import base64
import contextlib
import json
import ssl
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

PLACEMENTS: Final = "/tandem/v1/placement/"
LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True)
class Placement:
    """A group's map as the store's bytes say. `at`: seconds of CLOCK_REALTIME at which it was read."""

    group: str
    revision: int
    map: Mapping[str, str]
    at: float


class StoreWatcher:
    """Reads all placements four times a second, from whichever member answers."""

    def __init__(self, members: Sequence[str], ca: Path, cert: Path, key: Path) -> None:
        tls = ssl.create_default_context(cafile=str(ca))
        tls.load_cert_chain(cert, key)
        self._members = list(members)
        self._http = httpx.AsyncClient(verify=tls, timeout=1.0, trust_env=False)
        self._task: asyncio.Task[None] | None = None
        self.seen: list[Placement] = []
        self.newest: dict[str, Placement] = {}

    async def start(self) -> None:
        await self._look()
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
                await self._look()

    async def _look(self) -> None:
        end = PLACEMENTS[:-1] + chr(ord("/") + 1)
        body = json.dumps({"key": _b64(PLACEMENTS), "range_end": _b64(end)})
        for member in list(self._members):
            try:
                answer = await self._http.post(f"{member}/v3/kv/range", content=body)
                answer.raise_for_status()
            except (httpx.HTTPError, OSError):
                self._members.append(self._members.pop(0))  # ask another one first from now on
                continue
            for kv in answer.json().get("kvs", []):
                self._take(kv)
            return

    def _take(self, kv: Mapping[str, str]) -> None:
        group = base64.b64decode(kv["key"]).decode().removeprefix(PLACEMENTS)
        value = json.loads(base64.b64decode(kv["value"]))
        found = Placement(group, int(kv["mod_revision"]), value["map"], time.time())
        known = self.newest.get(group)
        if known is None or known.revision != found.revision:
            self.seen.append(found)
        self.newest[group] = found


def _b64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


# -- what must hold, whatever happens


def revisions_only_grow(seen: Iterable[Placement]) -> list[str]:
    newest: dict[str, int] = {}
    broken = []
    for placement in seen:
        if placement.revision < newest.get(placement.group, 0):
            broken.append(f"revision of {placement.group} fell from {newest[placement.group]} to {placement.revision}")
        newest[placement.group] = placement.revision
    return broken


def every_bucket_once(seen: Iterable[Placement]) -> list[str]:
    """Each of the hundred buckets has exactly one slot, so at most one door is open to it."""
    broken = []
    for placement in seen:
        buckets = sorted(bucket for ranges in placement.map.values() for bucket in _expand(ranges))
        if buckets != list(range(100)):
            broken.append(f"map of {placement.group} at revision {placement.revision}: {dict(placement.map)}")
    return broken


def _expand(ranges: str) -> Iterable[int]:
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def sessions_never_overlap(diary: Sequence[Mapping[str, Any]], since: float) -> list[str]:
    """No agent is signed in at two sites at once."""
    here: dict[str, str] = {}
    broken = []
    for line in sorted(diary, key=lambda line: (line["account"], line["mono"])):
        account, site = line["account"], line.get("site") or ""
        if line["event"] == "signed-in":
            if here.get(account, site) != site and line["at"] >= since:
                broken.append(f"{account} was signed in at {here[account]} and at {site}")
            here[account] = site
        elif line["event"] in ("released", "lost", "out") and here.get(account) == site:
            del here[account]
    return broken


def nobody_notices(diary: Sequence[Mapping[str, Any]], who: frozenset[str], since: float, until: float) -> list[str]:
    """None of these agents loses, changes or renews a session."""
    return sorted(
        {
            f"{line['account']} of {line.get('site')} noticed: {line['event']}"
            for line in diary
            if line["account"] in who
            and since <= line["at"] <= until
            and line["event"] in ("released", "lost", "out", "signed-in", "guest")
        }
    )


def no_call_is_cut(calls: Iterable[Mapping[str, Any]], since: float, spared: frozenset[str]) -> list[str]:
    """No answered call is cut, but for those that were in progress where the fault struck (`spared`: call IDs)."""
    return [
        f"call {call['id']} to {call['number']} was cut by {call.get('by')}"
        for call in calls
        if call["fate"] == "cut" and (call.get("ended_at") or 0) >= since and call["id"] not in spared
    ]


def read_diaries(files: Iterable[Path]) -> list[dict[str, Any]]:
    """The agents' own diaries, as they lie on the disk."""
    lines: list[dict[str, Any]] = []
    for file in files:
        text = file.read_text(encoding="utf-8")
        lines += [json.loads(line) for line in text[: text.rfind("\n") + 1].splitlines()]
    return lines
