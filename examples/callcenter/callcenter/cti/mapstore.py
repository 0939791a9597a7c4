"""The placements on disk, so that a CTI whose engine is silent after a restart still knows where its agents belong."""

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from callcenter.cti.errors import RequestError
from callcenter.cti.wire import read_placements, write_placements
from callcenter.session.placements import Placement

FILE: Final = "placements.json"

log = logging.getLogger(__name__)


def load(directory: Path) -> dict[str, Placement]:
    """What `directory` holds; empty, with a warning, when it holds nothing that can be read."""
    path = directory / FILE
    try:
        return read_placements(json.loads(path.read_text()))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RequestError) as e:
        log.warning("%s cannot be used: %s", path, e)
        return {}


def save(directory: Path, placements: Mapping[str, Placement]) -> None:
    """Write all placements, so that after a crash either the old or the new file is there. Raises OSError."""
    write_whole(directory / FILE, write_placements(placements))


def forget(directory: Path) -> None:
    """Delete all placements, so that none is there after a crash. Raises OSError."""
    (directory / FILE).unlink(missing_ok=True)
    _sync_directory(directory)


def write_whole(path: Path, document: Any) -> None:
    """Write a JSON file: after a crash either the old or the new one is there, and once this has returned the new one.

    Raises OSError; the old file stays then.
    """
    text = json.dumps(document, separators=(",", ":"))
    fresh = path.with_suffix(".new")
    try:
        with fresh.open("w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        _sync_directory(path.parent)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink(missing_ok=True)  # half a file on a full disk is in everybody's way
        raise


def _sync_directory(directory: Path) -> None:
    """Let the disk have the new name too; the old file would be there again after a power failure."""
    number = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
