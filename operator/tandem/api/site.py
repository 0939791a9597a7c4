"""Site: one city, with the softswitch and CTI of each of its systems."""

from typing import Annotated, Final, Literal, Self

from pydantic import ConfigDict, Field, model_validator

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
    list_map,
    rules,
    twice,
)


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
    def _two_failures(self) -> Self:
        least = duration_seconds(self.interval) + duration_seconds(self.timeout)
        # In milliseconds, as they are written: 0.1 + 0.2 is more than 0.3.
        if round(1000 * duration_seconds(self.confirm_after)) < round(1000 * least):
            raise ValueError(
                f"confirmAfter is {self.confirm_after}, but interval {self.interval} + timeout {self.timeout} are more: "
                "a second failure could not be measured in it; raise it"
            )
        return self


HEARTBEAT_MS: Final = 3500
"""Until a dead engine's heartbeat is gone from the store, in milliseconds: its lease, and an election when the store's
leader died with it."""

ACT_MS: Final = 400
"""To decide, commit and push, in milliseconds."""

_MS: Final = "duration(self.detection.{}).getMilliseconds()"
_INTERVAL, _TIMEOUT, _CONFIRM_AFTER, _TARGET = map(_MS.format, ("interval", "timeout", "confirmAfter", "target"))
_FULL_HOUSE: Final = "s.cti.capacity.agents * 1000 / s.cti.capacity.signInsPerSecond"
_LOST: Final = (HEARTBEAT_MS, f"{_INTERVAL} + {_TIMEOUT} + {_CONFIRM_AFTER}")
# The longest of them is too long when any of them is.
_TOO_SLOW: Final = " || ".join(f"{lost} + {ACT_MS} + {_FULL_HOUSE} > {_TARGET}" for lost in _LOST)


def rescue_ms(detection: Detection, system: System) -> int:
    """Milliseconds until a full house of lost agents is signed in at this system, at the rates that its Site states.

    max(interval + timeout + confirmAfter, heartbeat) + time to act + agents / sign-ins per s.

    The first failure is known an interval and a timeout after the city died. The others that must be measured
    (`Rule.of`), the longer of interval and timeout apart, are within `confirmAfter`.
    """
    interval, timeout, confirm_after = (
        round(1000 * duration_seconds(step))
        for step in (detection.interval, detection.timeout, detection.confirm_after)
    )
    confirmed = interval + timeout + confirm_after
    capacity = system.cti.capacity
    return max(confirmed, HEARTBEAT_MS) + ACT_MS + capacity.agents * 1000 // capacity.sign_ins_per_second


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
                "'target is %s, but interval %s + timeout %s + confirmAfter %s (at"
                f" least {HEARTBEAT_MS} ms) + {ACT_MS} ms + agents / signInsPerSecond of %s are more; raise its"
                " signInsPerSecond with the CTI behind it, or the"
                " target'.format([self.detection.target, self.detection.interval, self.detection.timeout,"
                f" self.detection.confirmAfter, self.systems.filter(s, {_TOO_SLOW})[0].name])",
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
    def _fits_together(self) -> Self:
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
        for system in self.systems:
            needed = rescue_ms(self.detection, system)
            if needed > 1000 * duration_seconds(self.detection.target):
                raise ValueError(
                    f"detection.target is {self.detection.target}, but by its own figures {system.name} needs "
                    f"{needed} ms (detection, and agents / signInsPerSecond); raise signInsPerSecond, or the target"
                )
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
