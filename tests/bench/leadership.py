"""Where the store's leader and the coordinator are, and how to get them to another place before a city is killed."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from typing import Any, Final

import httpx

from demo.callcentre import CallCentre
from demo.errors import MoveError
from demo.install import STORE_PORT
from lab.addresses import CITIES
from tandem.domain import keys
from tandem.domain.records import CoordinatorRecord

ATTEMPTS: Final = 12


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
        """City whose member leads the store."""
        return (await self._members())[1]

    async def coordinator(self) -> str:
        """Site of the coordinator; empty while there is none."""
        found = await self._centre.store.get(keys.COORDINATOR, timeout=3.0)
        return CoordinatorRecord.model_validate_json(found.value).site if found else ""

    async def lead_from(self, city: str) -> None:
        """Let this city's member lead the store."""
        ids, leader = await self._members()
        if leader != city:
            await self._ask(leader, "maintenance/transfer-leadership", {"targetID": ids[city]})
        await self._wait(self.leader, city)

    async def coordinate_from(self, city: str) -> None:
        """Let this city's engine be coordinator: whoever is it now is killed, and comes back as a candidate."""
        for _ in range(ATTEMPTS):
            now = await self.coordinator()
            if now == city:
                return
            if now:
                await self._centre.lab.faults.kill(now, "pod/tandem-system/tandem/engine")
            await asyncio.sleep(1.0)
        raise MoveError(f"{city} did not become coordinator in {ATTEMPTS} attempts")

    async def _wait(self, look: Any, wanted: str) -> None:
        for _ in range(50):
            if await look() == wanted:
                return
            await asyncio.sleep(0.1)
        raise MoveError(f"{wanted} does not lead")

    async def _members(self) -> tuple[Mapping[str, str], str]:
        ids: dict[str, str] = {}
        leader = ""
        for city in CITIES:
            status = await self._ask(city, "maintenance/status", {})
            ids[city] = status["header"]["member_id"]
            leader = status["leader"]
        return ids, next(city for city, member in ids.items() if member == leader)

    async def _ask(self, city: str, path: str, body: Mapping[str, str]) -> dict[str, Any]:
        url = f"https://{CITIES[city].address}:{STORE_PORT}/v3/{path}"
        answer = await self._http.post(url, content=json.dumps(body))
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found
