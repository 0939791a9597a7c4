"""The base that Dockerfiles name (debian:bookworm-slim), made here: no container registry is needed."""

import shutil
from pathlib import Path
from typing import Final

from lab import host_settings, progress
from lab.buildah import Buildah, debootstrap
from lab.paths import cache

NAME: Final = "docker.io/library/debian:bookworm-slim"
RECIPE: Final = "1"
"""Raise it when the steps below change: it is the base's key."""

_UNWANTED: Final = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/lintian",
    "usr/share/linda",
    "usr/share/groff",
)
_FILES: Final = {
    # What is installed later brings no manuals either.
    "etc/dpkg/dpkg.cfg.d/slim": "".join(f"path-exclude /{path}/*\n" for path in _UNWANTED)
    + "path-include /usr/share/doc/*/copyright\n",
    "etc/apt/apt.conf.d/slim": 'Acquire::Languages "none";\nAPT::Install-Recommends "false";\n',
    # Installing a server must not start it.
    "usr/sbin/policy-rc.d": "#!/bin/sh\nexit 101\n",
}


def ensure(buildah: Buildah) -> None:
    """Make the base unless the storage has it under this recipe."""
    keyed = f"localhost/tandem-lab-base:{RECIPE}"
    if buildah.has(keyed) and buildah.has(NAME) and _kept().is_dir():
        return
    target = cache() / "tmp" / "rootfs"
    shutil.rmtree(target, ignore_errors=True)
    with progress.step(f"Making {NAME.rpartition('/')[2]} by debootstrap", key="debootstrap", usual_s=60.0):
        targets = [t for t in host_settings.apt_targets() if t.suite == host_settings.DEBIAN]
        mirror = targets[0].uri if targets else None
        debootstrap(buildah.builders(), host_settings.DEBIAN, target, mirror, cache() / "tmp" / "debootstrap.log")
        _trim(target)
        container = buildah("from", "scratch").strip().splitlines()[-1]
        try:
            buildah("copy", "--quiet", container, str(target), "/")
            buildah("config", "--cmd", "bash", "--env", "LANG=C.UTF-8", container)
            buildah("commit", "--quiet", container, keyed)
        finally:
            buildah("rm", container)
        buildah("tag", keyed, NAME)
    shutil.rmtree(target, ignore_errors=True)


def apt_conf() -> dict[str, str]:
    """The base's own /etc/apt/apt.conf.d."""
    return {file.name: file.read_text() for file in sorted((_kept() / "apt.conf.d").iterdir())}


def sources() -> str:
    """The mirror that debootstrap chose by itself, for machines without one of their own."""
    return (_kept() / "sources.list").read_text()


def _kept() -> Path:
    return cache() / "images" / f"base-{RECIPE}"


def _trim(root: Path) -> None:
    for path in _UNWANTED:
        shutil.rmtree(root / path, ignore_errors=True)
    for folder in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
        for entry in (root / folder).iterdir():
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    for name, text in _FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (root / "usr/sbin/policy-rc.d").chmod(0o755)
    kept = _kept()
    shutil.rmtree(kept, ignore_errors=True)
    kept.mkdir(parents=True)
    # Which mirror a machine uses is its own affair: kept beside the image, mounted into builds.
    shutil.move(root / "etc/apt/sources.list", kept / "sources.list")
    shutil.copytree(root / "etc/apt/apt.conf.d", kept / "apt.conf.d")
    (root / "etc/hostname").unlink(missing_ok=True)
    (root / "etc/resolv.conf").unlink(missing_ok=True)
