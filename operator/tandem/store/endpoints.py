"""Which member is asked, and which one next. Pure: no clock of its own, no I/O."""

from typing import Final

HOME_S: Final = 5.0
"""Seconds for which a nearer member must have answered without fail before a watch goes back to it."""

REST_S: Final = 3.0
"""Seconds for which a member that failed is asked last. Then a request that may be repeated tries it again."""


class Endpoints:
    """The members' order of preference: the local one first, as configured, those that failed lately last."""

    def __init__(self, count: int, rest_s: float = REST_S) -> None:
        self._count = count
        self._rest_s = rest_s
        self._again_at: dict[int, float] = {}  # failed member -> when it may be tried again
        self._well_since: dict[int, float] = {}  # member that had failed -> when it answered again

    def order(self, now: float, *, repeatable: bool) -> list[int]:
        """Members in the order in which to ask them.

        Args:
            now: Seconds, monotonic.
            repeatable: Whether the request may be asked twice. Only such a one tries a failed member again first: it
                loses half its time when the member is still silent, where a transaction would lose its outcome.
        """
        well = [member for member in range(self._count) if member not in self._again_at]
        failed = sorted(self._again_at, key=lambda member: self._again_at[member])
        if repeatable and well:
            for member in failed:
                if member < well[0] and now >= self._again_at[member]:
                    # One request tries; those beside it do not wait with it.
                    self._again_at[member] = now + self._rest_s
                    failed.remove(member)
                    return [member, *well, *failed]
        return [*well, *failed]

    def failed(self, member: int, now: float) -> None:
        """The member could not be reached, was silent or has no leader."""
        self._again_at[member] = now + self._rest_s
        self._well_since.pop(member, None)

    def answered(self, member: int, now: float) -> None:
        if self._again_at.pop(member, None) is not None:
            self._well_since[member] = now

    def nearer_is_well(self, member: int, now: float) -> bool:
        """Whether one that is preferred to this member has worked for long enough to trust it with a watch."""
        return any(
            other not in self._again_at and now - self._well_since.get(other, -HOME_S) >= HOME_S
            for other in range(member)
        )
