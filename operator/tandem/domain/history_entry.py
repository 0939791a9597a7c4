"""How an entry of the decision log is put together, and who stands behind what."""

import re
from collections.abc import Iterable
from typing import Final, Literal

from tandem.domain.records import HistoryEntry, ShiftRecord, Who
from tandem.domain.snapshot import FAILOVER

Kind = Literal["Site", "AgentGroup", "Trunk", "Shift", "Drill", "Hold"]

MOST_WORDS: Final = 1500
"""Letters of a sentence that are kept."""

_RETURN: Final = re.compile(r"-home-\d+$")
"""How `homecoming` names its Shifts; they have no cause."""


def entry_of(
    kind: Kind,
    name: str,
    action: str,
    reason: str,
    why: str,
    who: Who,
    *,
    sites: Iterable[str] = (),
    groups: Iterable[str] = (),
    placed: Iterable[str] = (),
    agents: int = 0,
    shift: str = "",
) -> HistoryEntry:
    return HistoryEntry(
        kind=kind,
        name=name,
        action=action,
        reason=str(reason),
        why=why[:MOST_WORDS],
        who=who,
        sites=tuple(sites),
        groups=tuple(groups),
        placed=tuple(placed),
        agents=agents,
        shift=shift,
    )


def asker(name: str, record: ShiftRecord) -> Who:
    """Who wants this Shift."""
    if record.cause == "Order":
        return Who(kind="Order", name=record.order_digest)
    if record.cause.startswith("Drill/"):
        return Who(kind="Drill", name=record.cause.partition("/")[2])
    if record.cause.startswith(FAILOVER):
        return person(record.spec.approved_by) if record.spec.approved else rule("Failover")
    if not record.spec.requested_by and _RETURN.search(name):
        return rule("Return")
    return person(record.spec.requested_by)


def person(name: str) -> Who:
    return Who(kind="Person", name=name)


def rule(name: str) -> Who:
    return Who(kind="Rule", name=name)
