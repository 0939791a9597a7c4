"""The `http` carrier adapter against the reference carrier."""

import asyncio
import signal
import socket
from collections.abc import Iterator

import httpx
import pytest

from tandem.adapters.carrier.http import HttpCarrier
from tandem.engine.ports import AdapterError, CarrierPlan, CarrierRoute
from tests.contract.adapters.conftest import HttpTo
from tests.contract.agents.two_cities import Process, get, wait_until
from tests.contract.softswitch.kamailio import loopback_address
from tests.support.ports import free_port

pytestmark = pytest.mark.contract

ROUTES = (
    CarrierRoute("east", "127.0.0.1:9", 60, ("010", "021")),
    CarrierRoute("west", "127.0.0.2:9", 40),
    CarrierRoute("overflow", "127.0.0.3:9", 0),
)


@pytest.fixture(scope="module")
def carrier(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running carrier. Each test has a number of its own."""
    ip = loopback_address()
    address = f"{ip}:{free_port(ip)}"
    sip = f"{ip}:{free_port(ip, socket.SOCK_DGRAM)}"
    process = Process(
        ["-m", "callcenter.carrier.main", "--http", address, "--sip", sip],
        tmp_path_factory.mktemp("carrier") / "carrier.log",
    )
    process.start()
    try:
        wait_until(lambda: get(f"http://{address}/healthz") is not None, within=10, what="the carrier listening")
        yield f"http://{address}"
    finally:
        process.stop(signal.SIGKILL)


async def test_routes_are_there_as_they_were_decided(carrier: str, http_to: HttpTo, client: httpx.AsyncClient) -> None:
    adapter = HttpCarrier(http_to(carrier, ""))
    await adapter.push("4008001", CarrierPlan(12, ROUTES, 100, 20))
    await adapter.push("4008001", CarrierPlan(12, ROUTES, 100, 20))
    assert (await adapter.held())["4008001"] == CarrierPlan(12, ROUTES, 100, 20)
    held = (await client.get(f"{carrier}/v1/routes")).json()["4008001"]
    assert (held["revision"], held["channels"], held["calls_per_second"]) == (12, 100, 20)
    assert [CarrierRoute(**{**route, "callers": tuple(route["callers"])}) for route in held["routes"]] == list(ROUTES)


async def test_an_older_revision_is_refused_by_name(carrier: str, http_to: HttpTo) -> None:
    adapter = HttpCarrier(http_to(carrier, ""))
    await adapter.push("4008002", CarrierPlan(12, ROUTES, 100, 20))
    with pytest.raises(AdapterError, match=r"409.*StaleRevision"):
        await adapter.push("4008002", CarrierPlan(11, ROUTES, 100, 20))


async def test_calls_in_progress_are_counted_for_the_numbers_asked(
    carrier: str, http_to: HttpTo, client: httpx.AsyncClient
) -> None:
    adapter = HttpCarrier(http_to(carrier, ""))
    assert await adapter.channels_in_use(["4008003"]) == 0
    # Somebody who receives calls and never answers.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        nowhere = CarrierRoute("east", f"127.0.0.1:{silent.getsockname()[1]}", 1)
        await adapter.push("4008003", CarrierPlan(12, (nowhere,), 100, 20))
        load = {"calls_per_second": 10, "talk": [4, 5], "numbers": ["4008003"], "seed": 1}
        (await client.put(f"{carrier}/v1/load", json=load)).raise_for_status()
        async with asyncio.timeout(5):
            in_use = 0
            while in_use < 2:
                await asyncio.sleep(0.05)
                in_use = await adapter.channels_in_use(["4008003", "4008003", "4008999"])
        assert await adapter.channels_in_use(["4008999"]) == 0
        (await client.put(f"{carrier}/v1/load", json={"calls_per_second": 0})).raise_for_status()


async def test_a_route_that_the_carrier_cannot_use_is_an_error_that_names_it(carrier: str, http_to: HttpTo) -> None:
    adapter = HttpCarrier(http_to(carrier, ""))
    with pytest.raises(AdapterError, match=r"400.*target"):
        await adapter.push("4008004", CarrierPlan(12, (CarrierRoute("east", "not-an-address", 1),), 100, 20))
