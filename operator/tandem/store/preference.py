"""Who should be coordinator: the witness, so that a city's death costs no election. Pure rules.

A preference only: any engine may reign, and what keeps two from writing is the epoch in every guard.
"""

from dataclasses import dataclass
from typing import Final, Literal

DEFERENCE_S: Final = 0.5
"""Seconds for which a city's engine leaves a vacant office to a witness that lives."""

STABLE_S: Final = 10.0
"""Seconds for which the witness has to be back, and for which a city reigns at least, before it hands over: an engine
that restarts again and again must not become coordinator each time."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an engine knows of the others when it considers the office. All from its picture of the store."""

    role: Literal["Active", "Witness"]
    """Of this engine's own location."""
    witnesses: frozenset[str] = frozenset()
    """Names of the witness sites."""
    witness_alive_s: float | None = None
    """Seconds for which this engine has seen a witness's heartbeat key without a break; None when there is none."""
    under_way: bool = False
    """Whether something is being moved, or a city may just have been lost: no time to change the coordinator."""


def deference(around: Surroundings, last_holder: str) -> float:
    """Seconds to leave a vacant office to others before standing for it.

    Args:
        around: What this engine sees now. It is asked again while the engine waits.
        last_holder: Site that held the office until now, empty when nobody did. A witness that did has just died or
            left, though its heartbeat key may outlive the office's by a moment: waiting would only widen the gap.
    """
    if around.role == "Witness" or around.witness_alive_s is None or last_holder in around.witnesses:
        return 0.0
    return DEFERENCE_S


def hands_over(around: Surroundings, reigning_s: float) -> bool:
    """Whether a reigning engine should leave the office to the witness now.

    Args:
        around: What this engine sees now.
        reigning_s: Seconds since this engine became coordinator.
    """
    if around.role == "Witness" or around.witness_alive_s is None or around.under_way:
        return False
    return around.witness_alive_s >= STABLE_S and reigning_s >= STABLE_S
