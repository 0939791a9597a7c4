"""The load that the carrier makes: when the next call comes, from whom, to which number, and how long it talks."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from .errors import RouteError

PATIENCE: Final = 60.0
"""Seconds that a caller waits for an agent."""

CALLERS: Final = ("010", "020", "021", "028")
"""Area codes of the made-up callers."""


@dataclass(frozen=True, slots=True)
class Load:
    """An order to place calls. Times in seconds; `numbers` None: every number that has routes."""

    calls_per_second: float
    talk: tuple[float, float] = (4.0, 11.0)
    numbers: tuple[str, ...] | None = None
    seed: int = 0
    arrivals: Literal["poisson", "even"] = "poisson"
    patience: float = PATIENCE
    callers: tuple[str, ...] = CALLERS


@dataclass(frozen=True, slots=True)
class Caller:
    """One call to be placed."""

    number: str
    caller: str
    talk: float
    patience: float


def next_gap(load: Load, rng: random.Random) -> float:
    """Seconds until the next call. The rate must be above 0."""
    if load.arrivals == "even":
        return 1.0 / load.calls_per_second
    return rng.expovariate(load.calls_per_second)


def next_caller(load: Load, numbers: Sequence[str], rng: random.Random) -> Caller | None:
    """The next call, or None when there is no number to call."""
    candidates = [n for n in numbers if load.numbers is None or n in load.numbers]
    if not candidates:
        return None
    return Caller(
        number=rng.choice(candidates),
        caller=f"{rng.choice(load.callers)}{rng.randrange(10**8):08d}",
        talk=rng.uniform(*load.talk),
        patience=load.patience,
    )


def parse_load(document: Any) -> Load:
    """Read the body of `PUT /v1/load`. Raises: RouteError that names field, value and remedy."""
    if not isinstance(document, Mapping):
        raise RouteError("the body must be a JSON object with calls_per_second")
    defaults = Load(0.0)
    talk: Any = document.get("talk", list(defaults.talk))
    if (
        not isinstance(talk, list)
        or len(talk) != 2
        or not all(_is_number(t) for t in talk)
        or not 0 <= talk[0] <= talk[1]
    ):
        raise RouteError(f"talk {talk!r} must be two numbers of seconds, the shorter first, like [4, 11]")
    rate: Any = document.get("calls_per_second")
    if not _is_number(rate) or not 0 <= rate <= 10_000:
        raise RouteError(f"calls_per_second {rate!r} must be a number between 0 and 10000; 0 stops")
    patience: Any = document.get("patience", defaults.patience)
    if not _is_number(patience) or patience <= 0:
        raise RouteError(f"patience {patience!r} must be a number of seconds above 0")
    seed = document.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise RouteError(f"seed {seed!r} must be an integer")
    arrivals = document.get("arrivals", defaults.arrivals)
    if arrivals not in ("poisson", "even"):
        raise RouteError(f"arrivals {arrivals!r} must be poisson or even")
    numbers = _strings(document, "numbers")
    return Load(
        calls_per_second=float(rate),
        talk=(float(talk[0]), float(talk[1])),
        numbers=numbers,
        seed=seed,
        arrivals=arrivals,
        patience=float(patience),
        callers=_strings(document, "callers") or defaults.callers,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e9


def _strings(document: Mapping[str, Any], field: str) -> tuple[str, ...] | None:
    value = document.get(field)
    if value is None:
        return None
    if not isinstance(value, list) or not all(
        isinstance(entry, str) and entry.removeprefix("+").isdigit() for entry in value
    ):
        raise RouteError(f"{field} {value!r} must be a list of strings of digits (a + may stand before), or null")
    return tuple(value)
