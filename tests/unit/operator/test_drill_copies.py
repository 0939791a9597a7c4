"""Which Drills of this cluster are copies, and what is published of them."""

from typing import Any

from tandem.api.drill import DrillSpec
from tandem.domain.snapshot import PublishedDrill
from tandem.engine.ports import KeyValue
from tandem.operator.drill_copies import copy_of, digest_of, is_copy
from tandem.operator.publish import differs, record_of
from tests.support.manifests import annotated, drill
from tests.unit.operator.objects import seen


def spec(**changes: Any) -> DrillSpec:
    return DrillSpec.model_validate(drill(**changes)["spec"])


def a_copy(**changes: Any) -> dict[str, Any]:
    published = PublishedDrill("callcenter/monthly", spec(), True, "", 0.0, ("west",), {}, ())
    made = copy_of(published, spec())
    return {**made, "spec": {**made["spec"], **changes}}


def test_what_the_operator_made_is_a_copy_until_somebody_changes_its_spec() -> None:
    assert is_copy(seen(a_copy()))
    assert not is_copy(seen(a_copy(hold="1h")))
    assert not is_copy(seen(drill()))


def test_a_copy_that_is_applied_here_as_it_is_counts_as_applied_here() -> None:
    by_flux = [{"manager": "kustomize-controller", "operation": "Apply"}]
    assert not is_copy(seen(a_copy(), managedFields=by_flux))


def test_a_copy_is_published_as_one_with_the_commands_given_to_it() -> None:
    command = '{"id":"1","action":"run","by":"ada","at":1}'
    made = a_copy()
    made["metadata"]["annotations"]["tandem.dev/drill-request"] = command
    record = record_of(seen(made), 0.0)
    assert record is not None
    assert (record.mirrored, record.request) == (True, command)
    adopted = record_of(seen(a_copy(hold="1h")), 0.0)
    assert adopted is not None
    assert not adopted.mirrored


def test_the_digest_is_the_specs_alone_and_a_command_is_news() -> None:
    plain = record_of(seen(drill()), 0.0)
    labelled = record_of(seen(drill(), labels={"team": "voice"}), 0.0)
    asked = record_of(seen(annotated(drill(), drill_request="x")), 0.0)
    assert plain is not None
    assert labelled is not None
    assert asked is not None
    assert plain.digest == labelled.digest == digest_of(spec())
    assert not differs(labelled, KeyValue("k", plain.encode(), 1, 1))
    assert differs(asked, KeyValue("k", plain.encode(), 1, 1))
