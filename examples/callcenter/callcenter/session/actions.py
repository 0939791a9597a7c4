"""What `ClientSession` asks its driver to do, and what it tells for the record."""

from dataclasses import dataclass
from typing import Literal, TypeAlias

from callcenter.session.messages import AgentState, CallEventName, ClientFrame, PhoneLine

SignInCause: TypeAlias = Literal["fresh", "ticket", "failover"]


# ---- what the driver is asked to do


@dataclass(frozen=True, slots=True)
class Send:
    """Send `frame` on the open connection to `site`."""

    site: str
    frame: ClientFrame


@dataclass(frozen=True, slots=True)
class Connect:
    """Drop the connection to `site` if there is one, and open a new one after `after` seconds."""

    site: str
    after: float


@dataclass(frozen=True, slots=True)
class RegisterPhone:
    """Register the phone at `site`'s softswitch (again), and keep it registered."""

    site: str
    phone: PhoneLine


# ---- what the driver may want to write down


@dataclass(frozen=True, slots=True)
class HasSignedIn:
    """A session at `site` is real. `gap`: seconds out of service before it; None for the first sign-in.

    `cause`: `ticket` after a release; `failover` when the session before was lost in another city; else `fresh`.
    `guest`: the agent belongs to another city.
    """

    site: str
    cause: SignInCause
    gap: float | None
    number: int
    virtual_id: str
    extension: str
    state: AgentState
    guest: bool = False


@dataclass(frozen=True, slots=True)
class Lost:
    """The session at `site` is gone without a release.

    `reason`: Disconnected, Silent (the client counted itself out) or Lapsed (the CTI said so).
    """

    site: str
    reason: str


@dataclass(frozen=True, slots=True)
class Released:
    """`site` has ended the session and sends the agent to `to`."""

    site: str
    to: str


@dataclass(frozen=True, slots=True)
class AtDoor:
    """`site` lets nobody in now, for `reason`; the client stands at its door."""

    site: str
    reason: str


@dataclass(frozen=True, slots=True)
class SignedOut:
    """Out until `sign_in()` is called: the agent went home, or another device took the account (Replaced)."""

    site: str
    reason: str


@dataclass(frozen=True, slots=True)
class NotAdmitted:
    """`site` said no to the connection (`denied`) or to a sign-in (`refused`). The client tries again by itself."""

    site: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class CallEvent:
    """What the desktop shows about call `call`."""

    site: str
    call: str
    event: CallEventName


Action: TypeAlias = (
    Send | Connect | RegisterPhone | HasSignedIn | Lost | Released | AtDoor | SignedOut | NotAdmitted | CallEvent
)
