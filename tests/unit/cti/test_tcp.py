"""A connection is made to whatever address of a host answers, within its time."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from callcenter.tcp import connected_socket

IPV6: Final = Path("/proc/net/if_inet6").exists()


@asynccontextmanager
async def listening_at(host: str) -> AsyncIterator[int]:
    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, host, 0) as server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", pytest.param("::1", marks=pytest.mark.skipif(not IPV6, reason="this machine has no IPv6"))],
)
async def test_either_family_will_do(host: str) -> None:
    async with listening_at(host) as port:
        with await connected_socket(host, port, 2.0) as sock:
            assert sock.getpeername()[:2] == (host, port)


def names(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    """Let any name have these addresses."""

    async def getaddrinfo(_: str, port: int, **__: Any) -> Any:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)


async def test_a_name_s_next_address_is_tried_when_the_first_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    async with listening_at("127.0.0.1") as port:
        names(monkeypatch, "127.0.0.2", "127.0.0.1")
        with await connected_socket("west", port, 2.0) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)


async def test_an_address_that_says_nothing_takes_only_its_share_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    loop = asyncio.get_running_loop()
    connect = loop.sock_connect

    async def only_to_one(sock: socket.socket, address: Any) -> None:
        if address[0] == "127.0.0.2":
            await asyncio.sleep(60)
        await connect(sock, address)

    monkeypatch.setattr(loop, "sock_connect", only_to_one)
    async with listening_at("127.0.0.1") as port:
        names(monkeypatch, "127.0.0.2", "127.0.0.1")
        with await connected_socket("west", port, 0.5) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)
        names(monkeypatch, "127.0.0.2", "127.0.0.2")
        with pytest.raises(TimeoutError):
            await connected_socket("west", port, 0.2)


async def test_what_is_no_name_is_an_error_like_any_other() -> None:
    with pytest.raises(OSError, match="no host's name"):
        await connected_socket("west..example", 1, 2.0)
