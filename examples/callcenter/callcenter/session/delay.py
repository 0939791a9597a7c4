"""What an agent's move waited for: at the old city, which lets go, and at the new one, which lets in.

    bucket begins to leave      released          asks           let in
      |------ kept (call, wrapup, turn) ----|-------|---- door ----|

It decides nothing: it is for those who want to know why somebody was slow. The old city's part travels in the ticket.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kept:
    """Seconds from the moment at which the bucket began to leave until the release, by what they were spent on.

    `turn`: neither in a call nor in its wrap-up: others were ahead.
    """

    call: float
    wrapup: float
    turn: float


@dataclass(frozen=True, slots=True)
class Delay:
    """What one move waited for."""

    kept: Kept | None
    """At the old city; None: it did not say, or no session ended there by a release."""
    door_seconds: float
    """From asking to sign in until the offer."""
    door_reason: str
    """Why the door kept it, as the client was told; empty: it was not kept, or for a moment only."""
    standby: bool
    """Whether the connection to the new city was open before the agent was out of service."""
