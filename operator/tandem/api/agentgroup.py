"""AgentGroup: agents who share a system, a region and a skill group; the unit that is placed and moved."""

from typing import Literal, Self

from pydantic import ConfigDict, Field, model_validator

from tandem.api.common import (
    ATOMIC,
    Conditions,
    Duration,
    Name,
    Percent,
    Reported,
    Waves,
    Written,
    cel,
    immutable,
    list_map,
    rules,
    twice,
)
from tandem.api.gates import Gates


class Share(Written):
    """One site's share of a group."""

    site: Name = Field(description="Site.")
    percent: Percent = Field(description="Share of the group's agents placed there, in percent.")


class Drain(Written):
    """What happens to agents in a call when their bucket moves."""

    max_talk: Duration = Field(default="30m", description="Longest wait for a call to end.")
    max_wrap_up: Duration = Field(default="5m", description="Longest wait for after-call work.")
    on_deadline: Literal["Stay", "Force"] = Field(
        default="Stay", description="Beyond the wait: stay, or leave in the middle of the call."
    )


class Return(Written):
    """How the agents come home after an emergency."""

    mode: Literal["Manual", "Automatic"] = Field(default="Manual", description="Who starts the way home.")
    stable_for: Duration = Field(default="10m", description="Healthy for this long before an automatic return.")


class AgentGroupSpec(Written):
    """What is wanted of one group of agents."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.sites.all(s, self.sites.exists_one(t, t == s))",
                "'names a site twice: %s; name each site once'.format([self.sites.join(', ')])",
                field=".sites",
            ),
            cel(
                "self.placement.map(p, p.percent).sum() == 100",
                "'percentages add up to %d; change them until they add up to 100'"
                ".format([self.placement.map(p, p.percent).sum()])",
                field=".placement",
            ),
            cel(
                "self.placement.all(p, p.site in self.sites)",
                "'site %s is not among spec.sites (%s); add it there or place the agents elsewhere'"
                ".format([self.placement.filter(p, !(p.site in self.sites))[0].site, self.sites.join(', ')])",
                field=".placement",
            ),
        )
    )

    system: Name = Field(
        description="System (hotel, flight ...) that these agents work with.",
        json_schema_extra=immutable("create another AgentGroup for the other system"),
    )
    region: Name = Field(description="Region the agents belong to.")
    skill_group: Name = Field(description="Skill group the agents belong to.")
    agents: int = Field(ge=1, le=100_000, description="Agents expected at once.")
    priority: int = Field(
        default=100, ge=0, le=1000, description="Higher enters first: in an emergency, and at a CTI's door."
    )
    sites: tuple[Name, ...] = Field(min_length=1, max_length=8, description="Sites, ordered; the first is home.")
    placement: tuple[Share, ...] = Field(
        min_length=1,
        max_length=8,
        description="The order: shares by site.",
        # One value with one owner. Merged by site, a share that somebody added beside a GitOps tool's would make 200 %,
        # which is refused, so that the tool could not even take it back.
        json_schema_extra=ATOMIC
        | rules(
            cel("self.all(a, self.exists_one(b, b.site == a.site))", "names a site twice; give each site one share")
        ),
    )
    pace: int = Field(
        default=0, ge=0, le=100_000, description="Most agents moved a second; 0 leaves it to the CTI's rate."
    )
    waves: Waves = Field(default=(100,), description="Share of the move done after each wave, in percent.")
    drain: Drain = Field(default=Drain(), description="What happens to agents in a call.")
    gates: Gates = Field(default=Gates(), description="What each wave must have shown before the next begins.")
    failover: Literal["Automatic", "Manual"] = Field(default="Automatic", description="Who decides an emergency.")
    return_: Return = Field(default=Return(), alias="return", description="The way home.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (site := twice(self.sites)) is not None:
            raise ValueError(f"sites names {site} twice; name each site once")
        if (site := twice(share.site for share in self.placement)) is not None:
            raise ValueError(f"placement names {site} twice; give each site one share")
        if unknown := [share.site for share in self.placement if share.site not in self.sites]:
            raise ValueError(
                f"placement: site {unknown[0]} is not among sites ({', '.join(self.sites)}); "
                "add it there or place the agents elsewhere"
            )
        if (total := sum(share.percent for share in self.placement)) != 100:
            raise ValueError(f"placement: percentages add up to {total}; change them until they add up to 100")
        return self


class SiteCount(Reported):
    """What one site has of a group."""

    site: str = Field(description="Site.")
    percent: int = Field(default=0, description="Share placed there now, in percent.")
    leaving: int = Field(default=0, description="Share on its way out, in percent.")
    signed_in: int = Field(default=0, description="Agents signed in.")
    available: int = Field(default=0, description="Agents available for a call.")
    talking: int = Field(default=0, description="Agents in a call.")


class PlacementStatus(Reported):
    """Where the buckets are."""

    revision: int = Field(default=0, description="Store revision at which the placement was committed.")
    cause: str = Field(default="", description="Order, Shift/x, Failover/n, Drill/x or Adopted.")
    last_order_digest: str = Field(default="", description="Digest of the last order that was consumed.")
    map: dict[str, str] = Field(default_factory=dict, description="Buckets by site, `A>B` for those on their way.")


class LastShift(Reported):
    """How the last move of a group went."""

    name: str = Field(default="", description="Name of the Shift.")
    agents: int = Field(default=0, description="Agents moved.")
    p50: str = Field(default="", description="Median of the agents' own gaps, like 0.012s.")
    p95: str = Field(default="", description="95th percentile.")
    max: str = Field(default="", description="Longest gap.")


class AgentGroupStatus(Reported):
    """What became of it."""

    placement: PlacementStatus = Field(default=PlacementStatus(), description="Where the buckets are.")
    sites: tuple[SiteCount, ...] = Field(default=(), description="Counts per site.", json_schema_extra=list_map("site"))
    where: str = Field(default="", description="Placement in a few words, for the printer column.")
    signed_in: int = Field(default=0, description="Agents signed in everywhere.")
    moving: int = Field(default=0, description="Agents in buckets on their way.")
    guests: int = Field(default=0, description="Agents working as guests.")
    shift: str = Field(default="", description="Shift under way.")
    last_shift: LastShift = Field(default=LastShift(), description="The last finished Shift.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: Conditions = Field(default=(), description="Conditions.")
