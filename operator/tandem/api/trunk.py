"""Trunk: a carrier's numbers and their ordered routes into the sites."""

from pydantic import Field

from tandem.api.common import Condition, Name, Reported, Written


class SecretRef(Written):
    name: str = Field(description="Secret in the same namespace.")
    key: str = Field(default="token", description="Key in the Secret.")


class Carrier(Written):
    adapter: Name = Field(default="http", description="Adapter that talks to the carrier's routing platform.")
    url: str = Field(description="URL of the routing platform's API.")
    credentials: SecretRef | None = Field(default=None, description="Secret with the API token.")


class Route(Written):
    name: Name = Field(description="Name of the route.")
    site: Name = Field(description="Site it leads to.")
    weight: int = Field(default=0, ge=0, le=100, description="Share of new calls when agents are not followed.")
    callers: tuple[str, ...] = Field(default=(), max_length=64, description="Callers' prefixes it is kept for.")


class Number(Written):
    number: str = Field(pattern=r"^\+?[0-9]{3,15}$", description="Called number, E.164 or national.")
    group: str = Field(description="AgentGroup in the same namespace that answers it.")


class TrunkCapacity(Written):
    channels: int = Field(ge=1, description="Calls at once.")
    calls_per_second: int = Field(ge=1, description="New calls a second.")


class TrunkSpec(Written):
    carrier: Carrier = Field(description="The carrier's routing platform.")
    system: Name = Field(description="System that is served.")
    numbers: tuple[Number, ...] = Field(min_length=1, max_length=500, description="Numbers and who answers them.")
    routes: tuple[Route, ...] = Field(min_length=3, max_length=16, description="Ordered routes, three or more.")
    capacity: TrunkCapacity = Field(description="What the trunk can bear.")
    follow_agents: bool = Field(default=True, description="Weights follow where agents are signed in.")


class EffectiveRoute(Reported):
    name: str = Field(description="Name of the route.")
    site: str = Field(description="Site it leads to.")
    weight: int = Field(default=0, description="Weight in force.")


class TrunkStatus(Reported):
    routes: tuple[EffectiveRoute, ...] = Field(default=(), description="Routes in force.")
    channels_in_use: int = Field(default=0, description="Calls now.")
    revision: int = Field(default=0, description="Store revision that the carrier confirmed.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: tuple[Condition, ...] = Field(default=(), description="Conditions.")
