"""What the store holds, as typed values. JSON with snake_case keys; unknown fields of newer versions are ignored.

Times are seconds since the epoch (UTC) as floats: they are for people and for the order of a story, never for a
decision between locations.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from tandem.api.agentgroup import Drain
from tandem.api.alarms import DrillAlarms
from tandem.api.drill import AlarmState, DrillPhase, LostSite, Outcome, Rehearsal
from tandem.api.shift import Phase, ShiftPlan, ShiftSpec
from tandem.domain.capabilities import CTICapabilities


class Record(BaseModel):
    """Base of every value in the store."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_none=True, by_alias=True).encode()


class CoordinatorRecord(Record):
    site: str
    engine: str = Field(description="Random ID made at the engine's start.")


class HeartbeatRecord(Record):
    """A location's engine lives. The key is on the engine's lease; its absence is what counts."""

    site: str
    engine: str
    started_at: float
    version: str = ""


class StoreMemberRecord(Record):
    """Whether a location's member of the store takes part in what it decides; on the engine's lease."""

    works: bool
    member: str = Field(default="", description="Its ID as etcdctl writes it; empty: it has not told it yet.")
    voters: int = Field(default=0, description="Members that the store has with a vote, as this one said last; or 0.")
    detail: str = Field(default="", description="What it was that did not work.")


class OperatorRecord(Record):
    """What runs a location's objects. The key is on the operator's lease."""

    version: str
    kubernetes: str = Field(default="", description="Version of the API server, like v1.33.1; empty: not known yet.")


class SpecRecord(Record):
    """One object as one location's operator read it."""

    digest: str = Field(description="SHA-256 over the canonical JSON of `spec` and the labels; 16 hex digits.")
    generation: int = 0
    spec: dict[str, object]
    labels: dict[str, str] = Field(default_factory=dict)
    order_id: str = Field(default="", description="Annotation tandem.dev/order-id, part of the order's digest.")
    read_at: float = 0.0
    request: str = Field(
        default="", description="Annotation tandem.dev/drill-request: a command, acted on once per id."
    )
    mirrored: bool = Field(default=False, description="Whether the operator made this copy from another location's.")


class PlacementRecord(Record):
    """Which site each bucket of a group belongs to. The key's mod revision is the placement's revision."""

    system: str
    map: dict[str, str] = Field(description="Ranges of buckets by `site` or `from>to`, like {'east': '0-59'}.")
    cause: str = Field(description="Order, Shift/x, Failover/east-1, Drill/x or Adopted.")
    pace: float = Field(default=0.0, description="Most agents of this group released a second; 0: no limit.")
    together: str = Field(default="", description="The move whose groups keep one pace together; empty: none does.")
    together_pace: float = Field(
        default=0.0, description="Most agents of all groups of that move released a second by each CTI that they leave."
    )
    drain: Drain = Drain()
    epoch: int = Field(default=0, description="Create revision of the coordinator's key when this was committed.")
    committed_at: float = 0.0


class OrderRecord(Record):
    """The last order of a group that was consumed, and what became of it."""

    digest: str
    outcome: Literal["Accepted", "Refused", "Adopted"]
    reason: str = ""
    message: str = ""
    shift: str = ""


class GroupPlan(Record):
    """What a Shift does to one group: the buckets that leave, in the order of its waves."""

    group: str
    system: str
    agents: int
    to: str = Field(description="Of the sites that get agents, the one that gets most.")
    moves: dict[str, str] = Field(description="Ranges of buckets by `from>to`, the whole Shift.")
    waves: tuple[dict[str, str], ...] = Field(description="The same, wave by wave; an empty one waits for the others.")
    before: dict[str, str] = Field(description="The map when planned: what an abort restores.")
    after: dict[str, str] = Field(description="The map when done.")

    @property
    def sources(self) -> tuple[str, ...]:
        """Sites that agents leave, by name."""
        return tuple(sorted({direction.partition(">")[0] for direction in self.moves}))

    @property
    def targets(self) -> tuple[str, ...]:
        """Sites that get agents, by name."""
        return tuple(sorted({direction.partition(">")[2] for direction in self.moves}))


class WaveBase(Record):
    """What cities had counted when a wave began. Counts of a CTI begin anew when it restarts."""

    agents: int = Field(default=0, description="Agents of the wave signed in where they leave.")
    agents_at: dict[str, int] = Field(default_factory=dict, description="The same by `site/system` that they leave.")
    released: dict[str, int] = Field(
        default_factory=dict, description="By group: agents released so far by the CTIs that it leaves, if they count."
    )
    answered: dict[str, int] = Field(default_factory=dict, description="By `site/system` of a target: calls taken.")
    unanswered: dict[str, int] = Field(default_factory=dict, description="The same: offered, and not taken.")


class RehearsalTimes(Record):
    """How a rehearsed loss became one, in seconds since the epoch; by the clocks of those who saw it."""

    silenced_at: float = Field(description="The site's CTI took the first word: agents hear nothing from here on.")
    detected_at: float = Field(description="A second location said so too.")
    confirmed_at: float = Field(description="It had stood for long enough.")
    silent: int | None = Field(default=None, description="Agents whom the site's CTIs kept silent; None: unsaid.")


class ShiftRecord(Record):
    """A Shift as the locations share it."""

    spec: ShiftSpec
    cause: str = Field(default="", description="Order, Failover/x or Drill/x for a Shift that Tandem made, else empty.")
    order_digest: str = ""
    created_at: float
    created_in: str = Field(description="Site whose operator created it.")
    approved_at: float = Field(default=0.0, description="When an operator learned that a person approves it.")
    phase: Phase = "Pending"
    reason: str = ""
    message: str = ""
    plan: tuple[GroupPlan, ...] = ()
    plan_text: tuple[str, ...] = ()
    planned: ShiftPlan = Field(default=ShiftPlan(), description="What was foreseen; `groups` is left to `plan`.")
    wave: int = Field(default=0, description="Wave under way, from 1; 0 before the first.")
    wave_started_at: float = 0.0
    base: WaveBase = Field(default=WaveBase(), description="What had been counted when the wave under way began.")
    gate: str = Field(default="", description="Name of the gate that is closed.")
    gate_since: float = 0.0
    pace: float | None = Field(
        default=None, description="Agents a second now, over all groups; None: as the spec says. Never more than that."
    )
    pace_at: float = Field(default=0.0, description="When that was last changed.")
    back_wave: int = Field(default=0, description="Wave of the way back, from 1; 0: those who were on their way.")
    home_given_up: bool = Field(default=False, description="A site to go back to was not usable for long enough.")
    rehearses: str = Field(default="", description="Site whose loss it rehearses (`rehearsal`); empty: a planned move.")
    rehearsal: RehearsalTimes | None = Field(
        default=None, description="Of one that rehearses a loss, once it is confirmed."
    )
    aborted_for: str = Field(default="", description="Why it goes back although nobody has asked for it.")
    staying: dict[str, int] = Field(default_factory=dict, description="Agents beyond the deadline, by group.")
    accounts_staying: tuple[str, ...] = Field(default=(), description="Who they are, as far as CTIs name them.")
    started_at: float = 0.0
    finished_at: float = 0.0

    @property
    def step(self) -> tuple[str, int, int]:
        """What deadlines count from: its phase and the wave of either way."""
        return self.phase, self.wave, self.back_wave

    @property
    def waves(self) -> int:
        """Waves of the whole Shift: as many as its group with most; 0: nothing is planned."""
        return max((len(plan.waves) for plan in self.plan), default=0)


class RanRecord(Record):
    """A Shift that people made and that is over, when its record has been tidied away."""

    phase: Phase
    message: str = ""
    finished_at: float = 0.0


class CallCounts(Record):
    """What has become of a group's calls in one city, in this life of its CTI; counts that only grow."""

    answered: int = 0
    hung_up: int = 0
    cut: int = 0
    unheard: int = 0
    abandoned: int = 0
    refused: int = 0


class DrillEventRecord(Record):
    """One thing that happened in a run."""

    at: float
    subject: str = Field(description="The Drill, or one of its Shifts, like `Shift x`.")
    reason: str
    message: str


class DrillMarkRecord(Record):
    """What one city's system said of a run's groups at one moment of it."""

    moment: Literal["Started", "There", "Leaving", "Over"]
    at: float
    site: str
    system: str
    version: str = Field(default="", description="Of the engine there; empty: it writes nothing.")
    boot: str = Field(default="", description="Of the CTI; empty: it says nothing.")
    softswitch_uptime: int = 0
    operator_version: str = Field(default="", description="This and the next three: empty where nobody says.")
    kubernetes_version: str = ""
    cti_version: str = ""
    softswitch_version: str = ""
    signed_in: int = 0
    talking: int = 0
    calls_waiting: int = 0
    counts: CallCounts | None = Field(default=None, description="None: the CTI does not count calls.")


class CheckRecord(Record):
    """One precondition, and the values that were found."""

    check: str
    found: str


class DrillFactsRecord(Record):
    """What is written down while a run goes on, for its report; dropped when that is made."""

    coordinator: str = ""
    specs: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="`kind/name` -> digest of the spec -> the locations that have it."
    )
    checks: tuple[CheckRecord, ...] = ()
    events: tuple[DrillEventRecord, ...] = ()
    events_left_out: int = 0
    waves: dict[str, float] = Field(default_factory=dict, description="`shift#number` -> when that wave started.")
    marks: tuple[DrillMarkRecord, ...] = ()


class AlarmWord(Record):
    """What one location says of one alarm. Written when the state changes."""

    state: AlarmState
    since: float = Field(description="Since when it has been so, by that location's clock.")
    value: str = Field(default="", description="Pending, Firing: what was answered as it became so.")
    detail: str = Field(default="", description="Unknown: why there is no answer.")
    fired_at: float = Field(default=0.0, description="When it first fired for this purpose; 0: it has not.")
    fired_value: str = Field(default="", description="What was answered then.")


class AlarmsRecord(Record):
    """What one location says of all alarms of one Drill or Shift; on its engine's lease."""

    purpose: str = Field(
        description="What it was asked for: words that were made for something else count for nothing."
    )
    digest: str = Field(description="Of the questions that it speaks of.")
    alarms: dict[str, AlarmWord] = Field(default_factory=dict, description="By name; one left out was not asked yet.")


class FiredAlarmRecord(Record):
    """The outcome alarm that brought a run back."""

    name: str
    query: str
    value: str
    at: float
    site: str


class DrillLegRecord(Record):
    """One way of a run: its Shift, and what became of it."""

    shift: str = Field(default="", description="namespace/name.")
    agents: int = 0
    moved: int = 0
    staying: int = 0
    p50: float = 0.0
    p95: float = 0.0
    max: float = 0.0
    time_to: dict[str, float] = Field(
        default_factory=dict, description="Share of the planned agents in percent -> seconds from the first commit."
    )
    started_at: float = 0.0
    finished_at: float = 0.0


class DrillDue(Record):
    """A run that is due and has not started."""

    name: str = Field(description="Name of the run: its time, UTC, like 20261128-030000.")
    at: float = Field(description="The scheduled time, or that of the command.")
    until: float = Field(description="It never starts after this.")
    by: str = Field(default="", description="Who started it by command; empty: the schedule.")
    request: str = Field(default="", description="ID of the command.")
    planned: bool = Field(default=False, description="Whether nothing but its plan spoke against it at the last look.")


class DrillRunRecord(Record):
    """One run, under way or over. A run that never started has no legs."""

    due: DrillDue
    shift: Rehearsal = Field(description="What it rehearses, frozen at the start.")
    lost: LostSite | None = Field(default=None, description="The loss that it rehearses; None: a planned move.")
    targets: tuple[str, ...] = Field(default=(), description="Sites that receive agents; empty: `shift.to`.")
    epoch: int = Field(default=0, description="Of the coordinator who started it: a rehearsed loss outlives none.")
    hold_s: float = 0.0
    before: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="Group -> the map to restore; empty once the run is over and reported."
    )
    facts: DrillFactsRecord | None = Field(default=None, description="None: there is nothing to report, or it is.")
    started_at: float = 0.0
    holding_since: float = 0.0
    doors_at: float = Field(default=0.0, description="When the last bucket had become the other site's.")
    left_at: float = Field(default=0.0, description="When the way back began.")
    waiting_since: float = Field(
        default=0.0, description="Since when the world has kept it from going on; 0: it does not."
    )
    alarms: DrillAlarms | None = Field(default=None, description="Frozen at the start; None once the run is over.")
    unwatched_since: float = Field(
        default=0.0, description="Since when an outcome alarm has not been answered anywhere; 0: all are."
    )
    alarm: FiredAlarmRecord | None = Field(default=None, description="The outcome alarm that brought it back.")
    finished_at: float = 0.0
    out: DrillLegRecord = DrillLegRecord()
    back: DrillLegRecord = DrillLegRecord()
    outcome: Outcome | None = Field(default=None, description="Decided before the end when it comes back early.")
    reason: str = ""
    message: str = ""
    reported: bool = Field(default=False, description="Whether its report has been written.")
    cut: int | None = Field(default=None, description="Calls cut, as the CTIs counted them; None: not measured.")

    @property
    def name(self) -> str:
        return self.due.name

    @property
    def goals(self) -> tuple[str, ...]:
        """Sites that receive agents, by name."""
        return self.targets or ((self.shift.to,) if self.shift.to else ())


class DrillAnswerRecord(Record):
    """What became of one command to a Drill."""

    id: str
    answer: str


class DrillRecord(Record):
    """A Drill as the locations share it. One key, so that whatever happens of it happens once."""

    phase: DrillPhase = "Waiting"
    schedule: str = Field(default="", description="Schedule and time zone that `after` counts for.")
    after: float = Field(description="Scheduled times up to this one have been dealt with.")
    due: DrillDue | None = None
    run: DrillRunRecord | None = None
    """The one under way."""
    runs: tuple[DrillRunRecord, ...] = Field(default=(), description="Past runs, newest first.")
    forgotten: tuple[str, ...] = Field(default=(), description="Runs that have left the history last, newest first.")
    handled: dict[str, str] = Field(default_factory=dict, description="Site -> id of the last command taken from it.")
    request: str = Field(default="", description="ID of the last command.")
    answer: str = Field(default="", description="What became of it.")
    answered: tuple[DrillAnswerRecord, ...] = Field(
        default=(), description="Those before it, newest first: whoever gave one may still be looking."
    )
    last_success_at: float = 0.0
    reason: str = ""
    message: str = ""


class GroupReport(Record):
    """What one city's CTI says of one group."""

    revision: int = 0
    signed_in: int = 0
    available: int = 0
    ringing: int = 0
    talking: int = 0
    wrapup: int = 0
    on_break: int = 0
    waiting: int = 0
    guests: int = 0
    standby: int = 0
    calls_waiting: int = 0
    calls: CallCounts | None = Field(default=None, description="None: this CTI does not count them.")
    buckets: dict[str, int] = Field(default_factory=dict, description="Sessions per bucket; zeros left out.")
    staying: tuple[str, ...] = Field(default=(), description="Accounts still busy after a move's longest call.")
    released: int | None = Field(default=None, description="Agents let go by moves since its start; None: unsaid.")
    calls_answered: int | None = Field(default=None, description="Calls that agents took since then; None: unsaid.")
    calls_unanswered: int | None = Field(default=None, description="Calls offered to agents who did not take them.")


class SystemReport(Record):
    """What one city's CTI and softswitch of one system say; on the engine's lease."""

    boot: str
    confirmed: bool = False
    groups: dict[str, GroupReport] = Field(default_factory=dict)
    softswitch_uptime: int = 0
    softswitch_version: str = Field(default="", description="Empty: it does not say.")
    softswitch_revision: int = Field(default=0, description="Newest placement revision the softswitch holds.")
    registered: int = 0
    calls: int = 0
    calls_per_second: float | None = Field(
        default=None, description="New calls a second at the softswitch, over ten seconds; None: not measured."
    )
    capabilities: CTICapabilities | None = Field(default=None, description="Of this CTI; None: not asked yet.")
    sign_in_rate: float = Field(default=0.0, description="Sign-ins a second that the CTI bears now; 0: unsaid.")
    at: float = 0.0


class MovesOfWave(Record):
    agents: int
    p95: float


class MovesOfShift(Record):
    agents: int = Field(description="All who have told their gap, on either way.")
    back: int = Field(default=0, description="Those of them who have come back after an abort.")
    p50: float
    p95: float
    max: float
    last_at: float
    waves: dict[str, MovesOfWave] = Field(default_factory=dict, description="By number of the wave, from 1.")
    recent_p95: float = Field(default=0.0, description="Of the last agents only: how it goes now.")

    @property
    def moved(self) -> int:
        """Those who arrived where the Shift takes them."""
        return self.agents - self.back


class MovesRecord(Record):
    """Switch times of the agents who arrived at one city's CTI, by revision of the move."""

    shifts: dict[str, MovesOfShift] = Field(default_factory=dict)


class KeptRecord(Record):
    """Seconds that an agent was kept at the old city after the bucket had begun to leave."""

    call: float
    wrapup: float
    turn: float


class DelayRecord(Record):
    """What one move waited for, as the CTI that took the agent in says."""

    kept: KeptRecord | None = None
    door_seconds: float
    door_reason: str = ""
    standby: bool


class ArrivalRecord(Record):
    """One agent who arrived, by name."""

    account: str
    group: str
    bucket: int
    came_from: str
    to: str
    gap: float
    at: float = Field(description="When it was signed in, by the client's clock.")
    delay: DelayRecord | None = None
    failed_over: bool = Field(default=False, description="Without a ticket: the client found its city lost by itself.")


class ArrivalsOfShift(Record):
    """The agents whom one Shift brought to one city's CTI, as distributions (`domain/distribution.py`)."""

    since: float = Field(description="The Shift's first commit.")
    gaps: dict[int, int] = Field(default_factory=dict, description="Own gap in milliseconds -> agents.")
    times: dict[int, int] = Field(default_factory=dict, description="Milliseconds since `since` -> agents signed in.")
    whys: dict[str, int] = Field(default_factory=dict, description="What most of the way waited for -> agents.")
    slowest: tuple[ArrivalRecord, ...] = ()
    latest: tuple[ArrivalRecord, ...] = ()
    failed_over_gaps: dict[int, int] = Field(default_factory=dict, description="`gaps` of those without a ticket.")
    failed_over_times: dict[int, int] = Field(default_factory=dict, description="`times` of those without a ticket.")

    @property
    def agents(self) -> int:
        return sum(self.gaps.values())


class ArrivalsRecord(Record):
    """The arrivals of the last Drills' Shifts at one city's CTI."""

    shifts: dict[str, ArrivalsOfShift] = Field(default_factory=dict)


class ObservationRecord(Record):
    """One source's word about one component. Written when it changes; on the observer's lease."""

    state: Literal["Pass", "Fail"]
    since: float
    firm: bool = Field(default=False, description="A failing word that enough measured failures in a row stand for.")
    stale: bool = Field(default=False, description="A passing word that nothing has renewed for long: it says nothing.")
    connects: bool = Field(
        default=False, description="A failing word: nobody answers, yet connections come about: the machine runs."
    )
    detail: str = ""
    failure_domain: str = ""

    @property
    def vouches(self) -> bool:
        """Whether it says that the component works."""
        return self.state == "Pass" and not self.stale


class RehearsedRecord(ObservationRecord):
    """The same as it would be if the site were lost: of one Drill's run, for its groups only."""

    run: str = Field(description="namespace/drill/run.")
    silent: int | None = Field(
        default=None, description="The site's own word: agents whom its CTI keeps silent. None: of others, or unsaid."
    )


class TargetTestRecord(Record):
    """What a location's test agent met at a target, tried anew because Shifts are about to begin. Leased."""

    asked: tuple[str, ...] = Field(description="Shifts (namespace/name) that were preparing when it began.")
    ok: bool
    detail: str = Field(default="", description="What failed.")
    sign_in_s: float = 0.0
    call_s: float | None = Field(default=None, description="None: no call was tried.")


class ReplicasRecord(Record):
    """Ready replicas of one system at one site, as its operator counts them; on the operator's lease."""

    ready: dict[str, int] = Field(
        description="By part, cti or softswitch; one that is not scaled or unknown is left out."
    )


class FailoverRecord(Record):
    """The last emergency of one city."""

    number: int = Field(default=0, description="Counts the city's failovers; part of the placements' cause.")
    state: Literal["Active", "Ended"] = "Ended"
    systems: tuple[str, ...] = ()
    message: str = Field(default="", description="Who said what of the city.")
    started_at: float = 0.0
    ended_at: float = 0.0
    ending: str = Field(default="", description="How it ended, as a sentence.")
    repeated: int = Field(default=0, description="Failovers before this one that are not forgiven yet.")
    declined: tuple[str, ...] = Field(default=(), description="Groups that a person would not have moved by it.")


class HoldRecord(Record):
    by: str
    reason: str
    since: float


class HoldRequestRecord(Record):
    """The requests for `hold` and `resume` that one cluster has carried out."""

    id: str
    earlier: tuple[str, ...] = Field(default=(), description="Those before it, newest first.")


class TrunkRecord(Record):
    """Effective routes of a Trunk, decided by the coordinator; confirmed by the engine that pushes them."""

    routes: tuple[dict[str, object], ...]
    revision: int = Field(default=0, description="Store revision at which these routes were decided.")
    confirmed_revision: int = Field(default=0, description="`revision` of the routes that the carrier has.")
    channels_in_use: int = 0
    decided_from: str = Field(default="", description="`trunk_digest` of the spec that these routes follow.")
    reason: str = Field(default="", description="Why routes of an older spec, or none, are in force.")
    message: str = Field(default="", description="`reason` as a sentence.")


class Who(Record):
    """Who or what stands behind a decision."""

    kind: Literal["Person", "Order", "Schedule", "Drill", "Rule"]
    name: str = Field(default="", description="The person's, as the cluster knows them; empty where nobody said it.")


class HistoryEntry(Record):
    """One decision, in the words of the field."""

    kind: Literal["Site", "AgentGroup", "Trunk", "Shift", "Drill", "Hold"]
    name: str = Field(default="", description="Of the object; a hold has none.")
    action: str = Field(description="What was decided, CamelCase, never renamed.")
    reason: str = ""
    why: str = Field(default="", description="A sentence for people, with the evidence.")
    who: Who
    sites: tuple[str, ...] = Field(default=(), description="Sites that it concerns.")
    groups: tuple[str, ...] = Field(default=(), description="Groups that it is about, without those in `placed`.")
    placed: tuple[str, ...] = Field(default=(), description="Groups whose placement the same transaction wrote.")
    agents: int = 0
    buckets: int = Field(default=0, description="Buckets that `placed` changes.")
    shift: str = Field(default="", description="The Shift that it belongs to, where it is not about the Shift itself.")


class HistoryRecord(Record):
    """What one transaction decided. Its key's create revision is the revision at which that became true."""

    at: float = Field(description="By the writer's clock.")
    site: str = Field(description="Location that wrote it.")
    engine: str = Field(description="The coordinator's ID, or the operator that took a person's command to the store.")
    epoch: int = Field(default=0, description="The coordinator's reign; 0 for what an operator wrote.")
    entries: tuple[HistoryEntry, ...]

    def encode(self) -> bytes:
        return self.model_dump_json(exclude_defaults=True).encode()
