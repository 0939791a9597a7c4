"""Alarms with a real Prometheus that scrapes a real engine and a real CTI; the engine asks it."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from callcenter.directory import save
from tandem.adapters.alarms import prometheus as adapter_module
from tandem.adapters.alarms.prometheus import PrometheusServer
from tandem.api.alarms import Prometheus
from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import (
    AlarmsRecord,
    AlarmWord,
    DrillDue,
    DrillRecord,
    GroupReport,
    HoldRecord,
    MovesOfShift,
    MovesRecord,
    Record,
    ShiftRecord,
    SpecRecord,
    SystemReport,
)
from tandem.engine.ports import AdapterError, Delete, Put
from tandem.store.client import StoreClient
from tests.contract.cti.support import GROUP, CtiProcess, a_cti, a_directory
from tests.support.etcd import EtcdCluster
from tests.support.manifests import site
from tests.support.ports import free_port
from tests.support.prometheus import PrometheusProcess

pytestmark = [pytest.mark.contract, pytest.mark.slow]

DRILL: Final = "callcenter/monthly"
FOR_S: Final = 2.0
PATIENCE_S: Final = 10.0
"""Of the test's own questions to the store, on a machine that has much else to do."""
DOCS: Final = Path(__file__).parents[3] / "docs" / "drills.md"


@dataclass
class Stack:
    """One location: store, engine, CTI, and the Prometheus that scrapes them."""

    etcd: EtcdCluster
    prometheus: PrometheusProcess
    engine: subprocess.Popen[bytes]
    cti: CtiProcess


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("alarms")
    etcd = EtcdCluster(folder / "etcd")
    engine_port = free_port()
    save(a_directory(), folder / "directory.json.gz")
    cti = a_cti(folder, "east", {"east": free_port(), "west": free_port()}, evapi=free_port())
    scraped = {
        "tandem": [f"127.0.0.1:{engine_port}"],
        "callcenter": [cti.target.url.removeprefix("http://")],
    }
    prometheus = PrometheusProcess(folder / "prometheus", scraped)
    engine: subprocess.Popen[bytes] | None = None
    try:
        etcd.start()
        cti.launch()
        environment = {
            "PATH": os.environ["PATH"],
            "TANDEM_SITE": "witness",
            "TANDEM_STORE_ENDPOINTS": ",".join(etcd.urls()),
            "TANDEM_ENGINE_PORT": str(engine_port),
        }
        with (folder / "engine.log").open("ab") as log:
            engine = subprocess.Popen([sys.executable, "-m", "tandem.engine.main"], env=environment, stderr=log)
        prometheus.start()
        deadline = time.monotonic() + 30
        while len(prometheus.query("up == 1")) < 2:
            assert time.monotonic() < deadline, (
                f"{prometheus.query('up')}\n{(folder / 'engine.log').read_text()[-3000:]}"
            )
            time.sleep(0.1)
        yield Stack(etcd, prometheus, engine, cti)
    finally:
        prometheus.stop()
        cti.stop()
        if engine is not None:
            engine.terminate()
            engine.wait(timeout=20)
        etcd.stop()
        print((folder / "engine.log").read_text()[-5000:])


@pytest.fixture
async def store(stack: Stack) -> AsyncIterator[StoreClient]:
    async with stack.etcd.client() as client:
        yield client


async def put(store: StoreClient, key: str, record: Record) -> None:
    await store.txn([], [Put(key, record.encode())], timeout=PATIENCE_S)


async def due(store: StoreClient, stack: Stack, **alarm: Any) -> str:
    """A run is due that its windows keep waiting; the engine asks about this alarm. Returns the alarm's name."""
    name = f"a{time.monotonic_ns()}"
    spec = {
        "shift": {"selector": {"system": "hotel"}, "to": "west"},
        "windows": {"blocked": [{"reason": "for the test's sake"}]},
        "alarms": {
            "prometheus": {"url": stack.prometheus.url, "timeout": "1s"},
            "outcome": [{"name": name, **alarm}],
        },
    }
    now = time.time()
    await put(store, keys.spec("east", keys.DRILL, DRILL), SpecRecord(digest=spec_digest(spec, {}), spec=spec))
    run = DrillDue(name=name, at=now, until=now + 3600)
    await put(store, keys.drill(DRILL), DrillRecord(phase="Checking", after=now, due=run))
    return name


async def word(store: StoreClient, name: str) -> AlarmWord | None:
    held = await store.get(keys.alarms("witness", f"drills/{DRILL}"), timeout=PATIENCE_S)
    if held is None:
        return None
    record = AlarmsRecord.model_validate_json(held.value)
    return record.alarms.get(name) if record.purpose == f"before {name}" else None


async def until(store: StoreClient, name: str, state: str, within: float = 20.0) -> AlarmWord:
    deadline = time.monotonic() + within
    found = None
    while time.monotonic() < deadline:
        found = await word(store, name)
        if found is not None and found.state == state:
            return found
        await asyncio.sleep(0.05)
    raise AssertionError(f"not {state} within {within:.0f} s: {found}")


async def test_an_alarm_is_quiet_pending_firing_and_quiet_again(stack: Stack, store: StoreClient) -> None:
    name = await due(store, stack, query="max(tandem_hold) by (job) == 1", **{"for": f"{FOR_S:.0f}s"})
    await until(store, name, "Quiet")
    await put(store, keys.HOLD, HoldRecord(by="ada", reason="test", since=time.time()))
    pending = await until(store, name, "Pending")
    firing = await until(store, name, "Firing")
    assert firing.since - pending.since >= FOR_S
    assert (firing.value, firing.fired_value) == ('{job="tandem"} 1',) * 2
    await store.txn([], [Delete(keys.HOLD)], timeout=PATIENCE_S)
    quiet = await until(store, name, "Quiet")
    assert quiet.fired_at == firing.since  # what has fired has fired
    # The engine tells it on: an alert on alarms needs no access to Kubernetes.
    deadline = time.monotonic() + 10
    telling = f'tandem_alarm{{alarm="{name}",state="Quiet"}} == 1'
    while not stack.prometheus.query(telling):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.1)


async def test_an_alarm_about_the_cti(stack: Stack, store: StoreClient) -> None:
    query = f'callcenter_agents{{group="{GROUP}", state="signed_in"}} == 0'
    name = await due(store, stack, query=query)
    found = await until(store, name, "Firing")
    assert f'group="{GROUP}"' in found.value
    assert found.value.endswith(" 0")


async def test_a_prometheus_that_hangs_is_unknown_and_its_return_is_seen(stack: Stack, store: StoreClient) -> None:
    name = await due(store, stack, query="vector(0) > 1")
    await until(store, name, "Quiet")
    stack.prometheus.freeze()
    try:
        found = await until(store, name, "Unknown", within=10)
        assert "no answer within 1 s" in found.detail
    finally:
        stack.prometheus.thaw()
    await until(store, name, "Quiet")


async def test_a_query_that_is_wrong_is_said_in_prometheus_own_words(stack: Stack, store: StoreClient) -> None:
    name = await due(store, stack, query="sum(rate(lost[1m])")
    found = await until(store, name, "Unknown")
    assert "refuses the query (bad_data:" in found.detail
    assert "unclosed left parenthesis" in found.detail


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param("up", True, id="vector"),
        pytest.param("up > 1", False, id="empty"),
        pytest.param("vector(0)", True, id="a-vector-of-zero"),
        pytest.param("1", True, id="scalar"),
        pytest.param("0", False, id="zero"),
        pytest.param("no_such_series > 0", False, id="no-such-series"),
        pytest.param("absent(no_such_series)", True, id="absent"),
        pytest.param("scalar(no_such_series)", "NaN, which says nothing", id="nan"),
        pytest.param("up[1m]", "gives a matrix", id="matrix"),
        pytest.param('"up"', "gives a string", id="string"),
        pytest.param("rate(up)", "bad_data", id="type-error"),
        pytest.param("label_replace(up, 'job', '', '', '') + on() up", "execution", id="fails-while-it-is-evaluated"),
    ],
)
async def test_what_a_query_gives(stack: Stack, query: str, expected: bool | str) -> None:
    server = Prometheus(url=stack.prometheus.url)
    async with PrometheusServer() as adapter:
        if isinstance(expected, bool):
            assert (await adapter.ask(server, "callcenter", query)).fires is expected
        else:
            with pytest.raises(AdapterError, match=re.escape(expected)):
                await adapter.ask(server, "callcenter", query)


async def test_a_result_too_long_to_be_read_fires(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapter_module, "MOST_BYTES", 4096)
    async with PrometheusServer() as adapter:
        found = await adapter.ask(Prometheus(url=stack.prometheus.url), "callcenter", '{__name__=~".+"}')
    assert found.fires
    assert found.value.endswith("and more than can be read")


def documented() -> list[str]:
    """The queries that docs/drills.md offers."""
    text = DOCS.read_text(encoding="utf-8")
    (block,) = re.findall(r"```promql\n(.*?)```", text, re.S)
    return [line for line in block.splitlines() if line and not line.startswith("#")]


async def test_every_documented_query_is_understood_and_names_what_is_there(stack: Stack, store: StoreClient) -> None:
    # What only a city at work tells: a Site, its report, a Shift's arrivals.
    published: dict[str, Any] = site("east")["spec"]
    record = SpecRecord(digest=spec_digest(published, {}), spec=published)
    await put(store, keys.spec("east", keys.SITE, "east"), record)
    report = SystemReport(boot="b", groups={GROUP: GroupReport(signed_in=3)}, registered=3)
    await put(store, keys.report("east", "hotel"), report)
    moves = MovesOfShift(agents=1, p50=0.1, p95=0.1, max=0.1, last_at=0.0)
    await put(store, keys.moves("east", "hotel"), MovesRecord(shifts={"callcenter/s": moves}))
    queries = documented()
    assert len(queries) >= 8
    wanted = {name for query in queries for name in re.findall(r"\b(?:tandem|callcenter)_\w+", query)}
    deadline = time.monotonic() + 10
    while missing := wanted - stack.prometheus.names():
        assert time.monotonic() < deadline, missing
        await asyncio.sleep(0.2)
    async with PrometheusServer() as adapter:
        for query in queries:
            await adapter.ask(Prometheus(url=stack.prometheus.url), "callcenter", query)
        # One engine is scraped, not three.
        assert (await adapter.ask(Prometheus(url=stack.prometheus.url), "callcenter", queries[-1])).fires


# -- alarms at a Shift's gates


async def between_waves(store: StoreClient, stack: Stack, query: str) -> str:
    """A Shift between its two waves, of a group that is placed nowhere, so that nobody moves. Returns its name."""
    name = f"callcenter/s{time.monotonic_ns()}"
    quiet = [{"name": "held", "query": query}]
    asked = {"prometheus": {"url": stack.prometheus.url, "timeout": "1s"}, "quiet": quiet}
    spec = {"selector": {"system": "hotel"}, "to": "west", "waves": [50, 100], "gates": {"alarms": asked}}
    there = {"east": "0-99"}
    plan = {"group": "callcenter/none", "system": "hotel", "agents": 0, "to": "west", "moves": {}, "waves": [{}, {}]}
    record = {
        "spec": spec,
        "created_at": time.time(),
        "created_in": "east",
        "phase": "Moving",
        "wave": 1,
        "plan": [{**plan, "before": there, "after": there}],
    }
    await put(store, keys.shift(name), ShiftRecord.model_validate(record))
    return name


async def shift_until(store: StoreClient, name: str, found: Callable[[ShiftRecord], bool]) -> ShiftRecord:
    """The record once this is so."""
    deadline = time.monotonic() + 30.0
    while True:
        held = await store.get(keys.shift(name), timeout=PATIENCE_S)
        assert held is not None
        record = ShiftRecord.model_validate_json(held.value)
        if found(record):
            return record
        assert time.monotonic() < deadline, record
        await asyncio.sleep(0.05)


async def test_an_alarm_holds_the_next_wave_until_it_is_quiet(stack: Stack, store: StoreClient) -> None:
    name = await between_waves(store, stack, "vector(1) > 0")
    try:
        record = await shift_until(store, name, lambda record: record.gate == "Alarms")
        assert (record.wave, record.reason) == (1, "AlarmFiring")
        assert record.message.startswith("alarm held fires: vector(1) > 0 is 1, since ")
        key = keys.alarms("witness", f"shifts/{name}")
        held = await store.get(key, timeout=PATIENCE_S)
        assert held is not None
        assert AlarmsRecord.model_validate_json(held.value).purpose == "before wave 2"
    finally:
        await store.txn([], [Delete(keys.shift(name))], timeout=PATIENCE_S)
    name = await between_waves(store, stack, "vector(1) > 1")
    record = await shift_until(store, name, lambda record: record.phase == "Completed")
    assert record.wave == 2


async def test_a_prometheus_that_cannot_be_asked_holds_the_next_wave(stack: Stack, store: StoreClient) -> None:
    stack.prometheus.freeze()
    try:
        name = await between_waves(store, stack, "vector(1) > 1")
        record = await shift_until(store, name, lambda record: "no answer within 1 s" in record.message)
        assert (record.wave, record.gate, record.reason) == (1, "Alarms", "AlarmUnknown")
        assert record.message.startswith("alarm held cannot be asked by any location (witness: Prometheus at ")
    finally:
        stack.prometheus.thaw()
    record = await shift_until(store, name, lambda record: record.phase == "Completed")
    assert record.wave == 2
