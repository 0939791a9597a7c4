"""The whole carrier on one SIP stack: route tables, limits, load, calls and targets. Clock and wire are handed in."""

import random
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from callcenter.sip.message import Address
from callcenter.sip.stack import SipStack
from callcenter.sip.timers import Timer

from .call_log import CallLog, CallRecord
from .errors import StaleRevisionError
from .fate import Fate, Outcome
from .limits import Limits
from .load import Caller, Load, next_caller, next_gap
from .placed_call import PlacedCall, Surroundings
from .routes import NumberPlan, order_routes
from .targets import TargetMonitor

SECONDS_KEPT: Final = 600
"""Seconds of which the per-second statistics are remembered."""

MOST_BEHIND: Final = 1.0
"""Seconds of calls that are made up for after a stall; beyond that they are left out instead of coming in a burst."""


class Switchboard:
    """Everything the carrier knows.

    Args:
        wall: CLOCK_REALTIME in seconds.
        seed: For everything that is drawn: first routes, callers, gaps.
    """

    def __init__(self, stack: SipStack, *, wall: Callable[[], float], seed: int = 0) -> None:
        self.log = CallLog()
        self.load = Load(0.0)
        self.plans: dict[str, NumberPlan] = {}
        self.targets = TargetMonitor(stack, self._on_target_lost)
        self._around = Surroundings(stack, self.log, wall)
        self._rng = random.Random(seed)
        self._limits: dict[str, Limits] = {}
        self._calls: dict[str, PlacedCall] = {}
        self._placed = 0
        self._next_call: Timer | None = None
        self._next_due = 0.0
        self._seconds: deque[dict[str, Any]] = deque(maxlen=SECONDS_KEPT)
        self._last_fates: Counter[str] = Counter()
        self._last_placed = 0
        self._second = stack.scheduler.call_later(1.0, self._on_second)

    # -- orders ------------------------------------------------------------------------------------------------------

    def set_plan(self, plan: NumberPlan) -> None:
        """Take a number's route table; calls in progress stay where they are.

        Raises: StaleRevisionError when a newer one is held.
        """
        held = self.plans.get(plan.number)
        if held is not None and held.revision > plan.revision:
            raise StaleRevisionError(f"number {plan.number}: revision {plan.revision} is older than {held.revision}")
        self.plans[plan.number] = plan
        self._limits.setdefault(plan.number, Limits()).change(plan.channels, plan.calls_per_second)
        self.targets.watch({route.target for known in self.plans.values() for route in known.routes})

    def set_load(self, load: Load) -> None:
        """Place calls like this from now on; the same seed gives the same callers again."""
        self.load = load
        self._rng = random.Random(load.seed)
        if self._next_call is not None:
            self._next_call.cancel()
            self._next_call = None
        if load.calls_per_second > 0:
            self._next_due = self._now()
            self._schedule_next()

    def place(self, caller: Caller) -> CallRecord:
        """Place one call now."""
        self._placed += 1
        record = CallRecord(
            id=f"{self._around.stack.token()}",
            number=caller.number,
            caller=caller.caller,
            placed_at=self._around.wall(),
            talk=caller.talk,
        )
        plan = self.plans.get(caller.number)
        limits = self._limits.get(caller.number)
        routes = [] if plan is None else order_routes(plan.routes, caller.caller, self._rng, lost=self.targets.lost)
        if not routes or limits is None:
            self.log.ended(record, Outcome(Fate.REFUSED, "carrier", 404), record.placed_at)
        elif not limits.admit(self._now()):
            self.log.ended(record, Outcome(Fate.REFUSED, "carrier", 503), record.placed_at)
        else:
            call = PlacedCall(self._around, record, routes, patience=caller.patience, on_done=self._on_done)
            self._calls[record.id] = call
            call.start()
        return record

    def close(self) -> None:
        """Place no more calls, hang up, and ask no targets any more."""
        self.set_load(Load(0.0))
        self.targets.stop()
        self._second.cancel()
        self.hang_up()

    def hang_up(self) -> int:
        """Every caller hangs up, whether somebody has answered or not. Returns: how many they are."""
        calls = list(self._calls.values())
        for call in calls:
            call.hang_up()
        return len(calls)

    @property
    def calls_under_way(self) -> int:
        """Calls without a final fate."""
        return len(self._calls)

    # -- figures -----------------------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """Counts now, and the latest seconds one by one (oldest first)."""
        talking = sum(1 for call in self._calls.values() if call.record.answered_at is not None)
        queued = sum(1 for call in self._calls.values() if call.record.fate is Fate.QUEUED)
        lost = self.targets.lost
        counters = self._around.stack.counters
        return {
            "calls_per_second": self.load.calls_per_second,
            "placed": self._placed,
            "active": len(self._calls),
            "talking": talking,
            "queued": queued,
            "fates": {str(fate): count for fate, count in self.log.fates.items()},
            "numbers": {number: {"channels_in_use": limits.in_use} for number, limits in self._limits.items()},
            "targets": {
                f"{target[0]}:{target[1]}": {"up": target not in lost, "lost": misses}
                for target, misses in self.targets.misses.items()
            },
            "sip": {"received": counters.received, "sent": counters.sent, "malformed": counters.malformed},
            "seconds": list(self._seconds),
        }

    def _on_second(self) -> None:
        self._second = self._around.stack.scheduler.call_later(1.0, self._on_second)
        fates = Counter(self.log.fates)
        ended = {
            str(fate): fates[fate] - self._last_fates[fate] for fate in fates if fates[fate] > self._last_fates[fate]
        }
        self._seconds.append(
            {"at": self._around.wall(), "placed": self._placed - self._last_placed, "active": len(self._calls), **ended}
        )
        self._last_fates, self._last_placed = fates, self._placed

    # -- the machinery -----------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return self._around.stack.scheduler.time()

    def _schedule_next(self) -> None:
        # Due times are counted from the last due time, or every late timer would lower the rate.
        self._next_due = max(self._next_due + next_gap(self.load, self._rng), self._now() - MOST_BEHIND)
        self._next_call = self._around.stack.scheduler.call_later(
            max(0.0, self._next_due - self._now()), self._place_next
        )

    def _place_next(self) -> None:
        caller = next_caller(self.load, sorted(self.plans), self._rng)
        if caller is not None:
            self.place(caller)
        self._schedule_next()

    def _on_done(self, call: PlacedCall) -> None:
        self._calls.pop(call.record.id, None)
        self._limits[call.record.number].release()

    def _on_target_lost(self, target: Address) -> None:
        for call in [call for call in self._calls.values() if call.waiting_at == target]:
            call.target_lost()
