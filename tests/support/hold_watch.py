"""When each engine has seen the big red button, by its own metrics."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Mapping
from typing import Final

import httpx

LOOK_EVERY_S: Final = 0.1
SEEN: Final = "tandem_hold 1"


def says_held(metrics: str) -> bool:
    """Whether this engine holds everything, in what `GET /metrics` says."""
    return SEEN in metrics.splitlines()


def late(seen: Mapping[str, float | None], since: float, within_s: float) -> list[str]:
    """Who saw it late or not at all, with the seconds. `since`: when it was pressed, on the clock of `seen`."""
    found = []
    for city, at in sorted(seen.items()):
        if at is None:
            found.append(f"{city} has not seen it")
        elif at - since > within_s:
            found.append(f"{city} saw it after {at - since:.2f} s")
    return found


class HoldWatch:
    """Asks every engine ten times a second. Start it before the button is pressed: `async with`.

    Args:
        urls: City -> its engine's address.
    """

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._http = httpx.AsyncClient(timeout=1.0, trust_env=False)
        self._urls = urls
        self._tasks: list[asyncio.Task[None]] = []
        self.seen: dict[str, float | None] = dict.fromkeys(urls)
        """City -> seconds of CLOCK_REALTIME at which the first answer that said so was asked for: what the answer takes
        is the machine's time. It was seen in the `LOOK_EVERY_S` before that, or while it was being answered."""

    async def __aenter__(self) -> "HoldWatch":
        self._tasks = [asyncio.create_task(self._follow(city, url)) for city, url in self._urls.items()]
        return self

    async def __aexit__(self, *exc: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._http.aclose()

    async def all(self, within_s: float) -> None:
        """Return when every engine has seen it, or after this time."""
        await asyncio.wait(self._tasks, timeout=within_s)

    async def _follow(self, city: str, url: str) -> None:
        while True:
            asked = time.time()
            with contextlib.suppress(httpx.HTTPError):
                if says_held((await self._http.get(f"{url}/metrics")).text):
                    self.seen[city] = asked
                    return
            await asyncio.sleep(LOOK_EVERY_S)


def words(seen: Mapping[str, float | None], since: float) -> str:
    """Who saw it when, for the story."""
    parts: Iterable[str] = (f"{c} {'never' if at is None else f'{at - since:.2f} s'}" for c, at in sorted(seen.items()))
    return f"the hold was seen by {', '.join(parts)} after it was pressed"
