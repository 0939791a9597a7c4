"""Gathering: keys of the store, as they change, become the immutable snapshot that rules look at.

    apply / delete (one key)  ->  typed entries, objects agreed between the locations  ->  snapshot()

Only what changed is read again; a snapshot of hundreds of groups costs a few dictionary copies.
"""

from dataclasses import replace
from typing import TypeVar

from pydantic import ValidationError

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.common import Written
from tandem.api.site import SiteSpec
from tandem.api.trunk import TrunkSpec
from tandem.domain import keys
from tandem.domain.agreement import Agreement, agree, participants_of
from tandem.domain.drill_agreement import published_drill
from tandem.domain.placement import BucketMap
from tandem.domain.records import (
    AlarmsRecord,
    ArrivalsRecord,
    CoordinatorRecord,
    DrillRecord,
    FailoverRecord,
    HeartbeatRecord,
    HoldRecord,
    MovesRecord,
    ObservationRecord,
    OperatorRecord,
    OrderRecord,
    PlacementRecord,
    RanRecord,
    Record,
    RehearsedRecord,
    ReplicasRecord,
    ShiftRecord,
    SpecRecord,
    StoreMemberRecord,
    SystemReport,
    TargetTestRecord,
    TrunkRecord,
)
from tandem.domain.report_model import DrillReportRecord
from tandem.domain.snapshot import (
    DrillEntry,
    Entry,
    FailoverEntry,
    Gone,
    Heard,
    Placed,
    Published,
    PublishedDrill,
    ShiftEntry,
    Snapshot,
)

R = TypeVar("R", bound=Record)
W = TypeVar("W", bound=Written)

_Pair = tuple[str, str]
_About = tuple[str, str, str]
"""Site, system ("" of an engine), component."""


class Gatherer:
    """Keeps the typed picture of the store up to date. One task uses it; it does no I/O and reads no clock."""

    def __init__(self) -> None:
        self.revision = 0
        self._coordinator: Entry[CoordinatorRecord] | None = None
        self._hold: Entry[HoldRecord] | None = None
        self._specs: dict[str, dict[_Pair, Entry[SpecRecord]]] = {}  # site -> (kind, name) -> record
        self._placements: dict[str, Placed] = {}
        self._orders: dict[str, Entry[OrderRecord]] = {}
        self._shifts: dict[str, ShiftEntry] = {}
        self._ran: dict[str, Entry[RanRecord]] = {}
        self._drills: dict[str, DrillEntry] = {}
        self._heartbeats: dict[str, Entry[HeartbeatRecord]] = {}
        self._store_members: dict[str, Entry[StoreMemberRecord]] = {}
        self._operators: dict[str, Entry[OperatorRecord]] = {}
        self._observations: dict[_About, dict[str, Heard]] = {}
        self._departed: dict[_About, dict[str, Gone]] = {}
        self._rehearsed: dict[str, dict[_Pair, dict[str, Heard]]] = {}  # drill -> (site, system) -> observer -> word
        self._tests: dict[_Pair, dict[str, Entry[TargetTestRecord]]] = {}
        self._alarms: dict[str, dict[str, Entry[AlarmsRecord]]] = {}  # owner -> location -> record
        self._replicas: dict[_Pair, Entry[ReplicasRecord]] = {}
        self._reports: dict[_Pair, Entry[SystemReport]] = {}
        self._moves: dict[_Pair, Entry[MovesRecord]] = {}
        self._arrivals: dict[_Pair, Entry[ArrivalsRecord]] = {}
        self._drill_reports: dict[str, Entry[DrillReportRecord]] = {}
        self._digests: dict[_Pair, dict[str, str]] = {}
        self._routes: dict[str, Entry[TrunkRecord]] = {}
        self._failovers: dict[str, FailoverEntry] = {}
        self._unreadable: set[str] = set()
        self._participants: frozenset[str] = frozenset()
        self._sites: dict[str, Published[SiteSpec]] = {}
        self._groups: dict[str, Published[AgentGroupSpec]] = {}
        self._trunks: dict[str, Published[TrunkSpec]] = {}
        self._drill_specs: dict[str, PublishedDrill] = {}
        self._absent_since: dict[str, float] = {}
        self._dirty: set[_Pair] = set()
        self._dirty_at = 0.0
        self._roll_call = False
        """Whether a city was lost or has come back: its copies of the objects count no more, or again."""

    # -- changes

    def apply(self, key: str, value: bytes, create_revision: int, mod_revision: int, at: float) -> None:
        """A key has this value since `mod_revision`; `at` is monotonic now."""
        self.revision = max(self.revision, mod_revision)
        self._dirty_at = at
        try:
            self._read(key, value, create_revision, mod_revision, at)
        except (ValidationError, ValueError):
            # A newer version's format. The older picture stays, and its revision makes every write to this key fail.
            self._unreadable.add(key)
        else:
            self._unreadable.discard(key)

    def delete(self, key: str, revision: int, at: float) -> None:
        self.revision = max(self.revision, revision)
        self._dirty_at = at
        self._unreadable.discard(key)
        if key == keys.COORDINATOR:
            self._coordinator = None
        elif key == keys.HOLD:
            self._hold = None
        elif key.startswith(keys.SPECS):
            site, kind, name = _spec_parts(key)
            self._specs.get(site, {}).pop((kind, name), None)
            self._note_digest(site, (kind, name), "")
            self._dirty.add((kind, name))
        elif key.startswith(keys.PLACEMENTS):
            self._placements.pop(key.removeprefix(keys.PLACEMENTS), None)
        elif key.startswith(keys.ORDERS):
            self._orders.pop(key.removeprefix(keys.ORDERS), None)
        elif key.startswith(keys.SHIFTS):
            self._shifts.pop(key.removeprefix(keys.SHIFTS), None)
        elif key.startswith(keys.RAN):
            self._ran.pop(key.removeprefix(keys.RAN), None)
        elif key.startswith(keys.DRILLS):
            self._drills.pop(key.removeprefix(keys.DRILLS), None)
        elif key.startswith(keys.HEARTBEATS):
            self._heartbeats.pop(key.removeprefix(keys.HEARTBEATS), None)
        elif key.startswith(keys.STORE_MEMBERS):
            self._store_members.pop(key.removeprefix(keys.STORE_MEMBERS), None)
        elif key.startswith(keys.OPERATORS):
            self._operators.pop(key.removeprefix(keys.OPERATORS), None)
        elif key.startswith(keys.OBSERVATIONS):
            observer, about = _observation_parts(key)
            gone = self._observations.get(about, {}).pop(observer, None)
            if gone is not None:
                self._departed.setdefault(about, {})[observer] = _gone(gone, at)
        elif key.startswith(keys.REHEARSED):
            observer, place, drill = _rehearsed_parts(key)
            self._rehearsed.get(drill, {}).get(place, {}).pop(observer, None)
        elif key.startswith(keys.TESTS):
            observer, place = _test_parts(key)
            self._tests.get(place, {}).pop(observer, None)
        elif key.startswith(keys.ALARMS):
            site, owner = _pair(key.removeprefix(keys.ALARMS))
            self._alarms.get(owner, {}).pop(site, None)
        elif key.startswith(keys.REPLICAS):
            self._replicas.pop(_pair(key.removeprefix(keys.REPLICAS)), None)
        elif key.startswith(keys.REPORTS):
            self._reports.pop(_pair(key.removeprefix(keys.REPORTS)), None)
        elif key.startswith(keys.MOVES):
            self._moves.pop(_pair(key.removeprefix(keys.MOVES)), None)
        elif key.startswith(keys.ARRIVALS):
            self._arrivals.pop(_pair(key.removeprefix(keys.ARRIVALS)), None)
        elif key.startswith(keys.DRILL_REPORTS):
            self._drill_reports.pop(key.removeprefix(keys.DRILL_REPORTS), None)
        elif key.startswith(keys.TRUNKS):
            self._routes.pop(key.removeprefix(keys.TRUNKS), None)
        elif key.startswith(keys.FAILOVERS):
            self._failovers.pop(key.removeprefix(keys.FAILOVERS), None)
            self._roll_call = True

    def keys(self) -> set[str]:
        """Every key in the picture: what a fresh listing does not name has been deleted meanwhile."""
        found = {keys.spec(site, kind, name) for site, specs in self._specs.items() for kind, name in specs}
        found |= {keys.placement(name) for name in self._placements}
        found |= {keys.order(name) for name in self._orders}
        found |= {keys.shift(name) for name in self._shifts}
        found |= {keys.ran(name) for name in self._ran}
        found |= {keys.drill(name) for name in self._drills}
        found |= {keys.heartbeat(site) for site in self._heartbeats}
        found |= {keys.store_member(site) for site in self._store_members}
        found |= {keys.operator(site) for site in self._operators}
        found |= {keys.observation(o, *about) for about, words in self._observations.items() for o in words}
        found |= {
            keys.rehearsed(observer, *place, drill)
            for drill, places in self._rehearsed.items()
            for place, words in places.items()
            for observer in words
        }
        found |= {keys.test(observer, *place) for place, tests in self._tests.items() for observer in tests}
        found |= {keys.alarms(site, owner) for owner, words in self._alarms.items() for site in words}
        found |= {keys.replicas(*pair) for pair in self._replicas}
        found |= {keys.report(*pair) for pair in self._reports}
        found |= {keys.moves(*pair) for pair in self._moves}
        found |= {keys.arrivals(*pair) for pair in self._arrivals}
        found |= {keys.DRILL_REPORTS + name for name in self._drill_reports}
        found |= {keys.trunk(name) for name in self._routes}
        found |= {keys.failover(site) for site in self._failovers}
        found |= {keys.COORDINATOR} if self._coordinator else set()
        found |= {keys.HOLD} if self._hold else set()
        return found | self._unreadable

    # -- the picture

    def snapshot(self) -> Snapshot:
        self._agree()
        return Snapshot(
            revision=self.revision,
            coordinator=self._coordinator,
            hold=self._hold,
            participants=self._participants,
            sites=dict(self._sites),
            groups=dict(self._groups),
            trunks=dict(self._trunks),
            placements=dict(self._placements),
            orders=dict(self._orders),
            shifts=dict(self._shifts),
            ran=dict(self._ran),
            drills=dict(self._drills),
            drill_specs=dict(self._drill_specs),
            heartbeats=dict(self._heartbeats),
            store_members=dict(self._store_members),
            operators=dict(self._operators),
            observations={about: dict(words) for about, words in self._observations.items() if words},
            departed={about: dict(gone) for about, gone in self._departed.items() if gone},
            rehearsed={
                drill: {place: dict(words) for place, words in places.items() if words}
                for drill, places in self._rehearsed.items()
                if any(places.values())
            },
            tests={place: dict(tests) for place, tests in self._tests.items() if tests},
            alarms={owner: dict(words) for owner, words in self._alarms.items() if words},
            replicas=dict(self._replicas),
            reports=dict(self._reports),
            moves=dict(self._moves),
            arrivals=dict(self._arrivals),
            drill_reports=dict(self._drill_reports),
            digests=dict(self._digests),
            routes=dict(self._routes),
            failovers=dict(self._failovers),
            absent_since=self._absent(),
            unreadable=frozenset(self._unreadable),
        )

    # -- inside

    def _read(self, key: str, value: bytes, create: int, mod: int, at: float) -> None:
        def entry(model: type[R]) -> Entry[R]:
            return Entry(model.model_validate_json(value), create, mod, at)

        if key == keys.COORDINATOR:
            self._coordinator = entry(CoordinatorRecord)
        elif key == keys.HOLD:
            self._hold = entry(HoldRecord)
        elif key.startswith(keys.SPECS):
            site, kind, name = _spec_parts(key)
            spec = self._specs.setdefault(site, {})[(kind, name)] = entry(SpecRecord)
            self._note_digest(site, (kind, name), spec.record.digest)
            self._dirty.add((kind, name))
        elif key.startswith(keys.PLACEMENTS):
            placement = PlacementRecord.model_validate_json(value)
            name = key.removeprefix(keys.PLACEMENTS)
            self._placements[name] = Placed(placement, BucketMap.parse(placement.map), mod, create, at)
        elif key.startswith(keys.ORDERS):
            self._orders[key.removeprefix(keys.ORDERS)] = entry(OrderRecord)
        elif key.startswith(keys.SHIFTS):
            self._read_shift(key.removeprefix(keys.SHIFTS), ShiftRecord.model_validate_json(value), mod, at)
        elif key.startswith(keys.RAN):
            self._ran[key.removeprefix(keys.RAN)] = entry(RanRecord)
        elif key.startswith(keys.DRILLS):
            self._read_drill(key.removeprefix(keys.DRILLS), DrillRecord.model_validate_json(value), mod, at)
        elif key.startswith(keys.HEARTBEATS):
            self._heartbeats[key.removeprefix(keys.HEARTBEATS)] = entry(HeartbeatRecord)
        elif key.startswith(keys.STORE_MEMBERS):
            self._store_members[key.removeprefix(keys.STORE_MEMBERS)] = entry(StoreMemberRecord)
        elif key.startswith(keys.OPERATORS):
            self._operators[key.removeprefix(keys.OPERATORS)] = entry(OperatorRecord)
        elif key.startswith(keys.OBSERVATIONS):
            observer, about = _observation_parts(key)
            words = self._observations.setdefault(about, {})
            record = ObservationRecord.model_validate_json(value)
            words[observer] = _heard(words.get(observer), Heard(record, create, mod, at))
            self._departed.get(about, {}).pop(observer, None)
        elif key.startswith(keys.REHEARSED):
            observer, place, drill = _rehearsed_parts(key)
            said = self._rehearsed.setdefault(drill, {}).setdefault(place, {})
            spoken = Heard(RehearsedRecord.model_validate_json(value), create, mod, at, key=key)
            said[observer] = _heard(said.get(observer), spoken)
        elif key.startswith(keys.TESTS):
            observer, place = _test_parts(key)
            self._tests.setdefault(place, {})[observer] = entry(TargetTestRecord)
        elif key.startswith(keys.ALARMS):
            site, owner = _pair(key.removeprefix(keys.ALARMS))
            self._alarms.setdefault(owner, {})[site] = entry(AlarmsRecord)
        elif key.startswith(keys.REPLICAS):
            self._replicas[_pair(key.removeprefix(keys.REPLICAS))] = entry(ReplicasRecord)
        elif key.startswith(keys.REPORTS):
            self._reports[_pair(key.removeprefix(keys.REPORTS))] = entry(SystemReport)
        elif key.startswith(keys.MOVES):
            self._moves[_pair(key.removeprefix(keys.MOVES))] = entry(MovesRecord)
        elif key.startswith(keys.ARRIVALS):
            self._arrivals[_pair(key.removeprefix(keys.ARRIVALS))] = entry(ArrivalsRecord)
        elif key.startswith(keys.DRILL_REPORTS):
            self._drill_reports[key.removeprefix(keys.DRILL_REPORTS)] = entry(DrillReportRecord)
        elif key.startswith(keys.TRUNKS):
            self._routes[key.removeprefix(keys.TRUNKS)] = entry(TrunkRecord)
        elif key.startswith(keys.FAILOVERS):
            self._read_failover(key.removeprefix(keys.FAILOVERS), entry(FailoverRecord))
            self._roll_call = True

    def _read_failover(self, site: str, new: Entry[FailoverRecord]) -> None:
        before, record, at = self._failovers.get(site), new.record, new.seen_at
        known = before.since if before is not None and before.record.number == record.number else {}
        since = {system: known.get(system, at) for system in record.systems} if record.state == "Active" else {}
        self._failovers[site] = FailoverEntry(record, new.create_revision, new.mod_revision, at, since)

    def _read_shift(self, name: str, record: ShiftRecord, mod: int, at: float) -> None:
        before = self._shifts.get(name)
        same_step = before and before.record.step == record.step
        same_gate = before and before.record.gate_since == record.gate_since
        same_pace = before and (before.record.pace_at, before.record.pace) == (record.pace_at, record.pace)
        self._shifts[name] = ShiftEntry(
            name=name,
            record=record,
            mod_revision=mod,
            first_seen=before.first_seen if before else at,
            since=before.since if before and same_step else at,
            gate_since=before.gate_since if before and same_gate else at,
            pace_since=before.pace_since if before and same_pace else at,
        )

    def _note_digest(self, site: str, about: _Pair, digest: str) -> None:
        """Never changed in place: snapshots share it."""
        others = {name: known for name, known in self._digests.get(about, {}).items() if name != site}
        found = {**others, site: digest} if digest else others
        if found:
            self._digests[about] = found
        else:
            self._digests.pop(about, None)

    def _read_drill(self, name: str, record: DrillRecord, mod: int, at: float) -> None:
        before = self._drills.get(name)
        known, run = before.record.run if before else None, record.run
        same_phase = before is not None and before.record.phase == record.phase
        same_wait = known and run and known.waiting_since == run.waiting_since
        as_blind = known and run and known.unwatched_since == run.unwatched_since
        self._drills[name] = DrillEntry(
            name=name,
            record=record,
            mod_revision=mod,
            since=before.since if before and same_phase else at,
            waiting_since=before.waiting_since if before and same_wait else at,
            unwatched_since=before.unwatched_since if before and as_blind else at,
        )

    def _agree(self) -> None:
        if not self._dirty and not self._roll_call:
            return
        self._roll_call = False
        lost = {site for site, entry in self._failovers.items() if entry.record.state == "Active"}
        participants = participants_of(self._specs) - lost
        if participants != self._participants:
            self._participants = participants
            self._dirty |= {known for specs in self._specs.values() for known in specs}
        for kind, name in sorted(self._dirty):
            if kind == keys.DRILL:
                self._settle_drill(name, lost)
                continue
            records = {site: entry.record for site, specs in self._specs.items() if (entry := specs.get((kind, name)))}
            agreement = agree(kind, name, records, participants)
            if kind == keys.SITE:
                _settle(self._sites, SiteSpec, agreement, self._dirty_at)
                self._note_copies(name)
            elif kind == keys.AGENT_GROUP:
                _settle(self._groups, AgentGroupSpec, agreement, self._dirty_at)
            elif kind == keys.TRUNK:
                _settle(self._trunks, TrunkSpec, agreement, self._dirty_at)
        self._dirty.clear()

    def _note_copies(self, name: str) -> None:
        """Which revisions of the copies a Site's agreement rests on; a copy written anew with the same words counts."""
        known = self._sites.get(name)
        if known is None:
            return
        own_first = sorted(self._participants | {name}, key=lambda site: (site != name, site))
        copies = ((site, self._specs.get(site, {}).get((keys.SITE, name))) for site in own_first)
        evidence = tuple((keys.spec(site, keys.SITE, name), copy.mod_revision) for site, copy in copies if copy)
        if evidence != known.evidence:
            self._sites[name] = replace(known, evidence=evidence)

    def _settle_drill(self, name: str, lost: set[str]) -> None:
        copies = {site: entry for site, specs in self._specs.items() if (entry := specs.get((keys.DRILL, name)))}
        found = published_drill(name, copies, lost, self._drill_specs.get(name), self._dirty_at)
        if found is None:
            self._drill_specs.pop(name, None)
        else:
            self._drill_specs[name] = found

    def _absent(self) -> dict[str, float]:
        gone = {name for name in self._placements if name not in self._groups}
        self._absent_since = {name: self._absent_since.get(name, self._dirty_at) for name in gone}
        return dict(self._absent_since)


def _settle(objects: dict[str, Published[W]], model: type[W], agreement: Agreement, at: float) -> None:
    """Put what the locations say of one object into the table, keeping what was agreed last while they differ."""
    if not agreement.published:
        objects.pop(agreement.name, None)
        return
    before = objects.get(agreement.name)
    found = agreement.publish(model, before)
    if before is not None and _same(before, found):
        return
    objects[agreement.name] = Published(
        name=found.name,
        spec=found.spec,
        consistent=found.consistent,
        since=at,
        message=found.message,
        labels=found.labels,
        order_digest=found.order_digest,
        invalid=found.invalid,
        at_worst=found.at_worst,
    )


def _gone(word: Heard, at: float) -> Gone:
    """What was known of an observer's view when its word went."""
    vouched_until = at if word.record.vouches else word.seen_at
    accused_until = at if word.record.state == "Fail" else 0.0
    return Gone(vouched_until, accused_until, at if word.record.connects else word.connected_until)


def _heard(before: Heard | None, new: Heard) -> Heard:
    """A word that became firm is the same word: it stands since it was first seen. One that became stale is not."""
    if before is None or _said(before.record) != _said(new.record):
        return new
    connected_until = new.seen_at if before.record.connects else before.connected_until
    return replace(new, seen_at=before.seen_at, connected_until=connected_until)


def _said(word: ObservationRecord) -> tuple[str, float, bool]:
    return word.state, word.since, word.stale


def _same(a: Published[W], b: Published[W]) -> bool:
    return (a.spec, a.consistent, a.message, a.labels, a.order_digest, a.invalid, a.at_worst) == (
        (b.spec, b.consistent, b.message, b.labels, b.order_digest, b.invalid, b.at_worst)
    )


def _pair(text: str) -> _Pair:
    first, _, second = text.partition("/")
    return first, second


def _spec_parts(key: str) -> tuple[str, str, str]:
    site, kind, name = key.removeprefix(keys.SPECS).split("/", 2)
    return site, kind, name


def _rehearsed_parts(key: str) -> tuple[str, _Pair, str]:
    observer, site, system, drill = key.removeprefix(keys.REHEARSED).split("/", 3)
    return observer, (site, system), drill


def _test_parts(key: str) -> tuple[str, _Pair]:
    observer, site, system = key.removeprefix(keys.TESTS).split("/", 2)
    return observer, (site, system)


def _observation_parts(key: str) -> tuple[str, _About]:
    observer, site, system, component = key.removeprefix(keys.OBSERVATIONS).split("/", 3)
    return observer, (site, "" if system == "-" else system, component)
