"""Digests."""

import pytest

from tandem.api.agentgroup import Share
from tandem.domain.digest import order_digest, spec_digest


def test_a_spec_digest_ignores_the_order_of_keys_only() -> None:
    assert spec_digest({"a": 1, "b": [1, 2]}, {"x": "y"}) == spec_digest({"b": [1, 2], "a": 1}, {"x": "y"})
    assert len(spec_digest({}, {})) == 16


@pytest.mark.parametrize(
    ("spec", "labels"), [({"a": 2}, {"x": "y"}), ({"a": 1}, {"x": "z"}), ({"a": 1}, {}), ({"a": "1"}, {"x": "y"})]
)
def test_a_spec_digest_tells_any_difference(spec: dict[str, object], labels: dict[str, str]) -> None:
    assert spec_digest(spec, labels) != spec_digest({"a": 1}, {"x": "y"})


ORDER = [Share(site="east", percent=60), Share(site="west", percent=40)]


def test_the_same_wish_written_differently_is_the_same_order() -> None:
    assert order_digest([*reversed(ORDER), Share(site="north", percent=0)], "") == order_digest(ORDER, "")


@pytest.mark.parametrize(
    ("placement", "order_id"),
    [
        pytest.param([Share(site="east", percent=40), Share(site="west", percent=60)], "", id="other-shares"),
        pytest.param(ORDER, "again", id="tried-again"),
    ],
)
def test_a_changed_order_has_another_digest(placement: list[Share], order_id: str) -> None:
    assert order_digest(placement, order_id) != order_digest(ORDER, "")
