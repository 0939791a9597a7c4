"""The faults, and what must come of each."""

from dataclasses import dataclass
from typing import Final, Literal

from tests.matrix import guests, stories
from tests.matrix import scene as made
from tests.matrix.invariants import Strike, link
from tests.matrix.scene import (
    CTI,
    CTI_OF_FLIGHT,
    ENGINE,
    EVERYBODY,
    INVITES,
    OPERATOR,
    SOFTSWITCH,
    STORE,
    Act,
)

FAILOVER: Final = "Failover"
"""Everybody of the lost city (or of the lost system there) works in the other one within the bound."""
NOTHING: Final = "Nothing"
"""No placement changes, and nobody notices but those whose own CTI or path was struck: they are back at home."""
GIVEN_UP: Final = "GivenUp"
"""The others see the city no more, and its buckets have their doors elsewhere; its agents, who still reach it, stay."""
EITHER: Final = "Failover or Nothing"
"""The city may be beyond use or may not; whichever it is, nobody is moved who could work on."""

GUESTS: Final = "Guests"
"""No placement changes; those who lost their path home work as guests elsewhere within 5 s, and come home after it."""

Expected = Literal["Failover", "Nothing", "GivenUp", "Guests", "Failover or Nothing"]
OUTCOMES: Final = {
    FAILOVER: frozenset({FAILOVER}),
    NOTHING: frozenset({NOTHING}),
    GIVEN_UP: frozenset({GIVEN_UP}),
    GUESTS: frozenset({GUESTS}),
    EITHER: frozenset({FAILOVER, NOTHING}),
}
"""Expectation -> what may be observed."""

EAST: Final = frozenset({"east"})
EAST_HOTEL: Final = frozenset({"east/hotel"})
BOTH: Final = frozenset({"east", "west"})
LINK: Final = frozenset({link("east", "west")})
CARRIER: Final = frozenset({link("carrier", "east")})
FLOOR: Final = frozenset({link(guests.FLOOR, guests.HOME)})
HOTEL: Final = frozenset({"hotel"})
IMPORTANT: Final = frozenset({"callcenter/hotel-coast-premium", "callcenter/flight-coast-premium"})
"""The groups of the highest priority."""
NOBODY: Final[frozenset[str]] = frozenset()


SLACK_S: Final = 2.0
"""What every bound of a failover has beyond the promised one: the lab's three cities, 119 agents and the observer share
two processors with whatever else there is, a diary is read 0.3 s late at most, and a pace of 0.1 s finds it."""

CITY_S: Final = 4.0 + SLACK_S
"""A city is lost."""
LEADER_S: Final = 5.0 + SLACK_S
"""And with it the coordinator, or the store's leader."""
DOWN_S: Final = 7.0 + SLACK_S
"""Something in the city is broken, and the city still writes. And a city that is lost together with a second part."""
STARVED_S: Final = 15.0
"""For which a city is left little of its processor time."""


@dataclass(frozen=True)
class Case:
    """One fault.

    Attributes:
        act: Makes it; what lasts until then is undone afterwards, by the lab.
        struck: Whose sessions may end by the fault itself: agents at a `site`, of a `site/system`, or of a group.
        cuts: Cities with all their links, systems of a city, or links, through which the fault ends calls: those that
            are in progress when it strikes there, and no later ones.
        lasts_s: How long it is left alone when nothing is to happen.
        within_s: Bound for everybody to work again: of a Failover from the fault on (`Scene.counts_from`), else from
            its undoing on.
        arrange: What is so before the fault: it takes time, and is no part of it.
        concerns: Systems or groups that a Failover concerns, and no other; empty: all of the city.
        changes: Cities that an agent may change.
        failover_within_s: Where a Failover may come or not: bound for it, from the fault on as well.
        reason: Where nobody is moved: what is said while the fault is there, in the other city's cluster. Why a group
            is not failed over, or could not be (FailoverReady); or what ails the city (`scene.SAID_OF_THE_CITY`).
        meanwhile: What is looked at when the city has been failed over, and is still lost.
        afterwards: What is looked at when everything is mended and has been judged.
    """

    name: str
    expected: Expected
    act: Act
    struck: frozenset[str] = NOBODY
    cuts: frozenset[str] = NOBODY
    lasts_s: float = 8.0
    within_s: float = 30.0
    arrange: Act | None = None
    concerns: frozenset[str] = NOBODY
    changes: int = 1
    failover_within_s: float = 0.0
    reason: str = ""
    meanwhile: Act | None = None
    afterwards: Act | None = None

    def may_have_cut(self, strike: Strike) -> bool:
        """Whether calls that were in progress there may have been ended by it."""
        return any(
            strike.place == place or strike.place in {link(place, other) for other in (*EVERYBODY, "east")}
            for place in self.cuts
        )

    @property
    def must_be(self) -> str:
        """The expectation with its reason, as the report shows it."""
        return f"{self.expected}: {self.reason}" if self.reason else self.expected


CASES: Final = (
    # -- a city
    Case("city powered off", FAILOVER, lambda s: s.power_off("east"), EAST, EAST, within_s=CITY_S),
    Case("city cut off from everyone", FAILOVER, lambda s: s.cut(*[("east", other) for other in EVERYBODY]), EAST,
         EAST, within_s=CITY_S),
    Case("nothing that a city sends arrives", FAILOVER,
         lambda s: s.cut(*[("east", other) for other in EVERYBODY], both=False), EAST, EAST, within_s=CITY_S),
    Case("nothing that is sent to a city arrives", FAILOVER,
         lambda s: s.cut(*[(other, "east") for other in EVERYBODY], both=False), EAST, EAST, within_s=CITY_S),
    Case("city powered off, with the coordinator", FAILOVER, lambda s: s.power_off("east"), EAST, EAST,
         within_s=LEADER_S, arrange=made.coordinator_at_east),
    Case("city powered off, with the store's leader", FAILOVER, lambda s: s.power_off("east"), EAST, EAST,
         within_s=LEADER_S, arrange=made.leader_at_east),
    # When it is back and its doors are not confirmed yet, its agents may be guests elsewhere for a moment: two changes.
    Case("city powered off while held", NOTHING, lambda s: s.power_off("east"), EAST, EAST,
         lasts_s=10.0, arrange=made.held, reason="Held", changes=2),
    Case("city powered off after the witness", NOTHING, lambda s: s.power_off("east"), EAST, EAST,
         lasts_s=12.0, within_s=60.0, arrange=made.witness_gone, reason="StoreUnreachable", changes=2),
    Case("city powered off, the other has room for the important", FAILOVER, lambda s: s.power_off("east"), EAST, EAST,
         within_s=CITY_S, arrange=made.room_for_the_important, concerns=IMPORTANT, meanwhile=made.the_rest_is_told,
         changes=2),
    Case("city powered off, a group waits for a person", FAILOVER, stories.approved_by_one_command, EAST, EAST,
         within_s=20.0, arrange=stories.a_group_that_waits_for_a_person, afterwards=stories.it_says_who_approved),
    Case("city cut off from the other locations, not from its floors", GIVEN_UP,
         lambda s: s.cut(("east", "west"), ("east", "witness")), cuts=LINK, within_s=10.0),
    Case("witness powered off", NOTHING, lambda s: s.power_off("witness"), reason="TooFewObservers"),
    # -- links
    Case("link between the cities cut", NOTHING, lambda s: s.cut(("east", "west")), cuts=LINK,
         reason="AccusedByOne"),
    Case("link between the cities cut one way", NOTHING, lambda s: s.cut(("east", "west"), both=False), cuts=LINK,
         reason="AccusedByOne"),
    Case("city cut off from the witness", NOTHING, lambda s: s.cut(("east", "witness")), reason="AccusedByOne"),
    Case("witness cut off from both cities", NOTHING, lambda s: s.cut(("witness", "east"), ("witness", "west")),
         reason="TooFewObservers"),
    Case("link between the cities flaps for 2 min", NOTHING, made.flapping, lasts_s=1.0),
    Case("carrier cut off from a city", NOTHING, lambda s: s.cut(("carrier", "east")), cuts=CARRIER),
    # -- Tandem's own processes
    Case("engine killed", NOTHING, lambda s: s.kill("east", ENGINE)),
    Case("coordinator killed", NOTHING, lambda s: s.kill("witness", ENGINE)),
    Case("engine frozen for 30 s", NOTHING, lambda s: s.freeze("east", ENGINE), lasts_s=30.0, reason="NoHeartbeat"),
    Case("coordinator frozen for 30 s", NOTHING, lambda s: s.freeze("witness", ENGINE), lasts_s=30.0,
         reason="TooFewObservers"),
    Case("operator killed", NOTHING, lambda s: s.kill("east", OPERATOR)),
    Case("operator frozen for 30 s", NOTHING, lambda s: s.freeze("east", OPERATOR, 30.0), lasts_s=2.0),
    Case("coordinator frozen, its city failed over, and thawed", FAILOVER, stories.frozen_coordinator_comes_to, EAST,
         EAST, within_s=LEADER_S, arrange=made.coordinator_at_east),
    Case("engine and operator of each location killed in turn", NOTHING, made.killed_in_turn, lasts_s=4.0),
    Case("all pods of Tandem restarted in turn", NOTHING, stories.rolled_out_anew, lasts_s=4.0),
    # -- the store
    Case("store member killed", NOTHING, lambda s: s.kill("east", STORE)),
    Case("store member frozen for 10 s", NOTHING, lambda s: s.freeze("west", STORE), lasts_s=10.0,
         reason="StoreWouldLoseQuorum"),
    Case("store's leader frozen for 10 s", NOTHING, lambda s: s.freeze("witness", STORE, 10.0), lasts_s=2.0,
         arrange=made.leader_at_witness),
    Case("store without a quorum for 10 s", NOTHING, lambda s: made.freeze_members(s, ("east", "west"), 10.0),
         lasts_s=4.0),
    Case("every store member killed at once", NOTHING,
         lambda s: made.kill_members(s, ("east", "west", "witness"))),
    Case("disk of a store member full", NOTHING, made.disk_full, lasts_s=3.0, arrange=made.store_on_a_small_disk),
    # -- Kubernetes
    Case("Kubernetes API killed", NOTHING, lambda s: s.kill("east", "kube-apiserver")),
    Case("Kubernetes API frozen", NOTHING, lambda s: s.freeze("east", "kube-apiserver")),
    Case("etcd of Kubernetes killed", NOTHING, lambda s: s.kill("east", "etcd")),
    Case("kubelet killed", NOTHING, lambda s: s.kill("east", "kubelet")),
    Case("containerd killed", NOTHING, lambda s: s.kill("east", "containerd")),
    Case("kube-proxy killed", NOTHING, lambda s: s.kill("east", "kube-proxy")),
    Case("no names for 30 s", NOTHING, stories.no_names, lasts_s=30.0, arrange=stories.names_are_found),
    Case("name server killed", NOTHING, lambda s: s.kill("east", "pod/kube-system/coredns")),
    # -- the call centre
    # Kubernetes starts it again at once, or after ten seconds when it has done so lately: that long it is Down.
    Case("CTI killed", EITHER, lambda s: s.kill("east", CTI), EAST_HOTEL, within_s=60.0, concerns=HOTEL, changes=2,
         failover_within_s=DOWN_S),
    Case("CTI of the other system killed", EITHER, lambda s: s.kill("east", CTI_OF_FLIGHT),
         frozenset({"east/flight"}), within_s=60.0, concerns=frozenset({"flight"}), changes=2,
         failover_within_s=DOWN_S),
    Case("CTI frozen for 2 s", NOTHING, lambda s: s.freeze("east", CTI, 2.0), EAST_HOTEL, lasts_s=4.0),
    Case("CTI frozen", FAILOVER, lambda s: s.freeze("east", CTI), EAST_HOTEL, within_s=DOWN_S, concerns=HOTEL),
    Case("CTI signs nobody in", FAILOVER, made.nobody_is_signed_in, EAST_HOTEL, within_s=DOWN_S, concerns=HOTEL),
    Case("floor cut off one city", GUESTS, lambda s: guests.floor_cut_off(s), EAST_HOTEL, FLOOR, lasts_s=2.0,
         changes=2),
    Case("softswitch killed", NOTHING, lambda s: s.kill("east", SOFTSWITCH)),
    Case("softswitch frozen for 2 s", NOTHING, lambda s: s.freeze("east", SOFTSWITCH, 2.0), lasts_s=4.0),
    Case("softswitch frozen", FAILOVER, lambda s: s.freeze("east", SOFTSWITCH), EAST_HOTEL, EAST_HOTEL,
         within_s=DOWN_S, concerns=HOTEL),
    Case("softswitch takes no calls and answers OPTIONS", FAILOVER, lambda s: s.swallow("east", INVITES), EAST_HOTEL,
         within_s=DOWN_S, concerns=HOTEL),
    Case("softswitch refuses calls with 503", FAILOVER, stories.refuses_calls, EAST_HOTEL, within_s=DOWN_S,
         concerns=HOTEL),
    # -- clocks and processor time
    Case("wall clocks of a city an hour ahead", NOTHING, made.clocks_of_a_city, lasts_s=10.0),
    Case("wall clocks of the coordinator an hour back", NOTHING, made.clocks_of_the_coordinator, lasts_s=10.0),
    Case("city left half of its processor time", NOTHING, lambda s: s.starve("east", 0.5, STARVED_S), EAST, EAST,
         lasts_s=4.0),
    # Sessions lapse from here on; agents may be guests elsewhere until it answers them again: two changes.
    Case("city left a quarter of its processor time", NOTHING, lambda s: s.starve("east", 0.25, STARVED_S), EAST, EAST,
         lasts_s=4.0, changes=2),
    # It may be given up at any moment of that time, and agents whom it still answers then may lose it as late as the
    # end of it.
    Case("city left a tenth of its processor time", EITHER, lambda s: s.starve("east", 0.1, STARVED_S), EAST, EAST,
         lasts_s=4.0, within_s=60.0, changes=2, failover_within_s=STARVED_S + DOWN_S),
    Case("busy loops take half of the machine", NOTHING, lambda s: s.burden(0.5, 15.0), BOTH, BOTH, lasts_s=4.0),
    Case("busy loops take three quarters of the machine", NOTHING, lambda s: s.burden(0.75, 15.0), BOTH, BOTH,
         lasts_s=4.0, within_s=60.0),
    # -- pairs
    Case("city powered off in a sign-in peak of the other", FAILOVER, made.sign_in_peak, BOTH, EAST, within_s=CITY_S,
         afterwards=made.the_important_came_first),
    Case("city powered off, witness's engine frozen for 6 s", FAILOVER, made.without_a_second_accuser, EAST, EAST,
         within_s=15.0),
    Case("city powered off, store without a quorum for 6 s", FAILOVER, made.without_a_quorum, EAST, EAST,
         within_s=15.0),
    Case("city powered off, the other's Kubernetes API frozen", FAILOVER,
         lambda s: made.off_and(s, s.freeze("west", "kube-apiserver")), EAST, EAST, within_s=CITY_S),
    Case("city powered off, the other's operator killed", FAILOVER,
         lambda s: made.off_and(s, s.kill("west", OPERATOR)), EAST, EAST, within_s=DOWN_S),
    Case("city powered off, the other's engine killed", FAILOVER,
         lambda s: made.off_and(s, s.kill("west", ENGINE)), EAST, EAST, within_s=DOWN_S),
    Case("city powered off while its agents move away", FAILOVER, made.while_leaving, EAST, EAST, within_s=DOWN_S),
    Case("city powered off while agents move to it", FAILOVER, made.while_arriving,
         EAST | {"callcenter/hotel-coast-service"}, EAST, within_s=DOWN_S, changes=2),
    Case("city powered off, the coordinator's clocks an hour back", FAILOVER, lambda s: s.power_off("east"), EAST,
         EAST, within_s=CITY_S, arrange=made.clocks_of_the_coordinator),
    Case("city powered off and on, twice", FAILOVER, made.off_and_on_twice, EAST, EAST, within_s=60.0),
    Case("link between the cities cut, engine killed", NOTHING, made.link_cut_and_engine_killed, cuts=LINK,
         reason="AccusedByOne"),
    # -- vetoes
    Case("link between the cities cut, engine frozen", NOTHING, made.link_cut_and_engine_frozen, cuts=LINK,
         reason="AccusedByOne"),
    Case("engine and CTI frozen, the softswitch answers", NOTHING, made.engine_and_cti_frozen, EAST_HOTEL,
         within_s=60.0, reason="NotGivenUp", changes=2),
    # The second half of its credit, what confirms Down, and the way of the agents.
    Case("softswitch takes no calls, the witness measures nothing", FAILOVER,
         made.no_calls_and_a_witness_that_measures_nothing, EAST_HOTEL, within_s=made.CREDIT_OF_CALLS_S + 12.0,
         concerns=HOTEL),
)  # fmt: skip
"""In `make matrix` all of them; `make test` takes the first of each kind."""

IN_TESTS: Final = (
    "city powered off",
    "city cut off from everyone",
    "city powered off, with the coordinator",
    "city powered off while held",
    "city powered off, a group waits for a person",
    "city cut off from the other locations, not from its floors",
    "link between the cities cut",
    "witness cut off from both cities",
    "coordinator frozen, its city failed over, and thawed",
    "store without a quorum for 10 s",
    "CTI killed",
    "wall clocks of a city an hour ahead",
    "floor cut off one city",
)
