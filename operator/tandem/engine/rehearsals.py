"""What a location does for a rehearsed loss: words as if the site were lost, and at that site silence to some agents.

    other locations  each true probe of the site's CTI is counted a second time, as one that failed (`RehearsedWords`)
    the site itself  each word to its CTI that keeps agents silent is one failed look (`Silencer`)

They are streaks at their sources, as all words are: at the true pace, void where the probe was void, on the engine's
lease, gone when the rehearsal is over. Nobody says anything for longer than REHEARSAL_MOST_S by his own clock, whatever
the store shows; an engine that cannot see the store keeps nobody silent.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

from tandem.api.common import duration_seconds
from tandem.constants import REHEARSAL_MOST_S, SILENCE_BEAT_S, SILENCE_TTL_S
from tandem.domain import keys
from tandem.domain.records import RehearsedRecord
from tandem.domain.rehearsal import LossRehearsal, rehearsals
from tandem.domain.streaks import Row, Rule, follow, word
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, Clock, CTIAdapter
from tandem.engine.publisher import Publisher

log = logging.getLogger(__name__)

_IDLE_S = 5.0
_LAST_WORDS = 3
"""Tries to tell a CTI that the silence is over; after that its own clock says so."""


class Words:
    """This location's words for rehearsals, each with the row that it is counted from."""

    def __init__(self, me: str, picture: Picture, publisher: Publisher, clock: Clock) -> None:
        self._me = me
        self._picture = picture
        self._publisher = publisher
        self._clock = clock
        self._rows: dict[str, tuple[str, Row | None]] = {}
        """By key: the run, and what was counted for it."""

    def count(
        self, rehearsal: LossRehearsal, system: str, rule: Rule, *, void: bool, detail: str, silent: int | None = None
    ) -> None:
        """One more look at the site of a rehearsal, which counts as failed.

        `silent`: agents whom the site's CTI keeps silent; the same at each look of a run.
        """
        key = keys.rehearsed(self._me, rehearsal.site, system, rehearsal.drill)
        run, before = self._rows.get(key, ("", None))
        if run != rehearsal.run:
            before = None
        now, mono = self._clock.now(), self._clock.monotonic()
        row = follow(before, rule, ok=False, void=void, now=now, mono=mono, detail=detail)
        self._rows[key] = (rehearsal.run, row)
        if row is None:
            self._publisher.unsay(key)
        elif before is None or row.streak != before.streak:
            own = self._picture.snapshot.site(self._me)
            said = word(row.streak, own.failure_domain if own else "")
            self._publisher.say(key, RehearsedRecord(**said.model_dump(), run=rehearsal.run, silent=silent))

    def only(self, wanted: Iterable[tuple[LossRehearsal, str]], site: str, system: str) -> None:
        """Of one site's system nothing more is said than for these."""
        kept = {keys.rehearsed(self._me, one.site, name, one.drill) for one, name in wanted}
        about = keys.rehearsed(self._me, site, system, "")
        for key in [key for key in self._rows if key.startswith(about) and key not in kept]:
            del self._rows[key]
            self._publisher.unsay(key)


class Seen:
    """For how long this engine has seen each rehearsal."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[str, float] = {}

    def young(self, found: Iterable[LossRehearsal]) -> list[LossRehearsal]:
        """Those of them that have not lasted for as long as one may."""
        now = self._clock.monotonic()
        all_ = list(found)
        self._since = {one.run: self._since.get(one.run, now) for one in all_}
        return [one for one in all_ if now - self._since[one.run] < REHEARSAL_MOST_S]


class RehearsedWords:
    """The observer's part, for the cities of others."""

    def __init__(self, me: str, picture: Picture, publisher: Publisher, clock: Clock) -> None:
        self._me = me
        self._picture = picture
        self._words = Words(me, picture, publisher, clock)
        self._seen = Seen(clock)

    def probed(self, site: str, system: str, rule: Rule, *, void: bool, disqualified: bool) -> None:
        """The CTI of a city was probed, and as far as the rehearsals of its loss go it failed."""
        if site == self._me:
            return
        found = self._seen.young(rehearsals(self._picture.snapshot)) if not disqualified else []
        wanted = [(one, system) for one in found if one.counted and one.site == site and system in one.systems]
        for one, name in wanted:
            self._words.count(one, name, rule, void=void, detail=f"rehearsal {one.run}")
        self._words.only(wanted, site, system)


@dataclass
class _Kept:
    """A silence that this engine keeps up. `boot`: of the CTI that was told. `chosen`: None until it took a word."""

    boot: str = ""
    chosen: int | None = None


class Silencer:
    """The part of the site that counts as lost: one of its systems' CTI."""

    def __init__(
        self, site: str, system: str, adapter: CTIAdapter, picture: Picture, publisher: Publisher, clock: Clock
    ) -> None:
        self._site = site
        self._system = system
        self._adapter = adapter
        self._picture = picture
        self._clock = clock
        self._words = Words(site, picture, publisher, clock)
        self._seen = Seen(clock)
        self._kept: dict[str, _Kept] = {}

    async def run(self) -> None:
        """Keep agents silent while a rehearsal asks for it. Never returns."""
        changes = self._picture.subscribe(keys.DRILLS, keys.SHIFTS, keys.HOLD, keys.COORDINATOR)
        try:
            while True:
                await self._turn()
                await changes.wait(SILENCE_BEAT_S if self._kept else _IDLE_S)
        finally:
            self._picture.unsubscribe(changes)
            self._words.only((), self._site, self._system)

    async def _turn(self) -> None:
        # A picture that may be old orders nothing: the CTI's own clock ends what has begun.
        found = self._seen.young(rehearsals(self._picture.snapshot)) if self._picture.live else []
        wanted = [one for one in found if one.site == self._site and self._system in one.systems]
        for one in wanted:
            await self._keep(one)
        self._words.only([(one, self._system) for one in wanted if one.counted], self._site, self._system)
        for run in self._kept.keys() - {one.run for one in wanted}:
            await self._end(run)

    async def _keep(self, one: LossRehearsal) -> None:
        report = self._picture.snapshot.report(self._site, self._system)
        boot = report.boot if report is not None else ""
        kept = self._kept.setdefault(one.run, _Kept())
        taken = False
        if kept.chosen is None:
            kept.boot = boot  # it may have restarted just before, and its report be that of its last life
        # A CTI that has restarted since knows of no silence: what it would begin now is another one.
        if boot and kept.boot == boot:
            shares = {group: one.silence for group, system in sorted(one.groups.items()) if system == self._system}
            try:
                chosen = await self._adapter.impair(boot, one.run, shares, one.targets, SILENCE_TTL_S)
            except AdapterError as error:
                log.warning("rehearsal %s: the CTI of %s keeps nobody silent: %s", one.run, self._system, error)
            else:
                count = sum(chosen.values())
                # Where nobody is silent no client finds anything lost, and nothing is rehearsed.
                taken = count > 0
                if count != kept.chosen:
                    kept.chosen = count
                    log.info("rehearsal %s: %d idle agents of %s hear nothing", one.run, count, self._system)
        if one.counted:
            detail = f"rehearsal {one.run}: {kept.chosen or 0} agents are kept silent"
            self._words.count(one, self._system, self._rule(), void=not taken, detail=detail, silent=kept.chosen)

    async def _end(self, run: str) -> None:
        kept = self._kept.pop(run)
        if not kept.boot:
            return  # no CTI was known when it began, so none was told
        for _ in range(_LAST_WORDS):
            try:
                await self._adapter.impair(kept.boot, run, {}, (), 0.0)
            except AdapterError as error:
                log.info("rehearsal %s: cannot tell the CTI of %s that it is over: %s", run, self._system, error)
                await self._clock.sleep(SILENCE_BEAT_S)
            else:
                log.info("rehearsal %s: agents of %s hear this site again", run, self._system)
                return

    def _rule(self) -> Rule:
        spec = self._picture.snapshot.site(self._site)
        confirm_after = duration_seconds(spec.detection.confirm_after) if spec is not None else 0.0
        timeout = duration_seconds(spec.detection.timeout) if spec is not None else SILENCE_BEAT_S
        return Rule.of(SILENCE_BEAT_S, timeout, confirm_after)
