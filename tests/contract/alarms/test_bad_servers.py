"""Servers that hang, babble, drip or never end: each question ends in time, and leaves nothing behind."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from tandem.adapters.alarms.prometheus import PrometheusServer
from tandem.api.alarms import Prometheus
from tandem.domain.alarms import token_path
from tandem.engine.ports import AdapterError
from tests.support.ports import free_port

pytestmark = pytest.mark.contract

TIMEOUT_S: Final = 0.5
PATIENT_S: Final = 20.0
"""Timeout where the server does answer: how fast is not what is tested."""
OK: Final = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
QUIET: Final = b'{"status":"success","data":{"resultType":"vector","result":[]}}'

Talk = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(talk: Talk) -> AsyncIterator[str]:
    """A server that treats each connection like this; its URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await talk(reader, writer)
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    port = free_port()
    server = await asyncio.start_server(handle, "127.0.0.1", port)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def request(reader: asyncio.StreamReader) -> bytes:
    """The head of a request."""
    return await reader.readuntil(b"\r\n\r\n")


def answers(*parts: bytes, pause_s: float = 0.0, then: float = 0.0) -> Talk:
    """Say this to every request, with pauses; then keep the connection for a while."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await request(reader)
        for part in parts:
            writer.write(part)
            await writer.drain()
            await asyncio.sleep(pause_s)
        await asyncio.sleep(then)

    return talk


async def drips_a_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(OK + b"Content-Length: 100000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.05)


async def drips_a_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(b"HTTP/1.1 200 OK\r\nX: ")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(0.05)


async def never_ends(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await request(reader)
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 0x10000 + b"\r\n")
        await writer.drain()


def framed(body: bytes, head: bytes = OK) -> bytes:
    return head + f"Content-Length: {len(body)}\r\n\r\n".encode() + body


BAD: Final[dict[str, tuple[Talk, str]]] = {
    "hangs": (answers(then=60.0), "no answer within 0.5 s"),
    "drips-a-body": (drips_a_body, "no answer within 0.5 s"),
    "drips-a-head": (drips_a_head, "no answer within 0.5 s"),
    "never-ends": (never_ends, "answers with more than 262144 bytes"),
    "hangs-up": (answers(), "cannot be asked: ServerDisconnectedError"),
    "hangs-up-halfway": (answers(OK + b"Content-Length: 1000\r\n\r\n{"), "cannot be asked: ClientPayloadError"),
    "is-no-http": (answers(b"220 mail.example ESMTP\r\n"), "cannot be asked:"),
    "sends-a-page": (answers(framed(b"<html>Sign in</html>")), "which is no answer of Prometheus"),
    "sends-a-bomb": (
        answers(framed(b"\x1f\x8b" + b"\0" * 1000, OK + b"Content-Encoding: gzip\r\n")),
        "which is no answer of Prometheus",
    ),
    "sends-elsewhere": (
        answers(framed(b"", b"HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:9/\r\n")),
        "HTTP 307",
    ),
    "is-forbidden": (answers(framed(b"no", b"HTTP/1.1 403 Forbidden\r\n")), "HTTP 403 with 2 bytes"),
    "is-overloaded": (
        answers(
            framed(
                b'{"status":"error","errorType":"timeout","error":"query timed out"}',
                b"HTTP/1.1 503 Unavailable\r\nContent-Type: application/json\r\n",
            )
        ),
        "refuses the query (timeout: query timed out)",
    ),
}


def server(url: str, timeout_s: float = PATIENT_S, **changes: object) -> Prometheus:
    return Prometheus.model_validate({"url": url, "timeout": f"{round(timeout_s * 1000)}ms", **changes})


@pytest.mark.parametrize("kind", BAD)
async def test_a_bad_server_is_unknown_in_time_and_leaves_nothing_behind(kind: str) -> None:
    talk, words = BAD[kind]
    timeout_s = TIMEOUT_S if "no answer within" in words else PATIENT_S
    loop = asyncio.get_running_loop()
    async with PrometheusServer() as adapter:
        files = len(os.listdir("/proc/self/fd"))
        async with serving(talk) as url:

            async def ask() -> str:
                with pytest.raises(AdapterError) as error:
                    await adapter.ask(server(url, timeout_s), "callcenter", "up")
                return str(error.value)

            started = loop.time()
            for said in await asyncio.gather(*(ask() for _ in range(20))):
                assert words in said
            assert loop.time() - started < 10 * timeout_s
        for _ in range(50):
            if len(os.listdir("/proc/self/fd")) <= files:
                break
            await asyncio.sleep(0.05)
        assert len(os.listdir("/proc/self/fd")) <= files
        assert len(asyncio.all_tasks()) == 1


async def test_nobody_there_is_said() -> None:
    async with PrometheusServer() as adapter:
        for url in (f"http://127.0.0.1:{free_port()}", "http://no-such-host.invalid:9090"):
            with pytest.raises(AdapterError, match=r"cannot be asked|no answer within"):
                await adapter.ask(server(url), "callcenter", "up")


async def test_the_token_goes_to_its_server_and_no_further(tmp_path: Path) -> None:
    heads: list[bytes] = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await request(reader))
        writer.write(framed(QUIET))
        await writer.drain()

    async with serving(elsewhere) as other, PrometheusServer(tmp_path) as adapter:
        redirect = b"HTTP/1.1 302 Found\r\nLocation: " + other.encode() + b"/api/v1/query\r\n"

        async def first(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await request(reader))
            writer.write(framed(b"", redirect))
            await writer.drain()

        async with serving(first) as url:
            asked = server(url, credentials={"name": "prometheus"})
            path = token_path("callcenter", asked)
            assert path is not None
            (tmp_path / path).parent.mkdir(parents=True)
            (tmp_path / path).write_text("s3cret\n")
            with pytest.raises(AdapterError, match="HTTP 302"):
                await adapter.ask(asked, "callcenter", "up")
            (head,) = heads
            assert b"Authorization: Bearer s3cret\r\n" in head
            assert b"POST /api/v1/query HTTP/1.1" in head
            # The same Secret named for another server was not handed over for it.
            with pytest.raises(AdapterError, match="has not been handed over"):
                await adapter.ask(server(other, credentials={"name": "prometheus"}), "callcenter", "up")
        assert len(heads) == 1
        assert not (await adapter.ask(server(other), "callcenter", "up")).fires
        assert b"Authorization" not in heads[-1]
