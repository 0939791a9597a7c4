"""Every way in which a request can fail is an AdapterError that says who was asked, what, and what came back."""

import json
from typing import Any

import httpx
import pytest
from pydantic import BaseModel

from tandem.adapters.carrier.http import HttpCarrier
from tandem.adapters.json_http import JsonHttp, new_transport
from tandem.adapters.names import Names
from tandem.adapters.softswitch.kamailio import KamailioSoftswitch
from tandem.engine.ports import AdapterError


def answering(status: int = 200, content: bytes = b"{}", seen: list[httpx.Request] | None = None) -> JsonHttp:
    def answer(request: httpx.Request) -> httpx.Response:
        if seen is not None:
            seen.append(request)
        return httpx.Response(status, content=content)

    return JsonHttp(httpx.MockTransport(answer), Names(ten), "CTI hotel", "http://cti:8081/", lambda: "t0ken")


async def ten(host: str) -> tuple[str, ...]:
    """A name server that knows one address."""
    return ("10.0.0.10",)


async def test_a_request_carries_token_body_and_parameters() -> None:
    seen: list[httpx.Request] = []
    answer = await answering(content=b'{"a": 1}', seen=seen).ask(
        "PUT", "/v1/x", timeout=1, body={"b": 2}, params={"after": 3, "wait": 1.5}
    )
    assert (answer.status, answer.document) == (200, {"a": 1})
    [request] = seen
    assert str(request.url) == "http://10.0.0.10:8081/v1/x?after=3&wait=1.5"
    assert request.headers["Host"] == "cti:8081"
    assert request.headers["Authorization"] == "Bearer t0ken"
    assert json.loads(request.content) == {"b": 2}


async def test_with_tls_a_connection_is_asked_for_by_name_and_never_shared_between_names() -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, content=b"{}")

    http = JsonHttp(httpx.MockTransport(answer), Names(ten), "carrier", "https://carrier.example", lambda: "")
    await http.ask("GET", "/v1/routes", timeout=1)
    assert str(seen[0].url) == "https://carrier.example/v1/routes"


async def test_a_url_without_a_possible_host_is_said_and_ends_nothing() -> None:
    http = JsonHttp(new_transport(), Names(), "carrier", "http://carrier..example", lambda: "")
    with pytest.raises(AdapterError, match=r"carrier at http://carrier\.\.example: .* is not the name of a host"):
        await http.ask("GET", "/x", timeout=1)


async def test_a_port_that_is_none_is_said_and_ends_nothing() -> None:
    http = JsonHttp(new_transport(), Names(), "carrier", "http://127.0.0.1:70000", lambda: "")
    with pytest.raises(AdapterError, match="70000 is no port; there are 1 to 65535"):
        await http.ask("GET", "/x", timeout=1)


async def test_a_token_that_no_header_can_hold_is_said_and_ends_nothing() -> None:
    http = JsonHttp(new_transport(), Names(), "carrier", "http://127.0.0.1:9", lambda: "s\xe9same")
    with pytest.raises(AdapterError, match=r"carrier at http://127\.0\.0\.1:9: GET /x was not answered"):
        await http.ask("GET", "/x", timeout=1)


@pytest.mark.parametrize(
    ("http", "said"),
    [
        pytest.param(answering(500, b"oops"), r"CTI hotel at http://cti:8081: GET /x was answered 500: oops", id="500"),
        pytest.param(answering(200, b"<html>"), r"GET /x was not answered with JSON: <html>", id="no-json"),
        pytest.param(answering(302, b""), r"was answered 302", id="redirect"),
    ],
)
async def test_a_bad_answer_is_quoted(http: JsonHttp, said: str) -> None:
    with pytest.raises(AdapterError, match=said):
        await http.ask("GET", "/x", timeout=1)


async def test_a_status_that_was_asked_for_is_an_answer() -> None:
    assert (await answering(409, b"{}").ask("GET", "/x", timeout=1, good=(200, 409))).status == 409


async def test_an_answer_that_does_not_fit_names_its_first_wrong_field() -> None:
    class Wanted(BaseModel):
        numbers: dict[str, int]

    http = answering()
    with pytest.raises(AdapterError, match=r"GET /v1/stats: numbers.4008001 is 'many'"):
        http.read(Wanted, {"numbers": {"4008001": "many"}}, "GET /v1/stats")
    with pytest.raises(AdapterError, match="the body is"):
        http.read(Wanted, [], "GET /v1/stats")


async def test_a_table_entry_that_somebody_else_wrote_counts_as_no_revision() -> None:
    """It is replaced by the next push instead of standing in its way."""
    slot: list[dict[str, Any]] = [
        {"name": "callcenter/a", "value": "12;50", "type": "str"},
        {"name": "callcenter/b", "value": "by hand", "type": "str"},
        {"name": "callcenter/c", "value": 7, "type": "int"},
    ]
    document = {"jsonrpc": "2.0", "id": 1, "result": [{"entry": 1, "size": 3, "slot": slot}]}
    adapter = KamailioSoftswitch(answering(content=json.dumps(document).encode()))
    assert await adapter.held() == {"callcenter/a": 12, "callcenter/b": 0, "callcenter/c": 7}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(b'{"jsonrpc": "2.0"}', r"core\.uptime: no result", id="none"),
        pytest.param(b'{"jsonrpc": "2.0", "result": {}}', r"core\.uptime: uptime is \{\}", id="empty"),
        pytest.param(b'{"error": {"code": 500, "message": "No"}}', r"core\.uptime: 500 No", id="error"),
    ],
)
async def test_a_json_rpc_answer_without_its_result_is_not_taken_for_success(content: bytes, said: str) -> None:
    """Kamailio answers what it has not understood, a batch for instance, with an empty result."""
    with pytest.raises(AdapterError, match=said):
        await KamailioSoftswitch(answering(content=content)).state()


async def test_numbers_that_the_carrier_does_not_know_have_no_calls() -> None:
    carrier = HttpCarrier(answering(content=b'{"numbers": {"1": {"channels_in_use": 3}, "2": {}}}'))
    assert await carrier.channels_in_use(["1", "1", "2", "3"]) == 3
