"""Outlook: what a plan means, as data and as text, before anything moves.

    who moves, wave by wave, how long it takes, what each site carries before and after,
    what must hold, what the adapters can and cannot promise, what would stop it

Pure arithmetic on a plan that has been accepted; it decides nothing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from tandem.api.agentgroup import Drain
from tandem.api.common import duration_seconds, duration_text
from tandem.api.gates import Gates
from tandem.api.shift import (
    AgentLoad,
    CallRateInPlan,
    GroupInPlan,
    Load,
    RateInPlan,
    ReplicasInPlan,
    ShiftPlan,
    SiteInPlan,
    WaveInPlan,
)
from tandem.api.site import System
from tandem.constants import FORCE_GRACE_S, PREPARE_PATIENCE_S, READY_UNKNOWN_S, STAY_GRACE_S, VERIFY_S, WAVE_S
from tandem.domain.buckets import parse_ranges
from tandem.domain.capabilities import of_the_leaving_side, of_the_receiving_side
from tandem.domain.capacity import Ledger, wanted_replicas
from tandem.domain.gates import patience_text, stated, stated_alarms
from tandem.domain.pace import needed_s
from tandem.domain.placement import BucketMap
from tandem.domain.records import GroupPlan, GroupReport
from tandem.domain.snapshot import Snapshot
from tandem.domain.wave_measures import leaving_in

GROUPS_IN_TEXT: Final = 20
"""Groups that the text names; the data has all of them."""

Place = tuple[str, str]
"""A site and one of its systems."""


@dataclass(frozen=True)
class Going:
    """One group as its plan moves it."""

    plan: GroupPlan
    expected: int
    """Agents that the group has at once, by its spec."""
    agents: Mapping[int, float]
    """Agents per moving bucket."""
    drain: Drain
    pace: int
    gates: Gates
    forced: bool

    @property
    def system(self) -> str:
        return self.plan.system


def outlook(snapshot: Snapshot, ledger: Ledger, goings: Sequence[Going], *, manual: bool) -> ShiftPlan:
    """What is foreseen; `groups` is left empty, for it follows from the plans (`groups_in`).

    Args:
        ledger: Loads without this plan.
        manual: Whether a person has to approve it.
    """
    waves = _waves(snapshot, goings)
    sites = tuple(_sites(snapshot, ledger, goings, waves))
    promises, limits = _statements(snapshot, goings)
    return ShiftPlan(
        agents=sum(going.plan.agents for going in goings),
        busy=sum(_busy(snapshot, going) for going in goings),
        pace=goings[0].pace,
        expected=duration_text(sum(wave.expected for wave in waves)),
        longest=duration_text(sum(wave.longest for wave in waves) + VERIFY_S),
        waves=tuple(wave.shown for wave in waves),
        sites=sites,
        gates=tuple(_gates(snapshot, goings, sites)),
        promises=promises,
        limits=limits,
        stops=tuple(_stops(goings, manual)),
    )


def groups_in(plans: Iterable[GroupPlan]) -> tuple[GroupInPlan, ...]:
    """The plan group by group."""
    return tuple(
        GroupInPlan(
            group=plan.group,
            system=plan.system,
            agents=plan.agents,
            before=dict(BucketMap.parse(plan.before).end_shares),
            after=dict(BucketMap.parse(plan.after).end_shares),
            moves=plan.moves,
            waves=tuple(",".join(wave.values()) for wave in plan.waves),
        )
        for plan in plans
    )


def longest_s(drain: Drain, leaving_s: float) -> float:
    """Seconds that a wave may take: the longest call and wrap-up, and the time that its pace needs (`needed_s`)."""
    wait = duration_seconds(drain.max_talk) + duration_seconds(drain.max_wrap_up) + leaving_s
    return wait + (FORCE_GRACE_S if drain.on_deadline == "Force" else STAY_GRACE_S)


# -- time


@dataclass(frozen=True)
class _Wave:
    shown: WaveInPlan
    expected: float
    longest: float
    rates: Mapping[Place, float]
    """Sign-ins a second at each place that receives agents."""


def _waves(snapshot: Snapshot, goings: Sequence[Going]) -> list[_Wave]:
    whole = sum(sum(going.agents.values()) for going in goings)
    pace = goings[0].pace
    found: list[_Wave] = []
    moved = 0.0
    buckets = sum(len(going.agents) for going in goings)
    buckets_moved = 0
    for number in range(max(len(going.plan.waves) for going in goings)):
        taking_part = [going for going in goings if number < len(going.plan.waves) and going.plan.waves[number]]
        arriving: dict[Place, float] = defaultdict(float)
        there: dict[Place, float] = defaultdict(float)
        agents = 0.0
        for going in taking_part:
            for direction, ranges in going.plan.waves[number].items():
                leaves, _, enters = direction.partition(">")
                place = (enters, going.system)
                here = parse_ranges(ranges)
                buckets_moved += len(here)
                count = sum(going.agents.get(bucket, 0.0) for bucket in here)
                agents += count
                arriving[place] += count
                there[(leaves, going.system)] += count
        # Each place has its part of the pace, which is that of all of them together.
        rates = {
            place: min(count, pace * count / agents if pace else count, _rate(snapshot, place))
            for place, count in arriving.items()
            if agents
        }
        needs = [count / rates[place] for place, count in arriving.items() if rates.get(place)]
        expected = max([*needs, 0.0]) + WAVE_S
        # By buckets at night, when nobody is there.
        moved += agents
        share = moved / whole if whole else buckets_moved / buckets
        leaving_s = needed_s(pace, list(leaving_in((going.plan for going in goings), number + 1)), there)
        longest = max(longest_s(going.drain, leaving_s) for going in taking_part)
        shown = WaveInPlan(
            percent=round(100 * share),
            groups=len(taking_part),
            agents=round(agents),
            expected=duration_text(expected),
            longest=duration_text(max(longest, expected)),
        )
        found.append(_Wave(shown, expected, max(longest, expected), rates))
    return found


def _rate(snapshot: Snapshot, place: Place) -> float:
    """Sign-ins a second that a site's system bears: what its Site states, or less if its CTI says so."""
    system = snapshot.system(*place)
    if system is None:
        return 0.0
    report = snapshot.report(*place)
    own = report.capabilities.max_rate if report and report.capabilities else 0
    stated = system.cti.capacity.sign_ins_per_second
    return float(min(stated, own) if own else stated)


def _busy(snapshot: Snapshot, going: Going) -> int:
    """Agents of a group who are in a call or its wrap-up at the sites that they leave."""
    reports = (snapshot.group_report(site, going.system, going.plan.group) for site in going.plan.sources)
    return sum(_in_a_call(report) for report in reports if report is not None)


def _in_a_call(report: GroupReport) -> int:
    return report.ringing + report.talking + report.wrapup


# -- load and capacity


@dataclass
class _Change:
    """What the plan adds to one place and takes from it."""

    arriving: float = 0.0
    leaving: float = 0.0
    load: int = 0
    calls: float = 0.0
    new_calls: float | None = 0.0
    """A second; None: somewhere that it depends on they are not measured."""


def _sites(snapshot: Snapshot, ledger: Ledger, goings: Sequence[Going], waves: Sequence[_Wave]) -> Iterator[SiteInPlan]:
    changes: dict[Place, _Change] = defaultdict(_Change)
    ways: dict[tuple[Place, Place], float] = defaultdict(float)
    for going in goings:
        for direction, ranges in going.plan.moves.items():
            leaves, _, enters = direction.partition(">")
            way = (leaves, going.system), (enters, going.system)
            ways[way] += sum(going.agents.get(bucket, 0.0) for bucket in parse_ranges(ranges))
        after = BucketMap.parse(going.plan.after).touched_shares
        for site in {*going.plan.sources, *going.plan.targets}:
            will_be = ledger.will_be(site, going.system, going.plan.group, going.expected, after.get(site, 0))
            changes[(site, going.system)].load += will_be - ledger.load_of(site, going.system, going.plan.group)
    for (left, entered), agents in ways.items():
        changes[left].leaving += agents
        changes[entered].arriving += agents
        share = _share_of_agents(snapshot, left, agents)
        report = snapshot.report(*left)
        new_calls = report.calls_per_second if report else None
        for change, part in ((changes[left], -share), (changes[entered], share)):
            change.calls += part * report.calls if report else 0.0
            change.new_calls = _known_sum(change.new_calls, None if new_calls is None else part * new_calls)
    for (site, name), change in sorted(changes.items()):
        system = snapshot.system(site, name)
        before = ledger.load(site, name)
        report = snapshot.report(site, name)
        calls = report.calls if report else 0
        new_calls = report.calls_per_second if report else None
        peak = max((wave.rates.get((site, name), 0.0) for wave in waves), default=0.0)
        yield SiteInPlan(
            site=site,
            system=name,
            arriving=round(change.arriving),
            leaving=round(change.leaving),
            agents=AgentLoad(before=before, after=before + change.load, most=ledger.capacity(site, name)),
            sign_ins_per_second=RateInPlan(expected=round(peak), most=round(_rate(snapshot, (site, name)))),
            calls=Load(before=calls, after=max(round(calls + change.calls), 0)),
            new_calls_per_second=CallRateInPlan(
                before=_rate_text(new_calls),
                after=_rate_text(_known_sum(new_calls, change.new_calls)),
                most=system.softswitch.capacity.calls_per_second if system else 0,
            ),
            replicas=tuple(_replicas(system, before, before + change.load)) if system else (),
        )


def _share_of_agents(snapshot: Snapshot, place: Place, agents: float) -> float:
    """What `agents` are of all who are signed in there: as much of its calls is taken to follow them."""
    report = snapshot.report(*place)
    signed_in = sum(group.signed_in for group in report.groups.values()) if report else 0
    return agents / signed_in if signed_in else 0.0


def _known_sum(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _rate_text(a_second: float | None) -> str:
    return "" if a_second is None else f"{max(a_second, 0.0):.1f}"


def _replicas(system: System, before: int, after: int) -> Iterator[ReplicasInPlan]:
    for part, scaling in (("cti", system.cti.scaling), ("softswitch", system.softswitch.scaling)):
        now, then = (0, 0) if scaling.mode == "None" else (wanted_replicas(n, scaling) for n in (before, after))
        yield ReplicasInPlan.model_validate({"part": part, "scaling": scaling.mode, "before": now, "after": then})


# -- what must hold, what is promised, what stops it


def _deep_probes(snapshot: Snapshot, goings: Sequence[Going]) -> Iterator[tuple[str, str]]:
    """Each target with what its test agents do there."""
    for site, name in sorted({(site, going.system) for going in goings for site in going.plan.targets}):
        system = snapshot.system(site, name)
        yield f"{name} at {site}", system.deep_probes if system is not None else "None"


def _gates(snapshot: Snapshot, goings: Sequence[Going], sites: Sequence[SiteInPlan]) -> Iterator[str]:
    targets = " and ".join(sorted({site for going in goings for site in going.plan.targets}))
    yield (
        f"before the first wave {targets} must be usable: its own probes and another location's pass, for softswitch "
        "and CTI, and its own deep probes where it has them; it is not in quarantine, and nothing is held. That is "
        f"waited for up to {duration_text(PREPARE_PATIENCE_S)}; then it fails with nobody moved"
    )
    entered = {(site, going.system) for going in goings for site in going.plan.targets}
    if replicas := [
        f"{part.after} of the {part.part} of {site.system} at {site.site}"
        for site in sites
        for part in site.replicas
        if (site.site, site.system) in entered and part.scaling != "None"
    ]:
        yield (
            f"before the first wave replicas must be Ready: {', '.join(replicas)}; that is waited for as long, and for "
            f"{READY_UNKNOWN_S:.0f} s where the operator there cannot say how many are"
        )
    if tested := [where for where, mode in _deep_probes(snapshot, goings) if mode != "None"]:
        yield (
            f"before the first wave a test agent must sign in at {' and '.join(tested)} and be called, anew, by its "
            "own location and by another one; that is waited for as long"
        )
    several = max(len(going.plan.waves) for going in goings) > 1
    if alarms := stated_alarms(goings[0].gates):
        yield f"before the first wave{' and before each next' if several else ''}: {alarms}"
    if several:
        yield (
            "before each next wave everybody of the one before must have left, or be in a call beyond the longest "
            "wait; and the same must hold again, for as long as it takes"
        )
        for gate in stated(goings[0].gates.model_copy(update={"alarms": None})):
            yield f"before each next wave, of the one before: {gate}"


def _statements(snapshot: Snapshot, goings: Sequence[Going]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Promises and limits, each said once with the CTIs that it is true of."""
    places: dict[tuple[bool, str], list[str]] = {}
    left = {(site, going.system): going.forced for going in goings for site in going.plan.sources}
    entered = {(site, going.system) for going in goings for site in going.plan.targets}
    for site, system in sorted({*left, *entered}):
        report = snapshot.report(site, system)
        can = report.capabilities if report else None
        where = f"{system} at {site}"
        if can is None:
            places.setdefault((False, "has not said what it can do"), []).append(where)
            continue
        if (site, system) in left:
            for statement in of_the_leaving_side(can, forced=left[(site, system)]):
                places.setdefault(statement, []).append(where)
        if (site, system) in entered:
            for statement in of_the_receiving_side(can):
                places.setdefault(statement, []).append(where)

    for where, mode in _deep_probes(snapshot, goings):
        if mode == "None":
            untried = "has no test agents (deepProbes: None): no sign-in and no call is tried beforehand"
            places.setdefault((False, untried), []).append(where)
        elif mode == "SignIn":
            untried = "its test agents are not called (deepProbes: SignIn): no call is tried beforehand"
            places.setdefault((False, untried), []).append(where)

    def said(promise: bool) -> tuple[str, ...]:
        return tuple(f"{', '.join(wheres)}: {text}" for (kind, text), wheres in places.items() if kind is promise)

    return said(True), said(False)


def _stops(goings: Sequence[Going], manual: bool) -> Iterator[str]:
    left = sorted({site for going in goings for site in going.plan.sources})
    waves = max(len(going.plan.waves) for going in goings)
    targets = sorted({site for going in goings for site in going.plan.targets})
    if manual:
        yield "whatever moves one of its groups before it is approved: then it fails, and has to be made again"
    yield "`kubectl tandem hold`: no further wave starts; buckets on their way arrive"
    yield "spec.abort: true: what it has moved goes back, by waves and at the same pace"
    yield f"{' or '.join(targets)} not usable any more, or in quarantine: the next wave waits"
    if waves > 1 and any(True for _ in stated(goings[0].gates)):
        yield patience_text(goings[0].gates)
    yield (
        f"an emergency of {' or '.join(sorted({*left, *targets}))}: it ends as Interrupted, says what it had done, and "
        "does not resume by itself"
    )


# -- as text


def plan_text(planned: ShiftPlan, goings: Sequence[Going]) -> tuple[str, ...]:
    """The plan as lines for the person who approves it: the whole first, the groups last."""
    return tuple(_lines(planned, goings))


def _lines(planned: ShiftPlan, goings: Sequence[Going]) -> Iterator[str]:
    groups, waves = _counted(len(goings), "group"), _counted(len(planned.waves), "wave")
    targets = ", ".join(sorted({site for going in goings for site in going.plan.targets}))
    yield f"Move about {planned.agents} agents of {groups} to {targets} in {waves}."
    pace = f"At most {planned.pace} agents a second in all" if planned.pace else "As fast as the CTI takes them"
    busy = f" {planned.busy} of them are in a call or its wrap-up now." if planned.busy else ""
    yield f"{pace}: about {planned.expected} while nobody is in a call, {planned.longest} at most.{busy}"
    if len(planned.waves) > 1:
        for number, wave in enumerate(planned.waves, 1):
            agents = f"about {wave.agents} agents of {_counted(wave.groups, 'group')}"
            yield f"Wave {number}: {agents}, {wave.percent} % then; about {wave.expected}, {wave.longest} at most."
    for site in planned.sites:
        yield _site_line(site)
    for drain in sorted({going.drain for going in goings}, key=str):
        forced = drain.on_deadline == "Force"
        beyond = "leave in the middle of it, and it goes on" if forced else "stay until their call has ended"
        if forced and not duration_seconds(drain.max_talk) + duration_seconds(drain.max_wrap_up):
            yield "Nobody in a call or its wrap-up is waited for: they leave in the middle of it, and the call goes on."
            continue
        yield (
            f"Agents in a call move after it (at most {drain.max_talk}) and its wrap-up (at most "
            f"{drain.max_wrap_up}); those beyond {beyond}."
        )
    for words, sentences in (
        ("Gate", planned.gates),
        ("Promised", planned.promises),
        ("Not promised", planned.limits),
        ("Would stop it", planned.stops),
    ):
        for sentence in sentences:
            yield f"{words}: {sentence}."
    for going in goings[:GROUPS_IN_TEXT]:
        plan = going.plan
        before, after = _shares(plan.before), _shares(plan.after)
        changes = ", ".join(f"{text} {ranges}" for text, ranges in plan.moves.items())
        yield f"{plan.group}: {before} -> {after} (about {plan.agents} agents; buckets {changes})."
    if len(goings) > GROUPS_IN_TEXT:
        yield f"And {len(goings) - GROUPS_IN_TEXT} groups more: status.planned.groups has them all."


def _site_line(site: SiteInPlan) -> str:
    coming = [f"about {site.arriving} arrive"] if site.arriving else []
    coming += [f"about {site.leaving} leave"] if site.leaving else []
    parts = [
        " and ".join(coming) or "nobody is there now",
        f"{site.agents.before} of {site.agents.most} agents planned now, {site.agents.after} afterwards",
    ]
    rate = site.sign_ins_per_second
    if rate.expected:
        parts.append(f"up to {rate.expected} sign-ins a second of {rate.most}")
    parts.append(f"{site.calls.before} calls now, about {site.calls.after} afterwards")
    parts.append(_new_calls(site.new_calls_per_second))
    parts += [
        f"replicas of the {part.part}: {part.before} needed now, {part.after} afterwards ({part.scaling})"
        for part in site.replicas
        if part.scaling != "None"
    ]
    return f"{site.system} at {site.site}: {'; '.join(parts)}."


def _new_calls(rate: CallRateInPlan) -> str:
    if not rate.before:
        return f"new calls a second not measured, at most {rate.most}"
    afterwards = f"about {rate.after}" if rate.after else "not known how many"
    return f"{rate.before} new calls a second of {rate.most} now, {afterwards} afterwards"


def _shares(encoded: Mapping[str, str]) -> str:
    return ", ".join(f"{site} {percent} %" for site, percent in sorted(BucketMap.parse(encoded).end_shares.items()))


def _counted(number: int, word: str) -> str:
    return f"1 {word}" if number == 1 else f"{number} {word}s"
