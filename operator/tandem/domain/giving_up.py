"""What a lost city gives up, bucket by bucket: the slots that need no room anywhere, and the buckets that need a site.

Another city may be lost as well, and a bucket be on its way between the two, with agents at both. Each session is ended
by its own CTI, and only one city at a time gives a bucket up:

    A and B lost, C is well     b: A>B  ->  b: A>C   where B has nobody of it whom it could release
                                b: A>B  ->  b: B>C   else, by the failover of B, once A's have left

B may not be lost, or not yet, and not be usable either, as for the seconds until it counts as Down. Whoever has entered
it stays in its care, `b: B`: were the bucket another city's, B's CTI would leave them alone, and no failover find them.
"""

from dataclasses import dataclass
from functools import cached_property

from tandem.constants import DOWN_ACK_S
from tandem.domain.decision import Draft
from tandem.domain.finish import arrived
from tandem.domain.placement import Slot
from tandem.domain.selection import FORCED
from tandem.domain.snapshot import FAILOVER, Instant, Placed


@dataclass
class GivingUp:
    """One group at a city that is lost."""

    draft: Draft
    site: str
    group: str
    placed: Placed
    now: Instant

    def at_once(self) -> tuple[dict[int, Slot], list[int]]:
        """Where nobody can be asked."""
        moves: dict[int, Slot] = {}
        lost: list[int] = []
        for bucket, slot in enumerate(self.placed.map.slots):
            if slot.to == self.site:
                # What was on its way there goes back to where it came from, or elsewhere by the failover of that one.
                if not self._is_lost(slot.site):
                    moves[bucket] = Slot(slot.site)
            elif slot.site == self.site:
                if not self._has(slot.to, bucket):
                    lost.append(bucket)
                elif not self._is_lost(slot.to):
                    moves[bucket] = Slot(slot.to)  # its agents have entered there by ticket already
        return moves, lost

    def by_release(self) -> tuple[dict[int, Slot], list[int]]:
        """Where its CTI can be asked to release them."""
        moves: dict[int, Slot] = {}
        lost: list[int] = []
        usable = {site for site in self.placed.map.sites if self._usable(site)}
        late, waits = self._is_late(self.site), not self._acknowledged(self.site)
        for bucket, slot in enumerate(self.placed.map.slots):
            if slot.to == self.site:
                if slot.site in usable:
                    moves[bucket] = Slot(self.site, slot.site)  # it was on its way there: back to where it came from
                elif self._has_left(slot.site, bucket) and (
                    self._has(self.site, bucket) or not self._is_lost(slot.site)
                ):
                    lost.append(bucket)  # with nobody here, it is for the other one's failover to take it elsewhere
            elif slot.site != self.site:
                continue
            elif not slot.to or (slot.to not in usable and self._goes_elsewhere(slot.to, bucket)):
                lost.append(bucket)
            elif not self._is_ordered:
                moves[bucket] = slot  # it is leaving already; now nobody is waited for
            elif late and not self._is_lost(slot.to):
                moves[bucket] = Slot(slot.to)
            elif waits and not late:
                self.draft.wake(self.now.mono + self._patience + 0.001)
        return moves, lost

    def _goes_elsewhere(self, to: str, bucket: int) -> bool:
        """Whether a bucket leaves for another city than this one, which is not usable: nobody of it is there.

        Those who are released already hold tickets for it: they are not turned away for a moment's failure.
        """
        if self._has(to, bucket):
            return False
        return self._is_lost(to) or not self._is_ordered or self._is_late(self.site)

    def _usable(self, site: str) -> bool:
        return self.draft.usability(site, self.placed.record.system).usable

    def _is_lost(self, site: str) -> bool:
        return (site, self.placed.record.system) in self.draft.lost

    @cached_property
    def _is_ordered(self) -> bool:
        """Whether the cities that give up buckets have been told to wait for nobody, by whichever city's failover."""
        return self.placed.record.cause.startswith(FAILOVER) and self.placed.record.drain == FORCED

    @property
    def _patience(self) -> float:
        """Seconds for which they may still take the order."""
        return DOWN_ACK_S - (self.now.mono - self.placed.seen_at)

    def _acknowledged(self, site: str) -> bool:
        report = self.draft.snapshot.group_report(site, self.placed.record.system, self.group)
        return report is not None and report.revision == self.placed.revision

    def _is_late(self, site: str) -> bool:
        return self._is_ordered and self._patience <= 0 and not self._acknowledged(site)

    def _has(self, site: str, bucket: int) -> bool:
        """Whether a city's CTI, if it can be asked, has agents of this bucket to release."""
        lost = self.draft.lost.get((site, self.placed.record.system))
        report = self.draft.snapshot.group_report(site, self.placed.record.system, self.group)
        can_release = lost is None or lost.can_release
        return can_release and report is not None and bool(report.buckets.get(str(bucket)))

    def _has_left(self, site: str, bucket: int) -> bool:
        """Whether nobody is waited for any more at the city that gives it up."""
        lost = self.draft.lost.get((site, self.placed.record.system))
        if lost is not None and (not lost.can_release or self._is_late(site)):
            return True
        return bucket in self._empty

    @cached_property
    def _empty(self) -> dict[int, Slot]:
        return arrived(self.draft.snapshot, self.group, self.placed)
