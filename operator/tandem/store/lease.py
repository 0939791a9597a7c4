"""A lease that is kept alive, and until when it surely lives."""

import logging
from typing import Self

from tandem.constants import LEASE_KEEPALIVE_S, LEASE_TTL_S
from tandem.engine.ports import Clock, LeaseLostError, Store, StoreError

log = logging.getLogger(__name__)


class KeptLease:
    """One lease. Whoever needs another one after a loss grants it and puts everything that hung on the first again.

    `valid_until` never overestimates: it counts from the moment at which a renewal was *sent*, on our own monotonic
    clock, and the store counts from a later moment.
    """

    def __init__(self, store: Store, clock: Clock, lease: int, valid_until: float) -> None:
        self._store = store
        self._clock = clock
        self.id = lease
        self.valid_until = valid_until

    @classmethod
    async def grant(cls, store: Store, clock: Clock, ttl: float = LEASE_TTL_S) -> Self:
        """A new lease of at least `ttl` seconds. Raises StoreError."""
        sent = clock.monotonic()
        return cls(store, clock, await store.grant(ttl), sent + ttl)

    def holds(self, now: float) -> bool:
        """Whether the lease surely lives at `now` (seconds, our monotonic clock)."""
        return now < self.valid_until

    async def keep(self, every: float = LEASE_KEEPALIVE_S) -> None:
        """Renew for ever. Raises LeaseLostError once the store says that the lease is gone.

        Any other failure is tried again at once: silence says nothing of the lease, and it may come through yet.
        """
        due = self._clock.monotonic() + every
        while True:
            await self._clock.sleep(max(due - self._clock.monotonic(), 0.0))
            sent = self._clock.monotonic()
            due = sent + every
            try:
                ttl = await self._store.keepalive(self.id)
            except LeaseLostError:
                self.valid_until = 0.0
                raise
            except StoreError as error:
                log.debug("keepalive of lease %x failed: %s", self.id, error)
                # A refusal may come within a millisecond, and must not become a busy loop.
                due = max(self._clock.monotonic(), sent + every / 5)
            else:
                self.valid_until = max(self.valid_until, sent + ttl)

    async def give_up(self) -> None:
        """Revoke it as far as that is possible now; else it expires by itself."""
        self.valid_until = 0.0
        try:
            await self._store.revoke(self.id, timeout=0.5)
        except StoreError as error:
            log.debug("lease %x could not be revoked and will expire: %s", self.id, error)
