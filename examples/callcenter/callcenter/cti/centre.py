"""One CTI without its sockets: sessions, agents, calls and the other city's reports, put together.

Every method takes the time, changes state and returns `Effects`; nothing here does I/O, so the simulation can run a
whole CTI. Groups whose counts changed get the next number of `seq`, which is what the control port's long polls wait
for.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from callcenter.cti.agents import AgentBook
from callcenter.cti.calls import DEFAULT_RING, CallDesk
from callcenter.cti.distribution import PeerGroup
from callcenter.cti.metrics import Durations
from callcenter.directory import is_test_group
from callcenter.session.door import Door
from callcenter.session.events import Button, Close, Gone, MoveMade, Out, Reply, Say, Started
from callcenter.session.loan_frames import LoanFrame
from callcenter.session.messages import Call, ClientFrame, Register
from callcenter.session.placements import PlaceAnswer, Placement
from callcenter.session.priorities import Priorities
from callcenter.session.server import SessionServer

MOVES_KEPT: Final = 20_000
"""Moves that the control port can still be asked for."""

PEER_FRESH: Final = 3.0
"""Seconds after which a peer that says nothing gets no calls."""

RELAY_LOOK: Final = 0.25
"""Seconds between two looks at queues that nobody here can serve: relay bounds and pauses end by themselves."""


@dataclass(slots=True)
class Effects:
    """What the edges have to do: frames to clients, connections to close, words to the softswitch and the other CTI."""

    to_clients: list[Reply | Close] = field(default_factory=list)
    to_switch: list[dict[str, Any]] = field(default_factory=list)
    to_peers: list[Say] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Move:
    """One agent's move into this city. `seq` counts up from 1."""

    seq: int
    move: MoveMade


class Centre:
    """The CTI's state, by `now` (CLOCK_BOOTTIME). `server`, `agents` and `calls` may be read, not changed.

    Args: ring: see `CallDesk`.
    """

    def __init__(
        self, server: SessionServer, agents: AgentBook, wall_offset: float, *, ring: float = DEFAULT_RING
    ) -> None:
        self.server = server
        self.agents = agents
        self.calls = CallDesk(agents, server.may_take_call, server.boot, ring)
        self.seq = 1
        self.group_seq: dict[str, int] = dict.fromkeys(agents.groups, 1)
        self.moves: deque[Move] = deque(maxlen=MOVES_KEPT)
        self.move_seq = 0
        self.arrivals: Counter[str] = Counter()
        """Agents who have come in with a ticket since this process started, by the city that gave it."""
        self.sign_ins = Durations()
        """From asking for a session to having one."""
        self._wall_offset = wall_offset
        self._peer: dict[str, PeerGroup] = {}
        self._peer_at = float("-inf")
        self._looked_at = float("-inf")

    # ---- events

    def client_frame(self, conn: int, frame: ClientFrame, now: float) -> Effects:
        """A client sent a frame."""
        outs = self.server.frame(conn, frame, now)
        if not outs and not self._has_news():
            return Effects()  # the answer to a ping: hundreds a second
        return self._settle(outs, now)

    def client_gone(self, conn: int, now: float) -> Effects:
        """A client's connection is gone."""
        return self._settle(self.server.disconnected(conn, now), now)

    def place(
        self, placements: Mapping[str, Placement], *, confirmed: bool, now: float
    ) -> tuple[dict[str, PlaceAnswer], Effects]:
        """The engine pushed placements for this boot."""
        answers, outs = self.server.place(placements, confirmed=confirmed, now=now)
        return answers, self._settle(outs, now)

    def impair(
        self, drill: str, shares: Mapping[str, int], to: Collection[str], ttl: float, now: float
    ) -> tuple[dict[str, int], Effects]:
        """A drill wants idle agents kept silent, goes on with it, or ends it: `SessionServer.impair`."""
        chosen = self.server.impair(
            drill, shares, to, ttl, lambda account: self.agents.state(account) == "available", now
        )
        # Who hears this city again may be offered a call again.
        waiting = [group for group in self.group_seq if self.calls.waiting(group)]
        return chosen, self._settle([], now, waiting)

    def set_priorities(self, priorities: Priorities, now: float) -> Effects:
        """The engine says how important groups are."""
        self.server.set_priorities(priorities)
        return self._settle([], now)

    def restart(self, boot: str, now: float) -> Effects:
        """The event loop stood still for longer than a lease."""
        return self._settle(self.server.restart(boot, now), now)

    def tick(self, now: float) -> Effects:
        """Time has passed."""
        outs = self.server.tick(now)
        self.calls.tick(now)
        for account in self.agents.tick(now):
            self._show(account, self.agents.call_of(account) or "", "ready", outs)
        look: Iterable[str] = ()
        if now >= self._looked_at + RELAY_LOOK:
            self._looked_at = now
            look = [group for group in self.group_seq if self.calls.waiting(group)]
        return self._settle(outs, now, look)

    def switch_event(self, event: Mapping[str, Any], now: float) -> Effects:
        """The softswitch says something. Raises KeyError, TypeError or ValueError when it makes no sense."""
        outs: list[Out] = []
        match event.get("e"):
            case "call":
                self.calls.call(event, now)
            case "cancel":
                self.calls.cancel(str(event["callid"]), now)
            case "failed":
                self.calls.failed(event, now)
            case "answered":
                self.calls.answered(event, now)
            case "ended":
                self.calls.ended(str(event["callid"]), str(event.get("by", "")), now)
            case "hello":
                if self.calls.hello(event, now, now + self._wall_offset):
                    outs += [Reply(conn, Register()) for conn in self.server.connections()]
            case other:
                raise ValueError(f"unknown event {other!r}")
        return self._settle(outs, now)

    def peer_report(self, groups: Mapping[str, PeerGroup], now: float) -> Effects:
        """The other city says how many agents it has."""
        grown = [name for name, group in groups.items() if self.calls.waiting(name) and self._peer.get(name) != group]
        self._peer, self._peer_at = dict(groups), now
        return self._settle([], now, grown)

    def peer_loans(self, peer: str, frame: LoanFrame, now: float) -> Effects:
        """Another city speaks of guests."""
        return self._settle(self.server.peer_said(peer, frame, now), now)

    def loans_kept(self, now: float) -> Effects:
        """The disk has the accounts that may be lent."""
        return self._settle(self.server.loans_kept(now), now)

    def set_guest_capacity(self, capacity: int, now: float, *, as_of: int) -> Effects:
        """The engine says how many guests this city takes, as the store had it at revision `as_of`."""
        return self._settle(self.server.set_guest_capacity(capacity, now, as_of=as_of), now)

    # ---- what others may ask

    def staff(self, group: str) -> int:
        """Agents of a group who are signed in here and stay."""
        buckets = self.server.count(group).buckets
        return sum(n for bucket, n in buckets.items() if self.server.book.door(group, bucket) is not Door.LEAVING)

    def idle(self, group: str) -> int:
        """Agents of a group who could take a call here now, as far as counting goes."""
        buckets = self.agents.idle_buckets(group)
        return sum(n for bucket, n in buckets.items() if self.server.book.door(group, bucket) is not Door.LEAVING)

    def idle_report(self, now: float) -> dict[str, dict[str, float]]:
        """What the other city is told of every group."""
        return {
            group: {
                "available": max(0, self.idle(group) - self.server.silenced(group, now)),
                "signed_in": self.staff(group),
                "longest_idle": 0.0 if since is None else round(now - since, 1),
            }
            for group in self.agents.groups
            for since in [self.agents.longest_idle_since(group)]
        }

    def peer_of(self, group: str, now: float) -> PeerGroup | None:
        """What the other city last said of a group, or None: not heard of lately."""
        if now > self._peer_at + PEER_FRESH:
            return None
        return self._peer.get(group, PeerGroup(0, 0))

    # ---- what follows from what

    def _settle(self, outs: list[Out], now: float, look: Iterable[str] = ()) -> Effects:
        """Carry changes through until nothing changes any more: sessions, agents, calls, and back again."""
        effects = Effects()
        dirty = set(look)
        while True:
            self._spread(outs, now, effects)
            outs = []
            dirty |= self._changed()
            activities, self.agents.activities = self.agents.activities, []
            desktop, self.calls.desktop = self.calls.desktop, []
            for account, activity in activities:
                outs += self.server.set_activity(account, activity, now)
            for shown in desktop:
                self._show(shown.account, shown.call, shown.event, outs)
            if outs or activities:
                continue  # first who is where, then who gets which call
            if not dirty:
                break
            for group in dirty:
                self.calls.assign(group, now, staff=self.staff(group), peer=self.peer_of(group, now))
            dirty = set()
        effects.to_switch, self.calls.to_switch = self.calls.to_switch, []
        return effects

    def _has_news(self) -> bool:
        """Whether anything has changed that `_settle` would carry through."""
        agents, calls = self.agents, self.calls
        return bool(
            self.server.has_changed
            or agents.changed
            or agents.activities
            or calls.changed
            or calls.desktop
            or calls.to_switch
        )

    def _spread(self, outs: Iterable[Out], now: float, effects: Effects) -> None:
        for out in outs:
            match out:
                case Reply() if self.server.withholds(out.conn, now):
                    pass  # a city that is lost says nothing
                case Reply() | Close():
                    effects.to_clients.append(out)
                case Say():
                    effects.to_peers.append(out)
                case Gone():
                    # Replaced by a session that began in the same moment, the agent is not out at all.
                    if self.server.conn_of(out.member.account) is None:
                        self.agents.signed_out(out.member.account, now)
                case Button(then=then) if then is not None:
                    self.agents.carried_call_over(out.member.account, then, now)
                case Button():
                    self.agents.button(out.member.account, out.state, now)
                case MoveMade():
                    self.move_seq += 1
                    self.moves.append(Move(self.move_seq, out))
                case Started():  # the desk took note when it gave out the number
                    if out.from_ is not None:
                        self.arrivals[out.from_] += 1
                    if not is_test_group(out.member.group):
                        self.sign_ins.add(out.after)

    def _changed(self) -> set[str]:
        """Number the groups that changed, and name those whose queues deserve a look."""
        changed = self.server.take_changed() | self.agents.changed | self.calls.changed
        self.agents.changed, self.calls.changed = set(), set()
        # What test agents do is news to nobody.
        news = [group for group in changed if not is_test_group(group)]
        if news:
            self.seq += 1
            for group in news:
                self.group_seq[group] = self.seq
        return {group for group in changed if self.calls.waiting(group)}

    def _show(self, account: str, call: str, event: Any, outs: list[Out]) -> None:
        at = self.server.conn_of(account)
        if at is not None:
            outs.append(Reply(at[0], Call(at[1], call, event)))
