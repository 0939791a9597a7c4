"""What the matrix's runner concludes from what it is told."""

import asyncio
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from demo.errors import NotInTimeError
from demo.observed import Observed
from demo.timeline import AgentEvent
from tests.matrix import runner
from tests.matrix.cases import CASES, Case
from tests.matrix.runner import Result
from tests.matrix.watcher import Phones, Placement

PHONES = Phones({"51": "a", "61": "a", "62": "b"}, {"51": "east", "61": "west", "62": "west"})
A, B = frozenset({"a"}), frozenset({"b"})
CITY = next(case for case in CASES if case.name == "city powered off")
SYSTEM = next(case for case in CASES if case.name == "CTI frozen")


def plan(**weights: int) -> dict[str, Any]:
    hosts = {"east": "198.18.0.11", "west": "198.18.0.12"}
    return {"routes": [{"name": s, "target": f"{hosts[s]}:30560", "weight": w} for s, w in weights.items()]}


def test_a_number_whose_calls_are_still_sent_to_the_lost_city_is_seen() -> None:
    routes = {"800": plan(east=70, west=30), "801": plan(east=0, west=100), "802": plan(west=100)}
    assert runner.numbers_led_to("198.18.0.11", routes) == ["800"]


class Calls:
    """What the carrier says: every call is answered by these extensions."""

    def __init__(self, *extensions: str) -> None:
        self._extensions = extensions
        self.calls: dict[str, Mapping[str, Any]] = {}

    async def look(self) -> None:
        self.calls = {
            ext: {"id": ext, "agent": ext, "placed_at": 1e12, "answered_at": 1e12, "fate": "active"}
            for ext in self._extensions
        }


class Centre:
    """A call centre whose carrier holds these routes."""

    def __init__(self, *, dead: bool = True, **weights: int) -> None:
        groups = tuple(SimpleNamespace(name=name, accounts=accounts) for name, accounts in (("n/a", A), ("n/b", B)))
        self.quickstart = SimpleNamespace(groups=groups, numbers_of=lambda chosen: [group.name for group in chosen])
        self.called: list[Any] = []
        self.carrier = SimpleNamespace(routes=self._routes, load=self._load)
        self.lab = SimpleNamespace(status=self._status)
        self._dead, self._plan = dead, plan(**weights)

    def accounts(self, groups: Any) -> frozenset[str]:
        return frozenset().union(*(group.accounts for group in groups))

    async def _routes(self) -> dict[str, Any]:
        return {"800": self._plan}

    async def _load(self, _: float, numbers: Any, *__: Any) -> None:
        self.called.append(numbers)

    async def load(self, rate: float) -> None:
        assert rate == 0

    async def _status(self) -> Any:
        return SimpleNamespace(links_down={"east"} if self._dead else set(), cuts=frozenset())


def judged(
    monkeypatch: pytest.MonkeyPatch, centre: Centre, calls: Calls, case: Any = CITY, others: frozenset[str] = B
) -> list[str]:
    monkeypatch.setattr(runner, "TRUNKS_FOLLOW_WITHIN_S", 0.3)
    monkeypatch.setattr(runner, "ROLL_CALL_WITHIN_S", 0.3)
    scene: Any = SimpleNamespace(centre=centre)
    return asyncio.run(runner._reached_meanwhile(case, scene, calls, PHONES, A, others))  # type: ignore[arg-type]


def test_whoever_a_call_reaches_elsewhere_while_the_city_is_dead_is_well_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, Centre(west=100), Calls("61", "62")) == []


def test_whoever_no_call_reaches_elsewhere_while_the_city_is_dead_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judged(monkeypatch, Centre(west=100), Calls("51", "62")) == [
        "while the fault was there, a is reached by no call"
    ]


def test_trunks_that_do_not_follow_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    (said,) = judged(monkeypatch, Centre(east=50, west=50), Calls("61", "62"))
    assert "calls to 800 are still sent to east" in said


@pytest.mark.parametrize(("case", "dead"), [(SYSTEM, True), (CITY, False)], ids=["one-system", "back-by-itself"])
def test_a_city_that_is_there_may_have_calls(monkeypatch: pytest.MonkeyPatch, case: Any, dead: bool) -> None:
    assert judged(monkeypatch, Centre(dead=dead, east=50, west=50), Calls("61", "62"), case) == []


def test_nobody_is_called_who_is_not_expected_to_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    centre = Centre(west=100)
    assert judged(monkeypatch, centre, Calls("61"), others=frozenset()) == []
    assert centre.called == [["n/a"]]


# -- what is observed

LEAVING = next(case for case in CASES if case.name == "city powered off while agents move to it")
GROUPS = (("callcenter/hotel-north-sales", "east"), ("callcenter/hotel-coast-service", "west"))
E, W = (name for name, _ in GROUPS)
ALL = "0-99"


def observed(case: Case, after: dict[str, tuple[int, dict[str, str]]], back: float | None = 3.0) -> str:
    """What is said when the maps of the group at home in east (e), and of that in west (w), have become these."""
    before = {name: Placement(name, 5, {home: ALL}, 0.0) for name, home in GROUPS}
    became = {E if name == "e" else W: Placement(name, *now, 0.0) for name, now in after.items()}
    groups = [SimpleNamespace(name=name, system="hotel", home=home) for name, home in GROUPS]
    scene: Any = SimpleNamespace(
        store=SimpleNamespace(newest={**before, **became}),
        centre=SimpleNamespace(quickstart=SimpleNamespace(groups=groups)),
    )
    return runner._observed(before, scene, back, case)


WEST: dict[str, str] = {"west": ALL}
OTHERS = f"Failover of others, who had nobody at east: {W}"


@pytest.mark.parametrize(
    ("case", "after", "said"),
    [
        pytest.param(CITY, {"e": (9, WEST)}, "Failover", id="who-was-there"),
        pytest.param(CITY, {"e": (9, WEST), "w": (9, WEST)}, OTHERS, id="and-one-more-who-was-not"),
        pytest.param(CITY, {"w": (9, WEST)}, OTHERS, id="only-one-who-was-not"),
        pytest.param(SYSTEM, {"e": (9, WEST), "w": (9, WEST)}, OTHERS, id="of-the-system-that-is-lost"),
        pytest.param(LEAVING, {"e": (9, WEST), "w": (9, WEST)}, "Failover", id="who-was-on-the-way-there"),
        pytest.param(CITY, {"e": (9, {"east": "0", "west": "1-99"})}, f"1 groups placed anew: {E}", id="half-way"),
        pytest.param(CITY, {}, "Nothing", id="nobody"),
    ],
)
def test_a_failover_is_one_of_those_alone_who_were_there(
    case: Case, after: dict[str, tuple[int, dict[str, str]]], said: str
) -> None:
    assert observed(case, after) == said


def test_whoever_is_on_the_way_is_there_too() -> None:
    assert Placement("n/g", 5, {"west": "0-98", "east>west": "99"}, 0.0).names("east")
    assert Placement("n/g", 5, {"west": "0-98", "west>east": "99"}, 0.0).names("east")
    assert not Placement("n/g", 5, {"northeast": "0-99"}, 0.0).names("east")


# -- in time


class SeenLate(Observed):
    """All that happened, looked at when it is long over."""

    def __init__(self, *events: AgentEvent) -> None:
        super().__init__([])
        self.events = list(events)
        for event in events:
            self.take(event)


def event(at: float, account: str, what: str, site: str) -> AgentEvent:
    return AgentEvent(at=at, mono=at, account=account, group="n/g", event=what, site=site)


def back(*events: AgentEvent, within_s: float = 6.0, lost: frozenset[str] = A) -> float | None:
    """What is said of two agents who worked at east, which was lost, or mended, at 100 s."""
    first = [event(50.0, account, "signed-in", "east") for account in ("a", "b")]
    scene: Any = SimpleNamespace(centre=SimpleNamespace(observed=SeenLate(*first, *events)))
    return asyncio.run(runner._all_back(scene, A | B, within_s, since=100.0, lost=lost))


def test_the_time_is_that_of_the_last_sign_in_however_late_it_is_looked_at() -> None:
    assert back(event(104.5, "a", "signed-in", "west")) == 4.5


def test_whoever_works_later_than_the_bound_is_not_in_time() -> None:
    assert back(event(106.5, "a", "signed-in", "west")) is None


def test_a_guest_who_goes_home_was_back_before() -> None:
    lost = [event(98.0, account, "lost", "east") for account in ("a", "b")]
    came = [event(102.0, "b", "signed-in", "east"), event(103.0, "a", "signed-in", "west")]
    home = [event(131.0, "a", "released", "west"), event(131.1, "a", "signed-in", "east")]
    assert back(*lost, *came, *home, lost=frozenset()) == 3.0


def test_a_session_that_lapses_elsewhere_later_does_not_count() -> None:
    assert back(event(103.0, "a", "signed-in", "west"), event(103.5, "a", "lost", "east")) == 3.0


def test_who_never_left_took_no_time() -> None:
    assert back(lost=frozenset()) == 0.0


def test_the_bounds_are_the_promised_ones_and_two_seconds() -> None:
    bounds = {case.name: case.within_s for case in CASES}
    assert bounds["city powered off"] == 4.0 + 2.0
    assert bounds["city powered off, with the coordinator"] == 5.0 + 2.0
    assert bounds["CTI frozen"] == 7.0 + 2.0


@pytest.mark.parametrize(
    ("took", "said"),
    [(9.0, "Failover"), (9.2, "Failover, but the last sign-in after 9.20 s, not within 9 s")],
)
def test_a_failover_that_need_not_have_come_has_its_bound_all_the_same(took: float, said: str) -> None:
    killed = next(case for case in CASES if case.name == "CTI killed")
    assert runner._in_time(took, killed) == said
    assert Result("x", killed.must_be, said, took).ok is (said == "Failover")


@pytest.mark.parametrize(("site", "missing"), [("east", []), ("west", ["a of east is at west at the end"])])
def test_where_no_map_has_changed_everybody_must_be_home_at_the_end(
    monkeypatch: pytest.MonkeyPatch, site: str, missing: list[str]
) -> None:
    monkeypatch.setattr(runner, "HOME_WITHIN_S", 0.2)
    observed = Observed([])
    observed.take(AgentEvent(1.0, 1.0, "a", "n/a", "signed-in", site))
    scene: Any = SimpleNamespace(centre=SimpleNamespace(observed=observed))
    assert asyncio.run(runner._all_home(scene, {"a": "east"})) == missing


def test_what_was_not_read_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "READ_WITHIN_S", 0.2)

    async def nobody_answers() -> bool:
        return False

    scene: Any = SimpleNamespace(store=SimpleNamespace(look=nobody_answers), ctis=SimpleNamespace(unread=()))
    with pytest.raises(NotInTimeError, match="the store cannot be read"):
        asyncio.run(runner._everything_is_read(scene))
