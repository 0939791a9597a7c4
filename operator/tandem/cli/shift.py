"""`kubectl tandem shift`: make one Shift, and watch it if asked."""

import asyncio
import time
from dataclasses import dataclass
from typing import Any, Final

from tandem.api.common import API_VERSION, GROUP, VERSION
from tandem.api.resources import SHIFT
from tandem.api.shift import FINISHED
from tandem.cli.contexts import ASK_S, Clusters, prompt_first, who_am_i
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, Cluster, RefusedError, TakenError, path_of

PLAN_S: Final = 15.0
"""Seconds to wait for the plan of a dry run."""


@dataclass(frozen=True)
class Wanted:
    """What the command line asks for."""

    to: str = ""
    placement: tuple[tuple[str, int], ...] = ()
    evacuate: str = ""
    system: str = ""
    region: str = ""
    skill_group: str = ""
    site: str = ""
    names: tuple[str, ...] = ()
    labels: tuple[tuple[str, str], ...] = ()
    percent: int = 100
    waves: tuple[int, ...] = ()
    """None: as a Shift has them that names none."""
    forced: bool = False
    approval: bool = False
    dry_run: bool = False
    name: str = ""


def manifest(wanted: Wanted, namespace: str, by: str, now: float) -> dict[str, Any]:
    """The Shift. Raises: ConfigError when nothing is selected. `now`: seconds since the epoch."""
    selector: dict[str, Any] = {
        key: value
        for key, value in (
            ("system", wanted.system),
            ("region", wanted.region),
            ("skillGroup", wanted.skill_group),
            ("site", wanted.site),
            ("names", list(wanted.names)),
            ("labels", dict(wanted.labels)),
        )
        if value
    }
    if not selector and not wanted.evacuate:
        raise ConfigError("nothing is selected; give --system, --region, --skill-group, --from, --labels or --names")
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(now))
    spec: dict[str, Any] = {"requestedBy": by}
    if selector:
        spec["selector"] = selector
    if wanted.evacuate:
        spec["evacuate"] = wanted.evacuate
    elif wanted.placement:
        spec["placement"] = [{"site": site, "percent": percent} for site, percent in wanted.placement]
    else:
        spec["to"] = wanted.to
    if wanted.percent != 100:
        spec["percent"] = wanted.percent
    if wanted.waves:
        spec["waves"] = list(wanted.waves)
    if wanted.forced:
        spec["mode"] = "Forced"
    if wanted.approval:
        spec["approval"] = "Manual"
    if wanted.dry_run:
        spec["dryRun"] = True
    return {
        "apiVersion": API_VERSION,
        "kind": SHIFT.kind,
        "metadata": {"name": wanted.name or f"{_aim(wanted)}-{stamp}", "namespace": namespace},
        "spec": spec,
    }


def _aim(wanted: Wanted) -> str:
    if wanted.evacuate:
        return f"evacuate-{wanted.evacuate}"
    return f"to-{wanted.to}" if wanted.to else "spread"


async def run(clusters: Clusters, wanted: Wanted, namespace: str, wait_s: float) -> int:
    """Create the Shift in the first cluster that takes it. Exit code 0: created, or completed with `wait_s`."""
    now = time.time()  # once: a cluster that made it and answered too late has the same Shift as the next one
    unanswered = False
    for name in await prompt_first(clusters):
        cluster = clusters[name]
        try:
            async with asyncio.timeout(ASK_S):
                place = namespace or clusters.namespace(name)
                made = manifest(wanted, place, await who_am_i(cluster), now)
                await cluster.post(f"/apis/{GROUP}/{VERSION}/namespaces/{place}/{SHIFT.plural}", made)
        except (RefusedError, TakenError) as error:
            # Another cluster would say the same. Where one has not answered, it has made it, and it is shown here.
            if not (unanswered and isinstance(error, TakenError)):
                print(f"cluster {name}: {error}")
                return 1
        except (ApiError, TimeoutError) as error:
            print(f"cluster {name}: {error or 'does not answer'}; trying the next one")
            unanswered = True
            continue
        full = f"{place}/{made['metadata']['name']}"
        print(f"Shift {full} created in cluster {name}")
        patience = max(wait_s, PLAN_S) if wanted.dry_run else wait_s
        return await follow(cluster, full, patience) if patience else 0
    print("no cluster took the Shift; look at the contexts of your kubeconfig, or name others with --contexts")
    return 1


async def follow(cluster: Cluster, name: str, patience_s: float) -> int:
    """Print what happens to a Shift until it has ended. Exit code 0: it completed."""
    deadline = time.monotonic() + patience_s
    told: list[str] = []
    while time.monotonic() < deadline:
        try:
            found = await cluster.get(path_of(SHIFT, name))
        except ApiError as error:
            print(f"  cannot look: {error}")
            await asyncio.sleep(1.0)
            continue
        status = found.get("status", {})
        for line in story(status):
            if line not in told:
                told.append(line)
                print(f"  {line}")
        if status.get("phase") in FINISHED:
            return 0 if status["phase"] == "Completed" else 1
        await asyncio.sleep(0.5)
    print(f"  not finished after {patience_s:.0f} s; `kubectl tandem status` shows how it goes on")
    return 1


def story(status: dict[str, Any]) -> list[str]:
    """What there is to tell, in the order in which it becomes known."""
    lines = [f"plan: {line}" for line in status.get("plan", ())]
    phase = status.get("phase")
    if phase:
        lines.append(f"{phase}: {status.get('message') or status.get('reason', '')}")
    times = status.get("switchTimes", {})
    if phase in FINISHED and times.get("p95"):
        lines.append(f"agents' own gaps: p50 {times['p50']}, p95 {times['p95']}, max {times['max']}")
    return lines
