"""`kubectl tandem abort NAME`: stop a Shift and bring everybody back, in the first cluster that shows the Shift."""

from collections.abc import Mapping
from typing import Any

from tandem.api.resources import SHIFT
from tandem.api.shift import FINISHED
from tandem.cli.contexts import Clusters, in_first, not_of_an_earlier, said_by, who_am_i
from tandem.operator.cluster import Cluster, path_of


async def run(clusters: Clusters, name: str, namespace: str) -> int:
    """Abort it. Exit code 0: it goes back, or has; 1: it is not there, it is over, or nobody acts on it."""
    nowhere = "not aborted: no cluster has this Shift; `kubectl get shifts -A` shows those there are"
    found = await in_first(clusters, SHIFT, name, namespace, _abort, nowhere=nowhere, shown=_acted_on)
    if found is None:
        return 1
    code, by = found.value
    if not code and (phase := found.status.get("phase")) in FINISHED - {"RolledBack"}:
        print(f"Shift {found.name} was over before it could be aborted ({phase}: {found.status.get('message', '')})")
        return 1
    if by:
        print(said_by("aborted", by, found))
    return code


def _acted_on(told: tuple[int, str], status: Mapping[str, Any]) -> bool:
    return bool(told[0]) or status.get("phase") in {"Aborting", *FINISHED}


async def _abort(cluster: Cluster, full: str) -> tuple[int, str]:
    """Exit code, and who has aborted it now, if anybody."""
    found = await cluster.get(path_of(SHIFT, full))
    spec, status = found["spec"], found.get("status", {})
    not_of_an_earlier(found)
    if (phase := status.get("phase")) in FINISHED:
        print(f"Shift {full} is over ({phase}: {status.get('message', '')}); nothing to abort")
        return 1, ""
    if spec.get("abort"):
        print(f"Shift {full} was aborted by {status.get('abortedBy') or spec.get('abortedBy') or 'a person'} already")
        return 0, ""
    by = await who_am_i(cluster)
    await cluster.merge(path_of(SHIFT, full), {"spec": {"abort": True, "abortedBy": by}})
    return 0, by
