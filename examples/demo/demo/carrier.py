"""The carrier's HTTP API (docs/contracts.md section 9)."""

from collections.abc import Sequence
from typing import Any, Final

import httpx

from demo.errors import DemoError
from demo.timeline import Call, parse_call

TALK_S: Final = (3.0, 8.0)
"""Shortest and longest talk of the demo's callers, seconds."""


class CarrierError(DemoError):
    """The carrier did not answer as agreed."""


class Carrier:
    """A client of the carrier's routing platform."""

    def __init__(self, url: str) -> None:
        # `trust_env` off: a proxy of the machine must not stand between us and the lab.
        self._http = httpx.AsyncClient(base_url=url, timeout=10.0, trust_env=False)
        self._seq = 0
        self.calls: dict[str, Call] = {}
        """Call ID -> the newest that the carrier said of it."""

    async def close(self) -> None:
        await self._http.aclose()

    async def load(
        self, calls_per_second: float, numbers: Sequence[str] | None = None, talk: tuple[float, float] = TALK_S
    ) -> None:
        """Place this many calls a second from now on, evenly over `numbers` (None: all); 0 stops."""
        body = {
            "calls_per_second": calls_per_second,
            "talk": list(talk),
            "numbers": None if numbers is None else list(numbers),
            "seed": 1,
        }
        await self._ask("PUT", "/v1/load", json=body)

    async def hang_up(self) -> None:
        """Every caller hangs up now. The load goes on, if there is one."""
        await self._ask("POST", "/v1/hangup")

    async def look(self) -> None:
        """Learn what became of the calls since the last look."""
        answer = await self._ask("GET", "/v1/calls", params={"after": self._seq})
        for raw in answer["calls"]:
            call = parse_call(raw)
            self.calls[call.id] = call
        self._seq = answer["seq"]

    async def routes(self) -> dict[str, Any]:
        """The routes that the carrier holds."""
        return await self._ask("GET", "/v1/routes")

    async def stats(self) -> dict[str, Any]:
        """Counts of calls by fate."""
        return await self._ask("GET", "/v1/stats")

    async def _ask(self, method: str, path: str, **options: Any) -> dict[str, Any]:
        try:
            answer = await self._http.request(method, path, **options)
            answer.raise_for_status()
            document: dict[str, Any] = answer.json() if answer.content else {}
        except (httpx.HTTPError, ValueError) as e:
            raise CarrierError(f"carrier, {method} {path}: {e}") from e
        return document
