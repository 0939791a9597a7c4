"""Of two words about one thing the one of the newer reading counts, in whatever order they arrive. Pure.

What the engine says beside the maps (how important a group is, how many guests a city takes) changes without a
placement, so no placement's revision fences it. Each such word carries the store's revision that its sender had read.
"""


class Fence:
    """The newest reading of each thing that a word was taken about. Things go by any name: a group's, or another."""

    def __init__(self) -> None:
        self._as_of: dict[str, int] = {}

    def passes(self, what: str, as_of: int) -> bool:
        """Whether a word about `what`, as the store had it at revision `as_of`, may be taken; older ones may not."""
        if as_of < self._as_of.get(what, 0):
            return False
        self._as_of[what] = as_of
        return True

    def restart(self) -> None:
        """A new boot: what was meant for the former one is refused by that, and the store may be another one."""
        self._as_of.clear()
