"""What the engine asks of the world. Adapters, probes and the store implement these; the simulation does as well."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from tandem.api.alarms import Prometheus
from tandem.api.site import System
from tandem.api.trunk import Carrier
from tandem.domain.alarms import AlarmAnswer
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.clients import ClientCount
from tandem.domain.probe_agents import ProbeAgent
from tandem.domain.records import DelayRecord, GroupReport, PlacementRecord
from tandem.errors import DependencyError


@dataclass(frozen=True)
class KeyValue:
    key: str
    value: bytes
    create_revision: int
    mod_revision: int
    lease: int = 0


@dataclass(frozen=True)
class Put:
    key: str
    value: bytes
    lease: int = 0


@dataclass(frozen=True)
class Delete:
    key: str


@dataclass(frozen=True)
class Guard:
    """A premise of a transaction. `mod_revision` 0 says: the key does not exist."""

    key: str
    mod_revision: int | None = None
    create_revision: int | None = None


@dataclass(frozen=True)
class TxnResult:
    succeeded: bool
    revision: int


@dataclass(frozen=True)
class Page:
    """A part of the keys under a prefix."""

    kvs: Sequence[KeyValue]
    count: int
    """Keys that there are from the page's start on, this page's included."""
    revision: int
    """The store's, at which this was so."""


@dataclass(frozen=True)
class Change:
    """One change seen by a watch; `value` is None for a deletion."""

    key: str
    value: KeyValue | None
    revision: int


@dataclass(frozen=True)
class Membership:
    """What one of the store's members says of itself and the others."""

    member: str
    """Its ID, as etcdctl writes it."""
    voters: int
    """Members that have a vote, itself included."""


class StoreError(DependencyError):
    """The store did not answer usefully. A write may or may not have been applied: read before assuming."""


class NoQuorumError(StoreError):
    """The local member has no leader."""


class CompactedError(StoreError):
    """The watch's start revision is gone: list again."""


class LeaseLostError(StoreError):
    """The lease has expired or was revoked."""


class Store(Protocol):
    async def range(self, prefix: str, *, timeout: float = 1.0) -> tuple[Sequence[KeyValue], int]:
        """All keys under `prefix` by a linearizable read, and the revision of the read."""

    async def page(
        self, prefix: str, *, start: str = "", limit: int = 0, keys_only: bool = False, timeout: float = 1.0
    ) -> Page:
        """The first keys under `prefix`, in their order, by a linearizable read: for what is too much for one answer.

        Args:
            start: The key to begin at; empty: the first one under `prefix`.
            limit: Most keys; 0: all.
            keys_only: Without the values.
        """

    async def get(self, key: str, *, timeout: float = 1.0) -> KeyValue | None:
        """One key by a linearizable read."""

    async def txn(self, guards: Sequence[Guard], writes: Sequence[Put | Delete], *, timeout: float = 1.0) -> TxnResult:
        """Apply all `writes` if every guard holds, else nothing (`succeeded` False: a normal answer).

        At most 120 operations. Raises StoreError when the outcome is unknown: read linearizably, never assume.
        """

    async def grant(self, ttl: float, *, timeout: float = 1.0) -> int:
        """A new lease of at least `ttl` seconds."""

    async def keepalive(self, lease: int, *, timeout: float = 0.5) -> float:
        """Renew; returns the TTL granted, in seconds from the *sending* of this call. Raises LeaseLostError."""

    async def revoke(self, lease: int, *, timeout: float = 1.0) -> None: ...

    def watch(self, prefix: str, from_revision: int) -> AsyncIterator[Sequence[Change]]:
        """Batches of changes since `from_revision`, in order, none lost.

        An empty batch is a sign of life (progress), at least each second. Ends with NoQuorumError within about 2 s of
        the member losing its leader, with StoreError when the connection is lost, with CompactedError when too old.
        """


@dataclass(frozen=True)
class CTIGroups:
    """Groups that changed at a CTI, and the sequence number to ask from next."""

    boot: str
    confirmed: bool
    seq: int
    groups: Mapping[str, GroupReport]
    sign_in_rate: float = 0.0
    """Sign-ins a second that it bears now; 0: it does not say."""


@dataclass(frozen=True)
class Arrival:
    """One agent who arrived at this CTI by a move. Times in seconds."""

    account: str
    group: str
    bucket: int
    came_from: str
    released_at: float
    signed_in_at: float
    gap: float
    delay: DelayRecord | None = None
    """What the move waited for; None: the CTI does not say."""
    failed_over: bool = False
    """It came without a ticket, by its own evidence that the other city is lost."""


@dataclass(frozen=True)
class DoorWords:
    """What the objects say of a CTI's doors, as the store had them at revision `as_of`: an older reading is ignored."""

    as_of: int
    priorities: Mapping[str, int] = field(default_factory=dict)
    """By group, higher first: who comes in first when not everybody can at once. Groups left out stay as they are."""
    guest_capacity: int | None = None
    """Agents of other cities whom it may take in; None: as before."""


@dataclass(frozen=True)
class PushResult:
    boot: str
    accepted: Mapping[str, int] = field(default_factory=dict)  # group -> revision held
    refused: Mapping[str, str] = field(default_factory=dict)  # group -> reason
    wrong_boot: bool = False


ClientCounts = Mapping[str, Mapping[str, ClientCount]]
"""Site -> group -> how many clients say anything of it, and how many have lost it."""


class AdapterError(DependencyError):
    """The thing behind an adapter did not answer usefully; the message names it and what it said."""


@dataclass(frozen=True)
class Arrived:
    """What a CTI says of moves into its city. `boot`: the life that counts them; empty: it does not say."""

    boot: str
    seq: int
    """The number of the last one named here, or of the last one there is."""
    agents: Sequence[Arrival]


class CTIAdapter(Protocol):
    async def capabilities(self) -> CTICapabilities: ...

    async def status(self) -> CTIGroups:
        """Everything, now."""

    async def progress(self, after: int, wait: float) -> CTIGroups:
        """Groups that changed after `after`; waits up to `wait` seconds for a change."""

    async def arrivals(self, after: int, wait: float) -> Arrived:
        """Moves into this city after number `after`, as this life of the CTI counts; waits up to `wait` seconds."""

    async def evidence(self) -> ClientCounts:
        """What clients here say now of their connections to other cities: site -> group -> counts."""

    async def push(
        self,
        boot: str,
        placements: Mapping[str, tuple[int, PlacementRecord]],
        *,
        doors: DoorWords | None = None,
    ) -> PushResult:
        """Give this CTI the maps of these groups (group -> revision, record). Idempotent; older revisions refused.

        `doors`: what else counts at its doors from now on; None: as before.
        """

    async def impair(
        self, boot: str, run: str, shares: Mapping[str, int], to: Sequence[str], ttl: float
    ) -> Mapping[str, int]:
        """Keep idle agents silent for a Drill's run, for `ttl` seconds from now.

        Args:
            boot: Of the process that is meant. run: Its first word chooses the agents, those after it choose nobody.
            shares: Group -> percent of its idle agents; empty: the silence is over. to: Sites that each must reach.
        Returns: Agents chosen, by group.
        Raises: AdapterError where this CTI cannot, is another boot, or has done it for as long as it may.
        """


@dataclass(frozen=True)
class SoftswitchState:
    uptime: int
    registered: int
    calls: int
    """In progress, those that wait included."""
    version: str = ""
    """In its own words; empty: it does not say."""
    placed: int | None = None
    """Calls since its start; None: it does not say."""


class SoftswitchAdapter(Protocol):
    async def state(self) -> SoftswitchState: ...

    async def push(
        self, site: str, numbers: Mapping[str, str], placements: Mapping[str, tuple[int, PlacementRecord]]
    ) -> None:
        """Set numbers -> group and group -> revision and percent placed at `site`; writes only what differs."""

    async def held(self) -> Mapping[str, int]:
        """Revision held per group, read back."""

    async def drain(self, on: bool) -> None: ...


@dataclass(frozen=True)
class CarrierRoute:
    name: str
    target: str
    weight: int
    callers: tuple[str, ...] = ()


@dataclass(frozen=True)
class CarrierPlan:
    """What a carrier does with one number: its routes in order, and what it lets through at most."""

    revision: int
    routes: tuple[CarrierRoute, ...]
    channels: int | None = None
    calls_per_second: float | None = None


class CarrierAdapter(Protocol):
    async def push(self, number: str, plan: CarrierPlan) -> None:
        """Let it do this with a number. It refuses a revision older than the one it has: AdapterError."""

    async def held(self) -> Mapping[str, CarrierPlan]:
        """What it has now, by number."""

    async def channels_in_use(self, numbers: Sequence[str]) -> int: ...


@dataclass(frozen=True)
class ProbeResult:
    """One probe. `void` when it overlapped a stall of our own loop or its reference failed: it accuses nobody."""

    ok: bool
    void: bool
    seconds: float
    detail: str = ""
    connects: bool = False
    """Nobody answered, and yet the connection came about: the machine runs, whatever ails the program on it."""


Late = Callable[[], None]
"""Called when a probe that was given up is answered after all, within LATE_ANSWER_S."""


class Prober(Protocol):
    async def sip_options(self, address: str, timeout: float, late: Late = lambda: None) -> ProbeResult: ...

    async def http_health(self, url: str, timeout: float, late: Late = lambda: None) -> ProbeResult: ...


@dataclass(frozen=True)
class DeepResult:
    """A synthetic sign-in, and the synthetic call that it made possible; `call` None: none was asked for."""

    sign_in: ProbeResult
    call: ProbeResult | None = None


class DeepProber(Protocol):
    async def deep(self, cti: str, sip: str | None, agent: ProbeAgent, timeout: float) -> DeepResult:
        """Sign the test agent in at the CTI `cti` (URL), call it through the softswitch `sip` (host:port), sign it out.

        A sign-in that has to stand at the door passes, with a detail: it was answered. A call that nobody could be
        signed in for is void.

        Args:
            sip: None: no call.
            timeout: Seconds of silence, wherever an answer is due.
        """


class AlarmServer(Protocol):
    async def ask(self, server: Prometheus, namespace: str, query: str) -> AlarmAnswer:
        """Evaluate a query now. Ends within `server.timeout`, whatever the server does.

        Args:
            namespace: Where the token's Secret is.
        Raises: AdapterError where there is no answer, or none that says whether the alarm fires.
        """


class Clock(Protocol):
    def monotonic(self) -> float:
        """CLOCK_BOOTTIME, seconds."""

    def now(self) -> float:
        """Seconds since the epoch, for people."""

    async def sleep(self, seconds: float) -> None: ...


class Election(Protocol):
    """Who may commit. Its own task keeps standing; the engine only asks."""

    def epoch(self) -> int:
        """Create revision of the coordinator's key while this engine may commit, by its own clock at this moment.

        0 when another engine is the coordinator, nobody is, or the last successful keepalive was sent longer ago than
        the lease's TTL.
        """


class Adapters(Protocol):
    """Makes the adapter that a declaration names. Raises ConfigError for a name that is not installed."""

    def cti(self, system: System) -> CTIAdapter: ...

    def softswitch(self, system: System) -> SoftswitchAdapter: ...

    def carrier(self, carrier: Carrier, namespace: str) -> CarrierAdapter: ...
