"""Shift: one deliberate move of agents between sites. Like a Job; not a roster's shift."""

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from tandem.api.agentgroup import Drain
from tandem.api.common import (
    WAVES_RULE,
    Conditions,
    Name,
    Reported,
    Waves,
    Written,
    cel,
    immutable,
    rules,
    unchanged,
)

Phase = Literal[
    "Pending", "Planned", "AwaitingApproval", "Preparing", "Moving", "Verifying", "Completed",
    "Aborting", "RolledBack", "Interrupted", "Failed",
]  # fmt: skip
FINISHED: frozenset[str] = frozenset({"Completed", "RolledBack", "Interrupted", "Failed"})


NEW_SHIFT = "create a new Shift instead"
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
    """What is to be moved, and how. Only abort, approved and approvedBy can change."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "has(self.drain) == has(oldSelf.drain) && (!has(self.drain) || self.drain == oldSelf.drain)",
                f"cannot be changed after creation; {NEW_SHIFT}",
                field=".drain",
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
        )
    )

    selector: Selector = Field(description="Which groups move.", json_schema_extra=immutable(NEW_SHIFT))
    to: Name = Field(description="Site that receives the agents.", json_schema_extra=immutable(NEW_SHIFT))
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
        default=(100,),
        description="Share of the move done after each wave, in percent.",
        json_schema_extra=rules(WAVES_RULE, unchanged(NEW_SHIFT)),
    )
    pace: int = Field(
        default=0,
        ge=0,
        le=100_000,
        description="Most agents moved a second; 0 leaves it to the CTI's rate.",
        json_schema_extra=immutable(NEW_SHIFT),
    )
    drain: Drain | None = Field(default=None, description="Overrides the groups' own drain.")
    approval: Literal["Auto", "Manual"] = Field(
        default="Auto", description="Whether a person approves the plan.", json_schema_extra=immutable(NEW_SHIFT)
    )
    dry_run: bool = Field(default=False, description="Plan only.", json_schema_extra=immutable(NEW_SHIFT))
    abort: bool = Field(
        default=False,
        description="Set to true to stop and restore.",
        json_schema_extra=rules(cel("self || !oldSelf", f"an abort cannot be taken back; {NEW_SHIFT}")),
    )
    approved: bool = Field(
        default=False,
        description="Set to true to approve the plan.",
        json_schema_extra=rules(cel("self || !oldSelf", "an approval cannot be taken back; set abort to true")),
    )
    approved_by: str = Field(default="", max_length=253, description="Who approved.")
    requested_by: str = Field(
        default="", max_length=253, description="Who asked.", json_schema_extra=immutable(NEW_SHIFT)
    )

    @model_validator(mode="after")
    def _approval_has_a_name(self) -> Self:
        if self.approved and not self.approved_by:
            raise ValueError("approvedBy is empty although approved is true; say who approves")
        return self


class ShiftProgress(Reported):
    """How far a Shift is."""

    agents: int = Field(default=0, description="Agents in the plan.")
    moved: int = Field(default=0, description="Agents moved so far.")
    staying: int = Field(default=0, description="Agents beyond the deadline who stay.")
    wave: int = Field(default=0, description="Wave under way, from 1.")
    waves: int = Field(default=0, description="Waves in all.")
    text: str = Field(default="", description="Moved of planned, like 340/1000, for the printer column.")


class SwitchTimes(Reported):
    """Distribution of the agents' own gaps."""

    p50: str = Field(default="", description="Median of the agents' own gaps, like 0.012s.")
    p95: str = Field(default="", description="95th percentile.")
    max: str = Field(default="", description="Longest gap.")


class ShiftStatus(Reported):
    """How it went."""

    phase: Phase = Field(default="Pending", description="Where it stands.")
    plan: tuple[str, ...] = Field(default=(), description="The plan as text.")
    groups: tuple[str, ...] = Field(default=(), description="Groups in the plan, frozen when planned.")
    progress: ShiftProgress = Field(default=ShiftProgress(), description="How far.")
    accounts_staying: tuple[str, ...] = Field(
        default=(), description="Agents beyond the deadline who stay until their call has ended, a hundred at most."
    )
    switch_times: SwitchTimes = Field(default=SwitchTimes(), description="The agents' own gaps.")
    started_at: str = Field(default="", description="First commit, RFC 3339.")
    finished_at: str = Field(default="", description="End, RFC 3339.")
    reason: str = Field(default="", description="Stable CamelCase reason of the phase.")
    message: str = Field(default="", description="The phase as a sentence.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: Conditions = Field(default=(), description="Conditions.")
