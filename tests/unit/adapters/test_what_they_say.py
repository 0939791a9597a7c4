"""What adapters make of answers that a CTI and a softswitch may give or not."""

from types import SimpleNamespace
from typing import Any

from tandem.adapters.cti.http import HttpCTI
from tandem.adapters.softswitch.kamailio import KamailioSoftswitch
from tandem.engine.ports import AdapterError


class Answers:
    """Stands for JsonHttp: answers by path, or by method of a JSON-RPC call."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def ask(self, method: str, path: str, *, body: Any = None, **_: Any) -> Any:
        what = body["method"] if body else path.rpartition("/")[2]
        self.asked.append(what)
        answer = self.answers[what.replace(".", "_")]
        return SimpleNamespace(document=answer, status=200)

    @staticmethod
    def read(model: Any, document: Any, what: str) -> Any:
        return model.model_validate(document)

    @staticmethod
    def error(message: str) -> AdapterError:
        return AdapterError(message)


def move(account: str, cause: str) -> dict[str, Any]:
    times = {"released_at": 1.0, "signed_in_at": 2.0, "gap": 1.0}
    return {"account": account, "group": "n/g", "bucket": 7, "from": "east", "cause": cause, **times}


async def test_who_came_without_a_ticket_is_told_from_who_had_one() -> None:
    moves = [move("a", "Move"), move("b", "Failover"), move("c", "Guest")]
    cti = HttpCTI(Answers(moves={"seq": 3, "boot": "b1", "moves": moves}))  # type: ignore[arg-type]
    found = await cti.arrivals(0, 0.0)
    assert [(one.account, one.failed_over) for one in found.agents] == [("a", False), ("b", True)]


CAN = {
    "selection": "Bucket", "percentStep": 1, "drain": True, "forced": True, "admission": "Door",
    "progress": "PerAgent", "clientEvidence": True, "fence": "Native", "identity": "Shared", "maxRate": 100.0,
}  # fmt: skip


async def test_a_cti_may_say_its_version_and_need_not() -> None:
    for said, version in (({}, ""), ({"version": "callcenter 0.1.0"}, "callcenter 0.1.0")):
        cti = HttpCTI(Answers(capabilities={**CAN, **said}))  # type: ignore[arg-type]
        assert (await cti.capabilities()).version == version


def kamailio(uptime: int, version: Any) -> dict[str, Any]:
    counts = {"usrloc.registered_users": 1, "dialog.active_dialogs": 0, "dialog.early_dialogs": 0}
    return {"core_uptime": {"result": {"uptime": uptime}}, "stats_fetchn": {"result": counts}, "core_version": version}


async def test_a_softswitch_is_asked_for_its_version_once_in_each_life() -> None:
    http = Answers(**kamailio(100, {"result": "kamailio 5.6.3"}))
    softswitch = KamailioSoftswitch(http)  # type: ignore[arg-type]
    assert [(await softswitch.state()).version for _ in range(3)] == ["kamailio 5.6.3"] * 3
    assert http.asked.count("core.version") == 1
    http.answers = kamailio(2, {"result": ["kamailio 5.8.0"]})
    assert (await softswitch.state()).version == "kamailio 5.8.0"


async def test_a_softswitch_that_does_not_say_its_version_is_none_the_worse() -> None:
    http = Answers(**kamailio(100, {"error": {"code": 404, "message": "no such method"}}))
    softswitch = KamailioSoftswitch(http)  # type: ignore[arg-type]
    found = [await softswitch.state() for _ in range(3)]
    assert [(one.uptime, one.version) for one in found] == [(100, "")] * 3


async def test_test_calls_are_none_of_the_calls_placed_and_who_does_not_count_says_so() -> None:
    http = Answers(**kamailio(100, {"result": "kamailio 5.6.3"}))
    softswitch = KamailioSoftswitch(http)  # type: ignore[arg-type]
    assert (await softswitch.state()).placed is None
    counts = http.answers["stats_fetchn"]["result"]
    counts["dialog.processed_dialogs"] = 70
    assert (await softswitch.state()).placed == 70
    counts["script.test_calls_placed"] = 30
    assert (await softswitch.state()).placed == 40


async def test_a_softswitch_that_could_not_say_its_version_is_asked_again() -> None:
    http = Answers(**kamailio(100, {"error": {"code": 500, "message": "busy"}}))
    softswitch = KamailioSoftswitch(http)  # type: ignore[arg-type]
    assert (await softswitch.state()).version == ""
    http.answers = kamailio(110, {"result": "kamailio 5.6.3"})
    assert [(await softswitch.state()).version for _ in range(2)] == ["kamailio 5.6.3"] * 2
    assert http.asked.count("core.version") == 2
