"""What every implementation of the CTI contract must do; runs against the reference CTI unless told otherwise."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from jsonschema import Draft202012Validator

from callcenter.cti import openapi
from tandem.domain.probe_agents import probe_agent
from tandem.engine.clock import RealClock
from tandem.probes.prober import NetworkProber
from tandem.probes.sign_in import SignIn
from tests.contract.cti.support import Control, Target, control, now

pytestmark = pytest.mark.contract


def check(name: str, body: Any) -> None:
    """Compare an answer with its schema in the contract."""
    schema = {"$ref": f"#/components/schemas/{name}", "components": openapi.document()["components"]}
    Draft202012Validator(schema).validate(body)


@pytest.fixture
async def engine(target: Target) -> AsyncIterator[Control]:
    async with control(target) as opened:
        yield opened


async def a_group(engine: Control) -> tuple[str, str, int]:
    """(site, group, next revision) to try placements with."""
    _, status = await engine.get("/v1/status")
    assert status["groups"], "the CTI reports no group: give one with --group"
    name = engine.target.group or next(iter(status["groups"]))
    return status["site"], name, status["groups"].get(name, {"revision": 0})["revision"] + 1


def push(boot: str, group: str, revision: Any, map_: Any, **more: Any) -> dict[str, Any]:
    return {"boot": boot, "confirmed": True, "groups": {group: {"revision": revision, "map": map_, **more}}}


@pytest.mark.parametrize(
    ("path", "schema"),
    [
        ("/v1/capabilities", "Capabilities"),
        ("/v1/status", "Status"),
        ("/v1/progress?after=0", "Progress"),
        ("/v1/moves?after=0", "Moves"),
        ("/v1/evidence", "Evidence"),
        ("/healthz", "Health"),
    ],
)
async def test_answers_match_the_contract(engine: Control, path: str, schema: str) -> None:
    status, body = await engine.get(path)
    assert status == 200
    check(schema, body)


@pytest.mark.parametrize("path", ["/v1/capabilities", "/v1/status", "/v1/progress", "/v1/moves", "/v1/evidence"])
async def test_without_the_token_nothing_is_told(engine: Control, path: str) -> None:
    status, body = await engine.get(path, token="wrong")
    assert status == 401
    check("Error", body)


async def test_health_needs_no_token(engine: Control) -> None:
    async with aiohttp.ClientSession() as http, http.get(f"{engine.target.url}/healthz") as answer:
        assert answer.status == 200
        check("Health", await answer.json())


async def test_a_newer_revision_is_taken_and_shows_in_the_status(engine: Control) -> None:
    site, group, revision = await a_group(engine)
    status, body = await engine.send(
        "PUT", "/v1/placements", push(await engine.boot(), group, revision, {site: "0-99"})
    )
    assert status == 200
    check("Pushed", body)
    assert body["groups"][group] == {"revision": revision, "accepted": True, "reason": ""}
    assert (await engine.group(group))["revision"] == revision
    _, health = await engine.get("/healthz")
    assert health["confirmed"] is True


async def test_revisions_only_grow(engine: Control) -> None:
    site, group, revision = await a_group(engine)
    await engine.place(revision + 1, {site: "0-99"}, group)
    again = await engine.place(revision + 1, {site: "0-99"}, group)
    assert again["accepted"] is True
    older = await engine.place(revision, {site: "0-99"}, group)
    assert older == {"revision": revision + 1, "accepted": False, "reason": "StaleRevision"}
    other = await engine.place(revision + 1, {site: "0-49", "elsewhere": "50-99"}, group)
    assert other == {"revision": revision + 1, "accepted": False, "reason": "SameRevisionOtherMap"}


async def test_a_push_for_another_boot_is_refused_whole(engine: Control) -> None:
    site, group, revision = await a_group(engine)
    status, body = await engine.send("PUT", "/v1/placements", push("another-boot", group, revision, {site: "0-99"}))
    assert status == 409
    check("WrongBoot", body)
    assert body["boot"] == await engine.boot()
    assert (await engine.group(group))["revision"] == revision - 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        pytest.param({"revision": 0}, "revision", id="revision-0"),
        pytest.param({"revision": "7"}, "revision", id="revision-as-text"),
        pytest.param({"map": None}, "map", id="no-map"),
        pytest.param({"map": {"east": "0-98"}}, "map", id="a-bucket-missing"),
        pytest.param({"map": {"east": "0-99", "west": "99"}}, "map", id="a-bucket-twice"),
        pytest.param({"map": {"east": "0-100"}}, "map", id="bucket-100"),
        pytest.param({"map": {"east>east": "0-99"}}, "map", id="from-itself-to-itself"),
        pytest.param({"pace": 0}, "pace", id="pace-0"),
        pytest.param({"drain": {"onDeadline": "Perhaps"}}, "drain.onDeadline", id="unknown-deadline"),
        pytest.param({"drain": {"maxTalk": "5m"}}, "drain.maxTalk", id="duration-as-text"),
    ],
)
async def test_a_wrong_push_names_the_field_and_changes_nothing(
    engine: Control, change: dict[str, Any], field: str
) -> None:
    site, group, revision = await a_group(engine)
    body = push(await engine.boot(), group, revision, {site: "0-99"})
    body["groups"][group] |= change
    status, answer = await engine.send("PUT", "/v1/placements", body)
    assert status == 400
    check("Error", answer)
    assert answer["field"] == f"groups.{group}.{field}"
    assert (await engine.group(group))["revision"] == revision - 1


async def test_a_groups_priority_counts_unless_something_newer_was_said_of_it(engine: Control) -> None:
    _, group, _ = await a_group(engine)
    if "priority" not in await engine.group(group):
        pytest.skip("this CTI does not let in by priority, and says so")
    boot = await engine.boot()
    for as_of, said, held in ((1000, 200, 200), (1001, 150, 150), (999, 7, 150), (1001, 160, 160)):
        body = {"boot": boot, "confirmed": True, "groups": {}, "priorities": {group: said}, "asOf": as_of}
        status, answer = await engine.send("PUT", "/v1/placements", body)
        assert status == 200
        check("Pushed", answer)
        assert (await engine.group(group))["priority"] == held
    await engine.send("PUT", "/v1/placements", {"boot": boot, "confirmed": True, "groups": {}})
    assert (await engine.group(group))["priority"] == 160


@pytest.mark.parametrize(
    ("said", "field"),
    [
        pytest.param({"priorities": {"a/b": 200}}, "asOf", id="as-of-when"),
        pytest.param({"priorities": {"a/b": -1}, "asOf": 7}, "priorities.a/b", id="below-0"),
        pytest.param({"priorities": {"a/b": "high"}, "asOf": 7}, "priorities.a/b", id="a-word"),
        pytest.param({"priorities": [], "asOf": 7}, "priorities", id="a-list"),
    ],
)
async def test_wrong_priorities_name_the_field(engine: Control, said: dict[str, Any], field: str) -> None:
    body = {"boot": await engine.boot(), "confirmed": True, "groups": {}, **said}
    status, answer = await engine.send("PUT", "/v1/placements", body)
    assert status == 400
    check("Error", answer)
    assert answer["field"] == field


async def test_progress_waits_for_news_and_names_the_group(engine: Control) -> None:
    site, group, revision = await a_group(engine)
    _, before = await engine.get("/v1/progress?after=0")
    waiting = asyncio.create_task(engine.get(f"/v1/progress?after={before['seq']}&wait=10"))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await engine.place(revision, {site: "0-99"}, group)
    status, news = await asyncio.wait_for(waiting, timeout=2)
    assert status == 200
    check("Progress", news)
    assert news["seq"] > before["seq"]
    assert news["groups"][group]["revision"] == revision


async def test_progress_without_news_answers_when_the_wait_is_over(engine: Control) -> None:
    _, before = await engine.get("/v1/progress?after=0")
    began = now()
    _, after = await engine.get(f"/v1/progress?after={before['seq']}&wait=0.3")
    assert 0.25 < now() - began < 2
    assert after["groups"] == {}
    assert after["seq"] == before["seq"]


async def test_a_seq_of_an_earlier_boot_returns_everything(engine: Control) -> None:
    _, before = await engine.get("/v1/progress?after=0")
    _, body = await engine.get(f"/v1/progress?after={before['seq'] + 1_000_000}&wait=5")
    assert body["groups"].keys() == before["groups"].keys()


async def test_unknown_agents_are_not_found(engine: Control) -> None:
    status, body = await engine.get("/v1/agents/nobody-has-this-name")
    assert status == 404
    check("Error", body)
    status, body = await engine.send("POST", "/v1/release-query", {"account": "nobody-has-this-name", "instance": "i"})
    assert status == 404
    check("Error", body)


async def test_a_release_query_must_name_account_and_instance(engine: Control) -> None:
    status, body = await engine.send("POST", "/v1/release-query", {"account": "agent0001"})
    assert status == 400
    assert body["field"] == "instance"


@pytest.mark.parametrize("query", ["after=-1", "after=x", "wait=61", "wait=never"])
async def test_a_wrong_query_names_its_parameter(engine: Control, query: str) -> None:
    status, body = await engine.get(f"/v1/progress?{query}")
    assert status == 400
    assert body["field"] == query.split("=")[0]


# -- a drill's silence


async def impair(engine: Control, **change: Any) -> tuple[int, Any]:
    _, capabilities = await engine.get("/v1/capabilities")
    _, group, _ = await a_group(engine)
    body = {
        "boot": await engine.boot(),
        "drill": "n/conformance/1",
        "ttl": 3,
        "to": ["elsewhere"],
        "groups": {group: 20},
    }
    answer = await engine.send("PUT", "/v1/impair", body | change)
    if not capabilities.get("impair", False):
        assert answer[0] in (404, 405), "a CTI without the capability takes no such word"
    return answer


async def test_a_drills_silence_begins_goes_on_and_ends(engine: Control) -> None:
    _, capabilities = await engine.get("/v1/capabilities")
    told: tuple[dict[str, int] | None, ...] = (None, None, {})
    for groups in told:
        status, body = await impair(engine, **({} if groups is None else {"groups": groups}))
        if capabilities.get("impair", False):
            assert status == 200
            check("Impaired", body)
            assert body["drill"] == "n/conformance/1"
    status, body = await impair(engine)  # a late word: it is over
    if capabilities.get("impair", False):
        assert status == 410
        check("Error", body)


async def test_a_silence_for_another_boot_is_refused(engine: Control) -> None:
    status, body = await impair(engine, boot="another-boot", drill="n/conformance/2")
    if status != 404:
        assert status == 409
        check("WrongBoot", body)


async def test_a_silence_names_what_is_wrong_with_it(engine: Control) -> None:
    status, body = await impair(engine, ttl=3600, drill="n/conformance/3")
    if status != 404:
        assert (status, body["field"]) == (400, "ttl")


# -- the synthetic sign-in


async def test_a_test_agent_is_signed_in_and_out_again_and_again(
    engine: Control, client_url: str, location: str
) -> None:
    _, status = await engine.get("/v1/status")
    agent = probe_agent(status["system"], location)
    async with NetworkProber(RealClock()) as prober:
        for _ in range(3):
            result = (await prober.deep(client_url, None, agent, 2.0)).sign_in
            assert result.ok, result.detail


async def test_a_test_agent_is_counted_nowhere(engine: Control, client_url: str, location: str) -> None:
    _, before = await engine.get("/v1/status")
    agent = probe_agent(before["system"], location)
    sign_in = SignIn()
    await sign_in.start()
    try:
        async with sign_in.signed_in(client_url, agent, 2.0) as seat:
            assert seat.state == "available"
            assert seat.line.extension
            _, during = await engine.get("/v1/status")
    finally:
        await sign_in.stop()
    assert agent.group not in during["groups"]
    assert {name: group["signed_in"] for name, group in during["groups"].items()} == {
        name: group["signed_in"] for name, group in before["groups"].items()
    }


async def test_a_test_agent_that_the_directory_does_not_have_is_told_so(engine: Control, client_url: str) -> None:
    _, status = await engine.get("/v1/status")
    async with NetworkProber(RealClock()) as prober:
        result = (await prober.deep(client_url, None, probe_agent(status["system"], "no-such-location"), 2.0)).sign_in
    assert result.void
    assert "UnknownAccount" in result.detail
