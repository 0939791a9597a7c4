"""What `-k` names: folders with a kustomization, built by `kubectl kustomize` as kubectl's own `-k` does."""

import sys
from collections.abc import Sequence
from typing import Final

from tandem.cli.kubectl import ran
from tandem.errors import ConfigError

BUILD_S: Final = 60.0
"""Seconds that one folder may take: a base may be elsewhere."""


async def built(folders: Sequence[str]) -> list[tuple[str, str]]:
    """Each folder and its manifests as YAML. Raises: ConfigError with what kubectl says."""
    return [(folder, await _built(folder)) for folder in folders]


async def _built(folder: str) -> str:
    try:
        found = await ran("kustomize", folder, within_s=BUILD_S)
    except TimeoutError as error:
        raise ConfigError(f"kubectl kustomize {folder}: not built within {BUILD_S:.0f} s") from error
    said = found.err.decode(errors="replace").strip()
    if found.code:
        raise ConfigError(f"kubectl kustomize {folder}: {said}")
    if said:
        print(said, file=sys.stderr)
    try:
        return found.out.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"kubectl kustomize {folder}: what it built is no UTF-8 ({error}): save its files as UTF-8"
        ) from error
