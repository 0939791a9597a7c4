"""Fixtures: a softswitch per test module, two for the tests of the way to the other city, and clients per test."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import pytest

from callcenter.directory import Directory, GroupSize, generate, save
from tests.contract.softswitch.cti_client import CtiClient
from tests.contract.softswitch.kamailio import SOFTSWITCH, Softswitch, missing
from tests.contract.softswitch.sip_client import Call, Dialog, Phone, Socket

GROUP = "callcenter/hotel-north-sales"
NUMBER = "4930900100"


@pytest.fixture(scope="session")
def directory() -> Directory:
    return generate([GroupSize(GROUP, "hotel", 200)], cities=["east", "west"], realm="callcenter", seed="test")


@pytest.fixture(scope="session")
def directory_path(directory: Directory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    lacking = missing()
    if lacking:
        pytest.fail(f"this machine lacks {lacking}")
    path = tmp_path_factory.mktemp("directory") / "directory.json.gz"
    save(directory, path)
    return path


@pytest.fixture(scope="module")
def entrypoint() -> ModuleType:
    """The module examples/callcenter/softswitch/entrypoint.py, which is no part of a package."""
    spec = importlib.util.spec_from_file_location("softswitch_entrypoint", SOFTSWITCH / "entrypoint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def push_tables(softswitch: Softswitch) -> None:
    """What the engine writes at first: the number and where its group is placed."""
    softswitch.rpc("htable.sets", "numbers", NUMBER, GROUP)
    softswitch.rpc("htable.sets", "placement", GROUP, "7;50")


@pytest.fixture(scope="module")
def east(directory_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Softswitch]:
    """One softswitch without a peer, its tables pushed."""
    softswitch = Softswitch("east", directory_path, tmp_path_factory.mktemp("east"))
    softswitch.start()
    try:
        push_tables(softswitch)
        yield softswitch
    finally:
        softswitch.kill()


@pytest.fixture
def new_softswitch(directory_path: Path, tmp_path: Path) -> Iterator[Softswitch]:
    """One that a test starts itself, as it wants it."""
    softswitch = Softswitch("east", directory_path, tmp_path / "new")
    yield softswitch
    softswitch.kill()


@dataclass
class TwoCities:
    east: Softswitch
    west: Softswitch


@pytest.fixture(scope="module")
def cities(directory_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TwoCities]:
    """Two softswitches that are each other's peer."""
    east = Softswitch("east", directory_path, tmp_path_factory.mktemp("east"))
    west = Softswitch("west", directory_path, tmp_path_factory.mktemp("west"))
    try:
        east.start(peer=west)
        west.start(peer=east)
        push_tables(east)
        push_tables(west)
        yield TwoCities(east, west)
    finally:
        east.kill()
        west.kill()


class Floor:
    """Phones and calls of one test: all phones over one socket, as in the simulator, all calls over another."""

    def __init__(self, phones: Socket, carrier: Socket, directory: Directory) -> None:
        self.phones, self.carrier, self._directory = phones, carrier, directory

    def phone(self, softswitch: Softswitch, index: int = 0, *, password: str | None = None) -> Phone:
        agent = self._directory.agents[index]
        return Phone(self.phones, agent.extensions[softswitch.site], password or agent.password, server=softswitch.sip)

    async def registered(self, softswitch: Softswitch, index: int = 0) -> Phone:
        phone = self.phone(softswitch, index)
        answer = await phone.register()
        assert answer.code == 200, answer.start
        return phone

    def call(
        self, softswitch: Softswitch, number: str = NUMBER, *, call_id: str = "", extra: dict[str, str] | None = None
    ) -> Call:
        """Place a call, with extra headers if wanted."""
        call = Call(self.carrier, softswitch.sip, number, call_id=call_id, extra=extra or {})
        call.invite()
        return call

    async def talk(self, softswitch: Softswitch, cti: CtiClient, phone: Phone) -> tuple[Dialog, Dialog]:
        """A call in progress at `phone`, distributed by `cti`: the caller's end and the agent's."""
        call = self.call(softswitch)
        cti.ring(await cti.expect("call", callid=call.call_id), phone.extension)
        callee = phone.answer(await phone.ringing(call.call_id))
        caller = await call.answered()
        await self.phones.request("ACK", call.call_id)
        await cti.expect("answered", callid=call.call_id, ext=phone.extension)
        return caller, callee


@pytest.fixture
async def floor(directory: Directory) -> AsyncIterator[Floor]:
    phones, carrier = await Socket.open(), await Socket.open()
    yield Floor(phones, carrier, directory)
    phones.close()
    carrier.close()


@pytest.fixture
async def other_floor(directory: Directory) -> AsyncIterator[Floor]:
    """Another floor of the same directory, with sockets of its own."""
    phones, carrier = await Socket.open(), await Socket.open()
    yield Floor(phones, carrier, directory)
    phones.close()
    carrier.close()


@pytest.fixture
async def cti(east: Softswitch) -> AsyncIterator[CtiClient]:
    """A CTI connected to `east`, past its `hello`."""
    client = await CtiClient.connect(east.evapi)
    await client.expect("hello")
    yield client
    await client.close()
