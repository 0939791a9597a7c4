"""Which Drills of this cluster are copies, and what is published of them."""

import asyncio
import copy
from types import SimpleNamespace
from typing import Any

import pytest

from tandem.api.drill import DrillSpec
from tandem.api.resources import DRILL
from tandem.domain.snapshot import PublishedDrill
from tandem.engine.ports import KeyValue
from tandem.engine.wakeup import Signal
from tandem.operator.cluster import ApiError, RefusedError, TakenError
from tandem.operator.drill_copies import DrillCopies, copy_of, digest_of, is_copy
from tandem.operator.mirror import LocalNotes
from tandem.operator.objects import Table
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


# -- the copy follows


class Api:
    """Drills of one cluster, as its API keeps them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.held: dict[str, Any] | None = None
        self.version = 7
        self.made = 0
        self.refusals: list[ApiError] = []

    def shown(self) -> None:
        """An event shows the operator what is there."""
        assert self.held is not None
        self.table.update(seen(self.held, uid=f"uid-{self.made}", resourceVersion=str(self.version)))

    async def post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        self.held, self.made = copy.deepcopy(body), self.made + 1
        return body

    async def change(self, path: str, steps: list[dict[str, Any]]) -> dict[str, Any]:
        if self.refusals:
            raise self.refusals.pop()
        assert self.held is not None
        found = copy.deepcopy(self.held)
        for step in steps:
            *way, last = (part.replace("~1", "/").replace("~0", "~") for part in step["path"].split("/")[1:])
            if last == "resourceVersion":
                if step["value"] != str(self.version):
                    raise TakenError("the object has been modified")
                continue
            target = found
            for part in way:
                target = target[part]
            target[last] = step["value"]
        self.held, self.version = found, self.version + 1
        return found

    async def delete(self, path: str) -> None:
        raise AssertionError("a copy that is deleted takes the reports along that belong to it")


class Scene:
    """East, where nobody has applied the Drill that west has."""

    def __init__(self) -> None:
        self.now = 100.0
        self.table = Table()
        self.table.listed.add(DRILL.plural)
        self.api = Api(self.table)
        synced = asyncio.Event()
        synced.set()
        self.snapshot = SimpleNamespace(drill_specs={}, drills={})
        view = SimpleNamespace(
            snapshot=self.snapshot,
            silent_s=0.0,
            synced=synced,
            subscribe=lambda *_: Signal(),
            clock=SimpleNamespace(monotonic=lambda: self.now),
        )
        self.notes = LocalNotes()
        self.copies = DrillCopies("east", self.table, view, self.api, self.notes)  # type: ignore[arg-type]

    def applied(self, **changes: Any) -> None:
        """West's manifest is this one."""
        published = PublishedDrill("callcenter/monthly", spec(**changes), True, "", 0.0, ("west",), {}, ())
        self.snapshot.drill_specs = {published.name: published}

    async def copied(self, **changes: Any) -> None:
        self.applied(**changes)
        await self.copies.round()
        self.api.shown()

    async def round(self) -> DrillSpec:
        """What the copy says after one more look."""
        await self.copies.round()
        self.api.shown()
        (found,) = self.table.of(DRILL.plural)
        assert isinstance(found.spec, DrillSpec)
        return found.spec


async def test_a_copy_follows_its_original_as_the_same_object_and_keeps_its_commands() -> None:
    scene = Scene()
    await scene.copied(hold="1h", schedule="0 3 * * *", timeZone="Europe/Berlin")
    assert scene.api.held is not None
    scene.api.held["metadata"]["annotations"]["tandem.dev/drill-request"] = "asked here"
    scene.api.shown()
    scene.applied(suspend=True)  # `hold`, `schedule` and `timeZone` are not given any more
    assert await scene.round() == spec(suspend=True)
    (found,) = scene.table.of(DRILL.plural)
    assert (scene.api.made, found.uid) == (1, "uid-1")
    assert is_copy(found)
    assert found.annotations["tandem.dev/drill-request"] == "asked here"


async def test_a_copy_follows_while_a_run_is_under_way_too() -> None:
    scene = Scene()
    await scene.copied()
    scene.snapshot.drills = {"callcenter/monthly": SimpleNamespace(record=SimpleNamespace(phase="Out"))}
    scene.applied(suspend=True)
    assert await scene.round() == spec(suspend=True)


async def test_what_somebody_has_changed_since_the_last_look_is_not_overwritten() -> None:
    scene = Scene()
    await scene.copied()
    scene.applied(hold="1h")
    scene.api.held = {**(scene.api.held or {}), "spec": drill(hold="2h")["spec"]}
    scene.api.version += 1
    assert await scene.round() == spec(hold="2h")
    assert await scene.round() == spec(hold="2h")


@pytest.mark.parametrize(
    ("refusal", "seconds"), [(TakenError("modified"), 0.0), (RefusedError("no such field"), 60.0)], ids=["409", "422"]
)
async def test_a_change_that_was_refused_is_tried_again(refusal: ApiError, seconds: float) -> None:
    scene = Scene()
    await scene.copied()
    scene.applied(hold="1h")
    scene.api.refusals = [refusal]
    assert await scene.round() == spec()
    if seconds:
        assert await scene.round() == spec()
    scene.now += seconds
    assert await scene.round() == spec(hold="1h")


NO_RIGHT = (
    'drills.tandem.dev "monthly" is forbidden: User "system:serviceaccount:tandem-system:tandem" cannot patch resource '
    '"drills" in API group "tandem.dev" in the namespace "callcenter"'
)


@pytest.mark.parametrize(
    ("refusal", "reason", "remedy"), [(NO_RIGHT, "NotAllowed", True), ("no such field", "Failed", False)]
)
async def test_a_copy_that_may_not_follow_says_so_until_it_does(refusal: str, reason: str, remedy: bool) -> None:
    scene = Scene()
    await scene.copied()
    key = (DRILL.plural, "callcenter/monthly")
    assert scene.notes.of(key) == []
    scene.applied(hold="1h")
    scene.api.refusals = [RefusedError(refusal)]
    assert await scene.round() == spec()  # and it was not deleted: `Api.delete`
    (said,) = scene.notes.of(key)
    assert (said.type, said.status, said.reason) == ("CopyFollows", "False", reason)
    assert refusal in said.message
    assert "an earlier spec than west has" in said.message
    assert ("delete this copy" in said.message, "policies.install" in said.message) == (remedy, remedy)
    scene.now += 60
    assert await scene.round() == spec(hold="1h")
    assert scene.notes.of(key) == []


async def test_a_copy_that_could_not_follow_is_none_any_more_once_it_is_applied_here() -> None:
    scene = Scene()
    await scene.copied()
    scene.applied(hold="1h")
    scene.api.refusals = [RefusedError(NO_RIGHT)]
    await scene.round()
    published = PublishedDrill("callcenter/monthly", spec(hold="1h"), True, "", 0.0, ("east", "west"), {}, ())
    scene.snapshot.drill_specs = {published.name: published}
    await scene.copies.round()
    assert scene.notes.of((DRILL.plural, "callcenter/monthly")) == []
