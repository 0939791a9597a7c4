"""A small world for tables: a store in a dictionary, whose commits are applied exactly as their premises allow."""

from collections.abc import Mapping, Sequence
from typing import Any

from tandem.constants import TXN_OPERATIONS
from tandem.domain import keys
from tandem.domain.decide import decide
from tandem.domain.decision import Commit, Decision
from tandem.domain.digest import spec_digest
from tandem.domain.gather import Gatherer
from tandem.domain.history import decided
from tandem.domain.placement import BucketMap
from tandem.domain.reasons import Reason
from tandem.domain.records import (
    CoordinatorRecord,
    GroupReport,
    HeartbeatRecord,
    HistoryEntry,
    HoldRecord,
    MovesOfShift,
    MovesOfWave,
    MovesRecord,
    ObservationRecord,
    PlacementRecord,
    Record,
    ShiftRecord,
    SpecRecord,
    SystemReport,
)
from tandem.domain.snapshot import Instant, Snapshot

GROUP = "callcenter/hotel-north-sales"


def site_spec(name: str, *systems: str, capacity: int = 1500, **changes: Any) -> dict[str, Any]:
    return {
        "role": "Active",
        "failureDomain": f"city-{name}",
        "engineURL": f"http://{name}:30590",
        "systems": [
            {
                "name": system,
                "softswitch": {
                    "deployment": f"callcenter/softswitch-{system}",
                    "sip": f"{name}:30560",
                    "controlURL": f"http://{name}/RPC",
                    "capacity": {"agents": capacity, "callsPerSecond": 100},
                },
                "cti": {
                    "deployment": f"callcenter/cti-{system}",
                    "url": f"http://{name}:30580",
                    "controlURL": f"http://{name}:8081",
                    "capacity": {"agents": capacity, "signInsPerSecond": max(1000, capacity // 4)},
                },
            }
            for system in systems
        ],
        **changes,
    }


def group_spec(placement: Mapping[str, int], agents: int = 100, **changes: Any) -> dict[str, Any]:
    return {
        "system": "hotel",
        "region": "north",
        "skillGroup": "sales",
        "agents": agents,
        "sites": ["east", "west"],
        "placement": [{"site": site, "percent": percent} for site, percent in placement.items()],
        **changes,
    }


WITNESS = {"role": "Witness", "failureDomain": "exchange", "engineURL": "http://witness:30590"}


class World:
    """Two cities and a witness; `site` objects published by both cities, everything probed and reported healthy."""

    def __init__(self, systems: Sequence[str] = ("hotel",), capacity: int = 1500) -> None:
        self.revision = 0
        self.mono = 1000.0
        self.wall_ahead = 0.0
        self.store: dict[str, tuple[bytes, int, int]] = {}
        self.gatherer = Gatherer()
        self.log: list[HistoryEntry] = []
        """What the decision log says of everything that `settle` has committed."""
        self.systems = systems
        self.cities: tuple[str, ...] = ("east", "west")
        self.put(keys.COORDINATOR, CoordinatorRecord(site="witness", engine="e1"))
        for city in self.cities:
            self.publish(keys.SITE, city, site_spec(city, *systems, capacity=capacity))
        self.publish(keys.SITE, "witness", WITNESS)
        for location in (*self.cities, "witness"):
            self.put(keys.heartbeat(location), HeartbeatRecord(site=location, engine=location, started_at=0))
        for city in self.cities:
            for system in systems:
                self.healthy(city, system)
                self.report(city, system, {})

    # -- the store

    def put(self, key: str, record: Record) -> None:
        self.revision += 1
        created = self.store[key][1] if key in self.store else self.revision
        self.store[key] = (record.encode(), created, self.revision)
        self.gatherer.apply(key, record.encode(), created, self.revision, self.mono)

    def delete(self, key: str) -> None:
        self.revision += 1
        self.store.pop(key, None)
        self.gatherer.delete(key, self.revision, self.mono)

    def commit(self, commit: Commit) -> bool:
        """As the store does: all of it in one revision, or nothing when a premise does not hold."""
        assert len(commit.writes) <= TXN_OPERATIONS
        assert len(commit.premises) <= TXN_OPERATIONS
        for premise in commit.premises:
            _, created, modified = self.store.get(premise.key, (b"", 0, 0))
            if premise.mod_revision is not None and premise.mod_revision != modified:
                return False
            if premise.create_revision is not None and premise.create_revision != created:
                return False
        self.revision += 1
        for key, record in commit.writes.items():
            if record is None:
                self.store.pop(key, None)
                self.gatherer.delete(key, self.revision, self.mono)
                continue
            created = self.store[key][1] if key in self.store else self.revision
            self.store[key] = (record.encode(), created, self.revision)
            self.gatherer.apply(key, record.encode(), created, self.revision, self.mono)
        return True

    # -- what others say

    def publish(
        self,
        kind: str,
        name: str,
        spec: dict[str, Any],
        *,
        by: Sequence[str] = ("east", "west"),
        labels: dict[str, str] | None = None,
        order_id: str = "",
    ) -> None:
        record = SpecRecord(digest=spec_digest(spec, labels or {}), spec=spec, labels=labels or {}, order_id=order_id)
        for site in by:
            self.put(keys.spec(site, kind, name), record)

    def group(self, placement: Mapping[str, int], name: str = GROUP, **changes: Any) -> None:
        options = {key: changes.pop(key) for key in ("by", "labels", "order_id") if key in changes}
        self.publish(keys.AGENT_GROUP, name, group_spec(placement, **changes), **options)

    def observe(
        self,
        observer: str,
        site: str,
        system: str,
        component: str,
        passes: bool = True,
        firm: bool = True,
        stale: bool = False,
        connects: bool = False,
        since: float | None = None,
    ) -> None:
        record = ObservationRecord(
            state="Pass" if passes else "Fail",
            since=self.mono if since is None else since,
            firm=firm and not passes,
            stale=stale,
            connects=connects,
            failure_domain=f"domain-{observer}",
        )
        self.put(keys.observation(observer, site, system, component), record)

    def healthy(self, site: str, system: str) -> None:
        for observer in (*self.cities, "witness"):
            for component in ("softswitch", "cti"):
                self.observe(observer, site, system, component)

    def die(self, city: str, seen_by: Sequence[str] = ("west", "witness")) -> None:
        """A city falls silent: what it wrote on leases goes, and those who still look find nobody."""
        for key in [key for key in self.store if _of(city, key)]:
            self.delete(key)
        for observer in seen_by:
            for system in self.systems:
                for component in ("softswitch", "cti"):
                    self.observe(observer, city, system, component, passes=False)

    def come_back(self, city: str) -> None:
        """It writes again, and everybody reaches it."""
        self.put(keys.heartbeat(city), HeartbeatRecord(site=city, engine=city, started_at=self.mono))
        for system in self.systems:
            self.healthy(city, system)
            self.report(city, system, {})

    def report(self, site: str, system: str, groups: Mapping[str, GroupReport]) -> None:
        self.put(keys.report(site, system), SystemReport(boot=f"boot-{site}", confirmed=True, groups=dict(groups)))

    def sessions(
        self,
        site: str,
        group: str,
        buckets: Mapping[int, int],
        system: str = "hotel",
        staying: tuple[str, ...] = (),
    ) -> None:
        """`site` holds the newest map of `group` and these sessions per bucket; its other groups stay as reported."""
        before = self.snapshot.report(site, system)
        groups = dict(before.groups) if before else {}
        placed = self.snapshot.placements.get(group)
        groups[group] = GroupReport(
            revision=placed.revision if placed else 0,
            signed_in=sum(buckets.values()),
            buckets={str(bucket): count for bucket, count in buckets.items() if count},
            staying=staying,
        )
        self.report(site, system, groups)

    def buckets(self, site: str, group: str = GROUP, system: str = "hotel") -> dict[int, int]:
        """Sessions per bucket, as `site` reports them."""
        report = self.snapshot.group_report(site, system, group)
        return {int(bucket): count for bucket, count in report.buckets.items()} if report else {}

    def arrived(self, site: str, shift: str, agents: int, system: str = "hotel") -> None:
        wave = {str(self.shift_record(shift).wave): MovesOfWave(agents=agents, p95=0.2)}
        moves = MovesOfShift(agents=agents, p50=0.1, p95=0.2, max=0.3, last_at=0, waves=wave, recent_p95=0.2)
        self.put(keys.moves(site, system), MovesRecord(shifts={shift: moves}))

    def read_anew(self) -> None:
        """As an engine that has just started: it knows nothing but what the store holds."""
        self.gatherer = Gatherer()
        for key, (value, created, modified) in sorted(self.store.items(), key=lambda item: item[1][2]):
            self.gatherer.apply(key, value, created, modified, self.mono)

    def hold(self) -> None:
        self.put(keys.HOLD, HoldRecord(by="ada", reason="storm", since=0))

    def shift(self, name: str = "callcenter/s1", **spec: Any) -> None:
        """A Shift in one wave, unless said otherwise: most tables are about one wave's life."""
        spec = {"waves": [100], **spec}
        record = ShiftRecord.model_validate({"spec": spec, "created_at": self.mono, "created_in": "east"})
        self.put(keys.shift(name), record)

    def change_shift(self, name: str = "callcenter/s1", **spec: Any) -> None:
        record = self.shift_record(name)
        self.put(keys.shift(name), record.model_copy(update={"spec": record.spec.model_copy(update=spec)}))

    @staticmethod
    def record_of_another_coordinator() -> CoordinatorRecord:
        return CoordinatorRecord(site="west", engine="e2")

    # -- looking and deciding

    @property
    def snapshot(self) -> Snapshot:
        return self.gatherer.snapshot()

    @property
    def now(self) -> Instant:
        return Instant(self.mono, self.mono + self.wall_ahead)

    def decide(self) -> Decision:
        decision = decide(self.snapshot, self.now)
        defects = [note.sentence for note in decision.notes if note.reason is Reason.DEFECT]
        assert not defects, defects[0]
        return decision

    def settle(self, rounds: int = 30) -> list[Commit]:
        """Decide and commit until there is nothing left to do; everything committed, in order."""
        done: list[Commit] = []
        for _ in range(rounds):
            snapshot = self.snapshot
            commits = self.decide().commits
            if not commits:
                return done
            for commit in commits:
                assert self.commit(commit), commit
                done.append(commit)
                self.log += decided(snapshot, [commit])
        raise AssertionError(f"still deciding after {rounds} rounds: {done[-1]}")

    def advance(self, seconds: float) -> None:
        self.mono += seconds

    def placement(self, group: str = GROUP) -> dict[str, str]:
        return self.snapshot.placements[group].record.map

    def record(self, group: str = GROUP) -> PlacementRecord:
        return self.snapshot.placements[group].record

    def map(self, group: str = GROUP) -> BucketMap:
        return self.snapshot.placements[group].map

    def shift_record(self, name: str = "callcenter/s1") -> ShiftRecord:
        return self.snapshot.shifts[name].record

    def only_shift(self) -> str:
        (name,) = self.snapshot.shifts
        return name

    def systems_lost(self, city: str) -> tuple[str, ...]:
        return self.snapshot.failovers[city].record.systems

    def reasons(self) -> list[str]:
        return [note.reason for note in self.decide().notes]


def _of(city: str, key: str) -> bool:
    """Whether a key is on the lease of that city's engine."""
    leased = tuple(f"{kind}{city}/" for kind in (keys.OBSERVATIONS, keys.REPORTS, keys.TESTS, keys.ALARMS))
    return key in (keys.heartbeat(city), keys.store_member(city)) or key.startswith(leased)
