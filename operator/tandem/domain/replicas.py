"""Replicas: whether those that arriving agents need are Ready at a target, as far as anybody says.

    operator there raises them (its Deployments) --> counts who is Ready --> store --> first wave of the Shift

An operator that cannot say (its Kubernetes API, or itself, is gone) holds nobody up for long: a Kubernetes API is not
the city, and the test agents who sign in at the target and are called say more than a count. Pure.
"""

from collections.abc import Iterable
from typing import Final

from tandem.constants import READY_UNKNOWN_S
from tandem.domain.capacity import Ledger, scaled_parts, wanted_replicas
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.snapshot import Snapshot

_REMEDY: Final = "its Site's conditions ReplicasOwned and DeploymentsPatched there say what may keep them"


def replicas_missing(
    snapshot: Snapshot, ledger: Ledger, places: Iterable[tuple[str, str]], waited_s: float
) -> Refusal | None:
    """Refuse while replicas are known to be missing, and for READY_UNKNOWN_S while nobody knows.

    Args:
        ledger: Loads with all who are to arrive at `places` (site, system).
        waited_s: Seconds for which the Shift has been preparing.
    """
    for site, name in sorted(places):
        system = snapshot.system(site, name)
        said = snapshot.replicas.get((site, name))
        for part, deployment, scaling in scaled_parts(system) if system is not None else ():
            wanted = wanted_replicas(ledger.load(site, name), scaling)
            ready = said.record.ready.get(part) if said is not None else None
            if ready is not None and ready < wanted:
                message = (
                    f"{name} at {site}: waits for replicas of the {part} ({deployment}): {ready} of {wanted} Ready; "
                    f"{_REMEDY}"
                )
                return Refusal(Reason.WAITING_FOR_REPLICAS, message, temporary=True)
            if ready is None and waited_s < READY_UNKNOWN_S:
                message = (
                    f"{name} at {site}: nobody there says how many replicas of the {part} ({deployment}) are Ready; "
                    f"that is waited for {READY_UNKNOWN_S:.0f} s, then it goes on without"
                )
                return Refusal(Reason.WAITING_FOR_REPLICAS, message, temporary=True)
    return None
