"""A floor loses one city, which is fine for everybody else: its agents work as guests at the other one, and come home.

The whole of it is played here, the mending too, because what is promised goes on after that.
"""

import json
import time
from typing import Final

from demo.callcentre import CallCentre
from demo.errors import DemoError, NotInTimeError
from demo.waiting import until
from tandem.domain import keys
from tests.matrix.scene import Scene
from tests.matrix.watcher import read_diaries

SYSTEM, HOME, HOST, FLOOR = "hotel", "east", "west", "floor-b"
"""Each floor carries the agents of one system; those of this one whose home is HOME lose it."""

GUESTS_WITHIN_S: Final = 5.0
HOME_WITHIN_S: Final = 90.0
ANSWERING: Final = 0.5
"""Share of the strays who must answer a real call as guests."""


class GuestsError(DemoError):
    """Something of the promise did not hold."""


async def floor_cut_off(scene: Scene) -> None:
    """Raises GuestsError (or NotInTimeError) naming what did not hold."""
    centre = scene.centre
    hotel = centre.accounts(group for group in centre.quickstart.groups if group.system == SYSTEM)
    centre.observed.look()
    strays = frozenset(account for account in hotel if centre.observed.site_of.get(account) == HOME)
    others = centre.accounts(centre.quickstart.groups) - strays
    began_at = time.time()
    await scene.cut((FLOOR, HOME))

    took = await _all_at(centre, strays, HOST, since=began_at, within=GUESTS_WITHIN_S)
    centre.say(f"{len(strays)} agents of {FLOOR} work as guests at {HOST} after {took:.2f} s")
    await _are_counted(centre, len(strays))
    guests_at = time.time()
    await _answer(centre, strays, since=guests_at)

    mended_at = time.time()
    await centre.lab.faults.mend(FLOOR, HOME)
    took = await _all_at(centre, strays, HOME, since=mended_at, within=HOME_WITHIN_S)
    centre.say(f"the last of them is home {took:.2f} s after the mending")
    await _are_counted(centre, 0)

    diary = [line for line in read_diaries(centre.floors.timelines) if line["at"] >= began_at]
    noticed = {line["account"] for line in diary if line["event"] in ("lost", "released", "out", "signed-in", "guest")}
    if disturbed := noticed & others:
        raise GuestsError(f"{len(disturbed)} agents who had lost nothing noticed: {', '.join(sorted(disturbed)[:3])}")
    unnamed = strays - {line["account"] for line in diary if line["event"] == "guest"}
    if unnamed:
        raise GuestsError(f"{len(unnamed)} strays were no guests: {', '.join(sorted(unnamed)[:3])}")
    await centre.carrier.look()
    cut = [c for c in centre.carrier.calls.values() if c.placed_at >= guests_at and c.fate == "cut"]
    if cut:
        raise GuestsError(f"{len(cut)} calls placed after the floor had its guests were cut: {cut[0]}")


async def _all_at(centre: CallCentre, who: frozenset[str], site: str, *, since: float, within: float) -> float:
    """Seconds from `since` until all of these are signed in there."""
    took = (await arrivals(centre, who, site, since=since, within=within))[-1]
    if took > within:
        raise NotInTimeError(f"the last stray was at {site} after {took:.2f} s")
    return took


async def arrivals(
    centre: CallCentre, who: frozenset[str], site: str, *, since: float, within: float
) -> tuple[float, ...]:
    """Each one's last sign-in there, seconds from `since`, in order. Raises NotInTimeError where somebody is not."""

    async def there() -> tuple[bool, str]:
        centre.observed.look()
        count = centre.observed.at(site, who)
        return count == len(who), f"{count} of {len(who)} signed in at {site}"

    await until(f"strays at {site}", there, timeout=max(within - (time.time() - since), 0.1), every=0.05)
    last = {
        event.account: event.at - since
        for event in centre.observed.events
        if event.account in who and event.event == "signed-in" and event.site == site and event.at >= since
    }
    return tuple(sorted(last.values()))


async def _are_counted(centre: CallCentre, wanted: int) -> None:
    """What the host city's engine reports of its guests, as the store has it."""

    async def counted() -> tuple[bool, str]:
        entry = await centre.store.get(keys.report(HOST, SYSTEM))
        groups = json.loads(entry.value)["groups"] if entry is not None else {}
        count = sum(int(group.get("guests", 0)) for group in groups.values())
        return count == wanted, f"{HOST} reports {count} guests, not {wanted}"

    await until(f"{wanted} guests reported", counted, timeout=10.0)


async def _answer(centre: CallCentre, who: frozenset[str], *, since: float) -> None:
    """Half of these answer a real call, placed after they became guests."""

    async def answered() -> tuple[bool, str]:
        await centre.carrier.look()
        calls = centre.carrier.calls.values()
        by = {centre.people.account_of.get(c.agent) for c in calls if c.answered_at and c.placed_at >= since} & who
        return len(by) >= ANSWERING * len(who), f"{len(by)} of {len(who)} guests have answered a call"

    await until("guests answer calls", answered, timeout=60.0)
