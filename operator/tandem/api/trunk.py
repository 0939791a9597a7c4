"""Trunk: a carrier's numbers and their ordered routes into the sites."""

from typing import Annotated, Self

from pydantic import ConfigDict, Field, model_validator

from tandem.api.common import Conditions, Name, Reported, Url, Written, cel, immutable, list_map, rules, twice

Prefix = Annotated[str, Field(pattern=r"^\+?[0-9]{1,15}$")]
"""First digits of a caller's number."""


class SecretRef(Written):
    """A key of a Secret in the namespace of the object that names it."""

    # As Kubernetes has them, and nothing else: engine and operator make paths of both.
    name: str = Field(
        pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        min_length=1,
        max_length=253,
        description="Secret in the same namespace.",
    )
    key: str = Field(
        default="token",
        pattern=r"^[-._a-zA-Z0-9]*[-_a-zA-Z0-9][-._a-zA-Z0-9]*$",
        min_length=1,
        max_length=253,
        description="Key in the Secret.",
    )


class Carrier(Written):
    """Whom to tell about routes."""

    adapter: Name = Field(default="http", description="Adapter that talks to the carrier's routing platform.")
    url: Url = Field(description="URL of the routing platform's API.")
    credentials: SecretRef | None = Field(default=None, description="Secret with the API token.")


class Route(Written):
    """One way into a site."""

    name: Name = Field(description="Name of the route.")
    site: Name = Field(description="Site it leads to.")
    weight: int = Field(default=0, ge=0, le=100, description="Share of new calls when agents are not followed.")
    callers: tuple[Prefix, ...] = Field(default=(), max_length=64, description="Callers' prefixes it is kept for.")


class Number(Written):
    """One called number and who answers it."""

    number: str = Field(pattern=r"^\+?[0-9]{3,15}$", description="Called number, E.164 or national.")
    group: Name = Field(description="AgentGroup in the same namespace that answers it.")


class TrunkCapacity(Written):
    """What the trunk can bear."""

    channels: int = Field(ge=1, description="Calls at once.")
    calls_per_second: int = Field(ge=1, description="New calls a second.")


class TrunkSpec(Written):
    """A carrier's numbers and their ordered routes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.followAgents || self.routes.exists(r, r.weight > 0)",
                "every weight is 0 and followAgents is false, so no call would arrive; give a route a weight",
                field=".routes",
            )
        )
    )

    carrier: Carrier = Field(description="The carrier's routing platform.")
    system: Name = Field(
        description="System that is served.", json_schema_extra=immutable("create another Trunk for the other system")
    )
    numbers: tuple[Number, ...] = Field(
        min_length=1,
        max_length=500,
        description="Numbers and who answers them.",
        json_schema_extra=list_map("number"),
    )
    routes: tuple[Route, ...] = Field(
        min_length=3, max_length=16, description="Ordered routes, three or more.", json_schema_extra=list_map("name")
    )
    capacity: TrunkCapacity = Field(description="What the trunk can bear.")
    follow_agents: bool = Field(default=True, description="Weights follow where agents are signed in.")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (name := twice(route.name for route in self.routes)) is not None:
            raise ValueError(f"routes names {name} twice; give each route its own name")
        if (number := twice(number.number for number in self.numbers)) is not None:
            raise ValueError(f"numbers has {number} twice; one group answers a number")
        if not self.follow_agents and not any(route.weight for route in self.routes):
            raise ValueError("routes: every weight is 0 and followAgents is false; give a route a weight")
        return self


class EffectiveRoute(Reported):
    """One route as the carrier has it."""

    name: str = Field(description="Name of the route.")
    site: str = Field(description="Site it leads to.")
    weight: int = Field(default=0, description="Weight in force.")


class TrunkStatus(Reported):
    """What is in force."""

    routes: tuple[EffectiveRoute, ...] = Field(
        default=(), description="Routes in force.", json_schema_extra=list_map("name")
    )
    where: str = Field(default="", description="Weights by site in a few words, for the printer column.")
    channels_in_use: int = Field(default=0, description="Calls now.")
    revision: int = Field(default=0, description="Store revision that the carrier confirmed.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: Conditions = Field(default=(), description="Conditions.")
