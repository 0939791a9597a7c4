"""The carrier's calls over real UDP on loopback: two user agents, and a target that says nothing."""

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest

from callcenter.carrier.fate import Fate
from callcenter.carrier.load import Caller
from callcenter.carrier.routes import NumberPlan, Route
from callcenter.carrier.switchboard import Switchboard
from callcenter.sip.call import Call, CallEnd, IncomingCall
from callcenter.sip.message import Address, Request, Response
from callcenter.sip.server_transaction import InviteServerTransaction
from callcenter.sip.stack import SipStack
from callcenter.sip.transport import Endpoint, local_address_towards, open_endpoint

pytestmark = pytest.mark.contract

NUMBER = "4008001"


@dataclass
class Phone:
    """Takes every call after `ring` seconds."""

    stack: SipStack
    ring: float = 0.05
    ids: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)

    def on_invite(self, transaction: InviteServerTransaction) -> None:
        call = IncomingCall(self.stack, self, transaction, "510001")
        self.ids.append(call.invite.headers.require("x-tandem-call"))
        call.ring()
        self.stack.scheduler.call_later(self.ring, lambda: call.answer(b"v=0\r\n"))

    def on_progress(self, call: Call, response: Response) -> None:
        """Outgoing calls only."""

    def on_answered(self, call: Call, message: Response | Request) -> None:
        """The ACK."""

    def on_ended(self, call: Call, end: CallEnd) -> None:
        self.ends.append(end.kind.name)


@pytest.fixture
async def endpoints() -> AsyncIterator[list[Endpoint]]:
    opened = [await open_endpoint(("127.0.0.1", 0), rng=random.Random(seed)) for seed in range(2)]
    yield opened
    for endpoint in opened:
        endpoint.close()


@pytest.fixture
async def board(endpoints: list[Endpoint]) -> AsyncIterator[Switchboard]:
    board = Switchboard(endpoints[0].stack, wall=time.time)
    yield board
    board.close()


@pytest.fixture
def phone(endpoints: list[Endpoint]) -> Phone:
    phone = Phone(endpoints[1].stack)
    endpoints[1].stack.add_user(NUMBER, phone)
    return phone


@pytest.fixture
async def silent() -> AsyncIterator[Address]:
    """The address of a socket that is there and never answers: a city behind a cut link."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()


async def eventually(check: Callable[[], bool], *, within: float = 5.0) -> None:
    for _ in range(int(within / 0.01)):
        if check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"it did not happen within {within} s")


def plan(board: Switchboard, *targets: Address) -> None:
    routes = tuple(Route(f"r{index}", target, int(index == 0)) for index, target in enumerate(targets))
    board.set_plan(NumberPlan(NUMBER, 1, routes))


async def test_a_call_is_placed_answered_verified_and_ended(board: Switchboard, phone: Phone) -> None:
    plan(board, phone.stack.local)
    record = board.place(Caller(NUMBER, "01055550100", talk=0.6, patience=10))
    await eventually(lambda: record.fate is Fate.ANSWERED)
    assert (record.by, record.code, record.agent, record.routes_tried) == ("carrier", 200, "510001", ["r0"])
    assert phone.ids == [record.id]
    await eventually(lambda: phone.ends == ["REMOTE_BYE"])
    assert record.answered_at is not None
    assert record.ended_at is not None
    assert record.ended_at - record.answered_at == pytest.approx(0.6, abs=0.2)


async def test_a_silent_target_costs_a_caller_two_seconds(board: Switchboard, phone: Phone, silent: Address) -> None:
    plan(board, silent, phone.stack.local)
    record = board.place(Caller(NUMBER, "01055550100", talk=0.3, patience=10))
    await eventually(lambda: record.answered_at is not None)
    assert record.answered_at is not None
    assert 2.0 <= record.answered_at - record.placed_at < 2.5
    assert record.routes_tried == ["r0", "r1"]
    await eventually(lambda: record.fate is Fate.ANSWERED)


async def test_once_a_silent_target_is_known_as_lost_it_costs_nothing(
    board: Switchboard, phone: Phone, silent: Address
) -> None:
    plan(board, silent, phone.stack.local)
    await eventually(lambda: silent in board.targets.lost)
    record = board.place(Caller(NUMBER, "01055550100", talk=0.3, patience=10))
    await eventually(lambda: record.answered_at is not None, within=1)
    assert record.routes_tried == ["r1"]


async def test_a_port_where_nobody_listens_is_like_silence(board: Switchboard, phone: Phone) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        closed: Address = sock.getsockname()
    plan(board, closed, phone.stack.local)
    record = board.place(Caller(NUMBER, "01055550100", talk=0.3, patience=10))
    await eventually(lambda: record.answered_at is not None)
    assert record.routes_tried == ["r0", "r1"]


async def test_the_address_towards_a_target_is_one_of_ours() -> None:
    assert local_address_towards(("127.9.9.9", 5060)).startswith("127.")


async def test_an_address_that_is_taken_is_an_error() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(OSError, match="in use"):
            await open_endpoint(sock.getsockname())
