"""`kubectl tandem drill report NAME`: the report of a run, as it was written when the run ended.

It is read from the ConfigMap beside the Drill, in the first cluster that has it; standard output has the report alone.
"""

import asyncio
import sys
from typing import Any, Final, Literal

from pydantic import ValidationError

from tandem.api.resources import DRILL
from tandem.cli.contexts import ASK_S, Clusters, full_name, prompt_first
from tandem.domain.report_html import html
from tandem.domain.report_model import DrillReport
from tandem.domain.report_text import text
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, Cluster, path_of
from tandem.operator.drill_reports import HTML_KEY, JSON_KEY
from tandem.operator.drill_reports import path_of as path_of_config_map

Output = Literal["text", "json", "html"]
NEWEST: Final = ""


async def run(clusters: Clusters, name: str, namespace: str, run_name: str, output: Output) -> int:
    """Print it. Exit code 1: no cluster has it; why is on standard error."""
    for context in await prompt_first(clusters):
        full = full_name(name, namespace, clusters.namespace(context))
        try:
            async with asyncio.timeout(ASK_S):
                data = await find(clusters[context], full, run_name)
            sys.stdout.write(shown(data, output))
            return 0
        except (ApiError, ConfigError, TimeoutError) as error:
            sys.stderr.write(f"cluster {context}: {error or 'does not answer'}\n")
    place, _, short = name.rpartition("/")
    where = f" -n {place or namespace}" if place or namespace else ""
    sys.stderr.write(f"no report: `kubectl get drill {short}{where} -o yaml` shows the runs, and the report of each\n")
    return 1


async def find(cluster: Cluster, full: str, run_name: str) -> dict[str, str]:
    """The data of the ConfigMap. Raises: ApiError, ConfigError when there is no such run or it has no report."""
    status = (await cluster.get(path_of(DRILL, full))).get("status", {})
    config_map = chosen(status, full, run_name)
    found = await cluster.get(path_of_config_map(full.partition("/")[0], config_map))
    data: dict[str, str] = found.get("data") or {}
    return data


def chosen(status: dict[str, Any], full: str, run_name: str) -> str:
    """Name of the ConfigMap of a run; without a name of the newest run that has a report. Raises: ConfigError."""
    runs = status.get("runs") or []
    wanted = [run for run in runs if run.get("name") == run_name] if run_name else runs
    if run_name and not wanted:
        names = ", ".join(str(run.get("name")) for run in runs) or "none"
        raise ConfigError(f"Drill {full} has no run {run_name}; it has {names}")
    reported = [run for run in wanted if run.get("report")]
    if not reported:
        raise ConfigError(f"Drill {full} has no report yet: it is written when a run is over")
    return str(reported[0]["report"])


def shown(data: dict[str, str], output: Output) -> str:
    """The report as asked for. Raises: ConfigError when this version cannot read it."""
    if output == "json":
        return data[JSON_KEY] + "\n"
    if output == "html" and HTML_KEY in data:
        return data[HTML_KEY]
    try:
        report = DrillReport.model_validate_json(data[JSON_KEY])
    except ValidationError as error:
        raise ConfigError(
            f"this kubectl-tandem cannot read the report ({error.error_count()} fields); use -o json"
        ) from error
    return html(report) if output == "html" else text(report)
