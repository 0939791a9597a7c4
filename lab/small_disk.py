"""A volume of a city on a disk of its own that is small enough to be filled: whoever writes to it meets ENOSPC.

The disk is in memory and holds what the volume held; undoing carries that back. A program that has reserved room
beforehand (etcd does) would not notice a full disk for hours, so what it reserved and has not used is given up first.
"""

import errno
import shutil
from pathlib import Path
from typing import Final

from lab.commands import run

MIB: Final = 1024 * 1024
SIZE_MIB: Final = 256
"""Room for what a store of the lab holds, and not for much more."""

FILLER: Final = ".filler"
SOURCE: Final = "tandem-small"
"""What the mount table calls such a disk."""


def is_small(volume: Path) -> bool:
    """Whether this volume lies on a small disk."""
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        point = left.split()[4].encode().decode("unicode_escape")
        if point == str(volume.resolve()) and right.split()[1] == SOURCE:
            return True
    return False


def is_full(volume: Path) -> bool:
    """Whether this volume was filled."""
    return is_small(volume) and (volume / FILLER).exists()


def shrink(volume: Path) -> None:
    """Put a volume that nobody uses now onto a small disk."""
    if is_small(volume):
        return
    # Not mounted elsewhere and moved: below a shared mount, as most machines' root is, that is refused.
    beside = volume.with_name(f"{volume.name}.small")
    shutil.rmtree(beside, ignore_errors=True)
    run(["cp", "--archive", "--sparse=always", str(volume), str(beside)])
    run(["mount", "-t", "tmpfs", "-o", f"size={SIZE_MIB}m,mode=0700", SOURCE, str(volume)])
    run(["cp", "--archive", "--sparse=always", f"{beside}/.", str(volume)])
    shutil.rmtree(beside)


def restore(volume: Path) -> None:
    """Bring a volume that nobody uses now back to the city's own disk, with what was written meanwhile."""
    if not is_small(volume):
        return
    empty(volume)
    beside = volume.with_name(f"{volume.name}.back")
    shutil.rmtree(beside, ignore_errors=True)
    run(["cp", "--archive", "--sparse=always", str(volume), str(beside)])
    run(["umount", str(volume)])
    shutil.rmtree(volume)
    beside.rename(volume)


def fill(volume: Path) -> None:
    """Leave no byte free. Whoever writes here must stand still meanwhile, or what it writes may be lost."""
    for file in volume.rglob("*"):
        if file.is_file():
            run(["fallocate", "--dig-holes", str(file)])
    with (volume / FILLER).open("wb", buffering=0) as filler:
        for size in (MIB, 4096):
            try:
                while True:
                    filler.write(b"\xff" * size)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise


def empty(volume: Path) -> None:
    """There is room again."""
    (volume / FILLER).unlink(missing_ok=True)
