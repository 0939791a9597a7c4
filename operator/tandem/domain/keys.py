"""Names of the store's keys. One place, so that nobody builds a key by hand.

    /tandem/v1/coordinator                               who may commit (on a lease); create revision = epoch
    /tandem/v1/heartbeat/<site>                          the location's engine lives (on its lease)
    /tandem/v1/spec/<site>/<kind>/<name>                 what that location's operator read from its Kubernetes API
    /tandem/v1/placement/<namespace>/<group>             the bucket map; its mod revision fences everything
    /tandem/v1/order/<namespace>/<group>                 the last order consumed, and what became of it
    /tandem/v1/shift/<namespace>/<name>                  a Shift: spec, plan, phase, progress
    /tandem/v1/drill/<namespace>/<name>                  a Drill: the run under way, past ones, what is dealt with
    /tandem/v1/observation/<observer>/<site>/<system>/<component>   one source's word, edges only (observer's lease)
    /tandem/v1/alarm/<site>/<owner>                      what Prometheus told that location, edges only (its lease)
    /tandem/v1/report/<site>/<system>                    what that city's CTI says (on the engine's lease)
    /tandem/v1/moves/<site>/<system>                     switch times of the agents that arrived there, per Shift
    /tandem/v1/trunk/<namespace>/<name>                  effective routes, and the revision the carrier confirmed
    /tandem/v1/failover/<site>                           the last emergency of that city: under way, or ended
    /tandem/v1/hold                                      the big red button
    /tandem/v1/hold-request/<site>                       last hold request consumed from that cluster

`<name>` of a namespaced object is `namespace/name`. `<owner>` of alarms is `drills/namespace/name`.
"""

from typing import Final

PREFIX: Final = "/tandem/v1/"
COORDINATOR: Final = PREFIX + "coordinator"
HOLD: Final = PREFIX + "hold"

SPECS: Final = PREFIX + "spec/"
PLACEMENTS: Final = PREFIX + "placement/"
ORDERS: Final = PREFIX + "order/"
SHIFTS: Final = PREFIX + "shift/"
DRILLS: Final = PREFIX + "drill/"
HEARTBEATS: Final = PREFIX + "heartbeat/"
OBSERVATIONS: Final = PREFIX + "observation/"
ALARMS: Final = PREFIX + "alarm/"
REPORTS: Final = PREFIX + "report/"
MOVES: Final = PREFIX + "moves/"
TRUNKS: Final = PREFIX + "trunk/"
FAILOVERS: Final = PREFIX + "failover/"
HOLD_REQUESTS: Final = PREFIX + "hold-request/"

SITE: Final = "sites"
AGENT_GROUP: Final = "agentgroups"
TRUNK: Final = "trunks"
DRILL: Final = "drills"


def heartbeat(site: str) -> str:
    return HEARTBEATS + site


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


def drill(name: str) -> str:
    return DRILLS + name


def observation(observer: str, site: str, system: str, component: str) -> str:
    return f"{OBSERVATIONS}{observer}/{site}/{system or '-'}/{component}"


def alarms(site: str, owner: str) -> str:
    return f"{ALARMS}{site}/{owner}"


def report(site: str, system: str) -> str:
    return f"{REPORTS}{site}/{system}"


def moves(site: str, system: str) -> str:
    return f"{MOVES}{site}/{system}"


def trunk(name: str) -> str:
    return TRUNKS + name


def failover(site: str) -> str:
    return FAILOVERS + site


def hold_request(site: str) -> str:
    return HOLD_REQUESTS + site
