"""This city's CTI of one system: follow what it says, and keep its maps as the store has them.

    placements (store) -> push -> CTI -> progress -> report (store)

A CTI that has just started (new boot) gets its maps only after a linearizable read: what we remember may be older than
what others have committed, and its door opens by what we say. With the maps goes the number of guests that it may take,
and how important each group is: who comes first when not everybody can come in at once.
"""

import asyncio
import logging
from collections.abc import Mapping

from tandem.constants import PROGRESS_PAUSE_S, PROGRESS_WAIT_S, REPAIR_INTERVAL_S
from tandem.domain import keys
from tandem.domain.guests import guest_capacity
from tandem.domain.records import PlacementRecord
from tandem.domain.snapshot import Placed
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, Clock, CTIAdapter, CTIGroups, DoorWords, StoreError
from tandem.engine.report import Reporter
from tandem.engine.wakeup import Signal

log = logging.getLogger(__name__)

_RETRY_S = 0.2
_LOST_AFTER_S = 2.0
_ASK_AGAIN_S = 30.0


class CTILink:
    def __init__(
        self, site: str, system: str, adapter: CTIAdapter, picture: Picture, reporter: Reporter, clock: Clock
    ) -> None:
        self._site = site
        self._system = system
        self._adapter = adapter
        self._picture = picture
        self._reporter = reporter
        self._clock = clock
        self._boot = ""
        self._confirmed_boot = ""  # the boot that got its maps after a linearizable read
        self._known_boot = ""  # the boot that was asked what it can do
        self._ask_after = 0.0
        self._held: dict[str, int] = {}  # group -> revision that the CTI holds
        self._answered_at = clock.monotonic()
        self._failing = False
        self._refused: dict[str, int] = {}  # group -> revision that it refused: said once, not pushed again
        self._guests: int | None = 0
        """The capacity for guests that this boot was told; a new one knows of none. None: it may have heard it."""
        self._ranked: dict[str, int] = {}  # group -> priority that this boot was told; a new one is told all
        self._to_push: Signal = picture.subscribe(keys.PLACEMENTS, keys.SPECS)
        self._look_again = Signal()

    async def run(self) -> None:
        """Follow and push until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._follow(), name=f"cti-follow-{self._system}")
                tasks.create_task(self._push_for_ever(), name=f"cti-push-{self._system}")
        finally:
            self._picture.unsubscribe(self._to_push)
            self._reporter.cti_lost()

    # -- following

    async def _follow(self) -> None:
        seq = 0
        complete_at = 0.0
        while True:
            if self._clock.monotonic() - complete_at > REPAIR_INTERVAL_S:
                seq = 0
            everything = seq == 0
            try:
                found = await self._adapter.progress(seq, 0.0 if everything else PROGRESS_WAIT_S)
            except AdapterError as error:
                seq = 0
                self._not_answered(error)
                await self._clock.sleep(_RETRY_S)
                continue
            if found.boot != self._boot and not everything:
                seq = 0  # what changed since a sequence number of another boot says nothing
                continue
            if everything:
                complete_at = self._clock.monotonic()
            seq = found.seq
            self._take(found, everything)
            await self._ask_what_it_can()
            # Nobody waits for this while agents move: they are admitted by their tickets.
            await self._look_again.wait(PROGRESS_PAUSE_S)

    def _take(self, found: CTIGroups, everything: bool) -> None:
        self._answered_at = self._clock.monotonic()
        if self._failing:
            self._failing = False
            log.info("the CTI of %s answers again", self._system)
        if found.boot != self._boot:
            log.info("the CTI of %s runs as boot %s", self._system, found.boot)
            self._boot = found.boot
            self._held.clear()
            self._refused.clear()
            self._to_push.give()
        if not found.confirmed and self._confirmed_boot == found.boot:
            self._confirmed_boot = ""
            self._to_push.give()
        for name, group in found.groups.items():
            held = self._held.get(name, 0)
            if group.revision > held or (everything and group.revision < held):
                # Less than it took from us: it has forgotten, push again.
                self._held[name] = group.revision
                if group.revision < held:
                    self._to_push.give()
        self._reporter.cti(found.boot, found.confirmed, found.groups, everything=everything)
        self._reporter.sign_in_rate(found.sign_in_rate)

    async def _ask_what_it_can(self) -> None:
        """Once for each boot: another version may be able to do other things."""
        boot, now = self._boot, self._clock.monotonic()
        if boot == self._known_boot or now < self._ask_after:
            return
        try:
            self._reporter.capabilities(await self._adapter.capabilities())
        except AdapterError as error:
            # One that hangs at this must not hold up what it says of its agents each time.
            self._ask_after = now + _ASK_AGAIN_S
            log.info("the CTI of %s does not say what it can do yet: %s", self._system, error)
        else:
            self._known_boot = boot

    def _not_answered(self, error: AdapterError) -> None:
        if not self._failing:
            self._failing = True
            log.warning("the CTI of %s does not answer: %s", self._system, error)
        if self._clock.monotonic() - self._answered_at > _LOST_AFTER_S and self._boot:
            self._boot = ""
            self._reporter.cti_lost()

    # -- pushing

    async def _push_for_ever(self) -> None:
        while True:
            await self._to_push.wait(REPAIR_INTERVAL_S)
            if not self._boot:
                continue
            try:
                await self._push()
            except AdapterError as error:
                log.warning("pushing maps to the CTI of %s failed: %s", self._system, error)
                await self._clock.sleep(_RETRY_S)
                self._to_push.give()
            except StoreError as error:
                log.warning("cannot confirm the maps for the CTI of %s: %s", self._system, error)
                await self._clock.sleep(_RETRY_S)
                self._to_push.give()

    async def _push(self) -> None:
        boot = self._boot
        new = self._confirmed_boot != boot
        if new:
            await self._picture.refresh()
        due = {name: (placed.revision, placed.record) for name, placed in self._due(everything=new).items()}
        snapshot = self._picture.snapshot
        guests = guest_capacity(snapshot.site(self._site), self._system)
        ranks = self._ranks_to_tell(everything=new)
        if not due and not new and guests == self._guests and not ranks:
            return
        began = self._clock.now()
        # A CTI may remember another number from an earlier boot, so a new one is always told.
        news = guests if new or guests != self._guests else None
        # As of what the picture shows now, and nothing newer has come in since it was read.
        doors = DoorWords(self._picture.revision, ranks, news) if ranks or news is not None else None
        # Until an answer comes it is open what the CTI knows: a lost one may have been carried out.
        for name in ranks:
            self._ranked.pop(name, None)
        if news is not None:
            self._guests = None
        result = await self._adapter.push(boot, due, doors=doors)
        self._say_pushed(due, began)
        if result.wrong_boot:
            # It has restarted since we last heard of it; what it says next brings us back here.
            log.info("the CTI of %s is boot %s now", self._system, result.boot)
            self._boot = self._confirmed_boot = ""
            self._look_again.give()
            return
        if self._boot == boot:
            self._confirmed_boot = boot
            self._guests = guests
            self._ranked = ranks if new else self._ranked | ranks
            for name, revision in result.accepted.items():
                self._held[name] = max(revision, self._held.get(name, 0))
        self._note_refusals(due, result.refused)
        self._look_again.give()

    def _say_pushed(self, due: Mapping[str, tuple[int, PlacementRecord]], began: float) -> None:
        """How long after the commit a map was pushed, and how long that took; commit and push are by two clocks."""
        if due:
            committed = max(record.committed_at for _, record in due.values())
            log.info(
                "pushed %d maps up to revision %d to the CTI of %s, %.0f ms after the commit, in %.0f ms",
                len(due),
                max(revision for revision, _ in due.values()),
                self._system,
                (began - committed) * 1000,
                (self._clock.now() - began) * 1000,
            )

    def _due(self, *, everything: bool) -> dict[str, Placed]:
        """Groups whose map in the store is newer than the one that the CTI holds.

        `everything`: a CTI that has just started may hold this very map from its disk, and yet it is to be confirmed.
        """
        placements = self._picture.snapshot.placements
        own = {name: placed for name, placed in placements.items() if placed.record.system == self._system}
        if everything:
            return own
        return {
            name: placed
            for name, placed in own.items()
            if placed.revision > self._held.get(name, 0) and self._refused.get(name) != placed.revision
        }

    def _ranks_to_tell(self, *, everything: bool) -> dict[str, int]:
        """Priorities of this system's placed groups that the CTI has not been told.

        Of a group whose locations have never agreed since we started nothing is said: the CTI knows what was last.
        """
        snapshot = self._picture.snapshot
        known = {
            name: spec.priority
            for name, placed in snapshot.placements.items()
            if placed.record.system == self._system and (spec := snapshot.group(name)) is not None
        }
        if everything:
            return known
        return {name: priority for name, priority in known.items() if self._ranked.get(name) != priority}

    def _note_refusals(self, due: Mapping[str, tuple[int, PlacementRecord]], refused: Mapping[str, str]) -> None:
        for name, reason in refused.items():
            revision = due[name][0] if name in due else 0
            log.warning("the CTI of %s refuses revision %d of %s: %s", self._system, revision, name, reason)
            self._refused[name] = revision
