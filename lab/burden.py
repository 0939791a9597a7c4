"""Busy loops beside the lab, which take a share of the whole machine away from it. They end by themselves."""

import os
import subprocess
from typing import Final

from lab import cgroups

MOST_S: Final = 120
"""Seconds after which the loops end, whatever became of whoever started them."""

_LEAF: Final = "loops"
_LOOP: Final = """
for group in $1; do echo $$ > "$group/cgroup.procs"; done
exec timeout --foreground --signal KILL "$2" sh -c 'while :; do :; done'
"""


def weight(share: float) -> int:
    """cpu.shares with which a group beside the lab's gets this share of the machine, when both want all of it."""
    return round(cgroups.WEIGHT_OF_LAB * share / (1 - share))


def begin(share: float) -> None:
    """Take this share (over 0, under 1) of every processor.

    Raises: ValueError for any other share.
    """
    if not 0 < share < 1:
        raise ValueError(f"{share} is no share over 0 and under 1")
    groups = cgroups.create(cgroups.BURDEN, leaf=_LEAF)
    cgroups.set_weight(cgroups.BURDEN, weight(share))
    where = " ".join(str(group) for group in groups)
    for _ in range(os.cpu_count() or 1):
        # `setsid --fork` leaves no child of ours behind: nobody has to reap it.
        command = ["setsid", "--fork", "sh", "-c", _LOOP, "tandem-lab-burden", where, str(MOST_S)]
        subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True)


def end() -> None:
    """End the loops and remove their group."""
    cgroups.kill_and_wait(cgroups.BURDEN)
    cgroups.remove(cgroups.BURDEN)


def burdened() -> bool:
    """Whether any loop runs."""
    return bool(cgroups.pids(cgroups.BURDEN))
