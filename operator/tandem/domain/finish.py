"""Finishing: a bucket on its way `A>B` becomes `B` once its old city says that nobody of it is left there.

Buckets that empty before the last one of a group are in no hurry: their agents have entered by ticket, and a commit for
each of them would be pushed, reported and shown in every location while the others are still on their way.

"Says" is the point. The city's report must be there (it is on its engine's lease: none is not an empty one), must
speak of this very map, and must name no session in the bucket. Only then does B's door open for fresh
sign-ins, so at most one door is ever open. Hold does not stop this: buckets already on their way finish.
"""

from tandem.constants import FINISH_INTERVAL_S
from tandem.domain import keys
from tandem.domain.buckets import format_ranges
from tandem.domain.decision import Draft
from tandem.domain.placement import Slot
from tandem.domain.reasons import Reason
from tandem.domain.snapshot import Instant, Placed, Snapshot


def arrived(snapshot: Snapshot, group: str, placed: Placed) -> dict[int, Slot]:
    """Buckets whose old city has emptied them, each with its final slot.

    Only a report of this very map says so: what is newer than the placement was decided in another store, which this
    one has taken the place of.
    """
    system = placed.record.system
    reports = {site: snapshot.group_report(site, system, group) for site in placed.map.sites}
    found: dict[int, Slot] = {}
    for bucket, slot in placed.map.in_transit.items():
        leaving, receiving = reports[slot.site], reports[slot.to]
        if leaving is None or leaving.revision != placed.revision or leaving.buckets.get(str(bucket), 0):
            continue
        # A bucket that was turned back: its old owner may still hand out tickets until it holds the newer map.
        if receiving is not None and receiving.revision != placed.revision:
            continue
        found[bucket] = Slot(slot.to)
    return found


def finish_buckets(draft: Draft, now: Instant) -> None:
    """Finish what has arrived."""
    for group, placed in sorted(draft.snapshot.placements.items(), key=lambda item: item[0]):
        if not placed.map.in_transit or keys.placement(group) in draft.written:
            continue
        # Nothing arrives at a city that is lost as well: its failover has it go on, or it waits.
        there = arrived(draft.snapshot, group, placed)
        done = {b: slot for b, slot in there.items() if (slot.site, placed.record.system) not in draft.lost}
        if not done:
            continue
        placement = placed.map.change(done)
        left = len(placement.in_transit)
        if left and (wait := _rest_of(placed, now)) > 0:
            draft.wake(now.mono + wait)
            continue
        owners = " and ".join(sorted({slot.site for slot in done.values()}))
        sentence = f"{group}: buckets {format_ranges(done)} are empty where they were and now belong to {owners}"
        draft.commit(
            f"AgentGroup {group}",
            Reason.BUCKETS_ARRIVED,
            f"{sentence}; {left} still on their way" if left else sentence,
            {keys.placement(group): draft.stamp(placed.record.model_copy(update={"map": placement.encode()}))},
            (draft.placement(placed, group),),
        )


def _rest_of(placed: Placed, now: Instant) -> float:
    """Seconds until some of a group's buckets may be finished before the others."""
    age = now.wall - placed.record.committed_at
    # Another coordinator's clock that is ahead of ours must not make this wait any longer.
    return FINISH_INTERVAL_S - age if 0 <= age < FINISH_INTERVAL_S else 0.0
