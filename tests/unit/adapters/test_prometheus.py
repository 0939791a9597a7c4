"""What an answer of the alarms' server says, and what is no answer."""

import json
from typing import Any

import pytest

from tandem.adapters.alarms.prometheus import MOST_BYTES, PrometheusServer, read_answer
from tandem.api.alarms import Prometheus
from tandem.domain.alarms import AlarmAnswer
from tandem.engine.ports import AdapterError

WHO = "Prometheus at http://p:9090"


def vector(*samples: tuple[dict[str, str], str]) -> dict[str, Any]:
    return data("vector", [{"metric": metric, "value": [1.5, value]} for metric, value in samples])


def data(kind: str, result: Any, **more: Any) -> dict[str, Any]:
    return {"status": "success", "data": {"resultType": kind, "result": result}, **more}


def read(document: Any, status: int = 200) -> AlarmAnswer:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return read_answer(WHO, status, "application/json", body)


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        pytest.param(vector(), AlarmAnswer(False), id="an-empty-vector"),
        pytest.param(vector(({}, "0")), AlarmAnswer(True, "0"), id="a-vector-of-zero-is-not-empty"),
        pytest.param(vector(({"site": "east"}, "3")), AlarmAnswer(True, '{site="east"} 3'), id="labels"),
        pytest.param(
            vector(({"__name__": "up", "job": "x"}, "0"), ({}, "1")),
            AlarmAnswer(True, 'up{job="x"} 0, and 1 more'),
            id="two",
        ),
        pytest.param(data("scalar", [1.5, "0"]), AlarmAnswer(False), id="zero"),
        pytest.param(data("scalar", [1.5, "-2"]), AlarmAnswer(True, "-2"), id="a-number"),
        pytest.param(data("scalar", [1.5, "+Inf"]), AlarmAnswer(True, "+Inf"), id="infinity"),
        pytest.param(
            data("vector", [{"metric": {}, "histogram": [1.5, {}]}]), AlarmAnswer(True, "a histogram"), id="histogram"
        ),
        pytest.param(
            {**vector(({}, "1")), "warnings": ["truncated"]}, AlarmAnswer(True, "1"), id="a-warning-beside-what-is-true"
        ),
    ],
)
def test_what_fires(document: Any, expected: AlarmAnswer) -> None:
    assert read(document) == expected


@pytest.mark.parametrize(
    ("document", "status", "words"),
    [
        pytest.param(data("scalar", [1.5, "NaN"]), 200, "NaN, which says nothing", id="nan"),
        pytest.param(data("matrix", []), 200, "gives a matrix; write one that gives a vector or a scalar", id="matrix"),
        pytest.param(data("string", [1.5, "x"]), 200, "gives a string", id="string"),
        pytest.param(data("vector", {}), 200, "its vector is no list", id="vector-that-is-none"),
        pytest.param(data("scalar", []), 200, "its scalar is no number", id="scalar-that-is-none"),
        pytest.param(data("scalar", [1.5, {}]), 200, "its scalar is no number", id="scalar-that-is-an-object"),
        pytest.param(
            {**vector(), "warnings": ["store x is away"]}, 200, "a warning: ['store x is away']", id="partial"
        ),
        pytest.param(
            {"status": "error", "errorType": "bad_data", "error": "1:5: parse error"},
            400,
            "refuses the query (bad_data: 1:5: parse error)",
            id="a-wrong-query",
        ),
        pytest.param({"status": "success"}, 200, "its JSON is no result of a query", id="no-data"),
        pytest.param(vector(), 500, "HTTP 500, and its JSON", id="a-result-with-an-error"),
        pytest.param(
            b"<html>sign in</html>", 200, "HTTP 200 with 20 bytes of application/json, which is no", id="html"
        ),
        pytest.param(b"\xff\xfe\x00", 200, "which is no answer of Prometheus", id="bytes"),
        pytest.param(b"[" * 100_000, 200, "which is no answer of Prometheus", id="a-trap-for-parsers"),
        pytest.param(b"", 302, "HTTP 302 with 0 bytes", id="a-redirect"),
        pytest.param([1], 200, "which is no answer of Prometheus", id="a-list"),
        pytest.param(b"x" * (MOST_BYTES + 1), 200, "more than 262144 bytes; let the query count", id="endless"),
        pytest.param(
            (json.dumps(data("matrix", [1])) + " " * MOST_BYTES).encode(),
            200,
            "let the query count",
            id="endless-matrix",
        ),
    ],
)
def test_what_is_no_answer_and_why(document: Any, status: int, words: str) -> None:
    with pytest.raises(AdapterError) as error:
        read(document, status)
    assert str(error.value).startswith(WHO)
    assert words in str(error.value)


def test_what_no_answer_holds_is_not_repeated() -> None:
    with pytest.raises(AdapterError) as error:
        read(b"password=secret")
    assert "secret" not in str(error.value)


def test_a_vector_too_long_to_be_read_fires() -> None:
    many = [({"instance": f"10.0.{n // 256}.{n % 256}", "note": '"],}' * 5}, "0") for n in range(5000)]
    body = json.dumps(vector(*many)).encode()[: MOST_BYTES + 1000]
    answer = read(body)
    assert answer.fires
    assert answer.value.startswith('{instance="10.0.0.0", note=')
    assert answer.value.endswith("} 0, and more than can be read")


async def test_a_token_that_was_not_handed_over_is_said(tmp_path: Any) -> None:
    server = Prometheus.model_validate({"url": "http://p:9090", "credentials": {"name": "prometheus"}})
    async with PrometheusServer(tmp_path) as adapter:
        with pytest.raises(AdapterError, match=r"Secret callcenter/prometheus, key token, has not been handed over"):
            await adapter.ask(server, "callcenter", "up")
    async with PrometheusServer() as adapter:
        with pytest.raises(AdapterError, match="set TANDEM_CREDENTIALS"):
            await adapter.ask(server, "callcenter", "up")
