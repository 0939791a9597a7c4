"""The figures of the bench of a floor that loses one city."""

from dataclasses import replace

import pytest

from tests.bench.floor import CutOff, summary, table

WELL = CutOff(agents=3, guests=(1.0, 1.5, 2.0), home=(2.0, 3.0, 8.0), noticed=(), placed_anew=0)
FASTER = replace(WELL, guests=(0.5, 1.0, 1.2))


def test_median_and_worst_of_the_agent_in_the_middle_and_of_the_last() -> None:
    found = summary([WELL, FASTER])

    assert found["kept"] is True
    assert found["guests"] == {"median_agent": {"median": 1.25, "worst": 1.5}, "last": {"median": 1.6, "worst": 2.0}}
    assert found["home"]["last"] == {"median": 8.0, "worst": 8.0}
    assert "guest, last" in table(found)


@pytest.mark.parametrize(
    "run",
    [
        replace(WELL, guests=(1.0, 1.5, 5.1)),
        replace(WELL, guests=(1.0, 1.5)),
        replace(WELL, home=(2.0, 3.0)),
        replace(WELL, noticed=("east-1",)),
        replace(WELL, placed_anew=1),
    ],
    ids=["late", "no-guest", "not-home", "noticed", "placed-anew"],
)
def test_it_is_not_kept_where_somebody_is_late_missing_or_disturbed(run: CutOff) -> None:
    assert summary([FASTER, run])["kept"] is False
