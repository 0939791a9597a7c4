"""The frames between client and CTI (docs/contracts.md, section 4): one frozen dataclass each, one JSON object a frame.

    text = encode(Pong(session="b1.7", n=3))        # '{"t":"pong","session":"b1.7","n":3}'
    frame = decode_client(text)                      # at the CTI
    frame = decode_server(text)                      # at the client

Decoding checks the type of every field and raises `FrameError` that names frame, field and expectation. Fields that a
reader does not know are ignored, so that a newer writer can add some. A Python name that ends in `_` stands for the
wire name without it (`from_` is `from`).
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from json.encoder import encode_basestring_ascii
from typing import Any, Final, Literal, TypeAlias, get_args, get_type_hints

from callcenter.compact import to_json
from callcenter.session.errors import FrameError

PROTOCOL_VERSION: Final = 1

Role: TypeAlias = Literal["primary", "standby"]
CarriedState: TypeAlias = Literal["available", "break", "talking", "wrapup"]
"""What an agent takes along to another CTI. `talking`: a call survives on the phone; no other until it has ended.

`wrapup`: after-call work was not done yet; it begins anew.
"""
AgentState: TypeAlias = Literal["available", "ringing", "talking", "wrapup", "break"]
CallEventName: TypeAlias = Literal["ringing", "talking", "ended", "wrapup", "ready"]


@dataclass(frozen=True, slots=True)
class PhoneLine:
    """How to register the agent's phone in this city."""

    extension: str
    registrar: str
    """`host:port` of the city's softswitch, SIP over UDP."""
    realm: str
    password: str


# ---- client to CTI


@dataclass(frozen=True, slots=True)
class Hello:
    """First frame of a connection. `instance` is a random ID made once per client start."""

    account: str
    instance: str
    mac: str
    role: Role
    v: int = PROTOCOL_VERSION


@dataclass(frozen=True, slots=True)
class SignIn:
    """Ask for a session. `wait`: stand at the door if it is shut, instead of being sent to the owner."""

    seq: int
    ticket: str | None
    wait: bool
    state: CarriedState | None


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Leave the door's queue."""

    seq: int


@dataclass(frozen=True, slots=True)
class Pong:
    """Answer to `Ping`; the first one makes the session real."""

    session: str
    n: int


@dataclass(frozen=True, slots=True)
class SignOut:
    """The agent goes home."""

    session: str


@dataclass(frozen=True, slots=True)
class AgentButton:
    """The agent presses a button, or, with `then`, has ended a call that the client brought along.

    `then` is what the agent wants after the after-call work; `state` is then `available`, which is what a CTI that does
    not know `then` takes for that call's end.
    """

    session: str
    state: Literal["available", "break"]
    then: Literal["available", "break"] | None = None


@dataclass(frozen=True, slots=True)
class Other:
    """Evidence: how my connection to `site` is, and for how many seconds it has been so."""

    site: str
    ok: bool
    since: float


@dataclass(frozen=True, slots=True)
class Moved:
    """After a move: the agent's own gap in seconds, and both moments (CLOCK_REALTIME)."""

    session: str
    from_: str
    gap: float
    released_at: float
    signed_in_at: float


@dataclass(frozen=True, slots=True)
class Beat:
    """Heartbeat of a connection without a session; the CTI answers with the same `n`."""

    n: int


# ---- CTI to client


@dataclass(frozen=True, slots=True)
class Welcome:
    """Hello accepted. `lease` (S) and `ping` in seconds; `home`: the site of this agent's bucket by this CTI's map."""

    site: str
    boot: str
    lease: float
    ping: float
    home: str | None
    phone: PhoneLine


@dataclass(frozen=True, slots=True)
class Denied:
    """Hello refused; the connection closes."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Offer:
    """Sign-in accepted, if the ping that follows at once is answered."""

    seq: int
    session: str
    lease: float
    ping: float


@dataclass(frozen=True, slots=True)
class Ping:
    """The lease counts from this frame's sending time, once it is answered."""

    session: str
    n: int


@dataclass(frozen=True, slots=True)
class SignedIn:
    """The first pong was seen: the session is real."""

    session: str
    number: int
    virtual_id: str
    extension: str
    state: AgentState
    guest: bool = False
    """The agent belongs to another city and works here until that can be reached again."""


@dataclass(frozen=True, slots=True)
class Release:
    """This CTI holds no session of you: sign in at `to`.

    With `seq` the answer to a `SignIn`, with `session` the end of a session.
    """

    seq: int | None
    session: str | None
    to: str
    ticket: str | None
    state: CarriedState | None


@dataclass(frozen=True, slots=True)
class Wait:
    """You stand at the door; an `Offer` follows when it opens."""

    seq: int
    reason: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No; do not ask again in the same way."""

    seq: int
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Ended:
    """The session is over: Lapsed, SignedOut, Replaced."""

    session: str
    reason: str


@dataclass(frozen=True, slots=True)
class Call:
    """What the agent's desktop shows."""

    session: str
    call: str
    event: CallEventName


@dataclass(frozen=True, slots=True)
class Register:
    """This city's softswitch has restarted: register the phone again."""


ClientFrame: TypeAlias = Hello | SignIn | Withdraw | Pong | SignOut | AgentButton | Other | Moved | Beat
ServerFrame: TypeAlias = (
    Welcome | Denied | Offer | Ping | SignedIn | Release | Wait | Refused | Ended | Call | Register | Beat
)
Frame: TypeAlias = ClientFrame | ServerFrame

_CLIENT_FRAMES: Final[Mapping[str, type[ClientFrame]]] = {
    "hello": Hello,
    "signin": SignIn,
    "withdraw": Withdraw,
    "pong": Pong,
    "signout": SignOut,
    "agent": AgentButton,
    "other": Other,
    "moved": Moved,
    "beat": Beat,
}
_SERVER_FRAMES: Final[Mapping[str, type[ServerFrame]]] = {
    "welcome": Welcome,
    "denied": Denied,
    "offer": Offer,
    "ping": Ping,
    "signedin": SignedIn,
    "release": Release,
    "wait": Wait,
    "refused": Refused,
    "ended": Ended,
    "call": Call,
    "register": Register,
    "beat": Beat,
}

_Check: TypeAlias = Callable[[Any], bool]


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    wire: str
    expected: str
    check: _Check
    nested: type[Any] | None
    required: bool


def _checker(annotation: Any) -> tuple[str, _Check, type[Any] | None]:
    """What a field accepts: its name for people, the check, and the dataclass to build from an object, if any."""
    if annotation is str:
        return "a string", lambda v: isinstance(v, str), None
    if annotation is bool:
        return "true or false", lambda v: isinstance(v, bool), None
    if annotation is int:  # bool is an int to Python, not to the protocol
        return "an integer", lambda v: isinstance(v, int) and not isinstance(v, bool), None
    if annotation is float:  # NaN and the infinities are no JSON, whatever Python's parser says
        return (
            "a finite number",
            lambda v: isinstance(v, int | float) and not isinstance(v, bool) and abs(v) < float("inf"),
            None,
        )
    if annotation is PhoneLine:
        return "an object", lambda v: isinstance(v, dict), PhoneLine
    options = get_args(annotation)
    if type(None) in options:
        inner = next(option for option in options if option is not type(None))
        # A Literal | None is flattened by get_args only one level deep: the Literal itself is still there.
        expected, check, nested = _checker(inner)
        return f"{expected} or null", lambda v: v is None or check(v), nested
    if options and all(isinstance(option, str) for option in options):
        allowed = frozenset(options)
        return " or ".join(map(repr, options)), lambda v: isinstance(v, str) and v in allowed, None
    raise TypeError(f"no check for {annotation!r}")


def _fields_of(kind: type[Any]) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    made = []
    for field in fields(kind):
        expected, check, nested = _checker(hints[field.name])
        made.append(
            _Field(field.name, field.name.rstrip("_"), expected, check, nested, required=field.default is MISSING)
        )
    return tuple(made)


_SHAPES: Final[Mapping[type[Any], tuple[_Field, ...]]] = {
    kind: _fields_of(kind) for kind in (*_CLIENT_FRAMES.values(), *_SERVER_FRAMES.values(), PhoneLine)
}
_NAMES: Final[Mapping[type[Any], str]] = {
    kind: name for table in (_CLIENT_FRAMES, _SERVER_FRAMES) for name, kind in table.items()
}


def _build(kind: type[Any], name: str, body: Mapping[str, Any]) -> Any:
    values: dict[str, Any] = {}
    for field in _SHAPES[kind]:
        if field.wire not in body:
            if field.required:
                raise FrameError(f"{name}.{field.wire} is missing: expected {field.expected}")
            continue
        value = body[field.wire]
        if not field.check(value):
            raise FrameError(f"{name}.{field.wire} is {value!r:.60}: expected {field.expected}")
        if field.nested is not None and value is not None:
            value = _build(field.nested, f"{name}.{field.wire}", value)
        values[field.name] = value
    return kind(**values)


_PING: Final = '{"t":"ping","session":"'
_PONG: Final = '{"t":"pong","session":"'


def _beating(text: str, head: str) -> tuple[str, int] | None:
    """Session and number of a ping or pong as `encode` writes them; None for anything else.

    Hundreds of these come each second, and of nothing else: JSON's parser would take most of the time of both ends.
    """
    if not text.startswith(head) or not text.endswith("}"):
        return None
    session, middle, n = text[len(head) : -1].partition('","n":')
    # Anything unusual in there, escapes or another field, is left to the parser.
    if not middle or not (n.isascii() and n.isdigit()) or (n[0] == "0" and n != "0"):
        return None
    if "\\" in session or '"' in session or not session.isprintable():
        return None
    return session, int(n)


def _decode(text: str, table: Mapping[str, type[Any]], sender: str) -> Any:
    try:
        body = json.loads(text)
    except (RecursionError, ValueError) as e:
        raise FrameError(f"not JSON: {e}") from e
    if not isinstance(body, dict):
        raise FrameError(f"a frame is a JSON object, not {type(body).__name__}")
    name = body.get("t")
    kind = table.get(name) if isinstance(name, str) else None
    if kind is None:
        raise FrameError(f"t is {name!r:.60}: a {sender} sends one of {', '.join(table)}")
    return _build(kind, str(name), body)


def decode_client(text: str) -> ClientFrame:
    """Read a frame that a client sent. Raises FrameError."""
    if pong := _beating(text, _PONG):
        return Pong(*pong)
    frame: ClientFrame = _decode(text, _CLIENT_FRAMES, "client")
    return frame


def decode_server(text: str) -> ServerFrame:
    """Read a frame that a CTI sent. Raises FrameError."""
    if ping := _beating(text, _PING):
        return Ping(*ping)
    frame: ServerFrame = _decode(text, _SERVER_FRAMES, "CTI")
    return frame


def _plain(value: Any) -> Any:
    if isinstance(value, PhoneLine):
        return {field.wire: getattr(value, field.name) for field in _SHAPES[PhoneLine]}
    return value


def encode(frame: Frame) -> str:
    """Write a frame as JSON text."""
    if isinstance(frame, Ping | Pong):
        head = "ping" if type(frame) is Ping else "pong"
        return f'{{"t":"{head}","session":{encode_basestring_ascii(frame.session)},"n":{frame.n}}}'
    kind = type(frame)
    body: dict[str, Any] = {"t": _NAMES[kind]}
    for field in _SHAPES[kind]:
        body[field.wire] = _plain(getattr(frame, field.name))
    return to_json(body)
