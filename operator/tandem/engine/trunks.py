"""Routes to the carriers: the coordinator's engine pushes what it decided, and confirms it in the store."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from tandem.api.trunk import Carrier, TrunkSpec
from tandem.constants import CARRIER_REPAIR_INTERVAL_S, CHANNELS_INTERVAL_S
from tandem.domain import keys
from tandem.domain.records import TrunkRecord
from tandem.domain.routes import EffectiveRoute
from tandem.domain.snapshot import Entry
from tandem.engine.picture import Picture
from tandem.engine.ports import (
    AdapterError,
    Adapters,
    CarrierAdapter,
    CarrierPlan,
    CarrierRoute,
    Clock,
    Election,
    Guard,
    Put,
    Store,
    StoreError,
)
from tandem.errors import ConfigError

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_UNKNOWN = -1  # no revision: what the carrier has is not known


@dataclass
class _Line:
    """One Trunk's carrier as this engine knows it."""

    carrier: Carrier
    adapter: CarrierAdapter
    pushed_revision: int = _UNKNOWN
    pushed_at: float = 0.0
    channels_at: float = 0.0
    channels: int = 0
    failing: bool = False


class TrunkPusher:
    def __init__(self, picture: Picture, store: Store, election: Election, adapters: Adapters, clock: Clock) -> None:
        self._picture = picture
        self._store = store
        self._election = election
        self._adapters = adapters
        self._clock = clock
        self._lines: dict[str, _Line] = {}
        self._faulty: dict[str, Carrier] = {}

    async def run(self) -> None:
        """Push while this engine is the coordinator. Never returns."""
        signal = self._picture.subscribe(keys.TRUNKS)
        try:
            while True:
                await signal.wait(_LOOK_S)
                await self._turn()
        finally:
            self._picture.unsubscribe(signal)

    async def _turn(self) -> None:
        epoch = self._election.epoch()
        if not epoch:
            self._lines.clear()
            return
        for name, entry in self._picture.snapshot.routes.items():
            trunk = self._picture.snapshot.trunks.get(name)
            if trunk is not None and trunk.spec is not None and entry.record.routes:
                await self._serve(name, trunk.spec, entry, epoch)

    async def _serve(self, name: str, spec: TrunkSpec, entry: Entry[TrunkRecord], epoch: int) -> None:
        line = self._line(name, spec.carrier)
        if line is None:
            return
        now = self._clock.monotonic()
        record = entry.record
        try:
            if line.pushed_revision != record.revision or now - line.pushed_at >= CARRIER_REPAIR_INTERVAL_S:
                # It may have these routes already: from us, or from the coordinator before us. New ones it has not.
                news = line.pushed_revision not in (_UNKNOWN, record.revision)
                held: Mapping[str, CarrierPlan] = {} if news else await line.adapter.held()
                await self._push(line.adapter, spec, record, held)
                line.pushed_revision, line.pushed_at = record.revision, now
            if not line.channels_at or now - line.channels_at >= CHANNELS_INTERVAL_S:
                line.channels = await line.adapter.channels_in_use([number.number for number in spec.numbers])
                line.channels_at = now
            line.failing = False
        except AdapterError as error:
            if not line.failing:
                log.warning("the carrier of Trunk %s does not take the routes: %s", name, error)
            line.failing, line.pushed_revision = True, _UNKNOWN
            return
        confirmed = record.model_copy(
            update={"confirmed_revision": line.pushed_revision, "channels_in_use": line.channels}
        )
        if confirmed != record:
            await self._confirm(name, confirmed, entry.mod_revision, epoch)

    async def _push(
        self, adapter: CarrierAdapter, spec: TrunkSpec, record: TrunkRecord, held: Mapping[str, CarrierPlan]
    ) -> None:
        """Push each number that the carrier does not have like this."""
        routes = tuple(
            CarrierRoute(route.name, route.target, route.weight, route.callers)
            for route in map(EffectiveRoute.decode, record.routes)
        )
        wanted = CarrierPlan(record.revision, routes, spec.capacity.channels, spec.capacity.calls_per_second)
        for number in spec.numbers:
            if held.get(number.number) != wanted:
                await adapter.push(number.number, wanted)

    async def _confirm(self, name: str, record: TrunkRecord, mod_revision: int, epoch: int) -> None:
        guards = [Guard(keys.COORDINATOR, create_revision=epoch), Guard(keys.trunk(name), mod_revision=mod_revision)]
        try:
            await self._store.txn(guards, [Put(keys.trunk(name), record.encode())])
        except StoreError as error:
            log.debug("could not confirm the routes of %s: %s", name, error)

    def _line(self, name: str, carrier: Carrier) -> _Line | None:
        line = self._lines.get(name)
        if line is None or line.carrier != carrier:
            if self._faulty.get(name) == carrier:
                return None
            try:
                line = _Line(carrier, self._adapters.carrier(carrier, name.partition("/")[0]))
            except ConfigError as error:
                self._faulty[name] = carrier
                log.error("Trunk %s cannot be served: %s", name, error)
                return None
            self._lines[name] = line
        return line
