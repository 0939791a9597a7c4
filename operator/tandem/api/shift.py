"""Shift: one deliberate move of agents between sites. Like a Job; not a roster's shift."""

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from tandem.api.agentgroup import Drain, Share
from tandem.api.common import (
    WAVES_RULE,
    WHO_LETTERS,
    Conditions,
    Name,
    Reported,
    Waves,
    Written,
    cel,
    fixed,
    immutable,
    list_map,
    rules,
    twice,
    unchanged,
)
from tandem.api.gates import Gates

Phase = Literal[
    "Pending", "Planned", "AwaitingApproval", "Preparing", "Moving", "Verifying", "Completed",
    "Aborting", "RolledBack", "Interrupted", "Failed",
]  # fmt: skip
FINISHED: frozenset[str] = frozenset({"Completed", "RolledBack", "Interrupted", "Failed"})


NEW_SHIFT = "create a new Shift instead"
ONE_GOAL: Final = (
    "give one of to (site that receives the agents), placement (shares by site) and evacuate (site that all leave)"
)

NOT_ABORTED: Final = "is given although abort is false; leave it out, or set abort to true"

CANARY_WAVES: Final = (5, 25, 100)
"""The waves of a Shift that names none: a canary, a fifth, the rest. None is smaller than five agents of a system."""
LabelValue = Annotated[str, Field(max_length=63)]


class Selector(Written):
    """Which groups: every field given must match. At least one is given."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.system) || has(self.region) || has(self.skillGroup) || has(self.site)"
                " || self.labels.size() > 0 || self.names.size() > 0",
                "is empty, which would select every group; give system, region, skillGroup, site, labels or names",
            )
        )
    )

    system: Name | None = Field(default=None, description="Groups of this system.")
    region: Name | None = Field(default=None, description="Groups of this region.")
    skill_group: Name | None = Field(default=None, description="Groups of this skill group.")
    site: Name | None = Field(default=None, description="Groups with buckets at this site.")
    labels: dict[str, LabelValue] = Field(default={}, max_length=16, description="Groups with these labels.")
    names: tuple[Name, ...] = Field(default=(), max_length=200, description="Groups with these names.")

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not (self.system or self.region or self.skill_group or self.site or self.labels or self.names):
            raise ValueError(
                "selector is empty, which would select every group; "
                "give system, region, skillGroup, site, labels or names"
            )
        return self


class ShiftSpec(Written):
    """What is to be moved, and how. Only abort, approved and who did it can change."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            *(fixed(name, NEW_SHIFT) for name in ("selector", "to", "evacuate", "drain", "ttlSecondsAfterFinished")),
            cel(
                "[has(self.to), self.placement.size() > 0, has(self.evacuate)].exists_one(given, given)",
                f"'{ONE_GOAL}; given are %d'"
                ".format([[has(self.to), self.placement.size() > 0, has(self.evacuate)].filter(given, given).size()])",
            ),
            cel(
                "has(self.selector) || has(self.evacuate)",
                "is missing; only evacuate moves all groups of the namespace without it",
                field=".selector",
            ),
            cel(
                "self.percent == 100 || has(self.to)",
                "'is %d, but it says what `to` has afterwards; give to, or leave percent out'.format([self.percent])",
                field=".percent",
            ),
            cel(
                "self.placement.size() == 0 || self.placement.map(p, p.percent).sum() == 100",
                "'percentages add up to %d; change them until they add up to 100'"
                ".format([self.placement.map(p, p.percent).sum()])",
                field=".placement",
            ),
            cel(
                "!self.approved || self.approvedBy != ''",
                "is empty although approved is true; say who approves",
                field=".approvedBy",
            ),
            cel(
                "!oldSelf.approved || self.approvedBy == oldSelf.approvedBy",
                "cannot be changed once the Shift is approved",
                field=".approvedBy",
            ),
            cel("!has(self.abortedBy) || self.abort", NOT_ABORTED, field=".abortedBy"),
            cel(
                "!oldSelf.abort || (has(self.abortedBy) ? has(oldSelf.abortedBy) && self.abortedBy == oldSelf.abortedBy"
                " : !has(oldSelf.abortedBy))",
                "cannot be changed once the Shift is aborted",
                field=".abortedBy",
            ),
        )
    )

    selector: Selector | None = Field(
        default=None, description="Which groups move. Only evacuate needs none: all groups with agents at the site."
    )
    to: Name | None = Field(default=None, description="Site that receives the agents.")
    placement: tuple[Share, ...] = Field(
        default=(),
        max_length=8,
        description="Instead of `to`: each group's share by site afterwards, in percent, 100 together.",
        json_schema_extra=list_map("site") | immutable(NEW_SHIFT),
    )
    evacuate: Name | None = Field(
        default=None,
        description="Instead of `to`: site that all leave. The groups of highest priority go first, each to where there"
        " is room: spread by capacity over its other sites.",
    )
    percent: int = Field(
        default=100,
        ge=1,
        le=100,
        description="Share of each group's agents that `to` has afterwards.",
        json_schema_extra=immutable(NEW_SHIFT),
    )
    mode: Literal["Graceful", "Forced"] = Field(
        default="Graceful",
        description="Forced does not wait for calls: agents leave in the middle, the calls go on.",
        json_schema_extra=immutable(NEW_SHIFT),
    )
    waves: Waves = Field(
        default=CANARY_WAVES,
        description="Share of the move done after each wave, in percent; [100] moves everybody at once.",
        json_schema_extra=rules(WAVES_RULE, unchanged(NEW_SHIFT)),
    )
    pace: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Most agents moved a second, over all groups, out and back; 0 leaves it to the CTI's rate.",
        json_schema_extra=immutable(NEW_SHIFT),
    )
    drain: Drain | None = Field(default=None, description="Overrides the groups' own drain.")
    gates: Gates = Field(
        default=Gates(),
        description="What each wave must have shown before the next begins.",
        json_schema_extra=immutable(NEW_SHIFT),
    )
    approval: Literal["Auto", "Manual"] = Field(
        default="Auto", description="Whether a person approves the plan.", json_schema_extra=immutable(NEW_SHIFT)
    )
    dry_run: bool = Field(default=False, description="Plan only.", json_schema_extra=immutable(NEW_SHIFT))
    ttl_seconds_after_finished: int | None = Field(
        default=None,
        ge=0,
        description="Seconds after its end until the Shift is deleted in every cluster (30 at least, and never within"
        " two minutes of its creation); without it, it stays. Applied again afterwards it moves nobody, until that"
        " object is deleted.",
    )
    abort: bool = Field(
        default=False,
        description="Set to true to stop and restore.",
        json_schema_extra=rules(cel("self || !oldSelf", f"an abort cannot be taken back; {NEW_SHIFT}")),
    )
    aborted_by: str | None = Field(
        default=None,
        min_length=1,
        max_length=WHO_LETTERS,
        description="Who aborted it, for the history; may be left out.",
    )
    approved: bool = Field(
        default=False,
        description="Set to true to approve the plan.",
        json_schema_extra=rules(cel("self || !oldSelf", "an approval cannot be taken back; set abort to true")),
    )
    approved_by: str = Field(default="", max_length=WHO_LETTERS, description="Who approved.")
    requested_by: str = Field(
        default="", max_length=WHO_LETTERS, description="Who asked.", json_schema_extra=immutable(NEW_SHIFT)
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.approved and not self.approved_by:
            raise ValueError("approvedBy is empty although approved is true; say who approves")
        if self.aborted_by is not None and not self.abort:
            raise ValueError(f"abortedBy {NOT_ABORTED}")
        given = [name for name in ("to", "placement", "evacuate") if getattr(self, name)]
        if len(given) != 1:
            raise ValueError(f"{ONE_GOAL}; given are {' and '.join(given) or 'none'}")
        if self.selector is None and not self.evacuate:
            raise ValueError("selector is missing; only evacuate moves all groups of the namespace without it")
        if self.percent != 100 and not self.to:
            raise ValueError(
                f"percent is {self.percent}, but it says what `to` has afterwards; give to, or leave percent out"
            )
        if (site := twice(share.site for share in self.placement)) is not None:
            raise ValueError(f"placement names {site} twice; give each site one share")
        if self.placement and (total := sum(share.percent for share in self.placement)) != 100:
            raise ValueError(f"placement: percentages add up to {total}; change them until they add up to 100")
        return self

    @property
    def sites(self) -> tuple[str, ...]:
        """Sites that it names as its goal, by name."""
        named = {share.site for share in self.placement} | {self.to or "", self.evacuate or ""}
        return tuple(sorted(named - {""}))

    @property
    def deed(self) -> Self:
        """The spec without what can change and without who asked: what tells one Shift from another."""
        left_out = {"abort": False, "aborted_by": None, "approved": False, "approved_by": "", "requested_by": ""}
        return self.model_copy(update=left_out)

    @property
    def goal(self) -> str:
        """Where the agents go, for people: `west`, `east 60 %, west 40 %` or `away from east`."""
        if self.evacuate:
            return f"away from {self.evacuate}"
        if self.to:
            return self.to if self.percent == 100 else f"{self.to} {self.percent} %"
        return ", ".join(f"{share.site} {share.percent} %" for share in self.placement)


class ShiftProgress(Reported):
    """How far a Shift is."""

    agents: int = Field(default=0, description="Agents in the plan.")
    moved: int = Field(default=0, description="Agents who have arrived where they are moved to, so far.")
    back: int = Field(default=0, description="Agents who have come back after an abort.")
    staying: int = Field(default=0, description="Agents beyond the deadline who stay.")
    wave: int = Field(default=0, description="Wave under way, from 1.")
    waves: int = Field(default=0, description="Waves in all.")
    back_wave: int = Field(default=0, description="Wave of the way back, from 1; 0: those on their way, or no abort.")
    pace: str = Field(
        default="", description="Agents a second now, like 50/s of 100/s while the target is slow; empty: no limit."
    )
    text: str = Field(default="", description="Moved of planned, like 340/1000, for the printer column.")


class SwitchTimes(Reported):
    """Distribution of the agents' own gaps."""

    p50: str = Field(default="", description="Median of the agents' own gaps, like 0.012s.")
    p95: str = Field(default="", description="95th percentile.")
    max: str = Field(default="", description="Longest gap.")


class GroupInPlan(Reported):
    """What the plan does to one group."""

    group: str = Field(description="Group as namespace/name.")
    system: str = Field(description="Its system.")
    agents: int = Field(default=0, description="Agents who move.")
    before: dict[str, int] = Field(default_factory=dict, description="Share by site before, in percent.")
    after: dict[str, int] = Field(default_factory=dict, description="Share by site afterwards, in percent.")
    moves: dict[str, str] = Field(default_factory=dict, description="Ranges of buckets by `from>to`, the whole move.")
    waves: tuple[str, ...] = Field(default=(), description="Ranges of buckets wave by wave; empty: none in that wave.")


class WaveInPlan(Reported):
    """One wave, over all groups."""

    percent: int = Field(default=0, description="Share of the plan's agents moved after it, in percent.")
    groups: int = Field(default=0, description="Groups that take part.")
    agents: int = Field(default=0, description="Agents who move in it.")
    expected: str = Field(default="", description="How long it takes while nobody is in a call, like 3s.")
    longest: str = Field(default="", description="How long it takes at most: the longest call and wrap-up, like 35m4s.")


class Load(Reported):
    """Something before and after the move."""

    before: int = Field(default=0, description="Now.")
    after: int = Field(default=0, description="Afterwards.")


class AgentLoad(Load):
    """Agents that a site's system has or may get."""

    most: int = Field(default=0, description="What it carries.")


class CallRateInPlan(Reported):
    """New calls a second."""

    before: str = Field(default="", description="Now, measured over ten seconds, like 4.2; empty: not measured.")
    after: str = Field(default="", description="Afterwards, like 0.7, if calls follow the agents; empty: not known.")
    most: int = Field(default=0, description="What the site states.")


class RateInPlan(Reported):
    """A rate that the move needs."""

    expected: int = Field(default=0, description="While the move goes on.")
    most: int = Field(default=0, description="What the site states.")


class ReplicasInPlan(Load):
    """Replicas of one part; changed before agents arrive and after they have left."""

    part: Literal["cti", "softswitch"] = Field(description="Part.")
    scaling: str = Field(default="None", description="Who changes them: the part's scaling.mode. None: nobody.")


class SiteInPlan(Reported):
    """What the plan does to one system at one site."""

    site: str = Field(description="Site.")
    system: str = Field(description="System.")
    arriving: int = Field(default=0, description="Agents who arrive.")
    leaving: int = Field(default=0, description="Agents who leave.")
    agents: AgentLoad = Field(default=AgentLoad(), description="Agents planned there, other Shifts' included.")
    sign_ins_per_second: RateInPlan = Field(default=RateInPlan(), description="Sign-ins a second.")
    calls: Load = Field(default=Load(), description="Calls in progress; afterwards: if calls follow the agents.")
    new_calls_per_second: CallRateInPlan = Field(
        default=CallRateInPlan(), description="New calls a second at its softswitch."
    )
    replicas: tuple[ReplicasInPlan, ...] = Field(
        default=(), description="Replicas that the agents need.", json_schema_extra=list_map("part")
    )


class ShiftPlan(Reported):
    """What will happen, before it happens."""

    agents: int = Field(default=0, description="Agents who move.")
    busy: int = Field(default=0, description="Agents of these groups in a call or its wrap-up when this was planned.")
    pace: int = Field(default=0, description="Most agents moved a second over all groups; 0: the CTI's rate.")
    expected: str = Field(default="", description="How long it takes while nobody is in a call, like 12s.")
    longest: str = Field(default="", description="How long it takes at most, like 1h45m12s.")
    waves: tuple[WaveInPlan, ...] = Field(default=(), description="The waves, in their order.")
    sites: tuple[SiteInPlan, ...] = Field(
        default=(), description="Load and capacity, site by site.", json_schema_extra=list_map("site", "system")
    )
    gates: tuple[str, ...] = Field(
        default=(), description="What must hold before the first wave, and before each next."
    )
    promises: tuple[str, ...] = Field(default=(), description="What the adapters can promise.")
    limits: tuple[str, ...] = Field(default=(), description="What the adapters cannot promise.")
    stops: tuple[str, ...] = Field(default=(), description="What would stop it.")
    groups: tuple[GroupInPlan, ...] = Field(default=(), description="Group by group.")


class ShiftStatus(Reported):
    """How it went."""

    phase: Phase = Field(default="Pending", description="Where it stands.")
    to: str = Field(
        default="", description="Where the agents go, like west, or east 60 %, west 40 %, or away from east."
    )
    plan: tuple[str, ...] = Field(
        default=(), description="The plan as text; groups beyond the first twenty are counted."
    )
    planned: ShiftPlan = Field(default=ShiftPlan(), description="The plan as data.")
    groups: tuple[str, ...] = Field(default=(), description="Groups in the plan, frozen when planned.")
    progress: ShiftProgress = Field(default=ShiftProgress(), description="How far.")
    accounts_staying: tuple[str, ...] = Field(
        default=(), description="Agents beyond the deadline who stay until their call has ended, a thousand at most."
    )
    switch_times: SwitchTimes = Field(default=SwitchTimes(), description="The agents' own gaps.")
    gate_closed: str = Field(default="", description="Gate that keeps the next wave waiting; the message has values.")
    gate_closed_since: str = Field(default="", description="Since when, RFC 3339.")
    approved_at: str = Field(default="", description="When spec.approved came to be known as true, RFC 3339.")
    approved_by: str = Field(default="", description="Who approved first, in whichever cluster.")
    aborted_by: str = Field(default="", description="Who aborted first, in whichever cluster.")
    started_at: str = Field(default="", description="First commit, RFC 3339.")
    finished_at: str = Field(default="", description="End, RFC 3339.")
    reason: str = Field(default="", description="Stable CamelCase reason of the phase.")
    message: str = Field(default="", description="The phase as a sentence.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: Conditions = Field(default=(), description="Conditions.")
