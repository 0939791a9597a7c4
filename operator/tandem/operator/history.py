"""`GET /v1/history`: the decision log, as somebody asks for it. Asked through the Kubernetes API's service proxy.

    ?since=&site=&group=&shift=&drill=&kind=&name=&action=&by=&limit=
        ->  {"site", "revision", "leftOut", "entries": [{revision, at, writtenBy, who, kind, name, action, ...}, ...]}

Entries are in the order of their revisions, the newest last. The log is in nobody's memory: it is read from its end, a
page at a time, until enough is found. The API server decides who may ask (`get` on `services/proxy`); see decision 16.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final

from pydantic import ValidationError

from tandem.domain import keys
from tandem.domain.history_search import Search, as_data, matches, search_of
from tandem.domain.records import HistoryRecord
from tandem.engine.ports import KeyValue, Store

log = logging.getLogger(__name__)

PAGE: Final = 200
"""Transactions that are read at once."""

READ_S: Final = 3.0
"""Seconds that one page may take."""

_CLOCKS_S: Final = 600.0
"""Seconds by which writers' clocks may differ: so much further back is looked for what is not too old."""

Json = dict[str, Any]


class HistoryReader:
    """Answers one question at a time."""

    def __init__(self, site: str, store: Store) -> None:
        self._site = site
        self._store = store
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, query: Mapping[str, str]) -> Json:
        """Raises: ConfigError for a wrong question, StoreError (a DependencyError) while the store does not answer."""
        search = search_of(query)
        async with self._one_at_a_time:
            return await self._answer(search)

    async def _answer(self, search: Search) -> Json:
        names = await self._store.page(keys.HISTORY, keys_only=True, timeout=READ_S)
        found: list[Json] = []
        left_out = False
        async for kv in self._newest_first([kv.key for kv in names.kvs]):
            record = _read(kv)
            if record is None:
                continue
            if record.at < search.since - _CLOCKS_S:
                break
            if record.at < search.since:
                continue
            wanted = [entry for entry in record.entries if matches(entry, search)]
            if wanted and search.limit and len(found) >= search.limit:
                left_out = True
                break
            found += (as_data(entry, record, kv.create_revision) for entry in reversed(wanted))
        if search.limit and len(found) > search.limit:
            found, left_out = found[: search.limit], True
        # Keys sort by what was known when it was decided; what waited for a leader may have become true later.
        found.reverse()
        found.sort(key=lambda entry: int(entry["revision"]))
        return {"site": self._site, "revision": names.revision, "leftOut": left_out, "entries": found}

    async def _newest_first(self, names: list[str]) -> AsyncIterator[KeyValue]:
        for end in range(len(names), 0, -PAGE):
            part = names[max(end - PAGE, 0) : end]
            page = await self._store.page(keys.HISTORY, start=part[0], limit=len(part), timeout=READ_S)
            for kv in reversed(page.kvs):
                if kv.key <= part[-1]:  # else the oldest were forgotten meanwhile, and later ones moved up
                    yield kv


def _read(kv: KeyValue) -> HistoryRecord | None:
    try:
        return HistoryRecord.model_validate_json(kv.value)
    except ValidationError:
        log.warning("%s cannot be read: a newer version has written it", kv.key)
        return None
