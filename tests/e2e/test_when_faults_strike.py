"""Some cases of the fault matrix (`make matrix` has all): each fault, what must come of it, and nothing broken."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from demo.callcentre import CallCentre
from tests.bench.leadership import Leadership
from tests.matrix.__main__ import ctis_of, watcher_of
from tests.matrix.cases import CASES, IN_TESTS, Case
from tests.matrix.ctis import CtiWatcher
from tests.matrix.runner import run
from tests.matrix.scene import Scene
from tests.matrix.watcher import CallWatcher, StoreWatcher

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def store(callcentre: CallCentre) -> AsyncIterator[StoreWatcher]:
    watcher = watcher_of(callcentre)
    await watcher.start()
    yield watcher
    await watcher.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def calls(callcentre: CallCentre) -> AsyncIterator[CallWatcher]:
    watcher = CallWatcher(callcentre.installation.carrier_url)
    yield watcher
    await watcher.aclose()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def ctis(callcentre: CallCentre) -> AsyncIterator[CtiWatcher]:
    watcher = await ctis_of(callcentre)
    watcher.start()
    yield watcher
    await watcher.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def scene(callcentre: CallCentre, store: StoreWatcher, ctis: CtiWatcher) -> AsyncIterator[Scene]:
    leadership = Leadership(callcentre)
    made = Scene(callcentre, leadership, store, ctis)
    yield made
    await made.undo()
    await leadership.aclose()


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES if case.name in IN_TESTS])
async def test_a_fault_has_the_outcome_it_must_have_and_breaks_nothing(
    centre: CallCentre, scene: Scene, calls: CallWatcher, case: Case
) -> None:
    result = await run(case, scene, calls, lambda line: print(line, flush=True))
    assert result.ok, result
