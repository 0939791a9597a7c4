"""The Reason header (RFC 3326): whether a BYE says that something broke."""

import re
from typing import Final

_CAUSE: Final = re.compile(r"(?i)^\s*(sip|q\.850)\s*;.*?\bcause\s*=\s*(\d{1,5})")

_NORMAL_Q850: Final = (16, 31)
"""Normal call clearing; normal, unspecified."""


def error_cause(reason: str | None) -> int | None:
    """The cause of a Reason value that speaks of an error; None for a normal end or no cause."""
    match = _CAUSE.match(reason or "")
    if match is None:
        return None
    protocol, cause = match[1].lower(), int(match[2])
    if protocol == "sip":
        return cause if cause >= 300 else None
    return cause if cause not in _NORMAL_Q850 else None
