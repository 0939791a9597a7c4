"""Figures that others have published about agents who switched between two call centres."""

from typing import Final

SHARES: Final = (63.5, 93.1, 100.0)
"""Shares of the agents in percent for which there are published figures."""

TIME_TO: Final = {"63.5": 180.0, "93.1": 240.0, "100": 600.0}
"""Share of the agents in percent -> seconds, 2016."""

ALL_LATER_S: Final = 120.0
"""Seconds until all had switched, by a later word of the same company."""

SOURCE: Final = (
    "a large travel company with more than 1,000 agents in two call centres, published in 2016, "
    "and its later figure of all within 2 minutes"
)

CAUTION: Final = (
    "those were switches after a loss, counted by their own means; here a planned move is counted from its first "
    "commit, and agents in a call finish it first"
)


def share_text(share: float) -> str:
    """A share as reports name it: 63.5, 93.1, 100."""
    return f"{share:g}"
