"""Which Tandem and which Kubernetes run here, told on the operator's lease: a Drill's report names them."""

import logging
from typing import Final

from tandem.domain import keys
from tandem.domain.records import OperatorRecord
from tandem.engine.picture import Picture
from tandem.engine.publisher import Publisher
from tandem.operator.cluster import ApiError, Cluster
from tandem.version import VERSION

log = logging.getLogger(__name__)

_INTERVAL_S: Final = 300.0
"""Seconds between two looks: a cluster is upgraded now and then, and this operator may not notice otherwise."""


class Versions:
    """Looks and tells. One task: `run`; the publisher is another one."""

    def __init__(self, site: str, view: Picture, cluster: Cluster, publisher: Publisher) -> None:
        self._key = keys.operator(site)
        self._view = view
        self._cluster = cluster
        self._publisher = publisher
        self._kubernetes = ""

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self.round()
            await self._view.clock.sleep(_INTERVAL_S)

    async def round(self) -> None:
        """One look. What was said last stands while the API does not answer: it has not become another version."""
        try:
            found = await self._cluster.get("/version")
            self._kubernetes = str(found.get("gitVersion") or self._kubernetes)
        except ApiError as error:
            log.info("the version of Kubernetes cannot be read: %s", error)
        self._publisher.say(self._key, OperatorRecord(version=VERSION, kubernetes=self._kubernetes))
