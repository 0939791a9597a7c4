"""What the statuses share: the scene they are made from, conditions, and numbers as text."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from tandem.api.common import Condition
from tandem.domain.snapshot import Instant, Published, Snapshot
from tandem.domain.switch_times import moves_of
from tandem.operator.objects import Seen
from tandem.operator.settings import STORE_SILENT_S

Truth = Literal["True", "False", "Unknown"]


@dataclass(frozen=True)
class Scene:
    """What a status is made from."""

    snapshot: Snapshot
    site: str
    """This location."""
    now: float
    """Seconds since the epoch."""
    silent_s: float = 0.0
    """Seconds since the store stopped answering; 0 while it answers."""
    trouble: str = ""
    mono: float | None = None
    """The same moment on the monotonic clock of whoever took the snapshot; None: nothing is confirmed by time."""

    @property
    def instant(self) -> Instant | None:
        return None if self.mono is None else Instant(self.mono, self.now)

    @property
    def blind(self) -> bool:
        """The store has been silent for longer than an election takes: what is known may be old."""
        return self.silent_s > STORE_SILENT_S


@dataclass(frozen=True)
class Said:
    """One condition before it is compared with what was said earlier."""

    type: str
    status: Truth
    reason: str
    message: str


def settle(said: Iterable[Said], seen: Seen, generation: int, now: float) -> tuple[Condition, ...]:
    """Conditions with the time since when each holds: that of the earlier status while it has not changed."""
    before: Mapping[str, Mapping[str, Any]] = {
        condition.get("type", ""): condition for condition in seen.status.get("conditions") or ()
    }
    found = []
    for one in said:
        old = before.get(one.type, {})
        same = old.get("status") == one.status and old.get("lastTransitionTime")
        found.append(
            Condition(
                type=one.type,
                status=one.status,
                reason=one.reason,
                message=one.message,
                observed_generation=generation,
                last_transition_time=old["lastTransitionTime"] if same else rfc3339(now),
            )
        )
    return tuple(found)


def blindness(scene: Scene, kind: str = "Ready") -> Said:
    """The store does not answer, so nobody knows."""
    message = f"the store has not answered for a while ({scene.trouble}); what is shown here may be old"
    return Said(kind, "Unknown", "StoreUnreachable", message)


def consistency(scene: Scene, published: Published[Any] | None) -> Said:
    """Whether every Active site that publishes read the same object."""
    kind = "SpecConsistent"
    if scene.blind:
        return blindness(scene, kind)
    if published is None:
        return Said(kind, "Unknown", "Publishing", "no location has published this object yet")
    if not published.consistent:
        return Said(kind, "False", "SpecNotConsistent", published.message)
    sites = " and ".join(sorted(scene.snapshot.participants))
    return Said(kind, "True", "Agreed", f"{sites} read the same object")


def rfc3339(seconds: float) -> str:
    """A time for people; empty for 0, which stands for never."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if seconds else ""


def gap_text(seconds: float) -> str:
    """A gap like `0.012s`."""
    return f"{seconds:.3f}s"


@dataclass(frozen=True)
class Gaps:
    """Switch times of one Shift over all cities and systems where its agents arrived."""

    agents: int
    """All of them, on either way."""
    moved: int
    back: int
    p50: str
    p95: str
    max: str


def gaps_of(snapshot: Snapshot, shift: str) -> Gaps | None:
    """The agents' own gaps in one Shift (`namespace/name`); None before anybody arrived."""
    found = moves_of(snapshot, shift)
    if found is None:
        return None
    return Gaps(found.agents, found.moved, found.back, gap_text(found.p50), gap_text(found.p95), gap_text(found.max))
