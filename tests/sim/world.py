"""Two cities and a witness, or three cities, and two floors with everything that runs there, and what can befall them.

One seed decides everything: clocks, delays, who is where. `run(seconds)` lets time pass; the rest happens in between.
"""

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from random import Random
from typing import Any, Final

from callcenter.directory import Directory, GroupSize, generate
from callcenter.session.lease import Timing
from callcenter.session.placements import Placement
from tandem.api.drill import DrillSpec
from tandem.domain import keys
from tandem.domain.digest import spec_digest
from tandem.domain.records import HoldRecord, Record, ShiftRecord, SpecRecord
from tandem.engine.ports import Change, Delete, Put
from tests.sim.cti import CtiProcess, Disk, SimCti
from tests.sim.engine import Engine
from tests.sim.network import Line, Network
from tests.sim.person import Person
from tests.sim.promises import DRILL, Watch
from tests.sim.scheduler import Process, Scheduler
from tests.sim.store import Cluster
from tests.sim.switch import Switch
from tests.unit.domain.world import WITNESS, group_spec, site_spec

TWO_CITIES: Final = ("east", "west")
"""Most stories have these, and a witness."""

THREE_CITIES: Final = (*TWO_CITIES, "north")
"""Some have these, and none: agents work in all three places."""

WITNESS_SITE: Final = "witness"
FLOORS: Final = ("floor-a", "floor-b")


@dataclass(frozen=True)
class GroupPlan:
    """One group as a seed makes it up."""

    name: str
    agents: int
    placement: Mapping[str, int]
    more: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Setting:
    """What is so from the start."""

    groups: tuple[GroupPlan, ...]
    capacity: Mapping[str, int]
    cities: tuple[str, ...] = TWO_CITIES
    timing: Timing = field(default_factory=Timing)
    far_s: float = 0.006
    drift: float = 0.0
    """Clocks run by up to this much too fast or too slow."""
    rate: float = 500.0
    """Sign-ins a second of each CTI."""
    guest_capacity: int = 100
    """Guests that each city takes."""
    calls_per_s: float = 0.0
    deep_probes: str = "None"
    """What test agents do in both cities: None, SignIn, SignInAndCall."""
    starts_s: Mapping[str, float] = field(default_factory=dict)
    """Location -> seconds after which its engine starts."""
    wall_s: float = 0.0
    """Seconds from `WALL_EPOCH` to the time of day at which the story begins."""

    @property
    def places(self) -> tuple[str, ...]:
        """Three locations, each with an engine and a member of the store."""
        return self.cities if len(self.cities) > 2 else (*self.cities, WITNESS_SITE)

    def other(self, city: str) -> str:
        """Another city: the next one, in a circle."""
        return self.cities[(self.cities.index(city) + 1) % len(self.cities)]


@lru_cache(maxsize=64)
def directory_of(sizes: tuple[tuple[str, int], ...], cities: tuple[str, ...]) -> Directory:
    groups = [GroupSize(name, "hotel", agents) for name, agents in sizes]
    return generate(groups, cities=list(cities), realm="callcenter", seed="sim")


class World:
    def __init__(self, seed: int, setting: Setting, *, tell: Callable[[str], None] | None = None) -> None:
        self.seed = seed
        self.setting = setting
        self.cities, self.places = setting.cities, setting.places
        self.timing = setting.timing
        self.rng = Random(f"{seed}/world")
        self.scheduler = scheduler = Scheduler()
        self.network = Network(scheduler, Random(f"{seed}/network"), setting.far_s)
        self.cluster = Cluster(scheduler, self.network, Random(f"{seed}/store"), self.places, Random(f"{seed}/packets"))
        self.stats: Counter[str] = Counter()
        self.answered = 0
        self._tell = tell
        self._trace = sha256()
        self._numbers = 0
        self._off: set[str] = set()
        self.clocks = {place: self._clock() for place in (*self.places, *FLOORS)}
        self.directory = directory_of(tuple((group.name, group.agents) for group in setting.groups), self.cities)
        self.watch = Watch(self)
        self.cluster.listeners += [self.watch.store_applied, self._answer_questions]
        self._asked: set[str] = set()
        self._answers = Random(f"{seed}/answers")
        self.disks = {city: Disk() for city in self.cities}
        self.switches = {city: self._new_switch(city) for city in self.cities}
        self.ctis: dict[str, SimCti] = {}
        for city in self.cities:
            self.ctis[city] = self._new_cti(city)
        self.engines = {place: self._new_engine(place) for place in self.places}
        self.beside: list[Process] = []
        """Engines that were replaced, and may go on beside their successors."""
        self.people: dict[str, Person] = {}
        self.by_extension: dict[str, Person] = {}
        self._move_in()
        for city in self.cities:
            self.ctis[city].process.call(self.ctis[city].run)
        for place in self.places:
            engine = self.engines[place]
            scheduler.after(setting.starts_s.get(place, 0.0), engine.process.call, engine.run)
        self._declare()
        if setting.calls_per_s:
            scheduler.after(3.0, self._calls_come)
        self.calls_stop = False

    # -- the start

    def _clock(self) -> dict[str, float]:
        drift = self.setting.drift
        return {
            "rate": 1.0 + (self.rng.uniform(-drift, drift) if drift else 0.0),
            "origin": self.rng.uniform(100.0, 1e5),
            "wall": self.setting.wall_s + self.rng.uniform(-0.5, 0.5),
        }

    def _new_process(self, name: str, place: str) -> Process:
        return Process(self.scheduler, name, place, **self.clocks[place])

    def _new_switch(self, city: str) -> Switch:
        return Switch(self, city, self._new_process(f"switch-{city}", city), self.number())

    def _new_cti(self, city: str) -> SimCti:
        process = CtiProcess(self.scheduler, f"cti-{city}", city, **self.clocks[city])
        process.disk = self.disks[city]
        with process.now_running():
            return SimCti(self, process, self.directory, self.timing, self.setting.rate)

    def _new_engine(self, place: str) -> Engine:
        process = self._new_process(f"engine-{place}", place)
        with process.now_running():
            return Engine(self, process, self.number())

    def _move_in(self) -> None:
        groups = {group.name: group for group in self.setting.groups}
        for number, agent in enumerate(self.directory.agents):
            floor = FLOORS[number % len(FLOORS)]
            process = Process(self.scheduler, agent.account, floor, **self._clock())
            placement = groups[agent.group].placement
            home = max(placement, key=lambda site: placement[site])
            person = Person(self, agent, process, home, Random(f"{self.seed}/{agent.account}"))
            self.people[agent.account] = person
            for extension in agent.extensions.values():
                self.by_extension[extension] = person
            self.scheduler.after(self.rng.uniform(0.0, 0.5), person.start)

    def _declare(self) -> None:
        writes: list[Put | Delete] = []
        for city in self.cities:
            spec = site_spec(
                city, "hotel", capacity=self.setting.capacity[city], guestCapacity=self.setting.guest_capacity
            )
            spec["systems"][0]["deepProbes"] = self.setting.deep_probes
            writes += self._copies(keys.SITE, city, spec)
        if WITNESS_SITE in self.places:
            writes += self._copies(keys.SITE, WITNESS_SITE, WITNESS)
        for group in self.setting.groups:
            spec = group_spec(group.placement, agents=group.agents, **group.more)
            writes += self._copies(keys.AGENT_GROUP, group.name, spec)
        self.cluster.now_txn(writes)

    def _copies(self, kind: str, name: str, spec: dict[str, Any], order_id: str = "") -> list[Put | Delete]:
        """What the operators of all cities publish of one object."""
        record = SpecRecord(digest=spec_digest(spec, {}), spec=spec, order_id=order_id)
        return [Put(keys.spec(city, kind, name), record.encode()) for city in self.cities]

    # -- running

    def run(self, seconds: float) -> None:
        self.scheduler.run(self.scheduler.now + seconds)

    def bury(self) -> None:
        self.scheduler.bury()

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def note(self, said: str) -> None:
        """Write down what has happened; the digest of all notes tells two runs apart."""
        line = f"{self.scheduler.now:9.4f} {said}"
        self._trace.update(line.encode())
        if self._tell is not None:
            self._tell(line)

    @property
    def digest(self) -> str:
        return f"{self._trace.hexdigest()[:16]}-{self.scheduler.steps}"

    def other(self, city: str) -> str:
        return self.setting.other(city)

    def others(self, place: str) -> tuple[str, ...]:
        """The other locations."""
        return tuple(other for other in self.places if other != place)

    # -- what people do

    def write(self, what: str, *writes: Put | Delete) -> None:
        """What an operator writes, as soon as the store takes it."""
        if self.cluster.leader is not None and self.cluster.has_majority(self.cluster.leader):
            self.note(what)
            self.cluster.now_txn(writes)
        else:
            self.scheduler.after(0.5, lambda: self.write(what, *writes))

    def put(self, what: str, key: str, record: Record) -> None:
        self.write(what, Put(key, record.encode()))

    def shift(self, name: str, **spec: Any) -> None:
        record = ShiftRecord.model_validate({"spec": spec, "created_at": self._today(), "created_in": self.cities[0]})
        self.watch.ordered.shifts[name] = record
        self.put(f"Shift {name}: {spec}", keys.shift(f"callcenter/{name}"), record)

    def _today(self) -> float:
        """Somebody's wall clock."""
        return self.engines[self.places[-1]].process.now()

    def drill(self, spec: dict[str, Any], by: Sequence[str]) -> None:
        """A Drill, applied in these cities."""
        self.watch.ordered.drill = DrillSpec.model_validate(spec)
        record = SpecRecord(digest=spec_digest(spec, {}), spec=spec)
        for city in by:
            self.put(f"Drill {DRILL} applied in {city}", keys.spec(city, keys.DRILL, DRILL), record)

    def drill_command(self, action: str, city: str) -> None:
        """`kubectl tandem drill run` or `abort`; in a city without the object by way of its copy."""
        asked = {"id": f"{action}-{self.number()}", "action": action, "by": "ada"}
        if action == "run":
            self.watch.ordered.runs.add(asked["id"])
        request = json.dumps({**asked, "at": self._today()})
        key = keys.spec(city, keys.DRILL, DRILL)
        kv = self.cluster.get(key)
        if kv is not None:
            record = SpecRecord.model_validate_json(kv.value).model_copy(update={"request": request})
        else:
            record = SpecRecord(digest="copy", spec={}, request=request, mirrored=True)
        self.put(f"Drill {action} in {city}", key, record)

    def abort(self, name: str) -> None:
        kv = self.cluster.get(keys.shift(f"callcenter/{name}"))
        if kv is not None:
            record = ShiftRecord.model_validate_json(kv.value)
            spec = record.spec.model_copy(update={"abort": True})
            self.watch.ordered.aborts.add(name)
            self.put(f"abort Shift {name}", kv.key, record.model_copy(update={"spec": spec}))

    def _answer_questions(self, changes: Sequence[Change]) -> None:
        """Who is asked whether a group may leave a lost city says yes, no or nothing, in his own time."""
        for change in changes:
            if not change.key.startswith(keys.SHIFTS) or change.value is None or change.key in self._asked:
                continue
            record = ShiftRecord.model_validate_json(change.value.value)
            if record.phase == "AwaitingApproval":
                self._asked.add(change.key)
                said = self._answers.choices(["yes", "no", "nothing"], [6, 1, 2])[0]
                if said != "nothing":
                    after = self._answers.uniform(0.2, 4.0)
                    self.scheduler.after(after, self._answer, change.key, said == "yes")

    def _answer(self, key: str, yes: bool) -> None:
        kv = self.cluster.get(key)
        if kv is None:
            return
        record = ShiftRecord.model_validate_json(kv.value)
        if record.phase == "AwaitingApproval":
            update = {"approved": True, "approved_by": "ada"} if yes else {"abort": True}
            spec = record.spec.model_copy(update=update)
            if yes:
                self.watch.ordered.approved.add(record.cause)
            self.put(f"{key} {'approved' if yes else 'declined'}", key, record.model_copy(update={"spec": spec}))

    def apply_again(self, group: GroupPlan, placement: Mapping[str, int], number: int) -> None:
        """A tool applies the same manifest once more, in one cluster after the other."""
        spec = group_spec(placement, agents=group.agents, **group.more)
        order_id = str(number) if number else ""
        for write in self._copies(keys.AGENT_GROUP, group.name, spec, order_id):
            self.scheduler.after(self.rng.uniform(0.0, 1.0), self.write, f"applied again: {write.key}", write)

    def order(self, group: GroupPlan, placement: Mapping[str, int], number: int) -> None:
        spec = group_spec(placement, agents=group.agents, **group.more)
        self.watch.ordered.orders.append((group.name, dict(placement)))
        # Nobody applies a manifest to several clusters in one moment.
        self.note(f"order {group.name} {dict(placement)}")
        for write in self._copies(keys.AGENT_GROUP, group.name, spec, str(number)):
            self.scheduler.after(self.rng.uniform(0.0, 0.3), self.write, f"applied: {write.key}", write)

    def hold(self) -> None:
        self.put("hold", keys.HOLD, HoldRecord(by="ada", reason="storm", since=0))

    def unhold(self) -> None:
        self.write("hold lifted", Delete(keys.HOLD))

    def _calls_come(self) -> None:
        if self.calls_stop:
            return
        group = self.rng.choice(self.setting.groups)
        city = self.rng.choice(self.cities)
        self.call_comes(city, group.name)
        self.scheduler.after(self.rng.expovariate(self.setting.calls_per_s), self._calls_come)

    def call_comes(self, city: str, group: str) -> None:
        if self.powered(city):
            self.switches[city].offer(f"call{self.number()}", group, 0, self.scheduler.now)

    def talk_s(self) -> float:
        return self.rng.uniform(0.5, 4.0)

    # -- what befalls them

    def powered(self, place: str) -> bool:
        return place not in self._off

    def city_end_gone(self, site: str, line: Line) -> None:
        """The city's end of a client's connection is over."""
        cti = self.ctis[site]
        if cti.lines.get(line.id) is line:
            del cti.lines[line.id]
            line.open["b"] = False
            if cti.process.alive:
                cti.process.call(cti._client_gone, line.id)

    def kill_cti(self, city: str) -> None:
        """The process dies; its host says so to those who are connected."""
        cti = self.ctis[city]
        if cti.process.alive:
            cti.process.kill()
            lines, cti.lines = cti.lines, {}
            for line in lines.values():
                line.open["b"] = False
                if self.powered(city):
                    line.send("a", lambda line=line: line.owner._end_gone(line))  # type: ignore[misc]

    def start_cti(self, city: str, disk: dict[str, Placement] | None = None) -> None:
        """Another process, with the disk as it is, or as it once was."""
        if not self.ctis[city].process.alive and self.powered(city):
            if disk is not None:
                self.disks[city].placements = dict(disk)
            self.ctis[city] = cti = self._new_cti(city)
            cti.process.call(cti.run)

    def kill_engine(self, place: str) -> None:
        self.engines[place].process.kill()

    def start_engine(self, place: str, *, beside: bool = False) -> None:
        """`beside`: although there is one, which nobody could stop."""
        if (beside or not self.engines[place].process.alive) and self.powered(place):
            self.beside.append(self.engines[place].process)
            self.engines[place] = engine = self._new_engine(place)
            engine.process.call(engine.run)

    def kill_switch(self, city: str) -> None:
        self.switches[city].die()

    def start_switch(self, city: str) -> None:
        if not self.switches[city].process.alive and self.powered(city):
            self.switches[city] = switch = self._new_switch(city)
            self.scheduler.after(0.02, switch.say_hello, self.ctis[city], "")

    def kill_member(self, place: str) -> None:
        self.cluster.members[place].kill()

    def start_member(self, place: str) -> None:
        if not self.cluster.members[place].alive and self.powered(place):
            self.cluster.members[place] = Process(self.scheduler, f"etcd-{place}", place)

    def power_off(self, place: str) -> None:
        """Everything there is gone without a word, and its links."""
        if place in self._off:
            return
        self._off.add(place)
        for other in (*self.places, *FLOORS):
            if other != place:
                self.network.cut(place, other)
                self.network.cut(other, place)
        if place in self.cities:
            self.kill_switch(place)
            self.kill_cti(place)
        for process in self.scheduler.processes:
            if process.place == place:
                process.kill()

    def power_on(self, place: str) -> None:
        if place not in self._off:
            return
        self._off.discard(place)
        for other in (*self.places, *FLOORS):
            if other != place:
                self.network.mend(place, other)
                self.network.mend(other, place)
        self.start_member(place)
        self.scheduler.after(self.rng.uniform(0.0, 1.0), self.start_engine, place)
        if place in self.cities:
            self.scheduler.after(self.rng.uniform(0.0, 1.0), self.start_switch, place)
            self.scheduler.after(self.rng.uniform(0.0, 1.0), self.start_cti, place)
