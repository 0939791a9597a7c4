"""Control groups for builds: what a build started ends with it, even if the builder itself was killed.

A group is named after its builder (`<pid>-<start>-<number>`), so that whoever comes next can tell an abandoned build
from one that another process is still running.
"""

import contextlib
import itertools
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lab import cgroups
from lab.errors import LabError
from lab.processes import ProcessId, is_alive, own_id

_numbers = itertools.count()
_JOIN = 'for group in $1; do echo $$ > "$group/cgroup.procs"; done; shift; exec "$@"'


class Builders:
    """Runs builders inside a group (or without one, where groups cannot be made: only root can)."""

    def __init__(self, groups: Sequence[Path]) -> None:
        self._groups = groups

    def run(
        self, argv: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run to the end; standard output and error come back together in `stdout`."""
        where = " ".join(str(group) for group in self._groups)
        return subprocess.run(
            ["sh", "-c", _JOIN, "build", where, *argv],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )


@contextlib.contextmanager
def builder_group() -> Iterator[Builders]:
    """A group for the builders of this process, emptied and removed afterwards."""
    if os.geteuid() != 0:
        yield Builders([])
        return
    sweep_abandoned()
    me = own_id()
    name = f"{cgroups.BUILDS}/{me.pid}-{me.started}-{next(_numbers)}"
    groups = cgroups.create(name)
    try:
        yield Builders(groups)
    finally:
        _end(name)


def parse_owner(name: str) -> ProcessId | None:
    """The builder that a group's name tells of."""
    words = name.split("-")
    return ProcessId(int(words[0]), int(words[1])) if len(words) == 3 and all(map(str.isdigit, words)) else None


def sweep_abandoned() -> bool:
    """End the builds whose builder is gone. True while others are going on."""
    busy = False
    for name in cgroups.children(cgroups.BUILDS):
        if is_alive(parse_owner(name)):
            busy = True
        else:
            _end(f"{cgroups.BUILDS}/{name}")
    _remove_if_empty()
    return busy


def _end(name: str) -> None:
    cgroups.kill_and_wait(name)
    cgroups.remove(name)
    _remove_if_empty()


def _remove_if_empty() -> None:
    if cgroups.children(cgroups.BUILDS):
        return
    # Fails when somebody begins to build just now: then it is theirs to remove.
    with contextlib.suppress(LabError):
        cgroups.remove(cgroups.BUILDS, timeout=0.0)
