"""Each promise broken on purpose in the real code, and that the simulation finds it.

What breaks inside the session protocol is looked for in `tests/unit/session/test_never_twice.py`, in a smaller world.
`python -m tests.sim.mutations` plays seeds with one mutation after the other until a promise is broken, and prints the
table that docs/simulation.md keeps.
"""

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, fields, replace
from typing import Any, Final
from unittest.mock import patch

from callcenter.cti import app
from callcenter.cti.centre import Centre
from callcenter.session import client, pacing, placements
from callcenter.session.admission import Admission
from callcenter.session.door import Door
from callcenter.session.guests import GuestDoor
from callcenter.session.placements import PlaceAnswer, PlacementBook
from callcenter.session.server import SessionServer
from tandem.domain import (
    abort,
    drills,
    failover,
    finish,
    gather,
    history,
    homecoming,
    keys,
    loss,
    orders,
    plan,
    rescue,
    shifts,
    waves,
    words,
)
from tandem.domain.capacity import Ledger
from tandem.domain.decision import Draft, Premise
from tandem.domain.drill_turn import DrillTurn
from tandem.domain.placement import BucketMap, Slot, fewest_moves, parse_moves
from tandem.domain.schedule import latest_due, next_after
from tandem.domain.snapshot import Heard
from tandem.domain.turn import Turn
from tandem.domain.words import Accusation
from tandem.engine import coordinator, observer
from tandem.engine.coordinator import Coordinator
from tandem.engine.picture import Picture
from tandem.engine.ports import KeyValue
from tandem.probes.prober import NetworkProber
from tandem.store.election import CoordinatorElection
from tests.sim import scenario
from tests.sim.scenario import Outcome, play, theme_of

MOST_SEEDS: Final = 600
"""A mutation that this many seeds do not find is not found."""

Patches = Iterator[Any]


@dataclass(frozen=True)
class Mutation:
    """One rule taken away.

    `breaks`: promises of which one must be seen broken. `themes`: how the themes of the stories begin in which it
    matters; others are not played.
    """

    name: str
    breaks: tuple[str, ...]
    patches: Callable[[], Sequence[Any]]
    themes: tuple[str, ...] = ("",)


_LOSS: Final = loss.loss
_WORDS_ABOUT: Final = words.words_about
_HEARD: Final = gather._heard
_APPLY_LISTING: Final = Picture._apply_listing
NO_PREMISE: Final = Premise("/tandem/v1/coordinator")
_ALL_DRILL: Final = patch.object(scenario, "DRILLS", 1.0)
_ALL_WIDE: Final = patch.object(scenario, "WIDE", 1.0)
_ALL_CROWDED: Final = patch.object(scenario, "CROWDED", 1.0)


def _one_accuser() -> Sequence[Any]:
    def accusation(against: Sequence[Any], receiving: str = "") -> Accusation:
        seen = sorted(word.seen_at for word in against)
        return Accusation(len(seen), bool(seen), seen[0] if seen else 0.0)

    return [patch.object(loss, "accusation", accusation), *_praise_ignored()]


def _heartbeat_ignored() -> Sequence[Any]:
    """Nor is it heard when somebody speaks for the city: its engine is reached, or how could it write?"""
    commit = Draft.commit

    def words_about(*about: Any) -> Any:
        return tuple(word for word in _WORDS_ABOUT(*about) if not word.passes)

    def lost(snapshot: Any, site: str, system: str, mono: float) -> Any:
        beats = {name: beat for name, beat in snapshot.heartbeats.items() if name != site}
        with patch.object(loss, "words_about", words_about):
            return _LOSS(replace(snapshot, heartbeats=beats), site, system, mono)

    def no_heartbeat(self: Draft, subject: str, reason: Any, sentence: str, writes: Any, premises: Any = ()) -> None:
        commit(self, subject, reason, sentence, writes, tuple(p for p in premises if "/heartbeat/" not in p.key))

    return [patch.object(failover, "loss", lost), patch.object(Draft, "commit", no_heartbeat)]


def _not_confirmed() -> Sequence[Any]:
    """The first failure is enough."""

    def lost(snapshot: Any, site: str, system: str, mono: float) -> Any:
        found = _LOSS(snapshot, site, system, mono)
        return None if found is None else replace(found, in_s=0.0)

    def words_about(*about: Any) -> Any:
        return tuple(replace(word, firm=word.fails) for word in _WORDS_ABOUT(*about))

    return [
        patch.object(failover, "loss", lost),
        patch.object(loss, "words_about", words_about),
        patch.object(loss, "is_accused", lambda *about: True),
    ]


@dataclass(frozen=True)
class _Unforgiven(Heard):
    """A word, with when its observer first spoke against it."""

    accused_at: float = 0.0


def _added_up() -> Sequence[Any]:
    """An accusation that was taken back in between counts from the first time, and each failure."""

    def heard(before: Any, new: Any) -> Any:
        found = _HEARD(before, new)
        accused_at = getattr(before, "accused_at", 0.0)
        if found.record.state == "Fail":
            accused_at = accused_at or found.seen_at
            found = replace(found, seen_at=accused_at)
        said = {field.name: getattr(found, field.name) for field in fields(Heard)}
        return _Unforgiven(**said, accused_at=accused_at)

    def words_about(*about: Any) -> Any:
        return tuple(replace(word, firm=word.fails) for word in _WORDS_ABOUT(*about))

    return [
        patch.object(gather, "_heard", heard),
        patch.object(loss, "words_about", words_about),
        patch.object(loss, "is_accused", lambda *about: True),
    ]


def _down_at_once() -> Sequence[Any]:
    """What is only restarted is not waited for."""
    return [patch.object(loss, "DOWN_EXTRA_S", 0.0)]


def _praise_ignored() -> Sequence[Any]:
    def words_about(*about: Any) -> Any:
        return tuple(word for word in _WORDS_ABOUT(*about) if not word.passes)

    return [patch.object(loss, "words_about", words_about)]


def _no_epoch() -> Sequence[Any]:
    """No commit names its reign, and the holder does not stop by itself."""
    return [
        patch.object(Draft, "coordinator", property(lambda self: NO_PREMISE)),
        patch.object(CoordinatorElection, "epoch", lambda self: self._reign),
    ]


def _no_revision() -> Sequence[Any]:
    return [
        patch.object(Draft, "placement", lambda self, placed, group: NO_PREMISE),
        patch.object(Draft, "coordinator", property(lambda self: NO_PREMISE)),
        patch.object(CoordinatorElection, "epoch", lambda self: self._reign),
    ]


def _older_taken() -> Sequence[Any]:
    def take(self: PlacementBook, group: str, placement: Any, *, confirmed: bool, now: float) -> PlaceAnswer:
        held = self._held.get(group)
        self._held[group] = placements._Held(placement, confirmed, self._since(held, placement, now))
        return PlaceAnswer(placement.revision, True, "")

    return [patch.object(PlacementBook, "take", take)]


def _open_at_once() -> Sequence[Any]:
    def why_shut(self: PlacementBook, group: str, now: float) -> str | None:
        return None if group in self._held else "NoPlacement"

    return [patch.object(PlacementBook, "why_shut", why_shut)]


def _no_waiting() -> Sequence[Any]:
    return [patch.object(client._Link, "shadow", property(lambda self: 0.0))]


def _released_in_a_call() -> Sequence[Any]:
    def can_release(self: SessionServer, seat: Any, now: float) -> bool:
        return seat.session is not None and now < seat.session.valid_until and self._leaving(seat)

    return [patch.object(SessionServer, "_can_release", can_release)]


def _finished_unasked() -> Sequence[Any]:
    def arrived(snapshot: Any, group: str, placed: Any) -> dict[int, Slot]:
        return {bucket: Slot(slot.to) for bucket, slot in placed.map.in_transit.items()}

    return [patch.object(finish, "arrived", arrived)]


def _leaving_door_open() -> Sequence[Any]:
    """A leaving bucket lets everybody in again, also when it was said to be empty."""
    return [patch.object(SessionServer, "_finishes_here", lambda self, seat, now: True)]


def _never_finished() -> Sequence[Any]:
    return [patch.object(finish, "arrived", lambda snapshot, group, placed: {})]


def _boundless() -> Sequence[Any]:
    return [patch.object(Ledger, "capacity", lambda self, site, system: 1_000_000)]


def _signed_in_ignored() -> Sequence[Any]:
    """Whoever is signed in, guests too, takes no room; only buckets do."""
    count = Ledger.__init__

    def init(self: Ledger, snapshot: Any) -> None:
        count(self, replace(snapshot, reports={}))

    return [patch.object(Ledger, "__init__", init), _ALL_CROWDED]


def _reserved_ignored() -> Sequence[Any]:
    return [patch.object(Ledger, "reserve_plans", lambda self: None), _ALL_CROWDED]


def _hold_ignored() -> Sequence[Any]:
    places = [plan, failover, waves, abort, orders, homecoming]
    ignored = [patch.object(module, "hold_refusal", lambda snapshot: None) for module in places]
    return [*ignored, patch.object(Draft, "no_hold", property(lambda self: NO_PREMISE))]


def _without_premises(*prefixes: str) -> Sequence[Any]:
    """What is decided on keys under `prefixes` is committed whatever has become of them."""
    commit = Draft.commit

    def blind(self: Draft, subject: str, reason: Any, sentence: str, writes: Any, premises: Any = ()) -> None:
        commit(self, subject, reason, sentence, writes, tuple(p for p in premises if not p.key.startswith(prefixes)))

    return [patch.object(Draft, "commit", blind)]


def _late_hold() -> Sequence[Any]:
    """A hold is seen by who decides, and not by the store."""
    return [patch.object(Draft, "no_hold", property(lambda self: NO_PREMISE))]


def _late_return() -> Sequence[Any]:
    """A failover does not compare what it rests on: words, and the heartbeat that is missing."""
    return _without_premises(keys.HEARTBEATS, keys.OBSERVATIONS)


def _confessions_made_up() -> Sequence[Any]:
    """A city that writes counts as Down when the others find so, whatever it says of itself."""

    def words_about(snapshot: Any, site: str, *about: Any) -> Any:
        said = _WORDS_ABOUT(snapshot, site, *about)
        against = [word for word in said if not word.passes]
        if site not in snapshot.heartbeats or not against:
            return said
        return (*against, replace(against[0], observer=site, failure_domain=f"city-{site}"))

    return [patch.object(loss, "words_about", words_about)]


def _manual_ignored() -> Sequence[Any]:
    return [patch.object(failover._Failover, "_is_manual", lambda self, name: False)]


def _home_at_once() -> Sequence[Any]:
    return [
        patch.object(homecoming, "_stable_since", lambda snapshot, site, system: 0.0),
        patch.object(homecoming, "quarantined", lambda snapshot, site, now: None),
    ]


def _survivors_moved() -> Sequence[Any]:
    real = rescue.rescue

    def of_all(draft: Any, ledger: Any, site: str, *args: Any, **more: Any) -> Any:
        found = real(draft, ledger, site, *args, **more)
        if not isinstance(found, rescue.Rescue):
            return found
        slots = tuple(
            Slot(slot.site, site) if before == slot and not slot.to else slot
            for slot, before in zip(found.after.slots, found.placed.map.slots, strict=True)
        )
        return replace(found, after=BucketMap(slots))

    return [patch.object(failover, "rescue", of_all)]


def _returns_by_itself() -> Sequence[Any]:
    """As soon as a failover has ended, its agents are sent home."""
    real = failover._end

    def end(draft: Draft, site: str, now: Any) -> None:
        before = len(draft.commits)
        real(draft, site, now)
        if len(draft.commits) == before:
            return
        for group, placed in draft.snapshot.placements.items():
            if placed.record.cause.startswith(f"Failover/{site}-"):
                back = {bucket: Slot(slot.site, site) for bucket, slot in enumerate(placed.map.slots) if not slot.to}
                record = placed.record.model_copy(update={"map": placed.map.change(back).encode(), "cause": "Return"})
                draft.commit(
                    group, draft.commits[-1].reason, "home", {f"/tandem/v1/placement/{group}": draft.stamp(record)}
                )

    return [patch.object(failover, "_end", end)]


def _orders_replayed() -> Sequence[Any]:
    """Wanted and actual differ: that is taken for an order."""
    real = orders.handle_orders

    def handle(draft: Draft, ledger: Ledger, now: Any) -> None:
        real(draft, ledger, now)
        for name, group in draft.snapshot.groups.items():
            placed = draft.snapshot.placements.get(name)
            if placed is None or group.spec is None or name in draft.busy or placed.map.in_transit:
                continue
            wanted = {share.site: share.percent for share in group.spec.placement if share.percent}
            if dict(placed.map.end_shares) != wanted and f"/tandem/v1/placement/{name}" not in draft.written:
                orders._changed_order(draft, ledger, name, group, placed, now)

    from tandem.domain import decide

    return [patch.object(decide, "handle_orders", handle)]


def _calls_to_anybody() -> Sequence[Any]:
    return [patch.object(SessionServer, "may_take_call", lambda self, account, now: True)]


def _a_map_ends_sessions() -> Sequence[Any]:
    """A CTI that learns that a bucket is elsewhere now ends its sessions."""
    real = SessionServer._apply

    def apply(self: SessionServer, name: str, placement: Any, now: float, out: list[Any]) -> None:
        real(self, name, placement, now, out)
        for seat in list(self._t.group(name).seated):
            if self._door(seat) is Door.CLOSED and seat.session is not None:
                self._end(seat.session, "Lapsed", out)

    return [patch.object(SessionServer, "_apply", apply)]


def _void_accuses() -> Sequence[Any]:
    """A failed probe counts whatever our own loop did meanwhile, and nothing needs to last."""

    async def failure(self: Any, start: float, detail: str, timeout: float) -> Any:
        from tandem.engine.ports import ProbeResult

        return ProbeResult(ok=False, void=False, seconds=0.0, detail=detail)

    return [patch.object(NetworkProber, "_failure", failure), *_not_confirmed()]


def _shares_restored() -> Sequence[Any]:
    """The way back of a Drill gives each city as much as it had, and not what it had."""

    def restoring(current: BucketMap, home: BucketMap) -> Any:
        return fewest_moves(current, home.end_shares)

    return [patch.object(plan, "restoring_moves", restoring), _ALL_DRILL]


def _left_where_they_are() -> Sequence[Any]:
    """A Drill that is to come back early ends where its agents are, and says so."""
    come_back = drills._come_back

    def stay(turn: DrillTurn) -> None:
        if turn.run.outcome is None:
            come_back(turn)
        else:
            turn.finish(turn.run.outcome, turn.run.reason, "its agents stay")

    return [
        patch.object(drills, "_come_back", stay),
        patch.object(drills, "_abort", lambda turn, shift: None),
        _ALL_DRILL,
    ]


def _over_at_once() -> Sequence[Any]:
    """A Drill is over as soon as its Shift home is planned."""
    come_back = drills._come_back

    def end(turn: DrillTurn) -> None:
        come_back(turn)
        if turn.record.phase == "Back":
            turn.finish("Interrupted", turn.record.reason, "its Shift brings them back")

    return [patch.object(drills, "_come_back", end), _ALL_DRILL]


def _busy_ones_silenced() -> Sequence[Any]:
    """Whoever has a session is as good as anybody else, in a call or not."""

    def impair(self: Centre, drill: str, shares: Any, to: Any, ttl: float, now: float) -> Any:
        waiting = [group for group in self.group_seq if self.calls.waiting(group)]
        return self.server.impair(drill, shares, to, ttl, lambda account: True, now), self._settle([], now, waiting)

    def may_be_silenced(self: SessionServer, seat: Any, to: Any, now: float) -> bool:
        return seat.session is not None and now < seat.session.valid_until and self._door(seat) is Door.OPEN

    return [
        patch.object(Centre, "impair", impair),
        patch.object(SessionServer, "_may_be_silenced", may_be_silenced),
        *_all_rehearse_a_failover(),
    ]


def _silent_ones_rung() -> Sequence[Any]:
    """Calls are offered to agents whom a Drill keeps silent."""

    def may_take_call(self: SessionServer, account: str, now: float) -> bool:
        return self.valid(account, now) and not self._leaving(self._t.seats[account])

    return [patch.object(SessionServer, "may_take_call", may_take_call), *_all_rehearse_a_failover()]


def _all_rehearse_a_failover() -> Sequence[Any]:
    return [_ALL_DRILL, patch.object(scenario, "FAILOVERS", 1.0)]


def _due_again() -> Sequence[Any]:
    """A run that is over takes with it what the record says of times that were dealt with; nobody knows its own."""
    file = DrillTurn._file

    def forget(self: DrillTurn, run: Any) -> None:
        file(self, run)
        if run.started_at:
            self.record = self.record.model_copy(update={"after": self.now.wall - 60.0})

    unknown = patch.object(DrillTurn, "has_run_at", lambda self, due: False)
    return [patch.object(DrillTurn, "_file", forget), unknown, *_all_by_schedule()]


def _no_zones() -> Sequence[Any]:
    """A schedule means UTC, whatever its Drill says."""
    return [
        patch.object(drills, "latest_due", lambda schedule, zone, after, now: latest_due(schedule, "UTC", after, now)),
        patch.object(drills, "next_after", lambda schedule, zone, after: next_after(schedule, "UTC", after)),
        *_all_by_schedule(),
    ]


def _all_by_schedule() -> Sequence[Any]:
    return [_ALL_DRILL, patch.object(scenario, "SCHEDULED", 1.0)]


def _no_conflicts() -> Sequence[Any]:
    return [patch.object(place, "conflict_refusal", lambda *about: None) for place in (plan, shifts)]


def _nobody_given_up() -> Sequence[Any]:
    return [patch.object(failover, "loss", lambda *about: None)]


def _shifts_go_on() -> Sequence[Any]:
    """A failover moves the groups of a Shift and leaves the Shift as it is."""
    return [patch.object(failover._Failover, "_interrupted", lambda self, shift: shift.record)]


def _aborted_beyond() -> Sequence[Any]:
    """An abort brings everybody of the group to where the Shift's agents came from."""

    def to_return(plan: Any, placed: Any, wave: int, under_way: int) -> dict[int, Slot]:
        moved = next(iter(parse_moves(plan.moves).values()))
        slots = enumerate(placed.map.slots)
        return {bucket: Slot(moved.to, moved.site) for bucket, slot in slots if slot.end == moved.to}

    return [patch.object(abort, "_to_return", to_return)]


def _gates_open() -> Sequence[Any]:
    """The next wave begins whatever has become of the one before."""
    return [patch.object(shifts, "first_closed", lambda gates, measured: None)]


def _goes_on_after_a_stall() -> Sequence[Any]:
    """A CTI that stood still for longer than a lease goes on as if nothing was."""
    return [patch.object(app.Cti, "_awake", lambda self: self.now())]


def _blind_accuses() -> Sequence[Any]:
    """An observer that reaches no other location is heard."""
    return [patch.object(observer, "disqualified", lambda engines, before: False)]


def _guests_without_end() -> Sequence[Any]:
    told = GuestDoor.set_capacity

    def set_capacity(self: GuestDoor, capacity: int) -> None:
        told(self, 1_000)

    return [patch.object(GuestDoor, "set_capacity", set_capacity)]


def _all_at_once() -> Sequence[Any]:
    return [patch.object(Admission, "take", lambda self, now, **how: True)]


def _half_a_second_saved_up() -> Sequence[Any]:
    """After a quiet moment half a second's worth is let in at once."""
    return [patch.object(pacing, "BURST_SECONDS", pacing.LATE_SECONDS)]


_LOST: Final = ("disaster", "half")
_MOVED: Final = ("move", "order", "disaster while")


def _arrivals_untold() -> Sequence[Any]:
    decided = history.decided

    def without_arrivals(*about: Any) -> Any:
        return tuple(entry for entry in decided(*about) if entry.action != "BucketsArrived")

    return [patch.object(coordinator, "decided", without_arrivals)]


def _told_before() -> Sequence[Any]:
    """In a transaction of its own: what is refused then has been told, and what is made is told elsewhere."""
    commit, told = Coordinator._commit, Coordinator._told

    async def tell_and_commit(self: Coordinator, batch: Any, snapshot: Any) -> bool:
        await self._store.txn([], told(self, batch, snapshot))
        return await commit(self, batch, snapshot)

    return [
        patch.object(Coordinator, "_commit", tell_and_commit),
        patch.object(Coordinator, "_told", lambda self, batch, snapshot: []),
    ]


def _a_defect() -> Sequence[Any]:
    """A rule fails on what it meets: here once somebody is to come home."""

    def stable_since(*about: Any) -> float:
        raise KeyError("stableFor")

    return [patch.object(homecoming, "_stable_since", stable_since)]


def _one_city_filled() -> Sequence[Any]:
    """Where several cities could share what was lost, the first one gets what it carries, and the others nothing."""

    def spread(room: dict[str, int], wanted: int) -> Iterator[str]:
        first = next(iter(room))
        yield from [first] * min(room[first], wanted)

    return [_ALL_WIDE, patch.object(scenario, "ROOMS", ("half of a city",)), patch.object(rescue, "_spread", spread)]


def _untellable() -> Sequence[Any]:
    """What was decided cannot be put into words."""

    def decided(*about: Any) -> Any:
        raise KeyError("reason")

    return [patch.object(coordinator, "decided", decided)]


def _old_listings_taken() -> Sequence[Any]:
    """A listing that the watch has overtaken brings back what was deleted meanwhile."""

    def apply_listing(picture: Picture, found: Sequence[KeyValue], revision: int) -> None:
        newer = {kv.key: kv for kv in picture.held.values() if kv.mod_revision > revision}
        at = picture.revision
        picture._revision = revision
        _APPLY_LISTING(picture, [*({kv.key: kv for kv in found} | newer).values()], revision)
        picture._revision = max(at, revision)

    return [patch.object(Picture, "_apply_listing", apply_listing)]


def _open(*doors: Door) -> Sequence[Any]:
    """A CTI lets in whoever comes by one of these doors, which its map goes on to show."""
    shown = SessionServer._door

    def door(self: SessionServer, seat: Any) -> Door:
        found = shown(self, seat)
        return Door.OPEN if found in doors else found

    return [patch.object(SessionServer, "_door", door)]


def _no_doors() -> Sequence[Any]:
    return _open(Door.CLOSED, Door.TICKET_ONLY)


def _no_tickets() -> Sequence[Any]:
    """The door of a bucket that is on its way asks nobody for a ticket."""
    return _open(Door.TICKET_ONLY)


def _doors_at_once() -> Sequence[Any]:
    """A planned move gives the bucket to the other city at once, without a way there."""
    real = Turn.place_onto_usable

    def place(self: Turn, group: str, placed: Any, moves: Any, drain_from: Any) -> bool:
        there = {bucket: Slot(slot.to) if slot.to else slot for bucket, slot in moves.items()}
        return real(self, group, placed, there, drain_from)

    return [patch.object(Turn, "place_onto_usable", place)]


def _no_quarantine() -> Sequence[Any]:
    return [patch.object(waves, "quarantined", lambda snapshot, site, now: None)]


def _late_abort() -> Sequence[Any]:
    """An abort is seen by who decides, and not by the store."""
    return _without_premises(keys.SHIFTS)


MUTATIONS: Final[tuple[Mutation, ...]] = (
    Mutation("one accuser is enough, whatever others say", ("NobodyMovedByMistake",), _one_accuser, ("half",)),
    Mutation("neither heartbeat nor praise counts", ("NobodyMovedByMistake",), _heartbeat_ignored, ("faults", "half")),
    Mutation("an accusation need not last", ("NobodyMovedByMistake",), _not_confirmed, ("half",)),
    Mutation("an accusation that was taken back goes on", ("NobodyMovedByMistake",), _added_up, ("half",)),
    Mutation("what is only restarted is given up", ("NobodyMovedByMistake",), _down_at_once, ("disaster",)),
    Mutation("words that speak for a city are not heard", ("NobodyMovedByMistake",), _praise_ignored, ("half",)),
    Mutation("void probes accuse, and need not last", ("NobodyMovedByMistake",), _void_accuses, ("half",)),
    Mutation("commits do not name their reign", ("OneWriter",), _no_epoch, _MOVED),
    Mutation("nor the placement that they change", ("OneWriter", "OneFreshDoor"), _no_revision, _MOVED),
    Mutation("a CTI takes older maps", ("AdmittingRevisionsOnlyGrow",), _older_taken, _MOVED),
    Mutation("a CTI opens with the map of its disk", ("AdmittingRevisionsOnlyGrow", "OneFreshDoor"), _open_at_once),
    Mutation("a client asks elsewhere at once", ("NeverInTwoPlaces",), _no_waiting, _LOST),
    Mutation("agents are released in a call", ("NoCallCut",), _released_in_a_call, _MOVED),
    Mutation("buckets finish without a report", ("BucketsArriveEmpty",), _finished_unasked, _MOVED),
    Mutation("a leaving bucket lets everybody in", ("BucketsArriveEmpty",), _leaving_door_open, _MOVED),
    Mutation("buckets never finish", ("Liveness",), _never_finished, _MOVED),
    Mutation("capacity has no end", ("WithinCapacity",), _boundless),
    Mutation("who is signed in takes no room", ("WithinCapacity",), _signed_in_ignored, ("move",)),
    Mutation("what Shifts may bring takes no room", ("WithinCapacity",), _reserved_ignored, ("move",)),
    Mutation("hold is ignored", ("HoldStopsAllThatIsNew",), _hold_ignored, (*_LOST, *_MOVED)),
    Mutation("a hold in the last moment is not seen", ("HoldStopsAllThatIsNew",), _late_hold, (*_MOVED, *_LOST)),
    Mutation("a city that is back in the last moment", ("NobodyMovedByMistake",), _late_return, ("disaster",)),
    Mutation("a city need not say itself that it is Down", ("NobodyMovedByMistake",), _confessions_made_up, ("half",)),
    Mutation("nobody is asked", ("ManualWaitsForAPerson",), _manual_ignored, ("disaster",)),
    Mutation("they come home before it is stable", ("NobodyMovesUnasked",), _home_at_once, ("disaster",)),
    Mutation("a failover moves survivors", ("SurvivorsStay",), _survivors_moved, _LOST),
    Mutation("agents return by themselves", ("NobodyMovesUnasked",), _returns_by_itself, _LOST),
    Mutation("wanted is not actual: moved", ("NobodyMovesUnasked",), _orders_replayed, (*_LOST, *_MOVED)),
    Mutation("phones ring for anybody", ("CallsOnlyToValidSessions",), _calls_to_anybody),
    Mutation("a newer map ends sessions", ("FailStatic",), _a_map_ends_sessions, ("disaster",)),
    Mutation("no city is ever given up", ("LostCitiesAreLeft",), _nobody_given_up, ("disaster",)),
    Mutation("a lost city's groups go to one city, or stay", ("LostCitiesAreLeft",), _one_city_filled, ("disaster",)),
    Mutation("Shifts go on in an emergency", ("EmergencyEndsShifts",), _shifts_go_on, ("disaster while",)),
    Mutation("an abort brings back who was not moved", ("NobodyMovesUnasked",), _aborted_beyond, ("move",)),
    Mutation("gates are always open", ("GatesKeepWaves",), _gates_open, _MOVED),
    Mutation("a CTI that stood still goes on", ("AdmittingRevisionsOnlyGrow",), _goes_on_after_a_stall),
    Mutation("who reaches nobody accuses", ("NobodyMovedByMistake",), _blind_accuses, ("half",)),
    Mutation("guests have no end", ("GuestsAsManyAsMayCome",), _guests_without_end, ("disaster", "faults", "move")),
    Mutation("arrivals are not told", ("EveryPlacementIsTold",), _arrivals_untold, _MOVED),
    Mutation("a decision is told before it is made", ("EveryPlacementIsTold",), _told_before),
    Mutation("everybody is let in at once", ("PacedSignIns",), _all_at_once, ("disaster",)),
    Mutation("half a second's worth is saved up", ("PacedSignIns",), _half_a_second_saved_up),
    Mutation("a rule has a defect", ("NoDefects",), _a_defect, ("disaster",)),
    Mutation("a decision cannot be told", ("NoDefects",), _untellable),
    Mutation("a Drill brings back shares, not buckets", ("DrillsRestore", "NobodyMovesUnasked"), _shares_restored),
    Mutation("a Drill that comes back early leaves its agents there", ("DrillsRestore",), _left_where_they_are),
    Mutation("a Drill is over before its agents are home", ("DrillsRestore",), _over_at_once),
    Mutation("busy agents are kept silent", ("OnlyIdleAgentsAreSilenced",), _busy_ones_silenced),
    Mutation("agents who are kept silent are rung", ("OnlyIdleAgentsAreSilenced",), _silent_ones_rung),
    Mutation("a Drill is due again and again", ("DrillsRunWhenAsked",), _due_again),
    Mutation("schedules know no time zone", ("DrillsRunWhenAsked", "Liveness"), _no_zones),
    Mutation("two Shifts may have one group", ("OneShiftPerGroup",), _no_conflicts, ("move",)),
    Mutation("doors are open to everybody", ("AdmittedByADoor",), _no_doors, (*_LOST, *_MOVED)),
    Mutation("nobody is asked for a ticket", ("AdmittedByADoor",), _no_tickets, _MOVED),
    Mutation("a planned move has no way, and no end", ("OneFreshDoor",), _doors_at_once, _MOVED),
    Mutation("a failed city has no quarantine", ("NothingIsPlannedOntoAFailedCity",), _no_quarantine, ("disaster",)),
    Mutation("an abort in the last moment is not seen", ("AbortsStopWaves",), _late_abort, ("move",)),
    Mutation("old listings bring back what was deleted", ("PicturesShowTheStore",), _old_listings_taken),
)


@contextmanager
def broken_on_purpose(mutation: Mutation) -> Iterator[None]:
    """The code with this mutation."""
    with ExitStack() as stack:
        for change in mutation.patches():
            stack.enter_context(change)
        yield


def find(number: int, seeds: range) -> tuple[Mutation, Outcome | None, int, set[str]]:
    """Play until the mutation is found. Returns the outcome that found it, seeds played, what else was broken."""
    logging.disable(logging.CRITICAL)
    mutation = MUTATIONS[number]
    others: set[str] = set()
    with broken_on_purpose(mutation):
        played = 0
        for seed in seeds:
            if not theme_of(seed).startswith(mutation.themes):
                continue
            played += 1
            outcome = play(seed)
            if outcome.broken in mutation.breaks:
                return mutation, outcome, played, others
            if outcome.broken:
                others.add(outcome.broken)
    return mutation, None, played, others


def main() -> int:
    """Returns 1 when a mutation was not found."""
    if os.environ.get("PYTHONHASHSEED") != "0":
        again = [sys.executable, "-m", "tests.sim.mutations", *sys.argv[1:]]
        os.execve(sys.executable, again, {**os.environ, "PYTHONHASHSEED": "0"})
    parser = argparse.ArgumentParser(prog="python -m tests.sim.mutations", description=__doc__)
    parser.add_argument("seeds", type=int, nargs="?", default=MOST_SEEDS, help="at most so many for each")
    parser.add_argument("--only", default="", help="those whose name has this in it")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    seeds = range(options.seeds)
    numbers = [number for number, mutation in enumerate(MUTATIONS) if options.only in mutation.name]
    missed = 0
    print("| broken on purpose | found as | by seed | seeds played |\n|---|---|---|---|")
    with ProcessPoolExecutor(options.processes) as pool:
        for mutation, outcome, played, others in pool.map(find, numbers, [seeds] * len(numbers)):
            if outcome is None:
                missed += 1
                print(f"| {mutation.name} | **not found** {sorted(others)} | | {played} |", flush=True)
            else:
                print(f"| {mutation.name} | {outcome.broken} | {outcome.seed} | {played} |", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
