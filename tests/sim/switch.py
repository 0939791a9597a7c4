"""A city's softswitch: calls wait, ring, are talked on. It knows nothing of sessions, and its calls outlive them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.sim.scheduler import Process

if TYPE_CHECKING:
    from tests.sim.cti import SimCti
    from tests.sim.world import World


@dataclass
class Call:
    """One call here. `extension`: the phone that rings or talks."""

    id: str
    group: str
    hop: int
    queued_at: float
    state: str = "waiting"
    extension: str = ""
    label: int = 0
    origin: str = ""
    """The city that sent it here, for a relayed call."""


class Switch:
    def __init__(self, world: "World", site: str, process: Process, number: int) -> None:
        self.world = world
        self.site = site
        self.process = process
        self.boot = f"switch-{site}-{number}"
        self.calls: dict[str, Call] = {}
        self.held: dict[str, int] = {}
        self.started = process.monotonic()
        self.takes_calls = True
        """Else it answers OPTIONS and refuses every call."""
        self.placed = 0
        """Calls that it has taken since its start."""
        self._labels = 0

    def talking(self, extension: str) -> bool:
        """Whether this phone is in a call now."""
        return any(call.state == "talking" and call.extension == extension for call in self.calls.values())

    # -- to the CTI

    def _tell(self, event: dict[str, Any]) -> None:
        cti = self.world.ctis[self.site]
        if cti.process.alive:
            self.world.scheduler.after(0.001, cti.hear, event)

    def say_hello(self, cti: "SimCti", question: str) -> None:
        """All calls there are: on a new line, and when asked."""
        self.process.call(self._say_hello, cti, question)

    def _say_hello(self, cti: "SimCti", question: str) -> None:
        if not cti.process.alive:
            return
        wall = self.process.now()
        calls = [
            {
                "callid": call.id,
                "state": call.state,
                "i": 1,
                "l": call.label,
                "group": call.group,
                "hop": call.hop,
                "queued_at": wall - (self.world.scheduler.now - call.queued_at),
                "ext": call.extension,
            }
            for call in self.calls.values()
        ]
        self.world.scheduler.after(0.001, cti.hear, {"e": "hello", "boot": self.boot, "n": question, "calls": calls})

    # -- from the carrier and the other city

    def offer(self, call_id: str, group: str, hop: int, queued_at: float, origin: str = "") -> None:
        """A call comes in."""
        self.process.call(self._offer, call_id, group, hop, queued_at, origin)

    def _offer(self, call_id: str, group: str, hop: int, queued_at: float, origin: str) -> None:
        self._labels += 1
        if not self.takes_calls:
            self._handed_back(Call(call_id, group, hop, queued_at, origin=origin))
            return
        self.placed += 1
        self.calls[call_id] = Call(call_id, group, hop, queued_at, label=self._labels, origin=origin)
        self._waits(self.calls[call_id], "call")

    def _waits(self, call: Call, event: str) -> None:
        age = self.world.scheduler.now - call.queued_at
        self._tell(
            {
                "e": event,
                "i": 1,
                "l": call.label,
                "callid": call.id,
                "group": call.group,
                "hop": call.hop,
                "age": age,
                "ext": call.extension if event == "failed" else "",
            }
        )

    # -- from the CTI

    def word(self, word: Mapping[str, Any]) -> None:
        """The CTI says what to do with a call."""
        self.process.call(self._word, word)

    def _later(self, seconds: float, what: Callable[..., object], *args: Any) -> None:
        scheduler = self.world.scheduler
        scheduler.at(scheduler.now + seconds, what, *args, process=self.process)

    def _word(self, word: Mapping[str, Any]) -> None:
        call = self.calls.get(str(word.get("callid")))
        if call is None or word.get("l") != call.label or call.state != "waiting":
            if word["a"] in ("ring", "peer", "reject"):
                self._tell({"e": "cancel", "callid": word["callid"]})
            return
        match word["a"]:
            case "ring":
                call.state, call.extension = "ringing", word["ext"]
                self._later(0.2 + 0.3 * self.world.rng.random(), self._phone, call)
            case "peer":
                call.state, call.extension = "peer", ""
                self._to_peer(call)
            case "reject":
                self._over(call, "cancel")
                self._handed_back(call)

    def _to_peer(self, call: Call) -> None:
        other = self.world.other(self.site)
        there = self.world.switches[other]
        if self.world.network.both(self.site, other) and there.process.serves:
            self.world.scheduler.after(0.01, there.offer, call.id, call.group, 1, call.queued_at, self.site)
        else:
            self._later(0.5, self._failed, call)

    def _handed_back(self, call: Call) -> None:
        if call.origin:
            back = self.world.switches[call.origin]
            known = back.calls.get(call.id)
            if known is not None:
                back._later(0.01, back._failed, known)

    def _failed(self, call: Call) -> None:
        if self.calls.get(call.id) is call and call.state in ("peer", "ringing"):
            self._labels += 1
            call.label = self._labels
            call.state = "waiting"
            self._waits(call, "failed")
            call.extension = ""

    def _phone(self, call: Call) -> None:
        """The phone that was rung takes the call, if it can be reached and is free."""
        if self.calls.get(call.id) is not call:
            return
        person = self.world.by_extension[call.extension]
        reached = self.world.network.both(self.site, person.process.place) and person.process.serves
        if not reached or person.talks is not None:
            self._failed(call)
            return
        call.state = "talking"
        person.talks = call
        person.phone(True)
        self._tell({"e": "answered", "callid": call.id, "ext": call.extension, "group": call.group})
        self._answered_at_origin(call)
        self._later(self.world.talk_s(), self._hang_up, call)

    def _answered_at_origin(self, call: Call) -> None:
        if call.origin:
            origin = self.world.switches[call.origin]
            if call.id in origin.calls:
                origin.calls[call.id].state = "peer"
                origin._tell({"e": "answered", "callid": call.id, "ext": "", "group": call.group})

    def _hang_up(self, call: Call) -> None:
        if self.calls.get(call.id) is call and call.state == "talking":
            self.world.answered += 1
            self._over(call, "ended")
            if call.origin and call.id in (origin := self.world.switches[call.origin]).calls:
                origin._over(origin.calls[call.id], "ended")

    def _over(self, call: Call, event: str) -> None:
        self.calls.pop(call.id, None)
        if call.state == "talking":
            self._phone_free(call)
        self._tell({"e": event, "callid": call.id, "ext": call.extension})

    def _phone_free(self, call: Call) -> None:
        person = self.world.by_extension[call.extension]
        if person.talks is call:
            person.talks = None
            person.phone(False)

    def die(self) -> None:
        """Every call here is cut."""
        self.process.kill()
        for call in list(self.calls.values()):
            if call.state == "talking":
                self._phone_free(call)
        self.calls.clear()
