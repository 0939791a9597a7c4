"""Who may be lent to the other city, on disk, so that a CTI that restarts does not admit them a second time.

Beside it the number of guests that this city takes: an engine that is silent after a restart cannot say it.
"""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callcenter.cti.mapstore import write_whole

FILE: Final = "loans.json"

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What an earlier life of this CTI has left. `lent`: accounts; None: it left nothing, so anybody may be lent."""

    lent: frozenset[str] | None
    guest_capacity: int


def load(directory: Path) -> Kept:
    """What `directory` holds; nothing, with a warning, when that cannot be read."""
    path = directory / FILE
    try:
        document = json.loads(path.read_text())
        accounts, capacity = document["lent"], document["guestCapacity"]
        if not isinstance(accounts, list) or not all(isinstance(account, str) for account in accounts):
            raise ValueError("lent is no list of accounts")
        if not isinstance(capacity, int):
            raise ValueError("guestCapacity is no number")
    except FileNotFoundError:
        return Kept(None, 0)
    except (OSError, ValueError, KeyError, TypeError) as e:
        log.warning("%s cannot be used: %r", path, e)
        return Kept(None, 0)
    return Kept(frozenset(accounts), capacity)


def save(directory: Path, kept: Kept) -> None:
    """Write it, so that after a crash either the old or the new file is there. Raises OSError."""
    write_whole(directory / FILE, {"lent": sorted(kept.lent or ()), "guestCapacity": kept.guest_capacity})
