"""Gates: what must be true of one wave before the next one begins."""

from typing import Annotated, Final, Literal

from pydantic import AfterValidator, Field

from tandem.api.common import Duration, Percent, Schema, Written, cel, duration_seconds, rules

LONGEST_PATIENCE_S: Final = 24 * 3600.0


def _at_most_a_day(text: str) -> str:
    if duration_seconds(text) > LONGEST_PATIENCE_S:
        raise ValueError(f"{text} is more than 24 h; choose a shorter time")
    return text


def _up_to_a_day() -> Schema:
    rule = cel(
        "duration(self) <= duration('24h')", "'is %s, but may be up to 24h; choose a shorter time'.format([self])"
    )
    return rules(rule)


Patience = Annotated[Duration, AfterValidator(_at_most_a_day)]


class Gates(Written):
    """What one wave must have shown before the next begins. Not asked after the last wave, nor on the way back."""

    signed_in: Percent = Field(
        default=95,
        description="Least share, in percent, of the agents whom the wave has released that are signed in at the "
        "target, rounded down to whole agents; 0: not asked.",
    )
    sign_in_time: Patience = Field(
        default="5s",
        description="Longest time out of service of 95 % of them; 0s: not asked.",
        json_schema_extra=_up_to_a_day(),
    )
    call_success: Percent = Field(
        default=80,
        description="Least share, in percent, of the calls offered to agents at the target since the wave began that "
        "were taken, from ten calls on; 0: not asked.",
    )
    observe: Patience = Field(
        default="0s",
        description="Least time from the last agent's leaving to the next wave: calls take a while to show something.",
        json_schema_extra=_up_to_a_day(),
    )
    patience: Patience = Field(
        default="5m",
        description="How long a gate may stay closed.",
        json_schema_extra=_up_to_a_day(),
    )
    after_patience: Literal["Abort", "Wait"] = Field(
        default="Abort",
        description="Then: bring everybody back by waves at the same pace, or wait for a person to abort it.",
    )
