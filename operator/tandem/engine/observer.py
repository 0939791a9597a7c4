"""The observer: probes every city's softswitches and CTIs and the other engines, and publishes edges.

One task per component, each at the pace its Site asks for, so that a slow answer delays nobody else's probe. Where a
Site asks for it, one more per system for the deep probes: a test agent of this location's own signs in and is called.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Final
from zlib import crc32

from tandem.api.common import duration_seconds
from tandem.api.site import Detection
from tandem.constants import DEEP_ANSWERS, DEEP_BEAT_S, DEEP_PATIENCE, LATE_ANSWER_S
from tandem.domain import keys
from tandem.domain.probe_agents import ProbeAgent, probe_agent
from tandem.domain.records import TargetTestRecord
from tandem.domain.snapshot import Snapshot
from tandem.domain.streaks import Row, Rule, Streak, disqualified, follow, word
from tandem.domain.target_tests import asked_by_place
from tandem.domain.words import CALL, CTI, DEEP, ENGINE, SIGN_IN, SOFTSWITCH
from tandem.engine.picture import Picture
from tandem.engine.ports import Clock, DeepProber, DeepResult, Prober, ProbeResult
from tandem.engine.publisher import Publisher
from tandem.engine.rehearsals import RehearsedWords
from tandem.engine.wakeup import Signal

log = logging.getLogger(__name__)

Key = tuple[str, str, str]
"""Site, system ("" of an engine), component."""

_DEEPER: Final = {CTI: SIGN_IN, SOFTSWITCH: CALL}
"""What cannot work while the component does not even answer."""


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
    def key(self) -> Key:
        return self.site, self.system, self.component

    @property
    def keys(self) -> tuple[Key, ...]:
        return (self.key,)


@dataclass(frozen=True, slots=True)
class DeepTarget:
    """One system of one city, as the test agent of this location works there. `sip` None: it is not called."""

    site: str
    system: str
    cti: str
    sip: str | None
    agent: ProbeAgent
    interval: float
    """Seconds between two probes while the last one failed."""
    timeout: float
    """Seconds of silence that are a failure."""
    rule: Rule

    @property
    def keys(self) -> tuple[Key, ...]:
        components = DEEP if self.sip is not None else (SIGN_IN,)
        return tuple((self.site, self.system, component) for component in components)


def targets_of(snapshot: Snapshot, me: str) -> dict[Key, Target]:
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


def deep_targets_of(snapshot: Snapshot, me: str) -> dict[tuple[str, str], DeepTarget]:
    """Where this location's test agents work: every system of every city whose Site asks for deep probes."""
    found: dict[tuple[str, str], DeepTarget] = {}
    for name, published in snapshot.sites.items():
        for system in published.spec.systems if published.spec else ():
            if published.spec is None or system.deep_probes == "None":
                continue
            detection = published.spec.detection
            interval, timeout, _ = _pace(detection)
            found[name, system.name] = DeepTarget(
                site=name,
                system=system.name,
                cti=system.cti.url,
                sip=system.softswitch.sip if system.deep_probes == "SignInAndCall" else None,
                agent=probe_agent(system.name, me),
                interval=interval,
                timeout=DEEP_PATIENCE * timeout,
                rule=_deep_rule(detection),
            )
    return found


class Observer:
    """See the module's docstring. `deep` None: no deep probes, whatever the Sites ask for."""

    def __init__(
        self,
        me: str,
        picture: Picture,
        publisher: Publisher,
        prober: Prober,
        clock: Clock,
        deep: DeepProber | None = None,
    ) -> None:
        self._me = me
        self._picture = picture
        self._publisher = publisher
        self._prober = prober
        self._clock = clock
        self._deep = deep
        self._rows: dict[Key, Row] = {}
        self._tasks: dict[Target | DeepTarget, asyncio.Task[None]] = {}
        self._followed: Mapping[str, object] = {}
        """The Sites that `_tasks` were made from."""
        self._hurries: dict[tuple[str, str], Signal] = {}
        """Site and system -> its deep probe is due now."""
        self._asked: Mapping[tuple[str, str], tuple[str, ...]] = {}
        """Site and system -> the Shifts that were preparing when we last looked."""
        self._untested: set[Key] = set()
        """What a deep probe could not be made of, so far: said once."""
        self._slow_at: dict[Key, float] = {}
        """When its plain probe was last answered late (monotonic): a deep probe that fails about then says nothing."""
        self._broken_at: dict[Key, float] = {}
        """When its plain probe last failed: a deep probe that began before that and passes is out of date."""
        self._disqualified = False
        self._rehearsed = RehearsedWords(me, picture, publisher, clock)
        self.void_probes = 0

    async def run(self) -> None:
        """Keep one probing task per component. Never returns; ends when one of them fails, which is a bug."""
        sites = self._picture.subscribe(keys.SPECS, keys.SHIFTS)
        try:
            while True:
                await sites.wait(1.0)
                self._follow_targets()
                self._follow_shifts()
                for task in self._tasks.values():
                    if task.done():
                        task.result()
        finally:
            self._picture.unsubscribe(sites)
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()
            self._followed = {}

    def _follow_targets(self) -> None:
        snapshot = self._picture.snapshot
        if snapshot.sites == self._followed:
            return  # nearly always: what is declared changes rarely
        self._followed = snapshot.sites
        # Not sets: tasks begin in the same order every time, for the simulation's sake.
        wanted: dict[Target | DeepTarget, None] = dict.fromkeys(targets_of(snapshot, self._me).values())
        if self._deep is not None:
            wanted.update(dict.fromkeys(deep_targets_of(snapshot, self._me).values()))
        for target in [target for target in self._tasks if target not in wanted]:
            self._tasks.pop(target).cancel()
        spoken_of = {key for target in wanted for key in target.keys}
        for key in [key for key in self._rows if key not in spoken_of]:
            del self._rows[key]
            self._publisher.unsay(keys.observation(self._me, *key))
        for target in [target for target in wanted if target not in self._tasks]:
            probing = self._probe_for_ever(target) if isinstance(target, Target) else self._probe_deeply(target)
            self._tasks[target] = asyncio.create_task(probing, name="probe-" + "-".join(target.keys[0]))

    def _follow_shifts(self) -> None:
        """Shifts that prepare wait for a deep probe of their targets: it is due now, once for each."""
        asked = asked_by_place(self._picture.snapshot)
        for place, shifts in asked.items():
            if set(shifts) - set(self._asked.get(place, ())) and place in self._hurries:
                self._hurries[place].give()
        for place in self._asked.keys() - asked.keys():
            self._publisher.unsay(keys.test(self._me, *place))
        self._asked = asked

    async def _probe_for_ever(self, target: Target) -> None:
        await self._clock.sleep(_phase(target.key, target.interval))
        due = self._clock.monotonic()
        while True:
            self._take(target, await self._probe(target))
            due = max(due + target.interval, self._clock.monotonic())
            await self._clock.sleep(due - self._clock.monotonic())

    async def _probe(self, target: Target) -> ProbeResult:
        if target.component == SOFTSWITCH:
            return await self._prober.sip_options(target.address, target.timeout, partial(self._answered_late, target))
        return await self._prober.http_health(target.address, target.timeout, partial(self._answered_late, target))

    def _answered_late(self, target: Target) -> None:
        """It is slow, not gone, and its sessions live: what accuses it is taken back, and counts anew from here.

        What praises it stands: this answer renews it.
        """
        about = [target.key]
        if target.component in _DEEPER:
            deep = (target.site, target.system, _DEEPER[target.component])
            self._slow_at[deep] = self._clock.monotonic()
            about.append(deep)
        for key in about:
            row = self._rows.get(key)
            if row is not None and not row.streak.passes:
                self._withdraw(key, "it answers, late")
            elif row is not None and key == target.key:
                self._rows[key] = replace(row, last=self._clock.monotonic())

    def _withdraw(self, key: Key, why: str) -> None:
        log.info("accusation of %s withdrawn: %s", "/".join(key), why)
        del self._rows[key]
        self._publisher.unsay(keys.observation(self._me, *key))

    def _take(self, target: Target, result: ProbeResult) -> None:
        if target.component == CTI:
            site, system, rule = target.site, target.system, target.rule
            self._rehearsed.probed(site, system, rule, void=result.void, disqualified=self._disqualified)
        streak = self._follow(target.key, target.rule, result)
        if streak is None or (target.component == ENGINE and self._judge_ourselves()):
            return
        self._publish(target.key, streak)
        if target.component in _DEEPER and not streak.stale:
            self._imply((target.site, target.system, _DEEPER[target.component]), target.rule, streak)

    async def _probe_deeply(self, target: DeepTarget) -> None:
        """Probe at the slower beat while all is well; where something fails, as often as all other probes.

        A failure would otherwise stand unbroken for the whole beat, which is as long as it takes to believe it: one
        hiccup that two locations saw would move a city's agents.
        """
        assert self._deep is not None
        hurry = self._hurries.setdefault((target.site, target.system), Signal())
        beat = max(DEEP_BEAT_S, target.interval)
        # The locations take turns.
        await self._clock.sleep(_phase((*target.keys[0], self._me), beat))
        while True:
            started = self._clock.monotonic()
            asked = asked_by_place(self._picture.snapshot).get((target.site, target.system), ())
            result = await self._deep.deep(target.cti, target.sip, target.agent, target.timeout)
            # What was taken back meanwhile is not said again: nobody would take it back once more.
            still = asked_by_place(self._picture.snapshot).get((target.site, target.system), ())
            asked = tuple(shift for shift in asked if shift in still)
            if asked:
                self._publisher.say(keys.test(self._me, target.site, target.system), _test_record(asked, result))
            for component, found in ((SIGN_IN, result.sign_in), (CALL, result.call)):
                if found is not None:
                    key = (target.site, target.system, component)
                    self._take_deep(key, target.rule, self._timely(key, started, found))
            words = [self._streak_of(key) for key in target.keys]
            failing = any(streak is not None and not streak.passes for streak in words)
            due = started + (target.interval if failing else beat)
            await hurry.wait(max(due - self._clock.monotonic(), 0.0))

    def _timely(self, key: Key, started: float, result: ProbeResult) -> ProbeResult:
        """What passed before the plain probe failed says nothing of now; nor does a failure while answers come late."""
        out_of_date = result.ok and started < self._broken_at.get(key, float("-inf"))
        slow = not result.ok and self._clock.monotonic() - self._slow_at.get(key, float("-inf")) < LATE_ANSWER_S
        return replace(result, ok=False, void=True) if out_of_date or slow else result

    def _take_deep(self, key: Key, rule: Rule, result: ProbeResult) -> None:
        if result.void and key not in self._rows and key not in self._untested:
            self._untested.add(key)
            log.warning("%s %s of %s cannot be tested: %s", key[1], key[2], key[0], result.detail)
        streak = self._follow(key, rule, result)
        if streak is not None:
            self._publish(key, streak)

    def _imply(self, deep: Key, rule: Rule, shallow: Streak) -> None:
        """What does not answer a plain question does none of its work: nobody need wait for the deep probe to say so.

        Whether it works again only that one can tell, at once.
        """
        if deep not in self._rows:
            return
        if not shallow.passes:
            self._broken_at[deep] = self._clock.monotonic()
            self._take_deep(deep, rule, ProbeResult(ok=False, void=False, seconds=0.0, detail=shallow.detail))
        elif not self._rows[deep].streak.passes:
            # Restarted, perhaps: it may take a moment until it has its tables again. What it is worth now counts anew.
            self._withdraw(deep, "the plain question is answered again")
        self._hurries[deep[0], deep[1]].give()

    def _follow(self, key: Key, rule: Rule, result: ProbeResult) -> Streak | None:
        """The component's new streak; None when nothing has changed, or when nothing is said of it any more."""
        self.void_probes += result.void
        before = self._rows.get(key)
        now, mono = self._clock.now(), self._clock.monotonic()
        row = follow(before, rule, result.ok, result.void, now, mono, result.detail, result.connects)
        if row is None:
            if before is not None:
                self._withdraw(key, "nothing was measured for a while")
            return None
        self._rows[key] = row
        streak = row.streak
        if before is not None and streak == before.streak:
            return None
        site, system, component = key
        outcome = "passes" if streak.passes else f"fails: {streak.detail}"
        if streak.stale:
            outcome = "has told nothing for long: that it passes counts no more"
        log.info("%s %s of %s %s", system or "the", component, site, outcome)
        return streak

    def _judge_ourselves(self) -> bool:
        """Withdraw or restore what we say of other locations. True when that was all there was to publish."""
        engines = {target.site for target in self._tasks if isinstance(target, Target) and target.component == ENGINE}
        now = disqualified({site: self._streak_of((site, "", ENGINE)) for site in engines}, self._disqualified)
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

    def _streak_of(self, key: Key) -> Streak | None:
        row = self._rows.get(key)
        return row.streak if row is not None else None

    def _publish(self, about: Key, streak: Streak) -> None:
        key = keys.observation(self._me, *about)
        if self._disqualified and about[0] != self._me:
            self._publisher.unsay(key)
            return
        own = self._picture.snapshot.site(self._me)
        self._publisher.say(key, word(streak, own.failure_domain if own else ""))


def _test_record(asked: tuple[str, ...], result: DeepResult) -> TargetTestRecord:
    """What a deep probe met that began while these Shifts were preparing. A void one proves nothing."""
    tried = [("sign-in", result.sign_in), ("call", result.call)]
    failed = next(((what, one) for what, one in tried if one is not None and (one.void or not one.ok)), None)
    return TargetTestRecord(
        asked=asked,
        ok=failed is None,
        detail=f"{failed[0]}: {failed[1].detail or 'nothing was measured'}" if failed else "",
        sign_in_s=round(result.sign_in.seconds, 3),
        call_s=round(result.call.seconds, 3) if result.call is not None else None,
    )


def _phase(key: tuple[str, ...], interval: float) -> float:
    """Spread over the interval, always alike: probes of one moment would wait for each other."""
    return interval * (crc32(repr(key).encode()) % 97) / 97


def _pace(detection: Detection) -> tuple[float, float, Rule]:
    interval, timeout = duration_seconds(detection.interval), duration_seconds(detection.timeout)
    return interval, timeout, Rule.of(interval, timeout, duration_seconds(detection.confirm_after))


def _deep_rule(detection: Detection) -> Rule:
    """A cycle of a deep probe may last several answers, each of which is nearly late."""
    interval, timeout, _ = _pace(detection)
    answer = DEEP_PATIENCE * timeout
    rule = Rule.of(interval, answer, duration_seconds(detection.confirm_after))
    return replace(rule, patience=1.5 * interval + DEEP_ANSWERS * answer)
