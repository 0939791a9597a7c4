"""At the witness: its member leads the store, so that the death of a city costs the store no election.

An election takes a second, and every lease of the lost city starts anew with it: its heartbeat would be gone two
seconds later than it need be. So does a change of leaders. One that has just been elected is therefore left alone: the
leader before it may have died with its city, whose loss is being waited for.

A preference only, like the coordinator's: whoever leads, the promises hold.
"""

import logging
from typing import Final, Protocol

from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, StoreError
from tandem.engine.surroundings import around

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""Seconds between two looks at who leads."""

STABLE_S: Final = 10.0
"""Seconds for which the witness must have lived before its member takes over."""


class Members(Protocol):
    """The store's members, seen from the local one. Both raise StoreError."""

    async def leader(self) -> int:
        """Another member that leads; 0 when the local one does, or nobody."""

    async def lead(self, instead_of: int) -> bool:
        """Let the local member lead instead of this other one; False when that is not to be found."""


class StoreLeadership:
    def __init__(self, site: str, picture: Picture, members: Members, clock: Clock) -> None:
        self._site = site
        self._picture = picture
        self._members = members
        self._clock = clock

    async def run(self) -> None:
        """Look now and then. Never returns."""
        led_by = 0
        while True:
            await self._clock.sleep(LOOK_S)
            before, led_by = led_by, 0
            if not self._is_time():
                continue
            try:
                led_by = await self._members.leader()
                if led_by and led_by == before and await self._members.lead(led_by):
                    log.info("the store's member here leads from now on")
            except StoreError as error:
                log.info("the store's member here could not take the lead: %s", error)

    def _is_time(self) -> bool:
        if not self._picture.live:
            return False  # the store has other worries
        found = around(self._picture.snapshot, self._site, self._clock.monotonic())
        return found.is_witness and not found.under_way and (found.witness_alive_s or 0.0) >= STABLE_S
