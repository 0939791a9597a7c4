"""What the death of a city did to each of its agents. Pure: the same input gives the same figures.

    power off         detected          confirmed       committed      door open, first sign-in ... last sign-in
      |------------------|------------------|---------------|--------------------|------------------|
                     first accusation   two, unbroken   first placement

Every time counts from the moment at which the power went off, in seconds of CLOCK_REALTIME (the lab is one machine).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from demo.commits import Accusation, Commit, Door
from demo.measure import noticed, overlaps, times_to
from demo.timeline import AgentEvent, Call
from tandem.domain.records import FailoverRecord

GOAL_RESCUE_S: Final = 4.0
"""Seconds from the power-off within which the last of 1,000 agents is to be signed in elsewhere."""


@dataclass(frozen=True)
class Loss:
    """A city that lost its power, and who worked there. Times in seconds of CLOCK_REALTIME."""

    city: str
    accounts: frozenset[str]
    killed_at: float
    until: float


@dataclass(frozen=True)
class Phases:
    """Seconds from the power-off; None: it did not come to that."""

    detected: float | None
    confirmed: float | None
    committed: float | None
    door_open: float | None
    """As the store hears it from the CTI, which opened it a moment before."""
    first_sign_in: float | None
    last_sign_in: float | None
    first_call: float | None


@dataclass(frozen=True)
class Rescue:
    """The figures of one failover."""

    agents: int
    phases: Phases
    time_to: Mapping[float, float | None]
    arrived: tuple[float, ...]
    """Each agent's return, seconds from the power-off, in order."""
    missing: tuple[str, ...]
    in_two_places: tuple[str, ...]
    control_agents: int
    control_noticed: tuple[str, ...]

    @property
    def complete(self) -> bool:
        """Whether everybody works again, in one place, and nobody else noticed."""
        return not self.broken

    @property
    def broken(self) -> tuple[str, ...]:
        """Each promise that did not hold, in words."""
        found = (
            (self.missing, "agents did not come back"),
            (self.in_two_places, "agents were in two places"),
            (self.control_noticed, "agents elsewhere noticed"),
        )
        return tuple(f"{len(accounts)} {words}" for accounts, words in found if accounts)

    @property
    def missed(self) -> str:
        """Whether the goal of speed was missed, in words; empty when it was not."""
        last = self.phases.last_sign_in
        if last is None or last <= GOAL_RESCUE_S:
            return ""
        return f"the last agent was signed in {last:.2f} s after the power-off, the goal is {GOAL_RESCUE_S:g} s"


def rescue(
    loss: Loss,
    events: Iterable[AgentEvent],
    calls: Iterable[Call],
    *,
    account_of: Mapping[str, str],
    control: frozenset[str],
    accusations: Sequence[Accusation],
    failovers: Sequence[tuple[str, FailoverRecord]],
    commits: Sequence[Commit],
    doors: Sequence[Door],
) -> Rescue:
    """The figures of one failover.

    Args:
        loss: What happened.
        events: The agents' timelines, from their start.
        calls: The carrier's calls.
        account_of: Extension or account -> account.
        control: Accounts elsewhere that were not to notice anything.
        accusations, failovers, commits, doors: What was seen in the store.
    """
    lasted = (loss.killed_at, loss.until)
    by_account: dict[str, list[AgentEvent]] = {}
    for event in sorted(events, key=lambda event: event.mono):
        by_account.setdefault(event.account, []).append(event)
    back = {account: at for account in loss.accounts if (at := _back_at(by_account.get(account, []), loss)) is not None}
    arrived = sorted(at - loss.killed_at for at in back.values())
    answered = [
        call.answered_at
        for call in calls
        if call.answered_at is not None
        and (account := account_of.get(call.agent, "")) in back
        and back[account] <= call.answered_at <= loss.until
    ]
    placed = [commit for commit in commits if commit.cause.startswith(f"Failover/{loss.city}-")]
    opened = {(commit.group, commit.revision) for commit in placed}
    phases = Phases(
        detected=_since(loss, (word.at for word in accusations if word.site == loss.city)),
        confirmed=_since(loss, (record.started_at for site, record in failovers if site == loss.city)),
        committed=_since(loss, (commit.at for commit in placed)),
        door_open=_since(loss, (door.at for door in doors if (door.group, door.revision) in opened)),
        first_sign_in=arrived[0] if arrived else None,
        last_sign_in=arrived[-1] if arrived else None,
        first_call=_since(loss, answered),
    )
    return Rescue(
        agents=len(loss.accounts),
        phases=phases,
        time_to=times_to(arrived, len(loss.accounts)),
        arrived=tuple(arrived),
        missing=tuple(sorted(loss.accounts - back.keys())),
        in_two_places=tuple(sorted(a for a in loss.accounts if overlaps(by_account.get(a, []), *lasted))),
        control_agents=len(control),
        control_noticed=tuple(sorted(a for a in control if noticed(by_account.get(a, []), *lasted))),
    )


def _during(event: AgentEvent, loss: Loss) -> bool:
    return loss.killed_at <= event.at <= loss.until


def _since(loss: Loss, times: Iterable[float | None]) -> float | None:
    """Seconds from the power-off to the first of these moments that lies after it."""
    after = [at for at in times if at is not None and loss.killed_at <= at <= loss.until]
    return min(after) - loss.killed_at if after else None


def _back_at(own: Sequence[AgentEvent], loss: Loss) -> float | None:
    """When an agent was signed in at another city, the phone registered there."""
    phones = {event.site for event in own if event.event == "registered" and event.at <= loss.until} - {loss.city}
    again = (event for event in own if event.event == "signed-in" and event.site in phones and _during(event, loss))
    return next((event.at for event in again), None)
