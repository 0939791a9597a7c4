"""Addresses of the hosts that adapters talk to, remembered: a push in an emergency must not wait for a name server.

An address is looked up when its host is first named, renewed in the background while it is used, and kept when the name
server does not answer. Whoever cannot connect says so (`doubt`), and the next use waits for a fresh answer.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

FRESH_S: Final = 10.0
"""Seconds after which an address that is used is looked up again."""

LOOKUP_S: Final = 2.0
"""Longest wait for a name server's answer."""


@dataclass(slots=True)
class _Known:
    address: str
    looked_up_at: float
    doubted: bool = False


async def look_up(host: str) -> str:
    """The first address of a host. Raises OSError (TimeoutError included)."""
    async with asyncio.timeout(LOOKUP_S):
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])


class Names:
    """A memory of addresses, for one event loop."""

    def __init__(self, look_up: Callable[[str], Awaitable[str]] = look_up) -> None:
        self._look_up = look_up
        self._known: dict[str, _Known] = {}
        self._renewing: dict[str, asyncio.Task[None]] = {}

    async def address(self, host: str) -> str:
        """An address of `host`, at once where one is known. Raises OSError when none is known and none is to be had."""
        try:
            return str(ipaddress.ip_address(host))
        except ValueError:
            pass
        known = self._known.get(host)
        if known is None:
            return await self._renew(host)
        if known.doubted:
            try:
                return await self._renew(host)
            except OSError:
                return known.address
        if asyncio.get_running_loop().time() - known.looked_up_at > FRESH_S and host not in self._renewing:
            self._renewing[host] = asyncio.create_task(self._renew_quietly(host), name=f"name-{host}")
        return known.address

    def doubt(self, host: str) -> None:
        """Nobody could be reached there: perhaps the address has changed."""
        if host in self._known:
            self._known[host].doubted = True

    async def aclose(self) -> None:
        """End what is under way."""
        for task in self._renewing.values():
            task.cancel()
        await asyncio.gather(*self._renewing.values(), return_exceptions=True)

    async def _renew(self, host: str) -> str:
        address = await self._look_up(host)
        self._known[host] = _Known(address, asyncio.get_running_loop().time())
        return address

    async def _renew_quietly(self, host: str) -> None:
        try:
            await self._renew(host)
        except OSError:
            self._known[host].looked_up_at = asyncio.get_running_loop().time()  # ask again in a while, not at once
        finally:
            del self._renewing[host]
