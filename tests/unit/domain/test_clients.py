"""When clients speak."""

import pytest

from tandem.domain.clients import ClientCount, clients_accuse


@pytest.mark.parametrize(
    ("clients", "lost", "speak"),
    [
        pytest.param(20, 20, True, id="all-of-twenty"),
        pytest.param(40, 20, True, id="half-of-forty"),
        pytest.param(41, 20, False, id="fewer-than-half"),
        pytest.param(19, 19, False, id="too-few-to-speak"),
        pytest.param(200, 0, False, id="nobody"),
    ],
)
def test_a_group_speaks_when_enough_of_its_clients_have_lost_a_city(clients: int, lost: int, speak: bool) -> None:
    said = clients_accuse({"callcenter/x": ClientCount(clients, lost)})
    assert said == (f"{lost} of {clients} clients of callcenter/x" if speak else "")


def test_groups_are_not_added_up() -> None:
    """Ten here and ten there are two small troubles, not one large one."""
    assert clients_accuse({"callcenter/x": ClientCount(10, 10), "callcenter/y": ClientCount(10, 10)}) == ""
