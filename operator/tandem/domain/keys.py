"""Names of the store's keys. One place, so that nobody builds a key by hand.

    /tandem/v1/coordinator                               who may commit (on a lease); create revision = epoch
    /tandem/v1/heartbeat/<site>                          the location's engine lives (on its lease)
    /tandem/v1/store-member/<site>                       whether its member of the store takes part (engine's lease)
    /tandem/v1/operator/<site>                           versions of its operator and Kubernetes (operator's lease)
    /tandem/v1/spec/<site>/<kind>/<name>                 what that location's operator read from its Kubernetes API
    /tandem/v1/placement/<namespace>/<group>             the bucket map; its mod revision fences everything
    /tandem/v1/order/<namespace>/<group>                 the last order consumed, and what became of it
    /tandem/v1/shift/<namespace>/<name>                  a Shift: spec, plan, phase, progress
    /tandem/v1/ran/<namespace>/<name>                    a Shift that was tidied away: it does not run again
    /tandem/v1/drill/<namespace>/<name>                  a Drill: the run under way, past ones, what is dealt with
    /tandem/v1/observation/<observer>/<site>/<system>/<component>   one source's word, edges only (observer's lease)
    /tandem/v1/rehearsed/<observer>/<site>/<system>/<namespace>/<name>   a word as if it were lost, of a Drill (lease)
    /tandem/v1/test/<observer>/<site>/<system>           a test agent at the target of Shifts about to begin (lease)
    /tandem/v1/replicas/<site>/<system>                  how many are Ready there, of what is scaled (operator's lease)
    /tandem/v1/alarm/<site>/<owner>                      what Prometheus told that location, edges only (its lease)
    /tandem/v1/report/<site>/<system>                    what that city's CTI says (on the engine's lease)
    /tandem/v1/moves/<site>/<system>                     switch times of the agents that arrived there, per Shift
    /tandem/v1/arrivals/<site>/<system>                  the same in detail, of the last Drills' Shifts
    /tandem/v1/drill-report/<namespace>/<name>/<run>     the report of a run that is over
    /tandem/v1/trunk/<namespace>/<name>                  effective routes, and the revision the carrier confirmed
    /tandem/v1/failover/<site>                           the last emergency of that city: under way, or ended
    /tandem/v1/hold                                      the big red button
    /tandem/v1/hold-request/<site>                       last hold request consumed from that cluster

    /tandem/history/v1/<revision>-<writer>-<number>      the decision log, append-only: what one transaction decided

`<name>` of a namespaced object is `namespace/name`; `<owner>` of alarms is `drills/namespace/name` or
`shifts/namespace/name`. Everything under `/tandem/v1/` is in every engine's memory; the history is beside it, and read
by whoever asks.
"""

from typing import Final

PREFIX: Final = "/tandem/v1/"
COORDINATOR: Final = PREFIX + "coordinator"
HOLD: Final = PREFIX + "hold"

SPECS: Final = PREFIX + "spec/"
PLACEMENTS: Final = PREFIX + "placement/"
ORDERS: Final = PREFIX + "order/"
SHIFTS: Final = PREFIX + "shift/"
RAN: Final = PREFIX + "ran/"
DRILLS: Final = PREFIX + "drill/"
HEARTBEATS: Final = PREFIX + "heartbeat/"
STORE_MEMBERS: Final = PREFIX + "store-member/"
OPERATORS: Final = PREFIX + "operator/"
OBSERVATIONS: Final = PREFIX + "observation/"
REHEARSED: Final = PREFIX + "rehearsed/"
TESTS: Final = PREFIX + "test/"
REPLICAS: Final = PREFIX + "replicas/"
ALARMS: Final = PREFIX + "alarm/"
REPORTS: Final = PREFIX + "report/"
MOVES: Final = PREFIX + "moves/"
ARRIVALS: Final = PREFIX + "arrivals/"
DRILL_REPORTS: Final = PREFIX + "drill-report/"
TRUNKS: Final = PREFIX + "trunk/"
FAILOVERS: Final = PREFIX + "failover/"
HOLD_REQUESTS: Final = PREFIX + "hold-request/"

HISTORY: Final = "/tandem/history/v1/"
"""Not under PREFIX: no picture lists or watches it."""

SITE: Final = "sites"
SHIFT: Final = "shifts"
AGENT_GROUP: Final = "agentgroups"
TRUNK: Final = "trunks"
DRILL: Final = "drills"


def heartbeat(site: str) -> str:
    return HEARTBEATS + site


def store_member(site: str) -> str:
    return STORE_MEMBERS + site


def operator(site: str) -> str:
    return OPERATORS + site


def specs_of(site: str) -> str:
    return f"{SPECS}{site}/"


def spec(site: str, kind: str, name: str) -> str:
    return f"{SPECS}{site}/{kind}/{name}"


def placement(group: str) -> str:
    return PLACEMENTS + group


def order(group: str) -> str:
    return ORDERS + group


def shift(name: str) -> str:
    return SHIFTS + name


def ran(name: str) -> str:
    return RAN + name


def drill(name: str) -> str:
    return DRILLS + name


def observation(observer: str, site: str, system: str, component: str) -> str:
    return f"{OBSERVATIONS}{observer}/{site}/{system or '-'}/{component}"


def rehearsed(observer: str, site: str, system: str, drill: str) -> str:
    return f"{REHEARSED}{observer}/{site}/{system}/{drill}"


def test(observer: str, site: str, system: str) -> str:
    return f"{TESTS}{observer}/{site}/{system}"


def replicas(site: str, system: str) -> str:
    return f"{REPLICAS}{site}/{system}"


def alarms(site: str, owner: str) -> str:
    return f"{ALARMS}{site}/{owner}"


def report(site: str, system: str) -> str:
    return f"{REPORTS}{site}/{system}"


def moves(site: str, system: str) -> str:
    return f"{MOVES}{site}/{system}"


def arrivals(site: str, system: str) -> str:
    return f"{ARRIVALS}{site}/{system}"


def drill_report(name: str, run: str) -> str:
    return f"{DRILL_REPORTS}{name}/{run}"


def trunk(name: str) -> str:
    return TRUNKS + name


def failover(site: str) -> str:
    return FAILOVERS + site


def hold_request(site: str) -> str:
    return HOLD_REQUESTS + site


def history(revision: int, writer: str, number: int) -> str:
    """Key of one transaction's entries; keys sort as what they tell of happened.

    Args:
        revision: The store's, as the writer had read it when it decided; what it commits is newer.
        writer: The process; no two have the same name, restarts included.
        number: Counts that process's attempts: one whose outcome is unknown may be applied after the next one.
    """
    return f"{HISTORY}{revision:020d}-{writer}-{number}"
