"""This city's softswitch of one system: numbers, placements, and pushing everything again after a restart.

A softswitch keeps all of this in its process's memory. Its uptime tells of a restart: it must grow as our clock does.
"""

import logging

from tandem.constants import REPAIR_INTERVAL_S, SOFTSWITCH_INTERVAL_S
from tandem.domain import keys
from tandem.domain.call_rate import CallRate
from tandem.domain.probe_agents import probe_agent
from tandem.domain.snapshot import Placed, Snapshot
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, Clock, SoftswitchAdapter, SoftswitchState
from tandem.engine.report import Reporter

log = logging.getLogger(__name__)

_UPTIME_SLACK_S = 2.5  # uptimes are whole seconds, and an answer takes its time
_PUSH_PAUSE_S = 0.1  # a softswitch uses shares, not single buckets: a burst of revisions is one push


def numbers_of(snapshot: Snapshot, site: str, system: str) -> dict[str, str]:
    """Called number -> group (`namespace/name`), from all Trunks of the system; and the test agents' numbers.

    With these they are pushed and forgotten: a test call finds its number where a customer's call would find one.
    """
    found: dict[str, str] = {}
    spec = snapshot.site(site)
    here = spec.system(system) if spec is not None else None
    if here is not None and here.deep_probes == "SignInAndCall":
        agents = [probe_agent(system, location) for location in snapshot.sites]
        found = {agent.number: agent.group for agent in agents}
    for name, trunk in sorted(snapshot.trunks.items()):
        if trunk.spec is None or trunk.spec.system != system:
            continue
        namespace = name.partition("/")[0]
        for number in trunk.spec.numbers:
            found.setdefault(number.number, f"{namespace}/{number.group}")
    return found


class SoftswitchLink:
    def __init__(
        self, site: str, system: str, adapter: SoftswitchAdapter, picture: Picture, reporter: Reporter, clock: Clock
    ) -> None:
        self._site = site
        self._system = system
        self._adapter = adapter
        self._picture = picture
        self._reporter = reporter
        self._clock = clock
        self._held: dict[str, int] = {}
        self._numbers: dict[str, str] | None = None
        self._state: SoftswitchState | None = None
        self._state_at = 0.0
        self._rate = CallRate()
        self._checked_at = 0.0
        self._failing = False
        self._found: tuple[Snapshot, dict[str, str], dict[str, Placed]] | None = None

    async def run(self) -> None:
        """Look each second, push when something changed, until cancelled."""
        signal = self._picture.subscribe(keys.PLACEMENTS, keys.SPECS)
        look_at = 0.0
        try:
            while True:
                await signal.wait(max(look_at - self._clock.monotonic(), 0.0))
                try:
                    if self._clock.monotonic() >= look_at:
                        look_at = self._clock.monotonic() + SOFTSWITCH_INTERVAL_S
                        await self._look()
                    if not self._failing and await self._push():
                        await self._clock.sleep(_PUSH_PAUSE_S)
                    self._report()
                except AdapterError as error:
                    if not self._failing:
                        log.warning("the softswitch of %s does not answer: %s", self._system, error)
                        # What it counted before is no rate of now.
                        self._rate = CallRate()
                        self._report()
                    self._failing = True
        finally:
            self._picture.unsubscribe(signal)

    async def _look(self) -> None:
        state = await self._adapter.state()
        now = self._clock.monotonic()
        if self._state is not None and state.uptime + _UPTIME_SLACK_S < self._state.uptime + now - self._state_at:
            log.info("the softswitch of %s has restarted: everything is pushed again", self._system)
            self._forget()
        if self._failing:
            # It may have restarted unseen; what it really holds decides.
            log.info("the softswitch of %s answers again", self._system)
            self._failing = False
            self._forget()
        self._state, self._state_at = state, now
        self._rate.counted(now, state.placed)
        if now - self._checked_at >= REPAIR_INTERVAL_S:
            self._checked_at = now
            self._held = dict(await self._adapter.held())
            # Numbers have no revision: a push of an older engine's may have been late on its way.
            self._numbers = None

    def _forget(self) -> None:
        self._held = {}
        self._numbers = None
        self._rate = CallRate()

    async def _push(self) -> bool:
        """Push what may differ, and read back what has a revision. True when something was pushed."""
        numbers, placements = self._wanted()
        due = {
            name: (placed.revision, placed.record)
            for name, placed in placements.items()
            if placed.revision > self._held.get(name, 0)
        }
        if not due and numbers == self._numbers:
            return False
        await self._adapter.push(self._site, numbers, due)
        self._numbers = numbers
        if due:
            self._held = dict(await self._adapter.held())
        return True

    def _report(self) -> None:
        if self._state is None:
            return
        _, placements = self._wanted()
        held = {name: self._held.get(name, 0) for name in placements}
        behind = [held[name] for name, placed in placements.items() if held[name] < placed.revision]
        revision = min(behind, default=max(held.values(), default=0))
        self._reporter.softswitch(self._state, revision, self._rate.a_second)

    def _wanted(self) -> tuple[dict[str, str], dict[str, Placed]]:
        """This system's numbers and placements; looked for once in each snapshot: there may be a thousand of each."""
        snapshot = self._picture.snapshot
        if self._found is None or self._found[0] is not snapshot:
            placements = {
                name: placed for name, placed in snapshot.placements.items() if placed.record.system == self._system
            }
            self._found = (snapshot, numbers_of(snapshot, self._site, self._system), placements)
        return self._found[1:]
