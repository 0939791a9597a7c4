"""`POST /v1/plan`: what manifests would do if they were applied now. Asked through the Kubernetes API's service proxy.

    {"objects": [manifest, ...]}  ->  {"site", "revision", "plans": [{kind, name, outcome, reason, message, patience,
                                                                      notes, plan, planned}, ...]}

Nothing is created. The API server decides who may ask (`create` on `services/proxy`); see decision 14.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final

from tandem.api.agentgroup import AgentGroupSpec
from tandem.api.common import API_VERSION, duration_text
from tandem.api.resources import AGENT_GROUP, SHIFT
from tandem.api.shift import ShiftSpec
from tandem.domain.preview import Asked, Preview, previews
from tandem.domain.snapshot import Instant, Snapshot
from tandem.engine.picture import Picture
from tandem.errors import ConfigError, DependencyError
from tandem.operator.objects import STAYS_IN_FORCE, parse
from tandem.operator.settings import STORE_SILENT_S

MOST_OBJECTS: Final = 500
"""Objects in one question."""

Json = dict[str, Any]


def asked_for(manifest: Mapping[str, Any]) -> Asked:
    """A manifest as a question. Raises: ConfigError naming kind, name and what is wrong."""
    kind, metadata = manifest.get("kind"), manifest.get("metadata") or {}
    resource = {SHIFT.kind: SHIFT, AGENT_GROUP.kind: AGENT_GROUP}.get(str(kind))
    if resource is None or manifest.get("apiVersion") != API_VERSION:
        named = f"{manifest.get('apiVersion')} {kind}"
        raise ConfigError(f"{named}: plans are made of Shifts and AgentGroups ({API_VERSION})")
    if not metadata.get("name") or not metadata.get("namespace"):
        raise ConfigError(f"{kind} without metadata.name or metadata.namespace")
    seen = parse(resource, {**manifest, "metadata": metadata})
    if seen.spec is None:
        raise ConfigError(f"{kind} {seen.name}: {seen.problem.removesuffix(STAYS_IN_FORCE)}")
    assert isinstance(seen.spec, ShiftSpec | AgentGroupSpec)
    return Asked(seen.name, seen.spec, seen.order_id, seen.labels)


def answer_of(snapshot: Snapshot, site: str, manifests: list[Json], now: Instant) -> Json:
    """The whole answer. Raises: ConfigError for a manifest that is wrong."""
    asked = [asked_for(manifest) for manifest in manifests]
    found = previews(snapshot, asked, now)
    return {
        "site": site,
        "revision": snapshot.revision,
        "plans": [
            _plan(str(manifest["kind"]), one, preview)
            for manifest, one, preview in zip(manifests, asked, found, strict=True)
        ],
    }


def _plan(kind: str, asked: Asked, preview: Preview) -> Json:
    return {
        "kind": kind,
        "name": asked.name,
        "outcome": preview.outcome,
        "reason": str(preview.reason),
        "message": preview.message,
        "patience": duration_text(preview.patience_s) if preview.patience_s else "",
        "notes": list(preview.notes),
        "plan": list(preview.text),
        "planned": preview.planned.model_dump(mode="json", by_alias=True),
    }


class Planner:
    """Answers one question at a time, beside the loop: two hundred groups take a while."""

    def __init__(self, site: str, view: Picture) -> None:
        self._site = site
        self._view = view
        self._one_at_a_time = asyncio.Lock()

    async def answer(self, body: bytes) -> Json:
        """Raises: ConfigError for a wrong question, DependencyError while the store does not answer."""
        try:
            objects = json.loads(body)["objects"]
            manifests = [dict(one) for one in objects]
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigError('the body is not {"objects": [manifest, ...]}') from error
        if len(manifests) > MOST_OBJECTS:
            raise ConfigError(f"{len(manifests)} objects in one question; ask about {MOST_OBJECTS} at most")
        async with self._one_at_a_time:
            if not self._view.synced.is_set() or self._view.silent_s > STORE_SILENT_S:
                trouble = self._view.trouble or "it has just started"
                raise DependencyError(f"{self._site} does not hear from the store ({trouble}): no live state")
            clock = self._view.clock
            now = Instant(clock.monotonic(), clock.now())
            return await asyncio.to_thread(answer_of, self._view.snapshot, self._site, manifests, now)
