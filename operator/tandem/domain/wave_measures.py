"""What a wave has shown: who was released and has signed in, how fast, and how calls go at the target."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from tandem.domain.alarms import alarms_refusal, watch_of_shift
from tandem.domain.gates import Measured
from tandem.domain.pace import Leaving
from tandem.domain.placement import Moves, parse_moves
from tandem.domain.reasons import Refusal
from tandem.domain.records import GroupPlan, GroupReport, ShiftRecord, WaveBase
from tandem.domain.snapshot import Instant, ShiftEntry, Snapshot
from tandem.domain.target_tests import targets_of


def wave_moves(plan: GroupPlan, wave: int) -> Moves:
    """Buckets of one group that go in this wave, numbered from 1."""
    return parse_moves(plan.waves[wave - 1]) if 0 < wave <= len(plan.waves) else {}


def leaving_in(plans: Iterable[GroupPlan], wave: int) -> Iterator[Leaving]:
    """What leaves in this wave, as planned: the same however many transactions it takes to start it."""
    for plan in plans:
        moves = wave_moves(plan, wave)
        if moves:
            yield Leaving(plan.group, plan.system, leaving(plan, moves))


def leaving(plan: GroupPlan, moves: Moves) -> dict[str, float]:
    """Planned agents of some of a group's buckets by the site that they leave."""
    return _spread(plan, [slot.site for slot in moves.values()])


def entering(plan: GroupPlan, moves: Moves) -> dict[str, float]:
    """Planned agents of some of a group's buckets by the site that they enter."""
    return _spread(plan, [slot.to for slot in moves.values()])


def _spread(plan: GroupPlan, sites: Sequence[str]) -> dict[str, float]:
    """A group's planned agents by the sites of some of its buckets: each bucket has as many as any other."""
    whole = len(parse_moves(plan.moves))
    return {site: plan.agents * count / whole for site, count in Counter(sites).items()}


def moved_to(plans: Iterable[GroupPlan]) -> dict[tuple[str, str], float]:
    """Planned agents of a whole Shift by site and system that they enter: most that a way back may find there."""
    found: dict[tuple[str, str], float] = {}
    for plan in plans:
        for site, agents in entering(plan, parse_moves(plan.moves)).items():
            found[(site, plan.system)] = found.get((site, plan.system), 0.0) + agents
    return found


def base_of(snapshot: Snapshot, record: ShiftRecord, wave: int) -> WaveBase:
    """What is counted now, as this wave begins; of a city whose engine is silent at this moment, what was planned."""
    agents: Counter[str] = Counter()
    released: dict[str, int] = {}
    for plan, moves in _taking_part(record, wave):
        reports = reports_left(snapshot, plan, moves)
        planned = leaving(plan, moves)
        for site, report in reports.items():
            counted = round(planned[site]) if report is None else in_buckets(report, moves, site)
            agents[_name((site, plan.system))] += counted
        total = _released(reports.values())
        if total is not None:
            released[plan.group] = total
    answered: dict[str, int] = {}
    unanswered: dict[str, int] = {}
    for place in targets_of(record):
        calls = _calls(snapshot, place)
        if calls is not None:
            answered[_name(place)], unanswered[_name(place)] = calls
    return WaveBase(
        agents=agents.total(), agents_at=dict(agents), released=released, answered=answered, unanswered=unanswered
    )


def there_at_start(record: ShiftRecord) -> dict[tuple[str, str], float]:
    """Agents of the wave under way by site and system that they leave, as counted when it began."""
    found = ((key.partition("/"), agents) for key, agents in record.base.agents_at.items())
    return {(site, system): float(agents) for (site, _, system), agents in found}


def measured(snapshot: Snapshot, entry: ShiftEntry, record: ShiftRecord, now: Instant) -> Measured:
    """What the wave under way has shown so far."""
    released = present = 0
    left_at = entry.since
    unknown = False
    still_there = 0
    for plan, moves in _taking_part(record, record.wave):
        placed = snapshot.placements.get(plan.group)
        newest = placed.revision if placed is not None else 0
        # What an engine that stood still has to say when it wakes up is of a time when fewer had left.
        reports = {
            site: report if report is not None and report.revision >= newest else None
            for site, report in reports_left(snapshot, plan, moves).items()
        }
        total = _released(reports.values())
        if total is None or plan.group not in record.base.released:
            unknown = True
        else:
            released += _since(record.base.released[plan.group], total)
        # In buckets that have arrived there are guests by now, who have left once already.
        owned = {bucket: way for bucket, way in moves.items() if placed and placed.map.slots[bucket].site == way.site}
        still_there += sum(in_buckets(report, owned, site) for site, report in reports.items())
        for slot in set(moves.values()):
            report = snapshot.group_report(slot.to, plan.system, plan.group)
            if report is not None:
                here = (bucket for bucket, way in moves.items() if way == slot)
                present += sum(report.buckets.get(str(bucket), 0) for bucket in here)
        if placed is not None:
            left_at = max(left_at, placed.seen_at)
    if unknown:
        # A CTI that does not count: whoever was there and is not any more has left, home-goers included.
        released = max(record.base.agents - still_there, 0)
    arrived, p95 = _arrivals(snapshot, entry.name, record)
    answered = unanswered = 0
    for place in targets_of(record):
        calls = _calls(snapshot, place)
        name = _name(place)
        if calls is not None and name in record.base.answered:
            answered += _since(record.base.answered[name], calls[0])
            unanswered += _since(record.base.unanswered[name], calls[1])
    # Whoever is there now has signed in, though their arrival may have been forgotten with a CTI that restarted.
    alarm = alarmed(snapshot, entry, record)
    return Measured(released, max(arrived, present), p95, answered, unanswered, now.mono - left_at, alarm)


def alarmed(snapshot: Snapshot, entry: ShiftEntry, record: ShiftRecord) -> Refusal | None:
    """The first of its gates' alarms that is not quiet; one that nobody can ask is not."""
    watch = watch_of_shift(entry.name, record)
    return alarms_refusal(snapshot, watch) if watch is not None else None


def _taking_part(record: ShiftRecord, wave: int) -> Iterator[tuple[GroupPlan, Moves]]:
    for plan in record.plan:
        moves = wave_moves(plan, wave)
        if moves:
            yield plan, moves


def reports_left(snapshot: Snapshot, plan: GroupPlan, moves: Moves) -> dict[str, GroupReport | None]:
    """What the sites that these buckets leave say of the group; None: nothing."""
    sites = sorted({slot.site for slot in moves.values()})
    return {site: snapshot.group_report(site, plan.system, plan.group) for site in sites}


def in_buckets(report: GroupReport | None, moves: Moves, site: str) -> int:
    """Agents at `site` in those of these buckets that leave it."""
    if report is None:
        return 0
    return sum(report.buckets.get(str(bucket), 0) for bucket, slot in moves.items() if slot.site == site)


def _released(reports: Iterable[GroupReport | None]) -> int | None:
    """Agents released so far by these CTIs; None when one of them does not say."""
    found = [report.released if report is not None else None for report in reports]
    return None if None in found else sum(count for count in found if count is not None)


def _name(place: tuple[str, str]) -> str:
    return "/".join(place)


def _calls(snapshot: Snapshot, place: tuple[str, str]) -> tuple[int, int] | None:
    """Calls that agents at a place took and did not take since its CTI's start; None when it does not count."""
    report = snapshot.report(*place)
    groups = [group for group in report.groups.values() if group.calls_answered is not None] if report else []
    if not groups:
        return None
    return sum(group.calls_answered or 0 for group in groups), sum(group.calls_unanswered or 0 for group in groups)


def _arrivals(snapshot: Snapshot, shift: str, record: ShiftRecord) -> tuple[int, float]:
    """Agents of the wave under way who have told their gap at a target, and the 95th percentile of these."""
    agents, p95 = 0, 0.0
    for place in targets_of(record):
        entry = snapshot.moves.get(place)
        moves = entry.record.shifts.get(shift) if entry is not None else None
        wave = moves.waves.get(str(record.wave)) if moves is not None else None
        if wave is not None:
            agents += wave.agents
            p95 = max(p95, wave.p95)
    return agents, p95


def _since(before: int, now: int) -> int:
    """What was counted since; a CTI that has restarted counts from 0 again."""
    return now - before if now >= before else now
