"""Site: one city, with the softswitch and CTI of each of its systems."""

from dataclasses import dataclass
from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, model_validator

from tandem.api.common import (
    Conditions,
    DeploymentRef,
    Duration,
    HostPort,
    Name,
    Reported,
    Url,
    Within,
    Written,
    cel,
    duration_seconds,
    immutable,
    is_stored,
    list_map,
    rules,
    twice,
)

DEFAULT_LEASE: Final = "2700ms"
"""The lease of a CTI whose Site names none."""


class Scaling(Written):
    """Who changes the replicas of a Deployment, and within which bounds."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.min <= self.max",
                "'is %d, more than max %d; lower min or raise max'.format([self.min, self.max])",
                field=".min",
            )
        )
    )

    mode: Literal["Scale", "HPA", "KEDA", "None"] = Field(default="None", description="What the operator may change.")
    agents_per_replica: int = Field(default=1000, ge=1, description="Agents that one replica carries.")
    min: int = Field(default=1, ge=1, description="Least replicas.")
    max: int = Field(default=1, ge=1, description="Most replicas.")

    @model_validator(mode="after")
    def _bounds(self) -> Self:
        if self.min > self.max:
            raise ValueError(f"min {self.min} is more than max {self.max}; lower min or raise max")
        return self


class SoftswitchCapacity(Written):
    """What a softswitch can bear."""

    agents: int = Field(ge=1, description="Registered phones that this softswitch carries.")
    calls_per_second: int = Field(ge=1, description="New calls a second.")


class Softswitch(Written):
    """A system's softswitch (PBX) in this city."""

    adapter: Name = Field(default="kamailio", description="Adapter that talks to it.")
    deployment: DeploymentRef = Field(description="Deployment as namespace/name.")
    sip: HostPort = Field(description="SIP address that carriers and phones use, host:port (UDP).")
    control_url: Url = Field(alias="controlURL", description="JSON-RPC URL, reached from this city's engine only.")
    capacity: SoftswitchCapacity = Field(description="What it can bear.")
    scaling: Scaling = Field(default=Scaling(), description="Who changes its replicas.")


class CTICapacity(Written):
    """What a CTI can bear."""

    agents: int = Field(ge=1, description="Agents signed in at once.")
    sign_ins_per_second: int = Field(ge=1, description="Fresh sign-ins a second.")


class CTI(Written):
    """A system's computer-telephony integration in this city."""

    adapter: Name = Field(default="http", description="Adapter that talks to it.")
    deployment: DeploymentRef = Field(description="Deployment as namespace/name.")
    url: Url = Field(alias="url", description="URL that clients and outside observers use.")
    control_url: Url = Field(alias="controlURL", description="URL of the CTI contract, reached from this city only.")
    capacity: CTICapacity = Field(description="What it can bear.")
    # No default: the API server would write it into every Site, and an engine of the version before, which does not
    # know the field, would read none of them.
    lease: Annotated[Duration, Within("100ms", "1m")] | None = Field(
        default=None,
        description="How long a session outlives its last answered ping, as this CTI is configured: nobody works"
        f" elsewhere before. {DEFAULT_LEASE} where it is not given.",
    )
    scaling: Scaling = Field(default=Scaling(), description="Who changes its replicas.")


class System(Written):
    """One system (hotel, flight ...) in this city: its own softswitch, its own CTI, its own verdict."""

    name: Name = Field(description="Name of the system, the same in every city.")
    softswitch: Softswitch = Field(description="The softswitch.")
    cti: CTI = Field(description="The CTI.")
    deep_probes: Literal["None", "SignIn", "SignInAndCall"] = Field(
        default="None",
        description="What each location's test agent does here every 2 s. The CTI's directory must have these agents.",
    )


class Detection(Written):
    """How quickly silence counts."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "duration(self.confirmAfter) >= duration(self.interval) + duration(self.timeout)",
                "'is %s, but interval %s + timeout %s are more: a second failure could not be measured in it; raise it'"
                ".format([self.confirmAfter, self.interval, self.timeout])",
                field=".confirmAfter",
            )
        )
    )

    interval: Annotated[Duration, Within("100ms", "1m")] = Field(
        default="500ms", description="Time between two probes of one component."
    )
    timeout: Annotated[Duration, Within("100ms", "1m")] = Field(
        default="500ms", description="Wait for a probe's answer."
    )
    confirm_after: Annotated[Duration, Within("200ms", "10m")] = Field(
        default="2s",
        description="Unbroken accusation before a site counts as lost; interval + timeout at least.",
    )
    hung_after: Duration = Field(
        default="20s",
        description="The same where a site writes nothing and answers nobody, yet takes connections: its machines run,"
        " starved or hung. Where something else takes them for it (a balancer), make it 0s: at least"
        " confirmAfter counts.",
    )
    target: Duration = Field(default="10s", description="Everybody of a lost city is to work again within this.")

    @model_validator(mode="after")
    def _two_failures(self, info: ValidationInfo) -> Self:
        if is_stored(info):
            return self  # Two failures are needed all the same (`Rule.of`); they are only known later.
        if _milliseconds(self.confirm_after) < _milliseconds(self.interval) + _milliseconds(self.timeout):
            raise ValueError(
                f"confirmAfter is {self.confirm_after}, but interval {self.interval} + timeout {self.timeout} are more:"
                " a second failure could not be measured in it; raise it"
            )
        return self


HEARTBEAT_MS: Final = 3500
"""Until a dead engine's heartbeat is gone from the store, in milliseconds: its lease, and an election when the store's
leader died with it."""

ACT_MS: Final = 400
"""To decide, commit and push, in milliseconds."""

LEASE_DRIFT_PERCENT: Final = 1
"""How far apart two clocks may drift while a lease runs: so much longer a client waits before it goes elsewhere."""

_MS: Final = "duration(self.detection.{}).getMilliseconds()"
_INTERVAL, _TIMEOUT, _CONFIRM_AFTER, _TARGET = map(_MS.format, ("interval", "timeout", "confirmAfter", "target"))
_CONFIRMED: Final = f"({_INTERVAL} + {_TIMEOUT} + {_CONFIRM_AFTER})"
_LEASE: Final = f"(has(s.cti.lease) ? s.cti.lease : '{DEFAULT_LEASE}')"
_LAPSED: Final = f"(duration({_LEASE}).getMilliseconds() * {100 + LEASE_DRIFT_PERCENT} / 100)"
_FULL_HOUSE: Final = "(s.cti.capacity.agents * 1000 / s.cti.capacity.signInsPerSecond)"
_NEEDED: Final = f"([{_CONFIRMED}, {_LAPSED}, {HEARTBEAT_MS}].max() + {ACT_MS} + {_FULL_HOUSE})"
_TOO_SLOW: Final = f"{_NEEDED} > {_TARGET}"
_WHY: Final = (
    "target is %s, but by its own figures %s needs %d ms: the longest of %d ms (interval %s + timeout %s + confirmAfter"
    f" %s), %d ms (lease %s + {LEASE_DRIFT_PERCENT} in 100) and {HEARTBEAT_MS} ms (a heartbeat and an election),"
    f" + {ACT_MS} ms to act, + %d ms (%d agents at %d sign-ins a second); raise signInsPerSecond with the CTI"
    " behind it, or the target"
)
"""Every term with its number; for the API server as for the second check here, in this order."""
_WHY_ARGUMENTS: Final = ", ".join(
    (
        *("self.detection.target", "s.name", _NEEDED),
        *(_CONFIRMED, "self.detection.interval", "self.detection.timeout", "self.detection.confirmAfter"),
        *(_LAPSED, _LEASE),
        *(_FULL_HOUSE, "s.cti.capacity.agents", "s.cti.capacity.signInsPerSecond"),
    )
)


@dataclass(frozen=True, slots=True)
class Rescue:
    """What it takes until a full house of lost agents is signed in at one system, in milliseconds.

    The first failure is known an interval and a timeout after the city died. The others that must be measured
    (`Rule.of`), the longer of interval and timeout apart, are within `confirmAfter`. Meanwhile the sessions lapse: a
    client whose last ping was answered in that moment counts itself out after the lease and its clocks' drift.
    """

    confirmed: int
    """interval + timeout + confirmAfter."""
    lapsed: int
    """The lease, and what two clocks may drift in it."""
    full_house: int
    """agents / signInsPerSecond."""

    @property
    def needed(self) -> int:
        return max(self.confirmed, self.lapsed, HEARTBEAT_MS) + ACT_MS + self.full_house


def rescue(detection: Detection, system: System) -> Rescue:
    """How long a rescue takes at this system, at the rates that its Site states."""
    capacity = system.cti.capacity
    return Rescue(
        confirmed=sum(map(_milliseconds, (detection.interval, detection.timeout, detection.confirm_after))),
        lapsed=_milliseconds(_lease(system)) * (100 + LEASE_DRIFT_PERCENT) // 100,
        full_house=capacity.agents * 1000 // capacity.sign_ins_per_second,
    )


def _lease(system: System) -> str:
    return system.cti.lease or DEFAULT_LEASE


def _milliseconds(duration: str) -> int:
    return round(1000 * duration_seconds(duration))


def _why(detection: Detection, system: System, times: Rescue) -> str:
    """Why the target cannot be kept, with every term and its number."""
    return _WHY % (
        *(detection.target, system.name, times.needed),
        *(times.confirmed, detection.interval, detection.timeout, detection.confirm_after),
        *(times.lapsed, _lease(system)),
        *(times.full_house, system.cti.capacity.agents, system.cti.capacity.sign_ins_per_second),
    )


class SiteSpec(Written):
    """One city: a Kubernetes cluster with softswitches and CTIs; or the witness, which observes and votes."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            cel(
                "self.role != 'Witness' || self.systems.size() == 0",
                "'a Witness carries no agents, but lists %d system(s), first %s; remove them or make the role Active'"
                ".format([self.systems.size(), self.systems[0].name])",
                field=".systems",
            ),
            cel(
                "self.role != 'Active' || self.systems.size() > 0",
                "an Active site lists at least one system; add one with its softswitch and cti, or make the role"
                " Witness",
                field=".systems",
            ),
            cel(
                "self.role != 'Witness' || self.guestCapacity == 0",
                "'is %d, but a Witness admits nobody; remove it'.format([self.guestCapacity])",
                field=".guestCapacity",
            ),
            cel(
                f"!self.systems.exists(s, {_TOO_SLOW})",
                f"'%s'.format([self.systems.filter(s, {_TOO_SLOW}).map(s, '{_WHY}'.format([{_WHY_ARGUMENTS}]))[0]])",
                field=".detection",
            ),
        )
    )

    role: Literal["Active", "Witness"] = Field(
        default="Active",
        description="Active carries agents; Witness observes.",
        json_schema_extra=immutable("delete the Site and create it anew"),
    )
    region: str = Field(default="", max_length=63, description="Where it is, for people and selectors.")
    failure_domain: Name = Field(description="What fails together: its observers count as one.")
    engine_url: Url = Field(alias="engineURL", description="This location's engine as other engines probe it.")
    systems: tuple[System, ...] = Field(
        default=(), max_length=16, description="Systems in this city, by name.", json_schema_extra=list_map("name")
    )
    guest_capacity: int = Field(default=0, ge=0, le=100_000, description="Agents of other cities admitted as guests.")
    detection: Detection = Field(default=Detection(), description="Probe timing.")
    maintenance: bool = Field(default=False, description="Planned work: no planned move onto this site.")

    @model_validator(mode="after")
    def _fits_together(self, info: ValidationInfo) -> Self:
        if (name := twice(system.name for system in self.systems)) is not None:
            raise ValueError(f"systems names {name} twice; name each system once")
        if self.role == "Witness" and self.systems:
            raise ValueError(
                f"systems: a Witness carries no agents, but lists {self.systems[0].name}; "
                "remove it or make the role Active"
            )
        if self.role == "Witness" and self.guest_capacity:
            raise ValueError(f"guestCapacity is {self.guest_capacity}, but a Witness admits nobody; remove it")
        if self.role == "Active" and not self.systems:
            raise ValueError("systems: an Active site lists at least one system; add one, or make the role Witness")
        if is_stored(info):
            return self  # Better rescued too late for its target than not at all.
        for system in self.systems:
            times = rescue(self.detection, system)
            if times.needed > _milliseconds(self.detection.target):
                raise ValueError(f"detection.{_why(self.detection, system, times)}")
        return self

    def system(self, name: str) -> System | None:
        return next((system for system in self.systems if system.name == name), None)


class ComponentHeartbeat(Reported):
    """What all sources together say of one component."""

    system: str = Field(description="System, or empty for the engine.")
    component: str = Field(description="softswitch, cti, sign-in, call or engine.")
    state: Literal["Pass", "Fail", "Unknown"] = Field(description="What the sources together say.")
    since: str = Field(default="", description="Since when, RFC 3339.")
    sources_for: tuple[str, ...] = Field(default=(), description="Locations that say it works.")
    sources_against: tuple[str, ...] = Field(default=(), description="Locations that say it does not.")


class SystemUse(Reported):
    """One system in this city: its verdict and what it carries."""

    name: str = Field(description="System.")
    verdict: str = Field(default="Unknown", description="Verdict of this system.")
    reason: str = Field(default="", description="Stable CamelCase reason of the verdict.")
    message: str = Field(default="", description="The verdict as a sentence.")
    since: str = Field(default="", description="Since when the verdict is this one, RFC 3339.")
    signed_in: int = Field(default=0, description="Agents signed in.")
    capacity: int = Field(default=0, description="Agents that can be signed in.")


class HoldStatus(Reported):
    """The big red button, as the store holds it."""

    active: bool = Field(default=False, description="True while no wave, failover or return may start.")
    by: str = Field(default="", description="Who pressed it.")
    reason: str = Field(default="", description="Why.")
    since: str = Field(default="", description="Since when, RFC 3339.")


class SiteStatus(Reported):
    """How the city is."""

    verdict: str = Field(default="Unknown", description="Worst verdict of the systems.")
    reason: str = Field(default="", description="Stable CamelCase reason of the verdict.")
    message: str = Field(default="", description="The verdict as a sentence.")
    since: str = Field(default="", description="Since when the verdict is this one, RFC 3339.")
    heartbeat: tuple[ComponentHeartbeat, ...] = Field(
        default=(),
        description="Per component, what the sources say.",
        json_schema_extra=list_map("system", "component"),
    )
    systems: tuple[SystemUse, ...] = Field(
        default=(), description="Capacity used per system.", json_schema_extra=list_map("name")
    )
    here: bool = Field(default=False, description="True in this Site's own cluster; `hold` is asked for there.")
    signed_in: int = Field(default=0, description="Agents signed in, all systems.")
    capacity: int = Field(default=0, description="Agents that can be signed in, all systems.")
    coordinator: str = Field(default="", description="Location whose engine may commit now.")
    hold: HoldStatus = Field(default=HoldStatus(), description="Whether everything is held.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: Conditions = Field(default=(), description="Conditions.")
