"""Gates: what must be true of one wave before the next one begins."""

from typing import Annotated, Literal

from pydantic import Field

from tandem.api.alarms import GateAlarms
from tandem.api.common import Duration, Percent, Within, Written

Patience = Annotated[Duration, Within("0s", "24h")]


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
    )
    call_success: Percent = Field(
        default=80,
        description="Least share, in percent, of the calls offered to agents at the target since the wave began that "
        "were taken, from ten calls on; 0: not asked.",
    )
    observe: Patience = Field(
        default="0s",
        description="Least time from the last agent's leaving to the next wave: calls take a while to show something.",
    )
    alarms: GateAlarms | None = Field(
        default=None,
        description="Alarms that have to be quiet before the first wave and before each next; none: nobody is asked.",
    )
    patience: Patience = Field(default="5m", description="How long a gate may stay closed.")
    after_patience: Literal["Abort", "Wait"] = Field(
        default="Abort",
        description="Then: bring everybody back by waves at the same pace, or wait for a person to abort it.",
    )
