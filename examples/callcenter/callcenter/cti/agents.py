"""Agents at work: who is available, ringing, talking, wrapping up or on a break, and for how long.

`AgentBook` is the session server's `Desk`. A call belongs to the agent, not to the session: when a session lapses and
the call goes on, the agent is Talking again as soon as the same person signs in here again.
"""

import heapq
from collections import Counter, OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

from callcenter.cti.numbers import NumberPool
from callcenter.directory import Agent, Directory, bucket, is_test_group
from callcenter.session.events import Activity, Badge, Member
from callcenter.session.messages import AgentState, CarriedState, PhoneLine

NOT_TAKEN_PAUSE: Final = 5.0
"""Seconds without calls for an agent whose phone did not take one: the next caller should not wait for it too."""

State: TypeAlias = AgentState | Literal["out"]

_ACTIVITY: Final[dict[State, Activity]] = {
    "available": Activity.IDLE,
    "break": Activity.IDLE,
    "out": Activity.IDLE,
    "ringing": Activity.CALL,
    "talking": Activity.CALL,
    "wrapup": Activity.WRAPUP,
}


@dataclass(slots=True, eq=False)
class _Agent:
    member: Member
    extension: str
    state: State = "out"
    call: str | None = None
    """The call that rings or is talked on, also while no session lives."""
    wants_break: bool = False
    timer: int = 0
    """Counts up with every change of state, so that an older timer is known to be out of date."""


@dataclass(slots=True, eq=False)
class _GroupAgents:
    states: Counter[State] = field(default_factory=Counter)
    idle: OrderedDict[str, float] = field(default_factory=OrderedDict)
    """Available agents and since when, longest idle first."""
    idle_buckets: Counter[int] = field(default_factory=Counter)


class AgentBook:
    """All agents of one system in one city.

    `changed` names groups whose counts changed and `activities` lists what agents began or finished; whoever reads
    them empties them.

    Args:
        directory: The same in both cities. site, system: whose part of it this is.
        registrar: `host:port` where phones register. wrapup: seconds of after-call work.
    """

    def __init__(self, directory: Directory, *, site: str, system: str, registrar: str, wrapup: float) -> None:
        self.changed: set[str] = set()
        self.activities: list[tuple[str, Activity]] = []
        self._realm = directory.realm
        self._by_mac = directory.by_mac
        self._site = site
        self._registrar = registrar
        self._wrapup = wrapup
        self._agents: dict[str, _Agent] = {}
        self._aliases: dict[str, str] = {}
        self._records: dict[str, Agent] = {}
        self._groups: dict[str, _GroupAgents] = {}
        self._by_extension: dict[str, str] = {}
        self._timers: list[tuple[float, str, int]] = []
        self._numbers = NumberPool(*directory.pools[site])
        for record in directory.of_system(system):
            member = Member(record.account, record.group, bucket(record.account))
            extension = record.extensions[site]
            self._agents[record.account] = _Agent(member, extension)
            self._aliases[record.account.lower()] = record.account
            self._records[record.account] = record
            self._groups.setdefault(record.group, _GroupAgents())
            self._by_extension[extension] = record.account

    # ---- what the session server asks

    def member(self, account: str) -> Member | None:
        """Who this is; accounts are compared without regard to case."""
        agent = self._agents.get(account) or self._agents.get(self._aliases.get(account.lower(), ""))
        return agent.member if agent is not None else None

    def line(self, mac: str) -> PhoneLine | None:
        """The extension in this city of the phone with this MAC."""
        phone = self._by_mac.get(mac.lower())
        if phone is None or self._site not in phone.extensions:
            return None
        return PhoneLine(phone.extensions[self._site], self._registrar, self._realm, phone.password)

    def sign_in(self, member: Member, mac: str, carried: CarriedState | None, now: float) -> Badge:
        """A session is real: number, extension, and the state the agent begins in."""
        agent = self._agents[member.account]
        line = self.line(mac)
        if line is not None:
            agent.extension = line.extension
            self._by_extension[line.extension] = member.account
        number = self._numbers.take(member.account, lambda account: self._agents[account].state != "out")
        agent.wants_break = carried == "break"
        if member.is_test:
            agent.call = None  # what an engine that died in a test call has left behind
        if agent.call is not None or carried == "talking":
            self._set(agent, "talking", now)
        elif carried == "wrapup":
            self._after_call(agent, now)
        else:
            self._set(agent, "break" if agent.wants_break else "available", now)
        assert agent.state != "out"
        return Badge(number, self._records[member.account].virtual_id, agent.extension, agent.state)

    def carried(self, account: str) -> CarriedState:
        """What a released agent takes along."""
        agent = self._agents[account]
        if agent.state in ("ringing", "talking") or agent.call is not None:
            return "talking"  # the call may have outlived the session
        if agent.wants_break:
            return "break"
        return "wrapup" if agent.state == "wrapup" else "available"

    # ---- what happens to an agent

    def signed_out(self, account: str, now: float) -> None:
        """The session is over; a call that is talked on goes on."""
        self._set(self._agents[account], "out", now)

    def button(self, account: str, state: Literal["available", "break"], now: float) -> None:
        """The agent pressed a button. During a call it counts when the call is over."""
        agent = self._agents[account]
        agent.wants_break = state == "break"
        if agent.state in ("available", "break", "wrapup"):
            self._set(agent, state, now)
        elif agent.state == "talking" and agent.call is None and state == "available":
            self._after_call(agent, now)  # what a client that does not say `then` means by it: see `carried_call_over`

    def carried_call_over(self, account: str, then: Literal["available", "break"], now: float) -> None:
        """A call that outlived the session in which it began is over. `then`: what the agent wants after wrap-up."""
        agent = self._agents[account]
        agent.wants_break = then == "break"
        if agent.state == "talking" and agent.call is None:
            self._after_call(agent, now)  # the other city's; of one of ours the softswitch tells, earlier or later
        elif agent.state == "available" and agent.wants_break:
            self._set(agent, "break", now)  # the wrap-up went by before this word came

    def ring(self, account: str, call: str, now: float) -> None:
        """A call is offered to the agent's phone."""
        agent = self._agents[account]
        agent.call = call
        self._set(agent, "ringing", now)

    def talk(self, account: str, call: str, now: float) -> None:
        """The agent's phone took a call."""
        agent = self._agents[account]
        agent.call = call
        if agent.state != "out":
            self._set(agent, "talking", now)
        else:
            self.activities.append((account, Activity.CALL))

    def ring_over(self, account: str, now: float, *, taken_back: bool) -> None:
        """The phone rings no more. `taken_back`: the caller gave up; otherwise the phone did not take the call."""
        agent = self._agents[account]
        agent.call = None
        if agent.state not in ("ringing", "talking"):  # talking: signed in again while the phone rang
            self._idle_unless_seated(agent)
        elif agent.wants_break:
            self._set(agent, "break", now)
        elif taken_back:
            self._set(agent, "available", now)
            # It cost the agent nothing, so it costs no place in the line either.
            self._groups[agent.member.group].idle.move_to_end(account, last=False)
        else:
            self._set(agent, "break", now)
            self._wake(agent, now + NOT_TAKEN_PAUSE)

    def call_over(self, account: str, now: float) -> None:
        """The call has ended: after-call work."""
        agent = self._agents[account]
        agent.call = None
        if agent.state in ("ringing", "talking"):
            self._after_call(agent, now)
        else:
            self._idle_unless_seated(agent)

    def tick(self, now: float) -> list[str]:
        """End the wrap-ups and pauses that are due; returns whose."""
        ready = []
        while self._timers and self._timers[0][0] <= now:
            _, account, timer = heapq.heappop(self._timers)
            agent = self._agents[account]
            if agent.timer == timer:
                self._set(agent, "break" if agent.wants_break else "available", now)
                ready.append(account)
        return ready

    # ---- what others may ask

    @property
    def groups(self) -> list[str]:
        """The groups that the directory knows in this system, without those of Tandem's test agents."""
        return [group for group in self._groups if not is_test_group(group)]

    def state(self, account: str) -> State:
        """What the agent is doing; `out` without a session."""
        return self._agents[account].state

    def call_of(self, account: str) -> str | None:
        """The agent's call, if there is one."""
        return self._agents[account].call

    def extension(self, account: str) -> str:
        """The extension of the phone that the agent works with."""
        return self._agents[account].extension

    def by_extension(self, extension: str) -> str | None:
        """Whose phone this is now."""
        return self._by_extension.get(extension)

    def record(self, account: str) -> Agent:
        """The agent's entry in the directory."""
        return self._records[account]

    def number(self, account: str) -> int:
        """The agent's number; of an agent who is signed in."""
        return self._numbers.take(account, lambda _: True)

    def states(self, group: str) -> Counter[State]:
        """How many signed-in agents are in each state."""
        known = self._groups.get(group)
        return known.states if known is not None else Counter()

    def idle(self, group: str) -> Iterator[tuple[str, float]]:
        """Available agents and since when, longest idle first."""
        known = self._groups.get(group)
        return iter(list(known.idle.items()) if known is not None else ())

    def longest_idle_since(self, group: str) -> float | None:
        """Since when the longest idle agent has been available; None: nobody is."""
        known = self._groups.get(group)
        return next(iter(known.idle.values()), None) if known is not None else None

    def idle_buckets(self, group: str) -> Counter[int]:
        """Available agents per bucket."""
        known = self._groups.get(group)
        return known.idle_buckets if known is not None else Counter()

    # ---- small steps

    def _after_call(self, agent: _Agent, now: float) -> None:
        self._set(agent, "wrapup", now)
        self._wake(agent, now + self._wrapup)

    def _idle_unless_seated(self, agent: _Agent) -> None:
        if agent.state == "out":
            self.activities.append((agent.member.account, Activity.IDLE))

    def _wake(self, agent: _Agent, at: float) -> None:
        heapq.heappush(self._timers, (at, agent.member.account, agent.timer))

    def _set(self, agent: _Agent, state: State, now: float) -> None:
        member, before = agent.member, agent.state
        group = self._groups[member.group]
        agent.timer += 1
        agent.state = state
        if before == "available":
            group.idle.pop(member.account, None)
            group.idle_buckets[member.bucket] -= 1
        if state == "available":
            group.idle[member.account] = now
            group.idle_buckets[member.bucket] += 1
        if before != "out":
            group.states[before] -= 1
        if state != "out":
            group.states[state] += 1
        self.changed.add(member.group)
        activity = Activity.CALL if state == "out" and agent.call is not None else _ACTIVITY[state]
        self.activities.append((member.account, activity))
