"""Real parts of the reference call centre for the adapters: a Kamailio, a CTI, a carrier."""

from collections.abc import AsyncIterator, Callable, Iterator

import httpx
import pytest

from callcenter.directory import GroupSize, generate, save
from tandem.adapters.json_http import JsonHttp, new_transport
from tandem.adapters.names import Names
from tests.contract.softswitch.kamailio import Softswitch, missing

HttpTo = Callable[[str, str], JsonHttp]
"""(url, token) -> requests to it."""


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    """For a look behind an adapter's back."""
    async with httpx.AsyncClient(trust_env=False) as opened:
        yield opened


@pytest.fixture
async def http_to() -> AsyncIterator[HttpTo]:
    async with new_transport() as transport:
        yield lambda url, token: JsonHttp(transport, Names(), "it", url, lambda: token)


@pytest.fixture(scope="module")
def softswitch(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Softswitch]:
    """A Kamailio with the reference configuration, its tables as a restart leaves them."""
    if lacking := missing():
        pytest.fail(f"this machine lacks {lacking}")
    folder = tmp_path_factory.mktemp("softswitch")
    group = GroupSize("callcenter/hotel-north-sales", "hotel", 20)
    save(generate([group], cities=["east", "west"], realm="callcenter", seed="test"), folder / "directory.json.gz")
    running = Softswitch("east", folder / "directory.json.gz", folder / "run")
    try:
        running.start()
        yield running
    finally:
        running.kill()
