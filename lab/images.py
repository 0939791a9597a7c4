"""Images of the lab: the two that every city needs, and the project's own, built from their Dockerfiles."""

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from lab import base_image, dockerfiles, host_settings, packages, progress, tools
from lab.archives import full_name, write_scratch_image
from lab.buildah import Buildah, session, sweep_mounts
from lab.builders import sweep_abandoned
from lab.components import COREDNS_IMAGE, PAUSE_IMAGE
from lab.errors import BuildError
from lab.paths import REPOSITORY, cache

PROJECT: Final = {
    "tandem/operator:dev": Path("operator/Dockerfile"),
    "tandem/etcd:dev": Path("charts/etcd.Dockerfile"),
    "tandem/callcenter:dev": Path("examples/callcenter/Dockerfile"),
    "tandem/softswitch:dev": Path("examples/callcenter/softswitch/Dockerfile"),
}
"""Image -> its Dockerfile. The build context is the repository's top."""

BINARIES: Final = Path("out/bin")
"""A Dockerfile that copies `out/bin/NAME` gets the binary NAME that the lab builds."""

_KEPT_ARCHIVES: Final = 2


def system_images(binaries: Mapping[str, Path]) -> dict[str, Path]:
    """Archives of the images without which no pod starts; made from binaries, cached under the binary's hash."""
    made = {}
    for image, binary in ((PAUSE_IMAGE, "pause"), (COREDNS_IMAGE, "coredns")):
        executable = binaries[binary]
        archive = _folder() / f"{executable.parent.name}.tar"
        if not archive.exists():
            write_scratch_image(archive, image, {f"/{binary}": executable}, [f"/{binary}"])
        made[image] = archive
    return made


def ensure(names: Iterable[str] | None = None) -> dict[str, Path]:
    """OCI archives of the named images of the project, all by default; builds those whose content changed.

    Takes minutes the first time, a second when nothing changed. Blocks: call it by `asyncio.to_thread` from a loop.
    Raises KeyError for a name that is not in PROJECT, BuildError when a Dockerfile is missing or does not build.
    """
    wanted = list(PROJECT if names is None else names)
    for name in wanted:
        if name not in PROJECT:
            raise KeyError(f"no image {name!r}; there are {', '.join(PROJECT)}")
        if not (REPOSITORY / PROJECT[name]).is_file():
            raise BuildError(f"{name} cannot be built: there is no {PROJECT[name]}")
    for name in wanted:
        _provide_binaries(REPOSITORY / PROJECT[name])
    archives = {name: _archive(name) for name in wanted}
    missing = [name for name, archive in archives.items() if not archive.exists()]
    if missing:
        packages.require_root("Building images")
        packages.ensure(packages.IMAGES, purpose="Building images")
        with session() as buildah:
            base_image.ensure(buildah)
            for name in missing:
                if not archives[name].exists():
                    _build(buildah, name, archives[name])
    return archives


def sweep() -> None:
    """End abandoned builds and their mounts; builds that somebody is running are left alone."""
    if not sweep_abandoned():
        sweep_mounts()


def _build(buildah: Buildah, name: str, archive: Path) -> None:
    dockerfile = PROJECT[name]
    for base in dockerfiles.parse((REPOSITORY / dockerfile).read_text()).bases:
        if full_name(base) != base_image.NAME:
            raise BuildError(f"{dockerfile} starts from {base}; the lab has only debian:bookworm-slim and scratch")
    settings = cache() / "tmp" / "settings"
    shutil.rmtree(settings, ignore_errors=True)
    volumes = host_settings.build_mounts(settings, base_image.apt_conf(), base_image.sources())
    fresh = archive.with_name(f".{archive.name}.new")
    fresh.unlink(missing_ok=True)
    with progress.step(f"Building {name}", key=f"image-{name}", usual_s=60.0):
        buildah(
            "build",
            *(
                "--isolation",
                "chroot",
                "--network",
                "host",
                "--pull-never",
                "--layers",
                "--force-rm",
                "--format",
                "oci",
            ),
            *("--ignorefile", str(REPOSITORY / ".dockerignore")),
            *volumes,
            *("--file", str(dockerfile), "--tag", full_name(name), "."),
            cwd=REPOSITORY,
        )
        buildah("push", "--quiet", full_name(name), f"oci-archive:{fresh}:{full_name(name)}")
    fresh.replace(archive)
    _forget_old(name)


def _archive(name: str) -> Path:
    key = dockerfiles.content_key(REPOSITORY, REPOSITORY / PROJECT[name], [name, base_image.NAME, base_image.RECIPE])
    return _folder() / f"{_stem(name)}{key}.tar"


def _provide_binaries(dockerfile: Path) -> None:
    """Put the binaries that the Dockerfile copies from `out/bin` there."""
    for source in dockerfiles.parse(dockerfile.read_text()).sources:
        path = Path(source)
        if path.parent == BINARIES and path.name in tools.PROJECT_OF:
            built, target = tools.path(path.name), REPOSITORY / path
            if target.exists() and target.stat().st_mtime_ns == built.stat().st_mtime_ns:
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            fresh = target.with_name(f".{target.name}.new")
            shutil.copy2(built, fresh)
            fresh.replace(target)


def _forget_old(name: str) -> None:
    archives = sorted(_folder().glob(f"{_stem(name)}*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in archives[_KEPT_ARCHIVES:]:
        old.unlink(missing_ok=True)


def _stem(name: str) -> str:
    return name.replace("/", "_").replace(":", "_") + "-"


def _folder() -> Path:
    return cache() / "images"
