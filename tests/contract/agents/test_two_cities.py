"""Agents' processes against real CTIs, real softswitches and a real carrier on loopback."""

import time
from collections import Counter
from typing import Any

import httpx
import pytest

from tests.contract.agents.two_cities import GROUP, NUMBER, OTHER_GROUP, TwoCities, wait_until

pytestmark = [pytest.mark.contract, pytest.mark.slow]


def by_account(events: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        found.setdefault(event["account"], []).append(event)
    return found


def fates(world: TwoCities) -> Counter[str]:
    return Counter(call["fate"] for call in world.calls())


def test_agents_sign_in_where_their_group_is_placed_and_answer_calls_from_everywhere(world: TwoCities) -> None:
    signed_in = world.events("signed-in")
    assert len({event["account"] for event in signed_in}) == len(signed_in) == 40
    assert {(event["group"], event["site"]) for event in signed_in} == {(GROUP, "east"), (OTHER_GROUP, "west")}
    world.put("/v1/load", {"calls_per_second": 10, "talk": [1, 3], "numbers": None, "seed": 1})
    time.sleep(8)
    world.put("/v1/load", {"calls_per_second": 0})
    wait_until(lambda: not fates(world).keys() & {"active", "queued"}, within=20, what="every call ending")
    calls = world.calls()
    assert len(calls) > 50
    assert fates(world) == {"answered": len(calls)}
    extensions = {ext for agent in world.directory.agents for ext in agent.extensions.values()}
    assert {call["agent"] for call in calls} <= extensions
    # Both ways into both cities were used, so calls also went through the other city's softswitch.
    assert {call["routes_tried"][0] for call in calls} == {"east", "west"}
    assert {call["by"] for call in calls} == {"carrier", "agent"}
    wait_until(lambda: len(world.events("call-ended")) == len(calls), within=2, what="the diary of every call")
    assert {event["call"] for event in world.events("call")} == {call["id"] for call in calls}
    assert {event["cause"] for event in world.events("call-ended")} == {"caller", "agent"}


def test_a_planned_move_takes_everybody_along_and_cuts_no_call(world: TwoCities) -> None:
    world.put("/v1/load", {"calls_per_second": 6, "talk": [1, 3], "numbers": None, "seed": 2})
    wait_until(lambda: len(world.events("call")) > 10, within=10, what="calls being answered")
    world.place(2, {GROUP: {"east>west": "0-99"}})
    wait_until(lambda: world.count("signed_in", "west") == 40, within=15, what="the whole group arriving at west")
    time.sleep(1)
    world.put("/v1/load", {"calls_per_second": 0})
    wait_until(lambda: not fates(world).keys() & {"active", "queued"}, within=20, what="every call ending")
    assert fates(world).keys() == {"answered"}
    moved = by_account(world.events("released", "lost", "signed-in"))
    for agent in world.directory.agents:
        kinds = [(e["event"], e["site"], e.get("cause")) for e in moved[agent.account]]
        if agent.group == GROUP:
            assert kinds == [
                ("signed-in", "east", "fresh"),
                ("released", "east", None),
                ("signed-in", "west", "ticket"),
            ]
            released, arrived = moved[agent.account][1:]
            assert 0 < arrived["gap"] < 2
            assert arrived["mono"] - released["mono"] == pytest.approx(arrived["gap"], abs=0.02)
        else:
            assert kinds == [("signed-in", "west", "fresh")]


def test_agents_of_a_dead_cti_are_in_service_at_the_other_city_when_its_door_opens(world: TwoCities) -> None:
    assert world.east.cti is not None
    world.east.cti.stop(9)
    wait_until(lambda: len(world.events("lost")) == 20, within=5, what="everybody noticing")
    world.west.place(2, {GROUP: {"west": "0-99"}})
    wait_until(lambda: world.count("signed_in", "west") == 40, within=10, what="everybody signing in at west")
    wait_until(lambda: len(world.events("signed-in")) == 60, within=2, what="the diary of that")
    arrived = [event for event in world.events("signed-in") if event.get("cause") == "failover"]
    assert len(arrived) == 20
    assert all(event["gap"] > 0 for event in arrived)
    world.put("/v1/load", {"calls_per_second": 5, "talk": [1, 2], "numbers": None, "seed": 3})
    time.sleep(3)
    world.put("/v1/load", {"calls_per_second": 0})
    wait_until(lambda: not fates(world).keys() & {"active", "queued"}, within=20, what="every call ending")
    assert fates(world).keys() == {"answered"}


def test_phones_register_again_when_a_softswitch_has_forgotten_them(world: TwoCities) -> None:
    before = len([event for event in world.events("registered") if event["site"] == "east"])
    assert before == 40
    world.east.softswitch.kill()
    world.east.softswitch.start(peer=world.west.softswitch)
    wait_until(
        lambda: len({e["account"] for e in world.events("registered")[80:] if e["site"] == "east"}) == 40,
        within=10,
        what="every phone registering again",
    )
    assert world.east.softswitch.rpc("stats.fetchn", "usrloc:")["usrloc.location_contacts"] == 40


def test_a_softswitch_that_is_killed_cuts_no_call_and_loses_none_that_waits(world: TwoCities) -> None:
    world.put_routes(revision=2, east=1, west=0)
    control = f"http://127.0.0.1:{world.control_port}"
    at_east = [agent.account for agent in world.directory.agents if agent.group == GROUP]
    world.put("/v1/load", {"calls_per_second": 8, "talk": [7, 9], "numbers": [NUMBER], "seed": 4, "arrivals": "even"})
    wait_until(lambda: fates(world)["active"] >= 16, within=8, what="calls being in progress")
    # From now on calls of this group wait.
    httpx.post(f"{control}/v1/break", json={"accounts": at_east}, timeout=5, trust_env=False)
    wait_until(lambda: fates(world)["queued"] >= 4, within=8, what="calls waiting")
    world.put("/v1/load", {"calls_per_second": 0})
    before = fates(world)
    assert before["active"] >= 8
    world.east.softswitch.kill()
    world.east.softswitch.start(peer=world.west.softswitch)
    world.east.push_tables()
    httpx.post(f"{control}/v1/break", json={"accounts": at_east, "state": "available"}, timeout=5, trust_env=False)
    wait_until(lambda: not fates(world).keys() & {"active", "queued"}, within=60, what="every call ending")
    assert fates(world).keys() == {"answered"}, [call for call in world.calls() if call["fate"] != "answered"]
    assert fates(world)["answered"] >= before["active"] + before["queued"]


def test_agents_who_start_anew_all_at_once_are_back_where_they_were_and_take_calls(world: TwoCities) -> None:
    control = f"http://127.0.0.1:{world.control_port}"
    accounts = [agent.account for agent in world.directory.agents if agent.group == GROUP]
    asked = httpx.post(f"{control}/v1/restart", json={"accounts": [*accounts, "nobody"]}, timeout=5, trust_env=False)
    assert asked.json() == {"restarted": 20, "unknown": ["nobody"]}
    wait_until(lambda: len(world.events("signed-in")) == 60, within=10, what="twenty signing in anew")
    assert {(event["account"], event["site"]) for event in world.events("signed-in")[40:]} == {
        (account, "east") for account in accounts
    }
    assert [event["cause"] for event in world.events("out")] == ["Restarted"] * 20
    wait_until(lambda: world.count("registered", "east") == 40, within=5, what="their phones registering again")
    world.put("/v1/load", {"calls_per_second": 10, "talk": [1, 1], "numbers": [NUMBER], "seed": 5})

    def answered() -> set[str]:
        return {event["account"] for event in world.events("call")}

    wait_until(lambda: answered() == set(accounts), within=15, what="each of them answering a call")
    world.put("/v1/load", {"calls_per_second": 0})
    wait_until(lambda: not fates(world).keys() & {"active", "queued"}, within=20, what="every call ending")
    assert fates(world).keys() == {"answered"}
    assert world.count("signed_in", "east") + world.count("signed_in", "west") == 40


def test_breaks_are_pressed_and_the_end_is_orderly(world: TwoCities) -> None:
    control = f"http://127.0.0.1:{world.control_port}"
    accounts = [agent.account for agent in world.directory.agents if agent.group == GROUP][:5]

    def press(body: Any) -> httpx.Response:
        return httpx.post(f"{control}/v1/break", json=body, timeout=5, trust_env=False)

    def on_break() -> int:
        return int(world.east.api("GET", "/v1/status")["groups"][GROUP]["on_break"])

    assert press({"accounts": [*accounts, "nobody"]}).json() == {"pressed": 5, "unknown": ["nobody"]}
    wait_until(lambda: on_break() == 5, within=2, what="the breaks reaching the CTI")
    press({"accounts": accounts[:2], "state": "available"})
    wait_until(lambda: on_break() == 3, within=2, what="two coming back")
    assert press({"accounts": "all"}).status_code == 400
    httpx.post(f"{control}/v1/stop", timeout=5, trust_env=False)
    assert world.agents is not None
    assert world.agents.popen is not None
    assert world.agents.popen.wait(10) == 0
    assert len({event["account"] for event in world.events("out")}) == 40
    wait_until(
        lambda: world.east.api("GET", "/v1/status")["groups"][GROUP]["signed_in"] == 0,
        within=1,
        what="the CTI hearing of it without waiting for leases",
    )
