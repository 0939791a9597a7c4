"""The arithmetic that keeps two sessions of one client from overlapping, on clocks that drift less than 1 %.

    CTI:     a session is valid until (sending time of the newest ping that was answered) + S
    client:  a session may still be alive until (time it answered its last ping) + S * 1.01

The client's moment is never before the CTI's: it answers a ping after the ping was sent, and 1 % covers the drift of
its clock against the CTI's over S. Both ends read CLOCK_BOOTTIME, which goes on while a machine sleeps.
"""

from dataclasses import dataclass
from typing import Final

DRIFT: Final = 0.01
"""e: two clocks measure the same second to within this fraction."""

DEFAULT_LEASE: Final = 2.7
"""S, seconds. No failover is slower for it: a city counts as lost after 3 s or later, and no door opens before."""

DEFAULT_PING: Final = 0.9
"""Seconds between two pings of one session: two may be lost before the lease ends."""


@dataclass(frozen=True, slots=True)
class Timing:
    """The CTI's choice of lease and ping, both in seconds, told to clients in `welcome` and `offer`."""

    lease: float = DEFAULT_LEASE
    ping: float = DEFAULT_PING

    def __post_init__(self) -> None:
        if not 0 < self.ping < self.lease:
            raise ValueError(f"ping {self.ping} s must be more than 0 and less than the lease {self.lease} s")


def valid_until(ping_sent: float, lease: float) -> float:
    """The CTI's view: the end of a session whose newest answered ping was sent at `ping_sent`."""
    return ping_sent + lease


def gone_by(answered: float, lease: float) -> float:
    """The client's view: from then on no CTI can still count a session whose last ping was answered at `answered`."""
    return answered + lease * (1 + DRIFT)
