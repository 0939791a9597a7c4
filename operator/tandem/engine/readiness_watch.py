"""Would a failover of each group work now? The engine that reigns asks now and then, for the metric of that name."""

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from tandem.domain.readiness import Readiness, readiness_of_all
from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, Election

log = logging.getLogger(__name__)

READINESS_EVERY_S: Final = 30.0
"""Seconds between two looks: an alert waits for minutes, and a thousand groups take 0.2 s of a processor."""


class ReadinessWatch:
    """Keeps the latest answers. One task: `run`."""

    def __init__(self, picture: Picture, election: Election, clock: Clock) -> None:
        self._picture = picture
        self._election = election
        self._clock = clock
        self.found: Mapping[str, Readiness] = {}
        """By group; empty where another engine reigns, for one of them is enough."""

    async def run(self) -> None:
        """Look until cancelled."""
        await self._picture.synced.wait()
        while True:
            self.found = await self._look() if self._election.epoch() and self._picture.live else {}
            await self._clock.sleep(READINESS_EVERY_S)

    async def _look(self) -> Mapping[str, Readiness]:
        try:
            # In a thread: probes and pushes must not wait for a thousand groups.
            return await asyncio.to_thread(readiness_of_all, self._picture.snapshot, self._clock.monotonic())
        except Exception:  # a figure ends no engine
            log.exception("whether a failover would work cannot be said")
            return {}
