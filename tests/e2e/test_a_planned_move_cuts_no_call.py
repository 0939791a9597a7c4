"""Agents in a call move after it; nobody's call is cut, and who stays in the other city notices nothing."""

import pytest

from demo.callcentre import CallCentre
from demo.report import move_json
from tests.e2e.callcenter_fixtures import shift

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]


async def test_a_move_under_load_cuts_no_call_and_control_agents_notice_nothing(centre: CallCentre) -> None:
    everyone = centre.quickstart.choose("east")
    # Control agents take calls too: whoever has nothing to do notices nothing anyway.
    await centre.load(5)
    await centre.calls_reach(20, everyone)

    move = await centre.move(shift(centre, everyone, to="west"))

    assert move.complete, move_json(move)
    assert move.measures.calls_in_progress >= 20
    assert move.measures.calls_cut == 0
    assert move.measures.control_agents == sum(group.agents for group in centre.quickstart.choose("west"))
    assert move.measures.control_noticed == ()
    # An agent in a call arrives after it: somebody took longer than any idle agent would.
    assert max(switch.signed_in_at for switch in move.measures.switches) - move.committed_at > 1
    assert move.measures.switch_seconds is not None
    assert move.measures.switch_seconds.p95 < 0.5
