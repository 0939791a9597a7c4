"""CTI contract tests: by default against real CTI processes that are started here, on loopback and free ports.

`pytest tests/contract/cti --cti-url http://cti:8081 --token TOKEN` checks any other implementation of the contract, and
with `--client-url http://cti:8080 --location NAME` its synthetic sign-in too. It
writes placements (to the group given by --group, or to every group that the CTI reports), so point it at a test system.
"""

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from callcenter.directory import save
from tests.contract.cti.support import CtiProcess, Target, a_cti, a_directory, two_cities
from tests.support.ports import free_port


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("CTI contract")
    group.addoption("--cti-url", help="control port of a CTI to check instead of the reference CTI")
    group.addoption("--token", help="its control token")
    group.addoption("--group", help="the agent group whose placement may be written (default: all it reports)")
    group.addoption("--client-url", help="its client port: test agents are signed in there too")
    group.addoption("--location", default="east", help="the location whose test agent that is (default: east)")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Against somebody else's CTI only the contract can be checked, not the reference clients' protocol."""
    if config.getoption("--cti-url", None) is None:
        return
    here = Path(__file__).parent
    others = [item for item in items if item.path.parent == here and item.path.name != "test_conformance.py"]
    if config.getoption("--client-url", None) is None:
        others += [item for item in items if "client_url" in getattr(item, "fixturenames", ())]
    if others:
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


@pytest.fixture
async def cities(tmp_path: Path) -> AsyncIterator[dict[str, CtiProcess]]:
    """Two reference CTI processes, east and west, of the system hotel."""
    async with two_cities(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def target(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The CTI that the conformance test checks."""
    url = request.config.getoption("--cti-url", None)
    if url is not None:
        token = request.config.getoption("--token", None)
        if token is None:
            raise pytest.UsageError("--cti-url needs --token as well")
        group, client_url = (request.config.getoption(option, None) for option in ("--group", "--client-url"))
        yield Target(url.rstrip("/"), token, group, client_url)
        return
    tmp_path = tmp_path_factory.mktemp("conformance")
    save(a_directory(observers=["east"]), tmp_path / "directory.json.gz")
    cti = a_cti(tmp_path, "east", {"east": free_port(), "west": free_port()}, evapi=free_port())
    try:
        cti.launch()
        deadline = time.monotonic() + 15
        while not cti.serves():
            assert time.monotonic() < deadline, "the CTI does not serve"
            time.sleep(0.02)
        yield cti.target
    finally:
        cti.stop()


@pytest.fixture
def client_url(target: Target) -> str:
    """Where clients connect. Tests that ask for it are left out when another CTI's is not given."""
    assert target.client_url is not None
    return target.client_url


@pytest.fixture
def location(request: pytest.FixtureRequest) -> str:
    """The location whose test agent the CTI's directory has."""
    return str(request.config.getoption("--location", "east"))
