"""The lab for all end-to-end tests: started once, mended after each test, stopped at the end.

It always starts with empty clusters. `LAB_KEEP=1` takes a lab that runs already as it is and leaves it running.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Generator

import pytest
import pytest_asyncio

import lab as lab_package
from lab.interface import Lab
from tests.e2e.alarm_fixtures import prometheus
from tests.e2e.callcenter_fixtures import callcentre, centre, restless

__all__ = ["callcentre", "centre", "prometheus", "restless"]

FIRST = "e2e/lab/test_start_stop.py"
"""These stop the lab: they run before anything is installed in it."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What stops the lab goes first; the rest keeps its order."""
    items.sort(key=lambda item: FIRST not in item.nodeid)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What fails says why at once: a run that is ended from outside never comes to its summary."""
    report = yield
    terminal = item.config.pluginmanager.get_plugin("terminalreporter")
    if report.failed and terminal is not None:
        terminal.write(f"\n{report.longreprtext}\n")
    return report


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lab() -> AsyncIterator[Lab]:
    """Three cities, whole and (unless LAB_KEEP is set) empty."""
    cities = lab_package.current()
    keep = bool(os.environ.get("LAB_KEEP"))
    if not keep:
        # On a machine of CI's whatever still runs was left by an earlier run, perhaps of another checkout.
        await cities.down(force=bool(os.environ.get("CI")))
    try:
        await cities.up()
        yield cities
    finally:
        if not keep:
            await cities.down()


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def mended(request: pytest.FixtureRequest) -> AsyncIterator[None]:
    """Whatever a test broke is mended, however it ended."""
    cities: Lab | None = request.getfixturevalue("lab") if "lab" in request.fixturenames else None
    yield
    if cities is not None and await asyncio.to_thread(cities.runs):  # what a test has stopped has no faults
        await cities.faults.undo_all()
