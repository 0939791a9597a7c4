"""What passes between `SessionServer` and the rest of a CTI: who an agent is, what is asked, what comes out."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, Protocol, TypeAlias

from callcenter.directory import is_test_group
from callcenter.session.delay import Delay
from callcenter.session.loan_frames import LoanFrame
from callcenter.session.messages import AgentState, CarriedState, PhoneLine, ServerFrame


class Activity(StrEnum):
    """What keeps an agent from being released."""

    IDLE = "idle"
    CALL = "call"
    WRAPUP = "wrapup"


@dataclass(frozen=True, slots=True)
class Member:
    """One agent as far as the protocol cares."""

    account: str
    group: str
    bucket: int

    @property
    def is_test(self) -> bool:
        """Whether this is a test agent of Tandem's, who belongs to no city: no door is shut to it."""
        return is_test_group(self.group)


@dataclass(frozen=True, slots=True)
class Badge:
    """What a new session shows on the agent's desktop."""

    number: int
    virtual_id: str
    extension: str
    state: AgentState


class Desk(Protocol):
    """What the server asks of the rest of the CTI."""

    def member(self, account: str) -> Member | None:
        """Who this is, or None: the directory has no such account in this system."""

    def line(self, mac: str) -> PhoneLine | None:
        """How the phone with this MAC registers in this city, or None: the directory has no such phone."""

    def sign_in(self, member: Member, mac: str, carried: CarriedState | None, now: float) -> Badge:
        """The agent's session is real: give out a number and say in which state the agent begins."""

    def carried(self, account: str) -> CarriedState:
        """What a released agent takes along."""


# ---- what comes out


@dataclass(frozen=True, slots=True)
class Reply:
    """Send `frame` on connection `conn`."""

    conn: int
    frame: ServerFrame


@dataclass(frozen=True, slots=True)
class Close:
    """Close connection `conn` after what was sent on it."""

    conn: int


@dataclass(frozen=True, slots=True)
class Started:
    """A session is real. `from_`: the site that released the agent, None for a fresh sign-in."""

    member: Member
    session: str
    conn: int
    from_: str | None
    after: float = 0.0
    """Seconds since the client asked for it."""


@dataclass(frozen=True, slots=True)
class Gone:
    """A session is over: Lapsed, Disconnected, SignedOut, Replaced, Released (then `to` says where)."""

    member: Member
    session: str
    reason: str
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Button:
    """The agent pressed a button, or ended a call of another city's and wants `then` when it is wrapped up."""

    member: Member
    state: Literal["available", "break"]
    then: Literal["available", "break"] | None = None


@dataclass(frozen=True, slots=True)
class MoveMade:
    """A client reports its own gap after it came here from `from_`.

    `cause`: Move; Failover without a ticket; Guest when it came as a guest, or home from being one.
    """

    member: Member
    from_: str
    gap: float
    released_at: float
    signed_in_at: float
    cause: Literal["Move", "Failover", "Guest"]
    delay: Delay


@dataclass(frozen=True, slots=True)
class Say:
    """Tell the CTI of the city `to`."""

    to: str
    frame: LoanFrame


Out: TypeAlias = Reply | Close | Started | Gone | Button | MoveMade | Say
