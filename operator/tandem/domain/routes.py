"""Routes of a Trunk: weights that follow where agents really are signed in, and never lead to a dead softswitch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from pydantic import TypeAdapter

from tandem.api.trunk import Route, TrunkSpec
from tandem.constants import ROUTE_BACK_S, ROUTES_INTERVAL_S, ROUTES_STEP
from tandem.domain import keys
from tandem.domain.decision import Draft, Premise
from tandem.domain.digest import trunk_digest
from tandem.domain.placement import proportional
from tandem.domain.quarantine import given_up
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import TrunkRecord
from tandem.domain.snapshot import Instant, Published, Snapshot
from tandem.domain.verdicts import component_verdict
from tandem.domain.words import CALL, SOFTSWITCH, words_about


@dataclass(frozen=True, slots=True)
class EffectiveRoute:
    """One route as the carrier gets it. `target` is host:port of the site's softswitch."""

    name: str
    site: str
    target: str
    weight: int
    callers: tuple[str, ...] = ()

    def encode(self) -> dict[str, object]:
        return {
            "name": self.name,
            "site": self.site,
            "target": self.target,
            "weight": self.weight,
            "callers": list(self.callers),
        }

    @classmethod
    def decode(cls, encoded: Mapping[str, object]) -> "EffectiveRoute":
        return _ROUTE.validate_python(encoded)


_ROUTE: Final = TypeAdapter(EffectiveRoute)


def handle_routes(draft: Draft, now: Instant) -> None:
    """Commit effective routes that differ from those in force, at most once a second per Trunk."""
    for name, trunk in sorted(draft.snapshot.trunks.items(), key=lambda item: item[0]):
        stored = draft.snapshot.routes.get(name)
        if keys.trunk(name) in draft.snapshot.unreadable:
            continue
        before = stored.record if stored else TrunkRecord(routes=())
        digest = trunk_digest(trunk.spec) if trunk.spec is not None else ""
        found = effective_routes(draft.snapshot, name, trunk, in_force(before))
        if not isinstance(found, Refusal) and before.decided_from == digest:
            found = _without_the_unsettled(draft, found, before, trunk, now)
        if isinstance(found, Refusal):
            # What is in force stays in force: a carrier without routes serves nobody.
            draft.note(f"Trunk {name}", found.reason, found.message)
            after = before.model_copy(update={"reason": str(found.reason), "message": found.message})
        else:
            routes = tuple(route.encode() for route in found)
            if _close(before.routes, routes):
                routes = before.routes
            after = before.model_copy(update={"routes": routes, "decided_from": digest, "reason": "", "message": ""})
        if after == before:
            continue
        # Of another spec, too: it may have a number that another Trunk has given up, at a newer revision than these.
        if after.routes != before.routes or after.decided_from != before.decided_from:
            after = after.model_copy(update={"revision": draft.snapshot.revision})
        wait = stored.seen_at + ROUTES_INTERVAL_S - now.mono if stored else 0.0
        if wait > 0:
            draft.wake(now.mono + wait + 0.001)
            continue
        weights = ", ".join(f"{route['name']} {route['weight']} %" for route in after.routes)
        draft.commit(
            f"Trunk {name}",
            Reason.ROUTES_CHANGED,
            f"{name}: {after.message or weights}",
            {keys.trunk(name): after},
            (Premise(keys.trunk(name), mod_revision=stored.mod_revision if stored else 0),),
        )


def in_force(record: TrunkRecord) -> dict[str, int]:
    """Name of each route in force -> its weight."""
    routes = (EffectiveRoute.decode(encoded) for encoded in record.routes)
    return {route.name: route.weight for route in routes}


def effective_routes(
    snapshot: Snapshot, name: str, trunk: Published[TrunkSpec], weights_in_force: Mapping[str, int]
) -> tuple[EffectiveRoute, ...] | Refusal:
    """Routes for the carrier in their order, weights summing to 100; or why those in force must stay."""
    if trunk.invalid is not None:
        return trunk.invalid
    if trunk.spec is None or not trunk.consistent:
        return Refusal(Reason.SPEC_NOT_CONSISTENT, f"Trunk {trunk.message}", temporary=True)
    refusal = _declaration(snapshot, name, trunk.spec)
    if refusal is not None:
        return refusal
    spec = trunk.spec
    usable = [route for route in spec.routes if _answers(snapshot, route.site, spec.system)]
    if not usable:
        sites = ", ".join(sorted({route.site for route in spec.routes}))
        message = f"no softswitch of {spec.system} answers at {sites}; the routes in force stay"
        return Refusal(Reason.NO_USABLE_ROUTE, message, temporary=True)
    weights = _weights(snapshot, name, spec, usable, weights_in_force)
    found = []
    for route, weight in zip(usable, weights, strict=True):
        system = snapshot.system(route.site, spec.system)
        if system is not None:
            found.append(EffectiveRoute(route.name, route.site, system.softswitch.sip, weight, route.callers))
    return tuple(found)


def _without_the_unsettled(
    draft: Draft, routes: tuple[EffectiveRoute, ...], before: TrunkRecord, trunk: Published[TrunkSpec], now: Instant
) -> tuple[EffectiveRoute, ...]:
    """The routes without those that were taken off a city which has no agents and has not been well for long.

    A city that comes back works and does not by turns, as its parts start. Nobody misses a route of 0 %; where agents
    are signed in, their calls follow at once.
    """
    if trunk.spec is None:
        return routes
    known = {route.site for route in routes if route.name in in_force(before)}
    needed = {route.site for route in routes if route.weight}
    unsettled = set()
    for site in {route.site for route in routes} - known - needed:
        settled_at = _settled_at(draft.snapshot, site, trunk.spec.system)
        if settled_at is None or settled_at > now.mono:
            unsettled.add(site)
        if settled_at is not None and settled_at > now.mono:
            draft.wake(settled_at + 0.001)
    return tuple(route for route in routes if route.site not in unsettled)


def _settled_at(snapshot: Snapshot, site: str, system: str) -> float | None:
    """Monotonic time from which on nobody has spoken against calls to a site for long enough; None: somebody does."""
    parts = {part: words_about(snapshot, site, system, part) for part in (SOFTSWITCH, CALL)}
    words = [word for part in parts.values() for word in part]
    if any(word.fails for word in words) or not any(word.passes for word in parts[SOFTSWITCH]):
        return None
    return max(word.seen_at for word in words) + ROUTE_BACK_S


def _declaration(snapshot: Snapshot, name: str, spec: TrunkSpec) -> Refusal | None:
    for index, route in enumerate(spec.routes):
        field = f"spec.routes[{index}].site is {route.site!r}"
        site = snapshot.site(route.site)
        if site is None:
            known = ", ".join(snapshot.active_sites()) or "none"
            message = f"{field}: the route leads to nowhere, there is no such Site (Active ones: {known}); correct it"
            return Refusal(Reason.ROUTE_TO_NOWHERE, message)
        if site.system(spec.system) is None:
            message = f"{field}: the route leads to nowhere, that Site has no system {spec.system!r}; correct it"
            return Refusal(Reason.ROUTE_TO_NOWHERE, message)
    namespace = name.partition("/")[0]
    for index, number in enumerate(spec.numbers):
        group = snapshot.groups.get(f"{namespace}/{number.group}")
        if group is None:
            message = (
                f"spec.numbers[{index}].group is {number.group!r}: the number leads to nowhere, there is no such "
                f"AgentGroup in namespace {namespace}; correct it, or apply the group"
            )
            return Refusal(Reason.ROUTE_TO_NOWHERE, message)
        if group.spec is not None and group.spec.system != spec.system:
            message = (
                f"spec.numbers[{index}].group is {number.group!r}, which is in system {group.spec.system!r}, not in "
                f"{spec.system!r}; correct it"
            )
            return Refusal(Reason.ROUTE_TO_NOWHERE, message)
    return None


def _answers(snapshot: Snapshot, site: str, system: str) -> bool:
    """Whether calls may be sent there. Missing evidence is not evidence: only words against it count."""
    return all(component_verdict(snapshot, site, system, part).state != "Fail" for part in (SOFTSWITCH, CALL))


def _weights(
    snapshot: Snapshot, name: str, spec: TrunkSpec, routes: Sequence[Route], weights_in_force: Mapping[str, int]
) -> list[int]:
    """Whole percentages, one per route, summing to 100."""
    configured = {index: route.weight for index, route in enumerate(routes)}
    if not any(configured.values()):
        configured = dict.fromkeys(configured, 1)
    if not spec.follow_agents:
        return list(proportional(configured, 100).values())
    sites = {route.site for route in routes}
    silent = [
        site
        for site in sites
        if snapshot.report(site, spec.system) is None and not given_up(snapshot, site, spec.system)
    ]
    if silent and {route.name for route in routes} == weights_in_force.keys():
        # A city that does not report may have agents all the same: its calls are not taken away for that. One that is
        # given up while its softswitch still answers has none.
        return [weights_in_force[route.name] for route in routes]
    signed_in = _signed_in(snapshot, name, spec, sites)
    if not any(signed_in.values()):
        return list(proportional(configured, 100).values())
    by_site = proportional(signed_in, 100)
    weights = dict.fromkeys(configured, 0)
    for site, share in by_site.items():
        own = {index: configured[index] for index, route in enumerate(routes) if route.site == site}
        if not any(own.values()):
            own = dict.fromkeys(list(own)[:1], 1)
        for index, weight in proportional(own, share).items():
            weights[index] += weight
    return list(weights.values())


def _signed_in(snapshot: Snapshot, name: str, spec: TrunkSpec, sites: set[str]) -> dict[str, int]:
    """Agents signed in per site, of the groups that this trunk's numbers reach."""
    namespace = name.partition("/")[0]
    groups = {f"{namespace}/{number.group}" for number in spec.numbers}
    counts = dict.fromkeys(sorted(sites), 0)
    for site in counts:
        report = snapshot.report(site, spec.system)
        if report is not None:
            counts[site] = sum(found.signed_in for group, found in report.groups.items() if group in groups)
    return counts


def _close(before: Sequence[Mapping[str, object]], after: Sequence[Mapping[str, object]]) -> bool:
    """Whether only weights differ, and by less than is worth telling; to or from nothing always is."""
    if len(before) != len(after):
        return False
    for old, new in zip(before, after, strict=True):
        if {**old, "weight": 0} != {**new, "weight": 0}:
            return False
        was, now = old.get("weight"), new.get("weight")
        if not isinstance(was, int) or not isinstance(now, int):
            return False
        if abs(was - now) >= ROUTES_STEP:
            return False
        if (was == 0) != (now == 0):
            return False
    return True
