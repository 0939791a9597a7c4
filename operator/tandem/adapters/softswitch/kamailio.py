"""The `kamailio` adapter: hash tables and counters of a Kamailio, by JSON-RPC over HTTP.

    htable `numbers`    called number -> group
    htable `placement`  group -> "<revision>;<percent of its buckets that may have agents at this site>"
    htable `control`    drain -> 1

A Kamailio keeps no revision by itself, so this adapter compares before it writes (the fence is here), and writes only
what differs. One request per value: Kamailio answers a JSON-RPC batch with an empty result and does nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, RootModel

from tandem.adapters.json_http import JsonHttp
from tandem.domain.placement import BucketMap
from tandem.domain.records import PlacementRecord
from tandem.engine.ports import AdapterError, SoftswitchState

ANSWER_S: Final = 1.0
"""Seconds for one answer; half a millisecond is usual."""

NUMBERS: Final = "numbers"
PLACEMENT: Final = "placement"
CONTROL: Final = "control"
DRAIN: Final = "drain"

# Kamailio puts the code of a JSON-RPC error into the HTTP status as well.
_ANSWERS: Final = (200, 400, 404, 500)


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Error(_Read):
    code: int = 0
    message: str = ""


class _Answer(_Read):
    result: Any = None
    error: _Error | None = None


class _Item(_Read):
    name: str
    value: str | int


class _Slot(_Read):
    slot: tuple[_Item, ...] = ()


class _Dump(RootModel[tuple[_Slot, ...]]):
    """Answer of htable.dump: the table's filled slots."""


class _Uptime(_Read):
    uptime: int


class _Counts(_Read):
    all_registered: int = Field(alias="usrloc.registered_users")
    active: int = Field(alias="dialog.active_dialogs")
    not_answered: int = Field(alias="dialog.early_dialogs")
    since_start: int | None = Field(default=None, alias="dialog.processed_dialogs")
    # Tandem's own test phones and their calls count nowhere. A configuration that knows of none has none of these.
    test_phones: int = Field(default=0, alias="usrloc.test_phones_users")
    test_calls: int = Field(default=0, alias="script.test_calls")
    test_calls_since_start: int = Field(default=0, alias="script.test_calls_placed")

    @property
    def registered(self) -> int:
        return max(self.all_registered - self.test_phones, 0)

    @property
    def calls(self) -> int:
        return max(self.active + self.not_answered - self.test_calls, 0)

    @property
    def placed(self) -> int | None:
        return None if self.since_start is None else max(self.since_start - self.test_calls_since_start, 0)


class KamailioSoftswitch:
    """`engine.ports.SoftswitchAdapter` on one Kamailio."""

    def __init__(self, http: JsonHttp) -> None:
        self._http = http
        self._version: str | None = None
        self._uptime = 0

    async def state(self) -> SoftswitchState:
        uptime = self._http.read(_Uptime, await self._call("core.uptime"), "core.uptime")
        if self._version is None or uptime.uptime < self._uptime:
            self._version = await self._ask_version()
        self._uptime = uptime.uptime
        # Counters, which are cheap at any size; `ul.dump` and the list of dialogs are not.
        fetched = await self._call("stats.fetchn", "usrloc:", "dialog:", "script:")
        counts = self._http.read(_Counts, fetched, "stats.fetchn")
        return SoftswitchState(uptime.uptime, counts.registered, counts.calls, self._version or "", counts.placed)

    async def _ask_version(self) -> str | None:
        """Until it has been said, once in each life; nothing depends on it, so None, to be asked again, is no error."""
        try:
            said = await self._call("core.version")
        except AdapterError:
            return None
        return str(said[0] if isinstance(said, list) and said else said)

    async def push(
        self, site: str, numbers: Mapping[str, str], placements: Mapping[str, tuple[int, PlacementRecord]]
    ) -> None:
        held = await self._table(NUMBERS)
        for number, group in numbers.items():
            if held.get(number) != group:
                await self._call("htable.sets", NUMBERS, number, group)
        for number in held.keys() - numbers.keys():
            await self._call("htable.delete", NUMBERS, number)
        placed = await self.held() if placements else {}
        for group, (revision, record) in placements.items():
            if revision > placed.get(group, 0):
                share = BucketMap.parse(record.map).touched_shares.get(site, 0)
                await self._call("htable.sets", PLACEMENT, group, f"{revision};{share}")

    async def held(self) -> Mapping[str, int]:
        return {group: _revision(value) for group, value in (await self._table(PLACEMENT)).items()}

    async def drain(self, on: bool) -> None:
        if on:
            await self._call("htable.seti", CONTROL, DRAIN, 1)
        elif DRAIN in await self._table(CONTROL):
            await self._call("htable.delete", CONTROL, DRAIN)

    async def _table(self, name: str) -> dict[str, str]:
        dump = self._http.read(_Dump, await self._call("htable.dump", name), f"htable.dump {name}")
        return {item.name: str(item.value) for slot in dump.root for item in slot.slot}

    async def _call(self, method: str, *params: str | int) -> Any:
        """One JSON-RPC call. Raises AdapterError, with the method and what Kamailio said."""
        body = {"jsonrpc": "2.0", "method": method, "params": list(params), "id": 1}
        answered = await self._http.ask("POST", "", body=body, timeout=ANSWER_S, good=_ANSWERS)
        answer = self._http.read(_Answer, answered.document, method)
        if answer.error is not None or answer.result is None:
            said = f"{answer.error.code} {answer.error.message}" if answer.error else "no result"
            raise self._http.error(f"{' '.join(map(str, (method, *params)))}: {said}")
        return answer.result


def _revision(value: str) -> int:
    """The revision in `<revision>;<percent>`; 0 for what somebody else wrote, so that it is replaced."""
    text = value.partition(";")[0]
    return int(text) if text.isdigit() else 0
