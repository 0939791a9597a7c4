"""Faults: each begins, is left alone for a while, and is undone. Drawn at random, or put together into a disaster."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from tests.sim.scheduler import Process

if TYPE_CHECKING:
    from tests.sim.world import World

Undo = Callable[[], object]

FLOORS: Final = ("floor-a", "floor-b")


@dataclass(frozen=True)
class Kind:
    """One kind of fault. `begin` makes it happen and returns what undoes it."""

    name: str
    begin: Callable[["World", Random], Undo]
    shortest: float
    longest: float
    weight: int = 2


def _nothing() -> None:
    """It is over by itself."""


# -- links


def cut(world: "World", *pairs: tuple[str, str]) -> Undo:
    for source, target in pairs:
        world.network.cut(source, target)

    def undo() -> None:
        for source, target in pairs:
            world.network.mend(source, target)

    return undo


def isolate(world: "World", place: str, from_whom: tuple[str, ...] = ()) -> Undo:
    """Cut off from everyone named, or from everyone, both ways; whatever runs there goes on."""
    others = [other for other in from_whom or (*world.places, *FLOORS) if other != place]
    return cut(world, *[(place, other) for other in others], *[(other, place) for other in others])


def _pair(world: "World", rng: Random) -> tuple[str, str]:
    a, b = rng.sample(world.places, 2)
    return a, b


def link_cut(world: "World", rng: Random) -> Undo:
    a, b = _pair(world, rng)
    return cut(world, (a, b), (b, a))


def link_cut_one_way(world: "World", rng: Random) -> Undo:
    return cut(world, _pair(world, rng))


def floor_cut_off_a_city(world: "World", rng: Random) -> Undo:
    floor, city = rng.choice(FLOORS), rng.choice(world.cities)
    return cut(world, (floor, city), (city, floor))


def floor_cut_one_way(world: "World", rng: Random) -> Undo:
    ends = [rng.choice(FLOORS), rng.choice(world.cities)]
    rng.shuffle(ends)
    return cut(world, (ends[0], ends[1]))


def place_cut_off(world: "World", rng: Random) -> Undo:
    """From the other locations; the floors still reach it."""
    return isolate(world, rng.choice(world.places), world.places)


def flapping_link(world: "World", rng: Random) -> Undo:
    a, b = _pair(world, rng)
    going_on = True
    undo: list[Undo] = []

    def turn() -> None:
        if undo:
            undo.pop()()
        elif going_on:
            undo.append(cut(world, (a, b), (b, a)))
        if going_on:
            world.scheduler.after(rng.uniform(0.3, 1.5), turn)

    def end() -> None:
        nonlocal going_on
        going_on = False
        if undo:
            undo.pop()()

    turn()
    return end


def filter_probes(world: "World", city: str) -> Undo:
    """Nothing there answers those who probe it from outside, and it works all the same."""
    return _filter(world, [(other, city) for other in world.others(city)])


def go_blind(world: "World", place: str) -> Undo:
    """Nobody answers the probes of this place any more, and it writes all the same."""
    return _filter(world, [(place, other) for other in world.others(place)])


def _filter(world: "World", ways: list[tuple[str, str]]) -> Undo:
    world.network.filtered.update(ways)

    def undo() -> None:
        world.network.filtered -= Counter(ways)

    return undo


def probes_filtered(world: "World", rng: Random) -> Undo:
    return filter_probes(world, rng.choice(world.cities))


def slow_link(world: "World", rng: Random) -> Undo:
    a, b = _pair(world, rng)
    world.network.slow[a, b] += 1

    def undo() -> None:
        world.network.slow[a, b] -= 1
        if not world.network.slow[a, b]:
            del world.network.slow[a, b]

    return undo


def lost_packets(world: "World", rng: Random) -> Undo:
    share = rng.choice([0.01, 0.05, 0.15])
    world.network.late += share

    def undo() -> None:
        world.network.late = max(world.network.late - share, 0.0)

    return undo


def requests_come_twice(world: "World", rng: Random) -> Undo:
    """And late, the second time: pushes and transactions of those who have long done something else."""
    share = rng.choice([0.05, 0.2, 0.5])
    world.network.twice += share

    def undo() -> None:
        world.network.twice = max(world.network.twice - share, 0.0)

    return undo


# -- processes


def _stall(process: Process, rng: Random, longest: float) -> Undo:
    process.stall(rng.uniform(0.2, longest))
    return process.thaw


def stall_engine_of(world: "World", place: str, rng: Random) -> Undo:
    return _stall(world.engines[place].process, rng, 4.0)


def kill_engine_of(world: "World", place: str) -> Undo:
    world.kill_engine(place)
    return lambda: world.start_engine(place)


def kill_cti_of(world: "World", city: str) -> Undo:
    world.kill_cti(city)
    return lambda: world.start_cti(city)


def two_engines(world: "World", rng: Random) -> Undo:
    """One stands still, another is started in its place, and then the first wakes up and goes on as if nothing was."""
    place = rng.choice(world.places)
    old = world.engines[place].process
    if not old.alive:
        return _nothing
    old.stall(rng.uniform(1.0, 5.0))
    world.start_engine(place, beside=True)
    return old.kill


def engine_stands_still(world: "World", rng: Random) -> Undo:
    return _stall(world.engines[rng.choice(world.places)].process, rng, 8.0)


def coordinator_stands_still(world: "World", rng: Random) -> Undo:
    reigning = [engine for engine in world.engines.values() if engine.process.alive and engine.election._reign]
    return _stall(reigning[0].process, rng, 8.0) if reigning else _nothing


def _stop(process: Process, what: str, seconds: float, then: Callable[[], object] = _nothing) -> Undo:
    """It stands still just before it sends this the next time, and sends it the moment it runs again."""
    process.stops = (what, seconds, then)

    def undo() -> None:
        process.stops = None
        process.thaw()

    return undo


def stop_in_a_commit(world: "World", seconds: float, then: Callable[[], object] = _nothing) -> Undo:
    reigning = [engine for engine in world.engines.values() if engine.process.alive and engine.election._reign]
    return _stop(reigning[0].process, "commit", seconds, then) if reigning else _nothing


def coordinator_stops_in_a_commit(world: "World", rng: Random) -> Undo:
    return stop_in_a_commit(world, rng.uniform(1.0, 6.0))


def engine_stops_in_a_push(world: "World", rng: Random) -> Undo:
    """Half of the time another is started beside it meanwhile, since nobody could see what became of the first."""
    city = rng.choice(world.cities)
    old = world.engines[city].process
    replaced = rng.random() < 0.5

    def then() -> None:
        if replaced:
            world.scheduler.after(rng.uniform(0.1, 1.5), replace)

    def replace() -> None:
        if world.engines[city].process is old and old.alive:
            world.start_engine(city, beside=True)

    thaw = _stop(old, "push", rng.uniform(0.3, 7.0), then)

    def undo() -> None:
        thaw()
        if world.engines[city].process is not old:
            world.scheduler.after(0.5, old.kill)

    return undo


def engine_stops_at_a_word(world: "World", rng: Random) -> Undo:
    """What it has to say of others is old when it is said."""
    return _stop(world.engines[rng.choice(world.places)].process, "word", rng.uniform(0.3, 5.0))


def cti_stands_still(world: "World", rng: Random) -> Undo:
    return _stall(world.ctis[rng.choice(world.cities)].process, rng, 5.0)


def switch_stands_still(world: "World", rng: Random) -> Undo:
    return _stall(world.switches[rng.choice(world.cities)].process, rng, 5.0)


def member_stands_still(world: "World", rng: Random) -> Undo:
    return _stall(world.cluster.members[rng.choice(world.places)], rng, 6.0)


def client_stands_still(world: "World", rng: Random) -> Undo:
    return _stall(world.people[rng.choice(list(world.people))].process, rng, 4.0)


def engine_dies(world: "World", rng: Random) -> Undo:
    return kill_engine_of(world, rng.choice(world.places))


def coordinator_dies(world: "World", rng: Random) -> Undo:
    place = next((place for place, engine in world.engines.items() if engine.election._reign), world.places[-1])
    return kill_engine_of(world, place)


def cti_dies(world: "World", rng: Random) -> Undo:
    return kill_cti_of(world, rng.choice(world.cities))


def cti_starts_with_an_old_disk(world: "World", rng: Random) -> Undo:
    """It dies, and the disk that it comes back with is one from before this fault, or an empty one."""
    city = rng.choice(world.cities)
    old = dict(world.disks[city].placements) if rng.random() < 0.8 else {}
    quick = rng.random() < 0.5
    if quick:
        world.kill_cti(city)

        def undo_quick() -> None:
            world.start_cti(city, old)

        return undo_quick

    def undo() -> None:
        world.kill_cti(city)
        world.scheduler.after(0.3, world.start_cti, city, old)

    return undo


def cti_signs_nobody_in_at(world: "World", city: str) -> Undo:
    cti = world.ctis[city]
    cti.signs_in = False
    return lambda: setattr(cti, "signs_in", True)


def cti_signs_nobody_in(world: "World", rng: Random) -> Undo:
    return cti_signs_nobody_in_at(world, rng.choice(world.cities))


def switch_refuses_calls_at(world: "World", city: str) -> Undo:
    switch = world.switches[city]
    switch.takes_calls = False
    return lambda: setattr(switch, "takes_calls", True)


def switch_refuses_calls(world: "World", rng: Random) -> Undo:
    return switch_refuses_calls_at(world, rng.choice(world.cities))


def kill_switch_of(world: "World", city: str) -> Undo:
    world.kill_switch(city)
    return lambda: world.start_switch(city)


def freeze_cti_of(world: "World", city: str) -> Undo:
    process = world.ctis[city].process
    process.stall(60.0)
    return process.thaw


BREAKDOWNS: Final = {
    "CTI dies": kill_cti_of,
    "CTI stands still": freeze_cti_of,
    "CTI signs nobody in": cti_signs_nobody_in_at,
    "softswitch dies": kill_switch_of,
    "softswitch refuses calls": switch_refuses_calls_at,
}
"""What makes a city Down, when it lasts: it still writes."""


def switch_dies(world: "World", rng: Random) -> Undo:
    return kill_switch_of(world, rng.choice(world.cities))


def clock_steps(world: "World", rng: Random) -> Undo:
    """The wall clock of one engine, or of one CTI, is wrong by up to an hour."""
    processes = [engine.process for engine in world.engines.values()] + [cti.process for cti in world.ctis.values()]
    process = rng.choice(processes)
    step = rng.choice([-3600.0, -30.0, 30.0, 3600.0])
    process.wall += step
    return lambda: setattr(process, "wall", process.wall - step)


# -- the store


def member_dies(world: "World", rng: Random) -> Undo:
    place = rng.choice(world.places)
    world.kill_member(place)
    return lambda: world.start_member(place)


def quorum_lost(world: "World", rng: Random) -> Undo:
    places = rng.sample(world.places, 2)
    for place in places:
        world.kill_member(place)

    def undo() -> None:
        for place in places:
            world.start_member(place)

    return undo


def watches_break(world: "World", rng: Random) -> Undo:
    world.cluster.break_streams(rng.random() < 0.5)
    return _nothing


def store_compacts(world: "World", rng: Random) -> Undo:
    world.cluster.compact(world.cluster.revision)
    world.cluster.break_streams(True)
    return _nothing


def leader_moves(world: "World", rng: Random) -> Undo:
    """Another member leads, in order: what was on its way is dropped or comes late."""
    able = [place for place in world.places if world.cluster.has_majority(place)]
    if able:
        world.cluster.leader = rng.choice(able)
        world.cluster.renew_all(world.scheduler.now)
    return _nothing


# -- clients


def connections_break(world: "World", rng: Random) -> Undo:
    """Some clients' connections end; one end, the other or both are told."""
    city = rng.choice(world.cities)
    for person in world.people.values():
        if rng.random() < 0.5:
            person.reset(city, client_told=rng.random() < 0.7, city_told=rng.random() < 0.5)
    return _nothing


def lose_connections(world: "World", city: str, rng: Random) -> Undo:
    """Some clients are told that theirs to this city are gone; the city is not."""
    for person in world.people.values():
        if rng.random() < 0.4:
            person.reset(city, client_told=True, city_told=False)
    return _nothing


def desktops_restart(world: "World", rng: Random) -> Undo:
    for person in world.people.values():
        if rng.random() < 0.3:
            person.restart()
    return _nothing


# -- whole places


def place_powered_off(world: "World", rng: Random) -> Undo:
    place = rng.choice(world.places)
    world.power_off(place)
    return lambda: world.power_on(place)


KINDS: Final = (
    Kind("link cut", link_cut, 0.5, 6.0),
    Kind("link cut one way", link_cut_one_way, 0.5, 6.0),
    Kind("floor cut off a city", floor_cut_off_a_city, 0.5, 8.0),
    Kind("floor cut off one way", floor_cut_one_way, 0.5, 8.0),
    Kind("place cut off from the others", place_cut_off, 0.5, 7.0),
    Kind("flapping link", flapping_link, 2.0, 8.0),
    Kind("probes filtered", probes_filtered, 3.0, 10.0),
    Kind("slow link", slow_link, 1.0, 6.0),
    Kind("lost packets", lost_packets, 1.0, 6.0),
    Kind("requests come twice", requests_come_twice, 1.0, 8.0),
    Kind("engine stands still", engine_stands_still, 8.0, 8.0),
    Kind("coordinator stands still", coordinator_stands_still, 8.0, 8.0, 3),
    Kind("coordinator stops in the middle of a commit", coordinator_stops_in_a_commit, 4.0, 9.0, 3),
    Kind("engine stops in the middle of a push", engine_stops_in_a_push, 4.0, 9.0, 3),
    Kind("engine stops before it says a word", engine_stops_at_a_word, 4.0, 9.0, 2),
    Kind("CTI stands still", cti_stands_still, 5.0, 5.0, 3),
    Kind("softswitch stands still", switch_stands_still, 5.0, 5.0),
    Kind("store member stands still", member_stands_still, 6.0, 6.0),
    Kind("client stands still", client_stands_still, 4.0, 4.0),
    Kind("two engines in one place", two_engines, 2.0, 8.0),
    Kind("engine dies", engine_dies, 0.3, 6.0),
    Kind("coordinator dies", coordinator_dies, 0.3, 6.0, 3),
    Kind("CTI dies", cti_dies, 0.3, 5.0, 3),
    Kind("CTI starts with an old disk", cti_starts_with_an_old_disk, 0.5, 5.0, 3),
    Kind("CTI signs nobody in", cti_signs_nobody_in, 1.0, 9.0),
    Kind("softswitch refuses calls", switch_refuses_calls, 1.0, 9.0),
    Kind("softswitch dies", switch_dies, 0.3, 5.0),
    Kind("wall clock steps", clock_steps, 1.0, 8.0),
    Kind("store member dies", member_dies, 0.5, 6.0),
    Kind("store quorum lost", quorum_lost, 0.5, 6.0),
    Kind("watches break", watches_break, 0.1, 0.1),
    Kind("store compacts", store_compacts, 0.1, 0.1),
    Kind("store leader moves", leader_moves, 0.1, 0.1),
    Kind("connections break", connections_break, 0.1, 0.1),
    Kind("desktops restart", desktops_restart, 0.1, 0.1, 1),
    Kind("place powered off", place_powered_off, 0.5, 8.0),
)


def draw(rng: Random) -> Kind:
    return rng.choices(KINDS, [kind.weight for kind in KINDS])[0]
