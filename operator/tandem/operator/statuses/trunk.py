"""Status of a Trunk: the routes in force at the carrier."""

from collections.abc import Iterable, Iterator

from tandem.api.trunk import EffectiveRoute, TrunkSpec, TrunkStatus
from tandem.domain.digest import trunk_digest
from tandem.domain.records import TrunkRecord
from tandem.domain.snapshot import Published
from tandem.operator.objects import Seen
from tandem.operator.statuses.common import Said, Scene, blindness, consistency, settle

UNDER_WAY = frozenset({"Publishing", "NotDecidedYet", "NotConfirmedYet"})
"""Reasons of Ready=False that end by themselves."""


def trunk_status(scene: Scene, seen: Seen, local: Iterable[Said] = ()) -> TrunkStatus:
    """The status of one Trunk.

    Args:
        local: Conditions that only this cluster's operator knows, such as CredentialsReadable.
    """
    snapshot = scene.snapshot
    published = snapshot.trunks.get(seen.name)
    entry = snapshot.routes.get(seen.name)
    routes = tuple(EffectiveRoute.model_validate(route) for route in entry.record.routes) if entry else ()
    ready = _ready(scene, seen, published, entry.record if entry else None)
    return TrunkStatus(
        routes=routes,
        where=_where(routes),
        channels_in_use=entry.record.channels_in_use if entry else 0,
        revision=entry.record.confirmed_revision if entry else 0,
        observed_generation=seen.generation,
        conditions=settle([*_kstatus(ready), consistency(scene, published), *local], seen, seen.generation, scene.now),
    )


def _where(routes: tuple[EffectiveRoute, ...]) -> str:
    weights: dict[str, int] = {}
    for route in routes:
        weights[route.site] = weights.get(route.site, 0) + route.weight
    whole = sum(weights.values())
    shown = sorted(weights.items(), key=lambda kv: (-kv[1], kv[0]))
    return ", ".join(f"{site} {round(100 * weight / whole)}" for site, weight in shown if weight)


def _kstatus(ready: Said) -> Iterator[Said]:
    yield ready
    if ready.status == "False":
        kind = "Reconciling" if ready.reason in UNDER_WAY else "Stalled"
        yield Said(kind, "True", ready.reason, ready.message)


def _ready(scene: Scene, seen: Seen, published: Published[TrunkSpec] | None, record: TrunkRecord | None) -> Said:
    """The first that applies."""

    def no(reason: str, message: str) -> Said:
        return Said("Ready", "False", reason, message)

    if not isinstance(seen.spec, TrunkSpec):
        return no("Invalid", seen.problem)
    if scene.blind:
        return blindness(scene)
    if published is None or (published.consistent and not published.invalid and published.spec != seen.spec):
        return no("Publishing", f"{scene.site} has not published this object to the store yet")
    if published.invalid is not None:
        return no(str(published.invalid.reason), published.invalid.message)
    if record is None and not published.consistent:
        return no("SpecNotConsistent", published.message)
    if record is not None and record.message:
        return no(record.reason or "NotInForce", record.message)
    if record is None or (published.consistent and record.decided_from != trunk_digest(seen.spec)):
        return no("NotDecidedYet", "the coordinator has not decided routes for it yet")
    if not record.revision or record.confirmed_revision != record.revision:
        return no("NotConfirmedYet", "the carrier has not confirmed the newest routes yet")
    return Said("Ready", "True", "RoutesInForce", f"the carrier confirmed revision {record.confirmed_revision}")
