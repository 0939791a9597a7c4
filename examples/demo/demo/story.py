"""The demo's story: moves under load, then idle, one after the other, told as they happen."""

import time
from collections.abc import Callable
from typing import Final

from demo.callcentre import CallCentre
from demo.orders import Order
from demo.report import Move, StoryLine

BUSY_SHARE: Final = 0.35
"""Share of the agents who are in a call, on average, while calls flow."""

MEAN_TALK_S: Final = 7.5
"""Mean of the carrier's talk times, 4 to 11 s."""

IN_PROGRESS_SHARE: Final = 0.26
"""A move under load begins when this share of its agents is in a call: 104 of the skill group's 400."""


class Storyteller:
    """Prints lines with the seconds since the start, and keeps them for the report."""

    def __init__(self, out: Callable[[str], None] = print) -> None:
        self.started_at = time.time()
        self.lines: list[StoryLine] = []
        self._out = out

    def __call__(self, text: str) -> None:
        now = time.time()
        self.lines.append(StoryLine(now, text))
        self._out(f"[{now - self.started_at:6.1f} s] {text}")


async def tell(centre: CallCentre, orders: list[Order], say: Callable[[str], None]) -> list[Move]:
    """Make the moves in their order; those under load first have enough calls in progress, the others none."""
    moves: list[Move] = []
    total = sum(group.agents for group in centre.quickstart.groups)
    rate = total * BUSY_SHARE / MEAN_TALK_S
    flowing = False
    for number, order in enumerate(orders, 1):
        say(f"--- move {number} of {len(orders)}: {order.name}, {order.agents} agents")
        if order.with_calls:
            if not flowing:
                say(f"calls flow: {rate:.0f} a second to every number, 4 to 11 s of talk, 2 s of wrap-up")
                await centre.load(rate)
                flowing = True
            await centre.calls_reach(int(order.agents * IN_PROGRESS_SHARE), order.groups)
        elif flowing:
            say("calls pause: waiting until everybody is idle")
            await centre.quiet()
            flowing = False
        moves.append(await centre.move(order))
    if flowing:
        await centre.load(0)
    return moves
