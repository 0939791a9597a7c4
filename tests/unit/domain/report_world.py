"""A Drill with as many agents as asked for: each has a timeline of its own, and the CTIs tell what they would tell.

The agents' ways are drawn first (`Journey`). The CTIs' moves and the agents' timelines are two accounts of them that
know nothing of each other: what the report makes of the one is compared with what the other says.
"""

import itertools
import json
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from callcenter.directory import bucket
from tandem.constants import DOWN_EXTRA_S
from tandem.domain import keys
from tandem.domain.arrivals import ArrivalTally
from tandem.domain.capabilities import CTICapabilities
from tandem.domain.decision import Commit
from tandem.domain.records import (
    ArrivalRecord,
    ArrivalsRecord,
    CallCounts,
    DelayRecord,
    GroupReport,
    HeartbeatRecord,
    KeptRecord,
    MovesOfShift,
    MovesRecord,
    OperatorRecord,
    PlacementRecord,
    Record,
    RehearsedRecord,
    SystemReport,
)
from tandem.domain.report_model import DrillReport
from tests.unit.domain.drill_world import DRILL, HOLD_S, DrillWorld
from tests.unit.domain.world import World

GROUPS = tuple(f"callcenter/hotel-{region}-{skill}" for region in ("north", "south") for skill in ("sales", "service"))


@dataclass(frozen=True)
class Journey:
    """One agent's way to the other city, in seconds from the commit."""

    account: str
    group: str
    bucket: int
    left: float
    gap: float
    call: float
    wrapup: float
    standby: bool

    @property
    def arrived(self) -> float:
        return self.left + self.gap

    def arrival(
        self, source: str, to: str, *, at: float, gap: float, delay: DelayRecord, failed_over: bool = False
    ) -> ArrivalRecord:
        """What the CTI of the city `to` tells of it: signed in there at `at`, after `gap` seconds without a city."""
        return ArrivalRecord(
            account=self.account,
            group=self.group,
            bucket=self.bucket,
            came_from=source,
            to=to,
            gap=gap,
            at=at,
            delay=delay,
            failed_over=failed_over,
        )


def journeys(count: int, seed: int, rate: float = 1000.0) -> list[Journey]:
    """Most wait for their turn, one in twelve is in a call, and a few have no open connection to the other city."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        busy = chance.random() < 1 / 12
        call = chance.uniform(1, 40) if busy else 0.0
        wrapup = chance.uniform(2, 8) if busy else 0.0
        standby = chance.random() > 0.003
        gap = chance.lognormvariate(-4.6, 0.6) + (0.0 if standby else chance.uniform(0.2, 1.5))
        turn = number / rate + 0.05
        group = GROUPS[number % len(GROUPS)]
        left = max(call + wrapup, turn)
        account = f"agent{number:05}"
        found.append(Journey(account, group, bucket(account), left, gap, call, wrapup, standby))
    return found


class ReportWorld(DrillWorld):
    """Four groups, all their agents at east; calls are counted, and every location says its version."""

    def __init__(self, agents: int = 100, **spec: Any) -> None:
        self.commits: list[dict[str, Any]] = []
        """Every placement, as whoever follows the store writes it down."""
        World.__init__(self, capacity=max(1500, 2 * agents))
        self.agents = agents
        self.timeline: list[str] = []
        self.answered: Counter[tuple[str, str]] = Counter()
        self.cut: Counter[tuple[str, str]] = Counter()
        self.cut_per_way = 0
        """Calls of each group that are cut in each city while agents are on their way."""
        self.counts = True
        """Whether the CTIs count calls."""
        for observer in self.cities:
            self.observe(observer, "witness", "", "engine")
        for site in (*self.cities, "witness"):
            self.put(keys.heartbeat(site), HeartbeatRecord(site=site, engine=site, started_at=0, version="0.1.0"))
            self.put(keys.operator(site), OperatorRecord(version="0.1.0", kubernetes="v1.33.1"))
        for group in GROUPS:
            self.group({"east": 100}, group, agents=-(-agents // len(GROUPS)))
        self.settle()
        for number, group in enumerate(GROUPS):
            mixed = {"east": "0-9,20-99", "west": "10-19"} if number == 0 else {"east": "0-99"}
            self.put(keys.placement(group), self.record(group).model_copy(update={"map": mixed}))
        self.at_work = journeys(agents, seed=7)
        for one in self.at_work:
            self.write(self.mono - 60, one, "signed-in", self.home(one), cause="fresh")
        self.work_at_home()
        self.drill(**spec)
        self.settle()

    @staticmethod
    def home(one: Journey) -> str:
        return "west" if one.group == GROUPS[0] and 10 <= one.bucket < 20 else "east"

    def work_at_home(self) -> None:
        where = {one.account: self.home(one) for one in self.at_work}
        for site in self.cities:
            self.work(site, where)

    def put(self, key: str, record: Record) -> None:
        super().put(key, record)
        self._follow(key, record)

    def commit(self, commit: Commit) -> bool:
        done = super().commit(commit)
        for key, record in commit.writes.items() if done else ():
            self._follow(key, record)
        return done

    def _follow(self, key: str, record: Record | None) -> None:
        if isinstance(record, PlacementRecord):
            line = {"at": record.committed_at, "group": key.removeprefix(keys.PLACEMENTS), "cause": record.cause}
            self.commits.append(line | {"map": record.map})

    def take_calls(self, site: str, agents: Sequence[Journey], cause: str = "caller") -> None:
        """Each of them answers one call there, which is over a second later."""
        for one in agents:
            self.write(self.mono, one, "call", site, call=f"c{len(self.timeline)}")
            self.write(self.mono + 1, one, "call-ended", site, cause=cause)
            self.answered[site, one.group] += 1
            self.cut[site, one.group] += cause == "cut"

    def work(self, site: str, where: dict[str, str]) -> None:
        """What a CTI reports when these agents are where they are."""
        self.where = where
        groups: dict[str, GroupReport] = {}
        for group in GROUPS:
            own = [one for one in self.at_work if one.group == group and where.get(one.account) == site]
            buckets: dict[str, int] = {}
            for one in own:
                buckets[str(one.bucket)] = buckets.get(str(one.bucket), 0) + 1
            placed = self.snapshot.placements.get(group)
            answered, cut = self.answered[site, group], self.cut[site, group]
            counts = CallCounts(answered=1000 + answered, hung_up=997 + answered - cut, cut=cut, abandoned=2)
            groups[group] = GroupReport(
                revision=placed.revision if placed else 0,
                signed_in=len(own),
                talking=len(own) // 12,
                buckets=buckets,
                calls=counts if self.counts else None,
            )
        record = SystemReport(
            boot=f"boot-{site}",
            confirmed=True,
            groups=groups,
            softswitch_uptime=int(self.mono),
            calls=0,
            capabilities=CTICapabilities(impair=True, version="callcenter 0.1.0"),
            softswitch_version="kamailio 5.6.3",
        )
        self.put(keys.report(site, "hotel"), record)

    def write(self, at: float, one: Journey, event: str, site: str, **more: Any) -> None:
        """A line of an agent's diary; the monotonic clock of the agents' process began some time ago."""
        line = {
            "at": at,
            "mono": at - 123.456,
            "account": one.account,
            "group": one.group,
            "event": event,
            "site": site,
        }
        self.timeline.append(json.dumps(line | more))

    def confirmed(self) -> None:
        """Everybody who has to says that the site of the rehearsal is lost, for as long as it takes."""
        self.silenced_at = self.mono
        for observer in ("east", "west", "witness"):
            word = RehearsedRecord(
                state="Fail",
                since=self.mono,
                firm=True,
                failure_domain=f"domain-{observer}",
                detail="rehearsal",
                run=f"{DRILL}/{self.run.name}",
            )
            self.put(keys.rehearsed(observer, "east", "hotel", DRILL), word)
        self.settle()
        self.advance(2.0 + DOWN_EXTRA_S + 0.01)
        self.settle()

    def go(self, *, seed: int, stay_away: int = 0, detail: bool = True, silent: int = 0) -> None:
        """Everybody of the Shift under way travels, but for the last `stay_away`, who sign out before.

        The first `silent` have heard nothing since `silenced_at`, and come by their own evidence.
        """
        outward = self.state.phase == "Out"
        leg = self.run.out if outward else self.run.back
        commit = self.shift_record(leg.shift).started_at
        movers = [
            one
            for one in journeys(self.agents, seed)
            if self.home(one) == "east"  # those at west stay there, out and back
        ]
        arrived, gone = movers[: len(movers) - stay_away], movers[len(movers) - stay_away :]
        tally, other = ArrivalTally(commit), "west" if outward else "east"
        source = "east" if outward else "west"
        for one in gone:
            self.write(commit + 0.01, one, "out", source, cause="SignedOut")
        alone, arrived = arrived[:silent], arrived[silent:]
        for number, one in enumerate(alone):
            out_since, there = self.silenced_at + 0.001 * number, commit + 1.0 + 0.013 * number
            self.write(out_since + 2.73, one, "lost", source, cause="Silent")
            self.write(there, one, "signed-in", other, cause="failover", gap=round(there - out_since, 6))
            delay = DelayRecord(kept=None, door_seconds=0.9, standby=True)
            gap = round(there - out_since, 4)
            tally.add(one.arrival(source, other, at=there, gap=gap, delay=delay, failed_over=True))
        for one in arrived:
            self.write(commit + one.left, one, "released", source, to=other)
            self.write(commit + one.arrived, one, "signed-in", other, cause="ticket")
            kept = KeptRecord(call=one.call, wrapup=one.wrapup, turn=max(one.left - one.call - one.wrapup, 0.0))
            delay = DelayRecord(kept=kept, door_seconds=0.0, standby=one.standby)
            tally.add(one.arrival(source, other, at=commit + one.arrived, gap=one.gap, delay=delay))
        self.advance(max((one.arrived for one in arrived), default=0.0) + 2.5)
        for site, group in itertools.product(self.cities, GROUPS):
            self.cut[site, group] += self.cut_per_way
        where = {one.account: other for one in (*alone, *arrived)} | {
            one.account: "west" for one in self.at_work if self.home(one) == "west"
        }
        for site in self.cities:
            self.work(site, where)
        gaps = sorted([one.gap for one in arrived] + [5.0] * silent)
        moves = MovesOfShift(
            agents=len(gaps), p50=gaps[len(gaps) // 2], p95=gaps[int(len(gaps) * 0.95)], max=gaps[-1], last_at=self.mono
        )
        if detail:
            self.put(keys.arrivals(other, "hotel"), ArrivalsRecord(shifts={leg.shift: tally.record()}))
        self.put(keys.moves(other, "hotel"), MovesRecord(shifts={leg.shift: moves}))
        self.settle()

    def whole_run(self, *, number: str = "1", detail: bool = True, stay_away: int = 0, silent: int = 0) -> DrillReport:
        """Out, hold with calls, back; the report of it."""
        self.command(number=number)
        self.settle()
        if silent:
            self.confirmed()
        self.go(seed=11 + int(number), detail=detail, stay_away=stay_away, silent=silent)
        if stay_away:
            self.advance(6)
            self.settle()
        assert self.phase() == "Holding", self.state.message
        self.advance(HOLD_S / 2)
        self.take_calls("west", [one for one in self.at_work if self.where.get(one.account) == "west"][:25])
        for site in self.cities:
            self.work(site, self.where)
        self.advance(HOLD_S / 2 + 0.1)
        self.settle()
        self.go(seed=23 + int(number), detail=detail, stay_away=stay_away)
        if stay_away:
            self.advance(6)
            self.settle()
        assert self.phase() == "Waiting", self.state.message
        return self.newest

    @property
    def newest(self) -> DrillReport:
        """The report of the last run."""
        return self.snapshot.drill_reports[f"{DRILL}/{self.last.name}"].record.report
