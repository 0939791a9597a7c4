"""Probes against a real Kamailio, a real CTI and real silence."""

import asyncio
import contextlib
import os
import resource
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
import uvloop

from callcenter.directory import save
from tandem.constants import LATE_ANSWER_S
from tandem.engine.clock import RealClock
from tandem.engine.ports import ProbeResult
from tandem.probes.prober import NetworkProber
from tests.contract.cti.support import CtiProcess, a_cti, a_directory, until
from tests.contract.softswitch.kamailio import Softswitch
from tests.support.ports import free_port

pytestmark = pytest.mark.contract

TIMEOUT_S = 0.5


@pytest.fixture
async def prober() -> AsyncIterator[NetworkProber]:
    async with NetworkProber(RealClock()) as opened:
        yield opened


@pytest.fixture
def silence() -> Iterator[tuple[str, socket.socket]]:
    """An address whose owner hears everything and says nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.setblocking(False)
        yield f"127.0.0.1:{deaf.getsockname()[1]}", deaf


@contextlib.contextmanager
def frozen(group: int) -> Iterator[None]:
    """Freeze all processes of a group."""
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


async def that_counts(probe: Callable[[], Coroutine[Any, Any, ProbeResult]]) -> ProbeResult:
    """The first result that is not void: on a busy machine our own loop stalls now and then."""
    for _ in range(20):
        result = await probe()
        if not result.void:
            return result
    raise AssertionError(f"twenty void probes: {result.detail}")


# -- SIP


async def test_a_softswitch_that_works_passes(softswitch: Softswitch, prober: NetworkProber) -> None:
    result = await prober.sip_options(softswitch.address, TIMEOUT_S)
    assert (result.ok, result.void, result.detail) == (True, False, "")
    assert 0 < result.seconds < TIMEOUT_S


async def test_many_probes_share_a_socket_and_each_has_its_answer(
    softswitch: Softswitch, prober: NetworkProber, silence: tuple[str, socket.socket]
) -> None:
    asked = [softswitch.address if number % 2 else silence[0] for number in range(40)]
    results = await asyncio.gather(*(prober.sip_options(address, 2.0) for address in asked))
    assert [result.ok for result in results] == [address == softswitch.address for address in asked]


async def test_a_frozen_softswitch_fails_and_passes_again_when_it_wakes(
    softswitch: Softswitch, prober: NetworkProber
) -> None:
    assert softswitch.process is not None
    with frozen(softswitch.process.pid):
        result = await that_counts(lambda: prober.sip_options(softswitch.address, TIMEOUT_S))
        assert not result.ok
        assert result.detail == f"OPTIONS to {softswitch.address}: no answer within 0.5 s"
        assert TIMEOUT_S <= result.seconds < TIMEOUT_S + 0.3
    # Late answers to the probe that was given up are nobody's.
    assert (await prober.sip_options(softswitch.address, 2.0)).ok


async def test_a_softswitch_that_answers_after_the_timeout_gives_a_late_sign_of_life(
    softswitch: Softswitch, prober: NetworkProber
) -> None:
    assert softswitch.process is not None
    late = asyncio.Event()
    with frozen(softswitch.process.pid):
        assert not (await prober.sip_options(softswitch.address, TIMEOUT_S, late.set)).ok
        assert not late.is_set()
    async with asyncio.timeout(LATE_ANSWER_S):
        await late.wait()


async def test_a_draining_softswitch_does_not_pass(softswitch: Softswitch, prober: NetworkProber) -> None:
    await asyncio.to_thread(softswitch.rpc, "htable.seti", "control", "drain", 1)
    try:
        result = await that_counts(lambda: prober.sip_options(softswitch.address, TIMEOUT_S))
    finally:
        await asyncio.to_thread(softswitch.rpc, "htable.delete", "control", "drain")
    assert not result.ok
    assert f"OPTIONS to {softswitch.address}: 503" in result.detail


async def test_a_lost_request_is_sent_once_more_and_not_twice(
    prober: NetworkProber, silence: tuple[str, socket.socket]
) -> None:
    address, deaf = silence
    assert not (await prober.sip_options(address, TIMEOUT_S)).ok
    heard = [deaf.recv(65536), deaf.recv(65536)]
    assert heard[0] == heard[1]
    assert heard[0].startswith(f"OPTIONS sip:{address} SIP/2.0\r\n".encode())
    with pytest.raises(BlockingIOError):
        deaf.recv(65536)


async def test_nobody_listening_fails(prober: NetworkProber) -> None:
    address = f"127.0.0.1:{free_port()}"
    assert not (await that_counts(lambda: prober.sip_options(address, 0.2))).ok


async def test_what_answers_nonsense_fails(prober: NetworkProber) -> None:
    class Babbler(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for nonsense in (
                b"",
                b"\xff" * 50,
                b"SIP/2.0",
                b"SIP/2.0 200 OK\r\n\r\n",
                data[:-4],
                b"SIP/2.0 100 Trying" + data[8:],
            ):
                self.transport.sendto(nonsense, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Babbler, local_addr=("127.0.0.1", 0))
    try:
        port = transport.get_extra_info("sockname")[1]
        assert not (await prober.sip_options(f"127.0.0.1:{port}", 0.3)).ok
    finally:
        transport.close()


# -- HTTP


@pytest.fixture
async def cti(tmp_path: Path) -> AsyncIterator[CtiProcess]:
    save(a_directory(), tmp_path / "directory.json.gz")
    running = a_cti(tmp_path, "east", {"east": free_port(), "west": free_port()}, evapi=free_port())
    try:
        await running.start()
        yield running
    finally:
        running.stop()


async def test_a_cti_passes_while_it_serves(cti: CtiProcess, prober: NetworkProber) -> None:
    url = f"{cti.url}/healthz"
    await until(cti.serves, within=5, what="the CTI serves")
    assert (await prober.http_health(url, TIMEOUT_S)).ok

    cti.signal(signal.SIGSTOP)
    result = await that_counts(lambda: prober.http_health(url, TIMEOUT_S))
    assert (result.ok, result.detail) == (False, f"{url}: connected, but no answer within 0.5 s")
    assert result.connects, "its kernel takes the connection"
    assert result.seconds < TIMEOUT_S + 0.3
    cti.signal(signal.SIGCONT)
    assert (await prober.http_health(url, 2.0)).ok

    cti.stop()
    result = await that_counts(lambda: prober.http_health(url, TIMEOUT_S))
    assert not result.ok
    assert "ConnectionRefusedError" in result.detail
    assert not result.connects


async def test_where_nobody_takes_the_connection_nothing_is_connected(prober: NetworkProber) -> None:
    """As with a city that has no power: the SYN is never answered, here because the backlog is full."""
    with socket.socket() as full, contextlib.ExitStack() as waiting:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        address = full.getsockname()
        for _ in range(4):
            knock = waiting.enter_context(socket.socket())
            knock.setblocking(False)
            knock.connect_ex(address)
        result = await that_counts(lambda: prober.http_health(f"http://127.0.0.1:{address[1]}/", TIMEOUT_S))
    assert (result.ok, result.connects) == (False, False)
    assert result.detail.endswith(": no answer within 0.5 s")


async def test_a_cti_that_answers_after_the_timeout_gives_a_late_sign_of_life_and_a_dead_one_none(
    cti: CtiProcess, prober: NetworkProber
) -> None:
    url = f"{cti.url}/healthz"
    await until(cti.serves, within=5, what="the CTI serves")
    late = asyncio.Event()
    cti.signal(signal.SIGSTOP)
    assert not (await prober.http_health(url, TIMEOUT_S, late.set)).ok
    cti.signal(signal.SIGCONT)
    async with asyncio.timeout(LATE_ANSWER_S):
        await late.wait()

    late.clear()
    cti.signal(signal.SIGSTOP)
    assert not (await prober.http_health(url, TIMEOUT_S, late.set)).ok
    cti.signal(signal.SIGKILL)  # a stop would let it go on first, and answer
    await asyncio.sleep(LATE_ANSWER_S)
    assert not late.is_set()


async def test_an_answer_that_is_no_health_fails_with_its_reason(prober: NetworkProber) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = b'{"ok": false, "reason": "NoSoftswitch"}'
        writer.write(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/healthz"
    try:
        result = await that_counts(lambda: prober.http_health(url, TIMEOUT_S))
    finally:
        server.close()
    assert (result.ok, result.detail) == (False, f"{url}: answered 503: NoSoftswitch")


# -- what accuses nobody


async def test_a_failure_that_overlapped_a_stall_of_our_own_is_void(
    prober: NetworkProber, silence: tuple[str, socket.socket]
) -> None:
    probe = asyncio.create_task(prober.sip_options(silence[0], TIMEOUT_S))
    await asyncio.sleep(0.1)
    time.sleep(0.3)  # noqa: ASYNC251 - the stall
    result = await probe
    assert (result.ok, result.void) == (False, True)
    assert "our own event loop stalled" in result.detail
    # The next one counts again.
    assert not (await that_counts(lambda: prober.sip_options(silence[0], TIMEOUT_S))).ok


async def test_a_timeout_that_fell_into_the_stall_is_void(
    prober: NetworkProber, silence: tuple[str, socket.socket]
) -> None:
    probes = [
        asyncio.create_task(prober.sip_options(silence[0], TIMEOUT_S)),
        asyncio.create_task(prober.http_health("http://127.0.0.1:1/", TIMEOUT_S)),
    ]
    await asyncio.sleep(0)
    time.sleep(TIMEOUT_S + 0.2)  # noqa: ASYNC251 - the stall
    assert [(result.ok, result.void) for result in await asyncio.gather(*probes)] == [(False, True), (False, True)]


async def test_a_success_during_a_stall_is_a_success(softswitch: Softswitch, prober: NetworkProber) -> None:
    probe = asyncio.create_task(prober.sip_options(softswitch.address, 2.0))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    time.sleep(0.3)  # noqa: ASYNC251 - the stall
    result = await probe
    assert (result.ok, result.void) == (True, False)


async def test_an_observer_without_file_descriptors_accuses_nobody(prober: NetworkProber) -> None:
    url = f"http://127.0.0.1:{free_port()}/healthz"
    assert not (await that_counts(lambda: prober.http_health(url, TIMEOUT_S))).ok
    result = await with_all_descriptors_taken(prober.http_health(url, TIMEOUT_S))
    assert (result.ok, result.void) == (False, True)
    assert "a connection to ourselves fails as well" in result.detail


async def with_all_descriptors_taken(probe: Coroutine[Any, Any, ProbeResult]) -> ProbeResult:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Below the highest one in use: nothing new can be opened.
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        return await probe
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("what", ["sip", "http"])
async def test_a_name_that_we_cannot_resolve_accuses_nobody(prober: NetworkProber, what: str) -> None:
    if what == "sip":
        result = await prober.sip_options("no-such-host.invalid:5060", 5)
    else:
        result = await prober.http_health("http://no-such-host.invalid/healthz", 5)
    assert (result.ok, result.void) == (False, True)


def test_it_works_on_uvloop_as_the_engine_runs_it(softswitch: Softswitch, silence: tuple[str, socket.socket]) -> None:
    async def probe() -> tuple[ProbeResult, ProbeResult]:
        async with NetworkProber(RealClock()) as prober:
            return await asyncio.gather(
                prober.sip_options(softswitch.address, 2.0),
                that_counts(lambda: prober.sip_options(silence[0], TIMEOUT_S)),
            )

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        passed, failed = runner.run(probe())
    assert (passed.ok, failed.ok) == (True, False)


def test_silence_leaves_no_connection_behind() -> None:
    """A dead city is probed for hours, and this process has so many file descriptors and no more."""

    async def probe(url: str) -> tuple[int, int]:
        async with NetworkProber(RealClock()) as prober:
            await asyncio.gather(*(prober.http_health(url, 0.05) for _ in range(30)))
            before = open_files()
            for _ in range(20):
                await asyncio.gather(*(prober.http_health(url, 0.05) for _ in range(30)))
            await asyncio.sleep(LATE_ANSWER_S + 0.5)  # nobody is listened to any longer
            return before, open_files()

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(4096)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            before, after = runner.run(probe(f"http://127.0.0.1:{deaf.getsockname()[1]}/"))
    assert after <= before


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))
