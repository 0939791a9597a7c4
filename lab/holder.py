"""Who holds the lab's names (namespaces, links, addresses), of which a machine has one set.

Only living processes hold them. A record whose processes are all gone is a stale lab: whoever comes next cleans it up.
"""

import contextlib
import json
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from lab import cgroups, network
from lab.addresses import LOCATIONS, WAN_NETNS
from lab.errors import NamesHeldError
from lab.locks import exclusive
from lab.paths import REPOSITORY, RUN, lab_state
from lab.processes import ProcessId, command_of, is_alive, living, own_id

LOCK: Final = Path("/run/lock/tandem-lab.lock")
RECORD: Final = RUN / "holder.json"
_held = False
"""Does this process hold the lock? Starting a lab restores cities, which takes the lock as well."""


@dataclass(frozen=True)
class Holder:
    """Written before the first name is taken."""

    pid: int
    started: int
    """Start time of that pid in clock ticks; the process itself ends once its lab is up."""
    since: float
    """Seconds of CLOCK_REALTIME."""
    command: str
    checkout: str
    state: str
    """Its state folder: there may be mounts below it."""
    complete: bool = False
    """Did `up` get to its end?"""

    @property
    def starter_alive(self) -> bool:
        return is_alive(ProcessId(self.pid, self.started))


def parse(text: str) -> Holder | None:
    """None for a record that a crash left half written, or that another version wrote."""
    try:
        return Holder(**json.loads(text))
    except (ValueError, TypeError):
        return None


def read() -> Holder | None:
    """The record, whether or not its lab still lives."""
    try:
        return parse(RECORD.read_text())
    except FileNotFoundError:
        return None


def write(holder: Holder) -> None:
    """Put the record in place."""
    RUN.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = RECORD.with_suffix(".new")
    fresh.write_text(json.dumps(asdict(holder), indent=1))
    fresh.replace(RECORD)


def ourselves() -> Holder:
    """A fresh record for this process."""
    me = own_id()
    return Holder(
        pid=me.pid,
        started=me.started,
        since=time.time(),
        command=command_of(me.pid) or " ".join(sys.argv),
        checkout=str(REPOSITORY),
        state=str(lab_state()),
    )


def living_processes() -> list[int]:
    """Every living process of whatever lab holds the names now."""
    found = cgroups.pids(cgroups.ROOT)
    for name in network.present_namespaces() & {WAN_NETNS, *(place.netns for place in LOCATIONS.values())}:
        found |= network.processes_in(name)
    return sorted(set(living(found)) - {os.getpid()})


def is_ours(holder: Holder | None) -> bool:
    """Was it started from this checkout, with this state folder?"""
    return holder is not None and holder.checkout == str(REPOSITORY) and holder.state == str(lab_state())


def describe(holder: Holder | None, alive: list[int]) -> str:
    """One sentence for a person: pid, since when, what."""
    if not alive and not (holder and holder.starter_alive):
        return ""
    example = f"{len(alive)} processes alive" + (f", such as pid {alive[0]}: {command_of(alive[0])}" if alive else "")
    if holder is None:
        return f"a lab without a record ({example})"
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(holder.since))
    starter = f"pid {holder.pid}" + ("" if holder.starter_alive else " (ended)")
    return f"the lab of {holder.checkout}, started by {starter} since {since} with `{holder.command}`; {example}"


def refuse_foreign(*, force: bool = False) -> None:
    """Raise NamesHeldError while a living lab that is not ours holds the names."""
    holder, alive = read(), living_processes()
    lives = bool(alive) or (holder is not None and holder.starter_alive and not holder.complete)
    if lives and not is_ours(holder) and not force:
        raise NamesHeldError(
            f"The lab's names are held by {describe(holder, alive)}.\n"
            "End it there with `python -m lab down`, or from here with `python -m lab down --force`."
        )


@contextlib.contextmanager
def changing(*, force: bool = False) -> Iterator[None]:
    """Be the only one that starts, stops or restores a lab; refuse while somebody else's lives."""
    global _held
    if _held:
        yield
        return
    refuse_foreign(force=force)
    with exclusive(LOCK, waiting_for=describe(read(), living_processes()) or "another `python -m lab`"):
        refuse_foreign(force=force)
        _held = True
        try:
            yield
        finally:
            _held = False
