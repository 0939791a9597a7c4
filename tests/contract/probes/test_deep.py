"""Deep probes against a real CTI and a real Kamailio that are connected to each other, as in a city."""

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import uvloop

from callcenter.cti import loanstore
from callcenter.directory import Directory, GroupSize, generate, save
from tandem.adapters.softswitch.kamailio import KamailioSoftswitch
from tandem.domain.probe_agents import ProbeAgent, probe_agent
from tandem.engine.clock import RealClock
from tandem.engine.ports import DeepResult, ProbeResult
from tandem.probes.call import Caller, Send
from tandem.probes.outcome import NotTestedError, NotWorkingError
from tandem.probes.prober import NetworkProber
from tandem.probes.sign_in import Line
from tests.contract.adapters.conftest import HttpTo, http_to
from tests.contract.cti.support import GROUP, CtiProcess, Desk, a_cti, control, until
from tests.contract.softswitch.kamailio import TOKEN, Softswitch, missing
from tests.support.ports import free_port

__all__ = ["http_to"]
pytestmark = [pytest.mark.contract, pytest.mark.slow]

TIMEOUT_S = 1.0
LOCATIONS = ("east", "west", "witness")
WITNESS = probe_agent("hotel", "witness")


def the_directory() -> Directory:
    return generate(
        [GroupSize(GROUP, "hotel", 4)], cities=["east", "west"], realm="callcenter", seed="test", observers=LOCATIONS
    )


@dataclass
class City:
    cti: CtiProcess
    softswitch: Softswitch

    async def probe(self, prober: NetworkProber, agent: ProbeAgent = WITNESS) -> DeepResult:
        """The first result of which nothing is void: on a busy machine our own loop stalls now and then."""
        for _ in range(20):
            result = await self.probe_once(prober, agent)
            if not result.sign_in.void and result.call is not None and not result.call.void:
                return result
            await asyncio.sleep(0.1)
        raise AssertionError(f"twenty void probes: {result}")

    async def probe_once(self, prober: NetworkProber, agent: ProbeAgent = WITNESS) -> DeepResult:
        return await prober.deep(self.cti.url, self.softswitch.address, agent, TIMEOUT_S)

    def forget_numbers(self) -> None:
        for location in LOCATIONS:
            self.softswitch.rpc("htable.delete", "numbers", probe_agent("hotel", location).number)

    def push_numbers(self) -> None:
        """What the city's engine does."""
        for location in LOCATIONS:
            agent = probe_agent("hotel", location)
            self.softswitch.rpc("htable.sets", "numbers", agent.number, agent.group)


@contextlib.asynccontextmanager
async def a_city(folder: Path, *, peer: str = "", **cti_env: str) -> AsyncIterator[City]:
    lacking = missing()
    assert not lacking, f"this machine lacks {lacking}"
    save(the_directory(), folder / "directory.json.gz")
    environment = {"TANDEM_PEER_SIP_ADDRESS": peer} if peer else {}
    softswitch = Softswitch("east", folder / "directory.json.gz", folder / "softswitch", environment=environment)
    cti = a_cti(folder, "east", {"east": free_port(), "west": free_port()}, evapi=softswitch.evapi[1], **cti_env)
    cti.env |= {"TANDEM_EVAPI": f"{softswitch.ip}:{softswitch.evapi[1]}", "TANDEM_SIP_ADDRESS": softswitch.address}
    # It has run here before: a CTI that cannot know whom it has lent lets people in later.
    os.makedirs(cti.env["TANDEM_STATE_DIR"])
    loanstore.save(Path(cti.env["TANDEM_STATE_DIR"]), loanstore.Kept(frozenset(), 0))
    city = City(cti, softswitch)
    try:
        softswitch.start()
        city.push_numbers()
        await cti.start()
        await until(lambda: softswitch.htable("control", "cti_up") == 1, within=5, what="the CTI is connected")
        yield city
    finally:
        cti.stop()
        softswitch.kill()


@pytest.fixture
async def city(tmp_path: Path) -> AsyncIterator[City]:
    async with a_city(tmp_path) as running:
        yield running


@pytest.fixture
async def prober() -> AsyncIterator[NetworkProber]:
    async with NetworkProber(RealClock()) as opened:
        yield opened


@contextlib.contextmanager
def frozen(group: int) -> Iterator[None]:
    os.killpg(group, signal.SIGSTOP)
    try:
        yield
    finally:
        os.killpg(group, signal.SIGCONT)


def worked(result: DeepResult) -> tuple[bool, bool | None]:
    return result.sign_in.ok, result.call.ok if result.call is not None else None


def call_of(result: DeepResult) -> ProbeResult:
    assert result.call is not None
    return result.call


# -- all is well


async def test_a_city_that_works_passes_both(city: City, prober: NetworkProber) -> None:
    for _ in range(3):
        result = await city.probe(prober)
        assert worked(result) == (True, True), result
        assert result.sign_in.detail == call_of(result).detail == ""
        assert 0 < call_of(result).seconds < 1.0


async def test_an_engine_that_shares_the_other_softswitchs_address_is_no_softswitch(
    tmp_path: Path, prober: NetworkProber
) -> None:
    """So it is wherever a city's pods are seen under one address: its test calls were taken for customers'."""
    async with a_city(tmp_path, peer=f"127.0.0.1:{free_port()}") as city:
        for _ in range(2):
            result = await city.probe(prober)
            assert worked(result) == (True, True), result


async def test_without_a_softswitch_named_nobody_is_called(city: City, prober: NetworkProber) -> None:
    result = await prober.deep(city.cti.url, None, WITNESS, TIMEOUT_S)
    assert worked(result) == (True, None)


async def test_three_locations_at_once_do_not_disturb_each_other(city: City, prober: NetworkProber) -> None:
    async def location(name: str) -> list[DeepResult]:
        async with NetworkProber(RealClock()) as own:
            return [await city.probe(own, probe_agent("hotel", name)) for _ in range(10)]

    for results in await asyncio.gather(*(location(name) for name in LOCATIONS)):
        assert [worked(result) for result in results] == [(True, True)] * 10, results


async def test_nobody_at_work_notices_anything_and_nothing_is_counted(
    city: City, prober: NetworkProber, http_to: HttpTo
) -> None:
    adapter = adapter_of(city, http_to)
    async with control(city.cti.target) as engine:
        await engine.place(1, {"east": "0-99"})
        async with Desk("agent0001", "02:00:00:00:00:01", {"east": city.cti}) as desk:
            await until(lambda: desk.session.signed_in_at == "east", within=8, what="somebody works here")
            before, (_, progress) = await engine.group(), await engine.get("/v1/progress")
            seen = len(desk.seen)
            counted = []
            for _ in range(10):
                assert worked(await city.probe(prober)) == (True, True)
                counted.append(await adapter.state())
            assert {(state.registered, state.calls, state.placed) for state in counted} == {(0, 0, 0)}
            _, status = await engine.get("/v1/status")
            assert list(status["groups"]) == [GROUP]
            assert status["groups"][GROUP] == before
            assert (await engine.get("/v1/progress"))[1]["seq"] == progress["seq"]
            assert not [action for _, action in desk.seen[seen:] if "Call" in type(action).__name__]
            assert desk.session.signed_in_at == "east"


def adapter_of(city: City, http_to: HttpTo) -> KamailioSoftswitch:
    return KamailioSoftswitch(http_to(f"http://{city.softswitch.ip}:{city.softswitch.http[1]}/RPC", TOKEN))


def the_line(city: City, location: str) -> Line:
    agent = the_directory().by_account[probe_agent("hotel", location).account]
    return Line(agent.extensions["east"], "callcenter", agent.password)


# -- a softswitch that is there and takes no calls


async def test_a_softswitch_that_answers_options_and_refuses_calls_fails_the_call_alone(
    city: City, prober: NetworkProber
) -> None:
    await city.probe(prober)
    await asyncio.to_thread(city.forget_numbers)  # as after a restart: every call gets 503, OPTIONS get 200
    result = await city.probe(prober)
    assert worked(result) == (True, False)
    assert call_of(result).detail == f"call at {city.softswitch.address}: INVITE: 503 Service Unavailable"
    assert (await prober.sip_options(city.softswitch.address, TIMEOUT_S)).ok
    await asyncio.to_thread(city.push_numbers)
    assert worked(await city.probe(prober)) == (True, True)


async def test_a_number_that_was_not_pushed_accuses_nobody(city: City, prober: NetworkProber) -> None:
    """This location may be new, or the city's engine older than ours."""
    await asyncio.to_thread(city.softswitch.rpc, "htable.delete", "numbers", WITNESS.number)
    result = await city.probe_once(prober)
    assert (result.sign_in.ok, call_of(result).void) == (True, True)
    assert "404" in call_of(result).detail


async def test_a_softswitch_that_registers_phones_and_rings_none_fails(city: City, prober: NetworkProber) -> None:
    """Its line to the CTI is dead: the call waits for a word that never comes."""
    await city.probe(prober)
    await asyncio.to_thread(city.softswitch.rpc, "htable.sets", "numbers", WITNESS.number, "tandem-probe/east")
    result = await city.probe(prober)
    assert worked(result) == (True, False)
    assert "queued (182 Queued), but the phone was not rung within 1 s" in call_of(result).detail
    assert await asyncio.to_thread(city.softswitch.rpc, "htable.dump", "waiting") == [], "it has been taken back"
    await asyncio.to_thread(city.push_numbers)
    assert worked(await city.probe(prober)) == (True, True)


async def test_a_frozen_softswitch_fails_the_call_and_not_the_sign_in(city: City, prober: NetworkProber) -> None:
    await city.probe(prober)
    assert city.softswitch.process is not None
    with frozen(city.softswitch.process.pid):
        result = await city.probe(prober)
    assert worked(result) == (True, False)
    assert call_of(result).detail.endswith("no answer to REGISTER within 1 s")
    assert worked(await city.probe(prober)) == (True, True)


async def test_only_a_test_phone_calls_a_test_phone(city: City) -> None:
    """Anybody else could keep it busy, and a city would look broken."""
    somebody = the_directory().agents[0]
    caller = Caller()
    try:
        for line in (
            Line(somebody.extensions["east"], "callcenter", somebody.password),
            Line(the_line(city, "east").extension, "callcenter", "a guess"),
        ):
            with pytest.raises(Exception, match=r"403|401"):
                await caller.call(city.softswitch.sip, line, WITNESS.number, TIMEOUT_S)
    finally:
        caller.close()


async def test_a_test_call_needs_no_carriers_address_and_goes_to_no_other_city(tmp_path: Path) -> None:
    """Without a CTI customers' calls go to the other city. A test call that did would say that this one works."""
    save(the_directory(), tmp_path / "directory.json.gz")
    east = Softswitch(
        "east",
        tmp_path / "directory.json.gz",
        tmp_path / "east",
        environment={"TANDEM_CARRIER_NETWORKS": "198.51.100.0/24"},
    )
    west = Softswitch("west", tmp_path / "directory.json.gz", tmp_path / "west")
    caller = Caller()
    try:
        east.start(peer=west)
        west.start(peer=east)
        for softswitch in (east, west):
            softswitch.rpc("htable.sets", "numbers", WITNESS.number, WITNESS.group)
        await until(lambda: east.htable("control", "peer_up") == 1, within=8, what="east has a peer")
        agent = the_directory().by_account[WITNESS.account]
        line = Line(agent.extensions["east"], "callcenter", agent.password)
        with pytest.raises(NotWorkingError, match=r"queued .182 Queued., but the phone was not rung"):
            await caller.call(east.sip, line, WITNESS.number, TIMEOUT_S)
        assert west.rpc("stats.fetchn", "dialog:")["dialog.processed_dialogs"] == 0
    finally:
        caller.close()
        east.kill()
        west.kill()


async def test_what_an_engine_that_died_in_the_middle_leaves_behind_counts_nowhere_and_is_gone_in_seconds(
    city: City, prober: NetworkProber, http_to: HttpTo
) -> None:
    await city.probe(prober)
    line = the_line(city, "witness")
    caller = Caller()
    # It dies when the call is up: nobody says BYE.
    send = caller._send

    def until_it_is_up(sends: Sequence[Send]) -> None:
        send([(data, to) for data, to in sends if not data.startswith(b"BYE")])

    async with prober._sign_in.signed_in(city.cti.url, WITNESS, TIMEOUT_S):
        await caller.register(city.softswitch.sip, line, TIMEOUT_S)
        caller._send = until_it_is_up  # type: ignore[method-assign]
        with pytest.raises(NotWorkingError, match="could not be hung up"):
            await caller.call(city.softswitch.sip, line, WITNESS.number, TIMEOUT_S)
        caller.close()
    stats = await asyncio.to_thread(city.softswitch.rpc, "stats.fetchn", "dialog:", "usrloc:")
    assert (stats["dialog.active_dialogs"], stats["usrloc.registered_users"]) == (1, 1)
    state = await adapter_of(city, http_to).state()
    assert (state.calls, state.registered) == (0, 0)
    assert worked(await city.probe(prober)) == (True, True), "the next one is not held up by it"

    def forgotten() -> bool:
        stats = city.softswitch.rpc("stats.fetchn", "dialog:", "script:")
        return (stats["dialog.active_dialogs"], stats["script.test_calls"]) == (0, 0)

    await until(forgotten, within=20, what="the softswitch has forgotten the call")


# -- a CTI that is there and signs nobody in


async def test_a_cti_that_accepts_connections_and_signs_nobody_in_fails_the_sign_in_alone(
    city: City, prober: NetworkProber
) -> None:
    await city.probe(prober)
    city.cti.stop()
    with deaf_to_sign_ins(city.cti):
        await until(city.cti.serves, within=15, what="the CTI serves")
        result = await that_counts(lambda: city.probe_once(prober))
        assert (await prober.http_health(f"{city.cti.url}/healthz", TIMEOUT_S)).ok
    assert result.sign_in.detail == f"sign-in at {city.cti.url}: no offer or wait or refused or release within 1 s"
    assert not result.sign_in.ok
    assert call_of(result).void, "nobody to call: that is not the softswitch's fault"


@contextlib.contextmanager
def deaf_to_sign_ins(cti: CtiProcess) -> Iterator[None]:
    """The real CTI, whose answer to a sign-in never comes."""
    code = (
        "from callcenter.session.server import SessionServer\n"
        "SessionServer._on_sign_in = lambda *_: None\n"
        "from callcenter.cti.main import main\n"
        "main()\n"
    )
    with cti.log.open("ab") as log:
        cti.process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | cti.env, stdout=log, stderr=log)
    try:
        yield
    finally:
        cti.stop()


async def that_counts(probe: Callable[[], Awaitable[DeepResult]]) -> DeepResult:
    """The first result whose sign-in is not void."""
    for _ in range(20):
        result = await probe()
        if not result.sign_in.void:
            return result
    raise AssertionError(f"twenty void probes: {result}")


async def test_a_frozen_cti_fails_the_sign_in_and_is_not_held_against_the_softswitch(
    city: City, prober: NetworkProber
) -> None:
    await city.probe(prober)
    city.cti.signal(signal.SIGSTOP)
    try:
        result = await that_counts(lambda: city.probe_once(prober))
    finally:
        city.cti.signal(signal.SIGCONT)
    assert result.sign_in.detail == f"sign-in at {city.cti.url}: no connection within 1 s"
    assert not result.sign_in.ok
    assert call_of(result).void
    assert worked(await city.probe(prober)) == (True, True)


async def test_a_door_at_its_limit_passes_and_says_so(tmp_path: Path, prober: NetworkProber) -> None:
    """The CTI that takes a lost city's agents in must not be accused for that."""
    async with a_city(tmp_path, TANDEM_SIGNIN_RATE="0.02") as city:
        await asyncio.gather(*(city.probe_once(prober, probe_agent("hotel", name)) for name in LOCATIONS))
        result = await that_counts(lambda: city.probe_once(prober))
        assert (result.sign_in.ok, result.sign_in.detail) == (True, "stands at the door: Paced")
        assert call_of(result).void


async def test_a_directory_without_test_agents_accuses_nobody(city: City, prober: NetworkProber) -> None:
    result = await city.probe_once(prober, probe_agent("hotel", "elsewhere"))
    assert result.sign_in.void
    assert "UnknownAccount" in result.sign_in.detail
    assert call_of(result).void


async def test_another_engine_of_this_location_accuses_nobody(city: City, prober: NetworkProber) -> None:
    """An old one that ends while a new one starts: the CTI lets one of them in at a time."""
    older = prober._sign_in.signed_in(city.cti.url, WITNESS, TIMEOUT_S)
    await older.__aenter__()
    async with NetworkProber(RealClock()) as newer:
        assert worked(await city.probe(newer)) == (True, True)
    with pytest.raises(NotTestedError, match="Replaced"):
        await older.__aexit__(None, None, None)


# -- nobody there, and what accuses nobody


async def test_nobody_there_fails_both(city: City, prober: NetworkProber) -> None:
    await city.probe(prober)
    city.cti.stop()
    city.softswitch.kill()
    result = await city.probe(prober)
    assert worked(result) == (False, False)


async def test_silence_fails_within_its_time(prober: NetworkProber) -> None:
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(16)
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        result = await that_counts(lambda: prober.deep(url, None, WITNESS, 0.3))
    assert (result.sign_in.ok, result.sign_in.detail) == (False, f"sign-in at {url}: no connection within 0.3 s")
    assert result.sign_in.seconds < 0.6


async def test_a_stall_of_our_own_accuses_nobody(city: City, prober: NetworkProber) -> None:
    await city.probe(prober)
    city.cti.signal(signal.SIGSTOP)
    try:
        probe = asyncio.create_task(city.probe_once(prober))
        await asyncio.sleep(0.2)
        time.sleep(0.5)  # noqa: ASYNC251 - the stall
        assert (await probe).sign_in.void
    finally:
        city.cti.signal(signal.SIGCONT)


async def test_a_name_that_we_cannot_resolve_accuses_nobody(prober: NetworkProber) -> None:
    result = await prober.deep("http://no-such-host.invalid:1", "no-such-host.invalid:5060", WITNESS, 5.0)
    assert result.sign_in.void
    assert call_of(result).void


def test_silence_leaves_nothing_behind() -> None:
    """A dead city is probed for hours, and this process has so many file descriptors and no more."""

    async def probe(url: str, sip: str) -> tuple[int, int]:
        async with NetworkProber(RealClock()) as prober:
            prober._lines[url, WITNESS.account] = Line("0510001", "callcenter", "secret")

            async def open_files_after(rounds: int) -> int:
                for _ in range(rounds):
                    await asyncio.gather(*(prober.deep(url, sip, WITNESS, 0.05) for _ in range(20)))
                await asyncio.sleep(0.5)
                return len(os.listdir("/proc/self/fd"))

            before = await open_files_after(1)
            after = await open_files_after(10)
            assert not prober._caller._inboxes
            return before, after

    with socket.socket() as deaf, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(4096)
        mute.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            before, after = runner.run(probe(url, f"127.0.0.1:{mute.getsockname()[1]}"))
    assert after <= before
