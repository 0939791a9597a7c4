"""The client's end of the session protocol, one rule at a time."""

from typing import Literal

import pytest

from callcenter.session.client import (
    PHONE_GONE_AFTER,
    Action,
    AtDoor,
    CallEvent,
    ClientSession,
    Connect,
    HasSignedIn,
    Lost,
    NotAdmitted,
    RegisterPhone,
    Released,
    Send,
    SignedOut,
)
from callcenter.session.lease import gone_by
from callcenter.session.messages import (
    AgentButton,
    Beat,
    Call,
    CarriedState,
    Denied,
    Ended,
    Hello,
    Moved,
    Offer,
    Other,
    PhoneLine,
    Ping,
    Pong,
    Refused,
    Register,
    Release,
    ServerFrame,
    SignedIn,
    SignIn,
    SignOut,
    Wait,
    Welcome,
    Withdraw,
)
from callcenter.session.tickets import TICKET_LIFE

S = 1.5
OUT = gone_by(0.0, S) + 1e-6
"""Seconds after the last answer from which the client counts itself out."""
WALL = 1_000_000.0


def line(site: str) -> PhoneLine:
    return PhoneLine("510001" if site == "east" else "610001", f"{site}:5060", "callcenter", "secret")


def connects_after(actions: list[Action], site: str, seconds: float) -> bool:
    return any(
        isinstance(action, Connect) and action.site == site and action.after == pytest.approx(seconds)
        for action in actions
    )


class Person:
    """A client, and what its driver would do."""

    def __init__(self, jitter: float = 0.0) -> None:
        self.now = 0.0
        self.client = ClientSession(
            "a1", "i1", ("east", "west"), "east", mac="m", jitter=lambda: jitter, lease=S, beat=2.0
        )
        self.did: list[Action] = []
        self.silent: set[str] = set()
        """Cities that answer no heartbeat."""
        self.act(self.client.start(0.0, WALL))

    def act(self, actions: list[Action]) -> list[Action]:
        self.did += actions
        return actions

    def frame(self, site: str, frame: ServerFrame) -> list[Action]:
        return self.act(self.client.frame(site, frame, self.now))

    def welcome(self, site: str, home: str | None = "east", lease: float = S) -> list[Action]:
        self.act(self.client.connected(site, self.now))
        return self.frame(site, Welcome(site, "b1", lease, 0.5, home, line(site)))

    def disconnected(self, site: str) -> list[Action]:
        return self.act(self.client.disconnected(site, self.now))

    def at(self, now: float) -> list[Action]:
        """Let time pass as a driver does: tick whenever the client wants to be woken."""
        done: list[Action] = []
        while self.client.wake_at <= now:
            self.now = self.client.wake_at
            for action in self.client.tick(self.now):
                done.append(action)
                if isinstance(action, Send) and isinstance(action.frame, Beat) and action.site not in self.silent:
                    done += self.client.frame(action.site, action.frame, self.now)
        self.now = now
        return self.act(done)

    def last_sign_in(self) -> tuple[str, SignIn]:
        asked = [(action.site, action.frame) for action in self.did if isinstance(action, Send)]
        return [(site, frame) for site, frame in asked if isinstance(frame, SignIn)][-1]

    def grant(self, site: str, session: str, state: str = "available", lease: float = S) -> list[Action]:
        """The city offers, pings and confirms."""
        _, asked = self.last_sign_in()
        self.frame(site, Offer(asked.seq, session, lease, 0.5))
        assert self.frame(site, Ping(session, 1)) == [Send(site, Pong(session, 1))]
        return self.frame(site, SignedIn(session, 100_000, "V1", "510001", state))  # type: ignore[arg-type]

    def sign_ins(self) -> list[str]:
        return [action.site for action in self.did if isinstance(action, Send) and isinstance(action.frame, SignIn)]


def at_work(jitter: float = 0.0) -> Person:
    """Signed in at east since 2.0, standby at west."""
    person = Person(jitter)
    person.welcome("east")
    person.welcome("west")
    person.at(2.0)
    person.grant("east", "s1")
    assert person.client.signed_in_at == "east"
    return person


# ---- start


def test_it_connects_everywhere_and_signs_in_at_home_after_a_lease() -> None:
    person = Person()
    assert person.did == [Connect("east", 0.0), Connect("west", 0.0)]
    assert Send("east", Hello("a1", "i1", "m", "primary")) in person.client.connected("east", 0.0)
    assert Send("west", Hello("a1", "i1", "m", "standby")) in person.client.connected("west", 0.0)
    person.welcome("east")
    person.welcome("west")
    person.at(OUT - 0.01)
    assert person.sign_ins() == []
    person.at(OUT)
    assert person.last_sign_in() == ("east", SignIn(1, None, wait=False, state=None))


def test_the_cities_lease_decides_how_long_a_fresh_start_waits() -> None:
    person = Person()
    person.welcome("east", lease=6.0)
    person.at(6.0)
    assert person.sign_ins() == []
    person.at(6.1)
    assert person.sign_ins() == ["east"]


def test_the_map_knows_better_than_the_configuration_where_home_is() -> None:
    person = Person()
    person.welcome("east", home="west")
    person.welcome("west", home="west")
    person.at(2.0)
    assert person.sign_ins() == ["west"]


def test_with_home_away_it_stands_at_the_other_door() -> None:
    person = Person()
    person.welcome("west")
    person.at(2.0)
    assert person.last_sign_in() == ("west", SignIn(1, None, wait=True, state=None))


def test_its_phone_is_registered_in_both_cities_once_and_again_when_told() -> None:
    person = at_work()
    registered = [action for action in person.did if isinstance(action, RegisterPhone)]
    assert registered == [RegisterPhone("east", line("east")), RegisterPhone("west", line("west"))]
    assert person.frame("west", Register()) == [RegisterPhone("west", line("west"))]
    person.disconnected("west")
    assert not [action for action in person.welcome("west") if isinstance(action, RegisterPhone)]


@pytest.mark.parametrize(("away", "again"), [(PHONE_GONE_AFTER - 1.0, 0), (PHONE_GONE_AFTER + 1.0, 1)])
def test_its_phone_is_registered_again_at_a_city_that_was_away_for_long(away: float, again: int) -> None:
    person = as_guest()
    living(person, 2.0 + away)
    actions = person.welcome("east")
    assert len([action for action in actions if isinstance(action, RegisterPhone)]) == again


def test_a_session_is_real_for_the_agent_when_the_city_confirms_it() -> None:
    person = Person()
    person.welcome("east")
    person.at(2.0)
    actions = person.grant("east", "s1")
    assert actions == [HasSignedIn("east", "fresh", None, 100_000, "V1", "510001", "available")]


# ---- pings


def test_it_answers_only_for_the_session_it_holds() -> None:
    person = at_work()
    assert person.frame("east", Ping("s1", 2)) == [Send("east", Pong("s1", 2))]
    assert person.frame("east", Ping("another", 2)) == []
    assert person.frame("west", Ping("s1", 2)) == []


def test_it_does_not_answer_for_an_offer_it_did_not_ask_for() -> None:
    person = at_work()
    person.frame("west", Offer(99, "w1", S, 0.5))
    assert person.frame("west", Ping("w1", 1)) == []
    assert person.client.answering_for == "s1"


def test_it_counts_itself_out_a_little_more_than_a_lease_after_its_last_answer() -> None:
    person = at_work()
    person.at(2.4)
    person.frame("east", Ping("s1", 2))
    person.at(2.4 + OUT - 0.01)
    assert person.client.signed_in_at == "east"
    actions = person.at(2.4 + OUT)
    assert Lost("east", "Silent") in actions
    assert person.client.signed_in_at is None


def test_an_answer_after_the_lease_is_not_given() -> None:
    person = at_work()
    person.now = 2.0 + OUT  # the machine slept: no tick came
    actions = person.frame("east", Ping("s1", 2))
    assert Lost("east", "Silent") in actions
    assert Send("east", Pong("s1", 2)) not in actions


# ---- losing a city


def test_it_asks_at_the_other_city_only_when_the_first_cannot_count_it_any_more() -> None:
    person = at_work()
    actions = person.disconnected("east")
    assert Lost("east", "Disconnected") in actions
    person.at(2.0 + OUT - 0.01)
    assert person.sign_ins() == ["east"]
    person.at(2.0 + OUT)
    assert person.last_sign_in() == ("west", SignIn(2, None, wait=True, state=None))


def test_back_at_the_same_city_it_need_not_wait() -> None:
    person = at_work()
    person.disconnected("east")
    person.at(2.2)
    person.welcome("east")
    assert person.sign_ins() == ["east", "east"]
    actions = person.grant("east", "s2")
    assert [action.cause for action in actions if isinstance(action, HasSignedIn)] == ["fresh"]
    assert not [action for action in actions if isinstance(action, Send) and isinstance(action.frame, Moved)]


def test_a_failover_tells_its_gap_from_the_last_answer_on() -> None:
    person = at_work()
    person.disconnected("east")
    person.at(4.0)
    actions = person.grant("west", "w1")
    assert [(a.cause, a.gap) for a in actions if isinstance(a, HasSignedIn)] == [("failover", 2.0)]
    report = Moved("w1", "east", 2.0, WALL + 2.0, WALL + 4.0)
    assert person.frame("west", Ping("w1", 2)) == [Send("west", Pong("w1", 2)), Send("west", report)]
    assert person.frame("west", Ping("w1", 3)) == [Send("west", Pong("w1", 3))]


def test_a_gap_that_could_not_be_told_is_not_told_of_the_next_session() -> None:
    person = at_work()
    person.disconnected("east")
    person.at(4.0)
    person.grant("west", "w1")
    person.frame("west", Ended("w1", "Lapsed"))
    person.grant("west", "w2")
    assert person.frame("west", Ping("w2", 2)) == [Send("west", Pong("w2", 2))]


def test_thousands_who_sign_in_elsewhere_come_before_new_connections_to_the_dead_city() -> None:
    person = Person()
    person.welcome("east", lease=6.0)
    person.welcome("west", lease=6.0)
    person.at(7.0)
    person.grant("east", "s1", lease=6.0)
    person.silent.add("east")
    actions = person.at(7.0 + 2 * 6.0)
    assert person.sign_ins() == ["east", "west"]
    assert not [action for action in actions if isinstance(action, Connect)]
    assert [action.site for action in person.at(20.0) if isinstance(action, Connect)] == ["east"]


def in_west_after_east_fell_silent() -> Person:
    person = at_work(jitter=0.5)
    person.silent = {"east"}
    person.at(2.0 + OUT)
    person.grant("west", "w1")
    return person


def test_who_is_signed_in_elsewhere_leaves_the_silent_city_alone_for_longer() -> None:
    person = in_west_after_east_fell_silent()
    for late in (0.9 * S, 1.7 * S, 2.5 * S - 0.01):
        person.frame("west", Ping("w1", 2))
        assert not [action for action in person.at(2.0 + OUT + late) if isinstance(action, Connect)]
    actions = person.at(2.0 + OUT + 2.5 * S + 0.01)
    assert [action.site for action in actions if isinstance(action, Connect)] == ["east"]


def test_who_loses_that_session_too_tries_the_silent_city_anew_at_once() -> None:
    person = in_west_after_east_fell_silent()
    for late in (0.8 * S, 1.5 * S):
        person.frame("west", Ping("w1", 2))
        person.at(2.0 + OUT + late)
    actions = person.disconnected("west")
    assert [action.site for action in actions if isinstance(action, Connect)] == ["west"]
    assert person.client.wake_at < 2.0 + OUT + 1.5 * S + 0.1
    actions = person.at(person.client.wake_at)
    assert [action.site for action in actions if isinstance(action, Connect)] == ["east"]


def test_who_stands_at_a_door_tries_the_silent_city_anew_after_a_lease() -> None:
    person = at_work(jitter=0.5)
    person.silent = {"east"}
    person.at(2.0 + OUT)
    person.frame("west", Wait(2, "PlacedElsewhere"))
    assert not [action for action in person.at(2.0 + OUT + S - 0.01) if isinstance(action, Connect)]
    actions = person.at(2.0 + OUT + S + 0.01)
    assert [action.site for action in actions if isinstance(action, Connect)] == ["east"]


def test_who_has_nowhere_else_to_be_tries_the_silent_city_anew_after_a_grace() -> None:
    person = at_work(jitter=0.5)
    person.silent = {"east"}
    person.disconnected("west")
    actions = person.at(2.0 + OUT + S + 0.01)
    assert [action.site for action in actions if isinstance(action, Connect)] == ["east"]


def test_at_the_other_citys_door_home_is_tried_again() -> None:
    person = at_work()
    person.disconnected("east")
    person.at(4.0)
    assert person.frame("west", Wait(2, "PlacedElsewhere")) == [AtDoor("west", "PlacedElsewhere")]
    actions = person.welcome("east")
    assert Send("west", Withdraw(2)) in actions
    assert person.last_sign_in() == ("east", SignIn(3, None, wait=False, state=None))
    person.frame("west", Offer(2, "w1", S, 0.5))  # it crossed with the withdrawal
    assert person.frame("west", Ping("w1", 1)) == []


def test_when_the_door_opens_it_enters() -> None:
    person = at_work()
    person.disconnected("east")
    person.at(4.0)
    person.frame("west", Wait(2, "PlacedElsewhere"))
    person.at(9.0)
    person.frame("west", Offer(2, "w1", S, 0.5))
    assert person.frame("west", Ping("w1", 1)) == [Send("west", Pong("w1", 1))]


def test_an_unanswered_sign_in_is_waited_out_and_its_city_left() -> None:
    person = Person()
    person.welcome("east")
    person.welcome("west")
    person.at(2.0)
    asked_at = OUT - 1e-6
    person.at(asked_at + OUT - 0.01)
    assert person.sign_ins() == ["east"]
    person.silent = {"east"}
    person.at(asked_at + OUT)
    assert person.sign_ins() == ["east", "west"]


def test_a_silent_city_is_asked_again_on_the_same_connection_once_it_speaks() -> None:
    person = at_work()
    person.silent = {"east"}
    actions = person.at(2.0 + OUT)
    assert Lost("east", "Silent") in actions
    assert [a.site for a in actions if isinstance(a, Send) and isinstance(a.frame, Beat)] == ["east"]
    assert not [action for action in actions if isinstance(action, Connect)]
    assert person.last_sign_in()[0] == "west"
    person.frame("west", Wait(2, "PlacedElsewhere"))
    person.at(4.0)
    assert person.sign_ins() == ["east", "west"]
    actions = person.frame("east", Ended("s1", "Lapsed"))
    assert Send("west", Withdraw(2)) in actions
    assert person.sign_ins() == ["east", "west", "east"]


def test_a_city_that_stays_silent_is_connected_to_anew() -> None:
    person = at_work()
    person.silent = {"east"}
    person.at(2.0 + OUT)
    assert not [action for action in person.at(2.0 + OUT + S - 0.01) if isinstance(action, Connect)]
    actions = person.at(2.0 + OUT + S + 0.01)
    assert [action.site for action in actions if isinstance(action, Connect)] == ["east"]


def test_a_frame_of_a_connection_it_has_dropped_is_ignored() -> None:
    person = at_work()
    person.silent = {"east"}
    person.at(2.0 + OUT + S + 0.01)
    assert person.frame("east", Ping("s1", 2)) == []
    assert person.frame("east", SignedIn("s1", 1, "V", "5", "available")) == []


def test_shut_out_at_one_door_for_long_it_asks_at_the_other() -> None:
    person = Person()
    person.welcome("east")
    person.welcome("west")
    person.at(2.0)
    person.frame("east", Wait(1, "Unconfirmed"))
    person.at(4.0)
    assert person.sign_ins() == ["east"]
    person.at(5.1)
    assert person.sign_ins() == ["east", "west"]


def test_a_place_in_a_moving_queue_is_kept() -> None:
    person = Person()
    person.welcome("east")
    person.welcome("west")
    person.at(2.0)
    person.frame("east", Wait(1, "Paced"))
    person.at(20.0)
    assert person.sign_ins() == ["east"]


# ---- moves


def test_a_release_sends_it_on_at_once_with_its_ticket() -> None:
    person = at_work()
    person.at(2.3)
    actions = person.frame("east", Release(None, "s1", "west", "a.ticket", "break"))
    assert actions == [Released("east", "west"), Send("west", SignIn(2, "a.ticket", wait=False, state="break"))]
    person.at(2.35)
    actions = person.grant("west", "w1", "break")
    signed_in = next(action for action in actions if isinstance(action, HasSignedIn))
    assert signed_in.cause == "ticket"
    assert signed_in.gap == pytest.approx(0.05)
    actions = person.frame("west", Ping("w1", 2))
    moved = next(a.frame for a in actions if isinstance(a, Send) and isinstance(a.frame, Moved))
    assert (moved.session, moved.from_) == ("w1", "east")
    assert moved.gap == pytest.approx(0.05)


def test_with_the_new_city_away_it_asks_the_old_one_again_after_a_while() -> None:
    person = at_work()
    person.disconnected("west")
    person.frame("east", Release(None, "s1", "west", "a.ticket", "available"))
    asked = person.last_sign_in()
    assert asked == ("east", SignIn(2, None, wait=True, state="available"))
    actions = person.frame("east", Release(2, None, "west", "b.ticket", "available"))
    assert person.sign_ins() == ["east", "east"], f"not at once: {actions}"
    person.at(2.2)
    assert person.sign_ins() == ["east", "east", "east"]


def test_a_city_that_said_no_before_the_session_is_asked_at_once_when_the_session_is_released_to_it() -> None:
    person = Person()
    person.welcome("east")
    person.welcome("west")
    person.at(2.0)
    person.frame("east", Release(1, None, "west", None, None))
    person.grant("west", "w1")
    person.frame("west", Release(None, "w1", "east", "a.ticket", "available"))
    assert person.last_sign_in() == ("east", SignIn(3, "a.ticket", wait=False, state="available"))


@pytest.mark.parametrize("ticket", [None, "a.ticket"])
def test_sent_back_and_forth_it_slows_down(ticket: str | None) -> None:
    person = Person()
    person.welcome("east")
    person.welcome("west")
    person.at(2.0)
    for _ in range(2000):
        site, asked = person.last_sign_in()
        other = "west" if site == "east" else "east"
        before = len(person.sign_ins())
        person.frame(site, Release(asked.seq, None, other, ticket, None))
        while len(person.sign_ins()) == before:
            person.at(person.now + 0.05)
        if person.now > 60.0:
            break
    assert len(person.sign_ins()) < 100


def test_a_refused_ticket_is_not_shown_again() -> None:
    person = at_work()
    person.frame("east", Release(None, "s1", "west", "a.ticket", "available"))
    actions = person.frame("west", Refused(2, "TicketUsed", "the ticket was used before"))
    assert NotAdmitted("west", "TicketUsed", "the ticket was used before") in actions
    person.at(3.0)
    assert person.sign_ins() == ["east", "west", "east"]
    assert person.last_sign_in()[1].ticket is None


def test_a_ticket_is_shown_for_a_minute_by_the_clock_of_who_holds_it() -> None:
    for slept, shown in ((TICKET_LIFE - 0.1, "a.ticket"), (TICKET_LIFE + 0.1, None)):
        person = at_work()
        person.frame("east", Release(None, "s1", "west", "a.ticket", "available"))
        person.disconnected("west")
        person.disconnected("east")
        person.now += slept  # the machine sleeps: no tick comes
        person.welcome("west")
        site, asked = person.last_sign_in()
        assert (site, asked.ticket) == ("west", shown)


# ---- the agent


def test_going_home_ends_the_session_and_asks_for_no_other() -> None:
    person = at_work()
    assert person.act(person.client.sign_out(2.1)) == [Send("east", SignOut("s1")), SignedOut("east", "SignedOut")]
    person.frame("east", Ended("s1", "SignedOut"))
    person.at(8.0)
    assert person.sign_ins() == ["east"]
    person.act(person.client.sign_in(8.0))
    assert person.sign_ins() == ["east", "east"]


def test_another_device_takes_over_without_a_fight() -> None:
    person = at_work()
    assert person.frame("east", Ended("s1", "Replaced")) == [SignedOut("east", "Replaced")]
    person.at(4.5)
    assert person.sign_ins() == ["east"]


def test_a_break_is_told_and_carried_along() -> None:
    person = at_work()
    assert person.client.press("break", 2.1) == [Send("east", AgentButton("s1", "break"))]
    person.disconnected("east")
    person.at(4.0)
    assert person.last_sign_in()[1].state == "break"


def test_a_call_that_outlives_its_city_keeps_others_away_until_it_ends() -> None:
    person = at_work()
    person.client.phone(True, 2.1)
    person.disconnected("east")
    person.at(4.0)
    assert person.last_sign_in()[1].state == "talking"
    person.grant("west", "w1", "talking")
    assert person.client.phone(False, 5.0) == [Send("west", AgentButton("w1", "available", then="available"))]
    assert person.client.phone(False, 5.1) == []


@pytest.mark.parametrize("pressed_in", ["east", "between", "west"])
@pytest.mark.parametrize("changes_mind", [False, True])
def test_a_break_asked_for_in_a_call_that_outlives_its_city_is_told_with_its_end(
    pressed_in: str, changes_mind: bool
) -> None:
    person = at_work()
    person.client.phone(True, 2.1)
    if pressed_in == "east":
        assert person.client.press("break", 2.2) == [Send("east", AgentButton("s1", "break"))]
    person.disconnected("east")
    if pressed_in == "between":
        person.client.press("break", 2.3)
    person.at(4.0)
    assert person.last_sign_in()[1].state == "talking"
    person.grant("west", "w1", "talking")
    if pressed_in == "west":
        assert person.client.press("break", 4.1) == [], "the city would take it for the end of the call"
    if changes_mind:
        assert person.client.press("available", 4.2) == []
    wanted: Literal["available", "break"] = "available" if changes_mind else "break"
    assert person.client.phone(False, 5.0) == [Send("west", AgentButton("w1", "available", then=wanted))]
    assert person.client.press("available", 5.1) == [Send("west", AgentButton("w1", "available"))]


def test_who_is_released_by_force_in_a_call_has_the_break_after_it() -> None:
    person = at_work()
    person.client.phone(True, 2.1)
    person.client.press("break", 2.2)
    person.frame("east", Release(None, "s1", "west", "a.ticket", "talking"))
    person.client.phone(False, 2.3)
    assert Send("west", AgentButton("w1", "available", then="break")) in person.grant("west", "w1", "talking")


@pytest.mark.parametrize(("pressed", "state"), [(None, "wrapup"), ("break", "break"), ("available", None)])
def test_a_call_that_ends_between_two_cities_is_followed_by_after_call_work(
    pressed: Literal["available", "break"] | None, state: CarriedState | None
) -> None:
    person = at_work()
    person.client.phone(True, 2.1)
    person.disconnected("east")
    person.client.phone(False, 2.5)
    if pressed is not None:
        person.client.press(pressed, 2.6)
    person.at(4.0)
    assert person.last_sign_in() == ("west", SignIn(2, None, wait=True, state=state))


def test_after_call_work_of_a_carried_call_goes_on_in_the_next_city_until_it_is_done() -> None:
    for done, state in ((False, "wrapup"), (True, None)):
        person = at_work()
        person.client.phone(True, 2.1)
        person.disconnected("east")
        person.at(4.0)
        person.grant("west", "w1", "talking")
        person.client.phone(False, 4.1)
        if done:
            person.frame("west", Call("w1", "", "ready"))
        person.welcome("east")
        person.disconnected("west")
        person.at(6.0)
        assert (person.last_sign_in()[0], person.last_sign_in()[1].state) == ("east", state)


def test_a_call_that_ends_after_the_agent_went_home_is_no_after_call_work_of_the_next_day() -> None:
    person = at_work()
    person.client.phone(True, 2.1)
    person.act(person.client.sign_out(2.2))
    person.client.phone(False, 2.5)
    person.at(8.0)
    person.act(person.client.sign_in(8.0))
    assert person.sign_ins() == ["east", "east"]
    assert person.last_sign_in()[1].state is None


@pytest.mark.parametrize("carried", ["available", "talking"])
def test_a_call_that_ended_during_the_move_is_told_at_once(carried: CarriedState) -> None:
    person = at_work()
    person.frame("east", Release(None, "s1", "west", "a.ticket", carried))
    actions = person.grant("west", "w1", carried)
    told = Send("west", AgentButton("w1", "available", then="available"))
    assert (told in actions) is (carried == "talking")


def test_the_desktop_sees_its_own_sessions_calls_only() -> None:
    person = at_work()
    assert person.frame("east", Call("s1", "c1", "ringing")) == [CallEvent("east", "c1", "ringing")]
    assert person.frame("east", Call("s0", "c1", "ringing")) == []


# ---- connections


def test_evidence_follows_every_change_of_the_other_connection() -> None:
    person = at_work()
    person.at(3.0)
    person.frame("east", Ping("s1", 2))
    assert Send("west", Other("east", ok=False, since=0.0)) in person.disconnected("east")
    person.at(3.5)
    assert Send("west", Other("east", ok=True, since=0.0)) in person.welcome("east")


def test_with_three_cities_each_is_told_of_every_other_one() -> None:
    client = ClientSession("agent0001", "i1", ["east", "north", "west"], "east", mac="m", jitter=lambda: 0.0)
    client.start(0.0, 1_000_000.0)
    line = PhoneLine("510001", "198.18.0.11:30560", "callcenter", "secret")
    said = []
    for now, site in ((1.0, "east"), (2.0, "north"), (3.0, "west")):
        client.connected(site, now)
        said = client.frame(site, Welcome(site, f"{site}1", 1.5, 0.5, "east", line), now)
    assert [a.frame for a in said if isinstance(a, Send) and a.site == "west" and isinstance(a.frame, Other)] == [
        Other("east", ok=True, since=2.0),
        Other("north", ok=True, since=1.0),
    ]
    lost = client.disconnected("north", 4.0)
    news = Other("north", ok=False, since=0.0)
    assert [a for a in lost if isinstance(a, Send)] == [Send("east", news), Send("west", news)]


def test_a_late_standby_connection_hears_how_long_the_other_has_been_gone() -> None:
    person = at_work()
    person.disconnected("west")
    person.disconnected("east")
    person.at(7.0)
    assert Send("west", Other("east", ok=False, since=5.0)) in person.welcome("west")


def test_connections_without_a_session_beat_and_are_given_up_when_silent() -> None:
    person = at_work()
    person.silent = {"west"}
    for now in (3.0, 4.0, 5.0, 6.0):
        person.at(now)
        person.frame("east", Ping("s1", 2))
    beats = [a for a in person.did if isinstance(a, Send) and isinstance(a.frame, Beat)]
    assert [(a.site, a.frame) for a in beats if a.site == "west"] == [("west", Beat(n)) for n in (1, 2, 3)]
    actions = person.at(7.0)  # heard last at 2.0: 2.5 beats of 2 s
    assert connects_after(actions, "west", 0.1)
    assert Send("east", Other("west", ok=False, since=0.0)) in actions


def test_a_connection_without_a_welcome_is_given_up() -> None:
    person = Person()
    person.act(person.client.connected("east", 0.0))
    actions = person.at(2.5)
    assert [action.site for action in actions if isinstance(action, Connect)] == ["east"]


def test_reconnecting_slows_down_with_jitter() -> None:
    def waits(jitter: float) -> list[float]:
        person = Person(jitter)
        person.did.clear()
        for _ in range(8):
            person.disconnected("east")
        return [action.after for action in person.did if isinstance(action, Connect)]

    assert waits(0.0) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.5, 2.5, 2.5])
    assert waits(0.999) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0, 5.0], rel=0.01)


def test_who_is_denied_comes_back_slowly_and_says_why() -> None:
    person = Person()
    person.act(person.client.connected("east", 0.0))
    assert person.frame("east", Denied("UnknownAccount", "no agent")) == [
        NotAdmitted("east", "UnknownAccount", "no agent")
    ]
    assert person.disconnected("east") == [Connect("east", 2.5)]


def test_home_must_be_a_city_it_knows() -> None:
    with pytest.raises(ValueError, match="home 'north' is none of the sites"):
        ClientSession("a1", "i1", ("east", "west"), "north", mac="m", jitter=lambda: 0.0)


# ---- guests, and the door


def as_guest() -> Person:
    """Home is gone; the other city has signed it in as a guest."""
    person = at_work()
    person.disconnected("east")
    person.at(4.0)
    person.frame("west", Wait(2, "PlacedElsewhere"))
    person.frame("west", Offer(2, "w1", S, 0.5))
    person.frame("west", Ping("w1", 1))
    actions = person.frame("west", SignedIn("w1", 600_000, "V1", "610001", "available", guest=True))
    assert [(a.cause, a.guest) for a in actions if isinstance(a, HasSignedIn)] == [("failover", True)]
    return person


def living(person: Person, until: float) -> list[Action]:
    """Time passes, and the city where it works pings it."""
    done: list[Action] = []
    n = 1
    while person.now < until - 1e-9:
        n += 1
        done += person.at(min(until, person.now + 0.5))
        assert person.client.answering_for is not None
        done += person.frame("west", Ping(person.client.answering_for, n))
    return done


def test_a_guest_keeps_trying_home_and_tells_its_host_when_it_is_back() -> None:
    person = as_guest()
    assert connects_after(person.did, "east", 0.1)
    for _ in range(6):
        living(person, person.now + 1.0)
        person.disconnected("east")
    actions = person.welcome("east")
    assert Send("west", Other("east", ok=True, since=0.0)) in actions
    assert person.client.signed_in_at == "west", "it leaves when its host sends it"
    assert person.sign_ins() == ["east", "west"]
    living(person, person.now + 3.0)
    actions = person.frame("west", Release(None, "w1", "east", "home.ticket", "available"))
    assert Send("east", SignIn(3, "home.ticket", wait=False, state="available")) in actions
    person.grant("east", "s2")
    assert person.client.signed_in_at == "east"


def test_a_guest_whose_host_dies_goes_home_if_it_can() -> None:
    person = as_guest()
    person.welcome("east")
    person.disconnected("west")
    person.at(person.now + OUT + 0.01)
    assert person.last_sign_in()[0] == "east"


def test_with_both_cities_gone_it_tries_both_and_takes_the_first_that_is_back() -> None:
    person = at_work()
    person.disconnected("east")
    person.disconnected("west")
    for _ in range(5):
        person.at(person.now + 3.0)
        person.disconnected("east")
        person.disconnected("west")
    tried = [action.site for action in person.did if isinstance(action, Connect)]
    assert tried.count("east") == tried.count("west") == 7
    person.welcome("west")
    assert person.last_sign_in() == ("west", SignIn(2, None, wait=True, state=None))


def test_after_call_work_that_is_not_done_is_carried_along() -> None:
    person = at_work()
    person.frame("east", Call("s1", "c1", "talking"))
    person.frame("east", Call("s1", "c1", "ended"))
    person.frame("east", Call("s1", "c1", "wrapup"))
    person.disconnected("east")
    person.at(4.0)
    assert person.last_sign_in()[1].state == "wrapup"


@pytest.mark.parametrize("over", [Call("s1", "c1", "ready"), Call("s1", "c2", "ringing"), "available"])
def test_after_call_work_that_is_done_is_not(over: Call | str) -> None:
    person = at_work()
    person.frame("east", Call("s1", "c1", "wrapup"))
    if isinstance(over, Call):
        person.frame("east", over)
    else:
        person.act(person.client.press("available", person.now))
    person.disconnected("east")
    person.at(4.0)
    assert person.last_sign_in()[1].state is None


def test_a_break_that_was_asked_for_during_the_call_goes_before_after_call_work() -> None:
    person = at_work()
    person.act(person.client.press("break", 2.1))
    person.frame("east", Call("s1", "c1", "wrapup"))
    person.disconnected("east")
    person.at(4.0)
    assert person.last_sign_in()[1].state == "break"


def test_at_the_door_it_is_signed_in_by_the_citys_push_with_its_state() -> None:
    person = at_work()
    person.act(person.client.press("break", 2.1))
    person.disconnected("east")
    person.at(4.0)
    assert person.last_sign_in()[1] == SignIn(2, None, wait=True, state="break")
    person.frame("west", Wait(2, "PlacedElsewhere"))
    before = len(person.did)
    person.at(12.0)
    asked = [a for a in person.did[before:] if isinstance(a, Send) and isinstance(a.frame, SignIn)]
    assert asked == [], "it asks no more: the city says when"
    actions = person.grant("west", "w1", "break")
    assert [a.state for a in actions if isinstance(a, HasSignedIn)] == ["break"]


def test_a_cti_with_a_long_lease_hears_of_its_standby_clients_rarely() -> None:
    person = Person()
    person.welcome("east", lease=6.0)
    person.welcome("west", lease=6.0)
    person.at(6.1)
    person.grant("east", "s1")
    for now in range(7, 20):
        person.at(float(now))
        person.frame("east", Ping("s1", now))
    beats = [a for a in person.did if isinstance(a, Send) and isinstance(a.frame, Beat) and a.site == "west"]
    assert len(beats) == 2  # at 9 and 18 s
