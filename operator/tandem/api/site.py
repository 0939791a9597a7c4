"""Site: one city, with the softswitch and CTI of each of its systems."""

from typing import Literal

from pydantic import Field

from tandem.api.common import Condition, Duration, Name, Reported, Written


class Scaling(Written):
    """Who changes the replicas of a Deployment, and within which bounds."""

    mode: Literal["Scale", "HPA", "KEDA", "None"] = Field(default="None", description="What the operator may change.")
    agents_per_replica: int = Field(default=1000, ge=1, description="Agents that one replica carries.")
    min: int = Field(default=1, ge=1, description="Least replicas.")
    max: int = Field(default=1, ge=1, description="Most replicas.")


class SoftswitchCapacity(Written):
    agents: int = Field(ge=1, description="Registered phones that this softswitch carries.")
    calls_per_second: int = Field(ge=1, description="New calls a second.")


class Softswitch(Written):
    """A system's softswitch (PBX) in this city."""

    adapter: Name = Field(default="kamailio", description="Adapter that talks to it.")
    deployment: str = Field(description="Deployment as namespace/name.")
    sip: str = Field(description="SIP address that carriers and phones use, host:port (UDP).")
    control_url: str = Field(alias="controlURL", description="JSON-RPC URL, reached from this city's engine only.")
    capacity: SoftswitchCapacity = Field(description="What it can bear.")
    scaling: Scaling = Field(default=Scaling(), description="Who changes its replicas.")


class CTICapacity(Written):
    agents: int = Field(ge=1, description="Agents signed in at once.")
    sign_ins_per_second: int = Field(ge=1, description="Fresh sign-ins a second.")


class CTI(Written):
    """A system's computer-telephony integration in this city."""

    adapter: Name = Field(default="http", description="Adapter that talks to it.")
    deployment: str = Field(description="Deployment as namespace/name.")
    url: str = Field(alias="url", description="URL that clients and outside observers use.")
    control_url: str = Field(alias="controlURL", description="URL of the CTI contract, reached from this city only.")
    capacity: CTICapacity = Field(description="What it can bear.")
    scaling: Scaling = Field(default=Scaling(), description="Who changes its replicas.")


class System(Written):
    """One system (hotel, flight ...) in this city: its own softswitch, its own CTI, its own verdict."""

    name: Name = Field(description="Name of the system, the same in every city.")
    softswitch: Softswitch = Field(description="The softswitch.")
    cti: CTI = Field(description="The CTI.")


class Detection(Written):
    """How quickly silence counts."""

    interval: Duration = Field(default="500ms", description="Time between two probes of one component.")
    timeout: Duration = Field(default="500ms", description="Wait for a probe's answer.")
    confirm_after: Duration = Field(default="2s", description="Unbroken accusation before a site counts as Down.")


class SiteSpec(Written):
    """One city: a Kubernetes cluster with softswitches and CTIs; or the witness, which observes and votes."""

    role: Literal["Active", "Witness"] = Field(default="Active", description="Active carries agents; Witness observes.")
    region: str = Field(default="", max_length=63, description="Where it is, for people and selectors.")
    failure_domain: Name = Field(description="What fails together; the witness's differs from every Active site's.")
    engine_url: str = Field(alias="engineURL", description="This location's engine as other engines probe it.")
    systems: tuple[System, ...] = Field(default=(), max_length=16, description="Systems in this city, by name.")
    guest_capacity: int = Field(default=0, ge=0, description="Agents of other cities admitted as guests.")
    detection: Detection = Field(default=Detection(), description="Probe timing.")
    maintenance: bool = Field(default=False, description="Planned work: no planned move onto this site.")

    def system(self, name: str) -> System | None:
        return next((system for system in self.systems if system.name == name), None)


class ComponentHeartbeat(Reported):
    system: str = Field(description="System, or empty for the engine.")
    component: str = Field(description="softswitch, cti or engine.")
    state: Literal["Pass", "Fail", "Unknown"] = Field(description="What the sources together say.")
    since: str = Field(default="", description="Since when, RFC 3339.")
    sources_for: tuple[str, ...] = Field(default=(), description="Locations that say it works.")
    sources_against: tuple[str, ...] = Field(default=(), description="Locations that say it does not.")


class SystemUse(Reported):
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
    verdict: str = Field(default="Unknown", description="Worst verdict of the systems.")
    reason: str = Field(default="", description="Stable CamelCase reason of the verdict.")
    message: str = Field(default="", description="The verdict as a sentence.")
    heartbeat: tuple[ComponentHeartbeat, ...] = Field(default=(), description="Per component, what the sources say.")
    systems: tuple[SystemUse, ...] = Field(default=(), description="Capacity used per system.")
    coordinator: str = Field(default="", description="Location whose engine may commit now.")
    hold: HoldStatus = Field(default=HoldStatus(), description="Whether everything is held.")
    observed_generation: int = Field(default=0, description="Generation that this status speaks of.")
    conditions: tuple[Condition, ...] = Field(default=(), description="Conditions.")
