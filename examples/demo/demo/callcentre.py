"""A running call centre on a lab: both systems in both cities, their agents, the carrier, and Tandem.

The demo, the end-to-end tests and the benches all use this one; none of them knows how it is brought up.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from demo import people
from demo.carrier import Carrier
from demo.commits import CommitLog, first_leaving
from demo.disaster import Loss, Rescue, rescue
from demo.errors import MoveError, NotInTimeError
from demo.floors import WRAP_UP_S, Floors
from demo.install import ACTIVE, Installation
from demo.kube import Cluster, tool
from demo.measure import Measures, Window, measure
from demo.observed import Observed
from demo.orders import Order
from demo.paths import BIN
from demo.quickstart import Group, Quickstart
from demo.report import Move, seconds
from demo.waiting import TimeLeft, until
from lab.interface import Lab
from tandem.api.shift import FINISHED
from tandem.domain import keys
from tandem.domain.records import ShiftRecord
from tandem.store.client import StoreClient

SETTLE_S: Final = 0.4
"""Time after the last arrival in which a late cut, or a second move of somebody, would still show."""

WRAPPED_UP_S: Final = WRAP_UP_S + 0.5
"""From the end of the last call until every agent has done the after-call work."""

STORE_PATIENCE_S: Final = 5.0
"""The demo only looks on: on a machine busy with the move itself, it waits for the store rather than complain."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Begun:
    """A move under way: who moves, since when."""

    order: Order
    accounts: frozenset[str]
    applied_at: float


@dataclass(frozen=True)
class Strike:
    """What happens to a city, in words and in deed, and how it is undone."""

    words: str
    do: Callable[[], Awaitable[None]]
    undo: Callable[[], Awaitable[None]]


class CallCentre:
    """Bring it up with `start`, end it with `stop`; both may be called again."""

    def __init__(
        self, lab: Lab, quickstart: Quickstart, folder: Path, *, say: Say, cti: Mapping[str, float] | None = None
    ) -> None:
        """
        Args:
            lab: Where it runs.
            quickstart: What is applied.
            folder: Where logs, timelines, certificates and the directory go.
            say: Is told what happens, one line at a time.
            cti: The CTIs' settings (values of the chart) where the usual ones do not suit.
        """
        self.lab = lab
        self.quickstart = quickstart
        self.folder = folder
        self.say = say
        self.people = people.make(quickstart, folder)
        self.installation = Installation(lab, quickstart, self.people, folder, cti)
        self.floors = Floors(lab, quickstart, self.people, folder)
        self.observed = Observed(self.floors.timelines)
        self.carrier = Carrier(self.installation.carrier_url)
        self._commits: CommitLog | None = None
        self._store: StoreClient | None = None
        self._lost_calls: set[str] = set()
        """Calls that were in progress when a city lost its power: what ends them badly is the fault, and no move."""

    # -- up and down

    async def start(self) -> None:
        """Everything up: installed, signed in, ready for calls."""
        await self.installation.install()
        self.installation.start_carrier()
        await self.installation.apply_quickstart()
        self._store = self.installation.store()
        self._commits = CommitLog(self._store)
        await self._commits.start()
        self.floors.start()
        agents = sum(group.agents for group in self.quickstart.groups)
        await self.everybody_home(timeout=90 + agents / 50)
        await until("the carrier has routes for every number", self._has_routes, timeout=30)

    async def stop(self) -> None:
        """End the processes that `start` began. The lab itself is somebody else's."""
        if self._commits is not None:
            await self._commits.stop()
        if self._store is not None:
            await self._store.aclose()
        await self.carrier.close()
        await self.floors.stop()
        self.installation.stop_carrier()

    @property
    def clusters(self) -> Mapping[str, Cluster]:
        """City -> its Kubernetes API."""
        return self.installation.clusters

    @property
    def store(self) -> StoreClient:
        """Tandem's store, for looking over its shoulder."""
        if self._store is None:
            raise MoveError("the call centre has not been started")
        return self._store

    @property
    def commits(self) -> CommitLog:
        """Every placement committed since the start. Raises: MoveError when they are not followed (any more)."""
        if self._commits is None:
            raise MoveError("the call centre has not been started")
        if (error := self._commits.broken_by) is not None:
            raise MoveError(f"commits are not followed any more: {type(error).__name__}: {error}")
        return self._commits

    async def _has_routes(self) -> tuple[bool, str]:
        held = await self.carrier.routes()
        return set(self.quickstart.numbers) <= set(held), f"{len(held)} of {len(self.quickstart.numbers)} numbers"

    # -- who is where

    def accounts(self, groups: Iterable[Group]) -> frozenset[str]:
        """The accounts of these groups."""
        return self.people.accounts(groups)

    async def everybody_home(self, *, timeout: float) -> None:
        """Wait until every agent is signed in at home and every placement has settled there."""
        homes = {group.home for group in self.quickstart.groups}
        for home in sorted(homes):
            await self.everybody_at(home, self.quickstart.choose(home), timeout=timeout)

    async def everybody_at(self, site: str, groups: Iterable[Group], *, timeout: float) -> None:
        """Wait until every agent of these groups is signed in at a site."""
        chosen = tuple(groups)
        accounts = self.accounts(chosen)
        left = TimeLeft()

        async def all_there() -> tuple[bool, str]:
            self.observed.look()
            there = self.observed.at(site, accounts)
            settled = self._settled(chosen, site)
            words = f"{there} of {len(accounts)} agents signed in at {site}{left.words(there, len(accounts))}"
            return there == len(accounts) and settled, words if settled else f"{words}, placement under way"

        await until(f"everybody at {site}", all_there, timeout=timeout, told=self._now_and_then())

    def _settled(self, groups: Iterable[Group], site: str) -> bool:
        newest = self.commits.newest
        return all(
            group.name in newest and newest[group.name].settled and newest[group.name].sites == {site}
            for group in groups
        )

    def is_at(self, site: str, group: Group) -> bool:
        """Whether everybody of a group is signed in at a site, and placed there."""
        accounts = self.accounts([group])
        return self._settled([group], site) and self.observed.at(site, accounts) == len(accounts)

    async def tandem(self, *args: str) -> str:
        """Standard output of `kubectl tandem`, with both cities' contexts."""
        cities = os.pathsep.join(str(self.clusters[city].kubeconfig) for city in ACTIVE)
        return await tool(["env", f"KUBECONFIG={cities}", str(BIN / "kubectl-tandem"), *args])

    def _now_and_then(self, every_s: float = 2.0) -> Say:
        """A listener that passes on at most one line in `every_s` seconds."""
        told_at = time.monotonic()

        def tell(line: str) -> None:
            nonlocal told_at
            if time.monotonic() - told_at >= every_s:
                told_at = time.monotonic()
                self.say(line)

        return tell

    # -- calls

    async def load(self, calls_per_second: float, groups: Iterable[Group] | None = None) -> None:
        """Place calls to the numbers of these groups (None: all) from now on; 0 stops."""
        numbers = None if groups is None else self.quickstart.numbers_of(tuple(groups))
        await self.carrier.load(calls_per_second, numbers)

    async def calls_now(self, groups: Iterable[Group]) -> int:
        """Calls in progress on the agents of these groups."""
        await self.carrier.look()
        accounts = self.accounts(groups)
        return sum(
            1
            for call in self.carrier.calls.values()
            if call.answered_at is not None
            and call.ended_at is None
            and self.people.account_of.get(call.agent) in accounts
        )

    async def calls_reach(self, count: int, groups: Iterable[Group], *, timeout: float = 40) -> None:
        """Wait until this many calls are in progress on the agents of these groups."""
        chosen = tuple(groups)
        left = TimeLeft()

        async def enough() -> tuple[bool, str]:
            now = await self.calls_now(chosen)
            return now >= count, f"{now} calls in progress on them, waiting for {count}{left.words(now, count)}"

        await until(f"{count} calls in progress", enough, timeout=timeout, told=self._now_and_then())

    async def quiet(self, *, timeout: float = 40) -> None:
        """Stop the load and wait until every call has ended and every agent has wrapped up."""
        await self.calls_end(timeout=timeout)
        await asyncio.sleep(WRAPPED_UP_S)

    async def calls_end(self, *, hang_up: bool = False, timeout: float = 40) -> None:
        """Stop the load and wait until every call has ended.

        Args:
            hang_up: The callers hang up at once, instead of having said what they have to say.
        """
        await self.carrier.load(0)
        if hang_up:
            await self.carrier.hang_up()

        left = TimeLeft()

        async def nothing() -> tuple[bool, str]:
            await self.carrier.look()
            going_on = sum(1 for call in self.carrier.calls.values() if call.ended_at is None)
            if going_on:
                return False, f"{going_on} calls still going on{left.words(going_on, 0)}"
            talking = await self.floors.talking()
            return talking == 0, f"{talking} agents still talking"

        await until("no call going on", nothing, timeout=timeout, told=self._now_and_then())

    # -- moves

    async def move(self, order: Order, *, timeout: float = 90) -> Move:
        """Make one move, wait until it is over, and measure it."""
        begun = await self.begin(order)
        await self.finish(begun, timeout=timeout)
        await asyncio.sleep(SETTLE_S)
        return await self.measured(begun)

    async def begin(self, order: Order) -> Begun:
        """Apply the order's file where it belongs."""
        self.observed.look()
        accounts = self.accounts(order.groups)
        applied_at = time.time()
        self.say(f"$ {order.command}")
        await asyncio.gather(*(self.clusters[city].apply(order.file) for city in order.cities))
        return Begun(order, accounts, applied_at)

    async def finish(self, begun: Begun, *, timeout: float) -> None:
        """Wait until everybody is there and the Shift has finished. Raises: MoveError with the Shift's own words."""
        try:
            await self.everybody_at(begun.order.to, begun.order.groups, timeout=timeout)
            # A Shift that still counts who has arrived has its groups for itself: the next one would be refused.
            await until("the Shift completed", self._no_shift_under_way, timeout=30, told=self._now_and_then())
        except NotInTimeError as e:
            raise MoveError(f"{begun.order.name}: {e}. {await self._shift_words()}") from e

    async def planned(self, order: Order, *, timeout: float = 20) -> None:
        """Wait until an order's Shift shows its plan."""

        async def has_plan() -> tuple[bool, str]:
            found = await self.clusters[order.cities[0]].get("shift", order.shift)
            status = found.get("status", {})
            return bool(status.get("plan")), f"{status.get('phase')}: {status.get('message')}"

        await until(f"the plan of {order.shift}", has_plan, timeout=timeout, told=self._now_and_then())

    async def _no_shift_under_way(self) -> tuple[bool, str]:
        found, _ = await self.store.range(keys.SHIFTS, timeout=STORE_PATIENCE_S)
        records = {kv.key.removeprefix(keys.SHIFTS): ShiftRecord.model_validate_json(kv.value) for kv in found}
        going_on = [f"{name} is {record.phase}" for name, record in records.items() if record.phase not in FINISHED]
        return not going_on, ", ".join(going_on)

    async def measured(self, begun: Begun) -> Move:
        """The figures of a move that has begun, as of now."""
        order = begun.order
        names = frozenset(group.name for group in order.groups)
        first = first_leaving(self.commits.commits, names, order.to, after=begun.applied_at)
        if first is None:
            raise MoveError(f"{order.name}: nothing was committed. {await self._shift_words()}")
        await self.carrier.look()
        self.observed.look()
        calls = [call for call in self.carrier.calls.values() if call.id not in self._lost_calls]
        window = Window(order.name, order.to, begun.accounts, begun.applied_at, first.at, time.time())
        figures = measure(
            window,
            self.observed.events,
            calls,
            account_of=self.people.account_of,
            control=self.control(order),
        )
        self.say(sentence(order, figures, first.at - begun.applied_at))
        return Move(
            order.name, order.command, order.with_calls, len(begun.accounts), begun.applied_at, first.at, figures
        )

    # -- a city dies

    def power_of(self, city: str) -> Strike:
        """A city's power goes off, and is given back."""
        faults = self.lab.faults
        return Strike(
            f"the power of {city} goes off", lambda: faults.kill_city(city), lambda: faults.restore_city(city)
        )

    async def lose(self, city: str, strike: Strike | None = None, *, timeout: float = 60) -> Rescue:
        """Strike a city (by default its power goes off), wait until all of it work elsewhere, and measure it."""
        strike = strike or self.power_of(city)
        self.observed.look()
        everybody = self.accounts(self.quickstart.groups)
        there = frozenset(account for account in everybody if self.observed.site_of.get(account) == city)
        await self.carrier.look()
        self._lost_calls |= {call.id for call in self.carrier.calls.values() if call.ended_at is None}
        killed_at = time.time()
        self.say(f"{strike.words}, with {len(there)} agents signed in there")
        await strike.do()
        left = TimeLeft()

        async def all_elsewhere() -> tuple[bool, str]:
            self.observed.look()
            back = sum(1 for account in there if self.observed.site_of.get(account) not in (None, city))
            return back == len(there), f"{back} of {len(there)} agents signed in again{left.words(back, len(there))}"

        with contextlib.suppress(NotInTimeError):  # who is missing is a figure like the others
            await until("everybody works again", all_elsewhere, timeout=timeout, every=0.5, told=self._now_and_then())
        await asyncio.sleep(SETTLE_S)
        await self.carrier.look()
        self.observed.look()
        found = rescue(
            Loss(city, there, killed_at, time.time()),
            self.observed.events,
            self.carrier.calls.values(),
            account_of=self.people.account_of,
            control=everybody - there,
            accusations=self.commits.accusations,
            failovers=self.commits.failovers,
            commits=self.commits.commits,
            doors=self.commits.doors,
        )
        self.say(rescued(found))
        return found

    async def restore(self, city: str, strike: Strike | None = None, *, timeout: float = 120) -> None:
        """Undo a strike, and wait until the city's failover has ended."""
        self.say(f"{city} comes back")
        await (strike or self.power_of(city)).undo()

        async def healthy() -> tuple[bool, str]:
            states = [record.state for site, record in self.commits.failovers if site == city]
            return bool(states) and states[-1] == "Ended", f"failover of {city}: {states[-1:] or 'none'}"

        await until(f"{city} is healthy again", healthy, timeout=timeout, told=self._now_and_then())

    def control(self, order: Order) -> frozenset[str]:
        """The agents who stay at west all along: they must notice nothing."""
        return self.accounts(self.staying(order))

    def staying(self, order: Order) -> tuple[Group, ...]:
        """Groups whose home is west and who do not move."""
        return tuple(group for group in self.quickstart.choose("west") if group not in order.groups)

    async def _shift_words(self) -> str:
        """What kubectl says of the Shifts, for an error."""
        words: Awaitable[str] = self.clusters["east"].kubectl("get", "shifts,agentgroups", "-n", "callcenter")
        try:
            return "The objects say:\n" + await words
        except Exception as e:  # an error about an error must not hide the first one
            return f"(kubectl could not say more: {e})"


def rescued(found: Rescue) -> str:
    """A failover's figures in one line, for the story."""
    at = found.phases
    missing = f"; {len(found.missing)} are missing" if found.missing else ""
    return (
        f"{found.agents - len(found.missing)} of {found.agents} work again{missing}; from the power-off: "
        f"detected {seconds(at.detected)}, confirmed {seconds(at.confirmed)}, committed {seconds(at.committed)}, "
        f"door open {seconds(at.door_open)}, signed in {seconds(at.first_sign_in)} to {seconds(at.last_sign_in)}, "
        f"first call {seconds(at.first_call)}"
    )


def sentence(order: Order, figures: Measures, commit_s: float) -> str:
    """A move's figures in one line, for the story."""
    gaps = figures.switch_seconds
    if gaps is None:
        return f"nobody arrived at {order.to}"
    calls = f"; {figures.calls_cut} of {figures.calls_in_progress} calls cut" if order.with_calls else ""
    lapsed = f"; {len(figures.lapsed)} sessions lapsed on the way" if figures.lapsed else ""
    return (
        f"all {len(figures.switches)} at {order.to} {seconds(figures.time_to[100.0])} after the commit (committed "
        f"{seconds(commit_s)} after the apply); own gap p50 {seconds(gaps.p50)}, p95 {seconds(gaps.p95)}, "
        f"max {seconds(gaps.max)}{calls}{lapsed}"
    )
