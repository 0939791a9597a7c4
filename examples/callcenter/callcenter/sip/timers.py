"""RFC 3261's timer values (seconds) and the scheduler that every state machine of this package is handed."""

from collections.abc import Callable
from typing import Final, Protocol

T1: Final = 0.5
"""Estimate of the round trip; first retransmission interval (table 4)."""

T2: Final = 4.0
"""Longest interval between retransmissions of a non-INVITE request or an INVITE response."""

T4: Final = 5.0
"""Longest time that a message stays in the network."""

TRANSACTION_TIMEOUT: Final = 64 * T1
"""Timers B, F, H, J, L, M: how long a transaction goes on without what it waits for."""

TIMER_D: Final = 32.0
"""How long an INVITE client transaction answers retransmissions of a final failure."""


class Timer(Protocol):
    """A pending callback."""

    def cancel(self) -> None:
        """Forget the callback; harmless when it has already run."""


class Scheduler(Protocol):
    """The part of an event loop that state machines use; `asyncio`'s loop is one, tests bring their own."""

    def time(self) -> float:
        """Seconds of a clock that never goes back."""

    def call_later(self, delay: float, callback: Callable[[], object]) -> Timer:
        """Run `callback` once, `delay` seconds from now."""
