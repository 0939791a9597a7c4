"""Who should be coordinator."""

import dataclasses

import pytest

from tandem.store.preference import DEFERENCE_S, STABLE_S, Surroundings, deference, hands_over

ACTIVE = Surroundings("Active", frozenset({"witness"}), witness_alive_s=STABLE_S)
ALONE = Surroundings("Active", frozenset({"witness"}))
WITNESS = Surroundings("Witness", frozenset({"witness"}), witness_alive_s=STABLE_S)


@pytest.mark.parametrize(
    ("around", "last_holder", "seconds"),
    [
        pytest.param(WITNESS, "", 0.0, id="the-witness-waits-for-nobody"),
        pytest.param(ALONE, "", 0.0, id="nobody-waits-for-a-dead-witness"),
        pytest.param(ACTIVE, "", DEFERENCE_S, id="a-city-waits-for-a-living-witness"),
        pytest.param(ACTIVE, "west", DEFERENCE_S, id="also-after-another-city-s-reign"),
        pytest.param(ACTIVE, "witness", 0.0, id="not-after-the-witness-s-own-reign"),
    ],
)
def test_deference(around: Surroundings, last_holder: str, seconds: float) -> None:
    assert deference(around, last_holder) == seconds


@pytest.mark.parametrize(
    ("around", "reigning_s", "expected"),
    [
        pytest.param(ACTIVE, STABLE_S, True, id="the-witness-is-back-and-nothing-is-under-way"),
        pytest.param(WITNESS, 1000.0, False, id="the-witness-keeps-the-office"),
        pytest.param(ALONE, 1000.0, False, id="nobody-there"),
        pytest.param(dataclasses.replace(ACTIVE, under_way=True), 1000.0, False, id="something-is-under-way"),
        pytest.param(
            dataclasses.replace(ACTIVE, witness_alive_s=9.9), 1000.0, False, id="the-witness-is-back-too-lately"
        ),
        pytest.param(ACTIVE, 9.9, False, id="we-have-just-begun"),
    ],
)
def test_handing_over(around: Surroundings, reigning_s: float, expected: bool) -> None:
    assert hands_over(around, reigning_s) is expected
