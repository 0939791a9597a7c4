"""What the CTIs themselves say, asked at their own control ports: who has a session there, and by which map they admit.

The agents' diaries tell what the clients believe, and the store's reports what Tandem's engines believe; a client that
breaks the rule of the lease writes a clean diary, and an engine that is wrong about its CTI reports a clean door. So
each CTI is asked for its counts twice a second (an agent or a bucket costs it nothing), and for the records of the
agents in a bucket five times a second for as long as another city's CTI has somebody in that bucket too.

Nothing is concluded from one answer: what was so in two answers in a row was so all along from the first one's arrival
to the second one's question (`Spell`), because neither a session's ID nor a CTI's boot and revision ever comes back.
Two spells that overlap did so, whatever each answer took. What is shorter than three looks may be missed: 1.5 s of a
door, and about one second of a session, for which the protocol's own rule is 2.7 s.
"""

import asyncio
import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Final

LOOK_EVERY_S: Final = 0.5
LOOK_CLOSER_EVERY_S: Final = 0.2
"""While a bucket has somebody in two cities."""

ANSWER_WITHIN_S: Final = 1.0
"""A CTI that answers later is not read, and what it was like meanwhile is unknown. Less than a lease: a CTI that stood
still for longer than that has begun a new boot."""

BLIND_AFTER_S: Final = 3.0
"""Seconds without an answer after which a CTI counts as not read."""

UNCONFIRMED_AFTER_S: Final = 10.0
"""Uptime from which a CTI admits by a map that its engine has not confirmed. Before that it admits nobody by it."""

Ask = Callable[[str], Awaitable[Mapping[str, Any]]]
"""Asks for a path and returns the JSON object. Raises OSError, HTTPException, ValueError."""

FAILURES: Final = (OSError, http.client.HTTPException, KeyError, TypeError, ValueError)


async def _nothing_open() -> None:
    pass


@dataclass(frozen=True)
class Cti:
    """One CTI, and how it is asked."""

    site: str
    system: str
    ask: Ask
    close: Callable[[], Awaitable[None]] = _nothing_open

    def __str__(self) -> str:
        return f"the CTI of {self.system} at {self.site}"


@dataclass(frozen=True)
class Spell:
    """Something that was so at a CTI all along.

    Attributes:
        subject: An account, or a group.
        token: What it was: the session's ID, or the door's boot and revision.
        since: Seconds of CLOCK_REALTIME at which the first answer that said so came; it was so by then.
        until: When the last one was asked for; it was so still. Earlier than `since` where there was one answer only:
            then it says nothing.
    """

    site: str
    subject: str
    token: tuple[str, int]
    since: float
    until: float


class Spells:
    """Joins answers to spells. A look that did not see something, or failed, ends what it had been seeing."""

    def __init__(self) -> None:
        self._ended: list[Spell] = []
        self._going_on: dict[tuple[str, str], dict[tuple[str, tuple[str, int]], Spell]] = {}

    def look(
        self, cti: tuple[str, str], seen: Iterable[tuple[str, tuple[str, int]]], asked: float, answered: float
    ) -> None:
        """This CTI (site, system) said these subjects and tokens, and no others."""
        before = self._going_on.pop(cti, {})
        now: dict[tuple[str, tuple[str, int]], Spell] = {}
        for subject, token in seen:
            known = before.pop((subject, token), None)
            now[subject, token] = (
                replace(known, until=asked) if known is not None else Spell(cti[0], subject, token, answered, asked)
            )
        self._ended += before.values()
        self._going_on[cti] = now

    def failed(self, cti: tuple[str, str]) -> None:
        """It did not answer."""
        self._ended += self._going_on.pop(cti, {}).values()

    @property
    def all(self) -> list[Spell]:
        """Every spell so far, those that go on too."""
        return [*self._ended, *(spell for found in self._going_on.values() for spell in found.values())]


class CtiWatcher:
    """Asks every CTI all along.

    Args:
        accounts: (group, bucket) -> who is in it, from the directory.
        clock: Seconds of CLOCK_REALTIME.
    """

    def __init__(
        self,
        ctis: Collection[Cti],
        accounts: Mapping[tuple[str, int], Collection[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._ctis = tuple(ctis)
        self._accounts = accounts
        self._clock = clock
        self._occupied: dict[tuple[str, str], tuple[float, frozenset[tuple[str, int]]]] = {}
        """(site, system) -> when it last answered, and in which buckets it had somebody."""
        self._tasks: list[asyncio.Task[None]] = []
        self._sessions = Spells()
        self._doors = Spells()
        self._unconfirmed = Spells()
        self._shut = Spells()

    @property
    def sessions(self) -> list[Spell]:
        """Account and session, of agents whose bucket had somebody in two cities."""
        return self._sessions.all

    @property
    def doors(self) -> list[Spell]:
        """Group, boot and revision of every map that a CTI held with its engine's word behind it in that boot."""
        return self._doors.all

    @property
    def unconfirmed(self) -> list[Spell]:
        """The same of every map that a CTI admits by without such a word, as it does when none has come for a while."""
        return self._unconfirmed.all

    @property
    def shut(self) -> list[Spell]:
        """The same of every map that a CTI has, and must not admit by yet."""
        return self._shut.all

    @property
    def unread(self) -> list[str]:
        """CTIs that have said nothing for a while: of these nothing is proven."""
        oldest = self._clock() - BLIND_AFTER_S
        return [str(cti) for cti in self._ctis if self._occupied.get(_key(cti), (0.0, frozenset()))[0] < oldest]

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._follow(cti), name=f"matrix, {cti}") for cti in self._ctis]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(cti.close() for cti in self._ctis))

    async def _follow(self, cti: Cti) -> None:
        while True:
            closer = False
            try:
                closer = await self.look(cti)
            except FAILURES:
                for spells in (self._sessions, self._doors, self._unconfirmed, self._shut):
                    spells.failed(_key(cti))
            await asyncio.sleep(LOOK_CLOSER_EVERY_S if closer else LOOK_EVERY_S)

    async def look(self, cti: Cti) -> bool:
        """Ask one CTI now; whether it has somebody in a bucket in which another one has somebody too."""
        asked = self._clock()
        status = await cti.ask("/v1/status")
        answered = self._clock()
        groups = status["groups"]
        unconfirmed = self._unconfirmed if status["uptime"] >= UNCONFIRMED_AFTER_S else self._shut
        kinds: dict[Spells, list[tuple[str, tuple[str, int]]]] = {
            self._doors: [],
            self._unconfirmed: [],
            self._shut: [],
        }
        for name, group in groups.items():
            if group["revision"]:  # else it has no map yet, and admits nobody
                door = (name, (str(status["boot"]), int(group["revision"])))
                kinds[self._doors if group["confirmed"] else unconfirmed].append(door)
        for spells, seen in kinds.items():
            spells.look(_key(cti), seen, asked, answered)
        here = frozenset((name, int(bucket)) for name, group in groups.items() for bucket in group["buckets"])
        self._occupied[_key(cti)] = (answered, here)

        shared = sorted(here & self._elsewhere(cti, answered))
        asked = self._clock()
        found = []
        for account in (account for bucket in shared for account in self._accounts.get(bucket, ())):
            agent = await cti.ask(f"/v1/agents/{account}")
            if agent["session"] is not None:
                found.append((account, (str(agent["session"]), 0)))
        self._sessions.look(_key(cti), found, asked, self._clock())
        return bool(shared)

    def _elsewhere(self, cti: Cti, now: float) -> frozenset[tuple[str, int]]:
        """Buckets in which another city's CTI of this system had somebody lately."""
        others: frozenset[tuple[str, int]] = frozenset()
        for (site, system), (at, buckets) in self._occupied.items():
            if system == cti.system and site != cti.site and now - at <= BLIND_AFTER_S:
                others |= buckets
        return others


def _key(cti: Cti) -> tuple[str, str]:
    return cti.site, cti.system


class ControlPort:
    """A CTI's control port, asked over one connection at a time, in a thread: whoever is asked may stand still.

    Args:
        connect: Opens a connection; raises OSError.
    """

    def __init__(self, connect: Callable[[], socket.socket], token: str, threads: ThreadPoolExecutor) -> None:
        self._connect = connect
        self._headers = {"Authorization": f"Bearer {token}"}
        self._threads = threads
        self._http: http.client.HTTPConnection | None = None
        self._asked = threading.Lock()
        """Held while it is asked; whoever has given up waiting for an answer has not ended the question."""

    async def close(self) -> None:
        """Close the connection, once whatever was asked is answered or has failed."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._hang_up)

    async def ask(self, path: str) -> Mapping[str, Any]:
        """The JSON object there. Raises OSError, HTTPException, ValueError."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self._get, path)

    def _get(self, path: str) -> Mapping[str, Any]:
        with self._asked:
            return self._answer(path)

    def _hang_up(self) -> None:
        with self._asked:
            self._drop()

    def _answer(self, path: str) -> Mapping[str, Any]:
        try:
            http_ = self._open()
            http_.request("GET", path, headers=self._headers)
            answer = http_.getresponse()
            body = answer.read()
            if answer.status != http.client.OK:
                raise http.client.HTTPException(f"{path}: status {answer.status}")
            document: Mapping[str, Any] = json.loads(body)
            return document
        except FAILURES:
            self._drop()
            raise

    def _open(self) -> http.client.HTTPConnection:
        if self._http is None or self._http.sock is None:
            self._http = http.client.HTTPConnection("cti")
            self._http.auto_open = 0  # by itself it would connect from here, where no CTI is
            self._http.sock = self._connect()
        return self._http

    def _drop(self) -> None:
        if self._http is not None:
            with contextlib.suppress(OSError):
                self._http.close()
        self._http = None
