"""The observer: probes every city's softswitches and CTIs and the other engines, and publishes edges.

One task per component, each at the pace its Site asks for, so that a slow answer delays nobody else's probe.
"""

import asyncio
import logging
from dataclasses import dataclass
from zlib import crc32

from tandem.api.common import duration_seconds
from tandem.api.site import Detection
from tandem.domain import keys
from tandem.domain.records import ObservationRecord
from tandem.domain.snapshot import Snapshot
from tandem.domain.streaks import Row, Rule, Streak, disqualified, follow
from tandem.domain.words import CTI, ENGINE, SOFTSWITCH
from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, Prober, ProbeResult
from tandem.engine.publisher import Publisher

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Target:
    """One component of one city. `address` is what agents, carriers and other engines use."""

    site: str
    system: str
    component: str
    address: str
    interval: float
    timeout: float
    rule: Rule

    @property
    def key(self) -> tuple[str, str, str]:
        return self.site, self.system, self.component


def targets_of(snapshot: Snapshot, me: str) -> dict[tuple[str, str, str], Target]:
    """What this location probes: everything of every site except its own engine, which is itself."""
    found: list[Target] = []
    for name, published in snapshot.sites.items():
        spec = published.spec
        if spec is None:
            continue
        pace = _pace(spec.detection)
        if name != me:
            found.append(Target(name, "", ENGINE, f"{spec.engine_url.rstrip('/')}/healthz", *pace))
        for system in spec.systems:
            found.append(Target(name, system.name, SOFTSWITCH, system.softswitch.sip, *pace))
            found.append(Target(name, system.name, CTI, f"{system.cti.url.rstrip('/')}/healthz", *pace))
    return {target.key: target for target in found}


class Observer:
    def __init__(self, me: str, picture: Picture, publisher: Publisher, prober: Prober, clock: Clock) -> None:
        self._me = me
        self._picture = picture
        self._publisher = publisher
        self._prober = prober
        self._clock = clock
        self._rows: dict[tuple[str, str, str], Row] = {}
        self._tasks: dict[Target, asyncio.Task[None]] = {}
        self._disqualified = False
        self.void_probes = 0

    async def run(self) -> None:
        """Keep one probing task per component. Never returns; ends when one of them fails, which is a bug."""
        sites = self._picture.subscribe(keys.SPECS)
        try:
            while True:
                await sites.wait(1.0)
                self._follow_targets()
                for task in self._tasks.values():
                    if task.done():
                        task.result()
        finally:
            self._picture.unsubscribe(sites)
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    def _follow_targets(self) -> None:
        wanted = targets_of(self._picture.snapshot, self._me)
        for target in [target for target in self._tasks if wanted.get(target.key) != target]:
            self._tasks.pop(target).cancel()
            if target.key not in wanted:
                self._rows.pop(target.key, None)
                self._publisher.unsay(keys.observation(self._me, *target.key))
        for target in wanted.values():
            if target not in self._tasks:
                name = f"probe-{target.site}-{target.system}-{target.component}"
                self._tasks[target] = asyncio.create_task(self._probe_for_ever(target), name=name)

    async def _probe_for_ever(self, target: Target) -> None:
        # Spread over the interval, always alike: probes of one moment would wait for each other.
        await self._clock.sleep(target.interval * (crc32(repr(target.key).encode()) % 97) / 97)
        due = self._clock.monotonic()
        while True:
            self._take(target, await self._probe(target))
            due = max(due + target.interval, self._clock.monotonic())
            await self._clock.sleep(due - self._clock.monotonic())

    async def _probe(self, target: Target) -> ProbeResult:
        if target.component == SOFTSWITCH:
            return await self._prober.sip_options(target.address, target.timeout)
        return await self._prober.http_health(target.address, target.timeout)

    def _take(self, target: Target, result: ProbeResult) -> None:
        self.void_probes += result.void
        before = self._rows.get(target.key)
        now, mono = self._clock.now(), self._clock.monotonic()
        row = follow(before, target.rule, result.ok, result.void, now, mono, result.detail)
        if row is None:
            if before is not None:
                log.info("accusation of %s withdrawn: nothing was measured for a while", "/".join(target.key))
                del self._rows[target.key]
                self._publisher.unsay(keys.observation(self._me, *target.key))
            return
        self._rows[target.key] = row
        streak = row.streak
        if before is not None and streak == before.streak:
            return
        log.info(
            "%s %s of %s %s%s",
            target.system or "the",
            target.component,
            target.site,
            "passes" if streak.passes else "fails: ",
            streak.detail,
        )
        if target.component == ENGINE and self._judge_ourselves():
            return
        self._publish(target.key, streak)

    def _judge_ourselves(self) -> bool:
        """Withdraw or restore what we say of other locations. True when that was all there was to publish."""
        others = {site for site, _, component in self._tasks_keys() if component == ENGINE}
        now = disqualified({site: self._streak_of(site) for site in others}, self._disqualified)
        if now == self._disqualified:
            return False
        self._disqualified = now
        if now:
            log.warning("this location reaches no other engine: its words about other sites are withdrawn")
        else:
            log.info("this location reaches another engine again: its words count again")
        for key, row in self._rows.items():
            self._publish(key, row.streak)
        return True

    def _streak_of(self, engine: str) -> Streak | None:
        row = self._rows.get((engine, "", ENGINE))
        return row.streak if row is not None else None

    def _tasks_keys(self) -> list[tuple[str, str, str]]:
        return [target.key for target in self._tasks]

    def _publish(self, about: tuple[str, str, str], streak: Streak) -> None:
        key = keys.observation(self._me, *about)
        if self._disqualified and about[0] != self._me:
            self._publisher.unsay(key)
            return
        own = self._picture.snapshot.site(self._me)
        record = ObservationRecord(
            state="Pass" if streak.passes else "Fail",
            since=streak.since,
            detail=streak.detail,
            firm=streak.firm,
            failure_domain=own.failure_domain if own else "",
        )
        self._publisher.say(key, record)


def _pace(detection: Detection) -> tuple[float, float, Rule]:
    interval, timeout = duration_seconds(detection.interval), duration_seconds(detection.timeout)
    return interval, timeout, Rule.of(interval, timeout, duration_seconds(detection.confirm_after))
