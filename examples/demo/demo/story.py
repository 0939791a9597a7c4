"""The demo's story: moves of idle agents, then under load, one after the other, told as they happen."""

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from typing import Final

from demo.callcentre import CallCentre
from demo.disaster import Rescue
from demo.orders import Order, home_again
from demo.quickstart import Group
from demo.rehearsal import Rehearsal, rehearse
from demo.report import Move, StoryLine

MEAN_TALK_S: Final = 5.4
"""Mean of a call: the carrier's talk times are 3 to 8 s, and some agents end theirs earlier."""

IN_PROGRESS_SHARE: Final = 0.105
"""A move under load begins when this many calls are in progress on the agents who move, as a share of all agents
whose home is east: 105 of 1,000."""

MOST_IN_PROGRESS: Final = 200
"""However many agents there are: the trunks bear 100 calls a second each, of which these take 44."""

ABUNDANCE: Final = 1.2
"""Calls come at this many times the rate that keeps so many in progress on average: chance must not keep us waiting."""


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
    called: tuple[Group, ...] = ()
    wanted = calls_wanted(centre)
    for number, order in enumerate(orders, 1):
        say(f"--- move {number} of {len(orders)}: {order.name}, {order.agents} agents")
        if order.with_calls:
            groups = (*order.groups, *centre.staying(order))
            if groups != called:
                rate = rate_of(wanted, order.groups, groups)
                say(f"calls flow: {rate:.0f} a second to {len(groups)} groups, those that move and those that stay")
                await centre.load(rate, groups)
                called = groups
            await centre.calls_reach(wanted, order.groups)
        elif called:
            say("calls pause: waiting until everybody is idle")
            await centre.quiet()
            called = ()
        moves.append(await centre.move(order))
    if called:
        await centre.load(0)
    return moves


async def drill(centre: CallCentre, say: Callable[[str], None]) -> Rehearsal:
    """Everybody of east rehearses the move, under calls: out, a moment of work there, and back to the exact map."""
    everyone, groups, wanted = centre.quickstart.choose("east"), centre.quickstart.groups, calls_wanted(centre)
    say(f"--- the drill: {centre.quickstart.agents_by_home['east']} agents go to west, work there, and come back")
    await centre.load(rate_of(wanted, everyone, groups), groups)
    await centre.calls_reach(wanted, everyone)
    found = await rehearse(centre, say)
    await centre.load(0)
    return found


async def disaster(centre: CallCentre, say: Callable[[str], None]) -> Rescue:
    """East loses its power with everyone signed in there and calls flowing."""
    everyone, groups, wanted = centre.quickstart.choose("east"), centre.quickstart.groups, calls_wanted(centre)
    say(f"--- the disaster: {centre.quickstart.agents_by_home['east']} agents work at east")
    await centre.load(rate_of(wanted, everyone, groups), groups)
    await centre.calls_reach(wanted, everyone)
    found = await centre.lose("east")
    await centre.load(0)
    return found


async def way_home(centre: CallCentre, say: Callable[[str], None]) -> Move:
    """East has its power back, and its agents come home by a Shift that a person approves."""
    order = home_again(centre.quickstart)
    say(f"--- the way home: {order.name}, {order.agents} agents; it is planned when east can take them")
    restoring = asyncio.create_task(centre.restore("east"))
    begun = await centre.begin(order)
    await centre.planned(order, timeout=60)
    say(f"$ kubectl tandem approve {order.shift} -n callcenter")
    await centre.tandem("approve", order.shift, "-n", "callcenter")
    await restoring
    await centre.finish(begun, timeout=90)
    return await centre.measured(begun)


def calls_wanted(centre: CallCentre) -> int:
    """Calls that are to be in progress before anything happens."""
    return min(math.ceil(centre.quickstart.agents_by_home["east"] * IN_PROGRESS_SHARE), MOST_IN_PROGRESS)


def rate_of(wanted: int, moving: Sequence[Group], groups: Sequence[Group]) -> float:
    """Calls a second, evenly over the groups' numbers, that keep `wanted` in progress on those who move."""
    return ABUNDANCE * wanted / MEAN_TALK_S * len(groups) / len(moving)
