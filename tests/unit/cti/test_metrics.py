"""What a CTI tells Prometheus: what became of calls, how long signing in takes, who is where."""

import pytest

from callcenter.cti.distribution import PeerGroup
from callcenter.cti.metrics import BOUNDS, Durations, exposition
from callcenter.directory import is_test_group
from tests.unit.cti.centre import GROUP, Office


def lines_of(office: Office) -> list[str]:
    return exposition(office.centre, "east", "hotel").splitlines()


def calls(office: Office) -> dict[str, int]:
    """Of the group, by fate."""
    start = f'callcenter_calls_total{{site="east",system="hotel",group="{GROUP}",fate="'
    found = [line.removeprefix(start).partition('"} ') for line in lines_of(office) if line.startswith(start)]
    return {fate: int(count) for fate, _, count in found}


def sign_ins(office: Office) -> dict[str, int]:
    """At most so long -> how many."""
    start = 'callcenter_sign_in_seconds_bucket{site="east",system="hotel",le="'
    found = [line.removeprefix(start).partition('"} ') for line in lines_of(office) if line.startswith(start)]
    return {bound: int(count) for bound, _, count in found}


def test_what_becomes_of_calls() -> None:
    office = Office()
    office.sign_in(0)
    office.call("taken")
    office.switch("answered", "taken", ext=office.extension(0))
    office.switch("ended", "taken", ext=office.extension(0))
    office.call("impatient")
    office.switch("cancel", "impatient")
    office.switch("cancel", "unheard-of")
    assert calls(office) == {"answered": 1, "abandoned": 1, "handed_back": 0}
    office.leave(0)
    office.later(2.0)
    office.call("nobody-here", hop=1)
    office.apply(office.centre.peer_report({GROUP: PeerGroup(0, 3)}, office.now))
    assert calls(office) == {"answered": 1, "abandoned": 1, "handed_back": 1}


def test_a_caller_who_gives_up_while_it_rings_is_lost_and_one_at_the_other_city_is_not_ours() -> None:
    office = Office()
    office.sign_in(0)
    office.call("rings")
    assert office.states(0) == ["ringing"]
    office.switch("cancel", "rings")
    assert calls(office)["abandoned"] == 1
    office.leave(0)
    office.later(2.0)
    office.apply(office.centre.peer_report({GROUP: PeerGroup(3, 3)}, office.now))
    office.call("relayed")
    assert office.words()[-1][:2] == ("peer", "relayed")
    office.switch("cancel", "relayed")
    assert calls(office)["abandoned"] == 1


def test_how_long_signing_in_takes_with_the_wait_for_ones_turn() -> None:
    office = Office(rate=0.5)
    office.sign_in(0, 1)
    assert (sign_ins(office)["0.025"], sign_ins(office)["+Inf"]) == (1, 1)
    office.later(4.0)
    assert {bound: count for bound, count in sign_ins(office).items() if count > 1} == {
        "2": 2,
        "5": 2,
        "10": 2,
        "30": 2,
        "+Inf": 2,
    }
    (total,) = (line for line in lines_of(office) if line.startswith("callcenter_sign_in_seconds_sum"))
    assert float(total.rpartition(" ")[2]) == pytest.approx(2.0, abs=0.2)


def test_who_is_where_and_who_waits() -> None:
    office = Office()
    office.sign_in(0, 1)
    for call in ("a", "b", "c"):
        office.call(call)
    office.switch("answered", "a", ext=office.extension(0))
    where = f'site="east",system="hotel",group="{GROUP}"'
    for line in (
        f'callcenter_agents{{{where},state="signed_in"}} 2',
        f'callcenter_agents{{{where},state="talking"}} 1',
        f'callcenter_agents{{{where},state="ringing"}} 1',
        f"callcenter_calls_waiting{{{where}}} 1",
    ):
        assert line in lines_of(office), line


def test_test_agents_are_not_counted() -> None:
    office = Office()
    tests = [group for group in office.centre.group_seq if is_test_group(group)]
    assert not any(group in line for group in tests for line in lines_of(office))


def test_every_name_is_told_once_with_its_kind() -> None:
    lines = lines_of(Office())
    names = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(names) == len(set(names)) == 4
    assert all(line.startswith(("# ", *names)) for line in lines)


@pytest.mark.parametrize("seconds", [0.0, *BOUNDS])
def test_a_bucket_holds_its_bound(seconds: float) -> None:
    found = Durations()
    found.add(seconds)
    assert [bound for bound, count in found.cumulated() if count] == [
        *(f"{bound:g}" for bound in BOUNDS if bound >= seconds),
        "+Inf",
    ]
