"""What the matrix's observer of the CTIs makes of their answers."""

import asyncio
import http.server
import json
import socket
import threading
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from lab import inside
from lab.inside import connect
from tests.matrix.ctis import BLIND_AFTER_S, ControlPort, Cti, CtiWatcher, Spell, Spells
from tests.matrix.invariants import bucket_of, nobody_is_counted_twice
from tests.unit.engine.virtual import run_virtual

EAST, WEST = ("east", "hotel"), ("west", "hotel")
GROUP = "n/g"
BUCKET = bucket_of("a")
LEASE_S = 2.7


def test_two_answers_in_a_row_make_a_spell_and_a_look_that_failed_ends_it() -> None:
    spells = Spells()
    for asked in (1.0, 2.0, 3.0):
        spells.look(EAST, [("a", ("s1", 0))], asked, asked + 0.1)
    assert spells.all == [Spell("east", "a", ("s1", 0), 1.1, 3.0)]
    spells.failed(EAST)
    spells.look(EAST, [("a", ("s1", 0))], 5.0, 5.1)
    spells.look(WEST, [("a", ("s9", 0))], 5.0, 5.1)
    assert spells.all == [
        Spell("east", "a", ("s1", 0), 1.1, 3.0),
        Spell("east", "a", ("s1", 0), 5.1, 5.0),  # one answer: it says nothing
        Spell("west", "a", ("s9", 0), 5.1, 5.0),
    ]


def test_what_was_not_seen_in_between_is_two_spells() -> None:
    spells = Spells()
    for asked, seen in ((1.0, True), (2.0, True), (3.0, False), (4.0, True), (5.0, True)):
        spells.look(EAST, [("a", ("s1", 0))] if seen else [], asked, asked + 0.1)
    assert [(spell.since, spell.until) for spell in spells.all] == [(1.1, 2.0), (4.1, 5.0)]


class Centre:
    """Two CTIs, and an agent who leaves east for west while east still counts the session for `overlap_s`."""

    def __init__(self, overlap_s: float) -> None:
        self._gone_at = 1010.0 + overlap_s
        self.asked: list[str] = []
        self.down: set[str] = set()

    def watcher(self) -> CtiWatcher:
        ctis = [Cti(site, "hotel", partial(self._ask, site)) for site in ("east", "west")]
        return CtiWatcher(ctis, {(GROUP, BUCKET): ["a"]}, clock=lambda: asyncio.get_running_loop().time())

    async def _ask(self, site: str, path: str) -> Mapping[str, Any]:
        await asyncio.sleep(0.01)
        if site in self.down:
            raise TimeoutError
        now = asyncio.get_running_loop().time()
        here = now < self._gone_at if site == "east" else now >= 1010.0
        if path == "/v1/status":
            counts = {"revision": 7, "confirmed": True, "buckets": {str(BUCKET): 1} if here else {}}
            new = {**counts, "confirmed": False, "buckets": {}}
            none = {**new, "revision": 0}
            return {"boot": "b1", "uptime": now - 1000.0, "groups": {GROUP: counts, "n/new": new, "n/none": none}}
        self.asked.append(path)
        return {"session": f"{site}.1" if here else None}


def watched(centre: Centre) -> CtiWatcher:
    watcher = centre.watcher()

    async def story() -> None:
        watcher.start()
        await asyncio.sleep(20.0)
        await watcher.stop()

    run_virtual(story())
    return watcher


def test_a_client_that_does_not_wait_for_the_lease_is_found_out_by_the_ctis() -> None:
    watcher = watched(Centre(overlap_s=LEASE_S))
    (said,) = nobody_is_counted_twice(watcher.sessions, 1000.0)
    assert said.startswith("a was counted at east (session east.1) and at west (session west.1) at once, for")


@pytest.mark.parametrize("overlap_s", [-LEASE_S, 0.0])
def test_a_client_that_waits_is_not_and_nobody_is_asked_for_single_agents(overlap_s: float) -> None:
    centre = Centre(overlap_s)
    assert nobody_is_counted_twice(watched(centre).sessions, 1000.0) == []
    assert len(centre.asked) <= 2, "of whom nobody has two"


def test_a_second_of_two_sessions_is_seen() -> None:
    assert nobody_is_counted_twice(watched(Centre(overlap_s=1.0)).sessions, 1000.0) != []


def test_doors_are_the_confirmed_maps() -> None:
    doors = watched(Centre(0.0)).doors
    assert {(spell.site, spell.subject, spell.token) for spell in doors} == {
        (site, GROUP, ("b1", 7)) for site in ("east", "west")
    }
    assert all(spell.until - spell.since > 18.0 for spell in doors)


def test_a_map_that_nobody_confirms_opens_no_door_for_ten_seconds_and_then_it_does() -> None:
    watcher = watched(Centre(0.0))
    for spells, since, until in ((watcher.shut, 1000.0, 1010.0), (watcher.unconfirmed, 1010.0, 1020.0)):
        assert {(spell.site, spell.subject, spell.token) for spell in spells} == {
            (site, "n/new", ("b1", 7)) for site in ("east", "west")
        }
        for spell in spells:
            assert since <= spell.since < since + 1.0
            assert until - 1.0 < spell.until < until


def test_a_cti_that_does_not_answer_is_named() -> None:
    centre = Centre(0.0)
    watcher = centre.watcher()

    async def story() -> list[list[str]]:
        said = [watcher.unread]
        watcher.start()
        await asyncio.sleep(1.0)
        said.append(watcher.unread)
        centre.down.add("west")
        await asyncio.sleep(BLIND_AFTER_S + 1.0)
        said.append(watcher.unread)
        await watcher.stop()
        return said

    both = ["the CTI of hotel at east", "the CTI of hotel at west"]
    assert run_virtual(story()) == [both, [], both[1:]]


# -- the way to a control port


class _Port(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        good = self.path == "/v1/status" and self.headers["Authorization"] == "Bearer t"
        body = json.dumps({"boot": "b1"}).encode()
        self.send_response(200 if good else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def port() -> Iterator[int]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Port)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def test_a_control_port_is_asked_over_one_connection_and_anew_after_an_error(port: int) -> None:
    made: list[socket.socket] = []

    def opened() -> socket.socket:
        made.append(socket.create_connection(("127.0.0.1", port), 2.0))
        return made[-1]

    async def story() -> None:
        with ThreadPoolExecutor(1) as threads:
            control = ControlPort(opened, "t", threads)
            for _ in range(3):
                assert await control.ask("/v1/status") == {"boot": "b1"}
            assert len(made) == 1
            with pytest.raises(Exception, match="status 404"):
                await control.ask("/v1/nothing")
            assert await control.ask("/v1/status") == {"boot": "b1"}
            assert len(made) == 2
            await control.close()
            assert made[-1].fileno() == -1

    asyncio.run(story())


def test_whoever_stops_watching_leaves_no_connection_open_not_even_one_that_is_being_asked(port: int) -> None:
    made: list[socket.socket] = []
    asked, go_on = threading.Event(), threading.Event()

    def opened() -> socket.socket:
        asked.set()
        go_on.wait(5)
        made.append(socket.create_connection(("127.0.0.1", port), 2.0))
        return made[-1]

    async def story() -> None:
        with ThreadPoolExecutor(2) as threads:
            control = ControlPort(opened, "t", threads)
            watcher = CtiWatcher([Cti("east", "hotel", control.ask, control.close)], {})
            watcher.start()
            await asyncio.to_thread(asked.wait, 5)
            stopping = asyncio.create_task(watcher.stop())
            await asyncio.sleep(0.1)  # its task has given up; the thread has not
            go_on.set()
            await stopping
        assert [one.fileno() for one in made] == [-1]

    asyncio.run(story())


def test_a_connection_is_made_by_a_thread_that_has_entered_the_namespace(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OSError, match="no-such-namespace"):
        connect("/run/netns/no-such-namespace", ("127.0.0.1", port), 2.0)
    entered: list[tuple[str, int]] = []
    monkeypatch.setattr(inside, "_enter", lambda path: entered.append((path, threading.get_ident())))
    with connect("/run/netns/x", ("127.0.0.1", port), 2.0) as sock:
        assert sock.getpeername() == ("127.0.0.1", port)
    ((path, thread),) = entered
    assert path == "/run/netns/x"
    assert thread != threading.get_ident(), "whoever asked stays where it is"
