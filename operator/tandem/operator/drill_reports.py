"""Each report in the store becomes a ConfigMap beside the Drill, in every cluster that shows the Drill.

    `<drill>-<run>-report` (`config_map_name`), with `report.json` and `report.html`; immutable, owned by the Drill

One that is there already is taken for this object's if it can be no other's; else it is made anew, because Kubernetes
collects what belonged to a deleted Drill of the same name.

It stays when the store has dropped its own copy, and goes with its run out of the Drill's history, or with the Drill.
The operator may make and delete ConfigMaps there, and read none: others' may hold what is not its business.
"""

import contextlib
import logging
from collections.abc import Iterable
from typing import Any, Final

from tandem.api.common import API_VERSION
from tandem.api.resources import DRILL
from tandem.domain import keys
from tandem.domain.drill_names import config_map_name
from tandem.domain.report_html import html
from tandem.domain.report_model import DrillReport, DrillReportRecord
from tandem.engine.picture import Picture
from tandem.operator.cluster import ApiError, Cluster, MissingError, RefusedError, TakenError
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Key, Seen, Table, seconds
from tandem.operator.settings import STORE_SILENT_S
from tandem.operator.statuses.common import Said

log = logging.getLogger(__name__)

JSON_KEY: Final = "report.json"
HTML_KEY: Final = "report.html"
LARGEST: Final = 950_000
"""Bytes of a ConfigMap's data; the API server refuses more than 1 MiB. Without the page a report is far below that."""

CONDITION: Final = "ReportsKept"
_LOOK_S: Final = 10.0
_REFUSED_S: Final = 60.0
_CLOCKS_S: Final = 60.0
"""Seconds by which the clocks of a coordinator and of an API server may differ."""
_FORGOTTEN: Final = "tandem.dev/drill"
"""Label that names the Drill of a report."""


def path_of(namespace: str, name: str = "") -> str:
    """Path of a ConfigMap, or of all of a namespace."""
    return f"/api/v1/namespaces/{namespace}/configmaps" + (f"/{name}" if name else "")


def body_of(seen: Seen, report: DrillReport) -> dict[str, Any]:
    """The ConfigMap of a report. The page is left out where both together would be too large."""
    data = {JSON_KEY: report.model_dump_json(by_alias=True), HTML_KEY: html(report)}
    if sum(len(text.encode()) for text in data.values()) > LARGEST:
        del data[HTML_KEY]
    owner = {"apiVersion": API_VERSION, "kind": DRILL.kind, "name": seen.short_name, "uid": seen.uid}
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": config_map_name(seen.short_name, report.run),
            "namespace": seen.namespace,
            "labels": {"app.kubernetes.io/managed-by": "tandem", _FORGOTTEN: seen.short_name[:63].rstrip("-.")},
            "ownerReferences": [owner],
        },
        "immutable": True,
        "data": data,
    }


def older_than(seen: Seen, report: DrillReport) -> bool:
    """Whether the report may have been kept here before this object was made: for another one of that name, then."""
    return seconds(report.finished_at) < seen.created_at + _CLOCKS_S


class DrillReports:
    """Keeps the reports in this cluster. One task: `run`."""

    def __init__(self, table: Table, view: Picture, cluster: Cluster, notes: LocalNotes) -> None:
        self._table = table
        self._view = view
        self._cluster = cluster
        self._notes = notes
        self._wake = view.subscribe(keys.DRILLS, keys.DRILL_REPORTS)
        self._kept: set[tuple[str, str]] = set()
        """UID of a Drill, and a run whose report this process has made or found here."""
        self._dropped: set[tuple[str, str]] = set()
        self._later: dict[str, float] = {}

    def seen(self) -> None:
        """A Drill is new, has changed, or was deleted."""
        self._wake.give()

    async def run(self) -> None:
        """Keep reports until cancelled."""
        await self._view.synced.wait()
        while True:
            await self.round()
            await self._wake.wait(timeout=_LOOK_S)

    async def round(self) -> None:
        """One pass over all Drills of this cluster."""
        if DRILL.plural not in self._table.listed or self._view.silent_s > STORE_SILENT_S:
            return
        for seen in self._table.of(DRILL.plural):
            if self._later.get(seen.name, 0.0) > self._view.clock.monotonic():
                continue
            try:
                await self._keep(seen)
                await self._drop(seen)
            except ApiError as error:
                self._later[seen.name] = self._view.clock.monotonic() + _REFUSED_S
                self._complain(seen, error)
            else:
                self._notes.unsay(seen.key, CONDITION)

    async def _keep(self, seen: Seen) -> None:
        for report in self._of_store(seen.name):
            if (seen.uid, report.run) in self._kept:
                continue
            body = body_of(seen, report.report)
            try:
                await self._cluster.post(path_of(seen.namespace), body)
            except TakenError:
                if older_than(seen, report.report):
                    await self._replace(seen, body)
            log.info("the report of Drill %s, run %s, is kept here", seen.name, report.run)
            self._kept.add((seen.uid, report.run))

    async def _replace(self, seen: Seen, body: dict[str, Any]) -> None:
        """Make a report anew: the one that is there may belong to a Drill that was deleted, and will be collected.

        Whose it is cannot be read. Raises ApiError: it is tried again, and what is in the store is not lost.
        """
        with contextlib.suppress(MissingError):
            await self._cluster.delete(path_of(seen.namespace, body["metadata"]["name"]))
        await self._cluster.post(path_of(seen.namespace), body)

    async def _drop(self, seen: Seen) -> None:
        """Those of runs that have left the history; once by each process, which need not read what is there."""
        entry = self._view.snapshot.drills.get(seen.name)
        for run in entry.record.forgotten if entry else ():
            if (seen.uid, run) not in self._dropped:
                with contextlib.suppress(MissingError):
                    await self._cluster.delete(path_of(seen.namespace, config_map_name(seen.short_name, run)))
                self._dropped.add((seen.uid, run))

    def _of_store(self, name: str) -> Iterable[DrillReportRecord]:
        return [entry.record for entry in self._view.snapshot.drill_reports.values() if entry.record.drill == name]

    def _complain(self, seen: Seen, error: ApiError) -> None:
        remedy = ""
        if isinstance(error, RefusedError) and error.lacks_right:
            remedy = f"; add {seen.namespace} to the chart's drillReports.namespaces"
        message = f"reports are not kept here: {error}{remedy}"
        log.warning("Drill %s: %s", seen.name, message)
        key: Key = seen.key
        self._notes.say(key, Said(CONDITION, "False", "NotAllowed" if remedy else "Failed", message))
