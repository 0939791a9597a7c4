"""The stories of the matrix: what they ask of the lab and of people, and what they notice."""

import asyncio
import http.server
import json
import socket
import threading
from types import SimpleNamespace
from typing import Any

import pytest

from demo.errors import ToolError
from tests.matrix import stories
from tests.matrix.scene import ENGINE, Scene
from tests.unit.engine.virtual import run_virtual

MANUAL, OTHER = f"callcenter/{stories.MANUAL}", "callcenter/flight-north-sales"
QUESTION = {
    "metadata": {"name": "east-1-failover"},
    "spec": {"selector": {"names": [stories.MANUAL]}, "approved": True, "approvedBy": "ada"},
    "status": {"phase": "AwaitingApproval"},
}


def now() -> float:
    return asyncio.get_running_loop().time() - 1000.0


class World:
    """A lab, a store and clusters that do as they are told at certain seconds."""

    def __init__(self, *, manual_moves_at: float = 1e9, asked: bool = True, coordinator: str = "witness") -> None:
        self.said: list[str] = []
        self.names = True
        self.pods = 0
        self.anew = True
        self._manual_moves_at = manual_moves_at
        self.newest = {group: SimpleNamespace(revision=7, map={"east": "0-99"}) for group in (MANUAL, OTHER)}
        self.shift: dict[str, Any] = {**QUESTION, "status": {"phase": "AwaitingApproval" if asked else "Completed"}}
        groups = [SimpleNamespace(name=name, home="east") for name in self.newest]
        cluster = SimpleNamespace(get=self._get, kubectl=self._kubectl)
        centre: Any = SimpleNamespace(
            lab=SimpleNamespace(faults=self),
            quickstart=SimpleNamespace(choose=lambda _: groups),
            clusters=dict.fromkeys(("east", "west", "witness"), cluster),
            observed=SimpleNamespace(look=lambda: None, at=lambda *_: 2),
            accounts=lambda _: frozenset({"a", "b"}),
            say=lambda _: None,
            tandem=self._tandem,
        )
        leadership: Any = SimpleNamespace(
            coordinator=self._coordinator, leader=self._coordinator, coordinate_from=self._coordinate_from
        )
        self._who = coordinator
        self.scene = Scene(centre, leadership, self, None)  # type: ignore[arg-type]

    def __getattr__(self, name: str) -> Any:
        async def fault(*what: object, **_: object) -> None:
            self.said.append(" ".join((name, *(str(word) for word in what))))

        return fault

    async def look(self) -> None:
        for group, at in ((OTHER, 1.0), (MANUAL, self._manual_moves_at)):
            if now() >= at:
                self.newest[group] = SimpleNamespace(revision=9, map={"west": "0-99"})

    async def _coordinator(self) -> str:
        return self._who

    async def _coordinate_from(self, city: str) -> None:
        self.said.append(f"{city} coordinates")

    async def _tandem(self, *args: str) -> str:
        self.said.append("tandem " + " ".join(args))
        return ""

    async def _get(self, kind: str, *_: str, **__: str) -> dict[str, Any]:
        if kind == "pods":
            return {"items": [{"metadata": {"uid": f"u{self.pods}"}}]}
        return {"items": [self.shift]}

    async def _kubectl(self, *args: str, **_: object) -> str:
        self.said.append("kubectl " + " ".join(args))
        if args[0] == "exec" and not self.names:
            raise ToolError("no")
        if args[:2] == ("rollout", "restart") and self.anew:
            self.pods += 1
        return ""


def test_a_group_that_waits_for_a_person_is_moved_by_one_command() -> None:
    world = World()
    run_virtual(stories.approved_by_one_command(world.scene))
    assert world.scene.broken == []
    assert world.said == ["kill_city east", "tandem approve east-1-failover -n callcenter"]
    assert world.scene.counts_from > world.scene.strikes[0].at, "the bound counts from the approval"


@pytest.mark.parametrize(
    ("world", "broken"),
    [
        (World(manual_moves_at=2.0), f"{MANUAL} was placed anew before anybody had approved it"),
        (World(asked=False), "the question: not after 15 s. How it stands: none of 1 Shifts waits for a person"),
    ],
    ids=["moved-unasked", "nobody-is-asked"],
)
def test_a_group_that_moves_unasked_or_of_which_nobody_is_asked_is_seen(world: World, broken: str) -> None:
    run_virtual(stories.approved_by_one_command(world.scene))
    assert world.scene.broken == [broken]


@pytest.mark.parametrize(("phase", "good"), [("Completed", True), ("Interrupted", False)])
def test_an_answered_question_is_completed(phase: str, good: bool) -> None:
    world = World()
    world.shift["status"] = {"phase": phase}
    run_virtual(stories.it_says_who_approved(world.scene))
    assert (world.scene.broken == []) is good


def test_a_coordinator_that_comes_to_and_changes_nothing_is_well() -> None:
    world = World(manual_moves_at=2.0)
    run_virtual(stories.frozen_coordinator_comes_to(world.scene))
    assert world.scene.broken == []
    assert world.said[:2] == ["east coordinates", f"freeze east {ENGINE}"]
    assert world.said.index("cut east carrier") < world.said.index(f"thaw east {ENGINE}")
    assert world.said[-1] == "mend east carrier"


def test_a_coordinator_that_comes_to_and_commits_or_reigns_is_seen() -> None:
    world = World(coordinator="east")

    async def story() -> None:
        async def both() -> None:
            for group in (MANUAL, OTHER):
                world.newest[group] = SimpleNamespace(revision=9 if now() < 4.0 else 11, map={"west": "0-99"})

        world.look = both  # type: ignore[method-assign]
        await stories.frozen_coordinator_comes_to(world.scene)

    run_virtual(story())
    assert len(world.scene.broken) == 2


def test_everything_of_tandem_is_rolled_out_anew_in_each_location_and_seen_to_be() -> None:
    world = World()
    run_virtual(stories.rolled_out_anew(world.scene))
    assert world.scene.broken == []
    assert sum(line.startswith("kubectl rollout restart") for line in world.said) == 6
    world = World()
    world.anew = False
    run_virtual(stories.rolled_out_anew(world.scene))
    assert len(world.scene.broken) == 6


@pytest.mark.parametrize("found", [True, False])
def test_a_city_without_names_is_seen_to_have_none(found: bool) -> None:
    world = World()
    run_virtual(stories.names_are_found(world.scene))
    world.names = found
    run_virtual(stories.no_names(world.scene))
    assert "lose_names east" in world.said
    assert (world.scene.broken != []) is found


def test_a_softswitch_is_told_to_refuse_calls_and_to_take_them_again() -> None:
    asked: list[tuple[str, str, Any]] = []

    class Rpc(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            asked.append((self.path, self.headers["Authorization"], json.loads(body)))
            answer = b'{"jsonrpc": "2.0", "result": "ok", "id": 1}'
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Rpc)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def connect(city: str, address: tuple[str, int], timeout: float) -> socket.socket:
        assert (city, address) == ("east", ("10.111.0.9", 8080))
        return socket.create_connection(("127.0.0.1", server.server_port), timeout)

    async def service(*_: str) -> dict[str, Any]:
        return {"spec": {"clusterIP": "10.111.0.9"}}

    async def undo_all() -> None:
        pass

    centre: Any = SimpleNamespace(
        clusters={"east": SimpleNamespace(get=service)},
        installation=SimpleNamespace(control_token="t"),
        lab=SimpleNamespace(connect=connect, faults=SimpleNamespace(undo_all=undo_all)),
    )

    async def story() -> None:
        scene = Scene(centre, None, None, None)  # type: ignore[arg-type]
        await stories.refuses_calls(scene)
        await scene.undo()
        await scene.undo()  # what is undone stays so

    asyncio.run(story())
    server.shutdown()
    server.server_close()
    assert [(path, token, body["params"]) for path, token, body in asked] == [
        ("/RPC", "Bearer t", ["control", "drain", 1]),
        ("/RPC", "Bearer t", ["control", "drain", 0]),
    ]
