"""Who gets which call, and which calls go to the other city."""

import pytest

from callcenter.cti.distribution import Decision, HandBack, PeerGroup, Ring, ToPeer, WaitingCall, distribute


def calls(*hops: int) -> list[WaitingCall]:
    """Waiting calls c0, c1 ... oldest first, with these hop counts."""
    return [WaitingCall(f"c{n}", "callcenter/x", hop, float(n)) for n, hop in enumerate(hops)]


@pytest.mark.parametrize(
    ("waiting", "idle", "staff", "peer", "decisions"),
    [
        pytest.param(calls(), ["a"], 1, PeerGroup(9, 9), [], id="nobody-waits"),
        pytest.param(
            calls(0, 0), ["a", "b", "c"], 3, None, [Ring("c0", "a"), Ring("c1", "b")], id="oldest-call-to-longest-idle"
        ),
        pytest.param(calls(1), ["a"], 1, PeerGroup(9, 9), [Ring("c0", "a")], id="from-the-peer-rings-like-any-other"),
        pytest.param(calls(0), [], 2, None, [], id="all-busy-and-no-peer"),
        pytest.param(calls(0), [], 2, PeerGroup(0, 5), [], id="all-busy-in-both-cities"),
        pytest.param(
            calls(0, 0, 0), [], 2, PeerGroup(2, 5), [ToPeer("c0"), ToPeer("c1")], id="no-more-than-the-peer-has-idle"
        ),
        pytest.param(calls(0, 0, 0), ["a"], 2, PeerGroup(1, 5), [Ring("c0", "a"), ToPeer("c1")], id="own-agents-first"),
        pytest.param(
            calls(0, 0), [], 0, PeerGroup(0, 5), [ToPeer("c0"), ToPeer("c1")], id="nobody-here-so-they-wait-there"
        ),
        pytest.param(calls(0), [], 0, PeerGroup(0, 0), [], id="nobody-anywhere"),
        pytest.param(calls(1), [], 2, PeerGroup(5, 5), [], id="never-sent-back"),
        pytest.param(calls(1), [], 0, PeerGroup(0, 5), [HandBack("c0")], id="handed-back-when-nobody-is-left"),
        pytest.param(calls(1), [], 0, PeerGroup(0, 0), [], id="not-handed-back-to-nobody"),
        pytest.param(
            calls(1, 0), [], 2, PeerGroup(1, 5), [ToPeer("c1")], id="a-call-that-must-stay-holds-up-no-younger-one"
        ),
    ],
)
def test_decisions(
    waiting: list[WaitingCall], idle: list[str], staff: int, peer: PeerGroup | None, decisions: list[Decision]
) -> None:
    assert distribute(waiting, idle, staff=staff, peer=peer) == decisions


def test_agents_are_looked_at_only_as_far_as_needed() -> None:
    looked: list[str] = []

    def idle() -> object:
        for agent in ("a", "b", "c"):
            looked.append(agent)
            yield agent

    distribute(calls(0), idle(), staff=3, peer=None)  # type: ignore[arg-type]
    assert looked == ["a", "b"]
    looked.clear()
    distribute([], idle(), staff=3, peer=None)  # type: ignore[arg-type]
    assert looked == []
