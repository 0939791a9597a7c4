"""Route tables: which targets a call to a number is tried at, in which order. Pure rules."""

import random
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from callcenter.sip.message import Address

from .errors import RouteError


@dataclass(frozen=True, slots=True)
class Route:
    """One way to a city.

    `weight` is the share of calls that try this route first, relative to the others' (0: overflow only). `callers`
    restricts it to callers whose number starts with one of these prefixes; empty: everyone.
    """

    name: str
    target: Address
    weight: int
    callers: tuple[str, ...] = ()

    def serves(self, caller: str) -> bool:
        """Whether this caller may use the route."""
        return not self.callers or caller.startswith(self.callers)


@dataclass(frozen=True, slots=True)
class NumberPlan:
    """A number's routes in order, and its capacity; `None` is no limit."""

    number: str
    revision: int
    routes: tuple[Route, ...]
    channels: int | None = None
    calls_per_second: float | None = None


def order_routes(
    routes: Sequence[Route], caller: str, rng: random.Random, *, lost: Collection[Address] = ()
) -> list[Route]:
    """The routes that a call tries, one after the other.

    The first is drawn by weight among those that serve the caller, the others follow in the table's order. Routes whose
    target is `lost` come last, in the same order among themselves: they may have come back.

    Returns: Empty when no route serves the caller.
    """
    eligible = [route for route in routes if route.serves(caller)]
    order = list(eligible)
    weights = [route.weight for route in eligible]
    if sum(weights) > 0:
        first = rng.choices(eligible, weights)[0]
        order = [first, *(route for route in eligible if route is not first)]
    return [r for r in order if r.target not in lost] + [r for r in order if r.target in lost]


def parse_address(text: str) -> Address:
    """Parse `host:port` of an IPv4 address. Raises: RouteError."""
    host, colon, port = text.rpartition(":")
    parts = host.split(".")
    if (
        not colon
        or not (port.isascii() and port.isdigit())
        or not 0 < int(port[:6]) < 65536
        or len(parts) != 4
        or not all(part.isascii() and part.isdigit() and len(part) < 4 and int(part) < 256 for part in parts)
    ):
        raise RouteError(f"target {text[:80]!r} must be an IPv4 address and a port, like 198.18.0.11:30560")
    return (host, int(port))


def parse_plan(number: str, document: Any) -> NumberPlan:
    """Read the body of `PUT /v1/routes/{number}`. Raises: RouteError that names field, value and remedy."""
    if not number.isascii() or not number.removeprefix("+").isalnum():
        raise RouteError(f"number {number[:40]!r} must be digits or letters, with a + before them or without")
    if not isinstance(document, Mapping):
        raise RouteError("the body must be a JSON object with revision and routes")
    entries = document.get("routes")
    if not isinstance(entries, list) or not entries:
        raise RouteError("routes must be a list of at least one route")
    routes = tuple(_parse_route(index, entry) for index, entry in enumerate(entries))
    names = [route.name for route in routes]
    if len(set(names)) != len(names):
        raise RouteError(f"routes must have different names, not {names}")
    rate = document.get("calls_per_second")
    if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int | float) or not 0 < rate < 1e6):
        raise RouteError(f"calls_per_second {rate!r} must be a number above 0, or null for no limit")
    return NumberPlan(
        number=number,
        revision=_integer(document, "revision", required=True) or 0,
        routes=routes,
        channels=_integer(document, "channels", required=False),
        calls_per_second=None if rate is None else float(rate),
    )


def _parse_route(index: int, entry: Any) -> Route:
    where = f"routes[{index}]"
    if not isinstance(entry, Mapping):
        raise RouteError(f"{where} must be an object with name, target and weight")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise RouteError(f"{where}.name {name!r} must be a non-empty string")
    target = entry.get("target")
    if not isinstance(target, str):
        raise RouteError(f"{where}.target {target!r} must be a string like 198.18.0.11:30560")
    callers = entry.get("callers") or []
    if not isinstance(callers, list) or not all(isinstance(prefix, str) and prefix for prefix in callers):
        raise RouteError(f"{where}.callers {callers!r} must be a list of prefixes; leave it out to serve everyone")
    try:
        weight = _integer(entry, "weight", required=True)
        return Route(name, parse_address(target), weight or 0, tuple(callers))
    except RouteError as error:
        raise RouteError(f"{where}: {error}") from error


def _integer(document: Mapping[str, Any], field: str, *, required: bool) -> int | None:
    value = document.get(field)
    if value is None and not required:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise RouteError(f"{field} {value!r} must be an integer of at least 0")
    return value


def plan_document(plan: NumberPlan) -> dict[str, Any]:
    """A plan in the shape in which it was given."""
    return {
        "revision": plan.revision,
        "routes": [
            {
                "name": route.name,
                "target": f"{route.target[0]}:{route.target[1]}",
                "weight": route.weight,
                "callers": list(route.callers),
            }
            for route in plan.routes
        ],
        "channels": plan.channels,
        "calls_per_second": plan.calls_per_second,
    }
