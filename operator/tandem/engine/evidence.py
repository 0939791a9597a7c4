"""The clients' evidence: asks this city's CTI what its clients say of other cities, and publishes what accuses one."""

import logging

from tandem.api.common import duration_seconds
from tandem.constants import EVIDENCE_INTERVAL_S
from tandem.domain import keys
from tandem.domain.clients import clients_accuse
from tandem.domain.rehearsal import hushed_groups
from tandem.domain.streaks import Row, Rule, follow, word
from tandem.domain.words import CLIENTS, CTI
from tandem.engine.picture import Picture
from tandem.engine.ports import AdapterError, ClientCounts, Clock, CTIAdapter
from tandem.engine.publisher import Publisher

log = logging.getLogger(__name__)


class ClientsEvidence:
    def __init__(
        self, site: str, system: str, adapter: CTIAdapter, picture: Picture, publisher: Publisher, clock: Clock
    ) -> None:
        self._observer = f"{CLIENTS}{site}"
        self._site = site
        self._system = system
        self._adapter = adapter
        self._picture = picture
        self._publisher = publisher
        self._clock = clock
        self._rows: dict[str, Row] = {}

    async def run(self) -> None:
        """Ask and publish until cancelled. A CTI that collects no such evidence may be followed by one that does."""
        while not await self._is_collected():
            await self._clock.sleep(EVIDENCE_INTERVAL_S)
        try:
            await self._ask_for_ever()
        finally:
            self._take({})

    async def _is_collected(self) -> bool:
        try:
            return (await self._adapter.capabilities()).client_evidence
        except AdapterError:
            return False

    async def _ask_for_ever(self) -> None:
        while True:
            try:
                self._take(await self._adapter.evidence())
            except AdapterError:
                self._take({})  # who says nothing accuses nobody
            await self._clock.sleep(EVIDENCE_INTERVAL_S)

    def _take(self, found: ClientCounts) -> None:
        snapshot, mono = self._picture.snapshot, self._clock.monotonic()
        for site in {*found, *self._rows} - {self._site}:
            hushed = hushed_groups(snapshot, site, mono)
            said = {group: count for group, count in found.get(site, {}).items() if group not in hushed}
            against = clients_accuse(said)
            if against:
                self._accuse(site, f"lost by {against}")
            elif self._rows.pop(site, None) is not None:
                self._publisher.unsay(self._key(site))

    def _accuse(self, site: str, detail: str) -> None:
        before = self._rows.get(site)
        now, mono = self._clock.now(), self._clock.monotonic()
        row = follow(before, self._rule(site), ok=False, void=False, now=now, mono=mono, detail=detail)
        assert row is not None
        self._rows[site] = row
        if before is None or row.streak != before.streak:
            log.info("%s of %s at %s: %s", CTI, self._system, site, detail)
            self._publisher.say(self._key(site), word(row.streak, CLIENTS))

    def _rule(self, site: str) -> Rule:
        spec = self._picture.snapshot.site(site)
        confirm_after = duration_seconds(spec.detection.confirm_after) if spec else 0.0
        return Rule.of(EVIDENCE_INTERVAL_S, EVIDENCE_INTERVAL_S, confirm_after)

    def _key(self, site: str) -> str:
        return keys.observation(self._observer, site, self._system, CTI)
