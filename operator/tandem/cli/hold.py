"""`kubectl tandem hold` and `resume`: the big red button, pressed in one cluster, confirmed by what the store says.

Where the first does not confirm soon, it is pressed in the next one as well.
"""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from tandem.api.common import HOLD_REQUEST
from tandem.api.resources import SITE
from tandem.cli.contexts import ASK_S, CONFIRM_S, Clusters, annotation_of, asked_by, prompt_first, status_with, why_old
from tandem.operator.cluster import ApiError, Cluster, path_of

Action = Literal["hold", "resume"]

NEXT_AFTER_S: Final = 2.0
"""After this long without an answer the next cluster is asked as well, and whoever confirms first is enough."""


async def run(clusters: Clusters, action: Action, reason: str) -> int:
    """Press it, cluster by cluster, until one confirms. Exit code 1 when none does."""
    # The same one everywhere: a cluster that wakes up late must not do again what another one has done.
    request_id = f"{time.time():.0f}-{secrets.token_hex(4)}"
    left = await prompt_first(clusters)
    pressing: set[asyncio.Task[str]] = set()
    try:
        while left or pressing:
            if left:
                name = left.pop(0)
                pressing.add(asyncio.create_task(_press(clusters[name], name, request_id, action, reason)))
            # An API server may answer long before the operator of its city does, and this is for emergencies.
            done, pressing = await asyncio.wait(
                pressing, timeout=NEXT_AFTER_S if left else None, return_when=asyncio.FIRST_COMPLETED
            )
            if confirmations := [said for press in done if (said := press.result())]:
                print(confirmations[0])
                return 0
    finally:
        for press in pressing:
            press.cancel()
        await asyncio.gather(*pressing, return_exceptions=True)
    print(f"NOT CONFIRMED: no cluster carried out {action!r}. Look at the operators: kubectl -n tandem-system logs ...")
    return 1


async def _press(cluster: Cluster, name: str, request_id: str, action: Action, reason: str) -> str:
    """In one cluster. Returns: what to say of it; empty when it has not confirmed, and why is printed."""
    try:
        async with asyncio.timeout(ASK_S):
            site = await own_site(cluster)
            by, at = await asked_by(cluster)
    except (ApiError, TimeoutError) as error:
        print(f"cluster {name}: {error or 'does not answer'}; trying the next one")
        return ""
    if site is None:
        print(f"cluster {name}: no operator says that a Site there is its own; trying the next one")
        return ""
    try:
        async with asyncio.timeout(ASK_S):
            await cluster.merge(path_of(SITE, site), request(request_id, action, by, reason, at))
    except (ApiError, TimeoutError) as error:
        why = error or "it does not answer"
        print(f"cluster {name}: Site {site} cannot be annotated: {why}; trying the next one")
        return ""
    if await confirmed(cluster, site, action, by, reason):
        return _done(action, by, site)
    print(f"cluster {name}: the operator of {site} has not confirmed within {CONFIRM_S:.0f} s; trying the next one")
    return ""


def request(request_id: str, action: Action, by: str, reason: str, at: float) -> dict[str, Any]:
    """The patch that carries the request. Its id makes it act once.

    `at`: seconds since the epoch, by the cluster's clock.
    """
    body = {
        "id": request_id,
        "action": action,
        "by": by,
        "reason": reason,
        "at": round(at, 3),
    }
    return {"metadata": {"annotations": {HOLD_REQUEST: annotation_of(body)}}}


async def own_site(cluster: Cluster) -> str | None:
    """The Site whose own cluster this is, as its operator says. Raises: ApiError."""
    sites, _ = await cluster.list(SITE)
    return next((site["metadata"]["name"] for site in sites if site.get("status", {}).get("here")), None)


async def confirmed(cluster: Cluster, site: str, action: Action, by: str, reason: str) -> bool:
    """Whether the store's state, as the cluster shows it, is what was asked for."""

    def shown(status: Mapping[str, Any]) -> bool:
        held = status.get("hold", {})
        if action == "hold":
            return (held.get("active"), held.get("by"), held.get("reason")) == (True, by, reason)
        return not held.get("active") and not why_old(status)

    try:
        return await status_with(cluster, path_of(SITE, site), shown, CONFIRM_S) is not None
    except ApiError:
        return False


def _done(action: Action, by: str, site: str) -> str:
    if action == "hold":
        return f"HELD by {by} (by way of {site}). Nothing new starts; what is on its way finishes. `resume` lifts it."
    return f"RESUMED by {by} (by way of {site}). What waited for less than a minute goes on."
