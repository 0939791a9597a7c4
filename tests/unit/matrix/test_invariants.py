"""Each invariant of the fault matrix sees what breaks it, and nothing else."""

from typing import Any

import pytest

from tests.matrix.ctis import Spell
from tests.matrix.invariants import (
    Strike,
    Ways,
    bucket_of,
    ctis_only_go_forward,
    doors_only_go_forward,
    every_bucket_once,
    everybody_answers,
    important_not_last,
    last_sign_in,
    no_call_is_cut,
    no_two_fresh_doors,
    nobody_changes_often,
    nobody_is_counted_twice,
    nobody_is_given_up_by_mistake,
    nobody_notices,
    nobody_signs_in_at_a_shut_door,
    nobody_signs_in_where_no_map_has_him,
    revisions_only_grow,
    sessions_never_overlap,
    who_is_not_home,
)
from tests.matrix.watcher import Doors, Loss, Phones, Placement

PHONES = Phones({"51": "a", "61": "a", "52": "b"}, {"51": "east", "61": "west", "52": "east"})
MAPS = {
    ("n/g", 3): {"east": "0-99"},
    ("n/g", 5): {"east>west": "0-9", "east": "10-99"},
    ("n/g", 7): {"west": "0-9", "east": "10-99"},
    ("n/g", 9): {"west": "0-99"},
}


def line(account: str, at: float, event: str, site: str) -> dict[str, Any]:
    return {"account": account, "at": at, "mono": at, "event": event, "site": site}


def placed(revision: int, at: float = 0.0, **ranges: str) -> Placement:
    return Placement("n/g", revision, ranges or {"east": "0-99"}, at)


def doors(east: int = 0, west: int = 0) -> Doors:
    held = {site: {"n/g": revision} for site, revision in (("east", east), ("west", west)) if revision}
    return Doors(0.0, held)


def door(site: str, revision: int, since: float, until: float, boot: str = "b1") -> Spell:
    return Spell(site, "n/g", (boot, revision), since, until)


def session(site: str, since: float, until: float, account: str = "a") -> Spell:
    return Spell(site, account, (f"{site}.1", 0), since, until)


def call(ident: str, **more: Any) -> dict[str, Any]:
    return {"id": ident, "number": "800", "fate": "answered", "placed_at": 2.0, "answered_at": 3.0, **more}


# -- the store and the CTIs


def test_a_revision_that_falls_is_seen() -> None:
    assert revisions_only_grow([placed(3), placed(5), Placement("n/h", 4, {}, 0.0)]) == []
    assert revisions_only_grow([placed(5), placed(3)]) == ["revision of n/g fell from 5 to 3"]


def test_a_cti_that_goes_back_to_an_older_map_is_seen_also_after_a_silence() -> None:
    assert ctis_only_go_forward([doors(3, 3), doors(5, 3), doors(5, 5)]) == []
    assert ctis_only_go_forward([doors(5, 5), doors(), doors(3, 5)]) == [
        "the map of n/g that east admits by fell from 5 to 3"
    ]


@pytest.mark.parametrize(
    ("ranges", "good"),
    [
        ({"east": "0-99"}, True),
        ({"east": "0-49,60", "west": "50-59,61-99"}, True),
        ({"east": "0-50", "west": "50-99"}, False),
        ({"east": "0-49", "west": "51-99"}, False),
    ],
)
def test_a_bucket_with_two_slots_or_none_is_seen(ranges: dict[str, str], good: bool) -> None:
    assert (every_bucket_once([Placement("n/g", 7, ranges, 0.0)]) == []) is good


@pytest.mark.parametrize(
    ("held", "buckets"),
    [
        pytest.param([door("east", 3, 0, 20), door("west", 3, 0, 20)], 0, id="both-hold-the-same-map"),
        pytest.param([door("east", 5, 0, 20), door("west", 7, 5, 20)], 0, id="shut-here-before-it-opened-there"),
        pytest.param([door("east", 3, 0, 9), door("west", 7, 5, 20)], 10, id="west-opened-before-east-had-shut"),
        pytest.param([door("east", 3, 0, 4), door("west", 7, 5, 20)], 0, id="one-after-the-other"),
        pytest.param([door("east", 3, 0, 9), door("west", 9, 5, 20)], 100, id="the-whole-group-is-open-twice"),
        pytest.param([door("east", 3, 7, 7), door("west", 9, 5, 20)], 0, id="one-answer-proves-nothing"),
        pytest.param([door("east", 3, 0, 1), door("west", 9, 0, 1)], 0, id="before-the-fault"),
        pytest.param([door("west", 9, 0, 20)], 0, id="the-former-city-says-nothing"),
        pytest.param([door("east", 9, 5, 20), door("west", 3, 0, 9)], 0, id="behind-and-had-no-door-before"),
    ],
)
def test_a_bucket_with_two_fresh_doors_is_seen(held: list[Spell], buckets: int) -> None:
    broken = no_two_fresh_doors(held, MAPS, [], since=2.0)
    assert len(broken) == buckets
    if buckets:
        newer = 7 if buckets == 10 else 9
        assert broken[0] == f"bucket 0 of n/g was open at east (revision 3) and at west (revision {newer}) at once"


def test_a_map_that_nobody_knows_proves_nothing() -> None:
    said = "the map of n/g that east admitted by (revision 4) is not known: that no bucket had two doors is not proven"
    held = [door("east", 4, 0, 9), door("west", 9, 5, 20)]
    assert no_two_fresh_doors(held, MAPS, [], since=2.0) == [said]
    assert no_two_fresh_doors([door("east", 4, 0, 9), door("west", 9, 10, 20)], MAPS, [], since=2.0) == []
    assert no_two_fresh_doors([door("east", 4, 0, 9), door("west", 4, 5, 20)], MAPS, [], since=2.0) == [], (
        "the same map"
    )
    assert no_two_fresh_doors([door("east", 4, 0, 31), WEST], MAPS, [LOST], since=2.0) == [], "it may be any map"


LOST = Loss("east", gone_at=5.0, back_at=30.0, failed_over=True)
WEST = door("west", 9, 5.5, 100.0)


@pytest.mark.parametrize(
    ("east", "loss", "excused"),
    [
        pytest.param([door("east", 3, 0, 31)], LOST, True, id="cut-off-and-told-soon-after-its-return"),
        pytest.param([door("east", 3, 0, 8), door("east", 3, 9, 31)], LOST, True, id="not-read-for-a-moment"),
        pytest.param([door("east", 3, 0, 50)], LOST, False, id="never-told"),
        pytest.param([door("east", 3, 31, 32, "b2")], LOST, False, id="back-and-has-confirmed-the-old-map"),
        pytest.param([door("east", 3, 0, 31)], Loss("east", 5.0, 30.0), False, id="silent-and-not-failed-over"),
        pytest.param([door("east", 3, 0, 31)], Loss("west", 5.0, 30.0, True), False, id="the-other-city-was-lost"),
        pytest.param([door("east", 3, 0, 31)], Loss("east", 20.0, 30.0, True), False, id="open-there-long-before"),
        pytest.param([door("east", 3, 0, 60)], Loss("east", 5.0, failed_over=True), True, id="still-cut-off"),
    ],
)
def test_a_door_of_a_lost_city_is_excused_until_it_has_been_told(east: list[Spell], loss: Loss, excused: bool) -> None:
    assert (no_two_fresh_doors([*east, WEST], MAPS, [loss], since=2.0) == []) is excused


@pytest.mark.parametrize(
    ("east", "loss", "excused"),
    [
        pytest.param(door("east", 3, 15, 31, "b2"), LOST, True, id="restarted-while-cut-off-and-told-soon-after"),
        pytest.param(door("east", 3, 15, 50, "b2"), LOST, False, id="never-told"),
        pytest.param(door("east", 3, 15, 31, "b2"), Loss("east", 5.0, 30.0), False, id="silent-and-not-failed-over"),
        pytest.param(door("east", 3, 15, 31, "b2"), None, False, id="its-engine-wrote-all-along"),
        pytest.param(door("east", 5, 15, 31, "b2"), None, False, id="the-buckets-that-were-left-to-it"),
    ],
)
def test_a_door_that_is_open_by_an_old_map_from_a_disk_is_seen(east: Spell, loss: Loss | None, excused: bool) -> None:
    broken = no_two_fresh_doors([WEST], MAPS, [loss] if loss else [], 2.0, [east])
    assert (broken == []) is excused
    assert no_two_fresh_doors([WEST], MAPS, [], 2.0, [door("east", 9, 15, 31, "b2")]) == [], "of the same map"


@pytest.mark.parametrize(
    ("made", "seen"),
    [
        pytest.param(line("a", 14.0, "signed-in", "east"), True, id="while-it-was-shut"),
        pytest.param(line("a", 12.5, "signed-in", "east"), False, id="just-after-it-began"),
        pytest.param(line("a", 16.0, "signed-in", "east"), False, id="when-it-was-confirmed"),
        pytest.param(line("a", 14.0, "signed-in", "west"), False, id="elsewhere"),
        pytest.param(line("c", 14.0, "signed-in", "east"), False, id="of-another-group"),
        pytest.param(line("a", 14.0, "lost", "east"), False, id="who-leaves"),
    ],
)
def test_whoever_a_cti_admits_before_its_map_is_confirmed_is_seen(made: dict[str, Any], seen: bool) -> None:
    shut = [door("east", 3, 10.0, 15.0, "b2")]
    broken = nobody_signs_in_at_a_shut_door(shut, [made], ACCOUNTS, since=2.0)
    assert broken == (["a signed in at east, whose map (revision 3) nobody had confirmed"] if seen else [])
    assert nobody_signs_in_at_a_shut_door(shut, [made], ACCOUNTS, since=20.0) == []


def test_a_cti_that_admits_by_an_older_map_again_is_seen() -> None:
    there = [door("east", 3, 0, 5), door("east", 5, 6, 9), door("west", 3, 0, 9)]
    assert doors_only_go_forward(there) == []
    assert doors_only_go_forward([*there, door("east", 3, 12, 15, "b2")]) == [
        "the CTI at east admits to n/g by 3, after 5"
    ]


# -- the agents


@pytest.mark.parametrize(
    ("maps", "events", "seen"),
    [
        ([placed(3)], [line("a", 12, "signed-in", "east")], False),
        ([placed(3)], [line("a", 12, "signed-in", "west")], True),
        ([placed(3)], [line("a", 8, "signed-in", "west")], False),  # before it all began
        ([placed(3)], [line("a", 12, "signed-in", "west"), line("a", 12, "guest", "west")], False),
        ([placed(3)], [line("a", 12, "signed-in", "west"), line("b", 12, "guest", "west")], True),
        ([placed(3), placed(5, 11, west="0-99")], [line("a", 12, "signed-in", "west")], False),
        ([placed(1, 2, west="0-99"), placed(3, 4)], [line("a", 12, "signed-in", "west")], True),  # one of long ago
        ([Placement("n/g", 3, {"east>west": "0-99"}, 0.0)], [line("a", 12, "signed-in", "west")], False),
        ([Placement("n/g", 3, {"east": "0-97,99", "west": "98"}, 0.0)], [line("a", 12, "signed-in", "west")], True),
    ],
)
def test_whoever_enters_where_no_map_has_him_and_is_no_guest_is_seen(
    maps: list[Placement], events: list[dict[str, Any]], seen: bool
) -> None:
    group_of = {"a": "n/g", "b": "n/g"}
    assert bool(nobody_signs_in_where_no_map_has_him(maps, events, group_of, 10.0)) is seen


def test_whoever_is_not_where_he_was_is_named() -> None:
    homes = {"a": "east", "b": "west", "c": "east"}
    assert who_is_not_home(homes, homes) == []
    assert who_is_not_home(homes, {"a": "west", "b": "west"}) == [
        "a of east is at west at the end",
        "c of east is signed in nowhere at the end",
    ]


def test_two_sessions_at_once_are_seen_and_one_after_the_other_are_not() -> None:
    before = [line("a", 1, "signed-in", "east")]
    assert sessions_never_overlap([*before, line("a", 2, "lost", "east"), line("a", 3, "signed-in", "west")], 0) == []
    assert sessions_never_overlap([*before, line("a", 3, "signed-in", "west")], 0) == [
        "a was signed in at east and at west"
    ]
    assert sessions_never_overlap([*before, line("a", 3, "signed-in", "west")], since=10) == []


@pytest.mark.parametrize(
    ("east", "west", "overlap"),
    [
        pytest.param((0.0, 9.0), (10.0, 20.0), None, id="one-after-the-other"),
        pytest.param((0.0, 12.0), (10.0, 20.0), 2.0, id="the-old-one-still-counts-it"),
        pytest.param((11.0, 12.0), (10.0, 20.0), 1.0, id="within-the-other"),
        pytest.param((11.0, 10.9), (10.0, 20.0), None, id="one-answer-proves-nothing"),
        pytest.param((0.0, 3.0), (2.0, 3.0), None, id="before-the-fault"),
    ],
)
def test_an_agent_whom_two_ctis_count_at_once_is_seen(
    east: tuple[float, float], west: tuple[float, float], overlap: float | None
) -> None:
    broken = nobody_is_counted_twice([session("east", *east), session("west", *west), session("west", 0, 99, "b")], 5.0)
    said = f"a was counted at east (session east.1) and at west (session west.1) at once, for {overlap} s at least"
    assert broken == ([said] if overlap else [])


@pytest.mark.parametrize("event", ["released", "lost", "out", "signed-in", "guest"])
def test_whoever_notices_something_is_seen(event: str) -> None:
    diary = [line("a", 5, event, "west"), line("b", 5, event, "west"), line("a", 50, event, "west")]
    assert nobody_notices(diary, frozenset({"a"}), 1, 10) == [f"a of west noticed: {event}"]
    assert nobody_notices([line("a", 5, "call", "west")], frozenset({"a"}), 1, 10) == []


def test_an_agent_who_goes_to_and_fro_is_seen() -> None:
    there = [line("a", 1, "signed-in", "east"), line("a", 12, "signed-in", "west")]
    assert nobody_changes_often(there, since=10) == []
    assert nobody_changes_often([*there, line("a", 13, "signed-in", "west")], since=10) == [], "the same city again"
    back = [*there, line("a", 14, "signed-in", "east")]
    assert nobody_changes_often(back, since=10) == ["a went east > west > east"]
    assert nobody_changes_often(back, since=10, most=2) == []
    assert nobody_changes_often(there, since=10, most=0) == ["a went east > west"]
    assert nobody_changes_often(back, since=13) == [], "what was before the fault is no part of it"


def test_important_agents_who_come_last_are_seen() -> None:
    diary = [line("a", 5, "signed-in", "west"), line("b", 6, "signed-in", "west"), line("a", 7, "lost", "west")]
    a, b = frozenset({"a"}), frozenset({"b"})
    assert important_not_last(diary, a, b, since=1) == []
    assert important_not_last(diary, b, a, since=1) == [
        "the last of the important was 1.00 s later than the last of the others"
    ]
    assert important_not_last(diary, b, a, since=8) == []


def test_the_last_sign_in_is_that_of_those_who_are_asked_about() -> None:
    diary = [line("a", 5, "signed-in", "west"), line("a", 9, "lost", "west"), line("b", 8, "signed-in", "west")]
    assert last_sign_in(diary, {"a"}, since=1) == 4.0
    assert last_sign_in(diary, {"a", "b"}, since=1) == 7.0
    assert last_sign_in(diary, {"a"}, since=6) == 0.0


ACCOUNTS = {"a": "n/g", "b": "n/g", "c": "n/other"}


@pytest.mark.parametrize(
    ("events", "working"),
    [
        pytest.param([line("a", 12, "lost", "east"), line("b", 11, "lost", "east")], 0, id="everybody-had-lost-it"),
        pytest.param([line("a", 9, "lost", "east")], 1, id="one-works-on-as-if-nothing-were"),
        pytest.param([], 2, id="nobody-had-lost-anything"),
        pytest.param(
            [line("a", 12, "lost", "east"), line("b", 11, "out", "east"), line("b", 12, "signed-in", "east")],
            0,
            id="a-session-that-began-afterwards-is-another-one",
        ),
    ],
)
def test_a_city_that_is_given_up_while_agents_work_there_is_seen(events: list[dict[str, Any]], working: int) -> None:
    diary = [line(account, 1, "signed-in", "east") for account in ACCOUNTS] + events
    seen = [placed(3), placed(5, at=10.0, west="0-99")]
    broken = nobody_is_given_up_by_mistake(seen, diary, ACCOUNTS, since=5, until=20)
    assert broken == (
        [f"east was given up for n/g (revision 5) while {working} of its 2 agents worked on there"] if working else []
    )


def test_a_planned_move_gives_nobody_up_and_only_the_buckets_that_were_taken_count() -> None:
    diary = [line(account, 1, "signed-in", "east") for account in ACCOUNTS]
    planned = [placed(3), Placement("n/g", 5, {"east>west": "0-99"}, 10.0), placed(7, at=15.0, west="0-99")]
    assert nobody_is_given_up_by_mistake(planned, diary, ACCOUNTS, since=5, until=20) == []
    a = bucket_of("a")
    others = ",".join(str(bucket) for bucket in range(100) if bucket != a)
    partly = [placed(3), placed(5, at=10.0, east=str(a), west=others)]
    assert nobody_is_given_up_by_mistake(partly, diary, {"a": "n/g"}, since=5, until=20) == []
    assert nobody_is_given_up_by_mistake(partly, diary, {"b": "n/g"}, since=5, until=20) != []
    assert nobody_is_given_up_by_mistake(partly, diary, {"b": "n/g"}, since=11, until=20) == []


def test_buckets_are_those_of_the_contract() -> None:
    from tandem.domain.buckets import bucket_of as of_tandem

    assert [bucket_of(name) for name in ("agent0001", "Agent0002")] == [of_tandem("agent0001"), of_tandem("agent0002")]


# -- the calls


WAYS = Ways(PHONES, {"overflow": "west"}, {"800": "hotel", "900": "flight"}, {"hotel": "floor-b", "flight": "floor-a"})
DEATH = Strike(5.0, 5.2, "east")


def cut_call(answered_at: float, ended_at: float, code: int = 481, **more: Any) -> dict[str, Any]:
    way = {"routes_tried": ["east"], "agent": "51", **more}
    return call("1", fate="cut", answered_at=answered_at, ended_at=ended_at, code=code, by="softswitch-east", **way)


@pytest.mark.parametrize(
    ("made", "strike", "excused"),
    [
        pytest.param(cut_call(3.0, 9.0), DEATH, True, id="in-progress-when-it-struck"),
        pytest.param(cut_call(5.5, 9.0), DEATH, True, id="answered-within-the-moment"),
        pytest.param(cut_call(7.0, 9.0), DEATH, False, id="answered-later"),
        pytest.param(cut_call(1.0, 4.0), DEATH, False, id="cut-before-it-struck"),
        pytest.param(cut_call(3.0, 9.0, routes_tried=["west"], agent="61"), DEATH, False, id="through-the-other-city"),
        pytest.param(cut_call(3.0, 9.0, routes_tried=["east", "overflow"], agent="61"), DEATH, False, id="last-route"),
        pytest.param(cut_call(3.0, 9.0), None, False, id="nothing-may-cut"),
        pytest.param(cut_call(3.0, 9.0), Strike(5.0, 5.2, "east/hotel"), True, id="through-the-system-that-was-struck"),
        pytest.param(cut_call(3.0, 9.0), Strike(5.0, 5.2, "east/flight"), False, id="the-other-system-was-struck"),
        pytest.param(cut_call(3.0, 9.0, 408), Strike(5.0, 20.0, "east", slow=True), True, id="slow-and-timed-out"),
        pytest.param(cut_call(3.0, 9.0, 481), Strike(5.0, 20.0, "east", slow=True), False, id="slow-loses-no-call"),
        pytest.param(cut_call(22.0, 25.0, 408), Strike(5.0, 20.0, "east", slow=True), False, id="quick-again"),
    ],
)
def test_a_call_that_is_cut_is_seen_unless_the_fault_itself_did_it(
    made: dict[str, Any], strike: Strike | None, excused: bool
) -> None:
    broken = no_call_is_cut([made, call("2", ended_at=9.0)], 2.0, [strike] if strike else [], WAYS)
    assert broken == ([] if excused else [f"call 1 to 800 was cut by softswitch-east ({made['code']})"])


def test_what_was_cut_before_the_case_began_is_no_part_of_it() -> None:
    assert no_call_is_cut([cut_call(1.0, 4.0)], 5.0, [], WAYS) == []


@pytest.mark.parametrize(
    ("made", "through"),
    [
        (call("1", routes_tried=["east"], agent="51"), {"east", "east/hotel", "carrier-east", "east-floor-b"}),
        (
            call("2", routes_tried=["west"], agent="51", number="900"),
            {"east", "west", "east/flight", "west/flight", "carrier-west", "east-west", "east-floor-a"},
        ),
        (
            call("3", routes_tried=["east", "overflow"], agent="61"),
            {"west", "west/hotel", "carrier-west", "floor-b-west"},
        ),
        (call("4", routes_tried=["east"]), {"east", "east/hotel", "carrier-east"}),
        (call("5"), set()),
    ],
)
def test_the_way_of_a_call_is_known_by_its_last_route_and_the_phone(made: dict[str, Any], through: set[str]) -> None:
    assert WAYS.of(made) == through


def test_an_agent_whom_no_call_reaches_is_seen() -> None:
    calls = [call("1", agent="61"), call("2", agent="52", placed_at=0.5), call("3", agent="52", answered_at=None)]
    assert everybody_answers(calls, PHONES, {"a", "b"}, since=1.0) == ["b is reached by no call"]
    assert everybody_answers(calls, PHONES, {"a"}, since=1.0) == []


def test_an_agent_whom_calls_reach_at_the_lost_city_only_is_seen() -> None:
    calls = [call("1", agent="51")]
    assert everybody_answers(calls, PHONES, {"a"}, since=1.0, not_at="west") == []
    assert everybody_answers(calls, PHONES, {"a"}, since=1.0, not_at="east") == ["a is reached by no call"]
