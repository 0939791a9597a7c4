"""Health by HTTP: a fresh connection each time, as a client's would be, and a short deadline."""

import socket
from collections.abc import Iterator
from typing import Final

import httpx

from tandem.undisturbed import undisturbed

_SHOWN: Final = 120


class HealthError(Exception):
    """It was reached and does not serve, or it was not reached; the message says which."""


class NotAskedError(Exception):
    """Our own side could not ask; the message says why. Nobody else's fault."""


def new_client() -> httpx.AsyncClient:
    return httpx.AsyncClient(
        headers={"Connection": "close", "User-Agent": "tandem"},
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        trust_env=False,  # an observer that asks a proxy observes the proxy
    )


async def check(client: httpx.AsyncClient, url: str, timeout: float) -> None:
    """Return when `url` answers 2xx within `timeout` seconds.

    Raises: HealthError; NotAskedError when the host's name cannot be resolved here.
    """
    try:
        answer = await undisturbed(client.get(url, timeout=timeout), timeout)
    except (TimeoutError, httpx.TimeoutException):
        raise HealthError(f"no answer within {timeout:g} s") from None
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:  # httpx lets some TLS errors through
        if any(isinstance(cause, socket.gaierror) for cause in _causes(error)):
            raise NotAskedError(f"{error}") from error
        raise HealthError(f"{type(error).__name__} {error}".strip()) from error
    if not answer.is_success:
        raise HealthError(f"answered {answer.status_code}: {_reason(answer)}")


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _reason(answer: httpx.Response) -> str:
    """What the answer gives as its reason: `reason` of a JSON body, else how the body begins."""
    try:
        document = answer.json()
    except ValueError:
        document = None
    said = document.get("reason") if isinstance(document, dict) else None
    return str(said or answer.text)[:_SHOWN].strip()
