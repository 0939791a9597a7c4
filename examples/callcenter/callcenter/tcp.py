"""A TCP connection for a WebSocket, made within a time and given up when nobody acknowledges what is sent."""

import asyncio
import socket
from typing import Any, Final

UNACKNOWLEDGED: Final = 10_000
"""Milliseconds until the kernel gives up a connection whose data nobody acknowledges; its file is then free again."""


async def connected_socket(host: str, port: int, within: float) -> socket.socket:
    """A socket that is connected, within so many seconds, to the first address of a host that answers.

    A host may have addresses of both families, and several: each gets its share of the time.
    Raises: OSError (TimeoutError included).
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(within):
        try:
            found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except UnicodeError as e:
            raise OSError(f"{host!r} is no host's name") from e
        refused: OSError | None = None
        for family, _, _, _, address in found:
            try:
                async with asyncio.timeout(within / len(found)):
                    return await _connected(family, address)
            except OSError as e:
                refused = e
        raise refused or OSError(f"{host!r} has no address")


async def _connected(family: int, address: Any) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
