"""A call centre in memory: CTIs whose agents really move, softswitches that forget, carriers, and probes."""

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tandem.api.site import System
from tandem.api.trunk import Carrier
from tandem.domain.buckets import bucket_of
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.placement import BucketMap
from tandem.domain.probe_agents import ProbeAgent
from tandem.domain.records import GroupReport, PlacementRecord
from tandem.engine.ports import (
    AdapterError,
    Arrival,
    Arrived,
    CarrierPlan,
    ClientCounts,
    CTIGroups,
    DeepResult,
    DoorWords,
    Late,
    ProbeResult,
    PushResult,
    SoftswitchState,
)


@dataclass
class _Group:
    revision: int = 0
    placement: BucketMap | None = None
    sessions: dict[str, int] = field(default_factory=dict)  # account -> bucket
    talking: set[str] = field(default_factory=set)
    changed: int = 0
    confirmed: bool = False


class FakeCTI:
    """One city's CTI of one system: releases agents of leaving buckets one by one, admits them by ticket."""

    def __init__(self, site: str, release_s: float = 0.0005, answer_s: float = 0.002) -> None:
        self.site = site
        self.boot = f"{site}-1"
        self.confirmed = False
        self.down = False
        self.release_s = release_s
        self.answer_s = answer_s
        self.peers: dict[str, FakeCTI] = {}
        self.groups: dict[str, _Group] = {}
        self.seq = 0
        self.moves: list[Arrival] = []
        self.pushes: list[tuple[float, str, dict[str, int]]] = []
        self.guest_capacity = -1  # never told
        self.guests_as_of = -1
        self.told_priorities: list[tuple[str, DoorWords]] = []
        self.signed_in_twice: list[str] = []
        self.said_by_clients: ClientCounts = {}
        self.can = CTICapabilities(impair=True)
        self.silenced: dict[str, dict[str, list[str]]] = {}
        """Run of a Drill -> group -> agents who hear nothing."""
        self.refuses_silence = False
        self._silent_until = 0.0
        self.mute_about_itself = False
        self._changed = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()

    # -- the port

    async def capabilities(self) -> CTICapabilities:
        if self.mute_about_itself:
            await asyncio.sleep(2.0)
            raise AdapterError("GET /v1/capabilities: no answer within 2 s")
        return self.can

    async def status(self) -> CTIGroups:
        return await self.progress(0, 0)

    async def progress(self, after: int, wait: float) -> CTIGroups:
        await self._travel()
        if after and after >= self.seq:
            await self._wait_for_change(wait)
        groups = {name: self._report(group) for name, group in self.groups.items() if group.changed > after}
        return CTIGroups(self.boot, self.confirmed, self.seq, groups)

    async def arrivals(self, after: int, wait: float) -> Arrived:
        await self._travel()
        if after > len(self.moves):
            after = 0
        if after >= len(self.moves):
            await self._wait_for_change(wait)
        return Arrived(self.boot, len(self.moves), self.moves[after:])

    async def evidence(self) -> ClientCounts:
        await self._travel()
        return self.said_by_clients

    async def push(
        self,
        boot: str,
        placements: Mapping[str, tuple[int, PlacementRecord]],
        *,
        doors: DoorWords | None = None,
    ) -> PushResult:
        await self._travel()
        if boot != self.boot:
            return PushResult(self.boot, wrong_boot=True)
        now = asyncio.get_running_loop().time()
        self.pushes.append((now, boot, {name: revision for name, (revision, _) in placements.items()}))
        self.confirmed = True
        if doors is not None:
            if doors.guest_capacity is not None:
                self.guests_as_of, self.guest_capacity = doors.as_of, doors.guest_capacity
            if doors.priorities:
                self.told_priorities.append((self.boot, doors))
        accepted: dict[str, int] = {}
        refused: dict[str, str] = {}
        for name, (revision, record) in placements.items():
            group = self.groups.setdefault(name, _Group())
            if revision < group.revision:
                refused[name] = "StaleRevision"
                continue
            accepted[name] = revision
            group.confirmed = True
            if revision > group.revision:
                group.revision, group.placement = revision, BucketMap.parse(record.map)
                self._touch(group)
                self._spawn(self._release(name, group))
        self._touch(None)
        return PushResult(self.boot, accepted, refused)

    async def impair(
        self, boot: str, run: str, shares: Mapping[str, int], to: Sequence[str], ttl: float
    ) -> Mapping[str, int]:
        await self._travel()
        if boot != self.boot or not self.can.impair or self.refuses_silence:
            raise AdapterError("PUT /v1/impair was refused")
        now = asyncio.get_running_loop().time()
        self._silent_until = now + ttl if shares else now
        if shares and run not in self.silenced:
            chosen = self.silenced[run] = {}
            for name, share in shares.items():
                group = self.groups.setdefault(name, _Group())
                idle = sorted(set(group.sessions) - group.talking)
                chosen[name] = idle[: -(-len(idle) * share // 100)]
                for account in chosen[name]:
                    self._spawn(self._count_out(name, account, to[0], now))
        return {name: len(accounts) for name, accounts in self.silenced.get(run, {}).items()} if shares else {}

    async def _count_out(self, name: str, account: str, to: str, last_ping: float) -> None:
        """An agent who hears nothing: out after a lease, then at the other city's door until one of both opens."""
        await asyncio.sleep(1.5)
        group = self.groups.get(name)
        if group is None or group.sessions.pop(account, None) is None:
            return  # released meanwhile
        self._touch(group)
        while True:
            there = self.peers[to].groups.get(name)
            slot = there.placement.slots[bucket_of(account)] if there is not None and there.placement else None
            if slot is not None and (slot.site, slot.to) == (to, ""):
                await self.peers[to].arrive(name, account, self.site, last_ping, failed_over=True)
                return
            here = self.groups[name].placement
            own = here.slots[bucket_of(account)] if here is not None else None
            heard = asyncio.get_running_loop().time() > self._silent_until
            if heard and own is not None and own.site == self.site:
                if own.to:
                    await self.peers[own.to].arrive(name, account, self.site, last_ping)
                else:
                    self.sign_in(name, account)
                return
            await asyncio.sleep(0.01)

    # -- agents

    def sign_in(self, group: str, account: str, *, talking: bool = False) -> None:
        if any(account in peer.groups.get(group, _Group()).sessions for peer in self.peers.values()):
            self.signed_in_twice.append(account)
        found = self.groups.setdefault(group, _Group())
        found.sessions[account] = bucket_of(account)
        if talking:
            found.talking.add(account)
        self._touch(found)

    def hang_up(self, group: str, account: str) -> None:
        self.groups[group].talking.discard(account)
        self._spawn(self._release(group, self.groups[group]))

    def sessions(self, group: str) -> set[str]:
        return set(self.groups[group].sessions) if group in self.groups else set()

    def restart(self, *, disk: bool = False) -> None:
        """A new process: its sessions are gone, and its maps unless they were on its disk."""
        self.boot = f"{self.site}-{int(self.boot.rpartition('-')[2]) + 1}"
        self.confirmed = False
        if disk:
            self.groups = {
                name: _Group(group.revision, group.placement, changed=1) for name, group in self.groups.items()
            }
        else:
            self.groups.clear()
        self.seq = 1
        self.moves.clear()
        self._touch(None)

    # -- inside

    async def _travel(self) -> None:
        await asyncio.sleep(self.answer_s)
        if self.down:
            raise AdapterError(f"the CTI at {self.site} does not answer")

    async def _wait_for_change(self, wait: float) -> None:
        try:
            async with asyncio.timeout(wait):
                await self._changed.wait()
        except TimeoutError:
            return

    def _touch(self, group: _Group | None) -> None:
        self.seq += 1
        if group is not None:
            group.changed = self.seq
        self._changed.set()
        self._changed = asyncio.Event()

    def _report(self, group: _Group) -> GroupReport:
        buckets: dict[str, int] = {}
        for bucket in group.sessions.values():
            buckets[str(bucket)] = buckets.get(str(bucket), 0) + 1
        return GroupReport(
            revision=group.revision,
            signed_in=len(group.sessions),
            talking=len(group.talking),
            available=len(group.sessions) - len(group.talking),
            buckets=buckets,
        )

    async def _release(self, name: str, group: _Group) -> None:
        for account in sorted(set(group.sessions) - group.talking):
            placement = group.placement
            slot = placement.slots[group.sessions[account]] if placement and account in group.sessions else None
            if slot is None or slot.site != self.site or not slot.to or account in group.talking:
                continue
            await asyncio.sleep(self.release_s)
            if group.placement is not placement or group.sessions.pop(account, None) is None:
                continue  # a newer map came meanwhile; its own releasing goes on
            released_at = asyncio.get_running_loop().time()
            self._touch(group)
            self._spawn(self.peers[slot.to].arrive(name, account, self.site, released_at))

    async def arrive(
        self, group: str, account: str, came_from: str, released_at: float, *, failed_over: bool = False
    ) -> None:
        await asyncio.sleep(0.003)
        found = self.groups.get(group)
        slot = found.placement.slots[bucket_of(account)] if found and found.placement else None
        if slot is not None and slot.end != self.site:
            # The order was withdrawn while the agent was on the way: this door is leaving or shut.
            await self.peers[slot.end].arrive(group, account, came_from, released_at)
            return
        self.sign_in(group, account)
        now = asyncio.get_running_loop().time()
        epoch = 1_700_000_000.0
        self.moves.append(
            Arrival(
                account,
                group,
                bucket_of(account),
                came_from,
                epoch + released_at,
                epoch + now,
                now - released_at,
                failed_over=failed_over,
            )
        )
        self._touch(None)

    def _spawn(self, coroutine: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class FakeSoftswitch:
    def __init__(self) -> None:
        self.started = asyncio.get_running_loop().time()
        self.numbers: dict[str, str] = {}
        self.placements: dict[str, int] = {}
        self.pushes = 0
        self.placed: int | None = 0
        self.down = False

    def restart(self) -> None:
        self.started = asyncio.get_running_loop().time()
        self.placed = 0
        self.numbers, self.placements = {}, {}

    async def state(self) -> SoftswitchState:
        self._answer()
        return SoftswitchState(int(asyncio.get_running_loop().time() - self.started), 0, 0, placed=self.placed)

    async def push(
        self, site: str, numbers: Mapping[str, str], placements: Mapping[str, tuple[int, PlacementRecord]]
    ) -> None:
        self._answer()
        self.pushes += bool(placements) or self.numbers != numbers
        self.numbers = dict(numbers)
        self.placements.update({name: revision for name, (revision, _) in placements.items()})

    async def held(self) -> Mapping[str, int]:
        self._answer()
        return dict(self.placements)

    async def drain(self, on: bool) -> None:
        self._answer()

    def _answer(self) -> None:
        if self.down:
            raise AdapterError("the softswitch does not answer")


class FakeCarrier:
    def __init__(self) -> None:
        self.plans: dict[str, CarrierPlan] = {}
        self.pushes: list[str] = []
        self.down = False

    async def push(self, number: str, plan: CarrierPlan) -> None:
        if self.down:
            raise AdapterError("the carrier does not answer")
        if number in self.plans and self.plans[number].revision > plan.revision:
            raise AdapterError(f"409 StaleRevision: {number} is at {self.plans[number].revision}")
        self.plans[number] = plan
        self.pushes.append(number)

    def older(self, number: str) -> None:
        self.plans[number] = replace(self.plans[number], revision=self.plans[number].revision - 1)

    def rerouted(self, number: str) -> None:
        first, *others = self.plans[number].routes
        self.plans[number] = replace(self.plans[number], routes=(replace(first, weight=first.weight + 1), *others))

    def limited(self, number: str) -> None:
        self.plans[number] = replace(self.plans[number], channels=1, calls_per_second=1)

    async def held(self) -> Mapping[str, CarrierPlan]:
        if self.down:
            raise AdapterError("the carrier does not answer")
        return dict(self.plans)

    async def channels_in_use(self, numbers: Sequence[str]) -> int:
        return 7


class FakeAdapters:
    """Adapters of one city; the carrier is the same for all."""

    def __init__(self, site: str, systems: Sequence[str], carrier: FakeCarrier) -> None:
        self.ctis = {system: FakeCTI(site) for system in systems}
        self.softswitches = {system: FakeSoftswitch() for system in systems}
        self._carrier = carrier

    def cti(self, system: System) -> FakeCTI:
        return self.ctis[system.name]

    def softswitch(self, system: System) -> FakeSoftswitch:
        return self.softswitches[system.name]

    def carrier(self, carrier: Carrier, namespace: str) -> FakeCarrier:
        return self._carrier


class FakeProber:
    """Everything passes, except addresses in `broken`. Those in `void` give void probes, in `slow` late answers."""

    def __init__(self) -> None:
        self.broken: set[str] = set()
        self.void: set[str] = set()
        self.slow: set[str] = set()
        self.probes = 0

    async def sip_options(self, address: str, timeout: float, late: Late = lambda: None) -> ProbeResult:
        return await self._probe(address, timeout, late)

    async def http_health(self, url: str, timeout: float, late: Late = lambda: None) -> ProbeResult:
        return await self._probe(url, timeout, late)

    async def _probe(self, address: str, timeout: float, late: Late) -> ProbeResult:
        self.probes += 1
        broken = any(part in address for part in self.broken)
        if any(part in address for part in self.slow):
            broken = True
            asyncio.get_running_loop().call_later(timeout + 0.7, late)
        await asyncio.sleep(timeout if broken else 0.003)
        void = any(part in address for part in self.void)
        return ProbeResult(not broken and not void, void, 0.003, "no answer" if broken else "")


class FakeDeepProber:
    """Test agents sign in and are called, except where `broken` or `void` names (city, component)."""

    def __init__(self) -> None:
        self.broken: set[tuple[str, str]] = set()
        self.void: set[tuple[str, str]] = set()
        self.answers = 0.0
        """For how many answers a failing probe waits in vain."""
        self.probes: list[tuple[float, str, str]] = []
        """(when, city, account)."""

    async def deep(self, cti: str, sip: str | None, agent: ProbeAgent, timeout: float) -> DeepResult:
        city = cti.removeprefix("http://").partition(":")[0]
        self.probes.append((asyncio.get_running_loop().time(), city, agent.account))
        fails = any(where == city for where, _ in self.broken)
        await asyncio.sleep(self.answers * timeout if fails else 0.01)
        return DeepResult(self._result(city, "sign-in"), self._result(city, "call") if sip is not None else None)

    def _result(self, city: str, component: str) -> ProbeResult:
        void, broken = (city, component) in self.void, (city, component) in self.broken
        return ProbeResult(not broken and not void, void, 0.01, f"no {component}" if broken or void else "")


class FakeElection:
    """Reigns as told. The key in the store is the test's business."""

    def __init__(self) -> None:
        self.reign = 0

    def epoch(self) -> int:
        return self.reign
