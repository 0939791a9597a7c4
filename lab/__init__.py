"""The lab: three real Kubernetes cities, two office floors and a carrier on one Linux machine.

Nothing outside this package knows which backend runs them; see `lab.interface`.
"""

from lab.interface import Faults, Lab, LabStatus

__all__ = ["Faults", "Lab", "LabStatus", "current"]


def current() -> Lab:
    """The lab of this checkout: `LAB=bare` (the default) is the only backend so far."""
    from lab.backends import select

    return select()
