"""Which targets are reachable: an OPTIONS to each of them every second, and who has to know when three are lost."""

from collections.abc import Callable, Collection
from typing import Final

from callcenter.sip.message import Address, Headers, Request, Response
from callcenter.sip.stack import SipStack
from callcenter.sip.timers import Timer

INTERVAL: Final = 1.0
"""Seconds between two OPTIONS to a target, and how long each is waited for."""

LOST_AFTER: Final = 3
"""OPTIONS in a row without any answer until a target counts as lost."""


class TargetMonitor:
    """Asks every target of every route table.

    Any answer counts, a refusal too: it is the way that is tested, and a softswitch that drains still carries the calls
    that wait in it.
    """

    def __init__(self, stack: SipStack, on_lost: Callable[[Address], None]) -> None:
        self._stack = stack
        self._on_lost = on_lost
        self._misses: dict[Address, int] = {}
        self._timers: dict[Address, Timer] = {}

    @property
    def lost(self) -> set[Address]:
        """Targets that count as lost now."""
        return {target for target, misses in self._misses.items() if misses >= LOST_AFTER}

    @property
    def misses(self) -> dict[Address, int]:
        """OPTIONS lost in a row, by target."""
        return dict(self._misses)

    def watch(self, targets: Collection[Address]) -> None:
        """Ask exactly these targets from now on."""
        for target in [known for known in self._misses if known not in targets]:
            del self._misses[target]
            self._timers.pop(target).cancel()
        for target in targets:
            if target not in self._misses:
                self._misses[target] = 0
                self._ask(target)

    def stop(self) -> None:
        """Ask nobody any more."""
        self.watch(())

    def _ask(self, target: Address) -> None:
        self._timers[target] = self._stack.scheduler.call_later(INTERVAL, lambda: self._ask(target))
        stack = self._stack
        headers = Headers()
        headers.set("max-forwards", "70")
        headers.set("from", f"<sip:carrier@{stack.local[0]}>;tag={stack.token()}")
        headers.set("to", f"<sip:{target[0]}:{target[1]}>")
        headers.set("call-id", stack.new_call_id())
        headers.set("cseq", "1 OPTIONS")
        request = Request(headers, b"", "OPTIONS", f"sip:{target[0]}:{target[1]}")
        stack.request(request, target, _Ping(self, target), timeout=INTERVAL)

    def answered(self, target: Address) -> None:
        """An OPTIONS to `target` was answered."""
        if target in self._misses:
            self._misses[target] = 0

    def missed(self, target: Address) -> None:
        """An OPTIONS to `target` was not."""
        if target not in self._misses:
            return
        self._misses[target] += 1
        # Told every time, not only the third: a call may have come to wait there in between.
        if self._misses[target] >= LOST_AFTER:
            self._on_lost(target)


class _Ping:
    __slots__ = ("_monitor", "_target")

    def __init__(self, monitor: TargetMonitor, target: Address) -> None:
        self._monitor = monitor
        self._target = target

    def on_response(self, response: Response) -> None:
        self._monitor.answered(self._target)

    def on_timeout(self) -> None:
        self._monitor.missed(self._target)
