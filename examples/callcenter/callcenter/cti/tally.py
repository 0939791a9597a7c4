"""What has become of a group's calls in this city since this process started."""

from dataclasses import dataclass


@dataclass(slots=True)
class CallTally:
    """Counts that only grow. A call that goes to the other city counts there.

    `answered`: an agent here talks on it, whether the word came or the softswitch's list shows it; once for each call.
    `hung_up`: caller or agent ended it. `cut`: it was talked on and ended otherwise. `unheard`: it was talked on and is
    over, and the word that it ended was lost. `abandoned`: it waited or rang, and its caller gave up. `refused`: nobody
    could be found for it.
    """

    answered: int = 0
    hung_up: int = 0
    cut: int = 0
    unheard: int = 0
    abandoned: int = 0
    refused: int = 0

    def ended(self, by: str) -> None:
        """A call that was talked on is over. `by`: as the softswitch says."""
        if by in ("caller", "agent"):
            self.hung_up += 1
        else:
            self.cut += 1
