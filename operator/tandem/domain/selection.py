"""Which groups a Shift moves, and what it wants of each."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tandem.api.agentgroup import AgentGroupSpec, Drain
from tandem.api.shift import Selector, ShiftSpec
from tandem.domain.capacity import Ledger
from tandem.domain.evacuation import evacuated
from tandem.domain.placement import gather_at
from tandem.domain.plan import Plan, Wish, make_plan
from tandem.domain.reasons import Reason, Refusal
from tandem.domain.records import ShiftRecord
from tandem.domain.snapshot import Placed, Published, Snapshot

FORCED = Drain(max_talk="0s", max_wrap_up="0s", on_deadline="Force")
"""Mode Forced: nobody is waited for."""


def matches(selector: Selector, name: str, group: Published[AgentGroupSpec], placed: Placed | None) -> bool:
    """Whether every field given matches.

    Of a group whose copies have differed for as long as this engine knows it there is no spec: whatever may match,
    does, so that nobody is left behind without a word (`wishes_of` waits until its copies agree). Of one that is
    invalid, region and skill group are not known either; it must not stop those who ask for theirs.
    """
    if selector.names and name.rpartition("/")[2] not in selector.names:
        return False
    if selector.site is not None and (placed is None or selector.site not in placed.map.end_shares):
        return False
    if group.spec is None:
        if placed is None or selector.names:
            return bool(selector.names)
        if group.invalid is not None and (selector.region or selector.skill_group or selector.labels):
            return False
        return selector.system in (None, placed.record.system)
    wanted = (
        (selector.system, group.spec.system),
        (selector.region, group.spec.region),
        (selector.skill_group, group.spec.skill_group),
    )
    if any(want is not None and want != have for want, have in wanted):
        return False
    return all(group.labels.get(key) == value for key, value in selector.labels.items())


def wishes_of(snapshot: Snapshot, namespace: str, record: ShiftRecord) -> Sequence[Wish] | Refusal:
    """What a Shift wants of each selected group of its namespace, or what is wrong with its declaration."""
    spec = record.spec
    refusal = _declaration(snapshot, namespace, spec)
    if refusal is not None:
        return refusal
    wishes: list[Wish] = []
    selector = spec.selector or Selector(site=spec.evacuate)
    for name, group in sorted(snapshot.groups.items()):
        placed = snapshot.placements.get(name)
        if not name.startswith(f"{namespace}/") or not matches(selector, name, group, placed):
            continue
        if group.invalid is not None:
            message = f"AgentGroup {name}: {group.invalid.message}"
            return Refusal(group.invalid.reason, message, temporary=group.spec is None and not selector.names)
        if not group.consistent or group.spec is None:
            return Refusal(Reason.SPEC_NOT_CONSISTENT, f"AgentGroup {group.message}", temporary=True)
        if placed is None:
            continue  # Nobody of it can be signed in anywhere yet.
        refusal = _targets(snapshot, spec, name, group.spec)
        if refusal is not None:
            return refusal
        wishes.append(
            Wish(
                group=name,
                spec=group.spec,
                placed=placed,
                wanted=_wanted(spec, placed),
                waves=spec.waves,
                drain=drain_of(spec, group.spec),
                pace=spec.pace,
                gates=spec.gates,
                forced=spec.mode == "Forced",
            )
        )
    if not wishes:
        what = f"spec.selector ({_said(selector)}) matches no placed AgentGroup in namespace {namespace}"
        if spec.selector is None:
            what = f"spec.evacuate is {spec.evacuate!r}: no placed AgentGroup of namespace {namespace} is there"
        elsewhere = [
            name
            for name, other in snapshot.groups.items()
            if (there := snapshot.placements.get(name)) is not None and matches(selector, name, other, there)
        ]
        return Refusal(Reason.NO_GROUPS, f"{what}; {_remedy(elsewhere) or 'correct it, or apply the groups first'}")
    return wishes


def plan_shift(
    snapshot: Snapshot, ledger: Ledger, busy: Mapping[str, str], name: str, record: ShiftRecord
) -> Plan | Refusal:
    """The plan of a Shift that is called `name`, or why there is none. `busy`, `ledger`: as for `make_plan`."""
    wishes = wishes_of(snapshot, name.partition("/")[0], record)
    if not isinstance(wishes, Refusal) and record.spec.evacuate:
        wishes = evacuated(snapshot, ledger, record.spec.evacuate, wishes)
    if isinstance(wishes, Refusal):
        return wishes
    return make_plan(snapshot, ledger, name, busy, wishes, manual=record.spec.approval == "Manual")


def drain_of(spec: ShiftSpec, group: AgentGroupSpec | None) -> Drain:
    """How agents in a call leave: not waited for when forced, else as the Shift says, else as the group says."""
    if spec.mode == "Forced":
        return FORCED
    return spec.drain or (group.drain if group else Drain())


def _wanted(spec: ShiftSpec, placed: Placed) -> Mapping[str, int]:
    """Buckets per site afterwards; nothing yet of an evacuation, where it depends on the other groups."""
    if spec.to:
        return gather_at(placed.map, spec.to, spec.percent, (spec.selector and spec.selector.site) or "")
    return {share.site: share.percent for share in spec.placement if share.percent}


def _named(spec: ShiftSpec) -> Iterator[tuple[str, str]]:
    """Each site that the declaration names, with its field."""
    if spec.to:
        yield "spec.to", spec.to
    if spec.evacuate:
        yield "spec.evacuate", spec.evacuate
    for share in spec.placement:
        yield "spec.placement", share.site


def _declaration(snapshot: Snapshot, namespace: str, spec: ShiftSpec) -> Refusal | None:
    for field, name in _named(spec):
        site = snapshot.sites.get(name)
        if site is None or site.spec is None:
            known = ", ".join(snapshot.active_sites()) or "none"
            message = f"{field} is {name!r}: there is no such Site (Active ones: {known}); correct it"
            return Refusal(Reason.UNKNOWN_SITE, message)
        if site.spec.role != "Active":
            return Refusal(Reason.NOT_ACTIVE, f"{field} is {name!r}: a Witness carries no agents; name an Active site")
    for name in spec.selector.names if spec.selector else ():
        if f"{namespace}/{name}" not in snapshot.groups:
            message = f"spec.selector.names holds {name!r}: there is no such AgentGroup in namespace {namespace}"
            elsewhere = [full for full in snapshot.groups if full.rpartition("/")[2] == name]
            remedy = _remedy(elsewhere) or "correct the name, or apply the group first"
            return Refusal(Reason.UNKNOWN_GROUP, f"{message}; {remedy}")
    return None


def _targets(snapshot: Snapshot, spec: ShiftSpec, name: str, group: AgentGroupSpec) -> Refusal | None:
    for field, to in _named(spec):
        if field == "spec.evacuate":
            continue  # they leave it, whatever is declared
        if to not in group.sites:
            message = (
                f"{field} is {to!r}, but {name} may only be at {', '.join(group.sites)}; add {to} to its spec.sites"
            )
            return Refusal(Reason.SITE_NOT_LISTED, message)
        if snapshot.system(to, group.system) is None:
            message = (
                f"{field} is {to!r}, which has no system {group.system!r} for {name}; add it to the Site's spec.systems"
            )
            return Refusal(Reason.UNKNOWN_SYSTEM, message)
    return None


def _remedy(elsewhere: Iterable[str]) -> str:
    """What to do where such groups are in other namespaces, which is the likeliest slip; empty: they are nowhere."""
    namespaces = sorted({name.partition("/")[0] for name in elsewhere})
    return f"such groups are in namespace {' and '.join(namespaces)}: create it there" if namespaces else ""


def _said(selector: Selector) -> str:
    given = selector.model_dump(exclude_defaults=True, by_alias=True)
    if selector.labels:
        given["labels"] = ", ".join(f"{key}={value}" for key, value in sorted(selector.labels.items()))
    if selector.names:
        given["names"] = ", ".join(selector.names)
    return "; ".join(f"{field}: {value}" for field, value in given.items())
