import pytest

from callcenter.carrier.fate import Fate, Outcome, end_of_answered, tries_next_route
from callcenter.sip.call import CallEnd, EndKind

AGENT = "tandem-agents"


@pytest.mark.parametrize(
    ("end", "outcome"),
    [
        pytest.param(CallEnd(EndKind.LOCAL_BYE, 200), Outcome(Fate.ANSWERED, "carrier", 200), id="the-caller-hung-up"),
        pytest.param(
            CallEnd(EndKind.REMOTE_BYE, 200, None, AGENT), Outcome(Fate.ANSWERED, "agent", 200), id="the-agent-hung-up"
        ),
        pytest.param(
            CallEnd(EndKind.REMOTE_BYE, 200, "Q.850;cause=16", AGENT),
            Outcome(Fate.ANSWERED, "agent", 200),
            id="the-agent-hung-up-and-said-so",
        ),
        pytest.param(
            CallEnd(EndKind.REMOTE_BYE, 200, 'SIP;cause=481;text="call lost"', AGENT),
            Outcome(Fate.CUT, "softswitch-east", 481),
            id="the-phone-found-the-call-lost",
        ),
        pytest.param(
            CallEnd(EndKind.REMOTE_BYE, 200, None, "kamailio (5.6.3 (x86_64/linux))"),
            Outcome(Fate.CUT, "softswitch-east", 200),
            id="a-bye-that-no-phone-sent",
        ),
        pytest.param(CallEnd(EndKind.FAILED, 481), Outcome(Fate.CUT, "softswitch-east", 481), id="dialog-unknown"),
        pytest.param(CallEnd(EndKind.FAILED, 408), Outcome(Fate.CUT, "softswitch-east", 408), id="nobody-answers"),
    ],
)
def test_the_fate_of_an_answered_call(end: CallEnd, outcome: Outcome) -> None:
    assert end_of_answered(end, "east") == outcome


@pytest.mark.parametrize(
    ("code", "next_route"),
    [(408, True), (500, True), (503, True), (486, False), (404, False), (487, False), (603, False)],
)
def test_only_failures_of_the_way_try_the_next_route(code: int, next_route: bool) -> None:
    assert tries_next_route(code) is next_route
