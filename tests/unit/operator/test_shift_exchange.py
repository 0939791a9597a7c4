"""What a Shift's object in this cluster means for the store."""

from datetime import UTC, datetime
from typing import Any

import pytest

from tandem.api.shift import FINISHED, ShiftSpec
from tandem.constants import PATIENCE_S
from tandem.domain.records import RanRecord, ShiftRecord
from tandem.operator.shifts import Change, Create, Drop, Ended, Fail, Foreign, Left, Past, exchange, manifest, merge
from tandem.operator.statuses.shift import ended, left_behind, ran_before
from tests.support.manifests import shift
from tests.unit.operator.objects import CREATED_AT, seen

NOW = CREATED_AT + 1.0
MIRRORED = {"tandem.dev/mirrored": "west"}


def spec(**changes: Any) -> ShiftSpec:
    return ShiftSpec.model_validate(shift(**changes)["spec"])


def record(phase: str = "Moving", **changes: Any) -> ShiftRecord:
    values = {"spec": spec(**changes), "created_at": 0.0, "created_in": "west", "phase": phase}
    return ShiftRecord.model_validate(values)


def test_a_new_shift_is_told_to_the_store() -> None:
    assert exchange(seen(shift()), None, NOW) == Create(spec())


@pytest.mark.parametrize(("age_s", "late"), [(PATIENCE_S - 0.1, False), (PATIENCE_S + 0.1, True)])
def test_a_shift_that_comes_late_never_starts(age_s: float, late: bool) -> None:
    found = exchange(seen(shift()), None, CREATED_AT + age_s)
    assert isinstance(found, Fail) == late
    if isinstance(found, Fail):
        assert found.reason == "NotAcceptedInTime"
        assert "under a new name" in found.message


@pytest.mark.parametrize("phase", sorted(FINISHED))
def test_history_is_not_replayed_into_an_empty_store(phase: str) -> None:
    assert exchange(seen(shift(), status={"phase": phase}), None, NOW) is None


def test_a_mirrored_shift_that_the_store_has_forgotten_ends_and_then_goes() -> None:
    unfinished = exchange(seen(shift(), labels=MIRRORED, status={"phase": "Moving"}), None, NOW)
    assert isinstance(unfinished, Fail)
    assert unfinished.reason == "ForgottenByStore"
    assert exchange(seen(shift(), labels=MIRRORED, status={"phase": "Failed"}), None, NOW) == Drop()


BY_FLUX = {"managedFields": [{"manager": "kustomize-controller", "operation": "Apply"}]}
BY_KUBECTL = {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}}
BY_US = {
    "managedFields": [
        {"manager": "tandem", "operation": "Update"},
        {"manager": "tandem-status", "operation": "Apply", "subresource": "status"},
    ]
}


@pytest.mark.parametrize(
    ("marks", "goes"), [(BY_FLUX, False), (BY_KUBECTL, False), (BY_US, True)], ids=["flux", "kubectl", "operator"]
)
def test_a_mirrored_shift_that_somebody_applies_here_stays_or_it_would_be_made_anew_and_move_again(
    marks: dict[str, Any], goes: bool
) -> None:
    shown = seen(shift(), labels=MIRRORED, status={"phase": "Completed"}, **marks)
    assert exchange(shown, None, NOW) == (Drop() if goes else None)


def test_a_shift_that_cannot_be_read_fails_here() -> None:
    found = exchange(seen(shift(shoeSize=44)), None, NOW)
    assert isinstance(found, Fail)
    assert "spec.shoeSize is 44" in found.message


def test_a_known_shift_changes_nothing() -> None:
    assert exchange(seen(shift()), record(), NOW) is None
    assert exchange(seen(shift()), record(requestedBy="west-person"), NOW) is None


@pytest.mark.parametrize("changes", [{"percent": 50}, {"to": "east"}, {"selector": {"region": "north"}}, {"pace": 3}])
def test_another_shift_of_the_same_name_is_told_apart(changes: dict[str, Any]) -> None:
    found = exchange(seen(shift(**changes)), record(), NOW)
    assert isinstance(found, Foreign)
    assert "made in west" in found.message


def test_abort_and_approval_are_told() -> None:
    found = exchange(seen(shift(abort=True)), record(), NOW)
    assert isinstance(found, Change)
    assert found.record.spec.abort
    found = exchange(seen(shift(approved=True, approvedBy="ada")), record("AwaitingApproval"), NOW)
    assert isinstance(found, Change)
    assert (found.record.spec.approved, found.record.spec.approved_by) == (True, "ada")
    assert found.record.approved_at == NOW


def test_an_abort_after_an_approval_leaves_when_that_was() -> None:
    approved = record("AwaitingApproval", approved=True, approvedBy="ada").model_copy(update={"approved_at": 5.0})
    found = exchange(seen(shift(approved=True, approvedBy="ada", abort=True)), approved, NOW)
    assert isinstance(found, Change)
    assert found.record.approved_at == 5.0


def test_a_finished_shift_cannot_be_aborted() -> None:
    assert exchange(seen(shift(abort=True)), record("Completed"), NOW) is None


def test_who_aborted_is_told_with_it_and_is_the_first_one() -> None:
    found = exchange(seen(shift(abort=True, abortedBy="bob")), record(), NOW)
    assert isinstance(found, Change)
    assert found.record.spec.aborted_by == "bob"
    known = spec(abort=True, abortedBy="ada")
    assert merge(known, spec(abort=True, abortedBy="bob")) == known
    assert merge(spec(abort=True), spec(abort=True, abortedBy="bob")).aborted_by is None
    assert known.deed == spec().deed


def test_abort_and_approval_are_never_taken_back() -> None:
    known = spec(abort=True, approved=True, approvedBy="ada")
    assert merge(known, spec()) == known
    assert merge(known, spec(approved=True, approvedBy="bob")).approved_by == "ada"


def test_the_object_for_another_clusters_shift_says_where_it_was_made() -> None:
    made = manifest("callcenter/to-west", record(waves=[10, 100]))
    assert made["metadata"] == {"name": "to-west", "namespace": "callcenter", "labels": MIRRORED}
    assert ShiftSpec.model_validate(made["spec"]) == spec(waves=[10, 100])


# -- how long they stay


def over(ended_s_ago: float, **changes: Any) -> Any:
    """A finished Shift of `shift(**changes)` as this cluster shows it."""
    ended = datetime.fromtimestamp(NOW - ended_s_ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return seen(shift(**changes), status={"phase": "Completed", "finishedAt": ended})


def test_a_finished_shift_that_the_store_has_forgotten_goes_when_its_time_is_over() -> None:
    assert exchange(over(61, ttlSecondsAfterFinished=60), None, NOW) == Drop()
    assert exchange(over(59, ttlSecondsAfterFinished=60), None, NOW) is None
    assert exchange(over(1e6), None, NOW) is None


def test_a_finished_shift_that_the_store_still_has_stays() -> None:
    done = record("Completed", ttlSecondsAfterFinished=60)
    assert exchange(over(61, ttlSecondsAfterFinished=60), done, NOW) is None


@pytest.mark.parametrize("phase", ["Planned", "Moving", "Verifying"])
def test_a_shift_that_the_store_has_known_and_forgotten_never_starts_again(phase: str) -> None:
    found = exchange(seen(shift(), status={"phase": phase}), None, NOW)
    assert isinstance(found, Fail)
    assert found.reason == "ForgottenByStore"


# -- tidied away


def ran(phase: str = "Completed") -> RanRecord:
    return RanRecord.model_validate({"phase": phase, "message": "12 agents arrived at west", "finished_at": 1000.0})


@pytest.mark.parametrize("phase", [None, "", "Pending"])
def test_a_shift_that_was_tidied_away_does_not_run_again_when_it_is_applied_anew(phase: str | None) -> None:
    found = exchange(seen(shift(), status={"phase": phase} if phase is not None else {}), None, NOW, ran())
    assert found == Past(ran())


def test_its_object_says_what_became_of_it_and_is_left_alone() -> None:
    wanted = seen(shift(ttlSecondsAfterFinished=1))
    for phase, ready in (("Completed", "True"), ("RolledBack", "False")):
        status = ran_before(wanted, ran(phase), NOW)
        assert (status.phase, status.reason) == (phase, "AlreadyRun")
        assert "12 agents arrived at west" in status.message
        assert {condition.type: condition.status for condition in status.conditions}["Ready"] == ready
        shown = seen(shift(ttlSecondsAfterFinished=1), status=status.model_dump(by_alias=True))
        assert exchange(shown, None, NOW + 1e6, ran(phase)) is None


MISSED = ran().model_copy(update={"finished_at": CREATED_AT + 0.5})


@pytest.mark.parametrize(
    "status", [{"phase": "Moving"}, {"phase": "Verifying"}, {}], ids=["moving", "verifying", "none"]
)
def test_an_end_that_this_cluster_has_missed_is_shown_and_counts_for_its_time_to_live(status: dict[str, str]) -> None:
    wanted = seen(shift(ttlSecondsAfterFinished=4), status=status)
    assert exchange(wanted, None, NOW, MISSED) == Ended(MISSED)
    shown = ended(wanted, MISSED, NOW)
    assert (shown.phase, shown.reason, shown.message) == ("Completed", "Completed", "12 agents arrived at west")
    later = seen(shift(ttlSecondsAfterFinished=4), status=shown.model_dump(by_alias=True))
    assert exchange(later, None, MISSED.finished_at + 3.0, MISSED) is None
    assert exchange(later, None, MISSED.finished_at + 5.0, MISSED) == Drop()


@pytest.mark.parametrize("phase", ["", "Moving", "Completed"])
def test_the_mirrored_object_of_an_end_that_was_missed_goes(phase: str) -> None:
    assert exchange(seen(shift(), labels=MIRRORED, status={"phase": phase}), None, NOW, MISSED) == Drop()


def test_history_that_is_still_there_stays_history() -> None:
    assert exchange(seen(shift(), status={"phase": "Completed"}), None, NOW, ran()) is None


# -- what is left of an earlier Shift of the same name

WAS_OVER: dict[str, Any] = {"phase": "Completed", "finishedAt": "2026-11-23T20:10:00Z"}
"""Ten minutes after the objects of these tests were made."""


def newer(phase: str = "AwaitingApproval", **changes: Any) -> ShiftRecord:
    return record(phase, **changes).model_copy(update={"created_at": CREATED_AT + 1200.0})


SAID_TO_THE_EARLIER_ONE: list[dict[str, Any]] = [
    {"abort": True},
    {"approved": True, "approvedBy": "ada"},
    {"percent": 50},
]


@pytest.mark.parametrize("said", SAID_TO_THE_EARLIER_ONE)
def test_what_was_said_to_an_earlier_shift_of_the_name_is_not_told_to_the_newer_one(said: dict[str, Any]) -> None:
    old = seen(shift(**said), status=WAS_OVER)
    assert exchange(old, newer(), NOW) == Left(newer())
    status = left_behind(old, newer(), NOW)
    assert (status.phase, status.reason, status.finished_at) == ("Completed", "NameTaken", WAS_OVER["finishedAt"])
    assert "delete this object, and the newer one is shown here" in status.message
    shown = seen(shift(**said), status=status.model_dump(mode="json", by_alias=True))
    assert exchange(shown, newer(), NOW) == Left(newer())  # it says so for as long as that is true
    assert exchange(shown, newer("Completed", **said), NOW) is None


@pytest.mark.parametrize("said", SAID_TO_THE_EARLIER_ONE)
def test_what_we_have_shown_of_it_is_made_anew(said: dict[str, Any]) -> None:
    assert exchange(seen(shift(**said), labels=MIRRORED, status=WAS_OVER), newer(), NOW) == Drop()


def test_an_object_that_says_nothing_else_shows_the_newer_one_and_may_be_aborted_as_every_other() -> None:
    assert exchange(seen(shift(), status=WAS_OVER), newer(), NOW) is None
    shown = seen(shift(abort=True), status={"phase": "AwaitingApproval"})
    assert isinstance(exchange(shown, newer(), NOW), Change)


def test_one_that_this_cluster_alone_gave_up_on_is_the_same_shift() -> None:
    late = {**WAS_OVER, "phase": "Failed", "reason": "NotAcceptedInTime"}
    assert isinstance(exchange(seen(shift(abort=True), status=late), newer(), NOW), Change)
