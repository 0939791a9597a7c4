"""Where the store's leader and the coordinator are, and how to get them to another place before a city is killed."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import httpx

from demo.callcentre import CallCentre
from demo.errors import MoveError
from demo.install import STORE_PORT
from lab.addresses import CITIES
from tandem.domain import keys
from tandem.domain.records import CoordinatorRecord
from tandem.engine.ports import StoreError

ATTEMPTS: Final = 100
ENGINE: Final = "pod/tandem-system/tandem/engine"


class Leadership:
    """Looks at the members of the store through their JSON gateway, with the demo's own certificate."""

    def __init__(self, centre: CallCentre) -> None:
        self._centre = centre
        ca, cert, key = centre.installation.credentials("demo")
        tls = ssl.create_default_context(cafile=str(ca))
        tls.load_cert_chain(cert, key)
        self._http = httpx.AsyncClient(verify=tls, timeout=2.0, trust_env=False)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def leader(self) -> str:
        """City whose member leads the store; empty while there is none."""
        return (await self._members())[1]

    async def coordinator(self) -> str:
        """Site of the coordinator; empty while there is none."""
        found = await self._centre.store.get(keys.COORDINATOR, timeout=3.0)
        return CoordinatorRecord.model_validate_json(found.value).site if found else ""

    async def lead_from(self, city: str) -> None:
        """Let this city's member lead the store. Asked again while a member that has just come back is busy."""

        async def led_by() -> str:
            ids, leader = await self._members()
            if leader and leader != city:
                await self._ask(leader, "maintenance/transfer-leadership", {"targetID": ids[city]})
            return leader

        await self._wait(led_by, city)

    async def coordinate_from(self, city: str) -> None:
        """Let this city's engine be coordinator: the others stand still until it is, and come back as candidates."""
        if await self.coordinator() == city:
            return
        faults = self._centre.lab.faults
        others = [other for other in CITIES if other != city]
        for other in others:
            await faults.freeze(other, ENGINE)
        try:
            await self._wait(self.coordinator, city)
        finally:
            for other in others:
                await faults.thaw(other, ENGINE)

    async def _wait(self, look: Callable[[], Awaitable[str]], wanted: str) -> None:
        for _ in range(ATTEMPTS):
            with contextlib.suppress(StoreError, httpx.HTTPError):
                if await look() == wanted:
                    return
            await asyncio.sleep(0.1)
        raise MoveError(f"{wanted} did not take over within {ATTEMPTS / 10:.0f} s")

    async def _members(self) -> tuple[Mapping[str, str], str]:
        ids: dict[str, str] = {}
        leader = ""
        for city in CITIES:
            status = await self._ask(city, "maintenance/status", {})
            ids[city] = status["header"]["member_id"]
            leader = status["leader"]
        return ids, next((city for city, member in ids.items() if member == leader), "")

    async def _ask(self, city: str, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        url = f"https://{CITIES[city].address}:{STORE_PORT}/v3/{path}"
        answer = await self._http.post(url, content=json.dumps(body))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
