"""The promises of docs/ARCHITECTURE.md, each checked by a class of its name whenever something it speaks of happens.

`Watch` hears what the store applies and what the CTIs do, keeps what was so before, and asks every promise. The truth
about a city (could its engine write, could the others reach it) comes from the faults that were made, never from what
Tandem believes.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from callcenter.session.door import Door
from callcenter.session.events import Gone, Out, Reply, Started
from callcenter.session.messages import Offer
from callcenter.session.placements import UNCONFIRMED_AFTER
from tandem.api.common import duration_seconds
from tandem.api.drill import DrillSpec
from tandem.api.shift import ShiftSpec
from tandem.api.site import HEARTBEAT_MS, Detection
from tandem.constants import DOWN_EXTRA_S, LEASE_KEEPALIVE_S, LEASE_TTL_S
from tandem.domain import keys
from tandem.domain.placement import BucketMap, Slot
from tandem.domain.plan import IN_THE_WAY
from tandem.domain.quarantine import quarantine_s
from tandem.domain.reasons import Reason
from tandem.domain.records import (
    CoordinatorRecord,
    DrillDue,
    DrillRecord,
    DrillRunRecord,
    FailoverRecord,
    HistoryRecord,
    PlacementRecord,
    ShiftRecord,
)
from tandem.engine.ports import Change, KeyValue

if TYPE_CHECKING:
    from tests.sim.cti import SimCti
    from tests.sim.person import Person
    from tests.sim.world import GroupPlan, World

DRILL: Final = "callcenter/rehearsal"
DRILL_NAME: Final = DRILL.partition("/")[2]

BEGUN: Final = frozenset({"Moving", "Verifying", "Aborting"})
"""Phases of a Shift that has moved somebody, and may bring him back."""

LOOK_S: Final = 0.1
"""Seconds between two looks at the truth."""

RECENT_S: Final = 4.0
"""A failover's reasons must have been true within this time before it."""

LONG_S: Final = 9.0

PROBE_S: Final = 1.0
"""Seconds that a probe takes to find out: interval and timeout."""

OVERLOOKED_S: Final = 0.6
"""Seconds for which a city may be well and nobody knows it: the last probe that failed may have begun just before, the
next one begins an interval (0.5 s) later, and its news is a tenth of a second on its way."""

CALL_OVERLOOKED_S: Final = OVERLOOKED_S + 1.0
"""The same where only a synthetic call or sign-in finds anything out: one that began just before has a second."""

STANDS_S: Final = HEARTBEAT_MS / 1000
"""Most seconds for which the last word of somebody who has fallen silent stands."""

BY_CLOCKS: Final = 1.01
"""Clocks run by up to 0.45 % too fast or too slow, and two of them apart."""

SETTLES_S: Final = 0.3
"""Seconds that a look at the truth, and news of it, may be late."""


class BrokenPromiseError(AssertionError):
    """A promise of docs/ARCHITECTURE.md does not hold. `promise`: its name."""

    def __init__(self, promise: str, said: str) -> None:
        super().__init__(f"{promise}: {said}")
        self.promise = promise


@dataclass(frozen=True)
class Commit:
    """One placement as it was committed, and what was so in the store just before."""

    group: str
    before: BucketMap | None
    after: BucketMap
    record: PlacementRecord
    revision: int
    earlier: PlacementRecord | None

    @property
    def changed(self) -> dict[int, tuple[Slot, Slot]]:
        if self.before is None:
            return {}
        return {
            bucket: (old, new)
            for bucket, (old, new) in enumerate(zip(self.before.slots, self.after.slots, strict=True))
            if old != new
        }

    @property
    def started(self) -> dict[int, tuple[Slot, Slot]]:
        """Buckets that begin to move, are turned back or change hands; those that merely arrive left out."""
        return {
            bucket: (old, new) for bucket, (old, new) in self.changed.items() if not (old.to and new == Slot(old.to))
        }

    @property
    def kind(self) -> str:
        return self.record.cause.partition("/")[0]


@dataclass
class Ordered:
    """What people have asked for."""

    shifts: dict[str, ShiftRecord] = field(default_factory=dict)
    aborts: set[str] = field(default_factory=set)
    orders: list[tuple[str, dict[str, int]]] = field(default_factory=list)
    drill: DrillSpec | None = None
    runs: set[str] = field(default_factory=set)
    """Commands to run it, by their ID."""
    due_at: float | None = None
    """The one time, since the epoch, that its schedule has around the story."""
    approved: set[str] = field(default_factory=set)
    """Failovers in which somebody said yes for the groups that are asked about."""


_NOBODY: Final[frozenset[str]] = frozenset()


class Truth(NamedTuple):
    """How a city really was at one moment."""

    at: float
    mute: bool
    """Its engine could not have renewed its lease."""
    unseen: frozenset[str]
    """Locations that could not have reached anything there."""
    lame: frozenset[str]
    """Locations that could not have reached its CTI, or not its softswitch."""
    broken: bool
    """Its CTI or its softswitch did not work, whoever asked."""
    deeply: bool
    """Both answered plain questions meanwhile."""
    dark: frozenset[str]
    """Locations that could neither find anything out nor say it: what they said last stood."""


class Watch:
    """Hears everything and asks every promise."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.ordered = Ordered()
        self.epoch = 0
        self.coordinator = ""
        """Location of whoever reigns, or reigned last."""
        self.held = False
        self.heartbeats: set[str] = set()
        self.placements: dict[str, tuple[int, PlacementRecord, BucketMap]] = {}
        self.failovers: dict[str, FailoverRecord] = {}
        self.ended_at: dict[str, float] = {}
        """When a city's last failover had ended, by the store."""
        self.aborted: set[str] = set()
        """Causes of the Shifts that the store says are to go back."""
        self.history: dict[str, list[Commit]] = {}
        self.begun: list[tuple[str, str, float]] = []
        """Group, cause, and when buckets of it began to move."""
        self.failing: set[str] = set()
        self.truth: dict[str, deque[Truth]] = {city: deque() for city in world.cities}
        self.faulted: dict[str, float] = {}
        promises = [promise(self) for promise in PROMISES]
        self.asked = {event: _askers(promises, event) for event in EVENTS}
        """Event -> what the promises that it matters to have to say to it."""
        self.fail_static = next(promise for promise in promises if isinstance(promise, FailStatic))
        self.within_capacity = next(promise for promise in promises if isinstance(promise, WithinCapacity))
        self.commits: Counter[str] = Counter()
        world.scheduler.after(LOOK_S, self._look)

    # -- what is heard

    def store_applied(self, changes: Sequence[Change]) -> None:
        found = []
        for change in changes:
            if change.key.startswith(keys.PLACEMENTS) and change.value is not None:
                record = PlacementRecord.model_validate_json(change.value.value)
                group = change.key.removeprefix(keys.PLACEMENTS)
                before = self.placements.get(group)
                commit = Commit(
                    group,
                    before[2] if before else None,
                    BucketMap.parse(record.map),
                    record,
                    change.revision,
                    before[1] if before else None,
                )
                found.append(commit)
        for commit in found:
            self._count(commit)
            if commit.started:
                self.begun.append((commit.group, commit.record.cause, self.world.scheduler.now))
            self.history.setdefault(commit.group, []).append(commit)
            for ask in self.asked["committed"]:
                ask(commit)
        for commit in found:
            self.placements[commit.group] = (commit.revision, commit.record, commit.after)
        if found:
            for ask in self.asked["all_committed"]:
                ask(found)
        self._compare_with_history(changes)
        for change in changes:
            self._remember(change)

    def _compare_with_history(self, changes: Sequence[Change]) -> None:
        """What one transaction places, and what its entries in the decision log say of that."""
        placed = [c.key.removeprefix(keys.PLACEMENTS) for c in changes if c.key.startswith(keys.PLACEMENTS)]
        told = [c.value for c in changes if c.value is not None and c.key.startswith(keys.HISTORY)]
        if placed or told:
            for ask in self.asked["told"]:
                ask(placed, told)

    def onward(self, commit: Commit, cause: str) -> dict[int, tuple[Slot, Slot]]:
        """What a commit starts that does not go back to where the first commit of a cause has found it."""
        found = next((known.before for known in self.history[commit.group] if known.record.cause == cause), None)
        return {
            bucket: (old, new)
            for bucket, (old, new) in commit.started.items()
            if found is None or found.slots[bucket].end != new.end
        }

    def _count(self, commit: Commit) -> None:
        kind = "First" if commit.before is None else "Arrived"
        if commit.before is not None and (commit.started or _failed_over(commit) is not None):
            kind = commit.kind
            if kind == "Failover" and commit.record.cause.partition("/")[2].rpartition("-")[0] in self.heartbeats:
                self.world.stats["commits by which a city that is Down fails over"] += 1
        self.commits[kind] += 1
        self.world.note(f"commit {commit.revision} {commit.group} {kind} {commit.record.cause} {commit.record.map}")

    def _remember(self, change: Change) -> None:
        key, value = change.key, change.value
        if key == keys.COORDINATOR:
            self.epoch = value.create_revision if value else 0
            if value is not None:
                self.coordinator = CoordinatorRecord.model_validate_json(value.value).site
            self.world.note(f"coordinator {value.value.decode() if value else 'gone'}")
        elif key == keys.HOLD:
            self.held = value is not None
        elif key.startswith(keys.DRILLS) and value is not None:
            record = DrillRecord.model_validate_json(value.value)
            self.world.note(f"{key} {record.phase} {record.reason}")
            for ask in self.asked["drilled"]:
                ask(record)
        elif key.startswith(keys.HEARTBEATS):
            site = key.removeprefix(keys.HEARTBEATS)
            (self.heartbeats.discard if value is None else self.heartbeats.add)(site)
            self.world.note(f"heartbeat {site} {'gone' if value is None else 'there'}")
        elif key.startswith((keys.SHIFTS, keys.FAILOVERS)) and value is not None:
            self.world.note(f"{key} {_phase(value.value)}")
            if key.startswith(keys.SHIFTS):
                if ShiftRecord.model_validate_json(value.value).spec.abort:
                    self.aborted.add(f"Shift/{key.rpartition('/')[2]}")
            else:
                self._failover(key.removeprefix(keys.FAILOVERS), FailoverRecord.model_validate_json(value.value))

    def _failover(self, site: str, record: FailoverRecord) -> None:
        before = self.failovers.get(site, FailoverRecord())
        self.failovers[site] = record
        if record.state == "Ended" and (before.number, before.state) != (record.number, "Ended"):
            self.ended_at[site] = self.world.scheduler.now
        known = before.systems if before.number == record.number else ()
        fresh = sorted(set(record.systems) - set(known))
        if record.state == "Active" and fresh:
            for ask in self.asked["lost"]:
                ask(site, fresh)

    def silenced(self, cti: "SimCti", accounts: Sequence[str]) -> None:
        """A CTI has chosen agents whom a Drill keeps silent."""
        for account in accounts:
            self.befell(account)
        for ask in self.asked["silenced"]:
            ask(cti, accounts)

    def cti_outs(self, cti: "SimCti", outs: Iterable[Out], now: float) -> None:
        for out in outs:
            if isinstance(out, Started | Gone):
                for ask in self.asked["session"]:
                    ask(cti, out, now)
            elif isinstance(out, Reply) and type(out.frame) is Offer:
                for ask in self.asked["offered"]:
                    ask(cti, now)

    def cti_placed(self, cti: "SimCti") -> None:
        for ask in self.asked["placed"]:
            ask(cti)

    def cti_started(self, cti: "SimCti") -> None:
        self.world.note(f"CTI {cti.site} starts as {cti.centre.server.boot}")

    def pong(self, cti: "SimCti", person: "Person") -> None:
        for ask in self.asked["pong"]:
            ask(cti, person)

    def word_to_switch(self, cti: "SimCti", word: Mapping[str, Any]) -> None:
        for ask in self.asked["word"]:
            ask(cti, word)

    def befell(self, account: str) -> None:
        self.fail_static.befell(account)

    # -- the truth

    def _look(self) -> None:
        world = self.world
        well = world.network.well
        mute = {place: self._mute(place) for place in world.engines}
        dark = frozenset(place for place, is_mute in mute.items() if is_mute)
        for city in world.cities:
            known = self.truth[city]
            broken = not all(self._work(city))
            if well and not broken:
                unseen = lame = _NOBODY
            else:
                unseen, lame = (frozenset(self._unseen(city, wholly=wholly)) for wholly in (True, False))
            deeply = broken and self._answer(city)
            known.append(Truth(world.scheduler.now, mute[city], unseen, lame, broken, deeply, dark))
            while known[0].at < world.scheduler.now - LONG_S:
                known.popleft()
        for ask in self.asked["looked"]:
            ask()
        world.scheduler.after(LOOK_S, self._look)

    def _work(self, city: str) -> tuple[bool, bool]:
        """Whether its CTI and its softswitch do what they are for."""
        cti, switch = self.world.ctis[city], self.world.switches[city]
        return cti.process.serves and cti.signs_in, switch.process.serves and switch.takes_calls

    def _answer(self, city: str) -> bool:
        """Whether its CTI and its softswitch answer plain questions."""
        return self.world.ctis[city].process.serves and self.world.switches[city].process.serves

    def _mute(self, city: str) -> bool:
        world = self.world
        if not world.engines[city].process.serves:
            return True
        cluster, network = world.cluster, world.network
        if network.slow or network.late > 0.02 or not all(network.both(city, place) for place in cluster.members):
            return True
        return not any(member.serves and cluster.serves(place) for place, member in cluster.members.items())

    def _unseen(self, city: str, *, wholly: bool) -> Iterable[str]:
        """Locations that reach nothing there (`wholly`), or not all that agents need."""
        world = self.world
        answers = [part.process.serves for part in (world.ctis[city], world.switches[city], world.engines[city])]
        serves = any(answers) if wholly else all(self._work(city))
        for place in world.engines:
            slow = world.network.slow[city, place] or world.network.slow[place, city] or world.network.late > 0.02
            unanswered = slow or (world.network.filtered[place, city] and not self._blind(place))
            if place != city and (not serves or unanswered or not world.network.both(city, place)):
                yield place

    def _blind(self, place: str) -> bool:
        """Whether nothing at all answers the probes of a place: the fault may be its own, and it accuses nobody."""
        return all(self.world.network.filtered[place, other] for other in self.world.engines if other != place)


def _phase(value: bytes) -> str:
    text = value.decode()
    start = text.find('"phase":"')
    start = start if start >= 0 else text.find('"state":"')
    return text[start : start + 30] if start >= 0 else ""


class Promise:
    """Asked whenever something happens; raises BrokenPromiseError."""

    name = ""

    def __init__(self, watch: Watch) -> None:
        self.watch = watch
        self.world = watch.world

    def committed(self, commit: Commit) -> None: ...
    def drilled(self, record: DrillRecord) -> None: ...
    def lost(self, site: str, systems: Iterable[str]) -> None: ...
    def all_committed(self, commits: Sequence[Commit]) -> None: ...
    def told(self, placed: Sequence[str], told: Sequence[KeyValue]) -> None: ...
    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None: ...
    def offered(self, cti: "SimCti", now: float) -> None: ...
    def placed(self, cti: "SimCti") -> None: ...
    def pong(self, cti: "SimCti", person: "Person") -> None: ...
    def word(self, cti: "SimCti", word: Mapping[str, Any]) -> None: ...
    def silenced(self, cti: "SimCti", accounts: Sequence[str]) -> None: ...
    def looked(self) -> None: ...

    def broken(self, said: str) -> BrokenPromiseError:
        error = BrokenPromiseError(self.name, said)
        self.world.scheduler.stopped_by = error
        return error


class OneWriter(Promise):
    """1. A placement commits only in the reign that decided it, and epochs and revisions only grow."""

    name = "OneWriter"

    def committed(self, commit: Commit) -> None:
        if commit.record.epoch != self.watch.epoch:
            raise self.broken(
                f"revision {commit.revision} of {commit.group} was decided in epoch {commit.record.epoch} and applied "
                f"in epoch {self.watch.epoch}"
            )
        if commit.earlier is not None and commit.record.epoch < commit.earlier.epoch:
            raise self.broken(f"{commit.group}: epoch {commit.record.epoch} after {commit.earlier.epoch}")
        # Decided on what was there: a bucket that nobody gave away in between is where this commit found it.
        for bucket, (old, new) in commit.changed.items():
            if new.to and new.site not in (old.site, old.to):
                raise self.broken(f"{commit.group}: bucket {bucket} was {old} and is said to leave {new.site}")


class AdmittingRevisionsOnlyGrow(Promise):
    """2. A CTI admits by a confirmed map only if it never admitted by a newer one, restarts included."""

    name = "AdmittingRevisionsOnlyGrow"

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._admitted: dict[tuple[str, str], int] = {}
        self._held: dict[tuple[str, str, str], int] = {}

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        if not isinstance(out, Started):
            return
        book = cti.centre.server.book
        placement = book.get(out.member.group)
        if placement is None:
            raise self.broken(f"{cti.site} admits {out.member.account} without a map of {out.member.group}")
        if not book.confirmed(out.member.group):
            if book.why_shut(out.member.group, now) is not None or now < book.boot_at + UNCONFIRMED_AFTER:
                raise self.broken(f"{cti.site} admits {out.member.account} before its engine has confirmed a map")
            return  # by the map of its disk, after ten seconds without an engine
        still = cti.process.stood_still[-1] if cti.process.stood_still else (0.0, 0.0)
        forgot = still[1] - still[0] > cti.config.timing.lease and cti.confirmed_by < cti.process.true(still[1])
        if forgot and out.from_ is None and now < still[1] + UNCONFIRMED_AFTER:
            raise self.broken(
                f"{cti.site} stood still for {still[1] - still[0]:.1f} s and admits {out.member.account} before its "
                "engine has confirmed a map again"
            )
        about = (cti.site, out.member.group)
        if placement.revision < self._admitted.get(about, 0):
            raise self.broken(
                f"{cti.site} admits {out.member.account} by revision {placement.revision} after {self._admitted[about]}"
            )
        self._admitted[about] = placement.revision

    def placed(self, cti: "SimCti") -> None:
        server = cti.centre.server
        for group, placement in server.book.all().items():
            about = (cti.site, server.boot, group)
            if placement.revision < self._held.get(about, 0):
                raise self.broken(
                    f"{cti.site} takes revision {placement.revision} of {group} after {self._held[about]}"
                )
            self._held[about] = placement.revision


class AdmittedByADoor(Promise):
    """5. Whoever begins a session comes by a door that is open to him, from the other city, or as a guest.

    Whoever has come from there and has been nowhere else since may come again while his bucket is on its way.
    """

    name = "AdmittedByADoor"

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._came_to: dict[str, str] = {}
        """Account -> city to which it was released, or brought a ticket, if it has entered no other one since."""

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        if not isinstance(out, Started) or out.member.is_test:
            return
        server, member = cti.centre.server, out.member
        session = server._t.seats[member.account].session
        if out.from_ is not None or (session is not None and session.ticket):
            self._came_to[member.account] = cti.site
            return
        came_to = self._came_to.get(member.account)
        if came_to != cti.site:
            self._came_to.pop(member.account, None)
        door = server.book.door(member.group, member.bucket)
        shut = door is Door.CLOSED or (door is Door.TICKET_ONLY and came_to != cti.site)
        if shut and not server.guests.is_guest(member.account):
            raise self.broken(
                f"{cti.site} lets {member.account} in, whose door there is {door.name}, and he has no ticket"
            )


class NeverInTwoPlaces(Promise):
    """5. No two cities count a session of one client at one moment of true time."""

    name = "NeverInTwoPlaces"

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        if isinstance(out, Started):
            self._look(cti, out.member.account)

    def pong(self, cti: "SimCti", person: "Person") -> None:
        self._look(cti, person.account)

    def _look(self, cti: "SimCti", account: str) -> None:
        for other in self.world.ctis.values():
            alive = other is not cti and other.process.alive
            if not alive or not other.centre.server.valid(account, other.process.monotonic()):
                continue
            here = cti.centre.server
            seat = here._t.seats.get(account)
            begins = seat is not None and seat.offer is not None and seat.offer.real
            if begins or here.valid(account, cti.process.monotonic()):
                raise self.broken(f"{account} has a session in {cti.site} and in {other.site}")


class OneFreshDoor(Promise):
    """6. A bucket has a fresh door in one city at most, except while its lost city has not heard of the failover."""

    name = "OneFreshDoor"

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._looked_at = 0.0
        self._told: dict[tuple[str, str], int] = {}
        """(city, group) -> newest revision that its CTI has confirmed in any boot."""

    def placed(self, cti: "SimCti") -> None:
        book = cti.centre.server.book
        for group, placement in book.all().items():
            if book.confirmed(group):
                self._told[cti.site, group] = max(placement.revision, self._told.get((cti.site, group), 0))
        self._look()

    def looked(self) -> None:
        if self.world.scheduler.now >= self._looked_at + 0.5:
            self._looked_at = self.world.scheduler.now
            self._look()

    def _look(self) -> None:
        awake = [cti for cti in self.world.ctis.values() if cti.process.alive and not self._asleep(cti)]
        for ctis in combinations(awake, 2):
            self._compare(ctis)

    def _compare(self, ctis: tuple["SimCti", "SimCti"]) -> None:
        for group in self.watch.placements:
            a, b = (cti.centre.server.book.get(group) for cti in ctis)
            if a is None or b is None or a.revision == b.revision or a.places == b.places:
                continue
            if any(self._shut(cti, group) for cti in ctis):
                continue
            older, newer = (0, 1) if a.revision < b.revision else (1, 0)
            revisions = (a.revision, b.revision)
            for bucket in range(100):
                doors = [cti.centre.server.book.door(group, bucket) for cti in ctis]
                if doors[0] is Door.OPEN is doors[1]:
                    self._judge(ctis[older], group, bucket, revisions[older], ctis[newer].site)

    def _judge(self, older: "SimCti", group: str, bucket: int, revision: int, newer: str) -> None:
        if not older.centre.server.book.confirmed(group):
            self.world.stats["doors open by an unconfirmed map"] += 1
            return
        lost = f"Failover/{older.site}-"
        failed_over = any(c.revision > revision and c.record.cause.startswith(lost) for c in self.watch.history[group])
        # A lost city may not have heard of it. Once its CTI has confirmed anything newer, it has.
        if failed_over and self._told.get((older.site, group), 0) <= revision:
            return
        raise self.broken(
            f"bucket {bucket} of {group} has a fresh door in {older.site} (revision {revision}) and in {newer}"
        )

    @staticmethod
    def _shut(cti: "SimCti", group: str) -> bool:
        return cti.centre.server.book.why_shut(group, cti.process.monotonic()) is not None

    @staticmethod
    def _asleep(cti: "SimCti") -> bool:
        """Whether it would shut its doors before it does anything else."""
        return cti.process.monotonic() - cti._alive_at > cti.config.timing.lease


class BucketsArriveEmpty(Promise):
    """6. A bucket that arrives has nobody left where it was, and nobody comes back: nobody would release him any more.

    A city that is lost may have: its sessions live on, and its CTI is asked no more.
    """

    name = "BucketsArriveEmpty"

    def committed(self, commit: Commit) -> None:
        if _failed_over(commit) is not None:
            return
        for cti in self.world.ctis.values():
            came = {
                bucket
                for bucket, (old, new) in commit.changed.items()
                if old.to and old.site == cti.site and new == Slot(old.to)
            }
            group = cti.centre.server._t.groups.get(commit.group)
            if not came or group is None or not cti.process.alive:
                continue
            now = cti.process.monotonic()
            stay = [
                seat.member.account
                for seat in group.seated
                if seat.member.bucket in came and cti.centre.server.valid(seat.member.account, now)
            ]
            if stay:
                raise self.broken(f"{commit.revision}: buckets of {commit.group} leave {stay} behind in {cti.site}")

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        placed = self.watch.placements.get(out.member.group)
        if not isinstance(out, Started) or placed is None:
            return
        _, record, map_ = placed
        slot = map_.slots[out.member.bucket]
        leaves = cti.centre.server.book.door(out.member.group, out.member.bucket) is Door.LEAVING
        if leaves and not slot.to and slot.site != cti.site and not record.cause.startswith(f"Failover/{cti.site}-"):
            raise self.broken(f"{out.member.account} comes back to {cti.site}, and its bucket is {slot.site}'s")


class SurvivorsStay(Promise):
    """7. A failover moves only what was at the lost city, or on its way there."""

    name = "SurvivorsStay"

    def committed(self, commit: Commit) -> None:
        site = _failed_over(commit)
        if site is None:
            return
        writes = site in self.watch.heartbeats  # Down: its own CTI may be asked to release
        for bucket, (old, new) in commit.changed.items():
            stays = (new.site == site or new.to) and not (writes and new.site == site and new.to)
            if site not in (old.site, old.to) or stays:
                raise self.broken(f"failover of {site} turns bucket {bucket} of {commit.group} from {old} into {new}")


class NoCallCut(Promise):
    """8. Nobody is released in the middle of a call, unless that was asked for."""

    name = "NoCallCut"

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        if not isinstance(out, Gone) or out.reason != "Released":
            return
        person = self.world.people[out.member.account]
        call = person.talks
        if call is None or self.world.switches[cti.site].calls.get(call.id) is not call:
            return
        placement = cti.centre.server.book.get(out.member.group)
        if placement is None or placement.drain.on_deadline != "Force":
            raise self.broken(f"{cti.site} releases {person.account} in the middle of {call.id}")


class WithinCapacity(Promise):
    """9. No commit gives a city more agents than it carries: signed in there, guests too, committed and reserved.

    Of each group the most of the three counts: its guests may be the very agents whose buckets come. In an emergency
    they are, so what fails over counts by its buckets; and what other Shifts have asked for comes later.
    """

    name = "WithinCapacity"

    KNOWN_S: Final = 1.5
    """Seconds after which the coordinator knows who is signed in: a report waits for up to 0.5 s, the question for it
    for 0.25 s, and a decision that was made on the one before may be refused once and made again."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._seen: deque[tuple[float, dict[tuple[str, str], int]]] = deque()

    def looked(self) -> None:
        now = self.world.scheduler.now
        alive = [cti for cti in self.world.ctis.values() if cti.process.alive]
        groups = [group.name for group in self.world.setting.groups]
        self._seen.append(
            (now, {(cti.site, group): cti.centre.server.count(group).signed_in for cti in alive for group in groups})
        )
        while self._seen[0][0] < now - self.KNOWN_S:
            self._seen.popleft()

    def all_committed(self, commits: Sequence[Commit]) -> None:
        for site, capacity in self.world.setting.capacity.items():
            growing = [commit for commit in commits if _touches(commit.after, site) > _touches(commit.before, site)]
            if not growing:
                continue
            rescued = {commit.group for commit in growing if _failed_over(commit) is not None}
            loads = {
                group.name: self._load(site, group, emergency=group.name in rescued)
                for group in self.world.setting.groups
            }
            if sum(loads.values()) > capacity:
                raise self.broken(f"{site} carries {capacity} agents and is given {loads}")

    def room(self, site: str, rescued: Container[str]) -> int:
        """Agents of groups to be rescued whom a city can take beside all that it may have to carry."""
        setting = self.world.setting
        loads = sum(self._load(site, group, emergency=group.name in rescued) for group in setting.groups)
        return max(setting.capacity[site] - loads, 0)

    def _load(self, site: str, group: "GroupPlan", *, emergency: bool) -> int:
        committed = (
            self._agents(group, self.watch.placements[group.name][2], site)
            if group.name in self.watch.placements
            else 0
        )
        if emergency:
            return committed
        return max(committed, self._reserved(site, group), self._signed_in(site, group.name))

    def _signed_in(self, site: str, group: str) -> int:
        """Who has been there for long enough to be known; nobody while those who would tell or hear it cannot."""
        since = self.world.scheduler.now - self.KNOWN_S
        tell = {site, self.watch.coordinator}
        if any(tell & look.dark for look in self.watch.truth[site] if look.at >= since):
            return 0
        return min((signed_in.get((site, group), 0) for _, signed_in in self._seen), default=0)

    def _reserved(self, site: str, group: "GroupPlan") -> int:
        """What Shifts that have begun may still bring, or bring back."""
        found = 0
        for kv in self.world.cluster.range(keys.SHIFTS)[0]:
            shift = ShiftRecord.model_validate_json(kv.value)
            for plan in shift.plan if shift.phase in BEGUN else ():
                if plan.group == group.name:
                    maps = (BucketMap.parse(plan.before), BucketMap.parse(plan.after))
                    found = max(found, *(self._agents(group, planned, site) for planned in maps))
        return found

    @staticmethod
    def _agents(group: "GroupPlan", placed: BucketMap, site: str) -> int:
        return math.ceil(_touches(placed, site) * group.agents / 100)


def _touches(placed: BucketMap | None, site: str) -> int:
    """Buckets that are at a site, on their way there, or on their way from there."""
    return placed.touched_shares.get(site, 0) if placed is not None else 0


class HoldStopsAllThatIsNew(Promise):
    """13. While held no wave, failover or return starts; what is on its way arrives."""

    name = "HoldStopsAllThatIsNew"

    def committed(self, commit: Commit) -> None:
        new = commit.started or commit.before is None or _failed_over(commit) is not None
        if self.watch.held and new:
            raise self.broken(f"revision {commit.revision} of {commit.group} ({commit.record.cause}) starts while held")


class NobodyMovesUnasked(Promise):
    """10, 11. Every move has an order, a Shift or a lost city behind it: no return by itself, nothing replayed."""

    name = "NobodyMovesUnasked"

    def committed(self, commit: Commit) -> None:
        if commit.before is None or not commit.started or _failed_over(commit) is not None:
            return
        cause, _, name = commit.record.cause.partition("/")
        targets = {new.end for _, new in commit.started.values()}
        if cause == "Shift" and name.startswith(f"{commit.group.rpartition('/')[2]}-home-"):
            self._comes_home(commit, targets)
        elif cause == "Shift":
            shift = self.watch.ordered.shifts.get(name)
            if shift is None:
                raise self.broken(f"{commit.group} is moved by Shift {name}, which nobody asked for")
            if not targets <= self._meant(shift.spec):
                if name not in self.watch.ordered.aborts and not self._may_have_lost_patience(commit, shift):
                    raise self.broken(f"{commit.group} is moved to {targets} by Shift {name} to {shift.spec.goal}")
                self._only_back(commit, commit.record.cause)
        elif cause == "Drill":
            self._rehearses(commit, targets)
        elif cause == "Order":
            wanted = [order for group, order in self.watch.ordered.orders if group == commit.group]
            if not wanted or not all(any(order.get(to) for order in wanted) for to in targets):
                raise self.broken(f"{commit.group} is moved to {targets} by an order that nobody gave: {wanted}")
            self._once(commit, len(wanted))
        else:
            raise self.broken(f"{commit.group} is moved because of {commit.record.cause}")

    def _may_have_lost_patience(self, commit: Commit, shift: ShiftRecord) -> bool:
        """Whether one of its gates may have been closed for as long as it says."""
        spec = shift.spec
        if len(spec.waves) < 2 or spec.gates.after_patience != "Abort":
            return False
        begun = min(began for group, cause, began in self.watch.begun if cause == commit.record.cause)
        return self.world.scheduler.now > begun + duration_seconds(spec.gates.patience)

    def _meant(self, spec: ShiftSpec) -> set[str]:
        """Cities to which a Shift may take anybody."""
        if spec.evacuate:
            return set(self.world.cities) - {spec.evacuate}
        return {spec.to} if spec.to else {share.site for share in spec.placement if share.percent}

    def _rehearses(self, commit: Commit, targets: set[str]) -> None:
        """A Drill takes its groups out as it says, and back to where they were."""
        ordered = self.watch.ordered.drill
        if ordered is None:
            raise self.broken(f"{commit.group} is moved by {commit.record.cause}, which nobody asked for")
        lost = ordered.failover.site if ordered.failover is not None else ""
        goals = {ordered.shift.to} if not lost else set(self.world.cities) - {lost}
        if commit.record.cause.endswith("-out") and targets <= goals:
            if lost:
                self.world.stats["buckets' ways out by a rehearsed failover"] += 1
            return
        self._only_back(commit, commit.record.cause.removesuffix("-back").removesuffix("-out") + "-out")

    def _only_back(self, commit: Commit, cause: str) -> None:
        """What is brought back goes to where `cause` has found it."""
        for bucket, (_, new) in self.watch.onward(commit, cause).items():
            raise self.broken(f"{commit.record.cause} brings bucket {bucket} back to {new.end}, from nowhere")

    def _once(self, commit: Commit, orders: int) -> None:
        """An order that another cause has overridden is over: the manifest may be applied as often as anybody likes."""
        causes = [earlier.kind for earlier in self.watch.history[commit.group] if earlier.started]
        begun = sum(1 for before, now in pairwise(["", *causes]) if now == "Order" != before)
        if begun > orders:
            raise self.broken(f"{commit.group} is moved for the {begun}. time by {orders} orders")

    def _comes_home(self, commit: Commit, targets: set[str]) -> None:
        """10. Only who asks for it, to where it was ordered, and when the city has been well all the while."""
        plan = next(group for group in self.world.setting.groups if group.name == commit.group)
        orders: list[Mapping[str, int]] = [order for name, order in self.watch.ordered.orders if name == commit.group]
        wanted = orders or [plan.placement]
        if plan.more.get("return", {}).get("mode") != "Automatic":
            raise self.broken(f"{commit.group} returns, and nobody asked for that")
        if not all(any(order.get(to) for order in wanted) for to in targets):
            raise self.broken(f"{commit.group} returns to {targets}, which nobody ordered: {wanted}")
        self.world.stats["ways home begun"] += 1
        before = self.watch.history[commit.group][-2] if len(self.watch.history[commit.group]) > 1 else None
        if before is None or before.kind != "Failover":
            return  # a later wave, or an abort
        stable_s = float(plan.more["return"]["stableFor"].removesuffix("s"))
        now = self.world.scheduler.now
        for site in targets:
            ill = _last_illness(self.watch.truth[site])
            if ill > now - stable_s + SETTLES_S:
                raise self.broken(f"{commit.group} returns to {site}, which was lost {now - ill:.1f} s ago")


def _last_illness(looks: Iterable[Truth]) -> float:
    """When a city was last gone for as long as a probe takes to find out; a link that flaps faster shows in none."""
    last, since = -math.inf, math.inf
    for look in looks:
        since = min(since, look.at) if look.mute and look.unseen else math.inf
        if look.at - since >= PROBE_S:
            last = look.at
    return last


class NothingIsPlannedOntoAFailedCity(Promise):
    """10. No Shift, order or Drill takes anybody to a city that has failed before its quarantine is over.

    What goes back goes to where it was, whatever became of that.
    """

    name = "NothingIsPlannedOntoAFailedCity"

    def committed(self, commit: Commit) -> None:
        if commit.before is None or commit.kind == "Failover" or commit.record.cause.endswith("-back"):
            return
        for site in sorted({new.end for _, new in self.watch.onward(commit, commit.record.cause).values()}):
            self._judge(commit, site)

    def _judge(self, commit: Commit, site: str) -> None:
        record = self.watch.failovers.get(site)
        if record is None or not record.number:
            return
        since = self.world.scheduler.now - self.watch.ended_at.get(site, -math.inf)
        if record.state == "Active" or since < quarantine_s(record) / BY_CLOCKS:
            state = "is failed over" if record.state == "Active" else f"came back {since:.1f} s ago"
            raise self.broken(f"{commit.record.cause} takes {commit.group} to {site}, which {state}")


class AbortsStopWaves(Promise):
    """1. A Shift that the store says is to go back takes nobody on: its commits are guarded by what it was then."""

    name = "AbortsStopWaves"

    def committed(self, commit: Commit) -> None:
        if commit.record.cause not in self.watch.aborted:
            return
        for bucket, (old, new) in self.watch.onward(commit, commit.record.cause).items():
            raise self.broken(f"{commit.record.cause} is aborted and takes bucket {bucket} from {old} to {new.end}")


class OnlyIdleAgentsAreSilenced(Promise):
    """Who hears nothing of a city for a Drill's sake works there, is idle, and is not rung meanwhile."""

    name = "OnlyIdleAgentsAreSilenced"

    def silenced(self, cti: "SimCti", accounts: Sequence[str]) -> None:
        drill = self.watch.ordered.drill
        for account in accounts:
            self.world.stats["agents kept silent"] += 1
            person = self.world.people[account]
            if drill is None or drill.failover is None or drill.failover.site != cti.site:
                raise self.broken(f"{account} hears nothing of {cti.site}, and no Drill asks for that")
            if cti.centre.agents.state(account) != "available" or person.talks is not None:
                raise self.broken(f"{account} hears nothing of {cti.site} while {cti.centre.agents.state(account)}")
            if not cti.centre.server.valid(account, cti.process.monotonic()):
                raise self.broken(f"{account} hears nothing of {cti.site}, and does not work there")

    def word(self, cti: "SimCti", word: Mapping[str, Any]) -> None:
        if word.get("a") != "ring":
            return
        account = cti.centre.agents.by_extension(str(word.get("ext")))
        if account is not None and cti.centre.server._silence.covers(account, cti.process.monotonic()):
            seat = cti.centre.server._t.seats[account]
            if cti.centre.server._silent(seat, cti.process.monotonic()):
                raise self.broken(f"{account} is rung by {cti.site}, of which a Drill lets nothing be heard")


@dataclass
class _Sent:
    """An agent whom a CTI has released with a bucket that leaves."""

    to: str
    at: float
    arrived: bool = False


class GatesKeepWaves(Promise):
    """A wave of a Shift begins when enough of those whom the wave before it released are signed in at the target."""

    name = "GatesKeepWaves"

    JUST_NOW_S: Final = 2.0
    """Whoever left so short a time ago may not have been counted yet when the wave was decided."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._sent: dict[str, _Sent] = {}
        self._waves: dict[str, tuple[float, set[tuple[str, int]]]] = {}
        """Cause -> when its last wave began, and its (group, bucket)s."""
        self._boots: dict[str, str] = {}

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        account = out.member.account
        if isinstance(out, Gone):
            leaves = cti.centre.server.book.door(out.member.group, out.member.bucket) is Door.LEAVING
            if leaves and out.reason == "Released" and out.to is not None:
                self._sent[account] = _Sent(out.to, self.world.scheduler.now)
        elif account in self._sent and self._sent[account].to == cti.site:
            self._sent[account].arrived = True

    def all_committed(self, commits: Sequence[Commit]) -> None:
        for cause in {commit.record.cause for commit in commits if commit.kind == "Shift"}:
            shift = self.watch.ordered.shifts.get(cause.partition("/")[2])
            if shift is None or shift.spec.to is None or len(shift.spec.waves) < 2:
                continue
            begun = {
                (commit.group, bucket)
                for commit in commits
                if commit.record.cause == cause
                for bucket, (_, new) in commit.started.items()
                if new.end == shift.spec.to
            }
            boots = repr([cti.centre.server.boot for cti in self.world.ctis.values()])
            if begun and cause not in self._waves:
                self._boots[cause] = boots
            elif begun and self._boots[cause] == boots:  # one that restarts has forgotten whom it released
                self._judge(cause, shift)
            if begun:
                self._waves[cause] = self.world.scheduler.now, begun

    def _judge(self, cause: str, shift: ShiftRecord) -> None:
        """Of the wave before nobody is missing beyond what the gate lets pass."""
        since, wave = self._waves[cause]
        to, now = shift.spec.to, self.world.scheduler.now
        assert to is not None, "a wave of it began"
        known = (self.world.ctis[to].centre.agents.member(account) for account in self.world.people)
        own = [member.account for member in known if member is not None and (member.group, member.bucket) in wave]
        sent = [found for account in own if (found := self._sent.get(account)) and found.to == to and found.at >= since]
        arrived = sum(found.arrived for found in sent)
        out = sum(not found.arrived and now - found.at > self.JUST_NOW_S for found in sent)
        # Whoever is there counts, however they came.
        there = sum(self.world.ctis[to].centre.server.valid(account, self._clock(to)) for account in own)
        share = shift.spec.gates.signed_in
        if out and share and max(arrived, there) < max(share * (arrived + out) // 100, 1):
            raise self.broken(f"a wave of {cause} begins while {out} of the one before are not there, {there} are")

    def _clock(self, site: str) -> float:
        return self.world.ctis[site].process.monotonic()


class ManualWaitsForAPerson(Promise):
    """A group whose failover is Manual leaves its lost city when somebody has said so, and not before."""

    name = "ManualWaitsForAPerson"

    def committed(self, commit: Commit) -> None:
        if _failed_over(commit) is None or commit.record.cause in self.watch.ordered.approved:
            return
        plan = next(group for group in self.world.setting.groups if group.name == commit.group)
        settled = [bucket for bucket, (old, _) in commit.changed.items() if not old.to]
        if plan.more.get("failover") == "Manual" and settled:
            raise self.broken(f"{commit.record.cause} moves {commit.group}, and nobody has approved it")


class NobodyMovedByMistake(Promise):
    """3, 4. A city fails over only if it was truly broken, or could not write and two others could not reach it.

    And that without a break for as long as it has to be confirmed, as far as anybody can know: until the end of it has
    been found out, `OVERLOOKED_S` or `CALL_OVERLOOKED_S` later, it goes on.
    """

    name = "NobodyMovedByMistake"

    CONFIRM_S: Final = duration_seconds(Detection().confirm_after)
    MUTE_S: Final = LEASE_TTL_S - LEASE_KEEPALIVE_S - 0.1
    """Seconds for which a city whose heartbeat is gone wrote nothing: its lease, which it may have been about to renew
    when it fell silent; and what it sent last was a tenth of a second on its way."""

    def committed(self, commit: Commit) -> None:
        site = _failed_over(commit)
        if site is None:
            return
        known = self.watch.truth[site]
        if site in self.watch.heartbeats:
            looks = [_Look(t.at, t.broken, site in t.dark) for t in known]
            deeply = next((t.deeply for t in reversed(known) if t.broken), False)
            overlooked = CALL_OVERLOOKED_S if deeply else OVERLOOKED_S
            least = self.CONFIRM_S + DOWN_EXTRA_S
            self._demand(site, "its CTI and its softswitch worked", least, looks, overlooked, overlooked)
            return
        others = [place for place in self.world.engines if place != site]
        # An engine that runs again has no heartbeat yet.
        self._demand(site, "its engine could write", self.MUTE_S, [_Look(t.at, t.mute) for t in known], RECENT_S)
        for other in others:
            looks = [_Look(t.at, other in t.lame, other in t.dark) for t in known]
            self._demand(site, f"{other} could reach all of it", self.CONFIRM_S, looks)
            if not any(other in t.unseen for t in known if t.at >= self.world.scheduler.now - RECENT_S):
                raise self.broken(f"{site} fails over, but {other} could reach something there")

    def _demand(
        self,
        site: str,
        otherwise: str,
        least: float,
        looks: Sequence["_Look"],
        ago: float = OVERLOOKED_S,
        overlooked: float = OVERLOOKED_S,
    ) -> None:
        """That what is bad has been so for `least` seconds, until now or until `ago` seconds ago."""
        now = self.world.scheduler.now
        runs = [(since, until) for since, until in _runs(looks) if until >= now - ago - LOOK_S]
        lasted = max((min(until + overlooked, now) - since for since, until in runs), default=0.0)
        if lasted < least / BY_CLOCKS - LOOK_S:
            raise self.broken(
                f"{site} fails over, but {otherwise} (not so for {lasted:.1f} s without a break until now)"
            )


class _Look(NamedTuple):
    """One look at what was bad, or was not."""

    at: float
    bad: bool
    dark: bool = False
    """Whoever would have found out that it is good again could not, or could not say it."""


def _runs(looks: Iterable[_Look]) -> list[tuple[float, float]]:
    """From when to when it was bad, as far as anybody can know."""
    runs: list[tuple[float, float]] = []
    until = last = -math.inf
    for at, bad, dark in looks:
        known = at - until <= OVERLOOKED_S
        if bad or (dark and known and at - last <= STANDS_S):
            runs.append((runs.pop()[0] if known else at, at))
            until = at
        last = at if bad else last
    return runs


class OneShiftPerGroup(Promise):
    """A group that moves on purpose has one Shift, and no other one, which has it for itself."""

    name = "OneShiftPerGroup"

    def committed(self, commit: Commit) -> None:
        if commit.kind not in ("Shift", "Order", "Drill") or not commit.started:
            return
        own: list[str] = []
        for kv in self.world.cluster.range(keys.SHIFTS)[0]:
            shift = ShiftRecord.model_validate_json(kv.value)
            if shift.phase in IN_THE_WAY and any(plan.group == commit.group for plan in shift.plan):
                own.append(f"{kv.key} ({shift.phase})")
        if len(own) > 1:
            raise self.broken(f"{commit.group} is moved by {commit.record.cause}, and {' and '.join(own)} have it")


class DrillsRestore(Promise):
    """A run of a Drill that is over, however it ended, has left every group where it was.

    One that succeeded has left every map exactly so. After any other the agents of the last buckets may still be in a
    call that they bring home. Only an emergency leaves them elsewhere: where it has put them, or, of the groups that it
    did not move, where it found them. Each thing that makes a Drill give up on the way home takes longer than a story.
    """

    name = "DrillsRestore"

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._judged: set[str] = set()

    def drilled(self, record: DrillRecord) -> None:
        for run in record.runs:
            if run.name not in self._judged:
                self._judged.add(run.name)
                self.world.stats[f"Drills: {run.outcome}"] += 1
                self._judge(run)

    def _judge(self, run: DrillRunRecord) -> None:
        out, back = (f"Drill/{DRILL_NAME}-{run.name}-{way}" for way in ("out", "back"))
        found: dict[str, tuple[BucketMap, BucketMap]] = {}
        emergency = self._emergency()
        for group, history in self.watch.history.items():
            first = next((number for number, commit in enumerate(history) if commit.record.cause == out), None)
            before = history[first].before if first is not None else None
            if first is None or before is None:
                continue
            found[group] = before, history[-1].after
            for commit in history[first:]:
                if commit.record.cause not in (out, back):
                    if commit.kind != "Failover":
                        raise self.broken(f"{group} was moved by {commit.record.cause} in the middle of run {run.name}")
                    emergency = True
        if found and not run.started_at:
            raise self.broken(f"run {run.name} never started ({run.outcome}), and has moved {sorted(found)}")
        self._nothing_goes_on(run)
        for group, (before, after) in found.items():
            if after != before if run.outcome == "Succeeded" else not (emergency or _leads_to(after, before)):
                raise self.broken(
                    f"run {run.name} is {run.outcome} ({run.reason}) and left {group} at {after.encode()}; it was "
                    f"{before.encode()}"
                )
        if found and run.outcome != "Succeeded":
            self.world.stats["Drills left by an emergency" if emergency else "Drills brought back early"] += 1

    def _emergency(self) -> bool:
        """Whether a city counts as lost."""
        found = self.world.cluster.range(keys.FAILOVERS)[0]
        return any(FailoverRecord.model_validate_json(kv.value).state == "Active" for kv in found)

    def _nothing_goes_on(self, run: DrillRunRecord) -> None:
        for leg in (run.out, run.back):
            kv = self.world.cluster.get(keys.shift(leg.shift)) if leg.shift else None
            phase = ShiftRecord.model_validate_json(kv.value).phase if kv is not None else ""
            if phase in IN_THE_WAY:
                raise self.broken(f"run {run.name} is over ({run.outcome}), and {leg.shift} goes on: {phase}")


def _leads_to(after: BucketMap, before: BucketMap) -> bool:
    """Whether each bucket is, or is on its way, where it was."""
    return [slot.end for slot in after.slots] == [slot.end for slot in before.slots]


class DrillsRunWhenAsked(Promise):
    """A run has a command behind it, or a time of its Drill's schedule in its zone; and each has one run at most.

    A time comes again whose run never started, where a coordinator's clock was wrong: then that one does not count.
    """

    name = "DrillsRunWhenAsked"

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._for: dict[str | float, str] = {}
        self._started: set[str] = set()
        self._clock_was_wrong = False

    def drilled(self, record: DrillRecord) -> None:
        runs = (*record.runs, *((record.run,) if record.run is not None else ()))
        self._started |= {run.name for run in runs if run.started_at}
        self._clock_was_wrong |= record.reason == Reason.CLOCK_AHEAD
        waiting = (record.due,) if record.due is not None else ()
        for due in (*waiting, *(run.due for run in runs)):
            asked = due.request if due.by else due.at
            if asked not in self._for:
                self._know(due)
            known = self._for.setdefault(asked, due.name)
            if known == due.name:
                continue
            if due.by or not self._clock_was_wrong or {known, due.name} <= self._started:
                raise self.broken(f"{asked} has two runs: {known} and {due.name}")

    def _know(self, due: DrillDue) -> None:
        ordered = self.watch.ordered
        if due.by and due.request not in ordered.runs:
            raise self.broken(f"run {due.name} is there because of {due.request}, which nobody has asked for")
        if not due.by:
            self.world.stats["Drills due by their schedule"] += 1
            if due.at != ordered.due_at:
                raise self.broken(f"run {due.name} is due at {due.at:.0f}; its schedule says {ordered.due_at}")


class EmergencyEndsShifts(Promise):
    """11. When a failover moves a group, no Shift that has it goes on: the same transaction ends it.

    One on its way from or to what is lost begins nothing more either, although nobody of its groups is moved.
    """

    name = "EmergencyEndsShifts"

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._over: dict[str, str] = {}
        """Cause -> the city that was lost while that Shift was on its way."""

    def lost(self, site: str, systems: Iterable[str]) -> None:
        for kv in self.world.cluster.range(keys.SHIFTS)[0]:
            shift = ShiftRecord.model_validate_json(kv.value)
            cause = shift.cause or f"Shift/{kv.key.rpartition('/')[2]}"
            ways = {(place, plan.system) for plan in shift.plan for place in (*plan.sources, *plan.targets)}
            on_its_way = shift.wave and shift.phase in IN_THE_WAY and "/" in cause
            if on_its_way and any((site, system) in ways for system in systems):
                self._over[cause] = site

    def committed(self, commit: Commit) -> None:
        if commit.started and commit.record.cause in self._over:
            site = self._over[commit.record.cause]
            raise self.broken(f"{commit.record.cause} moves {commit.group}, and {site} was lost since it began")

    def all_committed(self, commits: Sequence[Commit]) -> None:
        moved = {commit.group: commit.record.cause for commit in commits if _failed_over(commit) is not None}
        if not moved:
            return
        for kv in self.world.cluster.range(keys.SHIFTS)[0]:
            shift = ShiftRecord.model_validate_json(kv.value)
            for plan in shift.plan if shift.phase in IN_THE_WAY else ():
                if plan.group in moved:
                    raise self.broken(f"{moved[plan.group]} moves {plan.group}, and {kv.key} goes on: {shift.phase}")


class LostCitiesAreLeft(Promise):
    """14. A city that is gone loses its buckets within `SOON_S`, while the others are well and have room."""

    name = "LostCitiesAreLeft"

    SOON_S: Final = 7.0
    """Seconds: found out, confirmed, its lease gone, and an election if it held the office."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._since: dict[str, float] = {}

    def looked(self) -> None:
        now = self.world.scheduler.now
        for city in self.world.cities:
            if not self._clear_case(city):
                self._since.pop(city, None)
            elif now - self._since.setdefault(city, now) > self.SOON_S:
                self._judge(city)

    def _clear_case(self, city: str) -> bool:
        """Whether it can do nothing any more, and nothing hinders the others."""
        world, watch = self.world, self.watch
        network = world.network
        others = [place for place in world.engines if place != city]
        if any(network.passes(city, other) or network.passes(other, city) for other in others):
            return False
        hindered = watch.held or network.slow or network.late or network.twice or network.filtered
        # Two engines that speak for one place contradict each other: no word of theirs stands for long.
        hindered = hindered or any(process.alive for process in world.beside)
        return not hindered and (
            all(world.engines[place].process.serves and world.cluster.serves(place) for place in others)
            and all(world.cluster.members[place].serves for place in others)
            and network.both(*others)
            and all(all(watch._work(other)) for other in world.cities if other != city)
        )

    def _judge(self, city: str) -> None:
        left = {}
        for group in self.world.setting.groups:
            placed = self.watch.placements.get(group.name)
            buckets = sum(slot.site == city for slot in placed[2].slots) if placed is not None else 0
            if buckets and group.more.get("failover") != "Manual":
                left[group.name] = math.ceil(buckets * group.agents / 100)
        if left and self._have_room(city, left):
            raise self.broken(f"{city} has been gone for {self.SOON_S:g} s and {left} agents are still placed there")

    def _have_room(self, city: str, left: Mapping[str, int]) -> bool:
        """Whether any other city carries everybody there is, or the others together have room for these agents too."""
        setting = self.world.setting
        others = [other for other in self.world.cities if other != city]
        if min(setting.capacity[other] for other in others) >= sum(group.agents for group in setting.groups):
            return True
        # Where a failover has not ended nobody is put without need. Buckets are rounded, of each group in each city.
        well = [other for other in others if self.watch.failovers.get(other, FailoverRecord()).state == "Ended"]
        rounded = len(setting.groups) * len(others)
        return sum(self.watch.within_capacity.room(other, left) for other in well) - rounded >= sum(left.values())


class GuestsAsManyAsMayCome(Promise):
    """5. A city has no more guests than its guestCapacity."""

    name = "GuestsAsManyAsMayCome"

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        guests = cti.centre.server.guests
        if isinstance(out, Started) and guests.is_guest(out.member.account):
            self.world.stats["guests"] += 1
            count = sum(1 for account in self.world.people if guests.is_guest(account))
            if count > self.world.setting.guest_capacity:
                raise self.broken(f"{cti.site} has {count} guests and may have {self.world.setting.guest_capacity}")


class PacedSignIns(Promise):
    """A CTI lets in no more than its stated rate over any time, and what accrued while it looked at nobody.

    Of any time that begins with somebody let in: the rate times the time, that one, and the rate times the pause
    before it. The pause is what the CTI was late by, or the tenth of a second between two looks; at most half a second
    counts, and to a door where nobody waited it is a twentieth.
    """

    name = "PacedSignIns"

    LATE_S: Final = 0.5
    QUIET_S: Final = 0.05

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._offers: dict[str, deque[tuple[float, float]]] = {}
        """Name of a CTI's life -> when somebody was let in, and the pause before that."""

    def offered(self, cti: "SimCti", now: float) -> None:
        rate = self.world.setting.rate
        offers = self._offers.setdefault(cti.life, deque())
        offers.append((now, max(self.QUIET_S, min(cti.pause(now), self.LATE_S))))
        while offers[0][0] < now - 2.0:
            offers.popleft()
        for number, (since, pause) in enumerate(offers):
            let_in, most = len(offers) - number, 1.0 + rate * (now - since + pause)
            if let_in > most + 1e-6:
                raise self.broken(
                    f"{cti.site} lets in {let_in} within {now - since:.2f} s, {pause:.2f} s after its last look: "
                    f"{rate:g}/s"
                )


class CallsOnlyToValidSessions(Promise):
    """12. A phone rings only for an agent with a valid session who is not about to leave."""

    name = "CallsOnlyToValidSessions"

    def word(self, cti: "SimCti", word: Mapping[str, Any]) -> None:
        if word.get("a") != "ring":
            return
        person = self.world.by_extension[word["ext"]]
        server = cti.centre.server
        if not server.valid(person.account, cti.process.monotonic()):
            raise self.broken(f"{cti.site} rings {person.account}, who has no valid session there")
        if server._leaving(server._t.seats[person.account]):
            raise self.broken(f"{cti.site} rings {person.account}, who is about to leave")


class NoDefects(Promise):
    """14. Nothing that the coordinator has to decide ends in an error of ours."""

    name = "NoDefects"

    def looked(self) -> None:
        for engine in self.world.engines.values():
            for note in engine.coordinator.figures.notes:
                if note.reason is Reason.DEFECT:
                    raise self.broken(f"{note.subject}: {note.sentence}")
            if engine.coordinator.figures.badly_told:
                raise self.broken(f"{engine.site} could not put a decision into the words of the history")
            if engine.coordinator.figures.defects:
                raise self.broken(f"{engine.site} decided what no transaction can hold")


class PicturesShowTheStore(Promise):
    """What an engine decides by is what the store holds: at its revision, its keys and no others."""

    name = "PicturesShowTheStore"

    def looked(self) -> None:
        cluster = self.world.cluster
        stored = {kv.key: kv for kv in cluster.range(keys.PREFIX)[0]}
        for site, engine in self.world.engines.items():
            picture = engine.picture
            if picture.live and picture.revision == cluster.revision and picture.held != stored:
                wrong = sorted(key for key, _ in picture.held.items() ^ stored.items())
                raise self.broken(f"{site} sees what is not in the store, or not what is there: {', '.join(wrong)}")


class EveryPlacementIsTold(Promise):
    """Every placement has exactly one entry in the decision log, written with it; no entry names what is not so."""

    name = "EveryPlacementIsTold"

    def told(self, placed: Sequence[str], told: Sequence[KeyValue]) -> None:
        named = Counter(
            group
            for kv in told
            for entry in HistoryRecord.model_validate_json(kv.value).entries
            for group in entry.placed
        )
        self.world.stats["transactions in the decision log"] += len(told)
        if named != Counter(placed):
            raise self.broken(f"a transaction places {sorted(placed)}, and its entries name {sorted(named.elements())}")
        for kv in told:
            if kv.create_revision != kv.mod_revision:
                raise self.broken(f"{kv.key} is written over")


class FailStatic(Promise):
    """Sessions end by a release, or because something befell the agent's own desk, way or CTI: nothing else ends one.

    No engine, no store, no coordinator, no other city and no verdict.
    """

    name = "FailStatic"

    LASTS_S: Final = 10.0
    """Seconds for which what befell somebody may show: a lease, a reconnection, and a second one."""

    def __init__(self, watch: Watch) -> None:
        super().__init__(watch)
        self._struck: dict[object, float] = {}

    def looked(self) -> None:
        world, now = self.world, self.world.scheduler.now
        whole = world.network.well
        if world.network.late:
            self._struck["everybody"] = now
        for city, cti in world.ctis.items():
            if not cti.process.serves:
                self._struck[city] = now
        for person in world.people.values():
            floor = person.process.place
            if not person.process.serves:
                self._struck[person.account] = now
            if not whole:
                for city in world.cities:
                    if not world.network.both(floor, city):
                        self._struck[floor, city] = now

    def befell(self, account: str) -> None:
        """The agent's connections were broken, or the desktop restarted."""
        self._struck[account] = self.world.scheduler.now

    def session(self, cti: "SimCti", out: Started | Gone, now: float) -> None:
        if not isinstance(out, Gone) or out.reason == "Released":
            return
        account = out.member.account
        floor = self.world.people[account].process.place
        about = ("everybody", account, cti.site, (floor, cti.site))
        last = max(self._struck.get(key, -math.inf) for key in about)
        if self.world.scheduler.now - last > self.LASTS_S:
            raise self.broken(f"{account} loses the session at {cti.site} ({out.reason}), and nothing had befallen it")


EVENTS: Final = (
    "committed",
    "all_committed",
    "told",
    "drilled",
    "lost",
    "session",
    "offered",
    "placed",
    "pong",
    "word",
    "silenced",
    "looked",
)
"""What promises are asked about, by the names of their methods."""


def _askers(promises: Iterable[Promise], event: str) -> list[Callable[..., None]]:
    """Of the promises to which this event means something; most leave most events to others."""
    deaf = getattr(Promise, event)
    return [getattr(promise, event) for promise in promises if getattr(type(promise), event) is not deaf]


def _failed_over(commit: Commit) -> str | None:
    """The lost city, if this commit is the failover itself and not what arrives after it."""
    if commit.kind != "Failover":
        return None
    again = commit.earlier is not None and commit.earlier.cause == commit.record.cause
    if again and not commit.started:
        return None
    return commit.record.cause.partition("/")[2].rpartition("-")[0]


PROMISES: Final[tuple[type[Promise], ...]] = (
    NoDefects,
    OneWriter,
    AdmittingRevisionsOnlyGrow,
    AdmittedByADoor,
    NeverInTwoPlaces,
    OneFreshDoor,
    BucketsArriveEmpty,
    SurvivorsStay,
    NoCallCut,
    WithinCapacity,
    HoldStopsAllThatIsNew,
    NobodyMovesUnasked,
    NothingIsPlannedOntoAFailedCity,
    AbortsStopWaves,
    OneShiftPerGroup,
    DrillsRestore,
    DrillsRunWhenAsked,
    OnlyIdleAgentsAreSilenced,
    GatesKeepWaves,
    ManualWaitsForAPerson,
    NobodyMovedByMistake,
    EmergencyEndsShifts,
    LostCitiesAreLeft,
    GuestsAsManyAsMayCome,
    PacedSignIns,
    CallsOnlyToValidSessions,
    PicturesShowTheStore,
    EveryPlacementIsTold,
    FailStatic,
)
