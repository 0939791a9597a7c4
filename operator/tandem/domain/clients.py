"""The clients' word: what those who are signed in here say of their second connection, to another city's CTI.

It accuses or says nothing: a client that reaches a CTI is no proof that the CTI works for others. All of them together
are one source, told apart from the observer of the location that collects it; and it never ends a city by itself
(`words.accusation`, `loss`): clients protect themselves.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

LEAST_CLIENTS: Final = 20
"""A group of agents speaks when at least so many of its clients have lost a city..."""

LEAST_PERCENT: Final = 50
"""...and at least this share of those that say anything of it. Groups stand for floors: agents of one sit together."""


@dataclass(frozen=True, slots=True)
class ClientCount:
    """Clients of one group that say anything of one city, and how many of them have lost it."""

    clients: int
    lost: int


def clients_accuse(groups: Mapping[str, ClientCount]) -> str:
    """What the clients have against a city, by group; empty when nothing."""
    speaking = {
        group: count
        for group, count in groups.items()
        if count.lost >= LEAST_CLIENTS and 100 * count.lost >= LEAST_PERCENT * count.clients
    }
    return ", ".join(f"{count.lost} of {count.clients} clients of {group}" for group, count in sorted(speaking.items()))
