"""buildah with a storage of the lab's own, in the cache. Nothing of the machine's other images is touched."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from lab import cleanup
from lab.builders import Builders, builder_group
from lab.commands import run
from lab.errors import BuildError, CommandError
from lab.locks import exclusive
from lab.paths import cache


def storage() -> Path:
    """Layers of everything that was built."""
    return cache() / "buildah"


def _runroot() -> Path:
    # Beside the storage and not in /run: two caches may build at once. Emptied before and after each session.
    return cache() / "tmp" / "buildah-run"


class Buildah:
    """One builder at a time; made by `session`."""

    def __init__(self, builders: Builders, driver: str) -> None:
        self._builders = builders
        self._command = [
            "buildah",
            "--root",
            str(storage() / driver),
            "--runroot",
            str(_runroot()),
            "--storage-driver",
            driver,
        ]

    def __call__(self, *arguments: str, cwd: Path | None = None) -> str:
        """Run `buildah ARGUMENTS`; its output. Raises CommandError."""
        # "chroot" needs no control groups or namespaces of its own: it works wherever root does.
        environment = {**os.environ, "BUILDAH_ISOLATION": "chroot", "TMPDIR": str(_scratch())}
        done = self._builders.run([*self._command, *arguments], cwd=cwd, env=environment)
        if done.returncode != 0:
            raise CommandError(["buildah", *arguments], done.returncode, done.stdout)
        return done.stdout

    def has(self, image: str) -> bool:
        """Is that image in the storage?"""
        try:
            self("inspect", "--type", "image", "--format", "{{.FromImageID}}", image)
        except CommandError:
            return False
        return True

    def builders(self) -> Builders:
        """For what else belongs to a build."""
        return self._builders


def _scratch() -> Path:
    path = cache() / "tmp"
    path.mkdir(parents=True, exist_ok=True)
    return path


@contextlib.contextmanager
def session() -> Iterator[Buildah]:
    """Be the only builder of images; leaves no mount behind."""
    with exclusive(cache() / "images.lock", waiting_for="the build of images"), builder_group() as builders:
        sweep_mounts()
        buildah = Buildah(builders, _driver())
        try:
            buildah("rm", "--all")  # what builds left that were killed
            yield buildah
        finally:
            sweep_mounts()


def sweep_mounts() -> None:
    """Unmount what buildah and debootstrap keep mounted, or left mounted when they were killed."""
    cleanup.remove_mounts([storage(), cache() / "tmp"])
    shutil.rmtree(_runroot(), ignore_errors=True)


@lru_cache(maxsize=1)
def _driver() -> str:
    """`overlay` where the kernel stacks file systems in the cache folder, otherwise `vfs`, which copies every layer."""
    probe = _scratch() / "probe"
    shutil.rmtree(probe, ignore_errors=True)
    for name in ("lower", "upper", "work", "merged"):
        (probe / name).mkdir(parents=True)
    options = f"lowerdir={probe / 'lower'},upperdir={probe / 'upper'},workdir={probe / 'work'}"
    try:
        run(["mount", "-t", "overlay", "overlay", "-o", options, str(probe / "merged")])
        run(["umount", str(probe / "merged")])
    except CommandError:
        return "vfs"
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    return "overlay"


def debootstrap(builders: Builders, release: str, target: Path, mirror: str | None, log: Path) -> None:
    """A minimal Debian in `target`. Raises BuildError with the end of its log."""
    command: Sequence[str] = ["debootstrap", "--variant=minbase", release, str(target), *([mirror] if mirror else [])]
    done: subprocess.CompletedProcess[str] = builders.run(command)
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_text(done.stdout)
    if done.returncode != 0:
        raise BuildError(f"`{' '.join(command)}` failed; the whole output is in {log}:\n{done.stdout[-1500:]}")
