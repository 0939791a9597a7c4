"""The custom resources: names, scope, columns. What `crd.py` writes and what clients ask the API server for."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from tandem.api.agentgroup import AgentGroupSpec, AgentGroupStatus
from tandem.api.common import GROUP, Reported, Written
from tandem.api.drill import DrillSpec, DrillStatus
from tandem.api.shift import ShiftSpec, ShiftStatus
from tandem.api.site import SiteSpec, SiteStatus
from tandem.api.trunk import TrunkSpec, TrunkStatus


@dataclass(frozen=True)
class Column:
    """One column of `kubectl get`. `wide` columns show with `-o wide` only."""

    name: str
    path: str
    type: Literal["string", "integer", "boolean", "date"] = "string"
    description: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Resource:
    """One kind of object."""

    kind: str
    plural: str
    short_names: tuple[str, ...]
    namespaced: bool
    description: str
    spec: type[Written]
    status: type[Reported]
    columns: tuple[Column, ...]

    @property
    def singular(self) -> str:
        return self.kind.lower()

    @property
    def crd(self) -> str:
        """Name of the CustomResourceDefinition."""
        return f"{self.plural}.{GROUP}"


def _condition(name: str, kind: str) -> Column:
    return Column(name, f'.status.conditions[?(@.type=="{kind}")].status', description=f"Condition {kind}.")


_AGE: Final = Column("Age", ".metadata.creationTimestamp", "date", "Since when the object exists.")

SITE: Final = Resource(
    kind="Site",
    plural="sites",
    short_names=("site",),
    namespaced=False,
    description="One city: a Kubernetes cluster with the softswitch and CTI of each of its systems; or the witness.",
    spec=SiteSpec,
    status=SiteStatus,
    columns=(
        Column("Role", ".spec.role", description="Active or Witness."),
        Column("Verdict", ".status.verdict", description="What all sources together say."),
        Column("Signed-In", ".status.signedIn", "integer", "Agents signed in."),
        Column("Capacity", ".status.capacity", "integer", "Agents that can be signed in."),
        Column("Coordinator", ".status.coordinator", description="Location that may commit now."),
        Column("Hold", ".status.hold.active", "boolean", "Whether everything is held."),
        Column("Reason", ".status.reason", description="Reason of the verdict.", wide=True),
        _AGE,
    ),
)

AGENT_GROUP: Final = Resource(
    kind="AgentGroup",
    plural="agentgroups",
    short_names=("ag",),
    namespaced=True,
    description="Agents who share a system, a region and a skill group; the unit that is placed and moved.",
    spec=AgentGroupSpec,
    status=AgentGroupStatus,
    columns=(
        Column("System", ".spec.system", description="System that the agents work with."),
        Column("Region", ".spec.region", description="Region."),
        Column("Skill", ".spec.skillGroup", description="Skill group."),
        Column("Where", ".status.where", description="Placement now, in percent by site."),
        Column("Signed-In", ".status.signedIn", "integer", "Agents signed in everywhere."),
        Column("Moving", ".status.moving", "integer", "Agents in buckets on their way."),
        Column("Shift", ".status.shift", description="Shift under way."),
        _condition("Ready", "Ready"),
        Column("Failover", '.status.conditions[?(@.type=="FailoverReady")].status', wide=True),
        Column("P95", ".status.lastShift.p95", description="95th percentile of the last move's gaps.", wide=True),
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        _AGE,
    ),
)

TRUNK: Final = Resource(
    kind="Trunk",
    plural="trunks",
    short_names=("trunk",),
    namespaced=True,
    description="A carrier's numbers and their ordered routes into the sites.",
    spec=TrunkSpec,
    status=TrunkStatus,
    columns=(
        Column("System", ".spec.system", description="System that is served."),
        Column("Where", ".status.where", description="Share of new calls by site, in percent."),
        Column("Calls", ".status.channelsInUse", "integer", "Calls now."),
        Column("Channels", ".spec.capacity.channels", "integer", "Calls at once."),
        _condition("Ready", "Ready"),
        Column("Message", '.status.conditions[?(@.type=="Ready")].message', wide=True),
        _AGE,
    ),
)

SHIFT: Final = Resource(
    kind="Shift",
    plural="shifts",
    short_names=("sh",),
    namespaced=True,
    description="One deliberate move of agents between sites. Like a Job; not a roster's shift.",
    spec=ShiftSpec,
    status=ShiftStatus,
    columns=(
        Column("To", ".status.to", description="Where the agents go, with their share where it is not all."),
        Column("Phase", ".status.phase", description="Where it stands."),
        Column("Progress", ".status.progress.text", description="Agents moved of those planned."),
        Column("P95", ".status.switchTimes.p95", description="95th percentile of the agents' own gaps."),
        Column("Reason", ".status.reason", description="Reason of the phase."),
        Column("Message", ".status.message", description="The phase as a sentence.", wide=True),
        _AGE,
    ),
)

DRILL: Final = Resource(
    kind="Drill",
    plural="drills",
    short_names=("drill",),
    namespaced=True,
    description="A scheduled rehearsal: agents move to another site, work there for a while, and come back.",
    spec=DrillSpec,
    status=DrillStatus,
    columns=(
        Column("Kind", ".spec.kind", description="What is rehearsed: a Shift, or a Failover."),
        Column("Schedule", ".spec.schedule", description="When it is due."),
        Column("Suspend", ".spec.suspend", "boolean", "Whether nothing starts."),
        Column("To", ".spec.shift.to", description="Site that receives the agents."),
        Column("Phase", ".status.phase", description="Where it stands."),
        Column("Next", ".status.nextRun", "date", "When it is due next."),
        Column("Last", ".status.lastOutcome", description="Outcome of the last run."),
        Column("Last-Success", ".status.lastSuccess", "date", "When a run last succeeded."),
        Column("Message", ".status.message", description="The phase as a sentence.", wide=True),
        _AGE,
    ),
)

RESOURCES: Final[tuple[Resource, ...]] = (SITE, AGENT_GROUP, TRUNK, SHIFT, DRILL)
BY_KIND: Final[Mapping[str, Resource]] = MappingProxyType({resource.kind: resource for resource in RESOURCES})
BY_PLURAL: Final[Mapping[str, Resource]] = MappingProxyType({resource.plural: resource for resource in RESOURCES})
