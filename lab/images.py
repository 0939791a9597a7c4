"""Images of the lab: the two that every city needs, and the project's own, built from their Dockerfiles."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from lab.archives import write_scratch_image
from lab.components import COREDNS_IMAGE, PAUSE_IMAGE
from lab.errors import BuildError
from lab.paths import cache


def system_images(binaries: Mapping[str, Path]) -> dict[str, Path]:
    """Archives of the images without which no pod starts; made from binaries, cached under the binary's hash."""
    made = {}
    for image, binary in ((PAUSE_IMAGE, "pause"), (COREDNS_IMAGE, "coredns")):
        executable = binaries[binary]
        archive = cache() / "images" / f"{executable.parent.name}.tar"
        if not archive.exists():
            write_scratch_image(archive, image, {f"/{binary}": executable}, [f"/{binary}"])
        made[image] = archive
    return made


def ensure(names: Iterable[str]) -> dict[str, Path]:
    raise BuildError("not yet")


def sweep() -> None:
    pass
