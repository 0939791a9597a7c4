"""The placements on disk, so that a CTI whose engine is silent after a restart still knows where its agents belong.

In the same file, as they were when it was written: how important the groups are. Nothing rests on these, so a priority
that changes alone is written with the next map only.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from callcenter.compact import to_json
from callcenter.cti.errors import RequestError
from callcenter.cti.wire import read_placements, read_priorities, write_placements
from callcenter.session.placements import Placement

FILE: Final = "placements.json"

T = TypeVar("T")

log = logging.getLogger(__name__)


def load(directory: Path) -> dict[str, Placement]:
    """What `directory` holds; empty, with a warning, when it holds nothing that can be read."""
    return _load(directory, read_placements, {})


def load_priorities(directory: Path) -> Mapping[str, int]:
    """The priorities beside the placements, by group; empty when there are none that can be read."""
    said = _load(directory, read_priorities, None)
    return said.of if said is not None else {}


def _load(directory: Path, read: Callable[[Any], T], nothing: T) -> T:
    path = directory / FILE
    try:
        return read(json.loads(path.read_text()))
    except FileNotFoundError:
        return nothing
    except (OSError, ValueError, RequestError) as e:
        log.warning("%s cannot be used: %s", path, e)
        return nothing


def save(directory: Path, placements: Mapping[str, Placement], priorities: Mapping[str, int]) -> None:
    """Write all placements, so that after a crash either the old or the new file is there. Raises OSError."""
    # As of no revision: what an engine says to the next boot is newer, whatever its store has.
    write_whole(directory / FILE, {**write_placements(placements), "priorities": dict(priorities), "asOf": 0})


def forget(directory: Path) -> None:
    """Delete all placements, so that none is there after a crash. Raises OSError."""
    (directory / FILE).unlink(missing_ok=True)
    _sync_directory(directory)


def write_whole(path: Path, document: Any) -> None:
    """Write a JSON file: after a crash either the old or the new one is there, and once this has returned the new one.

    Raises OSError; the old file stays then.
    """
    text = to_json(document)
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
