import random
from collections import Counter
from typing import Any

import pytest

from callcenter.carrier.errors import RouteError
from callcenter.carrier.routes import Route, order_routes, parse_address, parse_plan, plan_document

EAST, WEST, BACKUP = ("10.0.0.11", 30560), ("10.0.0.12", 30560), ("10.0.0.12", 30561)


def names(routes: list[Route]) -> list[str]:
    return [route.name for route in routes]


@pytest.mark.parametrize(
    ("routes", "caller", "lost", "expected"),
    [
        pytest.param([("east", 1, ()), ("west", 0, ())], "010", set(), ["east", "west"], id="weight-0-is-overflow"),
        pytest.param([("east", 0, ()), ("west", 1, ())], "010", set(), ["west", "east"], id="weight-beats-order"),
        pytest.param([("east", 0, ()), ("west", 0, ())], "010", set(), ["east", "west"], id="no-weights-keep-order"),
        pytest.param(
            [("east", 1, ("010",)), ("west", 1, ("021", "022")), ("backup", 0, ())],
            "0215550100",
            set(),
            ["west", "backup"],
            id="callers-of-other-prefixes-stay-out",
        ),
        pytest.param([("east", 1, ("010",))], "021", set(), [], id="nobody-serves-this-caller"),
        pytest.param([("east", 1, ()), ("west", 0, ())], "010", {EAST}, ["west", "east"], id="lost-targets-come-last"),
        pytest.param(
            [("east", 1, ()), ("west", 0, ())], "010", {EAST, WEST}, ["east", "west"], id="all-lost-keep-their-order"
        ),
        pytest.param([], "010", set(), [], id="no-routes"),
    ],
)
def test_order(routes: list[Any], caller: str, lost: set[Any], expected: list[str]) -> None:
    targets = {"east": EAST, "west": WEST, "backup": BACKUP}
    table = [Route(name, targets[name], weight, callers) for name, weight, callers in routes]
    assert names(order_routes(table, caller, random.Random(1), lost=lost)) == expected


def test_first_choices_follow_the_weights_and_the_rest_the_order() -> None:
    table = [Route("a", EAST, 60), Route("b", WEST, 30), Route("c", BACKUP, 10)]
    rng = random.Random(5)
    orders = [names(order_routes(table, "010", rng)) for _ in range(10_000)]
    firsts = Counter(order[0] for order in orders)
    assert abs(firsts["a"] - 6000) < 200
    assert abs(firsts["b"] - 3000) < 200
    assert {tuple(order) for order in orders} == {("a", "b", "c"), ("b", "a", "c"), ("c", "a", "b")}


def test_the_same_seed_draws_the_same_routes() -> None:
    table = [Route("a", EAST, 1), Route("b", WEST, 1)]
    one, two = random.Random(9), random.Random(9)
    draws = [names(order_routes(table, "0", one)) for _ in range(50)]
    assert draws == [names(order_routes(table, "0", two)) for _ in range(50)]


GOOD: dict[str, Any] = {
    "revision": 7,
    "routes": [
        {"name": "east", "target": "198.18.0.11:30560", "weight": 70, "callers": ["010"]},
        {"name": "west", "target": "198.18.0.12:30560", "weight": 30, "callers": []},
    ],
    "channels": 100,
    "calls_per_second": 12.5,
}


def test_a_plan_is_written_as_it_was_read() -> None:
    assert plan_document(parse_plan("4008001", GOOD)) == GOOD


def test_limits_and_callers_may_be_left_out() -> None:
    plan = parse_plan("4008001", {"revision": 1, "routes": [{"name": "e", "target": "1.2.3.4:5", "weight": 1}]})
    assert (plan.channels, plan.calls_per_second, plan.routes[0].callers) == (None, None, ())


def changed(**changes: Any) -> dict[str, Any]:
    return {**GOOD, **changes}


def with_route(**changes: Any) -> dict[str, Any]:
    return changed(routes=[{**GOOD["routes"][0], **changes}])


@pytest.mark.parametrize(
    ("document", "named"),
    [
        pytest.param([], "JSON object", id="no-object"),
        pytest.param(changed(routes=[]), "routes", id="no-routes"),
        pytest.param(changed(routes=["x"]), "routes\\[0\\]", id="route-is-no-object"),
        pytest.param(changed(revision=None), "revision", id="no-revision"),
        pytest.param(changed(revision=True), "revision True", id="revision-is-a-boolean"),
        pytest.param(changed(channels=-1), "channels -1", id="negative-channels"),
        pytest.param(changed(calls_per_second=0), "calls_per_second 0", id="no-calls-at-all"),
        pytest.param(changed(routes=GOOD["routes"][:1] * 2), "different names", id="one-name-twice"),
        pytest.param(with_route(name=""), "routes\\[0\\].name", id="empty-name"),
        pytest.param(with_route(target=5), "routes\\[0\\].target 5", id="target-is-no-string"),
        pytest.param(with_route(target="east:5060"), "target 'east:5060'", id="target-is-a-name"),
        pytest.param(with_route(weight="7"), "weight '7'", id="weight-is-a-string"),
        pytest.param(with_route(callers="010"), "callers '010'", id="callers-is-a-string"),
    ],
)
def test_wrong_plans_are_refused_by_field_and_value(document: Any, named: str) -> None:
    with pytest.raises(RouteError, match=named):
        parse_plan("4008001", document)


def test_a_number_is_digits_or_letters() -> None:
    with pytest.raises(RouteError, match="number"):
        parse_plan("4008;x", GOOD)


@pytest.mark.parametrize(
    "text", ["", "1.2.3.4", "1.2.3.4:", "1.2.3.4:0", "1.2.3.4:70000", "1.2.3:5", "1.2.3.256:5", "1.2.3.²:5"]
)
def test_wrong_targets_are_refused(text: str) -> None:
    with pytest.raises(RouteError):
        parse_address(text)


def test_a_number_may_be_written_with_a_plus() -> None:
    routes = [{"name": "east", "target": "10.0.0.11:30560", "weight": 1, "callers": []}]
    assert parse_plan("+4930555", {"revision": 1, "routes": routes}).routes[0].name == "east"
    with pytest.raises(RouteError, match="digits or letters"):
        parse_plan("49+30555", {"revision": 1, "routes": routes})
