"""`kubectl tandem drill run NAME` and `abort NAME`: one command to a Drill, in the first cluster that takes it up."""

import asyncio
import secrets
import time
from collections.abc import Mapping
from typing import Any, Final, Literal

from tandem.api.common import DRILL_REQUEST
from tandem.api.resources import DRILL
from tandem.cli.contexts import Clusters, annotation_of, asked_by, in_first
from tandem.operator.cluster import ApiError, Cluster, path_of

ANSWER_S: Final = 10.0
"""Seconds to wait for the engines to say what becomes of a command."""

Action = Literal["run", "abort"]


def request_of(request_id: str, action: Action, by: str, now: float) -> dict[str, Any]:
    """A command. `request_id`: the same in every cluster. `now`: seconds since the epoch, by the cluster's clock."""
    return {"id": request_id, "action": action, "by": by, "at": round(now, 3)}


async def run(clusters: Clusters, action: Action, name: str, namespace: str, wait_s: float) -> int:
    """Give the command. Exit code 0: it was taken up, and with `wait_s` its run ended Succeeded."""
    request_id = secrets.token_hex(8)

    async def ask(cluster: Cluster, full: str) -> dict[str, Any]:
        await cluster.get(path_of(DRILL, full))
        by, now = await asked_by(cluster)
        request = request_of(request_id, action, by, now)
        patch = {"metadata": {"annotations": {DRILL_REQUEST: annotation_of(request)}}}
        await cluster.merge(path_of(DRILL, full), patch)
        return request

    nowhere = f"not done: no cluster has Drill {name}; `kubectl get drills -A` shows those there are"
    asked = await in_first(clusters, DRILL, name, namespace, ask, nowhere=nowhere, shown=_taken_up, patience_s=ANSWER_S)
    if asked is None:
        return 1
    print(f"Drill {asked.name}: {action} asked by {asked.value['by']} (by way of {asked.context})")
    return await follow(clusters[asked.context], asked.name, request_id, action, wait_s)


def _taken_up(request: Mapping[str, Any], status: Mapping[str, Any]) -> bool:
    return bool(answer_to(status, request["id"]) or run_of(status, request["id"]))


async def follow(cluster: Cluster, name: str, request: str, action: Action, wait_s: float) -> int:
    """Print what becomes of a command, and with `wait_s` of the run that it starts."""
    started = time.monotonic()
    told: list[str] = []
    while True:
        status = await _status(cluster, name)
        for line in story(status, request):
            if line not in told:
                told.append(line)
                print(f"  {line}")
        answer = answer_to(status, request)
        answered = bool(answer)
        passed = time.monotonic() - started
        over = run_of(status, request)
        if over is not None and over.get("outcome"):
            return 0 if over["outcome"] == "Succeeded" or action == "abort" else 1
        if answered and (action == "abort" or not wait_s or refused(answer)):
            return 1 if refused(answer) else 0
        if not answered and not over and passed > ANSWER_S:
            print(f"  no engine has taken it up within {ANSWER_S:.0f} s; `kubectl tandem status` shows why")
            return 1
        if passed > max(wait_s, ANSWER_S):
            namespace, _, short = name.rpartition("/")
            print(f"  not over after {passed:.0f} s; `kubectl get drill {short} -n {namespace}` shows how it goes on")
            return 1
        await asyncio.sleep(0.5)


async def _status(cluster: Cluster, name: str) -> dict[str, Any]:
    try:
        found = await cluster.get(path_of(DRILL, name))
    except ApiError as error:
        return {"message": f"cannot look: {error}"}
    status: dict[str, Any] = found.get("status", {})
    return status


def answer_to(status: Mapping[str, Any], request: str) -> str:
    """What became of a command; empty: nobody has taken it up. Others may have been given since, here or elsewhere."""
    known = [status.get("lastRequest", {}), *status.get("earlierRequests", ())]
    return next((str(one.get("answer", "")) for one in known if one.get("id") == request), "")


def refused(answer: str) -> bool:
    """Whether a command was answered without a run."""
    return answer.startswith(("not started", "nothing is under way")) or answer.endswith("ask again")


def run_of(status: Mapping[str, Any], request: str) -> dict[str, Any] | None:
    """The run that a command started, under way or over."""
    runs = [*status.get("active", ()), *status.get("runs", ())]
    return next((run for run in runs if run.get("request") == request), None)


def story(status: dict[str, Any], request: str) -> list[str]:
    """What there is to tell of a command, in the order in which it becomes known."""
    lines = []
    if answer := answer_to(status, request):
        lines.append(answer)
    run = run_of(status, request)
    if run is not None and run.get("outcome"):
        for way in ("out", "back"):
            leg = run.get(way, {})
            times = leg.get("switchTimes", {})
            if times.get("p95"):
                gaps = f"own gaps p50 {times['p50']}, p95 {times['p95']}, max {times['max']}"
                lines.append(f"{way}: {leg['moved']} of {leg['agents']} agents in {leg['seconds']} s, {gaps}")
        lines.append(f"{run['outcome']}: {run['message']}")
    elif status.get("phase") not in (None, "", "Waiting"):
        lines.append(f"{status['phase']}: {status.get('message', '')}")
    return lines
