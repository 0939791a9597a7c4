"""The Debian packages that the lab needs, installed on first use."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from lab import progress
from lab.components import CNI_PLUGINS
from lab.errors import NeedsError


@dataclass(frozen=True)
class Package:
    """A package, and the program or file that shows that it (or its like from elsewhere) is there."""

    name: str
    shown_by: str

    def present(self) -> bool:
        kind, _, name = self.shown_by.rpartition(":")
        if name.startswith("/"):
            return Path(name).exists()
        if kind == "cni":
            return any((folder / name).exists() for folder in CNI_PLUGINS)
        if kind == "kamailio":
            return any(Path("/usr/lib").glob(f"*/kamailio/modules/{name}.so"))
        return shutil.which(name) is not None


CITIES: Final = (
    Package("containerd", "containerd"),
    Package("containerd", "ctr"),
    Package("runc", "runc"),
    Package("containernetworking-plugins", "cni:ptp"),
    Package("nftables", "nft"),
    Package("conntrack", "conntrack"),
    Package("iproute2", "ip"),
    Package("util-linux", "nsenter"),
    Package("procps", "sysctl"),
)
"""To run the cities."""

IMAGES: Final = (
    Package("buildah", "buildah"),
    Package("debootstrap", "debootstrap"),
    # Without it debootstrap takes whatever the mirror says.
    Package("debian-archive-keyring", "/usr/share/keyrings/debian-archive-keyring.gpg"),
)
"""To build images."""

TESTS: Final = (
    Package("kamailio", "kamailio"),
    Package("kamailio-extra-modules", "kamailio:evapi"),
    Package("prometheus", "prometheus"),
)
"""To run the contract tests, which start a real softswitch and a real Prometheus on loopback."""


def missing(packages: Iterable[Package]) -> list[str]:
    """Names of the packages whose program is not there, once each."""
    return list(dict.fromkeys(package.name for package in packages if not package.present()))


def ensure(packages: Iterable[Package], *, purpose: str) -> None:
    """Install what is missing. Raises NeedsError that says what to do where we cannot."""
    complete_path()
    wanted = missing(packages)
    if not wanted:
        return
    command = f"apt-get install --no-install-recommends {' '.join(wanted)}"
    if shutil.which("apt-get") is None:
        raise NeedsError(
            f"{purpose} needs {', '.join(wanted)}. They can be installed by themselves only where there is apt-get "
            "(Debian 12 or newer, Ubuntu 24.04 or newer); please install them with this system's own tools."
        )
    require_root(f"Installing {', '.join(wanted)}", hint=f"or run `sudo {command}` once")
    with progress.step(f"Installing {', '.join(wanted)}", key="apt", usual_s=40.0):
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *wanted)
    if still := missing(packages):
        raise NeedsError(f"{purpose} needs {', '.join(still)}, which apt-get installed but which is not on PATH")


def require_root(what: str, *, hint: str = "") -> None:
    """Raises NeedsError for anybody but root."""
    if os.geteuid() != 0:
        raise NeedsError(f"{what} needs root: run the same command with `sudo -E`{', ' + hint if hint else ''}.")


def complete_path() -> None:
    """Add the administrator's folders to PATH: root by plain `su` has the user's, which lacks them."""
    folders = os.environ.get("PATH", "").split(":")
    os.environ["PATH"] = ":".join(
        [*folders, *(f for f in ("/usr/local/sbin", "/usr/sbin", "/sbin") if f not in folders)]
    )


def _apt(*arguments: str) -> None:
    # Only the package and not its service is wanted: a containerd of the machine's own would be a process left behind.
    guard = Path("/usr/sbin/policy-rc.d")
    ours = not guard.exists() and arguments[0] == "install"
    if ours:
        guard.write_text("#!/bin/sh\nexit 101\n")
        guard.chmod(0o755)
    try:
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        if ours:
            guard.unlink(missing_ok=True)
    if done.returncode != 0:
        raise NeedsError(f"`apt-get {' '.join(arguments)}` failed:\n{(done.stdout + done.stderr)[-2000:]}")
