"""Names of what a Drill's runs leave behind."""

from hashlib import sha256
from typing import Final

LONGEST_STEM: Final = 200
"""Letters of a Drill's name in such a name: 253 are allowed, and the run and a word follow."""


def stem(drill: str) -> str:
    """What the names begin with. `drill`: without its namespace.

    A long Drill's name is shortened to what Kubernetes takes, and a digest of the whole tells it from its like.
    """
    if len(drill) <= LONGEST_STEM:
        return drill
    digest = sha256(drill.encode()).hexdigest()[:10]
    return f"{drill[: LONGEST_STEM - len(digest) - 1].rstrip('-.')}-{digest}"


def config_map_name(drill: str, run: str) -> str:
    """Name of the ConfigMap that keeps a run's report. `drill`: without its namespace."""
    return f"{stem(drill)}-{run}-report"
