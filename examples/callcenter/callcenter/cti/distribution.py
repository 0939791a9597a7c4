"""Who gets which call, and which calls go to the other city: a pure rule over one group.

- The oldest waiting call rings the agent who has been idle longest.
- Without an idle agent here, calls go to the other city, as many as it has said it has idle agents.
- Without any agent here, all of them go there, and wait there.
- A call that came from the other city is never sent back as a call: when nobody is left here it is handed back
  (rejected), and takes up its place in the other city's queue again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class WaitingCall:
    """A call in the queue. `queued_at`: when it was first placed, `now`'s clock; `hop` 1: it came from the peer."""

    id: str
    group: str
    hop: int
    queued_at: float


@dataclass(frozen=True, slots=True)
class PeerGroup:
    """What the other city last said of a group, less what was sent there since."""

    idle: int
    staff: int


@dataclass(frozen=True, slots=True)
class Ring:
    """Ring this agent's phone with this call."""

    call: str
    account: str


@dataclass(frozen=True, slots=True)
class ToPeer:
    """Send this call to the other city."""

    call: str


@dataclass(frozen=True, slots=True)
class HandBack:
    """Reject this call, so that the other city's queue has it again."""

    call: str


Decision: TypeAlias = Ring | ToPeer | HandBack


def distribute(
    waiting: Sequence[WaitingCall], idle: Iterable[str], *, staff: int, peer: PeerGroup | None
) -> list[Decision]:
    """Decide about one group's waiting calls.

    Args:
        waiting: Oldest first. idle: agents who may be rung now, longest idle first; read only as far as needed.
        staff: Agents who are signed in here and stay. peer: None when the other city was not heard of lately.
    """
    decisions: list[Decision] = []
    agents = iter(idle)
    agent = next(agents, None) if waiting else None
    peer_idle = peer.idle if peer is not None else 0
    for call in waiting:
        if agent is not None:
            decisions.append(Ring(call.id, agent))
            agent = next(agents, None)
        elif peer is None:
            break
        elif call.hop:
            if staff == 0 and peer.staff > 0:
                decisions.append(HandBack(call.id))
        elif staff == 0 and peer.staff > 0:
            decisions.append(ToPeer(call.id))
        elif peer_idle > 0:
            decisions.append(ToPeer(call.id))
            peer_idle -= 1
    return decisions
