"""Chooses the backend. The only place that knows which ones exist."""

import os

from lab.errors import NeedsError
from lab.interface import Lab


def select() -> Lab:
    """The lab that the environment variable LAB names; `bare` when it is not set."""
    name = os.environ.get("LAB", "bare")
    if name == "bare":
        from lab.bare import BareLab

        return BareLab()
    raise NeedsError(f"LAB={name} is not a lab; there is `bare`")
