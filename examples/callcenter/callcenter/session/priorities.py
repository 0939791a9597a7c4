"""How important each group is: what decides who comes first when not everybody can come in at once. Pure.

A priority is no part of a placement: it changes without one, and has its own fence (`callcenter.session.fence`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from callcenter.session.fence import Fence

USUAL: Final = 100
"""What an AgentGroup has that says nothing of it, and so what counts for a group of which nothing was said: one whose
engine is older, and Tandem's test agents, which ask how long the ordinary agent waits."""


@dataclass(frozen=True, slots=True)
class Priorities:
    """By group, higher first, as the store had them at revision `as_of`; groups left out stay as they are."""

    of: Mapping[str, int]
    as_of: int


class PriorityBook:
    """The priorities that a CTI goes by. `kept`: what an earlier life was told; whatever the engine says is newer."""

    def __init__(self, fence: Fence, kept: Mapping[str, int] | None = None) -> None:
        self.all: Mapping[str, int] = dict(kept or {})
        """By group. Never changed, only replaced: another thread may be writing it to the disk."""
        self._fence = fence

    def of(self, group: str) -> int:
        """A group's priority; higher first."""
        return self.all.get(group, USUAL)

    def take(self, said: Priorities) -> frozenset[str]:
        """Take what is not older than what was said before. Returns the groups whose priority is another one now."""
        news = {group: priority for group, priority in said.of.items() if self._fence.passes(group, said.as_of)}
        changed = frozenset(group for group, priority in news.items() if priority != self.of(group))
        self.all = {**self.all, **news}
        return changed
