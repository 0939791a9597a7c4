"""Drill: a scheduled rehearsal. Like a CronJob of Shifts that always come back."""

from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Annotated, Final, Literal, Self
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import AfterValidator, ConfigDict, Field, model_validator

from tandem.api.agentgroup import Drain
from tandem.api.alarms import MOST_ALARMS, DrillAlarms
from tandem.api.common import (
    ATOMIC,
    Conditions,
    Duration,
    Name,
    Reported,
    Waves,
    Within,
    Written,
    cel,
    list_map,
    rules,
)
from tandem.api.gates import Gates
from tandem.api.shift import Selector, SwitchTimes

DrillPhase = Literal["Waiting", "Checking", "Out", "Holding", "Back"]
UNDER_WAY: Final[frozenset[str]] = frozenset({"Out", "Holding", "Back"})
"""Phases in which agents are, or may be, where they do not belong: a Drill in one of them is brought back first."""
DrillKind = Literal["Shift", "Failover"]
Outcome = Literal["Succeeded", "Failed", "Interrupted", "Blocked", "CapacityCheckFailed"]
AlarmState = Literal["Quiet", "Pending", "Firing", "Unknown"]
Weekday = Literal["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]
WEEKDAYS: Final[tuple[Weekday, ...]] = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones())


@lru_cache(maxsize=1024)
def _checked_schedule(text: str) -> str:
    try:
        # Looks ahead for fifty years: weekdays, dates and leap years have all met by then, wherever it starts.
        first = next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)), None)
    except CronSimError as error:
        raise ValueError(
            f"{text!r} is not a cron schedule ({error}); write minute, hour, day of month, month and day of week, "
            "like '0 3 * * SUN'"
        ) from error
    if first is None:
        raise ValueError(
            f"{text!r} is a cron schedule that never comes: no day fits both its day of month and its day of week; "
            "change one of them, like '0 3 * * SUN#1', or leave the schedule out to run it by command only"
        )
    return text


def _checked_zone(text: str) -> str:
    if text not in _zones():
        raise ValueError(f"{text!r} is no time zone; write it like Europe/Berlin or UTC")
    ZoneInfo(text)
    return text


def _checked_day(text: str) -> str:
    try:
        date.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no date ({error}); write it like 2026-12-24") from None
    return text


Schedule = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9*/,#-]+( [A-Za-z0-9*/,#-]+){4}$", max_length=120),
    AfterValidator(_checked_schedule),
]
"""Five fields of cron. The API server sees their number and characters, the operator the rest."""
Zone = Annotated[
    str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_+-]*(/[A-Za-z0-9_+-]+)*$", max_length=64), AfterValidator(_checked_zone)
]
Day = Annotated[str, Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", max_length=10), AfterValidator(_checked_day)]
TimeOfDay = Annotated[str, Field(pattern=r"^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$", max_length=5)]


class Window(Written):
    """A part of each day, on some weekdays, between two dates; all of it in the Drill's time zone."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "!has(self.firstDate) || !has(self.lastDate) || self.firstDate <= self.lastDate",
                "'is %s, after lastDate %s; swap them'.format([self.firstDate, self.lastDate])",
                field=".firstDate",
            ),
            cel(
                "self.from != '24:00'",
                "is 24:00, the end of a day; write 00:00 of the next one",
                field=".from",
            ),
        )
    )

    days: tuple[Weekday, ...] = Field(
        default=(), max_length=7, description="Weekdays on which the window begins; empty: every day."
    )
    from_: TimeOfDay = Field(default="00:00", alias="from", description="Time of day at which it begins, like 02:00.")
    until: TimeOfDay = Field(
        default="24:00", description="Time of day at which it ends; one that is not after `from` is on the next day."
    )
    first_date: Day | None = Field(default=None, description="First day on which it begins, like 2026-12-20.")
    last_date: Day | None = Field(default=None, description="Last day on which it begins.")
    reason: str = Field(default="", max_length=200, description="Why, for those who read the refusal.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.first_date and self.last_date and self.first_date > self.last_date:
            raise ValueError(f"firstDate is {self.first_date}, after lastDate {self.last_date}; swap them")
        if self.from_ == "24:00":
            raise ValueError("from is 24:00, the end of a day; write 00:00 of the next one")
        return self


class Windows(Written):
    """When a Drill may run."""

    allowed: tuple[Window, ...] = Field(
        default=(),
        max_length=20,
        description="It runs only within one of these, hold time and the longest that both ways may take included;"
        " empty: always.",
    )
    blocked: tuple[Window, ...] = Field(
        default=(), max_length=20, description="It never runs within one of these, counted in the same way."
    )


class Rehearsal(Written):
    """The Shift that is rehearsed: Graceful, out and back again. Of a failover, `waves`, `pace` and `gates` are the way
    back's: an emergency has none."""

    selector: Selector = Field(description="Which groups go.")
    to: Name | None = Field(
        default=None, description="Site that receives the agents; kind Failover leaves it out: a failover chooses."
    )
    percent: int = Field(
        default=100, ge=1, le=100, description="Share of each group's agents that `to` has while it lasts."
    )
    waves: Waves = Field(
        default=(100,), description="Share of the move done after each wave, in percent; the way back has the same."
    )
    pace: int = Field(
        default=0, ge=0, le=100_000, description="Most agents moved a second; 0 leaves it to the CTI's rate."
    )
    drain: Drain | None = Field(default=None, description="Overrides the groups' own drain.")
    gates: Gates = Field(
        default=Gates(),
        description="What each wave must have shown before the next begins; on the way back a closed gate waits.",
    )


class LostSite(Written):
    """The loss that is rehearsed."""

    site: Name = Field(description="Site that counts as Down, for the groups of this Drill only.")
    silence: int = Field(
        default=25,
        ge=1,
        le=100,
        description="Percent of each group's idle agents there who hear nothing of that site until the other one's door"
        " opens, about 6 s; all others leave when they are idle, as in a Shift.",
    )


class DrillSpec(Written):
    """What is rehearsed, and when. A run under way goes on as it was started; `suspend` brings it back."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "(self.kind == 'Failover') == has(self.failover)",
                "'is what kind Failover rehearses, and only that, but kind is %s; give both or neither'"
                ".format([self.kind])",
                field=".failover",
            ),
            cel(
                "(self.kind == 'Shift') == has(self.shift.to)",
                "'is where a Shift goes; kind Shift needs it, and with kind Failover it is left out: a failover chooses"
                " its sites; kind is %s'.format([self.kind])",
                field=".shift.to",
            ),
            cel(
                "self.kind == 'Shift' || self.shift.percent == 100",
                "'is %d, but a failover moves everybody; leave it out with kind Failover'.format([self.shift.percent])",
                field=".shift.percent",
            ),
            cel(
                "self.kind == 'Shift' || !has(self.shift.selector.site) || !has(self.failover)"
                " || self.shift.selector.site == self.failover.site",
                "'is %s, but only groups at failover.site can lose it; leave it out'"
                ".format([self.shift.selector.site])",
                field=".shift.selector.site",
            ),
        )
    )

    kind: DrillKind = Field(
        default="Shift",
        description="What is rehearsed: a planned move, or the automatic failover of the groups that `shift` selects.",
    )
    failover: LostSite | None = Field(default=None, description="Which loss is rehearsed; kind Failover only.")
    schedule: Schedule | None = Field(
        default=None,
        description="Cron schedule: minute, hour, day of month, month, day of week. None: on command only.",
    )
    time_zone: Zone = Field(default="UTC", description="Time zone of the schedule and the windows, like Europe/Berlin.")
    suspend: bool = Field(default=False, description="Nothing starts, and what is under way comes back.")
    starting_deadline: Annotated[Duration, Within("10s", "24h")] = Field(
        default="10m",
        description="How long after its time a run may still start; it waits as long for what speaks against it.",
    )
    windows: Windows = Field(default=Windows(), description="When it may run.")
    alarms: DrillAlarms | None = Field(
        default=None, description="What Prometheus has to say before and during a run; none: nobody is asked."
    )
    shift: Rehearsal = Field(description="The Shift that is rehearsed.")
    hold: Annotated[Duration, Within("0s", "12h")] = Field(
        default="10m",
        description="How long the agents work at the other site before they come back.",
    )
    succeeded_runs_history_limit: int = Field(default=12, ge=1, le=24, description="Successful runs that are kept.")
    other_runs_history_limit: int = Field(default=12, ge=1, le=24, description="Other runs that are kept.")

    @model_validator(mode="after")
    def _is_of_its_kind(self) -> Self:
        if (self.kind == "Failover") != (self.failover is not None):
            raise ValueError(
                f"failover is what kind Failover rehearses, and only that, but kind is {self.kind}; "
                "give both or neither"
            )
        if (self.kind == "Shift") != (self.shift.to is not None):
            raise ValueError(
                f"shift.to is {self.shift.to!r}, but kind is {self.kind}: kind Shift needs it, and with kind Failover "
                "it is left out, for a failover chooses its sites"
            )
        if self.failover is not None and self.shift.percent != 100:
            raise ValueError(
                f"shift.percent is {self.shift.percent}, but a failover moves everybody; "
                "leave it out with kind Failover"
            )
        if self.failover is not None and self.shift.selector.site not in (None, self.failover.site):
            raise ValueError(
                f"shift.selector.site is {self.shift.selector.site}, but only groups at failover.site "
                f"({self.failover.site}) can lose it; leave it out"
            )
        return self


class DrillLeg(Reported):
    """One way of a run."""

    shift: str = Field(default="", description="Name of its Shift.")
    agents: int = Field(default=0, description="Agents planned.")
    moved: int = Field(default=0, description="Agents who arrived.")
    staying: int = Field(default=0, description="Agents who stayed beyond the deadline.")
    seconds: int = Field(default=0, description="From its first commit to its end, in seconds.")
    switch_times: SwitchTimes = Field(default=SwitchTimes(), description="The agents' own gaps.")
    time_to: dict[str, str] = Field(
        default_factory=dict,
        description="Share of the planned agents in percent (63.5, 93.1, 100) -> time from the first commit until they"
        " had arrived, like 0.410s; a share that was never reached is left out.",
    )


class FiredAlarm(Reported):
    """The outcome alarm that brought a run back."""

    name: str = Field(default="", description="Name of the alarm; empty: none fired.")
    query: str = Field(default="", description="What was asked.")
    value: str = Field(default="", description="What was answered: the first series and its value.")
    at: str = Field(default="", description="When it fired, RFC 3339, by the clock of the location that saw it.")
    seen_by: str = Field(default="", description="That location.")


class AlarmSaid(Reported):
    """What the locations together say of one alarm."""

    name: str = Field(description="Name of the alarm.")
    state: AlarmState = Field(
        description="Quiet, Pending (true for less than `for`), Firing, or Unknown: no location gets an answer."
    )
    message: str = Field(default="", description="The same as a sentence: who says so, the value, or the error.")


class DrillRun(Reported):
    """One run, under way or over."""

    name: str = Field(description="Name of the run: its time, UTC.")
    trigger: str = Field(default="", description="Schedule, or who started it by command.")
    request: str = Field(default="", description="ID of the command that started it.")
    scheduled_at: str = Field(default="", description="When it was due, RFC 3339.")
    started_at: str = Field(default="", description="When it started, RFC 3339; empty: it did not.")
    finished_at: str = Field(default="", description="When it was over, RFC 3339; empty: it is not.")
    outcome: str = Field(
        default="", description="Succeeded, Failed, Interrupted, Blocked or CapacityCheckFailed; empty while under way."
    )
    reason: str = Field(default="", description="Stable CamelCase reason of the outcome.")
    message: str = Field(default="", description="The outcome as a sentence.")
    alarm: FiredAlarm = Field(default=FiredAlarm(), description="The outcome alarm that brought it back.")
    out: DrillLeg = Field(default=DrillLeg(), description="The way out.")
    back: DrillLeg = Field(default=DrillLeg(), description="The way back.")
    calls_cut: int | None = Field(
        default=None, description="Calls of its groups that were cut, as their CTIs counted; none: not measured."
    )
    report: str = Field(default="", description="ConfigMap beside the Drill that keeps the run's report.")


class DrillRequestStatus(Reported):
    """A command."""

    id: str = Field(default="", description="ID of the command, as `kubectl tandem drill` wrote it.")
    answer: str = Field(default="", description="What became of it, as a sentence.")


class DrillStatus(Reported):
    """How the rehearsals went."""

    phase: DrillPhase = Field(default="Waiting", description="Where it stands.")
    next_run: str = Field(default="", description="When it is due next, RFC 3339.")
    active: tuple[DrillRun, ...] = Field(default=(), max_length=1, description="The run under way.")
    runs: tuple[DrillRun, ...] = Field(
        default=(), max_length=60, description="Past runs, newest first.", json_schema_extra=list_map("name")
    )
    alarms: tuple[AlarmSaid, ...] = Field(
        default=(),
        max_length=2 * MOST_ALARMS,
        description="What Prometheus says now; asked once a minute while no run is due.",
        json_schema_extra=list_map("name"),
    )
    last_outcome: str = Field(default="", description="Outcome of the last run.")
    last_success: str = Field(default="", description="When a run last succeeded, RFC 3339.")
    last_request: DrillRequestStatus = Field(default=DrillRequestStatus(), description="The last command.")
    earlier_requests: tuple[DrillRequestStatus, ...] = Field(
        default=(),
        max_length=9,
        description="The commands before it, newest first.",
        json_schema_extra=ATOMIC,
    )
    reason: str = Field(default="", description="Stable CamelCase reason of the phase.")
    message: str = Field(default="", description="The phase as a sentence.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: Conditions = Field(default=(), description="Conditions.")
