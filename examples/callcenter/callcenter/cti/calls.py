"""The calls of this city: waiting, ringing, talked on, as the softswitch tells it (docs/contracts.md section 6).

`CallDesk` keeps the queue and applies what `distribute` decides; it changes agents' states through the `AgentBook` and
leaves words for the softswitch in `to_switch`.
"""

from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, Final, Literal

from callcenter.cti.agents import AgentBook
from callcenter.cti.distribution import HandBack, PeerGroup, Ring, ToPeer, WaitingCall, distribute
from callcenter.cti.tally import CallTally
from callcenter.session.messages import CallEventName

RELAY_MEMORY: Final = 0.5
"""Seconds for which a call sent to the peer still counts against the idle agents it reported: reports take a while."""

DEFAULT_RING: Final = 8.0
"""Seconds for which a phone rings, as the softswitch has it by default."""

RING_GRACE: Final = 3.0
"""Seconds after the longest ringing in which the softswitch has said what came of it; else the agent is free again."""

VAIN_PAUSE: Final = 10.0
"""Seconds without rings for a call of which the softswitch has ignored two words in a row: one word may be lost, two
mean that it cannot do it. Doubled each time, so that a call that is none any more costs agents next to nothing."""

PEER_PAUSE: Final = 2.0
"""Seconds without relays of a group after the peer gave one of its calls back."""


@dataclass(slots=True, eq=False)
class _Call:
    waiting: WaitingCall
    index: int
    label: int
    state: Literal["waiting", "ringing", "talking", "away"]
    account: str | None = None
    told: int = 0
    """Lists that had been asked for when we last said something about this call."""
    rings_until: float = inf
    """When the agent is free again, if nothing is heard of the ringing by then."""
    unheard: bool = False
    """It was to ring, and nothing was ever heard of it: no agent is kept for it before there is news."""
    vain: int = 0
    """Rings in a row that the softswitch knew nothing of."""
    not_before: float = -inf
    """It rings nobody before then."""


@dataclass(frozen=True, slots=True)
class DesktopEvent:
    """What an agent's desktop shall show."""

    account: str
    call: str
    event: CallEventName


class CallDesk:
    """All calls that the softswitch has told of.

    `changed` names groups whose queue or agents have changed, so that `assign` should look at them; `to_switch` and
    `desktop` are to be sent. Whoever reads them empties them.

    Args:
        agents: Whose states change with the calls.
        may_ring: Whether an agent may be given a call at a moment: a valid session, not about to leave.
        name: Of this process's life; lists that another one has asked for are not ours.
        ring: Seconds for which a phone rings at most (the softswitch's `TANDEM_RING_SECONDS`).
    """

    def __init__(self, agents: AgentBook, may_ring: Callable[[str, float], bool], name: str, ring: float) -> None:
        self.changed: set[str] = set()
        self.to_switch: list[dict[str, Any]] = []
        self.desktop: list[DesktopEvent] = []
        self._agents = agents
        self._may_ring = may_ring
        self._calls: dict[str, _Call] = {}
        self._queues: dict[str, list[WaitingCall]] = {}
        self._unanswered: Counter[str] = Counter()
        self._relays: dict[str, deque[float]] = {}
        self._peer_paused: dict[str, float] = {}
        self._boot: str | None = None
        self._name = name
        self._lists = 0
        self._ring_most = ring + RING_GRACE
        self._ringing: deque[tuple[float, _Call]] = deque()
        """Until when which call may ring, oldest first; what has changed since is skipped."""
        self._tallies: dict[str, CallTally] = {}

    def waiting(self, group: str) -> int:
        """How many calls wait in this group's queue."""
        return len(self._queues.get(group, ()))

    def unanswered_of(self, group: str) -> int:
        """How many calls of this group rang an agent here who did not take them; not those whose caller gave up."""
        return self._unanswered[group]

    def queue(self, group: str) -> Sequence[WaitingCall]:
        """The group's queue, oldest first."""
        return tuple(self._queues.get(group, ()))

    def tally(self, group: str) -> CallTally:
        """What has become of the group's calls; not to be changed."""
        return self._tallies.setdefault(group, CallTally())

    # ---- what the softswitch says

    def list_request(self) -> dict[str, Any]:
        """The question for all calls. Its answer, a `hello`, repairs what a lost word or event has left behind."""
        self._lists += 1
        return {"a": "list", "n": f"{self._name}.{self._lists}"}

    def hello(self, event: Mapping[str, Any], now: float, wall: float) -> bool:
        """All calls there are, because a connection opened or we asked: take them over, forget the others.

        The answer to a question knows nothing of what we said after asking, so calls that we spoke of since are left
        alone. On a new connection nothing that was said before counts.

        Returns: Whether the softswitch has restarted since it was last heard of, and lost its phones' registrations.
        """
        asked_by, _, number = str(event.get("n", "")).rpartition(".")
        if asked_by and asked_by != self._name:
            return False
        asked = int(number) if asked_by else None
        boot = str(event.get("boot", ""))
        restarted = self._boot is not None and boot != self._boot
        self._boot = boot
        listed = {str(call["callid"]): call for call in event.get("calls", ()) if "callid" in call}
        for call_id in [known for known in self._calls if known not in listed]:
            self._note_lost(self._calls[call_id], restarted)
            self._over(call_id, now)
        for call_id, entry in listed.items():
            known = self._calls.get(call_id)
            if asked is None or known is None or known.told < asked:
                self._take_over(call_id, entry, now, wall)
        return restarted

    def _take_over(self, call_id: str, entry: Mapping[str, Any], now: float, wall: float) -> None:
        extension = str(entry.get("ext") or "")
        state = entry.get("state") or ("talking" if extension else "waiting")
        age = max(0.0, wall - float(entry.get("queued_at", wall)))
        known = self._calls.get(call_id)
        if state == "waiting":
            if known is None or known.state != "waiting":
                vain = self._rang_in_vain(known, now) if known is not None else 0
                self._enqueue(call_id, entry, now - age)
                if vain:
                    self._calls[call_id].vain = vain
                    self._calls[call_id].not_before = now + VAIN_PAUSE * 2 ** (vain - 2) if vain > 1 else -inf
            return
        account = self._agents.by_extension(extension)
        if known is None:
            waiting = WaitingCall(call_id, str(entry.get("group", "")), int(entry.get("hop", 0)), now - age)
            known = self._calls[call_id] = _Call(waiting, 0, 0, "away")
        self._unqueue(known)
        if account is None:  # with the other city
            self._let_go(known, now, taken_back=True)
            known.state = "away"
        elif state == "ringing":
            if known.unheard or (known.state == "ringing" and known.account == account):
                return  # as we know; and a list is no news of a phone
            self._let_go(known, now, taken_back=True)
            if self._agents.state(account) == "available":
                self._agents.ring(account, call_id, now)
            self._rings(known, account, now)
        elif known.state != "talking":
            self._talk(known, account, now)

    def _rang_in_vain(self, known: _Call, now: float) -> int:
        """The call waits although we gave it away. Returns: How often in a row the softswitch knew of no ring."""
        rang = known.state == "ringing" or known.unheard
        # Perhaps our word was lost and the phone never rang: that is not the agent's fault.
        self._let_go(known, now, taken_back=True)
        return known.vain + 1 if rang else 0

    def tick(self, now: float) -> None:
        """Free the agents whose phones cannot be ringing any more, and of whose calls nothing was heard.

        A word may be lost on its way here, or the softswitch list a call that is none any more.
        """
        while self._ringing and self._ringing[0][0] <= now:
            until, call = self._ringing.popleft()
            if call.state == "ringing" and call.rings_until == until:
                self._let_go(call, now, taken_back=True)
                call.state, call.unheard = "away", True

    def call(self, event: Mapping[str, Any], now: float) -> None:
        """A new call waits."""
        self._over(str(event["callid"]), now)  # a name that comes again: the word that it was over was lost
        self._enqueue(str(event["callid"]), event, now - float(event.get("age", 0)))

    def cancel(self, call_id: str, now: float) -> None:
        """The caller gave up."""
        call = self._calls.get(call_id)
        if call is not None and call.state in ("waiting", "ringing"):
            self.tally(call.waiting.group).abandoned += 1
        self._over(call_id, now)

    def failed(self, event: Mapping[str, Any], now: float) -> None:
        """The phone, or the other city, did not take the call: it waits again, in its old place."""
        call = self._calls.get(str(event["callid"]))
        if call is None:
            return
        if call.account is not None:
            self._unanswered[call.waiting.group] += 1
        self._let_go(call, now, taken_back=False)
        if not event.get("ext"):
            self._peer_paused[call.waiting.group] = now + PEER_PAUSE
        call.index, call.label = int(event["i"]), int(event["l"])
        call.vain, call.not_before, call.unheard = 0, -inf, False
        self._queue_up(call)

    def answered(self, event: Mapping[str, Any], now: float) -> None:
        """A phone took the call (ours, or one of the other city's when `ext` is none of ours)."""
        call_id = str(event["callid"])
        call = self._calls.get(call_id)
        if call is None:
            group = str(event.get("group", ""))
            call = self._calls[call_id] = _Call(WaitingCall(call_id, group, 0, now), 0, 0, "away")
        account = self._agents.by_extension(str(event.get("ext") or ""))
        self._unqueue(call)
        if account is None:
            call.state = "away"
            return
        self._talk(call, account, now)

    def ended(self, call_id: str, by: str, now: float) -> None:
        """The call is over. `by`: caller, agent, or what else ended it."""
        call = self._calls.get(call_id)
        if call is not None and call.state == "talking":
            self.tally(call.waiting.group).ended(by)
        self._over(call_id, now)

    # ---- distribution

    def assign(self, group: str, now: float, *, staff: int, peer: PeerGroup | None) -> None:
        """Give the group's waiting calls to whom `distribute` says."""
        queue = self._queues.get(group)
        if not queue:
            return
        idle = (account for account, _ in self._agents.idle(group) if self._may_ring(account, now))
        due = [waiting for waiting in queue if self._calls[waiting.id].not_before <= now]
        for decision in distribute(due, idle, staff=staff, peer=self._less_relays(group, peer, now)):
            call = self._calls[decision.call]
            self._unqueue(call)
            call.told = self._lists
            where = {"i": call.index, "l": call.label, "callid": call.waiting.id}
            match decision:
                case Ring():
                    self._agents.ring(decision.account, decision.call, now)
                    self._rings(call, decision.account, now)
                    extension = self._agents.extension(decision.account)
                    self.to_switch.append({"a": "ring", **where, "ext": extension})
                    self.desktop.append(DesktopEvent(decision.account, decision.call, "ringing"))
                case ToPeer():
                    call.state = "away"
                    self._relays.setdefault(group, deque()).append(now)
                    self.to_switch.append({"a": "peer", **where})
                case HandBack():
                    del self._calls[decision.call]
                    self.tally(group).refused += 1
                    self.to_switch.append({"a": "reject", **where, "code": 503})

    def _less_relays(self, group: str, peer: PeerGroup | None, now: float) -> PeerGroup | None:
        """What the peer reported, less the calls on their way to it."""
        relays = self._relays.get(group)
        while relays and relays[0] <= now - RELAY_MEMORY:
            relays.popleft()
        if peer is None or now < self._peer_paused.get(group, 0.0):
            return None
        return PeerGroup(peer.idle - len(relays), peer.staff) if relays else peer

    # ---- small steps

    def _note_lost(self, call: _Call, restarted: bool) -> None:
        """A call that the softswitch does not list any more, and of whose end nothing was heard."""
        if call.state != "talking":
            return
        if restarted:
            self.tally(call.waiting.group).cut += 1
        else:
            self.tally(call.waiting.group).unheard += 1

    def _enqueue(self, call_id: str, event: Mapping[str, Any], queued_at: float) -> None:
        waiting = WaitingCall(call_id, str(event["group"]), int(event.get("hop", 0)), queued_at)
        call = self._calls[call_id] = _Call(waiting, int(event["i"]), int(event["l"]), "away")
        self._queue_up(call)

    def _queue_up(self, call: _Call) -> None:
        if call.state == "waiting":
            return
        call.state = "waiting"
        queue = self._queues.setdefault(call.waiting.group, [])
        insort(queue, call.waiting, key=lambda waiting: (waiting.queued_at, waiting.id))
        self.changed.add(call.waiting.group)

    def _unqueue(self, call: _Call) -> None:
        if call.state == "waiting":
            self._queues[call.waiting.group].remove(call.waiting)
            call.state = "away"
            self.changed.add(call.waiting.group)

    def _rings(self, call: _Call, account: str, now: float) -> None:
        call.state, call.account, call.rings_until = "ringing", account, now + self._ring_most
        self._ringing.append((call.rings_until, call))

    def _let_go(self, call: _Call, now: float, *, taken_back: bool) -> None:
        """No phone rings with this call any more. An agent who has another call by now is left alone."""
        account, call.account = call.account, None
        if account is not None and self._agents.call_of(account) == call.waiting.id:
            self._agents.ring_over(account, now, taken_back=taken_back)
            self.desktop.append(DesktopEvent(account, call.waiting.id, "ended"))

    def _talk(self, call: _Call, account: str, now: float) -> None:
        if call.account != account:
            self._let_go(call, now, taken_back=True)
        if call.state != "talking":
            self.tally(call.waiting.group).answered += 1
        call.state, call.account, call.vain, call.unheard = "talking", account, 0, False
        self._agents.talk(account, call.waiting.id, now)
        self.desktop.append(DesktopEvent(account, call.waiting.id, "talking"))

    def _over(self, call_id: str, now: float) -> None:
        call = self._calls.pop(call_id, None)
        if call is None:
            return
        self._unqueue(call)
        if call.account is None:
            return
        if call.state != "talking":
            self._let_go(call, now, taken_back=True)
        elif self._agents.call_of(call.account) == call_id:
            self.desktop.append(DesktopEvent(call.account, call_id, "ended"))
            self._agents.call_over(call.account, now)
            if self._agents.state(call.account) == "wrapup":
                self.desktop.append(DesktopEvent(call.account, call_id, "wrapup"))
