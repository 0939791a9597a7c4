"""The snapshot: everything the store says, typed and immutable, as one engine sees it at one revision."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.drill import UNDER_WAY, DrillSpec
from tandem.api.shift import FINISHED
from tandem.api.site import SiteSpec, System
from tandem.api.trunk import TrunkSpec
from tandem.domain.drill_requests import DrillRequest
from tandem.domain.placement import BucketMap
from tandem.domain.reasons import Refusal
from tandem.domain.records import (
    AlarmsRecord,
    ArrivalsRecord,
    CoordinatorRecord,
    DrillRecord,
    FailoverRecord,
    GroupReport,
    HeartbeatRecord,
    HoldRecord,
    MovesRecord,
    ObservationRecord,
    OperatorRecord,
    OrderRecord,
    PlacementRecord,
    RanRecord,
    ReplicasRecord,
    ShiftRecord,
    StoreMemberRecord,
    SystemReport,
    TargetTestRecord,
    TrunkRecord,
)
from tandem.domain.report_model import DrillReportRecord

FAILOVER: Final = "Failover/"
"""What the cause of everything that a failover does begins with."""


def site_in(cause: str) -> str:
    """The site that such a cause names, `Failover/east-3`."""
    return cause.removeprefix(FAILOVER).rpartition("-")[0]


R = TypeVar("R")
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Instant:
    """A moment on one engine's own clocks."""

    mono: float
    """Seconds of CLOCK_BOOTTIME: for every decision about how long something lasts."""
    wall: float
    """Seconds since the epoch: for people, and for what must not start late."""


@dataclass(frozen=True, slots=True)
class Entry(Generic[R]):
    """One key of the store."""

    record: R
    create_revision: int
    mod_revision: int
    seen_at: float
    """When this engine first saw this revision, on its monotonic clock."""


@dataclass(frozen=True, slots=True)
class Heard(Entry[ObservationRecord]):
    """An observer's word on a component. `seen_at`: since when it says so, whatever it has added since."""

    connected_until: float = 0.0
    """Until when connections came about, of a word that says so no more (monotonic)."""
    key: str = ""
    """Where it is, of one that is no observation."""


@dataclass(frozen=True, slots=True)
class FailoverEntry(Entry[FailoverRecord]):
    """A city's last emergency."""

    since: Mapping[str, float] = field(default_factory=dict)
    """System -> when this engine first saw it lost in this very emergency (monotonic), however often the record has
    changed since; empty once it has ended."""


@dataclass(frozen=True, slots=True)
class Gone:
    """An observer's word on a component that was taken back, or went with its observer. Monotonic times."""

    vouched_until: float
    """Until when it may have spoken for the component."""
    accused_until: float
    """Until when it spoke against it; 0: it did not."""
    connected_until: float = 0.0
    """Until when connections came about although nobody answered; 0: they did not."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A group's placement."""

    record: PlacementRecord
    map: BucketMap
    revision: int
    create_revision: int = 0
    seen_at: float = 0.0
    """When this engine first saw this revision, on its monotonic clock."""


@dataclass(frozen=True, slots=True)
class ShiftEntry:
    """A Shift, and how long this engine has seen it in its phase and wave."""

    name: str
    record: ShiftRecord
    mod_revision: int
    first_seen: float
    since: float
    """Monotonic time at which this engine first saw the present phase and wave."""
    gate_since: float = 0.0
    """The same of the record's `gate_since`, which counts for people: wall clocks are set."""
    pace_since: float = 0.0
    """The same of the record's `pace_at`."""

    @property
    def finished(self) -> bool:
        return self.record.phase in FINISHED

    @property
    def is_question(self) -> bool:
        """Whether it only asks a person about a failover (`approvals`), and moves nobody itself."""
        return self.record.cause.startswith(FAILOVER)

    @property
    def short_name(self) -> str:
        return self.name.rpartition("/")[2]

    @property
    def namespace(self) -> str:
        return self.name.partition("/")[0]


@dataclass(frozen=True, slots=True)
class DrillEntry:
    """A Drill's record, and how long this engine has seen it in its phase."""

    name: str
    record: DrillRecord
    mod_revision: int
    since: float
    """Monotonic time at which this engine first saw the present phase."""
    waiting_since: float = 0.0
    """The same of the run's `waiting_since`, which counts for people: wall clocks are set."""
    unwatched_since: float = 0.0
    """The same of the run's `unwatched_since`."""

    @property
    def under_way(self) -> bool:
        return self.record.phase in UNDER_WAY and self.record.run is not None

    @property
    def groups(self) -> frozenset[str]:
        """Groups that the run under way has for itself."""
        return frozenset(self.record.run.before) if self.under_way and self.record.run else frozenset()


@dataclass(frozen=True, slots=True)
class PublishedDrill:
    """A Drill as the locations that have it published it. It may be applied in one of them, or in all."""

    name: str
    spec: DrillSpec | None
    """The agreed spec, else the last one that was agreed."""
    consistent: bool
    message: str
    since: float
    """Monotonic time at which this engine first saw it."""
    voices: tuple[str, ...]
    """Sites where somebody applied it."""
    requests: Mapping[str, DrillRequest]
    """Site -> the last command given there."""
    evidence: tuple[tuple[str, int], ...]
    """The voices' keys with their mod revisions: premises of a run that starts."""


@dataclass(frozen=True, slots=True)
class Published(Generic[S]):
    """One object as the locations published it."""

    name: str
    spec: S | None
    """The agreed spec, else the last one that was agreed, else None (a Site: what it says of itself)."""
    consistent: bool
    """Whether all Active sites that publish read the same object now."""
    since: float
    """Monotonic time at which this engine first saw the present state."""
    message: str = ""
    """Who differs, when not consistent."""
    labels: Mapping[str, str] = field(default_factory=dict)
    order_digest: str = ""
    """AgentGroups: what identifies the order."""
    invalid: Refusal | None = None
    """Why the agreed spec cannot be read as this kind of object."""
    evidence: tuple[tuple[str, int], ...] = ()
    """Sites: the copies' keys with their mod revisions, its own one first: premises of a move onto it."""
    at_worst: S | None = None
    """AgentGroups without a spec, as their copies differ and were never seen to agree: what an emergency goes by."""


@dataclass(frozen=True)
class Snapshot:
    """What the store says at `revision`. Names of namespaced objects are `namespace/name`."""

    revision: int = 0
    coordinator: Entry[CoordinatorRecord] | None = None
    hold: Entry[HoldRecord] | None = None
    participants: frozenset[str] = frozenset()
    """Active sites that publish specs: those that must agree."""
    sites: Mapping[str, Published[SiteSpec]] = field(default_factory=dict)
    groups: Mapping[str, Published[AgentGroupSpec]] = field(default_factory=dict)
    trunks: Mapping[str, Published[TrunkSpec]] = field(default_factory=dict)
    placements: Mapping[str, Placed] = field(default_factory=dict)
    orders: Mapping[str, Entry[OrderRecord]] = field(default_factory=dict)
    shifts: Mapping[str, ShiftEntry] = field(default_factory=dict)
    ran: Mapping[str, Entry[RanRecord]] = field(default_factory=dict)
    """Shifts that are over and whose records have been tidied away."""
    drills: Mapping[str, DrillEntry] = field(default_factory=dict)
    drill_specs: Mapping[str, PublishedDrill] = field(default_factory=dict)
    heartbeats: Mapping[str, Entry[HeartbeatRecord]] = field(default_factory=dict)
    store_members: Mapping[str, Entry[StoreMemberRecord]] = field(default_factory=dict)
    """Site -> whether its member of the store takes part, where its engine says."""
    operators: Mapping[str, Entry[OperatorRecord]] = field(default_factory=dict)
    """Site -> versions of its operator and Kubernetes, where that operator says."""
    observations: Mapping[tuple[str, str, str], Mapping[str, Heard]] = field(default_factory=dict)
    """(site, system or "", component) -> observer -> its word."""
    departed: Mapping[tuple[str, str, str], Mapping[str, Gone]] = field(default_factory=dict)
    """The same of observers whose word is gone."""
    rehearsed: Mapping[str, Mapping[tuple[str, str], Mapping[str, Heard]]] = field(default_factory=dict)
    """Drill -> (site, system) -> observer -> its word, as if that site were lost; for that Drill's groups only."""
    tests: Mapping[tuple[str, str], Mapping[str, Entry[TargetTestRecord]]] = field(default_factory=dict)
    """(site, system) -> observer -> what its test agent met there for a Shift that is preparing."""
    replicas: Mapping[tuple[str, str], Entry[ReplicasRecord]] = field(default_factory=dict)
    """Site, system -> Ready replicas, where their operator says."""
    alarms: Mapping[str, Mapping[str, Entry[AlarmsRecord]]] = field(default_factory=dict)
    """Owner of alarms (`drills/namespace/name`) -> location -> what Prometheus told it."""
    reports: Mapping[tuple[str, str], Entry[SystemReport]] = field(default_factory=dict)
    """(site, system) -> what that city's CTI and softswitch say."""
    moves: Mapping[tuple[str, str], Entry[MovesRecord]] = field(default_factory=dict)
    arrivals: Mapping[tuple[str, str], Entry[ArrivalsRecord]] = field(default_factory=dict)
    drill_reports: Mapping[str, Entry[DrillReportRecord]] = field(default_factory=dict)
    """By `namespace/name/run`."""
    digests: Mapping[tuple[str, str], Mapping[str, str]] = field(default_factory=dict)
    """(kind, name) -> site -> digest of the spec that its operator read."""
    routes: Mapping[str, Entry[TrunkRecord]] = field(default_factory=dict)
    failovers: Mapping[str, FailoverEntry] = field(default_factory=dict)
    """Site -> its last emergency."""
    absent_since: Mapping[str, float] = field(default_factory=dict)
    """Placed groups that no location publishes any more, since when (monotonic)."""
    unreadable: frozenset[str] = frozenset()
    """Keys whose value this version cannot read: they are left as they are."""

    def site(self, name: str) -> SiteSpec | None:
        published = self.sites.get(name)
        return published.spec if published else None

    def group(self, name: str) -> AgentGroupSpec | None:
        published = self.groups.get(name)
        return published.spec if published else None

    def failover_of(self, cause: str) -> tuple[str, FailoverRecord] | None:
        """The site and the failover that this cause names; None when the site's record speaks of another one."""
        site, _, number = cause.removeprefix(FAILOVER).rpartition("-")
        entry = self.failovers.get(site) if cause.startswith(FAILOVER) else None
        return (site, entry.record) if entry is not None and str(entry.record.number) == number else None

    def group_at_worst(self, name: str) -> AgentGroupSpec | None:
        """What an emergency goes by, and what counts as room taken: the spec, else the more careful of its copies."""
        published = self.groups.get(name)
        return (published.spec or published.at_worst) if published else None

    def system(self, site: str, system: str) -> System | None:
        spec = self.site(site)
        return spec.system(system) if spec else None

    def active_sites(self) -> tuple[str, ...]:
        return tuple(
            sorted(name for name, site in self.sites.items() if site.spec is not None and site.spec.role == "Active")
        )

    def report(self, site: str, system: str) -> SystemReport | None:
        entry = self.reports.get((site, system))
        return entry.record if entry else None

    def group_report(self, site: str, system: str, group: str) -> GroupReport | None:
        """What `site` says of a group. None: no report, which is not an empty one."""
        report = self.report(site, system)
        if report is None:
            return None
        return report.groups.get(group, GroupReport())

    def unfinished_shifts(self) -> tuple[ShiftEntry, ...]:
        """Oldest first: who came first goes on first."""
        return tuple(
            sorted(
                (shift for shift in self.shifts.values() if not shift.finished),
                key=lambda shift: (shift.record.created_at, shift.name),
            )
        )
