"""The engine's HTTP server, on loopback."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from tandem.engine.status_server import Answer, StatusServer


@pytest.fixture
async def base() -> AsyncIterator[str]:
    pages = {"/healthz": lambda: Answer('{"ok": true}'), "/metrics": lambda: Answer("m 1\n", "text/plain")}
    server = StatusServer(0, pages, host="127.0.0.1")
    task = asyncio.create_task(server.run())
    await server.bound.wait()
    yield f"http://127.0.0.1:{server.bound_port}"
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@pytest.mark.parametrize(
    ("method", "path", "status", "text"),
    [
        ("GET", "/healthz", 200, '{"ok": true}'),
        ("GET", "/healthz?verbose", 200, '{"ok": true}'),
        ("GET", "/metrics", 200, "m 1\n"),
        ("GET", "/nothing", 404, '{"error": "NotFound"}'),
        ("POST", "/healthz", 405, '{"error": "MethodNotAllowed"}'),
    ],
)
async def test_pages(base: str, method: str, path: str, status: int, text: str) -> None:
    async with httpx.AsyncClient() as client:
        answer = await client.request(method, base + path)
        assert (answer.status_code, answer.text) == (status, text)


async def test_a_connection_serves_many_requests(base: str) -> None:
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    for _ in range(3):
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"200 OK" in head
        assert b"keep-alive" in head
        assert await reader.readexactly(12) == b'{"ok": true}'
    writer.write(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n")
    assert (await reader.read()).endswith(b'{"ok": true}')
    writer.close()


@pytest.mark.parametrize("nonsense", [b"\x16\x03\x01\x02\r\n\r\n", b"GET\r\n\r\n", b"x" * 20_000 + b"\r\n\r\n"])
async def test_nonsense_ends_the_connection_only(base: str, nonsense: bytes) -> None:
    host, port = base.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(nonsense)
    writer.write_eof()
    await asyncio.gather(reader.read(), return_exceptions=True)
    writer.close()
    async with httpx.AsyncClient() as client:
        assert (await client.get(base + "/healthz")).status_code == 200
