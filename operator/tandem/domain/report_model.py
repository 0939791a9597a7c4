"""The report of a Drill's run as data: what `kubectl tandem drill report -o json` prints, and the ConfigMap keeps.

Times of day are RFC 3339 with milliseconds, UTC; durations are seconds. `null` means that nobody measured it or that
it never came to that; why is said beside it, or in `notMeasured`. New fields may be added under the same `schema`; a
change of meaning makes a new one. docs/drill-report.schema.json is made from this by `make crds`.
"""

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from tandem.domain.records import Record

SCHEMA: Final = "tandem.dev/drill-report/v1"


class Part(BaseModel):
    """A part of the report."""

    model_config = ConfigDict(frozen=True, extra="ignore", alias_generator=to_camel, validate_by_name=True)


class Rehearsed(Part):
    """What was rehearsed."""

    selector: dict[str, object] = Field(description="Which groups, as the Drill's spec says.")
    to: str = Field(description="Site that received the agents.")
    percent: int = Field(description="Share of each group's agents that went.")
    waves: tuple[int, ...] = Field(description="Share of the move done after each wave, in percent.")
    pace: int = Field(description="Most agents moved a second; 0: the CTI's rate.")
    hold_seconds: float = Field(description="How long they were to work there.")


class Check(Part):
    """One precondition, checked when the run started."""

    check: str = Field(description="What was asked.")
    found: str = Field(description="The values that were found.")


class Spread(Part):
    """A distribution of seconds, by nearest rank."""

    p50: float
    p95: float
    max: float


class Arrival(Part):
    """One agent who arrived."""

    account: str
    group: str
    bucket: int
    came_from: str
    to: str
    gap: float = Field(description="Seconds without service, by the client's own clock.")
    after_commit: float = Field(description="Seconds from the first commit to the sign-in there.")
    why: str = Field(description="Stable word for what it waited for most.")
    explanation: str = Field(description="The same as a sentence with figures.")


class Wave(Part):
    """One wave, as planned and as it went."""

    number: int
    agents: int = Field(description="Agents planned.")
    started_at: str | None = Field(description="null: it did not start, or was not seen to.")
    after_commit: float | None = Field(description="Seconds from the first commit to its start.")
    took: float | None = Field(description="Seconds until the next one, or until the last bucket had left.")
    expected: str = Field(description="What was foreseen while nobody is in a call.")


class Way(Part):
    """One way of the run: out, or back."""

    way: Literal["Out", "Back"]
    shift: str = Field(description="Its Shift; empty: it was not made.")
    phase: str = Field(description="Where the Shift ended; empty: it is not there any more.")
    message: str = Field(description="The Shift's last word.")
    sites: tuple[str, ...] = Field(description="Where the agents were to go.")
    planned: int = Field(description="Agents planned.")
    arrived: int = Field(description="Agents who arrived there.")
    returned: int = Field(description="Agents whom an abort brought back meanwhile.")
    staying: int = Field(description="Agents who stayed for a call beyond the deadline.")
    staying_accounts: tuple[str, ...] = Field(description="Who they are, as far as CTIs name them.")
    missing: int = Field(description="Planned, and neither arrived nor staying: they signed out, or were not there.")
    committed_at: str | None = Field(description="First commit.")
    finished_at: str | None
    seconds: float | None = Field(description="From the first commit to the end.")
    gaps: Spread | None = Field(description="The agents' own seconds without service.")
    time_to: dict[str, float | None] = Field(
        description="Share of the planned agents in percent -> seconds from the first commit; null: never."
    )
    last_arrival: float | None = Field(description="Seconds from the first commit to the last sign-in that was seen.")
    gap_bins: dict[int, int] = Field(description="Own gap in milliseconds (three digits) -> agents.")
    arrival_bins: dict[int, int] = Field(description="Milliseconds since the first commit -> agents signed in.")
    waited_for: dict[str, int] = Field(description="What most of an agent's way waited for -> agents.")
    slowest: tuple[Arrival, ...] = Field(description="Longest gaps.")
    latest: tuple[Arrival, ...] = Field(description="Those who came last.")
    waves: tuple[Wave, ...]
    gates: tuple[str, ...] = Field(description="What had to hold before the first wave, and before each next.")
    promises: tuple[str, ...] = Field(description="What the CTIs promised.")
    limits: tuple[str, ...] = Field(description="What the CTIs could not promise.")


class Event(Part):
    """One thing that happened."""

    at: str
    after_start: float
    subject: str
    reason: str
    message: str


class Phase(Part):
    """One phase of the run."""

    name: Literal["Out", "Holding", "Back"]
    started_at: str
    seconds: float


class FailedOver(Part):
    """The agents who came without a ticket: their clients found the site lost by themselves, as in an emergency."""

    agents: int
    gaps: Spread = Field(description="Their own seconds without service, since the last word from their site.")
    first_sign_in: float = Field(description="Seconds since `silencedAt`, as of the phases.")
    last_sign_in: float
    time_to: dict[str, float | None] = Field(
        description="Share of these agents in percent -> seconds since `silencedAt` until they were signed in."
    )


class FailoverTimes(Part):
    """The phases of a rehearsed failover: seconds since the agents who were kept silent heard their site last.

    Locations and clients have clocks of their own.
    """

    site: str = Field(description="Site that counted as lost.")
    silence: int = Field(description="Percent of each group's idle agents who were to hear nothing of it.")
    silent_agents: int | None = Field(
        default=None,
        description="Agents who heard nothing of it, as its CTIs chose them; null: unsaid, or it did not come to a"
        " failover.",
    )
    silenced_at: str | None = Field(description="When that began; null: it did not come to a failover.")
    detected: float | None = Field(description="A second location found the site lost.")
    confirmed: float | None = Field(description="That had stood for long enough.")
    committed: float | None = Field(description="The groups were placed elsewhere.")
    doors_open: float | None = Field(description="The last bucket was the other site's, and its door open.")
    first_sign_in: float | None = Field(description="The first agent was signed in there, by whatever way.")
    last_sign_in: float | None = Field(description="The last one, those who finished a call first included.")
    failed_over: FailedOver | None = Field(
        default=None, description="Those who came by the automatic path alone; null: nobody did, or no CTI tells."
    )


class Location(Part):
    """What was in force at one location, and whether that changed on the way."""

    site: str
    system: str = Field(description="Empty: the location itself.")
    engine_version: str = Field(description="Empty: it wrote nothing.")
    cti_boot: str
    softswitch_uptime: int = Field(description="Seconds, when the run started.")
    operator_version: str = Field(default="", description="Of Tandem's operator; empty: it does not say.")
    kubernetes_version: str = Field(default="", description="Of the location's API server; empty: nobody says.")
    cti_version: str = Field(default="", description="Empty: the CTI does not say.")
    softswitch_version: str = Field(default="", description="Empty: the softswitch does not say.")
    changed: tuple[str, ...] = Field(description="What was another one at the end, as sentences.")


class Spec(Part):
    """One object's spec, as the locations had read it when the run started."""

    object: str = Field(description="kind/namespace/name.")
    digest: str = Field(description="First 16 hex digits of the SHA-256; several, joined by commas, where they differ.")
    sites: tuple[str, ...]
    agreed: bool


class MapOfGroup(Part):
    """Where a group's buckets were, and where they are."""

    group: str
    before: dict[str, str] = Field(description="Site -> ranges of buckets.")
    after: dict[str, str] | None = Field(description="null: the group's placement is gone.")
    verdict: Literal["Equal", "OnTheWay", "Different", "Gone"]


class CallsThere(Part):
    """The calls of the run's groups at a site that received agents, while they were to work there."""

    site: str
    seconds: float = Field(description="From the last arrival until the way back began.")
    answered: int | None = Field(description="Answered by agents there; null: not measured.")
    cut: int | None = Field(description="Answered, and ended neither by caller nor by agent; null: not measured.")


class CallsOfGroups(Part):
    """The calls of the run's groups. Counts are those between start and end of the run, of all sites together."""

    in_progress: dict[str, int] = Field(description="Moment of the run -> calls on agents of these groups.")
    waiting: dict[str, int] = Field(description="Moment of the run -> calls in their queues.")
    answered: int | None
    hung_up: int | None
    cut: int | None = Field(description="Answered, and ended neither by caller nor by agent.")
    unheard: int | None = Field(description="Answered and over; how it ended was not heard.")
    abandoned: int | None = Field(description="The caller gave up before anybody answered.")
    refused: int | None = Field(description="Nobody could be found.")
    there: tuple[CallsThere, ...] = Field(
        default=(), description="The same at each site that received agents, during the hold; empty: there was none."
    )
    measured: tuple[str, ...] = Field(description="What these figures are.")
    not_measured: tuple[str, ...] = Field(description="What they do not show.")


class TrendRun(Part):
    """One run of the trend."""

    name: str
    started_at: str | None
    outcome: str
    agents: int
    seconds: float | None
    out: Spread | None
    back: Spread | None
    out_all: float | None = Field(description="Seconds until all planned agents were there; null: never, or not known.")
    back_all: float | None
    cut: int | None


class Published(Part):
    """What others have published, to compare with."""

    source: str
    time_to: dict[str, float] = Field(description="Share of the agents in percent -> seconds.")
    all_later: float = Field(description="Seconds until all had switched, by a later word of theirs.")
    caution: str = Field(description="What is not the same.")


class DrillReport(Part):
    """One run of a Drill."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    drill: str = Field(description="namespace/name.")
    run: str = Field(description="Name of the run: its time, UTC.")
    written_at: str
    outcome: str
    reason: str
    message: str
    trigger: str = Field(description="Schedule, or who started it by command.")
    scheduled_at: str
    started_at: str | None = Field(description="null: it never started.")
    finished_at: str
    seconds: float | None
    coordinator: str = Field(description="Location whose engine decided when it started.")
    rehearsed: Rehearsed
    groups: tuple[str, ...]
    checks: tuple[Check, ...]
    phases: tuple[Phase, ...]
    failover: FailoverTimes | None = Field(default=None, description="Kind Failover; null: a planned move.")
    out: Way
    back: Way
    maps: tuple[MapOfGroup, ...]
    restored: bool | None = Field(description="Whether every bucket is where it was; null: nothing was moved.")
    restored_text: str
    calls: CallsOfGroups
    locations: tuple[Location, ...]
    specs: tuple[Spec, ...]
    events: tuple[Event, ...]
    events_left_out: int
    trend: tuple[TrendRun, ...] = Field(description="This run and the ones before it, newest first.")
    published: Published
    not_measured: tuple[str, ...] = Field(description="What this report does not know, and why.")


class DrillReportRecord(Record):
    """A report in the store."""

    drill: str
    run: str
    report: DrillReport

    def encode(self) -> bytes:
        """With its nulls: in a report they say something."""
        return self.model_dump_json(by_alias=True).encode()
