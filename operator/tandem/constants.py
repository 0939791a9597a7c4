"""Every constant of the product with its meaning and unit."""

from typing import Final

BUCKETS: Final = 100
"""Buckets of a group. A stable hash of the agent's account chooses one; percentages are whole buckets."""

MIN_WAVE_AGENTS: Final = 5
"""A wave is widened until it holds at least this many agents: a canary of one agent tells nothing."""

TXN_OPERATIONS: Final = 100
"""Most writes, and most premises, of one transaction, without the one write by which it tells of itself in the history.
etcd's own limit is 128 of each."""

PATIENCE_S: Final = 60.0
"""Seconds for which an order or a Shift waits to be accepted. Beyond it is refused: nothing starts late."""

CLOCK_AHEAD_S: Final = 60.0
"""Seconds by which a moment that a coordinator has written down may be later than now for the next one, whose clock is
another. What is later than that was written by a clock that was wrong, and counts as now."""

AGREE_S: Final = 2.0
"""Seconds that the locations' copies of an object may differ before that is worth a word: nobody applies a manifest
to several clusters in one moment."""

PREPARE_PATIENCE_S: Final = 300.0
"""Seconds for which an accepted Shift may wait for its target before it fails. Nothing has moved by then."""

READY_UNKNOWN_S: Final = 10.0
"""Seconds for which such a Shift waits for a word on Ready replicas where nobody says anything of them."""

READY_PATIENCE_S: Final = 60.0
"""Seconds for which an emergency leaves agents behind because replicas elsewhere are not Ready. A Pod that can start is
Ready by then; one that cannot (no node has room, somebody else owns the number, the Kubernetes API takes no writes) may
never be, and a target with too many agents for its replicas is better than none."""

READY_TTL_S: Final = 20.0
"""Seconds after which an operator's word on Ready replicas counts no more when it, or its Kubernetes API, is gone."""

READY_KEEPALIVE_S: Final = 5.0
"""Seconds between two renewals of the lease on which that word is."""

STAY_GRACE_S: Final = 2.0
"""Seconds after such a deadline until a Shift says who stays: a CTI finds out and names them once a second."""

FORCE_GRACE_S: Final = 10.0
"""Seconds that a CTI has, after a deadline beyond which nobody is waited for, until its agents count as staying."""

DOWN_EXTRA_S: Final = 2.0
"""Seconds beyond `confirmAfter` until a broken part of a city that still writes counts as Down: what is only restarted
is back by then (a CTI that was killed: 3 s, measured in the lab)."""

REHEARSAL_MOST_S: Final = 30.0
"""Seconds in which a rehearsed loss must be confirmed, and its silent agents be let in elsewhere: after that nobody is
kept silent any more, by each engine's own clock."""

SILENCE_TTL_S: Final = 3.0
"""Seconds for which one word to a CTI keeps a drill's agents silent: an engine that dies keeps nobody out longer."""

SILENCE_BEAT_S: Final = 0.5
"""Seconds between two such words; each is one failed look of the site's own at its CTI."""

DOWN_ACK_S: Final = 1.0
"""Seconds that the CTI of a system that is Down has to take the order to release its agents; then they may just go."""

QUARANTINE_S: Final = 5.0
"""Seconds that a city must have been healthy after a failover before anything is planned onto it."""

QUARANTINE_MOST_S: Final = 600.0
"""The longest such time for a city that fails again and again: each time doubles it."""

QUARANTINE_FORGIVEN_S: Final = 3600.0
"""Seconds after which an earlier failover does not lengthen the quarantine any more."""

CALLS_TO_JUDGE: Final = 10
"""Calls that must have been offered to agents at a target before the share that was taken closes a gate."""

SLOW_SIGN_IN_S: Final = 1.0
"""Seconds out of service of 95 % of the last agents beyond which a target counts as slow: the pace is halved."""

PACE_LEAST: Final = 0.1
"""Share of the stated pace below which a slow target never brings it: a move must end."""

PACE_STEP: Final = 0.1
"""Share of the stated pace that is won back at each look at a target that is quick again."""

PACE_INTERVAL_S: Final = 5.0
"""Least seconds between two changes of a pace; each is a write for every group on its way."""

PACE_GROUPS_PER_S: Final = 10.0
"""Groups on their way a second for which a pace may be changed: with many of them it is changed less often."""

GATE_SETTLE_S: Final = 2.0
"""Seconds after the last agent of a wave left for which a closed gate is no news: the last ones are being counted."""

VERIFY_S: Final = 5.0
"""Seconds after the last bucket for the last agents to arrive; then the Shift completes and says who is missing."""

END_SHOWN_S: Final = 30.0
"""Seconds for which a Shift that is over is kept at least, so that every cluster sees how it ended."""

MOST_ACCOUNTS_NAMED: Final = 1_000
"""Accounts that a Shift names as staying beyond its deadline; more are counted only."""

WAVE_S: Final = 1.0
"""Seconds that a plan counts for a wave besides its sign-ins: commit, push, and the word that the last one has left."""

SHIFTS_KEPT: Final = 100
"""Finished Shifts that people made and the store keeps per namespace; older ones stay only where they were made."""

RAN_KEPT: Final = 1000
"""Names of Shifts whose records were tidied away that the store remembers per namespace, so that none runs again."""

HISTORY_KEPT: Final = 10_000
"""Transactions that the decision log keeps: about 10 MB."""

HISTORY_AGE_S: Final = 400 * 24 * 3600.0
"""Seconds after which the decision log forgets: whoever compares with last year's Drill still finds it."""

HISTORY_LEAST: Final = 1_000
"""Transactions that the decision log keeps however old they are."""

HISTORY_STEP: Final = 8
"""Transactions that the decision log forgets at once."""

HISTORY_LOOK_S: Final = 60.0
"""Seconds between two looks whether the decision log has to forget something; after a whole step, one second."""

DRILL_MISSING_PERCENT: Final = 5
"""Most planned agents, in percent, who may fail to arrive by one way of a Drill that still counts as Succeeded: some go
home in any hour."""

ALARM_INTERVAL_S: Final = 1.0
"""Seconds between two questions of each alarm while a run is due or under way: what a move does to the agents shows
within a scrape interval, and asking costs next to nothing."""

ALARM_IDLE_INTERVAL_S: Final = 60.0
"""The same while none is: so that a query that cannot be asked is known before the night."""

ALARM_PATIENCE_S: Final = 60.0
"""Seconds for which no location may get an answer about an outcome alarm; then the run comes back. A Prometheus that is
restarted replays its log for half a minute."""

DRILL_LOOK_S: Final = 2.0
"""Seconds between two looks at the plan of a Drill that is due and whose plan was refused. What costs less to look at
is looked at in each decision."""

DRILL_LOOK_OPEN_S: Final = 0.2
"""Seconds for which such a look may come late; beyond that it is left to the next one."""

FINISH_INTERVAL_S: Final = 2.0
"""Least seconds between two commits that finish some of a group's buckets while others are still on their way."""

FORGET_AFTER_S: Final = 60.0
"""Seconds for which a group must be absent from every location before its placement is forgotten."""

ORDER_SHIFTS_KEPT: Final = 10
"""Finished Shifts made from orders that are kept per group; older ones are deleted from the store."""

ROUTES_INTERVAL_S: Final = 1.0
"""Least seconds between two changes of a Trunk's effective routes: weights follow agents, not each single sign-in."""

ROUTE_BACK_S: Final = 5.0
"""Seconds for which nobody may have spoken against a city until a route that was taken off it comes back, where no
agent waits for its calls: a city that comes back works and does not work by turns."""

ROUTES_STEP: Final = 3
"""Least change of a weight, in percent, for which the carrier is told."""

DECIDE_COALESCE_S: Final = 0.02
"""Seconds the coordinator lets changes gather before it decides: a burst is one decision."""

REPORT_COALESCE_S: Final = 0.1
"""Seconds within which it is reported that a map was acknowledged, or that the last agent of a wave has left."""

REPORT_INTERVAL_S: Final = 0.5
"""Least seconds between two reports that nobody waits for: who is talking, which bucket has emptied before the last."""

REPORT_BYTES_PER_S: Final = 1_000_000.0
"""Most bytes a second that one system's reports may write to the store; larger reports come less often."""

PROGRESS_WAIT_S: Final = 5.0
"""Seconds that one question to the CTI's progress stays open when nothing happens."""

PROGRESS_PAUSE_S: Final = 0.25
"""Seconds between two questions to the CTI."""

ARRIVALS_WAIT_S: Final = 10.0
"""Seconds that one question for arrivals stays open when nobody arrives."""

EVIDENCE_INTERVAL_S: Final = 1.0
"""Seconds between two questions to the CTI for what its clients say of other cities."""

DEEP_ANSWERS: Final = 5
"""Answers for which one deep probe waits at most: door, offer, registration, ringing, answer."""

CREDIT_S: Final = 10.0
"""Least seconds for which a component that passed is taken to work while no probe of it says anything: a location
without processor time must not lose its vote, and one that measures nothing must not have a veto for ever."""

LATE_ANSWER_S: Final = 3.0
"""Seconds after which nobody listens for a probe's answer any more. One that comes between the probe's timeout and this
is a sign of life: what it comes from is slow, and sessions live on there."""

DEEP_BEAT_S: Final = 2.0
"""Least seconds between two deep probes of one system by one location, while all is well."""

DEEP_PATIENCE: Final = 2
"""How many times `detection.timeout` a deep probe waits for each answer: what it asks takes some work, and the CTI that
takes a lost city's agents in is the last one to accuse."""

SOFTSWITCH_INTERVAL_S: Final = 1.0
"""Seconds between two looks at a softswitch's uptime. It has forgotten everything when the uptime fell."""

REPAIR_INTERVAL_S: Final = 10.0
"""Seconds between two complete read-backs of what CTI and softswitch hold: repairs what a push missed."""

CARRIER_REPAIR_INTERVAL_S: Final = 30.0
"""Seconds after which unchanged routes are pushed to the carrier again."""

CHANNELS_INTERVAL_S: Final = 5.0
"""Seconds between two looks at the channels in use of a carrier."""

LEASE_TTL_S: Final = 2.0
"""Seconds to live of the engine's lease, asked of the store: after this silence its words count no more."""

LEASE_KEEPALIVE_S: Final = 0.5
"""Seconds between two renewals of the engine's lease."""

SHIFTS_IN_MOVES: Final = 20
"""Shifts whose switch times a city keeps in the store."""

DRILL_SHIFTS_IN_ARRIVALS: Final = 4
"""Drills' Shifts whose arrivals a city keeps in detail: the two of the run under way, and of the one before."""

DRILL_REPORTS_KEPT: Final = 3
"""Reports of a Drill that the store keeps; the clusters keep those of all runs in the Drill's history."""

DRILL_EVENTS_KEPT: Final = 300
"""Events of a run that its report tells, the first ones; more are counted only."""

DEFAULT_ENGINE_PORT: Final = 8590
"""TCP port of the engine's status server."""
