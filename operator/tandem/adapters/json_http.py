"""One HTTP request with JSON both ways and a deadline; every failure is an AdapterError that says who and what."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from tandem.adapters.names import Names
from tandem.api.common import LAST_PORT
from tandem.engine.ports import AdapterError
from tandem.undisturbed import undisturbed

CONNECT_S: Final = 1.0
"""Longest wait for a connection."""

_SHOWN: Final = 300
_GOOD: Final = (200,)

M = TypeVar("M", bound=BaseModel)
Token = Callable[[], str]
"""Read for each request: tokens are changed while the engine runs. Empty: none is sent. Raises AdapterError."""


def new_transport() -> httpx.AsyncHTTPTransport:
    """Connections for all adapters of one engine. Its callers are few and each asks one thing at a time.

    The transport alone: what httpx's client adds (redirects, cookies, authentication flows, the environment's proxies)
    is not wanted here, and takes a third of a request's time.
    """
    return httpx.AsyncHTTPTransport(
        limits=httpx.Limits(max_connections=None, keepalive_expiry=15.0),
        trust_env=False,  # what is inside a city is reached directly, whatever proxy the environment names
    )


@dataclass(frozen=True)
class Answer:
    """A status that the caller asked for, and its JSON."""

    status: int
    document: Any


class JsonHttp:
    """Requests to one base URL.

    Args:
        transport, names: Shared by all adapters.
        who: What is at the other end, for messages: `CTI hotel`.
        url: Base URL.
        token: For `Authorization: Bearer`.
    """

    def __init__(self, transport: httpx.AsyncBaseTransport, names: Names, who: str, url: str, token: Token) -> None:
        self._transport = transport
        self._names = names
        self._who = who
        self._url = url.rstrip("/")
        self._token = token

    async def ask(
        self,
        method: str,
        path: str,
        *,
        timeout: float,
        body: Any = None,
        params: Mapping[str, str | int | float] | None = None,
        good: Collection[int] = _GOOD,
    ) -> Answer:
        """Ask once.

        Args:
            timeout: Seconds for the whole exchange.
            good: Statuses that are an answer.
        Raises: AdapterError.
        """
        token = self._token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        times = httpx.Timeout(timeout, connect=min(CONNECT_S, timeout)).as_dict()
        host = ""
        try:
            url = httpx.URL(self._url + path, params=params) if params else httpx.URL(self._url + path)
            if url.port is not None and not 0 < url.port <= LAST_PORT:
                raise httpx.InvalidURL(f"{url.port} is no port; there are 1 to {LAST_PORT}")
            if url.scheme == "http":  # with TLS a connection belongs to a name, and is never used for another one
                host = url.host
                headers |= {"Host": url.netloc.decode()}
                url = url.copy_with(host=await self._names.address(host))
            request = httpx.Request(method, url, json=body, headers=headers, extensions={"timeout": times})
            answer = await undisturbed(self._exchange(request), timeout)
            self._names.trust(host)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
            # httpx lets some TLS errors through, and headers are to be ASCII.
            self._names.doubt(host)
            words = f"{type(error).__name__} {error}".strip()
            raise self.error(f"{method} {path} was not answered within {timeout:g} s: {words}") from error
        if answer.status_code not in good:
            raise self.error(f"{method} {path} was answered {answer.status_code}: {answer.text[:_SHOWN].strip()}")
        try:
            return Answer(answer.status_code, json.loads(answer.content))
        except ValueError as error:
            raise self.error(f"{method} {path} was not answered with JSON: {answer.text[:_SHOWN].strip()}") from error

    async def _exchange(self, request: httpx.Request) -> httpx.Response:
        answer = await self._transport.handle_async_request(request)
        try:
            await answer.aread()
        finally:
            await answer.aclose()
        return answer

    def read(self, model: type[M], document: Any, what: str) -> M:
        """The document as `model`. Raises AdapterError that names the first field that is wrong."""
        try:
            return model.model_validate(document)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(map(str, first["loc"])) or "the body"
            raise self.error(f"{what}: {where} is {first['input']!r:.80}: {first['msg']}") from error

    def error(self, said: str) -> AdapterError:
        return AdapterError(f"{self._who} at {self._url}: {said}")
