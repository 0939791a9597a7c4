"""A TCP connection for a WebSocket, made within a time and given up when nobody acknowledges what is sent."""

import asyncio
import socket
from typing import Final

UNACKNOWLEDGED: Final = 10_000
"""Milliseconds until the kernel gives up a connection whose data nobody acknowledges; its file is then free again."""


async def connected_socket(host: str, port: int, within: float) -> socket.socket:
    """A socket that is connected, within so many seconds. Raises: OSError (TimeoutError included)."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, UNACKNOWLEDGED)
        async with asyncio.timeout(within):
            await asyncio.get_running_loop().sock_connect(sock, (host, port))
    except BaseException:
        sock.close()
        raise
    return sock
