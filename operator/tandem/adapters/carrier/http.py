"""The `http` adapter: a carrier's routing platform by its HTTP API (docs/contracts.md, section 9)."""

from collections.abc import Mapping, Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, RootModel

from tandem.adapters.json_http import JsonHttp
from tandem.engine.ports import CarrierPlan, CarrierRoute

ANSWER_S: Final = 3.0
"""Seconds for one answer."""


class _Read(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Number(_Read):
    channels_in_use: int = 0


class _Stats(_Read):
    numbers: dict[str, _Number]


class _Route(_Read):
    name: str
    target: str
    weight: int
    callers: tuple[str, ...] | None = None


class _Plan(_Read):
    revision: int
    routes: tuple[_Route, ...]
    channels: int | None = None
    calls_per_second: float | None = None


class _Plans(RootModel[dict[str, _Plan]]):
    """Answer of GET /v1/routes."""


class HttpCarrier:
    """`engine.ports.CarrierAdapter` by HTTP. The carrier refuses a revision older than the one it has."""

    def __init__(self, http: JsonHttp) -> None:
        self._http = http

    async def push(self, number: str, plan: CarrierPlan) -> None:
        body = {
            "revision": plan.revision,
            "routes": [
                {"name": route.name, "target": route.target, "weight": route.weight, "callers": list(route.callers)}
                for route in plan.routes
            ],
            "channels": plan.channels,
            "calls_per_second": plan.calls_per_second,
        }
        await self._http.ask("PUT", f"/v1/routes/{number}", body=body, timeout=ANSWER_S)

    async def held(self) -> Mapping[str, CarrierPlan]:
        answer = await self._http.ask("GET", "/v1/routes", timeout=ANSWER_S)
        found = self._http.read(_Plans, answer.document, "GET /v1/routes").root
        return {
            number: CarrierPlan(
                plan.revision,
                tuple(CarrierRoute(each.name, each.target, each.weight, each.callers or ()) for each in plan.routes),
                plan.channels,
                plan.calls_per_second,
            )
            for number, plan in found.items()
        }

    async def channels_in_use(self, numbers: Sequence[str]) -> int:
        answer = await self._http.ask("GET", "/v1/stats", timeout=ANSWER_S)
        found = self._http.read(_Stats, answer.document, "GET /v1/stats").numbers
        return sum(found[number].channels_in_use for number in set(numbers) if number in found)
