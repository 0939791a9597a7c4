"""A Prometheus that scrapes the lab's engines, and an alarm that agents set off by going on break."""

from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from lab.addresses import CITIES, LOCATIONS
from lab.interface import Lab
from tests.e2e.callcenter_fixtures import E2E_OUT
from tests.support.prometheus import arguments, write_config

ADDRESS: Final = f"{LOCATIONS['carrier'].address}:9090"
ON_BREAK: Final = 3
QUERY: Final = f'sum(max by (site, group) (tandem_agents{{state="on_break"}})) >= {ON_BREAK}'


@pytest.fixture
def prometheus(lab: Lab) -> Iterator[str]:
    """Outside the cities; scrapes every location's engine four times a second. Its URL."""
    folder = E2E_OUT / "prometheus"
    config = write_config(folder, {"tandem": [f"{city.address}:30590" for city in CITIES.values()]})
    process = lab.spawn("carrier", arguments(folder, config, ADDRESS), log=folder / "prometheus.log")
    try:
        yield f"http://{ADDRESS}"
    finally:
        process.terminate()
        process.wait(timeout=20)


def alarm(name: str) -> dict[str, Any]:
    """Fires while ON_BREAK agents or more are on break."""
    return {"name": name, "query": QUERY}


async def set_off(centre: CallCentre, accounts: list[str], prometheus: str) -> None:
    """These agents go on break, and Prometheus has seen it."""
    await centre.floors.press("break", accounts)

    async def seen() -> tuple[bool, str]:
        async with httpx.AsyncClient(trust_env=False, timeout=5.0) as client:
            answer = await client.get(f"{prometheus}/api/v1/query", params={"query": QUERY})
        return bool(answer.json()["data"]["result"]), answer.text[:300]

    await until("Prometheus sees them on break", seen, timeout=20)
