"""Processes that outlive whoever started them, and how to find them again without killing a stranger.

A pidfile holds pid and start time (clock ticks since boot, /proc/PID/stat field 22): a pid that was given to another
process since then does not match.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from lab.errors import LabError

# The shell becomes the program by `exec`, so the pid it writes is the program's. `nsenter --net` and not
# `ip netns exec`: the latter mounts /sys anew and hides the cgroups. Groups first: no child may escape them.
LAUNCHER: Final = """
set -eu
pidfile=$1 log=$2 netns=$3 groups=$4
shift 4
for group in $groups; do echo $$ > "$group/cgroup.procs"; done
ulimit -n "$(ulimit -H -n)"
if [ "$pidfile" != - ]; then
  read -r stat < /proc/$$/stat
  fields=$(echo "${stat##*)}" | cut -d' ' -f21)
  echo "$$ $fields" > "$pidfile.new"
  mv "$pidfile.new" "$pidfile"
fi
exec nsenter --net="$netns" -- "$@" >> "$log" 2>&1 < /dev/null
"""


class ProcessState(StrEnum):
    """What a component's process is doing, as /proc says."""

    RUNNING = "running"
    FROZEN = "frozen"
    DEAD = "dead"


@dataclass(frozen=True)
class ProcessId:
    """A process for sure: its pid and when it started (clock ticks since boot)."""

    pid: int
    started: int


@dataclass(frozen=True)
class Stat:
    """The two fields of /proc/PID/stat that matter here."""

    state: str
    started: int


def parse_stat(text: str) -> Stat:
    """Parse /proc/PID/stat. The command's name may hold spaces and parentheses, so count from the last one."""
    fields = text.rpartition(")")[2].split()
    return Stat(state=fields[0], started=int(fields[19]))


def read_stat(pid: int) -> Stat | None:
    """None when there is no such process."""
    try:
        return parse_stat(Path(f"/proc/{pid}/stat").read_text())
    except (FileNotFoundError, ProcessLookupError):
        return None


def own_id() -> ProcessId:
    """This very process."""
    stat = read_stat(os.getpid())
    assert stat is not None
    return ProcessId(os.getpid(), stat.started)


def parse_pidfile(text: str) -> ProcessId | None:
    """`<pid> <start>`; None for a file that a crash left half written."""
    words = text.split()
    if len(words) != 2 or not all(word.isdigit() for word in words):
        return None
    return ProcessId(int(words[0]), int(words[1]))


def read_pidfile(path: Path) -> ProcessId | None:
    """None when there is no file or nothing usable in it."""
    try:
        return parse_pidfile(path.read_text())
    except FileNotFoundError:
        return None


def state_of(process: ProcessId | None) -> ProcessState:
    """A zombie, a reused pid and no pid at all are dead."""
    stat = read_stat(process.pid) if process else None
    if process is None or stat is None or stat.started != process.started or stat.state in "ZX":
        return ProcessState.DEAD
    return ProcessState.FROZEN if stat.state in "Tt" else ProcessState.RUNNING


def is_alive(process: ProcessId | None) -> bool:
    """Frozen counts as alive: it still holds its files and sockets."""
    return state_of(process) is not ProcessState.DEAD


def send(process: ProcessId | None, sig: signal.Signals) -> bool:
    """Signal exactly this process; False when it is gone."""
    if process is None or not is_alive(process):
        return False
    try:
        os.kill(process.pid, sig)
    except ProcessLookupError:
        return False
    return True


def command_of(pid: int) -> str:
    """Its command line, shortened for a message."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except (FileNotFoundError, ProcessLookupError):
        return "?"
    text = b" ".join(word for word in words if word).decode(errors="replace")
    return text if len(text) <= 100 else text[:97] + "..."


def launch_argv(
    argv: Sequence[str], *, netns_path: str, groups: Iterable[Path], log: Path, pidfile: Path | None
) -> list[str]:
    """The command that becomes `argv` inside a namespace and its control groups."""
    where = " ".join(str(group) for group in groups)
    return ["sh", "-c", LAUNCHER, "tandem-lab", str(pidfile or "-"), str(log), netns_path, where, *argv]


START_S: Final = 30.0
"""Seconds until a process that was started must have written its pidfile: long, for ten thousand agents that connect
again leave a starting city little of this machine."""


def start_daemon(
    argv: Sequence[str],
    *,
    netns_path: str,
    groups: Iterable[Path],
    log: Path,
    pidfile: Path,
    env: Mapping[str, str] | None = None,
) -> ProcessId:
    """Start a process in a session of its own that survives us; returns once its pidfile is written.

    Raises LabError when it did not get as far as that (the log says why).
    """
    pidfile.unlink(missing_ok=True)
    log.parent.mkdir(parents=True, exist_ok=True)
    pidfile.parent.mkdir(parents=True, exist_ok=True)
    command = launch_argv(argv, netns_path=netns_path, groups=groups, log=log, pidfile=pidfile)
    # `setsid --fork` leaves no child of ours behind: nobody has to reap it.
    with log.open("ab") as errors:
        subprocess.run(["setsid", "--fork", *command], stdin=subprocess.DEVNULL, stderr=errors, env=env, check=True)
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        process = read_pidfile(pidfile)
        if process is not None:
            return process
        time.sleep(0.005)
    raise LabError(f"{argv[0]} did not start; see {log}")


def signal_all(pids: Iterable[int], sig: signal.Signals) -> None:
    """Signal each that is still there.

    Raises LabError, before anything is signalled, when the machine's first process, ourselves or one of our parents
    is among them: whoever collected the pids went astray.
    """
    pids = set(pids)
    if astray := pids & {1, *ancestry()}:
        raise LabError(f"refusing to signal processes that are not the lab's: {sorted(astray)}")
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, sig)


def kill_all(pids: Iterable[int]) -> None:
    """SIGKILL to each that is still there; see `signal_all`."""
    signal_all(pids, signal.SIGKILL)


def ancestry() -> set[int]:
    """This process, its parent, and so on."""
    found: set[int] = set()
    pid = os.getpid()
    while pid > 0 and pid not in found:
        found.add(pid)
        try:
            pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            break
    return found


def living(pids: Iterable[int]) -> list[int]:
    """Those that still run; zombies do not."""
    return [pid for pid in pids if (stat := read_stat(pid)) is not None and stat.state not in "ZX"]
