"""The alarms' server: instant queries by Prometheus' HTTP API, which Thanos, Mimir and VictoriaMetrics serve as well.

Nothing that is asked is trusted to answer well: the deadline is for all of it, at most `MOST_BYTES` are read, no
redirect is followed (a token would go along), and of what is no answer of Prometheus a message shows the kind only.
aiohttp, not httpx: a request that is given up is given up as a whole, also one that sends a byte now and then.
"""

import asyncio
import json
import math
import re
import socket
from pathlib import Path
from typing import Any, Final, Self

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult

from tandem.adapters.names import Names
from tandem.api.alarms import Prometheus
from tandem.api.common import duration_seconds
from tandem.domain.alarms import AlarmAnswer, token_path
from tandem.engine.ports import AdapterError

MOST_BYTES: Final = 256 * 1024
"""Of an answer that are read. One series would do, and reading more would keep the engine's loop from its probes."""

_SHOWN: Final = 300
_BEGINS = re.compile(
    rb'^\s*\{\s*"status"\s*:\s*"success"\s*,.{0,4096}?"resultType"\s*:\s*"vector"\s*,\s*"result"\s*:\s*\[', re.S
)
"""How an answer begins that is a vector. Prometheus writes its fields in this order."""


class PrometheusServer:
    """`engine.ports.AlarmServer`.

    Args: credentials: folder into which the operator writes tokens (`domain.alarms.token_path`).
    """

    def __init__(self, credentials: Path | None = None) -> None:
        self._credentials = credentials
        self._names = Names()
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=0, resolver=_Resolver(self._names), ssl=httpx.create_ssl_context(), use_dns_cache=False
        )
        self._http = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._http is not None:
            await self._http.close()
        await self._names.aclose()

    async def ask(self, server: Prometheus, namespace: str, query: str) -> AlarmAnswer:
        """See the port."""
        timeout = duration_seconds(server.timeout)
        who = f"Prometheus at {server.url}"
        headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
        token = self._token(server, namespace, who)
        if token:
            headers["Authorization"] = f"Bearer {token}"
        try:
            async with asyncio.timeout(timeout):
                status, kind, body = await self._exchange(server.url, query, timeout, headers)
        except TimeoutError as error:
            raise AdapterError(f"{who}: no answer within {timeout:g} s") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            words = f"{type(error).__name__} {error}".strip()
            raise AdapterError(f"{who} cannot be asked: {words}") from error
        return read_answer(who, status, kind, body)

    async def _exchange(self, url: str, query: str, timeout: float, headers: dict[str, str]) -> tuple[int, str, bytes]:
        assert self._http is not None
        # Prometheus itself gives up as well, instead of counting on for nobody.
        form = {"query": query, "timeout": f"{math.ceil(timeout * 1000)}ms"}
        async with self._http.post(
            f"{url.rstrip('/')}/api/v1/query", data=form, headers=headers, allow_redirects=False
        ) as answer:
            body = bytearray()
            async for chunk in answer.content.iter_chunked(64 * 1024):
                body += chunk
                if len(body) > MOST_BYTES:
                    break
            else:
                return answer.status, answer.content_type, bytes(body)
            answer.close()  # the rest is not read: this connection is of no more use
            return answer.status, answer.content_type, bytes(body)

    def _token(self, server: Prometheus, namespace: str, who: str) -> str:
        """Read anew each time: it may be changed while we run. Raises AdapterError when it is not there (yet)."""
        path = token_path(namespace, server)
        if path is None:
            return ""
        secret = server.credentials
        assert secret is not None
        named = f"{who}: the token in Secret {namespace}/{secret.name}, key {secret.key},"
        if self._credentials is None:
            raise AdapterError(f"{named} is not at hand: this engine is given no credentials; set TANDEM_CREDENTIALS")
        try:
            return (self._credentials / path).read_text().strip()
        except FileNotFoundError as error:
            remedy = "condition CredentialsReadable of the object that names it says why"
            raise AdapterError(f"{named} has not been handed over by the operator; {remedy}") from error
        except (OSError, ValueError) as error:
            raise AdapterError(f"{named} cannot be read: {error}") from error


class _Resolver(AbstractResolver):
    """Addresses from the adapters' memory: a name server that hangs keeps no thread busy for each question."""

    def __init__(self, names: Names) -> None:
        self._names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        address = await self._names.address(host)
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
        ]

    async def close(self) -> None:
        """The memory is its owner's to end."""


def read_answer(who: str, status: int, kind: str, body: bytes) -> AlarmAnswer:
    """What an HTTP answer says.

    Args:
        who: Who answered, for messages.
        status, kind: HTTP status and content type.
        body: At most `MOST_BYTES` and a little more; then the rest of it is missing.
    Raises: AdapterError when it says neither that the alarm fires nor that it is quiet.
    """
    if len(body) > MOST_BYTES:
        if status == 200 and (first := _first_of_many(body)) is not None:
            return AlarmAnswer(True, f"{_sample(first)}, and more than can be read")
        raise AdapterError(f"{who} answers with more than {MOST_BYTES} bytes; let the query count, like count(...) > 0")
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict) or document.get("status") not in ("success", "error"):
        raise AdapterError(f"{who}: HTTP {status} with {len(body)} bytes of {kind}, which is no answer of Prometheus")
    if document["status"] == "error":
        words = f"{document.get('errorType', 'error')}: {document.get('error', '')}"[:_SHOWN]
        raise AdapterError(f"{who} refuses the query ({words})")
    data = document.get("data")
    result_type = data.get("resultType") if isinstance(data, dict) else None
    if status != 200 or not isinstance(data, dict) or result_type not in ("vector", "scalar", "matrix", "string"):
        raise AdapterError(f"{who}: HTTP {status}, and its JSON is no result of a query")
    if result_type in ("matrix", "string"):
        raise AdapterError(f"{who}: the query gives a {result_type}; write one that gives a vector or a scalar")
    answer = _scalar(who, data.get("result")) if result_type == "scalar" else _vector(who, data.get("result"))
    if not answer.fires and (warnings := document.get("warnings")):
        # A part of the servers behind it may not have answered, and in that part it may be true.
        raise AdapterError(f"{who} has nothing that is true, and a warning: {str(warnings)[:_SHOWN]}")
    return answer


def _vector(who: str, result: Any) -> AlarmAnswer:
    if not isinstance(result, list):
        raise AdapterError(f"{who}: its vector is no list")
    if not result:
        return AlarmAnswer(False)
    more = f", and {len(result) - 1} more" if len(result) > 1 else ""
    return AlarmAnswer(True, f"{_sample(result[0])}{more}")


def _scalar(who: str, result: Any) -> AlarmAnswer:
    try:
        value = float(result[1])
    except (TypeError, ValueError, LookupError) as error:
        raise AdapterError(f"{who}: its scalar is no number") from error
    if math.isnan(value):
        raise AdapterError(f"{who}: the query gives NaN, which says nothing; is there such a series?")
    return AlarmAnswer(value != 0, str(result[1])[:_SHOWN] if value else "")


def _sample(sample: Any) -> str:
    """A series and its value, like `{site="east"} 3`, of whatever was answered."""
    try:
        labels, value = dict(sample["metric"]), sample["value"][1] if "value" in sample else "a histogram"
    except (TypeError, ValueError, LookupError):
        return "a series that cannot be read"
    name = str(labels.pop("__name__", ""))
    inner = ", ".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
    return f"{name}{{{inner}}} {value}".replace("{} ", " " if name else "")[:_SHOWN].strip()


def _first_of_many(body: bytes) -> Any:
    """The first series of a vector whose end is missing; None: it is none."""
    begins = _BEGINS.match(body)
    if begins is None:
        return None
    try:
        first, _ = json.JSONDecoder().raw_decode(body[begins.end() :].decode(errors="replace").lstrip())
    except (ValueError, RecursionError):
        return None
    return first if isinstance(first, dict) else None
