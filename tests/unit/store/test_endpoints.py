"""Which member is asked, and which one next."""

from tandem.store.endpoints import HOME_S, REST_S, Endpoints


def test_the_local_member_comes_first() -> None:
    assert Endpoints(3).order(0.0, repeatable=True) == [0, 1, 2]


def test_a_member_that_failed_is_asked_last() -> None:
    endpoints = Endpoints(3)
    endpoints.failed(0, 10.0)
    assert endpoints.order(10.1, repeatable=True) == [1, 2, 0]
    endpoints.failed(1, 10.2)
    assert endpoints.order(10.3, repeatable=False) == [2, 0, 1]


def test_a_member_that_answered_is_as_good_as_before() -> None:
    endpoints = Endpoints(3)
    endpoints.failed(0, 10.0)
    endpoints.answered(0, 10.05)
    assert endpoints.order(10.1, repeatable=False) == [0, 1, 2]


def test_after_its_rest_one_request_that_may_be_repeated_tries_the_local_member_again() -> None:
    endpoints = Endpoints(3)
    endpoints.failed(0, 10.0)
    due = 10.0 + REST_S
    # A transaction could lose its outcome there.
    assert endpoints.order(due, repeatable=False) == [1, 2, 0]
    assert endpoints.order(due, repeatable=True) == [0, 1, 2]
    assert endpoints.order(due, repeatable=True) == [1, 2, 0]


def test_a_distant_member_is_not_tried_before_a_nearer_one_that_works() -> None:
    endpoints = Endpoints(3)
    endpoints.failed(2, 10.0)
    assert endpoints.order(10.0 + REST_S, repeatable=True) == [0, 1, 2]


def test_when_all_have_failed_all_are_asked_the_one_that_rested_longest_first() -> None:
    endpoints = Endpoints(3)
    for member, at in ((1, 10.0), (0, 10.1), (2, 10.2)):
        endpoints.failed(member, at)
    for repeatable in (True, False):
        assert endpoints.order(10.3, repeatable=repeatable) == [1, 0, 2]


def test_a_watch_goes_back_to_a_nearer_member_once_that_has_worked_for_a_while() -> None:
    endpoints = Endpoints(3)
    endpoints.failed(0, 10.0)
    endpoints.failed(1, 10.0)
    assert not endpoints.nearer_is_well(2, 10.0 + 2 * HOME_S)  # both have been silent since
    endpoints.answered(1, 20.0)
    assert not endpoints.nearer_is_well(2, 20.0 + HOME_S - 0.1)
    endpoints.answered(1, 24.0)  # still well: since 20, not since 24
    assert endpoints.nearer_is_well(2, 20.0 + HOME_S)
    assert not endpoints.nearer_is_well(1, 20.0 + HOME_S)  # the one that is nearer still is silent
    assert not endpoints.nearer_is_well(0, 20.0 + HOME_S)


def test_a_member_that_fails_again_has_to_prove_itself_again() -> None:
    endpoints = Endpoints(2)
    endpoints.failed(0, 10.0)
    endpoints.answered(0, 12.0)
    endpoints.failed(0, 14.0)
    endpoints.answered(0, 16.0)
    assert not endpoints.nearer_is_well(1, 12.0 + HOME_S)
    assert endpoints.nearer_is_well(1, 16.0 + HOME_S)
