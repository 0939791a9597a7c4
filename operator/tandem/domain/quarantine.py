"""Quarantine: nothing is planned onto a city that has failed before it has proved itself. An emergency may use it."""

from tandem.constants import QUARANTINE_MOST_S, QUARANTINE_S
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import FailoverRecord
from tandem.domain.snapshot import Instant, Snapshot


def quarantine_s(record: FailoverRecord) -> float:
    """Seconds after its return in which nothing is planned onto a city; twice as long each time it fails again."""
    return float(min(QUARANTINE_S * 2**record.repeated, QUARANTINE_MOST_S))


def failing(snapshot: Snapshot, site: str) -> bool:
    """Whether a failover of this city has not ended."""
    entry = snapshot.failovers.get(site)
    return entry is not None and entry.record.state == "Active"


def given_up(snapshot: Snapshot, site: str, system: str) -> bool:
    """Whether this city has lost this very system, and has not ended its failover."""
    return failing(snapshot, site) and system in snapshot.failovers[site].record.systems


def quarantined(snapshot: Snapshot, site: str, now: Instant) -> Refusal | None:
    """Why nothing may be planned onto a city that has failed; None when it may."""
    entry = snapshot.failovers.get(site)
    if entry is None:
        return None
    record = entry.record
    if record.state == "Active":
        message = f"{site} has failed (failover {record.number}: {record.message}) and is not healthy yet"
        return Refusal(Reason.QUARANTINED, message, temporary=True)
    left = entry.seen_at + quarantine_s(record) - now.mono
    if left <= 0:
        return None
    message = f"{site} came back after failover {record.number}; it is in quarantine for {quarantine_s(record):.0f} s"
    return Refusal(Reason.QUARANTINED, message, temporary=True)
