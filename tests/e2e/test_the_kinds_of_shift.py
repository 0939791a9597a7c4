"""What a Shift can be told besides "these groups, there, gently": shares, an evacuation, no waiting, and to go back."""

from typing import Any, Final

import pytest

from demo.callcentre import CallCentre
from demo.orders import Order
from demo.quickstart import Group
from demo.waiting import until
from tandem.api.shift import FINISHED
from tandem.domain.placement import BucketMap
from tests.e2e.alarm_fixtures import ON_BREAK, alarm, set_off
from tests.e2e.callcenter_fixtures import manifest_of, shift, shift_as

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

TALK_S: Final = 40.0
MAX_TALK_S: Final = 3.0


async def status_of(centre: CallCentre, order: Order) -> dict[str, Any]:
    found: dict[str, Any] = (await centre.clusters["east"].get("shift", order.name)).get("status", {})
    return found


async def ended(centre: CallCentre, order: Order, *, timeout: float) -> dict[str, Any]:
    """The Shift's status once it is over, however it ended."""
    status: dict[str, Any] = {}

    async def over() -> tuple[bool, str]:
        nonlocal status
        status = await status_of(centre, order)
        return status.get("phase") in FINISHED, f"{status.get('phase')}: {status.get('message')}"

    await until(f"{order.name} is over", over, timeout=timeout)
    return status


async def long_calls(centre: CallCentre, group: Group) -> set[str]:
    """Calls of `TALK_S` in progress on agents of this group; no others come."""
    await centre.carrier.load(4, centre.quickstart.numbers_of((group,)), talk=(TALK_S, TALK_S))
    await centre.calls_reach(3, (group,))
    await centre.load(0)
    return {call.id for call in centre.carrier.calls.values() if call.answered_at and not call.ended_at}


async def still_talking(centre: CallCentre, calls: set[str]) -> set[str]:
    """Accounts of the agents who are in one of these calls."""
    await centre.carrier.look()
    going_on = [centre.carrier.calls[call] for call in calls if centre.carrier.calls[call].ended_at is None]
    return {centre.people.account_of[call.agent] for call in going_on}


async def none_was_cut(centre: CallCentre, calls: set[str]) -> None:
    """All of these calls come to the end that their callers meant them to have."""

    async def all_over() -> tuple[bool, str]:
        left = await still_talking(centre, calls)
        return not left, f"{sorted(left)} still talk"

    await until("their calls have ended", all_over, timeout=TALK_S + 10)
    assert {centre.carrier.calls[call].fate for call in calls} == {"answered"}


async def test_shares_leave_each_site_its_part_of_a_group(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-north-sales")
    accounts = centre.accounts([group])
    shares = [{"site": "east", "percent": 60}, {"site": "west", "percent": 40}]
    selector = {"names": ["hotel-north-sales"]}
    order = shift_as((group,), "west", selector=selector, placement=shares)

    await centre.begin(order)
    status = await ended(centre, order, timeout=40)

    assert status["phase"] == "Completed", status
    placed = BucketMap.parse(dict(centre.commits.newest[group.name].map))
    assert dict(placed.end_shares) == {"east": 60, "west": 40}
    assert not placed.in_transit
    centre.observed.look()
    there, here = (centre.observed.at(site, accounts) for site in ("west", "east"))
    assert there == status["progress"]["moved"] > 0
    assert here == len(accounts) - there > 0


async def test_an_evacuation_empties_a_site_the_important_first_and_cuts_no_call(centre: CallCentre) -> None:
    groups = centre.quickstart.choose("east")
    await centre.load(4, groups)
    await centre.calls_reach(10, groups)
    # Of its waves the first is filled from the top: the groups of priority 200 are in it before all others.
    order = shift_as(groups, "west", evacuate="east", waves=[30, 100])

    begun = await centre.begin(order)
    await centre.finish(begun, timeout=90)
    await centre.load(0)

    status = await ended(centre, order, timeout=10)
    assert status["phase"] == "Completed", status
    assert set(status["groups"]) == {group.name for group in groups}
    left = [site["newCallsPerSecond"] for site in status["planned"]["sites"] if site["site"] == "east"]
    assert left
    assert all(float(rate["before"]) >= 0 and rate["after"] == "0.0" and rate["most"] == 200 for rate in left), left
    assert all("east" not in commit.sites | commit.leaving_to for commit in centre.commits.newest.values())
    first = [
        commit
        for commit in centre.commits.commits
        if commit.cause == f"Shift/{order.name}" and "west" in commit.leaving_to
    ]
    important = {group.name for group in groups if manifest_of(centre, group)["spec"].get("priority") == 200}
    assert important
    wave = {commit.group for commit in first if commit.revision == first[0].revision}
    assert important <= wave, f"the first wave had {sorted(wave)}"
    move = await centre.measured(begun)
    assert move.complete
    assert move.measures.calls_cut == 0


async def test_forced_waits_for_no_call_and_the_calls_go_on(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-north-sales")
    calls = await long_calls(centre, group)
    order = shift(centre, (group,), to="west", mode="Forced")

    begun = await centre.begin(order)
    await centre.finish(begun, timeout=15)

    talking = await still_talking(centre, calls)
    assert len(talking) >= 3, "the calls were to outlast the move"
    assert centre.observed.at("west", frozenset(talking)) == len(talking)
    status = await ended(centre, order, timeout=10)
    assert status["phase"] == "Completed", status
    assert not status.get("accountsStaying")
    await none_was_cut(centre, calls)
    assert (await centre.measured(begun)).complete


async def test_force_at_the_deadline_moves_who_still_talks_and_the_calls_go_on(centre: CallCentre) -> None:
    group = centre.quickstart.group("callcenter/hotel-north-sales")
    calls = await long_calls(centre, group)
    talking = frozenset(await still_talking(centre, calls))
    drain = {"maxTalk": f"{MAX_TALK_S:g}s", "maxWrapUp": "1s", "onDeadline": "Force"}
    order = shift(centre, (group,), to="west", drain=drain)

    begun = await centre.begin(order)
    await centre.finish(begun, timeout=25)

    still = await still_talking(centre, calls)
    assert len(still) >= 3, "the calls were to outlast the deadline"
    assert still <= talking
    status = await ended(centre, order, timeout=10)
    assert status["phase"] == "Completed", status
    assert not status.get("accountsStaying")
    await none_was_cut(centre, calls)
    move = await centre.measured(begun)
    assert move.complete
    waited = {one.account: one.released_at - move.committed_at for one in move.measures.switches}
    # A look at the clock each tenth of a second; the commit is known by the wall clock.
    assert all(MAX_TALK_S - 0.1 <= waited[account] <= MAX_TALK_S + 2.0 for account in still), waited
    assert min(waited.values()) < 1.0, waited


async def test_a_gate_that_stays_closed_brings_everybody_back(centre: CallCentre, prometheus: str) -> None:
    groups = centre.quickstart.choose("east", system="hotel")
    accounts = centre.accounts(groups)
    on_break = sorted(centre.accounts(centre.quickstart.choose("west")))[:ON_BREAK]
    gates = {
        "observe": "6s",
        "patience": "10s",
        "afterPatience": "Abort",
        "alarms": {"prometheus": {"url": prometheus}, "quiet": [alarm("too-many-on-break")]},
    }
    order = shift(centre, groups, to="west", waves=[20, 100], gates=gates)
    await centre.load(3, groups)
    await centre.calls_reach(5, groups)
    before = {group.name: centre.commits.newest[group.name].map for group in groups}
    calls = {call.id for call in centre.carrier.calls.values() if call.answered_at and not call.ended_at}

    async def first_wave() -> tuple[bool, str]:
        status = await status_of(centre, order)
        return status.get("progress", {}).get("wave", 0) == 1, f"{status.get('phase')}: {status.get('message')}"

    try:
        begun = await centre.begin(order)
        await until("the first wave has begun", first_wave, timeout=30)
        await set_off(centre, on_break, prometheus)
        status = await ended(centre, order, timeout=90)
    finally:
        await centre.floors.press("available", on_break)
        await centre.load(0)

    assert status["phase"] == "RolledBack", status
    assert "too-many-on-break" in status["message"], status
    assert status["progress"]["wave"] == 1, "the second wave was not to leave"
    assert status["progress"]["back"] > 0, status
    await centre.everybody_at("east", groups, timeout=15)
    assert {group.name: centre.commits.newest[group.name].map for group in groups} == before
    await none_was_cut(centre, calls)
    fates = {call.fate for call in centre.carrier.calls.values() if (call.answered_at or 0.0) >= begun.applied_at}
    assert "cut" not in fates
    assert centre.observed.at("east", accounts) == len(accounts)
