"""Placements as JSON: what `PUT /v1/placements` takes, and what is kept on disk and in the operator's ConfigMap.

Beside the groups' placements a push may say `guestCapacity` and `priorities`; the disk keeps `priorities` too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from callcenter.cti.errors import RequestError
from callcenter.session.door import format_map, parse_map
from callcenter.session.errors import MapError
from callcenter.session.placements import Drain, Placement, Together
from callcenter.session.priorities import Priorities
from callcenter.session.silence import LONGEST_WORD


def read_placements(body: Any) -> dict[str, Placement]:
    """Read the `groups` of a push. Raises RequestError naming the field."""
    groups = _object(body, "body").get("groups")
    return {name: _placement(f"groups.{name}", entry) for name, entry in _object(groups, "groups").items()}


@dataclass(frozen=True, slots=True)
class Impairment:
    """What `PUT /v1/impair` asks for. `shares`: group -> percent of its idle agents; empty: the drill is over."""

    boot: str
    drill: str
    shares: Mapping[str, int]
    to: tuple[str, ...]
    ttl: float


def read_impairment(body: Any) -> Impairment:
    """Read a drill's word. Raises RequestError naming the field."""
    said = _object(body, "body")
    for field in ("boot", "drill"):
        if not isinstance(said.get(field), str) or not said[field]:
            raise RequestError(field, f"is {said.get(field)!r}: expected a string")
    shares = _object(said.get("groups"), "groups")
    for name, share in shares.items():
        if not isinstance(share, int) or isinstance(share, bool) or not 1 <= share <= 100:
            raise RequestError(f"groups.{name}", f"is {share!r}: expected percent of its idle agents, from 1 to 100")
    to, ttl = said.get("to", []), _number("ttl", said.get("ttl", 0), zero=not shares)
    if not isinstance(to, list) or not all(isinstance(site, str) for site in to) or (shares and not to):
        raise RequestError("to", f"is {to!r}: expected the cities that the chosen agents must reach")
    if ttl is None or ttl > LONGEST_WORD:
        raise RequestError("ttl", f"is {ttl!r}: expected seconds, {LONGEST_WORD:g} at most; say it again to go on")
    return Impairment(said["boot"], said["drill"], shares, tuple(to), ttl)


def read_guest_capacity(body: Any) -> int | None:
    """Read the `guestCapacity` of a push; None: it says nothing of that. Raises RequestError."""
    value = _object(body, "body").get("guestCapacity")
    return None if value is None else _count("guestCapacity", value)


def read_as_of(body: Any) -> int:
    """Read the revision of the store that the sender of a push had read; 0 when it says none. Raises RequestError."""
    return _count("asOf", _object(body, "body").get("asOf", 0))


def read_priorities(body: Any) -> Priorities | None:
    """Read the `priorities` of a push and what they are `asOf`; None: it says nothing of them. Raises RequestError."""
    said = _object(body, "body")
    if said.get("priorities") is None:
        return None
    of = {name: _count(f"priorities.{name}", n) for name, n in _object(said["priorities"], "priorities").items()}
    return Priorities(of, _count("asOf", said.get("asOf")))


def write_placements(placements: Mapping[str, Placement]) -> dict[str, Any]:
    """The inverse of `read_placements`."""
    return {
        "groups": {
            name: {
                "revision": placement.revision,
                "map": format_map(placement.places),
                "pace": placement.pace,
                "together": None
                if placement.together is None
                else {"move": placement.together.move, "pace": placement.together.pace},
                "drain": {
                    "maxTalk": placement.drain.max_talk,
                    "maxWrapUp": placement.drain.max_wrapup,
                    "onDeadline": placement.drain.on_deadline,
                },
            }
            for name, placement in placements.items()
        }
    }


def _placement(at: str, entry: Any) -> Placement:
    body = _object(entry, at)
    revision = body.get("revision")
    if not isinstance(revision, int) or isinstance(revision, bool) or revision < 1:
        raise RequestError(f"{at}.revision", f"is {revision!r}: expected the store's revision, an integer of 1 or more")
    ranges = _object(body.get("map"), f"{at}.map")
    if not all(isinstance(value, str) for value in ranges.values()):
        raise RequestError(f"{at}.map", "expected strings such as '0-59,75'")
    try:
        places = parse_map(ranges)
    except MapError as e:
        raise RequestError(f"{at}.map", str(e)) from e
    return Placement(
        revision,
        places,
        _number(f"{at}.pace", body.get("pace")),
        _drain(f"{at}.drain", body.get("drain")),
        _together(f"{at}.together", body.get("together")),
    )


def _together(at: str, entry: Any) -> Together | None:
    if entry is None:
        return None
    body = _object(entry, at)
    move, pace = body.get("move"), _number(f"{at}.pace", body.get("pace"))
    if not isinstance(move, str) or not move:
        raise RequestError(f"{at}.move", f"is {move!r}: expected the name of the move")
    if pace is None:
        raise RequestError(f"{at}.pace", "is null: expected a number above 0")
    return Together(move, pace)


def _drain(at: str, entry: Any) -> Drain:
    if entry is None:
        return Drain()
    body = _object(entry, at)
    on_deadline: Literal["Stay", "Force"]
    match body.get("onDeadline", "Stay"):
        case "Stay":
            on_deadline = "Stay"
        case "Force":
            on_deadline = "Force"
        case other:
            raise RequestError(f"{at}.onDeadline", f"is {other!r}: expected Stay or Force")
    return Drain(
        _number(f"{at}.maxTalk", body.get("maxTalk"), zero=True),
        _number(f"{at}.maxWrapUp", body.get("maxWrapUp"), zero=True),
        on_deadline,
    )


def _number(at: str, value: Any, *, zero: bool = False) -> float | None:
    """A number of seconds or per second, more than 0 (or 0 where that makes sense), or null for no limit."""
    if value is None:
        return None
    sane = isinstance(value, int | float) and not isinstance(value, bool) and value < float("inf")
    if not sane or value < 0 or (value == 0 and not zero):
        raise RequestError(at, f"is {value!r}: expected a number {'of 0 or more' if zero else 'above 0'}, or null")
    return float(value)


def _count(at: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise RequestError(at, f"is {value!r}: expected an integer of 0 or more")
    return value


def _object(value: Any, at: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise RequestError(at, f"expected an object, not {type(value).__name__}")
    return value
