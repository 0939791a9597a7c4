"""At the witness: its member leads the store, so that the death of a city costs the store no election.

An election takes a second, and every lease of the lost city starts anew with it: its heartbeat would be gone two
seconds later than it need be. A preference only, like the coordinator's: whoever leads, the promises hold.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, StoreError
from tandem.engine.surroundings import around

log = logging.getLogger(__name__)

LOOK_S: Final = 5.0
"""Seconds between two looks at who leads."""

STABLE_S: Final = 10.0
"""Seconds for which the witness must have lived before its member takes over."""


class StoreLeadership:
    """Args: lead: lets the local member lead; True when it took over just now. Raises StoreError."""

    def __init__(self, site: str, picture: Picture, lead: Callable[[], Awaitable[bool]], clock: Clock) -> None:
        self._site = site
        self._picture = picture
        self._lead = lead
        self._clock = clock

    async def run(self) -> None:
        """Look now and then. Never returns."""
        while True:
            await self._clock.sleep(LOOK_S)
            if not self._picture.live:
                continue  # the store has other worries
            found = around(self._picture.snapshot, self._site, self._clock.monotonic())
            if not found.is_witness or found.under_way or (found.witness_alive_s or 0.0) < STABLE_S:
                continue
            try:
                if await self._lead():
                    log.info("the store's member here leads from now on")
            except StoreError as error:
                log.info("the store's member here could not take the lead: %s", error)
