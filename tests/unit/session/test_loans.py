"""Loans: a lease between two cities, whatever becomes of the words between them."""

from collections.abc import Iterable

import pytest

from callcenter.session.lease import DRIFT
from callcenter.session.loan_frames import (
    KINDS,
    Borrow,
    Lent,
    LoanFrame,
    Renew,
    Renewed,
    Returned,
    Who,
    read,
    write,
)
from callcenter.session.loans import (
    ANSWER_WITHIN,
    HOME_STABLE,
    HOME_STABLE_MOST,
    LOAN,
    PEER_FRESH,
    RENEW_EVERY,
    Borrower,
    Lender,
)

PROMISED = LOAN * (1 + DRIFT)


def a_lender(lent: Iterable[str] | None = (), *, keeps: bool = False) -> Lender:
    return Lender("b1", 0.0, lent=lent, keeps=keeps)


def must_keep(lender: Lender) -> bool:
    """Asked anew: mypy takes what a property said to stay so."""
    return lender.must_keep


def a_borrower(capacity: int = 2, now: float = 0.0) -> Borrower[str]:
    borrower: Borrower[str] = Borrower("w1")
    borrower.capacity = capacity
    borrower.heard(now)
    return borrower


def asked(borrower: Borrower[str], *accounts: str, now: float = 0.0) -> Borrow:
    for account in accounts:
        borrower.ask(account, f"i-{account}", "g", f"knock of {account}", now)
    request, _ = borrower.requests(now)
    assert request is not None
    return request


def a_guest(borrower: Borrower[str], account: str = "a1", loan: str = "b1.l1", now: float = 0.0) -> None:
    request = asked(borrower, account, now=now)
    come, unwanted = borrower.lent(Lent(request.n, {account: loan}, {}), now)
    assert (come, unwanted) == ([f"knock of {account}"], [])


# ---- home


def test_a_lent_agent_is_admitted_at_home_by_that_client_only() -> None:
    lender = a_lender()
    assert lender.lend("n1", "a1", "laptop", 10.0) == "b1.l1"
    assert lender.why_shut("a1", "phone", 10.0) == "LentOut"
    assert lender.why_shut("a1", "laptop", 10.0) is None
    assert lender.why_shut("a2", "phone", 10.0) is None


def test_home_promises_longer_than_the_borrower_holds() -> None:
    lender, borrower = a_lender(), a_borrower()
    a_guest(borrower, now=0.0)
    lender.lend("n1", "a1", "i-a1", 0.0)
    assert borrower.has("a1", "i-a1", LOAN - 0.01)
    assert not borrower.has("a1", "i-a1", LOAN)
    assert lender.why_shut("a1", "phone", PROMISED - 0.01) == "LentOut"
    assert lender.why_shut("a1", "phone", PROMISED) is None
    assert lender.lapsed(PROMISED - 0.01) == []
    assert lender.lapsed(PROMISED) == ["a1"]


def test_a_renewal_counts_from_its_receipt_at_home_and_from_its_sending_at_the_borrower() -> None:
    lender, borrower = a_lender(), a_borrower()
    a_guest(borrower)
    lender.lend("n1", "a1", "i-a1", 0.0)
    renewal = borrower.renewal(10.0)
    assert renewal is not None
    answer, free = lender.renew(renewal, 12.0)
    assert (answer.gone, free) == ((), [])
    assert borrower.renewed(answer) == []
    assert borrower.has("a1", "i-a1", 10.0 + LOAN - 0.01)
    assert not borrower.has("a1", "i-a1", 10.0 + LOAN)
    assert lender.is_lent("a1", 12.0 + PROMISED - 0.01)


def test_the_same_client_gets_the_same_loan_and_another_one_none() -> None:
    lender = a_lender()
    assert lender.lend("n1", "a1", "laptop", 0.0) == lender.lend("n2", "a1", "laptop", 1.0) == "b1.l1"
    assert lender.lend("n3", "a1", "phone", 2.0) is None
    assert lender.lend("n4", "a1", "phone", 1.0 + PROMISED) == "b1.l2"


def test_only_its_own_id_ends_a_loan() -> None:
    lender = a_lender()
    lender.lend("n1", "a1", "laptop", 0.0)
    assert lender.returned(["b1.l9", ""]) == []
    assert lender.returned(["b1.l1"]) == ["a1"]
    assert lender.lend("n2", "a1", "laptop", 1.0) == "b1.l2"
    assert lender.returned(["b1.l1"]) == [], "late, or repeated"
    assert lender.is_lent("a1", 1.0)


def test_a_renewal_of_what_is_over_is_answered_with_gone() -> None:
    lender = a_lender()
    lender.lend("n1", "a1", "laptop", 0.0)
    lender.home("a1")
    answer, _ = lender.renew(Renew("w1.1", (("b1.l1", "a1", "laptop"),)), 1.0)
    assert answer == Renewed("w1.1", ("b1.l1",))
    assert not lender.is_lent("a1", 1.0)


# ---- home's disk


def test_nobody_is_lent_before_the_disk_has_the_account() -> None:
    lender = a_lender(keeps=True)
    assert not must_keep(lender)
    assert lender.lend("n1", "a1", "laptop", 0.0) == ""
    assert must_keep(lender)
    assert lender.begin_keeping() == {"a1"}
    assert lender.lend("n2", "a2", "laptop", 0.0) == "", "comes while the disk is being written"
    assert lender.kept() == [("n1", "a1", "laptop"), ("n2", "a2", "laptop")]
    assert lender.lend("n1", "a1", "laptop", 0.1) == "b1.l1"
    assert lender.lend("n2", "a2", "laptop", 0.1) == "", "the disk has another account only"


def test_what_is_taken_off_the_disk_is_not_lent_while_that_is_written() -> None:
    lender = a_lender(keeps=True)
    lender.lend("n1", "a1", "laptop", 0.0)
    lender.begin_keeping()
    lender.kept()
    lender.lend("n1", "a1", "laptop", 0.0)
    lender.returned(["b1.l1"])
    lender.lend("n2", "a2", "laptop", 1.0)
    assert lender.begin_keeping() == {"a2"}
    assert lender.lend("n3", "a1", "laptop", 1.0) == ""


def test_a_disk_that_cannot_be_written_lends_nobody() -> None:
    lender = a_lender(keeps=True)
    lender.lend("n1", "a1", "laptop", 0.0)
    lender.begin_keeping()
    lender.not_kept()
    assert lender.lend("n2", "a1", "laptop", 1.0) == ""


def test_a_new_life_knows_from_its_disk_who_may_be_lent() -> None:
    lender = a_lender(["a1"])
    assert lender.why_shut("a1", "laptop", 0.0) == "LentOut", "which client it is, the disk does not say"
    assert lender.why_shut("a2", "laptop", 0.0) is None
    assert lender.why_shut("a1", "laptop", PROMISED) is None
    answer, _ = lender.renew(Renew("w1.1", (("b0.l7", "a1", "laptop"),)), 1.0)
    assert answer.gone == ()
    assert lender.why_shut("a1", "laptop", 1.0) is None
    assert lender.why_shut("a1", "phone", 1.0) == "LentOut"


def test_a_new_life_without_a_disk_admits_nobody_before_it_has_heard_who_is_lent() -> None:
    lender = a_lender(None)
    assert lender.why_shut("a1", "laptop", 0.0) == "LoansUnknown"
    assert lender.why_shut("a1", "laptop", PROMISED) is None
    assert lender.lend("n1", "a2", "laptop", 0.0) is None
    assert not must_keep(lender)


def test_the_question_who_is_lent_comes_when_no_earlier_promise_can_follow_its_answer() -> None:
    lender = a_lender(None)
    assert lender.question(ANSWER_WITHIN) is None, "the borrower may still accept what our earlier life has said"
    question = lender.question(ANSWER_WITHIN * (1 + DRIFT))
    assert question is not None
    lender.renew(Renew("w1.1", (), "b0.q1"), 0.6)
    assert not lender.is_sure, "an answer to somebody else's question"
    answer, _ = lender.renew(Renew("w1.2", (("b0.l7", "a1", "laptop"),), question.n), 0.7)
    assert (answer.gone, lender.is_sure, lender.question(2.0)) == ((), True, None)
    assert lender.why_shut("a1", "phone", 0.7) == "LentOut"
    assert lender.why_shut("a2", "phone", 0.7) is None


def test_what_was_heard_is_kept_for_the_next_life() -> None:
    lender = a_lender(None, keeps=True)
    assert not must_keep(lender), "the disk would say too little"
    question = lender.question(1.0)
    assert question is not None
    lender.renew(Renew("w1.2", (("b0.l7", "a1", "laptop"),), question.n), 1.1)
    assert must_keep(lender)
    assert lender.begin_keeping() == {"a1"}
    lender.kept()
    assert not must_keep(lender)


def test_the_answer_frees_whom_the_disk_named_and_the_borrower_does_not() -> None:
    lender = a_lender(["a1", "a2"])
    question = lender.question(1.0)
    assert question is not None
    _, free = lender.renew(Renew("w1.1", (("b0.l7", "a1", "laptop"),), question.n), 1.1)
    assert free == ["a2"]
    assert lender.why_shut("a2", "phone", 1.1) is None


def test_an_unanswered_question_is_repeated_until_every_earlier_loan_has_run_out() -> None:
    lender = a_lender(None)
    first = lender.question(1.0)
    assert lender.question(1.2) is None
    assert lender.question(1.6) not in (None, first)
    assert lender.question(PROMISED) is None
    assert lender.is_sure


# ---- the borrower


def test_an_answer_counts_only_for_its_own_question_and_in_time() -> None:
    borrower = a_borrower()
    request = asked(borrower, "a1")
    assert borrower.lent(Lent("w1.99", {"a1": "b1.l1"}, {}), 0.1) == ([], ["b1.l1"])
    assert borrower.lent(Lent(request.n, {"a1": "b1.l2"}, {}), ANSWER_WITHIN) == ([], ["b1.l2"])
    assert len(borrower) == 0


def test_a_loan_once_given_back_is_never_used() -> None:
    """Home names the same loan again to whoever asks for the same client, and our word that it is over may be late."""
    borrower = a_borrower()
    a_guest(borrower)
    assert borrower.end("a1", 1.0) == "b1.l1"
    request = asked(borrower, "a1", now=1.0)
    assert borrower.lent(Lent(request.n, {"a1": "b1.l1"}, {}), 1.1) == ([], ["b1.l1"])
    request = asked(borrower, "a1", now=2.0)
    assert borrower.lent(Lent(request.n, {"a1": "b1.l2"}, {}), 2.1) == (["knock of a1"], [])


def test_a_repeated_answer_changes_nothing() -> None:
    borrower = a_borrower()
    request = asked(borrower, "a1")
    answer = Lent(request.n, {"a1": "b1.l1"}, {})
    assert borrower.lent(answer, 0.1) == (["knock of a1"], [])
    assert borrower.lent(answer, 0.2) == ([], [])
    assert borrower.has("a1", "i-a1", 0.2)


def test_a_guest_is_lost_when_home_says_so_of_the_loan_that_is_held() -> None:
    borrower = a_borrower()
    a_guest(borrower)
    renewal = borrower.renewal(1.0)
    assert renewal is not None
    assert borrower.renewed(Renewed(renewal.n, ("b1.l0",))) == []
    assert borrower.renewed(Renewed("w1.77", ("b1.l1",))) == ["a1"]


def test_no_more_are_asked_for_than_there_is_room() -> None:
    borrower = a_borrower(capacity=2)
    request = asked(borrower, "a1", "a2", "a3")
    assert [account for account, _ in request.wanted] == ["a1", "a2"]
    assert borrower.requests(0.0)[1]["a3"] == "GuestsFull"
    borrower.lent(Lent(request.n, {"a1": "b1.l1", "a2": "b1.l2"}, {}), 0.1)
    assert borrower.requests(5.0)[1] == {"a3": "PeerUnreachable"}
    borrower.heard(5.0)
    assert borrower.ask("a3", "i-a3", "g", "knock of a3", 5.0) == "GuestsFull"
    assert borrower.requests(5.0) == (None, {"a3": "GuestsFull"})
    borrower.end("a1", 5.0)
    again, _ = borrower.requests(5.0)
    assert again is not None
    assert [account for account, _ in again.wanted] == ["a3"]


@pytest.mark.parametrize(
    ("capacity", "heard", "reason"),
    [
        pytest.param(0, 0.0, "PlacedElsewhere", id="this-city-takes-no-guests"),
        pytest.param(2, 0.0, "PlacedElsewhere", id="home-is-asked"),
        pytest.param(2, -PEER_FRESH - 0.1, "PeerUnreachable", id="home-cannot-be-asked"),
    ],
)
def test_why_somebody_waits(capacity: int, heard: float, reason: str) -> None:
    borrower = a_borrower(capacity, now=heard)
    assert borrower.ask("a1", "i", "g", "knock", 0.0) == reason


def test_who_was_refused_is_asked_for_again_after_a_moment() -> None:
    borrower = a_borrower()
    request = asked(borrower, "a1")
    borrower.lent(Lent(request.n, {}, {"a1": "SessionAlive"}), 0.1)
    assert borrower.requests(0.1) == (None, {"a1": "NoRelease"})
    assert borrower.requests(0.1 + ANSWER_WITHIN)[0] is not None


def test_all_loans_are_renewed_together_and_told_when_asked() -> None:
    borrower = a_borrower()
    assert borrower.renewal(0.0) is None
    empty = borrower.renewal(0.0, re="b2.q1")
    assert empty is not None
    assert (empty.loans, empty.re) == ((), "b2.q1")
    a_guest(borrower, "a1", "b1.l1")
    a_guest(borrower, "a2", "b1.l2")
    assert borrower.renewal(RENEW_EVERY - 0.01) is None
    renewal = borrower.renewal(RENEW_EVERY)
    assert renewal is not None
    assert renewal.loans == (("b1.l1", "a1", "i-a1"), ("b1.l2", "a2", "i-a2"))


def test_who_goes_back_and_forth_must_have_had_home_for_longer_each_time() -> None:
    borrower = a_borrower()
    stays = []
    for n in range(7):
        now = 10.0 * n
        borrower.heard(now)
        a_guest(borrower, "a1", f"b1.l{n}", now=now)
        guest = borrower.guest("a1")
        assert guest is not None
        stays.append(guest.stays)
        borrower.end("a1", now, homeward=True)
    assert stays == [HOME_STABLE, 10.0, 20.0, 40.0, HOME_STABLE_MOST, HOME_STABLE_MOST, HOME_STABLE_MOST]
    borrower.heard(200.0)
    a_guest(borrower, "a1", "b1.l9", now=200.0)
    guest = borrower.guest("a1")
    assert guest is not None
    assert guest.stays == HOME_STABLE


# ---- the frames


@pytest.mark.parametrize(
    "frame",
    [
        Borrow("w1.1", (("a1", "i1"), ("a2", "i2"))),
        Lent("w1.1", {"a1": "b1.l1"}, {"a2": "SessionAlive"}),
        Renew("w1.2", (("b1.l1", "a1", "i1"),)),
        Renew("w1.3", (), "b2.q1"),
        Renewed("w1.2", ("b1.l1",)),
        Returned(("b1.l1",)),
        Who("b2.q1"),
    ],
    ids=lambda frame: type(frame).__name__,
)
def test_frames_come_back_as_they_went(frame: LoanFrame) -> None:
    body = write(frame)
    assert body["t"] in KINDS
    assert read(body) == frame


@pytest.mark.parametrize(
    "body",
    [
        {"t": "borrow", "n": "w1.1", "wanted": [["a1"]]},
        {"t": "borrow", "n": 1, "wanted": []},
        {"t": "lent", "n": "w1.1", "loans": [], "refused": {}},
        {"t": "lent", "n": "w1.1", "loans": {"a1": 7}, "refused": {}},
        {"t": "renew", "n": "w1.1", "loans": []},
        {"t": "returned"},
        {"t": "weather"},
    ],
)
def test_what_is_no_frame_is_refused(body: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="not what a CTI says of its loans"):
        read(body)
