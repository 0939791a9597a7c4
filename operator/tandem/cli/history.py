"""`kubectl tandem history`: who decided what, when, why and at which revision, the newest last.

The store keeps the log. Any location's operator can read it, through its cluster's API server, which decides who may
ask: all clusters are asked at once, and the first answer will do, so a city that is lost keeps nobody waiting.
"""

import asyncio
import json
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from tandem.cli.contexts import ASK_S, Clusters
from tandem.cli.plan import DEFAULT_OPERATOR, PORT
from tandem.cli.table import table
from tandem.errors import ConfigError
from tandem.operator.cluster import ApiError, MissingError

DEFAULT_LIMIT: Final = 100
"""Entries that are shown when nobody says how many."""

_UNITS: Final[Mapping[str, float]] = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}

Json = dict[str, Any]


def since_of(text: str, now: float) -> float:
    """`90m`, `1h30m`, `7d`, or a moment like 2026-11-28T03:00:00Z, as seconds since the epoch.

    Args:
        now: Seconds since the epoch.
    Raises: ConfigError naming the value and what may be written.
    """
    if not text:
        return 0.0
    if re.fullmatch(r"(\d+(\.\d+)?[smhdw])+", text):
        return now - sum(float(n) * _UNITS[unit] for n, _, unit in re.findall(r"(\d+(\.\d+)?)([smhdw])", text))
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--since is {text!r}; write it like 90m, 7d or 2026-11-28T03:00:00Z") from error
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


async def run(clusters: Clusters, query: Mapping[str, str], *, operator: str = DEFAULT_OPERATOR, output: str) -> int:
    """Print what the log says. Exit code 1 when no cluster could be asked."""
    answer, troubles = await first_answer(clusters, query, operator)
    if answer is None:
        for name, trouble in troubles.items():
            print(f"cluster {name}: {trouble}", file=sys.stderr)
        print(
            "no cluster's operator could be asked; --operator names its Service, --contexts the clusters",
            file=sys.stderr,
        )
        return 1
    if output == "json":
        print(json.dumps(answer, indent=2))
        return 0
    print("\n".join(page(answer, wide=output == "wide")))
    return 0


async def first_answer(
    clusters: Clusters, query: Mapping[str, str], operator: str
) -> tuple[Json | None, Mapping[str, str]]:
    """The first good answer of all clusters, and why those that answered before it had none."""
    place, _, service = operator.rpartition("/")
    path = f"/api/v1/namespaces/{place}/services/{service}:{PORT}/proxy/v1/history"
    wanted = {key: value for key, value in query.items() if value}

    async def ask(name: str) -> Json:
        async with asyncio.timeout(ASK_S):
            return await clusters[name].get(path, **wanted)

    asked = {asyncio.create_task(ask(name)): name for name in clusters.names}
    troubles: dict[str, str] = {}
    try:
        waiting = set(asked)
        while waiting:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                try:
                    return task.result(), troubles
                except MissingError as error:
                    troubles[asked[task]] = f"{error}: no such Service, or an operator without a history"
                except (ApiError, TimeoutError) as error:
                    troubles[asked[task]] = str(error) or f"does not answer within {ASK_S:.0f} s"
    finally:
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)
    return None, troubles


def page(answer: Mapping[str, Any], *, wide: bool = False) -> Iterator[str]:
    """The answer for people."""
    entries = answer["entries"]
    if entries:
        header = ("WHEN", "REVISION", "WHO", "OBJECT", "ACTION", "GROUPS", "AGENTS")
        more = ("BUCKETS", "SITES", "SHIFT", "REASON", "WRITTEN-BY") if wide else ()
        rows = [_row(entry, wide=wide) for entry in entries]
        yield from table((*header, *more, "WHY"), rows)
    else:
        yield "The history has nothing of that kind."
    if answer["leftOut"]:
        yield "Older ones are left out: --limit shows more, 0 all of them."


def _row(entry: Mapping[str, Any], *, wide: bool) -> tuple[object, ...]:
    when = str(entry["at"]).replace("T", " ")[:19] + "Z"
    name = f"{entry['kind']} {entry['name']}".strip()
    row = (when, entry["revision"], entry["who"]["shown"], name, entry["action"], _groups(entry), entry["agents"] or "")
    if not wide:
        return (*row, _why(entry))
    by = entry["writtenBy"]
    writer = f"{by['site']}/{by['epoch']}" if by["epoch"] else f"{by['site']}/operator"
    more = (entry["buckets"] or "", ",".join(entry["sites"]), entry["shift"], entry["reason"], writer)
    return (*row, *more, _why(entry))


def _groups(entry: Mapping[str, Any]) -> str:
    """The group where there is one, else how many."""
    groups = entry["groups"]
    return str(groups[0]) if len(groups) == 1 else str(len(groups) or "")


def _why(entry: Mapping[str, Any]) -> str:
    return " ".join(str(entry["why"] or entry["reason"]).split())
