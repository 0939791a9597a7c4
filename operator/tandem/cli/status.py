"""`kubectl tandem status`: where the agents are, over all clusters, on one page."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tandem.api.resources import AGENT_GROUP, RESOURCES, SHIFT, SITE, TRUNK
from tandem.api.shift import FINISHED
from tandem.cli.contexts import Answer, Clusters, why_old
from tandem.cli.table import table
from tandem.operator.cluster import Cluster

Objects = Mapping[str, list[dict[str, Any]]]
"""Plural -> objects of one cluster."""

_FINISHED_SHOWN = 5


@dataclass
class Overview:
    """What all clusters together say. Of an object that several have, the copy of its own cluster, else the first."""

    objects: dict[tuple[str, str, str], tuple[str, dict[str, Any]]] = field(default_factory=dict)
    """(plural, namespace, name) -> context, object."""
    silent: list[Answer[Objects]] = field(default_factory=list)

    def of(self, plural: str) -> list[tuple[str, dict[str, Any]]]:
        return [found for (kind, _, _), found in sorted(self.objects.items()) if kind == plural]


async def fetch(cluster: Cluster) -> Objects:
    """All of Tandem's objects in one cluster. Raises: ApiError."""
    lists = await asyncio.gather(*(cluster.list(resource) for resource in RESOURCES))
    return {resource.plural: items for resource, (items, _) in zip(RESOURCES, lists, strict=True)}


def overview(answers: Sequence[Answer[Objects]]) -> Overview:
    """Merge the clusters' answers."""
    found = Overview()
    for answer in answers:
        if answer.value is None:
            found.silent.append(answer)
            continue
        for plural, items in answer.value.items():
            for item in items:
                key = (plural, item["metadata"].get("namespace", ""), item["metadata"]["name"])
                known = found.objects.get(key)
                if known is None or _fresher(item, known[1]):
                    found.objects[key] = (answer.context, item)
    return found


def _fresher(item: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    """Who hears from the store knows better; a Site's own cluster knows it best; for the rest a status beats none."""
    own, other = (one.get("status", {}) for one in (item, known))
    if bool(why_old(own)) != bool(why_old(other)):
        return not why_old(own)
    here, there = (bool(status.get("here")) for status in (own, other))
    if here != there:
        return here
    return bool(item.get("status")) and not known.get("status")


def render(found: Overview) -> Iterator[str]:
    """The page, line by line."""
    yield from _head(found)
    yield from _sites(found)
    yield from _groups(found)
    yield from _trunks(found)
    yield from _shifts(found)
    for answer in found.silent:
        yield f"cluster {answer.context}: {answer.trouble}"


def _head(found: Overview) -> Iterator[str]:
    statuses = [site.get("status", {}) for _, site in found.of(SITE.plural)]
    if statuses and all(map(why_old, statuses)):
        yield "THE STORE DOES NOT ANSWER: everything here is as it was last known, and nothing is decided. Agents and"
        yield "calls go on as they are. See docs/runbook.md, 'The store has lost its majority'."
        yield ""
    held = next((status["hold"] for status in statuses if status.get("hold", {}).get("active")), None)
    if held:
        yield f"HELD by {held['by']} since {held['since']}: {held['reason'] or 'no reason given'}"
        yield "Nothing new starts until `kubectl tandem resume`."
        yield ""
    coordinators = sorted({status["coordinator"] for status in statuses if status.get("coordinator")})
    if not statuses:
        yield "No Sites. Apply your Sites to every cluster: see examples/quickstart/sites.yaml."
    elif coordinators:
        yield f"coordinator: {' or '.join(coordinators)}"
    else:
        yield "coordinator: none; no placement can be committed until an engine is elected"
    yield ""


def _sites(found: Overview) -> Iterator[str]:
    rows = []
    for context, site in found.of(SITE.plural):
        spec, status = site["spec"], site.get("status", {})
        used = f"{status.get('signedIn', 0)}/{status.get('capacity', 0)}" if spec.get("role") != "Witness" else ""
        rows.append((site["metadata"]["name"], spec.get("role"), status.get("verdict"), used, context, _why(status)))
    if rows:
        yield from table(("SITE", "ROLE", "VERDICT", "SIGNED-IN", "ASKED", "WHY"), rows)
        yield ""


def _why(status: Mapping[str, Any]) -> str:
    """The sentence, where there is something to know."""
    if old := why_old(status):
        return f"as last known: {old}"
    bad = [one for one in status.get("conditions", ()) if one["status"] == "False" and one["type"] != "Overridden"]
    if status.get("verdict") not in ("Healthy", None):
        return str(status.get("message", ""))
    return "; ".join(f"{one['type']}: {one['message']}" for one in bad)


def _groups(found: Overview) -> Iterator[str]:
    rows = []
    notes = []
    for _, group in found.of(AGENT_GROUP.plural):
        metadata, status = group["metadata"], group.get("status", {})
        conditions = {one["type"]: one for one in status.get("conditions", ())}
        ready = conditions.get("Ready", {})
        name = f"{metadata['namespace']}/{metadata['name']}"
        rows.append(
            (
                name,
                status.get("where"),
                status.get("signedIn", 0),
                status.get("moving", 0),
                status.get("shift"),
                ready.get("status"),
                conditions.get("FailoverReady", {}).get("status"),
                status.get("lastShift", {}).get("p95"),
            )
        )
        if ready.get("status") not in ("True", None):
            notes.append(f"  {name}: {ready['reason']}: {ready['message']}")
    if rows:
        header = ("GROUP", "WHERE", "SIGNED-IN", "MOVING", "SHIFT", "READY", "FAILOVER", "LAST P95")
        yield from table(header, rows)
        yield from notes
        yield ""


def _trunks(found: Overview) -> Iterator[str]:
    rows = []
    for _, trunk in found.of(TRUNK.plural):
        metadata, status = trunk["metadata"], trunk.get("status", {})
        ready = {one["type"]: one for one in status.get("conditions", ())}.get("Ready", {})
        name = f"{metadata['namespace']}/{metadata['name']}"
        why = ready.get("message", "") if ready.get("status") != "True" else ""
        rows.append((name, status.get("where"), status.get("channelsInUse", 0), ready.get("status"), why))
    if rows:
        yield from table(("TRUNK", "WHERE", "CALLS", "READY", "WHY"), rows)
        yield ""


def _shifts(found: Overview) -> Iterator[str]:
    shifts = [shift for _, shift in found.of(SHIFT.plural)]
    running = [shift for shift in shifts if shift.get("status", {}).get("phase", "Pending") not in FINISHED]
    done = [shift for shift in shifts if shift.get("status", {}).get("phase") in FINISHED]
    done.sort(key=lambda shift: str(shift["status"].get("finishedAt", "")))
    rows = []
    for shift in [*running, *done[-_FINISHED_SHOWN:][::-1]]:
        metadata, status = shift["metadata"], shift.get("status", {})
        rows.append(
            (
                f"{metadata['namespace']}/{metadata['name']}",
                shift["spec"]["to"],
                status.get("phase", "Pending"),
                status.get("progress", {}).get("text"),
                status.get("switchTimes", {}).get("p95"),
                status.get("message"),
            )
        )
    if rows:
        yield from table(("SHIFT", "TO", "PHASE", "MOVED", "P95", "MESSAGE"), rows)
        yield ""


async def run(clusters: Clusters) -> int:
    """Print the page. Exit code 1 when no cluster answered."""
    found = overview(await clusters.ask(fetch))
    print("\n".join(render(found)))
    return 1 if len(found.silent) == len(clusters.names) else 0
