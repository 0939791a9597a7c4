"""The prober and addresses that nobody could have: a slip in one Site must end no engine and accuse no city."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tandem.domain.probe_agents import probe_agent
from tandem.engine.clock import RealClock
from tandem.probes.prober import NetworkProber

AGENT = probe_agent("hotel", "east")
LONG = "x" * 64


@pytest.fixture
async def prober() -> AsyncIterator[NetworkProber]:
    async with NetworkProber(RealClock()) as opened:
        yield opened


@pytest.mark.parametrize("address", ["pbx..east:5060", f"{LONG}.east:5060", "127.0.0.1:70000", "127.0.0.1:0"])
async def test_a_softswitch_s_address_that_is_none_is_no_failure_of_anybody(
    prober: NetworkProber, address: str
) -> None:
    result = await prober.sip_options(address, 0.1)
    assert (result.ok, result.void) == (False, True)
    assert result.detail.startswith(f"OPTIONS to {address}: ")


async def test_a_port_that_is_none_costs_the_probes_under_way_no_answer(prober: NetworkProber) -> None:
    """They share a socket, which asyncio closes when it is told to send to such a port."""

    class Slow(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            answer = b"SIP/2.0 200 OK" + data[data.index(b"\r\n") :]
            asyncio.get_running_loop().call_later(0.1, self.transport.sendto, answer, addr)  # type: ignore[attr-defined]

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Slow, local_addr=("127.0.0.1", 0))
    address = f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"
    try:
        under_way = asyncio.create_task(prober.sip_options(address, 2.0))
        await asyncio.sleep(0.02)
        await prober.sip_options("127.0.0.1:70000", 0.1)
        result = await under_way
        assert result.ok
        assert result.seconds < 0.9, "by the first request"
    finally:
        transport.close()


@pytest.mark.parametrize(
    "url",
    ["http://cti..east", f"http://{LONG}.east", "http://[cti", "http://127.0.0.1:70000", "http:///", "http://a\x00b"],
)
async def test_a_cti_s_url_that_is_none_is_no_failure_of_anybody(prober: NetworkProber, url: str) -> None:
    result = await prober.http_health(f"{url}/healthz", 0.1)
    assert (result.ok, result.void) == (False, True)
    deep = await prober.deep(url, None, AGENT, 0.1)
    assert (deep.sign_in.ok, deep.sign_in.void) == (False, True)
