"""Replicas: how many, when they are raised, and when the old number comes back."""

import pytest

from tandem.api.site import Scaling
from tandem.domain.capacity import wanted_replicas
from tandem.operator.scaling import CALM_S, Turn, lever, next_turn

SCALING = Scaling(mode="Scale", agents_per_replica=100, min=1, max=5)


@pytest.mark.parametrize(("agents", "replicas"), [(0, 1), (100, 1), (101, 2), (499, 5), (5000, 5)])
def test_replicas_carry_the_agents_within_the_bounds(agents: int, replicas: int) -> None:
    assert wanted_replicas(agents, SCALING) == replicas


@pytest.mark.parametrize(
    ("current", "before", "wanted", "calm_s", "turn"),
    [
        pytest.param(2, None, 4, 0.0, Turn(4, 2), id="raised-at-once-and-remembered"),
        pytest.param(4, 2, 5, 0.0, Turn(5, 2), id="raised-again-remembers-the-first"),
        pytest.param(2, None, 2, 0.0, None, id="enough"),
        pytest.param(4, None, 2, CALM_S, None, id="what-others-set-is-not-taken-away"),
        pytest.param(4, 2, 1, CALM_S - 1, None, id="not-given-back-in-the-middle-of-it"),
        pytest.param(4, 2, 1, CALM_S, Turn(2, None), id="given-back"),
        pytest.param(5, 2, 3, CALM_S, Turn(3, 2), id="less-but-not-all"),
        pytest.param(4, 2, 4, CALM_S, None, id="still-needed"),
    ],
)
def test_the_next_turn(current: int, before: int | None, wanted: int, calm_s: float, turn: Turn | None) -> None:
    assert next_turn(current, before, wanted, calm_s) == turn


@pytest.mark.parametrize(
    ("mode", "field", "default"), [("Scale", "replicas", 1), ("HPA", "minReplicas", 1), ("KEDA", "minReplicaCount", 0)]
)
def test_each_mode_moves_one_field_only(mode: str, field: str, default: int) -> None:
    found = lever(mode, "callcenter/cti-hotel")
    assert found is not None
    body = found.body(3)
    assert body["spec"] == {field: 3}
    assert body["metadata"] == {"name": "cti-hotel", "namespace": "callcenter"}
    assert found.path.endswith("/namespaces/callcenter/" + found.path.split("/")[-2] + "/cti-hotel")
    assert (found.read(body), found.read({"spec": {}})) == (3, default)


def test_mode_none_moves_nothing() -> None:
    assert lever("None", "callcenter/cti-hotel") is None
