"""Shift: one deliberate move of agents between sites. Like a Job; not a roster's shift."""

from typing import Literal

from pydantic import Field

from tandem.api.agentgroup import Drain
from tandem.api.common import Condition, Name, Percent, Reported, Written

Phase = Literal[
    "Pending", "Planned", "AwaitingApproval", "Preparing", "Moving", "Verifying", "Completed",
    "Aborting", "RolledBack", "Interrupted", "Failed",
]  # fmt: skip
FINISHED: frozenset[str] = frozenset({"Completed", "RolledBack", "Interrupted", "Failed"})


class Selector(Written):
    """Which groups: every field given must match. At least one is given."""

    system: Name | None = Field(default=None, description="Groups of this system.")
    region: Name | None = Field(default=None, description="Groups of this region.")
    skill_group: Name | None = Field(default=None, description="Groups of this skill group.")
    site: Name | None = Field(default=None, description="Groups with buckets at this site.")
    labels: dict[str, str] = Field(default_factory=dict, description="Groups with these labels.")
    names: tuple[Name, ...] = Field(default=(), max_length=200, description="Groups with these names.")


class ShiftSpec(Written):
    selector: Selector = Field(description="Which groups move.")
    to: Name = Field(description="Site that receives the agents.")
    percent: int = Field(
        default=100, ge=1, le=100, description="Share of each group's agents that `to` has afterwards."
    )
    mode: Literal["Graceful", "Forced"] = Field(default="Graceful", description="Forced cuts calls.")
    waves: tuple[Percent, ...] = Field(
        default=(100,), min_length=1, max_length=10, description="Share of the move done after each wave, in percent."
    )
    pace: int = Field(default=0, ge=0, description="Most agents moved a second; 0 leaves it to the CTI's rate.")
    drain: Drain | None = Field(default=None, description="Overrides the groups' own drain.")
    approval: Literal["Auto", "Manual"] = Field(default="Auto", description="Whether a person approves the plan.")
    dry_run: bool = Field(default=False, description="Plan only.")
    abort: bool = Field(default=False, description="Set to true to stop and restore.")
    approved: bool = Field(default=False, description="Set to true to approve the plan.")
    approved_by: str = Field(default="", max_length=253, description="Who approved.")
    requested_by: str = Field(default="", max_length=253, description="Who asked.")


class ShiftProgress(Reported):
    agents: int = Field(default=0, description="Agents in the plan.")
    moved: int = Field(default=0, description="Agents moved so far.")
    staying: int = Field(default=0, description="Agents beyond the deadline who stay.")
    wave: int = Field(default=0, description="Wave under way, from 1.")
    waves: int = Field(default=0, description="Waves in all.")


class SwitchTimes(Reported):
    p50: str = Field(default="", description="Median of the agents' own gaps, like 0.012s.")
    p95: str = Field(default="", description="95th percentile.")
    max: str = Field(default="", description="Longest gap.")


class ShiftStatus(Reported):
    phase: Phase = Field(default="Pending", description="Where it stands.")
    plan: tuple[str, ...] = Field(default=(), description="The plan as text.")
    groups: tuple[str, ...] = Field(default=(), description="Groups in the plan, frozen when planned.")
    progress: ShiftProgress = Field(default=ShiftProgress(), description="How far.")
    switch_times: SwitchTimes = Field(default=SwitchTimes(), description="The agents' own gaps.")
    started_at: str = Field(default="", description="First commit, RFC 3339.")
    finished_at: str = Field(default="", description="End, RFC 3339.")
    reason: str = Field(default="", description="Stable CamelCase reason of the phase.")
    message: str = Field(default="", description="The phase as a sentence.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: tuple[Condition, ...] = Field(default=(), description="Conditions.")
