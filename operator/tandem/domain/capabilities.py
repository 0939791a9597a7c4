"""What a CTI's adapter can do, and which promises of a planned move that leaves.

The CTI that agents leave chooses them and lets them go; the one that they enter admits, counts and measures them.
"""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tandem.domain.reasons import Reason, Refusal


class CTICapabilities(BaseModel):
    """As the CTI contract's `GET /v1/capabilities` says; the defaults are those of a CTI that can do everything."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    selection: Literal["Bucket", "AgentList", "Count", "WholeGroup"] = "Bucket"
    percent_step: int = Field(default=1, ge=1)
    drain: bool = True
    forced: bool = True
    admission: Literal["Door", "Push", "None"] = "Door"
    progress: Literal["PerAgent", "Counts"] = "PerAgent"
    client_evidence: bool = True
    fence: Literal["Native", "Adapter"] = "Native"
    identity: Literal["Shared", "PerSite"] = "Shared"
    max_rate: int = 0
    """Sign-ins a second; 0: not stated."""
    impair: bool = False
    """Whether it can keep idle agents silent for a drill; one that does not say so cannot."""
    version: str = ""
    """Of the CTI, in its own words; empty: it does not say."""


Statement = tuple[bool, str]
"""Whether it is a promise (else a limit), and the sentence."""


def of_the_leaving_side(found: CTICapabilities, *, forced: bool) -> Iterable[Statement]:
    """What the CTI that agents leave promises of this move."""
    if found.selection == "Bucket":
        yield True, "exactly the planned buckets leave, and they are the same in every city"
    elif found.selection == "AgentList":
        yield True, "the agents of the planned buckets leave, chosen by their names"
    elif found.selection == "Count":
        yield False, "only how many leave can be asked for: who goes is this CTI's choice, so a later wave may differ"
    else:
        yield False, "a group leaves as a whole: no canary, no waves, no percentages"
    if found.percent_step > 1:
        yield False, f"shares change in steps of {found.percent_step} %: waves are rounded up to them"
    if forced:
        yield True, "nobody is waited for: agents leave in the middle of a call, which goes on"
    else:
        yield True, "no call is cut: who is in one leaves after it and its wrap-up"


def of_the_receiving_side(found: CTICapabilities) -> Iterable[Statement]:
    """What the CTI that agents enter promises of this move."""
    if found.admission == "Door":
        yield True, "nobody is in two places: an agent enters with a ticket of the CTI that was left, or not at all"
    elif found.admission == "Push":
        yield False, "its door cannot be shut: who is let in is told to it, and a fresh sign-in meanwhile may be early"
    else:
        yield False, "it has no door: an agent who signs in at both cities by hand is in two places"
    if found.fence == "Native":
        yield True, "an order that is older than the one it has is refused, restarts included"
    else:
        yield False, "it keeps no revision itself: its adapter does, beside it"
    if found.progress == "PerAgent":
        yield True, "each agent's own switch time is measured"
    else:
        yield False, "agents are only counted: there will be no switch times"
    if found.identity == "PerSite":
        yield False, "agents have another identity there than at the site that they leave"


def unsupported(found: CTICapabilities, where: str, *, forced: bool, whole: bool, leaving: int) -> Refusal | None:
    """Why the CTI at `where` cannot let agents go as planned.

    Args:
        whole: Whether all of the group leaves at once.
        leaving: Percent of the group that leaves there in all.
    """
    if forced and not found.forced:
        why, remedy = "cannot make agents leave in the middle of a call", "use mode Graceful"
    elif not forced and not found.drain:
        why, remedy = (
            "cannot wait for an agent's call to end",
            "use mode Forced, which cuts nobody's call but waits for none",
        )
    elif found.selection == "WholeGroup" and not whole:
        why, remedy = "moves a group as a whole only", "set percent to 100 and waves to [100]"
    elif leaving % found.percent_step:
        step = found.percent_step
        why = f"changes a share in steps of {step} % only, and {leaving} % of the group would leave"
        remedy = f"choose percent (or the shares) so that a multiple of {step} leaves"
    else:
        return None
    return Refusal(Reason.UNSUPPORTED_BY_CTI, f"the CTI of {where} {why}; {remedy}")
