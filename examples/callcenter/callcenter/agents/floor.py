"""All the agents of one process: made, started at a pace, counted, and sent home."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from callcenter.directory import Agent as Person
from callcenter.directory import Directory
from callcenter.session.client import ClientSession
from callcenter.sip.registration import RegistrationWindow
from callcenter.sip.transport import Endpoint, local_address_towards, open_endpoint

from .agent import Agent, Clocks, Tally
from .connection import Connection, Exchange
from .errors import SelectionError, SitesError
from .lag import LoopLag
from .phone import Manners, Phone, PhoneCounters, Socket
from .sites import Sites
from .timeline import Diary

REGISTRATIONS_IN_FLIGHT: Final = 100
"""Unanswered REGISTERs per socket (see `callcenter.sip.registration`)."""


@dataclass(frozen=True, slots=True)
class FloorPlan:
    """What the command line asks for.

    `home_order`: cities in the order in which a client that knows nothing tries them. `start_rate`: agents per second
    who begin to sign in. `sockets`: UDP sockets per city.
    """

    home_order: tuple[str, ...]
    start_rate: float
    sockets: int
    manners: Manners
    seed: int


def select(directory: Directory, groups: Sequence[str] | None, shard: tuple[int, int]) -> list[Person]:
    """The agents that this process plays.

    Args:
        groups: `namespace/name` of groups; None for all.
        shard: `(k, n)`: every n-th agent of these, beginning with the k-th (from 0).
    Raises: SelectionError when nobody is left, or a group is unknown.
    """
    if groups is not None:
        unknown = set(groups) - {agent.group for agent in directory.agents if not agent.is_test}
        if unknown:
            raise SelectionError(f"the directory has no agents of {', '.join(sorted(unknown))}")
    people = [agent for agent in directory.agents if not agent.is_test]
    chosen = [agent for agent in people if groups is None or agent.group in groups]
    chosen = chosen[shard[0] :: shard[1]]
    if not chosen:
        raise SelectionError("these groups and this shard hold no agent")
    return chosen


def check_sites(people: Sequence[Person], sites: Sites) -> None:
    """Raises: SitesError when a system of these people is missing in some city."""
    for system in sorted({person.system for person in people}):
        missing = [city for city, systems in sites.items() if system not in systems]
        if missing:
            raise SitesError(f"system {system} of these agents is missing in the sites {', '.join(missing)}")


class Floor:
    """The agents, and what they share."""

    def __init__(self, people: Sequence[Person], sites: Sites, plan: FloorPlan, diary: Diary, lag: LoopLag) -> None:
        check_sites(people, sites)
        self.agents: dict[str, Agent] = {}
        self._people = people
        self._sites = sites
        self._plan = plan
        self._diary = diary
        self._lag = lag
        self._tally = Tally()
        self._counters = PhoneCounters()
        self._endpoints: dict[str, list[Endpoint]] = {}
        self._windows: dict[str, list[RegistrationWindow]] = {}
        self._starting: asyncio.Task[None] | None = None
        self._exchange = Exchange()
        self._rng = random.Random(plan.seed)

    async def open(self) -> None:
        """Bind the sockets and make the agents. Raises: OSError when a socket cannot be bound."""
        for city, systems in self._sites.items():
            # Toward each city from the address that reaches it: on a machine with several links they differ.
            address = local_address_towards(next(iter(systems.values())).sip)
            self._endpoints[city] = [
                await open_endpoint((address, 0), rng=random.SystemRandom(), user_agent="tandem-agents")
                for _ in range(self._plan.sockets)
            ]
            self._windows[city] = [RegistrationWindow(REGISTRATIONS_IN_FLIGHT) for _ in self._endpoints[city]]
        for index, person in enumerate(self._people):
            self.agents[person.account] = self._make(index, person)

    def _make(self, index: int, person: Person) -> Agent:
        session = ClientSession(
            person.account,
            # A new life of this process is a new instance, whatever the seed.
            f"{random.SystemRandom().getrandbits(64):016x}",
            list(self._sites),
            home=self._plan.home_order[0],
            mac=person.mac,
            jitter=self._rng.random,
        )
        clocks = Clocks(_boottime, time.time, asyncio.get_running_loop())
        agent = Agent(person, session, clocks=clocks, diary=self._diary, tally=self._tally)
        shard = index % self._plan.sockets
        agent.phone = Phone(
            {
                city: Socket(endpoints[shard].stack, self._windows[city][shard])
                for city, endpoints in self._endpoints.items()
            },
            agent,
            manners=self._plan.manners,
            rng=self._rng,
            counters=self._counters,
        )
        for city, systems in self._sites.items():
            agent.wires[city] = Connection(self._exchange, city, f"{systems[person.system].cti}/agent", agent)
        return agent

    def start(self) -> None:
        """Let the agents come in, at the plan's pace."""
        self._starting = asyncio.create_task(self._come_in())

    async def _come_in(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for index, agent in enumerate(self.agents.values()):
            due = began + index / self._plan.start_rate
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            agent.start()

    def take_break(self, accounts: Sequence[str], *, over: bool) -> list[str]:
        """Press "break" (or "available" again) for these agents. Returns: those that are not here."""
        known = [account for account in accounts if account in self.agents]
        for account in known:
            self.agents[account].press("available" if over else "break")
        return sorted(set(accounts) - set(known))

    def restart(self, accounts: Sequence[str]) -> list[str]:
        """Start these agents' desktops and phones anew, all at once, as after a power cut on the floor.

        Nobody signs out: the old instances just vanish, calls and all. Returns: those that are not here.
        """
        wanted = set(accounts)
        for index, person in enumerate(self._people):
            if person.account in wanted:
                self.agents[person.account].vanish()
                self.agents[person.account] = self._make(index, person)
                self.agents[person.account].start()
        return sorted(wanted - self.agents.keys())

    async def close(self, *, unregister: bool) -> None:
        """Send everybody home: sign out, drop phones and connections."""
        if self._starting is not None:
            self._starting.cancel()
        for agent in self.agents.values():
            agent.go_home()
        for agent in self.agents.values():
            agent.close(unregister=unregister)
        await asyncio.sleep(0.1)
        for endpoints in self._endpoints.values():
            for endpoint in endpoints:
                endpoint.close()

    def stats(self) -> dict[str, Any]:
        """Counts of now per city and group, counters since the start, and how late the event loop is."""
        agents = self.agents.values()
        return {
            "agents": len(self.agents),
            "sites": {
                city: {
                    "signed_in": _per_group(agent for agent in agents if agent.signed_in_at == city),
                    "registered": _per_group(agent for agent in agents if _registered(agent, city)),
                    "talking": _per_group(agent for agent in agents if agent.talking and agent.signed_in_at == city),
                }
                for city in self._sites
            },
            "out": sum(1 for agent in agents if agent.signed_in_at is None),
            "talking": sum(1 for agent in agents if agent.talking),
            "events": dict(self._tally.events),
            "bad_frames": self._tally.bad_frames,
            "calls": {
                "answered": self._counters.answered,
                "busy": self._counters.busy,
                "ended": dict(self._counters.ended),
            },
            "registration_failures": {str(code): n for code, n in self._counters.registration_failures.items()},
            "sip": {
                city: {
                    "sent": sum(endpoint.stack.counters.sent for endpoint in endpoints),
                    "received": sum(endpoint.stack.counters.received for endpoint in endpoints),
                    "malformed": sum(endpoint.stack.counters.malformed for endpoint in endpoints),
                    "repeated": sum(endpoint.stack.counters.repeated for endpoint in endpoints),
                }
                for city, endpoints in self._endpoints.items()
            },
            "loop_lag": self._lag.stats(),
        }


def _per_group(agents: Iterable[Agent]) -> Mapping[str, int]:
    return Counter(agent.person.group for agent in agents)


def _registered(agent: Agent, city: str) -> bool:
    return agent.phone is not None and agent.phone.registered_at(city)


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
