"""Placements go to the disk before they count: no life of this CTI knows less than what an earlier one acted on.

    push -+
    push -+-> keep -> one write for all that came together -> taken, acted on, acknowledged
    push -+

The disk is written by a thread, so a slow one makes a push wait and nothing else. A disk that takes nothing more must
not keep a lost city's agents out: what it holds is deleted instead, and after a restart this CTI waits for its engine
as one without a memory does, rather than go by something old. Where nothing can be deleted either a push is refused.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping

from callcenter.cti.errors import NotKeptError
from callcenter.session.placements import Placement

log = logging.getLogger(__name__)


class MapKeeper:
    """Keeps placements on disk.

    Args:
        save: Writes all placements, whole or not at all; blocks; raises OSError.
        forget: Deletes them; blocks; raises OSError.
        kept: What the disk holds now.
    """

    def __init__(
        self,
        save: Callable[[Mapping[str, Placement]], None],
        forget: Callable[[], None],
        kept: Mapping[str, Placement],
    ) -> None:
        self._save = save
        self._forget = forget
        self._kept = dict(kept)
        """Those that the disk holds, or would hold if it had not been emptied."""
        self._wanted: dict[str, Placement] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._work = asyncio.Event()
        self._failing = False

    async def keep(self, placements: Mapping[str, Placement]) -> None:
        """Return as soon as the disk has these placements, or newer ones of the same groups, or no older ones any more.

        Raises: NotKeptError when the disk can neither be written nor emptied.
        """
        missing = {name: placement for name, placement in placements.items() if not _has(self._kept, name, placement)}
        if not missing:
            return
        self._wanted = _newest(self._wanted, missing)
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(written)
        self._work.set()
        await written

    async def run(self) -> None:
        """Write what is to be kept, until cancelled."""
        while True:
            await self._work.wait()
            self._work.clear()
            waiting, self._waiting = self._waiting, []
            maps, self._wanted = _newest(self._kept, self._wanted), {}
            try:
                await self._write(maps)
            except OSError as e:
                for written in waiting:
                    if not written.done():
                        written.set_exception(NotKeptError(f"the maps cannot be kept on this CTI's disk: {e}"))
            else:
                self._kept = maps
                for written in waiting:
                    if not written.done():
                        written.set_result(None)

    async def _write(self, maps: Mapping[str, Placement]) -> None:
        """Write these, or delete what is there. Raises OSError when neither works."""
        try:
            await asyncio.to_thread(self._save, maps)
        except OSError as e:
            if not self._failing:
                log.error(
                    "placements cannot be kept: %s; older ones are deleted, a restart would wait for the engine", e
                )
            self._failing = True
            await asyncio.to_thread(self._forget)
        else:
            if self._failing:
                log.warning("placements can be kept again")
            self._failing = False


def _newest(maps: Mapping[str, Placement], more: Mapping[str, Placement]) -> dict[str, Placement]:
    return {**maps, **{name: placement for name, placement in more.items() if not _has(maps, name, placement)}}


def _has(maps: Mapping[str, Placement], name: str, placement: Placement) -> bool:
    have = maps.get(name)
    return have is not None and (have.revision > placement.revision or have == placement)
