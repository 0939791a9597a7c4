"""Whether the store's member of this location takes part, said beside the heartbeat.

It is asked for a linearizable read, and nobody else in its stead: that takes a member with a vote that reaches a leader
with a majority, whose own loop is not stuck on its disk, and that has applied what was decided. A status would not do:
a member whose disk hangs goes on naming the leader it had.

One look proves nothing: a stall, an election, a disk that was slow for a moment. What is said changes when several in a
row find otherwise. While the store as a whole is silent, a failure tells nothing of one member.
"""

import logging
from typing import Final, Protocol

from tandem.domain import keys
from tandem.domain.records import StoreMemberRecord
from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, Membership, StoreError
from tandem.engine.publisher import Publisher

log = logging.getLogger(__name__)

LOOK_S: Final = 3.0
"""Seconds between two looks."""

LOOKS: Final = 3
"""Looks in a row that find otherwise before that is said."""

TIMEOUT_S: Final = 1.0
"""Seconds for an answer: as long as a commit waits for its own."""


class LocalMember(Protocol):
    async def membership(self, *, timeout: float) -> Membership | None:
        """What the local member says by a linearizable read. None: it could not be asked, for we are too busy.

        Raises: StoreError when it does not answer, or cannot read so.
        """


class StoreMember:
    def __init__(self, site: str, picture: Picture, publisher: Publisher, member: LocalMember, clock: Clock) -> None:
        self._site = site
        self._picture = picture
        self._publisher = publisher
        self._member = member
        self._clock = clock
        self._said: StoreMemberRecord | None = None
        self._otherwise = 0
        """Looks in a row that found otherwise than is said."""

    async def run(self) -> None:
        """Look and say. Never returns."""
        while True:
            await self._look()
            await self._clock.sleep(LOOK_S)

    async def _look(self) -> None:
        said = self._said
        try:
            found = await self._member.membership(timeout=TIMEOUT_S)
        except StoreError as error:
            if not self._picture.live:
                return
            # Who it is and how many there are is not forgotten for that.
            known = said or StoreMemberRecord(works=False)
            self._take(known.model_copy(update={"works": False, "detail": str(error)}))
        else:
            if found is not None:
                self._take(StoreMemberRecord(works=True, member=found.member, voters=found.voters))

    def _take(self, found: StoreMemberRecord) -> None:
        said = self._said
        if said is not None and said.works == found.works:
            self._otherwise = 0
            if not found.works:
                return  # in other words perhaps: no news
        else:
            self._otherwise += 1
            # The first good look of all is as good as any.
            if self._otherwise < LOOKS and not (said is None and found.works):
                return
            self._otherwise = 0
            if not found.works:
                log.warning("the store's member here does not take part: %s", found.detail)
            elif said is not None:
                log.info("the store's member here takes part again")
        self._said = found
        self._publisher.say(keys.store_member(self._site), found)
