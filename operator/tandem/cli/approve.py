"""`kubectl tandem approve NAME`: say yes to a Shift's plan, in the first cluster that shows the Shift."""

from collections.abc import Mapping
from typing import Any

from tandem.api.resources import SHIFT
from tandem.api.shift import FINISHED
from tandem.cli.contexts import Clusters, in_first, not_of_an_earlier, said_by, who_am_i
from tandem.operator.cluster import ApiError, Cluster, path_of


async def run(clusters: Clusters, name: str, namespace: str) -> int:
    """Approve it. Exit code 0: approved, now or before; 1: it is not there, has no plan yet, needs none, is refused, or
    not taken up."""
    nowhere = "not approved: no cluster has this Shift with a plan; `kubectl get shifts -A` shows those there are"
    found = await in_first(clusters, SHIFT, name, namespace, _approve, nowhere=nowhere, shown=_taken_up)
    if found is None:
        return 1
    code, by = found.value
    if by and not found.status.get("approvedAt"):  # it is over, and the store never had it
        said = f"{found.status.get('phase')}: {found.status.get('message', '')}"
        print(f"Shift {found.name} was over before it could be approved ({said})")
        return 1
    if by:
        print(said_by("approved", by, found))
    return code


def _taken_up(told: tuple[int, str], status: Mapping[str, Any]) -> bool:
    """`approvedAt` is shown as soon as the store has it."""
    return bool(told[0] or status.get("approvedAt")) or status.get("phase") in FINISHED


async def _approve(cluster: Cluster, full: str) -> tuple[int, str]:
    """Exit code, and who has approved it now, if anybody."""
    found = await cluster.get(path_of(SHIFT, full))
    spec, status = found["spec"], found.get("status", {})
    not_of_an_earlier(found)
    # Another cluster may have been told, of which this one's spec says nothing; whom the store knows was the first.
    if spec.get("approved") or status.get("approvedAt"):
        by = status.get("approvedBy") or spec.get("approvedBy") or "a person"
        print(f"Shift {full} was approved by {by} already")
        return 0, ""
    if (phase := status.get("phase")) in FINISHED:
        print(f"Shift {full} is over ({phase}: {status.get('message', '')}); nothing to approve")
        return 1, ""
    if spec.get("approval") != "Manual":
        print(f"Shift {full} needs no approval: its spec.approval is {spec.get('approval', 'Auto')}")
        return 1, ""
    plan = _plan(full, status)
    for line in plan:
        print(f"  plan: {line}")
    by = await who_am_i(cluster)
    await cluster.merge(path_of(SHIFT, full), {"spec": {"approved": True, "approvedBy": by}})
    return 0, by


def _plan(full: str, status: Mapping[str, Any]) -> list[str]:
    """What is to be approved. Raises: ApiError where it is not shown, or not yet: nobody approves what he cannot read.

    Another cluster may show it: here the operator may be dead, or hear nothing from the store.
    """
    if plan := list(status.get("plan", ())):
        return plan
    namespace, _, short = full.rpartition("/")
    so_far = ": ".join(filter(None, (status.get("phase"), status.get("message")))) or "nobody has taken it up"
    raise ApiError(
        f"Shift {full} has no plan yet that could be approved ({so_far}); approve it in phase AwaitingApproval, which "
        f"`kubectl get shift {short} -n {namespace} -w` shows"
    )
