"""How a report writes times, shares and outcomes; the same on paper, on the screen and in a terminal."""

from typing import Final

from tandem.domain.delays import MEANING, Why
from tandem.domain.report_model import FailedOver, FailoverTimes

NEVER: Final = "never"
UNKNOWN: Final = "not measured"

MOMENTS: Final = {
    "Started": "at the start",
    "There": "all there",
    "Leaving": "before the way back",
    "Over": "at the end",
}
"""Moments of a run, in their order."""


def seconds(value: float | None, none: str = UNKNOWN) -> str:
    """A duration with its unit: 8 ms, 0.41 s, 12.3 s, 4 min, 1 h 5 min."""
    if value is None:
        return none
    if value < 0.1:
        return f"{value * 1000:.0f} ms"
    if value < 10:
        return f"{value:.2f} s"
    if value < 120:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def failover_phases(found: FailoverTimes) -> list[str]:
    """The phases of a rehearsed failover, each with its time."""
    named = (
        ("detected", found.detected),
        ("confirmed", found.confirmed),
        ("committed", found.committed),
        ("first sign-in", found.first_sign_in),
        ("last sign-in", found.last_sign_in),
        ("last door open", found.doors_open),
    )
    return [f"{name} {seconds(value)}" for name, value in named]


def automatic(found: FailedOver) -> str:
    """Those who came by the automatic path alone, with their own times."""
    gaps = found.gaps
    shares = ", ".join(f"{share} % {seconds(value, NEVER)}" for share, value in found.time_to.items())
    return (
        f"by the automatic path alone, without a ticket: {count(found.agents)} agents, out of service "
        f"p50 {seconds(gaps.p50)}, p95 {seconds(gaps.p95)}, longest {seconds(gaps.max)}; signed in from "
        f"{seconds(found.first_sign_in)} to {seconds(found.last_sign_in)} ({shares})"
    )


def kept_silent(found: FailoverTimes) -> str:
    """Who heard nothing of the site: as many as its CTIs chose, which may be fewer than they were asked for."""
    chosen = f"{UNKNOWN} how many" if found.silent_agents is None else f"{found.silent_agents:,}"
    return f"{chosen} idle agents ({found.silence} % of them were asked for)"


def count(value: int | None) -> str:
    """A number of agents or calls."""
    return UNKNOWN if value is None else f"{value:,}"


def moment(text: str | None, none: str = "-") -> str:
    """A time of day, without its letters."""
    return none if text is None else text.replace("T", " ").replace("Z", "")


def why(word: str) -> str:
    """What an agent waited for, as words."""
    return MEANING[Why(word)] if word in set(Why) else word
