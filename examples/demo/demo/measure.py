"""What one planned move did to each agent and to each call. Pure: the same input gives the same figures.

    applied          commit                released        signed in at the target
      |----------------|----------------------|------gap------|            one agent
      kubectl apply    first A>B revision     out here        in there, phone registered there

*Signed in* means that the first ping was answered and the phone is registered in that city. `switch_seconds` is an
agent's own gap, out here until in there. `time_to` counts from the commit until that share of all the agents who were
to move is signed in at the target; an agent in a call arrives after the call and the wrap-up, which the move waits for.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from demo.timeline import AgentEvent, Call

SHARES: Final = (63.5, 93.1, 100.0)
"""Shares of agents in percent, for which published figures exist (3, 4 and 10 minutes)."""

LEFT: Final = frozenset({"released", "lost", "out"})
NOTICED: Final = frozenset({"released", "lost", "out", "guest", "signed-in"})
"""Events that an agent who does not move must not see."""


@dataclass(frozen=True)
class Window:
    """One move: who was to move where, and when. Times in seconds of CLOCK_REALTIME."""

    name: str
    to: str
    accounts: frozenset[str]
    applied_at: float
    committed_at: float
    until: float


@dataclass(frozen=True)
class Switch:
    """One agent's own switch. Times in seconds of CLOCK_REALTIME, `gap` in seconds of the agent's own clock."""

    account: str
    group: str
    released_at: float
    signed_in_at: float
    gap: float


@dataclass(frozen=True)
class Spread:
    """Median, 95th percentile and maximum (nearest rank), seconds."""

    p50: float
    p95: float
    max: float


@dataclass(frozen=True)
class Measures:
    """The figures of one move."""

    switches: tuple[Switch, ...]
    missing: tuple[str, ...]
    moved_twice: tuple[str, ...]
    in_two_places: tuple[str, ...]
    lapsed: tuple[str, ...]
    """Agents who lost a session during the move and signed in again by themselves: no move, but out of service."""
    switch_seconds: Spread | None
    time_to: Mapping[float, float | None]
    calls_in_progress: int
    calls_cut: int
    control_agents: int
    control_noticed: tuple[str, ...]
    """Agents who were to notice nothing and did: a session that changed, or a call that was cut."""


def nearest_rank(values: Sequence[float], percent: float) -> float:
    """The smallest of `values` that at least `percent` of them do not exceed.

    Raises: ValueError when there are no values.
    """
    if not values:
        raise ValueError("no values, no percentile")
    ordered = sorted(values)
    # Rounding first: 93.1 % of 1000 is 931 agents, and not 932 because of a binary fraction.
    rank = max(1, math.ceil(round(len(ordered) * percent / 100, 9)))
    return ordered[rank - 1]


def spread(values: Sequence[float]) -> Spread | None:
    """Median, 95th percentile and maximum; None without values."""
    if not values:
        return None
    return Spread(p50=nearest_rank(values, 50), p95=nearest_rank(values, 95), max=max(values))


def measure(
    window: Window,
    events: Iterable[AgentEvent],
    calls: Iterable[Call],
    *,
    account_of: Mapping[str, str],
    control: frozenset[str] = frozenset(),
) -> Measures:
    """The figures of one move.

    Args:
        window: The move.
        events: The agents' timelines, from their start (phones register long before a move), in any order; doubled
            lines count once.
        calls: The carrier's calls; the newest record of a call counts.
        account_of: Extension or account -> account, to know whose call it is.
        control: Accounts that were not to notice anything.
    """
    by_account: dict[str, list[AgentEvent]] = defaultdict(list)
    for event in set(events):
        by_account[event.account].append(event)
    for own in by_account.values():
        own.sort(key=lambda event: (event.mono, event.at))

    lasted = (window.applied_at, window.until)
    switches: list[Switch] = []
    twice: list[str] = []
    doubled: list[str] = []
    lapsed: list[str] = []
    for account in sorted(window.accounts):
        own = by_account.get(account, [])
        arrivals = _arrivals(own, window)
        if arrivals:
            switches.append(arrivals[0])
        if _moves(own, window) > 1:
            twice.append(account)
        if any(event.event == "lost" and _inside(event, window) for event in own):
            lapsed.append(account)
        if overlaps(own, *lasted):
            doubled.append(account)
    arrived = {switch.account for switch in switches}

    newest = {call.id: call for call in calls}
    in_progress, cut = _calls(window, newest.values(), account_of)
    return Measures(
        switches=tuple(switches),
        missing=tuple(sorted(window.accounts - arrived)),
        moved_twice=tuple(twice),
        in_two_places=tuple(doubled),
        lapsed=tuple(lapsed),
        switch_seconds=spread([switch.gap for switch in switches]),
        time_to=times_to(
            sorted(switch.signed_in_at - window.committed_at for switch in switches), len(window.accounts)
        ),
        calls_in_progress=in_progress,
        calls_cut=cut,
        control_agents=len(control),
        control_noticed=tuple(
            sorted(
                {account for account in control if noticed(by_account.get(account, []), *lasted)}
                | {
                    owner
                    for call in newest.values()
                    if (owner := account_of.get(call.agent)) in control and _cut(call, window)
                }
            ),
        ),
    )


def _inside(event: AgentEvent, window: Window) -> bool:
    return window.applied_at <= event.at <= window.until


def _arrivals(own: Sequence[AgentEvent], window: Window) -> list[Switch]:
    """Every sign-in at the target during the move; the first is the agent's arrival."""
    registered = [event for event in own if event.event == "registered" and event.site == window.to]
    arrivals: list[Switch] = []
    left: AgentEvent | None = None
    for event in own:
        if not _inside(event, window):
            continue
        if event.event in LEFT and event.site != window.to:
            left = event
        elif event.event == "signed-in" and event.site == window.to:
            ready = _phone_ready(event, registered)
            if ready is None:
                continue
            # Without a departure in the window there is no gap to speak of: the agent signed in afresh.
            gap = ready.mono - left.mono if left is not None else 0.0
            released_at = left.at if left is not None else event.at
            arrivals.append(Switch(event.account, event.group, released_at, ready.at, gap))
            left = None
    return arrivals


def _moves(own: Sequence[AgentEvent], window: Window) -> int:
    """How often the agent was moved: released, and signed in after it. A session that lapses is no move."""
    moves = 0
    released = False
    for event in own:
        if _inside(event, window):
            if event.event == "released":
                released = True
            elif event.event == "signed-in" and released:
                moves += 1
                released = False
    return moves


def _phone_ready(signed_in: AgentEvent, registered: Sequence[AgentEvent]) -> AgentEvent | None:
    """The moment at which both session and phone are there: the later of the two."""
    if any(event.mono <= signed_in.mono for event in registered):
        return signed_in
    return min(registered, key=lambda event: event.mono, default=None)


def overlaps(own: Sequence[AgentEvent], since: float, until: float) -> bool:
    """Whether the agent was signed in at two sites at once at any time in between."""
    here: str | None = None
    for event in own:
        if event.at > until:
            return False
        if event.event == "signed-in":
            if here is not None and here != event.site and event.at >= since:
                return True
            here = event.site
        elif event.event in LEFT and event.site == here:
            here = None
    return False


def noticed(own: Sequence[AgentEvent], since: float, until: float) -> bool:
    """Whether the agent's session changed in between."""
    return any(event.event in NOTICED and since <= event.at <= until for event in own)


def times_to(arrived: Sequence[float], of: int) -> dict[float, float | None]:
    """Seconds until each share of *all* who were to come was there; None if it never was. `arrived`: in order."""
    times: dict[float, float | None] = {}
    for share in SHARES:
        needed = max(1, math.ceil(round(of * share / 100, 9)))
        times[share] = max(0.0, arrived[needed - 1]) if needed <= len(arrived) else None
    return times


def _calls(window: Window, calls: Iterable[Call], account_of: Mapping[str, str]) -> tuple[int, int]:
    """(calls in progress at the commit on agents who move, calls of theirs that were cut during the move)."""
    theirs = [call for call in calls if account_of.get(call.agent) in window.accounts]
    in_progress = sum(
        1 for call in theirs if call.answered_at is not None and call.answered_at <= window.committed_at < _end(call)
    )
    return in_progress, sum(1 for call in theirs if _cut(call, window))


def _cut(call: Call, window: Window) -> bool:
    """Whether an answered call was cut during the move."""
    return (
        call.fate == "cut"
        and call.answered_at is not None
        and call.answered_at <= window.until
        and _end(call) >= window.applied_at
    )


def _end(call: Call) -> float:
    return math.inf if call.ended_at is None else call.ended_at
