"""Promise 5: sessions of one client instance never overlap, whatever the network, the machines and the maps do.

`MUTATIONS` breaks one rule of the protocol each; the same world must find every one of them, or it proves nothing.
`LOAN_MUTATIONS` does so with the rules around guests, in a world where every agent has two devices.
"""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from callcenter.session import client
from callcenter.session.client import ClientSession
from callcenter.session.guests import GuestDoor
from callcenter.session.loans import Lender
from callcenter.session.messages import Ping, Pong
from callcenter.session.seats import Tables
from callcenter.session.server import SessionServer
from tests.unit.session.world import MAPS, SITES, THREE, OverlapError, World, play, play_guests

ACCOUNTS = st.sampled_from(["agent0001", "agent0002"])
SITE = st.sampled_from(SITES)

QUICK = settings(
    max_examples=40, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck), database=None
)


@settings(max_examples=150, deadline=None, database=None)
@given(st.integers(0, 2**32 - 1))
def test_sessions_never_overlap_and_everybody_is_back_when_faults_end(seed: int) -> None:
    world = play(seed)
    assert world.settled(), f"replay with play({seed})"


@settings(max_examples=25, deadline=None, database=None)
@given(st.integers(0, 2**32 - 1))
def test_nobody_is_in_two_places_on_two_devices_and_guests_come_home(seed: int) -> None:
    world = play_guests(seed)
    for account in ("agent0001", "agent0002"):
        assert world.valid_at(account) == [world.home], f"replay with play_guests({seed})"


@settings(max_examples=15, deadline=None, database=None)
@given(st.integers(0, 2**32 - 1))
def test_nobody_is_in_two_of_three_cities(seed: int) -> None:
    world = play_guests(seed, sites=THREE)
    for account in ("agent0001", "agent0002"):
        assert world.valid_at(account) == [world.home], f"replay with play_guests({seed}, sites=THREE)"


class TwoCities(RuleBasedStateMachine):
    """The same world, with hypothesis choosing what happens, so that a failure shrinks to a short story."""

    @initialize(seed=st.integers(0, 2**16))
    def start(self, seed: int) -> None:
        self.world = World(seed)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.6, 3.0]))
    def time_passes(self, seconds: float) -> None:
        self.world.run(seconds)

    @rule(account=ACCOUNTS, site=SITE)
    def link_is_cut(self, account: str, site: str) -> None:
        self.world.cut_link(account, site)

    @rule(account=ACCOUNTS, site=SITE)
    def link_is_mended(self, account: str, site: str) -> None:
        self.world.mend_link(account, site)

    @rule(account=ACCOUNTS, site=SITE, client_told=st.booleans(), server_told=st.booleans())
    def connection_is_reset(self, account: str, site: str, client_told: bool, server_told: bool) -> None:
        self.world.reset(account, site, client_told=client_told, server_told=server_told)

    @rule(map_=st.sampled_from(MAPS))
    def both_cities_get_a_map(self, map_: dict[str, str]) -> None:
        self.world.place_both(map_)

    @rule(site=SITE, map_=st.sampled_from(MAPS))
    def one_city_gets_a_map(self, site: str, map_: dict[str, str]) -> None:
        self.world.place(site, map_)

    @rule(account=ACCOUNTS, seconds=st.sampled_from([0.5, 2.0]))
    def client_stands_still(self, account: str, seconds: float) -> None:
        self.world.pause_person(account, seconds)

    @rule(site=SITE, seconds=st.sampled_from([0.5, 2.0]))
    def city_stands_still(self, site: str, seconds: float) -> None:
        self.world.pause_city(site, seconds)

    @rule(site=SITE)
    def city_dies(self, site: str) -> None:
        self.world.crash(site)

    @rule(site=SITE)
    def city_starts_again(self, site: str) -> None:
        self.world.restart(site)

    @invariant()
    def no_client_is_in_two_places(self) -> None:
        if hasattr(self, "world"):
            self.world.check()


def test_no_story_makes_sessions_overlap() -> None:
    run_state_machine_as_test(TwoCities, settings=QUICK)


# ---- the rules, broken one at a time


def client_trusts_its_lease_too_long(patch: pytest.MonkeyPatch) -> None:
    """It counts itself out before the city does."""
    patch.setattr(client, "gone_by", lambda answered, lease: answered + 0.6 * lease)


def client_does_not_wait_for_the_other_city(patch: pytest.MonkeyPatch) -> None:
    """It asks at once where it is connected, whatever the other city may still count."""

    def may_ask(self: ClientSession, site: str, now: float) -> bool:
        link = self._links[site]
        return link.welcome is not None and now >= link.ask_after

    patch.setattr(ClientSession, "_may_ask", may_ask)


def client_answers_for_what_it_gave_up(patch: pytest.MonkeyPatch) -> None:
    """It answers every ping."""
    honest = ClientSession.frame

    def frame(self: ClientSession, site: str, frame: Any, now: float) -> list[Any]:
        actions = honest(self, site, frame, now)
        if isinstance(frame, Ping) and not any(
            isinstance(action, client.Send) and isinstance(action.frame, Pong) for action in actions
        ):
            actions.append(client.Send(site, Pong(frame.session, frame.n)))
        return actions

    patch.setattr(ClientSession, "frame", frame)


def city_counts_the_lease_from_the_answer(patch: pytest.MonkeyPatch) -> None:
    """Not from the ping's sending time: an answer that was long under way gives too much."""
    honest = SessionServer._on_pong

    def on_pong(self: SessionServer, conn: Any, frame: Pong, now: float, out: list[Any]) -> None:
        honest(self, conn, frame, now, out)
        session = self._t.sessions.get(frame.session)
        if session is not None and session.real:
            session.valid_until = now + self.timing.lease

    patch.setattr(SessionServer, "_on_pong", on_pong)


def city_revives_what_has_lapsed(patch: pytest.MonkeyPatch) -> None:
    """An answer that comes after the lease brings the session back."""

    def on_pong(self: SessionServer, conn: Any, frame: Pong, now: float, out: list[Any]) -> None:
        session = self._t.sessions.get(frame.session)
        if session is not None and session.conn is conn:
            session.valid_until = now + self.timing.lease
            if not session.real:
                self._begin(session, now, out)

    patch.setattr(SessionServer, "_on_pong", on_pong)
    patch.setattr(SessionServer, "_lapse", lambda self, session, out: None)


def city_keeps_the_session_it_releases(patch: pytest.MonkeyPatch) -> None:
    """A release that is not true."""

    def unseat(self: Tables, session: Any) -> Any:
        return session.conn.seat

    patch.setattr(Tables, "unseat_session", unseat)


def city_turns_away_without_ending_the_session(patch: pytest.MonkeyPatch) -> None:
    """A fresh sign-in gets a release, while an earlier session of the same client lives on."""
    patch.setattr(SessionServer, "_end", lambda *args, **kwargs: None)


def offer_counts_as_session_at_once(patch: pytest.MonkeyPatch) -> None:
    """The city does not wait for the first pong."""
    honest = SessionServer._offer

    def offer(self: SessionServer, knock: Any, now: float, out: list[Any]) -> None:
        honest(self, knock, now, out)
        self._begin(knock.conn.session, now, out)

    patch.setattr(SessionServer, "_offer", offer)


MUTATIONS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    client_trusts_its_lease_too_long,
    client_does_not_wait_for_the_other_city,
    client_answers_for_what_it_gave_up,
    city_counts_the_lease_from_the_answer,
    city_revives_what_has_lapsed,
    city_keeps_the_session_it_releases,
    city_turns_away_without_ending_the_session,
    offer_counts_as_session_at_once,
)


def home_admits_whom_it_has_lent(patch: pytest.MonkeyPatch) -> None:
    """Another device signs in at home while the first one is a guest."""
    patch.setattr(Lender, "why_shut", lambda self, account, instance, now: None)


def home_lends_whom_it_counts(patch: pytest.MonkeyPatch) -> None:
    """Home does not look whether the agent has a session."""
    patch.setattr(SessionServer, "_why_counted", lambda self, account, now: None)


def home_promises_less_than_the_borrower_holds(patch: pytest.MonkeyPatch) -> None:
    """A loan runs out at home first."""
    honest = Lender.lend

    def lend(self: Lender, n: str, account: str, instance: str, now: float) -> str | None:
        loan = honest(self, n, account, instance, now)
        if loan:
            self._lent[account].until = now + 3.0
        return loan

    patch.setattr(Lender, "lend", lend)
    patch.setattr(Lender, "_renew", lambda self, loan, now: True)


def a_guest_stays_without_a_loan(patch: pytest.MonkeyPatch) -> None:
    """The borrower goes on when it cannot renew."""
    patch.setattr(GuestDoor, "cap", lambda self, conn, until: until)


def home_forgets_its_loans_when_it_restarts(patch: pytest.MonkeyPatch) -> None:
    """Home does not read its disk, and asks nobody."""
    honest = Lender.__init__

    def init(self: Lender, boot: str, born: float, *, lent: Any, keeps: bool) -> None:
        honest(self, boot, born, lent=(), keeps=keeps)

    patch.setattr(Lender, "__init__", init)


def a_guests_other_device_is_asked_for_while_the_first_one_works(patch: pytest.MonkeyPatch) -> None:
    """Home then admits the second one, and the first one goes on as a guest."""
    honest = GuestDoor.ask

    def ask(self: GuestDoor, knock: Any, home: str, now: float, out: list[Any]) -> None:
        seat = knock.conn.seat
        session, seat.session = seat.session, None
        honest(self, knock, home, now, out)
        seat.session = session

    patch.setattr(GuestDoor, "ask", ask)


LOAN_MUTATIONS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    home_admits_whom_it_has_lent,
    home_lends_whom_it_counts,
    home_promises_less_than_the_borrower_holds,
    a_guest_stays_without_a_loan,
    home_forgets_its_loans_when_it_restarts,
    a_guests_other_device_is_asked_for_while_the_first_one_works,
)
"""Rules that take a rare order of late words to be needed have their own tests in `test_loans.py`."""


def home_lends_on_the_way_to_another_city(patch: pytest.MonkeyPatch) -> None:
    """One device has gone to the third city with a ticket; another one asks at the second."""
    honest = GuestDoor._why_not_ours_to_lend

    def why_not(self: GuestDoor, account: str, to: str, now: float) -> str | None:
        why = honest(self, account, to, now)
        return None if why == "PlacedElsewhere" else why

    patch.setattr(GuestDoor, "_why_not_ours_to_lend", why_not)


def home_lends_two_devices_to_two_cities(patch: pytest.MonkeyPatch) -> None:
    """Each other city knows of its own loan only."""
    honest = GuestDoor._promised

    def promised(self: GuestDoor, account: str, instance: str, now: float, *, but: str = "") -> str | None:
        return None if but else honest(self, account, instance, now)

    patch.setattr(GuestDoor, "_promised", promised)


THREE_CITIES_MUTATIONS: tuple[Callable[[pytest.MonkeyPatch], None], ...] = (
    home_lends_on_the_way_to_another_city,
    home_lends_two_devices_to_two_cities,
)


@pytest.mark.slow
@pytest.mark.parametrize("mutation", THREE_CITIES_MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_of_loans_to_several_cities_is_found(
    mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation(monkeypatch)
    for seed in range(60):
        try:
            play_guests(seed, sites=THREE)
        except OverlapError:
            print(f"{mutation.__name__}: found with seed {seed}")
            return
    pytest.fail(f"no overlap in 60 runs although {mutation.__doc__}")


@pytest.mark.slow
@pytest.mark.parametrize("mutation", LOAN_MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_of_loans_is_found(
    mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation(monkeypatch)
    for seed in range(60):
        try:
            play_guests(seed)
        except OverlapError:
            print(f"{mutation.__name__}: found with seed {seed}")
            return
    pytest.fail(f"no overlap in 60 runs although {mutation.__doc__}")


@pytest.mark.slow
@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_a_broken_rule_is_found(
    mutation: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutation(monkeypatch)
    for seed in range(300):
        try:
            play(seed)
        except OverlapError:
            print(f"{mutation.__name__}: found with seed {seed}")
            return
    pytest.fail(f"no overlap in 300 runs although {mutation.__doc__}")
