"""A Shift asks a real Prometheus before each wave: while an alarm fires nobody more leaves, and it says which.

Between its waves, while it is kept waiting, the carrier's routes are where the agents are.
"""

from typing import Any

import pytest

from demo.callcentre import CallCentre
from demo.waiting import until
from lab.addresses import CITIES
from tests.e2e.alarm_fixtures import ON_BREAK, alarm, set_off
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

NAME = "too-many-on-break"
TRUNK_NUMBER = "8001001"
"""Of the Trunk that follows its agents, 50 at east and 10 at west: a wave of 20 % makes 33 % of 17 % of its calls."""


async def share_of_west(centre: CallCentre) -> float:
    """Percent of new calls that the carrier sends to west first."""
    routes = (await centre.carrier.routes())[TRUNK_NUMBER]["routes"]
    west = sum(route["weight"] for route in routes if route["target"].startswith(f"{CITIES['west'].address}:"))
    return 100.0 * float(west) / float(sum(route["weight"] for route in routes))


async def test_no_wave_begins_while_an_alarm_fires_and_the_shift_says_which(
    centre: CallCentre, prometheus: str
) -> None:
    groups = centre.quickstart.choose("east")
    accounts = centre.accounts(groups)
    others = sorted(centre.accounts(centre.quickstart.choose("west")))[:ON_BREAK]
    gates = {"observe": "8s", "alarms": {"prometheus": {"url": prometheus}, "quiet": [alarm(NAME)]}}
    order = shift(centre, groups, to="west", waves=[20, 100], gates=gates)
    status: dict[str, Any] = {}

    async def kept_waiting() -> tuple[bool, str]:
        nonlocal status
        status = (await centre.clusters["east"].get("shift", order.name)).get("status", {})
        return NAME in status.get("message", "") and "fires" in status["message"], str(status.get("message"))

    async def wave(number: int) -> tuple[bool, str]:
        nonlocal status
        status = (await centre.clusters["east"].get("shift", order.name)).get("status", {})
        return status.get("progress", {}).get("wave", 0) >= number, f"{status.get('phase')}: {status.get('message')}"

    async def routed(least: float, most: float) -> tuple[bool, str]:
        share = await share_of_west(centre)
        return least <= share <= most, f"{share:.0f} % of the calls go to west"

    try:
        await until("calls go where the agents are", lambda: routed(10, 22), timeout=15)
        await set_off(centre, others, prometheus)
        begun = await centre.begin(order)
        await until("the alarm keeps the first wave waiting", kept_waiting, timeout=30)
        assert status["progress"].get("moved", 0) == 0, status
        await centre.floors.press("available", others)
        await until("the first wave leaves when the alarm is quiet", lambda: wave(1), timeout=30)
        await set_off(centre, others, prometheus)
        await until("the alarm keeps the second wave waiting", kept_waiting, timeout=30)
        assert status["progress"]["wave"] == 1, status
        centre.observed.look()
        assert 0 < centre.observed.at("west", accounts) < len(accounts) / 2
        await until("a part of the calls follows the first wave", lambda: routed(26, 45), timeout=15)
        await centre.floors.press("available", others)
        await centre.finish(begun, timeout=60)
        move = await centre.measured(begun)
        assert move.complete
        assert move.measures.calls_cut == 0
        await until("all calls have followed", lambda: routed(100, 100), timeout=15)
    finally:
        await centre.floors.press("available", others)
