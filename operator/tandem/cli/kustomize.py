"""What `-k` names: folders with a kustomization, built by `kubectl kustomize` as kubectl's own `-k` does."""

import asyncio
import contextlib
import shutil
import sys
from collections.abc import Sequence
from typing import Final

from tandem.errors import ConfigError

BUILD_S: Final = 60.0
"""Seconds that one folder may take: a base may be elsewhere."""


def kubectl() -> str:
    """Path of the program. Raises: ConfigError."""
    found = shutil.which("kubectl")
    if found is None:
        raise ConfigError("kubectl is not on PATH; files and folders are handed to it")
    return found


async def built(folders: Sequence[str]) -> list[tuple[str, str]]:
    """Each folder and its manifests as YAML. Raises: ConfigError with what kubectl says."""
    return [(folder, await _built(folder)) for folder in folders]


async def _built(folder: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(kubectl(), "kustomize", folder),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(BUILD_S):
            out, err = await process.communicate()
    except TimeoutError as error:
        process.kill()
        with contextlib.suppress(TimeoutError):  # a git that it has started keeps its pipes open
            await asyncio.wait_for(process.wait(), 1.0)
        raise ConfigError(f"kubectl kustomize {folder}: not built within {BUILD_S:.0f} s") from error
    said = err.decode(errors="replace").strip()
    if process.returncode:
        raise ConfigError(f"kubectl kustomize {folder}: {said}")
    if said:
        print(said, file=sys.stderr)
    return out.decode()
