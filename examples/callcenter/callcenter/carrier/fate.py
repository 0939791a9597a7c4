"""What became of a call, and who ended it. Pure rules.

A call is *cut* when it had been answered and ended without either party meaning to: a request inside the dialog found
nobody, or a BYE came that no phone sent or that says that something broke.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from callcenter.sip.call import CallEnd, EndKind
from callcenter.sip.reason import error_cause

SOFTSWITCH_AGENTS: Final = ("kamailio", "asterisk", "freeswitch", "opensips")
"""Starts of the User-Agent header by which a softswitch's own BYE is told from a phone's."""


class Fate(StrEnum):
    """ACTIVE and QUEUED are still under way; the others are final."""

    ACTIVE = "active"
    QUEUED = "queued"
    ANSWERED = "answered"
    ABANDONED = "abandoned"
    CUT = "cut"
    REFUSED = "refused"


FINAL: Final = frozenset({Fate.ANSWERED, Fate.ABANDONED, Fate.CUT, Fate.REFUSED})


@dataclass(frozen=True, slots=True)
class Outcome:
    """A final fate, whose doing it was, and the SIP status that goes with it (0: none)."""

    fate: Fate
    by: str
    code: int


def end_of_answered(end: CallEnd, route: str) -> Outcome:
    """The fate of a call that had been answered over `route`."""
    softswitch = f"softswitch-{route}"
    if end.kind is EndKind.LOCAL_BYE:
        return Outcome(Fate.ANSWERED, "carrier", end.code)
    if end.kind is not EndKind.REMOTE_BYE:
        return Outcome(Fate.CUT, softswitch, end.code)
    cause = error_cause(end.reason)
    if cause is not None:
        return Outcome(Fate.CUT, softswitch, cause)
    if (end.user_agent or "").lower().startswith(SOFTSWITCH_AGENTS):
        return Outcome(Fate.CUT, softswitch, end.code)
    return Outcome(Fate.ANSWERED, "agent", end.code)


def tries_next_route(code: int) -> bool:
    """Whether a failure is about the way and not about the called number: no answer, or a server's fault."""
    return code == 408 or 500 <= code < 600
