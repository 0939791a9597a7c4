"""Why something happened or did not: stable CamelCase words for conditions, Events and metrics."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Reason(StrEnum):
    """Never renamed: alerts and scripts look for them."""

    # What a declaration can have wrong. Waiting will not help.
    INVALID_SPEC = "InvalidSpec"
    NO_AGENTS = "NoAgents"
    NO_GROUPS = "NoGroups"
    UNKNOWN_SITE = "UnknownSite"
    SITE_NOT_LISTED = "SiteNotListed"
    SITE_TWICE = "SiteTwice"
    NOT_ACTIVE = "NotActive"
    UNKNOWN_SYSTEM = "UnknownSystem"
    UNKNOWN_GROUP = "UnknownGroup"
    PERCENTAGES_DO_NOT_SUM = "PercentagesDoNotSumTo100"
    WAVES_NOT_RISING = "WavesNotRising"
    ROUTE_TO_NOWHERE = "RouteToNowhere"
    TOO_FEW_ROUTES = "TooFewRoutes"
    # What the world has against it.
    CAPACITY_EXCEEDED = "CapacityExceeded"
    TARGET_NOT_USABLE = "TargetNotUsable"
    HELD = "Held"
    SPEC_NOT_CONSISTENT = "SpecNotConsistent"
    SHIFT_CONFLICT = "ShiftConflict"
    MAINTENANCE = "Maintenance"
    QUARANTINED = "Quarantined"
    MANUAL_FAILOVER = "ManualFailover"
    DECLINED = "Declined"
    NOT_GIVEN_UP = "NotGivenUp"
    STILL_MOVING = "StillMoving"
    NO_REPORT = "NoReport"
    NOT_ACCEPTED_IN_TIME = "NotAcceptedInTime"
    PLAN_OUTDATED = "PlanOutdated"
    NO_USABLE_ROUTE = "NoUsableRoute"
    UNSUPPORTED_BY_CTI = "UnsupportedByCTI"
    TESTING_TARGET = "TestingTarget"
    WAITING_FOR_REPLICAS = "WaitingForReplicas"
    TARGET_TEST_FAILED = "TargetTestFailed"
    OBSERVING = "Observing"
    TOO_FEW_SIGNED_IN = "TooFewSignedIn"
    SIGN_INS_TOO_SLOW = "SignInsTooSlow"
    CALLS_NOT_TAKEN = "CallsNotTaken"
    ALREADY_RUN = "AlreadyRun"
    NAME_TAKEN = "NameTaken"
    DEFECT = "Defect"
    # What happened.
    NOTHING_TO_MOVE = "NothingToMove"
    INITIAL_PLACEMENT = "InitialPlacement"
    ADOPTED = "Adopted"
    ORDER_ACCEPTED = "OrderAccepted"
    PLANNED = "Planned"
    DRY_RUN = "DryRun"
    AWAITING_APPROVAL = "AwaitingApproval"
    PREPARING = "Preparing"
    PACE_CHANGED = "PaceChanged"
    WAVE_STARTED = "WaveStarted"
    BUCKETS_ARRIVED = "BucketsArrived"
    VERIFYING = "Verifying"
    COMPLETED = "Completed"
    AGENTS_STAY = "AgentsStay"
    AGENTS_MISSING = "AgentsMissing"
    NOBODY_REHEARSED = "NobodyRehearsed"
    CALLS_CUT = "CallsCut"
    ABORTED_BY_USER = "AbortedByUser"
    ABORTING = "Aborting"
    ROLLED_BACK = "RolledBack"
    FAILED_OVER = "FailedOver"
    FAILOVER_ENDED = "FailoverEnded"
    ROUTES_CHANGED = "RoutesChanged"
    FORGOTTEN = "Forgotten"
    SUPERSEDED = "Superseded"
    # Drills.
    SUSPENDED = "Suspended"
    CLOCK_AHEAD = "ClockAhead"
    OUTSIDE_WINDOWS = "OutsideWindows"
    DRILL_CONFLICT = "DrillConflict"
    SITE_NOT_HEALTHY = "SiteNotHealthy"
    NOT_FAILOVER_READY = "NotFailoverReady"
    AWAY_FROM_HOME = "AwayFromHome"
    DEADLINE_MISSED = "DeadlineMissed"
    ALARM_FIRING = "AlarmFiring"
    ALARM_PENDING = "AlarmPending"
    ALARM_UNKNOWN = "AlarmUnknown"
    ALARM_FIRED = "AlarmFired"
    WAITING = "Waiting"
    CHECKING = "Checking"
    DRILL_STARTED = "DrillStarted"
    HOLDING = "Holding"
    COMING_BACK = "ComingBack"
    DRILL_DELETED = "DrillDeleted"
    SHIFT_GONE = "ShiftGone"
    NOT_RESTORED = "NotRestored"
    REHEARSING = "Rehearsing"
    FAILOVER_REHEARSED = "FailoverRehearsed"
    LOSS_NOT_CONFIRMED = "LossNotConfirmed"
    REHEARSAL_ENDED = "RehearsalEnded"


GATE_REASONS: Final = frozenset(
    {
        Reason.TARGET_TEST_FAILED,
        Reason.TOO_FEW_SIGNED_IN,
        Reason.SIGN_INS_TOO_SLOW,
        Reason.CALLS_NOT_TAKEN,
        Reason.ALARM_FIRING,
        Reason.ALARM_PENDING,
        Reason.ALARM_UNKNOWN,
    }
)
"""Why a wave does not begin though nothing forbids it: what was measured. `Observing` is no news: it ends by itself."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why something is not done. `temporary`: the world may change; else the declaration has to."""

    reason: Reason
    message: str
    temporary: bool = False
