"""One seed: what the world is like, what people order, which faults strike, healing, and whether all is well again."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random
from typing import Any, Final

from callcenter.session.lease import Timing
from tandem.api.drill import UNDER_WAY
from tandem.api.shift import FINISHED
from tandem.domain import keys
from tandem.domain.records import DrillRecord, ShiftRecord
from tests.sim import faults
from tests.sim.cti import operating_system_replaced
from tests.sim.engine import records_read_once
from tests.sim.promises import BrokenPromiseError
from tests.sim.scheduler import WALL_EPOCH
from tests.sim.shorter import REHEARSAL_MOST_S, times_shortened
from tests.sim.timetable import TIMETABLES, Timetable
from tests.sim.world import THREE_CITIES, TWO_CITIES, WITNESS_SITE, GroupPlan, Setting, World

SETTLED_S: Final = 4.5
"""Seconds from the start until everybody works, in which nothing happens."""

BOUND_S: Final = 30.0
"""Seconds after healing within which everybody works again and nothing is on its way any more."""

HOMEWARD_S: Final = 12.0
"""Most seconds for which it is watched who returns by himself: quarantine, or longer `stableFor`, and the move."""

ENOUGH: Final = 13_000
"""Steps after which everything heals, however much was to come yet: one story in seven would take longer."""

ENOUGH_OF_A_DRILL: Final = 10_000
"""The same for a Drill among three cities: it takes longest to end, and each second there half as much again."""

WATCHED: Final = 18_000
"""Steps after which nobody is watched on his way home any more."""

LIVENESS: Final = "Liveness"

LAST_MOMENTS: Final = 0.08
"""Share of the stories about Shifts and orders in which somebody holds everything between a decision and its commit."""

LOST_WAYS: Final = 0.12
"""Share of the stories with a Shift in which nobody who is released can reach the target."""

CROWDED: Final = 0.1
"""Share of the stories with a Shift, and nothing worse, whose target is full of what is not committed there."""

TWICE: Final = 0.5
"""Share of the stories about a city that is not gone for long in which it is so twice."""

LAST_ABORTS: Final = 0.08
"""Share of the stories about Shifts in which somebody aborts it between a decision and its commit."""

DRILLS: Final = 0.12
"""Share of the stories in which somebody starts a Drill."""

FAILOVERS: Final = 0.4
"""Share of the Drills that rehearse a failover."""

SCHEDULED: Final = 0.35
"""Share of the Drills that start by their schedule."""

WIDE: Final = 0.15
"""Share of the stories with a third city instead of the witness."""

ROOMS: Final = ("everybody", "half of a city", "a few")
"""For whom each of three cities has room beside its own agents."""


@dataclass
class Outcome:
    """What came of one seed."""

    seed: int
    broken: str = ""
    """Name of the broken promise, `Error` for anything else that went wrong; empty: all kept."""
    said: str = ""
    at: float = 0.0
    digest: str = ""
    steps: int = 0
    virtual_s: float = 0.0
    cpu_s: float = 0.0
    healed_in_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    commits: Counter[str] = field(default_factory=Counter)
    stats: Counter[str] = field(default_factory=Counter)
    theme: str = ""

    @property
    def moved(self) -> bool:
        """Whether anybody's bucket was moved on purpose or failed over."""
        return any(self.commits[kind] for kind in ("Shift", "Order", "Drill", "Failover"))


class Scenario:
    """Draws what happens from the seed and lets it happen."""

    def __init__(self, seed: int, tell: Callable[[str], None] | None = None) -> None:
        self.rng = Random(f"{seed}/scenario")
        self.setting, self.ends, self.theme = _draw(seed, self.rng)
        self.world = World(seed, self.setting, tell=tell)
        self.faults: Counter[str] = Counter()
        self.undo: list[tuple[str, faults.Undo]] = []
        self.healed = False
        self._plan()

    # -- what is going to happen

    def _plan(self) -> None:
        rng = self.rng
        first = SETTLED_S + rng.uniform(0.0, 2.0)
        if self.theme in SHIFTED:
            self._plan_shift(first)
        if self.theme == "move, stopped midway":
            self._plan_stops(first)
        if self.theme in ("move", "move, stopped midway", "order"):
            self._plan_hold_in_the_last_moment(first, Random(f"{self.world.seed}/last moment"))
        if self.theme == "move":
            self._plan_abort_in_the_last_moment(first, Random(f"{self.world.seed}/last abort"))
        if self.theme == "order":
            group = rng.choice(self.setting.groups)
            ordered = _shares(rng, self.setting.cities)
            self._at(first, lambda: self.world.order(group, ordered, 1))
            if rng.random() < 0.3:
                self._at(first + rng.uniform(1.0, 5.0), lambda: self.world.apply_again(group, ordered, 1))
        if self.theme.startswith("disaster"):
            self._plan_disaster(first + rng.uniform(0.0, 2.0))
        if self.theme == "half truths":
            self._plan_half_truth(first + rng.uniform(0.0, 2.0))
        if self.theme.startswith("disaster") and rng.random() < 0.4:
            group = rng.choice(self.setting.groups)
            self._at(rng.uniform(first, self.ends), lambda: self.world.apply_again(group, group.placement, 0))
        self._plan_drill(first, Random(f"{self.world.seed}/drill"))
        few = 1 if self.theme.startswith("disaster") else 2
        for _ in range(rng.choice([0, 0, 1, 1, 2, 3]) + (few if self.theme == "faults only" else 0)):
            kind = faults.draw(rng)
            self._at(rng.uniform(SETTLED_S, self.ends - 1.0), lambda kind=kind: self._strike(kind))  # type: ignore[misc]
        if rng.random() < (0.4 if self.theme == "move, stopped midway" else 0.12):
            held_at = rng.uniform(SETTLED_S, self.ends - 2.0)
            self._at(held_at, self.world.hold)
            if rng.random() < 0.5:
                self._at(held_at + rng.uniform(1.0, 5.0), self.world.unhold)

    def _plan_shift(self, first: float) -> None:
        rng, world = self.rng, self.world
        to = rng.choice(world.cities)
        spec: dict[str, Any] = {"selector": {"system": "hotel"}}
        spec |= _goal(self.setting, to, rng.choice([100, 100, 60, 30]), Random(f"{world.seed}/goal"))
        spec["waves"] = rng.choice([(100,), (100,), (20, 100), (10, 50, 100)])
        spec["pace"] = rng.choice([0, 0, 10])
        # From numbers of their own: the stories stay what they were.
        own = Random(f"{self.world.seed}/gates")
        spec["gates"] = {
            "signedIn": own.choice([95, 95, 100, 50, 0]),
            "signInTime": own.choice(["5s", "1s", "500ms"]),
            "callSuccess": own.choice([80, 0]),
            "observe": own.choice(["0s", "0s", "1s"]),
            "patience": own.choice(["2s", "5s", "5m"]),
            "afterPatience": own.choice(["Abort", "Wait"]),
        }
        if rng.random() < 0.3:
            stay = rng.choice(["Stay", "Force"])
            spec["drain"] = {"maxTalk": f"{rng.choice([1, 2])}s", "maxWrapUp": "1s", "onDeadline": stay}
        spec |= self._plan_lost_way(first) if _loses_its_way(world.seed) else {}
        if self.theme == "move" and _is_crowded(world.seed):
            self._plan_crowd(first, spec)
            return
        self._at(first, lambda: world.shift("s1", **spec))
        if rng.random() < 0.3:
            self._at(first + rng.uniform(0.02, 3.0), lambda: world.abort("s1"))
        if rng.random() < 0.4:
            back = {**spec, "to": world.other(to), "placement": (), "evacuate": None, "waves": (100,)}
            self._at(first + rng.uniform(1.0, 6.0), lambda: world.shift("s2", **back))

    def _plan_lost_way(self, first: float) -> dict[str, Any]:
        """Nobody who is released can reach the target, and the wave is not over: some of it are in calls.

        Returns: What the Shift is like in such a story.
        """
        world, groups = self.world, self.setting.groups
        rng = Random(f"{world.seed}/on a lost way")
        (leaves,) = groups[0].placement
        to = world.other(leaves)
        ways = [way for floor in faults.FLOORS for way in ((floor, to), (to, floor))]
        lasts = rng.uniform(6.0, 8.0)
        self._at(first - 0.1, lambda: self._begin("floors cut off the target", lasts, lambda: faults.cut(world, *ways)))
        for number in range(4):
            group = rng.choice(groups).name
            self._at(first - 0.8 + 0.15 * number, lambda group=group: world.call_comes(leaves, group))  # type: ignore[misc]
        goal = {"to": to, "percent": 100, "placement": (), "evacuate": None, "waves": (50, 100)}
        return {**goal, "gates": {"signedIn": rng.choice([95, 100]), "patience": "5s"}}

    def _plan_crowd(self, first: float, spec: dict[str, Any]) -> None:
        """The target is full, and what fills it is not committed there: guests, or what another Shift may bring yet."""
        world, (group, other_group) = self.world, self.setting.groups
        (leaves,) = group.placement
        spec |= {"to": world.other(leaves), "placement": (), "evacuate": None, "percent": 100}
        some, others = ({"selector": {"names": [one.name.rpartition("/")[2]]}} for one in (group, other_group))
        if Random(f"{world.seed}/guests").random() < 0.5:
            ways = [way for floor in faults.FLOORS for way in ((floor, leaves), (leaves, floor))]
            self._at(SETTLED_S, lambda: self._begin("floors cut off a city", 9.0, lambda: faults.cut(world, *ways)))
            self._at(first + 5.0, lambda: world.shift("s1", **{**spec, **others, "waves": (100,)}))
        else:
            self._at(first, lambda: world.shift("s1", **{**spec, **some, "waves": (50, 100)}))
            self._at(first + 0.3, lambda: world.shift("s2", **{**spec, **others, "waves": (100,)}))
        self.ends = max(self.ends, first + 9.0)

    def _plan_hold_in_the_last_moment(self, first: float, rng: Random) -> None:
        """Who decides that somebody moves is stopped just before the commit, and everything is held meanwhile."""
        world = self.world
        if rng.random() > LAST_MOMENTS:
            return
        stands, lifted = rng.uniform(0.3, 1.5), rng.uniform(0.5, 4.0)

        def hold() -> None:
            world.hold()
            world.scheduler.after(lifted, self._unless_healed, world.unhold)

        name = "coordinator stops in the middle of a commit"
        self._at(first - 0.05, lambda: self._begin(name, 9.0, lambda: faults.stop_in_a_commit(world, stands, hold)))

    def _plan_abort_in_the_last_moment(self, first: float, rng: Random) -> None:
        """Who decides that a Shift begins is stopped just before the commit, and the Shift is aborted meanwhile."""
        world = self.world
        if rng.random() > LAST_ABORTS:
            return
        stands = rng.uniform(0.3, 1.5)
        name = "coordinator stops in the middle of a commit"
        stop = partial(faults.stop_in_a_commit, world, stands, partial(world.abort, "s1"))
        self._at(first - 0.05, lambda: self._begin(name, 9.0, stop))

    def _plan_drill(self, first: float, rng: Random) -> None:
        """In some stories somebody starts a Drill, or its time comes; and whatever else happens goes on."""
        world = self.world
        if rng.random() > DRILLS:
            return
        to, percent = rng.choice(world.cities), rng.choice([100, 60])
        rehearsal: dict[str, Any] = {"selector": {"system": "hotel"}, "to": to, "percent": percent}
        rehearsal["waves"] = rng.choice([(100,), (20, 100)])
        # What took long stays so: a wave that a fault slowed down would hold a way home up until a person looks.
        rehearsal["gates"] = {"signInTime": "0s", "patience": "5s"}
        spec: dict[str, Any] = {"shift": rehearsal, "hold": f"{rng.choice([0, 1, 2])}s"}
        kind = Random(f"{world.seed}/drill-kind")  # its own: what other Drills do stays as it was
        if kind.random() < FAILOVERS:
            lost = {"site": world.other(rehearsal.pop("to")), "silence": kind.choice([25, 50, 100])}
            spec |= {"kind": "Failover", "failover": lost, "shift": {**rehearsal, "percent": 100}}
        self._at(SETTLED_S - 1.0, lambda: world.drill(spec, rng.choice([world.cities, world.cities, world.cities[:1]])))
        begins = first + rng.uniform(-1.5, 1.0)
        timed = _timed(world.seed)
        if timed is None:
            self._at(begins, lambda: world.drill_command("run", rng.choice(world.cities)))
        else:
            timetable, begins = timed
            spec |= {"schedule": timetable.schedule, "timeZone": timetable.zone}
            spec["startingDeadline"] = kind.choice(["10s", "10m"])
            world.watch.ordered.due_at = timetable.due
            if kind.random() < 0.3:  # and somebody starts it too
                self._at(begins + kind.uniform(-1.0, 4.0), lambda: world.drill_command("run", rng.choice(world.cities)))
        if rng.random() < 0.25:
            self._at(begins + rng.uniform(0.1, 5.0), lambda: world.drill_command("abort", rng.choice(world.cities)))

    def _plan_stops(self, first: float) -> None:
        """Who decides or pushes is stopped in the middle of it, and goes on when the others have long gone on."""
        rng = self.rng
        lasts = rng.uniform(1.5, 6.0)
        if rng.random() < 0.5:
            kind = next(kind for kind in faults.KINDS if kind.begin is faults.engine_stops_in_a_push)
            for _ in range(2):
                self._at(first - 0.05 + rng.uniform(0.0, 2.0), lambda: self._strike(kind))
            return
        kind = next(kind for kind in faults.KINDS if kind.begin is faults.coordinator_stops_in_a_commit)
        self._at(first - 0.05 + rng.choice([0.0, rng.uniform(0.0, 3.0)]), lambda: self._strike(kind))
        if rng.random() < 0.6:  # and there is nobody to take the office, or not at once
            for place in self.world.places:
                self._at(first + rng.uniform(0.0, 1.0), lambda place=place: self._no_deputy(place, lasts))  # type: ignore[misc]

    def _no_deputy(self, place: str, lasts: float) -> None:
        world = self.world
        if not world.engines[place].election._reign:
            self._begin("engine dies", lasts, lambda: faults.kill_engine_of(world, place))

    def _plan_disaster(self, when: float) -> None:
        rng, world = self.rng, self.world
        city = rng.choice(world.cities)
        lasts = rng.uniform(3.0, 11.0)
        more = 4.0  # until a city that writes is Down
        if len(world.cities) > 2:  # 7 to 11 s: long enough to see that what one city cannot take goes to the other
            lasts, more = 5.5 + lasts / 2, 0.0
            self.ends = max(self.ends, when + lasts)
        if rng.random() < 0.25:  # with the coordinator, the store's leader, or both in the lost city
            self._at(SETTLED_S - 1.0, lambda: self._lead_from(city, rng.random() < 0.6, rng.random() < 0.6))
        if rng.random() < 0.15:
            self._plan_return_in_the_last_moment(city, when)
            return
        kind = rng.choices(
            ["city powered off", "city cut off", "city cut off, its agents are not", "city breaks down"], [5, 3, 2, 3]
        )[0]
        if kind == "city breaks down":
            name = rng.choice(list(faults.BREAKDOWNS))
            self._at(when, lambda: self._begin(name, lasts + more, lambda: faults.BREAKDOWNS[name](world, city)))
            self.ends = max(self.ends, when + lasts + more + 0.5)
        elif kind == "city powered off":
            self._at(when, lambda: self._begin(kind, lasts, lambda: self._power_off(city)))
        elif kind == "city cut off":
            self._at(when, lambda: self._begin(kind, lasts, lambda: faults.isolate(world, city)))
        else:
            self._at(when, lambda: self._begin(kind, lasts + 3.0, lambda: faults.isolate(world, city, world.places)))
            for _ in range(2):  # some of them lose it later, when the other door is open, and it does not know
                self._at(
                    when + rng.uniform(2.5, 6.0),
                    lambda: self._begin("connections break", 0.1, lambda: faults.lose_connections(world, city, rng)),
                )

    def _plan_return_in_the_last_moment(self, city: str, when: float) -> None:
        """Who decides that a city is lost is stopped just before the commit, and the city is back meanwhile."""
        rng, world = self.rng, self.world
        stands, returns = rng.uniform(0.5, 2.5), rng.uniform(0.0, 1.0)
        lost: list[tuple[str, faults.Undo]] = []

        def cut_off() -> None:
            lost.append(self._begin("city cut off", 9.0, lambda: faults.isolate(world, city)))

        def stop() -> None:
            name = "coordinator stops in the middle of a commit"
            self._begin(name, 9.0, lambda: faults.stop_in_a_commit(world, stands, mend))

        def mend() -> None:
            world.scheduler.after(returns, self._end, lost[0])

        self._at(when, cut_off)
        self._at(when + 1.0, stop)

    def _plan_half_truth(self, when: float) -> None:
        """Something speaks for a city being lost, and not enough: nobody may be moved."""
        rng, world = self.rng, self.world
        city = rng.choice(world.cities)
        one, other = rng.sample(world.others(city), 2)
        mute = rng.uniform(4.0, 8.0)
        later = when + rng.uniform(0.0, 3.0)
        how = rng.choice(
            [
                "one accuser",
                "one accuser, and the other place gone",
                "one accuser, and one that reaches nobody",
                "not for long",
                "half of it",
                "late",
                "filtered",
            ]
        )
        if how == "not for long" and Random(f"{world.seed}/twice").random() < TWICE:
            how, mute = "not for long, twice", 8.0
        if how != "filtered":
            self._at(when, lambda: self._begin("engine dies", mute, lambda: faults.kill_engine_of(world, city)))
        match how:
            case "one accuser":
                self._at(later, lambda: self._begin("link cut", mute, lambda: faults.isolate(world, city, (one,))))
            case "one accuser, and the other place gone":
                self._at(later, lambda: self._begin("link cut", mute, lambda: faults.isolate(world, city, (one,))))
                self._at(when, lambda: self._begin("engine dies", mute, lambda: faults.kill_engine_of(world, other)))
            case "one accuser, and one that reaches nobody":
                self._at(later, lambda: self._begin("link cut", mute, lambda: faults.isolate(world, city, (one,))))
                blind_one = lambda: faults.go_blind(world, other)  # noqa: E731
                self._at(when, lambda: self._begin("probes of one place filtered", mute, blind_one))
            case "not for long":
                self._at(when + 2.6, lambda: self._begin("city cut off", 1.1, lambda: faults.isolate(world, city)))
            case "not for long, twice":
                # In sum for long enough; in between everybody sees that it is back.
                for begins in (2.2, 4.6):
                    self._at(
                        when + begins, lambda: self._begin("city cut off", 1.4, lambda: faults.isolate(world, city))
                    )
            case "filtered":
                # Its engine lives, writes, and says that all is well.
                blind = lambda: faults.filter_probes(world, city)  # noqa: E731
                self._at(when, lambda: self._begin("probes filtered", mute + 3.0, blind))
            case "half of it":
                self._at(later, lambda: self._begin("CTI dies", mute, lambda: faults.kill_cti_of(world, city)))
            case "late":
                for place in (one, other):
                    self._at(
                        later,
                        lambda place=place: self._begin(  # type: ignore[misc]
                            "engine stands still", 8.0, lambda: faults.stall_engine_of(world, place, rng)
                        ),
                    )

    def _power_off(self, city: str) -> faults.Undo:
        self.world.power_off(city)
        return lambda: self.world.power_on(city)

    def _lead_from(self, city: str, coordinator: bool, leader: bool) -> None:
        world = self.world
        if leader:
            world.cluster.leader = city
            world.cluster.renew_all(world.scheduler.now)
        if coordinator:
            for place in world.others(city):
                engine = world.engines[place]
                if engine.election._reign:
                    world.kill_engine(place)
                    world.scheduler.after(1.5, world.start_engine, place)

    def _at(self, when: float, what: Callable[[], object]) -> None:
        self.world.scheduler.at(when, self._unless_healed, what)

    def _unless_healed(self, what: Callable[[], object]) -> None:
        if not self.healed:
            what()

    # -- faults

    def _strike(self, kind: faults.Kind) -> None:
        lasts = self.rng.uniform(kind.shortest, kind.longest)
        self._begin(kind.name, lasts, lambda: kind.begin(self.world, self.rng))

    def _begin(self, name: str, lasts: float, begin: Callable[[], faults.Undo]) -> tuple[str, faults.Undo]:
        self.faults[name] += 1
        self.world.note(f"FAULT {name} for {lasts:.2f} s")
        entry = (name, begin())
        self.undo.append(entry)
        self.world.scheduler.after(lasts, self._end, entry)
        return entry

    def _end(self, entry: tuple[str, faults.Undo]) -> None:
        if entry in self.undo:
            self.undo.remove(entry)
            self.world.note(f"over: {entry[0]}")
            entry[1]()

    def heal(self) -> None:
        """All faults end, calls come to their end, nobody holds anything any more."""
        self.healed = True
        world = self.world
        for entry in list(self.undo):
            self._end(entry)
        world.calls_stop = True
        if world.watch.held:
            world.unhold()
        for place in world.places:
            world.power_on(place)
            world.start_member(place)
            world.scheduler.after(0.5, world.start_engine, place)
        for city in world.cities:
            world.scheduler.after(0.5, world.start_switch, city)
            world.scheduler.after(0.5, world.start_cti, city)

    # -- the run

    def play(self) -> None:
        """All of it. Raises BrokenPromiseError, or whatever a part died of."""
        world = self.world
        among_three = len(world.cities) > 2 and _has_a_drill(world.seed)
        enough = ENOUGH_OF_A_DRILL if among_three else ENOUGH
        while (left := self.ends - world.scheduler.now) > 0 and world.scheduler.steps < enough:
            world.run(min(left, 0.5))
        self.heal()
        began = world.scheduler.now
        world.run(2.0)
        while (wrong := self.unsettled()) is not None:
            if world.scheduler.now > began + BOUND_S + self._rehearsed_s():
                raise BrokenPromiseError(LIVENESS, f"{BOUND_S:g} s after the last fault: {wrong}")
            world.run(0.5)
        self.healed_in = world.scheduler.now - began
        homeward = world.scheduler.now + HOMEWARD_S
        while self._comes_home() and world.scheduler.now < homeward and world.scheduler.steps < WATCHED:
            world.run(0.5)
        world.run(0.5)

    def _rehearsed_s(self) -> float:
        """Seconds for which a Drill may wait that a loss is confirmed which it rehearses: nobody may confirm it."""
        drill = self.world.watch.ordered.drill
        return REHEARSAL_MOST_S if drill is not None and drill.failover is not None else 0.0

    def _comes_home(self) -> bool:
        """Whether somebody is on his way home by himself, or will be once his city has been well for long enough."""
        placements = self.world.watch.placements
        for kv in self.world.cluster.range(keys.SHIFTS)[0]:
            phase = ShiftRecord.model_validate_json(kv.value).phase
            if "-home-" in kv.key and phase != "Verifying" and phase not in FINISHED:
                return True
        return any(
            "return" in group.more and group.name in placements and "Failover" in placements[group.name][1].cause
            for group in self.setting.groups
        )

    def unsettled(self) -> str | None:
        """Who does not work, what is still on its way, who is not seen to live; None when all is well."""
        world = self.world
        for person in world.people.values():
            site = person.works_at
            if site is None or not world.ctis[site].centre.server.valid(
                person.account, world.ctis[site].process.monotonic()
            ):
                return f"{person.account} is not signed in"
        missing = set(world.engines) - world.watch.heartbeats
        if missing:
            return f"the engines of {sorted(missing)} live and have no heartbeat"
        for group, (_, _, placed) in world.watch.placements.items():
            if placed.in_transit:
                return f"buckets of {group} are still on their way: {placed.encode()}"
        for kv in world.cluster.range(keys.DRILLS)[0]:
            drill = DrillRecord.model_validate_json(kv.value)
            if drill.phase in UNDER_WAY:
                return f"{kv.key} is under way: {drill.phase}, {drill.message}"
            if drill.phase == "Waiting" and drill.schedule and self._has_come(drill.after):
                return f"the time of {kv.key} has come ({drill.schedule}), and nobody has looked: {drill.message}"
        return None

    def _has_come(self, after: float) -> bool:
        """Whether by everybody's clock the Drill's time is over, and it was later than `after` (since the epoch)."""
        due = self.world.watch.ordered.due_at
        clocks = [engine.process.now() for engine in self.world.engines.values()]
        return due is not None and after < due < min(clocks) - 1.0


def _goal(setting: Setting, to: str, percent: int, rng: Random) -> dict[str, Any]:
    """Where a Shift takes its groups: to one city, to both by shares, or away from one."""
    kind = rng.choices(["to", "placement", "evacuate"], [7, 2, 1])[0]
    if kind == "placement":
        return {"placement": [{"site": site, "percent": share} for site, share in _shares(rng, setting.cities).items()]}
    if kind == "evacuate":
        return {"evacuate": setting.other(to)}
    return {"to": to, "percent": percent}


def _shares(rng: Random, cities: tuple[str, ...] = TWO_CITIES) -> dict[str, int]:
    left, found = 100, {}
    for city in cities[:-1]:
        found[city] = left * rng.choice([0, 30, 50, 70, 100]) // 100
        left -= found[city]
    return {city: share for city, share in {**found, cities[-1]: left}.items() if share}


def _emergencies(rng: Random) -> dict[str, Any]:
    """What a group asks for when its city is lost, and when it is back."""
    found: dict[str, Any] = {}
    if rng.random() < 0.15:
        found["failover"] = "Manual"
    if rng.random() < 0.25:
        found["return"] = {"mode": "Automatic", "stableFor": f"{rng.choice([1, 3, 6])}s"}
    return found


def _setting(rng: Random) -> Setting:
    groups = [GroupPlan("callcenter/sales", rng.randint(6, 10), _shares(rng))]
    if rng.random() < 0.4:
        groups.append(
            GroupPlan("callcenter/help", rng.randint(3, 6), _shares(rng), {"skillGroup": "help", "priority": 200})
        )
    groups = [replace(group, more={**group.more, **_emergencies(rng)}) for group in groups]
    total = sum(group.agents for group in groups)
    roomy = rng.random() < 0.75
    here = {city: sum(_agents(group, city) for group in groups) for city in TWO_CITIES}
    capacity = {city: 2 * total if roomy else max(here[city] + rng.randint(0, 3), 1) for city in TWO_CITIES}
    return Setting(
        groups=tuple(groups),
        capacity=capacity,
        timing=rng.choice([Timing(1.5, 0.5), Timing(1.5, 0.5), Timing()]),
        far_s=rng.choice([0.002, 0.006, 0.02]),
        drift=rng.choice([0.0, 0.0, 0.0045]),
        deep_probes=rng.choice(["None", "SignIn", "SignInAndCall"]),
        calls_per_s=rng.choice([0.0, 0.5, 1.0]),
        starts_s={place: rng.uniform(0.0, 0.6) for place in rng.sample((*TWO_CITIES, WITNESS_SITE), 2)},
    )


THEMES: Final = {
    "move": 26,
    "move, stopped midway": 10,
    "order": 12,
    "disaster": 24,
    "disaster while moving": 14,
    "half truths": 8,
    "faults only": 6,
}
"""What a story is about, and how often."""

SHIFTED: Final = ("move", "move, stopped midway", "disaster while moving")
"""Those with a Shift."""


def _draw(seed: int, rng: Random) -> tuple[Setting, float, str]:
    """What is so from the start, when faults end, and what the story is about."""
    setting = _limited(_setting(rng), Random(f"{seed}/limits"))
    setting = _widened(setting, Random(f"{seed}/third city"))
    ends = SETTLED_S + rng.uniform(7.0, 13.0)
    theme = rng.choices(list(THEMES), list(THEMES.values()))[0]
    if theme in SHIFTED and _loses_its_way(seed):
        setting = _many_in_one_place(setting)
    elif theme == "move" and _is_crowded(seed):
        setting = _two_in_one_place(setting)
    timed = _timed(seed)
    if timed is not None:
        timetable, begins = timed
        setting = replace(setting, wall_s=timetable.comes_by - begins - WALL_EPOCH)
    return setting, ends, theme


def _timed(seed: int) -> tuple[Timetable, float] | None:
    """By which schedule this story's Drill starts, and when; None: there is none, or somebody starts it."""
    rng = Random(f"{seed}/drill-schedule")
    if not _has_a_drill(seed) or rng.random() > SCHEDULED:
        return None
    return rng.choice(TIMETABLES), SETTLED_S + rng.uniform(0.0, 3.0)


def _has_a_drill(seed: int) -> bool:
    """As `_plan_drill` draws it."""
    return Random(f"{seed}/drill").random() <= DRILLS


def _loses_its_way(seed: int) -> bool:
    """From numbers of its own, as all that came later: the other stories stay what they were."""
    return Random(f"{seed}/lost way").random() < LOST_WAYS


def _is_crowded(seed: int) -> bool:
    return not _loses_its_way(seed) and Random(f"{seed}/crowded").random() < CROWDED


def _two_in_one_place(setting: Setting) -> Setting:
    """Two groups in one city; each other one has room for one of them, and takes as many guests as come."""
    first = setting.groups[0]
    home = max(setting.cities, key=lambda city: first.placement.get(city, 0))
    groups = (
        replace(first, agents=10, placement={home: 100}),
        GroupPlan("callcenter/help", 4, {home: 100}, {"skillGroup": "help", "sites": setting.cities}),
    )
    capacity = {city: 28 if city == home else 10 for city in setting.cities}
    return replace(setting, groups=groups, capacity=capacity, guest_capacity=100)


def _many_in_one_place(setting: Setting) -> Setting:
    """Enough agents of the first group for two waves, all in one city, and room for everybody in each."""
    first, *others = setting.groups
    home = max(setting.cities, key=lambda city: first.placement.get(city, 0))
    groups = (replace(first, agents=12, placement={home: 100}), *others)
    room = 2 * sum(group.agents for group in groups)
    return replace(setting, groups=groups, capacity=dict.fromkeys(setting.cities, room))


def _limited(setting: Setting, rng: Random) -> Setting:
    """Some cities take few guests, and some let their agents in slowly."""
    return replace(setting, guest_capacity=rng.choice([100, 100, 2]), rate=rng.choice([500.0, 500.0, 6.0]))


def _widened(setting: Setting, rng: Random) -> Setting:
    """In some stories agents work in the third place as well; then what is lost may have to be shared between two."""
    if rng.random() > WIDE:
        return setting
    groups = tuple(
        replace(
            group,
            placement=rng.choice(
                [group.placement, {"north": 100}, _shares(rng, THREE_CITIES), {"east": 34, "west": 33, "north": 33}]
            ),
            more={**group.more, "sites": THREE_CITIES},
        )
        for group in setting.groups
    )
    here = {city: sum(_agents(group, city) for group in groups) for city in THREE_CITIES}
    total = sum(here.values())
    few = rng.randint(0, 3)
    rooms = {"everybody": 2 * total, "half of a city": -(-max(here.values()) // 2) + 2 * len(groups), "a few": few}
    more = rooms[rng.choice(ROOMS)]
    return replace(
        setting,
        groups=groups,
        cities=THREE_CITIES,
        capacity={city: max(here[city] + more, 1) for city in THREE_CITIES},
        starts_s={"north" if place == WITNESS_SITE else place: after for place, after in setting.starts_s.items()},
    )


def _agents(group: GroupPlan, city: str) -> int:
    """How many of a group's agents are placed there at most."""
    return -(-group.agents * group.placement.get(city, 0) // 100)


def play(seed: int, tell: Callable[[str], None] | None = None) -> Outcome:
    """Run one seed to its end and say what came of it. Never raises for what happens in the world."""
    with operating_system_replaced(), records_read_once(), times_shortened():
        return _play(seed, tell)


def _play(seed: int, tell: Callable[[str], None] | None) -> Outcome:
    began = time.process_time()
    outcome = Outcome(seed)
    scenario = Scenario(seed, tell)
    world = scenario.world
    world.stats["stories of three cities"] = len(world.cities) > 2
    try:
        scenario.play()
        outcome.healed_in_s = scenario.healed_in
    except BrokenPromiseError as error:
        outcome.broken, outcome.said = error.promise, str(error)
    except Exception as error:
        outcome.broken, outcome.said = "Error", f"{type(error).__name__}: {error}"
        if tell is not None:
            raise
    finally:
        outcome.at = world.scheduler.now
        outcome.digest, outcome.steps = world.digest, world.scheduler.steps
        outcome.virtual_s = world.scheduler.now
        outcome.faults, outcome.commits, outcome.stats = scenario.faults, world.watch.commits, world.stats
        outcome.theme = scenario.theme
        world.bury()
    outcome.cpu_s = time.process_time() - began
    return outcome


def theme_of(seed: int) -> str:
    """What happens in a seed, without playing it."""
    return _draw(seed, Random(f"{seed}/scenario"))[2]
