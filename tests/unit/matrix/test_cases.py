"""The matrix's list of faults."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from demo import quickstart
from demo.quickstart import documents
from lab.addresses import LINKED
from tandem.api.site import SiteSpec
from tandem.engine.observer import _deep_rule
from tests.matrix import scene as made
from tests.matrix.cases import CASES, EITHER, FAILOVER, GIVEN_UP, IN_TESTS, NOTHING, OUTCOMES, Case
from tests.matrix.invariants import Strike, link
from tests.matrix.runner import Result
from tests.matrix.scene import CREDIT_OF_CALLS_S, RUNS_S, STANDS_S, Scene
from tests.unit.engine.virtual import run_virtual

SITES = ("east", "west")
GROUPS = {group.name: group.system for group in quickstart.load().groups}
SYSTEMS = set(GROUPS.values())
OF_GROUPS = {"Held", "StoreUnreachable", "TooFewObservers", "NotGivenUp", "StoreWouldLoseQuorum"}
"""Reasons that FailoverReady can have."""


def test_the_matrix_has_forty_five_cases_and_make_test_twelve_of_them() -> None:
    names = [case.name for case in CASES]
    assert len(names) == len(set(names)) >= 45
    assert len(IN_TESTS) >= 12
    assert set(IN_TESTS) <= set(names)


def test_every_expectation_says_what_may_be_observed() -> None:
    assert {case.expected for case in CASES} <= OUTCOMES.keys()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_speaks_of_what_there_is(case: Case) -> None:
    places = {*SITES, *(f"{site}/{system}" for site in SITES for system in SYSTEMS)}
    assert case.struck <= places | GROUPS.keys()
    assert case.concerns <= SYSTEMS | GROUPS.keys()
    links = {link(a, b) for a in LINKED for b in LINKED}
    assert case.cuts <= {*places, *links}
    assert case.within_s > 0 < case.lasts_s
    if case.reason:
        assert case.expected == NOTHING, "it is read where nobody is moved"
        assert case.reason in {*OF_GROUPS, *made.SAID_OF_THE_CITY}
    assert (case.failover_within_s > 0) is (case.expected == EITHER), "who may be failed over is so in time"
    if case.concerns:
        assert "Failover" in case.expected


@pytest.mark.parametrize(
    ("case", "place", "may"),
    [
        ("city powered off", "east", True),
        ("city powered off", "west", False),
        ("city cut off from everyone", "carrier-east", True),
        ("city cut off from everyone", "east-floor-a", True),
        ("city cut off from everyone", "carrier-west", False),
        ("link between the cities cut", "east-west", True),
        ("link between the cities flaps for 2 min", "east-west", False),
        ("carrier cut off from a city", "carrier-east", True),
        ("floor cut off one city", "east-floor-b", True),
        ("softswitch frozen", "east/hotel", True),
        ("softswitch frozen for 2 s", "east/hotel", False),
        ("busy loops take half of the machine", "west", True),
    ],
)
def test_what_each_fault_may_cut(case: str, place: str, may: bool) -> None:
    (found,) = [known for known in CASES if known.name == case]
    assert found.may_have_cut(Strike(1.0, 2.0, place)) is may


# -- faults that are more than one word to the lab


class Faults:
    """Notes what the lab is asked for, at which second."""

    def __init__(self) -> None:
        self.asked: list[tuple[float, str]] = []

    def __getattr__(self, name: str) -> Any:
        async def ask(*what: object, **_: object) -> None:
            words = " ".join(str(word) for word in what if isinstance(word, str))
            self.asked.append((asyncio.get_running_loop().time() - 1000.0, f"{name} {words}"))

        return ask


class Store:
    """Everybody is placed anew at `moves_at` seconds."""

    def __init__(self, moves_at: float) -> None:
        self.newest = {"callcenter/x": SimpleNamespace(revision=7)}
        self._moves_at = moves_at

    async def look(self) -> None:
        if asyncio.get_running_loop().time() - 1000.0 >= self._moves_at:
            self.newest["callcenter/x"] = SimpleNamespace(revision=8)


def a_scene(moves_at: float = 1e9) -> tuple[Scene, Faults]:
    faults = Faults()
    centre: Any = SimpleNamespace(lab=SimpleNamespace(faults=faults))
    return Scene(centre, None, Store(moves_at), None), faults  # type: ignore[arg-type]


def test_a_process_that_stutters_stands_and_runs_in_turn_and_runs_in_the_end() -> None:
    scene, faults = a_scene()

    async def story() -> None:
        stutter = asyncio.create_task(scene.stutter("witness", made.ENGINE))
        await asyncio.sleep(1.1)  # it stands
        stutter.cancel()
        await asyncio.gather(stutter, return_exceptions=True)

    run_virtual(story())
    turns = [word.partition(" ")[0] for _, word in faults.asked]
    assert turns == ["freeze", "thaw", "freeze", "thaw", "freeze", "thaw"]
    assert faults.asked[1][0] == pytest.approx(STANDS_S)
    assert faults.asked[2][0] == pytest.approx(STANDS_S + RUNS_S)


def test_no_probe_that_waits_in_vain_is_measured_by_a_process_that_stutters() -> None:
    for site in documents(quickstart.load().folder / "sites.yaml"):
        detection = SiteSpec.model_validate(site["spec"]).detection
        assert detection.timeout == "500ms"
        assert RUNS_S < 0.5
        assert _deep_rule(detection).credit == CREDIT_OF_CALLS_S


@pytest.mark.parametrize(
    ("moves_at", "too_early"), [(CREDIT_OF_CALLS_S + 5.0, False), (5.0, True)], ids=["when-it-is-stale", "at-once"]
)
def test_a_failover_in_spite_of_a_veto_is_noted(moves_at: float, too_early: bool) -> None:
    scene, faults = a_scene(moves_at)
    run_virtual(made.no_calls_and_a_witness_that_measures_nothing(scene))
    assert bool(scene.broken) is too_early
    assert "swallow east" in {word for _, word in faults.asked}
    assert faults.asked[-1][1] == f"thaw witness {made.ENGINE}", "the witness is left running"


def test_each_fault_notes_where_and_when_it_struck() -> None:
    scene, _ = a_scene()

    async def story() -> None:
        await scene.power_off("east")
        await scene.cut(("east", "west"), ("floor-b", "east"))
        await scene.freeze("east", made.SOFTSWITCH)
        await scene.freeze("east", made.ENGINE)
        await scene.burden(0.5, 1.0)

    run_virtual(story())
    assert [(strike.place, strike.slow) for strike in scene.strikes] == [
        ("east", False),
        ("east-west", False),
        ("east-floor-b", False),
        ("east/hotel", True),
        ("east", True),
        ("west", True),
    ]


def test_what_is_frozen_and_cut_for_a_veto() -> None:
    for act, asked in (
        (made.engine_and_cti_frozen, [f"freeze east {made.ENGINE}", f"freeze east {made.CTI}"]),
        (made.link_cut_and_engine_frozen, ["cut east west", f"freeze east {made.ENGINE}"]),
    ):
        scene, faults = a_scene()
        run_virtual(act(scene))
        assert [word for _, word in faults.asked] == asked


def said_in_west(**conditions: str) -> Any:
    """The other city's cluster, where everything has these conditions; and what was asked for."""
    asked: list[tuple[str, ...]] = []

    async def get(*thing: str) -> dict[str, Any]:
        asked.append(thing)
        return {"status": {"conditions": [{"type": kind, "reason": said} for kind, said in conditions.items()]}}

    return SimpleNamespace(get=get, asked=asked)


@pytest.mark.parametrize(
    ("reason", "thing", "conditions"),
    [
        ("Held", ("agentgroup", "hotel-north-sales"), {"FailoverReady": "Held"}),
        ("TooFewObservers", ("agentgroup", "hotel-north-sales"), {"FailoverReady": "TooFewObservers"}),
        ("AccusedByOne", ("site", "east"), {"Ready": "AccusedByOne"}),
        ("NoHeartbeat", ("site", "east"), {"EngineAlive": "NoHeartbeat", "Ready": "NoOwnWord"}),
    ],
)
def test_a_reason_is_read_where_it_is_said(reason: str, thing: tuple[str, ...], conditions: dict[str, str]) -> None:
    scene, _ = a_scene()
    centre: Any = scene.centre
    west = said_in_west(**conditions)
    centre.clusters = {"west": west}
    assert run_virtual(scene.is_said(reason)) is True
    assert (west.asked, scene.broken) == ([thing], [])

    centre.clusters = {"west": said_in_west(FailoverReady="RoomElsewhere", Ready="ProbesPass", EngineAlive="Heartbeat")}
    assert run_virtual(scene.is_said(reason)) is False
    assert len(scene.broken) == 1


def test_before_a_disaster_each_of_its_groups_says_that_it_would_be_saved() -> None:
    scene, _ = a_scene()
    centre: Any = scene.centre
    groups = quickstart.load().groups[:2]
    of: dict[str, list[dict[str, str]]] = {}

    async def get(kind: str, name: str) -> dict[str, Any]:
        return {"status": {"conditions": of[name]}} if kind == "agentgroup" and name in of else {}

    centre.clusters = {"west": SimpleNamespace(get=get)}
    names = [group.name.rpartition("/")[2] for group in groups]
    for name in names:
        of[name] = [{"type": "Ready", "status": "False"}, {"type": "FailoverReady", "status": "True"}]
    assert run_virtual(scene.would_work(groups)) is True
    assert scene.broken == []
    of[names[1]] = [{"type": "FailoverReady", "status": "False", "reason": "CapacityExceeded", "message": "no room"}]
    assert run_virtual(scene.would_work(groups)) is False
    assert f"{names[1]} is CapacityExceeded: no room" in scene.broken[0]
    del of[names[1]]
    assert run_virtual(scene.would_work(groups)) is False, "nothing said is not True"


@pytest.mark.parametrize(
    ("expected", "observed", "broken", "ok"),
    [
        (FAILOVER, FAILOVER, [], True),
        (FAILOVER, FAILOVER, ["call 1 was cut"], False),
        (FAILOVER, NOTHING, [], False),
        (NOTHING, FAILOVER, [], False),
        (GIVEN_UP, FAILOVER, [], False),
        (EITHER, NOTHING, [], True),
        (EITHER, FAILOVER, [], True),
        (EITHER, "3 groups placed anew: n/g", [], False),
        ("Nothing: Held", "Nothing: Held", [], True),
        ("Nothing: Held", NOTHING, [], False),
        (NOTHING, "stopped: the lab is not running", [], False),
    ],
)
def test_a_case_is_good_when_it_came_out_as_it_must_and_nothing_was_broken(
    expected: str, observed: str, broken: list[str], ok: bool
) -> None:
    result = Result("x", expected, observed, 1.0, broken)
    assert result.ok is ok
    assert result.to_json()["ok"] is ok
