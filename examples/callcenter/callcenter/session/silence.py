"""Silence: chosen agents who hear nothing of this city for a while, as if it were lost for them alone.

A drill asks for it. Nobody is kept silent without somebody who says again and again that it goes on: each word counts
for some seconds, one drill for a minute at most, and a process that starts anew knows of none. Who is chosen, and when
an agent hears this city again before that, is the session server's business.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

LONGEST_WORD: Final = 10.0
"""Seconds for which one word may ask."""

LONGEST: Final = 60.0
"""Seconds for which one drill may keep anybody silent, renewals included."""

REMEMBERED: Final = 20
"""Drills that are over and whose late words are known for what they are."""


@dataclass(slots=True)
class _Drill:
    began_at: float
    until: float
    accounts: dict[str, tuple[str, ...]]
    """By group, those chosen at the beginning: renewals choose nobody."""


class Silence:
    """Who is silent. `now` is CLOCK_BOOTTIME in seconds."""

    def __init__(self) -> None:
        self._drills: dict[str, _Drill] = {}
        self._of: dict[str, _Drill] = {}
        """By account."""
        self._over: dict[str, None] = {}

    def knows(self, drill: str) -> bool:
        """Whether its agents have been chosen."""
        return drill in self._drills

    def is_over(self, drill: str) -> bool:
        """Whether it was ended, or has lasted for as long as it may: it begins no more."""
        return drill in self._over

    def begin(self, drill: str, chosen: Mapping[str, Iterable[str]], ttl: float, now: float) -> None:
        """Keep these accounts (by group) silent for `ttl` seconds from now."""
        found = _Drill(now, now + min(ttl, LONGEST), {group: tuple(accounts) for group, accounts in chosen.items()})
        self._drills[drill] = found
        self._of |= dict.fromkeys((account for accounts in found.accounts.values() for account in accounts), found)

    def renew(self, drill: str, ttl: float, now: float) -> None:
        """It goes on for `ttl` seconds from now, if it is not over by then."""
        found = self._drills[drill]
        found.until = min(now + ttl, found.began_at + LONGEST)

    def end(self, drill: str) -> None:
        """It is over: its agents hear this city again."""
        self._over.pop(drill, None)
        self._over[drill] = None
        while len(self._over) > REMEMBERED:
            del self._over[next(iter(self._over))]
        found = self._drills.pop(drill, None)
        if found is not None:
            self._of = {account: other for account, other in self._of.items() if other is not found}

    def forget(self) -> None:
        """The process counts as started anew."""
        for drill in list(self._drills):
            self.end(drill)

    def lapse(self, now: float) -> None:
        """End those of whom nobody has said in time that they go on."""
        for drill in [name for name, found in self._drills.items() if now >= found.until]:
            self.end(drill)

    def covers(self, account: str, now: float) -> bool:
        """Whether a drill keeps this account silent."""
        found = self._of.get(account)
        return found is not None and now < found.until

    def counts(self, drill: str) -> dict[str, int]:
        """Agents chosen by group."""
        found = self._drills.get(drill)
        return {group: len(accounts) for group, accounts in found.accounts.items()} if found is not None else {}

    def accounts_of(self, group: str) -> Iterator[str]:
        """Accounts of a group that some drill has chosen."""
        for found in self._drills.values():
            yield from found.accounts.get(group, ())
