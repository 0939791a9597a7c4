"""The carrier as a process: its HTTP API, its command line, its end."""

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.contract.agents.two_cities import Process, get, wait_until
from tests.contract.softswitch.kamailio import loopback_address
from tests.support.ports import free_port

pytestmark = pytest.mark.contract


class Carrier:
    """A running carrier, and its API."""

    def __init__(self, work: Path) -> None:
        ip = loopback_address()
        self.url = f"http://{ip}:{free_port(ip)}"
        sip = f"{ip}:{free_port(ip, socket.SOCK_DGRAM)}"
        argv = ["-m", "callcenter.carrier.main", "--http", self.url.removeprefix("http://"), "--sip", sip]
        self.process = Process(argv, work / "carrier.log")
        self.process.start()
        wait_until(lambda: get(f"{self.url}/healthz") is not None, within=10, what="the carrier listening")

    def request(self, method: str, path: str, body: Any = None) -> httpx.Response:
        return httpx.request(method, f"{self.url}{path}", json=body, timeout=5, trust_env=False)


@pytest.fixture
def carrier(tmp_path: Path) -> Iterator[Carrier]:
    carrier = Carrier(tmp_path)
    yield carrier
    carrier.process.stop(signal.SIGKILL)


def a_plan(revision: int = 1) -> dict[str, Any]:
    route = {"name": "east", "target": "127.0.0.1:9", "weight": 1, "callers": ["010"]}
    return {"revision": revision, "routes": [route], "channels": 5, "calls_per_second": 2.5}


def test_routes_are_kept_as_given_and_never_go_back(carrier: Carrier) -> None:
    answer = carrier.request("PUT", "/v1/routes/4008001", a_plan(7))
    assert (answer.status_code, answer.json()) == (200, {"number": "4008001", "revision": 7})
    stale = carrier.request("PUT", "/v1/routes/4008001", a_plan(6))
    assert (stale.status_code, stale.json()["error"]) == (409, "StaleRevision")
    assert carrier.request("GET", "/v1/routes").json() == {"4008001": a_plan(7)}


@pytest.mark.parametrize(
    ("method", "path", "body", "named"),
    [
        ("PUT", "/v1/routes/4008001", {"revision": 1, "routes": []}, "routes"),
        ("PUT", "/v1/load", {"calls_per_second": "x"}, "calls_per_second 'x'"),
        ("GET", "/v1/calls?after=x", None, "after 'x'"),
    ],
)
def test_what_is_wrong_is_named(carrier: Carrier, method: str, path: str, body: Any, named: str) -> None:
    answer = carrier.request(method, path, body)
    assert answer.status_code == 400
    assert named in answer.json()["message"]


def test_a_body_that_is_no_json_is_refused(carrier: Carrier) -> None:
    answer = httpx.put(f"{carrier.url}/v1/load", content=b"{", timeout=5, trust_env=False)
    assert answer.status_code == 400


def test_load_places_calls_that_are_listed_counted_and_forgotten(carrier: Carrier) -> None:
    carrier.request("PUT", "/v1/routes/4008001", a_plan() | {"channels": None, "calls_per_second": None})
    carrier.request("PUT", "/v1/load", {"calls_per_second": 40, "numbers": None, "seed": 1, "arrivals": "even"})
    time.sleep(2)
    carrier.request("PUT", "/v1/load", {"calls_per_second": 0})
    wait_until(lambda: carrier.request("GET", "/v1/stats").json()["active"] == 0, within=5, what="every call ending")
    answer = carrier.request("GET", "/v1/calls?after=0").json()
    assert 70 <= len(answer["calls"]) <= 90
    # The only route serves callers from 010; the others find none, and whoever finds it finds nobody there.
    for call in answer["calls"]:
        assert call["fate"] == "refused"
        served = call["caller"].startswith("010")
        assert (call["by"], call["code"]) == (("softswitch-east", 408) if served else ("carrier", 404))
    stats = carrier.request("GET", "/v1/stats").json()
    assert stats["placed"] == stats["fates"]["refused"] == len(answer["calls"])
    assert carrier.request("GET", f"/v1/calls?after={answer['seq']}").json()["calls"] == []
    carrier.request("DELETE", "/v1/calls")
    assert carrier.request("GET", "/v1/calls?after=0").json() == {"seq": answer["seq"], "calls": []}


def test_all_callers_hang_up_when_they_are_told_to(carrier: Carrier) -> None:
    plan = a_plan()
    routes = [route | {"callers": []} for route in plan["routes"]]
    carrier.request("PUT", "/v1/routes/4008001", plan | {"routes": routes, "channels": None, "calls_per_second": None})
    carrier.request("PUT", "/v1/load", {"calls_per_second": 40, "numbers": None, "seed": 1, "arrivals": "even"})
    time.sleep(0.5)
    carrier.request("PUT", "/v1/load", {"calls_per_second": 0})
    ended = carrier.request("POST", "/v1/hangup").json()["calls"]
    assert ended >= 10  # they would have tried for two seconds to find somebody there
    stats = carrier.request("GET", "/v1/stats").json()
    assert (stats["active"], stats["fates"]) == (0, {"abandoned": ended})


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_to(carrier: Carrier, signum: signal.Signals) -> None:
    assert carrier.process.stop(signum, within=5) == 0


def test_an_address_that_nobody_could_answer_to_is_refused(tmp_path: Path) -> None:
    process = Process(["-m", "callcenter.carrier.main", "--sip", "0.0.0.0:5060"], tmp_path / "log")
    process.start()
    assert process.popen is not None
    assert process.popen.wait(10) == 2
    assert "--advertise" in process.tail()
