"""Where every agent is, followed through the agents' timelines."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from demo.measure import LEFT
from demo.timeline import AgentEvent, TimelineReader


class Observed:
    """Everything the agents wrote so far, and the site where each one is signed in."""

    def __init__(self, timelines: Iterable[Path]) -> None:
        self._readers = [TimelineReader(path) for path in timelines]
        self.events: list[AgentEvent] = []
        self.site_of: dict[str, str] = {}

    def look(self) -> Sequence[AgentEvent]:
        """Read what is new, and return it."""
        new = [event for reader in self._readers for event in reader.read()]
        for event in new:
            self.take(event)
        self.events += new
        return new

    def take(self, event: AgentEvent) -> None:
        """Follow one of them: where its agent is from then on."""
        if event.event == "signed-in":
            self.site_of[event.account] = event.site
        elif event.event in LEFT and self.site_of.get(event.account) == event.site:
            del self.site_of[event.account]

    def at(self, site: str, accounts: Iterable[str]) -> int:
        """How many of these agents are signed in at a site."""
        return sum(1 for account in accounts if self.site_of.get(account) == site)
