"""One HTTP request with JSON both ways and a deadline; every failure is an AdapterError that says who and what."""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from tandem.engine.ports import AdapterError
from tandem.undisturbed import undisturbed

CONNECT_S: Final = 1.0
"""Longest wait for a connection."""

_SHOWN: Final = 300
_GOOD: Final = (200,)

M = TypeVar("M", bound=BaseModel)
Token = Callable[[], str]
"""Read for each request: tokens are changed while the engine runs. Empty: none is sent. Raises AdapterError."""


def new_client() -> httpx.AsyncClient:
    """A client for all adapters of one engine. Its callers are few and each asks one thing at a time."""
    return httpx.AsyncClient(
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
        client: Shared by all adapters.
        who: What is at the other end, for messages: `CTI hotel`.
        url: Base URL.
        token: For `Authorization: Bearer`.
    """

    def __init__(self, client: httpx.AsyncClient, who: str, url: str, token: Token) -> None:
        self._client = client
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
        request = self._client.request(
            method,
            self._url + path,
            json=body,
            params=params,
            headers={"Authorization": f"Bearer {token}"} if token else None,
            timeout=httpx.Timeout(timeout, connect=min(CONNECT_S, timeout)),
        )
        try:
            answer = await undisturbed(request, timeout)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # httpx lets some TLS errors through
            words = f"{type(error).__name__} {error}".strip()
            raise self.error(f"{method} {path} was not answered within {timeout:g} s: {words}") from error
        if answer.status_code not in good:
            raise self.error(f"{method} {path} was answered {answer.status_code}: {answer.text[:_SHOWN].strip()}")
        try:
            return Answer(answer.status_code, json.loads(answer.content))
        except ValueError as error:
            raise self.error(f"{method} {path} was not answered with JSON: {answer.text[:_SHOWN].strip()}") from error

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
