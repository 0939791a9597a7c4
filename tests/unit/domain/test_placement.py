"""Maps of buckets, and the fewest moves between them."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tandem.constants import MIN_WAVE_AGENTS
from tandem.domain.placement import (
    BucketMap,
    Part,
    Slot,
    StillMovingError,
    encode_moves,
    fewest_moves,
    gather_at,
    parse_moves,
    proportional,
    split_waves,
)

SITES = ("east", "north", "west")


def shares() -> st.SearchStrategy[dict[str, int]]:
    """Percentages of three sites that sum to 100."""
    return st.tuples(st.integers(0, 100), st.integers(0, 100)).map(
        lambda cuts: dict(zip(SITES, (min(cuts), max(cuts) - min(cuts), 100 - max(cuts)), strict=True))
    )


def maps() -> st.SearchStrategy[BucketMap]:
    """Any settled map of three sites."""
    return st.lists(st.sampled_from(SITES), min_size=100, max_size=100).map(
        lambda sites: BucketMap(tuple(Slot(site) for site in sites))
    )


def slots() -> st.SearchStrategy[Slot]:
    return st.tuples(st.sampled_from(SITES), st.sampled_from(("", *SITES))).map(
        lambda ends: Slot(ends[0], "" if ends[0] == ends[1] else ends[1])
    )


@settings(deadline=None)
@given(st.lists(slots(), min_size=100, max_size=100))
def test_a_map_is_read_as_it_is_written(found: list[Slot]) -> None:
    placement = BucketMap(tuple(found))
    assert BucketMap.parse(placement.encode()) == placement


@pytest.mark.parametrize(
    ("encoded", "message"),
    [
        pytest.param({"east": "0-98"}, "buckets 99 belong to no site", id="missing"),
        pytest.param({"east": "0-99", "west": "7"}, "bucket 7 is both east and west", id="twice"),
        pytest.param({}, "buckets 0-99 belong to no site", id="empty"),
    ],
)
def test_a_map_names_each_bucket_once(encoded: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        BucketMap.parse(encoded)


@settings(deadline=None)
@given(maps(), shares())
def test_a_change_moves_the_fewest_buckets_and_only_from_sites_that_lose_share(
    current: BucketMap, wanted: dict[str, int]
) -> None:
    moves = fewest_moves(current, wanted)
    have = current.end_shares
    losing = {site for site in SITES if have.get(site, 0) > wanted[site]}
    assert len(moves) == sum(have.get(site, 0) - wanted[site] for site in losing)
    assert {slot.site for slot in moves.values()} <= losing
    assert not {slot.to for slot in moves.values()} & losing
    after = current.change(moves).end_shares
    assert {site: after.get(site, 0) for site in SITES} == wanted


@settings(deadline=None)
@given(maps(), shares())
def test_moving_there_and_back_moves_the_same_buckets(current: BucketMap, wanted: dict[str, int]) -> None:
    there = fewest_moves(current, wanted)
    arrived = current.change({bucket: Slot(slot.to) for bucket, slot in there.items()})
    back = fewest_moves(arrived, current.end_shares)
    assert len(back) == len(there)


def test_settled_buckets_move_before_those_on_their_way() -> None:
    current = BucketMap.parse({"east": "0-49", "east>west": "90-99", "west": "50-89"})
    moves = fewest_moves(current, {"east": 60, "west": 40})
    assert encode_moves(moves) == {"west>east": "80-89"}


def test_a_bucket_on_its_way_is_turned_back_when_the_settled_ones_do_not_suffice() -> None:
    current = BucketMap.parse({"east": "0-89", "east>west": "90-99"})
    moves = fewest_moves(current, {"east": 95, "west": 5})
    assert encode_moves(moves) == {"west>east": "95-99"}


def test_a_bucket_on_its_way_is_not_sent_to_a_third_site() -> None:
    current = BucketMap.parse({"east": "0-89", "east>west": "90-99"})
    with pytest.raises(StillMovingError, match="90-99"):
        fewest_moves(current, {"east": 90, "north": 10})


@pytest.mark.parametrize(
    ("current", "percent", "only_from", "wanted"),
    [
        ({"east": "0-99"}, 100, "", {"east": 0, "west": 100}),
        ({"east": "0-99"}, 30, "", {"east": 70, "west": 30}),
        ({"east": "0-59", "north": "60-99"}, 50, "", {"east": 30, "north": 20, "west": 50}),
        ({"east": "0-59", "north": "60-99"}, 50, "east", {"east": 10, "north": 40, "west": 50}),
        ({"east": "0-59", "north": "60-99"}, 100, "east", {"east": 0, "north": 40, "west": 60}),
        ({"east": "0-19", "west": "20-99"}, 50, "", {"east": 20, "west": 80}),
    ],
)
def test_a_shift_brings_agents_to_its_target_and_takes_none_away(
    current: dict[str, str], percent: int, only_from: str, wanted: dict[str, int]
) -> None:
    assert gather_at(BucketMap.parse(current), "west", percent, only_from) == wanted


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from("abcdef"), st.integers(0, 500), min_size=1), st.integers(0, 1000))
def test_proportional_shares_add_up_and_are_within_one_of_exact(weights: dict[str, int], total: int) -> None:
    found = proportional(weights, total)
    whole = sum(weights.values())
    if whole == 0:
        assert set(found.values()) == {0}
        return
    assert sum(found.values()) == total
    assert all(abs(found[key] - total * weight / whole) < 1 for key, weight in weights.items())


def a_move(buckets: int) -> dict[int, Slot]:
    return {bucket: Slot("east", "west") for bucket in range(buckets)}


@pytest.mark.parametrize(
    ("waves", "agents", "sizes"),
    [
        pytest.param((100,), 10.0, [100], id="one-wave"),
        pytest.param((10, 50, 100), 1.0, [10, 40, 50], id="by-percentage"),
        pytest.param((1, 100), 0.5, [10, 90], id="a-canary-is-widened-to-five-agents"),
        pytest.param((1, 2, 100), 0.5, [10, 90], id="a-widened-wave-swallows-the-next"),
        pytest.param((10, 100), 0.01, [100], id="too-few-agents-for-waves"),
        pytest.param((98, 100), 1.0, [100], id="a-last-wave-too-small-joins-the-one-before"),
    ],
)
def test_waves_are_shares_of_the_move_widened_to_hold_five_agents(
    waves: tuple[int, ...], agents: float, sizes: list[int]
) -> None:
    (found,) = split_waves([Part(a_move(100), dict.fromkeys(range(100), agents))], waves)
    assert [len(wave) for wave in found] == sizes


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 99), unique=True, max_size=5).map(lambda cuts: (*sorted(cuts), 100)),
    st.integers(1, 100),
    st.lists(st.integers(0, 8), min_size=100, max_size=100),
)
def test_waves_together_are_the_move_and_each_holds_five_agents(
    waves: tuple[int, ...], buckets: int, agents: list[int]
) -> None:
    move = a_move(buckets)
    (found,) = split_waves([Part(move, dict(enumerate(map(float, agents))))], waves)
    assert Counter(bucket for wave in found for bucket in wave) == Counter(list(move))
    if len(found) > 1:
        assert all(sum(agents[bucket] for bucket in wave) >= MIN_WAVE_AGENTS for wave in found)


def test_the_canary_of_many_small_groups_is_five_percent_and_not_everybody() -> None:
    found = split_waves([Part(a_move(100), dict.fromkeys(range(100), 0.05))] * 200, (5, 25, 100))
    assert {tuple(len(wave) for wave in part) for part in found} == {(5, 20, 75)}


def test_each_system_has_a_canary_of_its_own() -> None:
    hotel = Part(a_move(100), dict.fromkeys(range(100), 10.0), "hotel")
    flight = Part(a_move(100), dict.fromkeys(range(100), 0.5), "flight")
    found = split_waves([hotel, flight], (5, 25, 100))
    assert [[len(wave) for wave in part] for part in found] == [[5, 20, 75], [10, 15, 75]]


def test_waves_of_groups_with_few_buckets_keep_step_with_the_others() -> None:
    found = split_waves(
        [Part(a_move(100), dict.fromkeys(range(100), 1.0)), Part(a_move(2), {0: 1.0, 1: 1.0})], (5, 25, 100)
    )
    assert [[len(wave) for wave in part] for part in found] == [[5, 20, 75], [1, 0, 1]]


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 99), unique=True, max_size=5).map(lambda cuts: (*sorted(cuts), 100)),
    st.lists(st.tuples(st.integers(1, 100), st.sampled_from(["hotel", "flight"]), st.integers(0, 3)), max_size=5),
)
def test_waves_of_several_groups_are_the_move_and_hold_five_agents_of_each_system(
    waves: tuple[int, ...], groups: list[tuple[int, str, int]]
) -> None:
    parts = [Part(a_move(n), dict.fromkeys(range(n), float(agents)), system) for n, system, agents in groups]
    found = split_waves(parts, waves)
    for part, its in zip(parts, found, strict=True):
        assert Counter(bucket for wave in its for bucket in wave) == Counter(list(part.moves))
        assert its[-1]
    for system in {part.system for part in parts}:
        members = [number for number, part in enumerate(parts) if part.system == system]
        held: list[float] = []
        for wave in range(max(len(found[number]) for number in members)):
            buckets = [(parts[n], b) for n in members if wave < len(found[n]) for b in found[n][wave]]
            if buckets:
                held.append(sum(part.agents[bucket] for part, bucket in buckets))
        assert len(held) == 1 or all(count >= MIN_WAVE_AGENTS for count in held)


def test_moves_are_read_as_they_are_written() -> None:
    move = {3: Slot("east", "west"), 4: Slot("east", "west"), 9: Slot("north", "west")}
    assert encode_moves(move) == {"east>west": "3-4", "north>west": "9"}
    assert parse_moves(encode_moves(move)) == move


def test_a_small_end_that_was_all_of_a_wave_leaves_no_wave_in_which_nobody_moves() -> None:
    small = Part(
        {b: Slot("east", "west") for b in range(100)}, dict.fromkeys((99, 97, 95, 93, 91, 89, 30), 1.0), "hotel"
    )
    big = Part({b: Slot("east", "west") for b in range(100)}, dict.fromkeys(range(0, 100, 5), 1.0), "flight")
    for percents in ((5, 25, 100), (2, 20, 100), (10, 50, 100)):
        waves = split_waves((small, big), percents)
        for number in range(max(map(len, waves))):
            assert any(number < len(of_part) and of_part[number] for of_part in waves), (percents, number)


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 99), unique=True, max_size=5).map(lambda cuts: (*sorted(cuts), 100)),
    st.sampled_from([2, 5, 10]),
    st.permutations(range(10)),
    st.integers(1, 9),
)
def test_of_each_city_that_a_group_leaves_waves_take_whole_steps(
    waves: tuple[int, ...], step: int, tenths: list[int], of_east: int
) -> None:
    # A CTI that changes shares in steps of 5 % is never asked for 3 %, although east and west together lose 5.
    site_of = {bucket: "east" if tenths.index(bucket % 10) < of_east else "west" for bucket in range(100)}
    move = {bucket: Slot(site, "north") for bucket, site in site_of.items()}
    (found,) = split_waves([Part(move, dict.fromkeys(range(100), 1.0), step=step)], waves)
    for wave in found:
        assert all(count % step == 0 for count in Counter(site_of[bucket] for bucket in wave).values())
    assert Counter(bucket for wave in found for bucket in wave) == Counter(list(move))
