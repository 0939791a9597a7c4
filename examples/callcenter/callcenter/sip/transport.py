"""A SIP stack on a real UDP socket."""

import asyncio
import random
import socket
from typing import Final, cast

from .message import Address
from .stack import SipStack

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""Bytes asked of the kernel: thousands of registrations may answer within one turn of the event loop."""


class Endpoint(asyncio.DatagramProtocol):
    """One UDP socket and the stack that lives on it."""

    def __init__(self, advertised: str | None, rng: random.Random, user_agent: str) -> None:
        self._advertised = advertised
        self._rng = rng
        self._user_agent = user_agent
        self._transport: asyncio.DatagramTransport | None = None
        self._stack: SipStack | None = None

    @property
    def stack(self) -> SipStack:
        """The stack. Raises: RuntimeError before the socket is bound."""
        if self._stack is None:
            raise RuntimeError("the endpoint is not open")
        return self._stack

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.DatagramTransport", transport)
        host, port = transport.get_extra_info("sockname")[:2]
        self._stack = SipStack(
            local=(self._advertised or host, port),
            send=self._send,
            scheduler=asyncio.get_running_loop(),
            rng=self._rng,
            user_agent=self._user_agent,
        )

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.stack.receive(data, (addr[0], addr[1]))

    def error_received(self, exc: Exception) -> None:
        """ICMP errors: UDP's losses are the transactions' business."""

    def close(self) -> None:
        """Close the socket; pending transactions run out in silence."""
        if self._transport is not None:
            self._transport.close()

    def _send(self, data: bytes, destination: Address) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        try:
            self._transport.sendto(data, destination)
        except (OSError, ValueError):
            # No route, or an address that is none: to SIP that is a lost datagram.
            return


async def open_endpoint(
    bind: Address,
    *,
    advertised: str | None = None,
    rng: random.Random | None = None,
    user_agent: str = "tandem-callcenter",
) -> Endpoint:
    """Bind a UDP socket (port 0: any) and put a stack on it.

    Args:
        advertised: IPv4 address for Via and Contact when it is not the bound one (bound to 0.0.0.0).
    Raises: OSError when the address cannot be bound.
    """
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        sock.bind(bind)
    except OSError:
        sock.close()
        raise
    _, endpoint = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Endpoint(advertised, rng or random.Random(), user_agent), sock=sock
    )
    return endpoint


def local_address_towards(target: Address) -> str:
    """The IPv4 address from which this machine would send to `target`. Raises: OSError when there is no route."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(target)
        return cast("str", sock.getsockname()[0])
