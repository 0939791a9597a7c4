"""Addresses of the hosts that adapters talk to, remembered: a push in an emergency must not wait for a name server.

An address is looked up when its host is first named, renewed in the background while it is used, and kept when the name
server does not answer. Whoever cannot connect says so (`doubt`): the next use takes the host's next address, and waits
a moment for a fresh answer. Whoever was answered says that too (`trust`).
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

FRESH_S: Final = 10.0
"""Seconds after which an address that is used is looked up again."""

LOOKUP_S: Final = 2.0
"""Longest wait for a name server's answer when no address is known."""

DOUBT_S: Final = 0.2
"""Longest wait for it when one is known and has failed: it may be right, and the name server dead as well."""


class _Known:
    def __init__(self, addresses: Sequence[str], looked_up_at: float) -> None:
        self.addresses = tuple(addresses)
        self.looked_up_at = looked_up_at
        self.doubted = False
        self._next = 0

    @property
    def address(self) -> str:
        return self.addresses[self._next % len(self.addresses)]

    def doubt(self) -> None:
        self.doubted = True
        self._next += 1

    def renew(self, addresses: Sequence[str], now: float) -> None:
        """Take a fresh answer; the address in use stays in use when it is among them."""
        used = self.address
        self.addresses, self.looked_up_at, self.doubted = tuple(addresses), now, False
        self._next = self.addresses.index(used) if used in self.addresses else 0


async def look_up(host: str) -> Sequence[str]:
    """All addresses of a host, at least one. Raises OSError (TimeoutError included)."""
    try:
        async with asyncio.timeout(LOOKUP_S):
            found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label that is empty or too long: no name server is asked at all
        raise OSError(f"{host!r} is not the name of a host: {error}") from error
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


class Names:
    """A memory of addresses, for one event loop."""

    def __init__(self, look_up: Callable[[str], Awaitable[Sequence[str]]] = look_up) -> None:
        self._look_up = look_up
        self._known: dict[str, _Known] = {}
        self._renewing: dict[str, asyncio.Task[None]] = {}

    async def address(self, host: str) -> str:
        """An address of `host`, at once where one is known. Raises OSError when none is known and none is to be had."""
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            pass
        now = asyncio.get_running_loop().time()
        known = self._known.get(host)
        if known is None:
            known = self._known[host] = _Known(await self._look_up(host), now)
        elif known.doubted:
            await asyncio.wait([self._renew(host, known)], timeout=DOUBT_S)
        elif now - known.looked_up_at > FRESH_S:
            self._renew(host, known)
        return known.address

    def doubt(self, host: str) -> None:
        """Nobody could be reached there: perhaps the address has changed, perhaps another one works."""
        if host in self._known:
            self._known[host].doubt()

    def trust(self, host: str) -> None:
        """Somebody was reached there."""
        if host in self._known:
            self._known[host].doubted = False

    async def aclose(self) -> None:
        """End what is under way."""
        under_way = list(self._renewing.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _renew(self, host: str, known: _Known) -> asyncio.Task[None]:
        """Ask the name server, one question at a time for each host."""
        task = self._renewing.get(host)
        if task is None:
            task = self._renewing[host] = asyncio.create_task(self._ask(host, known), name=f"name-{host}")
        return task

    async def _ask(self, host: str, known: _Known) -> None:
        clock = asyncio.get_running_loop().time
        try:
            known.renew(await self._look_up(host), clock())
        except OSError:
            known.looked_up_at = clock()  # ask again in a while, not at once
        finally:
            del self._renewing[host]
