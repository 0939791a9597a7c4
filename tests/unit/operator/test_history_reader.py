"""`GET /v1/history`: what is found in a log of many pages, in which order, and what is refused."""

import asyncio
from collections.abc import Mapping
from typing import Any

import httpx
import pytest

from tandem.domain import keys
from tandem.domain.history_commands import held, shift_asked, shift_told
from tandem.domain.history_search import Search, matches, search_of, shown
from tandem.domain.records import HistoryEntry, ShiftRecord, Who
from tandem.engine.ports import Delete, Put, StoreError
from tandem.engine.scribe import Scribe
from tandem.errors import ConfigError
from tandem.operator.history import PAGE, HistoryReader
from tandem.operator.liveness import Liveness
from tests.support.manifests import shift
from tests.support.memory_store import MemoryEtcd
from tests.unit.engine.virtual import VirtualClock, run_virtual
from tests.unit.operator.test_shift_exchange import record, spec

RULE = Who(kind="Rule", name="Failover")


def entry(**changes: Any) -> HistoryEntry:
    base = {"kind": "Shift", "name": "callcenter/night", "action": "WaveStarted", "who": Who(kind="Person", name="ada")}
    return HistoryEntry.model_validate({**base, **changes})


class Log:
    """A store with a log, and a reader of it."""

    def __init__(self) -> None:
        self.etcd = MemoryEtcd(VirtualClock())
        self.store = self.etcd.client()
        self.scribe = Scribe("witness", "e1")
        self.reader = HistoryReader("east", self.store)

    def write(self, *entries: HistoryEntry, at: float = 1000.0, seen: int | None = None) -> int:
        revision = self.etcd.revision if seen is None else seen
        return self.etcd.txn([], self.scribe.write(entries, at=at, revision=revision, epoch=3)).revision

    async def ask(self, **query: str) -> dict[str, Any]:
        return await self.reader.answer(query)

    async def names(self, **query: str) -> list[str]:
        return [found["name"].rpartition("/")[2] for found in (await self.ask(**query))["entries"]]


def test_the_newest_are_last_over_all_pages() -> None:
    async def story() -> None:
        log = Log()
        count = 2 * PAGE + 7
        for number in range(count):
            log.write(entry(name=f"callcenter/s{number}"), at=1000.0 + number)
        answer = await log.ask()
        assert [one["name"] for one in answer["entries"]] == [f"callcenter/s{number}" for number in range(count)]
        assert (answer["site"], answer["revision"], answer["leftOut"]) == ("east", log.etcd.revision, False)
        assert await log.names(limit="3") == [f"s{count - 3}", f"s{count - 2}", f"s{count - 1}"]
        assert (await log.ask(limit="3"))["leftOut"]
        assert not (await log.ask(limit=str(count)))["leftOut"]
        await log.etcd.aclose()

    run_virtual(story())


def test_entries_say_everything_about_themselves() -> None:
    async def story() -> None:
        log = Log()
        told = entry(reason="WaveStarted", why="wave 1", sites=("east", "west"), groups=("n/a",), placed=("n/b",))
        revision = log.write(told.model_copy(update={"agents": 5, "buckets": 7, "shift": "n/s"}), at=1764300185.25)
        (found,) = (await log.ask())["entries"]
        assert found == {
            "revision": revision,
            "at": "2025-11-28T03:23:05.250Z",
            "writtenBy": {"site": "witness", "engine": "e1", "epoch": 3},
            "who": {"kind": "Person", "name": "ada", "shown": "ada"},
            "kind": "Shift",
            "name": "callcenter/night",
            "action": "WaveStarted",
            "reason": "WaveStarted",
            "why": "wave 1",
            "sites": ["east", "west"],
            "groups": ["n/b", "n/a"],
            "placed": ["n/b"],
            "agents": 5,
            "buckets": 7,
            "shift": "n/s",
        }
        await log.etcd.aclose()

    run_virtual(story())


def test_what_became_true_later_comes_later_whatever_its_key_says() -> None:
    async def story() -> None:
        log = Log()
        log.write(entry(name="n/first"), seen=5)
        log.write(entry(name="n/second"), seen=9)
        log.write(entry(name="n/late"), seen=7)  # decided before the second, and held up on its way
        assert await log.names() == ["first", "second", "late"]
        await log.etcd.aclose()

    run_virtual(story())


def test_since_is_a_time_and_clocks_may_differ_a_little() -> None:
    async def story() -> None:
        log = Log()
        for name, at in (("old", 100.0), ("b", 5000.0), ("a", 4990.0), ("new", 6000.0)):
            log.write(entry(name=f"n/{name}"), at=at)
        assert await log.names(since="4995") == ["b", "new"]
        assert await log.names(since="4990") == ["b", "a", "new"]
        await log.etcd.aclose()

    run_virtual(story())


def test_a_long_log_is_not_read_further_back_than_asked() -> None:
    async def story() -> None:
        log = Log()
        for number in range(5 * PAGE):
            log.write(entry(), at=10_000.0 * number)
        asked: list[str] = []
        real = log.store.page

        async def page(prefix: str, **more: Any) -> Any:
            asked.append(str(more.get("start", "")))
            return await real(prefix, **more)

        log.store.page = page  # type: ignore[method-assign]
        assert len(await log.names(since=str(10_000.0 * (5 * PAGE - 3)))) == 3
        assert len(asked) == 2  # the names, and the last page
        await log.etcd.aclose()

    run_virtual(story())


def test_what_is_forgotten_and_what_is_added_between_two_pages_shifts_nothing() -> None:
    async def story() -> None:
        log = Log()
        for number in range(PAGE + 10):
            log.write(entry(name=f"n/s{number}"))
        real = log.store.page

        async def page(prefix: str, **more: Any) -> Any:
            found = await real(prefix, **more)
            if more.get("keys_only"):
                log.etcd.txn([], [Delete(kv.key) for kv in found.kvs[:3]])
                log.write(entry(name="n/later"))
            return found

        log.store.page = page  # type: ignore[method-assign]
        assert await log.names() == [f"s{number}" for number in range(3, PAGE + 10)]
        await log.etcd.aclose()

    run_virtual(story())


def test_what_a_newer_version_wrote_is_passed_over() -> None:
    async def story() -> None:
        log = Log()
        log.write(entry(name="n/a"))
        log.etcd.txn([], [Put(keys.history(log.etcd.revision, "x", 1), b'{"format": 2}')])
        log.write(entry(name="n/b"))
        assert await log.names() == ["a", "b"]
        await log.etcd.aclose()

    run_virtual(story())


FAILOVER = entry(kind="Site", name="east", action="FailoverDecided", who=RULE, sites=("east", "west"), placed=("n/a",))
ARRIVED = entry(name="n/s", action="BucketsArrived", placed=("n/a",), sites=("east", "west"))
ORDER = entry(kind="AgentGroup", name="n/b", action="OrderAccepted", shift="n/s", who=Who(kind="Order", name="3fa9c2"))
HELD = held("ada", "storm", "west")
LEG = entry(name="n/monthly-20261128-030000-out", who=Who(kind="Drill", name="monthly-20261128-030000-out"))
RUN = entry(kind="Drill", name="n/monthly", action="Started", who=Who(kind="Schedule", name="0 3 * * * UTC"))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        pytest.param({}, [FAILOVER, ARRIVED, ORDER, HELD, LEG, RUN], id="everything"),
        pytest.param({"site": "west"}, [FAILOVER, ARRIVED, HELD], id="a-hold-concerns-every-site"),
        pytest.param({"group": "n/a"}, [FAILOVER, ARRIVED, HELD], id="a-group-that-was-placed"),
        pytest.param({"group": "a"}, [FAILOVER, ARRIVED, HELD], id="without-its-namespace"),
        pytest.param({"group": "m/a"}, [HELD], id="in-another-namespace"),
        pytest.param({"shift": "s"}, [ARRIVED, ORDER], id="a-shift-and-what-belongs-to-it"),
        pytest.param({"drill": "n/monthly"}, [LEG, RUN], id="a-drill-and-its-shifts"),
        pytest.param({"drill": "month"}, [], id="not-half-a-name"),
        pytest.param({"kind": "shift"}, [ARRIVED, LEG], id="kind"),
        pytest.param({"name": "east"}, [FAILOVER], id="name"),
        pytest.param({"action": "failoverdecided"}, [FAILOVER], id="action"),
        pytest.param({"by": "ADA"}, [ARRIVED, HELD], id="a-person"),
        pytest.param({"by": "schedule"}, [RUN], id="the-schedule"),
        pytest.param({"by": "order 3fa"}, [ORDER], id="an-order"),
        pytest.param({"site": "west", "kind": "Site"}, [FAILOVER], id="both"),
    ],
)
def test_what_a_search_finds(query: Mapping[str, str], expected: list[HistoryEntry]) -> None:
    entries = [FAILOVER, ARRIVED, ORDER, HELD, LEG, RUN]
    assert [one for one in entries if matches(one, search_of(query))] == expected


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ({"sites": "east"}, "'sites' is no parameter of the history; there are site, group"),
        ({"since": "1h"}, "since is '1h'; write seconds since the epoch"),
        ({"limit": "-1"}, "limit is '-1'; write how many entries at most, 0 for all"),
        ({"limit": "many"}, "limit is 'many'"),
    ],
)
def test_a_wrong_question_says_what_is_right(query: Mapping[str, str], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        search_of(query)


def test_a_search_without_words_is_for_everything() -> None:
    assert search_of({}) == Search()


@pytest.mark.parametrize(
    ("who", "word"),
    [
        (Who(kind="Person", name="ada"), "ada"),
        (Who(kind="Person"), "a person"),
        (Who(kind="Order", name="3fa9c2d1e5f60718"), "order 3fa9c2d1"),
        (Who(kind="Schedule", name="0 3 * * * UTC"), "schedule"),
        (Who(kind="Drill", name="monthly-1-out"), "Drill monthly-1-out"),
        (RULE, "Failover"),
    ],
)
def test_who_stands_behind_it_in_one_word(who: Who, word: str) -> None:
    assert shown(who) == word


async def test_the_operators_port_answers_with_the_log_and_errors_that_the_api_server_passes_on() -> None:
    async def history(query: Mapping[str, str]) -> dict[str, Any]:
        search = search_of(query)
        if search.site == "gone":
            raise StoreError("no leader")
        return {"asked": search.site}

    server = Liveness(0, lambda: (True, {}), history=history)
    await server.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", trust_env=False) as client:
            good, wrong, silent, other = await asyncio.gather(
                client.get("/v1/history", params={"site": "east"}),
                client.get("/v1/history", params={"limit": "x"}),
                client.get("/v1/history", params={"site": "gone"}),
                client.post("/v1/plan", content=b"{}"),
            )
    finally:
        await server.stop()
    assert (good.status_code, good.json()) == (200, {"asked": "east"})
    assert (wrong.status_code, "limit is 'x'" in wrong.json()["message"]) == (400, True)
    assert (silent.status_code, silent.json()) == (503, {"message": "no leader"})
    assert other.status_code == 404


# -- what people tell the store


def test_who_makes_approves_and_aborts_a_shift_is_told_with_where() -> None:
    asked = shift_asked("callcenter/to-west", spec(requestedBy="ada"), "east")
    assert (asked.action, asked.who.name, asked.sites) == ("Asked", "ada", ("west",))
    assert asked.why.startswith("created in east: 100 % of")
    before = record("AwaitingApproval")
    approved = before.model_copy(
        update={"spec": before.spec.model_copy(update={"approved": True, "approved_by": "bob"})}
    )
    (told,) = shift_told("callcenter/to-west", before, approved, "west")
    assert (told.action, told.who.name, "approved in west" in told.why) == ("Approved", "bob", True)
    aborted = approved.model_copy(update={"spec": approved.spec.model_copy(update={"abort": True})})
    (told,) = shift_told("callcenter/to-west", approved, aborted, "east")
    assert (told.action, told.who.name) == ("AbortAsked", "")
    assert told.why == "spec.abort was set to true in east, in phase AwaitingApproval"
    named = approved.model_copy(update={"spec": approved.spec.model_copy(update={"abort": True, "aborted_by": "cy"})})
    (told,) = shift_told("callcenter/to-west", approved, named, "east")
    assert (told.action, told.who.name) == ("AbortAsked", "cy")
    question = ShiftRecord.model_validate({**before.model_dump(by_alias=True), "cause": "Failover/east-1"})
    declined = question.model_copy(update={"spec": aborted.spec})
    assert [one.action for one in shift_told("n/q", question, declined, "west")] == ["Approved", "DeclineAsked"]
    assert shift(requestedBy="ada")["spec"]["requestedBy"] == "ada"
