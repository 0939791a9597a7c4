"""`kubectl tandem approve NAME`: say yes to a Shift's plan, in the first cluster that shows the Shift."""

import asyncio

from tandem.api.resources import SHIFT
from tandem.api.shift import FINISHED
from tandem.cli.contexts import ASK_S, Clusters, who_am_i
from tandem.operator.cluster import ApiError, MissingError, RefusedError, path_of


async def run(clusters: Clusters, name: str, namespace: str) -> int:
    """Approve it. Exit code 0: approved, now or before; 1: it is not there, needs none, or is refused."""
    for cluster_name in clusters.names:
        cluster = clusters[cluster_name]
        full = f"{namespace or clusters.namespace(cluster_name)}/{name}"
        try:
            async with asyncio.timeout(ASK_S):
                found = await cluster.get(path_of(SHIFT, full))
                spec = found["spec"]
                if spec.get("approved"):
                    print(f"Shift {full} was approved by {spec.get('approvedBy')} already")
                    return 0
                if (phase := found.get("status", {}).get("phase")) in FINISHED:
                    print(f"Shift {full} is over ({phase}: {found['status'].get('message', '')}); nothing to approve")
                    return 1
                if spec.get("approval") != "Manual":
                    print(f"Shift {full} needs no approval: its spec.approval is {spec.get('approval', 'Auto')}")
                    return 1
                for line in found.get("status", {}).get("plan", ()):
                    print(f"  plan: {line}")
                by = await who_am_i(cluster)
                await cluster.merge(path_of(SHIFT, full), {"spec": {"approved": True, "approvedBy": by}})
        except MissingError:
            print(f"cluster {cluster_name}: there is no Shift {full}; trying the next one")
            continue
        except RefusedError as error:
            # Another cluster would say the same.
            print(f"cluster {cluster_name}: {error}")
            return 1
        except (ApiError, TimeoutError) as error:
            print(f"cluster {cluster_name}: {error or 'does not answer'}; trying the next one")
            continue
        print(f"Shift {full} approved by {by} (by way of {cluster_name})")
        return 0
    print("not approved: no cluster has this Shift; `kubectl get shifts -A` shows those there are")
    return 1
